//! One assignment: its login, its verbs in order, its logout. This task alone owns the legacy session.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::events::Reports;
use super::queue::{Lane, Queue, Waiting};
use super::verbs::{self, Ended};
use super::{LOGOUT_DEADLINE, LOGOUT_DRAIN, WAITING_VERBS, defect, too_many};
use crate::backend::{
    Backend, Certainty, EventSink, Events, LegacySession, Login, OpError, OpErrorKind, Outcome, PromptSink, Prompts, Retry,
    VERB_DEADLINE,
};
use crate::model::RequestId;
use crate::wire::{FromBackend, LoginRequest};

/// What the task begins with.
pub(super) struct SessionTask {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) out: mpsc::Sender<FromBackend>,
    pub(super) reports: Arc<Reports>,
    pub(super) inbox: mpsc::Receiver<Waiting>,
    /// The core wants the session to end.
    pub(super) logout: CancellationToken,
}

type Running = FuturesUnordered<BoxFuture<'static, (Lane, RequestId, Ended)>>;

impl SessionTask {
    /// Runs until the logout is done.
    pub(super) async fn run(mut self, login: LoginRequest) {
        let session = self.log_in(login).await;
        let logout_by = match &session {
            Some(session) => self.serve(session).await,
            None => self.refuse_until_logout().await,
        };
        self.reports.silence();
        if let Some(session) = session {
            let logout = AssertUnwindSafe(session.logout()).catch_unwind();
            match timeout_at(logout_by, logout).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("A logout panicked."),
                Err(_) => tracing::warn!("A logout took too long and was dropped."),
            }
        }
        self.send(FromBackend::LoggedOut {
            assignment: self.reports.assignment(),
        })
        .await;
    }

    /// `None` if the login failed or was given up.
    async fn log_in(&mut self, login: LoginRequest) -> Option<Arc<dyn LegacySession>> {
        let login = Login {
            user: login.user,
            name: login.name,
            password: login.password,
            settings: login.settings,
            presence: login.presence,
            contacts: login.contacts,
            prompts: Prompts::new(Arc::clone(&self.reports) as Arc<dyn PromptSink>),
        };
        let events = Events::new(Arc::clone(&self.reports) as Arc<dyn EventSink>);
        let backend = Arc::clone(&self.backend);
        let result = tokio::select! {
            biased;
            () = self.logout.cancelled() => return None,
            result = AssertUnwindSafe(backend.login(login, events)).catch_unwind() => result,
        };
        match result {
            Ok(Ok(session)) => {
                if !self.reports.is_closed() {
                    self.send(FromBackend::LoggedIn {
                        assignment: self.reports.assignment(),
                    })
                    .await;
                }
                Some(Arc::from(session))
            }
            Ok(Err(error)) => {
                self.reports.close(error).await;
                None
            }
            Err(_) => {
                tracing::error!("A login panicked.");
                self.reports.close(defect()).await;
                None
            }
        }
    }

    /// There is no session, so nothing can be done until the core has taken note. Returns until when the logout may take.
    async fn refuse_until_logout(&mut self) -> Instant {
        loop {
            tokio::select! {
                biased;
                () = self.logout.cancelled() => break,
                Some(verb) = self.inbox.recv() => self.answer(verb.request, Err(not_connected())).await,
            }
        }
        while let Ok(verb) = self.inbox.try_recv() {
            self.answer(verb.request, Err(not_connected())).await;
        }
        Instant::now() + LOGOUT_DEADLINE
    }

    /// Runs verbs until the core wants the session to end and all of them have. Returns until when the logout may take.
    async fn serve(&mut self, session: &Arc<dyn LegacySession>) -> Instant {
        let mut queue = Queue::default();
        let mut running = Running::new();
        let cancel = CancellationToken::new();
        let mut logout_at: Option<Instant> = None;
        loop {
            while let Some((lane, verb)) = queue.start() {
                if verb.since.elapsed() > VERB_DEADLINE {
                    self.answer(verb.request, Err(waited_too_long())).await;
                    queue.finish(lane);
                    continue;
                }
                let (request, session, cancel) = (verb.request, Arc::clone(session), cancel.child_token());
                running.push(Box::pin(async move {
                    (lane, request, verbs::run(session, request, *verb.verb, cancel).await)
                }));
            }
            if let Some(logout_at) = logout_at
                && queue.is_idle()
            {
                return logout_at + LOGOUT_DEADLINE;
            }
            let drained = logout_at.map(|at| at + LOGOUT_DRAIN);
            tokio::select! {
                biased;
                () = self.logout.cancelled(), if logout_at.is_none() => {
                    logout_at = Some(Instant::now());
                    // What was asked for before is done before.
                    while let Ok(verb) = self.inbox.try_recv() {
                        self.take(&mut queue, verb, &cancel).await;
                    }
                }
                () = self.reports.closed(), if !cancel.is_cancelled() => self.stop(&mut queue, &cancel).await,
                () = tokio::time::sleep_until(drained.unwrap_or_else(Instant::now)), if drained.is_some() && !cancel.is_cancelled() => {
                    self.stop(&mut queue, &cancel).await;
                }
                Some((lane, request, ended)) = running.next(), if !running.is_empty() => {
                    queue.finish(lane);
                    match ended {
                        Ended::With(outcome) => self.answer(request, outcome).await,
                        Ended::Panicked => {
                            tracing::error!("A verb panicked.");
                            self.answer(request, Err(broken())).await;
                            self.reports.close(defect()).await;
                        }
                    }
                }
                Some(verb) = self.inbox.recv(), if logout_at.is_none() => self.take(&mut queue, verb, &cancel).await,
            }
        }
    }

    /// Takes a verb in, or refuses it.
    async fn take(&self, queue: &mut Queue, verb: Waiting, cancel: &CancellationToken) {
        if cancel.is_cancelled() || self.reports.is_closed() {
            self.answer(verb.request, Err(not_connected())).await;
        } else if queue.waiting() >= WAITING_VERBS {
            self.answer(verb.request, Err(too_many())).await;
        } else {
            queue.push(verb);
        }
    }

    /// Tells running verbs to end, and refuses those that wait.
    async fn stop(&self, queue: &mut Queue, cancel: &CancellationToken) {
        cancel.cancel();
        for verb in queue.take_waiting() {
            self.answer(verb.request, Err(not_connected())).await;
        }
    }

    async fn answer(&self, request: RequestId, outcome: Outcome) {
        let assignment = self.reports.assignment();
        self.send(FromBackend::Outcome {
            assignment,
            request,
            outcome: Box::new(outcome),
        })
        .await;
    }

    async fn send(&self, frame: FromBackend) {
        // If nobody listens any more the end is near.
        let _ = self.out.send(frame).await;
    }
}

fn not_connected() -> OpError {
    OpError::not_connected("You are not connected to the network.")
}

fn waited_too_long() -> OpError {
    OpError::new(OpErrorKind::Timeout, "The network was too slow to get to this.").retry(Retry::WhenConnected)
}

fn broken() -> OpError {
    OpError {
        kind: OpErrorKind::Internal,
        certainty: Certainty::MaybeSent,
        retry: Retry::Never,
        text: "The backend of this network has a defect.".to_owned(),
    }
}
