//! The one writer of a database. Owns the writing connection.
//!
//! It commits whatever is queued at once: alone, a write waits for nobody; under load, batches grow by themselves and share
//! one commit. A batch in which one write fails is rolled back and done again one by one, so that no write suffers for
//! another.

pub(super) mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{Postgres, Sqlite, Transaction};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::warn;

use crate::model::{Subscription, Timestamp, UserKey};
use crate::session::archive::ArchiveChange;
use crate::store::error::from_sqlx;
use crate::store::seal::{Place, SealKey};
use crate::store::sql::secret::{encode_secret, encode_text};
use crate::store::sql::writer::messages::Pending;
use crate::store::sql::{Inner, Pool, archive, statement as sql};
use crate::store::{
    ContactRecord, MessageChanges, NameRecord, NewRegistration, RoomRecord, RosterEntry, RosterState, StoreError,
};

/// Writes that may wait. When it is full, whoever writes waits: sessions may, readers of sockets never write.
pub(super) const QUEUE: usize = 1024;

/// A change, and where to say that it is committed.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) done: oneshot::Sender<Result<bool, StoreError>>,
}

/// A change to make.
pub(super) enum Write {
    SaveRegistration {
        /// Whether one that is there is replaced.
        statement: &'static str,
        user: UserKey,
        registration: NewRegistration,
        at: Timestamp,
    },
    RemoveUser(UserKey),
    /// The removal of a user who registers with another account, and that registration.
    ChangeAccount {
        user: UserKey,
        registration: NewRegistration,
        at: Timestamp,
    },
    RecordLogin {
        user: UserKey,
        at: Timestamp,
    },
    SaveOnline {
        user: UserKey,
        online: bool,
    },
    SaveNames {
        user: UserKey,
        names: Vec<NameRecord>,
    },
    SaveContacts {
        user: UserKey,
        contacts: Vec<ContactRecord>,
    },
    SaveRoster {
        user: UserKey,
        entries: Vec<RosterEntry>,
    },
    Remove {
        statement: &'static str,
        user: String,
        name: String,
    },
    SaveRoom {
        user: UserKey,
        room: RoomRecord,
    },
    SavePreference {
        user: UserKey,
        key: String,
        value: String,
    },
    SaveBookmarks {
        user: UserKey,
        changes: BTreeMap<String, Option<String>>,
    },
    SaveGrants {
        domain: String,
        grants: Option<String>,
    },
    ChangeArchive {
        user: UserKey,
        room: String,
        change: ArchiveChange,
    },
    ExpireArchives(Timestamp),
    SaveMessages {
        user: UserKey,
        changes: MessageChanges,
    },
    /// Nothing new: what the log says of messages is to be in their table.
    Fold,
}

/// An open transaction on either database.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Pg(Transaction<'static, Postgres>),
}

/// Runs one expression on the connection inside a [`Tx`].
macro_rules! in_tx {
    ($tx:expr, $connection:ident => $run:expr) => {
        match $tx {
            Tx::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $run
            }
            Tx::Pg(transaction) => {
                let $connection = &mut **transaction;
                $run
            }
        }
    };
}
pub(super) use in_tx;

impl Tx {
    pub(super) async fn begin(pool: &Pool) -> Result<Self, sqlx::Error> {
        match pool {
            // Immediate: a writer of another process is waited for here, not met in the middle.
            Pool::Sqlite(pool) => pool.begin_with("BEGIN IMMEDIATE").await.map(Self::Sqlite),
            Pool::Pg(pool) => pool.begin().await.map(Self::Pg),
        }
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Pg(transaction) => transaction.commit().await,
        }
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Pg(transaction) => transaction.rollback().await,
        }
    }
}

/// Commits jobs until every sender is gone.
pub(super) async fn run(inner: Arc<Inner>, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(QUEUE);
    loop {
        let due = inner.pending().due();
        let more = async {
            match due {
                Some(due) => timeout_at(due, jobs.recv_many(&mut batch, QUEUE)).await,
                None => Ok(jobs.recv_many(&mut batch, QUEUE).await),
            }
        };
        if more.await == Ok(0) {
            break;
        }
        let asked: Vec<_> = batch.extract_if(.., |job| matches!(job.write, Write::Fold)).collect();
        if !batch.is_empty() {
            commit(&inner, &mut batch).await;
        }
        for job in asked {
            answer(job.done, fold(&inner).await.map(|()| true));
        }
        if inner.pending().is_due()
            && let Err(error) = fold(&inner).await
        {
            warn!(%error, "What was written about messages stays in the log until it is folded again in a while.");
            inner.change_pending(Pending::postpone);
        }
    }
    if let Err(error) = fold(&inner).await {
        warn!(%error, "What was written about messages stays in the log until the database is opened again.");
    }
    inner.write.close().await;
}

