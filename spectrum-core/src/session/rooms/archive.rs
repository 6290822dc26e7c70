//! What is said in a room goes into the user's archive of it, and answers come back from there: for who joins (XEP-0045
//! 7.2.13) and for who asks (XEP-0313). With storage the store keeps the archives, else the session itself does, bounded.
//! Lines are handed over in batches, and always before anything is asked, so that every answer knows the newest line.

use std::collections::HashMap;
use std::time::Duration;

use jid::NodePart;
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns::{DELAY, MUC_USER, SID};

use super::occupant_id::OCCUPANT_ID;
use super::room::Room;
use super::{Rooms, join, mam, moderation, past};
use crate::model::Timestamp;
use crate::session::archive::{
    ArchiveAnswer, ArchiveBounds, ArchiveChange, ArchivePage, ArchiveRequest, ArchivedLine, MemoryArchive,
};
use crate::session::{Cx, Output, StoreRequest};

/// Bytes of all archives of a session without storage.
const MEMORY_BYTES: usize = 2 << 20;
/// How long a line may wait for others to be kept with it. What a crash of the main process can take from an archive.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// Lines that wait for no others.
const BATCH_LINES: usize = 64;
/// After so many lines what is too much is taken out.
const TRIM_AFTER: usize = 256;
/// Bytes of a line that is kept as it is; of a longer one the text and the ids are kept.
const MAX_LINE_BYTES: usize = 96 * 1024;

/// What of a room is not in the archive yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    lines: Vec<ArchivedLine>,
    due: Option<Duration>,
    /// Time and order of the newest line.
    newest: (i64, i64),
    /// The order of the last line that was fetched from the past: they count down.
    oldest_order: i64,
    /// Lines since the archive was trimmed last. Not at once: what the network tells of long ago is to be heard once.
    untrimmed: usize,
}

impl Unsaved {
    /// When it must be handed over.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }
}

/// What an answer of an archive is for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A resource that has joined.
    History(join::Joiner),
    /// A query of the user's.
    Page(Box<mam::PageAsked>),
    /// A request for metadata.
    Ends(Box<crate::stanza::Stanza>),
    /// The line that the network's history is to be asked for from.
    CatchUp,
    /// A line that was taken back.
    Tombstone(Box<moderation::Tombstone>),
}

/// The archives of one user.
#[derive(Debug)]
pub(super) struct Archive {
    /// Whether a store keeps them.
    pub(super) stored: bool,
    memory: MemoryArchive,
    asked: HashMap<u64, (NodePart, Asked)>,
    last: u64,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            stored: false,
            memory: MemoryArchive::bounded(MEMORY_BYTES),
            asked: HashMap::new(),
            last: 0,
        }
    }
}

impl Archive {
    /// Makes a change.
    pub(super) fn change(&mut self, cx: &mut Cx<'_>, node: &NodePart, change: ArchiveChange) {
        if self.stored {
            let room = node.as_str().to_owned();
            cx.store(StoreRequest::ChangeArchive { room, change });
        } else {
            self.memory.change(node.as_str(), change);
        }
    }

    /// Hands over what of a room is not there yet.
    pub(super) fn flush(&mut self, room: &mut Room, cx: &mut Cx<'_>) {
        let unsaved = &mut room.unsaved;
        unsaved.due = None;
        if unsaved.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut unsaved.lines);
        unsaved.untrimmed += lines.len();
        let trim = unsaved.untrimmed >= TRIM_AFTER;
        self.change(cx, &room.node, ArchiveChange::Append(lines));
        if trim {
            self.trim(room, cx);
        }
    }

    /// The same when the room goes.
    pub(super) fn finish(&mut self, room: &mut Room, cx: &mut Cx<'_>) {
        self.flush(room, cx);
        if room.unsaved.untrimmed > 0 {
            self.trim(room, cx);
        }
    }

    fn trim(&mut self, room: &mut Room, cx: &mut Cx<'_>) {
        room.unsaved.untrimmed = 0;
        let limits = &cx.config.limits;
        let age = i64::try_from(limits.archive_age.as_millis()).unwrap_or(i64::MAX);
        let bounds = ArchiveBounds {
            oldest: Timestamp::from_millis(cx.now.wall.as_millis().saturating_sub(age)),
            lines: limits.archive_lines,
        };
        self.change(cx, &room.node, ArchiveChange::Trim(bounds));
    }
}

/// Asks the archive of a room, the user's lines of this moment included.
pub(super) fn ask(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, request: ArchiveRequest, asked: Asked) {
    if let Some(room) = rooms.rooms.get_mut(node) {
        rooms.archive.flush(room, cx);
    }
    if !rooms.archive.stored {
        let answer = rooms.archive.memory.answer(node.as_str(), &request);
        return answered(rooms, cx, node, asked, answer);
    }
    let archive = &mut rooms.archive;
    archive.last += 1;
    archive.asked.insert(archive.last, (node.clone(), asked));
    cx.out.push(Output::Store(StoreRequest::AskArchive {
        request: archive.last,
        room: node.as_str().to_owned(),
        what: request,
    }));
}

