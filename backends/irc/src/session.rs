//! One user on IRC: the verbs of the core, each turned into a request to the network it is about.
//!
//! A session has one connection from its login on, or several that come up on first use (`networks`). The slots of the
//! latter own their connections.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, Availability, Chat, ContactDetails, ContactId, Form, FormAnswers, JoinRoom, Joined, LegacyName,
    Nickname, OutgoingMessage, Presence, Profile, RoomId, RoomInfo, RoomSummary, Sent, Standing,
};
use spectrum_backend_sdk::{Answer, LegacySession, LoginError, LoginErrorKind, Op, OpError, OpErrorKind, OpResult, Retry};

use crate::backend::Connector;
use crate::connection::Shared;
use crate::engine::Ask;
use crate::names::{Scope, split_qualified};
use spectrum_backend_sdk::ServerAddress;

/// Contacts remembered for a network that is not connected.
const MAX_REMEMBERED: usize = 1_000;

/// When a network of several that did not come up, or was lost, is to be tried again.
const TRY_AGAIN: Retry = Retry::After(Duration::from_secs(30));

/// One user's life on IRC.
pub(crate) enum IrcSession {
    /// One network.
    Fixed(Shared),
    /// Several.
    Several(Several),
}

/// The networks of a session that has several.
pub(crate) struct Several {
    pub(crate) connector: Connector,
    pub(crate) slots: HashMap<String, Slot>,
    /// Away text to begin a connection with. Behind a lock since verbs of different chats run at the same time; held
    /// for one assignment.
    pub(crate) away: Mutex<Option<String>>,
}

/// One network of several.
pub(crate) struct Slot {
    pub(crate) address: ServerAddress,
    /// An asynchronous lock, because it is to be held while connecting: the second verb waits for the first one's
    /// connection instead of making another.
    connection: tokio::sync::Mutex<Option<Shared>>,
    /// Contacts to be watched, by nickname, while the network is not connected too. Held for one insertion.
    watched: Mutex<BTreeMap<String, ContactId>>,
}

