//! The state of the network: who is here, and the rooms. One lock, held for a look-up or a change; events are sent after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spectrum_backend_sdk::model::{
    Affiliation, Chat, ContactId, ContactUpdate, Departure, IncomingMessage, MessageId, Nickname, Occupant, OccupantGone,
    OccupantRenamed, Presence, Role, RoomId, RoomSubject, RoomSummary,
};
use spectrum_backend_sdk::{Event, Events, LoginError, LoginErrorKind, OpError, OpErrorKind, OpResult};

use crate::{ADA, ECHO, LOBBY};

/// The network as its sessions hold it.
pub(crate) type Shared = Arc<Network>;

/// Who is here, and the rooms.
pub(crate) struct Network {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    people: HashMap<ContactId, Person>,
    rooms: BTreeMap<RoomId, Room>,
}

struct Person {
    seat: u64,
    events: Events,
    presence: Presence,
}

#[derive(Default)]
struct Room {
    subject: String,
    inside: Vec<Inside>,
}

struct Inside {
    seat: u64,
    person: ContactId,
    nickname: Nickname,
    events: Events,
}

impl Inside {
    fn occupant(&self, room: &RoomId) -> Occupant {
        Occupant {
            contact: Some(self.person.clone()),
            ..Occupant::new(room.clone(), self.nickname.clone())
        }
    }
}

fn ada(room: &RoomId) -> Occupant {
    Occupant {
        role: Role::Moderator,
        affiliation: Affiliation::Owner,
        contact: Some(ADA.into()),
        ..Occupant::new(room.clone(), ADA)
    }
}

fn not_inside() -> OpError {
    OpError::new(OpErrorKind::NotAllowed, "You are not in the room.")
}

fn taken() -> OpError {
    OpError::new(OpErrorKind::Conflict, "Somebody in the room has that nickname.")
}

