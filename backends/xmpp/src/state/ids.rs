//! Recent messages of one chat or room, so that ids can be translated: a room names a message anew (XEP-0359), corrections
//! use the sender's id, and a reply wants to quote. Bounded and in memory: it reaches back a few dozen messages.

use std::collections::VecDeque;

/// Messages remembered.
const MAX_RECENT: usize = 64;

/// Characters of a text that may be quoted.
const MAX_SNIPPET: usize = 160;

/// Bytes of ids and addresses together that are remembered; longer ones are translated by nobody.
const MAX_BYTES: usize = 2_048;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Recent {
    /// The chat's address, where one list serves several.
    pub(crate) chat: Box<str>,
    /// The id by which the core knows it.
    pub(crate) id: Box<str>,
    /// The id that its sender gave it.
    pub(crate) origin: Box<str>,
    /// The address of its sender.
    pub(crate) author: Box<str>,
    /// The beginning of its text.
    pub(crate) snippet: Box<str>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct RecentMessages(VecDeque<Recent>);

impl RecentMessages {
    /// Remembers a message.
    pub(crate) fn add(&mut self, recent: Recent) {
        if recent.chat.len() + recent.id.len() + recent.origin.len() + recent.author.len() > MAX_BYTES {
            return;
        }
        if self.0.len() >= MAX_RECENT {
            self.0.pop_front();
        }
        self.0.push_back(recent);
    }

    /// The message that its sender calls this.
    pub(crate) fn by_origin(&self, chat: &str, author: &str, origin: &str) -> Option<&Recent> {
        let fits = |r: &&Recent| *r.origin == *origin && *r.author == *author && *r.chat == *chat;
        self.0.iter().rev().find(fits)
    }

    /// The message with either of these ids.
    pub(crate) fn by_either(&self, chat: &str, id: &str) -> Option<&Recent> {
        self.0
            .iter()
            .rev()
            .find(|r| (*r.id == *id || *r.origin == *id) && *r.chat == *chat)
    }

    /// Everybody's messages of this sender in this room have another address from now on.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        for recent in self.0.iter_mut().filter(|r| *r.author == *old) {
            recent.author = new.into();
        }
    }
}

/// What may be quoted of a text.
pub(crate) fn snippet(text: &str) -> Box<str> {
    let short: String = text.chars().take(MAX_SNIPPET).collect();
    if short.len() < text.len() {
        format!("{short}…").into()
    } else {
        short.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(n: usize) -> Recent {
        Recent {
            chat: "r@muc".into(),
            id: format!("s{n}").into(),
            origin: format!("o{n}").into(),
            author: "r@muc/Bob".into(),
            snippet: snippet("text"),
        }
    }

    #[test]
    fn a_message_is_found_by_its_ids_until_it_is_too_long_ago() {
        let mut list = RecentMessages::default();
        for n in 0..=MAX_RECENT {
            list.add(recent(n));
        }
        assert_eq!(list.by_either("r@muc", "s0"), None);
        assert_eq!(list.by_origin("r@muc", "r@muc/Bob", "o7").map(|r| &*r.id), Some("s7"));
        assert_eq!(
            list.by_origin("r@muc", "r@muc/Eve", "o7"),
            None,
            "nobody names another's message"
        );
        assert_eq!(list.by_either("r@muc", "o7"), list.by_either("r@muc", "s7"));
        list.rename("r@muc/Bob", "r@muc/Rob");
        assert!(list.by_origin("r@muc", "r@muc/Rob", "o7").is_some());
    }
}
