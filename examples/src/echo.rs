//! A network that says everything back: contacts `echo`, `friend1`, `friend2`, ..., and a room `lobby` with somebody in it.
//!
//! Read this to see a whole backend: [`Echo`] is the network, [`EchoSession`] one user on it. Nothing is shared between
//! users, so there is no lock; what a session remembers is immutable.

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Availability, Capability, Chat, ChatState, ContactUpdate, IncomingMessage, JoinRoom, Joined, Nickname, Occupant,
    OutgoingMessage, Presence, Profile, Role, RoomId, RoomSubject, RoomSummary, Sent,
};
use spectrum_backend_sdk::{
    Backend, BackendInfo, Event, Events, LegacySession, Login, LoginError, LoginErrorKind, Op, OpError, OpErrorKind, OpResult,
};

/// The room.
pub const LOBBY: &str = "lobby";
/// The contact that is online, and who is in the room.
pub const ECHO: &str = "echo";
/// A password that this network does not accept.
pub const WRONG_PASSWORD: &str = "wrong";
/// A message that the network takes for ever to accept, to see what a network that hangs does to others.
pub const HANG: &str = "!hang";

/// The network.
#[derive(Debug, Clone)]
pub struct Echo {
    /// How many contacts everybody has.
    pub contacts: usize,
}

#[async_trait]
impl Backend for Echo {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("Echo", "echo").capabilities(&[
            Capability::Rooms,
            Capability::RoomList,
            Capability::PrivateMessages,
            Capability::Receipts,
            Capability::ChatStates,
            Capability::Presence,
            Capability::Profiles,
        ]);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        if login.password.as_ref() == Some(&WRONG_PASSWORD.into()) {
            return Err(LoginError::new(
                LoginErrorKind::AuthenticationFailed,
                "The network says: wrong password",
            ));
        }
        // A session that ended while its contacts were told gets its logout all the same.
        let _ = self.show_contacts(&events).await;
        Ok(Box::new(EchoSession { events }))
    }
}

impl Echo {
    async fn show_contacts(&self, events: &Events) -> Result<(), spectrum_backend_sdk::SessionEnded> {
        for number in 0..self.contacts {
            let (id, alias, availability) = match number {
                0 => (ECHO.to_owned(), "Echo of the network".to_owned(), Availability::Online),
                n => (format!("friend{n}"), format!("Friend {n}"), Availability::Away),
            };
            let presence = Presence {
                text: Some(format!("{id} is here")),
                ..Presence::of(availability)
            };
            events
                .emit(Event::Contact(ContactUpdate::new(id).alias(alias).presence(presence)))
                .await?;
        }
        events.emit(Event::ContactsComplete).await
    }
}

/// One user on the network.
#[derive(Debug)]
pub struct EchoSession {
    events: Events,
}

impl EchoSession {
    async fn emit(&self, event: Event) -> OpResult<()> {
        self.events
            .emit(event)
            .await
            .map_err(|_| OpError::not_connected("The session has ended."))
    }
}

#[async_trait]
impl LegacySession for EchoSession {
    async fn send_message(&self, message: OutgoingMessage, cx: Op) -> OpResult<Sent> {
        if message.body == HANG {
            cx.cancelled().await;
            return Err(OpError::maybe_sent("The network did not answer."));
        }
        if message.wants_receipt {
            self.emit(Event::Delivered {
                chat: message.chat.clone(),
                id: message.id,
            })
            .await?;
        }
        let mut back = IncomingMessage::new(message.chat.clone(), message.body);
        if let Chat::Room(_) = message.chat {
            back = back.by(ECHO);
        }
        self.emit(Event::Message(back)).await?;
        Ok(Sent::default())
    }

    async fn set_chat_state(&self, chat: Chat, state: ChatState, _cx: Op) -> OpResult<()> {
        self.emit(Event::ChatState {
            chat,
            nickname: None,
            state,
        })
        .await
    }

    async fn set_presence(&self, _presence: Presence, _cx: Op) -> OpResult<()> {
        // Nobody looks.
        Ok(())
    }

    async fn fetch_profile(&self, of: Chat, _cx: Op) -> OpResult<Profile> {
        let nickname = match of {
            Chat::Contact(contact) => contact.as_str().to_owned(),
            Chat::Occupant { nickname, .. } => nickname.as_str().to_owned(),
            Chat::Room(_) => return Err(OpError::new(OpErrorKind::NotFound, "A room has no profile.")),
        };
        Ok(Profile {
            full_name: Some(format!("{nickname} of the network")),
            nickname: Some(nickname),
            ..Profile::default()
        })
    }

    async fn list_rooms(&self, _cx: Op) -> OpResult<Vec<RoomSummary>> {
        Ok(vec![RoomSummary {
            id: LOBBY.into(),
            name: Some("The lobby".into()),
            occupants: None,
            subject: None,
        }])
    }

    async fn join_room(&self, join: JoinRoom, _cx: Op) -> OpResult<Joined> {
        let somebody = Occupant {
            role: Role::Moderator,
            ..Occupant::new(join.room.clone(), ECHO)
        };
        let subject = RoomSubject {
            room: join.room.clone(),
            subject: "Nothing but echoes".into(),
            by: Some(ECHO.into()),
            timestamp: None,
        };
        self.emit(Event::Occupant(somebody)).await?;
        self.emit(Event::Occupant(Occupant::new(join.room, join.nickname.clone())))
            .await?;
        self.emit(Event::RoomSubject(subject)).await?;
        Ok(Joined { nickname: join.nickname })
    }

    async fn leave_room(&self, _room: RoomId, _cx: Op) -> OpResult<()> {
        Ok(())
    }

    async fn change_nickname(&self, _room: RoomId, _nickname: Nickname, _cx: Op) -> OpResult<()> {
        Err(OpError::new(OpErrorKind::NotAllowed, "Who comes in keeps the nickname."))
    }

    async fn logout(&self) {}
}
