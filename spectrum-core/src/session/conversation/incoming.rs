//! From a contact to the user: messages, and what is said about them. Each in the words of the XEP that clients know, with
//! a text beside it where a client that does not know it should see something (XEP-0428).

use minidom::Element;
use xmpp_parsers::message::{Id, Lang, Message, MessageType};
use xmpp_parsers::ns;

use super::{Audience, Conversations, files, words};
use crate::face::UserOut;
use crate::model::{
    Attachment, Capability, Chat, ChatState, ContactId, Edit, IncomingMessage, LegacyName, Marker, MarkerKind, MessageId,
    MessageKind, Origin, Reactions, Retraction, Timestamp,
};
use crate::session::Cx;
use crate::session::history::MAX_ID_BYTES;
use crate::session::payload::{REPLY, with_id};
use crate::session::text::pieces;
use crate::xml::{HINTS, delay, element};

/// Bytes of one body. A longer text is said in several messages: servers end streams over stanzas that are too long.
const MAX_BODY_BYTES: usize = 48 * 1024;

/// A message that was written longer ago carries the time at which it was (XEP-0203).
const OLD_MILLIS: i64 = 10_000;

impl Conversations {
    /// A message of a contact, or of the user from another device.
    pub(crate) fn incoming(&mut self, cx: &mut Cx<'_>, contact: &ContactId, incoming: IncomingMessage, audience: Audience) {
        let IncomingMessage {
            chat,
            nickname: _,
            id,
            body,
            xhtml: _,
            timestamp,
            origin,
            kind,
            attachments,
            reply,
        } = incoming;
        if id.as_ref().is_some_and(|id| cx.history.is_repeated(contact.as_str(), id)) {
            return;
        }
        let texts = if body.is_empty() {
            Vec::new()
        } else {
            pieces(&body, MAX_BODY_BYTES)
        };
        let mut id = id.filter(|id| !id.as_str().is_empty() && id.as_str().len() <= MAX_ID_BYTES);
        let mut reply = reply;
        let contents = texts
            .into_iter()
            .map(Content::Text)
            .chain(attachments.iter().map(Content::File));
        for content in contents {
            let mut message = self.message(cx, contact, origin);
            message.id = Some(Id(id
                .take()
                .unwrap_or_else(|| cx.requests.message_id(cx.now))
                .as_str()
                .to_owned()));
            match content {
                Content::Text(text) => {
                    message.bodies.insert(Lang::new(), text.to_owned());
                }
                Content::File(file) => {
                    files::share(&mut message, file);
                }
            }
            if let Some(reply) = reply.take() {
                message.payloads.push(self.reply(cx, contact, &chat, &reply.to));
            }
            if kind == MessageKind::Headline {
                message.type_ = MessageType::Headline;
            } else if origin == Origin::Other {
                requests(cx, &mut message);
            }
            stamp(cx, &mut message, timestamp);
            self.deliver(cx, message, origin, audience);
        }
    }

    /// A message has another text (XEP-0308).
    pub(crate) fn edited(&mut self, cx: &mut Cx<'_>, contact: &ContactId, edit: Edit, audience: Audience) {
        let replaced = cx.history.for_client(&edit.chat, &edit.id);
        let mut message = self.fresh(cx, contact, edit.origin);
        let text = pieces(&edit.body, MAX_BODY_BYTES)
            .first()
            .copied()
            .unwrap_or_default()
            .to_owned();
        message.bodies.insert(Lang::new(), text);
        message.payloads.push(words::replace(&replaced));
        self.deliver(cx, message, edit.origin, audience);
    }

    /// A message was taken back (XEP-0424).
    pub(crate) fn retracted(&mut self, cx: &mut Cx<'_>, contact: &ContactId, retraction: Retraction, audience: Audience) {
        let id = cx.history.for_client(&retraction.chat, &retraction.id);
        let mut message = self.fresh(cx, contact, retraction.origin);
        words::retract(&mut message, &id, retraction.reason.as_deref());
        self.deliver(cx, message, retraction.origin, audience);
    }

    /// Somebody's reactions to a message (XEP-0444).
    pub(crate) fn reacted(&mut self, cx: &mut Cx<'_>, contact: &ContactId, reactions: Reactions, audience: Audience) {
        let id = cx.history.for_client(&reactions.chat, &reactions.id);
        let mut message = self.fresh(cx, contact, reactions.origin);
        words::react(&mut message, &id, &reactions.emojis);
        self.say_now(cx, message, reactions.origin, audience);
    }

    /// Somebody's read marker (XEP-0333).
    pub(crate) fn marked(&mut self, cx: &mut Cx<'_>, contact: &ContactId, marker: Marker, audience: Audience) {
        if marker.origin == Origin::Other {
            cx.history.reached(&marker.chat, &marker.id, marker.kind);
        }
        if marker.kind == MarkerKind::Delivered {
            if marker.origin == Origin::Other {
                self.delivered(cx, contact, &marker.id, audience);
            }
            return;
        }
        let id = cx.history.for_client(&marker.chat, &marker.id);
        let mut message = self.fresh(cx, contact, marker.origin);
        message.payloads.push(with_id("displayed", ns::DISPLAYED_MARKERS, &id));
        message.payloads.push(element("store", HINTS, &[]));
        self.say_now(cx, message, marker.origin, audience);
    }

