//! How one mode spells session events in XMPP: the only place, beside the binaries, where the modes differ. Pure.
//!
//! The session says what happened. Most of it is the same stanza in both modes and comes as [`UserOut::Stanza`]; the
//! rest are the nine things in which the modes differ, and a face writes them.

use jid::{BareJid, NodePart, ResourcePart, ResourceRef};
use xmpp_parsers::message::Message;

use crate::backend::LoginError;
use crate::model::{Availability, Presence, UserKey};
use crate::stanza::Stanza;

/// Spells session events in XMPP for one mode.
pub trait Face: Send + Sync + 'static {
    /// Says what a stanza from outside is. Its `from` has been stamped or verified.
    fn read(&self, stanza: Stanza) -> Read;

    /// Appends the stanzas that say `out` to the user.
    fn write(&self, user: &UserView<'_>, out: UserOut, stanzas: &mut Vec<Stanza>);

    /// What sessions have to know of the mode.
    fn traits(&self) -> FaceTraits;
}

/// What sessions have to know of the mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaceTraits {
    /// Messages for a user without a resource are held by the session and delivered later with their time (XEP-0203).
    /// Otherwise they are sent, and the user's server keeps them.
    pub holds_messages: bool,
    /// The session serves the roster to its user.
    pub serves_roster: bool,
    /// What the user writes to the transport itself is answered; otherwise it is refused.
    pub answers_chat: bool,
}

/// What a stanza from outside is.
#[derive(Clone, PartialEq, Debug)]
pub enum Read {
    /// Something for the session of this user.
    User(UserKey, Box<UserIn>),
    /// A request to the transport itself, or a presence that does not belong to a session.
    Service(Stanza),
    /// Not acceptable; this is the answer.
    Reject(Stanza),
    /// Nothing to do and nobody to tell.
    Ignore,
}

/// A stanza of a user, addressed.
#[derive(Clone, PartialEq, Debug)]
pub struct UserIn {
    /// The user's resource; `None` when the user's server speaks for the bare JID.
    pub resource: Option<ResourcePart>,
    /// Whom it is for.
    pub to: To,
    /// The stanza itself.
    pub stanza: Stanza,
}

/// Whom a user's stanza is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum To {
    /// The transport: a presence meant for it (or, where we are the server, for everybody), a request about the session.
    Transport,
    /// The user's own account, where we are the server.
    Account,
    /// A contact, a room, or an occupant.
    Peer {
        /// The localpart.
        node: NodePart,
        /// The resource: a nickname in a room.
        resource: Option<ResourcePart>,
    },
}

/// What a face may look at while it writes.
#[derive(Clone, Copy, Debug)]
pub struct UserView<'a> {
    /// The user.
    pub jid: &'a BareJid,
    /// The transport.
    pub transport: &'a BareJid,
    /// The user's available resources.
    pub resources: &'a [ResourceView],
}

/// A resource of the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourceView {
    /// Its name.
    pub resource: ResourcePart,
    /// How available it is.
    pub availability: Availability,
    /// Its priority (RFC 6121 4.7.2.3).
    pub priority: i8,
    /// Whether it has asked for the roster.
    pub interested: bool,
}

impl UserView<'_> {
    /// The resource of this name.
    pub fn resource(&self, name: &ResourceRef) -> Option<&ResourceView> {
        self.resources.iter().find(|r| &*r.resource == name)
    }
}

/// Something happened that the user is to see.
#[derive(Clone, PartialEq, Debug)]
pub enum UserOut {
    /// A stanza that is the same in both modes: `from` is at the transport's domain, `to` the user's bare or full JID.
    Stanza(Stanza),
    /// 1: a roster item is new or has changed, or is gone.
    Roster(RosterChange),
    /// 2: a subscription request of the user to a contact was answered with yes or no.
    SubscriptionAnswered {
        /// The contact.
        contact: BareJid,
        /// The answer.
        accepted: bool,
        /// The contact is new and wants to see the user too. Never said of one that is in the list already: an answer that
        /// asks, and a client that answers and asks, would go on for ever.
        asks: bool,
        /// The contact's name (XEP-0172).
        name: Option<String>,
    },
    /// 2: a contact asks to see the user.
    SubscriptionRequested {
        /// The contact.
        contact: BareJid,
        /// Their name (XEP-0172).
        name: Option<String>,
        /// What they wrote with it.
        text: Option<String>,
    },
    /// 4: the login failed, for good or for the moment.
    LoginFailed {
        /// Why.
        error: LoginError,
        /// Whether the session tries again by itself.
        retrying: bool,
    },
    /// 5: how the transport itself is to be seen: online, or on the way there with a text.
    TransportPresence {
        /// To this resource alone; `None`: to all.
        to: Option<ResourcePart>,
        /// How.
        presence: Presence,
    },
    /// 7: the user wrote this with another client of the network; `from` is the user, `to` the contact.
    OwnMessage(Message),
    /// 8: the session is over. The contacts have been shown as unavailable before.
    Closed {
        /// For the user.
        reason: String,
    },
    /// The user has no registration, so there is no session.
    NotRegistered,
}

/// A change of one roster item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterChange {
    /// The contact.
    pub jid: BareJid,
    /// Display name.
    pub name: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// What happens to the item.
    pub kind: RosterChangeKind,
    /// The roster's version after it (RFC 6121 2.6), where the session serves the roster.
    pub version: Option<String>,
}

/// What happens to a roster item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterChangeKind {
    /// It is there, and both see each other.
    Both,
    /// It is there, and the contact has not agreed yet.
    Ask,
    /// It is gone.
    Removed,
}
