//! Stanzas that could not be read (RFC 6120 section 8.3): what is known of them and what their sender is told.

use std::borrow::Cow;
use std::str::FromStr;

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Id, Message};
use xmpp_parsers::presence::Presence;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::header::Content;
use super::kind::StanzaKind;
use crate::stanza::{Stanza, error};

/// The attributes of a stanza as they stood on the wire, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHeader {
    /// Which stanza.
    pub kind: StanzaKind,
    /// `from`
    pub from: Option<String>,
    /// `to`
    pub to: Option<String>,
    /// `type`
    pub type_: Option<String>,
    /// `id`
    pub id: Option<String>,
}

/// A stanza that was lost on the way in. Who waits for the answer of an iq should look at [`RawHeader::id`]: a result
/// that cannot be read is no result, but it is an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Invalid {
    /// Who sent what to whom.
    pub header: RawHeader,
    /// What is wrong with it, in RFC 6120's words.
    pub condition: DefinedCondition,
    /// What is wrong with it, for people. Never quotes the stanza's content.
    pub text: Cow<'static, str>,
    /// The error to send back. `None` for errors and results, which are never answered, and on a component stream for
    /// stanzas whose sender or addressee is no JID.
    pub reply: Option<Stanza>,
}

impl Invalid {
    pub(super) fn new(content: Content, header: RawHeader, condition: DefinedCondition, text: Cow<'static, str>) -> Self {
        let to_is_malformed = header.to.as_deref().is_some_and(|to| Jid::from_str(to).is_err());
        let condition = match condition {
            DefinedCondition::BadRequest if to_is_malformed => DefinedCondition::JidMalformed,
            other => other,
        };
        let reply = Self::reply(content, &header, &condition, &text);
        Self {
            header,
            condition,
            text,
            reply,
        }
    }

    fn reply(content: Content, header: &RawHeader, condition: &DefinedCondition, text: &str) -> Option<Stanza> {
        let refusable = match (header.kind, header.type_.as_deref()) {
            (_, Some("error")) | (StanzaKind::Iq, Some("result")) => false,
            (StanzaKind::Message | StanzaKind::Presence | StanzaKind::Iq, _) => true,
        };
        if !refusable {
            return None;
        }
        let parse = |jid: &Option<String>| jid.as_deref().and_then(|jid| Jid::from_str(jid).ok());
        let (from, to) = match content {
            // The client at the other end is the sender, whatever `from` says.
            Content::Client => (parse(&header.to), None),
            Content::Component => (Some(parse(&header.to)?), Some(parse(&header.from)?)),
        };
        let id = header.id.clone();
        let error = error(condition.clone(), text);
        Some(match header.kind {
            StanzaKind::Message => {
                let mut message = Message::error(to);
                message.from = from;
                message.id = id.map(Id);
                message.payloads.push(Element::from(error));
                message.into()
            }
            StanzaKind::Presence => {
                let mut presence = Presence::error();
                presence.to = to;
                presence.from = from;
                presence.id = id;
                presence.payloads.push(Element::from(error));
                presence.into()
            }
            // An iq without an id cannot be matched by its sender, but it is owed an answer all the same.
            StanzaKind::Iq => Iq::Error {
                from,
                to,
                id: id.unwrap_or_default(),
                error,
                payload: None,
            }
            .into(),
        })
    }
}
