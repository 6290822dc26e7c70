//! What a pool is made with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::config::{Identity, Wire};
use crate::main_process::PoolStatus;
use crate::model::BackendId;
use crate::wire::{DEFAULT_MAX_FRAME_BYTES, Options};

/// Where backends come from.
#[derive(Clone)]
pub enum BackendSource {
    /// Linked in. A defect in it may take the main process along.
    Builtin(Arc<dyn Backend>),
    /// A program: one process for each backend.
    Command {
        /// The program, or a wrapper of it, and its arguments. No secrets: everybody on the machine can read them.
        command: Vec<String>,
        /// The dialect it speaks. Nothing probes for it.
        wire: Wire,
    },
}

impl fmt::Debug for BackendSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(_) => f.write_str("Builtin"),
            Self::Command { command, wire } => f
                .debug_struct("Command")
                .field("command", command)
                .field("wire", wire)
                .finish(),
        }
    }
}

/// Answers what a backend asks as an admin would (Spectrum 2's QUERY).
pub trait Queries: Send + Sync {
    /// The answer to a command line, without waiting; `None` if there is no such command. `status` is answered by the pool if
    /// this does not.
    fn answer(&self, backend: BackendId, command: &str, status: &PoolStatus) -> Option<String>;
}

/// What a pool is made with.
#[derive(Clone)]
pub struct PoolOptions {
    /// Where backends come from.
    pub source: BackendSource,
    /// Users on one backend, at most.
    pub users_per_backend: usize,
    /// Backends with room that are kept although nobody needs them.
    pub min_spare: usize,
    /// `[backend.options]`: dotted keys and values, handed to every backend.
    pub options: Options,
    /// The instance's JID, handed to Spectrum 2 backends.
    pub jid: String,
    /// How the instance introduces itself, for Spectrum 2 backends and as long as none has said what the network is.
    /// Without a name it is called by its JID.
    pub identity: Identity,
    /// A private directory for the files Spectrum 2 backends are started with. It must exist.
    pub runtime_dir: PathBuf,
    /// Where backends run and may keep files; none: where the main process runs.
    pub working_dir: Option<PathBuf>,
    /// Environment variables of backends, on top of the few they inherit.
    pub environment: BTreeMap<String, String>,
    /// Longest frame taken from a backend.
    pub max_frame_bytes: usize,
    /// Where to remember what the network is, from one run to the next.
    pub info_cache: Option<PathBuf>,
    /// Answers backends that ask as an admin would.
    pub queries: Option<Arc<dyn Queries>>,
    /// The clock.
    pub timings: Timings,
}

impl PoolOptions {
    /// With defaults: 5,000 users on one backend, 100 with [`Wire::Spectrum2`], no bound for one that is linked in.
    pub fn new(source: BackendSource, jid: impl Into<String>, runtime_dir: impl Into<PathBuf>) -> Self {
        let users_per_backend = match source {
            BackendSource::Builtin(_) => usize::MAX,
            BackendSource::Command { wire: Wire::Native, .. } => 5_000,
            BackendSource::Command {
                wire: Wire::Spectrum2, ..
            } => 100,
        };
        Self {
            source,
            users_per_backend,
            min_spare: 1,
            options: Options::new(),
            jid: jid.into(),
            identity: Identity::default(),
            runtime_dir: runtime_dir.into(),
            working_dir: None,
            environment: BTreeMap::new(),
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
            info_cache: None,
            queries: None,
            timings: Timings::default(),
        }
    }
}

impl PoolOptions {
    /// What the instance is called.
    pub(super) fn name(&self) -> &str {
        self.identity.name.as_deref().unwrap_or(&self.jid)
    }

    /// The type of its network, as far as the instance says it.
    pub(super) fn network_type(&self) -> &str {
        self.identity.kind.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolOptions")
            .field("source", &self.source)
            .field("jid", &self.jid)
            .finish_non_exhaustive()
    }
}

/// How long things may take. The defaults are what the product promises; tests are less patient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// From one PING to the next. libpurple ends after 30 s without one.
    pub ping_interval: Duration,
    /// How long a PONG may take; then the backend has hung.
    pub ping_timeout: Duration,
    /// How long the first frame of a native backend may take.
    pub first_frame: Duration,
    /// How long a backend may take until it is ready.
    pub start: Duration,
    /// How long a backend may take to end once asked to.
    pub exit_grace: Duration,
    /// From a gentle signal to SIGKILL.
    pub kill_grace: Duration,
    /// How long a seat counts after it was let go, unless the logout is confirmed.
    pub logout_grace: Duration,
    /// How long an empty backend beyond the spare ones is kept.
    pub idle: Duration,
    /// The longest wait before the first retry after a backend died; the next is twice as long, and so on.
    pub backoff: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(20),
            first_frame: Duration::from_secs(10),
            start: Duration::from_secs(30),
            exit_grace: Duration::from_secs(10),
            kill_grace: Duration::from_secs(5),
            logout_grace: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            backoff: Duration::from_secs(1),
        }
    }
}
