//! The task that owns the stream of one session: writes what it is given, reads what comes, keeps the counters of stream
//! management, asks a quiet server whether it is still there, and takes a lost connection up again for as long as the
//! server keeps the session. What comes is read by the [`Desk`]; when the session is over, the core is told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use minidom::Element;
use spectrum_backend_sdk::{Event, Events, LoginError, LoginErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::desk::Desk;
use crate::login::{Bound, Credentials};
use crate::ns;
use crate::sm::{Fate, Sm, Tracked, counter};
use crate::state::Effect;
use crate::stream::{Turn, Wire, stream_error};
use crate::xml::{Incoming, element, iq};

/// Stanzas on their way to the link. A verb waits while it is full, as it waits for the server.
pub(crate) const ORDERS: usize = 256;

/// Events on their way to the core. While it is full nothing is read, so that a server is held up and nothing is lost.
pub(crate) const EVENTS: usize = 256;

/// Stanzas that wait for the socket before nothing further is taken.
const MAX_WAITING: usize = 64;

/// Unconfirmed stanzas after which the server is asked even if nobody waits for the answer.
const ASK_AFTER: usize = 64;

/// How long a server may have us write without reading it.
const DEAF: Duration = Duration::from_secs(30);

/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// The first pause between two attempts to take a session up, which doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Why the stream is not read any further.
enum Left {
    /// The user logs out.
    LoggedOut,
    /// The connection is lost.
    Lost(LoginError),
    /// The server ended the session and said why.
    Refused(LoginError),
}

/// The link of one session.
pub(crate) struct Link {
    credentials: Credentials,
    wire: Wire,
    sm: Option<Sm>,
    desk: Arc<Desk>,
    orders: mpsc::Receiver<Tracked>,
    events: mpsc::Sender<Event>,
    /// Events that have come and found no room yet.
    backlog: VecDeque<Event>,
    /// Pings that are answered after what was written before them: what a server without stream management gives for a
    /// confirmation.
    barriers: VecDeque<(String, oneshot::Sender<Fate>)>,
    last_barrier: u64,
}

/// Hands events to the core, in their order, and waits for it where it must.
pub(crate) async fn emit(mut queue: mpsc::Receiver<Event>, events: Events) {
    while let Some(event) = queue.recv().await {
        if events.emit(event).await.is_err() {
            return;
        }
    }
}

impl Link {
    pub(crate) fn new(
        credentials: Credentials,
        bound: Bound,
        desk: Arc<Desk>,
        orders: mpsc::Receiver<Tracked>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            credentials,
            wire: Wire::new(bound.stream),
            sm: bound.sm,
            desk,
            orders,
            events,
            backlog: VecDeque::new(),
            barriers: VecDeque::new(),
            last_barrier: 0,
        }
    }

    /// Lives until the session is over.
    pub(crate) async fn run(mut self) {
        let error = loop {
            match self.connected().await {
                Left::LoggedOut => break None,
                Left::Refused(error) => break Some(error),
                Left::Lost(error) => match self.take_up(error).await {
                    Ok(()) => {}
                    Err(ending) => break ending,
                },
            }
        };
        self.orders.close();
        while let Ok(tracked) = self.orders.try_recv() {
            tracked.tell(Fate::NotWritten);
        }
        self.give_up();
        self.desk.end();
        match error {
            None => self.say_goodbye().await,
            Some(error) => {
                for event in self.backlog.drain(..) {
                    if self.events.send(event).await.is_err() {
                        return;
                    }
                }
                // If nobody takes events any more the session has ended on the other side too.
                let _ = self.events.send(Event::Closed(error)).await;
            }
        }
    }

    /// What was written and not confirmed has an unknown fate.
    fn give_up(&mut self) {
        if let Some(mut sm) = self.sm.take() {
            sm.end(None);
        }
        for (_, waiting) in self.barriers.drain(..) {
            let _ = waiting.send(Fate::Unknown);
        }
    }

    async fn say_goodbye(mut self) {
        self.wire.push(element("presence", ns::CLIENT, &[("type", "unavailable")]));
        match timeout(CLOSE_TIMEOUT, self.wire.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "The stream could not be closed."),
            Err(_) => tracing::debug!("The server does not take the end of the stream."),
        }
    }

    async fn connected(&mut self) -> Left {
        let (closing, events) = (self.desk.closing.clone(), self.events.clone());
        loop {
            let is_full = self.wire.is_full();
            let has_room = self.wire.waiting() < MAX_WAITING && !self.sm.as_ref().is_some_and(Sm::is_full);
            tokio::select! {
                biased;
                () = closing.cancelled() => return Left::LoggedOut,
                permit = events.reserve(), if !self.backlog.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.backlog.pop_front() {
                            permit.send(event);
                        }
                    }
                    Err(_) => return Left::LoggedOut,
                },
                turn = self.wire.turn(self.backlog.is_empty()) => match turn {
                    Turn::Read(incoming) => {
                        if let Some(left) = self.read(incoming) {
                            return left;
                        }
                    }
                    Turn::Quiet => self.ask_whether_there(),
                    Turn::Ended => return Left::Lost(network("The server has ended the connection.")),
                    Turn::Lost(error) => return Left::Lost(network(format!("The connection to the server was lost: {error}."))),
                },
                // Made when it is first waited for, and not for every stanza.
                () = async { sleep(DEAF).await }, if is_full => {
                    if self.wire.is_full() {
                        return Left::Lost(network("The server does not read what it asks for."));
                    }
                }
                order = self.orders.recv(), if has_room => match order {
                    Some(tracked) => self.write(tracked),
                    None => return Left::LoggedOut,
                },
            }
        }
    }

    fn write(&mut self, mut tracked: Tracked) {
        if let Some(sm) = &mut self.sm {
            let is_waited_for = tracked.fate.is_some();
            self.wire.push(tracked.stanza.clone());
            sm.written(tracked);
            if (is_waited_for || sm.unconfirmed() >= ASK_AFTER)
                && let Some(question) = sm.ask()
            {
                self.wire.push(question);
            }
            return;
        }
        let fate = tracked.fate.take();
        self.wire.push(tracked.stanza);
        if let Some(fate) = fate {
            self.last_barrier += 1;
            let id = format!("barrier-{}", self.last_barrier);
            self.wire.push(iq("get", None, &id, Some(element("ping", ns::PING, &[]))));
            self.barriers.push_back((id, fate));
        }
    }

    fn ask_whether_there(&mut self) {
        match &self.sm {
            Some(_) => self.wire.push(element("r", ns::SM, &[])),
            // Whatever the server answers, it answers.
            None => self.wire.push(iq("get", None, "quiet", Some(element("ping", ns::PING, &[])))),
        }
    }

    fn read(&mut self, incoming: Incoming) -> Option<Left> {
        let element = &incoming.element;
        if element.is("error", ns::STREAM) {
            return Some(Left::Refused(stream_error(element)));
        }
        if element.has_ns(ns::SM) {
            return self.count(element.name(), counter(element));
        }
        if !element.has_ns(ns::CLIENT) || !matches!(element.name(), "message" | "presence" | "iq") {
            return None;
        }
        if let Some(sm) = &mut self.sm {
            sm.count_received();
        }
        let answers_barrier = self
            .barriers
            .front()
            .is_some_and(|(id, _)| element.name() == "iq" && element.attr("id") == Some(id));
        if answers_barrier {
            if let Some((_, waiting)) = self.barriers.pop_front() {
                let _ = waiting.send(Fate::Accepted);
            }
            return None;
        }
        for effect in self.desk.receive(incoming) {
            match effect {
                Effect::Event(event) => self.backlog.push_back(event),
                Effect::Send(stanza) => self.write(Tracked { stanza, fate: None }),
            }
        }
        None
    }

    fn count(&mut self, name: &str, h: Option<u32>) -> Option<Left> {
        let sm = self.sm.as_mut()?;
        match (name, h) {
            ("r", _) => self.wire.push(sm.answer()),
            ("a", Some(h)) => {
                if sm.confirmed(h).is_err() {
                    return Some(Left::Refused(network("The server has lost count of what was said.")));
                }
                if sm.is_waited_for()
                    && let Some(question) = sm.ask()
                {
                    self.wire.push(question);
                }
            }
            _ => {}
        }
        None
    }

    /// Connects again and takes the session up. `Err(None)`: the user logged out meanwhile.
    async fn take_up(&mut self, lost: LoginError) -> Result<(), Option<LoginError>> {
        let Some(mut sm) = self.sm.take() else {
            return Err(Some(lost));
        };
        let result = self.try_to_take_up(&mut sm, lost).await;
        self.sm = Some(sm);
        let again = result?;
        for stanza in again {
            self.wire.push(stanza);
        }
        tracing::debug!("The session was taken up after its connection was lost.");
        Ok(())
    }

    async fn try_to_take_up(&mut self, sm: &mut Sm, lost: LoginError) -> Result<Vec<Element>, Option<LoginError>> {
        let Some(window) = sm.window() else { return Err(Some(lost)) };
        let until = Instant::now() + window;
        let closing = self.desk.closing.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = tokio::select! {
                () = closing.cancelled() => return Err(None),
                result = self.credentials.resume(sm) => result,
            };
            match result {
                Ok(Some((stream, again))) => {
                    self.wire = Wire::new(stream);
                    return Ok(again);
                }
                Ok(None) => return Err(Some(lost)),
                Err(error) if !error.is_temporary() || Instant::now() + pause >= until => return Err(Some(error)),
                Err(_) => {}
            }
            tokio::select! {
                () = closing.cancelled() => return Err(None),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn network(text: impl Into<String>) -> LoginError {
    LoginError::new(LoginErrorKind::Network, text)
}
