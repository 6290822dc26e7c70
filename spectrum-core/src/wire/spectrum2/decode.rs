//! From the wire to the core: what each frame of a backend means.

use bytes::Bytes;

use super::pings::Confirmed;
use super::users::Phase;
use super::{Spectrum2Codec, Violation, time};
use crate::backend::{Answer, Event, LoginError, LoginErrorKind, OpError};
use crate::model::{
    Availability, Avatar, AvatarHash, Chat, ChatState, ContactId, ContactRequest, ContactUpdate, IncomingMessage, MessageId,
    MessageKind, Nickname, Origin, Patch, Presence, Profile, RoomId, RoomSubject, RoomSummary, Sent, UserKey,
};
use crate::wire::frames::Opened;
use crate::wire::native::{decode, own, read_all, read_stats};
use crate::wire::{FromBackend, kind, proto};

pub(super) const STATUS_ONLINE: i32 = 0;
pub(super) const STATUS_AWAY: i32 = 1;
pub(super) const STATUS_CHAT: i32 = 2;
pub(super) const STATUS_XA: i32 = 3;
pub(super) const STATUS_DND: i32 = 4;
pub(super) const STATUS_NONE: i32 = 5;
pub(super) const STATUS_INVISIBLE: i32 = 6;

/// Rooms that a backend may list.
const MAX_ROOMS: usize = 50_000;

impl Spectrum2Codec {
    pub(super) fn read(&mut self, opened: Opened) -> Result<(), Violation> {
        let payload = opened.payload;
        match opened.kind {
            kind::CONNECTED => self.read_connected(decode(payload)?),
            kind::DISCONNECTED => self.read_disconnected(decode(payload)?),
            kind::BUDDY_CHANGED => self.read_contact(decode(payload)?),
            kind::BUDDY_REMOVED => self.read_contact_removed(decode(payload)?),
            kind::CONV_MESSAGE => self.read_message(decode(payload)?),
            kind::PONG => {
                self.read_pong();
                Ok(())
            }
            kind::PARTICIPANT_CHANGED => self.read_participant(decode(payload)?),
            kind::ROOM_NICKNAME_CHANGED => self.read_own_nickname(decode(payload)?),
            kind::ROOM_SUBJECT_CHANGED => self.read_subject(decode(payload)?),
            kind::VCARD => self.read_profile(decode(payload)?),
            kind::BUDDY_TYPING => self.read_chat_state(decode(payload)?, ChatState::Composing),
            kind::BUDDY_TYPED => self.read_chat_state(decode(payload)?, ChatState::Paused),
            kind::BUDDY_STOPPED_TYPING => self.read_chat_state(decode(payload)?, ChatState::Active),
            kind::AUTH_REQUEST => self.read_contact_request(decode(payload)?),
            kind::ATTENTION => self.read_attention(decode(payload)?),
            kind::STATS => {
                self.ready.push_back(FromBackend::Stats(read_stats(&decode(payload)?)));
                Ok(())
            }
            kind::BACKEND_CONFIG => self.read_config(decode(payload)?),
            kind::QUERY => {
                let query = decode::<proto::BackendConfig>(payload)?.config.ok_or(Violation::Missing)?;
                let query = self.reader().cow(&query).into_owned();
                self.ready.push_back(FromBackend::Query(query));
                Ok(())
            }
            kind::ROOM_LIST => self.read_rooms(decode(payload)?),
            kind::CONV_MESSAGE_ACK => self.read_receipt(decode(payload)?),
            kind::RAW_XML => self.read_raw_xml(&payload),
            _ => Err(Violation::UnknownType),
        }
    }

