//! The task of one connection: it alone owns the socket and the [`Engine`], and is the only place where both meet.
//!
//! It never waits for the user: events that the core does not take yet wait in the engine, and from [`MAX_BACKLOG`] on
//! nothing more is read, so that the server has to wait, or to give up on us.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use encoding_rs::Encoding;
use spectrum_backend_sdk::model::Timestamp;
use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{Event, Events, LoginError, LoginErrorKind, Op, OpError, Outcome, SessionEnded};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::{Ask, Effect, Engine, Now, Setup};
use crate::line::Line;
use crate::outbox::RequestNo;
use crate::transport::{LineReader, Stream, decode, encode};

/// Requests on their way to the task. When it is full the verb waits, within its deadline.
const INBOX: usize = 32;

/// Effects from which on nothing more is read from the server.
const MAX_BACKLOG: usize = 1_024;

/// Bytes for the socket from which on no more lines are taken out of the queue.
const MAX_WRITE_BUFFER: usize = 16 * 1024;

/// How long a farewell may take.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the task is told.
#[derive(Debug)]
enum Command {
    Ask {
        no: RequestNo,
        ask: Box<Ask>,
        answer: oneshot::Sender<Outcome>,
    },
    Withdraw(RequestNo),
    Quit,
}

/// The handle of a connection. Dropping it ends the connection.
#[derive(Debug)]
pub(crate) struct Connection {
    inbox: mpsc::Sender<Command>,
    next: AtomicU64,
    ended: CancellationToken,
    _end: DropGuard,
}

/// How a connection is made, apart from the socket.
pub(crate) struct Start {
    /// Who wants in.
    pub(crate) setup: Setup,
    /// What text is written in.
    pub(crate) encoding: &'static Encoding,
    /// What text is read in where it is not UTF-8.
    pub(crate) fallback: &'static Encoding,
    /// Where to report.
    pub(crate) events: Events,
    /// Whether the end of the connection is the end of the session.
    pub(crate) ends_session: bool,
}

impl Connection {
    /// Logs in over a fresh socket.
    ///
    /// # Errors
    /// The server's reason for not letting the user in.
    pub(crate) async fn open(stream: Box<dyn Stream>, start: Start, tasks: &Tasks) -> Result<Self, LoginError> {
        let engine = Engine::new(start.setup, now())?;
        let (inbox, commands) = mpsc::channel(INBOX);
        let (ready, is_ready) = oneshot::channel();
        let (cancel, ended) = (CancellationToken::new(), CancellationToken::new());
        let (reader, writer) = tokio::io::split(stream);
        let task = Task {
            engine,
            reader,
            writer,
            lines: LineReader::default(),
            out: BytesMut::new(),
            needs_flush: false,
            commands,
            answers: HashMap::new(),
            events: start.events,
            ready: Some(ready),
            encoding: start.encoding,
            fallback: start.fallback,
            ends_session: start.ends_session,
        };
        let (task_cancel, task_ended) = (cancel.clone(), ended.clone().drop_guard());
        tasks.spawn("irc-connection", tracing::info_span!("irc"), async move {
            let _ended = task_ended;
            task.run(task_cancel).await;
        });
        let this = Self {
            inbox,
            next: AtomicU64::new(1),
            ended,
            _end: cancel.drop_guard(),
        };
        match is_ready.await {
            Ok(Ok(())) => Ok(this),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(LoginError::new(LoginErrorKind::Other, "The login was broken off.")),
        }
    }

