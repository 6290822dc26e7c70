//! Who may do what in rooms: kicks, bans, roles and affiliations. The state is the network's.

use spectrum_backend_sdk::model::{Affiliation, ContactId, Departure, Nickname, Role, RoomId, Standing};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};

use super::room::{MAX_AFFILIATIONS, Room};
use super::{Network, not_inside};

/// Bytes of a reason that is kept.
const MAX_REASON: usize = 1_024;

/// Something a moderator does to somebody in a room.
pub(crate) struct Measure<'a> {
    pub(crate) room: &'a RoomId,
    pub(crate) nickname: &'a Nickname,
    pub(crate) reason: Option<String>,
}

pub(super) fn not_allowed(text: &str) -> OpError {
    OpError::new(OpErrorKind::NotAllowed, text)
}

/// How much somebody has to say in a room.
pub(super) fn rank(affiliation: Affiliation) -> u8 {
    match affiliation {
        Affiliation::Owner => 3,
        Affiliation::Admin => 2,
        Affiliation::Member => 1,
        Affiliation::None | Affiliation::Outcast => 0,
    }
}

impl Room {
    /// The person a measure is about, if whoever takes it may.
    fn subject_of(&self, me: &ContactId, nickname: &Nickname) -> OpResult<ContactId> {
        let mine = self.by_person(me).ok_or_else(not_inside)?;
        if mine.role != Role::Moderator {
            return Err(not_allowed("Only moderators may do that."));
        }
        let absent = || OpError::new(OpErrorKind::NotFound, "Nobody of that name is in the room.");
        let other = self.by_nickname(nickname).ok_or_else(absent)?;
        let is_other = other.who != *me;
        if is_other && rank(self.affiliation(&other.who)) > rank(self.affiliation(me)) {
            return Err(not_allowed("They have more to say here than you."));
        }
        Ok(other.who.clone())
    }
}

impl Network {
    /// Throws somebody out.
    ///
    /// # Errors
    /// Whoever does it may not, or nobody of that name is there.
    pub(crate) fn kick(&self, me: &ContactId, measure: Measure<'_>) -> OpResult<()> {
        let mut state = self.state();
        let room = state.rooms.get(measure.room).ok_or_else(not_inside)?;
        let who = room.subject_of(me, measure.nickname)?;
        let by = room.nickname_of(me).cloned();
        state.take_out(measure.room, &who, Departure::Kicked { by }, measure.reason);
        Ok(())
    }

    /// A ban is over.
    pub(crate) fn forgive(&self, room: &RoomId, who: &ContactId) {
        if let Some(room) = self.state().rooms.get_mut(room)
            && room.affiliation(who) == Affiliation::Outcast
        {
            room.affiliations.remove(who);
            room.reasons.remove(who);
        }
    }

    /// Gives somebody a role or an affiliation; `Outcast` throws them out for good.
    ///
    /// # Errors
    /// Whoever does it may not, or nobody of that name is there.
    pub(crate) fn set_standing(&self, me: &ContactId, measure: Measure<'_>, standing: Standing) -> OpResult<()> {
        let mut state = self.state();
        let room = state.rooms.get_mut(measure.room).ok_or_else(not_inside)?;
        let who = room.subject_of(me, measure.nickname)?;
        let by = room.nickname_of(me).cloned();
        match standing {
            Standing::Role(role) => room.set_role(measure.room, &who, role),
            Standing::Affiliation(affiliation) => {
                if rank(room.affiliation(me)) < rank(Affiliation::Admin).max(rank(affiliation)) {
                    return Err(not_allowed("Only those who have as much to say may give it."));
                }
                room.set_affiliation(&who, affiliation, measure.reason.clone())?;
                if affiliation == Affiliation::Outcast {
                    state.take_out(measure.room, &who, Departure::Banned { by }, measure.reason);
                } else {
                    let role = room.role_for(affiliation);
                    room.set_role(measure.room, &who, role);
                }
            }
        }
        Ok(())
    }
}

impl Room {
    pub(super) fn set_affiliation(&mut self, who: &ContactId, affiliation: Affiliation, reason: Option<String>) -> OpResult<()> {
        if self.affiliations.len() >= MAX_AFFILIATIONS && !self.affiliations.contains_key(who) {
            return Err(OpError::new(OpErrorKind::Full, "The room's list is full."));
        }
        self.reasons.remove(who);
        if affiliation == Affiliation::None {
            self.affiliations.remove(who);
            return Ok(());
        }
        self.affiliations.insert(who.clone(), affiliation);
        if let Some(mut reason) = reason {
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            self.reasons.insert(who.clone(), reason);
        }
        Ok(())
    }

    pub(super) fn set_role(&mut self, id: &RoomId, who: &ContactId, role: Role) {
        let Some(at) = self.inside.iter().position(|inside| inside.who == *who) else {
            return;
        };
        self.inside[at].role = role;
        self.tell(&Event::Occupant(self.occupant(id, &self.inside[at])));
    }
}
