//! The archives of rooms in a database. Pages are read with the bounds of their query in the statement, never as a whole.

use crate::model::{Timestamp, UserKey};
use crate::session::archive::{
    ArchiveAnswer, ArchiveChange, ArchivePage, ArchiveQuery, ArchiveRequest, ArchivedLine, MemoryArchive, page_of,
};
use crate::store::sql::writer::{Tx, in_tx};
use crate::store::sql::{Pool, on, statement as sql};

type Row = (String, i64, i64, String);

fn line((id, said, place, stanza): Row) -> ArchivedLine {
    ArchivedLine {
        id,
        at: Timestamp::from_millis(said),
        order: place,
        stanza,
    }
}

/// Makes a change, and gives the number of lines that are different.
pub(super) async fn change(tx: &mut Tx, user: &UserKey, room: &str, change: &ArchiveChange) -> Result<u64, sqlx::Error> {
    match change {
        ArchiveChange::Append(lines) => {
            let mut rows = 0;
            for line in lines {
                rows += in_tx!(tx, c => sqlx::query(sql::APPEND_ARCHIVE)
                    .bind(user.as_str())
                    .bind(room)
                    .bind(&line.id)
                    .bind(line.at.as_millis())
                    .bind(line.order)
                    .bind(&line.stanza)
                    .execute(c)
                    .await
                    .map(|done| done.rows_affected()))?;
            }
            Ok(rows)
        }
        ArchiveChange::Replace { id, stanza } => in_tx!(tx, c => sqlx::query(sql::REPLACE_ARCHIVED)
            .bind(user.as_str())
            .bind(room)
            .bind(id)
            .bind(stanza)
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
        ArchiveChange::Trim(bounds) => in_tx!(tx, c => sqlx::query(sql::TRIM_ARCHIVE)
            .bind(user.as_str())
            .bind(room)
            .bind(bounds.oldest.as_millis())
            .bind(i64::from(bounds.lines))
            .execute(c)
            .await
            .map(|done| done.rows_affected())),
    }
}

/// Answers a request.
pub(super) async fn ask(pool: &Pool, user: &UserKey, room: &str, what: &ArchiveRequest) -> Result<ArchiveAnswer, sqlx::Error> {
    let archive = Archive { pool, user, room };
    match what {
        ArchiveRequest::Ends => {
            let mut lines = archive.lines(&Bounds::default(), false, 1).await?;
            lines.extend(archive.lines(&Bounds::default(), true, 1).await?);
            Ok(ArchiveAnswer::Page(ArchivePage {
                lines,
                complete: true,
                count: None,
            }))
        }
        ArchiveRequest::Page(query) if query.ids.is_empty() => archive.page(query).await,
        ArchiveRequest::Page(query) => archive.named(query).await,
    }
}

/// One archive.
struct Archive<'a> {
    pool: &'a Pool,
    user: &'a UserKey,
    room: &'a str,
}

/// What a page lies between; by default there are no bounds.
struct Bounds {
    start: i64,
    end: i64,
    after: (i64, i64),
    before: (i64, i64),
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            start: i64::MIN,
            end: i64::MAX,
            after: (i64::MIN, i64::MIN),
            before: (i64::MAX, i64::MAX),
        }
    }
}

/// Binds whose archive it is and what a page lies between: the first eight values of every statement that reads pages.
macro_rules! within {
    ($query:expr, $archive:expr, $bounds:expr) => {
        $query
            .bind($archive.user.as_str())
            .bind($archive.room)
            .bind($bounds.start)
            .bind($bounds.end)
            .bind($bounds.after.0)
            .bind($bounds.after.1)
            .bind($bounds.before.0)
            .bind($bounds.before.1)
    };
}

impl Archive<'_> {
    async fn page(&self, query: &ArchiveQuery) -> Result<ArchiveAnswer, sqlx::Error> {
        let mut bounds = Bounds::default();
        for id in &query.after {
            let Some(line) = self.line(id).await? else {
                return Ok(ArchiveAnswer::UnknownId);
            };
            bounds.after = bounds.after.max(line.key());
        }
        for id in &query.before {
            let Some(line) = self.line(id).await? else {
                return Ok(ArchiveAnswer::UnknownId);
            };
            bounds.before = bounds.before.min(line.key());
        }
        if let Some(start) = query.start {
            bounds.start = start.as_millis();
        }
        if let Some(end) = query.end {
            bounds.end = end.as_millis();
        }
        let page = if query.limit == 0 {
            ArchivePage {
                count: Some(self.count(&bounds).await?),
                ..ArchivePage::default()
            }
        } else {
            page_of(self.lines(&bounds, query.newest, i64::from(query.limit) + 1).await?, query)
        };
        Ok(ArchiveAnswer::Page(page))
    }

    /// The lines a query names; they are few, so the rest of the query is answered in memory.
    async fn named(&self, query: &ArchiveQuery) -> Result<ArchiveAnswer, sqlx::Error> {
        let mut found = Vec::with_capacity(query.ids.len());
        for id in query.ids.iter().chain(&query.after).chain(&query.before) {
            match self.line(id).await? {
                Some(line) => found.push(line),
                None => return Ok(ArchiveAnswer::UnknownId),
            }
        }
        let mut few = MemoryArchive::default();
        few.change(self.room, ArchiveChange::Append(found));
        Ok(few.answer(self.room, &ArchiveRequest::Page(query.clone())))
    }

    async fn line(&self, id: &str) -> Result<Option<ArchivedLine>, sqlx::Error> {
        let row: Option<Row> = on!(self.pool, pool => sqlx::query_as(sql::ARCHIVED)
            .bind(self.user.as_str())
            .bind(self.room)
            .bind(id)
            .fetch_optional(pool)
            .await)?;
        Ok(row.map(line))
    }

    /// Oldest first, also where the newest are wanted.
    async fn lines(&self, bounds: &Bounds, newest: bool, limit: i64) -> Result<Vec<ArchivedLine>, sqlx::Error> {
        let statement = if newest { sql::ARCHIVE_NEWEST } else { sql::ARCHIVE_OLDEST };
        let rows: Vec<Row> = on!(self.pool, pool => within!(sqlx::query_as(statement), self, bounds)
            .bind(limit)
            .fetch_all(pool)
            .await)?;
        let mut lines: Vec<ArchivedLine> = rows.into_iter().map(line).collect();
        if newest {
            lines.reverse();
        }
        Ok(lines)
    }

    async fn count(&self, bounds: &Bounds) -> Result<u64, sqlx::Error> {
        let count: i64 = on!(self.pool, pool => within!(sqlx::query_scalar(sql::COUNT_ARCHIVE), self, bounds)
            .fetch_one(pool)
            .await)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
