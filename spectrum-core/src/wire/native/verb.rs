//! Verbs on the wire.

use super::basic::{Number, Wire, optional, text};
use super::settings::{read_secrets, write_secrets};
use crate::backend::Verb;
use crate::model::{Affiliation, Chat, ChatState, Role, Standing};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::proto::request::Verb as Message;
use crate::wire::reader::Reader;

impl Wire for Verb {
    type Message = proto::Request;

    fn write(&self) -> proto::Request {
        let id = |id: &dyn AsRef<str>| bytes::Bytes::copy_from_slice(id.as_ref().as_bytes());
        let message = match self {
            Self::SendMessage(message) => Message::SendMessage(message.write()),
            Self::Edit(edit) => Message::Edit(edit.write()),
            Self::Retract(retraction) => Message::Retract(retraction.write()),
            Self::React(reactions) => Message::React(reactions.write()),
            Self::Mark(marker) => Message::Mark(marker.write()),
            Self::SetChatState { chat, state } => Message::SetChatState(proto::ChatState {
                chat: Some(chat.write()),
                nickname: None,
                state: state.number(),
            }),
            Self::CallAttention { contact, text: says } => Message::CallAttention(proto::Attention {
                contact: text(contact),
                text: optional(says.as_ref()),
            }),
            Self::SetPresence(presence) => Message::SetPresence(presence.write()),
            Self::SetProfile(profile) => Message::SetProfile(profile.write()),
            Self::FetchProfile(of) => Message::FetchProfile(of.write()),
            Self::AddContact(contact) => Message::AddContact(contact.write()),
            Self::UpdateContact(contact) => Message::UpdateContact(contact.write()),
            Self::RemoveContact(contact) => Message::RemoveContact(id(contact)),
            Self::AnswerContactRequest { contact, accept } => Message::AnswerContactRequest(proto::ContactAnswer {
                contact: text(contact),
                yes: Some(*accept),
            }),
            Self::Block { contact, blocked } => Message::Block(proto::ContactAnswer {
                contact: text(contact),
                yes: Some(*blocked),
            }),
            Self::Search(what) => Message::Search(id(what)),
            Self::ListRooms => Message::ListRooms(proto::Nothing {}),
            Self::JoinRoom(join) => Message::JoinRoom(join.write()),
            Self::LeaveRoom(room) => Message::LeaveRoom(id(room)),
            Self::RoomInfo(room) => Message::RoomInfo(id(room)),
            Self::SetSubject { room, subject } => Message::SetSubject(proto::RoomVerb {
                room: text(room),
                text: text(subject),
                ..proto::RoomVerb::default()
            }),
            Self::ChangeNickname { room, nickname } => Message::ChangeNickname(proto::RoomVerb {
                room: text(room),
                nickname: text(nickname),
                ..proto::RoomVerb::default()
            }),
            Self::Invite { room, contact, reason } => Message::Invite(proto::RoomVerb {
                room: text(room),
                contact: text(contact),
                text: optional(reason.as_ref()),
                ..proto::RoomVerb::default()
            }),
            Self::Kick { room, nickname, reason } => Message::Kick(proto::RoomVerb {
                room: text(room),
                nickname: text(nickname),
                text: optional(reason.as_ref()),
                ..proto::RoomVerb::default()
            }),
            Self::SetStanding {
                room,
                nickname,
                standing,
                reason,
            } => {
                let (role, affiliation) = match *standing {
                    Standing::Role(role) => (role.number(), None),
                    Standing::Affiliation(affiliation) => (None, affiliation.number()),
                };
                Message::SetStanding(proto::RoomVerb {
                    room: text(room),
                    nickname: text(nickname),
                    contact: None,
                    text: optional(reason.as_ref()),
                    role,
                    affiliation,
                })
            }
            Self::RoomSettings(room) => Message::RoomSettings(id(room)),
            Self::ConfigureRoom { room, answers } => Message::ConfigureRoom(proto::RoomAnswers {
                room: text(room),
                answer: write_secrets(answers),
            }),
            Self::ListAffiliated { room, affiliation } => Message::ListAffiliated(proto::RoomVerb {
                room: text(room),
                affiliation: affiliation.number(),
                ..proto::RoomVerb::default()
            }),
            Self::SetAffiliation {
                room,
                who,
                affiliation,
                reason,
            } => Message::SetAffiliation(proto::RoomVerb {
                room: text(room),
                contact: text(who),
                text: optional(reason.as_ref()),
                affiliation: affiliation.number(),
                ..proto::RoomVerb::default()
            }),
            Self::History(page) => Message::History(page.write()),
            Self::RawXml(xml) => Message::RawXml(id(xml)),
        };
        proto::Request { verb: Some(message) }
    }

