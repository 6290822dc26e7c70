//! From the core to the wire: which frame says what, and what cannot be said.

use bytes::Bytes;
use prost::Message;

use super::login::not_connected;
use super::pings::Confirmed;
use super::room::Room;
use super::words::{details, offline_buddy, outgoing, peer, status};
use super::{MAX_PROFILES, ProfileQuestion, Spectrum2Codec, timed_out};
use crate::backend::{Answer, Event, OpError, OpErrorKind, Outcome, Retry, Verb};
use crate::model::{AssignmentId, Chat, ChatState, JoinRoom, Patch, Presence, ProfileUpdate, RequestId, RoomId, UserKey};
use crate::wire::frames::{self, FrameError, Head};
use crate::wire::native::{optional, text};
use crate::wire::{FromBackend, ToBackend, kind, proto};

/// Frames that may wait for a user's logout to be confirmed. Beyond it requests are refused.
const MAX_HELD: usize = 1024;

/// How a request goes on once its frame is written.
enum Then {
    /// A PONG confirms it.
    Message,
    /// A PONG confirms it.
    Request,
    /// An event answers it.
    Later,
    /// It is answered already.
    Now(Outcome),
}

impl Spectrum2Codec {
    pub(super) fn write(&mut self, frame: &ToBackend) {
        match frame {
            ToBackend::Login(login) => self.write_login(login),
            ToBackend::Request {
                assignment,
                request,
                verb,
            } => self.write_request(*assignment, *request, verb),
            ToBackend::Logout { assignment } => self.write_logout(*assignment),
            ToBackend::QueryAnswer(answer) => {
                let message = proto::BackendConfig { config: text(answer) };
                if self.put(kind::QUERY, &message).is_err() {
                    self.counters.dropped += 1;
                }
            }
            ToBackend::Ping => self.put_ping(),
            ToBackend::Exit => {
                let _ = frames::put_bare(&mut self.output, Head::of(kind::EXIT), self.max);
            }
            // This wire has no words for these: no versions, no credit, no durable events, no prompts.
            ToBackend::Version { .. }
            | ToBackend::Credit { .. }
            | ToBackend::Committed { .. }
            | ToBackend::PromptAnswer { .. } => {}
        }
    }

    pub(super) fn put_ping(&mut self) {
        if frames::put_bare(&mut self.output, Head::of(kind::PING), self.max).is_ok() {
            self.pings.ping();
        }
    }

    pub(super) fn put(&mut self, kind: i32, message: &impl Message) -> Result<(), FrameError> {
        frames::put_message(&mut self.output, Head::of(kind), message, self.max)
    }

    pub(super) fn put_leave(&mut self, user: &UserKey, room: &RoomId) {
        let message = proto::Room {
            user_name: text(user),
            nickname: Some(Bytes::new()),
            room: text(room),
            password: Some(Bytes::new()),
        };
        if self.put(kind::LEAVE_ROOM, &message).is_err() {
            self.counters.dropped += 1;
        }
    }

    fn write_request(&mut self, assignment: AssignmentId, request: RequestId, verb: &Verb) {
        let Some(key) = self.users.key(assignment) else {
            return self.answer(assignment, request, Err(not_connected()));
        };
        let Some(user) = self.users.get_mut(&key) else {
            return self.answer(assignment, request, Err(not_connected()));
        };
        if user.assignment != assignment {
            if let Some(next) = user.next.as_mut().filter(|next| next.held.len() < MAX_HELD) {
                next.held.push(ToBackend::Request {
                    assignment,
                    request,
                    verb: Box::new(verb.clone()),
                });
            } else {
                let error = OpError::new(OpErrorKind::RateLimited, "Too much waits for your login.").retry(Retry::WhenConnected);
                self.answer(assignment, request, Err(error));
            }
            return;
        }
        if !user.accepts_events() {
            return self.answer(assignment, request, Err(not_connected()));
        }
        match self.write_verb(&key, assignment, request, verb) {
            Ok(Then::Message) => self.pings.wait(Confirmed::Sent { assignment, request }),
            Ok(Then::Request) => self.pings.wait(Confirmed::Done { assignment, request }),
            Ok(Then::Later) => {}
            Ok(Then::Now(outcome)) => self.answer(assignment, request, outcome),
            Err(FrameError::TooLong { .. }) => {
                self.answer(
                    assignment,
                    request,
                    Err(OpError::new(OpErrorKind::TooLong, "This is too long.")),
                );
            }
        }
    }

