//! Messages as they nearly always come: whole, without prefixes, CDATA or anything that is wrong. Read in one pass, without
//! a tokenizer, a table of namespaces or a builder in between, which takes a quarter of the time. Stateless.
//!
//! Whatever is not of this kind is left alone, nothing of it taken: the reader then takes its usual way and gives its usual
//! errors. So nothing is decided here, and tests hold that both ways read the same.

use std::borrow::Cow;

use jid::Jid;
use minidom::Element;
use rxml::strings::NcName;
use xmpp_parsers::message::{Id, Lang, Message, MessageType, Thread};
use xmpp_parsers::ns;

use super::header::Content;
use super::limits::Limits;
use super::text::{Decode, decode, is_blank};

/// Elements inside of each other that are read here.
const DEPTH: usize = 12;

/// Reads the message at the beginning of the bytes: it, and how many bytes it took. The stream's own namespace must be
/// the default at this place.
pub(super) fn message(bytes: &[u8], content: Content, limits: &Limits) -> Option<(Message, usize)> {
    let rest = bytes.strip_prefix(b"<message")?;
    if !is_blank(*rest.first()?) {
        return None;
    }
    let mut pass = Pass {
        rest,
        content,
        limits,
        elements: 1,
    };
    let message = pass.message()?;
    let taken = bytes.len() - pass.rest.len();
    (taken <= limits.stanza_bytes && pass.elements <= limits.elements).then_some((message, taken))
}

struct Pass<'a> {
    rest: &'a [u8],
    content: Content,
    limits: &'a Limits,
    elements: usize,
}

/// How a start tag ends.
#[derive(PartialEq, Eq)]
enum End {
    Open,
    Empty,
}

impl<'a> Pass<'a> {
    fn message(&mut self) -> Option<Message> {
        let mut message = Message::new_with_type(MessageType::Normal, None);
        let (mut lang, mut type_, mut namespace) = (None, None, None);
        let mut attributes = 0;
        let end = loop {
            if let Some(end) = self.tag_end()? {
                break end;
            }
            attributes += 1;
            let name = self.attribute_name()?;
            let value = self.value()?;
            let is_new = match name {
                b"from" => message.from.replace(Jid::new(&value).ok()?).is_none(),
                b"to" => message.to.replace(Jid::new(&value).ok()?).is_none(),
                b"id" => message.id.replace(Id(value.into_owned())).is_none(),
                b"type" => type_.replace(value).is_none(),
                b"xml:lang" => lang.replace(value).is_none(),
                b"xmlns" => namespace.replace(value).is_none(),
                _ => return None,
            };
            if !is_new {
                return None;
            }
        };
        if attributes > self.limits.attributes || namespace.is_some_and(|it| it != self.content.namespace()) {
            return None;
        }
        // RFC 6121 section 5.2.2: a type nobody knows is `normal`.
        message.type_ = type_.and_then(|type_| type_.parse().ok()).unwrap_or_default();
        if end == End::Empty {
            return Some(message);
        }
        let lang = lang.as_deref().unwrap_or_default();
        loop {
            self.rest = self.rest.strip_prefix(b"<")?;
            if let Some(rest) = self.rest.strip_prefix(b"/message>") {
                self.rest = rest;
                return Some(message);
            }
            self.child(&mut message, lang)?;
        }
    }

