//! Rooms the user is in (XEP-0045). Owned by the session; the order of a join is strict: the others, oneself (110), history,
//! subject.
//!
//! A room outlives the connection to the network: while that is lost the user stays in, what they say waits, and when the
//! room has been joined again only the difference is shown.

mod admin;
mod affiliations;
mod archive;
mod event;
mod ghost;
mod heard;
mod info;
mod invite;
mod join;
mod line;
mod mam;
mod moderation;
mod occupant_id;
mod own;
mod owner;
mod past;
mod room;
mod show;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use jid::{NodePart, NodeRef, ResourcePart, ResourceRef};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;

use crate::backend::{Event, Outcome};
use crate::model::{Capability, Chat, LegacyName, MessageId, RoomId, RoomSummary};
use crate::session::archive::ArchiveAnswer;
use crate::session::outbox::Entry;
use crate::session::{Cx, StoreRequest, StoredRoom};
use crate::stanza::Stanza;

use occupant_id::OccupantIds;
pub use occupant_id::RoomSecret;
use room::{Room, State};

/// How long resources are waited for that were in rooms when the instance ended: they have been asked whether they are there,
/// and have a minute to answer.
const EXPECTATION: Duration = Duration::from_secs(90);

/// Rooms of a pushed list that are kept for service discovery.
const LISTED: usize = 1_000;

/// What the outcome of a room's request is for.
#[derive(Debug)]
pub(crate) enum RoomRequest {
    /// The room is joined.
    Join(NodePart),
    /// Nobody waits for it.
    Leave,
    /// Something about an old line.
    About(Box<line::SentAbout>),
    /// A line that a moderator takes away.
    Moderate(Box<moderation::Moderated>),
    /// The network's history of a room.
    Past(NodePart, past::Page),
    /// What a room is, for this request.
    Info(NodePart, Box<Stanza>),
    /// How a room is set up, for an owner.
    Settings(Box<owner::Asked>),
    /// A room that is being set up, for this request.
    Configure(NodePart, Box<Stanza>),
    /// Who is something to a room.
    Affiliated(Box<affiliations::Asked>),
    /// One of several changes of who is what.
    Changes(Box<admin::Changes>),
    /// A stanza that wants an answer: an IQ gets a result, a message or presence an error only.
    Answer(Box<Stanza>),
}

/// What is kept of a user's rooms.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) rooms: Vec<StoredRoom>,
    pub(crate) secret: RoomSecret,
    /// The store keeps the archives.
    pub(crate) archive_is_stored: bool,
}

/// The rooms of one user.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    rooms: HashMap<NodePart, Room>,
    listed: Vec<RoomSummary>,
    /// What ids of occupants are made with.
    secret: RoomSecret,
    archive: archive::Archive,
    /// Until when resources are waited for that do not know of the end of the instance.
    expected_until: Option<Duration>,
}

impl Rooms {
    /// Takes over what is kept of rooms: those of last time are joined once the network has accepted the user.
    pub(crate) fn stored(&mut self, cx: &mut Cx<'_>, kept: Kept) {
        let Kept {
            rooms,
            secret,
            archive_is_stored,
        } = kept;
        self.secret = secret;
        self.archive.stored = archive_is_stored;
        for stored in rooms.into_iter().take(cx.config.limits.rooms) {
            let node = cx.names.node_of(&LegacyName::from(&stored.id), cx.out);
            let ids = OccupantIds::new(&self.secret, &stored.id, cx.names.mapping());
            let room = self
                .rooms
                .entry(node.clone())
                .or_insert_with(|| Room::new(stored.id, node, stored.nickname, stored.password, ids));
            if !stored.viewers.is_empty() {
                room.expected = stored.viewers;
                room.past.heard_until(cx.now.wall);
                room.expected
                    .retain(|resource| room.viewers.iter().all(|viewer| viewer.resource != *resource));
                self.expected_until = Some(cx.now.mono + EXPECTATION);
            }
        }
    }

    /// A resource is there. If it was in rooms when the instance ended, it believes that it still is, and is shown them again.
    pub(crate) fn arrived(&mut self, cx: &mut Cx<'_>, resource: &ResourcePart) {
        if self.expected_until.is_none() {
            return;
        }
        let mut ready = Vec::new();
        for room in self.rooms.values_mut().filter(|room| room.expected.contains(resource)) {
            room.resume_viewer(resource);
            if room.state == State::Joined {
                ready.push(room.node.clone());
            }
        }
        for node in ready {
            join::show_room(self, cx, &node);
        }
    }

    /// Whether this localpart is a room's: one the user is in, or one whose name can be nothing else.
    pub(crate) fn owns(&self, node: &NodeRef, cx: &Cx<'_>) -> bool {
        self.rooms.contains_key(node.as_str() as &str) || is_room_name(node, cx)
    }

