//! Who is something to a room (XEP-0045 9.5, 9.8, 10.5, 10.8): the network's lists, where it keeps any, else those who are there.
//! Owns nothing.

use jid::NodePart;
use minidom::Element;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::admin::{affiliation_named, role_named};
use super::room::Room;
use super::{RoomRequest, Rooms, admin, show};
use crate::backend::{Answer, OpError, OpErrorKind, Outcome, Verb};
use crate::model::{Affiliated, Affiliation, Capability, LegacyName, Role};
use crate::session::Cx;
use crate::session::text::shorten;
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{MUC_ADMIN, element, set, text_element};

/// People in one list.
const MAX_LISTED: usize = 500;
/// Bytes of a list, roughly: a stanza that is too long ends the stream of everybody.
const MAX_LIST_BYTES: usize = 128 * 1024;
/// Bytes of a reason.
const MAX_REASON_BYTES: usize = 256;

/// A list that the network was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    node: NodePart,
    affiliation: Affiliation,
    iq: Stanza,
}

impl Asked {
    /// Tells who asked that it did not go out.
    pub(super) fn refuse(self, cx: &mut Cx<'_>, failed: &OpError) {
        cx.refuse(&self.iq, op_error(failed));
    }
}

/// Answers who has a role or an affiliation, or asks the network.
pub(super) fn request(room: &Room, cx: &mut Cx<'_>, iq: Stanza, payload: &Element) {
    let item = payload.get_child("item", MUC_ADMIN);
    let role = item.and_then(|i| i.attr("role")).and_then(role_named);
    let affiliation = item.and_then(|i| i.attr("affiliation")).and_then(affiliation_named);
    match affiliation {
        Some(affiliation) if affiliation != Affiliation::None && cx.can(Capability::RoomAffiliations) => {
            let asked = Asked {
                node: room.node.clone(),
                affiliation,
                iq,
            };
            let verb = Verb::ListAffiliated {
                room: room.id.clone(),
                affiliation,
            };
            admin::request(cx, verb, RoomRequest::Affiliated(Box::new(asked)));
        }
        Some(_) | None => {
            let present = present(room, cx, role, affiliation);
            tell(cx, &iq, Ok(present));
        }
    }
}

/// The network has said who is in the list, or not.
pub(super) fn outcome(rooms: &Rooms, cx: &mut Cx<'_>, asked: &Asked, outcome: Outcome) {
    let answer = match outcome.map(Answer::affiliated) {
        Ok(Some(list)) => Ok(listed(cx, &list)),
        Err(failed) if failed.kind == OpErrorKind::Unsupported => match rooms.rooms.get(&asked.node) {
            Some(room) => Ok(present(room, cx, None, Some(asked.affiliation))),
            None => Err(error(DefinedCondition::NotAcceptable, "You are not in the room.")),
        },
        Err(failed) => Err(op_error(&failed)),
        Ok(None) => Err(error(
            DefinedCondition::InternalServerError,
            "The network has answered something else.",
        )),
    };
    tell(cx, &asked.iq, answer);
}

fn tell(cx: &mut Cx<'_>, iq: &Stanza, answer: Result<Element, StanzaError>) {
    match answer {
        Err(refused) => cx.refuse(iq, refused),
        Ok(query) => {
            if let Some(reply) = iq.result_reply(Some(query)) {
                show::say(cx, reply);
            }
        }
    }
}

fn listed(cx: &mut Cx<'_>, list: &[Affiliated]) -> Element {
    let mut query = element("query", MUC_ADMIN, &[]);
    let mut bytes = 0;
    for affiliated in list.iter().take(MAX_LISTED) {
        let texts = affiliated.nickname.iter().map(|it| it.as_str().len());
        let texts = texts.chain(affiliated.reason.iter().map(|it| it.len().min(MAX_REASON_BYTES)));
        bytes += affiliated.who.as_str().len() + texts.sum::<usize>() + 64;
        if bytes > MAX_LIST_BYTES {
            break;
        }
        let affiliation = show::affiliation_name(affiliated.affiliation);
        let jid = cx.address(&affiliated.who);
        let mut item = element("item", MUC_ADMIN, &[("affiliation", affiliation), ("jid", jid.as_str())]);
        if let Some(nickname) = &affiliated.nickname {
            set(&mut item, "nick", super::room::as_resource(nickname.as_str()).as_str());
        }
        if let Some(reason) = &affiliated.reason {
            item.append_child(text_element("reason", MUC_ADMIN, shorten(reason, MAX_REASON_BYTES)));
        }
        query.append_child(item);
    }
    query
}

/// Those who are there, which is all that some networks say.
fn present(room: &Room, cx: &mut Cx<'_>, role: Option<Role>, affiliation: Option<Affiliation>) -> Element {
    let mut query = element("query", MUC_ADMIN, &[]);
    if role.is_none() && affiliation.is_none() {
        return query;
    }
    for (nickname, present) in room.everybody() {
        if role.is_none_or(|r| r == present.role) && affiliation.is_none_or(|a| a == present.affiliation) {
            query.append_child(show::item(room, nickname, present, MUC_ADMIN, cx));
        }
    }
    query
}

/// The verb for somebody who need not be there: by the JID of a contact, or of an entry of a list. `None` if the JID is none of
/// ours, or if they are there and the network knows them by their nickname.
pub(super) fn absent(
    room: &Room,
    cx: &Cx<'_>,
    item: &Element,
    affiliation: Affiliation,
    reason: Option<&String>,
) -> Option<Verb> {
    if !cx.can(Capability::RoomAffiliations) || item.attr("nick").is_some() {
        return None;
    }
    let jid = jid::Jid::new(item.attr("jid")?)
        .ok()
        .filter(|jid| jid.domain() == cx.config.transport.domain())?;
    if jid.node() == Some(&*room.node) {
        // An occupant of this room: the nickname is in the resource.
        return None;
    }
    let who: LegacyName = cx.names.name_of(&jid.node()?.to_owned());
    let is_there = room.everybody().any(|(_, present)| {
        let contact = present.contact.as_ref();
        contact.is_some_and(|contact| cx.names.same(contact.as_str(), who.as_str()))
    });
    (!is_there).then(|| Verb::SetAffiliation {
        room: room.id.clone(),
        who,
        affiliation,
        reason: reason.cloned(),
    })
}
