//! The conversation with the transport: greeting, options, then a driver between two tasks that read and write frames.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use spectrum_core::backend::{Backend, OpError};
use spectrum_core::driver;
use spectrum_core::tasks::{TaskError, TaskHandle, Tasks};
use spectrum_core::wire::native::{BackendCodec, ForBackend};
use spectrum_core::wire::{FromBackend, MAX_VERSION, MIN_VERSION, ResourceUse, ToBackend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::options::Options;

/// Frames read and not yet taken by the driver. Full: the transport waits, and its own bound holds.
const INBOX: usize = 1024;
/// Frames of the driver not yet written. Full: everybody waits for the transport to read.
const OUTBOX: usize = 1024;
/// Frames that go with one write.
const BATCH: usize = 256;
/// Bytes that are read at once, at least.
const READ_BYTES: usize = 64 * 1024;
/// A buffer larger than this is given back once it is empty.
const KEPT_BYTES: usize = 256 * 1024;
/// How long the last frames may take.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// How the conversation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// As it should.
    Over,
    /// The options cannot be worked with.
    Refused,
    /// The transport chose a version that was not offered.
    NoCommonVersion,
}

/// Says what the process uses. The file is opened before files are restricted.
pub(crate) struct Memory {
    file: Option<File>,
    page_kib: u32,
    initial: u32,
}

impl Memory {
    pub(crate) fn open() -> Self {
        let page_kib = u32::try_from(rustix::param::page_size() / 1024).unwrap_or(4);
        let mut memory = Self {
            file: File::open("/proc/self/statm").ok(),
            page_kib,
            initial: 0,
        };
        memory.initial = memory.used().map_or(0, |used| used.resident);
        memory
    }

    fn used(&self) -> Option<ResourceUse> {
        let mut text = [0; 128];
        let len = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut pages = std::str::from_utf8(&text[..len])
            .ok()?
            .split_ascii_whitespace()
            .skip(1)
            .map(str::parse::<u32>);
        let mut next = || pages.next()?.ok().map(|pages| pages.saturating_mul(self.page_kib));
        Some(ResourceUse {
            resident: next()?,
            initial: self.initial,
            shared: next()?,
        })
    }
}

/// Serves the transport at the other end until it is over.
pub(crate) async fn serve<B, E>(
    socket: StdUnixStream,
    max_frame_bytes: usize,
    memory: Memory,
    build: impl FnOnce(Options) -> Result<B, E>,
) -> io::Result<Ending>
where
    B: Backend,
    E: fmt::Display,
{
    socket.set_nonblocking(true)?;
    let (read, write) = UnixStream::from_std(socket)?.into_split();
    let mut reader = Reader {
        socket: read,
        codec: BackendCodec::new(max_frame_bytes),
        buffer: BytesMut::new(),
    };
    let mut writer = Writer {
        socket: write,
        codec: BackendCodec::new(max_frame_bytes),
        buffer: BytesMut::new(),
        memory,
    };

    writer
        .write(&[FromBackend::Hello {
            min: MIN_VERSION,
            max: MAX_VERSION,
        }])
        .await?;
    let mut terminated = signal(SignalKind::terminate())?;
    // The transport decides when a backend ends; a key pressed at its terminal is for the transport.
    let _interrupted = signal(SignalKind::interrupt())?;
    let options = loop {
        let frame = tokio::select! {
            frame = reader.next() => frame?,
            _ = terminated.recv() => return Ok(Ending::Over),
        };
        match frame {
            None | Some(ForBackend::Frame(ToBackend::Exit)) => return Ok(Ending::Over),
            Some(ForBackend::Frame(ToBackend::Version { version, options })) => {
                if !(MIN_VERSION..=MAX_VERSION).contains(&version) {
                    tracing::error!(version, "The transport speaks another version of the protocol.");
                    return Ok(Ending::NoCommonVersion);
                }
                break Options::new(options);
            }
            Some(ForBackend::Frame(ToBackend::Ping)) => writer.write(&[FromBackend::Pong]).await?,
            Some(other) => drop(other),
        }
    };
    let backend = match build(options) {
        Ok(backend) => Arc::new(backend),
        Err(problem) => {
            let text = problem.to_string();
            tracing::error!(problem = %text, "The options cannot be worked with.");
            writer.write(&[FromBackend::Refused { text }]).await?;
            return Ok(Ending::Refused);
        }
    };

    let tasks = Tasks::new();
    let (to_driver, frames) = mpsc::channel(INBOX);
    let (out, outbox) = mpsc::channel(OUTBOX);
    let last = CancellationToken::new();
    let mut writing = tasks.spawn("frame writer", Span::none(), writer.run(outbox, last.clone()));
    let reading = tasks.spawn("frame reader", Span::none(), reader.run(to_driver, out.clone()));
    let mut driver = tasks.spawn("driver", Span::none(), driver::run(backend, frames, out, tasks.clone()));
    tokio::select! {
        result = &mut driver => return finish(result, &last, writing).await,
        _ = terminated.recv() => tracing::info!("Terminated; everybody is logged out."),
        _ = &mut writing => tracing::info!("The transport is gone; everybody is logged out."),
    }
    // Without a reader the driver's frames end, and it logs everybody out.
    reading.abort();
    let result = driver.await;
    finish(result, &last, writing).await
}

