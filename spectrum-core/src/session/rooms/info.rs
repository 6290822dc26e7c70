//! What a room is, as service discovery says it (XEP-0045 6.4, 15.5.4). Every feature is one that works: from what the network
//! can do, what it says of the room, and what is ours (archive, ids of occupants, moderation of the user's own archive).

use jid::NodePart;
use minidom::Element;
use xmpp_parsers::ns::{
    CHATSTATES, DATA_FORMS, DISCO_INFO, DISCO_ITEMS, DISPLAYED_MARKERS, MAM, MESSAGE_CORRECT, MUC, PING, REACTIONS, SID, VCARD,
};

use super::moderation::MODERATE;
use super::occupant_id::OCCUPANT_ID;
use super::room::{Room, State};
use super::{RoomRequest, Rooms, admin, show};
use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Capability, RoomId, RoomInfo};
use crate::session::Cx;
use crate::session::archive::MAX_PAGE;
use crate::session::payload::{REPLY, RETRACT};
use crate::session::text::shorten;
use crate::stanza::{Stanza, op_error};
use crate::xml::{element, set, text_element};

/// Bytes of a name or a subject.
const MAX_TEXT_BYTES: usize = 4 * 1024;

/// Asks the network what a room is; of one that the user is in, this adds to what is known.
pub(super) fn request(rooms: &Rooms, cx: &mut Cx<'_>, node: &NodePart, iq: Stanza) {
    let room = rooms.rooms.get(node);
    if let Some(room) = room.filter(|room| room.state != State::Joined || !cx.online) {
        return tell(cx, &iq, &disco_info(Some(room), &of_room(room), cx));
    }
    let id = match room {
        Some(room) => room.id.clone(),
        None => RoomId::from(&cx.names.name_of(node)),
    };
    admin::request(cx, Verb::RoomInfo(id), RoomRequest::Info(node.clone(), Box::new(iq)));
}

/// The network has said what the room is, or not.
pub(super) fn outcome(rooms: &Rooms, cx: &mut Cx<'_>, node: &NodePart, iq: &Stanza, outcome: Outcome) {
    let room = rooms.rooms.get(node);
    let known = room.map(of_room);
    let info = match (outcome.map(Answer::room_info), known) {
        (Ok(Some(said)), Some(known)) => RoomInfo {
            occupants: known.occupants,
            subject: known.subject.or(said.subject),
            password_protected: said.password_protected || known.password_protected,
            ..said
        },
        (Ok(Some(said)), None) => said,
        (_, Some(known)) => known,
        (Err(failed), None) => return cx.refuse(iq, op_error(&failed)),
        (Ok(None), None) => RoomInfo::default(),
    };
    tell(cx, iq, &disco_info(room, &info, cx));
}

fn tell(cx: &mut Cx<'_>, iq: &Stanza, info: &Element) {
    if let Some(reply) = iq.result_reply(Some(info.clone())) {
        show::say(cx, reply);
    }
}

/// What is known of a room by being in it.
fn of_room(room: &Room) -> RoomInfo {
    RoomInfo {
        name: None,
        subject: room.subject.as_ref().map(|subject| subject.subject.clone()),
        occupants: u32::try_from(room.len()).ok(),
        password_protected: room.password.is_some(),
        ..RoomInfo::default()
    }
}

fn features(room: Option<&Room>, info: &RoomInfo, cx: &Cx<'_>) -> Vec<&'static str> {
    let mut features = vec![
        DISCO_INFO,
        DISCO_ITEMS,
        MUC,
        PING,
        SID,
        MAM,
        "urn:xmpp:mam:2#extended",
        OCCUPANT_ID,
        MODERATE,
        "urn:xmpp:message-retract:1#tombstone",
        "http://jabber.org/protocol/muc#stable_id",
        "http://jabber.org/protocol/muc#self-ping-optimization",
    ];
    let by_capability = [
        (Capability::ChatStates, CHATSTATES),
        (Capability::Edits, MESSAGE_CORRECT),
        (Capability::Retractions, RETRACT),
        (Capability::Reactions, REACTIONS),
        (Capability::Replies, REPLY),
        (Capability::Markers, DISPLAYED_MARKERS),
        (Capability::Profiles, VCARD),
    ];
    features.extend(by_capability.iter().filter(|(c, _)| cx.can(*c)).map(|(_, feature)| *feature));
    let open = room.is_some_and(|room| room.everybody().any(|(_, present)| present.contact.is_some()));
    features.extend([
        "muc_persistent",
        if open { "muc_nonanonymous" } else { "muc_semianonymous" },
        if info.hidden { "muc_hidden" } else { "muc_public" },
        if info.members_only { "muc_membersonly" } else { "muc_open" },
        if info.moderated { "muc_moderated" } else { "muc_unmoderated" },
        if info.password_protected {
            "muc_passwordprotected"
        } else {
            "muc_unsecured"
        },
    ]);
    features
}

fn disco_info(room: Option<&Room>, info: &RoomInfo, cx: &Cx<'_>) -> Element {
    let mut query = element("query", DISCO_INFO, &[]);
    let name = info.name.as_deref().filter(|name| !name.is_empty());
    let name = name.or_else(|| room.map(|room| room.id.as_str())).unwrap_or(cx.name());
    query.append_child(element(
        "identity",
        DISCO_INFO,
        &[
            ("category", "conference"),
            ("type", "text"),
            ("name", shorten(name, MAX_TEXT_BYTES)),
        ],
    ));
    for feature in features(room, info, cx) {
        query.append_child(element("feature", DISCO_INFO, &[("var", feature)]));
    }
    query.append_child(form(name, info));
    query
}

/// The `muc#roominfo` form.
fn form(name: &str, info: &RoomInfo) -> Element {
    let mut form = element("x", DATA_FORMS, &[("type", "result")]);
    let mut field = |var: &str, kind: Option<&str>, value: &str| {
        let mut field = element("field", DATA_FORMS, &[("var", var)]);
        if let Some(kind) = kind {
            set(&mut field, "type", kind);
        }
        field.append_child(text_element("value", DATA_FORMS, shorten(value, MAX_TEXT_BYTES)));
        form.append_child(field);
    };
    field("FORM_TYPE", Some("hidden"), "http://jabber.org/protocol/muc#roominfo");
    field("muc#roominfo_description", None, name);
    field("muc#maxhistoryfetch", None, &MAX_PAGE.to_string());
    if let Some(occupants) = info.occupants {
        field("muc#roominfo_occupants", None, &occupants.to_string());
    }
    if let Some(subject) = &info.subject {
        field("muc#roominfo_subject", None, subject);
    }
    form
}
