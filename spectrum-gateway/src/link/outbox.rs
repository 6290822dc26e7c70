//! What is to be sent over the link. Filled by sessions and services, which never wait, emptied by the writer.
//!
//! A lock and a queue rather than a channel, because what may be dropped depends on what it is: it is held for one push or
//! for taking everything, never while waiting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jid::BareJid;
use metrics::counter;
use spectrum_core::stanza::Stanza;
use tokio::sync::Notify;
use tracing::warn;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::MessageType;
use xmpp_parsers::ping::Ping;

/// Stanzas that may wait while the link is up. One login sends a stanza for each contact, so bursts are large; a queue
/// this long means that the server does not read, and the link is given up: presence is derived anew behind the next one.
pub const QUEUE: usize = 131_072;
/// Slots above that for error replies, which nothing can derive anew.
pub const RESERVE: usize = 1_024;
/// Messages and replies kept while the link is down. One more is dropped and counted: its sender is on the network, and
/// nobody there waits for an answer.
pub const HELD: usize = 4_096;

/// Room that an empty queue keeps; what a burst needed above that is given back.
const KEPT: usize = 256;

const LIFE_ID: &str = "spectrum-life";

/// The queue in front of the writer.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    stanzas: VecDeque<Stanza>,
    up: bool,
    /// Too much waits for a server that does not read.
    stalled: bool,
    finishing: bool,
}

/// What is lost if a stanza is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    /// Nothing: it is derived anew.
    Nothing,
    /// An answer that somebody waits for.
    Answer,
    /// What somebody said.
    Message,
}

/// What the writer is to do.
pub(crate) enum Work {
    /// Write these.
    Stanzas,
    /// Write what there is and close.
    Finish,
    /// Give up: the server does not read.
    Stalled,
}

