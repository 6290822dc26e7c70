//! What the network reports of rooms.

use super::room::{Room, State};
use super::show::{self, Gone, code};
use super::{LISTED, Rooms, archive, heard, invite, join, line, own};
use crate::backend::Event;
use crate::model::{Chat, Departure, Nickname, Occupant, OccupantGone, RoomClosed};
use crate::session::{Cx, Output, StoreRequest};

pub(super) fn handle(rooms: &mut Rooms, cx: &mut Cx<'_>, event: Event) -> Option<Event> {
    match event {
        Event::Occupant(occupant) => {
            if let Some(room) = rooms.by_id(cx, &occupant.room) {
                occupant_is(room, cx, occupant);
            }
        }
        Event::OccupantGone(gone) => occupant_gone(rooms, cx, gone),
        Event::OccupantRenamed(change) => {
            if let Some(room) = rooms.by_id(cx, &change.room) {
                renamed(room, cx, &change.old, &change.new);
            }
        }
        Event::RoomSubject(subject) => {
            if let Some(room) = rooms.by_id(cx, &subject.room) {
                room.subject = Some(subject);
                if room.state == State::Joined {
                    let mut message = show::subject(room, cx);
                    // It changes now; the time of it is for who joins later.
                    message.payloads.retain(|p| !p.is("delay", xmpp_parsers::ns::DELAY));
                    let id = cx.requests.message_id(cx.now);
                    message.payloads.push(heard::stanza_id(room, cx, id.as_str()));
                    archive::keep(room, cx, id.as_str(), None, &message);
                    show::message_to_viewers(room, &message, cx);
                }
            }
        }
        Event::RoomClosed(closed) => room_closed(rooms, cx, closed),
        Event::RoomList(mut list) => {
            list.truncate(LISTED);
            rooms.listed = list;
        }
        Event::OwnRooms(own) => own::changed(cx, own),
        Event::Invited(invitation) => invite::invited(cx, invitation),
        Event::Message(message) if !matches!(message.chat, Chat::Contact(_)) => heard::line(rooms, cx, message),
        Event::Edited(edit) if !matches!(edit.chat, Chat::Contact(_)) => heard::edited(rooms, cx, edit),
        Event::Retracted(retraction) if !matches!(retraction.chat, Chat::Contact(_)) => heard::retracted(rooms, cx, retraction),
        Event::Reacted(reactions) if !matches!(reactions.chat, Chat::Contact(_)) => heard::reacted(rooms, cx, reactions),
        Event::Marked(marker) if !matches!(marker.chat, Chat::Contact(_)) => heard::marked(rooms, cx, &marker),
        Event::ChatState {
            chat: Chat::Room(room),
            nickname: Some(nickname),
            state,
        } => {
            if let Some(room) = rooms.by_id(cx, &room) {
                heard::chat_state(room, cx, &nickname, state);
            }
        }
        Event::ChatState {
            chat: Chat::Room(_) | Chat::Occupant { .. },
            ..
        } => {}
        other @ (Event::Contact(_)
        | Event::ContactRemoved(_)
        | Event::ContactsComplete
        | Event::ContactRequested(_)
        | Event::Message(_)
        | Event::Edited(_)
        | Event::Retracted(_)
        | Event::Reacted(_)
        | Event::Marked(_)
        | Event::Delivered { .. }
        | Event::ChatState { .. }
        | Event::Attention { .. }
        | Event::Notice(_)
        | Event::Profile { .. }
        | Event::RawXml(_)
        | Event::Closed(_)) => return Some(other),
    }
    None
}

fn occupant_is(room: &mut Room, cx: &mut Cx<'_>, occupant: Occupant) {
    let nickname = occupant.nickname.clone();
    let changed = room.put(occupant);
    if !changed {
        return;
    }
    if room.state != State::Joined {
        room.mark_unseen(&nickname);
        return;
    }
    let Some(present) = room.get(&nickname).cloned() else { return };
    let codes: &[&str] = if room.is_self(&nickname) { &[code::SELF] } else { &[] };
    let stanza = show::available(room, &nickname, &present, codes, cx);
    show::to_viewers(room, &stanza, cx);
}

fn occupant_gone(rooms: &mut Rooms, cx: &mut Cx<'_>, gone: OccupantGone) {
    let Some(room) = rooms.by_id(cx, &gone.room) else { return };
    let (how, by) = match &gone.departure {
        Departure::Left | Departure::Disconnected => (None, None),
        Departure::Kicked { by } => (Some(code::KICKED), by.as_ref()),
        Departure::Banned { by } => (Some(code::BANNED), by.as_ref()),
    };
    let actor = by.map(|by| room.resource_of(by));
    let mut codes = Vec::with_capacity(2);
    let own = room.is_self(&gone.nickname);
    if own {
        codes.push(code::SELF);
    }
    codes.extend(how);
    let outcast = matches!(gone.departure, Departure::Banned { .. });
    let details = Gone {
        codes: &codes,
        new: None,
        actor: actor.as_deref(),
        reason: gone.reason.as_deref(),
        outcast,
    };
    if own {
        let node = room.node.clone();
        let me = join::self_present(room);
        let stanza = show::unavailable(room, &me, details, cx);
        show::to_viewers(room, &stanza, cx);
        if let Some(room) = rooms.take_out(cx, &node) {
            line::forget_waiting(&room, cx, None, "You are not in the room any more.");
            cx.out.push(Output::Store(StoreRequest::RemoveRoom(room.id)));
        }
        return;
    }
    let Some(present) = room.remove(&gone.nickname) else { return };
    if room.state == State::Joined {
        let stanza = show::unavailable(room, &present, details, cx);
        show::to_viewers(room, &stanza, cx);
    }
}

/// Somebody has another nickname (XEP-0045 7.6).
pub(super) fn renamed(room: &mut Room, cx: &mut Cx<'_>, old: &Nickname, new: &Nickname) {
    let own = room.is_self(old);
    let Some(before) = room.rename(old, new) else {
        if own {
            room.nickname = new.clone();
        }
        return;
    };
    if room.state != State::Joined {
        return;
    }
    let Some(present) = room.get(new).cloned() else { return };
    let (gone_codes, here_codes): (&[&str], &[&str]) = if own {
        (&[code::SELF, code::NICKNAME_CHANGED], &[code::SELF])
    } else {
        (&[code::NICKNAME_CHANGED], &[])
    };
    let gone = Gone {
        codes: gone_codes,
        new: Some(&present.resource),
        ..Gone::default()
    };
    let stanza = show::unavailable(room, &before, gone, cx);
    show::to_viewers(room, &stanza, cx);
    let stanza = show::available(room, new, &present, here_codes, cx);
    show::to_viewers(room, &stanza, cx);
}

fn room_closed(rooms: &mut Rooms, cx: &mut Cx<'_>, closed: RoomClosed) {
    let Some(room) = rooms.by_id(cx, &closed.room) else { return };
    if closed.rejoin && (room.was_in || room.viewers.is_empty()) {
        room.state = State::Lost {
            again_at: Some(cx.now.mono + std::time::Duration::from_secs(2)),
        };
        return;
    }
    let node = room.node.clone();
    if let Some(room) = rooms.take_out(cx, &node) {
        cx.out.push(Output::Store(StoreRequest::RemoveRoom(room.id.clone())));
        join::expel(room, cx, &[code::SERVICE_SHUTDOWN], &closed.reason);
    }
}
