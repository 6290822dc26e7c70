//! What a session is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use jid::ResourcePart;

use crate::backend::BackendInfo;
use crate::backend::link::LinkInput;
use crate::face::UserIn;
use crate::model::{AvatarHash, ContactId, FormAnswers, LegacyName, Nickname, PromptId, RoomId, Secret, Subscription};
use crate::session::RoomSecret;
use crate::session::archive::ArchiveAnswer;
use crate::session::{JournalRecord, RecentReply};

/// Names one client that waits for its login to be accepted or refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(pub u64);

/// What a session is told, one thing at a time.
#[derive(Debug)]
pub enum Input {
    /// The session begins: it asks the store for what is kept of the user.
    Start,
    /// A client wants in with these credentials (a server's SASL); answered by [`Output::Authenticated`](super::Output::Authenticated).
    /// The first one gives the session its account; a later one must present the same password.
    Authenticate {
        /// For the answer.
        ticket: Ticket,
        /// The account on the network.
        name: LegacyName,
        /// Its password.
        password: Secret,
    },
    /// The client that waited is gone.
    Abandoned(Ticket),
    /// A stanza of the user.
    User(Box<UserIn>),
    /// A resource's connection is gone without an unavailable presence (where we are the server).
    ResourceLost(ResourcePart),
    /// The store's answer to [`StoreRequest::Load`](super::StoreRequest::Load): `None` if there is no registration.
    Loaded(Option<Box<Account>>),
    /// The store's answer to [`StoreRequest::AskArchive`](super::StoreRequest::AskArchive), before any other input.
    Archive {
        /// Of the request.
        request: u64,
        /// What the archive says, or why it cannot.
        answer: Result<ArchiveAnswer, String>,
    },
    /// The store could not answer.
    StoreFailed(String),
    /// The user has a seat on a backend.
    Assigned(Arc<BackendInfo>),
    /// There is no backend for the user; the reason is for the user.
    NotAssigned(String),
    /// From the link of the present assignment.
    Link(LinkInput),
    /// A deadline of [`next_deadline`](super::Session::next_deadline) has passed.
    Tick,
    /// The registration has changed or gone; `None`: gone, end without a word.
    Registration(Option<Box<Account>>),
    /// These messages, by their places, could not be journaled: they are not sent, and their sender is told.
    NotKept(Vec<u64>),
    /// Somebody wants to know where the user's last messages are.
    Recent(RecentReply),
    /// The link to the XMPP server has been lost: presence of the user is not to be trusted until it is heard again.
    XmppLost,
    /// The link to the XMPP server is back: the user has been probed, and counts as offline if silent until the deadline.
    XmppBack,
    /// Too much came from the network at once to be queued: the session ends with a text.
    Overflow,
    /// Somebody follows the login and shows its questions from now on, or nobody does any more: then they are asked in the chat.
    Attend(bool),
    /// The answer to a question of the login, from whoever attends it; `None`: the person gave up.
    Answer(PromptId, Option<FormAnswers>),
    /// The user has chosen something.
    Setting {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// An administrator, or the end of the instance, ends the session.
    End(String),
}

/// What is kept of a user.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The account on the network.
    pub name: Option<LegacyName>,
    /// Its password.
    pub password: Option<Secret>,
    /// Further fields of the registration and preferences.
    pub settings: BTreeMap<String, String>,
    /// The roster.
    pub contacts: Vec<StoredContact>,
    /// Rooms to join again.
    pub rooms: Vec<StoredRoom>,
    /// Localparts that were given to legacy names and must stay.
    pub names: Vec<StoredName>,
    /// What the instance makes ids of occupants with.
    pub room_secret: RoomSecret,
    /// Whether the store keeps the archives of rooms; otherwise the session does, while it lives.
    pub archive_is_stored: bool,
    /// Messages that have no fate yet, and the ids of others, by their places.
    pub messages: Vec<JournalRecord>,
}

/// A contact as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredContact {
    /// Who.
    pub id: ContactId,
    /// Display name.
    pub alias: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whether both see each other.
    pub subscription: Subscription,
    /// Avatar.
    pub avatar: Option<AvatarHash>,
}

/// A room to join again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRoom {
    /// Which.
    pub id: RoomId,
    /// Under which name.
    pub nickname: Nickname,
    /// With which password.
    pub password: Option<Secret>,
    /// The resources that are in it. Given back only if the instance ended without taking them out: they do not know it.
    pub viewers: Vec<ResourcePart>,
}

/// A localpart given to a legacy name that the pure mapping would not give back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredName {
    /// The localpart.
    pub localpart: String,
    /// The name it stands for.
    pub name: LegacyName,
}
