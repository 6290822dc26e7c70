//! One link: a backend as its sessions see it. Owns who is on it and what is open; its reader and its writer are tasks.
//!
//! Sessions push into the [`Table`] under a lock that is held for a few map operations, never while waiting: a message to
//! an owner task would cost a further hop per stanza, and could not say at once that the link is full.

mod reader;
mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
mod transport;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::Event;
use crate::main_process::{LinkInput, LinkRefused, LinkRequest, LinkSender, SessionInbox};
use crate::model::{AssignmentId, BackendId, UserKey};
use crate::pool::notes::{Note, Notes};
use crate::wire::{FromBackend, ToBackend};

pub(crate) use reader::{End, LinkTimings, Reader};
pub(crate) use table::Logout;
use table::{Deliveries, Foreign, Table};
pub(crate) use transport::{Sink, Source, SourceEnd, in_process, native, spectrum2};

/// See the module.
pub(crate) struct Link {
    backend: BackendId,
    table: Mutex<Table>,
    /// Rung when there is something to write.
    bell: Notify,
    notes: Arc<Notes>,
    native: bool,
    pub(crate) health: LinkHealth,
}

/// What is to be seen of a link from outside.
#[derive(Debug, Default)]
pub(crate) struct LinkHealth {
    /// Frames that the link has dropped.
    link_violations: AtomicU64,
    /// Frames and fields that the codec has dropped or repaired.
    wire_violations: AtomicU64,
    /// Resident memory in KiB; 0 if unknown.
    pub(crate) resident_kib: AtomicU32,
    /// Process id; 0 if there is none.
    pub(crate) pid: AtomicU32,
    /// It did not answer and is being killed.
    pub(crate) hung: AtomicBool,
    /// A question of the backend is with the pool.
    asking: AtomicBool,
}

impl LinkHealth {
    /// Frames and fields that were dropped or repaired.
    pub(crate) fn violations(&self) -> u64 {
        self.link_violations.load(Ordering::Relaxed) + self.wire_violations.load(Ordering::Relaxed)
    }
}

/// What the reader has to do about a frame itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing.
    Done,
    /// Note that the backend is alive.
    Pong,
}

impl Link {
    pub(crate) fn new(backend: BackendId, native: bool, notes: Arc<Notes>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            table: Mutex::new(Table::new(native)),
            bell: Notify::new(),
            notes,
            native,
            health: LinkHealth::default(),
        })
    }

    pub(crate) fn backend(&self) -> BackendId {
        self.backend
    }

    /// Gives a user a seat.
    pub(crate) fn attach(&self, assignment: AssignmentId, user: UserKey, inbox: Arc<dyn SessionInbox>) {
        self.with_table(|table, out| table.attach(assignment, user, inbox, out));
    }

    /// Logs a user out whose session has let go.
    pub(crate) fn log_out(&self, assignment: AssignmentId) {
        let logout = self.table().log_out(assignment);
        match logout {
            Logout::Sent => self.bell.notify_one(),
            Logout::NotNeeded => self.notes.leave(Note::LoggedOut(assignment)),
        }
    }

    /// Forgets a seat.
    pub(crate) fn free(&self, assignment: AssignmentId) {
        self.with_table(|table, out| table.free(assignment, out));
    }

    /// Writes a frame that belongs to no user.
    pub(crate) fn push(&self, frame: ToBackend) {
        self.table().push(frame);
        self.bell.notify_one();
    }

    /// The answer to a question of the backend.
    pub(crate) fn answer(&self, text: String) {
        self.health.asking.store(false, Ordering::Release);
        self.push(ToBackend::QueryAnswer(text));
    }

    /// Tells every session: first what has become of its requests, then that the backend is lost.
    pub(crate) fn lose(&self, reason: &str) {
        self.with_table(|table, out| table.lose(reason, out));
    }

    /// Requests whose time is up are answered.
    pub(crate) fn expire(&self, now: Instant) {
        self.with_table(|table, out| table.expire(now.into_std(), out));
    }

    /// Takes a frame from the backend. Never waits.
    pub(crate) fn take(&self, frame: FromBackend) -> Taken {
        match frame {
            FromBackend::Pong => return Taken::Pong,
            FromBackend::LoggedIn { assignment } => self.deliver(assignment, LinkInput::LoggedIn),
            FromBackend::Event {
                assignment,
                durable,
                event,
            } => {
                let closing = matches!(*event, Event::Closed(_));
                let input = LinkInput::Event { event, durable };
                if closing {
                    let closed = self.with_table(|table, out| table.closed(assignment, input, out));
                    self.judge(closed);
                } else {
                    self.deliver(assignment, input);
                }
            }
            FromBackend::Outcome {
                assignment,
                request,
                outcome,
            } => {
                let listener = self.table().outcome(assignment, request);
                if let Some(inbox) = self.judge(listener).flatten() {
                    inbox.deliver(assignment, LinkInput::Outcome { request, outcome });
                }
            }
            FromBackend::LoggedOut { assignment } => {
                let expected = self.table().logged_out(assignment);
                if expected {
                    self.notes.leave(Note::LoggedOut(assignment));
                }
            }
            FromBackend::Prompt {
                assignment,
                prompt,
                what,
            } => self.deliver(assignment, LinkInput::Prompt { prompt, what }),
            FromBackend::Query(text) => {
                if self.health.asking.swap(true, Ordering::AcqRel) {
                    self.violation();
                } else {
                    self.notes.leave(Note::Query {
                        backend: self.backend,
                        text,
                    });
                }
            }
            FromBackend::Stats(usage) => self.health.resident_kib.store(usage.resident, Ordering::Relaxed),
            FromBackend::Info(info) => self.notes.leave_info(Arc::new(*info)),
            FromBackend::Hello { .. } | FromBackend::Refused { .. } => self.violation(),
        }
        Taken::Done
    }

    /// One more thing the backend did wrong.
    pub(crate) fn violation(&self) {
        self.health.link_violations.fetch_add(1, Ordering::Relaxed);
    }

    fn deliver(&self, assignment: AssignmentId, input: LinkInput) {
        let listener = self.table().listener(assignment);
        if let Some(inbox) = self.judge(listener).flatten() {
            inbox.deliver(assignment, input);
        }
    }

    fn judge<T>(&self, result: Result<T, Foreign>) -> Option<T> {
        if result.is_err() {
            self.violation();
        }
        result.ok()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table, and delivers once its lock is released: an inbox may have a lock of its own.
    fn with_table<T>(&self, change: impl FnOnce(&mut Table, &mut Deliveries) -> T) -> T {
        let mut out = Deliveries::new();
        let result = change(&mut self.table(), &mut out);
        for (inbox, assignment, input) in out {
            inbox.deliver(assignment, input);
        }
        result
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("backend", &self.backend)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl LinkSender for Link {
    fn send(&self, assignment: AssignmentId, request: LinkRequest) -> Result<(), LinkRefused> {
        let now = Instant::now().into_std();
        let sent = self.with_table(|table, out| table.send(assignment, request, now, out));
        if sent.is_ok() {
            self.bell.notify_one();
        }
        sent
    }

    fn credit(&self, assignment: AssignmentId, events: u32) {
        if self.native && self.table().credit(assignment, events) {
            self.bell.notify_one();
        }
    }

    fn committed(&self, assignment: AssignmentId, event: u64) {
        if self.native && self.table().committed(assignment, event) {
            self.bell.notify_one();
        }
    }

    fn release(&self, assignment: AssignmentId) {
        self.table().let_go(assignment);
        self.notes.leave(Note::Released(assignment));
    }
}
