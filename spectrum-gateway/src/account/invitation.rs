//! An invitation to a room that the user is in on the network (XEP-0249, and XEP-0045 7.8.2 for clients that know that alone): the
//! way to show it to who cannot be given a bookmark. Pure.

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::session::Bookmark;
use spectrum_core::xml::{CONFERENCE, element, text_element};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

/// From the room, as invitations of the network are.
pub(super) fn invitation(user: &BareJid, bookmark: &Bookmark) -> Message {
    let room = &bookmark.room;
    let reason = match &bookmark.name {
        Some(name) => format!("You are in {name} on the network."),
        None => "You are in this room on the network.".to_owned(),
    };
    let mut invite = element("invite", ns::MUC_USER, &[("from", room.as_str())]);
    invite.append_child(text_element("reason", ns::MUC_USER, &reason));
    let mediated = Element::builder("x", ns::MUC_USER).append(invite).build();
    let direct = element("x", CONFERENCE, &[("jid", room.as_str()), ("reason", &reason)]);
    let mut message = Message::new_with_type(MessageType::Normal, Jid::from(user.clone()));
    message.from = Some(room.clone().into());
    message.payloads = vec![mediated, direct];
    message
}
