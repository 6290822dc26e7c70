//! What is in a message of a client, in one pass over its payloads.

use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns;

use crate::model::{Attachment, ChatState};
use crate::session::conversation::files;
use crate::session::history::MAX_ID_BYTES;
use crate::session::payload::{FALLBACK, REPLY, RETRACT};
use crate::xml::body;

/// Reactions to one message that are passed on.
const MAX_REACTIONS: usize = 32;
/// Bytes of one of them.
const MAX_EMOJI_BYTES: usize = 64;
/// Files that one message refers to.
const MAX_ATTACHMENTS: usize = 16;

/// The payloads that mean something here.
#[derive(Debug, Default)]
pub(in crate::session) struct Parts<'a> {
    pub(in crate::session) state: Option<ChatState>,
    pub(in crate::session) wants_receipt: bool,
    /// The client has got this message (XEP-0184).
    pub(in crate::session) received: Option<&'a str>,
    /// The user has read up to this message (XEP-0333).
    pub(in crate::session) displayed: Option<&'a str>,
    pub(in crate::session) replaces: Option<&'a str>,
    pub(in crate::session) retracts: Option<&'a str>,
    pub(in crate::session) reactions: Option<(&'a str, Vec<String>)>,
    pub(in crate::session) replies_to: Option<&'a str>,
    pub(in crate::session) attachments: Vec<Attachment>,
    pub(in crate::session) attention: bool,
    pub(in crate::session) origin_id: Option<&'a str>,
    pub(in crate::session) xhtml: Option<String>,
    /// Characters of the body that only repeat what is replied to (XEP-0461).
    quote: Option<(usize, usize)>,
}

impl<'a> Parts<'a> {
    pub(in crate::session) fn of(message: &'a Message) -> Self {
        let mut parts = Self::default();
        for payload in &message.payloads {
            parts.take(payload);
        }
        parts
    }

    fn take(&mut self, payload: &'a Element) {
        if payload.has_ns(ns::CHATSTATES) {
            self.state = match payload.name() {
                "composing" => Some(ChatState::Composing),
                "paused" => Some(ChatState::Paused),
                "active" | "inactive" | "gone" => Some(ChatState::Active),
                _ => self.state,
            };
        } else if payload.is("request", ns::RECEIPTS) {
            self.wants_receipt = true;
        } else if payload.is("received", ns::RECEIPTS) {
            self.received = id(payload);
        } else if payload.is("displayed", ns::DISPLAYED_MARKERS) {
            self.displayed = id(payload);
        } else if payload.is("received", ns::DISPLAYED_MARKERS) {
            self.received = self.received.or_else(|| id(payload));
        } else if payload.is("replace", ns::MESSAGE_CORRECT) {
            self.replaces = id(payload);
        } else if payload.is("retract", RETRACT) {
            self.retracts = id(payload);
        } else if payload.is("reactions", ns::REACTIONS) {
            self.reactions = id(payload).map(|id| (id, emojis(payload)));
        } else if payload.is("reply", REPLY) {
            self.replies_to = id(payload);
        } else if payload.is("x", ns::OOB) {
            if let Some(file) = attachment(payload) {
                files::add(&mut self.attachments, file, MAX_ATTACHMENTS);
            }
        } else if payload.is("file-sharing", files::SHARING) {
            if let Some(file) = files::shared(payload) {
                files::add(&mut self.attachments, file, MAX_ATTACHMENTS);
            }
        } else if payload.is("attention", ns::ATTENTION) {
            self.attention = true;
        } else if payload.is("origin-id", ns::SID) {
            self.origin_id = id(payload);
        } else if payload.is("html", ns::XHTML_IM) {
            self.xhtml = payload.get_child("body", ns::XHTML).map(inner);
        } else if payload.is("fallback", FALLBACK) && payload.attr("for") == Some(REPLY) {
            self.quote = payload.get_child("body", FALLBACK).and_then(range);
        }
    }

