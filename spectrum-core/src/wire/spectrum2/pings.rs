//! Which requests a PONG confirms.

use std::collections::VecDeque;

use crate::model::{AssignmentId, RequestId};

/// What is true once a PING written behind it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Confirmed {
    /// A message was handed over.
    Sent { assignment: AssignmentId, request: RequestId },
    /// Another request was handed over.
    Done { assignment: AssignmentId, request: RequestId },
    /// A user was logged out.
    LoggedOut { assignment: AssignmentId },
}

/// The PINGs on the way, oldest first, and what each confirms.
#[derive(Default)]
pub(super) struct Pings {
    on_the_way: VecDeque<Vec<Confirmed>>,
    /// Written since the last PING.
    behind: Vec<Confirmed>,
}

impl Pings {
    /// Remembers what was written.
    pub(super) fn wait(&mut self, confirmed: Confirmed) {
        self.behind.push(confirmed);
    }

    /// Whether a PING should be written now. One at a time, so that a slow backend is not asked more the slower it gets.
    pub(super) fn is_due(&self) -> bool {
        self.on_the_way.is_empty() && !self.behind.is_empty()
    }

    /// A PING is written.
    pub(super) fn ping(&mut self) {
        self.on_the_way.push_back(std::mem::take(&mut self.behind));
    }

    /// A PONG has come; `None` if there was no PING.
    pub(super) fn pong(&mut self) -> Option<Vec<Confirmed>> {
        self.on_the_way.pop_front()
    }
}
