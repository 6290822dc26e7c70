//! Into a room, out of it, and under another name (XEP-0045 7.1, 7.2, 7.6, 7.14).

use std::time::Duration;

use jid::{NodePart, ResourcePart};
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::muc::Muc;
use xmpp_parsers::muc::muc::History;
use xmpp_parsers::ns::MUC;
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stanza_error::DefinedCondition;

use super::archive::Asked;
use super::occupant_id::OccupantIds;
use super::room::{Present, Room, State};
use super::show::{self, Gone, code};
use super::{RoomRequest, Rooms, admin, ghost, is_room_name, line, past};
use crate::backend::{Answer, OpError, OpErrorKind, Outcome, Retry, Verb};
use crate::model::{Capability, JoinRoom, Nickname, Occupant, RoomId, Secret, Timestamp};
use crate::session::archive::{ArchivePage, ArchiveQuery, ArchiveRequest, MAX_PAGE};
use crate::session::pending::Pending;
use crate::session::{Cx, Output, StoreRequest};
use crate::stanza::{Stanza, error, op_error};
use crate::xml::delay;

/// Lines of before that a resource is told which names no number.
pub(super) const HISTORY_LINES: u32 = 50;
/// First pause before a room is joined again; doubled with every failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Which resource of the user's speaks to what.
#[derive(Clone, Copy)]
pub(super) struct FromUser<'a> {
    pub(super) resource: &'a ResourcePart,
    pub(super) node: &'a NodePart,
    pub(super) nick: Option<&'a ResourcePart>,
}

pub(super) fn presence(rooms: &mut Rooms, cx: &mut Cx<'_>, user: FromUser<'_>, presence: &Presence) -> bool {
    let join = presence.payloads.iter().find(|p| p.is("x", MUC));
    let known = rooms.rooms.contains_key(user.node);
    if join.is_none() && !known && !is_room_name(user.node, cx) {
        return false;
    }
    match presence.type_ {
        Type::None => {
            let muc = join.map(|x| Muc::try_from(x.clone()).unwrap_or_default());
            enter(rooms, cx, user, presence, muc);
            true
        }
        Type::Unavailable => {
            leave(rooms, cx, user, presence);
            true
        }
        Type::Subscribe | Type::Unsubscribe | Type::Probe => {
            // A room is no contact.
            refuse(
                cx,
                presence,
                DefinedCondition::ServiceUnavailable,
                "A room cannot be subscribed to.",
            );
            true
        }
        Type::Error => {
            ghost::bounced(rooms, user.resource, user.node, &presence.payloads);
            true
        }
        Type::Subscribed | Type::Unsubscribed => true,
    }
}

fn refuse(cx: &mut Cx<'_>, presence: &Presence, condition: DefinedCondition, text: &str) {
    if let Some(reply) = Stanza::Presence(presence.clone()).error_reply(error(condition, text)) {
        show::say(cx, reply);
    }
}

