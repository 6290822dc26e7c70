//! Frames of a backend: to bytes there, from bytes in the main process.

use bytes::BytesMut;

use super::basic::{Wire, text};
use super::decode;
use crate::model::{AssignmentId, PromptId, RequestId};
use crate::wire::counters::Violation;
use crate::wire::frames::{self, FrameError, Head, Opened};
use crate::wire::reader::Reader;
use crate::wire::{FromBackend, ResourceUse, kind, proto};

pub(super) fn put(frame: &FromBackend, dst: &mut BytesMut, max: usize) -> Result<(), FrameError> {
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

pub(super) fn read(opened: Opened, reader: &mut Reader<'_>) -> Result<FromBackend, Violation> {
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
pub(in crate::wire) fn read_stats(message: &proto::Stats) -> ResourceUse {
    let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    ResourceUse {
        resident: number(message.res),
        initial: number(message.init_res),
        shared: number(message.shared),
    }
}
