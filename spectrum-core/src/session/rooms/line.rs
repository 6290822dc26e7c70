//! What is said in rooms (XEP-0045 7.4, 7.5, 8.1): by the user, who sees it come back once the network has it, and by others.

use std::time::Duration;

use jid::{NodePart, ResourcePart, ResourceRef};
use minidom::Element;
use xmpp_parsers::message::{Id, Lang, Message, MessageType};
use xmpp_parsers::ns::{CHATSTATES, MESSAGE_CORRECT, MUC_USER, OOB, REACTIONS, SID};
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::room::{Echo, Room, State, WAITING_LINES};
use super::{RoomRequest, Rooms, admin, show};
use crate::backend::Verb;
use crate::model::{
    Capability, Chat, ChatState, ContactId, Edit, IncomingMessage, MessageId, Nickname, Origin, OutgoingMessage, Reactions,
    Retraction, RoomEcho, RoomId,
};
use crate::session::Cx;
use crate::session::outbox::{Bounds, Entry};
use crate::stanza::{Stanza, error};
use crate::xml::{body, delay, element, payload, text_element};

/// How long a line may take to come back from a backend that shows the user's own lines.
const ECHO_TIME: Duration = Duration::from_secs(30);
/// Lines that may be on their way back.
const ECHOES: usize = 64;

pub(super) fn from_user(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    resource: Option<&ResourcePart>,
    node: &NodePart,
    nick: Option<&ResourcePart>,
    message: Message,
) {
    if message.type_ == MessageType::Error {
        return;
    }
    let Some(room) = rooms.rooms.get_mut(node) else {
        refuse(cx, message, DefinedCondition::NotAcceptable, "You are not in the room.");
        return;
    };
    match (nick, &message.type_) {
        (Some(_), MessageType::Groupchat) => {
            refuse(
                cx,
                message,
                DefinedCondition::BadRequest,
                "A line for the room goes to the room, not to an occupant.",
            );
        }
        (Some(nick), _) => private(room, cx, nick, message),
        (None, MessageType::Groupchat) => to_room(room, cx, resource, message),
        (None, _) => invite(room, cx, message),
    }
}

/// A line or a subject for the room.
fn to_room(room: &mut Room, cx: &mut Cx<'_>, resource: Option<&ResourcePart>, message: Message) {
    if !resource.is_some_and(|r| room.viewer(r).is_some()) {
        refuse(cx, message, DefinedCondition::NotAcceptable, "You are not in the room.");
        return;
    }
    let Some(text) = body(&message) else {
        match message.get_best_subject(vec![""]).map(|(_, subject)| subject.clone()) {
            Some(subject) if room.state == State::Joined => {
                if cx.info.capabilities.has(Capability::RoomSubject) {
                    let verb = Verb::SetSubject {
                        room: room.id.clone(),
                        subject,
                    };
                    admin::request(cx, verb, RoomRequest::Answer(Box::new(message.into())));
                } else {
                    refuse(
                        cx,
                        message,
                        DefinedCondition::FeatureNotImplemented,
                        "Rooms have no subject on this network.",
                    );
                }
            }
            Some(_) => refuse(
                cx,
                message,
                DefinedCondition::RecipientUnavailable,
                "The room is being joined.",
            ),
            None => typing(room, cx, &message),
        }
        return;
    };
    if text.is_empty() {
        return;
    }
    let is_open = room.state == State::Joined && cx.online;
    if is_open || cx.outbox.count_for_room(&room.node) < WAITING_LINES {
        send(room, cx, Chat::Room(room.id.clone()), message);
    } else {
        refuse(
            cx,
            message,
            DefinedCondition::ResourceConstraint,
            "The room is not connected, and too many lines wait already.",
        );
    }
}

/// A chat state of the user's for the room.
fn typing(room: &Room, cx: &mut Cx<'_>, message: &Message) {
    if room.state != State::Joined || !cx.info.capabilities.has(Capability::ChatStates) {
        return;
    }
    let state = message
        .payloads
        .iter()
        .filter(|p| p.ns() == CHATSTATES)
        .find_map(|p| match p.name() {
            "composing" => Some(ChatState::Composing),
            "paused" => Some(ChatState::Paused),
            "active" => Some(ChatState::Active),
            _ => None,
        });
    if let Some(state) = state
        && cx.requests.len() < cx.config.limits.requests
    {
        let verb = Verb::SetChatState {
            chat: Chat::Room(room.id.clone()),
            state,
        };
        cx.requests.send(verb, crate::session::pending::Pending::Nobody, cx.out);
    }
}

