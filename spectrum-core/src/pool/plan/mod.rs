//! Who is on which backend, which backends there have to be, and who waits. A pure state machine without I/O or clock.
//!
//! Owned by the pool's task alone, which feeds it [`PlanEvent`]s and carries out the [`Action`]s. One user is never on two
//! backends: who comes back while the old seat still counts waits until that is free.

mod crashes;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{AssignmentId, BackendId, UserKey};

use crashes::Crashes;
pub use crashes::{FAILING_DEATHS, FAILING_WINDOW};
pub use vocabulary::{Action, BackendState, Ending, PlanEvent, Refusal, WaiterId};

/// Users that wait for a seat, at most; the next one is refused as busy. A waiter costs about 200 bytes.
pub const MAX_WAITING: usize = 65_536;

/// Backends that are started at the same time, so that a full house does not start a hundred processes at once.
pub const MAX_STARTING: usize = 4;

/// What the plan is made by.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// Users on one backend, at most; at least one.
    pub users_per_backend: usize,
    /// Backends with room that are kept although nobody is waiting.
    pub min_spare: usize,
    /// How long an empty backend beyond that is kept.
    pub idle: Duration,
    /// How long a seat counts after it was let go, unless the logout is confirmed before.
    pub logout_grace: Duration,
    /// Users that wait, at most.
    pub max_waiting: usize,
    /// The longest wait before the first retry after a death; later ones come at twice that, and so on.
    pub backoff: Duration,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            users_per_backend: 5_000,
            min_spare: 1,
            idle: Duration::from_secs(60),
            logout_grace: Duration::from_secs(10),
            max_waiting: MAX_WAITING,
            backoff: Duration::from_secs(1),
        }
    }
}

/// Who is on which backend. See the module.
#[derive(Debug)]
pub struct Plan {
    options: PlanOptions,
    backends: BTreeMap<BackendId, Place>,
    seats: HashMap<AssignmentId, Seat>,
    /// The one seat of each user, let go or not.
    users: HashMap<UserKey, AssignmentId>,
    /// Wishes in the order they are served.
    queue: BTreeMap<WaiterId, UserKey>,
    /// Wishes of users whose old seat still counts.
    behind: HashMap<UserKey, BTreeSet<WaiterId>>,
    /// The user of every wish that is behind.
    blocked: HashMap<WaiterId, UserKey>,
    /// When seats that were let go stop to count; in order, as all have the same grace.
    leaving: VecDeque<(Instant, AssignmentId)>,
    /// Ready backends with a free seat.
    roomy: BTreeSet<BackendId>,
    /// Ready backends without users, and since when.
    empty: BTreeMap<BackendId, Instant>,
    starting: usize,
    lost: usize,
    crashes: Crashes,
    stopping: bool,
    next_backend: u32,
    next_assignment: u64,
}

#[derive(Debug)]
struct Place {
    state: BackendState,
    seats: HashSet<AssignmentId>,
}

#[derive(Debug)]
struct Seat {
    user: UserKey,
    backend: BackendId,
    let_go: bool,
}

impl Plan {
    /// A plan without backends. The first [`PlanEvent::TimePassed`] starts the spare ones.
    pub fn new(mut options: PlanOptions) -> Self {
        options.users_per_backend = options.users_per_backend.max(1);
        let crashes = Crashes::new(options.backoff);
        Self {
            options,
            backends: BTreeMap::new(),
            seats: HashMap::new(),
            users: HashMap::new(),
            queue: BTreeMap::new(),
            behind: HashMap::new(),
            blocked: HashMap::new(),
            leaving: VecDeque::new(),
            roomy: BTreeSet::new(),
            empty: BTreeMap::new(),
            starting: 0,
            lost: 0,
            crashes,
            stopping: false,
            next_backend: 1,
            next_assignment: 1,
        }
    }

    /// Takes in what has happened and appends what is to be done.
    pub fn handle(&mut self, event: PlanEvent, now: Instant, out: &mut Vec<Action>) {
        match event {
            PlanEvent::Wanted { waiter, user } => self.want(waiter, user, out),
            PlanEvent::GivenUp { waiter } => self.give_up(waiter),
            PlanEvent::Ready { backend } => self.ready(backend, now),
            PlanEvent::Lost { backend } => self.lost(backend),
            PlanEvent::Ended { backend, ending } => self.ended(backend, ending, now),
            PlanEvent::Released { assignment } => self.released(assignment, now, out),
            PlanEvent::LoggedOut { assignment } => self.free(assignment, now, out),
            PlanEvent::TimePassed => {}
            PlanEvent::Stopped => self.stop(out),
        }
        self.settle(now, out);
    }

