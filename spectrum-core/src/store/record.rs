//! What the store keeps, as its users see it: secrets open, ids typed.

use std::collections::BTreeMap;

use crate::model::{AvatarHash, ContactId, FormAnswers, LegacyName, Nickname, RoomId, Secret, Subscription, Timestamp, UserKey};
use crate::session::archive::ArchiveChange;
use crate::store::StoreError;

/// The legacy credentials of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The account on the legacy network.
    pub legacy_name: LegacyName,
    /// Its password; empty where the network needs none.
    pub password: Secret,
    /// The other fields of the registration form and what a backend keeps for the account.
    pub settings: FormAnswers,
    /// When the user registered.
    pub created: Timestamp,
    /// When the user last logged in, if ever.
    pub last_login: Option<Timestamp>,
    /// Whether the user was online when this was last noted.
    pub online: bool,
}

/// What a user gives to register or to change the credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRegistration {
    /// The account on the legacy network.
    pub legacy_name: LegacyName,
    /// Its password; empty where the network needs none.
    pub password: Secret,
    /// The other fields.
    pub settings: FormAnswers,
}

/// What lists show of a registration: nothing secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistrationSummary {
    /// Whose it is.
    pub user: UserKey,
    /// The account on the legacy network.
    pub legacy_name: LegacyName,
    /// When the user registered.
    pub created: Timestamp,
    /// When the user last logged in, if ever.
    pub last_login: Option<Timestamp>,
    /// Whether the user was online when this was last noted.
    pub online: bool,
}

/// A localpart given out for a legacy name: the persistent part of the session's name table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NameRecord {
    /// The localpart of a JID, unique for the user.
    pub localpart: String,
    /// The name it stands for, as the network writes it. A name may have more than one localpart.
    pub name: LegacyName,
}

/// A contact of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactRecord {
    /// Who.
    pub id: ContactId,
    /// Display name.
    pub alias: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether both see each other on the network.
    pub subscription: Subscription,
    /// The avatar last shown.
    pub avatar: Option<AvatarHash>,
}

impl ContactRecord {
    /// A contact of whom only the id is known.
    pub fn new(id: impl Into<ContactId>) -> Self {
        Self {
            id: id.into(),
            alias: None,
            groups: Vec::new(),
            subscription: Subscription::Both,
            avatar: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_text("contact", self.id.as_str())?;
        check_text("alias", self.alias.as_deref().unwrap_or_default())?;
        check_text("avatar", self.avatar.as_ref().map_or("", AvatarHash::as_str))
    }
}

/// What is known of the user's XMPP roster on another server, so that nobody is asked twice and no ghost stays behind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RosterEntry {
    /// The contact's bare JID.
    pub jid: String,
    /// How far it got.
    pub state: RosterState,
}

/// How far a contact has got into the user's XMPP roster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RosterState {
    /// A subscription request was sent; the user has not answered.
    Asked,
    /// The roster holds it.
    Held,
}

/// A room to rejoin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRecord {
    /// Which.
    pub room: RoomId,
    /// The user's nickname in it.
    pub nickname: Nickname,
    /// Its password, if it has one.
    pub password: Option<Secret>,
    /// The user's resources that were in it when this was kept.
    pub viewers: Vec<String>,
}

impl RoomRecord {
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_text("room", self.room.as_str())?;
        check_text("nickname", self.nickname.as_str())?;
        self.viewers.iter().try_for_each(|viewer| check_text("resource", viewer))
    }
}

/// Refuses what PostgreSQL cannot hold, so that every implementation refuses the same.
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        Err(StoreError::Invalid { what })
    } else {
        Ok(())
    }
}

/// What no database takes as text of bookmarks.
pub(crate) fn check_bookmarks(changes: &BTreeMap<String, Option<String>>) -> Result<(), StoreError> {
    changes.iter().try_for_each(|(room, entry)| {
        check_text("room", room)?;
        check_text("bookmark", entry.as_deref().unwrap_or_default())
    })
}

/// The same for a change of an archive.
pub(crate) fn check_archive(room: &str, change: &ArchiveChange) -> Result<(), StoreError> {
    check_text("room", room)?;
    match change {
        ArchiveChange::Append(lines) => lines.iter().try_for_each(|line| {
            check_text("line", &line.id)?;
            check_text("line", &line.stanza)
        }),
        ArchiveChange::Replace { id, stanza } => {
            check_text("line", id)?;
            check_text("line", stanza)
        }
        ArchiveChange::Trim(_) => Ok(()),
    }
}
