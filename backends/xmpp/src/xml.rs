//! XML in and out: a reader of stanzas that is bounded in depth and size and does not recurse, and small pieces that many
//! stanzas share.
//!
//! tokio-xmpp's own types recurse into whatever a peer nests, and 5,000 levels end the process (a stack overflow is no
//! panic). What is over the bounds here is read to its end and reported with its head alone.

use minidom::Element;
use rxml::{AttrMap, Event, Namespace, NcName, QName};
use xso::error::{Error, FromEventsError};
use xso::{Context, FromEventsBuilder, FromXml};

use crate::ns;

/// Levels of nesting of one stanza, itself included.
const MAX_DEPTH: usize = 40;

/// Bytes of text, names and attributes of one stanza. Avatars are the longest things that are said (some 100 kB).
const MAX_BYTES: usize = 1 << 20;

/// Elements of one stanza, which cost memory beyond their bytes. A roster of 20,000 with two groups each fits.
const MAX_ELEMENTS: usize = 65_536;

/// What came from a server: one element of its stream.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The element; only its head if it was over the bounds.
    pub(crate) element: Element,
    /// Whether it was over the bounds.
    pub(crate) is_over: bool,
}

/// Builds an [`Incoming`] from events.
#[derive(Debug)]
pub(crate) struct Builder {
    /// From the stanza itself down to the element being read.
    open: Vec<Element>,
    /// Levels below the last of `open` that are passed over.
    skipped: usize,
    bytes: usize,
    elements: usize,
    is_over: bool,
}

impl Builder {
    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_BYTES || self.elements > MAX_ELEMENTS {
            self.drop_content();
        }
    }

    /// Keeps the head of the stanza alone; what is open below it is passed over from now on.
    fn drop_content(&mut self) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        self.skipped += self.open.len().saturating_sub(1);
        self.open.truncate(1);
        if let Some(stanza) = self.open.first_mut() {
            // An element is bounded in depth, so that dropping it is too.
            stanza.take_nodes();
        }
    }
}

fn head(name: QName, attrs: AttrMap) -> (Element, usize) {
    let (namespace, name) = name;
    let mut bytes = name.len();
    let mut element = Element::bare(name.as_str(), namespace.as_str());
    for ((namespace, name), value) in attrs {
        bytes += name.len() + value.len();
        element.set_attr(namespace, name, value);
    }
    (element, bytes)
}

impl FromEventsBuilder for Builder {
    type Output = Incoming;

    fn feed(&mut self, event: Event, _: &Context<'_>) -> Result<Option<Incoming>, Error> {
        match event {
            Event::XmlDeclaration(..) => {}
            Event::StartElement(_, name, attrs) => {
                if self.is_over {
                    self.skipped += 1;
                    return Ok(None);
                }
                let (element, bytes) = head(name, attrs);
                self.open.push(element);
                self.elements += 1;
                self.count(bytes);
                if self.open.len() > MAX_DEPTH {
                    self.drop_content();
                }
            }
            Event::Text(_, text) => {
                if !self.is_over {
                    self.count(text.len());
                }
                if !self.is_over
                    && let Some(element) = self.open.last_mut()
                {
                    element.append_text(text);
                }
            }
            Event::EndElement(_) => {
                if self.skipped > 0 {
                    self.skipped -= 1;
                    return Ok(None);
                }
                if let Some(element) = self.open.pop() {
                    match self.open.last_mut() {
                        Some(parent) => drop(parent.append_child(element)),
                        None => {
                            return Ok(Some(Incoming {
                                element,
                                is_over: self.is_over,
                            }));
                        }
                    }
                }
            }
        }
        Ok(None)
    }
}

impl FromXml for Incoming {
    type Builder = Builder;

    fn from_events(name: QName, attrs: AttrMap, _: &Context<'_>) -> Result<Builder, FromEventsError> {
        let (element, bytes) = head(name, attrs);
        Ok(Builder {
            open: vec![element],
            skipped: 0,
            bytes,
            elements: 1,
            is_over: false,
        })
    }
}

