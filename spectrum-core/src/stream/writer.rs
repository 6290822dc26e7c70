//! The writer of a stream (RFC 6120 sections 4 and 8): stanzas into bytes. Owned by one connection; appends to a buffer
//! of the caller, so that many stanzas go out in one write.
//!
//! Written by hand and not with xso's serialiser: most of that one's time goes into finding prefixes, of which a stream
//! needs none. A test holds that both say the same.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use jid::Jid;
use minidom::{Element, Node};
use rxml::{XMLNS_XML, XMLNS_XMLNS};
use thiserror::Error;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{self, Presence, Show};
use xmpp_parsers::stream_error::DefinedCondition as Condition;

use super::error::StreamError;
use super::escape;
use super::header::{Content, Header};
use crate::stanza::Stanza;

/// Levels of nesting we write. Above what we read: a payload may be wrapped, for a carbon copy or an archive.
const MAX_DEPTH: usize = 48;

/// Why a stanza was not written. Nothing of it is in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// An element or attribute has a name that is none in XML.
    #[error("an element or attribute has no valid name")]
    Name,
    /// Nested deeper than anybody reads.
    #[error("nested too deep")]
    Depth,
}

/// Writes one direction of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    content: Content,
}

impl Writer {
    /// A writer for a stream of that kind.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { content }
    }

    /// Opens the stream. After a restart of the stream it is called again.
    pub fn open(&self, out: &mut BytesMut, header: &Header) {
        out.put_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
        out.put_slice(self.content.namespace().as_bytes());
        out.put_slice(b"' xmlns:stream='http://etherx.jabber.org/streams'");
        let Header {
            to,
            from,
            id,
            version,
            lang,
        } = header;
        for (name, value) in [("to", to), ("from", from), ("id", id)] {
            if let Some(value) = value {
                attribute(out, name, value);
            }
        }
        if let Some(version) = version {
            attribute(out, "version", &version.to_string());
        }
        if let Some(lang) = lang {
            attribute(out, "xml:lang", lang);
        }
        out.put_u8(b'>');
    }

    /// Appends a stanza. Characters that XML cannot carry become U+FFFD.
    ///
    /// # Errors
    /// [`WriteError`] if the stanza cannot be written; the buffer is as before.
    pub fn stanza(&self, out: &mut BytesMut, stanza: &Stanza) -> Result<(), WriteError> {
        Self::undo_on_error(out, |out| match stanza {
            Stanza::Message(message) => write_message(out, message),
            Stanza::Presence(presence) => write_presence(out, presence),
            Stanza::Iq(iq) => write_iq(out, iq),
        })
    }

    /// Appends an element that is no stanza.
    ///
    /// # Errors
    /// [`WriteError`] if it cannot be written; the buffer is as before.
    pub fn nonza(&self, out: &mut BytesMut, element: &Element) -> Result<(), WriteError> {
        Self::undo_on_error(out, |out| write_element(out, element, ns::JABBER_CLIENT, 1))
    }

    /// Appends a stream error. [`close`](Self::close) must follow.
    pub fn error(&self, out: &mut BytesMut, error: &StreamError) {
        out.put_slice(b"<stream:error>");
        match &error.condition {
            Condition::SeeOtherHost(host) => {
                out.put_slice(b"<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>");
                escape::text(out, host);
                out.put_slice(b"</see-other-host>");
            }
            condition => {
                // Writing to a buffer that grows does not fail.
                let _ = write!(out, "<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
            }
        }
        if let Some(text) = &error.text {
            out.put_slice(b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>");
            escape::text(out, text);
            out.put_slice(b"</text>");
        }
        out.put_slice(b"</stream:error>");
    }

    /// Closes the stream.
    pub fn close(&self, out: &mut BytesMut) {
        out.put_slice(b"</stream:stream>");
    }

    fn undo_on_error(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let before = out.len();
        let written = write(out);
        if written.is_err() {
            out.truncate(before);
        }
        written
    }
}

fn attribute(out: &mut BytesMut, name: &str, value: &str) {
    out.put_u8(b' ');
    out.put_slice(name.as_bytes());
    out.put_slice(b"='");
    escape::attribute(out, value);
    out.put_u8(b'\'');
}

fn jid_attribute(out: &mut BytesMut, name: &str, jid: Option<&Jid>) {
    if let Some(jid) = jid {
        attribute(out, name, jid.as_str());
    }
}

fn text_child(out: &mut BytesMut, name: &str, lang: &Lang, text: &str) {
    out.put_u8(b'<');
    out.put_slice(name.as_bytes());
    if !lang.is_empty() {
        attribute(out, "xml:lang", lang);
    }
    out.put_u8(b'>');
    escape::text(out, text);
    end_tag(out, name);
}

fn end_tag(out: &mut BytesMut, name: &str) {
    out.put_slice(b"</");
    out.put_slice(name.as_bytes());
    out.put_u8(b'>');
}

/// Ends the head of a stanza, writes its payloads and its end tag; `open` tells whether children were written already.
fn finish(out: &mut BytesMut, name: &str, payloads: &[Element], open: bool) -> Result<(), WriteError> {
    if !open {
        if payloads.is_empty() {
            out.put_slice(b"/>");
            return Ok(());
        }
        out.put_u8(b'>');
    }
    for payload in payloads {
        write_element(out, payload, ns::JABBER_CLIENT, 2)?;
    }
    end_tag(out, name);
    Ok(())
}

fn write_message(out: &mut BytesMut, message: &Message) -> Result<(), WriteError> {
    let Message {
        from,
        to,
        id,
        type_,
        bodies,
        subjects,
        thread,
        payloads,
    } = message;
    out.put_slice(b"<message");
    jid_attribute(out, "from", from.as_ref());
    jid_attribute(out, "to", to.as_ref());
    if let Some(id) = id {
        attribute(out, "id", &id.0);
    }
    match type_ {
        MessageType::Chat => out.put_slice(b" type='chat'"),
        MessageType::Error => out.put_slice(b" type='error'"),
        MessageType::Groupchat => out.put_slice(b" type='groupchat'"),
        MessageType::Headline => out.put_slice(b" type='headline'"),
        MessageType::Normal => {}
    }
    let open = !(bodies.is_empty() && subjects.is_empty() && thread.is_none());
    if open {
        out.put_u8(b'>');
        for (lang, text) in subjects {
            text_child(out, "subject", lang, text);
        }
        for (lang, text) in bodies {
            text_child(out, "body", lang, text);
        }
        if let Some(thread) = thread {
            out.put_slice(b"<thread");
            if let Some(parent) = &thread.parent {
                attribute(out, "parent", parent);
            }
            out.put_u8(b'>');
            escape::text(out, &thread.id);
            end_tag(out, "thread");
        }
    }
    finish(out, "message", payloads, open)
}

fn write_presence(out: &mut BytesMut, presence: &Presence) -> Result<(), WriteError> {
    let Presence {
        from,
        to,
        id,
        type_,
        show,
        statuses,
        priority,
        payloads,
    } = presence;
    out.put_slice(b"<presence");
    jid_attribute(out, "from", from.as_ref());
    jid_attribute(out, "to", to.as_ref());
    if let Some(id) = id {
        attribute(out, "id", id);
    }
    match type_ {
        presence::Type::None => {}
        presence::Type::Error => out.put_slice(b" type='error'"),
        presence::Type::Probe => out.put_slice(b" type='probe'"),
        presence::Type::Subscribe => out.put_slice(b" type='subscribe'"),
        presence::Type::Subscribed => out.put_slice(b" type='subscribed'"),
        presence::Type::Unavailable => out.put_slice(b" type='unavailable'"),
        presence::Type::Unsubscribe => out.put_slice(b" type='unsubscribe'"),
        presence::Type::Unsubscribed => out.put_slice(b" type='unsubscribed'"),
    }
    let open = show.is_some() || !statuses.is_empty() || priority.0 != 0;
    if open {
        out.put_u8(b'>');
        match show {
            None => {}
            Some(Show::Away) => out.put_slice(b"<show>away</show>"),
            Some(Show::Chat) => out.put_slice(b"<show>chat</show>"),
            Some(Show::Dnd) => out.put_slice(b"<show>dnd</show>"),
            Some(Show::Xa) => out.put_slice(b"<show>xa</show>"),
        }
        for (lang, text) in statuses {
            text_child(out, "status", lang, text);
        }
        if priority.0 != 0 {
            let _ = write!(out, "<priority>{}</priority>", priority.0);
        }
    }
    finish(out, "presence", payloads, open)
}

fn write_iq(out: &mut BytesMut, iq: &Iq) -> Result<(), WriteError> {
    out.put_slice(b"<iq");
    jid_attribute(out, "from", iq.from());
    jid_attribute(out, "to", iq.to());
    attribute(out, "id", iq.id());
    match iq {
        Iq::Get { payload, .. } => {
            out.put_slice(b" type='get'");
            finish(out, "iq", std::slice::from_ref(payload), false)
        }
        Iq::Set { payload, .. } => {
            out.put_slice(b" type='set'");
            finish(out, "iq", std::slice::from_ref(payload), false)
        }
        Iq::Result { payload, .. } => {
            out.put_slice(b" type='result'");
            finish(out, "iq", payload.as_slice(), false)
        }
        Iq::Error { payload, error, .. } => {
            out.put_slice(b" type='error'>");
            if let Some(payload) = payload {
                write_element(out, payload, ns::JABBER_CLIENT, 2)?;
            }
            finish(out, "iq", &[Element::from(error.clone())], true)
        }
    }
}

/// Writes an element whose parent has the default namespace `outer`.
fn write_element(out: &mut BytesMut, element: &Element, outer: &str, depth: usize) -> Result<(), WriteError> {
    if depth > MAX_DEPTH {
        return Err(WriteError::Depth);
    }
    let name = valid_name(element.name())?;
    let namespace;
    let (inner, prefix) = if element.has_ns(outer) {
        (outer, "")
    } else if element.has_ns(ns::STREAM) {
        // Declared by the stream header.
        (outer, "stream:")
    } else {
        namespace = element.ns();
        (namespace.as_str(), "")
    };
    out.put_u8(b'<');
    out.put_slice(prefix.as_bytes());
    out.put_slice(name.as_bytes());
    if !std::ptr::eq(inner, outer) {
        attribute(out, "xmlns", inner);
    }
    let mut prefixes = 0u32;
    for ((namespace, name), value) in element.attrs() {
        let name = valid_name(name)?;
        match namespace.as_str() {
            "" => attribute(out, name, value),
            XMLNS_XML => {
                out.put_slice(b" xml:");
                attribute_tail(out, name, value);
            }
            // Declarations are ours to make.
            XMLNS_XMLNS => {}
            namespace => {
                let _ = write!(out, " xmlns:a{prefixes}='");
                escape::attribute(out, namespace);
                let _ = write!(out, "' a{prefixes}:");
                attribute_tail(out, name, value);
                prefixes += 1;
            }
        }
    }
    let mut nodes = element.nodes().peekable();
    if nodes.peek().is_none() {
        out.put_slice(b"/>");
        return Ok(());
    }
    out.put_u8(b'>');
    for node in nodes {
        match node {
            Node::Element(child) => write_element(out, child, inner, depth + 1)?,
            Node::Text(text) => escape::text(out, text),
        }
    }
    out.put_slice(b"</");
    out.put_slice(prefix.as_bytes());
    out.put_slice(name.as_bytes());
    out.put_u8(b'>');
    Ok(())
}

fn attribute_tail(out: &mut BytesMut, name: &str, value: &str) {
    out.put_slice(name.as_bytes());
    out.put_slice(b"='");
    escape::attribute(out, value);
    out.put_u8(b'\'');
}

/// minidom takes any string for the name of an element.
fn valid_name(name: &str) -> Result<&str, WriteError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts_well && name.bytes().all(plain) {
        return Ok(name);
    }
    rxml::strings::validate_ncname(name)
        .map(|()| name)
        .map_err(|_| WriteError::Name)
}
