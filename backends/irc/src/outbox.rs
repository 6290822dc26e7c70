//! Lines on their way to the server: their pace, their bound, and how sure it is that they arrived.
//!
//! Owned by one connection's engine; pure, time is an argument. A line counts as arrived when the server echoes it or
//! answers a `PING` written behind it (a *fence*, at most one on the way). Answers to `PING` and the lines of a login
//! overtake everything and cost nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lines that may wait. A request that does not fit is refused as `RateLimited`.
pub(crate) const MAX_QUEUED: usize = 256;

/// Lines that go out without a pause after a quiet time.
const BURST: f64 = 5.0;

/// What a fence costs: servers count it as a command, though a cheap one.
const FENCE_COST: f64 = 0.5;

/// How long to wait for the echo of a line before a fence is written behind it.
pub(crate) const ECHO_PATIENCE: Duration = Duration::from_secs(5);

/// What a fence begins with.
const FENCE_PREFIX: &str = "fence-";

/// A request of the session, as the connection numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RequestNo(pub(crate) u64);

/// When to ask the server whether it has seen a request's lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Confirm {
    /// By a fence right behind them.
    Fence,
    /// By their echo, or else by a fence after [`ECHO_PATIENCE`].
    Echo,
    /// Not at all: a reply of its own ends the request.
    Reply,
}

/// A refill by time, emptied by lines.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    capacity: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(capacity: f64, per_second: f64, now: Instant) -> Self {
        Self {
            tokens: capacity,
            capacity,
            per_second,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes one token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        // A hair below one is one: refilling in steps loses the last bits.
        let has_one = self.tokens >= 1.0 - 1e-6;
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }

    fn force(&mut self, cost: f64) {
        self.tokens -= cost;
    }

    /// How long until `lines` more have gone out.
    fn time_for(&self, lines: usize) -> Duration {
        #[allow(clippy::cast_precision_loss)]
        let missing = lines as f64 - self.tokens;
        Duration::from_secs_f64((missing / self.per_second).clamp(0.0, 86_400.0))
    }
}

#[derive(Debug)]
struct Queued {
    line: String,
    request: Option<RequestNo>,
}

/// A request whose lines are on their way.
#[derive(Debug)]
struct Tracked {
    request: RequestNo,
    confirm: Confirm,
    waiting: usize,
    written: usize,
    echoed: usize,
    last_written: Option<Instant>,
    fenced: bool,
}

/// The lines of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    urgent: VecDeque<String>,
    user: VecDeque<Queued>,
    background: VecDeque<String>,
    tracked: VecDeque<Tracked>,
    bucket: Bucket,
    fences: u64,
    fence_out: bool,
    held: bool,
}

/// What became of a request when the connection ended or the user gave up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Withdrawn {
    /// Which.
    pub(crate) request: RequestNo,
    /// Whether any of its lines had been written.
    pub(crate) written: bool,
}

impl Outbox {
    /// Nothing to say yet; paced lines are held until [`Outbox::release`].
    pub(crate) fn new(lines_per_second: f64, now: Instant) -> Self {
        Self {
            urgent: VecDeque::new(),
            user: VecDeque::new(),
            background: VecDeque::new(),
            tracked: VecDeque::new(),
            bucket: Bucket::new(BURST.max(lines_per_second * 2.0), lines_per_second, now),
            fences: 0,
            fence_out: false,
            held: true,
        }
    }

    /// Lets paced lines go: the login is complete.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// A line that overtakes all others.
    pub(crate) fn urgent(&mut self, line: String) {
        self.urgent.push_back(line);
    }

    /// A line of our own that waits until nothing of the user's does. Dropped when too many wait: such lines only
    /// refresh what is known.
    pub(crate) fn background(&mut self, line: String) {
        if self.background.len() < MAX_QUEUED {
            self.background.push_back(line);
        }
    }

    /// Whether `lines` more would be out within `patience`.
    pub(crate) fn has_room(&self, lines: usize, patience: Duration) -> bool {
        self.user.len() + lines <= MAX_QUEUED && self.bucket.time_for(self.user.len() + lines) <= patience
    }

