//! The journal's part of a batch: the messages of all users in it with one statement, and one for those that may go.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Tx, Write, stage_number};
use crate::store::MessageRecord;
use crate::store::sql::statement as sql;

/// Writes what the jobs of a batch say about messages. Of each message the last word counts.
pub(super) async fn save<'a>(tx: &mut Tx, writes: impl Iterator<Item = &'a Write>) -> Result<(), sqlx::Error> {
    let mut put: Vec<(&str, &MessageRecord)> = Vec::new();
    let mut places: HashMap<(&str, u64), usize> = HashMap::new();
    let mut removed = String::new();
    for write in writes {
        let Write::SaveMessages { user, changes } = write else {
            continue;
        };
        for record in &changes.put {
            match places.get(&(user.as_str(), record.seq)).and_then(|at| put.get_mut(*at)) {
                Some(earlier) => *earlier = (user.as_str(), record),
                None => {
                    places.insert((user.as_str(), record.seq), put.len());
                    put.push((user.as_str(), record));
                }
            }
        }
        for seq in &changes.removed {
            removed.push(if removed.is_empty() { '[' } else { ',' });
            row(&mut removed, user.as_str(), *seq)?;
            removed.push(']');
        }
    }
    if !put.is_empty() {
        let mut rows = String::with_capacity(put.iter().map(|(user, record)| user.len() + record.entry.len() + 64).sum());
        for (user, record) in put {
            rows.push(if rows.is_empty() { '[' } else { ',' });
            row(&mut rows, user, record.seq)?;
            // Writing to a string does not fail.
            let _ = write!(rows, ",{},{},", record.at.as_millis(), stage_number(record.stage));
            rows.push_str(&record.entry);
            rows.push(']');
        }
        rows.push(']');
        run(tx, sql::SAVE_MESSAGES, rows).await?;
    }
    if !removed.is_empty() {
        removed.push(']');
        run(tx, sql::FORGET_MESSAGES, removed).await?;
    }
    Ok(())
}

/// The beginning of one row: whose, and its place.
fn row(rows: &mut String, user: &str, seq: u64) -> Result<(), sqlx::Error> {
    let user = serde_json::to_string(user).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let _ = write!(rows, "[{user},{seq}");
    Ok(())
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
