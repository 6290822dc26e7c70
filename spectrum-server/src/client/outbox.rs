//! What waits to be written to one client: filled by whoever has something to say, which never waits, and emptied by the
//! client's connection, which owns the socket.
//!
//! A lock and bytes rather than a channel of stanzas: a stanza is serialised where it is, its size is then known, and
//! everything that waits goes out in one write. The lock is held for one append or one swap.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use spectrum_core::session::CloseReason;
use spectrum_core::stream::{Content, Stanza, Writer};
use tokio::time::Instant;
use tracing::warn;

/// Bytes that may wait for a client that does not read. One more stanza detaches it.
pub(crate) const OUTBOX_BYTES: usize = 256 * 1024;

/// Bytes that may wait for a client that does read: the presence of thousands of contacts comes at once after a login,
/// and a telephone is slow, not gone.
pub(crate) const OUTBOX_BURST_BYTES: usize = 4 * 1024 * 1024;

/// A client that has taken no byte for so long, while some waited, does not read.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Why a connection has to end, from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Another client has taken the resource.
    Conflict,
    /// It did not read what was sent to it.
    Overflow,
    /// The session is over.
    Session(CloseReason),
    /// The server stops.
    Shutdown,
}

pub(crate) struct Outbox {
    state: Mutex<State>,
}

struct State {
    bytes: BytesMut,
    /// When the client last took something, or had taken everything.
    progress: Instant,
    end: Option<End>,
    waker: Option<Waker>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                bytes: BytesMut::new(),
                progress: Instant::now(),
                end: None,
                waker: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a stanza. False if it was not taken, because the connection is at its end or has come to it by this: then
    /// the resource counts as gone.
    pub(crate) fn push(&self, stanza: &Stanza) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        if state.bytes.is_empty() {
            state.progress = Instant::now();
        }
        let waiting = state.bytes.len();
        let reads = state.progress.elapsed() < STALLED_AFTER;
        if waiting >= OUTBOX_BURST_BYTES || (waiting >= OUTBOX_BYTES && !reads) {
            state.bytes = BytesMut::new();
            state.end(End::Overflow);
            return false;
        }
        if let Err(error) = Writer::new(Content::Client).stanza(&mut state.bytes, stanza) {
            warn!(%error, "A stanza for a client could not be written and was dropped.");
        }
        state.wake();
        true
    }

    /// Ends the connection. What waits is written before, as far as the client takes it. The first reason stays.
    pub(crate) fn close(&self, end: End) {
        self.state().end(end);
    }

    /// The connection took what was written before: the client reads.
    pub(super) fn progressed(&self) {
        self.state().progress = Instant::now();
    }

    /// Moves what waits into `out`, which is empty; ready as well once the connection has to end.
    pub(super) fn poll(&self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<()> {
        let mut state = self.state();
        if !state.bytes.is_empty() {
            std::mem::swap(&mut state.bytes, out);
            return Poll::Ready(());
        }
        state.poll_end(cx)
    }

    /// Ready once the connection has to end; for one that cannot write at the moment.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state().poll_end(cx)
    }

    /// Why the connection has to end, and what was still to be written before.
    pub(super) fn finish(&self) -> Option<(End, BytesMut)> {
        let mut state = self.state();
        let end = state.end.clone()?;
        Some((end, std::mem::take(&mut state.bytes)))
    }
}

impl State {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_some() {
            return Poll::Ready(());
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use spectrum_core::stream::Stanza;
    use xmpp_parsers::message::{Lang, Message};

    use super::*;

    fn message(bytes: usize) -> Stanza {
        Message::chat(None).with_body(Lang::new(), "x".repeat(bytes)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_does_not_read_is_detached_at_256_kib() {
        let outbox = Outbox::new();
        let stanza = message(1024);
        assert!(outbox.push(&stanza));
        tokio::time::advance(STALLED_AFTER).await;
        let taken = (1..1000).take_while(|_| outbox.push(&stanza)).count();
        assert!(taken * 1024 < OUTBOX_BYTES, "{taken} stanzas of 1 KiB");
        assert_eq!(outbox.finish(), Some((End::Overflow, BytesMut::new())));
        assert!(!outbox.push(&stanza));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_reads_is_given_a_burst() {
        let outbox = Outbox::new();
        let stanza = message(64 * 1024);
        let taken = (0..1000).take_while(|_| outbox.push(&stanza)).count();
        assert!((60..=64).contains(&taken), "{taken} stanzas of 64 KiB");
    }

    #[tokio::test(start_paused = true)]
    async fn one_stanza_above_the_bound_passes_and_progress_keeps_a_slow_client() {
        let outbox = Outbox::new();
        assert!(outbox.push(&message(2 * OUTBOX_BYTES)));
        for _ in 0..10 {
            tokio::time::advance(STALLED_AFTER / 2).await;
            outbox.progressed();
            assert!(outbox.push(&message(1)));
        }
    }
}