    /// One of the user's messages reached its destination (XEP-0184).
    pub(crate) fn delivered(&mut self, cx: &mut Cx<'_>, contact: &ContactId, id: &MessageId, audience: Audience) {
        let chat = Chat::Contact(contact.clone());
        cx.history.reached(&chat, id, MarkerKind::Delivered);
        let client = cx.history.for_client(&chat, id);
        let mut message = self.fresh(cx, contact, Origin::Other);
        message.payloads.push(with_id("received", ns::RECEIPTS, &client));
        message.payloads.push(element("store", HINTS, &[]));
        self.say_now(cx, message, Origin::Other, audience);
    }

    /// A contact types, or stops (XEP-0085).
    pub(crate) fn chat_state(&mut self, cx: &mut Cx<'_>, contact: &ContactId, state: ChatState, audience: Audience) {
        let mut message = self.message(cx, contact, Origin::Other);
        message.payloads.push(words::chat_state(state));
        message.payloads.push(element("no-store", HINTS, &[]));
        self.say_now(cx, message, Origin::Other, audience);
    }

    /// A contact calls for attention (XEP-0224).
    pub(crate) fn attention(&mut self, cx: &mut Cx<'_>, contact: &ContactId, text: Option<String>, audience: Audience) {
        let mut message = self.fresh(cx, contact, Origin::Other);
        message.type_ = MessageType::Headline;
        message.payloads.push(element("attention", ns::ATTENTION, &[]));
        if let Some(text) = text.filter(|t| !t.is_empty()) {
            message.bodies.insert(Lang::new(), text);
        }
        self.say_now(cx, message, Origin::Other, audience);
    }

    /// The network itself says something.
    pub(crate) fn notice(&mut self, cx: &mut Cx<'_>, text: &str, audience: Audience) {
        for text in pieces(text, MAX_BODY_BYTES) {
            let mut message = Message::chat(cx.user_at(None));
            message.from = Some(cx.transport());
            message.id = Some(Id(cx.requests.message_id(cx.now).as_str().to_owned()));
            message.bodies.insert(Lang::new(), text.to_owned());
            self.deliver(cx, message, Origin::Other, audience);
        }
    }

    /// A message between the contact and the user, in the direction of its origin.
    fn message(&self, cx: &mut Cx<'_>, contact: &ContactId, origin: Origin) -> Message {
        let name = LegacyName::from(contact);
        match origin {
            Origin::Other => {
                let mut message = Message::chat(cx.user_at(None));
                message.from = Some(cx.speaker(&name));
                message
            }
            Origin::OwnOtherDevice => {
                let mut message = Message::chat(jid::Jid::from(cx.address(&name)));
                message.from = Some(cx.user_at(None));
                message
            }
        }
    }

    /// The same with a new id.
    fn fresh(&self, cx: &mut Cx<'_>, contact: &ContactId, origin: Origin) -> Message {
        let mut message = self.message(cx, contact, origin);
        message.id = Some(Id(cx.requests.message_id(cx.now).as_str().to_owned()));
        message
    }

    /// Says a message, or keeps it until somebody is there to hear.
    fn deliver(&mut self, cx: &mut Cx<'_>, message: Message, origin: Origin, audience: Audience) {
        match origin {
            Origin::OwnOtherDevice => cx.tell(UserOut::OwnMessage(message)),
            Origin::Other if cx.config.face.holds_messages && !audience.takes_messages => self.held.keep(cx, message),
            Origin::Other => cx.say(message),
        }
    }

    /// Says something that is worth nothing later, if somebody is there.
    fn say_now(&mut self, cx: &mut Cx<'_>, message: Message, origin: Origin, audience: Audience) {
        match origin {
            Origin::OwnOtherDevice => cx.tell(UserOut::OwnMessage(message)),
            Origin::Other if audience.seen => cx.say(message),
            Origin::Other => {}
        }
    }

    /// What a message answers (XEP-0461): a message of the user's or of the contact's.
    fn reply(&self, cx: &mut Cx<'_>, contact: &ContactId, chat: &Chat, to: &MessageId) -> Element {
        let id = cx.history.for_client(chat, to);
        let own = id != to.as_str() || cx.history.by_core(to).is_some();
        let author = if own {
            cx.user.to_string()
        } else {
            cx.address(&LegacyName::from(contact)).to_string()
        };
        element("reply", REPLY, &[("to", &author), ("id", &id)])
    }
}

enum Content<'a> {
    Text(&'a str),
    File(&'a Attachment),
}

/// What a message asks of the client, as far as the network wants to know.
fn requests(cx: &Cx<'_>, message: &mut Message) {
    if cx.can(Capability::ChatStates) {
        message.payloads.push(words::chat_state(ChatState::Active));
    }
    if cx.can(Capability::Markers) {
        message.payloads.push(element("request", ns::RECEIPTS, &[]));
        message.payloads.push(element("markable", ns::DISPLAYED_MARKERS, &[]));
    }
}

fn stamp(cx: &Cx<'_>, message: &mut Message, written: Option<Timestamp>) {
    if let Some(at) = written.filter(|at| cx.now.wall.as_millis().saturating_sub(at.as_millis()) > OLD_MILLIS) {
        message.payloads.push(delay(at, cx.config.transport.as_str()));
    }
}
