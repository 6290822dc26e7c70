//! One room and who is in it, and the rooms that are there from the start. Owned by the network.

use std::collections::BTreeMap;

use spectrum_backend_sdk::Event;
use spectrum_backend_sdk::model::{
    Affiliation, ContactId, Nickname, Occupant, Presence, Role, RoomId, RoomSubject, Secret, Timestamp,
};

use super::State;
use super::log::{Entry, Log};
use crate::line::Line;
use crate::people::{ADA, ECHO};

/// The room that everybody finds.
pub const LOBBY: &str = "lobby";
/// The room with thousands of members.
pub const CROWD: &str = "crowd";
/// The room where only those with voice may speak.
pub const COUNCIL: &str = "council";
/// The room with a password.
pub const VAULT: &str = "vault";
/// Its password.
pub const VAULT_PASSWORD: &str = "sesame";

/// Lines that had been said in the lobby before the network began.
const OLD_LINES: i64 = 60;
/// Between one of them and the next.
const OLD_LINE_EVERY: i64 = 60_000;
/// Names of affiliations kept of one room.
pub(super) const MAX_AFFILIATIONS: usize = 5_000;

/// A room.
#[derive(Default)]
pub(super) struct Room {
    pub(super) subject: String,
    pub(super) subject_by: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) moderated: bool,
    pub(super) members_only: bool,
    /// It stays when nobody is in it.
    pub(super) stays: bool,
    pub(super) inside: Vec<Inside>,
    /// What people are to it for good; who is not named is nothing special.
    pub(super) affiliations: BTreeMap<ContactId, Affiliation>,
    /// Why, where that was said.
    pub(super) reasons: BTreeMap<ContactId, String>,
    pub(super) log: Log,
}

/// Somebody in a room.
pub(super) struct Inside {
    pub(super) who: ContactId,
    pub(super) nickname: Nickname,
    pub(super) role: Role,
    pub(super) presence: Presence,
    /// Where to tell them; people who are always here need not be told.
    pub(super) line: Option<Line>,
}

impl Inside {
    pub(super) fn new(who: &str, nickname: &str) -> Self {
        Self {
            who: who.into(),
            nickname: nickname.into(),
            role: Role::Participant,
            presence: Presence::ONLINE,
            line: None,
        }
    }
}

impl Room {
    pub(super) fn by_person(&self, who: &ContactId) -> Option<&Inside> {
        self.inside.iter().find(|inside| inside.who == *who)
    }

    pub(super) fn by_nickname(&self, nickname: &Nickname) -> Option<&Inside> {
        self.inside.iter().find(|inside| inside.nickname == *nickname)
    }

    pub(super) fn nickname_of(&self, who: &ContactId) -> Option<&Nickname> {
        self.by_person(who).map(|inside| &inside.nickname)
    }

    pub(super) fn affiliation(&self, who: &ContactId) -> Affiliation {
        self.affiliations.get(who).copied().unwrap_or_default()
    }

    /// The role that goes with what somebody is.
    pub(super) fn role_for(&self, affiliation: Affiliation) -> Role {
        match affiliation {
            Affiliation::Owner | Affiliation::Admin => Role::Moderator,
            Affiliation::Member => Role::Participant,
            Affiliation::None | Affiliation::Outcast if self.moderated => Role::Visitor,
            Affiliation::None | Affiliation::Outcast => Role::Participant,
        }
    }

    pub(super) fn occupant(&self, id: &RoomId, inside: &Inside) -> Occupant {
        // Members of a crowd are nobody that one could write to outside of it.
        let is_somebody = !inside.who.as_str().starts_with(MEMBER);
        Occupant {
            role: inside.role,
            affiliation: self.affiliation(&inside.who),
            presence: inside.presence.clone(),
            contact: is_somebody.then(|| inside.who.clone()),
            stable_id: Some(inside.who.as_str().to_owned()),
            ..Occupant::new(id.clone(), inside.nickname.clone())
        }
    }

    pub(super) fn subject(&self, id: &RoomId) -> RoomSubject {
        RoomSubject {
            room: id.clone(),
            subject: self.subject.clone(),
            by: self.subject_by.clone(),
            timestamp: None,
        }
    }

    /// Tells everybody inside, the one it is about included.
    pub(super) fn tell(&self, event: &Event) {
        for line in self.inside.iter().filter_map(|inside| inside.line.as_ref()) {
            line.tell(event.clone());
        }
    }
}

/// How the names of the crowd begin; no account is called so, because of the space.
const MEMBER: &str = "member ";

/// Makes the rooms that are there from the start.
pub(super) fn furnish(state: &mut State, members: u32, now: Timestamp) {
    let mut lobby = standing_room("Welcome to the demo network");
    lobby.log = old_lines(state, now);
    let mut crowd = standing_room("Many people");
    crowd.inside.extend((1..=members).map(|n| {
        let name = format!("member {n:05}");
        Inside::new(&name, &name.replace(' ', ""))
    }));
    let mut council = standing_room("Only those with voice may speak");
    council.moderated = true;
    let mut vault = standing_room("You know the password");
    vault.password = Some(VAULT_PASSWORD.into());
    for (id, room) in [(LOBBY, lobby), (CROWD, crowd), (COUNCIL, council), (VAULT, vault)] {
        state.rooms.insert(id.into(), room);
    }
}

/// A room that stays, with `ada` in charge.
fn standing_room(subject: &str) -> Room {
    let mut room = Room {
        subject: subject.to_owned(),
        stays: true,
        ..Room::default()
    };
    room.affiliations.insert(ADA.into(), Affiliation::Owner);
    room.inside.push(Inside {
        role: Role::Moderator,
        ..Inside::new(ADA, ADA)
    });
    room
}

fn old_lines(state: &mut State, now: Timestamp) -> Log {
    let mut log = Log::default();
    for n in 1..=OLD_LINES {
        let who = if n % 2 == 0 { ADA } else { ECHO };
        let entry = Entry {
            id: state.next_id(),
            by: who.into(),
            nickname: Some(who.into()),
            body: format!("Line {n} of {OLD_LINES} said before you came."),
            attachments: Vec::new(),
            reply: None,
            at: Timestamp::from_millis(now.as_millis() - (OLD_LINES + 1 - n) * OLD_LINE_EVERY),
        };
        log.push(entry);
    }
    log
}
