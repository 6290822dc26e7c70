//! What the link and the verbs of one session share: the state, and the way to the server.
//!
//! The state is behind a lock rather than in a task of its own, since verbs read it in the middle of what they do; the lock is
//! held for one stanza or one look-up, never while waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jid::{BareJid, FullJid};
use minidom::Element;
use spectrum_backend_sdk::model::Sent;
use spectrum_backend_sdk::{Event, Op, OpError, OpErrorKind, OpResult, Retry};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::errors::{self, About};
use crate::sm::{Fate, Tracked};
use crate::state::{Answer, Effect, Place, State};
use crate::xml::{Incoming, iq};

/// How long somebody may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a room may take to show a line.
const ECHO_TIMEOUT: Duration = Duration::from_secs(30);

/// The middle of one session.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) me: BareJid,
    orders: mpsc::Sender<Tracked>,
    events: mpsc::Sender<Event>,
    state: Mutex<State>,
    /// Cancelled when the user logs out.
    pub(crate) closing: CancellationToken,
    last_id: AtomicU64,
    /// What ids of this session begin with, so that nobody guesses one.
    prefix: String,
}

/// Takes back what waits for an answer when whoever waits is gone.
struct Expecting<'a> {
    desk: &'a Desk,
    id: &'a str,
    is_message: bool,
}

impl Drop for Expecting<'_> {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        if self.is_message {
            state.forget_fate(self.id);
        } else {
            state.forget(self.id);
        }
    }
}

/// A question: `get` or `set`, whom (`None`: the account), and what.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) kind: &'static str,
    pub(crate) to: Option<&'a str>,
    pub(crate) payload: Element,
    pub(crate) about: About,
}

/// Asks for something.
pub(crate) fn get(to: Option<&str>, payload: Element) -> Question<'_> {
    Question {
        kind: "get",
        to,
        payload,
        about: About::Account,
    }
}

/// Wants something changed.
pub(crate) fn set(to: Option<&str>, payload: Element) -> Question<'_> {
    Question {
        kind: "set",
        to,
        payload,
        about: About::Account,
    }
}

impl Desk {
    pub(crate) fn new(full: FullJid, place: Place, orders: mpsc::Sender<Tracked>, events: mpsc::Sender<Event>) -> Self {
        let mut random = [0; 8];
        // Without randomness ids are still unique, only not unguessable; answers are matched by their sender too.
        if getrandom::fill(&mut random).is_err() {
            tracing::warn!("The system gives no random numbers.");
        }
        Self {
            me: full.to_bare(),
            orders,
            events,
            state: Mutex::new(State::new(full, place)),
            closing: CancellationToken::new(),
            last_id: AtomicU64::new(0),
            prefix: format!("{:x}", u64::from_ne_bytes(random)),
        }
    }

    /// The state, for one look or one change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One stanza from the server.
    pub(crate) fn receive(&self, incoming: Incoming) -> Vec<Effect> {
        self.state().stanza(&incoming)
    }

    /// The session is over: nobody waits any longer.
    pub(crate) fn end(&self) {
        self.state().end();
    }

