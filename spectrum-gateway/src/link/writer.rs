//! The writer of the link: everything that waits becomes one write. Owns the sending half of the socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use spectrum_core::stanza::Stanza;
use spectrum_core::stream::{Content, Writer};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tracing::warn;

use super::outbox::{Outbox, Work};

/// Stanzas taken at once; some 64 KiB.
const BATCH: usize = 256;
/// A buffer that one large stanza has blown up is given back above this.
const KEPT_BYTES: usize = 256 * 1024;
/// How long the server may refuse to take bytes.
const STALL: Duration = Duration::from_secs(30);
/// A space after this long without anything else, so that routers on the way and the server's own clock see life.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Writes until asked to finish.
///
/// # Errors
/// If the socket fails or the server does not take bytes; what was being written goes back to the outbox, because it
/// may be lost: a message then arrives twice rather than not at all.
pub(super) async fn run(outbox: Arc<Outbox>, mut output: Box<dyn AsyncWrite + Send + Unpin>) -> io::Result<()> {
    let writer = Writer::new(Content::Component);
    let mut batch: Vec<Stanza> = Vec::with_capacity(BATCH);
    let mut bytes = BytesMut::with_capacity(64 * 1024);
    loop {
        let work = timeout(KEEP_ALIVE, outbox.work(&mut batch, BATCH)).await;
        let finish = match work {
            Ok(Work::Stalled) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not read")),
            Ok(Work::Stanzas) => false,
            Ok(Work::Finish) => true,
            Err(_) => {
                bytes.extend_from_slice(b" ");
                false
            }
        };
        for stanza in &batch {
            if let Err(refused) = writer.stanza(&mut bytes, stanza) {
                warn!(error = %refused, "A stanza could not be written and was dropped.");
            }
        }
        if finish {
            writer.close(&mut bytes);
        }
        let written = timeout(STALL, async {
            output.write_all(&bytes).await?;
            output.flush().await
        })
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not read")));
        if let Err(failed) = written {
            outbox.put_back(&mut batch);
            return Err(failed);
        }
        if finish {
            return output.shutdown().await;
        }
        batch.clear();
        bytes.clear();
        if bytes.capacity() > KEPT_BYTES {
            bytes = BytesMut::with_capacity(64 * 1024);
        }
    }
}
