//! Room for what sessions say, lent to whichever runs on this thread: idle sessions are many and should hold none, and
//! making it anew for every message costs more than the message.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::session::Output;
use crate::stanza::Stanza;

/// Entries for which room is kept; what a burst needed above that is given back.
const KEPT: usize = 256;

/// Two empty lists.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// What a session wants done and has not been done yet.
    pub(super) outputs: VecDeque<Output>,
    /// What is to be seen by its user with the next flush.
    pub(super) stanzas: Vec<Stanza>,
}

thread_local! {
    static SPARE: Cell<Option<Room>> = const { Cell::new(None) };
}

impl Room {
    /// That of this thread, or new ones.
    pub(super) fn take() -> Self {
        SPARE.take().unwrap_or_default()
    }

    /// Leaves the lists to the next session on this thread, which need not be the one they came from.
    pub(super) fn leave(self) {
        if self.outputs.is_empty() && self.stanzas.is_empty() && self.outputs.capacity().max(self.stanzas.capacity()) <= KEPT {
            SPARE.set(Some(self));
        }
    }
}