    /// Whether `lines` could be out within `patience` if nothing else waited.
    pub(crate) fn could_take(&self, lines: usize, patience: Duration) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let seconds = (lines as f64 - self.bucket.capacity) / self.bucket.per_second;
        lines <= MAX_QUEUED && seconds <= patience.as_secs_f64()
    }

    /// The lines of a request.
    pub(crate) fn push(&mut self, request: RequestNo, lines: Vec<String>, confirm: Confirm) {
        self.tracked.push_back(Tracked {
            request,
            confirm,
            waiting: lines.len(),
            written: 0,
            echoed: 0,
            last_written: None,
            fenced: false,
        });
        self.user.extend(lines.into_iter().map(|line| Queued {
            line,
            request: Some(request),
        }));
    }

    /// A paced line of the user's that nobody waits for.
    pub(crate) fn push_silent(&mut self, line: String) {
        if self.user.len() < MAX_QUEUED {
            self.user.push_back(Queued { line, request: None });
        }
    }

    /// Hands every line that may go now to `write`. Call again at [`Outbox::next_at`] and after each change.
    pub(crate) fn drain(&mut self, now: Instant, mut write: impl FnMut(&str)) {
        for line in self.urgent.drain(..) {
            write(&line);
        }
        if self.held {
            return;
        }
        while !self.user.is_empty() && self.bucket.take(now) {
            let Some(queued) = self.user.pop_front() else { break };
            write(&queued.line);
            if let Some(tracked) = queued.request.and_then(|r| self.tracked.iter_mut().find(|t| t.request == r)) {
                tracked.waiting -= 1;
                tracked.written += 1;
                tracked.last_written = Some(now);
            }
        }
        if self.user.is_empty() {
            while !self.background.is_empty() && self.bucket.take(now) {
                if let Some(line) = self.background.pop_front() {
                    write(&line);
                }
            }
        }
        if !self.fence_out && self.tracked.iter().any(|t| t.wants_fence(now)) {
            self.fences += 1;
            self.fence_out = true;
            self.bucket.force(FENCE_COST);
            for tracked in self.tracked.iter_mut().filter(|t| t.is_fully_written()) {
                tracked.fenced = true;
            }
            write(&format!("PING {FENCE_PREFIX}{}", self.fences));
        }
    }

    /// When [`Outbox::drain`] has something to do next, if nothing else happens.
    pub(crate) fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.held {
            return None;
        }
        let paced =
            (!self.user.is_empty() || !self.background.is_empty()).then(|| self.bucket.at.max(now) + self.bucket.time_for(1));
        let fence = if self.fence_out {
            None
        } else {
            self.tracked.iter().filter_map(Tracked::fence_at).min()
        };
        paced.into_iter().chain(fence).min()
    }

    /// The server answered a `PING`: the requests it is proof for, in order. They are forgotten here. `None` if the
    /// `PING` was no fence.
    pub(crate) fn pong(&mut self, token: &str) -> Option<Vec<RequestNo>> {
        let number: u64 = token.strip_prefix(FENCE_PREFIX)?.parse().ok()?;
        if !self.fence_out || number != self.fences {
            return Some(Vec::new());
        }
        self.fence_out = false;
        let arrived: Vec<_> = self
            .tracked
            .iter()
            .filter(|t| t.fenced && t.confirm != Confirm::Reply)
            .map(|t| t.request)
            .collect();
        self.tracked.retain(|t| !arrived.contains(&t.request));
        Some(arrived)
    }

    /// The server echoed one line of the request: true if that was the last, and the request is forgotten here.
    pub(crate) fn echoed(&mut self, request: RequestNo) -> bool {
        let Some(at) = self.tracked.iter().position(|t| t.request == request) else {
            return false;
        };
        let tracked = &mut self.tracked[at];
        tracked.echoed += 1;
        let complete = tracked.waiting == 0 && tracked.echoed >= tracked.written;
        if complete {
            self.tracked.remove(at);
        }
        complete
    }

    /// Whether a line of this request has been written and not been echoed yet.
    pub(crate) fn awaits_echo(&self, request: RequestNo) -> bool {
        self.tracked.iter().any(|t| t.request == request && t.written > t.echoed)
    }

    /// Whether any line of this request has been written.
    pub(crate) fn is_written(&self, request: RequestNo) -> bool {
        self.tracked.iter().any(|t| t.request == request && t.written > 0)
    }

    /// Takes back what has not been written of a request, and forgets it.
    pub(crate) fn withdraw(&mut self, request: RequestNo) -> Withdrawn {
        self.user.retain(|q| q.request != Some(request));
        let at = self.tracked.iter().position(|t| t.request == request);
        let written = at.and_then(|at| self.tracked.remove(at)).is_some_and(|t| t.written > 0);
        Withdrawn { request, written }
    }
}

impl Tracked {
    fn is_fully_written(&self) -> bool {
        self.waiting == 0 && self.written > 0
    }

    fn fence_at(&self) -> Option<Instant> {
        if self.fenced || !self.is_fully_written() {
            return None;
        }
        match self.confirm {
            Confirm::Fence => self.last_written,
            Confirm::Echo => self.last_written.map(|at| at + ECHO_PATIENCE),
            Confirm::Reply => None,
        }
    }

    fn wants_fence(&self, now: Instant) -> bool {
        self.fence_at().is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const A: RequestNo = RequestNo(1);
    const B: RequestNo = RequestNo(2);

    fn outbox(now: Instant) -> Outbox {
        let mut outbox = Outbox::new(0.5, now);
        outbox.release();
        outbox
    }

    fn drained(outbox: &mut Outbox, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        outbox.drain(now, |line| lines.push(line.to_owned()));
        lines
    }

    fn lines(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("L{i}")).collect()
    }