fn enter(rooms: &mut Rooms, cx: &mut Cx<'_>, user: FromUser<'_>, presence: &Presence, muc: Option<Muc>) {
    let Some(nick) = user.nick else {
        refuse(
            cx,
            presence,
            DefinedCondition::JidMalformed,
            "A nickname is missing: join room@service/nickname.",
        );
        return;
    };
    if let Some(room) = rooms.rooms.get_mut(user.node) {
        let inside = room.viewer(user.resource).is_some();
        match (inside, muc) {
            (true, None) => {
                rename(room, cx, presence, nick);
                return;
            }
            (false, None) => {
                refuse(cx, presence, DefinedCondition::NotAcceptable, "You are not in the room.");
                return;
            }
            (_, Some(muc)) => {
                room.add_viewer(user.resource, nick, muc.history);
                if room.state == State::Joined {
                    if !inside {
                        cx.store(StoreRequest::SaveRoom(room.stored()));
                    }
                    show_room(rooms, cx, user.node);
                } else if room.viewers.len() == 1 && !room.was_in {
                    // Nobody has been in yet: the latest wish counts.
                    room.nickname = Nickname::from(nick.as_str());
                    room.password = muc.password.map(Secret::from).or(room.password.take());
                    begin(room, cx);
                }
                return;
            }
        }
    }
    let Some(muc) = muc else {
        refuse(cx, presence, DefinedCondition::NotAcceptable, "You are not in the room.");
        return;
    };
    if !cx.info.capabilities.has(Capability::Rooms) {
        refuse(
            cx,
            presence,
            DefinedCondition::ServiceUnavailable,
            "The network has no rooms.",
        );
    } else if !cx.info.room_prefixes.is_empty() && !is_room_name(user.node, cx) {
        let text = format!("Names of rooms begin with one of {} on this network.", cx.info.room_prefixes);
        refuse(cx, presence, DefinedCondition::ItemNotFound, &text);
    } else if rooms.rooms.len() >= cx.config.limits.rooms {
        refuse(
            cx,
            presence,
            DefinedCondition::ResourceConstraint,
            "You are in too many rooms.",
        );
    } else {
        let id = RoomId::from(&cx.names.name_of(user.node));
        let password = muc.password.map(Secret::from);
        let ids = OccupantIds::new(&rooms.secret, &id, cx.names.mapping());
        let mut room = Room::new(id, user.node.clone(), Nickname::from(nick.as_str()), password, ids);
        room.add_viewer(user.resource, nick, muc.history);
        begin(&mut room, cx);
        rooms.rooms.insert(user.node.clone(), room);
    }
}

/// The user asks for another nickname.
fn rename(room: &mut Room, cx: &mut Cx<'_>, presence: &Presence, nick: &ResourcePart) {
    let current = room.resource_of(&room.nickname);
    if *nick == current {
        return;
    }
    if room.state != State::Joined {
        refuse(
            cx,
            presence,
            DefinedCondition::RecipientUnavailable,
            "The room is being joined.",
        );
    } else if !cx.info.capabilities.has(Capability::NicknameChange) {
        refuse(
            cx,
            presence,
            DefinedCondition::NotAllowed,
            "Nicknames cannot be changed on this network.",
        );
    } else {
        let verb = Verb::ChangeNickname {
            room: room.id.clone(),
            nickname: Nickname::from(nick.as_str()),
        };
        admin::request(cx, verb, RoomRequest::Answer(Box::new(presence.clone().into())));
    }
}

fn leave(rooms: &mut Rooms, cx: &mut Cx<'_>, user: FromUser<'_>, presence: &Presence) {
    let Some(room) = rooms.rooms.get_mut(user.node) else { return };
    if room.viewer(user.resource).is_none() {
        return;
    }
    let present = self_present(room);
    let reason = presence.statuses.values().next().map(String::as_str);
    let mut stanza = show::unavailable(
        room,
        &present,
        Gone {
            codes: &[code::SELF],
            ..Gone::default()
        },
        cx,
    );
    if let Some(reason) = reason {
        stanza.set_status("", reason);
    }
    stanza.to = Some(cx.user.with_resource(user.resource).into());
    stanza.id.clone_from(&presence.id);
    show::say(cx, stanza);
    room.remove_viewer(user.resource);
    line::forget_waiting(room, cx, Some(user.resource), "You have left the room.");
    if room.viewers.is_empty() {
        if let Some(mut room) = rooms.take_out(cx, user.node) {
            disappoint(&mut room, cx, "You have left the room.");
            depart(room, cx);
        }
    } else if room.was_in {
        cx.store(StoreRequest::SaveRoom(room.stored()));
    }
}

