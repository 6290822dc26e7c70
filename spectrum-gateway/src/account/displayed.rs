//! How far chats have been read (XEP-0490), as items of the user's own node. Pure.
//!
//! Of rooms alone: an item names a line by the id that its archive gave it. In a room that is us; the ids of what people
//! say to each other are their own server's, which does not tell them to a component. There the user's own read marker
//! goes to their devices instead (XEP-0333 in a copy).

use jid::BareJid;
use minidom::Element;
use spectrum_core::xml::element;
use xmpp_parsers::ns;

/// The node, and the namespace of its items.
pub(super) const NODE: &str = "urn:xmpp:mds:displayed:0";

/// A line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Position {
    /// Its id.
    pub(super) id: String,
    /// Who gave it.
    pub(super) by: BareJid,
}

/// Up to this line.
pub(super) fn item(position: &Position) -> Element {
    let mut displayed = Element::bare("displayed", NODE);
    let attributes = [("by", position.by.as_str()), ("id", position.id.as_str())];
    displayed.append_child(element("stanza-id", ns::SID, &attributes));
    displayed
}
