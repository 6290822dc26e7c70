//! How rooms are set up, and their lists of who is something to them. The state is the network's.

use std::collections::BTreeMap;

use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, ContactId, Departure, Field, FieldKind, Form, FormAnswers, LegacyName, Role, RoomId, Secret,
    room_field,
};
use spectrum_backend_sdk::{OpError, OpErrorKind, OpResult};

use super::room::Room;
use super::standing::{not_allowed, rank};
use super::{Network, not_inside};

/// Bytes of a password.
const MAX_PASSWORD: usize = 256;

/// Something an admin does to somebody who need not be in the room.
pub(crate) struct Decree {
    pub(crate) who: LegacyName,
    pub(crate) affiliation: Affiliation,
    pub(crate) reason: Option<String>,
}

fn field(name: &str, label: &str, kind: FieldKind, default: &str) -> Field {
    Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        required: false,
        default: Some(default.to_owned()),
    }
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl Room {
    /// Refuses who is less than this.
    fn needs(&self, me: &ContactId, least: Affiliation) -> OpResult<()> {
        self.by_person(me).ok_or_else(not_inside)?;
        if rank(self.affiliation(me)) < rank(least) {
            return Err(not_allowed("You have not enough to say in this room."));
        }
        Ok(())
    }
}

impl Network {
    /// How a room is set up.
    ///
    /// # Errors
    /// Whoever asks does not own it, or is not inside.
    pub(crate) fn room_settings(&self, me: &ContactId, id: &RoomId) -> OpResult<Form> {
        let state = self.state();
        let room = state.rooms.get(id).ok_or_else(not_inside)?;
        room.needs(me, Affiliation::Owner)?;
        let password = room.password.as_ref().map(Secret::expose).unwrap_or_default();
        let boolean = |name, label, value| field(name, label, FieldKind::Boolean, yes_or_no(value));
        Ok(Form {
            title: format!("Settings of {id}"),
            instructions: String::new(),
            fields: vec![
                boolean(room_field::MODERATED, "Only those with voice may speak", room.moderated),
                boolean(room_field::MEMBERS_ONLY, "Only members may come in", room.members_only),
                boolean(room_field::PERSISTENT, "It stays when nobody is in it", room.stays),
                field(
                    room_field::PASSWORD,
                    "Password, if one is needed",
                    FieldKind::Password,
                    password,
                ),
            ],
        })
    }

    /// Sets a room up.
    ///
    /// # Errors
    /// As of [`Network::room_settings`]; a value is too long.
    pub(crate) fn configure_room(&self, me: &ContactId, id: &RoomId, answers: &FormAnswers) -> OpResult<()> {
        let mut state = self.state();
        let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
        room.needs(me, Affiliation::Owner)?;
        let says = |name: &str| answers.get(name).map(|value| matches!(value.expose(), "1" | "true"));
        if let Some(password) = answers.get(room_field::PASSWORD) {
            if password.expose().len() > MAX_PASSWORD {
                return Err(OpError::new(OpErrorKind::TooLong, "The password is too long."));
            }
            room.password = (!password.is_empty()).then(|| password.clone());
        }
        room.members_only = says(room_field::MEMBERS_ONLY).unwrap_or(room.members_only);
        room.stays = says(room_field::PERSISTENT).unwrap_or(room.stays);
        if let Some(moderated) = says(room_field::MODERATED).filter(|moderated| *moderated != room.moderated) {
            room.moderated = moderated;
            let plain: Vec<ContactId> = room
                .inside
                .iter()
                .filter(|inside| room.affiliation(&inside.who) == Affiliation::None && inside.role != Role::Moderator)
                .map(|inside| inside.who.clone())
                .collect();
            let role = room.role_for(Affiliation::None);
            for who in plain {
                room.set_role(id, &who, role);
            }
        }
        Ok(())
    }

    /// Who is this to a room.
    ///
    /// # Errors
    /// Whoever asks is not inside, or asks for outcasts without being an admin.
    pub(crate) fn affiliated(&self, me: &ContactId, id: &RoomId, affiliation: Affiliation) -> OpResult<Vec<Affiliated>> {
        let state = self.state();
        let room = state.rooms.get(id).ok_or_else(not_inside)?;
        let least = if affiliation == Affiliation::Outcast {
            Affiliation::Admin
        } else {
            Affiliation::None
        };
        room.needs(me, least)?;
        let reasons: &BTreeMap<ContactId, String> = &room.reasons;
        let listed = room.affiliations.iter().filter(|(_, is)| **is == affiliation);
        Ok(listed
            .map(|(who, affiliation)| Affiliated {
                who: LegacyName::from(who),
                affiliation: *affiliation,
                nickname: room.nickname_of(who).cloned(),
                reason: reasons.get(who).cloned(),
            })
            .collect())
    }

    /// Makes somebody something to a room, there or not.
    ///
    /// # Errors
    /// Whoever does it may not, or the list is full.
    pub(crate) fn decree(&self, me: &ContactId, id: &RoomId, decree: Decree) -> OpResult<()> {
        let Decree {
            who,
            affiliation,
            reason,
        } = decree;
        let who = ContactId::from(who.as_str());
        let mut state = self.state();
        let room = state.rooms.get_mut(id).ok_or_else(not_inside)?;
        let least = if rank(affiliation) > rank(Affiliation::Admin) {
            Affiliation::Owner
        } else {
            Affiliation::Admin
        };
        room.needs(me, least)?;
        if who != *me && rank(room.affiliation(&who)) > rank(room.affiliation(me)) {
            return Err(not_allowed("They have more to say here than you."));
        }
        room.set_affiliation(&who, affiliation, reason.clone())?;
        if affiliation == Affiliation::Outcast {
            let by = room.nickname_of(me).cloned();
            state.take_out(id, &who, Departure::Banned { by }, reason);
        } else {
            let role = room.role_for(affiliation);
            room.set_role(id, &who, role);
        }
        Ok(())
    }
}