    /// What a JID of a room or an occupant stands for; `None` if it is not a room the user is in.
    pub(crate) fn chat_of(&self, node: &NodeRef, nick: Option<&ResourceRef>) -> Option<Chat> {
        let room = self.rooms.get(node.as_str() as &str)?;
        Some(match nick {
            None => Chat::Room(room.id.clone()),
            Some(nick) => Chat::Occupant {
                room: room.id.clone(),
                nickname: room.nickname_of(nick)?.clone(),
            },
        })
    }

    /// The rooms the network has listed by itself.
    pub(crate) fn listed(&self) -> &[RoomSummary] {
        &self.listed
    }

    /// A presence of the user's to a room or an occupant; false if it was not a room's matter.
    pub(crate) fn presence(
        &mut self,
        cx: &mut Cx<'_>,
        resource: &ResourcePart,
        node: &NodePart,
        nick: Option<&ResourcePart>,
        presence: &Presence,
    ) -> bool {
        join::presence(self, cx, join::FromUser { resource, node, nick }, presence)
    }

    /// A message of the user's to a room or an occupant.
    pub(crate) fn message(
        &mut self,
        cx: &mut Cx<'_>,
        resource: Option<&ResourcePart>,
        node: &NodePart,
        nick: Option<&ResourcePart>,
        message: Message,
    ) {
        line::from_user(self, cx, resource, node, nick, message);
    }

    /// A message of the user's to a contact; true if it was an invitation to a room.
    pub(crate) fn invitation(&self, cx: &mut Cx<'_>, contact: &NodePart, message: &Message) -> bool {
        invite::direct(self, cx, contact, message)
    }

    /// An IQ of the user's to a room or an occupant; gives back what is nothing special to rooms.
    pub(crate) fn iq(
        &mut self,
        cx: &mut Cx<'_>,
        resource: Option<&ResourcePart>,
        node: &NodePart,
        nick: Option<&ResourcePart>,
        iq: Iq,
    ) -> Option<Iq> {
        admin::iq(self, cx, resource, node, nick, iq)
    }

    /// An event of the network; gives back what is not a room's.
    pub(crate) fn event(&mut self, cx: &mut Cx<'_>, event: Event) -> Option<Event> {
        event::handle(self, cx, event)
    }

    /// How a request ended.
    pub(crate) fn outcome(&mut self, cx: &mut Cx<'_>, request: RoomRequest, outcome: Outcome) {
        match request {
            RoomRequest::Join(node) => join::outcome(self, cx, &node, outcome),
            RoomRequest::Leave => {}
            RoomRequest::About(about) => line::about_outcome(self, cx, *about, outcome),
            RoomRequest::Moderate(moderated) => moderation::outcome(self, cx, *moderated, outcome),
            RoomRequest::Past(node, page) => past::outcome(self, cx, &node, page, outcome),
            RoomRequest::Info(node, iq) => info::outcome(self, cx, &node, &iq, outcome),
            RoomRequest::Settings(asked) => owner::settings(cx, *asked, outcome),
            RoomRequest::Configure(node, iq) => owner::configured(self, cx, &node, &iq, outcome),
            RoomRequest::Affiliated(asked) => affiliations::outcome(self, cx, &asked, outcome),
            RoomRequest::Changes(changes) => admin::changed(cx, *changes, outcome),
            RoomRequest::Answer(stanza) => admin::answer(cx, &stanza, outcome),
        }
    }

    /// Whether the user is in this room, or on the way into it.
    pub(crate) fn has(&self, node: &NodePart) -> bool {
        self.rooms.contains_key(node)
    }

    /// Whether lines can go to this room now.
    pub(crate) fn is_joined(&self, node: &NodePart) -> bool {
        self.rooms.get(node).is_some_and(|room| room.state == State::Joined)
    }

    /// A message has been handed over to the network; it may be a line for a room.
    pub(crate) fn handed_over(&mut self, cx: &mut Cx<'_>, id: &MessageId) {
        line::handed_over(self, cx, id);
    }

    /// The network has a message; if it is a line, it is shown.
    pub(crate) fn sent(&mut self, cx: &mut Cx<'_>, entry: Entry, network: Option<&MessageId>) {
        line::sent(self, cx, entry, network);
    }

    /// A message did not go out, or not yet: it will not come back as an echo.
    pub(crate) fn not_sent(&mut self, room: &Option<NodePart>, id: &MessageId) {
        if let Some(room) = room.as_ref().and_then(|node| self.rooms.get_mut(node)) {
            room.echoes.retain(|echo| echo.id != *id);
        }
    }

