//! Requests to the backend that have no outcome yet: every one of them gets one, and somebody waits for it.

use crate::backend::link::LinkRequest;
use crate::backend::{OpError, OpErrorKind, Retry, Verb};
use crate::model::{Chat, ContactId, MessageId, RequestId};
use crate::session::rooms::RoomRequest;
use crate::session::roster::Wanted;
use crate::session::{Now, Output};
use crate::stanza::Stanza;
use crate::tight;

/// Room for an id of a message: the time takes 11 bytes, and few sessions count to a billion.
const MESSAGE_ID_BYTES: usize = 24;

/// What the outcome of a request is for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Nobody waits; a failure is nothing to tell the user.
    Nobody,
    /// An IQ of the user: success is an empty result unless the answer carries something.
    Iq(Box<Stanza>),
    /// A stanza of the user that only a failure answers.
    Tell(Box<Stanza>),
    /// A message in the outbox.
    Message(MessageId),
    /// Somebody's profile, for an IQ.
    Profile {
        /// Whose.
        of: Chat,
        /// The request of the user.
        iq: Box<Stanza>,
    },
    /// The rooms there are, for an IQ.
    RoomList(Box<crate::session::query::RoomsAsked>),
    /// People who were looked for, for an IQ.
    Search(Box<crate::session::search::Search>),
    /// A contact to be added, renamed or removed by a roster set.
    Roster {
        /// The request of the user.
        iq: Box<Stanza>,
        /// What it wants.
        wanted: Box<Wanted>,
    },
    /// A contact that the user wants to see.
    Subscribe {
        /// Whom.
        contact: ContactId,
        /// The request of the user.
        presence: Box<Stanza>,
    },
    /// Something about a room.
    Room(RoomRequest),
}

/// The open requests of one assignment. Ids are never used twice within a session.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u64,
    /// In the order of asking.
    open: Vec<(RequestId, Pending)>,
}

impl Requests {
    /// Sends a verb and remembers what its outcome is for.
    pub(crate) fn send(&mut self, verb: Verb, pending: Pending, out: &mut Vec<Output>) -> RequestId {
        self.last += 1;
        let request = RequestId(self.last);
        tight::push(&mut self.open, (request, pending));
        out.push(Output::Link(LinkRequest::Verb {
            request,
            verb: Box::new(verb),
        }));
        request
    }

    /// An id for a message of this session: the backend's receipts and the user's stanzas refer to it.
    /// The time is in it because clients take a message whose id they have seen for the same message, also after a restart.
    pub(crate) fn message_id(&mut self, now: Now) -> MessageId {
        self.last += 1;
        let mut id = String::with_capacity(MESSAGE_ID_BYTES);
        // By hand: each message needs two, and `format!` takes ten times as long.
        digits(&mut id, u64::try_from(now.wall.as_millis()).unwrap_or_default(), 16);
        id.push('.');
        digits(&mut id, self.last, 10);
        MessageId::from(id)
    }

    /// What this outcome is for; `None` for one that nobody asked for.
    pub(crate) fn take(&mut self, request: RequestId) -> Option<Pending> {
        let at = self.open.binary_search_by_key(&request, |(request, _)| *request).ok()?;
        Some(self.open.remove(at).1)
    }

    /// Everything that has no outcome yet, in the order of asking: the assignment is over.
    pub(crate) fn take_all(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|(_, pending)| pending)
            .collect()
    }

    /// How many have no outcome yet.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

/// Appends a number in this base, which is at most 16.
fn digits(to: &mut String, mut number: u64, base: u64) {
    let mut reversed = [0_u8; 20];
    let mut length = 0;
    loop {
        // Below the base.
        reversed[length] = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
        length += 1;
        if number == 0 {
            break;
        }
    }
    to.extend(reversed[..length].iter().rev().map(|digit| char::from(*digit)));
}

/// What a request gets that is over the bound of open ones.
pub(crate) fn too_many() -> OpError {
    OpError::new(OpErrorKind::RateLimited, "Too many requests are waiting for the network.")
        .retry(Retry::After(std::time::Duration::from_secs(10)))
}
