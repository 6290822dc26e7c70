//! Requests about rooms: what goes where, changes of who is what (XEP-0045 8, 9), and whether one is still inside (XEP-0410).

use std::collections::VecDeque;

use jid::{NodePart, ResourcePart};
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns::{DISCO_INFO, DISCO_ITEMS, MAM, PING};
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::moderation::MODERATE;
use super::room::Room;
use super::{RoomRequest, Rooms, affiliations, info, mam, moderation, owner, show};
use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Affiliation, Capability, Nickname, Role, Standing};
use crate::session::Cx;
use crate::session::pending::{Pending, too_many};
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{MUC_ADMIN, MUC_OWNER, element};

/// Changes that one request may ask for.
const MAX_CHANGES: usize = 50;

/// Sends a verb about a room unless too many wait already: then its outcome is there at once.
pub(super) fn request(cx: &mut Cx<'_>, verb: Verb, request: RoomRequest) {
    let Err(request) = try_request(cx, verb, request) else {
        return;
    };
    let failed = if cx.online {
        too_many()
    } else {
        crate::backend::OpError::not_connected("You are not connected to the network at the moment.")
    };
    match request {
        RoomRequest::About(about) => about.refuse(cx, &failed),
        RoomRequest::Moderate(moderated) => moderated.refuse(cx, &failed),
        RoomRequest::Changes(changes) => answer(cx, &changes.iq, Err(failed)),
        RoomRequest::Answer(stanza) => answer(cx, &stanza, Err(failed)),
        RoomRequest::Settings(asked) => asked.refuse(cx, &failed),
        RoomRequest::Affiliated(asked) => asked.refuse(cx, &failed),
        RoomRequest::Info(_, iq) | RoomRequest::Configure(_, iq) => cx.refuse(&iq, op_error(&failed)),
        RoomRequest::Join(_) | RoomRequest::Leave | RoomRequest::Past(..) => {}
    }
}

/// Sends a verb about a room, or gives back what its outcome would have been for.
pub(super) fn try_request(cx: &mut Cx<'_>, verb: Verb, request: RoomRequest) -> Result<(), RoomRequest> {
    if cx.online && cx.requests.len() < cx.config.limits.requests {
        cx.requests.send(verb, Pending::Room(request), cx.out);
        return Ok(());
    }
    Err(request)
}

/// Answers a stanza that asked for something about a room.
pub(super) fn answer(cx: &mut Cx<'_>, stanza: &Stanza, outcome: Outcome) {
    let reply = match outcome {
        Ok(_) => stanza.result_reply(None),
        Err(failed) => stanza.error_reply(op_error(&failed)),
    };
    if let Some(reply) = reply {
        show::say(cx, reply);
    }
}

pub(super) fn iq(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    resource: Option<&ResourcePart>,
    node: &NodePart,
    nick: Option<&ResourcePart>,
    iq: Iq,
) -> Option<Iq> {
    let (payload, is_set) = match &iq {
        Iq::Get { payload, .. } => (payload.clone(), false),
        Iq::Set { payload, .. } => (payload.clone(), true),
        Iq::Result { .. } | Iq::Error { .. } => return Some(iq),
    };
    let stanza = Stanza::Iq(iq);
    if nick.is_none() && payload.is("query", DISCO_INFO) && !is_set && payload.attr("node").is_none() {
        info::request(rooms, cx, node, stanza);
        return None;
    }
    if nick.is_none() && payload.has_ns(MAM) && resource.is_some() {
        mam::request(rooms, cx, node, stanza, &payload, is_set);
        return None;
    }
    if nick.is_none() && payload.is("moderate", MODERATE) && is_set {
        moderation::request(rooms, cx, resource, node, stanza, &payload);
        return None;
    }
    if nick.is_none() && payload.is("query", MUC_OWNER) {
        owner::request(rooms, cx, node, stanza, &payload, is_set);
        return None;
    }
    let room = rooms.rooms.get(node);
    let reply = if payload.is("ping", PING) {
        ping(room, resource, nick)
    } else if payload.is("query", DISCO_ITEMS) && nick.is_none() && !is_set {
        Ok(Some(element("query", DISCO_ITEMS, &[])))
    } else if payload.is("query", MUC_ADMIN) && nick.is_none() {
        match room.filter(|room| resource.is_some_and(|r| room.viewer(r).is_some())) {
            None => Err(error(DefinedCondition::NotAcceptable, "You are not in the room.")),
            Some(room) if is_set => match changes(room, cx, &payload) {
                Ok(verbs) => {
                    next_change(cx, Changes { iq: stanza, verbs });
                    return None;
                }
                Err(refused) => Err(refused),
            },
            Some(room) => {
                affiliations::request(room, cx, stanza, &payload);
                return None;
            }
        }
    } else {
        return match stanza {
            Stanza::Iq(iq) => Some(iq),
            Stanza::Message(_) | Stanza::Presence(_) => None,
        };
    };
    let reply = match reply {
        Ok(payload) => stanza.result_reply(payload),
        Err(refused) => stanza.error_reply(refused),
    };
    if let Some(reply) = reply {
        show::say(cx, reply);
    }
    None
}

type Reply = Result<Option<Element>, StanzaError>;

