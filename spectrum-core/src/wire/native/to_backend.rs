//! Frames of the core: to bytes in the main process, from bytes in a backend.

use bytes::BytesMut;

use super::basic::{Wire, text};
use super::{decode, settings};
use crate::model::{AssignmentId, PromptId, RequestId};
use crate::wire::counters::Violation;
use crate::wire::frames::{self, FrameError, Head, Opened};
use crate::wire::reader::Reader;
use crate::wire::{ToBackend, kind, proto};

pub(super) fn put(frame: &ToBackend, dst: &mut BytesMut, max: usize) -> Result<(), FrameError> {
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

pub(super) fn read(opened: Opened, reader: &mut Reader<'_>) -> Result<ToBackend, Violation> {
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
