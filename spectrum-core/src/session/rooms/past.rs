//! What a network with a history of its own (`Capability::History`) tells of a room: after a join everything since the line
//! that the archive knows last, and older pages when somebody asks for what is older than the archive. Whoever asks the
//! archive meanwhile waits, so that what it answers has no hole.

use jid::NodePart;
use xmpp_parsers::message::Message;

use super::archive::{self, Asked};
use super::room::{Room, State};
use super::{RoomRequest, Rooms, admin, heard, mam};
use crate::backend::{Answer, OpErrorKind, Outcome, Verb};
use crate::model::{Capability, Chat, HistoryPage, MessageId, PageRequest, Timestamp};
use crate::session::Cx;
use crate::session::archive::{ArchiveQuery, ArchiveRequest, ArchivedLine, MAX_PAGE};

/// Lines asked for at once.
const PAGE: u32 = 100;
/// Pages fetched after a join; what is missing then is fetched when somebody asks for it.
const CATCH_UP_PAGES: u32 = 20;
/// Requests of the user's that may wait for the network's history of one room.
const WAITING: usize = 32;

/// How much of a room's past has been fetched.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The network is being asked; these wait for what it says.
    asking: bool,
    waiting: Vec<(ArchiveRequest, Asked)>,
    /// The network has nothing older than the archive.
    start_reached: bool,
    /// What was said from then on has been heard by nobody: the instance was not there, or the network tells of it now.
    unheard: Option<Timestamp>,
}

/// Which page was asked for.
#[derive(Debug)]
pub(crate) enum Page {
    /// What was said after the last line known, or the newest; so many pages may follow.
    CatchUp { after: Option<MessageId>, left: u32 },
    /// What is older than the archive, for this query.
    Older(Box<mam::PageAsked>),
}

/// The room has been joined: asks for what was missed.
pub(super) fn begin(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart) {
    let Some(room) = rooms.rooms.get_mut(node) else { return };
    if !cx.can(Capability::History) || room.past.asking {
        return;
    }
    room.past.asking = true;
    room.past.start_reached = false;
    archive::ask(rooms, cx, node, ArchiveRequest::Ends, Asked::CatchUp);
}

/// The archive has said which line it knows last.
pub(super) fn catch_up(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, last: Option<&ArchivedLine>) {
    if let (Some(room), Some(last)) = (rooms.rooms.get_mut(node), last) {
        room.past.unheard = Some(Timestamp::from_millis(last.at.as_millis() + 1));
    }
    let after = last.map(|line| MessageId::from(line.id.as_str()));
    let left = CATCH_UP_PAGES;
    ask_network(rooms, cx, node, Page::CatchUp { after, left });
}

fn ask_network(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, page: Page) {
    let Some(room) = rooms.rooms.get(node) else {
        return arrived(rooms, cx, node, page, None);
    };
    let mut wanted = PageRequest {
        chat: Chat::Room(room.id.clone()),
        before: None,
        after: None,
        limit: PAGE,
    };
    match &page {
        Page::CatchUp { after, .. } => wanted.after.clone_from(after),
        Page::Older(asked) => wanted.before = asked.oldest.as_deref().map(MessageId::from),
    }
    let request = RoomRequest::Past(node.clone(), page);
    if let Err(RoomRequest::Past(_, page)) = admin::try_request(cx, Verb::History(wanted), request) {
        arrived(rooms, cx, node, page, None);
    }
}

/// Whether a query that found nothing older should ask the network, which it does then.
pub(super) fn older(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, asked: mam::PageAsked) -> Option<mam::PageAsked> {
    let Some(room) = rooms.rooms.get_mut(node) else {
        return Some(asked);
    };
    let can = cx.can(Capability::History) && cx.online && room.state == State::Joined;
    if !can || room.past.start_reached || room.past.asking || asked.oldest.is_none() {
        return Some(asked);
    }
    room.past.asking = true;
    ask_network(rooms, cx, node, Page::Older(Box::new(asked)));
    None
}

