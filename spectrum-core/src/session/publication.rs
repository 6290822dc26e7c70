//! What a session wants noted in the user's own account on their server: it is the user's, so the mode has to be let to.

use jid::BareJid;

/// Something to be noted there. Only the mode knows whether it can be; nobody is told if not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Publication {
    /// The rooms that the user is in on the network (XEP-0402).
    Bookmarks(Bookmarks),
    /// The user has read a chat up to here with a client of the network (XEP-0490).
    Displayed {
        /// The chat.
        chat: BareJid,
        /// The id of the newest line read, given by `by` (XEP-0359).
        id: String,
        /// Who gave it: the room.
        by: BareJid,
    },
}

/// Which rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bookmarks {
    /// These, and none else at the transport.
    All(Vec<Bookmark>),
    /// This one too, or it has changed.
    Added(Bookmark),
    /// Not this one any more.
    Removed(BareJid),
}

/// A room for the user's bookmarks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bookmark {
    /// Its address.
    pub room: BareJid,
    /// Its name for people.
    pub name: Option<String>,
    /// The user's name in it.
    pub nickname: Option<String>,
}
