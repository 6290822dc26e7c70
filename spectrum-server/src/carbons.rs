//! Message carbons (XEP-0280): what is copied, and how. Stateless; who wants copies is known to [`Clients`](crate::clients).

use jid::{BareJid, FullJid};
use minidom::Element;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

/// Whether other resources should see the message (XEP-0280 section 6.1).
pub(crate) fn is_eligible(message: &Message) -> bool {
    let type_is = match message.type_ {
        MessageType::Chat => true,
        MessageType::Normal => !message.bodies.is_empty(),
        MessageType::Error | MessageType::Groupchat | MessageType::Headline => false,
    };
    type_is
        && !message
            .payloads
            .iter()
            .any(|payload| payload.is("private", ns::CARBONS) || payload.is("x", ns::MUC_USER))
}

/// Whether the message is a copy itself.
pub(crate) fn is_copy(message: &Message) -> bool {
    message
        .payloads
        .iter()
        .any(|payload| payload.has_ns(ns::CARBONS) && matches!(payload.name(), "sent" | "received"))
}

/// A copy of what the user sent with another client.
pub(crate) fn sent(user: &BareJid, to: &FullJid, message: &Message) -> Message {
    copy("sent", user, to, message)
}

/// A copy of what another client of the user got.
pub(crate) fn received(user: &BareJid, to: &FullJid, message: &Message) -> Message {
    copy("received", user, to, message)
}

fn copy(how: &str, user: &BareJid, to: &FullJid, message: &Message) -> Message {
    let forwarded = Element::builder("forwarded", ns::FORWARD)
        .append(Element::from(message.clone()))
        .build();
    let mut copy = Message::new_with_type(message.type_.clone(), Some(to.clone().into()));
    // Clients believe copies from their own account alone.
    copy.from = Some(user.clone().into());
    copy.payloads
        .push(Element::builder(how, ns::CARBONS).append(forwarded).build());
    copy
}
