//! Runs backends and routes each user to exactly one: the trait, and what passes between a session and its link.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::backend::BackendInfo;
use crate::model::{AssignmentId, BackendId, UserKey};

pub use crate::backend::link::{LinkInput, LinkLogin, LinkRequest};

/// Runs backends and routes each user to exactly one. Implemented by [`Pool`](crate::pool::Pool) for this machine.
#[async_trait]
pub trait MainProcess: Send + Sync + 'static {
    /// Assigns the user to a backend, starting one if needed; waits until one is ready. Until the [`Assignment`] is
    /// dropped every request of this user goes there. Dropping the future gives up the place in the queue.
    ///
    /// # Errors
    /// [`AssignError::Failing`] while no backend can be started, with the reason for the user;
    /// [`AssignError::Stopping`] once the main process ends.
    async fn assign(&self, user: &UserKey, events: Arc<dyn SessionInbox>) -> Result<Assignment, AssignError>;

    /// What the network is and can do: of a running backend, else as last known; `None` before the first was ever up.
    fn info(&self) -> Option<Arc<BackendInfo>>;

    /// Who is where, and what is wrong.
    fn status(&self) -> PoolStatus;

    /// Logs everybody out and ends the backends; those that have not ended after `grace` are killed.
    async fn stop(&self, grace: Duration);
}

/// Takes what a link has for one session. Implemented by the session's task; called from the link's reader, so it never waits.
pub trait SessionInbox: Send + Sync {
    /// Queues it. Over its bound the inbox coalesces what can be coalesced (presence, typing), and ends the session
    /// with a text when that is not enough.
    fn deliver(&self, assignment: AssignmentId, input: LinkInput);
}

/// The sending side of a link, as one assignment sees it.
pub trait LinkSender: Send + Sync {
    /// Queues a request without waiting.
    ///
    /// # Errors
    /// Gives the request back if the link's queue is full or the link is gone: it was not sent.
    fn send(&self, assignment: AssignmentId, request: LinkRequest) -> Result<(), LinkRefused>;
    /// So many events have been dealt with.
    fn credit(&self, assignment: AssignmentId, events: u32);
    /// A durable event has been committed.
    fn committed(&self, assignment: AssignmentId, event: u64);
    /// The session lets go: the link logs the user out and frees the seat once that is confirmed or 10 s have passed.
    /// Sets a flag and wakes the link; never queues, never waits.
    fn release(&self, assignment: AssignmentId);
}

/// A request the link did not take.
#[derive(Debug)]
pub struct LinkRefused {
    /// The request, unsent.
    pub request: LinkRequest,
    /// Whether the link is gone (a `BackendLost` is on its way) or full for the moment.
    pub gone: bool,
}

/// A user's seat on a backend. Dropping it logs the user out.
pub struct Assignment {
    id: AssignmentId,
    backend: BackendId,
    link: Arc<dyn LinkSender>,
}

impl Assignment {
    /// For implementations of [`MainProcess`].
    pub fn new(id: AssignmentId, backend: BackendId, link: Arc<dyn LinkSender>) -> Self {
        Self { id, backend, link }
    }

    /// Its id: what the link delivers for another one is old.
    pub fn id(&self) -> AssignmentId {
        self.id
    }

    /// The backend it is on.
    pub fn backend(&self) -> BackendId {
        self.backend
    }

    /// Queues a request without waiting.
    ///
    /// # Errors
    /// Gives it back if the link is full or gone.
    pub fn send(&self, request: LinkRequest) -> Result<(), LinkRefused> {
        self.link.send(self.id, request)
    }

    /// So many events have been dealt with.
    pub fn credit(&self, events: u32) {
        self.link.credit(self.id, events);
    }

    /// A durable event has been committed.
    pub fn committed(&self, event: u64) {
        self.link.committed(self.id, event);
    }
}

impl Drop for Assignment {
    fn drop(&mut self) {
        self.link.release(self.id);
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment")
            .field("id", &self.id)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Why a user has no backend.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssignError {
    /// Backends die or cannot be started. Trying again later makes sense.
    #[error("no backend can be started: {reason}")]
    Failing {
        /// For the user and the log.
        reason: String,
    },
    /// Too many wait already.
    #[error("too many users wait for a backend")]
    Busy,
    /// The main process ends.
    #[error("the main process is stopping")]
    Stopping,
}

/// Whether a pool can take users.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolHealth {
    /// Yes.
    Ready,
    /// The first backend is on its way.
    Starting,
    /// Backends die or cannot be started.
    Failing,
    /// It ends.
    Stopping,
}

/// One backend in a status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: BackendId,
    /// Its process; none in process.
    pub pid: Option<u32>,
    /// `starting`, `ready`, `retiring`, `hung`.
    pub state: &'static str,
    /// Users on it.
    pub users: usize,
    /// Seconds since its start.
    pub uptime_secs: u64,
    /// Resident memory in KiB, where known.
    pub resident_kib: Option<u32>,
    /// Frames or fields it sent that had to be dropped or repaired.
    pub violations: u64,
}

/// A backend that ended without being asked to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BackendCrash {
    /// Which.
    pub id: BackendId,
    /// Exit status or signal in words.
    pub how: String,
    /// The last lines of its stderr.
    pub stderr: String,
    /// Seconds ago.
    pub secs_ago: u64,
    /// Users on it at that time.
    pub users: usize,
}

/// Who is where, and what is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoolStatus {
    /// Whether it can take users.
    pub health: PoolHealth,
    /// Why not, or what is degraded.
    pub reason: Option<String>,
    /// The backends.
    pub backends: Vec<BackendStatus>,
    /// Users that wait for one.
    pub waiting: usize,
    /// The last few crashes, newest first.
    pub crashes: Vec<BackendCrash>,
}
