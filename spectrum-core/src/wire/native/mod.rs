//! The native dialect: every variant of both enums, both ways. Assignment, request and event numbers stand in the wrapper.

mod basic;
mod contact;
mod event;
mod form;
mod from_backend;
mod message;
mod outcome;
mod profile;
mod room;
#[cfg(test)]
mod samples;
mod settings;
#[cfg(test)]
mod tests;
mod to_backend;
mod verb;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::counters::Violation;
use super::fields::{Counted, too_many};
use super::frames;
use super::reader::{Reader, Texts};
use super::{FrameError, FromBackend, ToBackend, WireCounters, kind};
use crate::backend::{Event, LoginError, LoginErrorKind, OpError, OpErrorKind};
use crate::model::{AssignmentId, RequestId};

pub(super) use basic::{optional, read_all, text};
pub(super) use from_backend::read_stats;
pub(super) use profile::own;
pub(super) use settings::write_settings;

/// The main process's end.
#[derive(Debug)]
pub struct NativeCodec {
    max: usize,
    counters: WireCounters,
    answers: VecDeque<FromBackend>,
}

impl NativeCodec {
    /// A codec that takes and makes frames up to so many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max: max_frame_bytes,
            counters: WireCounters::default(),
            answers: VecDeque::new(),
        }
    }

    /// Appends the frame's bytes to `dst`. One that is too long is not sent but answered, see [`next_answer`](Self::next_answer).
    pub fn encode(&mut self, frame: &ToBackend, dst: &mut BytesMut) {
        if to_backend::put(frame, dst, self.max).is_ok() {
            return;
        }
        self.counters.dropped += 1;
        match frame {
            ToBackend::Request { assignment, request, .. } => self.answers.push_back(FromBackend::Outcome {
                assignment: *assignment,
                request: *request,
                outcome: Box::new(Err(too_long())),
            }),
            ToBackend::Login(login) => self.answers.push_back(FromBackend::Event {
                assignment: login.assignment,
                durable: None,
                event: Box::new(Event::Closed(LoginError::new(
                    LoginErrorKind::Settings,
                    "Your settings are too long to be sent.",
                ))),
            }),
            // Given up is the answer a backend understands; the rest has no length to speak of.
            ToBackend::PromptAnswer { assignment, prompt, .. } => {
                let gave_up = ToBackend::PromptAnswer {
                    assignment: *assignment,
                    prompt: *prompt,
                    answers: None,
                };
                let _ = to_backend::put(&gave_up, dst, self.max);
            }
            ToBackend::Version { .. }
            | ToBackend::Logout { .. }
            | ToBackend::Credit { .. }
            | ToBackend::Committed { .. }
            | ToBackend::QueryAnswer(_)
            | ToBackend::Ping
            | ToBackend::Exit => {}
        }
    }

    /// Takes the next usable frame off the front of `src`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the link has to be closed.
    pub fn decode(&mut self, src: &mut BytesMut) -> Result<Option<FromBackend>, FrameError> {
        if let Some(answer) = self.answers.pop_front() {
            return Ok(Some(answer));
        }
        while let Some(frame) = frames::split(src, self.max)? {
            let mut reader = Reader {
                counters: &mut self.counters,
                texts: Texts::ForXml,
            };
            match frames::open(frame).and_then(|opened| from_backend::read(opened, &mut reader)) {
                Ok(frame) => return Ok(Some(frame)),
                Err(violation) => self.counters.violation(violation),
            }
        }
        Ok(None)
    }

    /// What the codec itself answers to frames encoded.
    pub fn next_answer(&mut self) -> Option<FromBackend> {
        self.answers.pop_front()
    }

    /// What went wrong so far.
    pub fn counters(&self) -> WireCounters {
        self.counters
    }
}

/// What a backend reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForBackend {
    /// A frame.
    Frame(ToBackend),
    /// A request that makes no sense here, such as a verb of a later version. It has to be answered as unsupported.
    Unreadable {
        /// Whose.
        assignment: AssignmentId,
        /// Which.
        request: RequestId,
    },
}

/// A backend's end.
#[derive(Debug)]
pub struct BackendCodec {
    max: usize,
    counters: WireCounters,
}

impl BackendCodec {
    /// A codec that takes and makes frames up to so many bytes.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self {
            max: max_frame_bytes,
            counters: WireCounters::default(),
        }
    }

    /// Appends the frame's bytes to `dst`. In the place of an event or outcome that is too long goes one that says so, so that
    /// nobody waits for it.
    pub fn encode(&mut self, frame: &FromBackend, dst: &mut BytesMut) {
        if from_backend::put(frame, dst, self.max).is_ok() {
            return;
        }
        self.counters.dropped += 1;
        let instead = match frame {
            FromBackend::Event { assignment, durable, .. } => FromBackend::Event {
                assignment: *assignment,
                durable: *durable,
                event: Box::new(Event::Notice(
                    "Something came from the network that is too long to be shown.".to_owned(),
                )),
            },
            FromBackend::Outcome { assignment, request, .. } => FromBackend::Outcome {
                assignment: *assignment,
                request: *request,
                outcome: Box::new(Err(too_long())),
            },
            FromBackend::Hello { .. }
            | FromBackend::Info(_)
            | FromBackend::Refused { .. }
            | FromBackend::LoggedIn { .. }
            | FromBackend::LoggedOut { .. }
            | FromBackend::Prompt { .. }
            | FromBackend::Query(_)
            | FromBackend::Pong
            | FromBackend::Stats(_) => return,
        };
        let _ = from_backend::put(&instead, dst, self.max);
    }

    /// Takes the next usable frame off the front of `src`; `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the link has to be closed.
    pub fn decode(&mut self, src: &mut BytesMut) -> Result<Option<ForBackend>, FrameError> {
        while let Some(frame) = frames::split(src, self.max)? {
            let mut reader = Reader {
                counters: &mut self.counters,
                texts: Texts::AsTheyAre,
            };
            let opened = match frames::open(frame) {
                Ok(opened) => opened,
                Err(violation) => {
                    self.counters.violation(violation);
                    continue;
                }
            };
            let request = match (opened.kind, opened.assignment, opened.request) {
                (kind::REQUEST, Some(assignment), Some(request)) => Some((AssignmentId(assignment), RequestId(request))),
                _ => None,
            };
            match to_backend::read(opened, &mut reader) {
                Ok(frame) => return Ok(Some(ForBackend::Frame(frame))),
                Err(violation) => {
                    self.counters.violation(violation);
                    if let Some((assignment, request)) = request {
                        return Ok(Some(ForBackend::Unreadable { assignment, request }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// What went wrong so far.
    pub fn counters(&self) -> WireCounters {
        self.counters
    }
}

fn too_long() -> OpError {
    OpError::new(OpErrorKind::TooLong, "This is too long.")
}

/// Opens a payload.
pub(super) fn decode<M: Message + Default + Counted>(payload: Bytes) -> Result<M, Violation> {
    if too_many::<M>(&payload) {
        return Err(Violation::TooManyFields);
    }
    Ok(M::decode(payload)?)
}
