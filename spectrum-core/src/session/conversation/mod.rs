//! One-to-one messages, both ways. Owned by the session. What cannot be said on the other side is said as well as it can:
//! a correction becomes a message, a reply loses what it refers to; what cannot be said at all is answered with an error.

pub(in crate::session) mod files;
mod incoming;
mod outgoing;
pub(in crate::session) mod parts;
pub(in crate::session) mod words;

use crate::session::Cx;
use crate::session::held::Held;

/// Who is there to hear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Audience {
    /// A resource is available.
    pub(crate) seen: bool,
    /// A resource takes messages.
    pub(crate) takes_messages: bool,
}

/// The conversations of one user.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    held: Held,
}

impl Conversations {
    /// What waits for a resource.
    pub(crate) fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    /// The session is over.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>) {
        self.held.close(cx);
    }
}
