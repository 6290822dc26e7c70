//! What a session task meets outside of itself: where what it says goes, and what keeps the user's things across sessions.

use async_trait::async_trait;
use xmpp_parsers::message::Message;

use crate::model::UserKey;
use crate::session::archive::{ArchiveAnswer, ArchivePage, ArchiveRequest};
use crate::session::{Account, AuthError, CloseReason, JournalChanges, Progress, Publication, RoomSecret, StoreRequest, Ticket};
use crate::stanza::Stanza;

/// Where what sessions say goes: a component stream, or the streams of clients. Never waits.
pub trait Outlet: Send + Sync + 'static {
    /// Sends the stanzas, in order, and empties the list. Each is addressed: to a full JID, or to a bare one, which means
    /// all available resources (or what the user's server makes of it).
    fn send(&self, user: &UserKey, stanzas: &mut Vec<Stanza>);
    /// A client that waits for its login is let in or not.
    fn authenticated(&self, user: &UserKey, ticket: Ticket, result: Result<(), AuthError>);
    /// How the user's login comes on, where somebody attends it.
    fn progress(&self, _user: &UserKey, _progress: Progress) {}
    /// Something belongs into the user's own account, where that can be reached. Nobody waits for it.
    fn publish(&self, _user: &UserKey, _publication: Publication) {}
    /// The user wrote something to the transport itself. Asked only where the face says that it is answered.
    fn said(&self, _user: &UserKey, _message: Message) {}
    /// The session is over; its last stanzas came before.
    fn closed(&self, user: &UserKey, reason: &CloseReason);
}

/// What a session keeps across its ends.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Everything kept of the user; `None` if there has to be a registration and there is none.
    ///
    /// # Errors
    /// A sentence for the log and the user.
    async fn load(&self, user: &UserKey) -> Result<Option<Account>, String>;
    /// Answers from the archive of a room, which is kept if [`Account::archive_is_stored`] says so.
    ///
    /// # Errors
    /// A sentence for the user.
    async fn archive(&self, user: &UserKey, room: &str, what: ArchiveRequest) -> Result<ArchiveAnswer, String>;
    /// Keeps changes, in their order, and with one commit where the store can do that. Returns once they are committed; what
    /// cannot be kept is logged there.
    async fn save(&self, user: &UserKey, changes: Vec<StoreRequest>);
    /// Keeps messages on their way. Returns once that is committed if it is urgent, else once it is queued.
    ///
    /// # Errors
    /// A sentence for the log; nothing of it is kept, or nobody can tell.
    async fn journal(&self, user: &UserKey, changes: &JournalChanges) -> Result<(), String>;
}

/// Keeps nothing: for a server without storage.
#[derive(Clone, Copy, Debug)]
pub struct NoStore {
    room_secret: RoomSecret,
}

impl NoStore {
    /// Ids of occupants are the same as long as it lives.
    ///
    /// # Errors
    /// A sentence for the log, if the system has no random bytes for them: ids that can be guessed say who is behind a
    /// nickname.
    pub fn new() -> Result<Self, String> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|failed| format!("the system has no random bytes: {failed}"))?;
        Ok(Self {
            room_secret: RoomSecret::new(bytes),
        })
    }
}

#[async_trait]
impl SessionStore for NoStore {
    async fn load(&self, _user: &UserKey) -> Result<Option<Account>, String> {
        Ok(Some(Account {
            room_secret: self.room_secret,
            ..Account::default()
        }))
    }

    async fn archive(&self, _user: &UserKey, _room: &str, _what: ArchiveRequest) -> Result<ArchiveAnswer, String> {
        Ok(ArchiveAnswer::Page(ArchivePage::default()))
    }

    async fn save(&self, _user: &UserKey, _changes: Vec<StoreRequest>) {}

    async fn journal(&self, _user: &UserKey, _changes: &JournalChanges) -> Result<(), String> {
        Ok(())
    }
}