/// Asks the archive once it knows what the network is being asked for; gives the request back if too many wait.
pub(super) fn ask_later(
    rooms: &mut Rooms,
    cx: &mut Cx<'_>,
    node: &NodePart,
    request: ArchiveRequest,
    asked: Asked,
) -> Result<(), Asked> {
    match rooms.rooms.get_mut(node).map(|room| &mut room.past) {
        Some(past) if past.asking && past.waiting.len() >= WAITING => return Err(asked),
        Some(past) if past.asking => past.waiting.push((request, asked)),
        Some(_) | None => archive::ask(rooms, cx, node, request, asked),
    }
    Ok(())
}

/// The network has told its history, or not.
pub(super) fn outcome(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, page: Page, outcome: Outcome) {
    match (outcome.map(Answer::history), page) {
        (Ok(Some(history)), page) => arrived(rooms, cx, node, page, Some(history)),
        // The network does not know the line any more, or never has: its newest ones are what there is.
        (Err(failed), Page::CatchUp { after: Some(_), left }) if failed.kind == OpErrorKind::NotFound => {
            ask_network(rooms, cx, node, Page::CatchUp { after: None, left });
        }
        (Ok(None) | Err(_), page) => arrived(rooms, cx, node, page, None),
    }
}

fn arrived(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, page: Page, history: Option<HistoryPage>) {
    let Some(room) = rooms.rooms.get_mut(node) else {
        // The room is gone: the archive answers with what it has.
        if let Page::Older(asked) = page {
            mam::again(rooms, cx, node, *asked);
        }
        return;
    };
    let newest = history
        .as_ref()
        .and_then(|history| history.messages.iter().rev().find_map(|line| line.id.clone()));
    let complete = history.as_ref().is_none_or(|h| h.complete || h.messages.is_empty());
    let lines = history.map(|history| stanzas(room, cx, history)).unwrap_or_default();
    match page {
        Page::CatchUp { after, left } => {
            for (id, at, stanza) in lines {
                archive::keep(room, cx, &id, Some(at), &stanza);
            }
            if !complete && left > 1 && after.is_some() && newest.is_some() && newest != after {
                let left = left - 1;
                ask_network(rooms, cx, node, Page::CatchUp { after: newest, left });
            } else {
                settled(rooms, cx, node);
            }
        }
        Page::Older(asked) => {
            archive::keep_past(room, cx, lines);
            room.past.start_reached = complete;
            settled(rooms, cx, node);
            mam::again(rooms, cx, node, *asked);
        }
    }
}

fn stanzas(room: &Room, cx: &mut Cx<'_>, history: HistoryPage) -> Vec<(String, Timestamp, Message)> {
    let mut lines = Vec::with_capacity(history.messages.len());
    for message in history.messages {
        let at = message.timestamp.unwrap_or(cx.now.wall);
        let stanzas = heard::stanzas(room, cx, message);
        lines.extend(stanzas.into_iter().map(|(id, stanza)| (id, at, stanza)));
    }
    lines
}

/// What was asked for has come, or will not: who waits is answered.
fn settled(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart) {
    let Some(room) = rooms.rooms.get_mut(node) else { return };
    room.past.asking = false;
    let missed = room.past.missed();
    for (mut request, asked) in std::mem::take(&mut room.past.waiting) {
        if matches!(&asked, Asked::History(joiner) if joiner.resumes) {
            request = ArchiveRequest::Page(missed.clone());
        }
        archive::ask(rooms, cx, node, request, asked);
    }
}

impl Past {
    /// The instance begins: who was in when it ended has heard nothing since.
    pub(super) fn heard_until(&mut self, now: Timestamp) {
        self.unheard = Some(now);
    }

    /// What to ask the archive for on behalf of a resource that was in when the instance ended.
    pub(super) fn missed(&self) -> ArchiveQuery {
        ArchiveQuery {
            start: self.unheard,
            limit: MAX_PAGE,
            newest: true,
            ..ArchiveQuery::default()
        }
    }

    /// Whether the network has nothing older than the archive, or does not tell.
    pub(super) fn start_reached(&self) -> bool {
        self.start_reached
    }

    /// What waits, when the room goes.
    pub(super) fn take_waiting(&mut self) -> Vec<(ArchiveRequest, Asked)> {
        std::mem::take(&mut self.waiting)
    }
}
