//! From the outbox to the network, and what has become of it: who sent a message that failed is told, and a line that went
//! out is shown in its room. Owns nothing.

use std::time::Duration;

use xmpp_parsers::stanza_error::DefinedCondition;

use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Capability, MessageId};
use crate::session::Cx;
use crate::session::outbox::{Entry, Fate};
use crate::session::pending::Pending;
use crate::session::rooms::Rooms;
use crate::stanza::{Stanza, error, op_error};

/// How long a message waits that the network could not be asked to send.
const NOT_ASKED: Duration = Duration::from_secs(1);

/// Hands over what may be sent now.
pub(crate) fn flush(cx: &mut Cx<'_>, rooms: &mut Rooms) {
    while cx.online && !cx.outbox.is_empty() {
        let Some(entry) = cx.outbox.hand_over(cx.now.mono, |room| rooms.is_joined(room)) else {
            return;
        };
        let message = entry.message.clone();
        let id = message.id.clone();
        if cx.ask(Verb::SendMessage(message), Pending::Message(id.clone())).is_err() {
            cx.outbox.give_back(&id, cx.now.mono + NOT_ASKED);
            return;
        }
        rooms.handed_over(cx, &id);
    }
}

/// How the sending of a message ended.
pub(crate) fn outcome(cx: &mut Cx<'_>, rooms: &mut Rooms, id: &MessageId, outcome: Outcome) {
    let (failed, network) = match outcome {
        Ok(Answer::Sent(sent)) => (None, sent.id),
        Ok(
            Answer::Done
            | Answer::Joined(_)
            | Answer::Profile(_)
            | Answer::Contacts(_)
            | Answer::Rooms(_)
            | Answer::RoomInfo(_)
            | Answer::History(_),
        ) => (None, None),
        Err(failed) => (Some(failed), None),
    };
    let idempotent = cx.can(Capability::IdempotentSend);
    match cx.outbox.settle(id, failed, cx.now.mono, idempotent) {
        Some(Fate::Done(entry)) => {
            if let Some(network) = &network {
                cx.history.named(id, network.clone());
            }
            rooms.sent(cx, *entry, network.as_ref());
        }
        Some(Fate::Failed(entry, failed)) => {
            rooms.not_sent(&entry.room, id);
            cx.refuse(&Stanza::Message(*entry.stanza), op_error(&failed));
        }
        Some(Fate::Waits) => {
            let room = cx.outbox.room_of(id);
            rooms.not_sent(&room, id);
            if room.is_some_and(|room| !rooms.has(&room)) {
                // The user has left meanwhile, so it would wait for ever.
                for entry in cx.outbox.withdraw_where(|entry| entry.message.id == *id) {
                    let text = "Not sent: you have left the room.";
                    cx.refuse(
                        &Stanza::Message(*entry.stanza),
                        error(DefinedCondition::RecipientUnavailable, text),
                    );
                }
            }
        }
        None => {}
    }
}

/// The session is over: the sender of each message that waits is told.
pub(crate) fn close(cx: &mut Cx<'_>, reason: &str) {
    for Entry { stanza, .. } in cx.outbox.close() {
        let text = format!("Not sent: {reason}");
        cx.refuse(
            &Stanza::Message(*stanza),
            error(DefinedCondition::RecipientUnavailable, &text),
        );
    }
}
