//! From the core to the wire: which frame says what, and what cannot be said.

use bytes::Bytes;
use prost::Message;

use super::pings::Confirmed;
use super::room::Room;
use super::users::{Next, Phase, User};
use super::{MAX_PROFILES, ProfileQuestion, Spectrum2Codec, decode, timed_out};
use crate::backend::{Answer, Event, LoginError, LoginErrorKind, OpError, OpErrorKind, Outcome, Retry, Verb};
use crate::model::{
    AssignmentId, Availability, Chat, ChatState, ContactDetails, ContactUpdate, JoinRoom, Nickname, OutgoingMessage, Patch,
    Presence, ProfileUpdate, RequestId, RoomId, UserKey,
};
use crate::wire::frames::{self, FrameError, Head};
use crate::wire::native::{optional, text, write_settings};
use crate::wire::{FromBackend, LoginRequest, ToBackend, kind, proto};

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

    fn put(&mut self, kind: i32, message: &impl Message) -> Result<(), FrameError> {
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

    fn write_login(&mut self, login: &LoginRequest) {
        if let Some(user) = self.users.get(&login.user) {
            // The core has let go of the earlier assignment; it is logged out first if that was not said.
            let current = user.assignment;
            if user.phase != Phase::Leaving {
                self.write_logout(current);
            }
            self.hold_login(login);
            return;
        }
        self.start_login(login);
    }

    fn hold_login(&mut self, login: &LoginRequest) {
        self.drop_held(&login.user);
        if let Some(user) = self.users.get_mut(&login.user) {
            user.next = Some(Next {
                assignment: login.assignment,
                held: vec![ToBackend::Login(Box::new(login.clone()))],
            });
            self.users.reserve(login.user.clone(), login.assignment);
        }
    }

    /// Takes back a login that has not been written.
    fn drop_held(&mut self, user: &UserKey) {
        let Some(next) = self.users.get_mut(user).and_then(|user| user.next.take()) else {
            return;
        };
        self.users.forget(next.assignment);
        for frame in next.held {
            if let ToBackend::Request { assignment, request, .. } = frame {
                self.answer(assignment, request, Err(not_connected()));
            }
        }
        self.ready.push_back(FromBackend::LoggedOut {
            assignment: next.assignment,
        });
    }

    fn start_login(&mut self, login: &LoginRequest) {
        let message = proto::Login {
            user: text(&login.user),
            legacy_name: text(&login.name),
            password: Some(login.password.as_ref().and_then(|p| text(p.expose())).unwrap_or_default()),
            settings: Some(write_settings(&login.settings)),
            presence: None,
            contacts: Vec::new(),
        };
        if self.put(kind::LOGIN, &message).is_err() {
            let error = LoginError::new(LoginErrorKind::Settings, "Your settings are too long to be sent.");
            self.event(login.assignment, Event::Closed(error));
            self.counters.dropped += 1;
            return;
        }
        self.users
            .insert(login.user.clone(), User::new(login.assignment, login.name.clone()));
        if self.said.contacts_at_login == Some(true) && !login.contacts.is_empty() {
            let buddies = proto::Buddies {
                buddy: login.contacts.iter().map(|c| stored_contact(&login.user, c)).collect(),
            };
            if self.put(kind::BUDDIES, &buddies).is_err() {
                self.counters.dropped += 1;
            }
        }
        if login.presence.availability.is_online() && self.put_presence(&login.user, &login.presence).is_err() {
            self.counters.dropped += 1;
        }
    }

    fn write_logout(&mut self, assignment: AssignmentId) {
        let Some(key) = self.users.key(assignment) else {
            self.ready.push_back(FromBackend::LoggedOut { assignment });
            return;
        };
        let Some(user) = self.users.get_mut(&key) else {
            // A login that could not be written when its turn came.
            self.users.forget(assignment);
            self.ready.push_back(FromBackend::LoggedOut { assignment });
            return;
        };
        if user.assignment != assignment {
            self.drop_held(&key);
            return;
        }
        if user.phase == Phase::Leaving {
            return;
        }
        user.phase = Phase::Leaving;
        let joins = user.take_joins();
        let message = proto::Logout {
            user: text(&key),
            legacy_name: text(&user.name),
        };
        for request in joins {
            self.answer(assignment, request, Err(not_connected()));
        }
        // As long as the LOGIN was, so it fits.
        let _ = self.put(kind::LOGOUT, &message);
        self.pings.wait(Confirmed::LoggedOut { assignment });
    }

    /// A logout is confirmed: the assignment is no more, and the next one may begin.
    pub(super) fn logged_out(&mut self, assignment: AssignmentId) {
        let Some(key) = self.users.key(assignment) else { return };
        let Some(user) = self.users.remove(&key) else { return };
        self.ready.push_back(FromBackend::LoggedOut { assignment });
        if let Some(next) = user.next {
            for frame in &next.held {
                self.write(frame);
            }
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

    fn put_presence(&mut self, user: &UserKey, presence: &Presence) -> Result<(), FrameError> {
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

fn not_connected() -> OpError {
    OpError::not_connected("You are not connected to the network.")
}

/// How this wire names the other side of a chat; `None` for a room.
fn peer(chat: &Chat) -> Option<Bytes> {
    match chat {
        Chat::Contact(contact) => text(contact),
        Chat::Occupant { room, nickname } => Some(occupant(room, nickname)),
        Chat::Room(_) => None,
    }
}

fn occupant(room: &RoomId, nickname: &Nickname) -> Bytes {
    Bytes::from(format!("{room}/{nickname}"))
}

fn outgoing(user: &UserKey, message: &OutgoingMessage) -> proto::ConversationMessage {
    let buddy_name = match &message.chat {
        Chat::Contact(contact) => text(contact),
        Chat::Room(room) => text(room),
        Chat::Occupant { room, nickname } => Some(occupant(room, nickname)),
    };
    // Attachments only come from a backend here, so a file goes as its address.
    let mut body = std::borrow::Cow::Borrowed(message.body.as_str());
    for attachment in &message.attachments {
        if !body.contains(&attachment.url) {
            let body = body.to_mut();
            if !body.is_empty() {
                body.push('\n');
            }
            body.push_str(&attachment.url);
        }
    }
    proto::ConversationMessage {
        user_name: text(user),
        buddy_name,
        message: text(&body),
        xhtml: optional(message.xhtml.as_ref()),
        id: message.wants_receipt.then(|| text(&message.id)).flatten(),
        ..proto::ConversationMessage::default()
    }
}

/// A contact as the core names one: always with the status of somebody who is not there.
fn offline_buddy(user: &UserKey, contact: &str) -> proto::Buddy {
    proto::Buddy {
        user_name: text(user),
        buddy_name: text(contact),
        status: Some(decode::STATUS_NONE),
        ..proto::Buddy::default()
    }
}

fn details(user: &UserKey, contact: &ContactDetails) -> proto::Buddy {
    proto::Buddy {
        alias: optional(contact.alias.as_ref()),
        group: contact.groups.iter().filter_map(text).collect(),
        ..offline_buddy(user, contact.id.as_str())
    }
}

fn stored_contact(user: &UserKey, contact: &ContactUpdate) -> proto::Buddy {
    proto::Buddy {
        alias: contact.alias.as_set().and_then(text),
        group: contact.groups.as_set().into_iter().flatten().filter_map(text).collect(),
        icon_hash: contact.avatar.as_set().and_then(|hash| text(hash.as_str())),
        blocked: contact.blocked.as_set().copied(),
        ..offline_buddy(user, contact.id.as_str())
    }
}

fn status(availability: Availability) -> i32 {
    match availability {
        Availability::Online => decode::STATUS_ONLINE,
        Availability::Away => decode::STATUS_AWAY,
        Availability::Chat => decode::STATUS_CHAT,
        Availability::ExtendedAway => decode::STATUS_XA,
        Availability::DoNotDisturb => decode::STATUS_DND,
        Availability::Offline => decode::STATUS_NONE,
        Availability::Invisible => decode::STATUS_INVISIBLE,
    }
}