    /// The text of the message; of a subject alone, the subject. Without the quote if the reply is passed on.
    pub(in crate::session) fn text(&self, message: &Message, replies: bool) -> String {
        let subject = message
            .subjects
            .get("")
            .or_else(|| message.subjects.values().next())
            .filter(|s| !s.is_empty());
        match (body(message).filter(|b| !b.is_empty()), subject) {
            (Some(body), None) => match self.quote.filter(|_| replies) {
                Some(quote) => without(body, quote),
                None => body.to_owned(),
            },
            (Some(body), Some(subject)) => format!("{subject}\n{body}"),
            (None, Some(subject)) => subject.clone(),
            (None, None) => String::new(),
        }
    }
}

fn id(payload: &Element) -> Option<&str> {
    payload.attr("id").filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES)
}

fn emojis(reactions: &Element) -> Vec<String> {
    let mut emojis: Vec<String> = Vec::new();
    for reaction in reactions.children().filter(|child| child.is("reaction", ns::REACTIONS)) {
        let emoji = reaction.text();
        let fits = !emoji.is_empty() && emoji.len() <= MAX_EMOJI_BYTES && !emojis.contains(&emoji);
        if fits && emojis.len() < MAX_REACTIONS {
            emojis.push(emoji);
        }
    }
    emojis
}

fn attachment(oob: &Element) -> Option<Attachment> {
    let url = oob.get_child("url", ns::OOB)?.text();
    let description = oob.get_child("desc", ns::OOB).map(Element::text).filter(|d| !d.is_empty());
    (!url.is_empty()).then_some(Attachment {
        url,
        media_type: None,
        description,
    })
}

/// What is inside an element, as text.
fn inner(element: &Element) -> String {
    let whole = String::from(element);
    let start = whole.find('>').map_or(0, |at| at + 1);
    let end = whole.rfind("</").unwrap_or(start).max(start);
    whole[start..end].to_owned()
}

fn range(body: &Element) -> Option<(usize, usize)> {
    let number = |name: &str| body.attr(name).and_then(|n| n.parse().ok());
    Some((number("start")?, number("end")?))
}

/// The text without these characters, and without the white space that is left in front.
fn without(text: &str, (start, end): (usize, usize)) -> String {
    let rest: String = text
        .chars()
        .enumerate()
        .filter(|(at, _)| *at < start || *at >= end)
        .map(|(_, c)| c)
        .collect();
    if rest.trim().is_empty() {
        text.to_owned()
    } else {
        rest.trim_start().to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn message(xml: &str) -> Message {
        let element: Element = xml.parse().unwrap();
        Message::try_from(element).unwrap()
    }

    #[test]
    fn a_quote_that_repeats_the_message_replied_to_is_taken_out() {
        let message = message(
            "<message xmlns='jabber:client'><body>&gt; hëllo\nyes</body><reply xmlns='urn:xmpp:reply:0' id='m1'/>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback></message>",
        );
        let parts = Parts::of(&message);
        assert_eq!(parts.replies_to, Some("m1"));
        assert_eq!(parts.text(&message, true), "yes");
        assert_eq!(parts.text(&message, false), "> hëllo\nyes");
    }

    #[test]
    fn ranges_from_outside_do_no_harm() {
        assert_eq!(without("abc", (5, 2)), "abc");
        assert_eq!(without("abc", (0, usize::MAX)), "abc");
        assert_eq!(without("abc", (1, 2)), "ac");
    }

    #[test]
    fn reactions_are_a_bounded_set() {
        let many: String = (0..100)
            .map(|n| format!("<reaction>r{n}</reaction><reaction>r{n}</reaction>"))
            .collect();
        let message = message(&format!(
            "<message xmlns='jabber:client'><reactions xmlns='urn:xmpp:reactions:0' id='m1'>{many}</reactions></message>"
        ));
        let (id, emojis) = Parts::of(&message).reactions.unwrap();
        assert_eq!((id, emojis.len()), ("m1", MAX_REACTIONS));
    }

    #[test]
    fn xhtml_is_given_without_its_frame() {
        let message = message(
            "<message xmlns='jabber:client'><body>hi you</body><html xmlns='http://jabber.org/protocol/xhtml-im'>\
             <body xmlns='http://www.w3.org/1999/xhtml'>hi <b>you</b></body></html></message>",
        );
        assert_eq!(Parts::of(&message).xhtml.unwrap(), "hi <b>you</b>");
    }
}
