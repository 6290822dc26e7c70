//! Rooms in XMPP: presences of occupants, subjects and lines (XEP-0045 7). Everything here only writes stanzas.

use jid::{BareJid, FullJid, Jid, ResourceRef};
use minidom::Element;
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::ns::{MUC, MUC_USER, VCARD_UPDATE};
use xmpp_parsers::presence::{Presence as XmppPresence, Show, Type};
use xmpp_parsers::stanza_error::StanzaError;

use super::occupant_id;
use super::room::{Present, Room};
use crate::face::UserOut;
use crate::model::{Affiliation, Availability, Nickname, Presence, Role};
use crate::session::{Cx, Output};
use crate::xml::{element, set, text_element};

/// Status codes of XEP-0045 15.6 that we use.
pub(super) mod code {
    pub(crate) const NON_ANONYMOUS: &str = "100";
    pub(crate) const CONFIGURED: &str = "104";
    pub(crate) const SELF: &str = "110";
    pub(crate) const NICKNAME_ASSIGNED: &str = "210";
    pub(crate) const BANNED: &str = "301";
    pub(crate) const NICKNAME_CHANGED: &str = "303";
    pub(crate) const KICKED: &str = "307";
    pub(crate) const SERVICE_SHUTDOWN: &str = "332";
}

pub(super) fn room_jid(room: &Room, cx: &Cx<'_>) -> BareJid {
    BareJid::from_parts(Some(&room.node), cx.config.transport.domain())
}

pub(super) fn occupant_jid(room: &Room, resource: &ResourceRef, cx: &Cx<'_>) -> FullJid {
    FullJid::from_parts(Some(&room.node), cx.config.transport.domain(), resource)
}

/// Sends a stanza to the user, who may be written to from here alone.
pub(super) fn say(cx: &mut Cx<'_>, stanza: impl Into<crate::stanza::Stanza>) {
    cx.out.push(Output::User(UserOut::Stanza(stanza.into())));
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Moderator => "moderator",
        Role::Participant => "participant",
        Role::Visitor => "visitor",
    }
}

pub(super) fn affiliation_name(affiliation: Affiliation) -> &'static str {
    match affiliation {
        Affiliation::Owner => "owner",
        Affiliation::Admin => "admin",
        Affiliation::Member => "member",
        Affiliation::None => "none",
        Affiliation::Outcast => "outcast",
    }
}

/// The `<item/>` of somebody who is there, in this namespace; with the contact behind it where the network shows one.
pub(super) fn item(room: &Room, nickname: &Nickname, present: &Present, namespace: &str, cx: &mut Cx<'_>) -> Element {
    let (affiliation, role) = (affiliation_name(present.affiliation), role_name(present.role));
    let mut item = element("item", namespace, &[("affiliation", affiliation), ("role", role)]);
    // Of oneself it would be the address on the network, which is not the user's.
    if let Some(contact) = present.contact.as_ref().filter(|_| !room.is_self(nickname)) {
        let node = cx.names.node_of(&contact.into(), cx.out);
        let real = FullJid::from_parts(Some(&node), cx.config.transport.domain(), &present.resource);
        set(&mut item, "jid", real.as_str());
    }
    if namespace != MUC_USER {
        set(&mut item, "nick", room.resource_of(nickname).as_str());
    }
    item
}

fn x_user(item: Element, codes: &[&str]) -> Element {
    let mut x = Element::builder("x", MUC_USER).append(item).build();
    for code in codes {
        x.append_child(element("status", MUC_USER, &[("code", code)]));
    }
    x
}

fn set_presence(stanza: &mut XmppPresence, presence: &Presence) {
    stanza.show = match presence.availability {
        Availability::Online | Availability::Invisible | Availability::Offline => None,
        Availability::Chat => Some(Show::Chat),
        Availability::Away => Some(Show::Away),
        Availability::ExtendedAway => Some(Show::Xa),
        Availability::DoNotDisturb => Some(Show::Dnd),
    };
    if let Some(text) = &presence.text {
        stanza.set_status("", text.clone());
    }
}