    fn read_connected(&mut self, message: proto::Connected) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(message.user.as_ref())? else {
            return Ok(());
        };
        if let Some(user) = self.users.get_mut(&user).filter(|user| user.phase == Phase::LoggingIn) {
            user.phase = Phase::Online;
            self.ready.push_back(FromBackend::LoggedIn { assignment });
        }
        Ok(())
    }

    fn read_disconnected(&mut self, message: proto::Disconnected) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(message.user.as_ref())? else {
            return Ok(());
        };
        let kind = login_error(message.error.ok_or(Violation::Missing)?);
        let text = self.reader().text_or_empty(message.message);
        let joins = self.users.get_mut(&user).map(|user| {
            user.phase = Phase::Closed;
            user.take_joins()
        });
        for request in joins.into_iter().flatten() {
            self.answer(assignment, request, Err(OpError::not_connected(text.clone())));
        }
        self.event(assignment, Event::Closed(LoginError::new(kind, text)));
        Ok(())
    }

    fn read_contact(&mut self, buddy: proto::Buddy) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(buddy.user_name.as_ref())? else {
            return Ok(());
        };
        let mut reader = self.reader();
        let id: ContactId = reader.required_id(buddy.buddy_name)?;
        let text = reader.filled(buddy.status_message);
        let update = ContactUpdate {
            id,
            // Empty is unchanged.
            alias: Patch::from_option(reader.filled(buddy.alias)),
            groups: if buddy.group.is_empty() {
                Patch::Keep
            } else {
                Patch::Set(buddy.group.iter().map(|group| reader.cow(group).into_owned()).collect())
            },
            presence: Patch::Set(presence(buddy.status, text)),
            // Always said in full.
            avatar: reader
                .filled(buddy.icon_hash)
                .map_or(Patch::Clear, |hash| Patch::Set(AvatarHash::new(hash))),
            blocked: Patch::Set(buddy.blocked.unwrap_or(false)),
            subscription: Patch::Keep,
        };
        // Some backends list the user's own account among the contacts.
        let own = self
            .users
            .get(&user)
            .is_some_and(|user| user.name.as_str() == update.id.as_str());
        if !own {
            self.event(assignment, Event::Contact(update));
        }
        Ok(())
    }

    fn read_contact_removed(&mut self, buddy: proto::Buddy) -> Result<(), Violation> {
        if let Some((_, assignment)) = self.known(buddy.user_name.as_ref())? {
            let contact = self.reader().required_id(buddy.buddy_name)?;
            self.event(assignment, Event::ContactRemoved(contact));
        }
        Ok(())
    }

    fn read_contact_request(&mut self, buddy: proto::Buddy) -> Result<(), Violation> {
        if let Some((_, assignment)) = self.known(buddy.user_name.as_ref())? {
            let mut reader = self.reader();
            let request = ContactRequest {
                id: reader.required_id(buddy.buddy_name)?,
                alias: reader.filled(buddy.alias),
                text: reader.filled(buddy.status_message),
            };
            self.event(assignment, Event::ContactRequested(request));
        }
        Ok(())
    }

    fn read_chat_state(&mut self, buddy: proto::Buddy, state: ChatState) -> Result<(), Violation> {
        if let Some((user, assignment)) = self.known(buddy.user_name.as_ref())? {
            let name = self.reader().required(buddy.buddy_name.as_ref())?;
            let chat = self.chat(&user, &name);
            self.event(
                assignment,
                Event::ChatState {
                    chat,
                    nickname: None,
                    state,
                },
            );
        }
        Ok(())
    }

    fn chat(&self, user: &UserKey, name: &str) -> Chat {
        self.users
            .get(user)
            .map_or_else(|| Chat::Contact(ContactId::from(name)), |user| user.chat(name))
    }

    fn read_message(&mut self, message: proto::ConversationMessage) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(message.user_name.as_ref())? else {
            return Ok(());
        };
        let name = self.reader().required(message.buddy_name.as_ref())?;
        let nickname: Option<Nickname> = self.reader().id(message.nickname.filter(|n| !n.is_empty()));
        let (chat, nickname) = match nickname {
            // Authors are named by the network's id where a nickname is only shown.
            Some(author) => {
                let room = RoomId::from(&*name);
                let author = match self.users.get_mut(&user).and_then(|user| user.room(&room)) {
                    Some(room) => room.shown(author),
                    None => author,
                };
                match message.pm {
                    Some(true) => (Chat::Occupant { room, nickname: author }, None),
                    Some(false) | None => (Chat::Room(room), Some(author)),
                }
            }
            None => (self.chat(&user, &name), None),
        };
        if message.message.is_none() {
            // Counted, but what else there is goes on.
            self.counters.violation(Violation::Missing);
        }
        let timestamp = message.timestamp.and_then(|text| time::read(&text));
        let mut reader = self.reader();
        let message = IncomingMessage {
            chat,
            nickname,
            id: reader.id(message.id.filter(|id| !id.is_empty())),
            body: reader.text_or_empty(message.message),
            xhtml: reader.filled(message.xhtml),
            timestamp,
            origin: if message.carbon == Some(true) {
                Origin::OwnOtherDevice
            } else {
                Origin::Other
            },
            kind: if message.headline == Some(true) {
                MessageKind::Headline
            } else {
                MessageKind::Normal
            },
            attachments: read_all(message.attachment, &mut reader),
            reply: None,
        };
        if message.body.is_empty() && message.xhtml.is_none() && message.attachments.is_empty() {
            return Err(Violation::Malformed);
        }
        self.event(assignment, Event::Message(message));
        Ok(())
    }

    fn read_receipt(&mut self, message: proto::ConversationMessage) -> Result<(), Violation> {
        if let Some((user, assignment)) = self.known(message.user_name.as_ref())? {
            let name = self.reader().required(message.buddy_name.as_ref())?;
            let id: MessageId = self.reader().required_id(message.id)?;
            let chat = self.chat(&user, &name);
            self.event(assignment, Event::Delivered { chat, id });
        }
        Ok(())
    }

    fn read_attention(&mut self, message: proto::ConversationMessage) -> Result<(), Violation> {
        if let Some((_, assignment)) = self.known(message.user_name.as_ref())? {
            let mut reader = self.reader();
            let contact = reader.required_id(message.buddy_name)?;
            let text = reader.filled(message.message);
            self.event(assignment, Event::Attention { contact, text });
        }
        Ok(())
    }

    fn read_subject(&mut self, message: proto::ConversationMessage) -> Result<(), Violation> {
        if let Some((_, assignment)) = self.known(message.user_name.as_ref())? {
            let timestamp = message.timestamp.and_then(|text| time::read(&text));
            let mut reader = self.reader();
            let subject = RoomSubject {
                room: reader.required_id(message.buddy_name)?,
                subject: reader.text(message.message).ok_or(Violation::Missing)?,
                by: reader.filled(message.nickname),
                timestamp,
            };
            self.event(assignment, Event::RoomSubject(subject));
        }
        Ok(())
    }

    /// The network has given the user another nickname; the participant of that name is the user.
    fn read_own_nickname(&mut self, message: proto::Room) -> Result<(), Violation> {
        if let Some((user, _)) = self.known(message.user_name.as_ref())? {
            let mut reader = self.reader();
            let room: RoomId = reader.required_id(message.room)?;
            let nickname: Nickname = reader.required_id(message.nickname)?;
            if let Some(room) = self.users.get_mut(&user).and_then(|user| user.room(&room)) {
                room.forced(nickname);
            }
        }
        Ok(())
    }

    fn read_profile(&mut self, message: proto::VCard) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(message.user_name.as_ref())? else {
            return Ok(());
        };
        let mut reader = self.reader();
        let profile = Profile {
            full_name: reader.filled(message.fullname),
            nickname: reader.filled(message.nickname),
            avatar: message.photo.filter(|photo| !photo.is_empty()).map(|photo| Avatar {
                media_type: media_type(&photo).to_owned(),
                data: own(&photo),
            }),
            notes: Vec::new(),
        };
        let name: Option<ContactId> = reader.id(message.buddy_name.filter(|name| !name.is_empty()));
        let id = message.id.ok_or(Violation::Missing)?;
        match self.profiles.get(&id) {
            Some(question) if question.user == user && question.assignment == assignment => {
                let request = question.request;
                self.profiles.remove(&id);
                self.answer(assignment, request, Ok(Answer::Profile(profile)));
            }
            // Too late, or unasked: still true.
            Some(_) | None => match name {
                Some(name) => {
                    let of = self.chat(&user, name.as_str());
                    self.event(assignment, Event::Profile { of, profile });
                }
                None => self.counters.dropped += 1,
            },
        }
        Ok(())
    }

    fn read_rooms(&mut self, message: proto::RoomList) -> Result<(), Violation> {
        let whose = match message.user.filter(|user| !user.is_empty()) {
            Some(user) => match self.known(Some(&user))? {
                Some((_, assignment)) => Some(assignment),
                None => return Ok(()),
            },
            None => None,
        };
        let mut names = message.name.into_iter();
        let mut reader = self.reader();
        let mut rooms = Vec::new();
        for id in message.room.into_iter().take(MAX_ROOMS) {
            let name = reader.filled(names.next());
            let Ok(id) = reader.required_id::<RoomId>(Some(id)) else {
                continue;
            };
            rooms.push(RoomSummary {
                id,
                name,
                occupants: None,
                subject: None,
            });
        }
        match whose {
            Some(assignment) => self.event(assignment, Event::RoomList(rooms)),
            None => self.rooms = rooms,
        }
        Ok(())
    }

    fn read_raw_xml(&mut self, payload: &Bytes) -> Result<(), Violation> {
        let stanzas = self.raw_xml.push(payload).map_err(|_| Violation::Malformed)?;
        for stanza in stanzas {
            let bare = stanza
                .to
                .as_deref()
                .and_then(|to| to.split('/').next())
                .map(str::as_bytes)
                .map(Bytes::copy_from_slice);
            match self.known(bare.as_ref()) {
                Ok(Some((_, assignment))) => {
                    let xml = self.reader().cow(&stanza.xml).into_owned();
                    self.event(assignment, Event::RawXml(xml));
                }
                Ok(None) => {}
                Err(violation) => self.counters.violation(violation),
            }
        }
        Ok(())
    }

    fn read_config(&mut self, message: proto::BackendConfig) -> Result<(), Violation> {
        let ini = message.config.ok_or(Violation::Missing)?;
        let before = self.said;
        let text = self.reader().cow(&ini).into_owned();
        self.said.read(&text);
        if !self.announced || self.said != before {
            self.announce();
        }
        Ok(())
    }

    fn announce(&mut self) {
        self.announced = true;
        let info = self.said.info(&self.base);
        self.ready.push_back(FromBackend::Info(Box::new(info)));
    }

    fn read_pong(&mut self) {
        let Some(confirmed) = self.pings.pong() else {
            self.counters.dropped += 1;
            return;
        };
        if !self.announced {
            self.announce();
        }
        self.ready.push_back(FromBackend::Pong);
        for confirmed in confirmed {
            match confirmed {
                Confirmed::Sent { assignment, request } => self.answer(assignment, request, Ok(Answer::Sent(Sent::default()))),
                Confirmed::Done { assignment, request } => self.answer(assignment, request, Ok(Answer::Done)),
                Confirmed::LoggedOut { assignment } => self.logged_out(assignment),
            }
        }
        if self.pings.is_due() {
            self.put_ping();
        }
    }
}

