//! Messages of the user on their way to the network. Owned by the session.
//!
//! Every message has a fate: it waits, is handed over, and then is done or has failed; a failure is told to its sender.
//! Messages of one chat go one after the other, so that one which has to be sent again stays ahead of the next. A message
//! that may have been sent is not sent again unless the network says that this is harmless.
//!
//! Messages to contacts, lines for rooms and messages to occupants all go this way. A line waits until its room is joined.

use std::collections::VecDeque;
use std::time::Duration;

use jid::NodePart;
use xmpp_parsers::message::Message;

use crate::backend::{Certainty, OpError, Retry};
use crate::model::{MessageId, OutgoingMessage, Timestamp};
use crate::session::journal::{self, JournalRecord, JournalStage};

/// Times a message is sent again after the network asked for patience.
const MAX_ATTEMPTS: u8 = 8;

/// How long a message waits that failed for want of a connection, should the connection not turn out to be lost.
const WHEN_CONNECTED: Duration = Duration::from_secs(5);

/// Longest time that a network can make a message wait.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// A message and what is needed to tell of its fate.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry {
    /// Its place among the user's messages.
    pub(crate) seq: u64,
    /// When the user sent it.
    pub(crate) at: Timestamp,
    /// The id that the user's client gave it.
    pub(crate) client: Box<str>,
    /// What is sent.
    pub(crate) message: OutgoingMessage,
    /// The stanza it came in: an error is answered to it. Without its content, unless that is shown again.
    pub(crate) stanza: Box<Message>,
    /// The room that has to be joined before.
    pub(crate) room: Option<NodePart>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.message.body.len() + self.message.xhtml.as_ref().map_or(0, String::len) + 256
    }
}

/// Bounds of an outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    /// Messages.
    pub(crate) messages: usize,
    /// Their bytes.
    pub(crate) bytes: usize,
}

/// What has become of a message that was handed over.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Fate {
    /// It is with the network.
    Done(Box<Entry>),
    /// It is sent again, before the next of its chat.
    Waits,
    /// It is not sent again: the sender is to be told.
    Failed(Box<Entry>, OpError),
}

/// Keeps messages until their fate is known. In memory: it survives everything but the main process, and with storage the
/// journal follows every change of it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// In the order of acceptance.
    slots: VecDeque<Slot>,
    bytes: usize,
    /// What the next session is to send; here only until the journal has taken note of it.
    left: VecDeque<Slot>,
    /// Messages that the journal has to look at again.
    pub(crate) dirty: Vec<u64>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    state: State,
    attempts: u8,
    /// An earlier message of the same chat is not done yet.
    behind: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// May be sent from this time on.
    Waiting(Duration),
    HandedOver,
}

impl Outbox {
    fn position(&self, id: &MessageId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.entry.message.id == *id)
    }

    fn waiting_position(&self, id: &MessageId) -> Option<usize> {
        self.position(id)
            .filter(|at| matches!(self.slots[*at].state, State::Waiting(_)))
    }

    /// Takes a message out; the next of its chat comes to the front.
    fn remove(&mut self, at: usize) -> Option<Entry> {
        let Slot { entry, behind, .. } = self.slots.remove(at)?;
        self.bytes -= entry.bytes();
        self.dirty.push(entry.seq);
        if !behind {
            let chat = &entry.message.chat;
            if let Some(next) = self.slots.iter_mut().skip(at).find(|slot| slot.entry.message.chat == *chat) {
                next.behind = false;
            }
        }
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
        Some(entry)
    }
}

impl Outbox {
    /// Takes a message.
    ///
    /// # Errors
    /// Gives it back if there are as many as may be.
    pub(crate) fn accept(&mut self, entry: Entry, bounds: Bounds) -> Result<(), Box<Entry>> {
        let bytes = entry.bytes();
        if self.slots.len() >= bounds.messages || (self.bytes + bytes > bounds.bytes && !self.slots.is_empty()) {
            return Err(Box::new(entry));
        }
        self.dirty.push(entry.seq);
        self.put(entry);
        Ok(())
    }

    /// Takes over a message of an earlier session, whatever the bounds are now.
    pub(crate) fn restore(&mut self, entry: Entry) {
        self.put(entry);
    }

