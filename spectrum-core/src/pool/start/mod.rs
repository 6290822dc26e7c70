//! Brings one backend up: from a command or a linked-in driver to a link that is ready for users.

mod native;
mod spectrum2;

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Span;

use crate::backend::Backend;
use crate::config::Wire;
use crate::driver;
use crate::pool::child::{ChildSpec, ConfigFile, Process, spawn};
use crate::pool::link::{self, Link, Sink, Source, SourceEnd};
use crate::pool::notes::Notes;
use crate::pool::options::{BackendSource, PoolOptions};
use crate::tasks::Tasks;
use crate::wire::FromBackend;

/// Spectrum 2's backends end with this when they want its database.
const NEEDS_DATABASE: i32 = 254;

/// Frames taken from a backend before it is ready. An honest one sends a handful.
const EARLY_FRAMES: usize = 1_024;

/// Starts backends of one pool.
pub(super) struct Starter {
    pub(super) options: Arc<PoolOptions>,
    pub(super) tasks: Tasks,
    pub(super) notes: Arc<Notes>,
}

/// A backend that is up.
pub(super) struct Up {
    pub(super) source: Source,
    pub(super) sink: Sink,
    pub(super) process: Option<Process>,
    /// What it said behind the greeting.
    pub(super) early: Vec<FromBackend>,
    /// What it was configured with; goes when it ends.
    pub(super) config: Option<ConfigFile>,
}

/// Why a backend did not come up.
#[derive(Debug)]
pub(super) struct StartError {
    /// In words, for users and the log.
    pub(super) reason: String,
    /// Whether another attempt would fail the same way.
    pub(super) hopeless: bool,
    /// Its process, which may still live.
    pub(super) process: Option<Process>,
}

impl StartError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            hopeless: false,
            process: None,
        }
    }

    fn hopeless(reason: impl Into<String>) -> Self {
        Self {
            hopeless: true,
            ..Self::new(reason)
        }
    }
}

impl Starter {
    /// Brings one up. Takes at most [`Timings::start`](super::Timings::start).
    pub(super) async fn start(&self, link: &Link) -> Result<Up, StartError> {
        match &self.options.source {
            BackendSource::Builtin(backend) => Ok(self.start_builtin(Arc::clone(backend))),
            BackendSource::Command {
                command,
                wire: Wire::Native,
            } => self.start_native(command, link).await,
            BackendSource::Command {
                command,
                wire: Wire::Spectrum2,
            } => self.start_spectrum2(command, link).await,
        }
    }

    fn start_builtin(&self, backend: Arc<dyn Backend>) -> Up {
        self.notes.leave_info(Arc::new(backend.info()));
        let (source, sink, requests, answers) = link::in_process();
        self.tasks.spawn(
            "driver",
            Span::current(),
            driver::run(backend, requests, answers, self.tasks.clone()),
        );
        Up {
            source,
            sink,
            process: None,
            early: Vec::new(),
            config: None,
        }
    }

    /// Reads on, of a backend that is not ready yet.
    async fn more(&self, source: &mut Source, frames: &mut Vec<FromBackend>, process: &Process) -> Result<(), StartError> {
        if frames.len() > EARLY_FRAMES {
            return Err(StartError::new("the backend sent too much before it was ready"));
        }
        match source.recv(frames).await {
            Ok(()) => Ok(()),
            Err(SourceEnd::Closed) => Err(self.ended_early(process, "before it was ready").await),
            Err(SourceEnd::Broken(why)) => Err(StartError::new(format!("the backend sent what cannot be understood: {why}"))),
        }
    }

    fn child(&self, argv: Vec<OsString>) -> ChildSpec {
        ChildSpec {
            argv,
            environment: self.options.environment.clone().into_iter().collect(),
            working_dir: self.options.working_dir.clone(),
            pass: None,
        }
    }

    async fn launch(&self, spec: ChildSpec, link: &Link) -> Result<Process, StartError> {
        let program = spec
            .argv
            .first()
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default();
        let child = spawn(spec).await.map_err(|error| {
            let reason = format!("could not start {program:?}: {error}");
            let hopeless = [
                io::ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied,
                io::ErrorKind::InvalidInput,
            ];
            StartError {
                hopeless: hopeless.contains(&error.kind()),
                ..StartError::new(reason)
            }
        })?;
        let process =
            Process::watch(child, &self.tasks).map_err(|e| StartError::new(format!("could not watch {program:?}: {e}")))?;
        link.health.pid.store(process.pid(), Ordering::Relaxed);
        tracing::info!(pid = process.pid(), "Backend was started.");
        Ok(process)
    }

    async fn in_time<T>(&self, start: impl Future<Output = Result<T, StartError>>) -> Result<T, StartError> {
        let limit = self.options.timings.start;
        match tokio::time::timeout(limit, start).await {
            Ok(result) => result,
            Err(_) => Err(StartError::hopeless(format!(
                "the backend was not ready within {} s of its start",
                limit.as_secs()
            ))),
        }
    }

    async fn ended_early(&self, process: &Process, when: &str) -> StartError {
        let status = tokio::time::timeout(self.options.timings.kill_grace, process.exited())
            .await
            .ok()
            .flatten();
        if status.and_then(|s| s.code()) == Some(NEEDS_DATABASE) {
            return StartError::hopeless(
                "the backend needs Spectrum 2's database (exit status 254): set database.* in [backend.options]",
            );
        }
        StartError::new(match status {
            Some(status) => format!("the backend ended {when} ({})", in_words(status)),
            None => format!("the backend closed its connection {when}"),
        })
    }
}

/// An exit status as people read it.
pub(super) fn in_words(status: ExitStatus) -> String {
    // "exit status: 1", "signal: 9 (SIGKILL)"
    status
        .to_string()
        .replace("status: ", "status ")
        .replace("signal: ", "signal ")
}
