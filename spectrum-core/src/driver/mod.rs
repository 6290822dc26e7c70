//! The only caller of the backend traits, the same in a backend process and in the main process: frames in, frames out.
//!
//! One task reads frames and owns the table of assignments; each assignment has a task of its own (`session.rs`) that owns the
//! legacy session and the order of its verbs. Nobody but the one user concerned ever waits for a legacy session: verbs are
//! handed over without waiting, and events take [`EVENT_CREDIT`], which only this user's events use up.

mod events;
mod queue;
mod session;
mod verbs;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::backend::{Backend, LoginError, LoginErrorKind, OpError, OpErrorKind, Outcome, Retry};
use crate::model::{AssignmentId, RequestId};
use crate::tasks::Tasks;
use crate::wire::{FromBackend, LoginRequest, ToBackend};

use events::Reports;
use queue::Waiting;
use session::SessionTask;

/// Events of one user that may be on the way to the core; further ones wait in `emit`.
pub const EVENT_CREDIT: usize = 64;

/// Verbs of one user that may wait. A further one is refused: nothing was sent, and it may be tried again.
pub const WAITING_VERBS: usize = 1024;

/// How long a logout may take, from the frame to its answer: shorter than the main process waits for it.
pub const LOGOUT_DEADLINE: Duration = Duration::from_secs(9);

/// How long verbs that were asked for before a logout go on as if nothing had happened.
pub const LOGOUT_DRAIN: Duration = Duration::from_secs(2);

/// Runs a backend until [`ToBackend::Exit`] or until `frames` ends, then logs everybody out, and returns.
///
/// The first frame out is [`FromBackend::Info`]. `frames` is read without ever waiting for a legacy session; it does wait for
/// `out`, whose reader therefore must not wait for `frames` to be read.
pub async fn run(backend: Arc<dyn Backend>, mut frames: mpsc::Receiver<ToBackend>, out: mpsc::Sender<FromBackend>, tasks: Tasks) {
    let info = Box::new(backend.info());
    // Whether anybody still listens shows when `frames` ends; until then a lost answer is nobody's.
    let _ = out.send(FromBackend::Info(info)).await;
    let mut driver = Driver {
        backend,
        out,
        tasks,
        sessions: HashMap::new(),
    };
    let mut ended = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((assignment, result)) = ended.next(), if !ended.is_empty() => driver.ended(assignment, result).await,
            frame = frames.recv() => match frame {
                Some(ToBackend::Login(login)) => {
                    let assignment = login.assignment;
                    if let Some(task) = driver.login(*login) {
                        ended.push(async move { (assignment, task.await) });
                    }
                }
                Some(ToBackend::Exit) | None => break,
                Some(frame) => driver.handle(frame).await,
            },
        }
    }
    for session in driver.sessions.values() {
        session.logout.cancel();
    }
    while let Some((assignment, result)) = ended.next().await {
        driver.ended(assignment, result).await;
    }
}

/// What the reading task knows of an assignment.
struct Handle {
    verbs: mpsc::Sender<Waiting>,
    reports: Arc<Reports>,
    logout: CancellationToken,
}

struct Driver {
    backend: Arc<dyn Backend>,
    out: mpsc::Sender<FromBackend>,
    tasks: Tasks,
    sessions: HashMap<AssignmentId, Handle>,
}

impl Driver {
    fn login(&mut self, login: LoginRequest) -> Option<impl Future<Output = Result<(), crate::tasks::TaskError>> + use<>> {
        let assignment = login.assignment;
        if self.sessions.contains_key(&assignment) {
            tracing::warn!(%assignment, "A second login of one assignment was ignored.");
            return None;
        }
        let (verbs, inbox) = mpsc::channel(WAITING_VERBS);
        let reports = Arc::new(Reports::new(assignment, self.out.clone()));
        let logout = CancellationToken::new();
        let task = SessionTask {
            backend: Arc::clone(&self.backend),
            out: self.out.clone(),
            reports: Arc::clone(&reports),
            inbox,
            logout: logout.clone(),
        };
        self.sessions.insert(assignment, Handle { verbs, reports, logout });
        let span = tracing::info_span!("legacy_session", %assignment);
        Some(
            self.tasks
                .spawn("legacy session", Span::none(), task.run(login).instrument(span)),
        )
    }

    async fn handle(&mut self, frame: ToBackend) {
        match frame {
            ToBackend::Request {
                assignment,
                request,
                verb,
            } => {
                if let Err(error) = self.request(assignment, Waiting::new(request, verb)) {
                    self.answer(assignment, request, Err(error)).await;
                }
            }
            ToBackend::Logout { assignment } => match self.sessions.get(&assignment) {
                Some(session) => session.logout.cancel(),
                None => self.send(FromBackend::LoggedOut { assignment }).await,
            },
            ToBackend::Credit { assignment, events } => self.report(assignment, |reports| reports.credit(events)),
            ToBackend::Committed { assignment, event } => self.report(assignment, |reports| reports.committed(event)),
            ToBackend::PromptAnswer {
                assignment,
                prompt,
                answers,
            } => {
                self.report(assignment, |reports| reports.answered(prompt, answers));
            }
            ToBackend::Ping => self.send(FromBackend::Pong).await,
            // The greeting is over before a driver runs; backends ask nothing of an admin's; the others are handled above.
            ToBackend::Version { .. } | ToBackend::QueryAnswer(_) | ToBackend::Login(_) | ToBackend::Exit => {}
        }
    }

    fn request(&self, assignment: AssignmentId, waiting: Waiting) -> Result<(), OpError> {
        let session = self
            .sessions
            .get(&assignment)
            .filter(|session| !session.logout.is_cancelled());
        let session = session.ok_or_else(|| OpError::not_connected("You are not connected to the network."))?;
        session.verbs.try_send(waiting).map_err(|_| too_many())
    }

    fn report(&self, assignment: AssignmentId, what: impl FnOnce(&Reports)) {
        if let Some(session) = self.sessions.get(&assignment) {
            what(&session.reports);
        }
    }

    async fn answer(&self, assignment: AssignmentId, request: RequestId, outcome: Outcome) {
        self.send(FromBackend::Outcome {
            assignment,
            request,
            outcome: Box::new(outcome),
        })
        .await;
    }

    async fn send(&self, frame: FromBackend) {
        let _ = self.out.send(frame).await;
    }

    /// A session's task is over; a defect in it must not leave the core waiting.
    async fn ended(&mut self, assignment: AssignmentId, result: Result<(), crate::tasks::TaskError>) {
        let Some(session) = self.sessions.remove(&assignment) else {
            return;
        };
        if result.is_err() {
            session.reports.close(defect()).await;
            self.send(FromBackend::LoggedOut { assignment }).await;
        }
    }
}

/// Verbs come faster than the network takes them.
fn too_many() -> OpError {
    OpError::new(OpErrorKind::RateLimited, "Too much at once.").retry(Retry::After(Duration::from_secs(10)))
}

/// A panic ended the session. Its text stays in the log.
fn defect() -> LoginError {
    LoginError::new(LoginErrorKind::Other, "The backend of this network has a defect.")
}
