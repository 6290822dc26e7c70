//! The store as sessions see it: everything of a user at once, changes one by one. Owns nothing but a handle of the store.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::future::{MaybeDone, maybe_done};
use jid::{NodePart, ResourcePart};
use tracing::error;

use crate::backend::BackendInfo;
use crate::model::{FormAnswers, Secret, Timestamp, UserKey};
use crate::session::archive::{ArchiveAnswer, ArchiveRequest};
use crate::session::{Account, JournalChanges, NameTable, RoomSecret, StoreRequest, StoredContact, StoredName, StoredRoom};
use crate::session_task::SessionStore;
use crate::store::journal;
use crate::store::{ContactRecord, MessageChanges, NameRecord, NewRegistration, RoomRecord, Store, StoreError};

/// The user's own say whether they stay on the network without a client; a preference.
pub const STAY_CONNECTED: &str = "stay_connected";

/// Sessions of users who must be registered; what they keep lies in a [`Store`].
#[derive(Clone)]
pub struct RegisteredSessions {
    kept: Kept,
}

impl RegisteredSessions {
    /// On top of a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { kept: Kept { store } }
    }

    /// A user without a session has removed a contact, known by the localpart of its JID: the next login does not begin
    /// with it. True if it was kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_contact(&self, user: &UserKey, node: &NodePart, info: &BackendInfo) -> Result<bool, StoreError> {
        let mut names = NameTable::new(info);
        let stored = self.kept.store.load_names(user).await?;
        names.load(stored.into_iter().map(StoredName::from).collect());
        let name = names.name_of(node);
        // Case is the network's business: the contact is kept as the network writes it.
        let contacts = self.kept.store.load_contacts(user).await?;
        match contacts
            .into_iter()
            .find(|contact| names.same(contact.id.as_str(), name.as_str()))
        {
            Some(contact) => self.kept.store.remove_contact(user, &contact.id).await,
            None => Ok(false),
        }
    }

    async fn account(&self, user: &UserKey) -> Result<Option<Account>, StoreError> {
        let Some(registration) = self.kept.store.load_registration(user).await? else {
            return Ok(None);
        };
        let mut account = self.kept.account(user).await?;
        let mut settings: BTreeMap<String, String> = registration
            .settings
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        settings.append(&mut account.settings);
        // Of a user who was not online any more, every client knows that it is in no room.
        if !registration.online {
            account.rooms.iter_mut().for_each(|room| room.viewers.clear());
        }
        Ok(Some(Account {
            name: Some(registration.legacy_name),
            password: Some(registration.password),
            settings,
            ..account
        }))
    }
}

#[async_trait]
impl SessionStore for RegisteredSessions {
    async fn load(&self, user: &UserKey) -> Result<Option<Account>, String> {
        self.account(user).await.map_err(unreadable)
    }

    async fn archive(&self, user: &UserKey, room: &str, what: ArchiveRequest) -> Result<ArchiveAnswer, String> {
        self.kept.archive(user, room, what).await
    }

    async fn save(&self, user: &UserKey, changes: Vec<StoreRequest>) {
        self.kept.save(user, changes.into_iter()).await;
    }

    async fn journal(&self, user: &UserKey, changes: &JournalChanges) -> Result<(), String> {
        self.kept.keep(user, changes).await
    }
}

/// Sessions of users who bring their credentials at every login, as the clients of a server do: what they keep lies in a
/// [`Store`], but never a password, neither theirs nor a room's.
#[derive(Clone)]
pub struct GuestSessions {
    kept: Kept,
}

impl GuestSessions {
    /// On top of a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { kept: Kept { store } }
    }
}

#[async_trait]
impl SessionStore for GuestSessions {
    async fn load(&self, user: &UserKey) -> Result<Option<Account>, String> {
        let mut account = self.kept.account(user).await.map_err(unreadable)?;
        // Its streams ended with the instance: every client knows that it is in no room.
        account.rooms.iter_mut().for_each(|room| room.viewers.clear());
        Ok(Some(account))
    }

    async fn archive(&self, user: &UserKey, room: &str, what: ArchiveRequest) -> Result<ArchiveAnswer, String> {
        self.kept.archive(user, room, what).await
    }

