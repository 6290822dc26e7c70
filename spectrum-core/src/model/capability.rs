//! What a network can do, declared by its backend and never guessed.

use serde::{Deserialize, Serialize};

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $bit:literal,)*) => {
        /// One thing a network can do. The number is its bit on the wire and never changes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum Capability {
            $($(#[$doc])* $name = $bit,)*
        }

        impl Capability {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

capabilities! {
    /// Rooms can be joined.
    Rooms = 0,
    /// Rooms can be listed.
    RoomList = 1,
    /// The user may change the nickname within a room.
    NicknameChange = 2,
    /// Subjects can be set.
    RoomSubject = 3,
    /// People can be invited to rooms.
    RoomInvite = 4,
    /// People can be kicked, banned, and given roles.
    RoomModeration = 5,
    /// Occupants can be written to in private.
    PrivateMessages = 6,
    /// How a room is set up can be seen and changed.
    RoomSettings = 7,
    /// Deliveries of one-to-one messages are reported.
    Receipts = 8,
    /// Typing is carried, both ways.
    ChatStates = 9,
    /// Messages can be changed.
    Edits = 10,
    /// Messages can be taken back.
    Retractions = 11,
    /// Messages can be reacted to.
    Reactions = 12,
    /// Messages can answer others.
    Replies = 13,
    /// Read markers are carried.
    Markers = 14,
    /// Attention can be called for.
    Attention = 15,
    /// Old messages can be asked for.
    History = 16,
    /// Sending the same id twice is harmless.
    IdempotentSend = 17,
    /// Who is banned from a room, or something to it, is listed and changed, also for people who are not there.
    RoomAffiliations = 18,
    /// The user's presence is carried.
    Presence = 20,
    /// Contacts can be added by the user.
    AddContacts = 21,
    /// Contacts can be renamed and filed by the user.
    UpdateContacts = 22,
    /// Contacts can be removed by the user.
    RemoveContacts = 23,
    /// Contacts can be blocked.
    Blocking = 24,
    /// Profiles can be fetched.
    Profiles = 25,
    /// The user's own profile can be set.
    OwnProfile = 26,
    /// People can be searched for.
    Search = 27,
    /// XHTML is understood.
    Xhtml = 28,
    /// XMPP stanzas are passed as text.
    RawXml = 30,
    /// The network keeps no list of contacts: the backend gets the stored ones with each login.
    ContactsAtLogin = 31,
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u64);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// These.
    pub const fn of(list: &[Capability]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// From the wire; bits this version does not know are kept and mean nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// For the wire.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether this is among them.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// With this one too.
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }
}

/// When two legacy names are the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum CaseMapping {
    /// ASCII letters fold.
    Ascii,
    /// ASCII letters fold, and `{}|~` are the small `[]\^` (RFC 1459).
    Rfc1459,
    /// All letters fold.
    #[default]
    Unicode,
    /// Case matters.
    Sensitive,
}

/// Who shows the user's own line in a room to the user's resources.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum RoomEcho {
    /// The core, once the send has succeeded. The backend emits no event for it.
    #[default]
    Core,
    /// The backend emits the user's own line as an event (Spectrum 2's wire).
    Backend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_bit_of_its_own() {
        for &one in Capability::ALL {
            let set = Capabilities::of(&[one]);
            assert_eq!(Capability::ALL.iter().filter(|c| set.has(**c)).count(), 1);
        }
    }
}
