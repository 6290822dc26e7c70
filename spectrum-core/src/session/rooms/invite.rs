//! Invitations (XEP-0045 7.8, XEP-0249), both ways: mediated by the room or direct, from the user to a contact and from a
//! contact to the user.

use jid::{BareJid, NodePart};
use minidom::Element;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns::MUC_USER;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::line::refuse;
use super::room::Room;
use super::{RoomRequest, Rooms, admin, show};
use crate::backend::Verb;
use crate::model::{Capability, ContactId, Invitation, LegacyName, RoomId};
use crate::session::Cx;
use crate::session::request::envelope;
use crate::session::text::shorten;
use crate::stanza::Stanza;
use crate::xml::{CONFERENCE, element, payload, set, text_element};

/// Bytes of a reason.
const MAX_REASON_BYTES: usize = 2_048;

/// A message to a room that is no line: an invitation (XEP-0045 7.8.2), or nothing.
pub(super) fn mediated(room: &Room, cx: &mut Cx<'_>, message: Message) {
    let x = payload(&message.payloads, "x", MUC_USER);
    if x.is_some_and(|x| x.has_child("decline", MUC_USER)) {
        return declined(cx, message);
    }
    let Some(invite) = x.and_then(|x| x.get_child("invite", MUC_USER)) else {
        if !message.bodies.is_empty() {
            let text = "A message for a room has the type groupchat.";
            refuse(cx, message, DefinedCondition::BadRequest, text);
        }
        return;
    };
    let contact = invite
        .attr("to")
        .and_then(|to| jid::Jid::new(to).ok())
        .filter(|to| to.domain() == cx.config.transport.domain())
        .and_then(|to| to.node().map(ToOwned::to_owned));
    let reason = invite.get_child("reason", MUC_USER).map(Element::text);
    match contact {
        Some(node) => invite_contact(cx, room.id.clone(), &node, reason, &message),
        None => refuse(
            cx,
            message,
            DefinedCondition::ItemNotFound,
            "Only people of the same network can be invited.",
        ),
    }
}

/// A message to a room that the user is not in.
pub(super) fn without_room(cx: &mut Cx<'_>, message: Message) {
    if payload(&message.payloads, "x", MUC_USER).is_some_and(|x| x.has_child("decline", MUC_USER)) {
        return declined(cx, message);
    }
    refuse(cx, message, DefinedCondition::NotAcceptable, "You are not in the room.");
}

/// No network that we know carries a refusal back; whoever refuses should know that it went nowhere.
fn declined(cx: &mut Cx<'_>, message: Message) {
    let text = "The network does not tell who has invited you that you decline.";
    refuse(cx, message, DefinedCondition::FeatureNotImplemented, text);
}

/// A direct invitation (XEP-0249) of the user's to a contact; true if the message was one to a room of this network.
pub(super) fn direct(rooms: &Rooms, cx: &mut Cx<'_>, contact: &NodePart, message: &Message) -> bool {
    if message.type_ == MessageType::Error {
        return false;
    }
    let Some(x) = payload(&message.payloads, "x", CONFERENCE) else {
        return false;
    };
    let room = x.attr("jid").and_then(|jid| BareJid::new(jid).ok());
    let room = room.filter(|room| room.domain() == cx.config.transport.domain());
    let Some(node) = room.as_ref().and_then(|room| room.node()) else {
        return false;
    };
    let id = match rooms.rooms.get(node.as_str()) {
        Some(room) => room.id.clone(),
        None => RoomId::from(&cx.names.name_of(&node.to_owned())),
    };
    let reason = x.attr("reason").map(str::to_owned);
    invite_contact(cx, id, contact, reason, message);
    true
}

fn invite_contact(cx: &mut Cx<'_>, room: RoomId, contact: &NodePart, reason: Option<String>, message: &Message) {
    let envelope = envelope(message);
    if !cx.can(Capability::RoomInvite) {
        let text = "Nobody can be invited to rooms of this network.";
        return refuse(cx, envelope, DefinedCondition::FeatureNotImplemented, text);
    }
    let verb = Verb::Invite {
        room,
        contact: ContactId::from(&cx.names.name_of(contact)),
        reason: reason
            .filter(|reason| !reason.is_empty())
            .map(|reason| shorten(&reason, MAX_REASON_BYTES).to_owned()),
    };
    admin::request(cx, verb, RoomRequest::Answer(Box::new(Stanza::Message(envelope))));
}

/// Somebody invites the user: mediated by the room (XEP-0045 7.8.2), with the direct form beside it (XEP-0249).
pub(super) fn invited(cx: &mut Cx<'_>, invitation: Invitation) {
    let node = cx.names.node_of(&LegacyName::from(&invitation.room), cx.out);
    let room = BareJid::from_parts(Some(&node), cx.config.transport.domain());
    let from = invitation.from.as_ref().map(|contact| {
        let node = cx.names.node_of(&contact.into(), cx.out);
        BareJid::from_parts(Some(&node), cx.config.transport.domain())
    });
    let mut invite = element("invite", MUC_USER, &[("from", from.as_ref().unwrap_or(&room).as_str())]);
    let mut direct = element("x", CONFERENCE, &[("jid", room.as_str())]);
    if let Some(reason) = &invitation.reason {
        invite.append_child(text_element("reason", MUC_USER, reason));
        set(&mut direct, "reason", reason);
    }
    let mut x = element("x", MUC_USER, &[]);
    x.append_child(invite);
    if let Some(password) = &invitation.password {
        x.append_child(text_element("password", MUC_USER, password));
        set(&mut direct, "password", password);
    }
    let mut message = Message::new_with_type(MessageType::Normal, Some(cx.user.clone().into()));
    message.from = Some(room.into());
    message.payloads = vec![x, direct];
    show::say(cx, message);
}
