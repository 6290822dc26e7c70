//! The reader of a link: takes frames, keeps the clock of PING and of open requests, and says how the backend ended.
//!
//! It never waits for a session or for the writer: PONG is noted before anything is delivered.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Counter;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::transport::{Source, SourceEnd};
use super::{Link, Taken};
use crate::tasks::TaskHandle;
use crate::wire::{FromBackend, ToBackend};

/// The clock of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkTimings {
    /// From one PING to the next.
    pub(crate) ping_interval: Duration,
    /// How long a PONG may take.
    pub(crate) ping_timeout: Duration,
    /// How long a backend may take to end after it was asked to.
    pub(crate) exit_grace: Duration,
}

/// See the module.
pub(crate) struct Reader {
    pub(crate) link: Arc<Link>,
    pub(crate) source: Source,
    pub(crate) writer: TaskHandle<std::io::Result<()>>,
    pub(crate) timings: LinkTimings,
    /// Asks the backend to end.
    pub(crate) retire: CancellationToken,
    /// Ends at once.
    pub(crate) kill: CancellationToken,
    pub(crate) violations: Counter,
    /// How many of the violations are in the counter.
    pub(crate) counted: u64,
}

/// How a link ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The backend has closed it, asked to or not.
    Closed,
    /// The backend did not answer.
    Hung,
    /// What the backend sent cannot be followed.
    Broken(String),
    /// It was asked to end, and did not.
    Overdue,
    /// It had to end at once.
    Killed,
}

impl Reader {
    /// Reads until the link ends. Sessions have not been told then.
    pub(crate) async fn run(mut self) -> End {
        let end = self.read().await;
        self.writer.abort();
        self.count_violations();
        end
    }

    async fn read(&mut self) -> End {
        let LinkTimings {
            ping_interval,
            ping_timeout,
            exit_grace,
        } = self.timings;
        // Ten looks per PING are close enough for both clocks.
        let look = (ping_interval / 10).max(Duration::from_millis(1));
        let mut clock = interval_at(Instant::now() + look, look);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_ping = Instant::now() + ping_interval;
        let mut waiting_since: Option<Instant> = None;
        let mut leave_by: Option<Instant> = None;
        let mut writer_done = false;
        let mut frames = Vec::new();
        loop {
            tokio::select! {
                received = self.source.recv(&mut frames) => {
                    if self.take_all(&mut frames) {
                        waiting_since = None;
                    }
                    match received {
                        Ok(()) if self.source.has_output() => self.link.bell.notify_one(),
                        Ok(()) => {}
                        Err(SourceEnd::Closed) => return End::Closed,
                        Err(SourceEnd::Broken(why)) => {
                            self.link.violation();
                            return End::Broken(why);
                        }
                    }
                }
                now = clock.tick() => {
                    self.link.expire(now);
                    self.count_violations();
                    if waiting_since.is_some_and(|since| now >= since + ping_timeout) {
                        self.link.health.hung.store(true, Ordering::Relaxed);
                        return End::Hung;
                    }
                    if leave_by.is_some_and(|at| now >= at) {
                        return End::Overdue;
                    }
                    if now >= next_ping {
                        next_ping = now + ping_interval;
                        waiting_since.get_or_insert(now);
                        self.link.push(ToBackend::Ping);
                        self.source.tick(&mut frames);
                        self.take_all(&mut frames);
                        if self.source.has_output() {
                            self.link.bell.notify_one();
                        }
                    }
                }
                () = self.retire.cancelled(), if leave_by.is_none() => {
                    leave_by = Some(Instant::now() + exit_grace);
                    self.link.push(ToBackend::Exit);
                }
                () = self.kill.cancelled() => return End::Killed,
                // What the backend said before it closed is still read: the end of the link is the end of its source.
                _ = &mut self.writer, if !writer_done => {
                    writer_done = true;
                    leave_by.get_or_insert(Instant::now() + exit_grace.min(ping_timeout));
                }
            }
        }
    }

    /// Takes frames in; whether there was a PONG among them.
    fn take_all(&self, frames: &mut Vec<FromBackend>) -> bool {
        let mut alive = false;
        for frame in frames.drain(..) {
            alive |= self.link.take(frame) == Taken::Pong;
        }
        alive
    }

    fn count_violations(&mut self) {
        self.link
            .health
            .wire_violations
            .store(self.source.violations(), Ordering::Relaxed);
        let now = self.link.health.violations();
        self.violations.increment(now.saturating_sub(self.counted));
        self.counted = now;
    }
}