/// Puts a line into the outbox, from where it goes once the room is joined.
fn send(room: &Room, cx: &mut Cx<'_>, chat: Chat, message: Message) {
    let outgoing = OutgoingMessage {
        chat,
        id: cx.requests.message_id(cx.now),
        body: body(&message).unwrap_or_default().to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    };
    let bounds = Bounds {
        messages: cx.config.limits.requests,
        bytes: cx.config.limits.held_bytes,
    };
    let entry = Entry {
        message: outgoing,
        stanza: Box::new(message),
        room: Some(room.node.clone()),
    };
    if let Err(entry) = cx.outbox.accept(entry, bounds) {
        refuse(
            cx,
            *entry.stanza,
            DefinedCondition::ResourceConstraint,
            "Too many messages wait for the network already.",
        );
    }
}

/// A private message to an occupant (XEP-0045 7.5).
fn private(room: &Room, cx: &mut Cx<'_>, nick: &ResourceRef, message: Message) {
    if body(&message).is_none_or(str::is_empty) {
        return;
    }
    if !cx.info.capabilities.has(Capability::PrivateMessages) {
        refuse(
            cx,
            message,
            DefinedCondition::FeatureNotImplemented,
            "Occupants cannot be written to in private on this network.",
        );
        return;
    }
    let Some(nickname) = room.nickname_of(nick).cloned() else {
        refuse(
            cx,
            message,
            DefinedCondition::ItemNotFound,
            "Nobody of that name is in the room.",
        );
        return;
    };
    if room.state != State::Joined {
        refuse(
            cx,
            message,
            DefinedCondition::RecipientUnavailable,
            "The room is being joined.",
        );
        return;
    }
    let chat = Chat::Occupant {
        room: room.id.clone(),
        nickname,
    };
    send(room, cx, chat, message);
}

/// A mediated invitation (XEP-0045 7.8.2): a message to the room that is no line.
fn invite(room: &Room, cx: &mut Cx<'_>, message: Message) {
    let invite = payload(&message.payloads, "x", MUC_USER).and_then(|x| x.get_child("invite", MUC_USER));
    let Some(invite) = invite else {
        if message.bodies.is_empty() {
            return;
        }
        refuse(
            cx,
            message,
            DefinedCondition::BadRequest,
            "A message for a room has the type groupchat.",
        );
        return;
    };
    let contact = invite
        .attr("to")
        .and_then(|to| jid::Jid::new(to).ok())
        .filter(|to| to.domain() == cx.config.transport.domain())
        .and_then(|to| to.node().map(ToOwned::to_owned));
    let reason = invite.get_child("reason", MUC_USER).map(Element::text);
    match contact {
        Some(_) if !cx.info.capabilities.has(Capability::RoomInvite) => {
            refuse(
                cx,
                message,
                DefinedCondition::FeatureNotImplemented,
                "Nobody can be invited to rooms of this network.",
            );
        }
        Some(node) => {
            let contact = ContactId::from(&cx.names.name_of(&node));
            let verb = Verb::Invite {
                room: room.id.clone(),
                contact,
                reason,
            };
            admin::request(cx, verb, RoomRequest::Answer(Box::new(message.into())));
        }
        None => refuse(
            cx,
            message,
            DefinedCondition::ItemNotFound,
            "Only people of the same network can be invited.",
        ),
    }
}

fn refuse(cx: &mut Cx<'_>, message: Message, condition: DefinedCondition, text: &str) {
    refuse_with(cx, message, error(condition, text));
}

fn refuse_with(cx: &mut Cx<'_>, message: Message, error: StanzaError) {
    if let Some(reply) = Stanza::Message(message).error_reply(error) {
        show::say(cx, reply);
    }
}

/// The backend has been asked to send a message: if it shows the user's own lines, this one comes back.
pub(super) fn handed_over(rooms: &mut Rooms, cx: &Cx<'_>, id: &MessageId) {
    if cx.info.room_echo != RoomEcho::Backend {
        return;
    }
    let Some(entry) = cx.outbox.get(id) else { return };
    let Some(room) = entry.room.as_ref().and_then(|node| rooms.rooms.get_mut(node)) else {
        return;
    };
    if matches!(entry.message.chat, Chat::Room(_)) && room.echoes.len() < ECHOES {
        room.echoes.push_back(Echo {
            id: id.clone(),
            body: entry.message.body.clone(),
            message: (*entry.stanza).clone(),
            until: cx.now.mono + ECHO_TIME,
        });
    }
}

/// The network has a message of the user's. A line for a room is shown, where the backend does not do that.
pub(super) fn sent(rooms: &mut Rooms, cx: &mut Cx<'_>, entry: Entry, network_id: Option<&MessageId>) {
    let Some(room) = entry.room.as_ref().and_then(|node| rooms.rooms.get_mut(node)) else {
        return;
    };
    if cx.info.room_echo == RoomEcho::Core && matches!(entry.message.chat, Chat::Room(_)) {
        if let Some(id) = network_id {
            room.is_repeated(id);
        }
        reflect(room, cx, *entry.stanza, network_id);
    }
}

