//! The pieces that everything else is made of: texts, numbers of enumerations, patches, chats, presence.

use bytes::Bytes;

use crate::model::{Affiliation, Availability, Chat, ChatState, MarkerKind, Patch, Presence, Role, Subscription, Timestamp};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::reader::Reader;

/// A value and its message.
pub(in crate::wire) trait Wire: Sized {
    type Message;

    fn write(&self) -> Self::Message;

    fn read(message: Self::Message, reader: &mut Reader<'_>) -> Result<Self, Violation>;

    /// Reads a message that has to be there.
    fn read_required(message: Option<Self::Message>, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Self::read(message.ok_or(Violation::Missing)?, reader)
    }
}

/// Writes many.
pub(super) fn write_all<T: Wire>(values: &[T]) -> Vec<T::Message> {
    values.iter().map(Wire::write).collect()
}

/// Reads many; what cannot be read is counted and left out, the rest stays.
pub(in crate::wire) fn read_all<T: Wire>(messages: Vec<T::Message>, reader: &mut Reader<'_>) -> Vec<T> {
    let mut values = Vec::with_capacity(messages.len());
    for message in messages {
        match T::read(message, reader) {
            Ok(value) => values.push(value),
            Err(violation) => reader.counters.violation(violation),
        }
    }
    values
}

/// A text for the wire.
pub(in crate::wire) fn text(text: impl AsRef<str>) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_ref().as_bytes()))
}

/// A text for the wire that may be absent.
pub(in crate::wire) fn optional(value: Option<&impl AsRef<str>>) -> Option<Bytes> {
    value.and_then(text)
}

pub(super) fn texts(values: &[String]) -> Vec<Bytes> {
    values.iter().filter_map(text).collect()
}

pub(super) fn read_texts(values: Vec<Bytes>, reader: &mut Reader<'_>) -> Vec<String> {
    values.into_iter().map(|v| reader.cow(&v).into_owned()).collect()
}

/// An enumeration as a number that never changes.
pub(super) trait Number: Sized {
    fn number(self) -> Option<u32>;

    /// The value with this number; an absent or unknown one is the most harmless value.
    fn from_number(number: Option<u32>) -> Self;
}

macro_rules! numbers {
    ($($ty:ident or $default:ident { $($variant:ident = $number:literal),* $(,)? })*) => {$(
        impl Number for $ty {
            fn number(self) -> Option<u32> {
                Some(match self { $(Self::$variant => $number,)* })
            }

            fn from_number(number: Option<u32>) -> Self {
                match number {
                    $(Some($number) => Self::$variant,)*
                    _ => Self::$default,
                }
            }
        }
    )*};
}
pub(super) use numbers;

numbers! {
    Availability or Online { Online = 0, Chat = 1, Away = 2, ExtendedAway = 3, DoNotDisturb = 4, Invisible = 5, Offline = 6 }
    Subscription or Both { Both = 0, Ask = 1 }
    ChatState or Active { Active = 0, Composing = 1, Paused = 2 }
    MarkerKind or Delivered { Delivered = 0, Displayed = 1 }
    Role or Participant { Participant = 0, Moderator = 1, Visitor = 2 }
    Affiliation or None { None = 0, Owner = 1, Admin = 2, Member = 3, Outcast = 4 }
}

pub(super) fn read_time(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// A patch as a message around an optional value: `wrap` makes the message.
pub(super) fn write_patch<T, M>(patch: &Patch<T>, wrap: impl FnOnce(Option<&T>) -> M) -> Option<M> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(wrap(None)),
        Patch::Set(value) => Some(wrap(Some(value))),
    }
}

/// The reverse: `message` holds what is set, if anything is.
pub(super) fn read_patch<T>(message: Option<Option<T>>) -> Patch<T> {
    match message {
        None => Patch::Keep,
        Some(None) => Patch::Clear,
        Some(Some(value)) => Patch::Set(value),
    }
}

pub(super) fn write_text_patch(patch: &Patch<impl AsRef<str>>) -> Option<proto::TextPatch> {
    write_patch(patch, |set| proto::TextPatch { set: set.and_then(text) })
}

pub(super) fn read_text_patch(message: Option<proto::TextPatch>, reader: &mut Reader<'_>) -> Patch<String> {
    read_patch(message.map(|m| reader.text(m.set)))
}

impl Wire for Chat {
    type Message = proto::Chat;

    fn write(&self) -> proto::Chat {
        match self {
            Self::Contact(id) => proto::Chat {
                contact: text(id),
                room: None,
                nickname: None,
            },
            Self::Room(room) => proto::Chat {
                contact: None,
                room: text(room),
                nickname: None,
            },
            Self::Occupant { room, nickname } => proto::Chat {
                contact: None,
                room: text(room),
                nickname: text(nickname),
            },
        }
    }

    fn read(message: proto::Chat, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        if let Some(contact) = reader.id(message.contact) {
            return Ok(Self::Contact(contact));
        }
        let room = reader.id(message.room).ok_or(Violation::Missing)?;
        Ok(match reader.id(message.nickname) {
            Some(nickname) => Self::Occupant { room, nickname },
            None => Self::Room(room),
        })
    }
}

impl Wire for Presence {
    type Message = proto::Presence;

    fn write(&self) -> proto::Presence {
        proto::Presence {
            availability: self.availability.number(),
            text: optional(self.text.as_ref()),
            idle_since: self.idle_since.map(Timestamp::as_millis),
        }
    }

    fn read(message: proto::Presence, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            availability: Availability::from_number(message.availability),
            text: reader.text(message.text),
            idle_since: read_time(message.idle_since),
        })
    }
}
