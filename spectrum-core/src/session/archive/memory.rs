//! Archives in memory: of sessions without storage, and of the store that forgets. Owned by whoever holds it; bounded in
//! lines and bytes of each archive and of all together.

use std::collections::{BTreeMap, HashMap};

use super::{ArchiveAnswer, ArchiveBounds, ArchiveChange, ArchivePage, ArchiveQuery, ArchiveRequest, ArchivedLine, page_of};

/// What a line takes besides its text.
const LINE_BYTES: usize = 160;

/// The archives of one user, by the localpart of the room.
#[derive(Debug, Default)]
pub struct MemoryArchive {
    rooms: HashMap<String, Lines>,
    bytes: usize,
    max_bytes: Option<usize>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: BTreeMap<(i64, i64), ArchivedLine>,
    keys: HashMap<String, (i64, i64)>,
    bytes: usize,
}

impl MemoryArchive {
    /// Empty, and never above so many bytes: beyond them the fullest archive loses its oldest lines.
    pub fn bounded(max_bytes: usize) -> Self {
        Self {
            max_bytes: Some(max_bytes),
            ..Self::default()
        }
    }

    /// Makes a change; true if anything is different.
    pub fn change(&mut self, room: &str, change: ArchiveChange) -> bool {
        match change {
            ArchiveChange::Append(lines) => {
                let archive = self.rooms.entry(room.to_owned()).or_default();
                let before = archive.bytes;
                let mut changed = false;
                for line in lines {
                    changed |= archive.insert(line);
                }
                self.bytes += archive.bytes - before;
                self.make_room();
                changed
            }
            ArchiveChange::Replace { id, stanza } => {
                let Some(archive) = self.rooms.get_mut(room) else {
                    return false;
                };
                let Some(line) = archive.keys.get(&id).and_then(|key| archive.lines.get_mut(key)) else {
                    return false;
                };
                archive.bytes = archive.bytes + stanza.len() - line.stanza.len();
                self.bytes = self.bytes + stanza.len() - line.stanza.len();
                line.stanza = stanza;
                true
            }
            ArchiveChange::Trim(bounds) => self.trim(room, bounds),
        }
    }

    fn trim(&mut self, room: &str, bounds: ArchiveBounds) -> bool {
        let Some(archive) = self.rooms.get_mut(room) else {
            return false;
        };
        let before = archive.lines.len();
        while archive.lines.len() > bounds.lines as usize
            || archive
                .lines
                .keys()
                .next()
                .is_some_and(|(at, _)| *at < bounds.oldest.as_millis())
        {
            self.bytes -= archive.drop_oldest();
        }
        let changed = archive.lines.len() != before;
        if archive.lines.is_empty() {
            self.rooms.remove(room);
        }
        changed
    }

    /// Takes out of every archive what was said before this; true if that was anything.
    pub fn expire(&mut self, bounds: ArchiveBounds) -> bool {
        let rooms: Vec<String> = self.rooms.keys().cloned().collect();
        rooms.iter().fold(false, |changed, room| self.trim(room, bounds) | changed)
    }

    /// Answers a request.
    pub fn answer(&self, room: &str, request: &ArchiveRequest) -> ArchiveAnswer {
        let Some(archive) = self.rooms.get(room) else {
            return Lines::default().answer(request);
        };
        archive.answer(request)
    }

    fn make_room(&mut self) {
        let Some(max) = self.max_bytes else { return };
        while self.bytes > max {
            // A tenth at once, so that the search for the fullest is rare.
            let goal = max - max / 10;
            let Some(archive) = self.rooms.values_mut().max_by_key(|archive| archive.bytes) else {
                return;
            };
            while self.bytes > goal && !archive.lines.is_empty() {
                self.bytes -= archive.drop_oldest();
            }
        }
    }
}

impl Lines {
    fn insert(&mut self, mut line: ArchivedLine) -> bool {
        if self.keys.contains_key(&line.id) {
            return false;
        }
        while self.lines.contains_key(&line.key()) {
            line.order += 1;
        }
        let key = line.key();
        self.bytes += LINE_BYTES + line.stanza.len();
        self.keys.insert(line.id.clone(), key);
        self.lines.insert(key, line);
        true
    }