/// Shows the user's own line to all their resources in the room, with the id it was sent with.
fn reflect(room: &mut Room, cx: &mut Cx<'_>, mut message: Message, network_id: Option<&MessageId>) {
    let own = room.resource_of(&room.nickname);
    message.from = Some(show::occupant_jid(room, &own, cx).into());
    message.to = None;
    let by = show::room_jid(room, cx);
    message.payloads.retain(|p| !p.is("stanza-id", SID));
    if let Some(id) = network_id {
        message
            .payloads
            .push(element("stanza-id", SID, &[("id", id.as_str()), ("by", by.as_str())]));
    }
    show::message_to_viewers(room, &message, cx);
    let mut kept = message;
    kept.payloads.push(delay(cx.now.wall, by.as_str()));
    room.remember(cx.now.wall, kept);
}

/// Shows lines that a backend should have shown and did not.
pub(super) fn show_overdue(room: &mut Room, cx: &mut Cx<'_>) {
    while let Some(echo) = room.echoes.pop_front_if(|echo| echo.until <= cx.now.mono) {
        reflect(room, cx, echo.message, None);
    }
}

/// What waits for the room, of one resource or of all, is answered.
pub(super) fn forget_waiting(room: &Room, cx: &mut Cx<'_>, resource: Option<&ResourceRef>, reason: &str) {
    let is_meant = |entry: &Entry| {
        let from = entry.stanza.from.as_ref().and_then(jid::Jid::resource);
        entry.room.as_ref() == Some(&room.node) && resource.is_none_or(|resource| from == Some(resource))
    };
    for entry in cx.outbox.withdraw_where(is_meant) {
        refuse(cx, *entry.stanza, DefinedCondition::RecipientUnavailable, reason);
    }
}

/// A line of the network.
pub(super) fn from_network(rooms: &mut Rooms, cx: &mut Cx<'_>, line: IncomingMessage) {
    let (id, private_with) = match &line.chat {
        Chat::Room(room) => (room.clone(), None),
        Chat::Occupant { room, nickname } => (room.clone(), Some(nickname.clone())),
        Chat::Contact(_) => return,
    };
    if let Some(nickname) = private_with {
        private_from_network(rooms, cx, &id, &nickname, line);
        return;
    }
    let Some(room) = rooms.by_id(cx, &id) else { return };
    if line.id.as_ref().is_some_and(|id| room.is_repeated(id)) {
        return;
    }
    let own = line.nickname.as_ref().is_some_and(|nickname| room.is_self(nickname));
    if own
        && cx.info.room_echo == RoomEcho::Backend
        && let Some(at) = room
            .echoes
            .iter()
            .position(|echo| echo.body.trim_end() == line.body.trim_end())
        && let Some(echo) = room.echoes.remove(at)
    {
        reflect(room, cx, echo.message, line.id.as_ref());
        return;
    }
    let message = groupchat(room, cx, &line);
    let at = line.timestamp.unwrap_or(cx.now.wall);
    if room.state == State::Joined {
        show::message_to_viewers(room, &message, cx);
    }
    let mut kept = message;
    if line.timestamp.is_none() {
        kept.payloads.push(delay(at, show::room_jid(room, cx).as_str()));
    }
    room.remember(at, kept);
}

fn groupchat(room: &Room, cx: &mut Cx<'_>, line: &IncomingMessage) -> Message {
    let by = show::room_jid(room, cx);
    let mut message = Message::new_with_type(MessageType::Groupchat, None);
    message.from = Some(match &line.nickname {
        Some(nickname) => show::occupant_jid(room, &room.resource_of(nickname), cx).into(),
        None => by.clone().into(),
    });
    if let Some(id) = &line.id {
        message.id = Some(Id(id.as_str().to_owned()));
        message
            .payloads
            .push(element("stanza-id", SID, &[("id", id.as_str()), ("by", by.as_str())]));
    }
    message.bodies.insert(Lang::new(), line.body.clone());
    for attachment in &line.attachments {
        let mut x = element("x", OOB, &[]);
        x.append_child(text_element("url", OOB, &attachment.url));
        if let Some(description) = &attachment.description {
            x.append_child(text_element("desc", OOB, description));
        }
        message.payloads.push(x);
    }
    if let Some(at) = line.timestamp {
        message.payloads.push(delay(at, by.as_str()));
    }
    message
}