/// An element with attributes. Names are ours and known to be names; an empty value is written.
pub(crate) fn element(name: &str, namespace: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::bare(name, namespace);
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// The same with a text inside.
pub(crate) fn text_element(name: &str, namespace: &str, text: &str) -> Element {
    let mut element = Element::bare(name, namespace);
    element.append_text(clean(text));
    element
}

/// The same with another element inside.
pub(crate) fn wrap(name: &str, namespace: &str, inner: Element) -> Element {
    let mut element = Element::bare(name, namespace);
    element.append_child(inner);
    element
}

/// Sets an attribute.
pub(crate) fn set(element: &mut Element, name: &str, value: &str) {
    if let Ok(name) = NcName::try_from(name) {
        element.set_attr(Namespace::NONE, name, clean(value));
    }
}

/// The text without characters that XML cannot say: one of them would break the stream for everything after it.
fn clean(text: &str) -> String {
    let is_legal = |c: &char| matches!(*c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().filter(is_legal).collect()
}

/// The text of a child.
pub(crate) fn child_text(element: &Element, name: &str, namespace: &str) -> Option<String> {
    element.get_child(name, namespace).map(Element::text)
}

/// The text of a child, unless there is nothing in it.
pub(crate) fn nonempty_text(element: &Element, name: &str, namespace: &str) -> Option<String> {
    child_text(element, name, namespace).filter(|text| !text.trim().is_empty())
}

/// The text of the child of this name that has no language, or else of the first: servers hand on what clients wrote in
/// several.
pub(crate) fn best_text(element: &Element, name: &str) -> Option<String> {
    let mut candidates = element.children().filter(|child| child.is(name, ns::CLIENT)).peekable();
    let first = candidates.peek().copied()?;
    let plain = candidates.find(|child| child.attr_ns(&Namespace::XML, "lang").is_none_or(str::is_empty));
    Some(plain.unwrap_or(first).text())
}

/// `<iq/>`.
pub(crate) fn iq(kind: &str, to: Option<&str>, id: &str, payload: Option<Element>) -> Element {
    let mut iq = element("iq", ns::CLIENT, &[("type", kind), ("id", id)]);
    if let Some(to) = to {
        set(&mut iq, "to", to);
    }
    if let Some(payload) = payload {
        iq.append_child(payload);
    }
    iq
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(xml: &str) -> Incoming {
        xso::from_bytes(xml.as_bytes()).unwrap()
    }

    #[test]
    fn a_stanza_is_read_whole() {
        let xml = "<message xmlns='jabber:client' to='a@b' xml:lang='en'><body>hi <b/> there</body></message>";
        let incoming = read(xml);
        assert!(!incoming.is_over);
        assert_eq!(incoming.element, xml.parse::<Element>().unwrap());
    }

    #[test]
    fn a_bomb_of_levels_is_read_to_its_end_and_leaves_the_head() {
        let (open, close) = ("<x>".repeat(8_000), "</x>".repeat(8_000));
        let incoming = read(&format!("<iq xmlns='jabber:client' id='7' type='get'>{open}{close}</iq>"));
        assert!(incoming.is_over);
        assert_eq!(incoming.element, element("iq", ns::CLIENT, &[("id", "7"), ("type", "get")]));
    }

    #[test]
    fn too_many_bytes_or_elements_leave_the_head() {
        let text = "a".repeat(MAX_BYTES + 1);
        assert!(read(&format!("<message xmlns='jabber:client'><body>{text}</body></message>")).is_over);
        let many = "<x/>".repeat(MAX_ELEMENTS + 1);
        let incoming = read(&format!("<message xmlns='jabber:client'><y>{many}</y><z/></message>"));
        assert!(incoming.is_over && incoming.element.children().next().is_none());
    }

    #[test]
    fn what_xml_cannot_say_is_left_out() {
        let body = text_element("body", ns::CLIENT, "a\u{0}b\u{1b}c\u{fffe}\n");
        assert_eq!(body.text(), "abc\n");
    }
}
