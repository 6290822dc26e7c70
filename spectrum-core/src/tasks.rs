//! Where tasks are born: named, inside a span, joined at shutdown; a panic ends one task and is logged.
//!
//! One [`Tasks`] per instance (or backend process), cloned freely; it owns the list of running tasks and the token that
//! asks them to end. Nothing else calls `tokio::spawn` (`clippy.toml` holds that).

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

/// The tasks of one instance. A clone is the same set.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    stopping: CancellationToken,
    // A lock, not an owner task: it is held for one insertion or removal at the birth and death of a task, never while waiting.
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    tasks: HashMap<u64, (&'static str, AbortHandle)>,
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tasks {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task. It runs in `span`; `name` is what logs and [`Tasks::stop`] call it.
    ///
    /// A panic inside `future` is logged (without text that was formatted at run time, which may quote a message) and becomes
    /// [`TaskError::Panicked`]. Dropping the returned handle leaves the task running. A task must end soon after
    /// [`Tasks::stopping`] resolves.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, span: Span, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut running = self.inner.running();
        let id = running.next;
        running.next += 1;
        let entry = Entry {
            id,
            inner: Arc::clone(&self.inner),
        };
        // A chain, not an async block: a block would hold the future twice, before and while it runs.
        let body = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
            let _entry = entry;
            ended
                .inspect_err(|panic| {
                    tracing::error!(
                        task = name,
                        reason = literal(panic.as_ref()),
                        "A task panicked and was ended."
                    );
                })
                .ok()
        });
        #[allow(clippy::disallowed_methods, reason = "the one place where tasks are born")]
        let handle = tokio::spawn(self.inner.tracker.track_future(body.instrument(span)));
        running.tasks.insert(id, (name, handle.abort_handle()));
        drop(running);
        TaskHandle { name, handle }
    }

    /// Resolves when the set is asked to end; for use in `select!`.
    pub fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.inner.stopping.cancelled()
    }

    /// The token behind [`Tasks::stopping`], for code that keeps one.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    /// How many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.running().tasks.len()
    }

    /// Whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks all tasks to end, waits up to `grace`, and drops what still runs at its next await point.
    ///
    /// Returns the names of the tasks that had to be dropped; each is logged. Tasks started meanwhile are waited for too.
    pub async fn stop(&self, grace: Duration) -> Vec<&'static str> {
        self.inner.stopping.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(grace, self.inner.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let late: Vec<_> = self.inner.running().tasks.values().cloned().collect();
        for (name, handle) in &late {
            tracing::warn!(task = name, "A task did not end in time and was dropped.");
            handle.abort();
        }
        late.into_iter().map(|(name, _)| name).collect()
    }
}

/// A running task: a future of its result.
#[derive(Debug)]
pub struct TaskHandle<T> {
    name: &'static str,
    handle: JoinHandle<Option<T>>,
}

impl<T> TaskHandle<T> {
    /// The name given to [`Tasks::spawn`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Drops the task at its next await point.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let name = self.name;
        Pin::new(&mut self.handle).poll(cx).map(|joined| match joined {
            Ok(Some(output)) => Ok(output),
            Ok(None) => Err(TaskError::Panicked(name)),
            Err(error) if error.is_panic() => Err(TaskError::Panicked(name)),
            Err(_) => Err(TaskError::Dropped(name)),
        })
    }
}

/// Why a task has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task panicked; the log says where.
    #[error("task {0} panicked")]
    Panicked(&'static str),
    /// The task was aborted, or the runtime ended.
    #[error("task {0} was dropped before it ended")]
    Dropped(&'static str),
}

/// Removes a task from the list when its future goes, whatever the reason.
struct Entry {
    id: u64,
    inner: Arc<Inner>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.inner.running().tasks.remove(&self.id);
    }
}

/// The text of a panic when it is a literal of the source; a formatted one may quote user data.
fn literal(panic: &(dyn Any + Send)) -> &'static str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("formatted text, not logged")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn result_of_a_task_reaches_the_handle() {
        let tasks = Tasks::new();
        assert_eq!(tasks.spawn("sum", Span::none(), async { 1 + 1 }).await, Ok(2));
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn panic_ends_only_its_own_task() {
        let tasks = Tasks::new();
        let (send, receive) = oneshot::channel::<()>();
        let other = tasks.spawn("other", Span::none(), receive);
        let panicking = tasks.spawn("panicking", Span::none(), async { panic!("planned") });
        assert_eq!(panicking.await, Err::<(), _>(TaskError::Panicked("panicking")));
        assert!(!other.is_finished());
        send.send(()).unwrap();
        assert_eq!(other.await, Ok(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn stop_waits_for_tasks_that_end_and_drops_those_that_do_not() {
        let tasks = Tasks::new();
        let polite = tasks.clone();
        let ended = tasks.spawn("polite", Span::none(), async move { polite.stopping().await });
        let stuck = tasks.spawn("stuck", Span::none(), std::future::pending::<()>());
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, vec!["stuck"]);
        assert_eq!(ended.await, Ok(()));
        assert_eq!(stuck.await, Err(TaskError::Dropped("stuck")));
        assert!(tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn stop_returns_at_once_when_everything_has_ended() {
        let tasks = Tasks::new();
        tasks.spawn("short", Span::none(), async {}).await.unwrap();
        let before = tokio::time::Instant::now();
        assert!(tasks.stop(Duration::from_secs(60)).await.is_empty());
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[test]
    fn formatted_panic_text_is_not_logged() {
        let text = format!("body is {}", 1);
        let panic: Box<dyn Any + Send> = Box::new(text);
        assert_eq!(literal(panic.as_ref()), "formatted text, not logged");
    }
}
