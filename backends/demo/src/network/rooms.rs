//! Coming into rooms and leaving them, and what they are about. The state is the network's.

use spectrum_backend_sdk::model::{
    Affiliation, Chat, ContactId, Departure, Invitation, JoinRoom, Joined, Nickname, OccupantGone, OccupantRenamed, Presence,
    RoomId, RoomInfo, RoomSummary,
};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};

use super::room::{Inside, MAX_AFFILIATIONS, Room};
use super::{Network, State, nobody, not_inside};

/// Rooms at once, and of them those that one person is in.
const MAX_ROOMS: usize = 1_000;
const MAX_JOINED: usize = 100;
/// People in one room.
const MAX_INSIDE: usize = 60_000;
/// Lines said before that who comes in is shown.
const SHOWN_LINES: usize = 20;
/// Bytes of a subject.
const MAX_SUBJECT: usize = 4_096;

fn no_room() -> OpError {
    OpError::new(OpErrorKind::NotFound, "There is no such room; joining makes it.")
}

fn full(text: &str) -> OpError {
    OpError::new(OpErrorKind::Full, text)
}

fn taken() -> OpError {
    OpError::new(OpErrorKind::Conflict, "Somebody in the room has that nickname.")
}

impl Room {
    /// Whether somebody may come in.
    fn admit(&self, me: &ContactId, join: &JoinRoom) -> OpResult<()> {
        if self.affiliation(me) == Affiliation::Outcast {
            return Err(OpError::new(OpErrorKind::Banned, "You are banned from this room."));
        }
        if self.members_only && self.affiliation(me) == Affiliation::None {
            return Err(OpError::new(OpErrorKind::MembersOnly, "Only members may come in."));
        }
        if self.password.is_some() && self.password != join.password {
            return Err(OpError::new(OpErrorKind::NotAuthorized, "The room has another password."));
        }
        if self.by_nickname(&join.nickname).is_some_and(|other| other.who != *me) {
            return Err(taken());
        }
        if self.inside.len() >= MAX_INSIDE {
            return Err(full("The room is full."));
        }
        Ok(())
    }
}

impl Network {
    /// All rooms.
    pub(crate) fn rooms(&self) -> Vec<RoomSummary> {
        let state = self.state();
        let summary = |(id, room): (&RoomId, &Room)| RoomSummary {
            id: id.clone(),
            name: Some(id.as_str().to_owned()),
            occupants: u32::try_from(room.inside.len()).ok(),
            subject: Some(room.subject.clone()),
        };
        state.rooms.iter().map(summary).collect()
    }

