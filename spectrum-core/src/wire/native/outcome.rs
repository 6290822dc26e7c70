//! How verbs and sessions end, on the wire.

use std::time::Duration;

use super::basic::{Number, Wire, numbers, read_all, text, write_all};
use crate::backend::{Answer, Certainty, LoginError, LoginErrorKind, OpError, OpErrorKind, Outcome, Retry};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::proto::outcome::Result as Message;
use crate::wire::reader::Reader;

numbers! {
    OpErrorKind or Internal {
        Unsupported = 1, NotConnected = 2, NotFound = 3, NotAllowed = 4, NotAuthorized = 5, Conflict = 6, Banned = 7,
        MembersOnly = 8, Full = 9, TooLong = 10, RateLimited = 11, Timeout = 12, Invalid = 13, Network = 14, Internal = 15,
    }
    LoginErrorKind or Other {
        Network = 1, InvalidName = 2, AuthenticationFailed = 3, NoMechanism = 4, Encryption = 5, Certificate = 6, NameInUse = 7,
        Settings = 8, Banned = 9, Cancelled = 10, Other = 11,
    }
}

/// Absent is never.
fn write_retry(retry: Retry) -> Option<proto::Retry> {
    match retry {
        Retry::Never => None,
        Retry::After(time) => Some(proto::Retry {
            after_millis: Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        }),
        Retry::WhenConnected => Some(proto::Retry { after_millis: None }),
    }
}

fn read_retry(message: Option<proto::Retry>) -> Retry {
    match message {
        None => Retry::Never,
        Some(proto::Retry { after_millis: None }) => Retry::WhenConnected,
        Some(proto::Retry {
            after_millis: Some(millis),
        }) => Retry::After(Duration::from_millis(millis)),
    }
}

impl Wire for OpError {
    type Message = proto::OpError;

    fn write(&self) -> proto::OpError {
        proto::OpError {
            kind: self.kind.number(),
            maybe_sent: Some(self.certainty == Certainty::MaybeSent),
            retry: write_retry(self.retry),
            text: text(&self.text),
        }
    }

    fn read(message: proto::OpError, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            kind: OpErrorKind::from_number(message.kind),
            // Only a clear "no" is one.
            certainty: if message.maybe_sent == Some(false) {
                Certainty::NotSent
            } else {
                Certainty::MaybeSent
            },
            retry: read_retry(message.retry),
            text: reader.text_or_empty(message.text),
        })
    }
}

impl Wire for LoginError {
    type Message = proto::LoginError;

    fn write(&self) -> proto::LoginError {
        proto::LoginError {
            kind: self.kind.number(),
            retry: write_retry(self.retry),
            text: text(&self.text),
        }
    }

    fn read(message: proto::LoginError, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            kind: LoginErrorKind::from_number(message.kind),
            retry: read_retry(message.retry),
            text: reader.text_or_empty(message.text),
        })
    }
}

impl Wire for Outcome {
    type Message = proto::Outcome;

    fn write(&self) -> proto::Outcome {
        let message = match self {
            Ok(Answer::Done) => Message::Done(proto::Nothing {}),
            Ok(Answer::Sent(sent)) => Message::Sent(sent.write()),
            Ok(Answer::Joined(joined)) => Message::Joined(joined.write()),
            Ok(Answer::Profile(profile)) => Message::Profile(profile.write()),
            Ok(Answer::Contacts(contacts)) => Message::Contacts(proto::ContactList {
                contact: write_all(contacts),
            }),
            Ok(Answer::Rooms(rooms)) => Message::Rooms(proto::Rooms { room: write_all(rooms) }),
            Ok(Answer::RoomInfo(info)) => Message::RoomInfo(info.write()),
            Ok(Answer::History(page)) => Message::History(page.write()),
            Ok(Answer::Form(form)) => Message::Form(form.write()),
            Ok(Answer::Affiliated(list)) => Message::Affiliated(proto::AffiliatedList {
                affiliated: write_all(list),
            }),
            Err(error) => Message::Error(error.write()),
        };
        proto::Outcome { result: Some(message) }
    }

    fn read(message: proto::Outcome, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Ok(match message.result {
            Some(Message::Done(proto::Nothing {})) => Answer::Done,
            Some(Message::Sent(sent)) => Answer::Sent(Wire::read(sent, reader)?),
            Some(Message::Joined(joined)) => Answer::Joined(Wire::read(joined, reader)?),
            Some(Message::Profile(profile)) => Answer::Profile(Wire::read(profile, reader)?),
            Some(Message::Contacts(contacts)) => Answer::Contacts(read_all(contacts.contact, reader)),
            Some(Message::Rooms(rooms)) => Answer::Rooms(read_all(rooms.room, reader)),
            Some(Message::RoomInfo(info)) => Answer::RoomInfo(Wire::read(info, reader)?),
            Some(Message::History(page)) => Answer::History(Wire::read(page, reader)?),
            Some(Message::Form(form)) => Answer::Form(Wire::read(form, reader)?),
            Some(Message::Affiliated(list)) => Answer::Affiliated(read_all(list.affiliated, reader)),
            Some(Message::Error(error)) => return Ok(Err(OpError::read(error, reader)?)),
            None => return Err(Violation::Malformed),
        }))
    }
}
