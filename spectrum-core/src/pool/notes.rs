//! What links and sessions leave for the pool without waiting.
//!
//! A lock and a bell instead of a channel: it is held for one push, and its length is bounded by what exists: two notes for
//! each seat and each wish, a handful for each backend.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::backend::BackendInfo;
use crate::model::{AssignmentId, BackendId};
use crate::pool::plan::{Ending, WaiterId};

/// One thing the pool should know.
#[derive(Debug)]
pub(crate) enum Note {
    /// A session has let go of its seat.
    Released(AssignmentId),
    /// A backend has confirmed a logout.
    LoggedOut(AssignmentId),
    /// An `assign` was dropped.
    GivenUp(WaiterId),
    /// A backend can take users.
    Ready(BackendId),
    /// Who connects to a backend's port cannot be told for sure.
    Degraded(String),
    /// A link is gone, and its sessions have been told. [`Note::Ended`] follows.
    Lost(BackendId),
    /// A backend has ended.
    Ended {
        /// Which.
        backend: BackendId,
        /// Why.
        ending: Ending,
    },
    /// Nothing of a backend is left.
    Reaped {
        /// Which.
        backend: BackendId,
        /// How its process ended, in words.
        how: String,
        /// The last it said.
        stderr: String,
    },
    /// A backend asks an admin question; at most one at a time.
    Query {
        /// Which.
        backend: BackendId,
        /// What.
        text: String,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Mutex<Vec<Note>>,
    /// What the network is, if a backend has said so since the pool last looked; the last word counts.
    info: Mutex<Option<Arc<BackendInfo>>>,
    bell: Notify,
}

impl Notes {
    /// Leaves a note and wakes the pool.
    pub(crate) fn leave(&self, note: Note) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.bell.notify_one();
    }

    /// Says what the network is.
    pub(crate) fn leave_info(&self, info: Arc<BackendInfo>) {
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
        self.bell.notify_one();
    }

    /// Takes what was said of the network last.
    pub(crate) fn take_info(&self) -> Option<Arc<BackendInfo>> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Resolves when there may be notes.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Swaps the notes, in the order they were left, with an empty list.
    pub(crate) fn take(&self, into: &mut Vec<Note>) {
        into.clear();
        std::mem::swap(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}