    fn put(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        let behind = self.slots.iter().any(|slot| slot.entry.message.chat == entry.message.chat);
        // Most often it is the only one, and gone before the next.
        if self.slots.capacity() == 0 {
            self.slots.reserve_exact(1);
        }
        self.slots.push_back(Slot {
            entry,
            state: State::Waiting(Duration::ZERO),
            attempts: 0,
            behind,
        });
    }

    /// A message as the journal keeps it.
    pub(crate) fn record(&self, seq: u64) -> Option<JournalRecord> {
        let mut slots = self.slots.iter().chain(&self.left);
        let slot = slots.find(|slot| slot.entry.seq == seq)?;
        let stage = match slot.state {
            State::Waiting(_) => JournalStage::Waits,
            State::HandedOver => JournalStage::HandedOver,
        };
        Some(journal::open(&slot.entry, stage))
    }

    /// Whether the network has been asked to take this message.
    pub(crate) fn is_handed_over(&self, seq: u64) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.entry.seq == seq && slot.state == State::HandedOver)
    }

    /// A message that has no fate yet.
    pub(crate) fn get(&self, id: &MessageId) -> Option<&Entry> {
        self.position(id).and_then(|at| self.slots.get(at)).map(|slot| &slot.entry)
    }

    /// The room of a message that has no fate yet, if it is for one.
    pub(crate) fn room_of(&self, id: &MessageId) -> Option<NodePart> {
        self.get(id).and_then(|entry| entry.room.clone())
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many messages of a room have no fate yet.
    pub(crate) fn count_for_room(&self, room: &NodePart) -> usize {
        self.slots
            .iter()
            .filter(|slot| slot.entry.room.as_ref() == Some(room))
            .count()
    }

    /// The next message that may be sent at this time; it counts as handed over. `is_open`: whether a room is joined.
    pub(crate) fn hand_over(&mut self, now: Duration, is_open: impl Fn(&NodePart) -> bool) -> Option<&Entry> {
        let mut ready = None;
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let State::Waiting(until) = slot.state else { continue };
            if slot.behind || until > now {
                continue;
            }
            if slot.entry.room.as_ref().is_none_or(&is_open) {
                ready = Some(at);
                break;
            }
            // It waits for its room, no longer for a time.
            slot.state = State::Waiting(Duration::ZERO);
        }
        let slot = self.slots.get_mut(ready?)?;
        slot.state = State::HandedOver;
        self.dirty.push(slot.entry.seq);
        Some(&slot.entry)
    }

    /// What was handed over could not even be asked for: it waits again, and nothing of its chat overtakes it.
    pub(crate) fn give_back(&mut self, id: &MessageId, until: Duration) {
        if let Some(slot) = self.position(id).and_then(|at| self.slots.get_mut(at)) {
            slot.state = State::Waiting(until);
            self.dirty.push(slot.entry.seq);
        }
    }

    /// How a message that was handed over has fared.
    pub(crate) fn settle(&mut self, id: &MessageId, failed: Option<OpError>, now: Duration, idempotent: bool) -> Option<Fate> {
        let at = self.position(id)?;
        let Some(error) = failed else {
            return self.remove(at).map(|entry| Fate::Done(Box::new(entry)));
        };
        let slot = self.slots.get_mut(at)?;
        let harmless = match error.certainty {
            Certainty::NotSent => true,
            Certainty::MaybeSent => idempotent,
        };
        let wait = match error.retry {
            Retry::Never => None,
            Retry::After(wait) => Some(wait.min(MAX_WAIT)),
            Retry::WhenConnected => Some(WHEN_CONNECTED),
        };
        slot.attempts = slot.attempts.saturating_add(1);
        match wait {
            Some(wait) if harmless && slot.attempts < MAX_ATTEMPTS => {
                slot.state = State::Waiting(now + wait);
                self.dirty.push(slot.entry.seq);
                Some(Fate::Waits)
            }
            Some(_) | None => self.remove(at).map(|entry| Fate::Failed(Box::new(entry), error)),
        }
    }

    /// Everybody may try again at once: there is a new connection.
    pub(crate) fn connected(&mut self) {
        for slot in &mut self.slots {
            if slot.state == State::HandedOver {
                self.dirty.push(slot.entry.seq);
            }
            slot.state = State::Waiting(Duration::ZERO);
        }
    }

    /// A message that has not been handed over yet, for a change of its text.
    pub(crate) fn waiting(&mut self, id: &MessageId) -> Option<&mut OutgoingMessage> {
        let at = self.waiting_position(id)?;
        let slot = self.slots.get_mut(at)?;
        self.dirty.push(slot.entry.seq);
        Some(&mut slot.entry.message)
    }

    /// Takes a message back that has not been handed over yet.
    pub(crate) fn withdraw(&mut self, id: &MessageId) -> bool {
        self.waiting_position(id).and_then(|at| self.remove(at)).is_some()
    }

    /// Takes out what has not been handed over yet and is meant here.
    pub(crate) fn withdraw_where(&mut self, meant: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut withdrawn = Vec::new();
        let mut at = 0;
        while let Some(slot) = self.slots.get(at) {
            if matches!(slot.state, State::Waiting(_)) && meant(&slot.entry) {
                withdrawn.extend(self.remove(at));
            } else {
                at += 1;
            }
        }
        withdrawn
    }

    /// When a message that waits for a time may be sent. What waits for its room is sent when that is joined.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let heads = self.slots.iter().filter(|slot| !slot.behind);
        heads
            .filter_map(|slot| match slot.state {
                State::Waiting(until) => Some(until),
                State::HandedOver => None,
            })
            .filter(|until| !until.is_zero())
            .min()
    }

    /// Empties it: the session is over.
    pub(crate) fn close(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        let entries: Vec<Entry> = std::mem::take(&mut self.slots).into_iter().map(|slot| slot.entry).collect();
        self.dirty.extend(entries.iter().map(|entry| entry.seq));
        entries
    }

    /// Empties it, while the journal keeps what waits for the next session.
    pub(crate) fn leave(&mut self) {
        self.bytes = 0;
        self.left = std::mem::take(&mut self.slots);
    }

    /// When the oldest message was sent that has not been handed over.
    pub(crate) fn oldest_waiting(&self) -> Option<Timestamp> {
        let mut waiting = self.slots.iter().filter(|slot| slot.state != State::HandedOver);
        waiting.next().map(|slot| slot.entry.at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::backend::OpErrorKind;
    use crate::model::Chat;

    const BOUNDS: Bounds = Bounds {
        messages: 4,
        bytes: 10_000,
    };
    const T0: Duration = Duration::ZERO;

    fn entry(contact: &str, id: &str) -> Entry {
        let message = OutgoingMessage {
            chat: Chat::Contact(contact.into()),
            id: id.into(),
            body: format!("body of {id}"),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
        };
        Entry {
            seq: id.parse().unwrap(),
            at: Timestamp::from_secs(1),
            client: id.into(),
            message,
            stanza: Box::new(Message::chat(None)),
            room: None,
        }
    }

    fn line(room: &str, id: &str) -> Entry {
        let mut entry = entry("", id);
        entry.message.chat = Chat::Room(room.into());
        entry.room = Some(NodePart::new(room).unwrap().into_owned());
        entry
    }

    fn with(list: &[(&str, &str)]) -> Outbox {
        let mut outbox = Outbox::default();
        for (contact, id) in list {
            outbox.accept(entry(contact, id), BOUNDS).unwrap();
        }
        outbox
    }

    fn handed(outbox: &mut Outbox, now: Duration) -> Vec<String> {
        std::iter::from_fn(|| {
            outbox
                .hand_over(now, |_| false)
                .map(|entry| entry.message.id.as_str().to_owned())
        })
        .collect()
    }

    #[test]
    fn messages_of_one_chat_go_one_after_the_other_and_chats_beside_each_other() {
        let mut outbox = with(&[("a", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(handed(&mut outbox, T0), ["1", "3"]);
        let done = outbox.settle(&"1".into(), None, T0, false);
        assert!(matches!(done, Some(Fate::Done(entry)) if entry.message.id.as_str() == "1"));
        assert_eq!(handed(&mut outbox, T0), ["2"]);
    }

    #[test]
    fn a_message_that_was_not_sent_is_sent_again_before_the_next() {
        let mut outbox = with(&[("a", "1"), ("a", "2")]);
        assert_eq!(handed(&mut outbox, T0), ["1"]);
        let busy = OpError::new(OpErrorKind::RateLimited, "slow down").retry(Retry::After(Duration::from_secs(2)));
        assert_eq!(outbox.settle(&"1".into(), Some(busy), T0, false), Some(Fate::Waits));
        assert!(handed(&mut outbox, Duration::from_secs(1)).is_empty());
        assert_eq!(outbox.next_deadline(), Some(Duration::from_secs(2)));
        assert_eq!(handed(&mut outbox, Duration::from_secs(2)), ["1"]);
    }

    #[test]
    fn a_message_that_may_have_been_sent_is_sent_again_only_where_that_is_harmless() {
        for idempotent in [false, true] {
            let mut outbox = with(&[("a", "1")]);
            handed(&mut outbox, T0);
            let fate = outbox
                .settle(&"1".into(), Some(OpError::maybe_sent("lost")), T0, idempotent)
                .unwrap();
            match fate {
                Fate::Waits => assert!(idempotent),
                Fate::Failed(entry, _) => assert!(!idempotent && entry.message.id.as_str() == "1"),
                Fate::Done(_) => panic!("nobody knows that"),
            }
        }
    }

    #[test]
    fn patience_ends() {
        let mut outbox = with(&[("a", "1")]);
        let mut now = T0;
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(handed(&mut outbox, now), ["1"]);
            let busy = OpError::new(OpErrorKind::RateLimited, "").retry(Retry::After(Duration::from_secs(1)));
            let fate = outbox.settle(&"1".into(), Some(busy), now, false).unwrap();
            assert_eq!(matches!(fate, Fate::Failed(..)), attempt == MAX_ATTEMPTS);
            now += Duration::from_secs(1);
        }
        assert!(outbox.slots.is_empty());
    }

    #[test]
    fn what_is_over_the_bound_is_given_back() {
        let mut outbox = with(&[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")]);
        assert_eq!(outbox.accept(entry("a", "5"), BOUNDS).unwrap_err().message.id.as_str(), "5");
        let mut outbox = Outbox::default();
        let small = Bounds { messages: 9, bytes: 600 };
        outbox.accept(entry("a", "1"), small).unwrap();
        outbox.accept(entry("a", "2"), small).unwrap();
        assert!(outbox.accept(entry("a", "3"), small).is_err());
    }

    #[test]
    fn a_message_that_waits_can_be_changed_and_withdrawn() {
        let mut outbox = with(&[("a", "1"), ("a", "2")]);
        handed(&mut outbox, T0);
        assert!(outbox.waiting(&"1".into()).is_none());
        assert!(!outbox.withdraw(&"1".into()));
        assert!(outbox.waiting(&"2".into()).is_some());
        assert!(outbox.withdraw(&"2".into()));
    }

    #[test]
    fn closing_gives_every_message_with_its_sender() {
        let mut outbox = with(&[("a", "1"), ("b", "2")]);
        handed(&mut outbox, T0);
        assert_eq!(outbox.close().len(), 2);
        assert!(outbox.close().is_empty() && outbox.next_deadline().is_none());
    }

    #[test]
    fn a_line_waits_for_its_room_and_holds_up_nobody_else() {
        let mut outbox = Outbox::default();
        outbox.accept(line("#r", "1"), BOUNDS).unwrap();
        outbox.accept(entry("a", "2"), BOUNDS).unwrap();
        assert_eq!(handed(&mut outbox, T0), ["2"]);
        assert_eq!(outbox.next_deadline(), None, "the room's matter, not the clock's");
        let id = |entry: &Entry| entry.message.id.as_str().to_owned();
        assert_eq!(outbox.hand_over(T0, |_| true).map(id), Some("1".to_owned()));
    }

    #[test]
    fn what_waits_for_a_room_can_be_taken_out_together() {
        let mut outbox = Outbox::default();
        for (room, id) in [("#r", "1"), ("#s", "2"), ("#r", "3")] {
            outbox.accept(line(room, id), BOUNDS).unwrap();
        }
        let room = NodePart::new("#r").unwrap().into_owned();
        assert_eq!(outbox.count_for_room(&room), 2);
        let taken = outbox.withdraw_where(|entry| entry.room.as_ref() == Some(&room));
        assert_eq!(taken.len(), 2);
        assert_eq!(outbox.hand_over(T0, |_| true).unwrap().message.id.as_str(), "2");
    }
}
