//! Starts a process that speaks the native dialect: it inherits one end of a socket pair, so there is no port and no race.

use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::net::UnixStream;

use super::{StartError, Starter, Up};
use crate::pool::child::{ChildSpec, Process};
use crate::pool::link::{self, Link, Sink, Source, SourceEnd};
use crate::wire::native::NativeCodec;
use crate::wire::{Codec, FromBackend, MAX_VERSION, MIN_VERSION, ToBackend};

const HINT: &str = "if it was written for Spectrum 2, set wire = \"spectrum2\"";

const NO_GREETING: &str = "the backend did not begin with the versions it speaks";

impl Starter {
    pub(super) async fn start_native(&self, command: &[String], link: &Link) -> Result<Up, StartError> {
        let (ours, theirs) = StdUnixStream::pair().map_err(|e| StartError::new(format!("no socket pair: {e}")))?;
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
        let mut frames = Vec::new();
        let first = self.options.timings.first_frame;
        match tokio::time::timeout(first, source.recv(&mut frames)).await {
            Ok(Ok(())) => {}
            Ok(Err(SourceEnd::Closed)) => {
                // So does a backend that was started with options it does not know.
                let ended = self.ended_early(process, "before its first frame").await;
                return Err(StartError {
                    reason: format!("{}; {HINT}", ended.reason),
                    ..ended
                });
            }
            Ok(Err(SourceEnd::Broken(_))) => return Err(StartError::hopeless(format!("{NO_GREETING}; {HINT}"))),
            Err(_) => {
                let reason = format!("the backend sent nothing within {} s of its start; {HINT}", first.as_secs());
                return Err(StartError::hopeless(reason));
            }
        }
        // The first read may end within a frame.
        while frames.is_empty() {
            self.more(source, &mut frames, process).await?;
        }
        let FromBackend::Hello { min, max } = frames.remove(0) else {
            return Err(StartError::hopeless(format!("{NO_GREETING}; {HINT}")));
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
            for frame in &frames {
                match frame {
                    FromBackend::Refused { text } => {
                        return Err(StartError::hopeless(format!("the backend refuses its options: {text}")));
                    }
                    FromBackend::Info(_) => return Ok(frames),
                    FromBackend::Hello { .. }
                    | FromBackend::LoggedIn { .. }
                    | FromBackend::Event { .. }
                    | FromBackend::Outcome { .. }
                    | FromBackend::LoggedOut { .. }
                    | FromBackend::Prompt { .. }
                    | FromBackend::Query(_)
                    | FromBackend::Pong
                    | FromBackend::Stats(_) => {}
                }
            }
            self.more(source, &mut frames, process).await?;
        }
    }
}
