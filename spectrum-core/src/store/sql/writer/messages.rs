//! The journal's part of the writer. Owns what is in the log and not yet in the table of messages.
//!
//! A message changes several times within moments, and messages of a thousand users lie on a thousand pages. So a batch only
//! appends one row to a log, and what has come of the messages meanwhile is folded into their table from time to time: of
//! each message the last word. Whoever reads the table has the log folded first, if it holds something of theirs; what a
//! process that died had not folded is folded when the database is opened.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Job, Tx, Write, in_tx};
use crate::model::{Timestamp, UserKey};
use crate::store::journal::{stage_number, stage_of};
use crate::store::sql::{Pool, on, statement as sql};
use crate::store::{MessageChanges, MessageRecord};

/// Messages in the log after which it is folded.
const FOLD_AT: usize = 8_192;
/// Bytes of messages that came to it, after which it is folded as well.
const FOLD_AT_BYTES: usize = 8 << 20;
/// How long a message may be in the log alone.
const FOLD_AFTER: Duration = Duration::from_secs(5);

/// How many times as much makes nothing further be written before it is folded: memory stays bounded where it cannot be.
const TOO_MUCH: usize = 4;

/// The last words on messages that are in the log: `None` for one that may go.
#[derive(Clone, Default)]
pub(in crate::store::sql) struct Pending {
    users: HashMap<UserKey, BTreeMap<u64, Option<MessageRecord>>>,
    messages: usize,
    /// Of all that came, those that have been replaced meanwhile included.
    bytes: usize,
    /// The last row of the log.
    newest: i64,
    /// When it is to be folded, if nothing makes it sooner.
    due: Option<Instant>,
    /// It could not be folded: until when that is not tried again.
    pause: Option<Instant>,
}

impl Pending {
    /// Whether the log holds something of the user's.
    pub(in crate::store::sql) fn has(&self, user: &UserKey) -> bool {
        self.users.contains_key(user)
    }

    pub(in crate::store::sql) fn is_empty(&self) -> bool {
        self.newest == 0
    }

    /// When the log is to be folded, if nothing makes it sooner.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pause.or(self.due)
    }

    pub(super) fn is_due(&self) -> bool {
        let is_much = self.messages >= FOLD_AT || self.bytes >= FOLD_AT_BYTES;
        (is_much && self.pause.is_none()) || self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Whether it holds so much that nothing may come to it.
    pub(super) fn is_full(&self) -> bool {
        self.messages >= FOLD_AT * TOO_MUCH || self.bytes >= FOLD_AT_BYTES * TOO_MUCH
    }

    /// It could not be folded, and is tried again after a while.
    pub(super) fn postpone(&mut self) {
        self.pause = Some(Instant::now() + FOLD_AFTER);
    }

    /// Takes in what was committed as row `newest` of the log.
    pub(super) fn committed(&mut self, batch: &mut [Job], newest: i64) {
        self.newest = newest;
        self.due.get_or_insert_with(|| Instant::now() + FOLD_AFTER);
        for job in batch {
            match &mut job.write {
                Write::SaveMessages { user, changes } => {
                    let MessageChanges { put, removed } = std::mem::take(changes);
                    for record in put {
                        self.put(user, record.seq, Some(record));
                    }
                    for seq in removed {
                        self.put(user, seq, None);
                    }
                }
                Write::RemoveUser(user) | Write::ChangeAccount { user, .. } => self.forget(user),
                _ => {}
            }
        }
    }

    fn put(&mut self, user: &UserKey, seq: u64, record: Option<MessageRecord>) {
        let messages = match self.users.get_mut(user) {
            Some(messages) => messages,
            None => self.users.entry(user.clone()).or_default(),
        };
        self.bytes += record.as_ref().map_or(0, |record| record.entry.len());
        if messages.insert(seq, record).is_none() {
            self.messages += 1;
        }
    }

    /// Takes in one entry of a row of the log; `None` if it is none.
    fn logged(&mut self, entry: &[Value]) -> Option<()> {
        let (user, rest) = entry.split_first()?;
        let user = UserKey::from(user.as_str()?);
        match rest {
            [] => self.forget(&user),
            [seq] => self.put(&user, seq.as_u64()?, None),
            [seq, at, stage, entry] => {
                let record = MessageRecord {
                    seq: seq.as_u64()?,
                    at: Timestamp::from_millis(at.as_i64()?),
                    stage: stage_of(stage.as_i64()?.try_into().ok()?),
                    entry: entry.to_string(),
                };
                self.put(&user, record.seq, Some(record));
            }
            _ => return None,
        }
        Some(())
    }

    fn forget(&mut self, user: &UserKey) {
        self.messages -= self.users.remove(user).map_or(0, |messages| messages.len());
    }
}

/// What the jobs of a batch say about messages, as a row of the log; `None` if they say nothing. Removals of users are written
/// with it: what the log said of them before counts no more.
pub(super) fn entries(batch: &[Job]) -> Result<Option<String>, sqlx::Error> {
    let mut rows = Rows::default();
    for job in batch {
        match &job.write {
            Write::SaveMessages { user, changes } => {
                for record in &changes.put {
                    rows.record(user, record)?;
                }
                for seq in &changes.removed {
                    rows.begin(user)?;
                    rows.number(seq);
                    rows.end();
                }
            }
            Write::RemoveUser(user) | Write::ChangeAccount { user, .. } => {
                rows.begin(user)?;
                rows.end();
            }
            _ => {}
        }
    }
    Ok((!rows.is_empty()).then(|| rows.finish()))
}

