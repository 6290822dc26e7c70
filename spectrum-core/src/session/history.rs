//! Which message is which: the ids that the user's clients, the core and the network give to the same message. Owned by
//! the session and bounded: it reaches back some dozen messages of each chat, which is what corrections, receipts and
//! reactions need. With storage it survives the session: the journal keeps what is here.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backend::{Certainty, OpError};
use crate::model::{Chat, MarkerKind, MessageId, Timestamp};
use crate::session::fingerprint::{Fingerprint, fingerprint};

/// The user's messages whose ids are remembered; one more, and the oldest is forgotten.
const OWN_MESSAGES: usize = 64;

/// Those of one chat, so that a busy one does not drive the others out.
const OWN_OF_A_CHAT: usize = 24;

/// A message that comes again within this time with the same id and the same text is the same message.
const REPEATED_MILLIS: i64 = 10 * 60 * 1000;

/// Ids of incoming messages that are remembered, so that a repeated message is dropped.
const SEEN_IDS: usize = 256;

/// Bytes of an id that is taken over from outside; a longer one is replaced.
pub(crate) const MAX_ID_BYTES: usize = 256;

/// What is remembered of messages.
#[derive(Debug, Default)]
pub(crate) struct History {
    own: OwnMessages,
    seen: VecDeque<u64>,
    last_seq: u64,
    /// Messages that the journal has to look at again.
    pub(crate) dirty: Vec<u64>,
    /// Places of messages whose senders have just been told what became of them, and until when the journal does not learn of it.
    pub(crate) told: Vec<(Option<Duration>, u64)>,
}

/// How far a message of the user has got, as far as the outbox does not say it better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// It has no fate yet.
    OnItsWay,
    /// The network has it.
    Sent,
    /// It has arrived.
    Delivered,
    /// It has been read.
    Displayed,
    /// Nobody knows.
    Uncertain,
    /// It was not sent.
    Failed,
}

/// A message of the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    /// Its place among the user's messages.
    pub(crate) seq: u64,
    /// When it was sent.
    pub(crate) at: Timestamp,
    /// Where it went.
    pub(crate) chat: Chat,
    /// The core's id.
    pub(crate) core: MessageId,
    /// The id that the user's client gave it.
    pub(crate) client: Box<str>,
    /// The network's id, once it is known.
    pub(crate) network: Option<MessageId>,
    /// A fingerprint of its text.
    pub(crate) print: u64,
    /// How far it has got.
    pub(crate) progress: Progress,
}

impl History {
    /// The place for one more message. Later ones have higher numbers, also after a restart.
    pub(crate) fn next_seq(&mut self, now: Timestamp) -> u64 {
        let by_time = u64::try_from(now.as_millis()).unwrap_or_default() << 8;
        self.last_seq = by_time.max(self.last_seq + 1);
        self.last_seq
    }

    /// Remembers a message of the user.
    pub(crate) fn sent(&mut self, own: Own) {
        self.dirty.push(own.seq);
        self.restore(own);
    }

    /// Remembers that the user's client calls a message by this id as well: corrections of a correction may refer to either
    /// (XEP-0308 3).
    pub(crate) fn also_called(&mut self, own: &Own, client: &str, now: Timestamp) {
        if *own.client != *client {
            let seq = self.next_seq(now);
            self.sent(Own {
                seq,
                client: client.into(),
                ..own.clone()
            });
        }
    }

    /// Remembers a message of an earlier session.
    pub(crate) fn restore(&mut self, own: Own) {
        self.last_seq = self.last_seq.max(own.seq);
        let oldest = if self.own.count(&own.chat) >= OWN_OF_A_CHAT {
            self.own.first(&own.chat)
        } else if self.own.len() >= OWN_MESSAGES {
            Some(0)
        } else {
            None
        };
        if let Some(forgotten) = oldest.and_then(|at| self.own.remove(at)) {
            self.dirty.push(forgotten.seq);
        }
        self.own.push(own);
    }

    /// All that is remembered, the oldest first.
    pub(crate) fn own(&self) -> impl DoubleEndedIterator<Item = &Own> {
        self.own.iter()
    }