/// Brings what the log says of messages into their table.
async fn fold(inner: &Inner) -> Result<(), StoreError> {
    let pending = inner.pending();
    if pending.is_empty() {
        return Ok(());
    }
    let failed = |error| from_sqlx(error, &inner.place);
    let mut tx = Tx::begin(&inner.write).await.map_err(failed)?;
    if let Err(error) = messages::fold(&mut tx, &pending).await {
        let _broken = tx.rollback().await;
        return Err(failed(error));
    }
    tx.commit().await.map_err(failed)?;
    // Only now: whoever reads meanwhile has to wait for this. Held twice, it would be copied first.
    drop(pending);
    inner.change_pending(|pending| *pending = Pending::default());
    Ok(())
}

async fn commit(inner: &Inner, batch: &mut Vec<Job>) {
    let mut result = attempt(inner, batch).await;
    if matches!(result, Err(StoreError::Uncertain)) {
        // The connection broke: with a new one the whole is done again, and then it is certain.
        result = attempt(inner, batch).await;
    }
    match result {
        Ok(outcomes) => {
            for (job, outcome) in batch.drain(..).zip(outcomes) {
                answer(job.done, outcome);
            }
        }
        // Alone, the job that failed gets its own error.
        Err(_) if batch.len() > 1 => {
            for job in batch.drain(..) {
                let mut single = vec![job];
                let result = attempt(inner, &mut single).await;
                if let Some(job) = single.pop() {
                    answer(
                        job.done,
                        result.and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Ok(false))),
                    );
                }
            }
        }
        Err(error) => {
            if let Some(job) = batch.pop() {
                answer(job.done, Err(error));
            }
        }
    }
}

fn answer(done: oneshot::Sender<Result<bool, StoreError>>, outcome: Result<bool, StoreError>) {
    // Whoever asked may have gone; the change stands all the same.
    let _gone = done.send(outcome);
}

/// Does all jobs in one transaction. The inner results are refusals that changed nothing; the outer error means that
/// nothing of the batch was kept.
async fn attempt(inner: &Inner, batch: &mut [Job]) -> Result<Vec<Result<bool, StoreError>>, StoreError> {
    let failed = |error| from_sqlx(error, &inner.place);
    if inner.pending().is_full() {
        fold(inner).await?;
    }
    let mut entries = messages::entries(batch).map_err(failed)?;
    if batch.iter().all(|job| matches!(job.write, Write::SaveMessages { .. }))
        && let Some(entries) = entries.take()
    {
        let row = messages::append_alone(&inner.write, entries)
            .await
            .map_err(committing(inner))?;
        inner.change_pending(|pending| pending.committed(batch, row));
        return Ok(batch.iter().map(|_| Ok(true)).collect());
    }
    let mut tx = Tx::begin(&inner.write).await.map_err(failed)?;
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut row = None;
    if let Some(entries) = entries {
        match messages::append(&mut tx, entries).await {
            Ok(id) => row = Some(id),
            Err(error) => {
                let _broken = tx.rollback().await;
                return Err(failed(error));
            }
        }
    }
    for job in batch.iter() {
        match execute(inner, &mut tx, &job.write).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                // If the rollback fails too, the connection is broken and the database rolls back by itself.
                let _broken = tx.rollback().await;
                return Err(error);
            }
        }
    }
    tx.commit().await.map_err(committing(inner))?;
    if let Some(row) = row {
        inner.change_pending(|pending| pending.committed(batch, row));
    }
    Ok(outcomes)
}

/// What an error of a commit means. Over a network the commit may have arrived although its answer did not. Doing it again is
/// harmless, every write is idempotent; but if it cannot be done again nobody may be told that nothing was kept.
fn committing(inner: &Inner) -> impl Fn(sqlx::Error) -> StoreError + '_ {
    |error| match error {
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => StoreError::Uncertain,
        error => from_sqlx(error, &inner.place),
    }
}

