//! The state of the network: who is here, their accounts, talks and rooms. One lock, held for a look-up or a change; what is
//! told goes into lines under it, which never wait, so that everybody hears everything in the same order.

mod contacts;
mod log;
mod people;
mod place;
mod room;
mod rooms;
mod settings;
mod standing;
mod talk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spectrum_backend_sdk::model::{ContactId, MessageId, Presence, Profile, RoomId, Subscription, Timestamp};
use spectrum_backend_sdk::{OpError, OpErrorKind};
use tokio::time::Instant;

use crate::line::Line;
use crate::options::DemoOptions;
use log::Log;
use room::Room;

pub use room::{COUNCIL, CROWD, LOBBY, VAULT, VAULT_PASSWORD};
pub(crate) use settings::Decree;
pub(crate) use standing::Measure;
pub(crate) use talk::Draft;

/// The network as its sessions hold it.
pub(crate) type Shared = Arc<Network>;

/// People logged in at once; a further one is asked to come later.
pub(crate) const MAX_PEOPLE: usize = 10_000;
/// Talks of two whose messages are kept; the one that has been silent longest goes first.
const MAX_TALKS: usize = 10_000;

/// Everything there is.
pub(crate) struct Network {
    state: Mutex<State>,
    clock: Clock,
    /// The picture that people send.
    pub(crate) media: String,
}

/// Wall time that follows tokio's clock.
struct Clock {
    started: Instant,
    wall: Duration,
}

impl Clock {
    fn now(&self) -> Timestamp {
        let now = self.wall + self.started.elapsed();
        Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }
}

#[derive(Default)]
struct State {
    last: u64,
    people: HashMap<ContactId, Person>,
    /// What is remembered of people while the network runs.
    accounts: HashMap<ContactId, Account>,
    rooms: BTreeMap<RoomId, Room>,
    /// What two people said, by both names in their order.
    talks: HashMap<(ContactId, ContactId), Log>,
    /// How often somebody who is always here has taken another picture.
    faces: HashMap<ContactId, u32>,
}

/// Somebody logged in. The seat tells one stay from the next.
struct Person {
    seat: u64,
    line: Line,
    presence: Presence,
}

/// What is remembered of somebody.
#[derive(Default)]
struct Account {
    /// Contacts that were added or filed.
    cards: BTreeMap<ContactId, Card>,
    /// Who would be a contact by themselves, but was removed.
    removed: BTreeSet<ContactId>,
    blocked: BTreeSet<ContactId>,
    profile: Profile,
    /// Rooms that another device of theirs is in.
    rooms: BTreeSet<RoomId>,
}

/// How a contact is called and filed.
#[derive(Clone, Default)]
struct Card {
    alias: Option<String>,
    groups: Vec<String>,
    subscription: Subscription,
}

impl Network {
    /// A network with its rooms, and the people who are always there.
    pub(crate) fn new(options: &DemoOptions) -> Self {
        let clock = Clock {
            started: Instant::now(),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        };
        let mut state = State::default();
        room::furnish(&mut state, options.members, clock.now());
        Self {
            state: Mutex::new(state),
            clock,
            media: options.media.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl State {
    fn next_id(&mut self) -> MessageId {
        self.last += 1;
        MessageId::from(format!("demo-{}", self.last))
    }
}

fn nobody() -> OpError {
    OpError::new(OpErrorKind::NotFound, "Nobody of that name is on the demo network.")
}

fn not_inside() -> OpError {
    OpError::new(OpErrorKind::NotAllowed, "You are not in the room.")
}
