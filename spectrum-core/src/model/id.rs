//! Ids as types of their own, so that a contact can never be taken for a room. Cheap to clone: text ids share one allocation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is: no folding, no trimming, no check.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text, byte for byte as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text_id! {
    /// A person's, room's or account's name on the legacy network, exactly as the network writes it (case kept).
    LegacyName
}
text_id! {
    /// A contact, by its legacy name.
    ContactId
}
text_id! {
    /// A room, by its legacy name.
    RoomId
}
text_id! {
    /// A message: the network's id where the event comes from the network, the core's where the core sends.
    MessageId
}
text_id! {
    /// A name inside one room.
    Nickname
}
text_id! {
    /// The XMPP person, by bare JID in its prepared form. Opaque to backends.
    UserKey
}

impl UserKey {
    /// The domain of the user's server.
    pub fn domain(&self) -> &str {
        let text = self.as_str();
        text.split_once('@').map_or(text, |(_, domain)| domain)
    }
}

number_id! {
    /// One stay of one user on one backend. Every request and event carries it; events of an older one are dropped.
    AssignmentId(u64)
}
number_id! {
    /// A request of the core within one assignment.
    RequestId(u64)
}
number_id! {
    /// A question a login asks back, within one assignment.
    PromptId(u64)
}
number_id! {
    /// A backend of this main process, counted from 1.
    BackendId(u32)
}

impl From<&ContactId> for LegacyName {
    fn from(id: &ContactId) -> Self {
        Self(Arc::clone(&id.0))
    }
}

impl From<&RoomId> for LegacyName {
    fn from(id: &RoomId) -> Self {
        Self(Arc::clone(&id.0))
    }
}

impl From<&LegacyName> for ContactId {
    fn from(name: &LegacyName) -> Self {
        Self(Arc::clone(&name.0))
    }
}

impl From<&LegacyName> for RoomId {
    fn from(name: &LegacyName) -> Self {
        Self(Arc::clone(&name.0))
    }
}

/// Where a message belongs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Chat {
    /// One to one with a contact.
    Contact(ContactId),
    /// A room, said to everybody in it.
    Room(RoomId),
    /// A private message between the user and somebody in a room.
    Occupant {
        /// The room both are in.
        room: RoomId,
        /// The other one's nickname.
        nickname: Nickname,
    },
}