impl Network {
    pub(crate) fn shared() -> Shared {
        let mut state = State::default();
        state.rooms.insert(
            LOBBY.into(),
            Room {
                subject: "Welcome to the demo network".to_owned(),
                inside: Vec::new(),
            },
        );
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_id(&self) -> MessageId {
        let mut state = self.state();
        state.last += 1;
        MessageId::from(format!("demo-{}", state.last))
    }

    /// Lets somebody in: gives their seat, and everybody else as contacts.
    pub(crate) fn enter(
        &self,
        name: &ContactId,
        events: Events,
        presence: Presence,
    ) -> Result<(u64, Vec<ContactUpdate>), LoginError> {
        let mut state = self.state();
        if state.people.contains_key(name) {
            return Err(LoginError::new(
                LoginErrorKind::NameInUse,
                "Somebody of that name is there already. Choose another.",
            ));
        }
        state.last += 1;
        let seat = state.last;
        let always = [(ECHO, "Echo"), (ADA, "Ada")];
        let mut contacts: Vec<_> = always
            .iter()
            .map(|(id, alias)| ContactUpdate::new(*id).alias(*alias).presence(Presence::ONLINE))
            .collect();
        contacts.extend(
            state
                .people
                .iter()
                .map(|(id, p)| ContactUpdate::new(id.clone()).presence(p.presence.clone())),
        );
        state.people.insert(name.clone(), Person { seat, events, presence });
        Ok((seat, contacts))
    }

    /// Shows somebody's presence to everybody else.
    pub(crate) async fn set_presence(&self, name: &ContactId, presence: Presence) {
        let others = {
            let mut state = self.state();
            if let Some(person) = state.people.get_mut(name) {
                person.presence = presence.clone();
            }
            state.others(name)
        };
        send(others, &Event::Contact(ContactUpdate::new(name.clone()).presence(presence))).await;
    }

    pub(crate) fn is_here(&self, name: &str) -> bool {
        self.state().people.contains_key(name)
    }

    /// To one person.
    pub(crate) async fn deliver(&self, to: &ContactId, event: Event) -> OpResult<()> {
        let events = self.state().people.get(to).map(|p| p.events.clone());
        let absent = || OpError::new(OpErrorKind::NotFound, "Nobody of that name is on the demo network.");
        events.ok_or_else(absent)?.emit(event).await.map_err(|_| absent())
    }

    pub(crate) fn rooms(&self) -> Vec<RoomSummary> {
        let state = self.state();
        let summary = |(id, room): (&RoomId, &Room)| RoomSummary {
            id: id.clone(),
            name: Some(id.as_str().to_owned()),
            // Ada is in the lobby whoever looks.
            occupants: u32::try_from(room.inside.len() + usize::from(id.as_str() == LOBBY)).ok(),
            subject: Some(room.subject.clone()),
        };
        state.rooms.iter().map(summary).collect()
    }

    pub(crate) async fn join(
        &self,
        id: &RoomId,
        seat: u64,
        person: &ContactId,
        nickname: Nickname,
        events: Events,
    ) -> OpResult<()> {
        let (others, me, mut news) = {
            let mut state = self.state();
            let room = state.rooms.entry(id.clone()).or_default();
            if (id.as_str() == LOBBY && nickname.as_str() == ADA)
                || room.inside.iter().any(|i| i.nickname == nickname && i.seat != seat)
            {
                return Err(taken());
            }
            room.inside.retain(|i| i.seat != seat);
            let mut news: Vec<Event> = room.inside.iter().map(|i| Event::Occupant(i.occupant(id))).collect();
            let others: Vec<Events> = room.inside.iter().map(|i| i.events.clone()).collect();
            let me = Inside {
                seat,
                person: person.clone(),
                nickname,
                events: events.clone(),
            };
            let occupant = me.occupant(id);
            room.inside.push(me);
            let subject = RoomSubject {
                room: id.clone(),
                subject: room.subject.clone(),
                by: None,
                timestamp: None,
            };
            news.push(Event::RoomSubject(subject));
            (others, occupant, news)
        };
        if id.as_str() == LOBBY {
            news.push(Event::Occupant(ada(id)));
        }
        news.push(Event::Occupant(me.clone()));
        send(others, &Event::Occupant(me)).await;
        for event in news {
            let _ = events.emit(event).await;
        }
        Ok(())
    }

    /// To everybody in a room but `except`.
    pub(crate) async fn to_room(&self, room: &RoomId, except: Option<u64>, event: Event) {
        let events = self.state().rooms.get(room).map(|r| r.events(except)).unwrap_or_default();
        send(events, &event).await;
    }

    /// Says a line in a room; gives the nickname it was said under.
    pub(crate) async fn say(&self, id: &RoomId, seat: u64, line: IncomingMessage) -> OpResult<Nickname> {
        let (nickname, events) = {
            let state = self.state();
            let room = state.rooms.get(id).ok_or_else(not_inside)?;
            (room.nickname(seat).ok_or_else(not_inside)?, room.events(Some(seat)))
        };
        send(events, &Event::Message(line.by(nickname.clone()))).await;
        Ok(nickname)
    }

    pub(crate) async fn whisper(&self, id: &RoomId, seat: u64, to: &Nickname, body: String, message: MessageId) -> OpResult<()> {
        let (nickname, events) = {
            let state = self.state();
            let room = state.rooms.get(id).ok_or_else(not_inside)?;
            let nobody = || OpError::new(OpErrorKind::NotFound, "Nobody of that name is in the room.");
            let events = room
                .inside
                .iter()
                .find(|i| i.nickname == *to)
                .map(|i| i.events.clone())
                .ok_or_else(nobody)?;
            (room.nickname(seat).ok_or_else(not_inside)?, events)
        };
        let mut line = IncomingMessage::new(
            Chat::Occupant {
                room: id.clone(),
                nickname,
            },
            body,
        );
        line.id = Some(message);
        send(vec![events], &Event::Message(line)).await;
        Ok(())
    }

    pub(crate) async fn set_subject(&self, id: &RoomId, seat: u64, subject: String) -> OpResult<()> {
        let (event, events) = {
            let mut state = self.state();
            let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
            let by = room.nickname(seat).ok_or_else(not_inside)?;
            room.subject.clone_from(&subject);
            let event = RoomSubject {
                room: id.clone(),
                subject,
                by: Some(by.as_str().to_owned()),
                timestamp: None,
            };
            (event, room.events(None))
        };
        send(events, &Event::RoomSubject(event)).await;
        Ok(())
    }

    pub(crate) async fn rename(&self, id: &RoomId, seat: u64, new: Nickname) -> OpResult<()> {
        let (old, events) = {
            let mut state = self.state();
            let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
            if (id.as_str() == LOBBY && new.as_str() == ADA) || room.inside.iter().any(|i| i.nickname == new && i.seat != seat) {
                return Err(taken());
            }
            let me = room.inside.iter_mut().find(|i| i.seat == seat).ok_or_else(not_inside)?;
            (std::mem::replace(&mut me.nickname, new.clone()), room.events(None))
        };
        send(
            events,
            &Event::OccupantRenamed(OccupantRenamed {
                room: id.clone(),
                old,
                new,
            }),
        )
        .await;
        Ok(())
    }

    pub(crate) async fn leave(&self, id: &RoomId, seat: u64) {
        let left = self.state().take_out(id, seat);
        if let Some((gone, events)) = left {
            send(events, &Event::OccupantGone(gone)).await;
        }
    }

    /// Somebody logs out: out of every room, and offline to everybody.
    pub(crate) async fn exit(&self, name: &ContactId, seat: u64) {
        let (left, others) = {
            let mut state = self.state();
            let rooms: Vec<RoomId> = state.rooms.keys().cloned().collect();
            let left: Vec<_> = rooms.iter().filter_map(|id| state.take_out(id, seat)).collect();
            if state.people.get(name).is_some_and(|p| p.seat == seat) {
                state.people.remove(name);
            }
            (left, state.others(name))
        };
        for (gone, events) in left {
            send(events, &Event::OccupantGone(gone)).await;
        }
        send(
            others,
            &Event::Contact(ContactUpdate::new(name.clone()).presence(Presence::OFFLINE)),
        )
        .await;
    }
}

impl State {
    fn others(&self, name: &ContactId) -> Vec<Events> {
        self.people
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(_, p)| p.events.clone())
            .collect()
    }

    /// Takes somebody out of a room; one that is empty then, and not the lobby, is gone.
    fn take_out(&mut self, id: &RoomId, seat: u64) -> Option<(OccupantGone, Vec<Events>)> {
        let room = self.rooms.get_mut(id)?;
        let at = room.inside.iter().position(|i| i.seat == seat)?;
        let nickname = room.inside.remove(at).nickname;
        let events = room.events(None);
        if room.inside.is_empty() && id.as_str() != LOBBY {
            self.rooms.remove(id);
        }
        Some((
            OccupantGone {
                room: id.clone(),
                nickname,
                departure: Departure::Left,
                reason: None,
            },
            events,
        ))
    }
}

impl Room {
    fn nickname(&self, seat: u64) -> Option<Nickname> {
        self.inside.iter().find(|i| i.seat == seat).map(|i| i.nickname.clone())
    }

    fn events(&self, except: Option<u64>) -> Vec<Events> {
        self.inside
            .iter()
            .filter(|i| Some(i.seat) != except)
            .map(|i| i.events.clone())
            .collect()
    }
}

/// To each of them; who is gone is gone.
async fn send(to: Vec<Events>, event: &Event) {
    for events in to {
        let _ = events.emit(event.clone()).await;
    }
}
