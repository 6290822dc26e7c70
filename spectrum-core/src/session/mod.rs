//! One XMPP user's life inside an instance: a plain struct without I/O or clock, owned by one task.
//!
//! [`Session::handle`] takes one input and appends what is to be done. It knows no mode: what differs is spelled by the
//! [`Face`](crate::face::Face) and told in [`FaceTraits`]. One file per concern; what they share during one input is `Cx`.

pub mod archive;
mod caps;
mod contacts;
mod conversation;
mod cx;
mod events;
mod fingerprint;
mod held;
mod history;
mod input;
mod journal;
mod life;
mod login;
mod names;
mod outbox;
mod output;
mod parts;
mod payload;
mod pending;
mod prompt;
mod publication;
mod query;
mod recent;
mod request;
mod resources;
mod rooms;
mod roster;
mod rsm;
mod search;
mod sending;
mod subscription;
mod text;

#[cfg(test)]
mod tests;

pub use input::{Account, Input, StoredContact, StoredName, StoredRoom, Ticket};
pub use journal::{JournalChanges, JournalContent, JournalRecord, JournalStage, MAX_AGE};
pub use names::NameTable;
pub use output::{AuthError, CloseReason, Output, Progress, StoreRequest};
pub use publication::{Bookmark, Bookmarks, Publication};
pub use recent::{MessageStage, RecentMessage, RecentReply};
pub use rooms::RoomSecret;

use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;

use crate::backend::BackendInfo;
use crate::face::{FaceTraits, ResourceView};
use crate::model::Timestamp;
use login::State;
use parts::Parts;

/// What a user is told whose session could not take what the network sent.
const OVERFLOW: &str = "The network sent more than could be taken in. Log in again to go on.";

/// The time of an input, given by whoever has a clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Since some fixed moment, never going back: for deadlines.
    pub mono: Duration,
    /// The wall clock: for stamps.
    pub wall: Timestamp,
}

/// What all sessions of an instance have in common.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The transport.
    pub transport: BareJid,
    /// Its name for people, if one is configured; otherwise it is called as the network calls itself.
    pub name: Option<String>,
    /// What the mode asks of sessions.
    pub face: FaceTraits,
    /// How long a session outlives the last resource; `None`: until told to end.
    pub linger: Option<Duration>,
    /// How long the network may take to accept a login.
    pub login_timeout: Duration,
    /// Overrules whether the network's names are escaped in localparts (`jid_escaping` of the configuration).
    pub jid_escaping: Option<bool>,
    /// Whether messages on their way are journaled ([`Output::Journal`]), so that they survive the process.
    pub durable: bool,
    /// What may be held for the user or for the network.
    pub limits: SessionLimits,
}

/// Bounds of one session. What is over them is answered with an error, never dropped in silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionLimits {
    /// Resources.
    pub resources: usize,
    /// Contacts in the roster.
    pub contacts: usize,
    /// Rooms joined.
    pub rooms: usize,
    /// Requests to the backend that have no outcome yet.
    pub requests: usize,
    /// Messages waiting for the network, or for a resource.
    pub held_messages: usize,
    /// Their bytes.
    pub held_bytes: usize,
    /// Lines that the archive of a room keeps.
    pub archive_lines: u32,
    /// How long it keeps them.
    pub archive_age: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            resources: 32,
            contacts: 20_000,
            rooms: 1_000,
            requests: 1_024,
            held_messages: 100,
            held_bytes: 1 << 20,
            archive_lines: 10_000,
            archive_age: Duration::from_secs(30 * 86_400),
        }
    }
}

/// What the concerns of a session share while one input is handled.
pub(crate) struct Cx<'a> {
    pub(crate) config: &'a SessionConfig,
    pub(crate) user: &'a BareJid,
    /// What the network can do; before the first assignment, as last known.
    pub(crate) info: &'a BackendInfo,
    pub(crate) names: &'a mut NameTable,
    pub(crate) requests: &'a mut pending::Requests,
    pub(crate) outbox: &'a mut outbox::Outbox,
    pub(crate) history: &'a mut history::History,
    pub(crate) out: &'a mut Vec<Output>,
    pub(crate) now: Now,
    /// Whether the network has accepted the user.
    pub(crate) online: bool,
}

/// What is shared and cheap to clone into a new session.
#[derive(Clone, Debug)]
pub struct SessionSeed {
    /// Of the instance.
    pub config: Arc<SessionConfig>,
    /// As last known.
    pub info: Arc<BackendInfo>,
}

/// The session of one user.
#[derive(Debug)]
pub struct Session {
    user: BareJid,
    config: Arc<SessionConfig>,
    info: Arc<BackendInfo>,
    names: NameTable,
    requests: pending::Requests,
    outbox: outbox::Outbox,
    history: history::History,
    parts: Parts,
    online: bool,
    /// When the oldest message that waits has waited too long.
    expires: Option<Duration>,
}