/// The last resource has left: so does the user.
fn depart(room: Room, cx: &mut Cx<'_>) {
    if cx.online && matches!(room.state, State::Joined | State::Joining) {
        cx.requests
            .send(Verb::LeaveRoom(room.id.clone()), Pending::Room(RoomRequest::Leave), cx.out);
    }
    cx.out.push(Output::Store(StoreRequest::RemoveRoom(room.id)));
}

/// The user themself as an occupant, also where the network has not said anything of them.
pub(super) fn self_present(room: &Room) -> Present {
    room.get(&room.nickname).cloned().unwrap_or_else(|| Present {
        resource: room.resource_of(&room.nickname),
        role: crate::model::Role::default(),
        affiliation: crate::model::Affiliation::default(),
        presence: crate::model::Presence::ONLINE,
        contact: None,
        avatar: None,
        stable_id: None,
        occupant_id: room.occupant_id(&room.nickname),
        confirmed: true,
        unseen: false,
    })
}

/// Asks the network to let the user in, if there is one to ask.
pub(super) fn begin(room: &mut Room, cx: &mut Cx<'_>) {
    if !cx.online || room.state == State::Joining || room.state == State::Joined {
        return;
    }
    room.doubt_everybody();
    room.state = State::Joining;
    let join = JoinRoom {
        room: room.id.clone(),
        nickname: room.nickname.clone(),
        password: room.password.clone(),
    };
    cx.requests.send(
        Verb::JoinRoom(join),
        Pending::Room(RoomRequest::Join(room.node.clone())),
        cx.out,
    );
}

pub(super) fn outcome(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, outcome: Outcome) {
    let Some(room) = rooms.rooms.get_mut(node) else { return };
    if room.state != State::Joining {
        return;
    }
    let failed = match outcome.map(Answer::joined) {
        Ok(Some(joined)) => {
            complete(room, cx, joined.nickname);
            past::begin(rooms, cx, node);
            show_room(rooms, cx, node);
            return;
        }
        Ok(None) => OpError::new(OpErrorKind::Internal, "The network's backend gave a wrong answer."),
        Err(failed) => failed,
    };
    if again_later(room, cx, &failed) {
        return;
    }
    let Some(mut room) = rooms.take_out(cx, node) else { return };
    cx.out.push(Output::Store(StoreRequest::RemoveRoom(room.id.clone())));
    disappoint(&mut room, cx, &failed.text);
    if room.was_in {
        expel(room, cx, &[], &failed.text);
        return;
    }
    for viewer in &room.viewers {
        let to = cx.user.with_resource(&viewer.resource);
        let mut stanza_error = op_error(&failed);
        if failed.kind == OpErrorKind::NotFound || failed.kind == OpErrorKind::Conflict {
            stanza_error.by = Some(show::room_jid(&room, cx).into());
        }
        show::join_error(&room, &viewer.asked, to, stanza_error, cx);
    }
}

/// Whether a failed join is tried again by itself: the user was in before or is not looking, and it may work later.
fn again_later(room: &mut Room, cx: &Cx<'_>, failed: &OpError) -> bool {
    if failed.retry == Retry::Never || !(room.was_in || room.viewers.is_empty()) {
        return false;
    }
    room.failures += 1;
    let mut pause = FIRST_PAUSE
        .saturating_mul(1 << room.failures.min(10).saturating_sub(1))
        .min(LONGEST_PAUSE);
    if let Retry::After(wish) = failed.retry {
        pause = pause.max(wish.min(LONGEST_PAUSE));
    }
    let again_at = if cx.online { Some(cx.now.mono + pause) } else { None };
    room.state = State::Lost { again_at };
    true
}

