//! What the desk keeps: command sessions, talks, attendances. Bounded for each user and for all.

use std::collections::{HashMap, VecDeque};

use jid::Jid;
use spectrum_core::dialogue::Dialogue;
use spectrum_core::dialogue::chat::Talk;
use spectrum_core::model::UserKey;
use tokio::time::Instant;

use super::PATIENCE;
use super::attendance::Attendances;

/// Command sessions of one user; with one more the one goes that was touched longest ago.
pub(super) const SESSIONS_OF_ONE: usize = 4;
/// Command sessions of everybody; with one more the answer is `resource-constraint`.
pub(super) const SESSIONS: usize = 1_024;
/// Talks of everybody; with one more the person is asked to come again.
pub(super) const TALKS: usize = 1_024;
/// Lines of one user that wait for the one before; with one more it is lost, and the person told.
pub(super) const WAITING_LINES: usize = 8;

/// What the desk keeps.
#[derive(Default)]
pub(super) struct State {
    pub(super) sessions: HashMap<String, Session>,
    pub(super) talks: HashMap<UserKey, Place>,
    pub(super) attendance: Attendances,
    next: u64,
}

/// A command that somebody is running.
pub(super) struct Session {
    /// The resource that began it; nobody else may go on with it.
    pub(super) owner: Jid,
    pub(super) user: UserKey,
    pub(super) node: String,
    pub(super) title: &'static str,
    /// `None` while a task works on it.
    pub(super) dialogue: Option<Dialogue>,
    pub(super) touched: Instant,
}

/// Where somebody talks with the transport.
pub(super) struct Place {
    pub(super) talk: Option<Talk>,
    /// What was written meanwhile, and by which resource.
    pub(super) lines: VecDeque<(Jid, String)>,
    /// A task works on it.
    pub(super) is_busy: bool,
    pub(super) touched: Instant,
}

impl State {
    /// An id that no session has. It need not be secret: only its owner may use it.
    pub(super) fn id(&mut self) -> String {
        self.next += 1;
        format!("s{}", self.next)
    }

    /// Keeps a new session; false if there are too many.
    pub(super) fn begin(&mut self, id: String, session: Session) -> bool {
        let own = || self.sessions.iter().filter(|(_, other)| other.user == session.user);
        if own().count() >= SESSIONS_OF_ONE {
            let idle = own().filter(|(_, other)| other.dialogue.is_some());
            let oldest = idle.min_by_key(|(_, other)| other.touched).map(|(id, _)| id.clone());
            match oldest {
                Some(oldest) => drop(self.sessions.remove(&oldest)),
                None => return false,
            }
        }
        if self.sessions.len() >= SESSIONS {
            return false;
        }
        self.sessions.insert(id, session);
        true
    }

    /// Drops what has waited too long.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        let is_late = |touched: Instant| now.saturating_duration_since(touched) >= PATIENCE;
        self.sessions
            .retain(|_, session| session.dialogue.is_none() || !is_late(session.touched));
        self.talks.retain(|_, place| place.is_busy || !is_late(place.touched));
    }
}
