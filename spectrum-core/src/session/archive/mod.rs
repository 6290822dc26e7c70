//! What was said in rooms, as it is kept for who asks later (XEP-0313): the words that sessions and stores share. The lines
//! of one user's room are one archive, named by the room's localpart; nobody else's session reads it.

mod memory;

pub use memory::MemoryArchive;

use crate::model::Timestamp;

/// Lines that one answer carries, whatever was asked for.
pub const MAX_PAGE: u32 = 100;
/// Ids that one query may name.
pub const MAX_IDS: usize = 100;

/// A line as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchivedLine {
    /// Its id in the archive, which is the `stanza-id` it was shown with. Unique in the archive.
    pub id: String,
    /// When it was said.
    pub at: Timestamp,
    /// Orders lines that were said at the same time.
    pub order: i64,
    /// The stanza as text, without an addressee and without `<delay/>`.
    pub stanza: String,
}

impl ArchivedLine {
    /// Where it stands in its archive.
    pub fn key(&self) -> (i64, i64) {
        (self.at.as_millis(), self.order)
    }
}

/// Which lines of an archive are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ArchiveQuery {
    /// None said before this.
    pub start: Option<Timestamp>,
    /// None said after this.
    pub end: Option<Timestamp>,
    /// Only those behind all of these.
    pub after: Vec<String>,
    /// Only those before all of these.
    pub before: Vec<String>,
    /// Only these, unless empty.
    pub ids: Vec<String>,
    /// At most so many; with 0 they are only counted.
    pub limit: u32,
    /// Of more than that the newest rather than the oldest.
    pub newest: bool,
}

/// Asks an archive for something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArchiveRequest {
    /// Lines.
    Page(ArchiveQuery),
    /// The first line and the last one.
    Ends,
}

/// Lines of an archive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ArchivePage {
    /// Oldest first.
    pub lines: Vec<ArchivedLine>,
    /// Whether nothing further fits the query in its direction.
    pub complete: bool,
    /// How many fit the query, if they were counted.
    pub count: Option<u64>,
}

/// What an archive says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArchiveAnswer {
    /// Lines.
    Page(ArchivePage),
    /// The query names a line that the archive does not hold.
    UnknownId,
}

/// Changes an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArchiveChange {
    /// Lines are added. One whose id is there already changes nothing.
    Append(Vec<ArchivedLine>),
    /// A line says something else from now on.
    Replace {
        /// Which.
        id: String,
        /// What.
        stanza: String,
    },
    /// What is too old or too much goes.
    Trim(ArchiveBounds),
}

/// How much an archive keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArchiveBounds {
    /// Nothing said before this.
    pub oldest: Timestamp,
    /// At most so many lines, the newest.
    pub lines: u32,
}

/// The end of a page: takes the one line too many off that tells that there is more.
pub(crate) fn page_of(mut lines: Vec<ArchivedLine>, query: &ArchiveQuery) -> ArchivePage {
    let limit = query.limit as usize;
    let complete = lines.len() <= limit;
    if query.newest {
        let surplus = lines.len().saturating_sub(limit);
        lines.drain(..surplus);
    } else {
        lines.truncate(limit);
    }
    ArchivePage {
        lines,
        complete,
        count: None,
    }
}