/// The network has let the user in: shows the room to who waits for it, and the difference to who saw it before.
fn complete(room: &mut Room, cx: &mut Cx<'_>, nickname: Nickname) {
    room.state = State::Joined;
    room.failures = 0;
    if room.nickname != nickname {
        if room.was_in && room.get(&room.nickname).is_some_and(|p| !p.confirmed) {
            // Another name than last time: to who has been looking it is a change.
            let old = room.nickname.clone();
            room.remove(&nickname);
            super::event::renamed(room, cx, &old, &nickname);
        }
        room.nickname = nickname.clone();
    }
    if room.get(&nickname).is_none_or(|p| !p.confirmed) {
        let known = room.get(&nickname).cloned();
        let mut me = Occupant::new(room.id.clone(), nickname.clone());
        if let Some(known) = known {
            (me.role, me.affiliation) = (known.role, known.affiliation);
        }
        room.put(me);
    }
    for (_, gone) in room.take_unconfirmed() {
        let stanza = show::unavailable(room, &gone, Gone::default(), cx);
        show::to_viewers(room, &stanza, cx);
    }
    for (other, present) in room.take_unseen() {
        let codes: &[&str] = if room.is_self(&other) { &[code::SELF] } else { &[] };
        let stanza = show::available(room, &other, &present, codes, cx);
        show::to_viewers(room, &stanza, cx);
    }
    room.was_in = true;
    cx.store(StoreRequest::SaveRoom(room.stored()));
}

/// Shows the room to every resource that has not been shown it: the others and oneself at once; history and subject as
/// soon as the archive has told what was said before.
pub(super) fn show_room(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart) {
    let Some(room) = rooms.rooms.get_mut(node) else { return };
    let waiting: Vec<ResourcePart> = room.viewers.iter().filter(|v| !v.shown).map(|v| v.resource.clone()).collect();
    for resource in waiting {
        let Some(room) = rooms.rooms.get_mut(node) else { return };
        show_present(room, cx, &resource);
        let Some(viewer) = room.viewers.iter_mut().find(|v| v.resource == resource) else {
            continue;
        };
        viewer.shown = true;
        let wish = viewer.history.take().unwrap_or_default();
        let joiner = Joiner {
            resource,
            max_chars: wish.maxchars,
            resumes: viewer.resumed,
        };
        let query = if joiner.resumes {
            Some(room.past.missed())
        } else {
            history_query(&wish, cx)
        };
        let Some(query) = query else {
            // What is said from now on is news.
            viewer.heard = true;
            tell_history(rooms, cx, node, &joiner, &ArchivePage::default());
            continue;
        };
        let request = ArchiveRequest::Page(query);
        if let Err(Asked::History(joiner)) = past::ask_later(rooms, cx, node, request, Asked::History(joiner)) {
            tell_history(rooms, cx, node, &joiner, &ArchivePage::default());
        }
    }
}

/// The others, then oneself.
fn show_present(room: &Room, cx: &mut Cx<'_>, resource: &ResourcePart) {
    let to = cx.user.with_resource(resource);
    let mut open = false;
    for (nickname, present) in room.everybody().filter(|(nickname, _)| !room.is_self(nickname)) {
        open |= present.contact.is_some();
        let mut stanza = show::available(room, nickname, present, &[], cx);
        stanza.to = Some(to.clone().into());
        show::say(cx, stanza);
    }
    let me = self_present(room);
    let Some(viewer) = room.viewer(resource) else { return };
    let mut codes = Vec::with_capacity(3);
    if open || me.contact.is_some() {
        codes.push(code::NON_ANONYMOUS);
    }
    codes.push(code::SELF);
    if viewer.asked != me.resource {
        codes.push(code::NICKNAME_ASSIGNED);
    }
    let mut stanza = show::available(room, &room.nickname, &me, &codes, cx);
    stanza.to = Some(to.into());
    show::say(cx, stanza);
}

/// A resource that has been shown who is there, and waits for what was said before.
#[derive(Debug)]
pub(super) struct Joiner {
    resource: ResourcePart,
    max_chars: Option<u32>,
    /// It has heard everything until the instance ended.
    pub(super) resumes: bool,
}

