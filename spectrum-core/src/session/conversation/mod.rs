//! One-to-one messages, both ways. Owned by the session. What cannot be said on the other side is said as well as it can:
//! a correction becomes a message, a reply loses what it refers to; what cannot be said at all is answered with an error.

mod incoming;
mod outgoing;
mod parts;

use std::time::Duration;

use xmpp_parsers::stanza_error::DefinedCondition;

use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Capability, MessageId, Sent};
use crate::session::Cx;
use crate::session::held::Held;
use crate::session::history::History;
use crate::session::outbox::{Entry, Fate, MemoryOutbox, Outbox};
use crate::session::pending::Pending;
use crate::stanza::{Stanza, error, op_error};

/// How long a message waits that the network could not be asked to send.
const NOT_ASKED: Duration = Duration::from_secs(1);

/// Who is there to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Audience {
    /// A resource is available.
    pub(crate) seen: bool,
    /// A resource takes messages.
    pub(crate) takes_messages: bool,
}

/// The conversations of one user.
#[derive(Debug)]
pub(crate) struct Conversations {
    history: History,
    outbox: Box<dyn Outbox>,
    held: Held,
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            history: History::default(),
            outbox: Box::new(MemoryOutbox::default()),
            held: Held::default(),
        }
    }
}

impl Conversations {
    /// What waits for a resource.
    pub(crate) fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    /// There is a new connection to the network: everything that waits is sent.
    pub(crate) fn connected(&mut self, cx: &mut Cx<'_>) {
        self.outbox.connected();
        self.flush(cx);
    }

    /// Hands over what may be sent now.
    pub(crate) fn flush(&mut self, cx: &mut Cx<'_>) {
        while cx.online {
            let Some(message) = self.outbox.hand_over(cx.now.mono) else {
                return;
            };
            let id = message.id.clone();
            if cx.ask(Verb::SendMessage(message), Pending::Message(id.clone())).is_err() {
                self.outbox.give_back(&id, cx.now.mono + NOT_ASKED);
                return;
            }
        }
    }

    /// How the sending of a message ended.
    pub(crate) fn outcome(&mut self, cx: &mut Cx<'_>, id: &MessageId, outcome: Outcome) {
        let failed = match outcome {
            Ok(Answer::Sent(Sent { id: Some(network), .. })) => {
                self.history.named(id, network);
                None
            }
            Ok(
                Answer::Done
                | Answer::Sent(_)
                | Answer::Joined(_)
                | Answer::Profile(_)
                | Answer::Contacts(_)
                | Answer::Rooms(_)
                | Answer::RoomInfo(_)
                | Answer::History(_),
            ) => None,
            Err(failed) => Some(failed),
        };
        let idempotent = cx.can(Capability::IdempotentSend);
        match self.outbox.settle(id, failed, cx.now.mono, idempotent) {
            Some(Fate::Failed(entry, failed)) => cx.refuse(&Stanza::Message(*entry.stanza), op_error(&failed)),
            Some(Fate::Done | Fate::Waits) | None => {}
        }
        self.flush(cx);
    }

    /// When a message that waits for a time is due. Means nothing while the user is not online.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.outbox.next_deadline()
    }

    /// The session is over: the sender of each message that waits is told.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>, reason: &str) {
        for Entry { stanza, .. } in self.outbox.close() {
            let text = format!("Not sent: {reason}");
            cx.refuse(
                &Stanza::Message(*stanza),
                error(DefinedCondition::RecipientUnavailable, &text),
            );
        }
        self.held.close(cx);
    }
}
