//! One instance as a process: log, metrics, control socket, signals, service manager, exit code.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{Instrument, Span};

use super::args::Run;
use super::exit::{Exit, Failure};
use super::{Launched, Launcher, Start, locate};
use crate::admin::ControlServer;
use crate::config::Loaded;
use crate::instance::{Instance, RunError, Shutdown};
use crate::main_process::PoolHealth;
use crate::tasks::Tasks;
use crate::telemetry::http::MetricsServer;
use crate::telemetry::{Logs, Probes, Readiness, Terminal, gauge, log_panics, record_metrics};

/// How long tasks may take to end once the instance has.
const TASKS_GRACE: Duration = Duration::from_secs(5);
/// How long blocking calls may take after that.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(launcher: &dyn Launcher, arguments: &Run) -> Result<Exit, Failure> {
    let loaded = locate::load(launcher.mode(), &arguments.instance)?;
    match serve(loaded, arguments.once, |start| launcher.launch(start)) {
        Ok(exit) => Ok(exit),
        Err(error) => Err(error.0),
    }
}

/// Why a process could not begin to serve. The verbs print it; [`ServeError::report`] does it for a binary's own verbs.
#[derive(Debug)]
pub struct ServeError(Failure);

impl ServeError {
    /// Prints the reason to standard error and returns the exit code.
    pub fn report(self, mode: crate::config::Mode) -> Exit {
        self.0.report(mode)
    }
}

impl<T: Into<Failure>> From<T> for ServeError {
    fn from(failure: T) -> Self {
        Self(failure.into())
    }
}

/// Runs one instance until it ends or SIGTERM or SIGINT asks it to. Blocks; builds a runtime of its own, so it must not be called
/// inside one. Once per process: it owns the log, the metrics, the signals and the panic hook.
///
/// # Errors
/// [`ServeError`] if the log, the runtime or the control socket is not to be had. What goes wrong later is in the log and the
/// exit code.
pub fn serve<F, L>(loaded: Loaded, once: bool, launch: F) -> Result<Exit, ServeError>
where
    F: FnOnce(Start) -> L,
    L: Future<Output = Result<Launched, RunError>>,
{
    no_core_dumps();
    let config = Arc::new(loaded.config);
    let terminal = Terminal::detect();
    let logs = Logs::start(&config.log, terminal)?;
    log_panics();
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("spectrum")
        .build()
        .map_err(Failure::from)?;
    let start = Start {
        config: Arc::clone(&config),
        once,
        tasks: Tasks::new(),
        shutdown: Shutdown::new(),
    };
    let tasks = start.tasks.clone();
    let span = tracing::info_span!("instance", jid = %config.jid);
    let result = runtime.block_on(
        async {
            let ended = supervise(start, &logs, launch).await;
            tasks.stop(TASKS_GRACE).await;
            ended
        }
        .instrument(span),
    );
    runtime.shutdown_timeout(RUNTIME_GRACE);
    match result {
        Ok(exit) => Ok(exit),
        Err(error) => {
            tracing::error!(%error, "The instance ended.");
            if terminal == Terminal::Other && config.log.file.is_some() {
                eprintln!("{}: {error}", config.mode.binary());
            }
            Ok(Exit::from(&error))
        }
    }
}

