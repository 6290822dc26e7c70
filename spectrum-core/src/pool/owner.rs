//! The pool's task: owns the plan, the table of backends and the users who wait, and does what the plan says.
//!
//! It waits for no session and no backend: what they have to say they leave as notes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use metrics::{Counter, Gauge};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::info_span;

use super::handle::Shared;
use super::info;
use super::link::Link;
use super::notes::Note;
use super::options::{BackendSource, PoolOptions};
use super::plan::{Action, BackendState, Plan, PlanEvent, PlanOptions, Refusal, WaiterId};
use super::snapshot::{Crash, Line, Snapshot};
use super::start::Starter;
use super::supervisor::{Supervisor, Told};
use crate::backend::BackendInfo;
use crate::config::Wire;
use crate::main_process::{AssignError, Assignment, LinkSender, PoolHealth, SessionInbox};
use crate::model::{AssignmentId, BackendId, UserKey};
use crate::tasks::Tasks;

/// Wishes taken in at once.
const BATCH: usize = 256;

/// Crashes that are remembered for the admin.
const CRASHES: usize = 10;

/// A wish for a seat.
pub(super) struct Want {
    pub(super) waiter: WaiterId,
    pub(super) user: UserKey,
    pub(super) inbox: Arc<dyn SessionInbox>,
    pub(super) reply: oneshot::Sender<Result<Assignment, AssignError>>,
}

/// See the module.
pub(super) struct Owner {
    options: Arc<PoolOptions>,
    tasks: Tasks,
    shared: Arc<Shared>,
    plan: Plan,
    backends: BTreeMap<BackendId, Entry>,
    waiters: HashMap<WaiterId, Want>,
    crashes: VecDeque<Arc<Crash>>,
    degraded: Option<String>,
    actions: Vec<Action>,
    metrics: Metrics,
}

/// One backend, until nothing of it is left.
struct Entry {
    link: Arc<Link>,
    started: Instant,
    retire: CancellationToken,
    /// Users on it when it died; `None` while it lives or if it was asked to end.
    died_with: Option<usize>,
}

struct Metrics {
    backends: Gauge,
    users: Gauge,
    waiting: Gauge,
    crashes: Counter,
    violations: Counter,
}

impl Metrics {
    fn new() -> Self {
        Self {
            backends: metrics::gauge!("spectrum_backends"),
            users: metrics::gauge!("spectrum_backend_users"),
            waiting: metrics::gauge!("spectrum_users_waiting"),
            crashes: metrics::counter!("spectrum_backend_crashes_total"),
            violations: metrics::counter!("spectrum_backend_violations_total"),
        }
    }
}

impl Owner {
    pub(super) fn new(options: PoolOptions, tasks: Tasks, shared: Arc<Shared>) -> Self {
        let plan = Plan::new(PlanOptions {
            users_per_backend: options.users_per_backend,
            min_spare: options.min_spare,
            idle: options.timings.idle,
            logout_grace: options.timings.logout_grace,
            backoff: options.timings.backoff,
            ..PlanOptions::default()
        });
        Self {
            options: Arc::new(options),
            tasks,
            shared,
            plan,
            backends: BTreeMap::new(),
            waiters: HashMap::new(),
            crashes: VecDeque::new(),
            degraded: None,
            actions: Vec::new(),
            metrics: Metrics::new(),
        }
    }

