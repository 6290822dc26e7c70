//! Small XML pieces that many stanzas share.

use minidom::Element;
use rxml::{Namespace, NcName};
use xmpp_parsers::message::Message;

use crate::model::Timestamp;

/// Message hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Room administration (XEP-0045 9).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Room configuration (XEP-0045 10).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Searching for people (XEP-0055).
pub const SEARCH: &str = "jabber:iq:search";
/// Direct invitations (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";

/// An element with attributes. Names are ours and known to be names; an empty value is written.
pub fn element(name: &str, namespace: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::builder(name, namespace).build();
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// The same with a text inside.
pub fn text_element(name: &str, namespace: &str, text: &str) -> Element {
    let mut element = Element::builder(name, namespace).build();
    element.append_text_node(text);
    element
}

/// Sets an attribute.
pub fn set(element: &mut Element, name: &str, value: &str) {
    if let Ok(name) = NcName::try_from(name) {
        element.set_attr(Namespace::NONE, name, value);
    }
}

/// `<delay/>` (XEP-0203): said at this time, kept by `by`.
pub fn delay(at: Timestamp, by: &str) -> Element {
    element("delay", xmpp_parsers::ns::DELAY, &[("stamp", &at.date_time()), ("from", by)])
}

/// The text of a message: without a language if there is one, else any.
pub fn body(message: &Message) -> Option<&str> {
    message.get_best_body(vec![""]).map(|(_, body)| body.as_str())
}

/// The payload of this name.
pub fn payload<'a>(payloads: &'a [Element], name: &str, namespace: &str) -> Option<&'a Element> {
    payloads.iter().find(|p| p.is(name, namespace))
}