impl Slot {
    pub(crate) fn new(address: ServerAddress) -> Self {
        Self {
            address,
            connection: tokio::sync::Mutex::new(None),
            watched: Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that this session cannot have.
fn no_such_name(name: &str) -> OpError {
    OpError::new(
        OpErrorKind::NotFound,
        format!("\"{name}\" is no name on any network that this transport connects to."),
    )
}

/// What an unsuccessful connection means for the verb that wanted it.
fn no_connection(error: &LoginError) -> OpError {
    let kind = match error.kind {
        LoginErrorKind::AuthenticationFailed | LoginErrorKind::NoMechanism => OpErrorKind::NotAuthorized,
        LoginErrorKind::Banned => OpErrorKind::Banned,
        LoginErrorKind::NameInUse => OpErrorKind::Conflict,
        LoginErrorKind::InvalidName => OpErrorKind::Invalid,
        LoginErrorKind::Network
        | LoginErrorKind::Encryption
        | LoginErrorKind::Certificate
        | LoginErrorKind::Settings
        | LoginErrorKind::Cancelled
        | LoginErrorKind::Other
        | _ => OpErrorKind::NotConnected,
    };
    let retry = if error.is_temporary() { TRY_AGAIN } else { error.retry };
    OpError::new(kind, error.text.clone()).retry(retry)
}

impl Several {
    /// Remembers a contact until its network is connected. One of another network, or one too many, has no presence.
    pub(crate) fn remember(&self, contact: ContactId) {
        if let Ok((slot, nick)) = self.slot(contact.as_str()) {
            let (mut watched, nick) = (locked(&slot.watched), nick.to_owned());
            if watched.len() < MAX_REMEMBERED {
                watched.insert(nick, contact);
            }
        }
    }

    /// The slot of a qualified name, and the name on that network.
    fn slot<'a, 'n>(&'a self, name: &'n str) -> OpResult<(&'a Slot, &'n str)> {
        let (plain, host) = split_qualified(name).ok_or_else(|| no_such_name(name))?;
        let slot = self.slots.get(&host).ok_or_else(|| no_such_name(name))?;
        Ok((slot, plain))
    }

    /// The connection of a network, made if there is none. `nick` is whom to be there if nothing else was settled.
    async fn connect(&self, slot: &Slot, nick: Option<&str>) -> OpResult<Shared> {
        let mut held = slot.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|c| !c.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let scope = Scope::Qualified(Arc::clone(&slot.address.host));
        let away = locked(&self.away).clone();
        // Whoever is added or removed while this goes on waits for the connection, and changes it then.
        let watched = locked(&slot.watched)
            .iter()
            .map(|(nick, id)| (id.clone(), nick.clone()))
            .collect();
        let connection = self
            .connector
            .connect(&slot.address, scope, nick, (away, watched))
            .await
            .map_err(|e| no_connection(&e))?;
        let connection = Arc::new(connection);
        *held = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// The connection of a network, if there is one.
    async fn connected(slot: &Slot) -> Option<Shared> {
        slot.connection
            .lock()
            .await
            .as_ref()
            .filter(|c| !c.is_closed())
            .map(Arc::clone)
    }
}

impl IrcSession {
    /// The connection that a name belongs to, made if need be, and the name there.
    async fn reach<'n>(&self, name: &'n str, nick: Option<&str>, cx: &Op) -> OpResult<(Shared, &'n str)> {
        match self {
            Self::Fixed(connection) => Ok((Arc::clone(connection), name)),
            Self::Several(several) => {
                let (slot, plain) = several.slot(name)?;
                if let Some(connection) = Several::connected(slot).await {
                    return Ok((connection, plain));
                }
                let connection = tokio::select! {
                    connection = several.connect(slot, nick) => connection?,
                    () = cx.cancelled() => return Err(OpError::new(OpErrorKind::Timeout, "The network did not let the user in in time.")),
                };
                Ok((connection, plain))
            }
        }
    }

    /// The same without making a connection.
    async fn reach_connected<'n>(&self, name: &'n str) -> OpResult<Option<(Shared, &'n str)>> {
        match self {
            Self::Fixed(connection) => Ok(Some((Arc::clone(connection), name))),
            Self::Several(several) => {
                let (slot, plain) = several.slot(name)?;
                Ok(Several::connected(slot).await.map(|c| (c, plain)))
            }
        }
    }

    /// An error with the hope that this session can give: one of several networks comes back when it is used again, and
    /// nobody reports that the user is connected.
    fn with_own_hope(&self, error: OpError) -> OpError {
        match self {
            Self::Several(_) if error.retry == Retry::WhenConnected => error.retry(TRY_AGAIN),
            Self::Several(_) | Self::Fixed(_) => error,
        }
    }

    /// A name next to another on the same network, as given or without its network.
    fn beside<'n>(&self, name: &'n str) -> &'n str {
        match self {
            Self::Fixed(_) => name,
            Self::Several(several) => several.slot(name).map_or(name, |(_, plain)| plain),
        }
    }

    async fn room_request(&self, room: &RoomId, cx: &Op, ask: impl FnOnce(String) -> Ask) -> OpResult<Answer> {
        let (connection, channel) = self.reach_connected(room.as_str()).await?.ok_or_else(|| not_in(room))?;
        connection.ask(ask(channel.to_owned()), cx).await
    }

    async fn watch(&self, contact: ContactId, cx: &Op) -> OpResult<()> {
        let name = contact.as_str().to_owned();
        if let Self::Several(several) = self {
            several.slot(&name)?;
            several.remember(contact.clone());
        }
        match self.reach_connected(&name).await? {
            Some((connection, nick)) => connection
                .ask(
                    Ask::Watch {
                        id: contact,
                        nick: nick.to_owned(),
                    },
                    cx,
                )
                .await
                .map(drop),
            // It is watched once the network is connected.
            None => Ok(()),
        }
    }

    async fn connections(&self) -> Vec<Shared> {
        match self {
            Self::Fixed(connection) => vec![Arc::clone(connection)],
            Self::Several(several) => {
                let mut connections = Vec::new();
                for slot in several.slots.values() {
                    connections.extend(Several::connected(slot).await);
                }
                connections
            }
        }
    }
}

fn not_in(room: &RoomId) -> OpError {
    OpError::new(OpErrorKind::NotAllowed, format!("You are not in {room}."))
}

fn unexpected() -> OpError {
    OpError::new(OpErrorKind::Internal, "The IRC backend gave the answer to another question.")
}

