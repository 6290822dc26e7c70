//! What frames travel through: bytes in one of the two dialects, or a channel to a driver in this process.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use crate::wire::{Codec, FromBackend, ToBackend};

/// Room made for each read.
const READ_BYTES: usize = 64 * 1024;

/// A batch is written in pieces of about this size, so that a burst does not double in memory.
const WRITE_BYTES: usize = 256 * 1024;

/// Frames taken from an in-process driver at once.
const CHANNEL_BATCH: usize = 64;

/// Frames between a link and an in-process driver, each way. When full the side that sends waits: the link's writer, or the
/// driver's.
const CHANNEL_FRAMES: usize = 256;

/// A codec that reader and writer share, because an answer changes what may be written. The lock is held for one batch of
/// coding, never while waiting.
#[derive(Clone)]
pub(crate) struct SharedCodec(Arc<Mutex<Codec>>);

impl SharedCodec {
    fn lock(&self) -> MutexGuard<'_, Codec> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where frames come from.
pub(crate) enum Source {
    /// From a process.
    Bytes {
        /// The reading half.
        half: Box<dyn AsyncRead + Send + Unpin>,
        /// Understands them.
        codec: SharedCodec,
        /// What has been read and not been understood yet.
        buffer: BytesMut,
    },
    /// From a driver.
    Channel(mpsc::Receiver<FromBackend>),
}

/// Where frames go.
pub(crate) enum Sink {
    /// To a process.
    Bytes {
        /// The writing half.
        half: Box<dyn AsyncWrite + Send + Unpin>,
        /// Spells them.
        codec: SharedCodec,
        /// What is to be written.
        buffer: BytesMut,
    },
    /// To a driver.
    Channel(mpsc::Sender<ToBackend>),
}

/// Why nothing more comes.
#[derive(Debug)]
pub(crate) enum SourceEnd {
    /// The other side has closed.
    Closed,
    /// What it sent cannot be followed any further.
    Broken(String),
}

impl Source {
    /// Waits for frames and appends them. Dropping the future loses nothing.
    pub(crate) async fn recv(&mut self, frames: &mut Vec<FromBackend>) -> Result<(), SourceEnd> {
        match self {
            Self::Bytes { half, codec, buffer } => {
                buffer.reserve(READ_BYTES);
                match half.read_buf(buffer).await {
                    Ok(0) => return Err(SourceEnd::Closed),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(SourceEnd::Closed),
                    Err(error) => return Err(SourceEnd::Broken(error.to_string())),
                }
                let mut codec = codec.lock();
                loop {
                    match codec.decode(buffer) {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => return Ok(()),
                        Err(error) => return Err(SourceEnd::Broken(error.to_string())),
                    }
                }
            }
            Self::Channel(channel) => match channel.recv_many(frames, CHANNEL_BATCH).await {
                0 => Err(SourceEnd::Closed),
                _ => Ok(()),
            },
        }
    }

    /// Whether the codec has something to write that no session has asked for.
    pub(crate) fn has_output(&self) -> bool {
        match self {
            Self::Bytes { codec, .. } => {
                let codec = codec.lock();
                codec.has_output() || codec.needs_ping()
            }
            Self::Channel(_) => false,
        }
    }

    /// Says that ten seconds have passed, and takes what the codec answers to that.
    pub(crate) fn tick(&mut self, answers: &mut Vec<FromBackend>) {
        if let Self::Bytes { codec, .. } = self {
            let mut codec = codec.lock();
            codec.tick();
            answers.extend(std::iter::from_fn(|| codec.next_answer()));
        }
    }

    /// Frames and fields the codec has skipped or repaired.
    pub(crate) fn violations(&self) -> u64 {
        match self {
            Self::Bytes { codec, .. } => {
                let counters = codec.lock().counters();
                counters.skipped() + counters.repaired_text
            }
            Self::Channel(_) => 0,
        }
    }
}

impl Sink {
    /// Writes all frames, in order, in as few writes as make sense. `answers` gets what the codec itself answers.
    pub(crate) async fn send(&mut self, frames: &mut Vec<ToBackend>, answers: &mut Vec<FromBackend>) -> io::Result<()> {
        match self {
            Self::Bytes { half, codec, buffer } => {
                let mut frames = frames.drain(..);
                loop {
                    let more = {
                        let mut codec = codec.lock();
                        codec.take_output(buffer);
                        let more = loop {
                            let Some(frame) = frames.next() else { break false };
                            codec.encode(&frame, buffer);
                            if buffer.len() >= WRITE_BYTES {
                                break true;
                            }
                        };
                        if codec.needs_ping() {
                            codec.encode(&ToBackend::Ping, buffer);
                        }
                        answers.extend(std::iter::from_fn(|| codec.next_answer()));
                        more
                    };
                    half.write_all(buffer).await?;
                    buffer.clear();
                    if buffer.capacity() > 2 * WRITE_BYTES {
                        *buffer = BytesMut::new();
                    }
                    if !more {
                        return half.flush().await;
                    }
                }
            }
            Self::Channel(channel) => {
                for frame in frames.drain(..) {
                    channel.send(frame).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
                }
                Ok(())
            }
        }
    }
}

/// A link over a socket pair in the native dialect.
pub(crate) fn native(stream: UnixStream, codec: Codec) -> (Source, Sink) {
    let (read, write) = stream.into_split();
    over_bytes(Box::new(read), Box::new(write), codec)
}

/// A link over a loopback connection in Spectrum 2's dialect.
pub(crate) fn spectrum2(stream: TcpStream, codec: Codec) -> (Source, Sink) {
    let (read, write) = stream.into_split();
    over_bytes(Box::new(read), Box::new(write), codec)
}

fn over_bytes(
    read: Box<dyn AsyncRead + Send + Unpin>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
    codec: Codec,
) -> (Source, Sink) {
    let codec = SharedCodec(Arc::new(Mutex::new(codec)));
    (
        Source::Bytes {
            half: read,
            codec: codec.clone(),
            buffer: BytesMut::new(),
        },
        Sink::Bytes {
            half: write,
            codec,
            buffer: BytesMut::new(),
        },
    )
}

/// A link to a driver in this process, and the driver's ends of it.
pub(crate) fn in_process() -> (Source, Sink, mpsc::Receiver<ToBackend>, mpsc::Sender<FromBackend>) {
    let (to_driver, from_link) = mpsc::channel(CHANNEL_FRAMES);
    let (to_link, from_driver) = mpsc::channel(CHANNEL_FRAMES);
    (Source::Channel(from_driver), Sink::Channel(to_driver), from_link, to_link)
}