    /// A child of the message, behind its `<`.
    fn child(&mut self, message: &mut Message, lang: &str) -> Option<()> {
        let tag = self.start_tag()?;
        if let Some(namespace) = tag.namespace.as_deref().filter(|it| *it != self.content.namespace()) {
            // What a component stream's own namespace is folded to: the same name by another way.
            if namespace == ns::JABBER_CLIENT {
                return None;
            }
            let payload = self.element(tag, "", 2)?;
            message.payloads.push(payload);
            return Some(());
        }
        let mut only = tag.attributes.into_iter();
        let attribute = only.next();
        if only.next().is_some() {
            return None;
        }
        let text = match tag.end {
            End::Empty => Cow::Borrowed(""),
            End::Open => self.text()?,
        };
        if tag.end == End::Open {
            self.end_tag(tag.name)?;
        }
        match (tag.name, attribute) {
            ("thread", None) if message.thread.is_none() => {
                message.thread = Some(Thread {
                    parent: None,
                    id: text.into_owned(),
                });
            }
            ("body" | "subject", attribute) => {
                let lang = match attribute {
                    None => Lang(lang.to_owned()),
                    Some(("xml:lang", value)) => Lang(value.into_owned()),
                    Some(_) => return None,
                };
                let texts = if tag.name == "body" {
                    &mut message.bodies
                } else {
                    &mut message.subjects
                };
                if texts.insert(lang, text.into_owned()).is_some() {
                    return None;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// An element of another namespace with all that is in it, behind its start tag.
    fn element(&mut self, tag: Tag<'a>, outer: &str, depth: usize) -> Option<Element> {
        // The stream itself counts as one.
        if depth > DEPTH || depth > self.limits.depth {
            return None;
        }
        let namespace = tag.namespace.as_deref().unwrap_or(outer);
        let mut element = Element::bare(tag.name, namespace);
        for (name, value) in tag.attributes {
            let name = NcName::try_from(name).ok()?;
            if element.attr(&name).is_some() {
                return None;
            }
            element.set_attr(rxml::Namespace::NONE, name, value.into_owned());
        }
        if tag.end == End::Empty {
            return Some(element);
        }
        loop {
            let text = self.text()?;
            if !text.is_empty() {
                element.append_text_node(text);
            }
            if self.rest.starts_with(b"</") {
                self.end_tag(tag.name)?;
                return Some(element);
            }
            self.rest = self.rest.strip_prefix(b"<")?;
            let tag = self.start_tag()?;
            let child = self.element(tag, namespace, depth + 1)?;
            element.append_child(child);
        }
    }

    /// A start tag, behind its `<`.
    fn start_tag(&mut self) -> Option<Tag<'a>> {
        self.elements += 1;
        let mut tag = Tag {
            name: self.name()?,
            namespace: None,
            attributes: Vec::new(),
            end: End::Open,
        };
        let mut attributes = 0;
        loop {
            if let Some(end) = self.tag_end()? {
                tag.end = end;
                return (attributes <= self.limits.attributes && self.elements <= self.limits.elements).then_some(tag);
            }
            attributes += 1;
            let name = self.attribute_name()?;
            let value = self.value()?;
            match name {
                b"xmlns" => {
                    if value.is_empty() || matches!(&*value, rxml::XMLNS_XML | rxml::XMLNS_XMLNS) || tag.namespace.is_some() {
                        return None;
                    }
                    tag.namespace = Some(value);
                }
                // Bodies have it. For an element of another namespace it is no name without a prefix, and so not of this kind.
                b"xml:lang" => tag.attributes.push(("xml:lang", value)),
                name => tag.attributes.push((checked(name)?, value)),
            }
        }
    }

    /// Whether the tag ends here; else it goes on with an attribute, behind the blank.
    fn tag_end(&mut self) -> Option<Option<End>> {
        let blank = self.rest.iter().take_while(|byte| is_blank(**byte)).count();
        let rest = &self.rest[blank..];
        match rest {
            [b'>', rest @ ..] => {
                self.rest = rest;
                Some(Some(End::Open))
            }
            [b'/', b'>', rest @ ..] => {
                self.rest = rest;
                Some(Some(End::Empty))
            }
            [_, ..] if blank > 0 => {
                self.rest = rest;
                Some(None)
            }
            _ => None,
        }
    }

    fn end_tag(&mut self, name: &str) -> Option<()> {
        let rest = self.rest.strip_prefix(b"</")?.strip_prefix(name.as_bytes())?;
        self.rest = rest.strip_prefix(b">")?;
        Some(())
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|byte| !is_in_name(*byte))?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        checked(name)
    }

    /// The name of an attribute and the `=` behind it, which must be next to each other.
    fn attribute_name(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| !is_in_name(*byte) && *byte != b':')?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix(b"=")?;
        Some(name)
    }

    fn value(&mut self) -> Option<Cow<'a, str>> {
        let (quote, rest) = self.rest.split_first()?;
        if !matches!(quote, b'\'' | b'"') {
            return None;
        }
        let end = rest.iter().position(|byte| byte == quote)?;
        if end > self.limits.attribute_bytes {
            return None;
        }
        let (value, rest) = rest.split_at(end);
        self.rest = &rest[1..];
        decode(std::str::from_utf8(value).ok()?, Decode::Attribute).ok()
    }

    /// The text up to the next tag.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let end = self.rest.iter().position(|byte| *byte == b'<')?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        decode(std::str::from_utf8(text).ok()?, Decode::Text).ok()
    }
}

struct Tag<'a> {
    name: &'a str,
    namespace: Option<Cow<'a, str>>,
    attributes: Vec<(&'a str, Cow<'a, str>)>,
    end: End,
}

/// A name without a prefix, of the letters that names of protocols have.
fn checked(name: &[u8]) -> Option<&str> {
    let (first, others) = name.split_first()?;
    let is_name = (first.is_ascii_alphabetic() || *first == b'_') && others.iter().all(|byte| is_in_name(*byte));
    if is_name { std::str::from_utf8(name).ok() } else { None }
}

fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
