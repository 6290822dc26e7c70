//! Lines that are taken away: moderation (XEP-0425) and what is left of a line in the archive (XEP-0424, tombstones).
//!
//! Where the network lets moderators take lines back, the network decides. Elsewhere only what is ours can be done: the line
//! goes from the user's own archive and from all of the user's resources, and the announcement says that it went nowhere
//! else. Nobody but the user sees that archive, so the user needs nobody's leave.

use jid::{NodePart, ResourcePart};
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns::SID;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::archive::Asked;
use super::occupant_id::{self, OCCUPANT_ID};
use super::room::State;
use super::{RoomRequest, Rooms, admin, archive, heard, show};
use crate::backend::{OpError, Outcome, Verb};
use crate::model::{Capability, Chat, Origin, Retraction, Timestamp};
use crate::session::Cx;
use crate::session::archive::{ArchiveChange, ArchiveQuery, ArchiveRequest, ArchivedLine};
use crate::session::history::MAX_ID_BYTES;
use crate::session::payload::{RETRACT, with_id};
use crate::session::text::shorten;
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{element, set, text_element};

/// XEP-0425.
pub(super) const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// Bytes of a reason.
const MAX_REASON_BYTES: usize = 2_048;

/// A line that is being moderated.
#[derive(Debug)]
pub(crate) struct Moderated {
    node: NodePart,
    line: String,
    reason: Option<String>,
    iq: Stanza,
}

impl Moderated {
    /// Tells who asked that it did not go out.
    pub(super) fn refuse(self, cx: &mut Cx<'_>, failed: &OpError) {
        cx.refuse(&self.iq, op_error(failed));
    }
}

/// What a line is replaced with.
#[derive(Debug)]
pub(super) struct Tombstone {
    /// Of the message that took it back.
    retraction: String,
    at: Timestamp,
    moderated: Option<(Element, Option<String>)>,
}

impl Tombstone {
    pub(super) fn of_retraction(retraction: String, at: Timestamp) -> Self {
        Self {
            retraction,
            at,
            moderated: None,
        }
    }

    /// The change that puts it in the place of a line: who said it and its ids stay, what was said goes.
    pub(super) fn replace(&self, line: &ArchivedLine) -> ArchiveChange {
        let mut message = line
            .stanza
            .parse::<Element>()
            .ok()
            .and_then(|element| Message::try_from(element).ok())
            .unwrap_or_else(|| Message::groupchat(None));
        message.bodies.clear();
        message.subjects.clear();
        message.thread = None;
        message
            .payloads
            .retain(|p| p.is("stanza-id", SID) || p.is("occupant-id", OCCUPANT_ID));
        let mut retracted = element(
            "retracted",
            RETRACT,
            &[("stamp", &self.at.date_time()), ("id", &self.retraction)],
        );
        if let Some((moderated, reason)) = &self.moderated {
            retracted.append_child(moderated.clone());
            if let Some(reason) = reason {
                retracted.append_child(text_element("reason", RETRACT, reason));
            }
        }
        message.payloads.push(retracted);
        ArchiveChange::Replace {
            id: line.id.clone(),
            stanza: String::from(&Element::from(message)),
        }
    }
}

/// Puts a tombstone in the place of a line, if the archive has that.
pub(super) fn bury(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, line: &str, tombstone: Tombstone) {
    let query = ArchiveQuery {
        ids: vec![line.to_owned()],
        limit: 1,
        ..ArchiveQuery::default()
    };
    archive::ask(
        rooms,
        cx,
        node,
        ArchiveRequest::Page(query),
        Asked::Tombstone(Box::new(tombstone)),
    );
}

/// A request to take a line away.
pub(super) fn request(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    resource: Option<&ResourcePart>,
    node: &NodePart,
    iq: Stanza,
    moderate: &Element,
) {
    let refuse = |cx: &mut Cx<'_>, iq: &Stanza, condition, text: &str| cx.refuse(iq, error(condition, text));
    let room = rooms.rooms.get(node);
    let Some(room) = room.filter(|room| resource.is_some_and(|r| room.viewer(r).is_some())) else {
        return refuse(cx, &iq, DefinedCondition::NotAcceptable, "You are not in the room.");
    };
    let id = moderate.attr("id").filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES);
    let Some(line) = id.filter(|_| moderate.has_child("retract", RETRACT)) else {
        return refuse(cx, &iq, DefinedCondition::BadRequest, "Say which line is to be retracted.");
    };
    if room.state != State::Joined {
        return refuse(cx, &iq, DefinedCondition::RecipientUnavailable, "The room is being joined.");
    }
    let reason = moderate
        .get_child("reason", MODERATE)
        .map(Element::text)
        .filter(|r| !r.is_empty());
    let reason = reason.map(|reason| shorten(&reason, MAX_REASON_BYTES).to_owned());
    let chat = Chat::Room(room.id.clone());
    let moderated = Moderated {
        node: node.clone(),
        line: line.to_owned(),
        reason: reason.clone(),
        iq,
    };
    if by_network(cx) {
        let verb = Verb::Retract(Retraction {
            id: cx.history.for_network(&chat, line),
            chat,
            nickname: None,
            reason,
            origin: Origin::Other,
        });
        admin::request(cx, verb, RoomRequest::Moderate(Box::new(moderated)));
    } else {
        let text = format!("Taken away for you alone: {} has no moderation of lines.", cx.info.name);
        let reason = match moderated.reason.as_deref() {
            Some(reason) => format!("{reason} ({text})"),
            None => text,
        };
        let moderated = Moderated {
            reason: Some(reason),
            ..moderated
        };
        announce(rooms, cx, moderated);
    }
}

/// Whether the network itself takes lines of others back for a moderator.
fn by_network(cx: &Cx<'_>) -> bool {
    cx.can(Capability::Retractions) && cx.can(Capability::RoomModeration)
}

/// The network has taken it back, or not.
pub(super) fn outcome(rooms: &mut Rooms, cx: &mut Cx<'_>, moderated: Moderated, outcome: Outcome) {
    match outcome {
        Ok(_) => announce(rooms, cx, moderated),
        Err(failed) => cx.refuse(&moderated.iq, op_error(&failed)),
    }
}

/// Tells all of the user's resources, the archive and who asked.
fn announce(rooms: &mut Rooms, cx: &mut Cx<'_>, moderated: Moderated) {
    let Moderated { node, line, reason, iq } = moderated;
    if let Some(room) = rooms.rooms.get_mut(&node) {
        let own = room.resource_of(&room.nickname);
        let mut by = element("moderated", MODERATE, &[]);
        set(&mut by, "by", show::occupant_jid(room, &own, cx).as_str());
        by.append_child(occupant_id::written(&room.occupant_id(&room.nickname)));
        let mut retract = with_id("retract", RETRACT, &line);
        retract.append_child(by.clone());
        if let Some(reason) = &reason {
            retract.append_child(text_element("reason", RETRACT, reason));
        }
        let id = cx.requests.message_id(cx.now).as_str().to_owned();
        let mut message = heard::by(room, cx, None, &id);
        message.payloads.push(retract);
        archive::keep(room, cx, &id, None, &message);
        show::message_to_viewers(room, &message, cx);
        let tombstone = Tombstone {
            retraction: id,
            at: cx.now.wall,
            moderated: Some((by, reason)),
        };
        bury(rooms, cx, &node, &line, tombstone);
    }
    if let Some(reply) = iq.result_reply(None) {
        cx.say(reply);
    }
}
