//! Requests to the nodes of an account (XEP-0060, XEP-0163, XEP-0223). Pure.

use jid::BareJid;
use minidom::Element;
use spectrum_core::xml::{element, text_element};
use xmpp_parsers::ns;

pub(super) fn wrap(name: &str, child: Element) -> Element {
    Element::builder(name, ns::PUBSUB).append(child).build()
}

/// Publishes one item (XEP-0060 7.1), into a node that nobody else may read.
pub(super) fn publish(node: &str, id: &BareJid, item: Element) -> Element {
    let mut holder = element("item", ns::PUBSUB, &[("id", id.as_str())]);
    holder.append_child(item);
    let mut publish = element("publish", ns::PUBSUB, &[("node", node)]);
    publish.append_child(holder);
    let mut pubsub = wrap("pubsub", publish);
    pubsub.append_child(wrap("publish-options", options(PUBLISH_OPTIONS)));
    pubsub
}

/// Takes one item back (XEP-0060 7.2); clients are told.
pub(super) fn retract(node: &str, id: &BareJid) -> Element {
    let mut retract = element("retract", ns::PUBSUB, &[("node", node), ("notify", "true")]);
    retract.append_child(element("item", ns::PUBSUB, &[("id", id.as_str())]));
    wrap("pubsub", retract)
}

const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";

/// How a node of one item for each chat has to be: private, and kept (XEP-0223).
pub(super) fn options(form: &str) -> Element {
    let field = |name: &str, value: &str| {
        let mut field = element("field", ns::DATA_FORMS, &[("var", name)]);
        field.append_child(text_element("value", ns::DATA_FORMS, value));
        field
    };
    let mut form_type = field("FORM_TYPE", form);
    spectrum_core::xml::set(&mut form_type, "type", "hidden");
    let mut x = element("x", ns::DATA_FORMS, &[("type", "submit")]);
    x.append_child(form_type);
    for (name, value) in [
        ("pubsub#persist_items", "true"),
        ("pubsub#max_items", "max"),
        ("pubsub#send_last_published_item", "never"),
        ("pubsub#access_model", "whitelist"),
    ] {
        x.append_child(field(name, value));
    }
    x
}
