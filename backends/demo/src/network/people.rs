//! Who is here: logins and logouts, presence, profiles and pictures. The state is the network's.

use std::time::Duration;

use spectrum_backend_sdk::model::{
    Availability, AvatarHash, ContactId, ContactUpdate, OwnRoom, OwnRooms, Patch, Presence, Profile, ProfileUpdate, RoomId,
};
use spectrum_backend_sdk::{Event, LoginError, LoginErrorKind, OpResult, Retry};

use super::{MAX_PEOPLE, Network, Person, State, nobody};
use crate::line::Line;
use crate::people;
use crate::picture::fingerprint;

/// Bytes of a picture that a profile may have.
const MAX_PICTURE: usize = 1 << 20;

/// Rooms that another device of somebody's is in.
const MAX_OWN_ROOMS: usize = 100;

/// What others see of a presence.
fn shown(presence: Presence) -> Presence {
    if presence.availability == Availability::Invisible {
        Presence::OFFLINE
    } else {
        presence
    }
}

impl Network {
    /// Lets somebody in: their contacts go into the line first. Gives their seat.
    ///
    /// # Errors
    /// The name is taken, or the network is full.
    pub(crate) fn enter(&self, name: &ContactId, line: &Line, presence: Presence) -> Result<u64, LoginError> {
        let mut state = self.state();
        if state.people.contains_key(name) {
            return Err(LoginError::new(
                LoginErrorKind::NameInUse,
                "Somebody of that name is there already. Choose another.",
            ));
        }
        if state.people.len() >= MAX_PEOPLE {
            let full = LoginError::new(LoginErrorKind::Other, "The demo network is full.");
            return Err(full.retry(Retry::After(Duration::from_secs(60))));
        }
        if state.accounts.len() >= MAX_PEOPLE {
            let State { accounts, people, .. } = &mut *state;
            accounts.retain(|account, _| people.contains_key(account));
        }
        let account = state.accounts.entry(name.clone()).or_default();
        if account.profile.nickname.is_none() {
            account.profile.nickname = Some(name.as_str().to_owned());
        }
        let mut events: Vec<_> = state.contacts_of(name).into_iter().map(Event::Contact).collect();
        events.push(Event::OwnRooms(OwnRooms::All(state.own_rooms(name))));
        events.push(Event::ContactsComplete);
        line.tell_all(events);
        state.last += 1;
        let person = Person {
            seat: state.last,
            line: line.clone(),
            presence: shown(presence),
        };
        let seat = person.seat;
        state.people.insert(name.clone(), person);
        state.tell_watchers(name);
        Ok(seat)
    }

    /// Somebody logs out: out of every room, and offline to everybody.
    pub(crate) fn exit(&self, name: &ContactId, seat: u64) {
        let mut state = self.state();
        if state.people.get(name).is_none_or(|person| person.seat != seat) {
            return;
        }
        state.leave_all(name);
        state.people.remove(name);
        state.tell_watchers(name);
    }

    /// Another device of somebody's is in a room from now on, or not any more.
    pub(crate) fn set_own_room(&self, name: &ContactId, room: RoomId, is_in: bool) {
        let mut state = self.state();
        let rooms = &mut state.accounts.entry(name.clone()).or_default().rooms;
        let change = if !is_in {
            rooms.remove(&room);
            OwnRooms::Left(room)
        } else if rooms.len() < MAX_OWN_ROOMS {
            rooms.insert(room.clone());
            OwnRooms::Entered(own_room(name, &room))
        } else {
            return;
        };
        if let Some(person) = state.people.get(name) {
            person.line.tell(Event::OwnRooms(change));
        }
    }

    /// Shows somebody like this, to those who have them as a contact and in their rooms.
    pub(crate) fn set_presence(&self, name: &ContactId, presence: Presence) {
        let mut state = self.state();
        let presence = shown(presence);
        if let Some(person) = state.people.get_mut(name) {
            person.presence = presence.clone();
        }
        state.tell_watchers(name);
        state.show_in_rooms(name, &presence);
    }