    async fn save(&self, user: &UserKey, changes: Vec<StoreRequest>) {
        let kept = changes.into_iter().filter_map(|change| match change {
            // Without its password it could not be joined again: that is left to the client.
            StoreRequest::SaveRoom(StoredRoom {
                id, password: Some(_), ..
            }) => Some(StoreRequest::RemoveRoom(id)),
            // Nobody is asked for at the next start.
            StoreRequest::SetOnline(_) => None,
            change => Some(change),
        });
        self.kept.save(user, kept).await;
    }

    async fn journal(&self, user: &UserKey, changes: &JournalChanges) -> Result<(), String> {
        self.kept.keep(user, changes).await
    }
}

/// What is kept of a user whether registered or not.
#[derive(Clone)]
struct Kept {
    store: Arc<dyn Store>,
}

impl Kept {
    async fn account(&self, user: &UserKey) -> Result<Account, StoreError> {
        let settings = self.store.load_preferences(user).await?;
        let room_secret = RoomSecret::new(self.store.room_secret().await?);
        let contacts = self.store.load_contacts(user).await?;
        let rooms = self.store.load_rooms(user).await?;
        let names = self.store.load_names(user).await?;
        let messages = self.store.load_messages(user).await?;
        Ok(Account {
            name: None,
            password: None,
            settings,
            contacts: contacts.into_iter().map(StoredContact::from).collect(),
            rooms: rooms.into_iter().map(StoredRoom::from).collect(),
            names: names.into_iter().map(StoredName::from).collect(),
            room_secret,
            archive_is_stored: true,
            messages: messages.into_iter().filter_map(journal::decode).collect(),
        })
    }

    async fn journal(&self, user: &UserKey, changes: &JournalChanges) -> Result<(), StoreError> {
        let commit = self.store.save_messages(user, MessageChanges::encode(changes)?).await?;
        if changes.is_urgent() { commit.done().await } else { Ok(()) }
    }

    async fn keep(&self, user: &UserKey, changes: &JournalChanges) -> Result<(), String> {
        self.journal(user, changes).await.map_err(|failed| {
            error!(
                error = &failed as &dyn std::error::Error,
                "Could not journal messages of a user."
            );
            "The transport could not write to its database.".to_owned()
        })
    }

    async fn archive(&self, user: &UserKey, room: &str, what: ArchiveRequest) -> Result<ArchiveAnswer, String> {
        self.store.ask_archive(user, room, &what).await.map_err(unreadable)
    }

    /// All are put into the queue of the writer before the first is waited for, in their order: it writes what it finds there
    /// with one commit.
    async fn save(&self, user: &UserKey, changes: impl Iterator<Item = StoreRequest> + Send) {
        let changes: Vec<_> = changes
            .map(|change| maybe_done(Box::pin(self.change(user, change))))
            .collect();
        for failed in in_order(changes).await.into_iter().filter_map(Result::err) {
            error!(
                error = &failed as &dyn std::error::Error,
                "Could not keep a change of a user."
            );
        }
    }

    async fn change(&self, user: &UserKey, change: StoreRequest) -> Result<(), StoreError> {
        match change {
            StoreRequest::Load | StoreRequest::AskArchive { .. } => Ok(()),
            StoreRequest::ChangeArchive { room, change } => self.store.change_archive(user, &room, change).await.map(drop),
            StoreRequest::RegisterAs(legacy_name) => {
                let new = NewRegistration {
                    legacy_name,
                    password: Secret::default(),
                    settings: FormAnswers::new(),
                };
                self.store.add_registration(user, new, now()).await.map(drop)
            }
            StoreRequest::SaveContact(contact) => self.store.save_contacts(user, vec![contact.into()]).await,
            StoreRequest::RemoveContact(id) => self.store.remove_contact(user, &id).await.map(drop),
            StoreRequest::SaveName(name) => {
                let record = NameRecord {
                    localpart: name.localpart,
                    name: name.name,
                };
                self.store.save_names(user, vec![record]).await
            }
            StoreRequest::SaveRoom(room) => {
                let record = RoomRecord {
                    room: room.id,
                    nickname: room.nickname,
                    password: room.password,
                    viewers: room.viewers.iter().map(|viewer| viewer.as_str().to_owned()).collect(),
                };
                self.store.save_room(user, record).await
            }
            StoreRequest::RemoveRoom(id) => self.store.remove_room(user, &id).await.map(drop),
            StoreRequest::SetOnline(true) => self.store.record_login(user, now()).await,
            StoreRequest::SetOnline(false) => self.store.save_online(user, false).await,
            StoreRequest::SaveSetting { name, value } => self.store.save_preference(user, &name, Some(&value)).await,
        }
    }
}

