//! The pool as everybody else sees it: [`Pool`], the implementation of [`MainProcess`] for one machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::info;
use super::notes::{Note, Notes};
use super::options::{BackendSource, PoolOptions};
use super::owner::{Owner, Want};
use super::plan::WaiterId;
use super::snapshot::Snapshot;
use crate::backend::BackendInfo;
use crate::main_process::{AssignError, Assignment, MainProcess, PoolStatus, SessionInbox};
use crate::model::UserKey;
use crate::tasks::Tasks;

/// Wishes on their way to the pool's task. When full, `assign` waits.
const WISHES: usize = 1_024;

/// After everything was killed, so long is waited for the kernel.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Runs the backends of one instance on this machine, and routes each user to exactly one.
///
/// Dropping it ends the backends. Its task and those of the backends belong to the [`Tasks`] it was started with; stop the
/// pool before those, so that users are logged out.
#[derive(Debug)]
pub struct Pool {
    wishes: mpsc::Sender<Want>,
    next_waiter: AtomicU64,
    pub(super) shared: Arc<Shared>,
}

/// What the pool's task shares with [`Pool`].
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) notes: Arc<Notes>,
    pub(super) snapshot: watch::Sender<Snapshot>,
    pub(super) info: watch::Sender<Option<Arc<BackendInfo>>>,
    pub(super) stop: CancellationToken,
    pub(super) kill: CancellationToken,
    pub(super) done: CancellationToken,
}

impl Pool {
    /// Starts the pool, and with it the first backend; waits for nobody.
    ///
    /// Must be called within a tokio runtime. Reads [`PoolOptions::info_cache`] if that is set.
    pub fn start(options: PoolOptions, tasks: &Tasks) -> Arc<Self> {
        let known = match &options.source {
            BackendSource::Builtin(backend) => Some(backend.info()),
            BackendSource::Command { .. } => options.info_cache.as_deref().and_then(info::load),
        };
        let shared = Arc::new(Shared {
            notes: Arc::default(),
            snapshot: watch::Sender::new(Snapshot::default()),
            info: watch::Sender::new(known.map(Arc::new)),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            done: CancellationToken::new(),
        });
        let (wishes, inbox) = mpsc::channel(WISHES);
        let owner = Owner::new(options, tasks.clone(), Arc::clone(&shared));
        tasks.spawn("pool", Span::current(), owner.run(inbox));
        Arc::new(Self {
            wishes,
            next_waiter: AtomicU64::new(1),
            shared,
        })
    }

    /// Resolves whenever [`MainProcess::info`] may have changed, such as when the first backend is up.
    pub fn watch_info(&self) -> watch::Receiver<Option<Arc<BackendInfo>>> {
        self.shared.info.subscribe()
    }
}

#[async_trait]
impl MainProcess for Pool {
    async fn assign(&self, user: &UserKey, events: Arc<dyn SessionInbox>) -> Result<Assignment, AssignError> {
        let waiter = WaiterId(self.next_waiter.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let want = Want {
            waiter,
            user: user.clone(),
            inbox: events,
            reply,
        };
        self.wishes.send(want).await.map_err(|_| AssignError::Stopping)?;
        let mut place = QueuePlace {
            waiter,
            notes: &self.shared.notes,
            served: false,
        };
        let answer = answer.await;
        place.served = true;
        answer.unwrap_or(Err(AssignError::Stopping))
    }

    fn info(&self) -> Option<Arc<BackendInfo>> {
        self.shared.info.borrow().clone()
    }

    fn status(&self) -> PoolStatus {
        self.shared.snapshot.borrow().status()
    }

    async fn stop(&self, grace: Duration) {
        self.shared.stop.cancel();
        if tokio::time::timeout(grace, self.shared.done.cancelled()).await.is_err() {
            tracing::warn!("Backends did not end in time and are killed.");
            self.shared.kill.cancel();
            let _ = tokio::time::timeout(KILL_WAIT, self.shared.done.cancelled()).await;
        }
    }
}

/// The wish is withdrawn if its future is dropped.
struct QueuePlace<'p> {
    waiter: WaiterId,
    notes: &'p Notes,
    served: bool,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.notes.leave(Note::GivenUp(self.waiter));
        }
    }
}
