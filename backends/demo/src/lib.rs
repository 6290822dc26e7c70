//! A chat network in memory, to try a transport with: no server, no account, nothing kept.
//!
//! Everybody who logs in is on it under their own name and can write to everybody else. Besides them there are `echo`, who
//! says what it is told, and `ada`, who answers and is to be met in the room `lobby`. Whole state: `Network`, owned by
//! [`Demo`], under one lock that is never held while waiting.

mod network;
mod people;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Availability, Capability, CaseMapping, Chat, ChatState, ContactId, IncomingMessage, JoinRoom, Joined, MessageId, Nickname,
    OutgoingMessage, Presence, Profile, RoomId, RoomInfo, RoomSummary, Sent,
};
use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{
    Backend, BackendInfo, Event, Events, LegacySession, Login, LoginError, LoginErrorKind, Op, OpError, OpErrorKind, OpResult,
};

use network::{Network, Shared};

/// The room that is always there.
pub const LOBBY: &str = "lobby";
/// The contact that repeats what it is told.
pub const ECHO: &str = "echo";
/// How long `ada` thinks before she speaks in a room.
const THINKING: Duration = Duration::from_millis(300);
/// The contact that answers.
pub const ADA: &str = "ada";

/// The network. A clone is the same network.
#[derive(Clone)]
pub struct Demo {
    network: Shared,
    password: Option<Arc<str>>,
    tasks: Tasks,
}

impl Default for Demo {
    fn default() -> Self {
        Self::new()
    }
}

impl Demo {
    /// A network that lets everybody in, whatever the password.
    pub fn new() -> Self {
        Self {
            network: Network::shared(),
            password: None,
            tasks: Tasks::new(),
        }
    }

    /// A network that lets in who knows the password.
    pub fn with_password(password: &str) -> Self {
        Self {
            network: Network::shared(),
            password: Some(password.into()),
            tasks: Tasks::new(),
        }
    }
}

#[async_trait]
impl Backend for Demo {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("Demo", "demo").capabilities(&[
            Capability::Rooms,
            Capability::RoomList,
            Capability::RoomSubject,
            Capability::NicknameChange,
            Capability::PrivateMessages,
            Capability::Receipts,
            Capability::ChatStates,
            Capability::Presence,
            Capability::Profiles,
            Capability::IdempotentSend,
        ]);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
        info.case_mapping = CaseMapping::Unicode;
        "Choose any name; the demo network exists in memory only.".clone_into(&mut info.registration_instructions);
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        if let (Some(wanted), given) = (&self.password, &login.password)
            && given.as_ref() != Some(&(&**wanted).into())
        {
            return Err(LoginError::new(
                LoginErrorKind::AuthenticationFailed,
                "The demo network does not know this password.",
            ));
        }
        let name = login.name.as_str().split('@').next().unwrap_or_default();
        if name.is_empty() || [ECHO, ADA].contains(&name) {
            return Err(LoginError::new(
                LoginErrorKind::InvalidName,
                "Somebody of that name is there already. Choose another.",
            ));
        }
        let name = ContactId::from(name);
        let (seat, contacts) = self.network.enter(&name, events.clone(), login.presence)?;
        let session = Session {
            network: Arc::clone(&self.network),
            name,
            seat,
            events: events.clone(),
            tasks: self.tasks.clone(),
        };
        for contact in contacts {
            // The session is over already if nobody listens; its `logout` follows.
            if events.emit(Event::Contact(contact)).await.is_err() {
                break;
            }
        }
        let _ = events.emit(Event::ContactsComplete).await;
        Ok(Box::new(session))
    }
}

/// One user on the network.
struct Session {
    network: Shared,
    name: ContactId,
    seat: u64,
    events: Events,
    tasks: Tasks,
}

impl Session {
    async fn typing(&self, chat: Chat, state: ChatState) {
        let _ = self
            .events
            .emit(Event::ChatState {
                chat,
                nickname: None,
                state,
            })
            .await;
    }
}