/// What a resource wants to hear of what was said before (XEP-0045 7.2.13); `None`: nothing.
fn history_query(wish: &History, cx: &Cx<'_>) -> Option<ArchiveQuery> {
    let mut start = None;
    if let Some(seconds) = wish.seconds {
        start = Some(cx.now.wall.as_millis() - i64::from(seconds) * 1000);
    }
    if let Some(since) = &wish.since {
        start = start.max(Some(since.0.timestamp_millis()));
    }
    let limit = wish.maxstanzas.unwrap_or(HISTORY_LINES).min(MAX_PAGE);
    (limit > 0 && wish.maxchars != Some(0)).then(|| ArchiveQuery {
        start: start.map(Timestamp::from_millis),
        limit,
        newest: true,
        ..ArchiveQuery::default()
    })
}

/// The archive has told what was said before: history, then the subject. From then on every line is shown.
pub(super) fn tell_history(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, joiner: &Joiner, page: &ArchivePage) {
    let Some(room) = rooms.rooms.get_mut(node) else { return };
    let Some(viewer) = room.viewers.iter_mut().find(|v| v.resource == joiner.resource && v.shown) else {
        return;
    };
    viewer.heard = true;
    let to = cx.user.with_resource(&joiner.resource);
    let by = show::room_jid(room, cx);
    let mut left = joiner.max_chars.map_or(usize::MAX, |max| max as usize);
    let mut lines = Vec::with_capacity(page.lines.len());
    for line in page.lines.iter().rev() {
        let Some(rest) = left.checked_sub(line.stanza.chars().count().min(left.saturating_add(1))) else {
            break;
        };
        left = rest;
        let element = line.stanza.parse::<Element>().ok();
        let Some(mut message) = element.and_then(|element| Message::try_from(element).ok()) else {
            continue;
        };
        // A subject of before is no news: the present one follows.
        if message.bodies.is_empty() && !message.subjects.is_empty() {
            continue;
        }
        message.to = Some(to.clone().into());
        message.payloads.push(delay(line.at, by.as_str()));
        lines.push(message);
    }
    for line in lines.into_iter().rev() {
        show::say(cx, line);
    }
    let mut subject = show::subject(room, cx);
    subject.to = Some(to.into());
    show::say(cx, subject);
}

/// Resources that were in when the instance ended are not heard of, or there is no room to show them any more: should they
/// still be there, they are told that they are out.
pub(super) fn disappoint(room: &mut Room, cx: &mut Cx<'_>, reason: &str) {
    for resource in std::mem::take(&mut room.expected) {
        let gone = Gone {
            codes: &[code::SELF, code::SERVICE_SHUTDOWN],
            reason: Some(reason).filter(|reason| !reason.is_empty()),
            ..Gone::default()
        };
        let mut stanza = show::unavailable(room, &self_present(room), gone, cx);
        stanza.to = Some(cx.user.with_resource(&resource).into());
        show::say(cx, stanza);
    }
}

/// The user is out: tells every resource that looks, with these codes besides 110, and answers what waits.
pub(super) fn expel(room: Room, cx: &mut Cx<'_>, codes: &[&str], reason: &str) {
    let me = self_present(&room);
    let mut all = vec![code::SELF];
    all.extend_from_slice(codes);
    let reason_text = Some(reason).filter(|r| !r.is_empty());
    let stanza = show::unavailable(
        &room,
        &me,
        Gone {
            codes: &all,
            reason: reason_text,
            ..Gone::default()
        },
        cx,
    );
    for viewer in &room.viewers {
        let to = cx.user.with_resource(&viewer.resource);
        if viewer.shown {
            let mut copy = stanza.clone();
            copy.to = Some(to.into());
            show::say(cx, copy);
        } else {
            show::join_error(
                &room,
                &viewer.asked,
                to,
                error(DefinedCondition::RecipientUnavailable, reason),
                cx,
            );
        }
    }
    line::forget_waiting(&room, cx, None, reason);
}
