//! What was said in one talk or room, as far back as it is kept. Owned by the network; bounded in number and bytes.

use std::collections::VecDeque;

use spectrum_backend_sdk::model::{
    Attachment, Chat, ContactId, IncomingMessage, MessageId, MessageKind, Nickname, Origin, Reply, Timestamp,
};

/// Messages kept of one talk or room; the oldest go first.
const KEPT: usize = 500;
/// Bytes of text kept of one talk or room.
const KEPT_BYTES: usize = 256 * 1024;
/// Messages in one page.
const PAGE: usize = 100;

/// A message that is kept.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) id: MessageId,
    pub(super) by: ContactId,
    /// Its author's name then, in a room.
    pub(super) nickname: Option<Nickname>,
    pub(super) body: String,
    pub(super) attachments: Vec<Attachment>,
    pub(super) reply: Option<Reply>,
    pub(super) at: Timestamp,
}

impl Entry {
    /// As somebody sees it who asks for old messages.
    pub(super) fn seen_by(&self, who: &ContactId, chat: Chat) -> IncomingMessage {
        IncomingMessage {
            chat,
            nickname: self.nickname.clone(),
            id: Some(self.id.clone()),
            body: self.body.clone(),
            xhtml: None,
            timestamp: Some(self.at),
            origin: if self.by == *who {
                Origin::OwnOtherDevice
            } else {
                Origin::Other
            },
            kind: MessageKind::Normal,
            attachments: self.attachments.clone(),
            reply: self.reply.clone(),
        }
    }
}

/// Messages, oldest first.
#[derive(Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Log {
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.body.len();
        self.entries.push_back(entry);
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES && self.entries.len() > 1 {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.body.len();
            }
        }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.id == *id)
    }

    /// Gives a message another text; false if it is not kept any more.
    pub(super) fn edit(&mut self, id: &MessageId, body: String) -> bool {
        let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.id == *id) else {
            return false;
        };
        self.bytes = self.bytes - entry.body.len() + body.len();
        entry.body = body;
        true
    }

    pub(super) fn remove(&mut self, id: &MessageId) {
        if let Some(at) = self.entries.iter().rposition(|entry| entry.id == *id)
            && let Some(entry) = self.entries.remove(at)
        {
            self.bytes -= entry.body.len();
        }
    }

    /// When something was said last.
    pub(super) fn last_at(&self) -> Timestamp {
        self.entries.back().map_or(Timestamp::from_millis(0), |entry| entry.at)
    }

    /// The last so many.
    pub(super) fn tail(&self, count: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().skip(self.entries.len().saturating_sub(count))
    }

    /// A page, oldest first, and whether nothing further is there in the direction asked for; `None` if a message named as
    /// its edge is not kept.
    pub(super) fn page(
        &self,
        before: Option<&MessageId>,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Option<(impl Iterator<Item = &Entry>, bool)> {
        let place = |id: &MessageId| self.entries.iter().position(|entry| entry.id == *id);
        let begin = match after {
            Some(id) => place(id)? + 1,
            None => 0,
        };
        let end = match before {
            Some(id) => place(id)?,
            None => self.entries.len(),
        };
        let limit = usize::try_from(limit).unwrap_or(PAGE).min(PAGE);
        let length = end.saturating_sub(begin);
        // Forward from `after`, else back from the end.
        let first = if after.is_some() {
            begin
        } else {
            begin + length.saturating_sub(limit)
        };
        let page = self.entries.iter().skip(first).take(length.min(limit));
        Some((page, length <= limit))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn log(count: usize) -> Log {
        let mut log = Log::default();
        for n in 0..count {
            log.push(Entry {
                id: n.to_string().into(),
                by: "a".into(),
                nickname: None,
                body: "x".to_owned(),
                attachments: Vec::new(),
                reply: None,
                at: Timestamp::from_secs(0),
            });
        }
        log
    }

    fn page(log: &Log, before: Option<&str>, after: Option<&str>, limit: u32) -> Option<(Vec<String>, bool)> {
        let (before, after) = (before.map(MessageId::from), after.map(MessageId::from));
        let (page, complete) = log.page(before.as_ref(), after.as_ref(), limit)?;
        Some((page.map(|entry| entry.id.as_str().to_owned()).collect(), complete))
    }

    fn ids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|n| n.to_string()).collect()
    }

    #[test]
    fn pages_go_back_from_the_end_and_forward_from_a_message() {
        let log = log(10);
        assert_eq!(page(&log, None, None, 3).unwrap(), (ids(7..10), false));
        assert_eq!(page(&log, Some("7"), None, 3).unwrap(), (ids(4..7), false));
        assert_eq!(page(&log, Some("2"), None, 3).unwrap(), (ids(0..2), true));
        assert_eq!(page(&log, None, Some("7"), 1).unwrap(), (ids(8..9), false));
        assert_eq!(page(&log, None, Some("7"), 2).unwrap(), (ids(8..10), true));
        assert_eq!(page(&log, Some("2"), Some("7"), 5).unwrap(), (ids(0..0), true));
        assert_eq!(page(&log, Some("gone"), None, 5), None);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_bytes() {
        let mut log = log(2 * KEPT);
        assert_eq!(log.entries.len(), KEPT);
        let last = log.entries.back().unwrap().clone();
        assert!(log.edit(&last.id, "x".repeat(KEPT_BYTES)));
        log.push(Entry {
            id: "new".into(),
            ..last.clone()
        });
        assert_eq!(log.entries.len(), 1);
        log.remove(&"new".into());
        assert_eq!(log.bytes, 0);
        assert!(!log.edit(&last.id, String::new()));
    }
}
