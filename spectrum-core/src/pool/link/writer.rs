//! The writer of a link: a task that takes what is queued and writes it, one write per batch.

use std::io;
use std::sync::Arc;

use super::Link;
use super::transport::Sink;

/// Frames taken from the queue at once.
const BATCH: usize = 256;

impl Link {
    /// Writes until the other side is gone. Everything already queued when this begins is written first.
    pub(crate) async fn write(self: Arc<Self>, mut sink: Sink) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut answers = Vec::new();
        loop {
            self.table().take(BATCH, &mut batch);
            let full = batch.len() >= BATCH;
            sink.send(&mut batch, &mut answers).await?;
            for answer in answers.drain(..) {
                self.take(answer);
            }
            if !full {
                self.bell.notified().await;
                // Whoever else is ready now gets to add to the same write.
                tokio::task::yield_now().await;
            }
        }
    }
}
