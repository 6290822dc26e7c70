//! An XML stream to a server: its header and features, one element at a time while logging in, and afterwards both
//! directions at once ([`Wire`]). RFC 6120. The parser and the writer are tokio-xmpp's; what is read is bounded (`xml`).

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use minidom::Element;
use spectrum_backend_sdk::{LoginError, LoginErrorKind, Retry};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{
    InitiatingStream, PendingFeaturesRecv, ReadError, StreamHeader, Timeouts, XmlStream, initiate_stream,
};

use crate::ns;
use crate::transport::Io;
use crate::xml::{Incoming, child_text};

/// How long a server may say nothing before it is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(60);

/// How long it may take to answer that.
const ANSWER: Duration = Duration::from_secs(30);

/// Characters of a server's words that are handed on to the user.
const MAX_TEXT: usize = 200;

/// Stanzas that wait for the socket before nothing further is read: whoever has us write without end reads what we write.
const MAX_UNREAD: usize = 1024;

const TIMEOUTS: Timeouts = Timeouts {
    read_timeout: QUIET,
    response_timeout: ANSWER,
};

/// Opens a stream and reads its features.
pub(crate) async fn open<S>(io: S, domain: &str, from: Option<&str>) -> Result<(Element, XmlStream<S, Incoming>), LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    let header = StreamHeader {
        to: Some(Cow::Borrowed(domain)),
        from: from.map(Cow::Borrowed),
        id: None,
    };
    let pending = initiate_stream(io, ns::CLIENT, header, TIMEOUTS).await.map_err(lost)?;
    features(pending).await
}

/// Opens a stream again on a connection that had one (after SASL).
pub(crate) async fn reopen<S>(
    stream: InitiatingStream<S>,
    domain: &str,
    from: &str,
) -> Result<(Element, XmlStream<S, Incoming>), LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    let header = StreamHeader {
        to: Some(Cow::Borrowed(domain)),
        from: Some(Cow::Borrowed(from)),
        id: None,
    };
    let pending = stream.send_header(header).await.map_err(lost)?;
    features(pending).await
}

async fn features<S>(pending: PendingFeaturesRecv<S>) -> Result<(Element, XmlStream<S, Incoming>), LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    // Read like everything else: tokio-xmpp's own reader of features has no bounds.
    let mut stream = pending.skip_features();
    let features = read(&mut stream).await?;
    if !features.is("features", ns::STREAM) {
        return Err(other("The server does not speak XMPP as it should."));
    }
    Ok((features, stream))
}

/// The next element, while logging in.
pub(crate) async fn read<S>(stream: &mut XmlStream<S, Incoming>) -> Result<Element, LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    loop {
        match stream.next().await {
            Some(Ok(Incoming { element, is_over: false })) if element.is("error", ns::STREAM) => {
                return Err(stream_error(&element));
            }
            Some(Ok(Incoming { element, is_over: false })) => return Ok(element),
            Some(Ok(Incoming { is_over: true, .. })) => return Err(other("The server says more than can be read.")),
            // Whoever logs in has a deadline for all of it.
            Some(Err(ReadError::SoftTimeout)) => {}
            Some(Err(ReadError::HardError(error))) => return Err(lost(error)),
            Some(Err(ReadError::ParseError(_))) => return Err(other("The server says something that cannot be read.")),
            Some(Err(ReadError::StreamFooterReceived)) | None => return Err(ended()),
        }
    }
}

/// Writes an element, while logging in.
pub(crate) async fn write<S>(stream: &mut XmlStream<S, Incoming>, element: &Element) -> Result<(), LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    stream.send(element).await.map_err(lost)
}

fn other(text: &str) -> LoginError {
    LoginError::new(LoginErrorKind::Other, text)
}

fn lost(error: io::Error) -> LoginError {
    LoginError::new(
        LoginErrorKind::Network,
        format!("The connection to the server was lost: {error}."),
    )
}

fn ended() -> LoginError {
    LoginError::new(LoginErrorKind::Network, "The server has ended the connection.")
}

/// Words of a server, for the user: short, and on one line.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_TEXT)
        .collect()
}