/// XEP-0410: who is inside gets a result for their own nickname; who is not, hears it.
fn ping(room: Option<&Room>, resource: Option<&ResourcePart>, nick: Option<&ResourcePart>) -> Reply {
    let Some(nick) = nick else { return Ok(None) };
    let inside = room.filter(|room| resource.is_some_and(|r| room.viewer(r).is_some()));
    match inside {
        None => Err(error(DefinedCondition::NotAcceptable, "You are not in the room.")),
        Some(room) if *nick == room.resource_of(&room.nickname) || room.nickname_of(nick).is_some() => Ok(None),
        Some(_) => Err(error(DefinedCondition::ItemNotFound, "Nobody of that name is in the room.")),
    }
}

pub(super) fn role_named(name: &str) -> Option<Role> {
    match name {
        "moderator" => Some(Role::Moderator),
        "participant" => Some(Role::Participant),
        "visitor" => Some(Role::Visitor),
        _ => None,
    }
}

pub(super) fn affiliation_named(name: &str) -> Option<Affiliation> {
    match name {
        "owner" => Some(Affiliation::Owner),
        "admin" => Some(Affiliation::Admin),
        "member" => Some(Affiliation::Member),
        "none" => Some(Affiliation::None),
        "outcast" => Some(Affiliation::Outcast),
        _ => None,
    }
}

/// Changes of who is what that one request asks for; the network is asked for one after the other.
#[derive(Debug)]
pub(crate) struct Changes {
    iq: Stanza,
    verbs: VecDeque<Verb>,
}

/// Asks for the next change, or says that all are done.
fn next_change(cx: &mut Cx<'_>, mut changes: Changes) {
    match changes.verbs.pop_front() {
        Some(verb) => request(cx, verb, RoomRequest::Changes(Box::new(changes))),
        None => answer(cx, &changes.iq, Ok(Answer::Done)),
    }
}

/// A change is done, or not: then those behind it are not asked for.
pub(super) fn changed(cx: &mut Cx<'_>, changes: Changes, outcome: Outcome) {
    match outcome {
        Ok(_) => next_change(cx, changes),
        Err(failed) => answer(cx, &changes.iq, Err(failed)),
    }
}

/// Everything that a request wants changed. Nothing is asked for if any of it cannot be.
fn changes(room: &Room, cx: &Cx<'_>, payload: &Element) -> Result<VecDeque<Verb>, StanzaError> {
    let items: Vec<&Element> = payload.children().filter(|c| c.is("item", MUC_ADMIN)).collect();
    if items.is_empty() {
        return Err(error(DefinedCondition::BadRequest, "There is no item."));
    }
    if items.len() > MAX_CHANGES {
        return Err(error(
            DefinedCondition::PolicyViolation,
            "These are too many changes at once.",
        ));
    }
    items.into_iter().map(|item| change(room, cx, item)).collect()
}

/// A kick, a ban, or another role or affiliation (XEP-0045 8.2, 9).
fn change(room: &Room, cx: &Cx<'_>, item: &Element) -> Result<Verb, StanzaError> {
    let bad = |text: &str| error(DefinedCondition::BadRequest, text);
    if !cx.info.capabilities.has(Capability::RoomModeration) {
        return Err(error(
            DefinedCondition::FeatureNotImplemented,
            "Rooms of this network are not moderated from here.",
        ));
    }
    let reason = item
        .get_child("reason", MUC_ADMIN)
        .map(Element::text)
        .filter(|r| !r.is_empty());
    if let Some(affiliation) = item.attr("affiliation").and_then(affiliation_named)
        && let Some(verb) = affiliations::absent(room, cx, item, affiliation, reason.as_ref())
    {
        return Ok(verb);
    }
    let nickname = nickname_meant(room, cx, item)
        .ok_or_else(|| error(DefinedCondition::ItemNotFound, "Nobody of that name is in the room."))?;
    let id = room.id.clone();
    if let Some(role) = item.attr("role") {
        if role == "none" {
            return Ok(Verb::Kick {
                room: id,
                nickname,
                reason,
            });
        }
        let role = role_named(role).ok_or_else(|| bad("There is no such role."))?;
        return Ok(Verb::SetStanding {
            room: id,
            nickname,
            standing: Standing::Role(role),
            reason,
        });
    }
    let affiliation = item
        .attr("affiliation")
        .ok_or_else(|| bad("Neither a role nor an affiliation is given."))?;
    let affiliation = affiliation_named(affiliation).ok_or_else(|| bad("There is no such affiliation."))?;
    Ok(Verb::SetStanding {
        room: id,
        nickname,
        standing: Standing::Affiliation(affiliation),
        reason,
    })
}

/// Whom an item means: by nickname, or by the JID of the contact behind one. A banned one is not there any more.
fn nickname_meant(room: &Room, cx: &Cx<'_>, item: &Element) -> Option<Nickname> {
    if let Some(nick) = item.attr("nick") {
        let resource = super::room::as_resource(nick);
        return room.nickname_of(&resource).cloned().or_else(|| Some(Nickname::from(nick)));
    }
    let jid = jid::Jid::new(item.attr("jid")?)
        .ok()
        .filter(|jid| jid.domain() == cx.config.transport.domain())?;
    let name = cx.names.name_of(&jid.node()?.to_owned());
    room.everybody()
        .find(|(_, present)| {
            present
                .contact
                .as_ref()
                .is_some_and(|c| cx.names.same(c.as_str(), name.as_str()))
        })
        .map(|(nickname, _)| nickname.clone())
        .or_else(|| jid.resource().and_then(|r| room.nickname_of(r).cloned()))
        .or_else(|| Some(Nickname::from(name.as_str())))
}
