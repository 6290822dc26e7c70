//! The life of one backend, as a task: start, link, end, and what is told to whom when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::child::{Farewell, Process};
use super::link::{End, Link, LinkTimings, Reader};
use super::notes::Note;
use super::plan::Ending;
use super::start::{StartError, Starter, Up, in_words};

/// After the end of a link, so long is waited for that of the process, so that its exit status is in what people are told.
const STATUS_WAIT: Duration = Duration::from_millis(300);

/// See the module.
pub(super) struct Supervisor {
    pub(super) starter: Starter,
    pub(super) link: Arc<Link>,
    pub(super) retire: CancellationToken,
    pub(super) kill: CancellationToken,
    pub(super) violations: metrics::Counter,
    /// What the pool has been told.
    pub(super) told: Told,
}

/// The two things the pool waits for.
#[derive(Debug, Default)]
pub(super) struct Told {
    ended: AtomicBool,
    reaped: AtomicBool,
}

impl Supervisor {
    /// Runs a backend from its start to the end of its process. If it panics or is dropped, the pool is told
    /// all the same.
    pub(super) async fn run(self) {
        let started = tokio::select! {
            started = self.starter.start(&self.link) => Some(started),
            () = self.retire.cancelled() => None,
            () = self.kill.cancelled() => None,
        };
        match started {
            Some(Ok(up)) => self.run_link(up).await,
            Some(Err(error)) => self.report_failure(error).await,
            None => {
                // Dropping the start has killed what there was of a process.
                self.link.lose("the backend is not needed any more");
                self.leave_ended(Ending::Asked);
                self.leave_reaped("not needed".to_owned(), String::new());
            }
        }
    }

    async fn run_link(&self, up: Up) {
        let Up {
            source,
            sink,
            process,
            early,
            config,
        } = up;
        for frame in early {
            self.link.take(frame);
        }
        let tasks = &self.starter.tasks;
        let writer = tasks.spawn("link-writer", Span::current(), Arc::clone(&self.link).write(sink));
        self.starter.notes.leave(Note::Ready(self.link.backend()));
        tracing::info!("Backend is ready.");
        let timings = &self.starter.options.timings;
        let reader = Reader {
            link: Arc::clone(&self.link),
            source,
            writer,
            timings: LinkTimings {
                ping_interval: timings.ping_interval,
                ping_timeout: timings.ping_timeout,
                exit_grace: timings.exit_grace,
            },
            retire: self.retire.clone(),
            kill: self.kill.clone(),
            violations: self.violations.clone(),
            counted: 0,
        };
        let end = reader.run().await;
        let asked = self.retire.is_cancelled();
        let reason = match &end {
            End::Closed => "the backend has ended".to_owned(),
            End::Hung => "the backend did not answer".to_owned(),
            End::Broken(why) => format!("the backend sent what cannot be understood: {why}"),
            End::Overdue => "the backend did not end in time".to_owned(),
            End::Killed => "the backend was ended".to_owned(),
        };
        // The pool first: a session that comes back at once must not be seated here again.
        self.starter.notes.leave(Note::Lost(self.link.backend()));
        self.link.lose(&reason);
        let farewell = match end {
            End::Closed if asked => Farewell::Wait(timings.exit_grace),
            End::Closed => Farewell::Wait(STATUS_WAIT * 10),
            End::Hung => Farewell::Abort,
            End::Broken(_) | End::Overdue => Farewell::Terminate,
            End::Killed => Farewell::Kill,
        };
        let status = match &process {
            Some(process) if end == End::Closed => tokio::time::timeout(STATUS_WAIT, process.exited()).await.ok().flatten(),
            Some(_) | None => None,
        };
        let reason = match status {
            Some(status) => format!("{reason} ({})", in_words(status)),
            None => reason,
        };
        self.leave_ended(if asked { Ending::Asked } else { self.died(&reason, false) });
        self.bury(process, farewell, reason).await;
        drop(config);
    }

    async fn report_failure(&self, error: StartError) {
        self.link.lose(&error.reason);
        self.leave_ended(self.died(&error.reason, error.hopeless));
        self.bury(error.process, Farewell::Terminate, error.reason).await;
    }

    /// Sees to the end of the process, and reports it.
    async fn bury(&self, process: Option<Process>, farewell: Farewell, reason: String) {
        let Some(process) = process else {
            return self.leave_reaped(reason, String::new());
        };
        let patience = self.starter.options.timings.kill_grace;
        let killed = async {
            self.kill.cancelled().await;
            process.kill();
            std::future::pending::<()>().await;
        };
        let (status, stderr) = tokio::select! {
            ended = process.end(farewell, patience) => ended,
            () = killed => return,
        };
        let how = match status {
            Some(status) if !reason.contains(&in_words(status)) => format!("{reason}; {}", in_words(status)),
            Some(_) | None => reason,
        };
        self.leave_reaped(how, stderr);
    }

    fn died(&self, reason: &str, hopeless: bool) -> Ending {
        let jitter = jitter();
        let reason = reason.to_owned();
        if hopeless {
            Ending::Unusable { reason, jitter }
        } else {
            Ending::Died { reason, jitter }
        }
    }

    fn leave_ended(&self, ending: Ending) {
        self.told.ended.store(true, Ordering::Relaxed);
        self.starter.notes.leave(Note::Ended {
            backend: self.link.backend(),
            ending,
        });
    }

    fn leave_reaped(&self, how: String, stderr: String) {
        self.told.reaped.store(true, Ordering::Relaxed);
        self.starter.notes.leave(Note::Reaped {
            backend: self.link.backend(),
            how,
            stderr,
        });
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        const REASON: &str = "the task of the backend has ended";
        self.link.lose(REASON);
        if !self.told.ended.load(Ordering::Relaxed) {
            self.leave_ended(self.died(REASON, false));
        }
        if !self.told.reaped.load(Ordering::Relaxed) {
            self.leave_reaped(REASON.to_owned(), String::new());
        }
    }
}

/// Spreads retries. Without randomness they are not spread, which is no reason to fail.
fn jitter() -> u16 {
    let mut bytes = [0; 2];
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}