/// The store has answered.
pub(super) fn stored_answer(rooms: &mut Rooms, cx: &mut Cx<'_>, request: u64, answer: Result<ArchiveAnswer, String>) {
    let Some((node, asked)) = rooms.archive.asked.remove(&request) else {
        return;
    };
    match (answer, asked) {
        (Ok(answer), asked) => answered(rooms, cx, &node, asked, answer),
        // Who asked for it hears so; who joins does so without what was said before.
        (Err(reason), Asked::Page(asked)) => mam::failed(cx, &asked.iq, &reason),
        (Err(reason), Asked::Ends(iq)) => mam::failed(cx, &iq, &reason),
        (Err(_), asked @ (Asked::History(_) | Asked::CatchUp | Asked::Tombstone(_))) => {
            let nothing = ArchiveAnswer::Page(ArchivePage::default());
            answered(rooms, cx, &node, asked, nothing);
        }
    }
}

fn answered(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, asked: Asked, answer: ArchiveAnswer) {
    match (asked, answer) {
        (Asked::Page(asked), answer) => mam::answered(rooms, cx, node, *asked, answer),
        (Asked::Ends(iq), ArchiveAnswer::Page(page)) => mam::ends(cx, &iq, &page),
        (Asked::History(joiner), ArchiveAnswer::Page(page)) => join::tell_history(rooms, cx, node, &joiner, &page),
        (Asked::CatchUp, ArchiveAnswer::Page(page)) => past::catch_up(rooms, cx, node, page.lines.last()),
        (Asked::Tombstone(tombstone), ArchiveAnswer::Page(page)) => {
            if let Some(line) = page.lines.first() {
                let change = tombstone.replace(line);
                rooms.archive.change(cx, node, change);
            }
        }
        // These name no line.
        (asked @ (Asked::Ends(_) | Asked::History(_) | Asked::CatchUp), ArchiveAnswer::UnknownId) => {
            answered(rooms, cx, node, asked, ArchiveAnswer::Page(ArchivePage::default()));
        }
        (Asked::Tombstone(_), ArchiveAnswer::UnknownId) => {}
    }
}

/// Keeps a line that was said just now, or that the network tells of while the user is there.
pub(super) fn keep(room: &mut Room, cx: &Cx<'_>, id: &str, at: Option<Timestamp>, message: &Message) {
    let now = cx.now.wall.as_millis();
    let unsaved = &mut room.unsaved;
    let order = (unsaved.newest.1 + 1).max(now.saturating_mul(1_000));
    let at = match at {
        Some(at) => at.as_millis().min(now),
        // The clock may go back, the archive never does.
        None => now.max(unsaved.newest.0),
    };
    unsaved.newest = (unsaved.newest.0.max(at), order);
    let line = ArchivedLine {
        id: id.to_owned(),
        at: Timestamp::from_millis(at),
        order,
        stanza: text_of(message),
    };
    unsaved.lines.push(line);
    let due = if unsaved.lines.len() >= BATCH_LINES {
        cx.now.mono
    } else {
        cx.now.mono + BATCH_TIME
    };
    unsaved.due = Some(unsaved.due.map_or(due, |before| before.min(due)));
}

/// Keeps lines of before that the network's history has told, oldest first.
pub(super) fn keep_past(room: &mut Room, cx: &Cx<'_>, lines: Vec<(String, Timestamp, Message)>) {
    let unsaved = &mut room.unsaved;
    let start = unsaved.oldest_order.min(cx.now.wall.as_millis().saturating_mul(-1_000));
    let first = start - i64::try_from(lines.len()).unwrap_or_default() - 1;
    unsaved.oldest_order = first;
    let archived = (first..).zip(&lines).map(|(order, (id, at, message))| ArchivedLine {
        id: id.clone(),
        at: *at,
        order,
        stanza: text_of(message),
    });
    unsaved.lines.extend(archived);
    unsaved.due = Some(cx.now.mono);
}

/// A line as it is kept: nobody's in particular, and with no payload that a client might have faked (XEP-0313 10.3).
fn text_of(message: &Message) -> String {
    let mut kept = message.clone();
    kept.to = None;
    kept.payloads.retain(|p| !p.is("delay", DELAY) && !p.is("x", MUC_USER));
    let text = String::from(&Element::from(kept));
    if text.len() <= MAX_LINE_BYTES {
        return text;
    }
    let mut kept = message.clone();
    kept.to = None;
    kept.payloads
        .retain(|p| p.is("stanza-id", SID) || p.is("occupant-id", OCCUPANT_ID));
    for body in kept.bodies.values_mut() {
        let short = crate::session::text::shorten(body, MAX_LINE_BYTES / 2).len();
        body.truncate(short);
    }
    String::from(&Element::from(kept))
}
