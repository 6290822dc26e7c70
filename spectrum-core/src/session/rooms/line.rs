//! What the user says in rooms (XEP-0045 7.4, 7.5, 8.1), and about what was said there. It comes back to all of the user's
//! resources once the network has it, with the id it was sent with and the room's own (XEP-0359).

use std::time::Duration;

use jid::{NodePart, ResourcePart, ResourceRef};
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns::SID;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::occupant_id::{self, OCCUPANT_ID};
use super::room::{Echo, Room, State, WAITING_LINES};
use super::{RoomRequest, Rooms, admin, archive, ghost, heard, invite, moderation, show};
use crate::backend::{OpError, Outcome, Verb};
use crate::model::{Capability, Chat, Edit, Marker, MarkerKind, MessageId, Origin, Reactions, Retraction, RoomEcho};
use crate::session::Cx;
use crate::session::conversation::parts::Parts;
use crate::session::history::MAX_ID_BYTES;
use crate::session::outbox::Entry;
use crate::session::request::emptied;
use crate::session::sending::{self, client_id};
use crate::stanza::{Stanza, error, op_error};
use crate::xml::body;

/// How long a line may take to come back from a backend that shows the user's own lines.
const ECHO_TIME: Duration = Duration::from_secs(30);
/// Lines that may be on their way back.
const ECHOES: usize = 64;

/// Something the user says about an old line, that the network has been asked to say.
#[derive(Debug)]
pub(crate) struct SentAbout {
    node: NodePart,
    message: Message,
    /// The line that is taken back.
    retracts: Option<String>,
}

impl SentAbout {
    /// Tells its sender that it did not go out.
    pub(super) fn refuse(self, cx: &mut Cx<'_>, failed: &OpError) {
        refuse_with(cx, self.message, op_error(failed));
    }
}

pub(super) fn from_user(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    resource: Option<&ResourcePart>,
    node: &NodePart,
    nick: Option<&ResourcePart>,
    message: Message,
) {
    if message.type_ == MessageType::Error {
        if let Some(resource) = resource {
            ghost::bounced(rooms, resource, node, &message.payloads);
        }
        return;
    }
    let Some(room) = rooms.rooms.get_mut(node) else {
        return invite::without_room(cx, message);
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
        (None, _) => invite::mediated(room, cx, message),
    }
}

/// A line, a subject, or something about an old line.
fn to_room(room: &Room, cx: &mut Cx<'_>, resource: Option<&ResourcePart>, message: Message) {
    if resource.is_none_or(|r| room.viewer(r).is_none()) {
        refuse(cx, message, DefinedCondition::NotAcceptable, "You are not in the room.");
        return;
    }
    let chat = Chat::Room(room.id.clone());
    let parts = Parts::of(&message);
    if let Some(line) = parts.retracts {
        let id = cx.history.for_network(&chat, line);
        if cx.outbox.withdraw(&id) {
            cx.history.forget(&id);
            return;
        }
        let retracts = Some(cx.history.for_room(&chat, &id));
        let verb = Verb::Retract(Retraction {
            chat,
            nickname: None,
            id,
            reason: None,
            origin: Origin::Other,
        });
        let without = "Lines cannot be taken back on this network.";
        let about = About {
            needed: Capability::Retractions,
            without,
            verb,
            retracts,
        };
        return say_about(room, cx, message, about);
    }
    if let Some((line, emojis)) = &parts.reactions {
        let verb = Verb::React(Reactions {
            id: cx.history.for_network(&chat, line),
            chat,
            nickname: None,
            emojis: emojis.clone(),
            origin: Origin::Other,
        });
        let without = "The network has no reactions.";
        let about = About {
            needed: Capability::Reactions,
            without,
            verb,
            retracts: None,
        };
        return say_about(room, cx, message, about);
    }
    let text = body(&message).unwrap_or_default();
    if text.is_empty() && parts.attachments.is_empty() {
        let subject = message.get_best_subject(vec![""]).map(|(_, subject)| subject.clone());
        return match subject {
            Some(subject) => set_subject(room, cx, subject, message),
            None => signs(room, cx, &parts, &message),
        };
    }
    let corrects = parts.replaces.and_then(|id| cx.history.by_client(&chat, id)).cloned();
    if let Some(own) = corrects.filter(|_| cx.can(Capability::Edits)) {
        if cx.outbox.waiting(&own.core).is_some() {
            let text = "The line that this corrects has not gone out yet.";
            return refuse(cx, message, DefinedCondition::RecipientUnavailable, text);
        }
        if let Some(id) = client_id(&message) {
            cx.history.also_called(&own, id, cx.now.wall);
        }
        let verb = Verb::Edit(Edit {
            chat,
            nickname: None,
            id: own.core,
            body: text.to_owned(),
            origin: Origin::Other,
        });
        let about = About {
            needed: Capability::Edits,
            without: "",
            verb,
            retracts: None,
        };
        return say_about(room, cx, message, about);
    }
    let is_open = room.state == State::Joined && cx.online;
    if is_open || cx.outbox.count_for_room(&room.node) < WAITING_LINES {
        send(room, cx, chat, message);
    } else {
        refuse(
            cx,
            message,
            DefinedCondition::ResourceConstraint,
            "The room is not connected, and too many lines wait already.",
        );
    }
}

/// How something about an old line is said to the network.
struct About<'a> {
    needed: Capability,
    /// What its sender is told where the network cannot.
    without: &'a str,
    verb: Verb,
    /// The line that it takes back.
    retracts: Option<String>,
}