    /// When [`PlanEvent::TimePassed`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.front().map(|(at, _)| *at);
        let idle = (self.surplus() > 0)
            .then(|| self.empty.values().min().map(|since| *since + self.options.idle))
            .flatten();
        let start = if self.missing() > 0 { self.crashes.not_before() } else { None };
        [leaving, idle, start].into_iter().flatten().min()
    }

    /// The backends, and how many seats of each are taken.
    pub fn backends(&self) -> impl Iterator<Item = (BackendId, BackendState, usize)> + '_ {
        self.backends.iter().map(|(id, place)| (*id, place.state, place.seats.len()))
    }

    /// How many users wait.
    pub fn waiting(&self) -> usize {
        self.queue.len() + self.blocked.len()
    }

    /// Why backends die or cannot be started, if they do.
    pub fn failing(&self) -> Option<&str> {
        self.crashes.failing()
    }

    /// Whether a user could be seated now.
    pub fn has_room(&self) -> bool {
        !self.roomy.is_empty()
    }

    /// Whether the main process ends.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// How many seats of a backend are taken.
    pub fn users_on(&self, backend: BackendId) -> usize {
        self.backends.get(&backend).map_or(0, |place| place.seats.len())
    }

    fn want(&mut self, waiter: WaiterId, user: UserKey, out: &mut Vec<Action>) {
        if self.stopping {
            out.push(Action::Refuse {
                waiter,
                why: Refusal::Stopping,
            });
        } else if self.waiting() >= self.options.max_waiting {
            out.push(Action::Refuse {
                waiter,
                why: Refusal::Busy,
            });
        } else {
            self.queue.insert(waiter, user);
        }
    }

    fn give_up(&mut self, waiter: WaiterId) {
        self.queue.remove(&waiter);
        if let Some(user) = self.blocked.remove(&waiter)
            && let Some(waiters) = self.behind.get_mut(&user)
        {
            waiters.remove(&waiter);
            if waiters.is_empty() {
                self.behind.remove(&user);
            }
        }
    }

    fn ready(&mut self, backend: BackendId, now: Instant) {
        let Some(place) = self.backends.get_mut(&backend) else {
            return;
        };
        if place.state != BackendState::Starting {
            return;
        }
        self.starting -= 1;
        place.state = BackendState::Ready;
        self.roomy.insert(backend);
        self.empty.insert(backend, now);
        self.crashes.came_up();
    }

    fn lost(&mut self, backend: BackendId) {
        let Some(place) = self.backends.get_mut(&backend) else {
            return;
        };
        if place.state == BackendState::Ready {
            place.state = BackendState::Lost;
            self.lost += 1;
            self.roomy.remove(&backend);
            self.empty.remove(&backend);
        }
    }

    fn ended(&mut self, backend: BackendId, ending: Ending, now: Instant) {
        let Some(place) = self.backends.remove(&backend) else { return };
        match place.state {
            BackendState::Starting => self.starting -= 1,
            BackendState::Lost => self.lost -= 1,
            BackendState::Ready | BackendState::Retiring => {}
        }
        self.roomy.remove(&backend);
        self.empty.remove(&backend);
        for assignment in place.seats {
            if let Some(seat) = self.seats.remove(&assignment) {
                self.vacate(assignment, seat.user);
            }
        }
        // One that was asked to end is not blamed for how it does that.
        if place.state == BackendState::Retiring || self.stopping {
            return;
        }
        match ending {
            Ending::Asked => {}
            Ending::Died { reason, jitter } => self.crashes.died(reason, jitter, now),
            Ending::Unusable { reason, jitter } => self.crashes.unusable(reason, jitter, now),
        }
    }

    fn released(&mut self, assignment: AssignmentId, now: Instant, out: &mut Vec<Action>) {
        let Some(seat) = self.seats.get_mut(&assignment) else { return };
        if seat.let_go {
            return;
        }
        seat.let_go = true;
        self.leaving.push_back((now + self.options.logout_grace, assignment));
        out.push(Action::Logout {
            assignment,
            backend: seat.backend,
        });
    }

    fn free(&mut self, assignment: AssignmentId, now: Instant, out: &mut Vec<Action>) {
        // A confirmation that nobody asked for frees nothing: the session still holds its seat.
        if !self.seats.get(&assignment).is_some_and(|seat| seat.let_go) {
            return;
        }
        let Some(seat) = self.seats.remove(&assignment) else { return };
        let backend = seat.backend;
        if let Some(place) = self.backends.get_mut(&backend) {
            place.seats.remove(&assignment);
            if place.state == BackendState::Ready {
                self.roomy.insert(backend);
                if place.seats.is_empty() {
                    self.empty.insert(backend, now);
                }
            }
        }
        self.vacate(assignment, seat.user);
        out.push(Action::Free { assignment, backend });
    }

    /// The user has no seat any more: who waited for that is back in the queue, at the old place.
    fn vacate(&mut self, assignment: AssignmentId, user: UserKey) {
        if self.users.get(&user) == Some(&assignment) {
            self.users.remove(&user);
        }
        for waiter in self.behind.remove(&user).into_iter().flatten() {
            self.blocked.remove(&waiter);
            self.queue.insert(waiter, user.clone());
        }
    }

    fn stop(&mut self, out: &mut Vec<Action>) {
        self.stopping = true;
        let waiters = std::mem::take(&mut self.queue)
            .into_keys()
            .chain(std::mem::take(&mut self.blocked).into_keys());
        out.extend(waiters.map(|waiter| Action::Refuse {
            waiter,
            why: Refusal::Stopping,
        }));
        self.behind.clear();
        self.roomy.clear();
        self.empty.clear();
        self.starting = 0;
        self.lost = 0;
        for (id, place) in &mut self.backends {
            if place.state != BackendState::Retiring {
                place.state = BackendState::Retiring;
                out.push(Action::Retire(*id));
            }
        }
    }

    /// Does what has become possible or due.
    fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((at, assignment)) = self.leaving.front().copied()
            && (at <= now || !self.seats.contains_key(&assignment))
        {
            self.leaving.pop_front();
            self.free(assignment, now, out);
        }
        if self.stopping {
            return;
        }
        self.seat_waiters(out);
        if let Some(reason) = self.crashes.failing()
            && self.roomy.is_empty()
        {
            let why = Refusal::Failing(reason.to_owned());
            let waiters = std::mem::take(&mut self.queue).into_keys();
            out.extend(waiters.map(|waiter| Action::Refuse {
                waiter,
                why: why.clone(),
            }));
        }
        if self.crashes.may_start(now) {
            for _ in 0..self.missing() {
                let id = BackendId(self.next_backend);
                self.next_backend += 1;
                self.starting += 1;
                self.backends.insert(
                    id,
                    Place {
                        state: BackendState::Starting,
                        seats: HashSet::new(),
                    },
                );
                out.push(Action::Start(id));
            }
        }
        self.retire_idle(now, out);
    }

    fn seat_waiters(&mut self, out: &mut Vec<Action>) {
        while let Some(&backend) = self.roomy.first()
            && let Some((waiter, user)) = self.queue.pop_first()
        {
            if self.users.contains_key(&user) {
                self.blocked.insert(waiter, user.clone());
                self.behind.entry(user).or_default().insert(waiter);
                continue;
            }
            let Some(place) = self.backends.get_mut(&backend) else {
                continue;
            };
            let assignment = AssignmentId(self.next_assignment);
            self.next_assignment += 1;
            place.seats.insert(assignment);
            if place.seats.len() >= self.options.users_per_backend {
                self.roomy.remove(&backend);
            }
            self.empty.remove(&backend);
            self.users.insert(user.clone(), assignment);
            self.seats.insert(
                assignment,
                Seat {
                    user: user.clone(),
                    backend,
                    let_go: false,
                },
            );
            out.push(Action::Seat {
                waiter,
                user,
                assignment,
                backend,
            });
        }
    }

    /// How many backends have to be started now.
    fn missing(&self) -> usize {
        if self.stopping {
            return 0;
        }
        let waiting = self.queue.len();
        let per_backend = self.options.users_per_backend;
        let lacking = self.options.min_spare.saturating_sub(self.roomy.len());
        let wanted = if lacking > 0 {
            waiting / per_backend + lacking
        } else {
            waiting.div_ceil(per_backend)
        };
        // After a failure one at a time, until one comes up.
        let at_once = if self.crashes.is_recovering() { 1 } else { MAX_STARTING };
        // Whether a lost one may be replaced at once is known when it is known how it ended.
        wanted.min(at_once).saturating_sub(self.starting + self.lost)
    }

    /// Backends with room beyond those that are kept.
    fn surplus(&self) -> usize {
        self.roomy.len().saturating_sub(self.options.min_spare)
    }

    fn retire_idle(&mut self, now: Instant, out: &mut Vec<Action>) {
        for _ in 0..self.surplus() {
            // The youngest goes first: the oldest is filled first.
            let Some(id) = self
                .empty
                .iter()
                .rev()
                .find(|(_, since)| **since + self.options.idle <= now)
                .map(|(id, _)| *id)
            else {
                return;
            };
            self.empty.remove(&id);
            self.roomy.remove(&id);
            if let Some(place) = self.backends.get_mut(&id) {
                place.state = BackendState::Retiring;
            }
            out.push(Action::Retire(id));
        }
    }
}
