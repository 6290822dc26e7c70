//! A store that forgets at the end of the process. Owns its tables behind one short lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;

use crate::model::{ContactId, RoomId, Timestamp, UserKey};
use crate::session::JournalStage;
use crate::session::archive::{ArchiveAnswer, ArchiveBounds, ArchiveChange, ArchiveRequest, MemoryArchive};
use crate::store::record::{check_archive, check_bookmarks, check_text};
use crate::store::{
    Commit, ContactRecord, MessageChanges, MessageRecord, NameRecord, NewRegistration, Registration, RegistrationSummary,
    RoomRecord, RosterEntry, RosterState, Store, StoreError, random_secret,
};

/// Keeps everything in memory; used where no storage is configured and in tests.
#[derive(Debug, Default)]
pub struct MemoryStore {
    room_secret: OnceLock<[u8; 32]>,
    // std's lock: nothing is awaited while it is held, and every verb is a few map operations.
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    users: BTreeMap<UserKey, Kept>,
    grants: BTreeMap<String, String>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Kept {
    registration: Option<Registration>,
    names: BTreeSet<NameRecord>,
    contacts: BTreeMap<ContactId, ContactRecord>,
    roster: BTreeMap<String, RosterState>,
    rooms: BTreeMap<RoomId, RoomRecord>,
    preferences: BTreeMap<String, String>,
    bookmarks: BTreeMap<String, String>,
    archive: MemoryArchive,
    messages: BTreeMap<u64, MessageRecord>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        // A panic while the lock was held cannot leave the maps half changed: each verb changes one entry.
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.closed { Err(StoreError::Closed) } else { Ok(tables) }
    }

    fn read<T: Default>(&self, user: &UserKey, pick: impl FnOnce(&Kept) -> T) -> Result<T, StoreError> {
        Ok(self.tables()?.users.get(user).map(pick).unwrap_or_default())
    }

    fn write<T>(&self, user: &UserKey, change: impl FnOnce(&mut Kept) -> T) -> Result<T, StoreError> {
        check_text("user", user.as_str())?;
        Ok(change(self.tables()?.users.entry(user.clone()).or_default()))
    }
}

