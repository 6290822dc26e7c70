//! The component link (XEP-0114): one task connects, reads and reconnects, one writes. The reader never waits for anything
//! but the socket.
//!
//! Owns the stream. Users' sessions outlive it: while it is down presence is dropped and derived anew when it is back,
//! messages wait.

mod connect;
mod handshake;
mod outbox;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use jid::BareJid;
use spectrum_core::instance::{Shutdown, XmppStatus};
use spectrum_core::model::Secret;
use spectrum_core::stanza::Stanza;
use spectrum_core::stream::{Event, Reader};
use spectrum_core::tasks::Tasks;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, info_span, warn};

pub use connect::{Connect, Halves, TcpConnect};
pub use outbox::{HELD, Outbox, QUEUE, RESERVE};

/// The first wait after a lost link; doubled up to [`LONGEST_WAIT`], so that the first answer comes within 15 s of the
/// server's return.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long connecting and the handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(60);
/// How long that sign may take before the link is given up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// How long the writer may take to put back what it could not write.
const PUT_BACK: Duration = Duration::from_secs(1);
/// How long a link must have been up for the waits to begin anew.
const STEADY: Duration = Duration::from_secs(30);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Who handles what the link brings. Called from the reading task: must not wait.
pub trait Handler: Send + Sync + 'static {
    /// A stanza came; nothing in it is verified beyond its syntax.
    fn stanza(&self, stanza: Stanza);
    /// The link is up: stanzas can be sent.
    fn up(&self);
    /// The link is down. Called once for each `up`.
    fn down(&self);
}

/// What a link is made of.
pub struct LinkParts {
    /// The transport's JID, which the stream is for.
    pub jid: BareJid,
    /// The secret shared with the server.
    pub secret: Secret,
    /// How to reach the server.
    pub connect: Arc<dyn Connect>,
    /// What is to be sent.
    pub outbox: Arc<Outbox>,
    /// Who handles what comes.
    pub handler: Arc<dyn Handler>,
    /// Where tasks are born.
    pub tasks: Tasks,
}

/// Why a link ended or did not come up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The server cannot be reached.
    #[error("cannot reach the XMPP server at {place}: {reason}")]
    Unreachable {
        /// Where it should be.
        place: String,
        /// The system's reason.
        reason: String,
    },
    /// The server does not accept the secret.
    #[error(
        "the XMPP server at {place} does not accept the secret for {jid}: gateway.secret must be the one in the server's configuration of this component"
    )]
    WrongSecret {
        /// Where it is.
        place: String,
        /// The component.
        jid: String,
    },
    /// The server refuses the component or ended the stream with a reason.
    #[error("the XMPP server at {place} says: {reason}")]
    Refused {
        /// Where it is.
        place: String,
        /// Its reason.
        reason: String,
    },
    /// What answers there speaks something else.
    #[error("what answers at {place} does not behave like a component port (XEP-0114): {reason}")]
    Protocol {
        /// Where it is.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The stream ended, or no sign of life came.
    #[error("the stream to the XMPP server at {place} was lost: {reason}")]
    Lost {
        /// Where it was.
        place: String,
        /// How.
        reason: String,
    },
}

/// The component link of an instance.
pub struct Link {
    parts: LinkParts,
    place: String,
    status: Mutex<XmppStatus>,
    /// Why it is not up; nothing before the first attempt has ended.
    failure: Mutex<Option<LinkError>>,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(parts: LinkParts) -> Self {
        let place = parts.connect.place();
        let text = format!("connecting to {place}");
        Self {
            parts,
            place,
            status: Mutex::new(XmppStatus { up: false, text }),
            failure: Mutex::default(),
        }
    }