impl Outbox {
    /// An empty queue of a link that is down.
    pub fn new() -> Self {
        Self::default()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues one stanza. Never waits.
    pub fn push(&self, stanza: Stanza) {
        self.queue().push(stanza);
        self.wake.notify_one();
    }

    /// Queues stanzas in order and empties the list. Never waits.
    pub fn push_all(&self, stanzas: &mut Vec<Stanza>) {
        let mut queue = self.queue();
        for stanza in stanzas.drain(..) {
            queue.push(stanza);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Whether the link is up.
    pub fn is_up(&self) -> bool {
        self.queue().up
    }

    /// How many stanzas wait.
    pub fn len(&self) -> usize {
        self.queue().stanzas.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn set_up(&self, up: bool) {
        let mut queue = self.queue();
        queue.up = up;
        queue.stalled = false;
        if !up {
            queue.stanzas.retain(|stanza| loss(stanza) != Loss::Nothing);
            let over = queue.stanzas.len().saturating_sub(HELD);
            if over > 0 {
                dropped(over);
                queue.stanzas.truncate(HELD);
            }
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Asks the server to bring a ping of ours back to us: any byte it sends is a sign of life.
    pub(super) fn ask_for_life(&self, jid: &BareJid) {
        let iq = Iq::from_get(LIFE_ID, Ping)
            .with_from(jid.clone().into())
            .with_to(jid.clone().into());
        self.push(iq.into());
    }

    /// Has the writer end.
    pub(super) fn give_up(&self) {
        self.queue().stalled = true;
        self.wake.notify_one();
    }

    pub(super) fn finish(&self) {
        self.queue().finishing = true;
        self.wake.notify_one();
    }

    /// Waits for something to do and moves what waits to `batch`, at most `most` stanzas.
    pub(crate) async fn work(&self, batch: &mut Vec<Stanza>, most: usize) -> Work {
        loop {
            let notified = self.wake.notified();
            {
                let mut queue = self.queue();
                if queue.stalled {
                    return Work::Stalled;
                }
                let count = queue.stanzas.len().min(most);
                batch.extend(queue.stanzas.drain(..count));
                if queue.stanzas.is_empty() && queue.stanzas.capacity() > KEPT {
                    queue.stanzas = VecDeque::new();
                }
                if queue.finishing && queue.stanzas.is_empty() {
                    return Work::Finish;
                }
                if !batch.is_empty() {
                    return Work::Stanzas;
                }
            }
            notified.await;
            // Whoever else is ready now gets to add to the same write.
            tokio::task::yield_now().await;
        }
    }

    /// Puts back what could not be written, in front.
    pub(super) fn put_back(&self, batch: &mut Vec<Stanza>) {
        let mut queue = self.queue();
        for stanza in batch.drain(..).rev() {
            queue.stanzas.push_front(stanza);
        }
    }
}

impl Queue {
    fn push(&mut self, stanza: Stanza) {
        let (loss, waiting) = (loss(&stanza), self.stanzas.len());
        let has_room = match (self.up, loss) {
            (false, Loss::Nothing) => return,
            (false, Loss::Answer | Loss::Message) => waiting < HELD,
            (true, Loss::Answer) => waiting < QUEUE + RESERVE,
            (true, Loss::Nothing | Loss::Message) => waiting < QUEUE,
        };
        if has_room {
            self.stanzas.push_back(stanza);
            return;
        }
        if self.up && !self.stalled {
            warn!(waiting, "The XMPP server does not read; the link is given up.");
            self.stalled = true;
        }
        if loss == Loss::Message {
            dropped(1);
        }
    }
}

fn dropped(count: usize) {
    counter!("spectrum_component_messages_dropped_total").increment(u64::try_from(count).unwrap_or(u64::MAX));
    warn!(count, "Messages for users were dropped: too many wait for the XMPP server.");
}

fn loss(stanza: &Stanza) -> Loss {
    match stanza {
        Stanza::Presence(_) | Stanza::Iq(Iq::Get { .. } | Iq::Set { .. }) => Loss::Nothing,
        Stanza::Iq(Iq::Result { .. } | Iq::Error { .. }) => Loss::Answer,
        Stanza::Message(message) if message.type_ == MessageType::Error => Loss::Answer,
        Stanza::Message(message) if message.bodies.is_empty() && message.subjects.is_empty() && is_passing(message) => {
            Loss::Nothing
        }
        Stanza::Message(_) => Loss::Message,
    }
}

/// A message that says nothing but what the other one is doing (XEP-0085).
fn is_passing(message: &xmpp_parsers::message::Message) -> bool {
    !message.payloads.is_empty()
        && message.payloads.iter().all(|payload| {
            payload.has_ns(xmpp_parsers::ns::CHATSTATES)
                || payload.has_ns("urn:xmpp:hints")
                || payload.has_ns(xmpp_parsers::ns::MUC_USER)
        })
}

/// Whether this is our own ping come back, or the answer to it.
pub(super) fn is_sign_of_life(stanza: &Stanza, jid: &BareJid) -> bool {
    let Stanza::Iq(iq) = stanza else { return false };
    let is_ours = |address: Option<&jid::Jid>| address.is_some_and(|address| address.as_str() == jid.as_str());
    iq.id() == LIFE_ID && (is_ours(iq.from()) || matches!(iq, Iq::Result { .. } | Iq::Error { .. }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xmpp_parsers::message::{Lang, Message};
    use xmpp_parsers::presence::Presence;

    use super::*;

    fn message(body: &str) -> Stanza {
        Message::chat(None).with_body(Lang::default(), body.to_owned()).into()
    }

    fn typing() -> Stanza {
        let state = minidom::Element::bare("composing", xmpp_parsers::ns::CHATSTATES);
        Message::chat(None).with_payloads(vec![state]).into()
    }

    fn marker() -> Stanza {
        let displayed = minidom::Element::bare("displayed", "urn:xmpp:chat-markers:0");
        Message::chat(None).with_payloads(vec![displayed]).into()
    }

    #[test]
    fn while_the_link_is_down_messages_are_kept_and_presence_is_not() {
        let outbox = Outbox::new();
        outbox.set_up(true);
        let mut before = vec![Presence::available().into(), typing(), message("before")];
        outbox.push_all(&mut before);
        outbox.set_up(false);
        for stanza in [Presence::available().into(), typing(), marker(), message("after")] {
            outbox.push(stanza);
        }
        let kept: Vec<_> = outbox.queue().stanzas.iter().cloned().collect();
        assert_eq!(kept, [message("before"), marker(), message("after")]);
    }

    #[test]
    fn messages_kept_are_bounded() {
        let outbox = Outbox::new();
        for _ in 0..HELD + 10 {
            outbox.push(message("x"));
        }
        assert_eq!(outbox.len(), HELD);
    }

    #[tokio::test]
    async fn server_that_does_not_read_loses_the_link_but_error_replies_have_a_reserve() {
        let outbox = Outbox::new();
        outbox.set_up(true);
        for _ in 0..QUEUE {
            outbox.push(Presence::available().into());
        }
        outbox.push(Message::error(None).into());
        assert_eq!(outbox.len(), QUEUE + 1);
        assert!(!outbox.queue().stalled);
        outbox.push(Presence::available().into());
        assert!(matches!(outbox.work(&mut Vec::new(), 1).await, Work::Stalled));
        for _ in 0..2 * RESERVE {
            outbox.push(Message::error(None).into());
        }
        assert_eq!(outbox.len(), QUEUE + RESERVE);
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_first_again() {
        let outbox = Outbox::new();
        outbox.set_up(true);
        for body in ["1", "2", "3"] {
            outbox.push(message(body));
        }
        let mut batch = Vec::new();
        assert!(matches!(outbox.work(&mut batch, 2).await, Work::Stanzas));
        assert_eq!(batch, [message("1"), message("2")]);
        outbox.put_back(&mut batch);
        assert!(matches!(outbox.work(&mut batch, 9).await, Work::Stanzas));
        assert_eq!(batch, [message("1"), message("2"), message("3")]);
    }
}