    /// What a room is.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn room_info(&self, id: &RoomId) -> OpResult<RoomInfo> {
        let state = self.state();
        let room = state.rooms.get(id).ok_or_else(no_room)?;
        Ok(RoomInfo {
            name: Some(id.as_str().to_owned()),
            subject: Some(room.subject.clone()),
            occupants: u32::try_from(room.inside.len()).ok(),
            password_protected: room.password.is_some(),
            members_only: room.members_only,
            moderated: room.moderated,
            hidden: false,
        })
    }

    /// Lets somebody into a room, or makes it: who is there, they themselves, the subject and the last lines go into their
    /// line, in this order.
    ///
    /// # Errors
    /// What keeps them out.
    pub(crate) fn join(&self, me: &ContactId, join: &JoinRoom) -> OpResult<Joined> {
        let id = &join.room;
        let mut state = self.state();
        let line = state
            .people
            .get(me)
            .map(|person| (person.line.clone(), person.presence.clone()));
        let joined = state.rooms.values().filter(|room| room.by_person(me).is_some()).count();
        let rooms = state.rooms.len();
        match state.rooms.get(id) {
            Some(room) => room.admit(me, join)?,
            None if rooms >= MAX_ROOMS => return Err(full("The demo network has too many rooms.")),
            None => {
                let mut room = Room::default();
                room.affiliations.insert(me.clone(), Affiliation::Owner);
                state.rooms.insert(id.clone(), room);
            }
        }
        let Some(room) = state.rooms.get_mut(id) else {
            return Err(no_room());
        };
        let before = room.by_person(me).map(|inside| inside.nickname.clone());
        if before.is_none() && joined >= MAX_JOINED {
            return Err(full("You are in too many rooms."));
        }
        if before.as_ref().is_some_and(|before| *before != join.nickname) {
            return Err(OpError::new(
                OpErrorKind::Conflict,
                "You are in the room under another nickname.",
            ));
        }
        if before.is_none() {
            let role = room.role_for(room.affiliation(me));
            let (line, presence) = line.map_or((None, Presence::ONLINE), |(line, presence)| (Some(line), presence));
            let inside = Inside {
                role,
                presence,
                line,
                ..Inside::new(me.as_str(), join.nickname.as_str())
            };
            let news = Event::Occupant(room.occupant(id, &inside));
            room.tell(&news);
            room.inside.push(inside);
        }
        room.welcome(me, id);
        Ok(Joined {
            nickname: join.nickname.clone(),
        })
    }

    /// Somebody leaves a room.
    pub(crate) fn leave(&self, me: &ContactId, id: &RoomId) {
        self.state().take_out(id, me, Departure::Left, None);
    }

    /// Somebody sets the subject.
    ///
    /// # Errors
    /// They are not inside, or it is too long.
    pub(crate) fn set_subject(&self, me: &ContactId, id: &RoomId, subject: String) -> OpResult<()> {
        if subject.len() > MAX_SUBJECT {
            return Err(OpError::new(OpErrorKind::TooLong, "The subject is too long."));
        }
        let mut state = self.state();
        let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
        let by = room.nickname_of(me).ok_or_else(not_inside)?.as_str().to_owned();
        room.subject = subject;
        room.subject_by = Some(by);
        room.tell(&Event::RoomSubject(room.subject(id)));
        Ok(())
    }

    /// Somebody takes another nickname.
    ///
    /// # Errors
    /// It is taken, or they are not inside.
    pub(crate) fn rename(&self, me: &ContactId, id: &RoomId, new: &Nickname) -> OpResult<()> {
        let mut state = self.state();
        let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
        if room.by_nickname(new).is_some_and(|other| other.who != *me) {
            return Err(taken());
        }
        let inside = room
            .inside
            .iter_mut()
            .find(|inside| inside.who == *me)
            .ok_or_else(not_inside)?;
        let old = std::mem::replace(&mut inside.nickname, new.clone());
        room.tell(&Event::OccupantRenamed(OccupantRenamed {
            room: id.clone(),
            old,
            new: new.clone(),
        }));
        Ok(())
    }

    /// Somebody inside invites somebody; where only members may come in, that makes a member of them.
    ///
    /// # Errors
    /// There is nobody of that name, or they are not inside.
    pub(crate) fn invite(&self, me: &ContactId, id: &RoomId, contact: &ContactId, reason: Option<String>) -> OpResult<()> {
        let mut state = self.state();
        if !state.exists(contact) {
            return Err(nobody());
        }
        let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
        room.nickname_of(me).ok_or_else(not_inside)?;
        if room.members_only && room.affiliation(contact) == Affiliation::None && room.affiliations.len() < MAX_AFFILIATIONS {
            room.affiliations.insert(contact.clone(), Affiliation::Member);
        }
        let invitation = Invitation {
            room: id.clone(),
            from: Some(me.clone()),
            reason,
            password: room.password.as_ref().map(|password| password.expose().to_owned()),
        };
        if let Some(person) = state.people.get(contact) {
            person.line.tell(Event::Invited(invitation));
        }
        Ok(())
    }

    /// The nickname of somebody in a room.
    pub(crate) fn nickname_in(&self, id: &RoomId, who: &ContactId) -> Option<Nickname> {
        self.state().rooms.get(id)?.nickname_of(who).cloned()
    }

    /// Who has this nickname in a room.
    pub(crate) fn person_in(&self, id: &RoomId, nickname: &Nickname) -> Option<ContactId> {
        self.state()
            .rooms
            .get(id)?
            .by_nickname(nickname)
            .map(|inside| inside.who.clone())
    }
}

impl Room {
    /// Shows somebody who has come in what there is.
    fn welcome(&self, me: &ContactId, id: &RoomId) {
        let Some(inside) = self.by_person(me) else { return };
        let Some(line) = &inside.line else { return };
        let others = self.inside.iter().filter(|other| other.who != *me);
        let mut events: Vec<_> = others.map(|other| Event::Occupant(self.occupant(id, other))).collect();
        events.push(Event::Occupant(self.occupant(id, inside)));
        events.push(Event::RoomSubject(self.subject(id)));
        let old = self
            .log
            .tail(SHOWN_LINES)
            .map(|entry| entry.seen_by(me, Chat::Room(id.clone())));
        events.extend(old.map(Event::Message));
        line.tell_all(events);
    }
}

impl State {
    /// Takes somebody out of a room, and tells everybody: also them, unless they left by themselves.
    pub(super) fn take_out(&mut self, id: &RoomId, who: &ContactId, departure: Departure, reason: Option<String>) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let Some(at) = room.inside.iter().position(|inside| inside.who == *who) else {
            return;
        };
        let knows = matches!(departure, Departure::Left | Departure::Disconnected);
        let gone = room.inside.remove(at);
        let news = Event::OccupantGone(OccupantGone {
            room: id.clone(),
            nickname: gone.nickname,
            departure,
            reason,
        });
        room.tell(&news);
        if let Some(line) = gone.line.filter(|_| !knows) {
            line.tell(news);
        }
        if room.inside.is_empty() && !room.stays {
            self.rooms.remove(id);
        }
    }

    /// Takes somebody out of every room.
    pub(super) fn leave_all(&mut self, who: &ContactId) {
        let ids: Vec<_> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.by_person(who).is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.take_out(&id, who, Departure::Left, None);
        }
    }

    /// Shows somebody's presence in the rooms they are in.
    pub(super) fn show_in_rooms(&mut self, who: &ContactId, presence: &Presence) {
        // Who hides does not leave.
        if !presence.availability.is_online() {
            return;
        }
        for (id, room) in &mut self.rooms {
            let Some(at) = room.inside.iter().position(|inside| inside.who == *who) else {
                continue;
            };
            if room.inside[at].presence != *presence {
                room.inside[at].presence = presence.clone();
                room.tell(&Event::Occupant(room.occupant(id, &room.inside[at])));
            }
        }
    }
}
