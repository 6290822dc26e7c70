//! From the user to a contact: messages (RFC 6121 5), and what is said about them: corrections (XEP-0308), retractions
//! (XEP-0424), reactions (XEP-0444), receipts (XEP-0184), markers (XEP-0333), typing (XEP-0085), attention (XEP-0224).

use jid::NodePart;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::stanza_error::DefinedCondition;

use super::Conversations;
use super::parts::Parts;
use crate::backend::Verb;
use crate::model::{Capability, Chat, ContactId, Edit, Marker, MarkerKind, MessageId, Origin, Reactions, Retraction};
use crate::session::Cx;
use crate::session::history::Own;
use crate::session::pending::Pending;
use crate::session::request::{emptied, envelope};
use crate::session::sending::{self, client_id};
use crate::stanza::{Stanza, error, op_error};

impl Conversations {
    /// A message of the user to a contact.
    pub(crate) fn outgoing(&mut self, cx: &mut Cx<'_>, node: &NodePart, message: Message) {
        match message.type_ {
            MessageType::Chat | MessageType::Normal | MessageType::Headline => {}
            MessageType::Groupchat => {
                let text = "You are not in this room.";
                return cx.refuse(&Stanza::Message(message), error(DefinedCondition::NotAcceptable, text));
            }
            // A message of ours did not arrive. The network is not told: most have no word for it.
            MessageType::Error => return,
        }
        let contact = ContactId::from(&cx.names.name_of(node));
        let chat = Chat::Contact(contact.clone());
        let parts = Parts::of(&message);
        if let Some(id) = parts.retracts {
            return self.retract(cx, chat, id, &message);
        }
        if let Some((id, emojis)) = &parts.reactions {
            let id = cx.history.for_network(&chat, id);
            let verb = Verb::React(Reactions {
                chat,
                nickname: None,
                id,
                emojis: emojis.clone(),
                origin: Origin::Other,
            });
            return self.say_about(cx, Capability::Reactions, "The network has no reactions.", verb, &message);
        }
        let text = parts.text(&message, cx.can(Capability::Replies));
        if parts.attention && (text.is_empty() || cx.can(Capability::Attention)) {
            let text = Some(text).filter(|t| !t.is_empty());
            let verb = Verb::CallAttention { contact, text };
            return self.say_about(
                cx,
                Capability::Attention,
                "The network cannot call for attention.",
                verb,
                &message,
            );
        }
        if text.is_empty() && parts.attachments.is_empty() {
            return self.signs(cx, chat, &parts);
        }
        match parts.replaces.and_then(|id| cx.history.by_client(&chat, id)).cloned() {
            Some(own) => self.correct(cx, &own, text, &message),
            None => {
                let draft = cx.draft(chat, text, &message, parts);
                sending::accept(cx, draft, Box::new(emptied(message)), None);
            }
        }
    }

    /// A new text for one of the user's messages: in place while it waits, else said to the network, or sent as a message
    /// of its own where the network knows no corrections.
    fn correct(&mut self, cx: &mut Cx<'_>, own: &Own, body: String, stanza: &Message) {
        if let Some(id) = client_id(stanza) {
            cx.history.also_called(own, id, cx.now.wall);
        }
        if let Some(waiting) = cx.outbox.waiting(&own.core) {
            waiting.body = body;
            return;
        }
        if !cx.can(Capability::Edits) {
            let draft = cx.draft(own.chat.clone(), body, stanza, Parts::of(stanza));
            return sending::accept(cx, draft, Box::new(envelope(stanza)), None);
        }
        let edit = Edit {
            chat: own.chat.clone(),
            nickname: None,
            id: own.core.clone(),
            body,
            origin: Origin::Other,
        };
        self.say_about(cx, Capability::Edits, "", Verb::Edit(edit), stanza);
    }

    fn retract(&mut self, cx: &mut Cx<'_>, chat: Chat, id: &str, stanza: &Message) {
        let id: MessageId = cx.history.for_network(&chat, id);
        if cx.outbox.withdraw(&id) {
            cx.history.forget(&id);
            return;
        }
        let verb = Verb::Retract(Retraction {
            chat,
            nickname: None,
            id,
            reason: None,
            origin: Origin::Other,
        });
        self.say_about(
            cx,
            Capability::Retractions,
            "The network cannot take messages back.",
            verb,
            stanza,
        );
    }

    /// Something about a message, whose failure is told.
    fn say_about(&mut self, cx: &mut Cx<'_>, needed: Capability, without: &str, verb: Verb, stanza: &Message) {
        let stanza = Stanza::Message(envelope(stanza));
        if !cx.can(needed) {
            return cx.refuse(&stanza, error(DefinedCondition::FeatureNotImplemented, without));
        }
        if let Err((failed, _)) = cx.ask(verb, Pending::Tell(Box::new(stanza.clone()))) {
            cx.refuse(&stanza, op_error(&failed));
        }
    }

    /// What goes with no text: typing, receipts and markers. Worth nothing later, so it goes now or not at all.
    fn signs(&mut self, cx: &mut Cx<'_>, chat: Chat, parts: &Parts<'_>) {
        if cx.can(Capability::Markers) {
            let read = parts.displayed.map(|id| (id, MarkerKind::Displayed));
            if let Some((id, kind)) = read.or_else(|| parts.received.map(|id| (id, MarkerKind::Delivered))) {
                let id = cx.history.for_network(&chat, id);
                let marker = Marker {
                    chat: chat.clone(),
                    nickname: None,
                    id,
                    kind,
                    origin: Origin::Other,
                };
                cx.try_ask(Verb::Mark(marker));
            }
        }
        if let Some(state) = parts.state.filter(|_| cx.can(Capability::ChatStates)) {
            cx.try_ask(Verb::SetChatState { chat, state });
        }
    }
}
