//! From a configuration to the parts that both binaries put together: the pool, and what all sessions have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, BackendInfo};
use crate::config::{BackendOptions, Config, StayConnected};
use crate::face::FaceTraits;
use crate::instance::RunError;
use crate::main_process::MainProcess;
use crate::model::Secret;
use crate::pool::{BackendSource, Pool, PoolOptions};
use crate::session::{SessionConfig, SessionLimits, SessionSeed};
use crate::store::{self, Store, StoreError, StoreOptions};
use crate::tasks::Tasks;

/// How long a user of a gateway stays on the network after the last `unavailable`, unless the configuration says for ever.
pub const GATEWAY_GRACE: Duration = Duration::from_secs(30);

/// Backends that are linked into a binary.
pub trait Builtins: Send + Sync {
    /// The names that `backend.builtin` takes.
    fn names(&self) -> &'static [&'static str];

    /// Makes the backend of this name.
    ///
    /// # Errors
    /// What is wrong with its options, for the administrator.
    fn make(&self, name: &str, options: &BackendOptions) -> Option<Result<Arc<dyn Backend>, String>>;
}

/// No backend is linked in.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBuiltins;

impl Builtins for NoBuiltins {
    fn names(&self) -> &'static [&'static str] {
        &[]
    }

    fn make(&self, _name: &str, _options: &BackendOptions) -> Option<Result<Arc<dyn Backend>, String>> {
        None
    }
}

/// The backend of this configuration if it is linked in; `None` if it is a program.
///
/// # Errors
/// [`RunError::Config`] if there is no such builtin backend, or its options are wrong.
pub fn builtin(config: &Config, builtins: &dyn Builtins) -> Result<Option<Arc<dyn Backend>>, RunError> {
    let Some(name) = &config.backend.builtin else {
        return Ok(None);
    };
    match builtins.make(name, &config.backend.options) {
        Some(Ok(backend)) => Ok(Some(backend)),
        Some(Err(wrong)) => Err(RunError::Config(format!("backend.options: {wrong}"))),
        None => {
            let known = builtins.names().join(", ");
            let known = if known.is_empty() {
                "none is part of this binary; give a command".to_owned()
            } else {
                known
            };
            Err(RunError::Config(format!(
                "backend.builtin = \"{name}\": there is no such backend here ({known})"
            )))
        }
    }
}

/// What the pool of this configuration is made with. Makes the runtime directory if it is not there.
///
/// # Errors
/// [`RunError::Config`] if there is no such builtin backend, its options are wrong, or the runtime directory cannot be made.
pub fn pool_options(config: &Config, builtins: &dyn Builtins) -> Result<PoolOptions, RunError> {
    let source = match builtin(config, builtins)? {
        Some(backend) => BackendSource::Builtin(backend),
        None => BackendSource::Command {
            command: config.backend.command.clone(),
            wire: config.backend.wire,
        },
    };
    let runtime_dir = runtime_dir(config);
    if matches!(source, BackendSource::Command { .. }) {
        make_private(&runtime_dir)?;
    }
    let mut options = PoolOptions::new(source, config.jid.as_str(), runtime_dir);
    if config.backend.builtin.is_none() {
        options.users_per_backend = config.backend.users_per_backend as usize;
    }
    options.min_spare = config.backend.min_spare as usize;
    options.options = config
        .backend
        .options
        .flatten()
        .into_iter()
        .map(|(key, value)| (key, Secret::new(value)))
        .collect();
    options.identity = config.identity.clone();
    options.max_frame_bytes = usize::try_from(config.backend.max_frame_bytes.0).unwrap_or(usize::MAX);
    // With storage there is a private directory that outlives a run; without it nothing is written.
    if config.storage_url().is_some() {
        options.info_cache = config
            .storage
            .key_file
            .parent()
            .map(|directory| directory.join("network.json"));
    }
    Ok(options)
}

/// Where sockets and generated files of the instance are: beside the control socket.
fn runtime_dir(config: &Config) -> PathBuf {
    config
        .control
        .socket
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn make_private(directory: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| {
            RunError::Config(format!(
                "control.socket: the directory {} cannot be made: {error}",
                directory.display()
            ))
        })
}

/// How long a session of a gateway outlives the last resource.
pub fn gateway_linger(config: &Config) -> Option<Duration> {
    match config.gateway.stay_connected {
        StayConnected::Never => Some(GATEWAY_GRACE),
        StayConnected::Always => None,
    }
}

/// What all sessions of an instance have in common. Until a backend has said what the network is, it is one without rooms.
pub fn session_seed(config: &Config, main: &dyn MainProcess, face: FaceTraits, linger: Option<Duration>) -> SessionSeed {
    let info = main.info().unwrap_or_else(|| Arc::new(unknown_network(config)));
    SessionSeed {
        config: Arc::new(SessionConfig {
            transport: config.jid.clone(),
            name: config.identity.name.clone(),
            face,
            linger,
            login_timeout: config.server.login_timeout,
            jid_escaping: config.jid_escaping,
            limits: SessionLimits {
                archive_lines: config.archive.max_lines,
                archive_age: config.archive.max_age,
                ..SessionLimits::default()
            },
            durable: config.storage_url().is_some() && config.storage.journal != crate::config::Journal::Off,
        }),
        info,
    }
}

/// What holds for a network that nothing is known of yet.
pub fn unknown_network(config: &Config) -> BackendInfo {
    let name = config.identity.name.clone().unwrap_or_else(|| config.jid.as_str().to_owned());
    BackendInfo::new(name, config.identity.kind.clone().unwrap_or_default())
}

/// Opens the store of a configuration; `None` where nothing is to be kept, and then nothing touches the disk.
///
/// # Errors
/// [`RunError::Store`] if something has to be changed or restored first; [`RunError::Unreachable`] if the database is
/// not there at the moment.
pub async fn open_store(config: &Config) -> Result<Option<Arc<dyn Store>>, RunError> {
    let Some(url) = config.storage_url() else { return Ok(None) };
    let options = StoreOptions {
        url: url.to_owned(),
        instance: config.jid.to_string(),
        key_file: config.storage.key_file.clone(),
        survive_power_cuts: config.storage.journal == crate::config::Journal::Full,
    };
    store::open(&options).await.map(Some).map_err(|failed| {
        let text = told(&failed);
        if failed.is_configuration() {
            RunError::Store(text)
        } else {
            RunError::Unreachable(text)
        }
    })
}

/// The error with its causes.
fn told(failed: &StoreError) -> String {
    let mut text = failed.to_string();
    let mut cause = std::error::Error::source(failed);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

/// Starts the pool of this configuration, and with it the first backend; waits for nobody.
///
/// # Errors
/// As [`pool_options`].
pub fn start_pool(config: &Config, builtins: &dyn Builtins, tasks: &Tasks) -> Result<Arc<Pool>, RunError> {
    Ok(Pool::start(pool_options(config, builtins)?, tasks))
}