/// Appends such a row to the log.
pub(super) async fn append(tx: &mut Tx, entries: String) -> Result<i64, sqlx::Error> {
    in_tx!(tx, c => sqlx::query_scalar(sql::APPEND_MESSAGES).bind(entries).fetch_one(c).await)
}

/// The same as a transaction of its own: one passage to the database where there would be three.
pub(super) async fn append_alone(pool: &Pool, entries: String) -> Result<i64, sqlx::Error> {
    on!(pool, pool => sqlx::query_scalar(sql::APPEND_MESSAGES).bind(entries).fetch_one(pool).await)
}

/// Writes the last words into the table, and empties the log of them.
pub(in crate::store::sql) async fn fold(tx: &mut Tx, pending: &Pending) -> Result<(), sqlx::Error> {
    let (mut put, mut removed) = (Rows::default(), Rows::default());
    for (user, messages) in &pending.users {
        for (seq, record) in messages {
            match record {
                Some(record) => put.record(user, record)?,
                None => {
                    removed.begin(user)?;
                    removed.number(seq);
                    removed.end();
                }
            }
        }
    }
    if !put.is_empty() {
        run(tx, sql::SAVE_MESSAGES, put.finish()).await?;
    }
    if !removed.is_empty() {
        run(tx, sql::FORGET_MESSAGES, removed.finish()).await?;
    }
    in_tx!(tx, c => sqlx::query(sql::EMPTY_MESSAGE_LOG).bind(pending.newest).execute(c).await.map(drop))
}

/// What the log of a database holds that has just been opened.
pub(in crate::store::sql) async fn logged(tx: &mut Tx) -> Result<Pending, sqlx::Error> {
    let rows: Vec<(i64, String)> = in_tx!(tx, c => sqlx::query_as(sql::MESSAGE_LOG).fetch_all(c).await)?;
    let mut pending = Pending::default();
    for (id, entries) in rows {
        let entries: Vec<Vec<Value>> = serde_json::from_str(&entries).map_err(|error| sqlx::Error::Decode(error.into()))?;
        for entry in &entries {
            pending
                .logged(entry)
                .ok_or_else(|| sqlx::Error::Decode("no such entry of the log is known".into()))?;
        }
        pending.newest = id;
    }
    Ok(pending)
}

/// A JSON array of arrays.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn record(&mut self, user: &UserKey, record: &MessageRecord) -> Result<(), sqlx::Error> {
        self.begin(user)?;
        self.number(record.seq);
        self.number(record.at.as_millis());
        self.number(stage_number(record.stage));
        self.0.push(',');
        self.0.push_str(&record.entry);
        self.end();
        Ok(())
    }

    fn begin(&mut self, user: &UserKey) -> Result<(), sqlx::Error> {
        self.0.push_str(if self.0.is_empty() { "[[" } else { ",[" });
        let user = serde_json::to_string(user.as_str()).map_err(|error| sqlx::Error::Encode(error.into()))?;
        self.0.push_str(&user);
        Ok(())
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, ",{number}");
    }

    fn end(&mut self) {
        self.0.push(']');
    }

    fn finish(mut self) -> String {
        self.0.push(']');
        self.0
    }
}

async fn run(tx: &mut Tx, statement: sql::PerDialect, rows: String) -> Result<(), sqlx::Error> {
    match tx {
        Tx::Sqlite(transaction) => sqlx::query(statement.sqlite)
            .bind(rows)
            .execute(&mut **transaction)
            .await
            .map(drop),
        Tx::Pg(transaction) => sqlx::query(statement.postgres)
            .bind(rows)
            .execute(&mut **transaction)
            .await
            .map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::JournalStage;

    fn record(seq: u64, bytes: usize) -> MessageRecord {
        MessageRecord {
            seq,
            at: Timestamp::from_millis(0),
            stage: JournalStage::Waits,
            entry: "x".repeat(bytes),
        }
    }

    #[test]
    fn many_messages_and_long_ones_are_not_gathered_without_end() {
        let user = UserKey::from("romeo@x");
        let (mut many, mut long) = (Pending::default(), Pending::default());
        for seq in 1..=FOLD_AT as u64 {
            assert!(!many.is_due());
            many.put(&user, seq, Some(record(seq, 1)));
        }
        assert!(many.is_due());
        // The same message again and again.
        for _ in 0..FOLD_AT_BYTES / 65_536 {
            assert!(!long.is_due());
            long.put(&user, 1, Some(record(1, 65_536)));
        }
        assert!(long.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_folded_is_tried_again_after_a_while_and_does_not_grow_without_end() {
        let user = UserKey::from("romeo@x");
        let mut pending = Pending::default();
        for seq in 1..=FOLD_AT as u64 {
            pending.put(&user, seq, Some(record(seq, 1)));
        }
        pending.postpone();
        assert!(!pending.is_due());
        assert_eq!(pending.due(), Some(Instant::now() + FOLD_AFTER));
        tokio::time::advance(FOLD_AFTER).await;
        assert!(pending.is_due());
        assert!(!pending.is_full());
        for seq in 1..=(FOLD_AT * TOO_MUCH) as u64 {
            pending.put(&user, seq, Some(record(seq, 1)));
        }
        assert!(pending.is_full());
    }

    #[test]
    fn of_a_user_who_is_gone_nothing_is_pending() {
        let (romeo, juliet) = (UserKey::from("romeo@x"), UserKey::from("juliet@x"));
        let mut pending = Pending::default();
        pending.put(&romeo, 1, Some(record(1, 9)));
        pending.put(&juliet, 1, None);
        pending.forget(&romeo);
        assert!(!pending.has(&romeo));
        assert!(pending.has(&juliet));
        assert_eq!(pending.messages, 1);
    }
}