    /// Whether it is of no use any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Makes a request and waits for its end. When the verb is cancelled, what was not written is taken back.
    ///
    /// # Errors
    /// What the network refused, or what became of the request when the connection ended.
    pub(crate) async fn ask(&self, ask: Ask, cx: &Op) -> Outcome {
        let no = RequestNo(self.next.fetch_add(1, Ordering::Relaxed));
        let (answer, mut answered) = oneshot::channel();
        let gone = || OpError::not_connected("The connection to IRC is gone.");
        tokio::select! {
            sent = self.inbox.send(Command::Ask { no, ask: Box::new(ask), answer }) => sent.map_err(|_| gone())?,
            () = cx.cancelled() => return Err(OpError::new(spectrum_backend_sdk::OpErrorKind::Timeout, "IRC is too busy.")),
        }
        let outcome = tokio::select! {
            outcome = &mut answered => outcome,
            () = cx.cancelled() => {
                // A connection that is gone has answered already.
                if self.inbox.send(Command::Withdraw(no)).await.is_err() {
                    tracing::debug!("A request was cancelled after its connection had ended.");
                }
                answered.await
            }
        };
        outcome.unwrap_or_else(|_| Err(OpError::maybe_sent("The connection to IRC ended.")))
    }

    /// Says farewell and waits until that is done, or a short while.
    pub(crate) async fn quit(&self) {
        if self.inbox.send(Command::Quit).await.is_ok() && timeout(QUIT_TIMEOUT * 2, self.ended.cancelled()).await.is_err() {
            tracing::debug!("The connection did not end in time.");
        }
    }
}

fn now() -> Now {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    Now {
        mono: Instant::now().into_std(),
        wall: Timestamp::from_millis(wall),
    }
}

type Emission = Pin<Box<dyn Future<Output = Result<(), SessionEnded>> + Send>>;

struct Task {
    engine: Engine,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    lines: LineReader,
    out: BytesMut,
    needs_flush: bool,
    commands: mpsc::Receiver<Command>,
    answers: HashMap<RequestNo, oneshot::Sender<Outcome>>,
    events: Events,
    ready: Option<oneshot::Sender<Result<(), LoginError>>>,
    encoding: &'static Encoding,
    fallback: &'static Encoding,
    ends_session: bool,
}

/// What woke the task.
enum Woken {
    Read(io::Result<usize>),
    Written(io::Result<()>),
    Told(Option<Command>),
    Emitted(Result<(), SessionEnded>),
    Time,
    Cancelled,
}

impl Task {
    async fn run(mut self, cancel: CancellationToken) {
        let mut emission: Option<Emission> = None;
        let mut is_over = false;
        loop {
            while emission.is_none() && !is_over {
                match self.engine.take_effect() {
                    Some(Effect::Event(event)) => emission = Some(self.emit(event)),
                    Some(Effect::Answer(no, outcome)) => self.answer(no, outcome),
                    Some(Effect::Online) => self.tell_ready(Ok(())),
                    Some(Effect::Closed(error)) => {
                        is_over = true;
                        tracing::info!(reason = ?error.kind, "The connection to IRC has ended.");
                        self.commands.close();
                        if self.ready.is_some() {
                            self.tell_ready(Err(error));
                        } else if self.ends_session {
                            emission = Some(self.emit(Event::Closed(error)));
                        }
                    }
                    None => break,
                }
            }
            if is_over && emission.is_none() {
                return self.refuse_rest();
            }
            self.take_lines();
            let deadline = self.engine.next_at(now()).map(Instant::from_std);
            let woken = {
                let is_open = !self.engine.is_closed();
                let reads = is_open && self.engine.backlog() < MAX_BACKLOG;
                tokio::select! {
                    result = async { match &mut emission { Some(e) => e.await, None => std::future::pending().await } } => Woken::Emitted(result),
                    command = self.commands.recv(), if !is_over => Woken::Told(command),
                    result = push_out(&mut self.writer, &mut self.out, &mut self.needs_flush),
                        if is_open && (!self.out.is_empty() || self.needs_flush) => Woken::Written(result),
                    result = self.reader.read_buf(self.lines.buffer()), if reads => Woken::Read(result),
                    () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => Woken::Time,
                    () = cancel.cancelled() => Woken::Cancelled,
                }
            };
            match woken {
                Woken::Emitted(Ok(())) => emission = None,
                // Nobody listens any more: nothing is left to be done but to go.
                Woken::Emitted(Err(SessionEnded)) => return self.farewell().await,
                Woken::Told(Some(Command::Ask { no, ask, answer })) => {
                    self.answers.insert(no, answer);
                    self.engine.ask(no, *ask, now());
                }
                Woken::Told(Some(Command::Withdraw(no))) => self.engine.withdraw(no),
                Woken::Told(Some(Command::Quit) | None) | Woken::Cancelled => return self.farewell().await,
                Woken::Read(Ok(0)) => self.lost("The IRC server closed the connection."),
                Woken::Read(Ok(_)) => self.read_lines(),
                Woken::Read(Err(error)) | Woken::Written(Err(error)) => {
                    self.lost(&format!("The connection to IRC was lost: {error}."));
                }
                Woken::Written(Ok(())) => {}
                Woken::Time => self.engine.tick(now()),
            }
        }
    }

