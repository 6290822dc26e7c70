//! The native dialect: every variant of both enums, both ways. Assignment, request and event numbers stand in the wrapper.

mod basic;
mod contact;
mod event;
mod form;
mod message;
mod outcome;
mod profile;
mod room;
#[cfg(test)]
mod samples;
mod settings;
#[cfg(test)]
mod tests;
mod verb;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::counters::Violation;
use super::fields::{Counted, too_many};
use super::frames::{self, Head, Opened};
use super::reader::{Reader, Texts};
use super::{FrameError, FromBackend, ResourceUse, ToBackend, WireCounters, kind, proto};
use crate::backend::{Event, LoginError, LoginErrorKind, OpError, OpErrorKind};
use crate::model::{AssignmentId, PromptId, RequestId};

use basic::Wire;
pub(super) use basic::{optional, read_all, text};
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
        if put_to_backend(frame, dst, self.max).is_ok() {
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
                let _ = put_to_backend(&gave_up, dst, self.max);
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
            match frames::open(frame).and_then(|opened| read_from_backend(opened, &mut reader)) {
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
        if put_from_backend(frame, dst, self.max).is_ok() {
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
        let _ = put_from_backend(&instead, dst, self.max);
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
            match read_to_backend(opened, &mut reader) {
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

fn put_to_backend(frame: &ToBackend, dst: &mut BytesMut, max: usize) -> Result<(), FrameError> {
    let head = Head::of;
    match frame {
        ToBackend::Version { version, options } => {
            let message = proto::ApiVersion {
                version: Some(i32::try_from(*version).unwrap_or(i32::MAX)),
                min: None,
                max: None,
                options: settings::write_secrets(options),
            };
            frames::put_message(dst, head(kind::API_VERSION), &message, max)
        }
        ToBackend::Login(login) => {
            let head = Head {
                assignment: Some(login.assignment.0),
                ..head(kind::LOGIN)
            };
            frames::put_message(dst, head, &settings::write_login(login), max)
        }
        ToBackend::Request {
            assignment,
            request,
            verb,
        } => {
            let head = Head {
                assignment: Some(assignment.0),
                request: Some(request.0),
                ..head(kind::REQUEST)
            };
            frames::put_message(dst, head, &verb.write(), max)
        }
        ToBackend::Logout { assignment } => frames::put_bare(
            dst,
            Head {
                assignment: Some(assignment.0),
                ..head(kind::LOGOUT)
            },
            max,
        ),
        ToBackend::Credit { assignment, events } => {
            let head = Head {
                assignment: Some(assignment.0),
                ..head(kind::CREDIT)
            };
            frames::put_message(dst, head, &proto::Credit { events: Some(*events) }, max)
        }
        ToBackend::Committed { assignment, event } => frames::put_bare(
            dst,
            Head {
                assignment: Some(assignment.0),
                number: Some(*event),
                ..head(kind::COMMITTED)
            },
            max,
        ),
        ToBackend::PromptAnswer {
            assignment,
            prompt,
            answers,
        } => {
            let head = Head {
                assignment: Some(assignment.0),
                number: Some(prompt.0),
                ..head(kind::PROMPT_ANSWER)
            };
            let answers = answers.as_ref().map(|a| proto::Settings {
                value: settings::write_secrets(a),
            });
            frames::put_message(dst, head, &proto::PromptAnswer { answers }, max)
        }
        ToBackend::QueryAnswer(answer) => {
            frames::put_message(dst, head(kind::QUERY), &proto::BackendConfig { config: text(answer) }, max)
        }
        ToBackend::Ping => frames::put_bare(dst, head(kind::PING), max),
        ToBackend::Exit => frames::put_bare(dst, head(kind::EXIT), max),
    }
}

fn read_to_backend(opened: Opened, reader: &mut Reader<'_>) -> Result<ToBackend, Violation> {
    let assignment = || opened.assignment.map(AssignmentId).ok_or(Violation::Missing);
    let number = || opened.number.ok_or(Violation::Missing);
    Ok(match opened.kind {
        kind::API_VERSION => {
            let message = decode::<proto::ApiVersion>(opened.payload)?;
            let version = message
                .version
                .and_then(|v| u32::try_from(v).ok())
                .ok_or(Violation::Missing)?;
            ToBackend::Version {
                version,
                options: settings::read_secrets(message.options, reader),
            }
        }
        kind::LOGIN => {
            let message = decode(opened.payload.clone())?;
            ToBackend::Login(Box::new(settings::read_login(assignment()?, message, reader)?))
        }
        kind::REQUEST => ToBackend::Request {
            assignment: assignment()?,
            request: opened.request.map(RequestId).ok_or(Violation::Missing)?,
            verb: Box::new(Wire::read(decode(opened.payload.clone())?, reader)?),
        },
        kind::LOGOUT => ToBackend::Logout {
            assignment: assignment()?,
        },
        kind::CREDIT => ToBackend::Credit {
            assignment: assignment()?,
            events: decode::<proto::Credit>(opened.payload.clone())?
                .events
                .ok_or(Violation::Missing)?,
        },
        kind::COMMITTED => ToBackend::Committed {
            assignment: assignment()?,
            event: number()?,
        },
        kind::PROMPT_ANSWER => ToBackend::PromptAnswer {
            assignment: assignment()?,
            prompt: PromptId(number()?),
            answers: decode::<proto::PromptAnswer>(opened.payload.clone())?
                .answers
                .map(|answers| settings::read_secrets(answers.value, reader)),
        },
        kind::QUERY => ToBackend::QueryAnswer(reader.text_or_empty(decode::<proto::BackendConfig>(opened.payload)?.config)),
        kind::PING => ToBackend::Ping,
        kind::EXIT => ToBackend::Exit,
        _ => return Err(Violation::UnknownType),
    })
}

fn put_from_backend(frame: &FromBackend, dst: &mut BytesMut, max: usize) -> Result<(), FrameError> {
    let head = Head::of;
    match frame {
        FromBackend::Hello { min, max: highest } => {
            let message = proto::ApiVersion {
                version: None,
                min: Some(*min),
                max: Some(*highest),
                options: Vec::new(),
            };
            frames::put_message(dst, head(kind::API_VERSION), &message, max)
        }
        FromBackend::Info(info) => frames::put_message(dst, head(kind::INFO), &info.write(), max),
        FromBackend::Refused { text: why } => {
            frames::put_message(dst, head(kind::REFUSED), &proto::Refused { text: text(why) }, max)
        }
        FromBackend::LoggedIn { assignment } => frames::put_bare(
            dst,
            Head {
                assignment: Some(assignment.0),
                ..head(kind::CONNECTED)
            },
            max,
        ),
        FromBackend::Event {
            assignment,
            durable,
            event,
        } => {
            let head = Head {
                assignment: Some(assignment.0),
                number: *durable,
                ..head(kind::EVENT)
            };
            frames::put_message(dst, head, &event.write(), max)
        }
        FromBackend::Outcome {
            assignment,
            request,
            outcome,
        } => {
            let head = Head {
                assignment: Some(assignment.0),
                request: Some(request.0),
                ..head(kind::OUTCOME)
            };
            frames::put_message(dst, head, &outcome.write(), max)
        }
        FromBackend::LoggedOut { assignment } => frames::put_bare(
            dst,
            Head {
                assignment: Some(assignment.0),
                ..head(kind::LOGGED_OUT)
            },
            max,
        ),
        FromBackend::Prompt {
            assignment,
            prompt,
            what,
        } => {
            let head = Head {
                assignment: Some(assignment.0),
                number: Some(prompt.0),
                ..head(kind::PROMPT)
            };
            frames::put_message(dst, head, &what.write(), max)
        }
        FromBackend::Query(query) => {
            frames::put_message(dst, head(kind::QUERY), &proto::BackendConfig { config: text(query) }, max)
        }
        FromBackend::Pong => frames::put_bare(dst, head(kind::PONG), max),
        FromBackend::Stats(stats) => {
            let number = |n: u32| Some(i32::try_from(n).unwrap_or(i32::MAX));
            let message = proto::Stats {
                res: number(stats.resident),
                init_res: number(stats.initial),
                shared: number(stats.shared),
                id: None,
            };
            frames::put_message(dst, head(kind::STATS), &message, max)
        }
    }
}

fn read_from_backend(opened: Opened, reader: &mut Reader<'_>) -> Result<FromBackend, Violation> {
    let assignment = || opened.assignment.map(AssignmentId).ok_or(Violation::Missing);
    Ok(match opened.kind {
        kind::API_VERSION => {
            let message = decode::<proto::ApiVersion>(opened.payload)?;
            FromBackend::Hello {
                min: message.min.ok_or(Violation::Missing)?,
                max: message.max.ok_or(Violation::Missing)?,
            }
        }
        kind::INFO => FromBackend::Info(Box::new(Wire::read(decode(opened.payload)?, reader)?)),
        kind::REFUSED => FromBackend::Refused {
            text: reader.text_or_empty(decode::<proto::Refused>(opened.payload)?.text),
        },
        kind::CONNECTED => FromBackend::LoggedIn {
            assignment: assignment()?,
        },
        kind::EVENT => FromBackend::Event {
            assignment: assignment()?,
            durable: opened.number,
            event: Box::new(Wire::read(decode(opened.payload.clone())?, reader)?),
        },
        kind::OUTCOME => FromBackend::Outcome {
            assignment: assignment()?,
            request: opened.request.map(RequestId).ok_or(Violation::Missing)?,
            outcome: Box::new(Wire::read(decode(opened.payload.clone())?, reader)?),
        },
        kind::LOGGED_OUT => FromBackend::LoggedOut {
            assignment: assignment()?,
        },
        kind::PROMPT => FromBackend::Prompt {
            assignment: assignment()?,
            prompt: PromptId(opened.number.ok_or(Violation::Missing)?),
            what: Box::new(Wire::read(decode(opened.payload.clone())?, reader)?),
        },
        kind::QUERY => FromBackend::Query(reader.text_or_empty(decode::<proto::BackendConfig>(opened.payload)?.config)),
        kind::PONG => FromBackend::Pong,
        kind::STATS => {
            let message = decode::<proto::Stats>(opened.payload)?;
            FromBackend::Stats(read_stats(&message))
        }
        _ => return Err(Violation::UnknownType),
    })
}

/// KiB as numbers that are never negative.
pub(super) fn read_stats(message: &proto::Stats) -> ResourceUse {
    let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    ResourceUse {
        resident: number(message.res),
        initial: number(message.init_res),
        shared: number(message.shared),
    }
}

/// Opens a payload.
pub(super) fn decode<M: Message + Default + Counted>(payload: Bytes) -> Result<M, Violation> {
    if too_many::<M>(&payload) {
        return Err(Violation::TooManyFields);
    }
    Ok(M::decode(payload)?)
}