/// The text of a presence that is an absence; `None` for being there.
pub(crate) fn away_text(presence: &Presence) -> Option<String> {
    let default = match presence.availability {
        Availability::Online | Availability::Chat | Availability::Invisible | Availability::Offline => return None,
        Availability::Away => "Away",
        Availability::ExtendedAway => "Away for long",
        Availability::DoNotDisturb => "Busy",
    };
    Some(
        presence
            .text
            .clone()
            .filter(|t| !t.trim().is_empty())
            .unwrap_or_else(|| default.to_owned()),
    )
}

#[async_trait]
impl LegacySession for IrcSession {
    async fn send_message(&self, message: OutgoingMessage, cx: Op) -> OpResult<Sent> {
        let mut body = message.body;
        for attachment in &message.attachments {
            if !body.contains(&attachment.url) {
                if !body.is_empty() {
                    body.push('\n');
                }
                body.push_str(&attachment.url);
            }
        }
        let (connection, target) = match &message.chat {
            Chat::Contact(id) => {
                let (connection, nick) = self.reach(id.as_str(), None, &cx).await?;
                (connection, nick.to_owned())
            }
            Chat::Room(room) => {
                let (connection, channel) = self.reach_connected(room.as_str()).await?.ok_or_else(|| not_in(room))?;
                (connection, channel.to_owned())
            }
            Chat::Occupant { room, nickname } => {
                let (connection, _) = self.reach_connected(room.as_str()).await?.ok_or_else(|| not_in(room))?;
                (connection, nickname.as_str().to_owned())
            }
        };
        let ask = Ask::Send {
            chat: message.chat,
            target,
            body,
        };
        let answer = connection.ask(ask, &cx).await.map_err(|e| self.with_own_hope(e))?;
        if let Answer::Sent(sent) = answer {
            Ok(sent)
        } else {
            Err(unexpected())
        }
    }

    async fn logout(&self) {
        for connection in self.connections().await {
            connection.quit().await;
        }
    }

    async fn set_presence(&self, presence: Presence, cx: Op) -> OpResult<()> {
        let text = away_text(&presence);
        if let Self::Several(several) = self {
            locked(&several.away).clone_from(&text);
        }
        for connection in self.connections().await {
            connection.ask(Ask::Away { text: text.clone() }, &cx).await?;
        }
        Ok(())
    }

    async fn fetch_profile(&self, of: Chat, cx: Op) -> OpResult<Profile> {
        let (connection, nick) = match &of {
            Chat::Contact(id) => self.reach_connected(id.as_str()).await?,
            Chat::Occupant { room, nickname } => self
                .reach_connected(room.as_str())
                .await?
                .map(|(c, _)| (c, nickname.as_str())),
            Chat::Room(_) => return Err(OpError::unsupported()),
        }
        .ok_or_else(|| OpError::not_connected("The network of this person is not connected."))?;
        let answer = connection.ask(Ask::Whois { nick: nick.to_owned() }, &cx).await?;
        if let Answer::Profile(profile) = answer {
            Ok(profile)
        } else {
            Err(unexpected())
        }
    }

