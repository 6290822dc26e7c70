//! People on the legacy side.

use crate::model::{AvatarHash, ContactId, Patch, Presence};

/// Whether the user and a contact see each other, as the network has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Subscription {
    /// Both see each other; what networks without the notion have.
    #[default]
    Both,
    /// The contact has not agreed yet.
    Ask,
}

/// Adds a contact or changes one. A contact not known before appears in the user's roster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactUpdate {
    /// Who.
    pub id: ContactId,
    /// Display name.
    pub alias: Patch<String>,
    /// Groups; `Clear` takes the contact out of all.
    pub groups: Patch<Vec<String>>,
    /// Presence; `Clear` is offline without text.
    pub presence: Patch<Presence>,
    /// Avatar; `Clear` is none.
    pub avatar: Patch<AvatarHash>,
    /// Whether the user blocks the contact on the network.
    pub blocked: Patch<bool>,
    /// Whether both see each other.
    pub subscription: Patch<Subscription>,
}

impl ContactUpdate {
    /// An update that changes nothing yet.
    pub fn new(id: impl Into<ContactId>) -> Self {
        Self {
            id: id.into(),
            alias: Patch::Keep,
            groups: Patch::Keep,
            presence: Patch::Keep,
            avatar: Patch::Keep,
            blocked: Patch::Keep,
            subscription: Patch::Keep,
        }
    }

    /// With this display name.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Patch::Set(alias.into());
        self
    }

    /// With this presence.
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = Patch::Set(presence);
        self
    }

    /// In these groups.
    pub fn groups(mut self, groups: impl IntoIterator<Item = String>) -> Self {
        self.groups = Patch::Set(groups.into_iter().collect());
        self
    }
}

/// What the user wants a contact to be called and where it is filed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactDetails {
    /// Who.
    pub id: ContactId,
    /// Display name, if the user gave one.
    pub alias: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
}

/// Somebody on the network asks to see the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactRequest {
    /// Who asks.
    pub id: ContactId,
    /// Display name, where the network gives one.
    pub alias: Option<String>,
    /// What they wrote with it.
    pub text: Option<String>,
}

/// A hit of a search for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactSummary {
    /// Who.
    pub id: ContactId,
    /// Display name.
    pub alias: Option<String>,
}
