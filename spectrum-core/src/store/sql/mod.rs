//! The store on SQLite and PostgreSQL: one text of SQL for both. Owns one writing and four reading connections.

mod archive;
mod open;
pub(crate) mod past;
mod schema;
mod secret;
mod statement;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlx::{PgPool, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::model::{AvatarHash, ContactId, LegacyName, Nickname, RoomId, Subscription, Timestamp, UserKey};
use crate::session::archive::{ArchiveAnswer, ArchiveChange, ArchiveRequest};
use crate::store::error::from_sqlx;
use crate::store::journal::stage_of;
use crate::store::record::{check_archive, check_bookmarks, check_text};
use crate::store::seal::{Keyring, Place};
use crate::store::{
    Commit, ContactRecord, MessageChanges, MessageRecord, NameRecord, NewRegistration, Registration, RegistrationSummary,
    RoomRecord, RosterEntry, RosterState, Store, StoreError,
};
use crate::tasks::{TaskHandle, Tasks};
use statement as sql;
use writer::messages::Pending;
use writer::{Job, Write};

/// A store in a database.
pub struct SqlStore {
    inner: Arc<Inner>,
    /// Shared with nobody but `close`, which takes the sender out so that the writer ends.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<TaskHandle<()>>>,
}

struct Inner {
    read: Pool,
    write: Pool,
    keyring: Keyring,
    instance: String,
    room_secret: [u8; 32],
    /// What is in the log of messages alone. Changed by the writer only.
    pending: Mutex<Arc<Pending>>,
    /// The database in words an operator knows: never the URL, which may hold a password.
    place: String,
}

impl Inner {
    fn pending(&self) -> Arc<Pending> {
        Arc::clone(&self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_pending(&self, change: impl FnOnce(&mut Pending)) {
        // Shared with nobody but a reader that looks at it just now.
        change(Arc::make_mut(
            &mut self.pending.lock().unwrap_or_else(PoisonError::into_inner),
        ));
    }
}

/// Connections to either database.
enum Pool {
    Sqlite(SqlitePool),
    Pg(PgPool),
}

/// Runs one expression on whichever pool it is.
macro_rules! on {
    ($pool:expr, $connection:ident => $run:expr) => {
        match $pool {
            Pool::Sqlite($connection) => $run,
            Pool::Pg($connection) => $run,
        }
    };
}
use on;

impl Pool {
    async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}

type RegistrationRow = (String, Vec<u8>, i64, Option<i64>, bool, Vec<u8>);
type SummaryRow = (String, String, i64, Option<i64>, bool);
type ContactRow = (String, Option<String>, String, bool, Option<String>);

impl SqlStore {
    fn start(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        let (jobs, queue) = mpsc::channel(writer::QUEUE);
        // Its own set: the store outlives the tasks that write to it, and `close` waits for the last commit.
        let writer = Tasks::new().spawn(
            "store writer",
            tracing::Span::current(),
            writer::run(Arc::clone(&inner), queue),
        );
        Self {
            inner,
            jobs: Mutex::new(Some(jobs)),
            writer: Mutex::new(Some(writer)),
        }
    }

    async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let committed = self.queue(write).await?;
        committed.await.map_err(|_| StoreError::Uncertain)?
    }

    /// Puts a change into the queue of the writer; what is given says when it is committed.
    async fn queue(&self, write: Write) -> Result<oneshot::Receiver<Result<bool, StoreError>>, StoreError> {
        let jobs = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or(StoreError::Closed)?;
        let (done, committed) = oneshot::channel();
        jobs.send(Job { write, done }).await.map_err(|_| StoreError::Closed)?;
        Ok(committed)
    }

    fn failed(&self) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        |error| from_sqlx(error, &self.inner.place)
    }

    fn place<'a>(&'a self, user: &'a UserKey, column: &'static str) -> Place<'a> {
        Place {
            instance: &self.inner.instance,
            user: user.as_str(),
            column,
        }
    }
}

