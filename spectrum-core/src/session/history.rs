//! Which message is which: the ids that the user's clients, the core and the network give to the same message. Owned by
//! the session, bounded: it reaches back a few dozen messages, which is what corrections and receipts need.

use std::collections::VecDeque;

use crate::model::{Chat, MessageId};
use crate::session::fingerprint::Fingerprint;

/// The user's messages whose ids are remembered.
const OWN_MESSAGES: usize = 48;

/// Ids of incoming messages that are remembered, so that a repeated message is dropped.
const SEEN_IDS: usize = 256;

/// Bytes of an id that is taken over from outside; a longer one is replaced.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// What is remembered of messages.
#[derive(Debug, Default)]
pub(crate) struct History {
    own: VecDeque<Own>,
    seen: VecDeque<u64>,
}

/// A message of the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    /// Where it went.
    pub(crate) chat: Chat,
    /// The core's id.
    pub(crate) core: MessageId,
    /// The id that the user's client gave it.
    pub(crate) client: Box<str>,
    /// The network's id, once it is known.
    pub(crate) network: Option<MessageId>,
}

impl History {
    /// Remembers a message of the user.
    pub(crate) fn sent(&mut self, own: Own) {
        if self.own.len() >= OWN_MESSAGES {
            self.own.pop_front();
        }
        self.own.push_back(own);
    }

    /// The network's id of a message of the user has become known.
    pub(crate) fn named(&mut self, core: &MessageId, network: MessageId) {
        if let Some(own) = self.own.iter_mut().rev().find(|own| own.core == *core) {
            own.network = Some(network);
        }
    }

    /// The message of the user with this id of the core.
    pub(crate) fn by_core(&self, core: &MessageId) -> Option<&Own> {
        self.own.iter().rev().find(|own| own.core == *core)
    }

    /// The message of the user in a chat with this id of the client.
    pub(crate) fn by_client(&self, chat: &Chat, client: &str) -> Option<&Own> {
        self.own.iter().rev().find(|own| *own.client == *client && own.chat == *chat)
    }

    /// The id by which the user's clients know a message that the network names.
    pub(crate) fn for_client(&self, chat: &Chat, network: &MessageId) -> String {
        let own = self
            .own
            .iter()
            .rev()
            .find(|own| (own.network.as_ref() == Some(network) || own.core == *network) && own.chat == *chat);
        own.map_or_else(|| network.as_str().to_owned(), |own| own.client.to_string())
    }

    /// The id by which a room knows a line that the network names: the network's, of one of the user's own that has none the
    /// core's.
    pub(crate) fn for_room(&self, chat: &Chat, network: &MessageId) -> String {
        let own = self.own.iter().rev().find(|own| own.core == *network && own.chat == *chat);
        let known = own.and_then(|own| own.network.as_ref()).unwrap_or(network);
        known.as_str().to_owned()
    }

    /// The id by which the network knows a line that the user's client names, by its own id or by the room's.
    pub(crate) fn for_network_in_room(&self, chat: &Chat, named: &str) -> MessageId {
        let own = self.own.iter().rev().find(|own| {
            own.chat == *chat && (*own.client == *named || own.network.as_ref().is_some_and(|id| id.as_str() == named))
        });
        own.map_or_else(|| named.into(), |own| own.core.clone())
    }

    /// The id by which the network knows a message that the user's client names: the core's for one of the user's own.
    pub(crate) fn for_network(&self, chat: &Chat, client: &str) -> MessageId {
        self.by_client(chat, client)
            .map_or_else(|| client.into(), |own| own.core.clone())
    }

    /// Whether a message with this id has been seen in the chat; it has been from now on.
    pub(crate) fn is_repeated(&mut self, chat: &str, id: &MessageId) -> bool {
        let seen = Fingerprint::new(2).text(chat).text(id.as_str()).finish();
        if self.seen.contains(&seen) {
            return true;
        }
        if self.seen.len() >= SEEN_IDS {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(n: usize) -> Own {
        Own {
            chat: Chat::Contact("a".into()),
            core: format!("c{n}").into(),
            client: format!("x{n}").into(),
            network: None,
        }
    }

    #[test]
    fn a_message_is_found_by_each_of_its_ids() {
        let chat = Chat::Contact("a".into());
        let mut history = History::default();
        history.sent(own(1));
        history.named(&"c1".into(), "net1".into());
        assert_eq!(history.for_client(&chat, &"net1".into()), "x1");
        assert_eq!(history.for_network(&chat, "x1"), "c1".into());
        assert_eq!(history.for_network(&chat, "net9"), "net9".into());
        assert_eq!(history.for_client(&Chat::Contact("b".into()), &"net1".into()), "net1");
    }

    #[test]
    fn only_a_repeated_id_of_one_chat_is_repeated() {
        let mut history = History::default();
        assert!(!history.is_repeated("a", &"1".into()));
        assert!(history.is_repeated("a", &"1".into()));
        assert!(!history.is_repeated("b", &"1".into()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut history = History::default();
        for n in 0..1_000 {
            history.sent(own(n));
            history.is_repeated("a", &format!("{n}").into());
        }
        assert_eq!((history.own.len(), history.seen.len()), (OWN_MESSAGES, SEEN_IDS));
    }
}