    /// An id that nothing else in the session has.
    pub(crate) fn new_id(&self) -> String {
        format!("{}-{}", self.prefix, self.last_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Reports events, in their order, as far as the core takes them.
    pub(crate) async fn report(&self, effects: Vec<Effect>) -> OpResult<()> {
        for effect in effects {
            match effect {
                Effect::Event(event) => self.events.send(event).await.map_err(|_| gone())?,
                Effect::Send(stanza) => self.order(stanza).await?,
            }
        }
        Ok(())
    }

    /// Sends a stanza of which nothing is ever heard.
    pub(crate) async fn order(&self, stanza: Element) -> OpResult<()> {
        self.orders.send(Tracked { stanza, fate: None }).await.map_err(|_| gone())
    }

    /// Sends a stanza, and returns once the server has it.
    pub(crate) async fn hand_over(&self, stanza: Element, cx: &Op) -> OpResult<()> {
        let (fate, fated) = oneshot::channel();
        let tracked = Tracked {
            stanza,
            fate: Some(fate),
        };
        self.orders.send(tracked).await.map_err(|_| gone())?;
        tokio::select! {
            fate = fated => read_fate(fate.ok()),
            () = cx.cancelled() => Err(OpError::maybe_sent("The server takes too long.")),
        }
    }

    /// Sends messages to a person or an occupant, the first of which is called `id`, and returns once the server has them all; a
    /// refusal that comes before that is told.
    pub(crate) async fn say(&self, stanzas: Vec<Element>, id: &str, cx: &Op) -> OpResult<()> {
        let mut refused = self.state().expect_fate(id);
        let _expecting = Expecting {
            desk: self,
            id,
            is_message: true,
        };
        for stanza in stanzas {
            tokio::select! {
                biased;
                Ok(outcome) = &mut refused => return outcome.map(drop),
                done = self.hand_over(stanza, cx) => done?,
            }
        }
        // The server refused it before it confirmed it.
        match refused.try_recv() {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Sends a message to a room, and returns once the room has shown it.
    pub(crate) async fn say_in_room(&self, stanza: Element, id: &str, cx: &Op) -> OpResult<Sent> {
        let mut echo = self.state().expect_fate(id);
        let _expecting = Expecting {
            desk: self,
            id,
            is_message: true,
        };
        tokio::select! {
            biased;
            Ok(outcome) = &mut echo => return outcome,
            done = self.hand_over(stanza, cx) => done?,
        }
        let silent = || OpError::maybe_sent("The room has not shown the message.");
        tokio::select! {
            outcome = timeout(ECHO_TIMEOUT, echo) => match outcome {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(OpError::maybe_sent("The connection was lost.")),
                Err(_) => Err(silent()),
            },
            () = cx.cancelled() => Err(silent()),
        }
    }

    /// Asks, and waits for the result.
    pub(crate) async fn ask(&self, question: Question<'_>, cx: Option<&Op>) -> OpResult<Element> {
        let id = self.new_id();
        let (answer, waiting) = oneshot::channel();
        self.state().expect(&id, question.to, Answer::To(answer))?;
        let _expecting = Expecting {
            desk: self,
            id: &id,
            is_message: false,
        };
        let is_get = question.kind == "get";
        self.order(iq(question.kind, question.to, &id, Some(question.payload)))
            .await?;
        let silent = |text: &str| {
            if is_get {
                OpError::new(OpErrorKind::Timeout, text).retry(Retry::WhenConnected)
            } else {
                OpError::maybe_sent(text)
            }
        };
        let answer = tokio::select! {
            answer = timeout(ANSWER_TIMEOUT, waiting) => match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => return Err(silent("The connection was lost.")),
                Err(_) => return Err(silent("There was no answer.")),
            },
            () = cancelled(cx) => return Err(silent("There was no answer in time.")),
        };
        match answer.attr("type") {
            Some("result") => Ok(answer),
            _ => Err(errors::from_stanza(&answer, question.about)),
        }
    }

    /// Asks for the roster, and returns once it has been taken over; its contacts are on their way to the core then.
    pub(crate) async fn load_roster(&self, payload: Element) -> OpResult<()> {
        let id = self.new_id();
        let (done, waiting) = oneshot::channel();
        self.state().expect(&id, None, Answer::Roster(done))?;
        self.order(iq("get", None, &id, Some(payload))).await?;
        match timeout(ANSWER_TIMEOUT, waiting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(OpError::new(OpErrorKind::Timeout, "The server does not give the contacts.")),
        }
    }

    /// Asks whom the user blocks.
    pub(crate) async fn load_blocked(&self, payload: Element) -> OpResult<()> {
        let id = self.new_id();
        self.state().expect(&id, None, Answer::BlockList)?;
        self.order(iq("get", None, &id, Some(payload))).await
    }
}

async fn cancelled(cx: Option<&Op>) {
    match cx {
        Some(cx) => cx.cancelled().await,
        None => std::future::pending().await,
    }
}

fn gone() -> OpError {
    OpError::not_connected("The connection to the server is lost.")
}

fn read_fate(fate: Option<Fate>) -> OpResult<()> {
    match fate {
        Some(Fate::Accepted) => Ok(()),
        Some(Fate::NotWritten) => Err(gone()),
        Some(Fate::Unknown) | None => Err(OpError::maybe_sent("The connection was lost before the server confirmed it.")),
    }
}
