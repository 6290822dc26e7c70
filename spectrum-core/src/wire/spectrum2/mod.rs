//! Spectrum 2's dialect, as the main process speaks it: [`Spectrum2Codec`] owns what this wire leaves out.
//!
//! * It names users by bare JID alone: the codec knows which assignment that is now. A LOGIN after a LOGOUT of the same user
//!   waits for the PONG to a PING behind the LOGOUT, so that no late DISCONNECTED can end the new login.
//! * It has no results: a request has succeeded when a PING written behind it is answered. At most one such PING is on the way;
//!   what is written meanwhile goes with the next one.
//! * A join has succeeded when the user's own nickname appears in the room; a profile comes with the id of its request.
//! * What a backend can do it says in an INI text, before or after its first PONG, or never.
//!
//! Types above 36 are never sent, nor is BUDDIES unless asked for.

mod config;
mod decode;
mod encode;
mod login;
mod pings;
mod raw_xml;
mod room;
mod time;
mod users;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::counters::Violation;
use super::frames;
use super::reader::{Reader, Texts};
use super::{FrameError, FromBackend, ToBackend, WireCounters};
use crate::backend::{BackendInfo, OpError, OpErrorKind, Outcome};
use crate::model::{AssignmentId, RequestId, RoomSummary, UserKey};

pub use config::default_info;

use pings::Pings;
use raw_xml::RawXml;
use users::Users;

/// Ticks of ten seconds that a join or a profile may take; Spectrum 2 gives a profile 40 to 60 seconds.
const ANSWER_TICKS: u32 = 6;

/// Profiles that may be asked for at once, over all users; beyond it the oldest question is given up.
const MAX_PROFILES: usize = 4096;

/// The main process's end.
pub struct Spectrum2Codec {
    max: usize,
    /// What holds for every backend of the instance, before this one says more.
    base: BackendInfo,
    said: config::Said,
    /// Whether the core has been told what the backend is.
    announced: bool,
    users: Users,
    pings: Pings,
    profiles: BTreeMap<i32, ProfileQuestion>,
    last_profile: i32,
    /// The network's rooms, as the backend lists them for everybody.
    rooms: Vec<RoomSummary>,
    raw_xml: RawXml,
    /// Bytes to write that no `encode` has returned.
    output: BytesMut,
    /// What `decode` returns next.
    ready: VecDeque<FromBackend>,
    ticks: u32,
    counters: WireCounters,
}

/// A profile that has been asked for.
struct ProfileQuestion {
    user: UserKey,
    assignment: AssignmentId,
    request: RequestId,
    since: u32,
}

impl Spectrum2Codec {
    /// A codec for a backend that has just connected. `base` says what holds of every backend of the instance, see
    /// [`default_info`]; what this one announces is added to it.
    pub fn new(max_frame_bytes: usize, base: BackendInfo) -> Self {
        Self {
            max: max_frame_bytes,
            base,
            said: config::Said::default(),
            announced: false,
            users: Users::default(),
            pings: Pings::default(),
            profiles: BTreeMap::new(),
            last_profile: 0,
            rooms: Vec::new(),
            raw_xml: RawXml::default(),
            output: BytesMut::new(),
            ready: VecDeque::new(),
            ticks: 0,
            counters: WireCounters::default(),
        }
    }

    /// Appends the frame's bytes to `dst`, behind those held back until now. What this wire cannot say is answered, see
    /// [`next_answer`](Self::next_answer).
    pub fn encode(&mut self, frame: &ToBackend, dst: &mut BytesMut) {
        self.take_output(dst);
        self.write(frame);
        self.take_output(dst);
    }

    /// Takes the next frame off the front of `src`, or an answer of the codec's own; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the link has to be closed.
    pub fn decode(&mut self, src: &mut BytesMut) -> Result<Option<FromBackend>, FrameError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            let Some(frame) = frames::split(src, self.max)? else {
                return Ok(None);
            };
            if let Err(violation) = frames::open(frame).and_then(|opened| self.read(opened)) {
                self.counters.violation(violation);
            }
        }
    }

    /// Whether something waits for a PONG and no PING is on the way for it.
    pub fn needs_ping(&self) -> bool {
        self.pings.is_due()
    }

    /// What the codec itself answers to frames encoded.
    pub fn next_answer(&mut self) -> Option<FromBackend> {
        self.ready.pop_front()
    }

    /// Whether there are bytes to write that no `encode` has returned.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Appends these bytes to `dst`.
    pub fn take_output(&mut self, dst: &mut BytesMut) {
        if dst.is_empty() {
            std::mem::swap(dst, &mut self.output);
        } else {
            dst.extend_from_slice(&self.output);
        }
        self.output.clear();
    }

    /// Says that ten seconds have passed: joins and profiles that have waited for a minute are given up.
    pub fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        let now = self.ticks;
        let late = |since: u32| now.wrapping_sub(since) > ANSWER_TICKS;
        while let Some(entry) = self.profiles.first_entry() {
            if !late(entry.get().since) {
                break;
            }
            let question = entry.remove();
            self.answer(question.assignment, question.request, Err(timed_out()));
        }
        for (assignment, request) in self.users.give_up_joins(late) {
            self.answer(
                assignment,
                request,
                Err(OpError {
                    certainty: crate::backend::Certainty::MaybeSent,
                    ..timed_out()
                }),
            );
        }
    }

    /// What went wrong so far.
    pub fn counters(&self) -> WireCounters {
        self.counters
    }

    fn reader(&mut self) -> Reader<'_> {
        Reader {
            counters: &mut self.counters,
            texts: Texts::ForXml,
        }
    }

    fn answer(&mut self, assignment: AssignmentId, request: RequestId, outcome: Outcome) {
        self.ready.push_back(FromBackend::Outcome {
            assignment,
            request,
            outcome: Box::new(outcome),
        });
    }

    /// The user with this name, if on this link; `None` for one who is leaving, whose events no one wants any more.
    fn known(&mut self, user: Option<&Bytes>) -> Result<Option<(UserKey, AssignmentId)>, Violation> {
        let name = self.reader().required(user)?;
        match self.users.find(&name) {
            None => Err(Violation::ForeignUser),
            Some((key, known)) if known.accepts_events() => Ok(Some((key.clone(), known.assignment))),
            Some(_) => Ok(None),
        }
    }
}

impl fmt::Debug for Spectrum2Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spectrum2Codec")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

fn timed_out() -> OpError {
    OpError::new(OpErrorKind::Timeout, "The network did not answer in time.")
}
