//! One running transport, as an embedder sees it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::Mode;
use crate::main_process::PoolStatus;

pub use jid::BareJid;

/// One running transport: one JID, one configuration. Implemented by `spectrum_gateway::Gateway` and
/// `spectrum_server::Server`.
#[async_trait]
pub trait Instance: Send + Sync {
    /// The JID users know it by.
    fn jid(&self) -> &BareJid;

    /// Component of an XMPP server, or a server itself.
    fn mode(&self) -> Mode;

    /// How it is. Takes a moment, waits for nobody.
    fn status(&self) -> Status;

    /// Reads anew what can change while it runs, such as certificates (SIGHUP). What cannot be used is refused with a line in
    /// the log, and what there was stays. Blocks on the file system for a moment.
    fn reload(&self) {}

    /// Runs until `shutdown`, then logs everybody out and returns.
    ///
    /// # Errors
    /// [`RunError`] if it cannot start; once started it runs until it is told to stop.
    async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), RunError>;
}

/// Tells an instance to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Now. Can be called more than once.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Whether it has been said.
    pub fn is_triggered(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once it is said.
    pub async fn triggered(&self) {
        self.0.cancelled().await;
    }

    /// The token below it, for tasks.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }
}

/// How an instance is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Status {
    /// Its JID.
    pub jid: String,
    /// Its mode.
    pub mode: Mode,
    /// Its version.
    pub version: &'static str,
    /// Seconds since it was started.
    pub uptime_secs: u64,
    /// The XMPP side: `connected`, `connecting`, `listening`, and a text.
    pub xmpp: XmppStatus,
    /// Users with a session.
    pub sessions: usize,
    /// Of them, those logged in on the network.
    pub logged_in: usize,
    /// The backends.
    pub pool: PoolStatus,
    /// What works less well than it could, and what to do about it.
    pub degraded: Vec<String>,
}

/// The XMPP side of an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct XmppStatus {
    /// Whether stanzas can pass.
    pub up: bool,
    /// In words: connected to what, listening where, or what is wrong.
    pub text: String,
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Something in the configuration; exit code 78.
    #[error("{0}")]
    Config(String),
    /// The XMPP server cannot be reached or refuses us; exit code 69.
    #[error("{0}")]
    Unreachable(String),
    /// The store cannot be opened; exit code 78.
    #[error("could not open the store: {0}")]
    Store(String),
    /// An address cannot be listened on; exit code 69.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
