//! What the store keeps, as its users see it: secrets open, ids typed.

use crate::model::{AvatarHash, ContactId, FormAnswers, LegacyName, Nickname, RoomId, Secret, Subscription, Timestamp, UserKey};
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

/// Whose name a localpart stands for. The same legacy name may be a contact's and a room's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NameKind {
    /// A contact, or a person met in a room.
    Contact,
    /// A room.
    Room,
}

/// A localpart given out for a legacy name: the persistent part of the session's name table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NameRecord {
    /// What the name is of.
    pub kind: NameKind,
    /// The name as the network writes it.
    pub name: LegacyName,
    /// The localpart of its JID, unique for the user over both kinds.
    pub localpart: String,
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
    /// Whether the user's XMPP roster is known to hold the contact, so that nobody is asked twice.
    pub in_roster: bool,
    /// Whether the user blocks the contact.
    pub blocked: bool,
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
            in_roster: false,
            blocked: false,
            avatar: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        check_text("contact", self.id.as_str())?;
        check_text("alias", self.alias.as_deref().unwrap_or_default())?;
        check_text("avatar", self.avatar.as_ref().map_or("", AvatarHash::as_str))
    }
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
}

/// Refuses what PostgreSQL cannot hold, so that every implementation refuses the same.
pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), StoreError> {
    if text.contains('\0') {
        Err(StoreError::Invalid { what })
    } else {
        Ok(())
    }
}
