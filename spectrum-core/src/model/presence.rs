//! Whether somebody is there.

use crate::model::Timestamp;

/// How available somebody is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Availability {
    /// Online.
    #[default]
    Online,
    /// Free for chat.
    Chat,
    /// Away for a moment.
    Away,
    /// Away for long.
    ExtendedAway,
    /// Busy.
    DoNotDisturb,
    /// Online, and shown as offline. Only a user can be that; a contact is `Offline` then.
    Invisible,
    /// Not there.
    Offline,
}

impl Availability {
    /// False for `Offline` alone.
    pub fn is_online(self) -> bool {
        self != Self::Offline
    }
}

/// The presence of a contact, an occupant or the user.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Presence {
    /// How available.
    pub availability: Availability,
    /// Text to go with it.
    pub text: Option<String>,
    /// Since when the person has not touched the device, where the network says it.
    pub idle_since: Option<Timestamp>,
}

impl Presence {
    /// Online without a text.
    pub const ONLINE: Self = Self::of(Availability::Online);
    /// Offline without a text.
    pub const OFFLINE: Self = Self::of(Availability::Offline);

    /// This availability without a text.
    pub const fn of(availability: Availability) -> Self {
        Self {
            availability,
            text: None,
            idle_since: None,
        }
    }
}