    /// The store has answered a question about an archive.
    pub(crate) fn archive_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: Result<ArchiveAnswer, String>) {
        archive::stored_answer(self, cx, request, answer);
    }

    /// The network has accepted the user: rooms are joined, for the first time or again.
    pub(crate) fn logged_in(&mut self, cx: &mut Cx<'_>) {
        for room in self.rooms.values_mut() {
            if room.len() == 0 {
                // What the network takes for one name is known only now.
                room.ids = OccupantIds::new(&self.secret, &room.id, cx.names.mapping());
            }
            join::begin(room, cx);
        }
    }

    /// The connection to the network is gone; rooms are joined again when it is back.
    pub(crate) fn network_lost(&mut self, _cx: &mut Cx<'_>, _reason: &str) {
        for room in self.rooms.values_mut() {
            room.state = if room.was_in {
                State::Lost { again_at: None }
            } else {
                State::Waiting
            };
        }
    }

    /// One of the user's resources is gone. The rooms stay: they go with the session, or with a resource that leaves.
    pub(crate) fn resource_gone(&mut self, cx: &mut Cx<'_>, resource: &ResourceRef) {
        for room in self.rooms.values_mut() {
            if room.remove_viewer(resource) && room.was_in {
                cx.store(StoreRequest::SaveRoom(room.stored()));
            }
        }
    }

    /// Whether this resource is in any room.
    pub(crate) fn is_seen_by(&self, resource: &ResourceRef) -> bool {
        self.rooms
            .values()
            .any(|room| room.viewers.iter().any(|viewer| *viewer.resource == *resource))
    }

    /// The session ends: everybody who looks is told, and what waits is answered.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>, reason: &str) {
        for (_, mut room) in std::mem::take(&mut self.rooms) {
            self.archive.finish(&mut room, cx);
            for (_, asked) in room.past.take_waiting() {
                match asked {
                    archive::Asked::Page(page) => mam::failed(cx, &page.iq, reason),
                    archive::Asked::Ends(iq) => mam::failed(cx, &iq, reason),
                    archive::Asked::History(_) | archive::Asked::CatchUp | archive::Asked::Tombstone(_) => {}
                }
            }
            join::disappoint(&mut room, cx, reason);
            if room.was_in && !room.viewers.is_empty() {
                cx.store(StoreRequest::SaveRoom(StoredRoom {
                    viewers: Vec::new(),
                    ..room.stored()
                }));
            }
            join::expel(room, cx, &[show::code::SERVICE_SHUTDOWN], reason);
        }
        self.listed = Vec::new();
    }

    /// When [`Rooms::tick`] is due next.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.rooms
            .values()
            .flat_map(|room| {
                let again = match room.state {
                    State::Lost { again_at } => again_at,
                    State::Waiting | State::Joining | State::Joined => None,
                };
                again
                    .into_iter()
                    .chain(room.echoes.front().map(|e| e.until))
                    .chain(room.unsaved.due())
            })
            .chain(self.expected_until)
            .min()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        if self.expected_until.is_some_and(|until| until <= cx.now.mono) {
            self.expected_until = None;
            for room in self.rooms.values_mut() {
                join::disappoint(room, cx, "The transport was restarted.");
            }
        }
        for room in self.rooms.values_mut() {
            if let State::Lost { again_at: Some(at) } = room.state
                && at <= cx.now.mono
                && cx.online
            {
                join::begin(room, cx);
            }
            line::show_overdue(room, cx);
        }
        let is_due = |room: &Room| room.unsaved.due().is_some_and(|due| due <= cx.now.mono);
        if self.rooms.values().any(is_due) {
            // All at once, so that many rooms are not as many wakings.
            for room in self.rooms.values_mut() {
                self.archive.flush(room, cx);
            }
        }
    }

    /// Takes a room out: what has been said in it is kept, and who waits for its past hears of what there is.
    fn take_out(&mut self, cx: &mut Cx<'_>, node: &NodePart) -> Option<Room> {
        let mut room = self.rooms.remove(node)?;
        self.archive.finish(&mut room, cx);
        for (request, asked) in room.past.take_waiting() {
            archive::ask(self, cx, node, request, asked);
        }
        Some(room)
    }

    /// Whether the network has nothing older than the archive of a room, as far as anybody can tell.
    fn knows_start(&self, node: &NodePart, cx: &Cx<'_>) -> bool {
        !cx.can(Capability::History) || self.rooms.get(node).is_none_or(|room| room.past.start_reached())
    }

    /// The room of a legacy id, in any case the network thinks equal.
    fn by_id(&mut self, cx: &mut Cx<'_>, id: &RoomId) -> Option<&mut Room> {
        let node = cx.names.node_of(&LegacyName::from(id), cx.out);
        self.rooms.get_mut(&node)
    }
}

/// Whether a localpart can be nothing but a room's.
fn is_room_name(node: &NodeRef, cx: &Cx<'_>) -> bool {
    !cx.info.room_prefixes.is_empty() && node.as_str().starts_with(|first| cx.info.room_prefixes.contains(first))
}
