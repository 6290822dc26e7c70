//! Room for what one turn of a session takes in and says, lent to whichever runs on this thread: idle sessions are many and
//! should hold none, and making it anew for every message costs more than the message.

use std::cell::Cell;
use std::collections::VecDeque;

use super::Queued;
use crate::session::{Input, Output};
use crate::stanza::Stanza;

/// Entries for which room is kept; what a burst needed above that is given back.
const KEPT: usize = 256;

/// Empty lists.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Taken out of the mailbox, and not handled yet.
    pub(super) batch: VecDeque<Queued>,
    /// Inputs that the task itself has for the session.
    pub(super) own: VecDeque<Input>,
    /// What a session wants done and has not been done yet.
    pub(super) outputs: VecDeque<Output>,
    /// What is to be seen by its user with the next flush.
    pub(super) stanzas: Vec<Stanza>,
}

thread_local! {
    static SPARE: Cell<Option<Box<Room>>> = const { Cell::new(None) };
}

impl Room {
    /// That of this thread, or new ones.
    pub(super) fn take() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }

    /// Leaves the lists to the next session on this thread, which need not be the one they came from.
    pub(super) fn leave(self: Box<Self>) {
        if self.is_empty() && self.largest() <= KEPT {
            SPARE.set(Some(self));
        }
    }

    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.own.is_empty() && self.outputs.is_empty() && self.stanzas.is_empty()
    }

    fn largest(&self) -> usize {
        let inputs = self.batch.capacity().max(self.own.capacity());
        inputs.max(self.outputs.capacity()).max(self.stanzas.capacity())
    }
}