    /// Changes somebody's profile.
    ///
    /// # Errors
    /// The picture is too large.
    pub(crate) fn set_profile(&self, name: &ContactId, update: ProfileUpdate) -> OpResult<()> {
        if update.avatar.as_set().is_some_and(|avatar| avatar.data.len() > MAX_PICTURE) {
            return Err(spectrum_backend_sdk::OpError::new(
                spectrum_backend_sdk::OpErrorKind::TooLong,
                "The picture is too large for the demo network.",
            ));
        }
        let mut state = self.state();
        let profile = &mut state.accounts.entry(name.clone()).or_default().profile;
        update.full_name.apply(&mut profile.full_name);
        update.nickname.apply(&mut profile.nickname);
        update.avatar.apply(&mut profile.avatar);
        state.tell_watchers(name);
        Ok(())
    }

    /// What is known of somebody.
    ///
    /// # Errors
    /// There is nobody of that name.
    pub(crate) fn profile(&self, name: &ContactId) -> OpResult<Profile> {
        let state = self.state();
        if let Some(profile) = people::profile(name.as_str(), state.face(name)) {
            return Ok(profile);
        }
        if state.people.contains_key(name) {
            return Ok(state
                .accounts
                .get(name)
                .map(|account| account.profile.clone())
                .unwrap_or_default());
        }
        Err(nobody())
    }

    /// Somebody who is always here takes another picture; `viewer` sees it at once.
    pub(crate) fn change_face(&self, name: &ContactId, viewer: &ContactId) {
        let mut state = self.state();
        *state.faces.entry(name.clone()).or_default() += 1;
        if let Some(person) = state.people.get(viewer) {
            person.line.tell(Event::Contact(state.card(viewer, name)));
        }
    }
}

fn own_room(name: &ContactId, room: &RoomId) -> OwnRoom {
    OwnRoom {
        id: room.clone(),
        name: Some(format!("Room {room}")),
        nickname: Some(name.as_str().into()),
    }
}

impl State {
    fn own_rooms(&self, name: &ContactId) -> Vec<OwnRoom> {
        let rooms = self.accounts.get(name).map(|account| &account.rooms);
        rooms.into_iter().flatten().map(|room| own_room(name, room)).collect()
    }

    /// How often somebody who is always here has taken another picture.
    fn face(&self, name: &ContactId) -> u32 {
        self.faces.get(name).copied().unwrap_or_default()
    }

    /// Somebody's presence now.
    pub(super) fn presence_of(&self, name: &ContactId) -> Presence {
        if people::is_one(name.as_str()) {
            return Presence::ONLINE;
        }
        self.people
            .get(name)
            .map_or(Presence::OFFLINE, |person| person.presence.clone())
    }

    /// What somebody's picture is called, if they have one.
    pub(super) fn picture_of(&self, name: &ContactId) -> Option<AvatarHash> {
        if people::is_one(name.as_str()) {
            let face = people::face_name(name.as_str(), self.face(name));
            return Some(AvatarHash::new(format!("{:016x}", fingerprint(&face))));
        }
        let avatar = self.accounts.get(name)?.profile.avatar.as_ref()?;
        let sum = avatar
            .data
            .iter()
            .fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
        Some(AvatarHash::new(format!("{sum:016x}-{}", avatar.data.len())))
    }

    /// Tells everybody who has this person as a contact how they are.
    fn tell_watchers(&self, name: &ContactId) {
        let (presence, avatar) = (self.presence_of(name), self.picture_of(name));
        for (other, person) in &self.people {
            if other != name && self.sees(other, name) {
                person.line.tell(Event::Contact(ContactUpdate {
                    presence: Patch::Set(presence.clone()),
                    avatar: avatar.clone().map_or(Patch::Clear, Patch::Set),
                    ..ContactUpdate::new(name.clone())
                }));
            }
        }
    }
}