/// A private message of an occupant.
fn private_from_network(rooms: &mut Rooms, cx: &mut Cx<'_>, id: &RoomId, nickname: &Nickname, line: IncomingMessage) {
    let Some(room) = rooms.by_id(cx, id) else { return };
    if line.id.as_ref().is_some_and(|id| room.is_repeated(id)) || line.origin == Origin::OwnOtherDevice {
        return;
    }
    let mut message = Message::new_with_type(MessageType::Chat, Some(cx.user.clone().into()));
    message.from = Some(show::occupant_jid(room, &room.resource_of(nickname), cx).into());
    message.id = Some(Id(line
        .id
        .as_ref()
        .map_or_else(|| cx.requests.message_id(cx.now), Clone::clone)
        .as_str()
        .to_owned()));
    message.bodies.insert(Lang::new(), line.body);
    message.payloads.push(Element::builder("x", MUC_USER).build());
    if let Some(at) = line.timestamp {
        message.payloads.push(delay(at, show::room_jid(room, cx).as_str()));
    }
    // To the resources that look at the room: another one would not know whom it is from.
    let viewers: Vec<ResourcePart> = room.viewers.iter().map(|v| v.resource.clone()).collect();
    if viewers.is_empty() {
        show::say(cx, message);
        return;
    }
    for viewer in viewers {
        let mut copy = message.clone();
        copy.to = Some(cx.user.with_resource(&viewer).into());
        show::say(cx, copy);
    }
}

/// A message about an old line, from who wrote that.
fn about(room: &Room, cx: &mut Cx<'_>, nickname: Option<&Nickname>, payload: Element, text: Option<String>) -> Message {
    let mut message = Message::new_with_type(MessageType::Groupchat, None);
    message.from = Some(match nickname {
        Some(nickname) => show::occupant_jid(room, &room.resource_of(nickname), cx).into(),
        None => show::room_jid(room, cx).into(),
    });
    message.id = Some(Id(cx.requests.message_id(cx.now).as_str().to_owned()));
    if let Some(text) = text {
        message.bodies.insert(Lang::new(), text);
    }
    message.payloads.push(payload);
    message
}

/// XEP-0308.
pub(super) fn edited(rooms: &mut Rooms, cx: &mut Cx<'_>, edit: Edit) {
    let Chat::Room(id) = &edit.chat else { return };
    let Some(room) = rooms.by_id(cx, id) else { return };
    let replace = element("replace", MESSAGE_CORRECT, &[("id", edit.id.as_str())]);
    let message = about(room, cx, edit.nickname.as_ref(), replace, Some(edit.body));
    show::message_to_viewers(room, &message, cx);
}

/// XEP-0424.
pub(super) fn retracted(rooms: &mut Rooms, cx: &mut Cx<'_>, retraction: Retraction) {
    const RETRACT: &str = "urn:xmpp:message-retract:1";
    const FALLBACK: &str = "urn:xmpp:fallback:0";
    let Chat::Room(id) = &retraction.chat else { return };
    let Some(room) = rooms.by_id(cx, id) else { return };
    let retract = element("retract", RETRACT, &[("id", retraction.id.as_str())]);
    let text = "This message was retracted.".to_owned();
    let mut message = about(room, cx, retraction.nickname.as_ref(), retract, Some(text));
    message.payloads.push(element("fallback", FALLBACK, &[("for", RETRACT)]));
    show::message_to_viewers(room, &message, cx);
}

/// XEP-0444.
pub(super) fn reacted(rooms: &mut Rooms, cx: &mut Cx<'_>, reactions: Reactions) {
    let Chat::Room(id) = &reactions.chat else { return };
    let Some(room) = rooms.by_id(cx, id) else { return };
    let mut set = element("reactions", REACTIONS, &[("id", reactions.id.as_str())]);
    for emoji in &reactions.emojis {
        set.append_child(text_element("reaction", REACTIONS, emoji));
    }
    let mut message = about(room, cx, reactions.nickname.as_ref(), set, None);
    message.payloads.push(element("store", crate::xml::HINTS, &[]));
    show::message_to_viewers(room, &message, cx);
}

/// XEP-0085 in a room.
pub(super) fn chat_state(room: &Room, cx: &mut Cx<'_>, nickname: &Nickname, state: ChatState) {
    if room.state != State::Joined || room.is_self(nickname) {
        return;
    }
    let name = match state {
        ChatState::Active => "active",
        ChatState::Composing => "composing",
        ChatState::Paused => "paused",
    };
    let mut message = about(room, cx, Some(nickname), element(name, CHATSTATES, &[]), None);
    message.payloads.push(element("no-store", crate::xml::HINTS, &[]));
    show::message_to_viewers(room, &message, cx);
}
