//! One client's bytes: socket, codec and buffers, owned by its connection. Turns them into events, one at a time, and
//! writes while it waits.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use minidom::Element;
use spectrum_core::stream::{Content, Event, Header, Limits, Reader, Side, Stanza, StreamError, Writer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, timeout};
use tracing::debug;

use super::outbox::Outbox;

/// A socket, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What a silent client costs us for reading.
const IDLE_BUFFER_BYTES: usize = 512;

/// What a busy client is read with.
const BUSY_BUFFER_BYTES: usize = 8 * 1024;

/// While so much of our own answers waits to be written, nothing more is read: a client that asks and does not listen
/// slows down itself.
const UNWRITTEN_BYTES: usize = 64 * 1024;

/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug)]
pub(super) enum Turn {
    /// The client sent something.
    Event(Event),
    /// The outbox says that the connection has to end.
    Ended,
    /// The deadline has passed.
    Deadline,
    /// The connection is gone.
    Gone,
}

pub(super) struct Wire {
    /// `None` while it is being encrypted, and for ever if that failed.
    io: Option<Box<dyn Io>>,
    reader: Reader,
    writer: Writer,
    input: Box<[u8]>,
    /// The part of `input` that is not read yet.
    unread: Range<usize>,
    out: BytesMut,
    unflushed: bool,
    /// Our side of the present stream is open.
    opened: bool,
    timer: Pin<Box<Sleep>>,
    /// Bytes read since the beginning.
    pub(super) bytes_read: u64,
    /// When something was last read.
    pub(super) last_read: Instant,
}

