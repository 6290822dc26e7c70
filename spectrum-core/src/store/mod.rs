//! What an instance keeps: registrations, contacts, names, rooms to rejoin, what was said in rooms, preferences, grants.
//!
//! One trait of flat verbs, three implementations (in memory, SQLite, PostgreSQL), one conformance suite. The store owns
//! its connections and its key; everybody else asks.
//!
//! A write verb resolves once its change is committed, so an answer given afterwards never promises too much. Reads go
//! past the queue of writes: whoever needs to read its own write awaits that write first.

pub mod conformance;
mod error;
pub mod expiry;
mod journal;
mod memory;
mod record;
pub mod seal;
mod sessions;
mod sql;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{ContactId, RoomId, Timestamp, UserKey};
use crate::session::archive::{ArchiveAnswer, ArchiveChange, ArchiveRequest};

pub use error::StoreError;
pub(crate) use journal::decode;
pub use journal::{Commit, MessageChanges, MessageRecord};
pub use memory::MemoryStore;
pub use record::{
    ContactRecord, NameRecord, NewRegistration, Registration, RegistrationSummary, RoomRecord, RosterEntry, RosterState,
};
pub use sessions::{GuestSessions, RegisteredSessions, STAY_CONNECTED};
pub use sql::SqlStore;

/// The memory of an instance.
///
/// Every verb may be called from many tasks at once. A verb waits while the queue of writes is full; a verb that is
/// dropped before it resolved may still take effect. What is stored under one user is never seen under another.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The legacy credentials of a user, if registered.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if the stored password cannot be opened; otherwise the database's.
    async fn load_registration(&self, user: &UserKey) -> Result<Option<Registration>, StoreError>;

    /// Registers a user or changes the credentials. A change keeps the time of creation, the last login, the online flag
    /// and everything else kept for the user. `at` is the time of creation of a new registration.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError>;

    /// Registers a user who is not registered yet; a registration that is there stays as it is. True if there was none.
    ///
    /// # Errors
    /// As [`Store::save_registration`].
    async fn add_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<bool, StoreError>;

    /// Registers a user with another account: forgets the user as [`Store::remove_user`] does and registers anew, both at once, so
    /// that nobody who reads meanwhile finds a user without a registration, or what belongs to the old account with the new one.
    ///
    /// # Errors
    /// As [`Store::save_registration`]; after an error the old account is kept.
    async fn change_account(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError>;

    /// Forgets a user: registration, contacts, names, roster, rooms, bookmarks, archives, preferences and the key that sealed them. True if the user
    /// was registered.
    ///
    /// # Errors
    /// The database's.
    async fn remove_user(&self, user: &UserKey) -> Result<bool, StoreError>;

    /// Registered users in the order of their keys, at most `limit` of them, from the first one after `after` on.
    /// Opens no seal.
    ///
    /// # Errors
    /// The database's.
    async fn list_registrations(&self, after: Option<&UserKey>, limit: u32) -> Result<Vec<RegistrationSummary>, StoreError>;

    /// Notes a login that succeeded: the time, and that the user is online. Nothing happens for a user not registered.
    ///
    /// # Errors
    /// The database's.
    async fn record_login(&self, user: &UserKey, at: Timestamp) -> Result<(), StoreError>;

    /// Notes that a registered user is online or not; whoever is online when the instance ends is probed at its next
    /// start. Nothing happens for a user not registered.
    ///
    /// # Errors
    /// The database's.
    async fn save_online(&self, user: &UserKey, online: bool) -> Result<(), StoreError>;

    /// The users noted as online, in the order of their keys.
    ///
    /// # Errors
    /// The database's.
    async fn list_online(&self) -> Result<Vec<UserKey>, StoreError>;

    /// The localparts given out to a user's contacts and rooms.
    ///
    /// # Errors
    /// The database's.
    async fn load_names(&self, user: &UserKey) -> Result<Vec<NameRecord>, StoreError>;

    /// Keeps localparts. All or none are kept.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if a localpart belongs to another name of this user; [`StoreError::Invalid`].
    async fn save_names(&self, user: &UserKey, names: Vec<NameRecord>) -> Result<(), StoreError>;

    /// The contacts of a user.
    ///
    /// # Errors
    /// The database's.
    async fn load_contacts(&self, user: &UserKey) -> Result<Vec<ContactRecord>, StoreError>;

    /// Adds contacts or replaces what is kept of them. All or none are kept.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_contacts(&self, user: &UserKey, contacts: Vec<ContactRecord>) -> Result<(), StoreError>;

    /// What is known of the user's XMPP roster, in the order of the JIDs.
    ///
    /// # Errors
    /// The database's.
    async fn load_roster(&self, user: &UserKey) -> Result<Vec<RosterEntry>, StoreError>;

    /// Keeps what has become known of roster entries. All or none are kept.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_roster(&self, user: &UserKey, entries: Vec<RosterEntry>) -> Result<(), StoreError>;

    /// Notes that the roster no longer holds a contact. True if it was there.
    ///
    /// # Errors
    /// The database's.
    async fn remove_roster_entry(&self, user: &UserKey, jid: &str) -> Result<bool, StoreError>;

    /// Forgets a contact, but not its localpart: it must come back under the same JID. True if it was there.
    ///
    /// # Errors
    /// The database's.
    async fn remove_contact(&self, user: &UserKey, contact: &ContactId) -> Result<bool, StoreError>;

    /// The rooms to rejoin at the next login.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] if a room's password cannot be opened; otherwise the database's.
    async fn load_rooms(&self, user: &UserKey) -> Result<Vec<RoomRecord>, StoreError>;

    /// Adds a room to rejoin or replaces what is kept of it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_room(&self, user: &UserKey, room: RoomRecord) -> Result<(), StoreError>;

    /// Forgets a room to rejoin, but not its localpart. True if it was there.
    ///
    /// # Errors
    /// The database's.
    async fn remove_room(&self, user: &UserKey, room: &RoomId) -> Result<bool, StoreError>;

    /// What a user has chosen.
    ///
    /// # Errors
    /// The database's.
    async fn load_preferences(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError>;

    /// Keeps one choice; `None` returns to the default.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_preference(&self, user: &UserKey, key: &str, value: Option<&str>) -> Result<(), StoreError>;

    /// What is kept of a user's messages, in the order of their places.
    ///
    /// # Errors
    /// The database's.
    async fn load_messages(&self, user: &UserKey) -> Result<Vec<MessageRecord>, StoreError>;

    /// Keeps and forgets messages. Returns once the changes are in the queue of the writer; they are committed when the
    /// [`Commit`] says so, and all or none are. Whoever has nothing to promise need not wait for that.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; [`StoreError::Closed`].
    async fn save_messages(&self, user: &UserKey, changes: MessageChanges) -> Result<Commit, StoreError>;

    /// Messages without a fate that were sent before `before`, the oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// The database's.
    async fn list_waiting(&self, before: Timestamp, limit: u32) -> Result<Vec<(UserKey, MessageRecord)>, StoreError>;

    /// What is known of the bookmarks that we keep in a user's account, by the rooms' JIDs, in the writer's own notation.
    ///
    /// # Errors
    /// The database's.
    async fn load_bookmarks(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError>;

    /// Keeps what has become known of bookmarks; `None` forgets one. All or none are kept.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_bookmarks(&self, user: &UserKey, changes: BTreeMap<String, Option<String>>) -> Result<(), StoreError>;

    /// What each domain has granted us (XEP-0356), in the writer's own notation.
    ///
    /// # Errors
    /// The database's.
    async fn load_grants(&self) -> Result<BTreeMap<String, String>, StoreError>;

    /// Keeps what a domain has granted; `None` if it took everything back.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn save_grants(&self, domain: &str, grants: Option<&str>) -> Result<(), StoreError>;

    /// What ids of occupants are made with: random at first, the same ever after.
    ///
    /// # Errors
    /// The database's.
    async fn room_secret(&self) -> Result<[u8; 32], StoreError>;

    /// Changes a user's archive of a room, named by its localpart. All of a change is kept or none; a line whose id the
    /// archive has already stays as it is. True if anything is different afterwards.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for text no database takes; otherwise the database's.
    async fn change_archive(&self, user: &UserKey, room: &str, change: ArchiveChange) -> Result<bool, StoreError>;

    /// Answers from a user's archive of a room.
    ///
    /// # Errors
    /// The database's.
    async fn ask_archive(&self, user: &UserKey, room: &str, what: &ArchiveRequest) -> Result<ArchiveAnswer, StoreError>;

    /// Takes what was said before this out of the archives of all users. True if there was anything.
    ///
    /// # Errors
    /// The database's.
    async fn expire_archives(&self, oldest: Timestamp) -> Result<bool, StoreError>;

    /// Commits what is queued and closes. Every verb called later fails with [`StoreError::Closed`].
    async fn close(&self);
}

/// Random bytes.
fn random_secret() -> Result<[u8; 32], StoreError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    Ok(bytes)
}

/// Where a store is and what opens it.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// `sqlite:///path`, `postgres://…`, or `memory:` for one that forgets at the end.
    pub url: String,
    /// The instance's JID. A database belongs to one instance.
    pub instance: String,
    /// The file with the instance's key; see [`seal::KeyFile`]. `$CREDENTIALS_DIRECTORY` in front is replaced.
    pub key_file: PathBuf,
    /// Whether a commit waits until the disk has it (SQLite; PostgreSQL decides for itself).
    pub survive_power_cuts: bool,
}

/// Opens a store: connects, brings the schema up to date, verifies the key.
///
/// # Errors
/// Every variant of [`StoreError`] that tells of opening; [`StoreError::is_configuration`] says whether the operator must
/// change something (exit 78).
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    if options.url == "memory:" {
        return Ok(Arc::new(MemoryStore::new()));
    }
    Ok(Arc::new(SqlStore::open(options).await?))
}