/// Whose presence a status is. Without one it is online: the number's default.
pub(super) fn presence(status: Option<i32>, text: Option<String>) -> Presence {
    let availability = match status {
        Some(STATUS_AWAY) => Availability::Away,
        Some(STATUS_CHAT) => Availability::Chat,
        Some(STATUS_XA) => Availability::ExtendedAway,
        Some(STATUS_DND) => Availability::DoNotDisturb,
        // Nobody but the person knows the difference.
        Some(STATUS_NONE | STATUS_INVISIBLE) => Availability::Offline,
        _ => Availability::Online,
    };
    Presence {
        availability,
        text,
        idle_since: None,
    }
}

/// What a number of the original's (libpurple's) list means.
fn login_error(number: i32) -> LoginErrorKind {
    match number {
        0 => LoginErrorKind::Network,
        1 => LoginErrorKind::InvalidName,
        2 => LoginErrorKind::AuthenticationFailed,
        3 => LoginErrorKind::NoMechanism,
        4 | 5 => LoginErrorKind::Encryption,
        6 => LoginErrorKind::NameInUse,
        7 => LoginErrorKind::Settings,
        8..=15 => LoginErrorKind::Certificate,
        _ => LoginErrorKind::Other,
    }
}

/// The media type of a picture, by its first bytes: this wire does not say it.
fn media_type(picture: &[u8]) -> &'static str {
    match picture {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'B', b'M', ..] => "image/bmp",
        [b'<', ..] => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