/// Writes what is left.
async fn finish(driver: Result<(), TaskError>, last: &CancellationToken, writing: TaskHandle<()>) -> io::Result<Ending> {
    driver.map_err(io::Error::other)?;
    last.cancel();
    if !writing.is_finished() {
        // The transport may be gone before the last frames are written.
        let _ = tokio::time::timeout(FLUSH_TIME, writing).await;
    }
    Ok(Ending::Over)
}

struct Reader {
    socket: OwnedReadHalf,
    codec: BackendCodec,
    buffer: BytesMut,
}

impl Reader {
    /// The next frame; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<ForBackend>> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(READ_BYTES);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn run(mut self, frames: mpsc::Sender<ToBackend>, out: mpsc::Sender<FromBackend>) {
        loop {
            let sent = match self.next().await {
                Ok(Some(ForBackend::Frame(frame))) => frames.send(frame).await.is_ok(),
                Ok(Some(ForBackend::Unreadable { assignment, request })) => {
                    let outcome = Box::new(Err(OpError::unsupported()));
                    out.send(FromBackend::Outcome {
                        assignment,
                        request,
                        outcome,
                    })
                    .await
                    .is_ok()
                }
                Ok(None) => {
                    tracing::info!("The transport has hung up.");
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "What the transport sent could not be read.");
                    return;
                }
            };
            if !sent {
                return;
            }
        }
    }
}

struct Writer {
    socket: OwnedWriteHalf,
    codec: BackendCodec,
    buffer: BytesMut,
    memory: Memory,
}

impl Writer {
    /// Writes these frames at once.
    async fn write(&mut self, frames: &[FromBackend]) -> io::Result<()> {
        let mut pong = false;
        for frame in frames {
            pong |= matches!(frame, FromBackend::Pong);
            self.codec.encode(frame, &mut self.buffer);
        }
        if pong && let Some(used) = self.memory.used() {
            self.codec.encode(&FromBackend::Stats(used), &mut self.buffer);
        }
        self.socket.write_all(&self.buffer).await?;
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Writes what comes, until `last` says that nothing more does.
    async fn run(mut self, mut outbox: mpsc::Receiver<FromBackend>, last: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = tokio::select! {
                biased;
                received = outbox.recv_many(&mut batch, BATCH) => received,
                () = last.cancelled() => 0,
            };
            if received == 0 {
                return;
            }
            if let Err(error) = self.write(&batch).await {
                tracing::info!(%error, "The transport does not read any more.");
                return;
            }
            batch.clear();
        }
    }
}