    /// The message with this place.
    pub(crate) fn by_seq(&self, seq: u64) -> Option<&Own> {
        self.own.iter().rev().find(|own| own.seq == seq)
    }

    /// Whether a message with this place is remembered.
    pub(crate) fn is_known(&self, seq: u64) -> bool {
        self.by_seq(seq).is_some()
    }

    /// Whether the user's server brings a message again that is on its way or out: the first one's fate stands.
    pub(crate) fn is_sent_again(&self, chat: &Chat, client: &str, body: &str, now: Timestamp) -> bool {
        self.by_client(chat, client)
            .is_some_and(|own| now.as_millis().saturating_sub(own.at.as_millis()) < REPEATED_MILLIS && own.print == print(body))
    }

    /// The network has a message of the user, perhaps under an id of its own.
    pub(crate) fn named(&mut self, core: &MessageId, network: Option<&MessageId>) {
        let dirty = &mut self.dirty;
        self.own.change(core, |own| {
            own.progress = Progress::Sent;
            dirty.push(own.seq);
            if network.is_some() {
                own.network = network.cloned();
            }
        });
    }

    /// A message of the user has not been sent, or nobody knows.
    pub(crate) fn failed(&mut self, core: &MessageId, failed: &OpError) {
        let told = &mut self.told;
        self.own.change(core, |own| {
            told.push((None, own.seq));
            own.progress = match failed.certainty {
                Certainty::NotSent => Progress::Failed,
                Certainty::MaybeSent => Progress::Uncertain,
            };
        });
    }

    /// A message of the user has been taken back before it was sent.
    pub(crate) fn forget(&mut self, core: &MessageId) {
        while let Some(at) = self.own.last(Name::Core, core.as_str(), |_| true) {
            self.dirty.extend(self.own.remove(at).map(|own| own.seq));
        }
    }

    /// The network says how far a message of the user has got.
    pub(crate) fn reached(&mut self, chat: &Chat, id: &MessageId, kind: MarkerKind) {
        let Some(at) = self.by_network(chat, id) else { return };
        if let Some(own) = self.own.get_mut(at) {
            own.progress = match (kind, own.progress) {
                (MarkerKind::Displayed, _) | (_, Progress::Displayed) => Progress::Displayed,
                (MarkerKind::Delivered, _) => Progress::Delivered,
            };
        }
    }

    /// The message of the user with this id of the core.
    pub(crate) fn by_core(&self, core: &MessageId) -> Option<&Own> {
        self.own
            .last(Name::Core, core.as_str(), |_| true)
            .and_then(|at| self.own.get(at))
    }

    /// The message of the user in a chat with this id of the client. One that failed is none.
    pub(crate) fn by_client(&self, chat: &Chat, client: &str) -> Option<&Own> {
        let stands = |own: &Own| own.progress != Progress::Failed && own.chat == *chat;
        self.own.last(Name::Client, client, stands).and_then(|at| self.own.get(at))
    }

    /// Where the message is that the network calls so, or knows by the core's id.
    fn by_network(&self, chat: &Chat, id: &MessageId) -> Option<usize> {
        let in_chat = |own: &Own| own.chat == *chat;
        let named = self.own.last(Name::Network, id.as_str(), in_chat);
        named.max(self.own.last(Name::Core, id.as_str(), in_chat))
    }

    /// The id by which the user's clients know a message that the network names: its first, which clients refer to also
    /// after corrections.
    pub(crate) fn for_client(&self, chat: &Chat, network: &MessageId) -> String {
        let own = self.by_network(chat, network).and_then(|at| self.own.get(at));
        let own = own.map(|own| self.own.original(own));
        own.map_or_else(|| network.as_str().to_owned(), |own| own.client.to_string())
    }

    /// The id by which a room knows a line that the network names: the network's, of one of the user's own that has none the
    /// core's.
    pub(crate) fn for_room(&self, chat: &Chat, network: &MessageId) -> String {
        let at = self.own.last(Name::Core, network.as_str(), |own| own.chat == *chat);
        let own = at.and_then(|at| self.own.get(at));
        let known = own.and_then(|own| own.network.as_ref()).unwrap_or(network);
        known.as_str().to_owned()
    }