impl Wire {
    pub(super) fn new(io: Box<dyn Io>) -> Self {
        Self {
            io: Some(io),
            reader: Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED),
            writer: Writer::new(Content::Client),
            input: vec![0; IDLE_BUFFER_BYTES].into(),
            unread: 0..0,
            out: BytesMut::new(),
            unflushed: false,
            opened: false,
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            bytes_read: 0,
            last_read: Instant::now(),
        }
    }

    /// Waits for the next thing to happen, and writes meanwhile.
    pub(super) async fn turn(&mut self, outbox: Option<&Outbox>, deadline: Instant) -> Turn {
        // The timer is moved when it is too late, not with every byte; one that is too early is seen when it fires.
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        match poll_fn(|cx| self.poll(cx, outbox, deadline)).await {
            Ok(turn) => turn,
            Err(error) => {
                debug!(%error, "The connection of a client broke.");
                Turn::Gone
            }
        }
    }

    /// Whether the client has sent more than was read: behind `<starttls/>` that is an injection.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Expects a new stream header from the client, and will open ours anew.
    pub(super) fn restart(&mut self, limits: Limits) {
        self.reader.restart(limits);
        self.opened = false;
    }

    /// Gives the memory of a busy time back.
    pub(super) fn release(&mut self) {
        self.reader.release_temporaries();
        if self.unread.is_empty() && self.input.len() > IDLE_BUFFER_BYTES {
            self.input = vec![0; IDLE_BUFFER_BYTES].into();
        }
    }

    /// Opens our side of the stream.
    pub(super) fn open(&mut self, header: &Header) {
        self.writer.open(&mut self.out, header);
        self.opened = true;
    }

    /// Queues what is written already.
    pub(super) fn written(&mut self, bytes: BytesMut) {
        self.out.unsplit(bytes);
    }

    /// Queues literal XML.
    pub(super) fn xml(&mut self, xml: &str) {
        self.out.put_slice(xml.as_bytes());
    }

    /// Queues an answer to the client itself.
    pub(super) fn stanza(&mut self, stanza: &Stanza) {
        if let Err(error) = self.writer.stanza(&mut self.out, stanza) {
            debug!(%error, "An answer to a client could not be written.");
        }
    }

    /// Queues an element of the negotiation.
    pub(super) fn nonza(&mut self, element: &Element) {
        if let Err(error) = self.writer.nonza(&mut self.out, element) {
            debug!(%error, "An element for a client could not be written.");
        }
    }

    /// Says goodbye, with an error or without, and closes. Takes a moment at most, whatever the client does.
    pub(super) async fn close(&mut self, ours: &Header, error: Option<&StreamError>) {
        if !self.opened {
            // RFC 6120 section 4.9.1.2: an error can only stand in a stream.
            self.open(ours);
        }
        if let Some(error) = error {
            self.writer.error(&mut self.out, error);
        }
        self.writer.close(&mut self.out);
        // A client that is gone or does not listen has missed nothing it wanted.
        let _ = timeout(FAREWELL, async {
            self.flush().await?;
            match &mut self.io {
                Some(io) => io.shutdown().await,
                None => Ok(()),
            }
        })
        .await;
    }

    /// Writes what is queued.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| match self.poll_write(cx, None) {
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    /// Takes the socket for encrypting it.
    pub(super) fn take_io(&mut self) -> Option<Box<dyn Io>> {
        self.io.take()
    }

    /// Puts the socket back.
    pub(super) fn set_io(&mut self, io: Box<dyn Io>) {
        self.io = Some(io);
        self.last_read = Instant::now();
    }

    fn poll(&mut self, cx: &mut Context<'_>, outbox: Option<&Outbox>, deadline: Instant) -> Poll<io::Result<Turn>> {
        // Writing first: what waits must not starve while a client floods us.
        loop {
            let blocked = self.poll_write(cx, outbox)?.is_pending();
            let Some(outbox) = outbox else { break };
            if blocked {
                if outbox.poll_end(cx).is_ready() {
                    return Poll::Ready(Ok(Turn::Ended));
                }
                break;
            }
            if outbox.poll(cx, &mut self.out).is_pending() {
                break;
            }
            if self.out.is_empty() {
                return Poll::Ready(Ok(Turn::Ended));
            }
        }
        while self.out.len() < UNWRITTEN_BYTES {
            if let Some(event) = self.read_event() {
                return Poll::Ready(Ok(Turn::Event(event)));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(Turn::Gone)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Ok(Turn::Deadline));
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn read_event(&mut self) -> Option<Event> {
        if self.unread.is_empty() {
            return None;
        }
        let mut rest = &self.input[self.unread.clone()];
        let event = self.reader.read(&mut rest);
        self.unread.start = self.unread.end - rest.len();
        if event.is_none() {
            // After the end of a stream the rest is nobody's.
            self.unread = 0..0;
        }
        event
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, outbox: Option<&Outbox>) -> io::Result<Poll<()>> {
        let Some(io) = &mut self.io else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        while !self.out.is_empty() {
            match Pin::new(&mut **io).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                    if let Some(outbox) = outbox {
                        outbox.progressed();
                    }
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        if self.unflushed {
            match Pin::new(&mut **io).poll_flush(cx) {
                Poll::Ready(flushed) => flushed?,
                Poll::Pending => return Ok(Poll::Pending),
            }
            self.unflushed = false;
            // Its capacity would stay with a client that may be silent for hours.
            self.out = BytesMut::new();
        }
        Ok(Poll::Ready(()))
    }

    /// Reads into the empty buffer; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(io) = &mut self.io else {
            return Poll::Ready(Ok(0));
        };
        let mut buffer = ReadBuf::new(&mut self.input);
        match Pin::new(&mut **io).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let filled = buffer.filled().len();
        self.unread = 0..filled;
        if filled > 0 {
            self.bytes_read += filled as u64;
            self.last_read = Instant::now();
            if filled == self.input.len() && filled < BUSY_BUFFER_BYTES {
                let mut larger = vec![0; BUSY_BUFFER_BYTES];
                larger[..filled].copy_from_slice(&self.input);
                self.input = larger.into();
            }
        }
        Poll::Ready(Ok(filled))
    }
}