    fn read(message: proto::Request, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(match message.verb.ok_or(Violation::Malformed)? {
            Message::SendMessage(message) => Self::SendMessage(Wire::read(message, reader)?),
            Message::Edit(edit) => Self::Edit(Wire::read(edit, reader)?),
            Message::Retract(retraction) => Self::Retract(Wire::read(retraction, reader)?),
            Message::React(reactions) => Self::React(Wire::read(reactions, reader)?),
            Message::Mark(marker) => Self::Mark(Wire::read(marker, reader)?),
            Message::SetChatState(state) => Self::SetChatState {
                chat: Chat::read_required(state.chat, reader)?,
                state: ChatState::from_number(state.state),
            },
            Message::CallAttention(attention) => Self::CallAttention {
                contact: reader.id(attention.contact).ok_or(Violation::Missing)?,
                text: reader.text(attention.text),
            },
            Message::SetPresence(presence) => Self::SetPresence(Wire::read(presence, reader)?),
            Message::SetProfile(profile) => Self::SetProfile(Wire::read(profile, reader)?),
            Message::FetchProfile(of) => Self::FetchProfile(Wire::read(of, reader)?),
            Message::AddContact(contact) => Self::AddContact(Wire::read(contact, reader)?),
            Message::UpdateContact(contact) => Self::UpdateContact(Wire::read(contact, reader)?),
            Message::RemoveContact(contact) => Self::RemoveContact(reader.cow(&contact).as_ref().into()),
            Message::AnswerContactRequest(answer) => Self::AnswerContactRequest {
                contact: reader.id(answer.contact).ok_or(Violation::Missing)?,
                accept: answer.yes.ok_or(Violation::Missing)?,
            },
            Message::Block(answer) => Self::Block {
                contact: reader.id(answer.contact).ok_or(Violation::Missing)?,
                blocked: answer.yes.ok_or(Violation::Missing)?,
            },
            Message::Search(what) => Self::Search(reader.cow(&what).into_owned()),
            Message::ListRooms(proto::Nothing {}) => Self::ListRooms,
            Message::JoinRoom(join) => Self::JoinRoom(Wire::read(join, reader)?),
            Message::LeaveRoom(room) => Self::LeaveRoom(reader.cow(&room).as_ref().into()),
            Message::RoomInfo(room) => Self::RoomInfo(reader.cow(&room).as_ref().into()),
            Message::SetSubject(verb) => Self::SetSubject {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                subject: reader.text_or_empty(verb.text),
            },
            Message::ChangeNickname(verb) => Self::ChangeNickname {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                nickname: reader.id(verb.nickname).ok_or(Violation::Missing)?,
            },
            Message::Invite(verb) => Self::Invite {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                contact: reader.id(verb.contact).ok_or(Violation::Missing)?,
                reason: reader.text(verb.text),
            },
            Message::Kick(verb) => Self::Kick {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                nickname: reader.id(verb.nickname).ok_or(Violation::Missing)?,
                reason: reader.text(verb.text),
            },
            Message::SetStanding(verb) => Self::SetStanding {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                nickname: reader.id(verb.nickname).ok_or(Violation::Missing)?,
                standing: match (verb.role, verb.affiliation) {
                    (role @ Some(_), None) => Standing::Role(Role::from_number(role)),
                    (None, affiliation @ Some(_)) => Standing::Affiliation(Affiliation::from_number(affiliation)),
                    (None, None) | (Some(_), Some(_)) => return Err(Violation::Missing),
                },
                reason: reader.text(verb.text),
            },
            Message::RoomSettings(room) => Self::RoomSettings(reader.cow(&room).as_ref().into()),
            Message::ConfigureRoom(answers) => Self::ConfigureRoom {
                room: reader.id(answers.room).ok_or(Violation::Missing)?,
                answers: read_secrets(answers.answer, reader),
            },
            Message::ListAffiliated(verb) => Self::ListAffiliated {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                affiliation: Affiliation::from_number(verb.affiliation),
            },
            Message::SetAffiliation(verb) => Self::SetAffiliation {
                room: reader.id(verb.room).ok_or(Violation::Missing)?,
                who: reader.id(verb.contact).ok_or(Violation::Missing)?,
                affiliation: Affiliation::from_number(Some(verb.affiliation.ok_or(Violation::Missing)?)),
                reason: reader.text(verb.text),
            },
            Message::History(page) => Self::History(Wire::read(page, reader)?),
            Message::RawXml(xml) => Self::RawXml(reader.cow(&xml).into_owned()),
        })
    }
}