    /// Runs until the pool was stopped and nothing of its backends is left.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Want>) {
        let shared = Arc::clone(&self.shared);
        let _done = shared.done.clone().drop_guard();
        let tasks = self.tasks.clone();
        let mut wants = Vec::new();
        let mut notes = Vec::new();
        let mut open = true;
        self.plan(PlanEvent::TimePassed);
        loop {
            self.publish();
            if self.plan.is_stopping() && self.backends.is_empty() {
                return;
            }
            let deadline = self.plan.next_deadline().map(Instant::from_std);
            tokio::select! {
                taken = inbox.recv_many(&mut wants, BATCH), if open => {
                    if taken == 0 {
                        // The pool was dropped.
                        open = false;
                        self.plan(PlanEvent::Stopped);
                    }
                }
                () = shared.notes.rung() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.plan(PlanEvent::TimePassed),
                () = shared.stop.cancelled(), if !self.plan.is_stopping() => self.plan(PlanEvent::Stopped),
                () = tasks.stopping(), if !self.plan.is_stopping() => self.plan(PlanEvent::Stopped),
            }
            for want in wants.drain(..) {
                self.want(want);
            }
            if let Some(info) = shared.notes.take_info() {
                self.learn(info);
            }
            shared.notes.take(&mut notes);
            for note in notes.drain(..) {
                self.read(note);
            }
        }
    }

    fn want(&mut self, want: Want) {
        if want.reply.is_closed() {
            return;
        }
        let (waiter, user) = (want.waiter, want.user.clone());
        self.waiters.insert(waiter, want);
        self.plan(PlanEvent::Wanted { waiter, user });
    }

    fn learn(&mut self, info: Arc<BackendInfo>) {
        let new = self.shared.info.send_if_modified(|known| {
            let new = known.as_ref() != Some(&info);
            *known = Some(Arc::clone(&info));
            new
        });
        if new && let Some(path) = self.options.info_cache.clone() {
            self.tasks
                .spawn("info-cache", tracing::Span::current(), info::save(path, info));
        }
    }

    fn read(&mut self, note: Note) {
        match note {
            Note::Released(assignment) => self.plan(PlanEvent::Released { assignment }),
            Note::LoggedOut(assignment) => self.plan(PlanEvent::LoggedOut { assignment }),
            Note::GivenUp(waiter) => {
                self.waiters.remove(&waiter);
                self.plan(PlanEvent::GivenUp { waiter });
            }
            Note::Ready(backend) => self.plan(PlanEvent::Ready { backend }),
            Note::Lost(backend) => {
                self.count_users(backend);
                self.plan(PlanEvent::Lost { backend });
            }
            Note::Degraded(text) => self.degraded = Some(text),
            Note::Ended { backend, ending } => {
                self.count_users(backend);
                self.plan(PlanEvent::Ended { backend, ending });
            }
            Note::Reaped { backend, how, stderr } => self.bury(backend, how, stderr),
            Note::Query { backend, text } => self.answer(backend, &text),
        }
    }

    /// Remembers how many users a backend had that dies, before they leave it.
    fn count_users(&mut self, backend: BackendId) {
        let users = self.plan.users_on(backend);
        if let Some(entry) = self.backends.get_mut(&backend)
            && entry.died_with.is_none()
            && !entry.retire.is_cancelled()
        {
            entry.died_with = Some(users);
            self.metrics.crashes.increment(1);
        }
    }

    fn bury(&mut self, backend: BackendId, how: String, stderr: String) {
        let Some(entry) = self.backends.remove(&backend) else { return };
        let Some(users) = entry.died_with else {
            tracing::info!(backend = %backend, how, "Backend has ended.");
            return;
        };
        tracing::error!(backend = %backend, how, users, "Backend died.");
        self.crashes.push_front(Arc::new(Crash {
            id: backend,
            how,
            stderr,
            at: Instant::now(),
            users,
        }));
        self.crashes.truncate(CRASHES);
    }

    fn answer(&mut self, backend: BackendId, command: &str) {
        self.publish();
        let Some(entry) = self.backends.get(&backend) else { return };
        let status = self.shared.snapshot.borrow().status();
        let command = command.trim();
        let own = || match command {
            "status" => {
                let users: usize = status.backends.iter().map(|b| b.users).sum();
                format!("Running ({users} users connected using {} backends)", status.backends.len())
            }
            _ => "Unknown command.".to_owned(),
        };
        let answer = self
            .options
            .queries
            .as_ref()
            .and_then(|q| q.answer(backend, command, &status))
            .unwrap_or_else(own);
        entry.link.answer(answer);
    }

    /// Tells the plan, and does what it says.
    fn plan(&mut self, event: PlanEvent) {
        let mut actions = std::mem::take(&mut self.actions);
        self.plan.handle(event, Instant::now().into_std(), &mut actions);
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(backend) => self.start(backend),
            Action::Seat {
                waiter,
                user,
                assignment,
                backend,
            } => self.seat(waiter, user, assignment, backend),
            Action::Refuse { waiter, why } => {
                if let Some(want) = self.waiters.remove(&waiter) {
                    let _ = want.reply.send(Err(match why {
                        Refusal::Failing(reason) => AssignError::Failing { reason },
                        Refusal::Busy => AssignError::Busy,
                        Refusal::Stopping => AssignError::Stopping,
                    }));
                }
            }
            Action::Logout { assignment, backend } => match self.backends.get(&backend) {
                Some(entry) => entry.link.log_out(assignment),
                None => self.shared.notes.leave(Note::LoggedOut(assignment)),
            },
            Action::Free { assignment, backend } => {
                if let Some(entry) = self.backends.get(&backend) {
                    entry.link.free(assignment);
                }
            }
            Action::Retire(backend) => {
                if let Some(entry) = self.backends.get(&backend) {
                    entry.retire.cancel();
                }
            }
        }
    }

    fn start(&mut self, backend: BackendId) {
        let native = match self.options.source {
            BackendSource::Builtin(_) | BackendSource::Command { wire: Wire::Native, .. } => true,
            BackendSource::Command {
                wire: Wire::Spectrum2, ..
            } => false,
        };
        let link = Link::new(backend, native, Arc::clone(&self.shared.notes));
        let retire = CancellationToken::new();
        let supervisor = Supervisor {
            starter: Starter {
                options: Arc::clone(&self.options),
                tasks: self.tasks.clone(),
                notes: Arc::clone(&self.shared.notes),
            },
            link: Arc::clone(&link),
            retire: retire.clone(),
            kill: self.shared.kill.clone(),
            violations: self.metrics.violations.clone(),
            told: Told::default(),
        };
        self.tasks
            .spawn("backend", info_span!("backend", id = %backend), supervisor.run());
        self.backends.insert(
            backend,
            Entry {
                link,
                started: Instant::now(),
                retire,
                died_with: None,
            },
        );
    }

    fn seat(&mut self, waiter: WaiterId, user: UserKey, assignment: AssignmentId, backend: BackendId) {
        let link = self.backends.get(&backend).map(|entry| Arc::clone(&entry.link));
        match (self.waiters.remove(&waiter), link) {
            (Some(want), Some(link)) => {
                link.attach(assignment, user, want.inbox);
                // A seat that nobody takes any more is dropped here, which gives it back.
                let _ = want
                    .reply
                    .send(Ok(Assignment::new(assignment, backend, link as Arc<dyn LinkSender>)));
            }
            (_, _) => self.shared.notes.leave(Note::Released(assignment)),
        }
    }

    /// Makes what `status` and the metrics show true.
    fn publish(&mut self) {
        let mut states: HashMap<BackendId, (BackendState, usize)> =
            self.plan.backends().map(|(id, state, users)| (id, (state, users))).collect();
        let (mut ready, mut users) = (0_usize, 0_usize);
        let backends: Vec<Line> = self
            .backends
            .iter()
            .map(|(id, entry)| {
                let in_plan = states.remove(id);
                let on_it = in_plan.map_or(0, |(_, users)| users);
                ready += usize::from(in_plan.is_some_and(|(state, _)| state == BackendState::Ready));
                users += on_it;
                Line {
                    link: Arc::clone(&entry.link),
                    state: in_plan.map(|(state, _)| state),
                    users: on_it,
                    started: entry.started,
                }
            })
            .collect();
        let failing = self.plan.failing();
        let health = if self.plan.is_stopping() {
            PoolHealth::Stopping
        } else if failing.is_some() && !self.plan.has_room() {
            PoolHealth::Failing
        } else if ready > 0 {
            PoolHealth::Ready
        } else {
            PoolHealth::Starting
        };
        let reason = failing.map(str::to_owned).or_else(|| self.degraded.clone());
        self.metrics.backends.set(backends.len() as f64);
        self.metrics.users.set(users as f64);
        self.metrics.waiting.set(self.plan.waiting() as f64);
        let snapshot = Snapshot {
            health,
            reason,
            waiting: self.plan.waiting(),
            backends,
            crashes: self.crashes.clone(),
        };
        self.shared.snapshot.send_replace(snapshot);
    }
}