/// Something about an old line: it comes back once the network has it.
fn say_about(room: &Room, cx: &mut Cx<'_>, message: Message, about: About<'_>) {
    if !cx.can(about.needed) {
        return refuse(cx, message, DefinedCondition::FeatureNotImplemented, about.without);
    }
    if room.state != State::Joined {
        let text = "The room is being joined.";
        return refuse(cx, message, DefinedCondition::RecipientUnavailable, text);
    }
    let sent = SentAbout {
        node: room.node.clone(),
        message,
        retracts: about.retracts,
    };
    admin::request(cx, about.verb, RoomRequest::About(Box::new(sent)));
}

fn set_subject(room: &Room, cx: &mut Cx<'_>, subject: String, message: Message) {
    if !cx.can(Capability::RoomSubject) {
        let text = "Rooms have no subject on this network.";
        refuse(cx, message, DefinedCondition::FeatureNotImplemented, text);
    } else if room.state != State::Joined {
        let text = "The room is being joined.";
        refuse(cx, message, DefinedCondition::RecipientUnavailable, text);
    } else {
        let verb = Verb::SetSubject {
            room: room.id.clone(),
            subject,
        };
        let answer = Stanza::Message(emptied(message));
        admin::request(cx, verb, RoomRequest::Answer(Box::new(answer)));
    }
}

/// What goes with no text: typing and markers. Worth nothing later, so it goes now or not at all.
fn signs(room: &Room, cx: &mut Cx<'_>, parts: &Parts<'_>, message: &Message) {
    if room.state != State::Joined {
        return;
    }
    let chat = Chat::Room(room.id.clone());
    if let Some(line) = parts.displayed {
        if cx.can(Capability::Markers) {
            cx.try_ask(Verb::Mark(Marker {
                id: cx.history.for_network(&chat, line),
                chat: chat.clone(),
                nickname: None,
                kind: MarkerKind::Displayed,
                origin: Origin::Other,
            }));
        }
        // So that the user's other resources know what has been read.
        let message = own(room, cx, message.clone());
        show::message_to_viewers(room, &message, cx);
    }
    if let Some(state) = parts.state.filter(|_| cx.can(Capability::ChatStates)) {
        cx.try_ask(Verb::SetChatState { chat, state });
    }
}

/// Puts a line into the outbox, from where it goes once the room is joined.
fn send(room: &Room, cx: &mut Cx<'_>, chat: Chat, message: Message) {
    let parts = Parts::of(&message);
    let text = parts.text(&message, cx.can(Capability::Replies));
    let draft = cx.draft(chat, text, &message, parts);
    sending::accept(cx, draft, Box::new(message), Some(room.node.clone()));
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

pub(super) fn refuse(cx: &mut Cx<'_>, message: Message, condition: DefinedCondition, text: &str) {
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
        let fits = |id: &&MessageId| !id.as_str().is_empty() && id.as_str().len() <= MAX_ID_BYTES;
        let id = network_id.filter(fits).unwrap_or(&entry.message.id);
        reflect(room, cx, *entry.stanza, id);
    }
}

/// The backend has said what became of something about an old line.
pub(super) fn about_outcome(rooms: &mut Rooms, cx: &mut Cx<'_>, about: SentAbout, outcome: Outcome) {
    if let Err(failed) = outcome {
        return about.refuse(cx, &failed);
    }
    let Some(room) = rooms.rooms.get_mut(&about.node) else {
        return;
    };
    let id = cx.requests.message_id(cx.now);
    let retraction = client_id(&about.message).unwrap_or(id.as_str()).to_owned();
    reflect(room, cx, about.message, &id);
    if let Some(line) = about.retracts {
        let tombstone = moderation::Tombstone::of_retraction(retraction, cx.now.wall);
        moderation::bury(rooms, cx, &about.node, &line, tombstone);
    }
}

/// Something of the user's as the room says it: without what only the room may say.
fn own(room: &Room, cx: &Cx<'_>, mut message: Message) -> Message {
    let own = room.resource_of(&room.nickname);
    message.from = Some(show::occupant_jid(room, &own, cx).into());
    message.to = None;
    message
        .payloads
        .retain(|p| !p.is("stanza-id", SID) && !p.is("occupant-id", OCCUPANT_ID));
    message.payloads.push(occupant_id::written(&room.occupant_id(&room.nickname)));
    message
}

/// Shows the user's own line to all their resources in the room, with the id it was sent with, and keeps it under this one.
pub(super) fn reflect(room: &mut Room, cx: &mut Cx<'_>, message: Message, id: &MessageId) {
    let mut message = own(room, cx, message);
    message.payloads.push(heard::stanza_id(room, cx, id.as_str()));
    show::message_to_viewers(room, &message, cx);
    archive::keep(room, cx, id.as_str(), None, &message);
}

/// Shows lines that a backend should have shown and did not.
pub(super) fn show_overdue(room: &mut Room, cx: &mut Cx<'_>) {
    while let Some(echo) = room.echoes.pop_front_if(|echo| echo.until <= cx.now.mono) {
        reflect(room, cx, echo.message, &echo.id);
    }
}

/// What waits for the room, of one resource or of all, is answered.
pub(super) fn forget_waiting(room: &Room, cx: &mut Cx<'_>, resource: Option<&ResourceRef>, reason: &str) {
    let is_meant = |entry: &Entry| {
        let from = entry.stanza.from.as_ref().and_then(jid::Jid::resource);
        entry.room.as_ref() == Some(&room.node) && resource.is_none_or(|resource| from == Some(resource))
    };
    for entry in cx.outbox.withdraw_where(is_meant) {
        cx.history.forget(&entry.message.id);
        refuse(cx, *entry.stanza, DefinedCondition::RecipientUnavailable, reason);
    }
}