    #[test]
    fn a_batch_gets_one_fence_and_its_answer_confirms_all_of_it() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        outbox.push(A, lines(1), Confirm::Fence);
        outbox.push(B, lines(2), Confirm::Fence);
        assert_eq!(drained(&mut outbox, now), ["L0", "L0", "L1", "PING fence-1"]);
        assert_eq!(outbox.pong("something"), None);
        assert_eq!(outbox.pong("fence-1"), Some(vec![A, B]));
        assert_eq!(outbox.pong("fence-1"), Some(vec![]));
    }

    #[test]
    fn lines_written_after_a_fence_wait_for_the_next_one() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        outbox.push(A, lines(1), Confirm::Fence);
        drained(&mut outbox, now);
        outbox.push(B, lines(1), Confirm::Fence);
        assert_eq!(drained(&mut outbox, now), ["L0"]);
        assert_eq!(outbox.pong("fence-1"), Some(vec![A]));
        assert_eq!(drained(&mut outbox, now), ["PING fence-2"]);
        assert_eq!(outbox.pong("fence-2"), Some(vec![B]));
    }

    #[test]
    fn after_the_burst_lines_keep_their_pace_and_pongs_overtake_them() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        outbox.push(A, lines(8), Confirm::Reply);
        assert_eq!(drained(&mut outbox, now).len(), 5);
        assert_eq!(outbox.next_at(now), Some(now + Duration::from_secs(2)));
        outbox.urgent("PONG x".to_owned());
        assert_eq!(drained(&mut outbox, now + Duration::from_secs(1)), ["PONG x"]);
        assert_eq!(drained(&mut outbox, now + Duration::from_secs(2)), ["L5"]);
        assert_eq!(drained(&mut outbox, now + Duration::from_secs(6)), ["L6", "L7"]);
        assert_eq!(outbox.next_at(now), None);
    }

    #[test]
    fn an_echo_spares_the_fence_and_silence_brings_it() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        outbox.push(A, lines(2), Confirm::Echo);
        assert_eq!(drained(&mut outbox, now), ["L0", "L1"]);
        assert!(outbox.awaits_echo(A));
        assert!(!outbox.echoed(A));
        assert_eq!(outbox.next_at(now), Some(now + ECHO_PATIENCE));
        assert!(outbox.echoed(A));
        assert_eq!(outbox.next_at(now), None);

        outbox.push(B, lines(1), Confirm::Echo);
        drained(&mut outbox, now);
        assert_eq!(drained(&mut outbox, now + ECHO_PATIENCE), ["PING fence-1"]);
        assert_eq!(outbox.pong("fence-1"), Some(vec![B]));
    }

    #[test]
    fn what_was_not_written_can_be_taken_back() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        outbox.push(A, lines(6), Confirm::Fence);
        drained(&mut outbox, now);
        outbox.push(B, lines(1), Confirm::Fence);
        assert_eq!(
            outbox.withdraw(B),
            Withdrawn {
                request: B,
                written: false
            }
        );
        assert_eq!(
            outbox.withdraw(A),
            Withdrawn {
                request: A,
                written: true
            }
        );
        assert_eq!(drained(&mut outbox, now + Duration::from_secs(60)), Vec::<String>::new());
    }

    #[test]
    fn nothing_but_the_login_goes_out_before_the_release() {
        let now = Instant::now();
        let mut outbox = Outbox::new(0.5, now);
        outbox.push(A, lines(1), Confirm::Fence);
        outbox.urgent("NICK a".to_owned());
        assert_eq!(drained(&mut outbox, now), ["NICK a"]);
        assert_eq!(outbox.next_at(now), None);
        outbox.release();
        assert_eq!(drained(&mut outbox, now), ["L0", "PING fence-1"]);
    }

    #[test]
    fn what_cannot_be_out_in_time_finds_no_room() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        let patience = Duration::from_secs(45);
        assert!(outbox.could_take(27, patience));
        assert!(!outbox.could_take(28, patience));
        assert!(outbox.has_room(27, patience));
        outbox.push(A, lines(20), Confirm::Reply);
        assert!(outbox.has_room(7, patience));
        assert!(!outbox.has_room(8, patience));
        assert!(!outbox.has_room(MAX_QUEUED, Duration::MAX));
    }

    #[test]
    fn refreshing_waits_for_the_user_and_is_bounded() {
        let now = Instant::now();
        let mut outbox = outbox(now);
        for _ in 0..2 * MAX_QUEUED {
            outbox.background("WHO #a".to_owned());
        }
        assert_eq!(outbox.background.len(), MAX_QUEUED);
        outbox.push(A, lines(1), Confirm::Reply);
        assert_eq!(drained(&mut outbox, now), ["L0", "WHO #a", "WHO #a", "WHO #a", "WHO #a"]);
    }
}
