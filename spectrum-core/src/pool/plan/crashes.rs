//! How often backends die, when the next one may be started, and whether it is hopeless. Owned by the plan.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many deaths within [`FAILING_WINDOW`] mean that something is wrong for good.
pub const FAILING_DEATHS: usize = 5;

/// See [`FAILING_DEATHS`].
pub const FAILING_WINDOW: Duration = Duration::from_secs(60);

/// The longest wait between two retries.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// After so long without a death the wait begins small again. Longer than any wait plus the time a start may take.
const CALM: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug)]
pub(super) struct Crashes {
    /// The first retry comes after 0.5 to 1 of this, the next after twice as long, and so on.
    backoff: Duration,
    recent: VecDeque<Instant>,
    last: Option<Instant>,
    streak: u32,
    not_before: Option<Instant>,
    /// Whether no backend has come up since the last death.
    recovering: bool,
    failing: Option<String>,
}

impl Crashes {
    pub(super) fn new(backoff: Duration) -> Self {
        Self {
            backoff,
            recent: VecDeque::new(),
            last: None,
            streak: 0,
            not_before: None,
            recovering: false,
            failing: None,
        }
    }

    pub(super) fn died(&mut self, reason: String, jitter: u16, now: Instant) {
        self.count(jitter, now);
        if self.recent.len() >= FAILING_DEATHS {
            self.failing = Some(format!(
                "backends ended {} times within a minute; last: {reason}",
                self.recent.len()
            ));
        } else if self.failing.is_some() {
            self.failing = Some(reason);
        }
    }

    pub(super) fn unusable(&mut self, reason: String, jitter: u16, now: Instant) {
        self.count(jitter, now);
        self.failing = Some(reason);
    }

    pub(super) fn came_up(&mut self) {
        self.recovering = false;
        self.failing = None;
        self.not_before = None;
    }

    pub(super) fn may_start(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub(super) fn is_recovering(&self) -> bool {
        self.recovering
    }

    pub(super) fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    fn count(&mut self, jitter: u16, now: Instant) {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > CALM) {
            self.streak = 0;
        }
        self.last = Some(now);
        while self
            .recent
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) > FAILING_WINDOW)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recovering = true;
        let longest = self.backoff.saturating_mul(1 << self.streak.min(16)).min(BACKOFF_MAX);
        self.streak += 1;
        let half = longest / 2;
        self.not_before = Some(now + half + half.mul_f64(f64::from(jitter) / f64::from(u16::MAX)));
    }
}
