//! Brings one backend up: from a command or a linked-in driver to a link that is ready for users.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tracing::Span;

use crate::backend::Backend;
use crate::driver;
use crate::model::{BackendId, Secret};
use crate::pool::child::{ChildSpec, ConfigFile, ConfigText, Peer, Process, identify, spawn};
use crate::pool::link::{self, Link, Sink, Source, SourceEnd};
use crate::pool::notes::{Note, Notes};
use crate::pool::options::{BackendSource, PoolOptions, Wire};
use crate::tasks::Tasks;
use crate::wire::native::NativeCodec;
use crate::wire::spectrum2::{Spectrum2Codec, default_info};
use crate::wire::{Codec, FromBackend, MAX_VERSION, MIN_VERSION, ToBackend};

/// Spectrum 2's backends end with this when they want its database.
const NEEDS_DATABASE: i32 = 254;

/// Frames taken from a backend before it is ready. An honest one sends a handful.
const EARLY_FRAMES: usize = 1_024;

/// In a Spectrum 2 command this stands for the backend's number.
const ID_PLACEHOLDER: &str = "BACKEND_ID";

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

    async fn start_native(&self, command: &[String], link: &Link) -> Result<Up, StartError> {
        let (ours, theirs) =
            std::os::unix::net::UnixStream::pair().map_err(|e| StartError::new(format!("no socket pair: {e}")))?;
        let mut argv: Vec<OsString> = command.iter().map(OsString::from).collect();
        argv.extend(["--fd".into(), theirs.as_raw_fd().to_string().into()]);
        let process = self
            .launch(
                ChildSpec {
                    pass: Some(theirs.into()),
                    ..self.child(argv)
                },
                link,
            )
            .await?;
        let (mut source, mut sink) = match ours.set_nonblocking(true).and_then(|()| UnixStream::from_std(ours)) {
            Ok(stream) => link::native(stream, Codec::Native(NativeCodec::new(self.options.max_frame_bytes))),
            Err(error) => {
                return Err(StartError {
                    process: Some(process),
                    ..StartError::new(format!("no socket: {error}"))
                });
            }
        };
        let greeting = self.greet_native(&mut source, &mut sink, &process);
        match self.in_time(greeting).await {
            Ok(early) => Ok(Up {
                source,
                sink,
                process: Some(process),
                early,
                config: None,
            }),
            Err(error) => Err(StartError {
                process: Some(process),
                ..error
            }),
        }
    }

    async fn greet_native(
        &self,
        source: &mut Source,
        sink: &mut Sink,
        process: &Process,
    ) -> Result<Vec<FromBackend>, StartError> {
        const HINT: &str = "if it was written for Spectrum 2, set wire = \"spectrum2\"";
        let mut frames = Vec::new();
        let first = self.options.timings.first_frame;
        match tokio::time::timeout(first, source.recv(&mut frames)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.ended_early(process, "before its first frame").await),
            Err(_) => {
                let reason = format!("the backend sent nothing within {} s of its start; {HINT}", first.as_secs());
                return Err(StartError::hopeless(reason));
            }
        }
        // The first read may end within a frame.
        while frames.is_empty() {
            self.more(source, &mut frames, process).await?;
        }
        let (min, max) = match frames.remove(0) {
            FromBackend::Hello { min, max } => (min, max),
            _ => {
                return Err(StartError::hopeless(format!(
                    "the backend did not begin with the versions it speaks; {HINT}"
                )));
            }
        };
        let version = MAX_VERSION.min(max);
        if version < MIN_VERSION.max(min) {
            return Err(StartError::hopeless(format!(
                "the backend speaks versions {min} to {max} of the protocol, and we speak {MIN_VERSION} to {MAX_VERSION}; {HINT}"
            )));
        }
        let options = self.options.options.clone();
        if sink
            .send(&mut vec![ToBackend::Version { version, options }], &mut Vec::new())
            .await
            .is_err()
        {
            return Err(self.ended_early(process, "before it was ready").await);
        }
        loop {
            if let Some(at) = frames
                .iter()
                .position(|f| matches!(f, FromBackend::Info(_) | FromBackend::Refused { .. }))
            {
                return match frames.remove(at) {
                    FromBackend::Refused { text } => {
                        Err(StartError::hopeless(format!("the backend refuses its options: {text}")))
                    }
                    FromBackend::Info(info) => {
                        self.notes.leave_info(Arc::new(*info));
                        Ok(frames)
                    }
                    _ => Ok(frames),
                };
            }
            self.more(source, &mut frames, process).await?;
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

    async fn start_spectrum2(&self, command: &[String], link: &Link) -> Result<Up, StartError> {
        let config = self.write_config(link.backend())?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|e| StartError::new(format!("could not listen on loopback: {e}")))?;
        let port = listener
            .local_addr()
            .map_err(|e| StartError::new(format!("could not listen on loopback: {e}")))?
            .port();
        let id = link.backend().to_string();
        let mut argv: Vec<OsString> = command.iter().map(|part| part.replace(ID_PLACEHOLDER, &id).into()).collect();
        argv.extend(["--host", "127.0.0.1", "--port"].map(OsString::from));
        argv.push(port.to_string().into());
        argv.push(format!("--service.backend_id={id}").into());
        argv.extend([
            "-j".into(),
            self.options.jid.as_str().into(),
            config.path().as_os_str().to_owned(),
        ]);
        let process = self.launch(self.child(argv), link).await?;
        let meeting = async {
            let stream = self.accept(listener, &process).await?;
            let _ = stream.set_nodelay(true);
            let identity = &self.options.identity;
            let info = default_info(identity.name.as_str(), identity.network_type.as_str());
            let codec = Spectrum2Codec::new(self.options.max_frame_bytes, info);
            let (mut source, mut sink) = link::spectrum2(stream, Codec::Spectrum2(Box::new(codec)));
            let early = self.greet_spectrum2(&mut source, &mut sink, &process).await?;
            Ok((source, sink, early))
        };
        match self.in_time(meeting).await {
            Ok((source, sink, early)) => Ok(Up {
                source,
                sink,
                process: Some(process),
                early,
                config: Some(config),
            }),
            Err(error) => Err(StartError {
                process: Some(process),
                ..error
            }),
        }
    }

    /// Waits for the connection of the child, and of nobody else.
    async fn accept(&self, listener: TcpListener, process: &Process) -> Result<TcpStream, StartError> {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = process.exited() => return Err(self.ended_early(process, "before it connected").await),
            };
            let (stream, peer) =
                accepted.map_err(|e| StartError::new(format!("could not accept the backend's connection: {e}")))?;
            let local = stream
                .local_addr()
                .map_err(|e| StartError::new(format!("could not accept the backend's connection: {e}")))?;
            let (SocketAddr::V4(peer), SocketAddr::V4(local)) = (peer, local) else {
                continue;
            };
            let session = process.pid();
            let who = tokio::task::spawn_blocking(move || identify(peer, local, session)).await;
            match who.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(Peer::Child) => return Ok(stream),
                Ok(Peer::SameUser) => {
                    let text =
                        "whose process connects to a backend's port cannot be read in /proc, so any process of the same user may";
                    self.notes.leave(Note::Degraded(text.to_owned()));
                    return Ok(stream);
                }
                Ok(Peer::Stranger) => {
                    metrics::counter!("spectrum_backend_strangers_total").increment(1);
                    tracing::warn!(%peer, "A process that is not the backend connected to its port, and was turned away.");
                }
                Err(error) => {
                    return Err(StartError::hopeless(format!(
                        "cannot tell who connects to a backend's port: {error}"
                    )));
                }
            }
        }
    }

    async fn greet_spectrum2(
        &self,
        source: &mut Source,
        sink: &mut Sink,
        process: &Process,
    ) -> Result<Vec<FromBackend>, StartError> {
        let mut frames = Vec::new();
        if sink.send(&mut vec![ToBackend::Ping], &mut frames).await.is_err() {
            return Err(self.ended_early(process, "before it was ready").await);
        }
        while !frames.iter().any(|frame| matches!(frame, FromBackend::Pong)) {
            self.more(source, &mut frames, process).await?;
        }
        Ok(frames)
    }

    fn write_config(&self, backend: BackendId) -> Result<ConfigFile, StartError> {
        let options = &self.options;
        let mut text = ConfigText::default();
        let directory = match &options.working_dir {
            Some(dir) => Ok(dir.clone()),
            None => std::env::current_dir(),
        };
        let directory = directory.map_err(|e| StartError::hopeless(format!("no working directory: {e}")))?;
        let own = [
            ("service.jid", options.jid.clone()),
            ("service.working_dir", directory.to_string_lossy().into_owned()),
            ("service.users_per_backend", options.users_per_backend.to_string()),
            ("identity.name", options.identity.name.clone()),
            ("identity.category", options.identity.category.clone()),
            ("identity.type", options.identity.network_type.clone()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value)));
        for (key, value) in own.chain(options.options.iter().map(|(key, value)| (key.clone(), value.clone()))) {
            text.set(&key, &value).map_err(|e| StartError::hopeless(e.to_string()))?;
        }
        let path = options.runtime_dir.join(format!("backend-{backend}.cfg"));
        ConfigFile::write(path.clone(), &text)
            .map_err(|e| StartError::hopeless(format!("could not write {}: {e}", path.display())))
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
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
                    StartError::hopeless(reason)
                }
                _ => StartError::new(reason),
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