    fn write_verb(
        &mut self,
        user: &UserKey,
        assignment: AssignmentId,
        request: RequestId,
        verb: &Verb,
    ) -> Result<Then, FrameError> {
        let unsupported = || Ok(Then::Now(Err(OpError::unsupported())));
        match verb {
            Verb::SendMessage(message) => {
                self.put(kind::CONV_MESSAGE, &outgoing(user, message))?;
                return Ok(Then::Message);
            }
            Verb::SetChatState { chat, state } => return self.write_chat_state(user, chat, *state),
            Verb::CallAttention { contact, text: says } => {
                let message = proto::ConversationMessage {
                    user_name: text(user),
                    buddy_name: text(contact),
                    message: text(says.as_deref().unwrap_or_default()),
                    ..proto::ConversationMessage::default()
                };
                self.put(kind::ATTENTION, &message)?;
            }
            Verb::SetPresence(presence) => {
                // Offline is what a logout says.
                if !presence.availability.is_online() {
                    return Ok(Then::Now(Ok(Answer::Done)));
                }
                self.put_presence(user, presence)?;
            }
            Verb::SetProfile(update) => return self.write_own_profile(user, update),
            Verb::FetchProfile(of) => return self.ask_profile(user, assignment, request, of),
            Verb::AddContact(contact) | Verb::UpdateContact(contact) => self.put(kind::BUDDY_CHANGED, &details(user, contact))?,
            Verb::RemoveContact(contact) => self.put(kind::BUDDY_REMOVED, &offline_buddy(user, contact.as_str()))?,
            Verb::AnswerContactRequest { contact, accept } => {
                let kind = if *accept { kind::BUDDY_CHANGED } else { kind::BUDDY_REMOVED };
                self.put(kind, &offline_buddy(user, contact.as_str()))?;
            }
            Verb::Block { contact, blocked } => {
                let buddy = proto::Buddy {
                    blocked: Some(*blocked),
                    ..offline_buddy(user, contact.as_str())
                };
                self.put(kind::BUDDY_CHANGED, &buddy)?;
            }
            Verb::ListRooms if self.rooms.is_empty() => return unsupported(),
            Verb::ListRooms => return Ok(Then::Now(Ok(Answer::Rooms(self.rooms.clone())))),
            Verb::JoinRoom(join) => return self.write_join(user, assignment, request, join),
            Verb::LeaveRoom(room) => {
                self.put_leave(user, room);
                let left = self.users.get_mut(user).and_then(|user| user.leave(room));
                if let Some(join) = left.and_then(|room| room.join) {
                    self.answer(
                        assignment,
                        join.request,
                        Err(OpError::new(OpErrorKind::Invalid, "The room was left meanwhile.")),
                    );
                }
            }
            Verb::SetSubject { room, subject } => {
                let message = proto::ConversationMessage {
                    user_name: text(user),
                    buddy_name: text(room),
                    message: text(subject),
                    ..proto::ConversationMessage::default()
                };
                self.put(kind::ROOM_SUBJECT_CHANGED, &message)?;
            }
            Verb::RawXml(xml) if self.said.raw_xml == Some(true) => {
                frames::put_raw(&mut self.output, Head::of(kind::RAW_XML), xml.as_bytes(), self.max)?;
            }
            Verb::RawXml(_)
            | Verb::Edit(_)
            | Verb::Retract(_)
            | Verb::React(_)
            | Verb::Mark(_)
            | Verb::Search(_)
            | Verb::RoomInfo(_)
            | Verb::ChangeNickname { .. }
            | Verb::Invite { .. }
            | Verb::Kick { .. }
            | Verb::SetStanding { .. }
            | Verb::RoomSettings(_)
            | Verb::ConfigureRoom { .. }
            | Verb::ListAffiliated { .. }
            | Verb::SetAffiliation { .. }
            | Verb::History(_) => return unsupported(),
        }
        Ok(Then::Request)
    }

