//! Who is on this link, and how far.

use std::collections::HashMap;

use super::room::Room;
use crate::model::{AssignmentId, Chat, ContactId, LegacyName, Nickname, RequestId, RoomId, UserKey};
use crate::wire::ToBackend;

/// Where a user stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// LOGIN was sent.
    LoggingIn,
    /// CONNECTED has come.
    Online,
    /// DISCONNECTED has come; LOGOUT is still to be sent.
    Closed,
    /// LOGOUT was sent; over once a PONG confirms it.
    Leaving,
}

/// One user.
pub(super) struct User {
    pub(super) assignment: AssignmentId,
    pub(super) name: LegacyName,
    pub(super) phase: Phase,
    rooms: HashMap<String, Room>,
    /// The next assignment, while this one is leaving, with the frames that wait for it.
    pub(super) next: Option<Next>,
}

/// A login that waits for a logout.
pub(super) struct Next {
    pub(super) assignment: AssignmentId,
    pub(super) held: Vec<ToBackend>,
}

impl User {
    pub(super) fn new(assignment: AssignmentId, name: LegacyName) -> Self {
        Self {
            assignment,
            name,
            phase: Phase::LoggingIn,
            rooms: HashMap::new(),
            next: None,
        }
    }

    pub(super) fn accepts_events(&self) -> bool {
        matches!(self.phase, Phase::LoggingIn | Phase::Online)
    }

    pub(super) fn room(&mut self, room: &RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(&folded(room.as_str()))
    }

    pub(super) fn knows_room(&self, name: &str) -> bool {
        // Most users are in no room, and most of what they get is no room's.
        !self.rooms.is_empty() && self.rooms.contains_key(&folded(name))
    }

    /// Enters a room; returns what was known of it.
    pub(super) fn enter(&mut self, room: &RoomId, entered: Room) -> Option<Room> {
        self.rooms.insert(folded(room.as_str()), entered)
    }

    pub(super) fn leave(&mut self, room: &RoomId) -> Option<Room> {
        self.rooms.remove(&folded(room.as_str()))
    }

    /// Takes all requests to join that are still open.
    pub(super) fn take_joins(&mut self) -> Vec<RequestId> {
        self.rooms
            .values_mut()
            .filter_map(|room| room.join.take())
            .map(|join| join.request)
            .collect()
    }

    /// The chat that a name stands for: a room, `room/nickname`, or else a contact.
    pub(super) fn chat(&self, name: &str) -> Chat {
        if self.knows_room(name) {
            return Chat::Room(RoomId::from(name));
        }
        let occupant = name.match_indices('/').find(|(slash, _)| self.knows_room(&name[..*slash]));
        match occupant {
            Some((slash, _)) => Chat::Occupant {
                room: RoomId::from(&name[..slash]),
                nickname: Nickname::from(&name[slash + 1..]),
            },
            None => Chat::Contact(ContactId::from(name)),
        }
    }
}

/// Rooms come back in another case than they were asked for: libpurple's backend folds them.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// All users of the link.
#[derive(Default)]
pub(super) struct Users {
    by_key: HashMap<UserKey, User>,
    keys: HashMap<AssignmentId, UserKey>,
}

impl Users {
    pub(super) fn get(&self, user: &UserKey) -> Option<&User> {
        self.by_key.get(user)
    }

    /// The user of this name, with the key that needs no copy of it.
    pub(super) fn find(&self, name: &str) -> Option<(&UserKey, &User)> {
        self.by_key.get_key_value(name)
    }

    pub(super) fn get_mut(&mut self, user: &UserKey) -> Option<&mut User> {
        self.by_key.get_mut(user)
    }

    /// Whose assignment this is, now or next.
    pub(super) fn key(&self, assignment: AssignmentId) -> Option<UserKey> {
        self.keys.get(&assignment).cloned()
    }

    pub(super) fn insert(&mut self, key: UserKey, user: User) {
        self.keys.insert(user.assignment, key.clone());
        self.by_key.insert(key, user);
    }

    /// Remembers whose the next assignment will be.
    pub(super) fn reserve(&mut self, key: UserKey, assignment: AssignmentId) {
        self.keys.insert(assignment, key);
    }

    pub(super) fn forget(&mut self, assignment: AssignmentId) {
        self.keys.remove(&assignment);
    }

    pub(super) fn remove(&mut self, key: &UserKey) -> Option<User> {
        let user = self.by_key.remove(key)?;
        self.keys.remove(&user.assignment);
        Some(user)
    }

    /// Takes the joins that began too long ago.
    pub(super) fn give_up_joins(&mut self, late: impl Fn(u32) -> bool) -> Vec<(AssignmentId, RequestId)> {
        let mut given_up = Vec::new();
        for user in self.by_key.values_mut() {
            for room in user.rooms.values_mut() {
                if let Some(join) = room.join.take_if(|join| late(join.since)) {
                    given_up.push((user.assignment, join.request));
                }
            }
        }
        given_up
    }
}