#[async_trait]
impl LegacySession for Session {
    async fn send_message(&self, message: OutgoingMessage, _cx: Op) -> OpResult<Sent> {
        let id: MessageId = self.network.next_id();
        let sent = Sent {
            id: Some(id.clone()),
            timestamp: None,
        };
        match &message.chat {
            Chat::Contact(contact) => {
                if message.wants_receipt {
                    let _ = self
                        .events
                        .emit(Event::Delivered {
                            chat: message.chat.clone(),
                            id: message.id.clone(),
                        })
                        .await;
                }
                if let Some(answer) = people::answer(contact.as_str(), &message.body, self.name.as_str()) {
                    self.typing(message.chat.clone(), ChatState::Composing).await;
                    let mut reply = IncomingMessage::new(message.chat.clone(), answer);
                    reply.id = Some(self.network.next_id());
                    let _ = self.events.emit(Event::Message(reply)).await;
                    return Ok(sent);
                }
                let mut line = IncomingMessage::new(Chat::Contact(self.name.clone()), message.body);
                line.id = Some(id);
                self.network.deliver(contact, Event::Message(line)).await?;
            }
            Chat::Room(room) => {
                let mut line = IncomingMessage::new(message.chat.clone(), message.body.clone());
                line.id = Some(id);
                let nickname = self.network.say(room, self.seat, line).await?;
                if let Some(answer) = people::answer_in_room(&message.body, nickname.as_str()) {
                    let mut line = IncomingMessage::new(message.chat.clone(), answer).by(ADA);
                    line.id = Some(self.network.next_id());
                    let (network, room) = (Arc::clone(&self.network), room.clone());
                    // Said after the line it answers has come back.
                    let answering = async move {
                        tokio::time::sleep(THINKING).await;
                        network.to_room(&room, None, Event::Message(line)).await;
                    };
                    drop(self.tasks.spawn("ada", tracing::Span::none(), answering));
                }
            }
            Chat::Occupant { room, nickname } => {
                if nickname.as_str() == ADA {
                    let answer = people::answer(ADA, &message.body, self.name.as_str()).unwrap_or_default();
                    let _ = self
                        .events
                        .emit(Event::Message(IncomingMessage::new(message.chat.clone(), answer)))
                        .await;
                    return Ok(sent);
                }
                self.network.whisper(room, self.seat, nickname, message.body, id).await?;
            }
        }
        Ok(sent)
    }

    async fn set_chat_state(&self, chat: Chat, state: ChatState, _cx: Op) -> OpResult<()> {
        if let Chat::Contact(contact) = chat
            && ![ECHO, ADA].contains(&contact.as_str())
        {
            let event = Event::ChatState {
                chat: Chat::Contact(self.name.clone()),
                nickname: None,
                state,
            };
            self.network.deliver(&contact, event).await?;
        }
        Ok(())
    }

    async fn set_presence(&self, presence: Presence, _cx: Op) -> OpResult<()> {
        let shown = if presence.availability == Availability::Invisible {
            Presence::OFFLINE
        } else {
            presence
        };
        self.network.set_presence(&self.name, shown).await;
        Ok(())
    }

    async fn fetch_profile(&self, of: Chat, _cx: Op) -> OpResult<Profile> {
        let name = match of {
            Chat::Contact(contact) => contact.as_str().to_owned(),
            Chat::Occupant { nickname, .. } => nickname.as_str().to_owned(),
            Chat::Room(_) => return Err(OpError::new(OpErrorKind::NotFound, "Rooms have no profile.")),
        };
        people::profile(&name)
            .or_else(|| {
                self.network.is_here(&name).then(|| Profile {
                    nickname: Some(name),
                    ..Profile::default()
                })
            })
            .ok_or_else(|| OpError::new(OpErrorKind::NotFound, "Nobody of that name is there."))
    }

    async fn list_rooms(&self, _cx: Op) -> OpResult<Vec<RoomSummary>> {
        Ok(self.network.rooms())
    }

    async fn room_info(&self, room: RoomId, _cx: Op) -> OpResult<RoomInfo> {
        let rooms = self.network.rooms();
        let found = rooms.into_iter().find(|r| r.id == room);
        let found = found.ok_or_else(|| OpError::new(OpErrorKind::NotFound, "There is no such room; joining makes it."))?;
        Ok(RoomInfo {
            name: found.name,
            subject: found.subject,
            occupants: found.occupants,
            ..RoomInfo::default()
        })
    }

    async fn join_room(&self, join: JoinRoom, _cx: Op) -> OpResult<Joined> {
        self.network
            .join(&join.room, self.seat, &self.name, join.nickname.clone(), self.events.clone())
            .await?;
        Ok(Joined { nickname: join.nickname })
    }

    async fn leave_room(&self, room: RoomId, _cx: Op) -> OpResult<()> {
        self.network.leave(&room, self.seat).await;
        Ok(())
    }

    async fn set_subject(&self, room: RoomId, subject: String, _cx: Op) -> OpResult<()> {
        self.network.set_subject(&room, self.seat, subject).await
    }

    async fn change_nickname(&self, room: RoomId, nickname: Nickname, _cx: Op) -> OpResult<()> {
        self.network.rename(&room, self.seat, nickname).await
    }

    async fn logout(&self) {
        self.network.exit(&self.name, self.seat).await;
    }
}
