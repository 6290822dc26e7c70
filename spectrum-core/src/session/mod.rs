//! One XMPP user's life inside an instance: a plain struct without I/O or clock, owned by one task.
//!
//! [`Session::handle`] takes one input and appends what is to be done. It knows no mode: what differs is spelled by the
//! [`Face`](crate::face::Face) and told in [`FaceTraits`]. One file per concern; what they share during one input is [`Cx`].

mod input;
mod names;
mod output;
mod pending;
pub mod rooms;

pub use input::{Account, Input, StoredContact, StoredName, StoredRoom, Ticket};
pub use names::NameTable;
pub use output::{AuthError, CloseReason, Output, StoreRequest};

use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;

use crate::backend::BackendInfo;
use crate::face::FaceTraits;
use crate::model::Timestamp;

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
    /// Its name for people.
    pub name: String,
    /// What the mode asks of sessions.
    pub face: FaceTraits,
    /// How long a session outlives the last resource; `None`: until told to end.
    pub linger: Option<Duration>,
    /// How long the network may take to accept a login.
    pub login_timeout: Duration,
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
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { resources: 32, contacts: 20_000, rooms: 1_000, requests: 1_024, held_messages: 100, held_bytes: 1 << 20 }
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
}

impl Session {
    /// Of this user, not begun yet.
    pub fn new(_seed: &SessionSeed, user: BareJid) -> Self {
        Self { user }
    }

    /// Handles one input and appends what is to be done.
    pub fn handle(&mut self, _input: Input, _now: Now, out: &mut Vec<Output>) {
        let _ = &self.user;
        out.push(Output::Close(CloseReason::Ended));
    }

    /// When the next [`Input::Tick`] is due, counted like [`Now::mono`].
    pub fn next_deadline(&self) -> Option<Duration> {
        None
    }

    /// The user's available resources.
    pub fn resources(&self) -> &[crate::face::ResourceView] {
        &[]
    }
}
