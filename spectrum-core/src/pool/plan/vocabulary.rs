//! What goes into the plan and what comes out of it.

use crate::model::{AssignmentId, BackendId, UserKey};

/// One wish for a seat. Counted up by whoever makes them: the lower one is served first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WaiterId(pub u64);

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlanEvent {
    /// Somebody wants a seat.
    Wanted {
        /// The wish.
        waiter: WaiterId,
        /// Whose.
        user: UserKey,
    },
    /// The wish is withdrawn.
    GivenUp {
        /// Which.
        waiter: WaiterId,
    },
    /// A backend takes users.
    Ready {
        /// Which.
        backend: BackendId,
    },
    /// A backend takes no more users: its link is gone. [`PlanEvent::Ended`] follows once it is known why.
    Lost {
        /// Which.
        backend: BackendId,
    },
    /// A backend is no more, and so are its seats.
    Ended {
        /// Which.
        backend: BackendId,
        /// Why.
        ending: Ending,
    },
    /// A session has let go of its seat.
    Released {
        /// Which.
        assignment: AssignmentId,
    },
    /// The backend has confirmed a logout.
    LoggedOut {
        /// Whose.
        assignment: AssignmentId,
    },
    /// `Plan::next_deadline` has come.
    TimePassed,
    /// The main process ends.
    Stopped,
}

/// Why a backend is no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It was asked to end.
    Asked,
    /// It died, hung, or did not come up. Another one may do better.
    Died {
        /// In words, for users and the log.
        reason: String,
        /// A random number that spreads the retries.
        jitter: u16,
    },
    /// It says, or shows, that no other one would do better: wrong options, no such program.
    Unusable {
        /// In words, for users and the log.
        reason: String,
        /// A random number that spreads the retries.
        jitter: u16,
    },
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Start a backend under this id.
    Start(BackendId),
    /// Give the waiter this seat.
    Seat {
        /// Whose wish is fulfilled.
        waiter: WaiterId,
        /// Who.
        user: UserKey,
        /// The seat.
        assignment: AssignmentId,
        /// On which backend.
        backend: BackendId,
    },
    /// Tell the waiter that there is no seat.
    Refuse {
        /// Whom.
        waiter: WaiterId,
        /// Why.
        why: Refusal,
    },
    /// Log a user out; the seat counts until this is confirmed.
    Logout {
        /// Which seat.
        assignment: AssignmentId,
        /// On which backend.
        backend: BackendId,
    },
    /// The seat is no more: whatever comes for it is dropped.
    Free {
        /// Which seat.
        assignment: AssignmentId,
        /// On which backend.
        backend: BackendId,
    },
    /// Ask a backend to end.
    Retire(BackendId),
}

/// Why a wish is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Backends die or cannot be started.
    Failing(String),
    /// Too many wait.
    Busy,
    /// The main process ends.
    Stopping,
}

/// What a backend is up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackendState {
    /// On its way.
    Starting,
    /// Takes users, as long as it has room.
    Ready,
    /// Asked to end.
    Retiring,
    /// Its link is gone, its end not known yet.
    Lost,
}
