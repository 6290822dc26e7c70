//! A running child: who waits for its end, and how it is made to end. The process group is the child's own session.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};
use tokio::sync::watch;
use tracing::Span;

use super::exec;
use super::output::{Output, capture};
use crate::tasks::{TaskHandle, Tasks};

/// Where the kernel has no process descriptors, children are looked after so often.
const POLL: Duration = Duration::from_millis(100);

/// After the end of a child, so long is waited for the rest of its output: a grandchild may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a child is made to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    /// It has been told, or has closed its link: it may end by itself for so long, then as below.
    Wait(Duration),
    /// SIGTERM.
    Terminate,
    /// SIGABRT: it hangs, and the trace of that is worth having.
    Abort,
    /// SIGKILL.
    Kill,
}

/// A running child. Dropping it kills everything of its session.
#[derive(Debug)]
pub(crate) struct Process {
    shared: Arc<Shared>,
    exit: watch::Receiver<Option<ExitStatus>>,
    output: Arc<Output>,
    listening: TaskHandle<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    pid: Pid,
    /// Until it has been reaped: only then its number is certain to be its own. A lock, so that a signal never meets the
    /// number of somebody else.
    child: Mutex<Option<Child>>,
}

impl Shared {
    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.is_some() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// The child has ended, but still has its number: ends what is left of its session, and reaps it.
    fn reap(&self) -> io::Result<ExitStatus> {
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = slot.take().ok_or(io::ErrorKind::NotFound)?;
        let _ = kill_process_group(self.pid, Signal::KILL);
        child.wait()
    }
}

impl Process {
    /// Looks after a child that was just started.
    ///
    /// # Errors
    /// If it cannot be watched; it has been killed then.
    pub(crate) fn watch(mut child: Child, tasks: &Tasks) -> io::Result<Self> {
        let raw = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidData)?;
        let pipes = (child.stdout.take(), child.stderr.take());
        let shared = Arc::new(Shared {
            pid: raw,
            child: Mutex::new(Some(child)),
        });
        let output = Arc::new(Output::default());
        let (Some(stdout), Some(stderr)) = pipes else {
            shared.signal(Signal::KILL);
            shared.reap()?;
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let listening = tasks.spawn(
            "backend-output",
            Span::current(),
            capture(stdout.into(), stderr.into(), Arc::clone(&output)),
        );
        let (told, exit) = watch::channel(None);
        let reaper = Arc::clone(&shared);
        tasks.spawn("backend-reaper", Span::current(), async move {
            ended(reaper.pid).await;
            match reaper.reap() {
                Ok(status) => drop(told.send_replace(Some(status))),
                Err(error) => tracing::error!(%error, "Could not reap a backend."),
            }
        });
        Ok(Self {
            shared,
            exit,
            output,
            listening,
        })
    }

    /// Its id, which is also that of its session.
    pub(crate) fn pid(&self) -> u32 {
        self.shared.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Resolves when it has ended, and with it all of its session.
    pub(crate) async fn exited(&self) -> Option<ExitStatus> {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(status) => *status,
            Err(_) => None,
        }
    }

    /// Ends it, and everything of its session, at once.
    pub(crate) fn kill(&self) {
        self.shared.signal(Signal::KILL);
    }

    /// Makes it end, harder after `patience`, and returns how it did and the last it said.
    pub(crate) async fn end(&self, farewell: Farewell, patience: Duration) -> (Option<ExitStatus>, String) {
        match farewell {
            Farewell::Wait(grace) => {
                if tokio::time::timeout(grace, self.exited()).await.is_err() {
                    self.shared.signal(Signal::TERM);
                }
            }
            Farewell::Terminate => self.shared.signal(Signal::TERM),
            Farewell::Abort => self.shared.signal(Signal::ABORT),
            Farewell::Kill => self.shared.signal(Signal::KILL),
        }
        if tokio::time::timeout(patience, self.exited()).await.is_err() {
            self.shared.signal(Signal::KILL);
        }
        let status = self.exited().await;
        let _ = tokio::time::timeout(LAST_WORDS, self.output.complete()).await;
        (status, self.output.last())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.signal(Signal::KILL);
        self.listening.abort();
    }
}

/// Resolves when the child has ended; it is not reaped by this.
async fn ended(pid: Pid) {
    if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
        && let Ok(descriptor) = exec::readable(descriptor)
        && descriptor.readable().await.is_ok()
    {
        return;
    }
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(pid), options) {
            Ok(None) => tokio::time::sleep(POLL).await,
            Ok(Some(_)) | Err(_) => return,
        }
    }
}