    fn emit(&self, event: Event) -> Emission {
        let events = self.events.clone();
        Box::pin(async move { events.emit(event).await })
    }

    fn answer(&mut self, no: RequestNo, outcome: Outcome) {
        // A verb that was dropped meanwhile has nobody to be told.
        if let Some(answer) = self.answers.remove(&no)
            && answer.send(outcome).is_err()
        {
            tracing::debug!("The answer to a request came after its verb had been dropped.");
        }
    }

    fn tell_ready(&mut self, result: Result<(), LoginError>) {
        if let Some(ready) = self.ready.take()
            && ready.send(result).is_err()
        {
            tracing::debug!("The login was given up before it ended.");
        }
    }

    fn take_lines(&mut self) {
        if self.out.len() < MAX_WRITE_BUFFER && !self.engine.is_closed() {
            let (encoding, out) = (self.encoding, &mut self.out);
            self.engine.drain(now(), |line| encode(line, encoding, out));
        }
    }

    fn read_lines(&mut self) {
        let now = now();
        let skipped = self.lines.skipped;
        while let Some(bytes) = self.lines.next_line() {
            let text = decode(&bytes, self.fallback);
            match Line::parse(&text) {
                Some(line) => self.engine.handle(&line, now),
                None => tracing::debug!(bytes = bytes.len(), "Skipped a line that is no message of IRC."),
            }
        }
        if self.lines.skipped != skipped {
            tracing::warn!(total = self.lines.skipped, "Skipped an over-long line of the IRC server.");
        }
    }

    fn lost(&mut self, text: &str) {
        self.engine.close(LoginError::new(LoginErrorKind::Network, text));
    }

    /// Answers what came in after the end.
    fn refuse_rest(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Ask { no, answer, .. } = command {
                self.answers.insert(no, answer);
                self.answer(no, Err(OpError::not_connected("The connection to IRC is gone.")));
            }
        }
    }

    /// Leaves, politely if that is possible soon. Nothing is reported: whoever ended it knows.
    async fn farewell(mut self) {
        self.engine
            .close(LoginError::new(LoginErrorKind::Cancelled, "The session was ended."));
        while let Some(effect) = self.engine.take_effect() {
            match effect {
                Effect::Answer(no, outcome) => self.answer(no, outcome),
                Effect::Closed(error) => self.tell_ready(Err(error)),
                Effect::Event(_) | Effect::Online => {}
            }
        }
        self.commands.close();
        self.refuse_rest();
        encode("QUIT :Leaving", self.encoding, &mut self.out);
        let leaving = async {
            self.writer.write_all_buf(&mut self.out).await?;
            self.writer.shutdown().await
        };
        match timeout(QUIT_TIMEOUT, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "Could not say farewell to the IRC server."),
            Err(_) => tracing::debug!("The IRC server did not take the farewell."),
        }
    }
}

/// Writes some of what waits, or flushes what was written. Nothing is lost when it is dropped half-way.
async fn push_out(writer: &mut WriteHalf<Box<dyn Stream>>, out: &mut BytesMut, needs_flush: &mut bool) -> io::Result<()> {
    if out.is_empty() {
        writer.flush().await?;
        *needs_flush = false;
    } else {
        writer.write_buf(out).await?;
        *needs_flush = true;
    }
    Ok(())
}

/// For those who hold a connection together with others.
pub(crate) type Shared = Arc<Connection>;