    /// Gives the bytes that are free now.
    fn drop_oldest(&mut self) -> usize {
        let Some((_, line)) = self.lines.pop_first() else { return 0 };
        self.keys.remove(&line.id);
        let bytes = LINE_BYTES + line.stanza.len();
        self.bytes -= bytes;
        bytes
    }

    fn answer(&self, request: &ArchiveRequest) -> ArchiveAnswer {
        match request {
            ArchiveRequest::Ends => {
                let ends = self.lines.first_key_value().into_iter().chain(self.lines.last_key_value());
                ArchiveAnswer::Page(ArchivePage {
                    lines: ends.map(|(_, line)| line.clone()).collect(),
                    complete: true,
                    count: None,
                })
            }
            ArchiveRequest::Page(query) => self.page(query).map_or(ArchiveAnswer::UnknownId, ArchiveAnswer::Page),
        }
    }

    fn page(&self, query: &ArchiveQuery) -> Option<ArchivePage> {
        let key = |id: &String| self.keys.get(id).copied();
        let mut after = (i64::MIN, i64::MIN);
        for id in &query.after {
            after = after.max(key(id)?);
        }
        let mut before = (i64::MAX, i64::MAX);
        for id in &query.before {
            before = before.min(key(id)?);
        }
        if !query.ids.iter().all(|id| self.keys.contains_key(id)) {
            return None;
        }
        let fits = |line: &&ArchivedLine| {
            let at = line.at;
            line.key() > after
                && line.key() < before
                && query.start.is_none_or(|start| at >= start)
                && query.end.is_none_or(|end| at <= end)
                && (query.ids.is_empty() || query.ids.contains(&line.id))
        };
        let fitting = self.lines.values().filter(fits);
        if query.limit == 0 {
            return Some(ArchivePage {
                count: Some(fitting.count() as u64),
                ..ArchivePage::default()
            });
        }
        let wanted = query.limit as usize + 1;
        let lines: Vec<ArchivedLine> = if query.newest {
            let mut lines: Vec<_> = self.lines.values().rev().filter(fits).take(wanted).cloned().collect();
            lines.reverse();
            lines
        } else {
            fitting.take(wanted).cloned().collect()
        };
        Some(page_of(lines, query))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn line(n: i64, text: &str) -> ArchivedLine {
        ArchivedLine {
            id: format!("i{n}"),
            at: Timestamp::from_secs(n),
            order: n,
            stanza: text.to_owned(),
        }
    }

    #[test]
    fn beyond_the_bytes_the_fullest_archive_loses_its_oldest_lines() {
        let mut archive = MemoryArchive::bounded(100_000);
        archive.change("small", ArchiveChange::Append(vec![line(1, "x")]));
        for n in 0..1_000 {
            archive.change("big", ArchiveChange::Append(vec![line(n, &"y".repeat(1_000))]));
            assert!(archive.bytes <= 100_000);
        }
        let all = ArchiveRequest::Page(ArchiveQuery {
            limit: 1,
            newest: true,
            ..ArchiveQuery::default()
        });
        let newest = |room| match archive.answer(room, &all) {
            ArchiveAnswer::Page(page) => page.lines.first().map(|line| line.id.clone()),
            ArchiveAnswer::UnknownId => None,
        };
        assert_eq!(
            (newest("small"), newest("big")),
            (Some("i1".to_owned()), Some("i999".to_owned()))
        );
    }

    #[test]
    fn what_is_counted_in_is_counted_out() {
        let mut archive = MemoryArchive::default();
        archive.change("r", ArchiveChange::Append((0..9).map(|n| line(n, "text")).collect()));
        let replaced = ArchiveChange::Replace {
            id: "i5".to_owned(),
            stanza: "a longer text".to_owned(),
        };
        assert!(archive.change("r", replaced));
        assert!(archive.expire(ArchiveBounds {
            oldest: Timestamp::from_secs(100),
            lines: 100
        }));
        assert_eq!((archive.bytes, archive.rooms.len()), (0, 0));
    }
}