impl Session {
    /// Of this user, not begun yet.
    pub fn new(seed: &SessionSeed, user: BareJid) -> Self {
        let mut names = NameTable::new(&seed.info);
        names.force_escaping(seed.config.jid_escaping);
        Self {
            user,
            config: Arc::clone(&seed.config),
            info: Arc::clone(&seed.info),
            names,
            requests: pending::Requests::default(),
            outbox: outbox::Outbox::default(),
            history: history::History::default(),
            parts: Parts::new(&seed.info),
            online: false,
            expires: None,
        }
    }

    /// Handles one input and appends what is to be done.
    pub fn handle(&mut self, input: Input, now: Now, out: &mut Vec<Output>) {
        if self.parts.login.state == State::Over {
            return;
        }
        if let Input::Assigned(info) = &input {
            self.set_network(info);
        }
        if let Input::Recent(reply) = input {
            return reply.give(self.recent());
        }
        let alive = matches!(input, Input::User(_));
        let before = out.len();
        let cx = &mut Cx {
            config: &self.config,
            user: &self.user,
            info: &self.info,
            names: &mut self.names,
            requests: &mut self.requests,
            outbox: &mut self.outbox,
            history: &mut self.history,
            out,
            now,
            online: self.online,
        };
        let parts = &mut self.parts;
        match input {
            Input::Start => parts.start(cx),
            Input::Authenticate { ticket, name, password } => parts.authenticate(cx, ticket, name, password),
            Input::Abandoned(ticket) => parts.abandoned(cx, ticket),
            Input::User(stanza) => parts.user(cx, *stanza),
            Input::ResourceLost(resource) => parts.resource_lost(cx, &resource),
            Input::Loaded(account) => parts.loaded(cx, account),
            Input::Archive { request, answer } => parts.rooms.archive_answer(cx, request, answer),
            Input::StoreFailed(reason) => parts.store_failed(cx, &reason),
            Input::Assigned(_) => parts.assigned(cx),
            Input::NotAssigned(reason) => parts.not_assigned(cx, reason),
            Input::Link(input) => parts.link(cx, input),
            Input::Tick => parts.tick(cx),
            Input::Registration(account) => parts.registration(cx, account),
            Input::XmppLost => parts.xmpp_lost(),
            Input::XmppBack => parts.xmpp_back(cx),
            Input::Attend(attended) => parts.attend(cx, attended),
            Input::Answer(prompt, answers) => {
                if parts.prompts.answered_elsewhere(cx, prompt, answers) {
                    parts.question_answered(cx);
                }
            }
            Input::Setting { name, value } => parts.login.set_setting(name, value),
            Input::NotKept(seqs) => parts.not_kept(cx, &seqs),
            // Answered above.
            Input::Recent(_) => {}
            Input::Overflow => parts.finish(cx, CloseReason::Overflow, Some(OVERFLOW.to_owned())),
            Input::End(reason) => parts.finish(cx, CloseReason::Ended, Some(reason)),
        }
        sending::flush(cx, &mut parts.rooms);
        parts.watch_linger(cx, alive);
        self.online = cx.online;
        self.expires = journal::expiry(cx);
        if self.config.durable {
            // A session that is over tells its journal everything: it gets no other chance.
            let over = parts.login.state == State::Over;
            journal::release_told(&mut self.history, (!over).then_some(now.mono));
            // First of all: what is asked of the network comes after it.
            if let Some(changes) = journal::changes(&mut self.outbox, &mut self.history) {
                out.insert(before, Output::Journal(changes));
            }
        } else {
            self.outbox.dirty.clear();
            self.history.dirty.clear();
            self.history.told.clear();
        }
    }

    /// When the next [`Input::Tick`] is due, counted like [`Now::mono`].
    pub fn next_deadline(&self) -> Option<Duration> {
        let parts = &self.parts;
        if parts.login.state == State::Over {
            return None;
        }
        let messages = if self.online { self.outbox.next_deadline() } else { None };
        parts
            .login
            .next_deadline()
            .into_iter()
            .chain(messages)
            .chain(self.expires)
            .chain(self.history.told.first().and_then(|(until, _)| *until))
            .chain(parts.rooms.next_deadline())
            .min()
    }

    /// The user's available resources, and those that have asked for the roster and are not available yet.
    pub fn resources(&self) -> &[ResourceView] {
        self.parts.resources.views()
    }

    /// Whether the network has accepted the user.
    pub fn is_online(&self) -> bool {
        self.online
    }

    fn set_network(&mut self, info: &Arc<BackendInfo>) {
        if Arc::ptr_eq(&self.info, info) || *self.info == **info {
            return;
        }
        self.info = Arc::clone(info);
        self.names.set_network(info);
        self.parts.contacts.set_network(info);
    }
}