    async fn add_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        self.watch(contact.id, &cx).await
    }

    async fn update_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        self.watch(contact.id, &cx).await
    }

    async fn remove_contact(&self, contact: ContactId, cx: Op) -> OpResult<()> {
        if let Self::Several(several) = self {
            let (slot, nick) = several.slot(contact.as_str())?;
            locked(&slot.watched).remove(nick);
        }
        match self.reach_connected(contact.as_str()).await? {
            Some((connection, nick)) => connection.ask(Ask::Unwatch { nick: nick.to_owned() }, &cx).await.map(drop),
            None => Ok(()),
        }
    }

    async fn list_rooms(&self, cx: Op) -> OpResult<Vec<RoomSummary>> {
        let mut rooms = Vec::new();
        for connection in self.connections().await {
            let Answer::Rooms(more) = connection.ask(Ask::List, &cx).await? else {
                return Err(unexpected());
            };
            rooms.extend(more);
        }
        Ok(rooms)
    }

    async fn join_room(&self, join: JoinRoom, cx: Op) -> OpResult<Joined> {
        let (connection, channel) = self.reach(join.room.as_str(), Some(join.nickname.as_str()), &cx).await?;
        let ask = Ask::Join {
            id: join.room.clone(),
            channel: channel.to_owned(),
            key: join.password,
        };
        let answer = connection.ask(ask, &cx).await?;
        if let Answer::Joined(joined) = answer {
            Ok(joined)
        } else {
            Err(unexpected())
        }
    }

    async fn leave_room(&self, room: RoomId, cx: Op) -> OpResult<()> {
        match self.reach_connected(room.as_str()).await? {
            Some((connection, channel)) => connection
                .ask(
                    Ask::Leave {
                        channel: channel.to_owned(),
                    },
                    &cx,
                )
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    async fn room_info(&self, room: RoomId, cx: Op) -> OpResult<RoomInfo> {
        let answer = self.room_request(&room, &cx, |channel| Ask::Info { channel }).await?;
        if let Answer::RoomInfo(info) = answer {
            Ok(info)
        } else {
            Err(unexpected())
        }
    }

    async fn set_subject(&self, room: RoomId, subject: String, cx: Op) -> OpResult<()> {
        self.room_request(&room, &cx, |channel| Ask::Topic { channel, text: subject })
            .await
            .map(drop)
    }

    async fn change_nickname(&self, room: RoomId, nickname: Nickname, cx: Op) -> OpResult<()> {
        self.room_request(&room, &cx, |_| Ask::Nick {
            nick: nickname.as_str().to_owned(),
        })
        .await
        .map(drop)
    }

    async fn invite(&self, room: RoomId, contact: ContactId, _reason: Option<String>, cx: Op) -> OpResult<()> {
        let nick = self.beside(contact.as_str()).to_owned();
        self.room_request(&room, &cx, |channel| Ask::Invite { channel, nick })
            .await
            .map(drop)
    }

    async fn kick(&self, room: RoomId, nickname: Nickname, reason: Option<String>, cx: Op) -> OpResult<()> {
        let nick = nickname.as_str().to_owned();
        self.room_request(&room, &cx, |channel| Ask::Kick { channel, nick, reason })
            .await
            .map(drop)
    }

    async fn set_standing(
        &self,
        room: RoomId,
        nickname: Nickname,
        standing: Standing,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        let nick = nickname.as_str().to_owned();
        self.room_request(&room, &cx, |channel| Ask::Standing {
            channel,
            nick,
            standing,
            reason,
        })
        .await
        .map(drop)
    }

    async fn room_settings(&self, room: RoomId, cx: Op) -> OpResult<Form> {
        let answer = self.room_request(&room, &cx, |channel| Ask::Settings { channel }).await?;
        if let Answer::Form(form) = answer {
            Ok(form)
        } else {
            Err(unexpected())
        }
    }

    async fn configure_room(&self, room: RoomId, answers: FormAnswers, cx: Op) -> OpResult<()> {
        self.room_request(&room, &cx, |channel| Ask::Configure { channel, answers })
            .await
            .map(drop)
    }

    async fn list_affiliated(&self, room: RoomId, affiliation: Affiliation, cx: Op) -> OpResult<Vec<Affiliated>> {
        let ask = |channel| Ask::Affiliated { channel, affiliation };
        if let Answer::Affiliated(list) = self.room_request(&room, &cx, ask).await? {
            Ok(list)
        } else {
            Err(unexpected())
        }
    }

    async fn set_affiliation(
        &self,
        room: RoomId,
        who: LegacyName,
        affiliation: Affiliation,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        // A mask of a list is one of that network already.
        let who = if who.as_str().contains('!') {
            who.as_str()
        } else {
            self.beside(who.as_str())
        };
        let who = who.to_owned();
        self.room_request(&room, &cx, |channel| Ask::Affiliate {
            channel,
            who,
            affiliation,
            reason,
        })
        .await
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absences_have_a_text() {
        assert_eq!(away_text(&Presence::ONLINE), None);
        assert_eq!(away_text(&Presence::of(Availability::DoNotDisturb)).as_deref(), Some("Busy"));
        let lunch = Presence {
            text: Some("lunch".to_owned()),
            ..Presence::of(Availability::Away)
        };
        assert_eq!(away_text(&lunch).as_deref(), Some("lunch"));
    }
}
