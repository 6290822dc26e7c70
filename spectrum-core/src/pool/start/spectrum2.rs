//! Starts a process that speaks Spectrum 2's dialect: it connects to a port that is open for it alone, and for no longer.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::{StartError, Starter, Up};
use crate::model::{BackendId, Capability, Secret};
use crate::pool::child::{ConfigFile, ConfigText, Peer, Process, identify};
use crate::pool::link::{self, Link, Sink, Source};
use crate::pool::notes::Note;
use crate::wire::spectrum2::{Spectrum2Codec, default_info};
use crate::wire::{Codec, FromBackend, ToBackend};

/// In a Spectrum 2 command this stands for the backend's number.
const ID_PLACEHOLDER: &str = "BACKEND_ID";

/// Of a backend such as Spectrum 2's `swiften`.
const PASSES_XMPP: &str = "the backend wants to pass XMPP through as it is (features.rawxml), which is not supported; \
    take a backend that says what happens on its network";

impl Starter {
    pub(super) async fn start_spectrum2(&self, command: &[String], link: &Link) -> Result<Up, StartError> {
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
            let info = default_info(self.options.name(), self.options.network_type());
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
        let passes_xmpp =
            |frame: &FromBackend| matches!(frame, FromBackend::Info(info) if info.capabilities.has(Capability::RawXml));
        if frames.iter().any(passes_xmpp) {
            // It would log users in, and then neither show nor take a message.
            return Err(StartError::hopeless(PASSES_XMPP));
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
            ("identity.name", options.name().to_owned()),
            ("identity.category", options.identity.category.clone()),
            ("identity.type", options.network_type().to_owned()),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value)));
        for (key, value) in own.chain(options.options.iter().map(|(key, value)| (key.clone(), value.clone()))) {
            text.set(&key, &value).map_err(|e| StartError::hopeless(e.to_string()))?;
        }
        let path = options.runtime_dir.join(format!("backend-{backend}.cfg"));
        ConfigFile::write(path.clone(), &text)
            .map_err(|e| StartError::hopeless(format!("could not write {}: {e}", path.display())))
    }
}
