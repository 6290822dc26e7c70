//! Events on the wire.

use bytes::Bytes;

use super::basic::{Number, Wire, optional, read_all, text, write_all};
use crate::backend::Event;
use crate::model::{Chat, ChatState, Profile};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::proto::event::What as Message;
use crate::wire::reader::Reader;

impl Wire for Event {
    type Message = proto::Event;

    fn write(&self) -> proto::Event {
        let raw = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let message = match self {
            Self::Contact(update) => Message::Contact(update.write()),
            Self::ContactRemoved(contact) => Message::ContactRemoved(raw(contact.as_str())),
            Self::ContactsComplete => Message::ContactsComplete(proto::Nothing {}),
            Self::ContactRequested(request) => Message::ContactRequested(request.write()),
            Self::Message(message) => Message::Message(message.write()),
            Self::Edited(edit) => Message::Edited(edit.write()),
            Self::Retracted(retraction) => Message::Retracted(retraction.write()),
            Self::Reacted(reactions) => Message::Reacted(reactions.write()),
            Self::Marked(marker) => Message::Marked(marker.write()),
            Self::Delivered { chat, id } => Message::Delivered(proto::Delivered {
                chat: Some(chat.write()),
                id: text(id),
            }),
            Self::ChatState { chat, nickname, state } => Message::ChatState(proto::ChatState {
                chat: Some(chat.write()),
                nickname: optional(nickname.as_ref()),
                state: state.number(),
            }),
            Self::Attention { contact, text: says } => Message::Attention(proto::Attention {
                contact: text(contact),
                text: optional(says.as_ref()),
            }),
            Self::Notice(notice) => Message::Notice(raw(notice)),
            Self::RoomList(rooms) => Message::RoomList(proto::Rooms { room: write_all(rooms) }),
            Self::OwnRooms(rooms) => Message::OwnRooms(rooms.write()),
            Self::Occupant(occupant) => Message::Occupant(occupant.write()),
            Self::OccupantGone(gone) => Message::OccupantGone(gone.write()),
            Self::OccupantRenamed(renamed) => Message::OccupantRenamed(renamed.write()),
            Self::RoomSubject(subject) => Message::RoomSubject(subject.write()),
            Self::RoomClosed(closed) => Message::RoomClosed(closed.write()),
            Self::Invited(invitation) => Message::Invited(invitation.write()),
            Self::Profile { of, profile } => Message::Profile(proto::ProfileOf {
                of: Some(of.write()),
                profile: Some(profile.write()),
            }),
            Self::RawXml(xml) => Message::RawXml(raw(xml)),
            Self::Closed(error) => Message::Closed(error.write()),
        };
        proto::Event { what: Some(message) }
    }

    fn read(message: proto::Event, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(match message.what.ok_or(Violation::Malformed)? {
            Message::Contact(update) => Self::Contact(Wire::read(update, reader)?),
            Message::ContactRemoved(contact) => Self::ContactRemoved(reader.cow(&contact).as_ref().into()),
            Message::ContactsComplete(proto::Nothing {}) => Self::ContactsComplete,
            Message::ContactRequested(request) => Self::ContactRequested(Wire::read(request, reader)?),
            Message::Message(message) => Self::Message(Wire::read(message, reader)?),
            Message::Edited(edit) => Self::Edited(Wire::read(edit, reader)?),
            Message::Retracted(retraction) => Self::Retracted(Wire::read(retraction, reader)?),
            Message::Reacted(reactions) => Self::Reacted(Wire::read(reactions, reader)?),
            Message::Marked(marker) => Self::Marked(Wire::read(marker, reader)?),
            Message::Delivered(delivered) => Self::Delivered {
                chat: Chat::read_required(delivered.chat, reader)?,
                id: reader.id(delivered.id).ok_or(Violation::Missing)?,
            },
            Message::ChatState(state) => Self::ChatState {
                chat: Chat::read_required(state.chat, reader)?,
                nickname: reader.id(state.nickname),
                state: ChatState::from_number(state.state),
            },
            Message::Attention(attention) => Self::Attention {
                contact: reader.id(attention.contact).ok_or(Violation::Missing)?,
                text: reader.text(attention.text),
            },
            Message::Notice(notice) => Self::Notice(reader.cow(&notice).into_owned()),
            Message::RoomList(rooms) => Self::RoomList(read_all(rooms.room, reader)),
            Message::OwnRooms(rooms) => Self::OwnRooms(Wire::read(rooms, reader)?),
            Message::Occupant(occupant) => Self::Occupant(Wire::read(occupant, reader)?),
            Message::OccupantGone(gone) => Self::OccupantGone(Wire::read(gone, reader)?),
            Message::OccupantRenamed(renamed) => Self::OccupantRenamed(Wire::read(renamed, reader)?),
            Message::RoomSubject(subject) => Self::RoomSubject(Wire::read(subject, reader)?),
            Message::RoomClosed(closed) => Self::RoomClosed(Wire::read(closed, reader)?),
            Message::Invited(invitation) => Self::Invited(Wire::read(invitation, reader)?),
            Message::Profile(profile) => Self::Profile {
                of: Chat::read_required(profile.of, reader)?,
                profile: Profile::read_required(profile.profile, reader)?,
            },
            Message::RawXml(xml) => Self::RawXml(reader.cow(&xml).into_owned()),
            Message::Closed(error) => Self::Closed(Wire::read(error, reader)?),
        })
    }
}