    /// The id by which the network knows a message that the user's client names: the core's for one of the user's own. In
    /// rooms the client has two names for it: the id it gave it, and the room's.
    pub(crate) fn for_network(&self, chat: &Chat, named: &str) -> MessageId {
        let stands = |own: &Own| own.progress != Progress::Failed && own.chat == *chat;
        let by_client = self.own.last(Name::Client, named, stands);
        let by_room = match chat {
            Chat::Contact(_) => None,
            Chat::Room(_) | Chat::Occupant { .. } => self.own.last(Name::Network, named, |own| own.chat == *chat),
        };
        let own = by_client.max(by_room).and_then(|at| self.own.get(at));
        own.map_or_else(|| named.into(), |own| own.core.clone())
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

/// The messages of the user, the oldest first, with small fingerprints of what they are looked up by: those of all messages
/// fit into a few lines of the processor's cache, and the texts are compared where they agree.
#[derive(Debug, Default)]
struct OwnMessages {
    prints: VecDeque<Prints>,
    list: VecDeque<Own>,
}

#[derive(Debug)]
struct Prints {
    chat: u32,
    core: u32,
    client: u32,
}

/// By which of its names a message is looked up.
#[derive(Clone, Copy)]
enum Name {
    Core,
    Client,
    /// Not among the fingerprints: it is known late, and looked up seldom.
    Network,
}

impl OwnMessages {
    fn len(&self) -> usize {
        self.list.len()
    }

    fn iter(&self) -> std::collections::vec_deque::Iter<'_, Own> {
        self.list.iter()
    }

    fn get(&self, at: usize) -> Option<&Own> {
        self.list.get(at)
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut Own> {
        self.list.get_mut(at)
    }

    fn push(&mut self, own: Own) {
        // Most users have written few messages: room is made for one, then for half as many again.
        if self.list.len() == self.list.capacity() {
            let more = (self.list.len() / 2).max(1);
            self.list.reserve_exact(more);
            self.prints.reserve_exact(more);
        }
        self.prints.push_back(Prints {
            chat: of_chat(&own.chat),
            core: small(own.core.as_str()),
            client: small(&own.client),
        });
        self.list.push_back(own);
    }

    fn remove(&mut self, at: usize) -> Option<Own> {
        self.prints.remove(at);
        self.list.remove(at)
    }

    /// How many there are of a chat, as far as the fingerprints tell.
    fn count(&self, chat: &Chat) -> usize {
        let print = of_chat(chat);
        self.prints.iter().filter(|prints| prints.chat == print).count()
    }

    /// The oldest of a chat.
    fn first(&self, chat: &Chat) -> Option<usize> {
        let print = of_chat(chat);
        self.prints.iter().position(|prints| prints.chat == print)
    }

    /// The newest with this name that is meant.
    fn last(&self, by: Name, name: &str, meant: impl Fn(&Own) -> bool) -> Option<usize> {
        let print = small(name);
        self.prints.iter().enumerate().rev().find_map(|(at, prints)| {
            let alike = match by {
                Name::Core => prints.core == print,
                Name::Client => prints.client == print,
                Name::Network => true,
            };
            if !alike {
                return None;
            }
            let own = self.list.get(at)?;
            let is_it = match by {
                Name::Core => own.core.as_str() == name,
                Name::Client => *own.client == *name,
                Name::Network => own.network.as_ref().is_some_and(|id| id.as_str() == name),
            };
            (is_it && meant(own)).then_some(at)
        })
    }

    /// The message itself, of which this may be a correction. Prints are compared first, as in [`OwnMessages::last`].
    fn original<'a>(&'a self, own: &'a Own) -> &'a Own {
        let print = small(own.core.as_str());
        let mut alike = self.prints.iter().zip(&self.list).filter(|(prints, _)| prints.core == print);
        alike
            .find_map(|(_, first)| (first.core == own.core && first.chat == own.chat).then_some(first))
            .unwrap_or(own)
    }

    /// Changes all that the core calls so: a message and its corrections.
    fn change(&mut self, core: &MessageId, mut change: impl FnMut(&mut Own)) {
        let print = small(core.as_str());
        for (prints, own) in self.prints.iter().zip(&mut self.list).rev() {
            if prints.core == print && own.core == *core {
                change(own);
            }
        }
    }
}

fn of_chat(chat: &Chat) -> u32 {
    match chat {
        Chat::Contact(contact) => small(contact.as_str()),
        Chat::Room(room) => small(room.as_str()),
        Chat::Occupant { room, nickname } => Fingerprint::new(4).text(room.as_str()).text(nickname.as_str()).finish() as u32,
    }
}

fn small(text: &str) -> u32 {
    fingerprint(text, 4) as u32
}

/// A fingerprint of a text.
pub(crate) fn print(body: &str) -> u64 {
    Fingerprint::new(3).text(body).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(n: usize) -> Own {
        in_chat(n, "a")
    }

    fn in_chat(n: usize, contact: &str) -> Own {
        Own {
            seq: n as u64,
            at: Timestamp::from_secs(1_000),
            chat: Chat::Contact(contact.into()),
            core: format!("c{n}").into(),
            client: format!("x{n}").into(),
            network: None,
            print: print("hello"),
            progress: Progress::OnItsWay,
        }
    }

    #[test]
    fn a_message_is_found_by_each_of_its_ids() {
        let chat = Chat::Contact("a".into());
        let mut history = History::default();
        history.sent(own(1));
        history.named(&"c1".into(), Some(&"net1".into()));
        assert_eq!(history.for_client(&chat, &"net1".into()), "x1");
        assert_eq!(history.for_network(&chat, "x1"), "c1".into());
        assert_eq!(history.for_network(&chat, "net9"), "net9".into());
        assert_eq!(history.for_client(&Chat::Contact("b".into()), &"net1".into()), "net1");
    }

    #[test]
    fn a_corrected_message_is_called_by_its_first_id() {
        let chat = Chat::Contact("a".into());
        let mut history = History::default();
        history.sent(own(1));
        history.also_called(&own(1), "x2", Timestamp::from_secs(1_001));
        assert_eq!(history.for_client(&chat, &"c1".into()), "x1");
        assert_eq!(history.for_network(&chat, "x2"), "c1".into());
    }

    #[test]
    fn only_a_repeated_id_of_one_chat_is_repeated() {
        let mut history = History::default();
        assert!(!history.is_repeated("a", &"1".into()));
        assert!(history.is_repeated("a", &"1".into()));
        assert!(!history.is_repeated("b", &"1".into()));
    }

    #[test]
    fn a_message_sent_again_is_one_with_the_same_id_and_text_that_has_not_failed() {
        let (chat, at) = (Chat::Contact("a".into()), Timestamp::from_secs(1_001));
        let mut history = History::default();
        history.sent(own(1));
        assert!(history.is_sent_again(&chat, "x1", "hello", at));
        assert!(
            !history.is_sent_again(&chat, "x1", "something else", at),
            "a client that counts badly"
        );
        assert!(!history.is_sent_again(&chat, "x2", "hello", at));
        assert!(!history.is_sent_again(&chat, "x1", "hello", Timestamp::from_secs(9_000)));
        history.failed(&"c1".into(), &OpError::not_connected("no"));
        assert!(!history.is_sent_again(&chat, "x1", "hello", at), "the user tries again");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_busy_chat_drives_nobody_out() {
        let mut history = History::default();
        history.sent(in_chat(0, "quiet"));
        for n in 1..1_000 {
            history.sent(own(n));
            history.is_repeated("a", &format!("{n}").into());
        }
        assert_eq!((history.own.len(), history.seen.len()), (OWN_OF_A_CHAT + 1, SEEN_IDS));
        assert!(history.by_client(&Chat::Contact("quiet".into()), "x0").is_some());
        for n in 1_000..2_000 {
            history.sent(in_chat(n, &format!("{n}")));
        }
        assert_eq!(history.own.len(), OWN_MESSAGES);
    }

    #[test]
    fn places_grow_with_time_and_within_it() {
        let mut history = History::default();
        let now = Timestamp::from_secs(1_700_000_000);
        let places: Vec<u64> = (0..1_000).map(|_| history.next_seq(now)).collect();
        assert!(places.is_sorted_by(|a, b| a < b));
        let earlier = history.next_seq(Timestamp::from_secs(1));
        assert!(earlier > places[999], "a clock that goes back changes nothing");
    }
}