/// What an error of the stream (RFC 6120 4.9) means for the user.
pub(crate) fn stream_error(element: &Element) -> LoginError {
    let condition = element
        .children()
        .find(|child| child.has_ns(ns::STREAM_ERRORS) && child.name() != "text")
        .map_or("undefined-condition", Element::name)
        .to_owned();
    let text = child_text(element, "text", ns::STREAM_ERRORS)
        .map(|text| words(&text))
        .filter(|text| !text.is_empty());
    let said = text.map_or_else(|| format!(" ({condition})"), |text| format!(" ({condition}: {text})"));
    match condition.as_str() {
        "host-unknown" | "host-gone" => LoginError::new(
            LoginErrorKind::InvalidName,
            format!("The server does not serve this domain{said}."),
        ),
        "conflict" => LoginError::new(
            LoginErrorKind::NameInUse,
            format!("The account was taken over by another client{said}."),
        ),
        "not-authorized" => LoginError::new(
            LoginErrorKind::AuthenticationFailed,
            format!("The server has ended the session{said}."),
        ),
        "policy-violation" | "resource-constraint" => {
            LoginError::new(LoginErrorKind::Network, format!("The server has had enough{said}."))
                .retry(Retry::After(Duration::from_secs(60)))
        }
        _ => LoginError::new(LoginErrorKind::Network, format!("The server has ended the connection{said}.")),
    }
}

/// What has come of the connection.
#[derive(Debug)]
pub(crate) enum Turn {
    /// An element.
    Read(Incoming),
    /// Nothing for so long that the server should be asked.
    Quiet,
    /// The server closed the stream.
    Ended,
    /// The connection is lost, or what comes is no XML.
    Lost(io::Error),
}

/// Both directions of a stream after the login.
pub(crate) struct Wire {
    stream: XmlStream<Io, Incoming>,
    out: VecDeque<Element>,
}

impl Wire {
    pub(crate) fn new(stream: XmlStream<Io, Incoming>) -> Self {
        Self {
            stream,
            out: VecDeque::new(),
        }
    }

    /// Puts an element in the line of those to be written.
    pub(crate) fn push(&mut self, element: Element) {
        self.out.push_back(element);
    }

    /// How many wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Whether so much waits to be written that nothing is read.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= MAX_UNREAD
    }

    /// Writes what waits, and reads one element if `read` says so and little enough waits; without it nothing ends this but a lost connection. Both at
    /// once, so that two ends that write much never wait for each other. May be dropped at any time without loss.
    pub(crate) async fn turn(&mut self, read: bool) -> Turn {
        poll_fn(|cx| self.poll_turn(cx, read)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Turn> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Turn::Lost(error));
        }
        if !read || self.is_full() {
            return Poll::Pending;
        }
        match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(incoming))) => Poll::Ready(Turn::Read(incoming)),
            Poll::Ready(Some(Err(ReadError::SoftTimeout))) => Poll::Ready(Turn::Quiet),
            Poll::Ready(Some(Err(ReadError::HardError(error)))) => Poll::Ready(Turn::Lost(error)),
            Poll::Ready(Some(Err(ReadError::ParseError(error)))) => Poll::Ready(Turn::Lost(io::Error::other(error.to_string()))),
            Poll::Ready(Some(Err(ReadError::StreamFooterReceived))) => Poll::Ready(Turn::Ended),
            Poll::Ready(None) => Poll::Ready(Turn::Lost(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match Sink::<&Element>::poll_ready(Pin::new(&mut self.stream), cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => {
                    if let Some(element) = self.out.pop_front() {
                        Pin::new(&mut self.stream).start_send(&element)?;
                    }
                }
            }
        }
        match Sink::<&Element>::poll_flush(Pin::new(&mut self.stream), cx)? {
            Poll::Ready(()) if self.out.is_empty() => Poll::Ready(Ok(())),
            Poll::Ready(()) | Poll::Pending => Poll::Pending,
        }
    }

    /// Writes what waits and ends the stream. The caller bounds how long that may take.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.stream.shutdown().await
    }
}