    fn write_chat_state(&mut self, user: &UserKey, chat: &Chat, state: ChatState) -> Result<Then, FrameError> {
        let Some(buddy_name) = peer(chat) else {
            return Ok(Then::Now(Err(OpError::unsupported())));
        };
        let kind = match state {
            ChatState::Composing => kind::BUDDY_TYPING,
            ChatState::Paused => kind::BUDDY_TYPED,
            ChatState::Active => kind::BUDDY_STOPPED_TYPING,
        };
        let buddy = proto::Buddy {
            user_name: text(user),
            buddy_name: Some(buddy_name),
            ..proto::Buddy::default()
        };
        self.put(kind, &buddy)?;
        // Not worth a PING: what is lost of it nobody misses.
        Ok(Then::Now(Ok(Answer::Done)))
    }

    pub(super) fn put_presence(&mut self, user: &UserKey, presence: &Presence) -> Result<(), FrameError> {
        let message = proto::Status {
            user_name: text(user),
            status: Some(status(presence.availability)),
            status_message: optional(presence.text.as_ref()),
        };
        self.put(kind::STATUS_CHANGED, &message)
    }

    fn write_own_profile(&mut self, user: &UserKey, update: &ProfileUpdate) -> Result<Then, FrameError> {
        // A VCARD without a picture is a question, so nothing can be changed without one.
        let photo = match &update.avatar {
            Patch::Keep => return Ok(Then::Now(Err(OpError::unsupported()))),
            Patch::Clear => Bytes::new(),
            Patch::Set(avatar) => avatar.data.clone(),
        };
        let message = proto::VCard {
            user_name: text(user),
            buddy_name: Some(Bytes::new()),
            id: Some(0),
            fullname: update.full_name.as_set().and_then(text),
            nickname: update.nickname.as_set().and_then(text),
            photo: Some(photo),
        };
        self.put(kind::VCARD, &message)?;
        Ok(Then::Request)
    }

    fn ask_profile(
        &mut self,
        user: &UserKey,
        assignment: AssignmentId,
        request: RequestId,
        of: &Chat,
    ) -> Result<Then, FrameError> {
        let Some(buddy_name) = peer(of) else {
            return Ok(Then::Now(Err(OpError::unsupported())));
        };
        // From 1 on: 0 is the user's own.
        let id = self.last_profile.checked_add(1).unwrap_or(1);
        let message = proto::VCard {
            user_name: text(user),
            buddy_name: Some(buddy_name),
            id: Some(id),
            ..proto::VCard::default()
        };
        self.put(kind::VCARD, &message)?;
        self.last_profile = id;
        if self.profiles.len() >= MAX_PROFILES
            && let Some((_, oldest)) = self.profiles.pop_first()
        {
            self.answer(oldest.assignment, oldest.request, Err(timed_out()));
        }
        let question = ProfileQuestion {
            user: user.clone(),
            assignment,
            request,
            since: self.ticks,
        };
        if let Some(older) = self.profiles.insert(id, question) {
            self.answer(older.assignment, older.request, Err(timed_out()));
        }
        Ok(Then::Later)
    }

    fn write_join(
        &mut self,
        user: &UserKey,
        assignment: AssignmentId,
        request: RequestId,
        join: &JoinRoom,
    ) -> Result<Then, FrameError> {
        let message = proto::Room {
            user_name: text(user),
            nickname: text(&join.nickname),
            room: text(&join.room),
            password: Some(join.password.as_ref().and_then(|p| text(p.expose())).unwrap_or_default()),
        };
        self.put(kind::JOIN_ROOM, &message)?;
        let room = Room::joining(join.nickname.clone(), request, self.ticks);
        let before = self.users.get_mut(user).and_then(|user| user.enter(&join.room, room));
        if let Some(earlier) = before.and_then(|room| room.join) {
            self.answer(
                assignment,
                earlier.request,
                Err(OpError::new(OpErrorKind::Invalid, "The room was joined again meanwhile.")),
            );
        }
        Ok(Then::Later)
    }

    pub(super) fn event(&mut self, assignment: AssignmentId, event: Event) {
        self.ready.push_back(FromBackend::Event {
            assignment,
            durable: None,
            event: Box::new(event),
        });
    }
}