/// A registration that has just been made.
fn begun(registration: NewRegistration, at: Timestamp) -> Registration {
    Registration {
        legacy_name: registration.legacy_name,
        password: registration.password,
        settings: registration.settings,
        created: at,
        last_login: None,
        online: false,
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load_registration(&self, user: &UserKey) -> Result<Option<Registration>, StoreError> {
        self.read(user, |kept| kept.registration.clone())
    }

    async fn save_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError> {
        check_text("legacy name", registration.legacy_name.as_str())?;
        self.write(user, |kept| {
            let old = kept.registration.take();
            kept.registration = Some(Registration {
                legacy_name: registration.legacy_name,
                password: registration.password,
                settings: registration.settings,
                created: old.as_ref().map_or(at, |old| old.created),
                last_login: old.as_ref().and_then(|old| old.last_login),
                online: old.is_some_and(|old| old.online),
            });
        })
    }

    async fn add_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<bool, StoreError> {
        check_text("legacy name", registration.legacy_name.as_str())?;
        self.write(user, |kept| {
            let is_new = kept.registration.is_none();
            kept.registration.get_or_insert_with(|| begun(registration, at));
            is_new
        })
    }

    async fn change_account(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError> {
        check_text("legacy name", registration.legacy_name.as_str())?;
        self.write(user, |kept| {
            *kept = Kept {
                registration: Some(begun(registration, at)),
                ..Kept::default()
            };
        })
    }

    async fn remove_user(&self, user: &UserKey) -> Result<bool, StoreError> {
        Ok(self
            .tables()?
            .users
            .remove(user)
            .is_some_and(|kept| kept.registration.is_some()))
    }

    async fn list_registrations(&self, after: Option<&UserKey>, limit: u32) -> Result<Vec<RegistrationSummary>, StoreError> {
        let tables = self.tables()?;
        let summaries = tables
            .users
            .iter()
            .filter(|(user, _)| after.is_none_or(|after| *user > after))
            .filter_map(|(user, kept)| {
                kept.registration.as_ref().map(|registration| RegistrationSummary {
                    user: user.clone(),
                    legacy_name: registration.legacy_name.clone(),
                    created: registration.created,
                    last_login: registration.last_login,
                    online: registration.online,
                })
            })
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect();
        Ok(summaries)
    }

    async fn record_login(&self, user: &UserKey, at: Timestamp) -> Result<(), StoreError> {
        if let Some(registration) = self.tables()?.users.get_mut(user).and_then(|kept| kept.registration.as_mut()) {
            registration.last_login = Some(at);
            registration.online = true;
        }
        Ok(())
    }

    async fn save_online(&self, user: &UserKey, online: bool) -> Result<(), StoreError> {
        if let Some(registration) = self.tables()?.users.get_mut(user).and_then(|kept| kept.registration.as_mut()) {
            registration.online = online;
        }
        Ok(())
    }

    async fn list_online(&self) -> Result<Vec<UserKey>, StoreError> {
        let tables = self.tables()?;
        let online = |kept: &Kept| kept.registration.as_ref().is_some_and(|registration| registration.online);
        Ok(tables
            .users
            .iter()
            .filter(|(_, kept)| online(kept))
            .map(|(user, _)| user.clone())
            .collect())
    }

    async fn load_names(&self, user: &UserKey) -> Result<Vec<NameRecord>, StoreError> {
        self.read(user, |kept| kept.names.iter().cloned().collect())
    }

    async fn save_names(&self, user: &UserKey, names: Vec<NameRecord>) -> Result<(), StoreError> {
        for name in &names {
            check_text("legacy name", name.name.as_str())?;
            check_text("localpart", &name.localpart)?;
        }
        self.write(user, |kept| {
            let mut next = kept.names.clone();
            for name in names {
                if next
                    .iter()
                    .any(|other| other.localpart == name.localpart && other.name != name.name)
                {
                    return Err(StoreError::NameTaken {
                        localpart: name.localpart,
                    });
                }
                next.insert(name);
            }
            kept.names = next;
            Ok(())
        })?
    }

    async fn load_contacts(&self, user: &UserKey) -> Result<Vec<ContactRecord>, StoreError> {
        self.read(user, |kept| kept.contacts.values().cloned().collect())
    }

    async fn save_contacts(&self, user: &UserKey, contacts: Vec<ContactRecord>) -> Result<(), StoreError> {
        contacts.iter().try_for_each(ContactRecord::check)?;
        self.write(user, |kept| {
            kept.contacts
                .extend(contacts.into_iter().map(|contact| (contact.id.clone(), contact)));
        })
    }

    async fn remove_contact(&self, user: &UserKey, contact: &ContactId) -> Result<bool, StoreError> {
        self.write(user, |kept| kept.contacts.remove(contact).is_some())
    }

    async fn load_roster(&self, user: &UserKey) -> Result<Vec<RosterEntry>, StoreError> {
        let entry = |(jid, state): (&String, &RosterState)| RosterEntry {
            jid: jid.clone(),
            state: *state,
        };
        self.read(user, |kept| kept.roster.iter().map(entry).collect())
    }

    async fn save_roster(&self, user: &UserKey, entries: Vec<RosterEntry>) -> Result<(), StoreError> {
        entries.iter().try_for_each(|entry| check_text("contact", &entry.jid))?;
        self.write(user, |kept| {
            kept.roster.extend(entries.into_iter().map(|entry| (entry.jid, entry.state)))
        })
    }

    async fn remove_roster_entry(&self, user: &UserKey, jid: &str) -> Result<bool, StoreError> {
        self.write(user, |kept| kept.roster.remove(jid).is_some())
    }

    async fn load_rooms(&self, user: &UserKey) -> Result<Vec<RoomRecord>, StoreError> {
        self.read(user, |kept| kept.rooms.values().cloned().collect())
    }

    async fn save_room(&self, user: &UserKey, room: RoomRecord) -> Result<(), StoreError> {
        check_text("room", room.room.as_str())?;
        check_text("nickname", room.nickname.as_str())?;
        self.write(user, |kept| {
            kept.rooms.insert(room.room.clone(), room);
        })
    }

    async fn remove_room(&self, user: &UserKey, room: &RoomId) -> Result<bool, StoreError> {
        self.write(user, |kept| kept.rooms.remove(room).is_some())
    }

    async fn load_preferences(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError> {
        self.read(user, |kept| kept.preferences.clone())
    }

    async fn save_preference(&self, user: &UserKey, key: &str, value: Option<&str>) -> Result<(), StoreError> {
        check_text("preference", key)?;
        check_text("preference", value.unwrap_or_default())?;
        self.write(user, |kept| change(&mut kept.preferences, key, value))
    }

    async fn load_messages(&self, user: &UserKey) -> Result<Vec<MessageRecord>, StoreError> {
        self.read(user, |kept| kept.messages.values().cloned().collect())
    }

    async fn save_messages(&self, user: &UserKey, changes: MessageChanges) -> Result<Commit, StoreError> {
        self.write(user, |kept| {
            kept.messages
                .extend(changes.put.into_iter().map(|record| (record.seq, record)));
            for seq in changes.removed {
                kept.messages.remove(&seq);
            }
        })?;
        Ok(Commit::done_already())
    }

    async fn list_waiting(&self, before: Timestamp, limit: u32) -> Result<Vec<(UserKey, MessageRecord)>, StoreError> {
        let tables = self.tables()?;
        let mut waiting: Vec<_> = tables
            .users
            .iter()
            .flat_map(|(user, kept)| kept.messages.values().map(move |record| (user.clone(), record.clone())))
            .filter(|(_, record)| record.stage != JournalStage::Known && record.at < before)
            .collect();
        waiting.sort_by_key(|(_, record)| record.at);
        waiting.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(waiting)
    }

    async fn load_bookmarks(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError> {
        self.read(user, |kept| kept.bookmarks.clone())
    }

    async fn save_bookmarks(&self, user: &UserKey, changes: BTreeMap<String, Option<String>>) -> Result<(), StoreError> {
        check_bookmarks(&changes)?;
        self.write(user, |kept| {
            for (room, entry) in &changes {
                change(&mut kept.bookmarks, room, entry.as_deref());
            }
        })
    }

    async fn load_grants(&self) -> Result<BTreeMap<String, String>, StoreError> {
        Ok(self.tables()?.grants.clone())
    }

    async fn save_grants(&self, domain: &str, grants: Option<&str>) -> Result<(), StoreError> {
        check_text("domain", domain)?;
        check_text("grants", grants.unwrap_or_default())?;
        change(&mut self.tables()?.grants, domain, grants);
        Ok(())
    }

    async fn room_secret(&self) -> Result<[u8; 32], StoreError> {
        drop(self.tables()?);
        if let Some(secret) = self.room_secret.get() {
            return Ok(*secret);
        }
        let fresh = random_secret()?;
        Ok(*self.room_secret.get_or_init(|| fresh))
    }

    async fn change_archive(&self, user: &UserKey, room: &str, change: ArchiveChange) -> Result<bool, StoreError> {
        check_archive(room, &change)?;
        self.write(user, |kept| kept.archive.change(room, change))
    }

    async fn ask_archive(&self, user: &UserKey, room: &str, what: &ArchiveRequest) -> Result<ArchiveAnswer, StoreError> {
        let tables = self.tables()?;
        let nothing = MemoryArchive::default();
        let archive = tables.users.get(user).map_or(&nothing, |kept| &kept.archive);
        Ok(archive.answer(room, what))
    }

    async fn expire_archives(&self, oldest: Timestamp) -> Result<bool, StoreError> {
        let bounds = ArchiveBounds { oldest, lines: u32::MAX };
        let mut tables = self.tables()?;
        let users = tables.users.values_mut();
        Ok(users.fold(false, |changed, kept| kept.archive.expire(bounds) | changed))
    }

    async fn close(&self) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

fn change(map: &mut BTreeMap<String, String>, key: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value.to_owned());
        }
        None => {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn memory_store_conforms() {
        conformance::run(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
    }
}