async fn supervise<F, L>(start: Start, logs: &Logs, launch: F) -> Result<Exit, RunError>
where
    F: FnOnce(Start) -> L,
    L: Future<Output = Result<Launched, RunError>>,
{
    let Start {
        config, tasks, shutdown, ..
    } = start.clone();
    let mut end = EndSignals::watch()?;
    let mut hangup = watch(SignalKind::hangup())?;
    let control = ControlServer::bind(&config.control.socket).map_err(|error| {
        RunError::Config(format!(
            "could not open {} (key control.socket): {error}",
            config.control.socket.display()
        ))
    })?;
    // Before anything is counted: what asks for its counter earlier counts into nothing.
    let metrics = match config.metrics.listen {
        Some(address) => {
            let handle = record_metrics().map_err(|error| RunError::Config(format!("could not record metrics: {error}")))?;
            Some((address, handle))
        }
        None => None,
    };
    let launched = tokio::select! {
        launched = launch(start) => launched?,
        () = end.received() => return Ok(Exit::Success),
    };
    let instance = launched.instance;
    if let Some((address, handle)) = metrics {
        serve_metrics(address, handle, &instance, &tasks).await?;
    }
    tasks.spawn("control", Span::current(), control.serve(launched.control, tasks.clone()));
    if let Some(interval) = sd_notify::watchdog_enabled() {
        tasks.spawn("watchdog", Span::current(), watchdog(interval / 2, tasks.clone()));
    }
    tracing::info!(mode = %config.mode, version = env!("CARGO_PKG_VERSION"), "The instance starts.");
    let running = tasks.spawn("instance", Span::current(), Arc::clone(&instance).run(shutdown.clone()));
    notify(&[NotifyState::Ready]);
    tokio::pin!(running);
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = hangup.recv() => {
                reopen(logs);
                instance.reload();
            }
            () = end.received() => {
                if shutdown.is_triggered() {
                    tracing::warn!("Told to end twice; ending without waiting for users to be logged out.");
                    return Ok(Exit::Failure);
                }
                tracing::info!("Told to end; logging users out.");
                notify(&[NotifyState::Stopping]);
                shutdown.trigger();
            }
        }
    };
    match result {
        Ok(Ok(())) => {
            tracing::info!("The instance ended.");
            Ok(Exit::Success)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Exit::Failure),
    }
}

async fn serve_metrics(
    address: SocketAddr,
    handle: PrometheusHandle,
    instance: &Arc<dyn Instance>,
    tasks: &Tasks,
) -> Result<(), RunError> {
    let probed = Arc::clone(instance);
    let probes = Probes {
        readiness: Box::new(move || readiness(probed.as_ref())),
        refresh: {
            let measured = Arc::clone(instance);
            Box::new(move || gauge(&measured.status()))
        },
    };
    let server = MetricsServer::bind(address, handle, probes)
        .await
        .map_err(|source| RunError::Listen {
            address: format!("{address} (key metrics.listen)"),
            source,
        })?;
    tasks.spawn("metrics", Span::current(), server.serve(tasks.clone()));
    Ok(())
}

/// Ready is: stanzas can pass and users can be taken.
fn readiness(instance: &dyn Instance) -> Readiness {
    let status = instance.status();
    if !status.xmpp.up {
        return Readiness::NotReady(status.xmpp.text);
    }
    match status.pool.health {
        PoolHealth::Ready => Readiness::Ready,
        PoolHealth::Starting => Readiness::NotReady("the first backend is starting".to_owned()),
        PoolHealth::Failing => Readiness::NotReady(status.pool.reason.unwrap_or_else(|| "backends fail".to_owned())),
        PoolHealth::Stopping => Readiness::NotReady("the instance is ending".to_owned()),
    }
}

fn reopen(logs: &Logs) {
    match logs.reopen() {
        Ok(()) => tracing::info!("The log was opened anew."),
        Err(error) => tracing::error!(%error, "The log could not be opened anew; the old file stays in use."),
    }
}

async fn watchdog(interval: Duration, tasks: Tasks) {
    let mut tick = tokio::time::interval(interval);
    loop {
        tokio::select! {
            () = tasks.stopping() => return,
            _ = tick.tick() => notify(&[NotifyState::Watchdog]),
        }
    }
}

/// Tells the service manager; without one this does nothing.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "The service manager could not be told.");
    }
}

/// Passwords must not land in a core file. Backends inherit the limit.
fn no_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Neither call can fail for a process that lowers its own limits, and nothing would be better for stopping here.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// SIGTERM and SIGINT: both ask for the end.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    fn watch() -> Result<Self, RunError> {
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn watch(kind: SignalKind) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::Config(format!("could not watch signals: {error}")))
}