/// Waits for all, and asks every time in the order in which they stand: none gets past one before it. (`join_all` asks many in the
/// order in which they woke up.)
async fn in_order<F: Future + Unpin>(mut all: Vec<MaybeDone<F>>) -> Vec<F::Output>
where
    F::Output: Unpin,
{
    poll_fn(|cx| {
        let mut pending = false;
        for one in &mut all {
            pending |= Pin::new(one).poll(cx).is_pending();
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    all.iter_mut().filter_map(|one| Pin::new(one).take_output()).collect()
}

/// Logs why what is kept could not be read, and gives what the user is told.
fn unreadable(failed: StoreError) -> String {
    error!(
        error = &failed as &dyn std::error::Error,
        "Could not load what is kept of a user."
    );
    "The transport could not read its database. Try again later.".to_owned()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl From<ContactRecord> for StoredContact {
    fn from(record: ContactRecord) -> Self {
        Self {
            id: record.id,
            alias: record.alias,
            groups: record.groups,
            subscription: record.subscription,
            avatar: record.avatar,
        }
    }
}

impl From<StoredContact> for ContactRecord {
    fn from(contact: StoredContact) -> Self {
        Self {
            alias: contact.alias,
            groups: contact.groups,
            subscription: contact.subscription,
            avatar: contact.avatar,
            ..Self::new(contact.id)
        }
    }
}

impl From<NameRecord> for StoredName {
    fn from(record: NameRecord) -> Self {
        Self {
            localpart: record.localpart,
            name: record.name,
        }
    }
}

impl From<RoomRecord> for StoredRoom {
    fn from(record: RoomRecord) -> Self {
        Self {
            id: record.room,
            nickname: record.nickname,
            password: record.password,
            viewers: record
                .viewers
                .iter()
                .filter_map(|viewer| Some(ResourcePart::new(viewer).ok()?.into_owned()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::LegacyName;
    use crate::store::MemoryStore;

    async fn registered() -> (Arc<MemoryStore>, RegisteredSessions, UserKey) {
        let (store, user) = (Arc::new(MemoryStore::new()), UserKey::from("romeo@x"));
        let settings = FormAnswers::from([("encoding".to_owned(), "utf-8".into()), ("tls".to_owned(), "1".into())]);
        let new = NewRegistration {
            legacy_name: "Romeo".into(),
            password: "p".into(),
            settings,
        };
        store.save_registration(&user, new, Timestamp::from_secs(1)).await.unwrap();
        (Arc::clone(&store), RegisteredSessions::new(store), user)
    }

    #[tokio::test]
    async fn who_is_not_registered_has_no_account() {
        let (_, sessions, _) = registered().await;
        assert!(sessions.load(&UserKey::from("juliet@x")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_a_session_keeps_is_there_the_next_time() {
        let (_, sessions, user) = registered().await;
        let contact = StoredContact::from(ContactRecord {
            alias: Some("N".to_owned()),
            ..ContactRecord::new("Nurse")
        });
        let room = StoredRoom {
            id: "#v".into(),
            nickname: "r".into(),
            password: Some("k".into()),
            viewers: Vec::new(),
        };
        let name = StoredName {
            localpart: "nurse-2".to_owned(),
            name: LegacyName::from("nurse"),
        };
        for change in [
            StoreRequest::SaveContact(contact.clone()),
            StoreRequest::SaveRoom(room.clone()),
            StoreRequest::SaveName(name.clone()),
            StoreRequest::SaveSetting {
                name: "tls".to_owned(),
                value: "0".to_owned(),
            },
        ] {
            sessions.save(&user, vec![change]).await;
        }
        let account = sessions.load(&user).await.unwrap().unwrap();
        assert_eq!((account.name, account.password), (Some("Romeo".into()), Some("p".into())));
        assert_eq!(
            (account.contacts, account.rooms, account.names),
            (vec![contact], vec![room], vec![name])
        );
        let settings = [("encoding", "utf-8"), ("tls", "0")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(account.settings, settings.into(), "the user's own choice counts");
    }

    #[tokio::test]
    async fn a_contact_removed_without_a_session_is_found_by_its_localpart_and_not_in_the_next_login() {
        let (store, sessions, user) = registered().await;
        let nurse = StoredContact::from(ContactRecord::new("Nurse"));
        sessions.save(&user, vec![StoreRequest::SaveContact(nurse)]).await;
        let name = StoredName {
            localpart: "nurse-2".to_owned(),
            name: LegacyName::from("nurse"),
        };
        sessions.save(&user, vec![StoreRequest::SaveName(name)]).await;
        let info = BackendInfo::new("Net", "net");
        let node = |text: &str| NodePart::new(text).unwrap().into_owned();
        assert!(!sessions.forget_contact(&user, &node("juliet"), &info).await.unwrap());
        assert!(sessions.forget_contact(&user, &node("nurse-2"), &info).await.unwrap());
        assert_eq!(store.load_contacts(&user).await.unwrap(), []);
    }

    #[tokio::test]
    async fn going_online_is_a_login() {
        let (store, sessions, user) = registered().await;
        sessions.save(&user, vec![StoreRequest::SetOnline(true)]).await;
        let kept = store.load_registration(&user).await.unwrap().unwrap();
        assert!(kept.online && kept.last_login.is_some());
        sessions.save(&user, vec![StoreRequest::SetOnline(false)]).await;
        assert!(store.list_online().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_was_in_a_room_is_known_until_the_user_is_offline() {
        let (_, sessions, user) = registered().await;
        let room = StoredRoom {
            id: "#verona".into(),
            nickname: "r".into(),
            password: None,
            viewers: vec![ResourcePart::new("orchard").unwrap().into_owned()],
        };
        sessions.save(&user, vec![StoreRequest::SetOnline(true)]).await;
        sessions.save(&user, vec![StoreRequest::SaveRoom(room.clone())]).await;
        assert_eq!(
            sessions.load(&user).await.unwrap().unwrap().rooms,
            std::slice::from_ref(&room)
        );
        sessions.save(&user, vec![StoreRequest::SetOnline(false)]).await;
        let left = sessions.load(&user).await.unwrap().unwrap().rooms;
        assert_eq!(
            left,
            [StoredRoom {
                viewers: Vec::new(),
                ..room
            }]
        );
    }

    #[tokio::test]
    async fn a_guest_finds_everything_again_but_no_password() {
        let (store, user) = (Arc::new(MemoryStore::new()), UserKey::from("romeo@x"));
        let sessions = GuestSessions::new(Arc::clone(&store) as Arc<dyn Store>);
        let open = StoredRoom {
            id: "#verona".into(),
            nickname: "r".into(),
            password: None,
            viewers: Vec::new(),
        };
        let locked = StoredRoom {
            id: "#crypt".into(),
            password: Some("key".into()),
            ..open.clone()
        };
        let contact = StoredContact::from(ContactRecord::new("Nurse"));
        for change in [
            StoreRequest::SetOnline(true),
            StoreRequest::SaveContact(contact.clone()),
            StoreRequest::SaveRoom(open.clone()),
            StoreRequest::SaveRoom(StoredRoom {
                password: None,
                ..locked.clone()
            }),
            StoreRequest::SaveRoom(locked),
        ] {
            sessions.save(&user, vec![change]).await;
        }
        let account = sessions.load(&user).await.unwrap().unwrap();
        assert_eq!((account.name, account.password), (None, None));
        assert_eq!((account.contacts, account.rooms), (vec![contact], vec![open]));
        assert_eq!(store.load_registration(&user).await.unwrap(), None);
        assert!(store.list_online().await.unwrap().is_empty());
    }
}