    /// How it is. Takes a moment.
    pub fn status(&self) -> XmppStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it is not up: nothing while it is, and before the first attempt has ended. Takes a moment.
    pub fn failure(&self) -> Option<LinkError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<LinkError>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    fn set_status(&self, up: bool, text: String) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = XmppStatus { up, text };
    }

    /// Keeps the link up until `shutdown`; then sends what waits and closes the stream.
    ///
    /// # Errors
    /// With `once`, why the first attempt failed; otherwise it tries for ever.
    pub async fn run(&self, shutdown: &Shutdown, once: bool) -> Result<(), LinkError> {
        let mut wait = SHORTEST_WAIT;
        let mut is_first = true;
        let mut told = None;
        loop {
            let began = Instant::now();
            let ended = self.connect_and_serve(shutdown).await;
            let (was_up, failed) = match ended {
                Ended::Stopped => return Ok(()),
                Ended::NotUp(failed) => (false, failed),
                Ended::Lost(failed) => (true, failed),
            };
            if is_first && once && !was_up {
                return Err(failed);
            }
            is_first = false;
            if was_up && began.elapsed() >= STEADY {
                wait = SHORTEST_WAIT;
            }
            self.set_status(false, failed.to_string());
            self.set_failure(Some(failed.clone()));
            // The same reason again is no news.
            let kind = std::mem::discriminant(&failed);
            match &failed {
                _ if !was_up && told == Some(kind) => debug!(error = %failed, "Still no link to the XMPP server."),
                LinkError::WrongSecret { .. } => error!(error = %failed, "The XMPP server refuses us."),
                LinkError::Unreachable { .. }
                | LinkError::Refused { .. }
                | LinkError::Protocol { .. }
                | LinkError::Lost { .. } => warn!(error = %failed, "No link to the XMPP server; trying again."),
            }
            told = (!was_up).then_some(kind);
            tokio::select! {
                () = shutdown.triggered() => return Ok(()),
                () = tokio::time::sleep(jittered(wait)) => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn connect_and_serve(&self, shutdown: &Shutdown) -> Ended {
        let place = || self.place.clone();
        let opening = async {
            let mut halves = self.parts.connect.connect().await.map_err(|failed| LinkError::Unreachable {
                place: place(),
                reason: failed.to_string(),
            })?;
            let opened = handshake::open(&mut halves, &self.parts.jid, &self.parts.secret, &self.place).await?;
            Ok((halves, opened))
        };
        let opened = tokio::select! {
            opened = timeout(CONNECT_TIMEOUT, opening) => opened,
            () = shutdown.triggered() => return Ended::Stopped,
        };
        let (halves, opened) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(failed)) => return Ended::NotUp(failed),
            Err(_) => {
                let reason = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
                return Ended::NotUp(LinkError::Unreachable { place: place(), reason });
            }
        };
        info!(place = %self.place, "The link to the XMPP server is up.");
        self.set_failure(None);
        self.set_status(true, format!("connected to {}", self.place));
        self.parts.outbox.set_up(true);
        self.parts.handler.up();

        let (mut input, output) = halves;
        let mut writing = self.parts.tasks.spawn(
            "component writer",
            info_span!("component"),
            writer::run(Arc::clone(&self.parts.outbox), output),
        );
        let ended = tokio::select! {
            failed = self.read(&mut input, opened) => Ended::Lost(failed),
            written = &mut writing => {
                let reason = match written {
                    Ok(Err(failed)) => failed.to_string(),
                    Ok(Ok(())) | Err(_) => "the writer ended".to_owned(),
                };
                Ended::Lost(LinkError::Lost { place: place(), reason })
            }
            () = shutdown.triggered() => Ended::Stopped,
        };
        match ended {
            // Whoever stops the instance has ended the sessions before; what they said last is in the outbox.
            Ended::Stopped => {
                self.parts.outbox.finish();
                drop(timeout(SIGN_OF_LIFE, &mut writing).await);
            }
            // The writer puts back what it could not write.
            Ended::NotUp(_) | Ended::Lost(_) => {
                self.parts.outbox.give_up();
                drop(timeout(PUT_BACK, &mut writing).await);
            }
        }
        writing.abort();
        if let Ended::Lost(failed) = &ended {
            self.set_failure(Some(failed.clone()));
        }
        self.parts.outbox.set_up(false);
        self.parts.handler.down();
        ended
    }

    /// Reads until the link is lost.
    async fn read(&self, input: &mut (dyn tokio::io::AsyncRead + Send + Unpin), opened: handshake::Opened) -> LinkError {
        let handshake::Opened { mut reader, rest } = opened;
        let lost = |reason: String| LinkError::Lost {
            place: self.place.clone(),
            reason,
        };
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        if let Some(ended) = self.take(&mut reader, &rest) {
            return ended;
        }
        loop {
            buffer.reserve(READ_BYTES);
            let got = match timeout(SILENCE, input.read_buf(&mut buffer)).await {
                Ok(got) => got,
                Err(_) => {
                    self.parts.outbox.ask_for_life(&self.parts.jid);
                    match timeout(SIGN_OF_LIFE, input.read_buf(&mut buffer)).await {
                        Ok(got) => got,
                        Err(_) => return lost("it gives no sign of life".to_owned()),
                    }
                }
            };
            match got {
                Ok(0) => return lost("the server closed the connection".to_owned()),
                Ok(_) => {}
                Err(failed) => return lost(failed.to_string()),
            }
            if let Some(ended) = self.take(&mut reader, &buffer) {
                return ended;
            }
            buffer.clear();
        }
    }

    /// Handles everything in the bytes; gives the reason if the stream is over.
    fn take(&self, reader: &mut Reader, mut bytes: &[u8]) -> Option<LinkError> {
        let place = || self.place.clone();
        while let Some(event) = reader.read(&mut bytes) {
            match event {
                Event::Stanza(stanza) if outbox::is_sign_of_life(&stanza, &self.parts.jid) => {}
                Event::Stanza(stanza) => self.parts.handler.stanza(stanza),
                Event::Invalid(invalid) => {
                    debug!(condition = ?invalid.condition, text = %invalid.text, "A stanza could not be read.");
                    if let Some(reply) = invalid.reply {
                        self.parts.outbox.push(reply);
                    }
                }
                Event::Opened(_) | Event::Nonza(_) => {
                    debug!("The server sent what has no place behind the handshake; it is skipped.");
                }
                Event::PeerError(said) => {
                    return Some(LinkError::Refused {
                        place: place(),
                        reason: said.to_string(),
                    });
                }
                Event::Closed => {
                    return Some(LinkError::Lost {
                        place: place(),
                        reason: "the server closed the stream".to_owned(),
                    });
                }
                Event::Error(broken) => {
                    return Some(LinkError::Lost {
                        place: place(),
                        reason: broken.to_string(),
                    });
                }
            }
        }
        None
    }
}

enum Ended {
    /// Asked to.
    Stopped,
    /// It never came up.
    NotUp(LinkError),
    /// It was up.
    Lost(LinkError),
}

/// Up to a quarter more or less, so that the components of a server do not come back all at once.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness there is no jitter, which does no harm.
    if getrandom::fill(&mut random).is_err() {
        return wait;
    }
    let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
    wait.mul_f64(0.75 + share / 2.0)
}

#[cfg(test)]
mod tests;