#[async_trait]
impl Store for SqlStore {
    async fn load_registration(&self, user: &UserKey) -> Result<Option<Registration>, StoreError> {
        let row: Option<RegistrationRow> = on!(&self.inner.read, pool => sqlx::query_as(sql::REGISTRATION)
            .bind(user.as_str())
            .fetch_optional(pool)
            .await)
        .map_err(self.failed())?;
        let Some((legacy_name, sealed, created, last_login, online, wrapped)) = row else {
            return Ok(None);
        };
        let key = self.inner.keyring.unwrap(&self.inner.instance, user.as_str(), &wrapped)?;
        let plain = key.open(self.place(user, "registration"), &sealed)?;
        let (password, settings) = secret::decode_secret(&plain).ok_or_else(|| StoreError::Sealed {
            user: user.as_str().to_owned(),
            column: "registration",
        })?;
        Ok(Some(Registration {
            legacy_name: LegacyName::from(legacy_name),
            password,
            settings,
            created: Timestamp::from_millis(created),
            last_login: last_login.map(Timestamp::from_millis),
            online,
        }))
    }

    async fn save_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        check_text("legacy name", registration.legacy_name.as_str())?;
        self.write(Write::SaveRegistration {
            statement: sql::SAVE_REGISTRATION,
            user: user.clone(),
            registration,
            at,
        })
        .await
        .map(drop)
    }

    async fn add_registration(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<bool, StoreError> {
        check_text("user", user.as_str())?;
        check_text("legacy name", registration.legacy_name.as_str())?;
        self.write(Write::SaveRegistration {
            statement: sql::ADD_REGISTRATION,
            user: user.clone(),
            registration,
            at,
        })
        .await
    }

    async fn change_account(&self, user: &UserKey, registration: NewRegistration, at: Timestamp) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        check_text("legacy name", registration.legacy_name.as_str())?;
        let user = user.clone();
        self.write(Write::ChangeAccount { user, registration, at }).await.map(drop)
    }

    async fn remove_user(&self, user: &UserKey) -> Result<bool, StoreError> {
        check_text("user", user.as_str())?;
        self.write(Write::RemoveUser(user.clone())).await
    }

    async fn list_registrations(&self, after: Option<&UserKey>, limit: u32) -> Result<Vec<RegistrationSummary>, StoreError> {
        let after = after.map_or("", UserKey::as_str);
        let rows: Vec<SummaryRow> = on!(&self.inner.read, pool => sqlx::query_as(sql::REGISTRATIONS_AFTER)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        let summary = |(user, legacy_name, created, last_login, online): SummaryRow| RegistrationSummary {
            user: UserKey::from(user),
            legacy_name: LegacyName::from(legacy_name),
            created: Timestamp::from_millis(created),
            last_login: last_login.map(Timestamp::from_millis),
            online,
        };
        Ok(rows.into_iter().map(summary).collect())
    }

    async fn record_login(&self, user: &UserKey, at: Timestamp) -> Result<(), StoreError> {
        self.write(Write::RecordLogin { user: user.clone(), at }).await.map(drop)
    }

    async fn save_online(&self, user: &UserKey, online: bool) -> Result<(), StoreError> {
        self.write(Write::SaveOnline {
            user: user.clone(),
            online,
        })
        .await
        .map(drop)
    }

    async fn list_online(&self) -> Result<Vec<UserKey>, StoreError> {
        let users: Vec<String> =
            on!(&self.inner.read, pool => sqlx::query_scalar(sql::ONLINE).fetch_all(pool).await).map_err(self.failed())?;
        Ok(users.into_iter().map(UserKey::from).collect())
    }

    async fn load_names(&self, user: &UserKey) -> Result<Vec<NameRecord>, StoreError> {
        let rows: Vec<(String, String)> = on!(&self.inner.read, pool => sqlx::query_as(sql::NAMES)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        let record = |(localpart, name): (String, String)| NameRecord {
            localpart,
            name: LegacyName::from(name),
        };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn save_names(&self, user: &UserKey, names: Vec<NameRecord>) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        for name in &names {
            check_text("legacy name", name.name.as_str())?;
            check_text("localpart", &name.localpart)?;
        }
        self.write(Write::SaveNames {
            user: user.clone(),
            names,
        })
        .await
        .map(drop)
    }

    async fn load_contacts(&self, user: &UserKey) -> Result<Vec<ContactRecord>, StoreError> {
        let rows: Vec<ContactRow> = on!(&self.inner.read, pool => sqlx::query_as(sql::CONTACTS)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        rows.into_iter()
            .map(|(id, alias, groups, asks, avatar)| {
                Ok(ContactRecord {
                    id: ContactId::from(id),
                    alias,
                    groups: serde_json::from_str(&groups)
                        .map_err(|error| StoreError::Database(sqlx::Error::Decode(error.into())))?,
                    subscription: if asks { Subscription::Ask } else { Subscription::Both },
                    avatar: avatar.map(AvatarHash::new),
                })
            })
            .collect()
    }

    async fn save_contacts(&self, user: &UserKey, contacts: Vec<ContactRecord>) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        contacts.iter().try_for_each(ContactRecord::check)?;
        self.write(Write::SaveContacts {
            user: user.clone(),
            contacts,
        })
        .await
        .map(drop)
    }

    async fn remove_contact(&self, user: &UserKey, contact: &ContactId) -> Result<bool, StoreError> {
        self.remove(sql::REMOVE_CONTACT, user, contact.as_str()).await
    }

    async fn load_roster(&self, user: &UserKey) -> Result<Vec<RosterEntry>, StoreError> {
        let rows: Vec<(String, bool)> = on!(&self.inner.read, pool => sqlx::query_as(sql::ROSTER)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        let entry = |(jid, is_held)| RosterEntry {
            jid,
            state: if is_held { RosterState::Held } else { RosterState::Asked },
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn save_roster(&self, user: &UserKey, entries: Vec<RosterEntry>) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        entries.iter().try_for_each(|entry| check_text("contact", &entry.jid))?;
        self.write(Write::SaveRoster {
            user: user.clone(),
            entries,
        })
        .await
        .map(drop)
    }

    async fn remove_roster_entry(&self, user: &UserKey, jid: &str) -> Result<bool, StoreError> {
        self.remove(sql::REMOVE_ROSTER_ENTRY, user, jid).await
    }

    async fn load_rooms(&self, user: &UserKey) -> Result<Vec<RoomRecord>, StoreError> {
        let rows: Vec<RoomRow> = on!(&self.inner.read, pool => sqlx::query_as(sql::ROOMS)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        if rows.iter().all(|row| row.2.is_none()) {
            return Ok(rows.into_iter().map(|row| open_room(row, None)).collect());
        }
        let refused = || StoreError::Sealed {
            user: user.as_str().to_owned(),
            column: "room",
        };
        let wrapped: Option<Vec<u8>> = on!(&self.inner.read, pool => sqlx::query_scalar(sql::DATA_KEY)
            .bind(user.as_str())
            .fetch_optional(pool)
            .await)
        .map_err(self.failed())?;
        let key = self
            .inner
            .keyring
            .unwrap(&self.inner.instance, user.as_str(), &wrapped.ok_or_else(refused)?)?;
        rows.into_iter()
            .map(|row| {
                let password = match &row.2 {
                    Some(sealed) => {
                        let plain = key.open(self.place(user, "room"), sealed)?;
                        Some(secret::decode_text(&row.0, &plain).ok_or_else(refused)?)
                    }
                    None => None,
                };
                Ok(open_room(row, password))
            })
            .collect()
    }

    async fn save_room(&self, user: &UserKey, room: RoomRecord) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        room.check()?;
        self.write(Write::SaveRoom {
            user: user.clone(),
            room,
        })
        .await
        .map(drop)
    }

    async fn remove_room(&self, user: &UserKey, room: &RoomId) -> Result<bool, StoreError> {
        self.remove(sql::REMOVE_ROOM, user, room.as_str()).await
    }

    async fn load_preferences(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError> {
        let rows: Vec<(String, String)> = on!(&self.inner.read, pool => sqlx::query_as(sql::PREFERENCES)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        Ok(rows.into_iter().collect())
    }

    async fn save_preference(&self, user: &UserKey, key: &str, value: Option<&str>) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        check_text("preference", key)?;
        check_text("preference", value.unwrap_or_default())?;
        match value {
            Some(value) => {
                let write = Write::SavePreference {
                    user: user.clone(),
                    key: key.to_owned(),
                    value: value.to_owned(),
                };
                self.write(write).await.map(drop)
            }
            None => self.remove(sql::REMOVE_PREFERENCE, user, key).await.map(drop),
        }
    }

    async fn load_messages(&self, user: &UserKey) -> Result<Vec<MessageRecord>, StoreError> {
        if self.inner.pending().has(user) {
            self.write(Write::Fold).await?;
        }
        let rows: Vec<(i64, i64, i16, String)> = on!(&self.inner.read, pool => sqlx::query_as(sql::MESSAGES)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        Ok(rows.into_iter().map(message).collect())
    }

    async fn save_messages(&self, user: &UserKey, changes: MessageChanges) -> Result<Commit, StoreError> {
        check_text("user", user.as_str())?;
        for record in &changes.put {
            check_text("message", &record.entry)?;
        }
        let write = Write::SaveMessages {
            user: user.clone(),
            changes,
        };
        self.queue(write).await.map(Commit::pending)
    }

    async fn list_waiting(&self, before: Timestamp, limit: u32) -> Result<Vec<(UserKey, MessageRecord)>, StoreError> {
        if !self.inner.pending().is_empty() {
            self.write(Write::Fold).await?;
        }
        let rows: Vec<(String, i64, i64, i16, String)> = on!(&self.inner.read, pool => sqlx::query_as(sql::WAITING)
            .bind(before.as_millis())
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        let waiting = |(user, seq, sent, stage, entry)| (UserKey::from(user), message((seq, sent, stage, entry)));
        Ok(rows.into_iter().map(waiting).collect())
    }

    async fn load_bookmarks(&self, user: &UserKey) -> Result<BTreeMap<String, String>, StoreError> {
        let rows: Vec<(String, String)> = on!(&self.inner.read, pool => sqlx::query_as(sql::BOOKMARKS)
            .bind(user.as_str())
            .fetch_all(pool)
            .await)
        .map_err(self.failed())?;
        Ok(rows.into_iter().collect())
    }

    async fn save_bookmarks(&self, user: &UserKey, changes: BTreeMap<String, Option<String>>) -> Result<(), StoreError> {
        check_text("user", user.as_str())?;
        check_bookmarks(&changes)?;
        self.write(Write::SaveBookmarks {
            user: user.clone(),
            changes,
        })
        .await
        .map(drop)
    }

    async fn load_grants(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let rows: Vec<(String, String)> =
            on!(&self.inner.read, pool => sqlx::query_as(sql::GRANTS).fetch_all(pool).await).map_err(self.failed())?;
        Ok(rows.into_iter().collect())
    }

    async fn save_grants(&self, domain: &str, grants: Option<&str>) -> Result<(), StoreError> {
        check_text("domain", domain)?;
        check_text("grants", grants.unwrap_or_default())?;
        let write = Write::SaveGrants {
            domain: domain.to_owned(),
            grants: grants.map(str::to_owned),
        };
        self.write(write).await.map(drop)
    }

    async fn room_secret(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.inner.room_secret)
    }

    async fn change_archive(&self, user: &UserKey, room: &str, change: ArchiveChange) -> Result<bool, StoreError> {
        check_text("user", user.as_str())?;
        check_archive(room, &change)?;
        let write = Write::ChangeArchive {
            user: user.clone(),
            room: room.to_owned(),
            change,
        };
        self.write(write).await
    }

    async fn ask_archive(&self, user: &UserKey, room: &str, what: &ArchiveRequest) -> Result<ArchiveAnswer, StoreError> {
        archive::ask(&self.inner.read, user, room, what).await.map_err(self.failed())
    }

    async fn expire_archives(&self, oldest: Timestamp) -> Result<bool, StoreError> {
        self.write(Write::ExpireArchives(oldest)).await
    }

    async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match writer {
            Some(writer) => Some(writer.await),
            None => None,
        } {
            tracing::error!(%error, "The writer of the store ended badly.");
        }
        self.inner.read.close().await;
    }
}

impl SqlStore {
    async fn remove(&self, statement: &'static str, user: &UserKey, name: &str) -> Result<bool, StoreError> {
        check_text("user", user.as_str())?;
        check_text("name", name)?;
        let write = Write::Remove {
            statement,
            user: user.as_str().to_owned(),
            name: name.to_owned(),
        };
        self.write(write).await
    }
}

fn message((seq, sent, stage, entry): (i64, i64, i16, String)) -> MessageRecord {
    MessageRecord {
        seq: seq.unsigned_abs(),
        at: Timestamp::from_millis(sent),
        stage: stage_of(stage),
        entry,
    }
}

/// Room, nickname, sealed password, viewers.
type RoomRow = (String, String, Option<Vec<u8>>, String);

fn open_room((room, nickname, _, viewers): RoomRow, password: Option<crate::model::Secret>) -> RoomRecord {
    RoomRecord {
        room: RoomId::from(room),
        nickname: Nickname::from(nickname),
        password,
        viewers: viewers.lines().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests;
