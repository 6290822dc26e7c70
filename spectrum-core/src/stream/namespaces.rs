//! Namespaces of a document (Namespaces in XML 1.0), owned by the reader of a stream. Done here and not by rxml's own
//! resolver, because a skipped stanza must cost no memory, a declaration of the stream must be seen, and a component's
//! namespace is folded while it is resolved.

use rxml::error::ErrorContext;
use rxml::parser::RawQName;
use rxml::strings::{Namespace, NcName};
use rxml::{AttrMap, Error, QName, XMLNS_XML, XMLNS_XMLNS};
use xmpp_parsers::ns;

use super::header::Content;

/// The namespaces in scope, one frame per open element.
pub(super) struct Namespaces {
    content: Content,
    prefixes: Vec<(NcName, Namespace<'static>)>,
    frames: Vec<Frame>,
    declared_default: Option<Namespace<'static>>,
    declared_from: usize,
}

struct Frame {
    default: Namespace<'static>,
    prefixes_before: usize,
    /// This element and all around it belong to the stream: the content namespace is folded in its children. Content
    /// forwarded inside a foreign element (XEP-0297) keeps the namespace it was sent with.
    in_stream: bool,
}

impl Namespaces {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            prefixes: Vec::new(),
            frames: Vec::new(),
            declared_default: None,
            declared_from: 0,
        }
    }

    /// Takes an attribute of the element that is being opened if it is a declaration, else gives it back.
    pub(super) fn declare(&mut self, name: RawQName, value: String) -> Result<Option<(RawQName, String)>, Error> {
        match &name.0 {
            None if name.1 == "xmlns" => {
                if value == XMLNS_XML || value == XMLNS_XMLNS {
                    return Err(Error::ReservedNamespaceName);
                }
                if self.declared_default.replace(intern(value)).is_some() {
                    return Err(Error::DuplicateAttribute);
                }
                Ok(None)
            }
            Some(prefix) if *prefix == "xmlns" => {
                if name.1 == "xmlns" || (name.1 == "xml") != (value == XMLNS_XML) {
                    return Err(Error::ReservedNamespacePrefix);
                }
                if value == XMLNS_XMLNS {
                    return Err(Error::ReservedNamespaceName);
                }
                if value.is_empty() {
                    return Err(Error::EmptyNamespaceUri);
                }
                if self.prefixes[self.declared_from..]
                    .iter()
                    .any(|(prefix, _)| *prefix == name.1)
                {
                    return Err(Error::DuplicateAttribute);
                }
                self.prefixes.push((name.1, intern(value)));
                Ok(None)
            }
            None | Some(_) => Ok(Some((name, value))),
        }
    }

    /// Returns the default namespace declared on the element that is being opened.
    pub(super) fn declared_default(&self) -> Option<&str> {
        self.declared_default.as_deref()
    }

    /// Whether names without a prefix are in this namespace here.
    pub(super) fn is_default(&self, namespace: &str) -> bool {
        self.frames.last().is_some_and(|frame| frame.default == *namespace)
    }

    /// Opens the element: resolves its name and attributes, which are drained.
    pub(super) fn open(&mut self, name: RawQName, attributes: &mut Vec<(RawQName, String)>) -> Result<(QName, AttrMap), Error> {
        let (outer, outer_in_stream) = match self.frames.last() {
            Some(frame) => (frame.default.clone(), frame.in_stream),
            None => (Namespace::NONE, true),
        };
        let default = self.declared_default.take().unwrap_or(outer);
        let mut resolved = AttrMap::new();
        for (name, value) in attributes.drain(..) {
            let namespace = match name.0 {
                None => Namespace::NONE,
                Some(prefix) => self
                    .lookup(&prefix)
                    .ok_or(Error::UndeclaredNamespacePrefix(Some(ErrorContext::AttributeName)))?,
            };
            if resolved.insert(namespace, name.1, value).is_some() {
                return Err(Error::DuplicateAttribute);
            }
        }
        let namespace = match &name.0 {
            None => default.clone(),
            Some(prefix) => self
                .lookup(prefix)
                .ok_or(Error::UndeclaredNamespacePrefix(Some(ErrorContext::Name)))?,
        };
        let is_content = namespace == self.content.namespace();
        let in_stream = outer_in_stream && (is_content || self.frames.is_empty());
        let namespace = if in_stream && is_content { CLIENT } else { namespace };
        self.frames.push(Frame {
            default,
            prefixes_before: self.declared_from,
            in_stream,
        });
        self.declared_from = self.prefixes.len();
        Ok(((namespace, name.1), resolved))
    }

    /// Forgets the element that is being opened: it is skipped.
    pub(super) fn abandon(&mut self) {
        self.declared_default = None;
        self.prefixes.truncate(self.declared_from);
    }

    pub(super) fn close(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.prefixes.truncate(frame.prefixes_before);
            // What the closed element declared lay behind `prefixes_before` of its own frame.
            self.declared_from = frame.prefixes_before;
        }
    }

    pub(super) fn truncate(&mut self, open_elements: usize) {
        while self.frames.len() > open_elements {
            self.close();
        }
    }

    pub(super) fn release_temporaries(&mut self) {
        self.prefixes.shrink_to(4);
        self.frames.shrink_to(4);
    }

    fn lookup(&self, prefix: &str) -> Option<Namespace<'static>> {
        if prefix == "xml" {
            return Some(Namespace::XML);
        }
        self.prefixes
            .iter()
            .rev()
            .find(|(known, _)| known.as_str() == prefix)
            .map(|(_, namespace)| namespace.clone())
    }
}

const CLIENT: Namespace<'static> = Namespace::from_str(ns::JABBER_CLIENT);

/// Makes a namespace of a declaration, without an allocation for those that everyday stanzas use.
fn intern(name: String) -> Namespace<'static> {
    const KNOWN: &[&str] = &[
        ns::ATTENTION,
        ns::BIND,
        ns::CAPS,
        ns::CARBONS,
        ns::CHATSTATES,
        ns::COMPONENT_ACCEPT,
        ns::DATA_FORMS,
        ns::DELAY,
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::DISPLAYED_MARKERS,
        ns::FORWARD,
        ns::IDLE,
        ns::JABBER_CLIENT,
        ns::MAM,
        ns::MESSAGE_CORRECT,
        ns::MUC,
        ns::MUC_USER,
        ns::NICK,
        ns::OID,
        ns::OOB,
        ns::PING,
        ns::PUBSUB,
        ns::PUBSUB_EVENT,
        ns::REACTIONS,
        ns::RECEIPTS,
        ns::REGISTER,
        ns::ROSTER,
        ns::RSM,
        ns::SASL,
        ns::SID,
        ns::SM,
        ns::STREAM,
        ns::TIME,
        ns::TLS,
        ns::VCARD,
        ns::VCARD_UPDATE,
        ns::VERSION,
        ns::XMPP_STANZAS,
        ns::XMPP_STREAMS,
    ];
    // Lengths differ mostly, so that this is a handful of integer comparisons.
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Namespace::from_str(known),
        None => Namespace::from(name),
    }
}