/// The presence of somebody who is there.
pub(super) fn available(room: &Room, nickname: &Nickname, present: &Present, codes: &[&str], cx: &mut Cx<'_>) -> XmppPresence {
    let mut stanza = XmppPresence::available();
    stanza.from = Some(occupant_jid(room, &present.resource, cx).into());
    set_presence(&mut stanza, &present.presence);
    if let Some(hash) = &present.avatar {
        let x = Element::builder("x", VCARD_UPDATE)
            .append(text_element("photo", VCARD_UPDATE, hash.as_str()))
            .build();
        stanza.payloads.push(x);
    }
    let item = item(room, nickname, present, MUC_USER, cx);
    stanza.payloads.push(x_user(item, codes));
    stanza.payloads.push(occupant_id::written(&present.occupant_id));
    stanza
}

/// Why an occupant is shown as gone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone<'a> {
    pub(super) codes: &'a [&'a str],
    /// The nickname they have now.
    pub(super) new: Option<&'a ResourceRef>,
    pub(super) actor: Option<&'a ResourceRef>,
    pub(super) reason: Option<&'a str>,
    /// They may not come back.
    pub(super) outcast: bool,
}

/// The presence of somebody who is there no more.
pub(super) fn unavailable(room: &Room, present: &Present, gone: Gone<'_>, cx: &Cx<'_>) -> XmppPresence {
    let mut stanza = XmppPresence::unavailable();
    stanza.from = Some(occupant_jid(room, &present.resource, cx).into());
    let affiliation = if gone.outcast {
        Affiliation::Outcast
    } else {
        present.affiliation
    };
    let role = if gone.new.is_some() { role_name(present.role) } else { "none" };
    let mut item = element(
        "item",
        MUC_USER,
        &[("affiliation", affiliation_name(affiliation)), ("role", role)],
    );
    if let Some(new) = gone.new {
        set(&mut item, "nick", new.as_str());
    }
    if let Some(actor) = gone.actor {
        item.append_child(element("actor", MUC_USER, &[("nick", actor.as_str())]));
    }
    if let Some(reason) = gone.reason {
        item.append_child(text_element("reason", MUC_USER, reason));
        stanza.set_status("", reason);
    }
    stanza.payloads.push(x_user(item, gone.codes));
    stanza.payloads.push(occupant_id::written(&present.occupant_id));
    stanza
}

/// Sends a presence to all resources that have been shown the room.
pub(super) fn to_viewers(room: &Room, stanza: &XmppPresence, cx: &mut Cx<'_>) {
    for viewer in room.viewers.iter().filter(|v| v.shown) {
        let mut copy = stanza.clone();
        copy.to = Some(cx.user.with_resource(&viewer.resource).into());
        say(cx, copy);
    }
}

/// The error in answer to a join.
pub(super) fn join_error(room: &Room, asked: &ResourceRef, to: FullJid, error: StanzaError, cx: &mut Cx<'_>) {
    let mut stanza = XmppPresence::new(Type::Error);
    stanza.from = Some(occupant_jid(room, asked, cx).into());
    stanza.to = Some(to.into());
    stanza.payloads.push(Element::builder("x", MUC).build());
    stanza.payloads.push(error.into());
    say(cx, stanza);
}

/// The subject, as a message without a body (XEP-0045 7.2.15).
pub(super) fn subject(room: &Room, cx: &Cx<'_>) -> Message {
    let mut message = Message::new_with_type(MessageType::Groupchat, None);
    let mut from = Jid::from(room_jid(room, cx));
    if let Some(subject) = &room.subject {
        if let Some(by) = &subject.by {
            let nickname = by.as_str().into();
            from = occupant_jid(room, &room.resource_of(&nickname), cx).into();
            message.payloads.push(occupant_id::written(&room.occupant_id(&nickname)));
        }
        message.subjects.insert(Lang::new(), subject.subject.clone());
        if let Some(at) = subject.timestamp {
            message.payloads.push(crate::xml::delay(at, room_jid(room, cx).as_str()));
        }
    } else {
        message.subjects.insert(Lang::new(), String::new());
    }
    message.from = Some(from);
    message
}

/// Sends a message to all resources that have been told what was said before it.
pub(super) fn message_to_viewers(room: &Room, message: &Message, cx: &mut Cx<'_>) {
    for viewer in room.viewers.iter().filter(|v| v.heard) {
        let mut copy = message.clone();
        copy.to = Some(cx.user.with_resource(&viewer.resource).into());
        say(cx, copy);
    }
}
