//! From the outbox to the network, and what has become of it: who sent a message that failed is told, and a line that went
//! out is shown in its room. Owns nothing.

use std::time::Duration;

use jid::NodePart;
use xmpp_parsers::message::Message;
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Attachment, Capability, Chat, MessageId, OutgoingMessage, Reply};
use crate::session::Cx;
use crate::session::conversation::parts::Parts;
use crate::session::history::{MAX_ID_BYTES, Own, Progress, print};
use crate::session::outbox::{Bounds, Entry, Fate};
use crate::session::pending::Pending;
use crate::session::rooms::Rooms;
use crate::stanza::{Stanza, error, op_error};

/// How long a message waits that the network could not be asked to send.
const NOT_ASKED: Duration = Duration::from_secs(1);

/// A message that wants into the outbox.
pub(crate) struct Draft {
    chat: Chat,
    body: String,
    xhtml: Option<String>,
    attachments: Vec<Attachment>,
    reply: Option<Reply>,
    wants_receipt: bool,
    /// The id by which the user's client will refer to it, if it has given one.
    client: Option<Box<str>>,
}

/// The id that the user's client has given a message, if it can be remembered.
pub(crate) fn client_id(message: &Message) -> Option<&str> {
    let id = message.id.as_ref().map(|id| id.0.as_str());
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES)
}

impl Cx<'_> {
    /// What of a client's message goes to the network, which is asked for no more than it can.
    pub(in crate::session) fn draft(&self, chat: Chat, body: String, message: &Message, parts: Parts<'_>) -> Draft {
        let reply = parts.replies_to.filter(|_| self.can(Capability::Replies)).map(|to| Reply {
            to: self.history.for_network(&chat, to),
            author: None,
        });
        let is_person = matches!(chat, Chat::Contact(_));
        Draft {
            chat,
            body,
            xhtml: parts.xhtml.filter(|_| is_person && self.can(Capability::Xhtml)),
            attachments: parts.attachments,
            reply,
            wants_receipt: parts.wants_receipt && is_person && self.can(Capability::Receipts),
            client: client_id(message).or(parts.origin_id).map(Box::from),
        }
    }
}

/// Takes a message on, which came in this stanza: from here on it has a fate. One that the user's server brings a second time
/// is dropped, and one that is over the bounds is answered. `room` and `stanza` are as in [`Entry`].
pub(crate) fn accept(cx: &mut Cx<'_>, draft: Draft, stanza: Box<Message>, room: Option<NodePart>) {
    let Draft {
        chat,
        body,
        xhtml,
        attachments,
        reply,
        wants_receipt,
        client,
    } = draft;
    let now = cx.now.wall;
    if let Some(client) = &client
        && cx.history.is_sent_again(&chat, client, &body, now)
    {
        return;
    }
    let id = cx.requests.message_id(cx.now);
    let own = Own {
        seq: cx.history.next_seq(now),
        at: now,
        chat: chat.clone(),
        core: id.clone(),
        client: client.unwrap_or_else(|| id.as_str().into()),
        network: None,
        print: print(&body),
        progress: Progress::OnItsWay,
    };
    let limits = &cx.config.limits;
    let bounds = Bounds {
        messages: if cx.online { limits.requests } else { limits.held_messages },
        bytes: limits.held_bytes,
    };
    let entry = Entry {
        seq: own.seq,
        at: now,
        client: own.client.clone(),
        message: OutgoingMessage {
            chat,
            id,
            body,
            xhtml,
            attachments,
            reply,
            wants_receipt,
        },
        stanza,
        room,
    };
    match cx.outbox.accept(entry, bounds) {
        Ok(()) => cx.history.sent(own),
        Err(entry) => {
            let text = "Too many messages wait for the network already.";
            cx.refuse(
                &Stanza::Message(*entry.stanza),
                error(DefinedCondition::ResourceConstraint, text),
            );
        }
    }
}

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
            | Answer::History(_)
            | Answer::Form(_)
            | Answer::Affiliated(_),
        ) => (None, None),
        Err(failed) => (Some(failed), None),
    };
    let idempotent = cx.can(Capability::IdempotentSend);
    match cx.outbox.settle(id, failed, cx.now.mono, idempotent) {
        Some(Fate::Done(entry)) => {
            cx.history.named(id, network.as_ref());
            rooms.sent(cx, *entry, network.as_ref());
        }
        Some(Fate::Failed(entry, failed)) => {
            cx.history.failed(id, &failed);
            rooms.not_sent(&entry.room, id);
            cx.refuse(&Stanza::Message(*entry.stanza), op_error(&failed));
        }
        Some(Fate::Waits) => {
            let room = cx.outbox.room_of(id);
            rooms.not_sent(&room, id);
            if room.is_some_and(|room| !rooms.has(&room)) {
                // The user has left meanwhile, so it would wait for ever.
                for entry in cx.outbox.withdraw_where(|entry| entry.message.id == *id) {
                    cx.history.forget(id);
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
    for Entry { stanza, message, .. } in cx.outbox.close() {
        cx.history.forget(&message.id);
        let text = format!("Not sent: {reason}");
        cx.refuse(
            &Stanza::Message(*stanza),
            error(DefinedCondition::RecipientUnavailable, &text),
        );
    }
}