/// One job. `Err` for what the database says, `Ok(Err)` for a refusal of ours before anything of the job was changed.
async fn execute(inner: &Inner, tx: &mut Tx, write: &Write) -> Result<Result<bool, StoreError>, StoreError> {
    let failed = |error| from_sqlx(error, &inner.place);
    let changed = match write {
        Write::SaveRegistration {
            statement,
            user,
            registration,
            at,
        } => Ok(save_registration(inner, tx, statement, user, registration, *at).await?),
        Write::RemoveUser(user) => remove_user(tx, user).await,
        Write::ChangeAccount { user, registration, at } => {
            remove_user(tx, user).await.map_err(failed)?;
            Ok(save_registration(inner, tx, sql::SAVE_REGISTRATION, user, registration, *at).await?)
        }
        Write::RecordLogin { user, at } => in_tx!(tx, c => sqlx::query(sql::RECORD_LOGIN)
            .bind(user.as_str())
            .bind(at.as_millis())
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        Write::SaveOnline { user, online } => in_tx!(tx, c => sqlx::query(sql::SAVE_ONLINE)
            .bind(user.as_str())
            .bind(*online)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        Write::SaveNames { user, names } => return save_names(inner, tx, user, names).await,
        Write::SaveContacts { user, contacts } => save_contacts(tx, user, contacts).await,
        Write::SaveRoster { user, entries } => save_roster(tx, user, entries).await,
        Write::Remove { statement, user, name } => in_tx!(tx, c => sqlx::query(*statement)
            .bind(user)
            .bind(name)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        Write::SaveRoom { user, room } => {
            let password = match &room.password {
                Some(password) => {
                    let key = claim_data_key(inner, tx, user).await?;
                    let place = Place {
                        instance: &inner.instance,
                        user: user.as_str(),
                        column: "room",
                    };
                    Some(key.seal(place, &encode_text(room.room.as_str(), password))?)
                }
                None => None,
            };
            in_tx!(tx, c => sqlx::query(sql::SAVE_ROOM)
                .bind(user.as_str())
                .bind(room.room.as_str())
                .bind(room.nickname.as_str())
                .bind(password)
                // A resource has no line break (RFC 7622 3.4).
                .bind(room.viewers.join("\n"))
                .execute(c)
                .await
                .map(|done| done.rows_affected()))
        }
        Write::SavePreference { user, key, value } => in_tx!(tx, c => sqlx::query(sql::SAVE_PREFERENCE)
            .bind(user.as_str())
            .bind(key)
            .bind(value)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        Write::SaveBookmarks { user, changes } => save_bookmarks(tx, user, changes).await,
        Write::SaveGrants {
            domain,
            grants: Some(grants),
        } => in_tx!(tx, c => sqlx::query(sql::SAVE_GRANTS)
            .bind(domain)
            .bind(grants)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        // In the log, with all of the batch; and a fold is none of the jobs of a batch.
        Write::SaveMessages { .. } | Write::Fold => Ok(1),
        Write::SaveGrants { domain, grants: None } => in_tx!(tx, c => sqlx::query(sql::REMOVE_GRANTS)
            .bind(domain)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        Write::ChangeArchive { user, room, change } => archive::change(tx, user, room, change).await,
        Write::ExpireArchives(oldest) => in_tx!(tx, c => sqlx::query(sql::EXPIRE_ARCHIVES)
            .bind(oldest.as_millis())
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
    };
    changed.map(|rows| Ok(rows > 0)).map_err(failed)
}

async fn save_registration(
    inner: &Inner,
    tx: &mut Tx,
    statement: &'static str,
    user: &UserKey,
    registration: &NewRegistration,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let key = claim_data_key(inner, tx, user).await?;
    let place = Place {
        instance: &inner.instance,
        user: user.as_str(),
        column: "registration",
    };
    let secret = key.seal(place, &encode_secret(&registration.password, &registration.settings))?;
    in_tx!(tx, c => sqlx::query(statement)
        .bind(user.as_str())
        .bind(registration.legacy_name.as_str())
        .bind(secret)
        .bind(at.as_millis())
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
    .map_err(|error| from_sqlx(error, &inner.place))
}

async fn remove_user(tx: &mut Tx, user: &UserKey) -> Result<u64, sqlx::Error> {
    for statement in [
        sql::REMOVE_CONTACTS,
        sql::REMOVE_NAMES,
        sql::REMOVE_ROSTER,
        sql::REMOVE_ROOMS,
        sql::REMOVE_PREFERENCES,
        sql::REMOVE_BOOKMARKS,
        sql::REMOVE_ARCHIVES,
        sql::REMOVE_MESSAGES,
        sql::REMOVE_DATA_KEY,
    ] {
        in_tx!(tx, c => sqlx::query(statement).bind(user.as_str()).execute(c).await.map(|_| ()))?;
    }
    in_tx!(tx, c => sqlx::query(sql::REMOVE_REGISTRATION)
        .bind(user.as_str())
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// The user's data key; made if there is none yet.
async fn claim_data_key(inner: &Inner, tx: &mut Tx, user: &UserKey) -> Result<SealKey, StoreError> {
    let fresh = inner.keyring.wrap(&inner.instance, user.as_str(), &SealKey::generate()?)?;
    let wrapped: Vec<u8> = in_tx!(tx, c => sqlx::query_scalar(sql::CLAIM_DATA_KEY)
        .bind(user.as_str())
        .bind(fresh)
        .fetch_one(c)
        .await)
    .map_err(|error| from_sqlx(error, &inner.place))?;
    inner.keyring.unwrap(&inner.instance, user.as_str(), &wrapped)
}

async fn save_names(
    inner: &Inner,
    tx: &mut Tx,
    user: &UserKey,
    names: &[NameRecord],
) -> Result<Result<bool, StoreError>, StoreError> {
    let failed = |error| from_sqlx(error, &inner.place);
    // Every name is checked before the first is written, those of this call against each other too: a refusal must
    // leave the rest of the batch alone.
    for (index, name) in names.iter().enumerate() {
        let kept: Option<String> = in_tx!(tx, c => sqlx::query_scalar(sql::NAME_OF_LOCALPART)
            .bind(user.as_str())
            .bind(&name.localpart)
            .fetch_optional(c)
            .await)
        .map_err(failed)?;
        let twice = names[..index]
            .iter()
            .any(|other| other.localpart == name.localpart && other.name != name.name);
        if twice || kept.is_some_and(|kept| kept != name.name.as_str()) {
            return Ok(Err(StoreError::NameTaken {
                localpart: name.localpart.clone(),
            }));
        }
    }
    for name in names {
        in_tx!(tx, c => sqlx::query(sql::SAVE_NAME)
            .bind(user.as_str())
            .bind(&name.localpart)
            .bind(name.name.as_str())
            .execute(c)
            .await
            .map(|_| ()))
        .map_err(failed)?;
    }
    Ok(Ok(!names.is_empty()))
}

async fn save_contacts(tx: &mut Tx, user: &UserKey, contacts: &[ContactRecord]) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for contact in contacts {
        let groups = serde_json::to_string(&contact.groups).map_err(|error| sqlx::Error::Encode(error.into()))?;
        rows += in_tx!(tx, c => sqlx::query(sql::SAVE_CONTACT)
            .bind(user.as_str())
            .bind(contact.id.as_str())
            .bind(contact.alias.as_deref())
            .bind(groups)
            .bind(contact.subscription == Subscription::Ask)
            .bind(contact.avatar.as_ref().map(|avatar| avatar.as_str()))
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
    }
    Ok(rows)
}

async fn save_bookmarks(tx: &mut Tx, user: &UserKey, changes: &BTreeMap<String, Option<String>>) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for (room, entry) in changes {
        rows += match entry {
            Some(entry) => in_tx!(tx, c => sqlx::query(sql::SAVE_BOOKMARK)
                .bind(user.as_str())
                .bind(room)
                .bind(entry)
                .execute(c)
                .await
                .map(|done| done.rows_affected()))?,
            None => in_tx!(tx, c => sqlx::query(sql::REMOVE_BOOKMARK)
                .bind(user.as_str())
                .bind(room)
                .execute(c)
                .await
                .map(|done| done.rows_affected()))?,
        };
    }
    Ok(rows)
}

async fn save_roster(tx: &mut Tx, user: &UserKey, entries: &[RosterEntry]) -> Result<u64, sqlx::Error> {
    let mut rows = 0;
    for entry in entries {
        rows += in_tx!(tx, c => sqlx::query(sql::SAVE_ROSTER)
            .bind(user.as_str())
            .bind(&entry.jid)
            .bind(entry.state == RosterState::Held)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
    }
    Ok(rows)
}
