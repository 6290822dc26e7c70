//! The writer of the link: everything that waits becomes one write. Owns the sending half of the socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::stream::{Content, Writer};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tracing::warn;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::outbox::{Outbox, Work};

/// Stanzas taken at once; some 64 KiB.
const BATCH: usize = 256;
/// A buffer that one large stanza has blown up is given back above this.
const KEPT_BYTES: usize = 256 * 1024;
/// How long the server may refuse to take bytes.
const STALL: Duration = Duration::from_secs(30);
/// A space after this long without anything else, so that routers on the way and the server's own clock see life.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Bytes of one stanza: servers end the stream of everybody over a longer one. Prosody's bound for components, the lowest there is
/// by itself.
const STANZA_BYTES: usize = 512 * 1024;

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
            write(writer, &mut bytes, stanza);
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

/// Appends a stanza; who waits for an answer that is too long is told that.
fn write(writer: Writer, bytes: &mut BytesMut, stanza: &Stanza) {
    let before = bytes.len();
    if let Err(refused) = writer.stanza(bytes, stanza) {
        warn!(error = %refused, "A stanza could not be written and was dropped.");
        return;
    }
    let length = bytes.len() - before;
    if length <= STANZA_BYTES {
        return;
    }
    bytes.truncate(before);
    warn!(length, "A stanza was longer than servers take and was not sent.");
    if let Stanza::Iq(Iq::Result { from, to, id, .. }) = stanza {
        let refusal = Stanza::Iq(Iq::Error {
            from: from.clone(),
            to: to.clone(),
            id: id.clone(),
            error: error(DefinedCondition::PolicyViolation, "The answer is too long for one stanza."),
            payload: None,
        });
        if let Err(refused) = writer.stanza(bytes, &refusal) {
            warn!(error = %refused, "A stanza could not be written and was dropped.");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn written(xml: &str) -> String {
        let element: minidom::Element = xml.parse().unwrap();
        let mut bytes = BytesMut::from("<before/>");
        write(
            Writer::new(Content::Component),
            &mut bytes,
            &Stanza::Iq(Iq::try_from(element).unwrap()),
        );
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn an_answer_that_would_end_the_stream_becomes_an_error_and_a_request_is_left_out() {
        let iq = |type_: &str, bytes: usize| {
            format!(
                "<iq xmlns='jabber:client' type='{type_}' id='1' from='irc.localhost' to='a@b'><x xmlns='urn:x'>{}</x></iq>",
                "x".repeat(bytes)
            )
        };
        assert!(written(&iq("result", 1_000)).ends_with("</iq>"));
        let refused = written(&iq("result", STANZA_BYTES));
        assert!(
            refused.len() < 1_000 && refused.contains("<policy-violation") && refused.contains("id='1'"),
            "{refused}"
        );
        assert_eq!(written(&iq("set", STANZA_BYTES)), "<before/>");
    }
}
