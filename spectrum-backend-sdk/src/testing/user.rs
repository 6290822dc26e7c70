//! One user of a test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spectrum_core::backend::{Answer, Event, LoginError, OpResult, Outcome, Verb};
use spectrum_core::model::{AssignmentId, Chat, MessageId, OutgoingMessage, RequestId, Sent};
use spectrum_core::wire::ToBackend;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How long a test waits for anything: longer than any verb may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Events that a test has not looked at. Beyond it the oldest stay and the test has long failed.
const EVENTS: usize = 65_536;

/// The kit's end.
pub(super) struct Line {
    events: mpsc::Sender<Event>,
    logged_in: Option<oneshot::Sender<Result<(), LoginError>>>,
    logged_out: oneshot::Sender<()>,
    requests: Requests,
    taking: Arc<AtomicBool>,
}

/// Requests that have not been answered.
type Requests = Arc<Mutex<HashMap<RequestId, oneshot::Sender<Outcome>>>>;

/// A user who is logged in. Dropping it logs the user out too, without waiting for that.
pub struct User {
    assignment: AssignmentId,
    to: mpsc::Sender<ToBackend>,
    events: mpsc::Receiver<Event>,
    logged_in: Option<oneshot::Receiver<Result<(), LoginError>>>,
    /// `None` once the logout has been asked for.
    logged_out: Option<oneshot::Receiver<()>>,
    requests: Requests,
    taking: Arc<AtomicBool>,
    last: u64,
}

impl Line {
    pub(super) fn new(assignment: AssignmentId, to: mpsc::Sender<ToBackend>) -> (Self, User) {
        let (event, events) = mpsc::channel(EVENTS);
        let (logged_in, logging_in) = oneshot::channel();
        let (logged_out, logging_out) = oneshot::channel();
        let requests = Requests::default();
        let taking = Arc::new(AtomicBool::new(true));
        let line = Self {
            events: event,
            logged_in: Some(logged_in),
            logged_out,
            requests: Arc::clone(&requests),
            taking: Arc::clone(&taking),
        };
        let user = User {
            assignment,
            to,
            events,
            logged_in: Some(logging_in),
            logged_out: Some(logging_out),
            requests,
            taking,
            last: 0,
        };
        (line, user)
    }

    pub(super) fn logged_in(&mut self, result: Result<(), LoginError>) {
        if let Some(waiting) = self.logged_in.take() {
            let _ = waiting.send(result);
        }
    }

    /// Hands on an event; true if the user has dealt with it.
    pub(super) fn event(&self, event: Event) -> bool {
        let _ = self.events.try_send(event);
        self.taking.load(Ordering::Relaxed)
    }

    pub(super) fn outcome(&self, request: RequestId, outcome: Outcome) {
        if let Some(waiting) = lock(&self.requests).remove(&request) {
            let _ = waiting.send(outcome);
        }
    }

    pub(super) fn logged_out(self) {
        let _ = self.logged_out.send(());
    }
}

fn lock(requests: &Requests) -> MutexGuard<'_, HashMap<RequestId, oneshot::Sender<Outcome>>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

impl User {
    pub(super) async fn send(&self, frame: ToBackend) {
        assert!(self.to.send(frame).await.is_ok(), "the driver has ended");
    }

    pub(super) async fn logged_in(&mut self) -> Result<(), LoginError> {
        let Some(waiting) = self.logged_in.take() else { return Ok(()) };
        match timeout(PATIENCE, waiting).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => panic!("the login was not answered"),
        }
    }

    /// Issues a verb without waiting for how it ends.
    pub async fn begin(&mut self, verb: Verb) -> impl Future<Output = Outcome> + Send + use<> {
        self.last += 1;
        let request = RequestId(self.last);
        let (answer, waiting) = oneshot::channel();
        lock(&self.requests).insert(request, answer);
        self.send(ToBackend::Request {
            assignment: self.assignment,
            request,
            verb: Box::new(verb),
        })
        .await;
        async move {
            match timeout(PATIENCE, waiting).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) | Err(_) => panic!("request {request} was not answered"),
            }
        }
    }

    /// Issues a verb and waits for how it ends.
    ///
    /// # Panics
    /// If there is no outcome in [`PATIENCE`].
    pub async fn request(&mut self, verb: Verb) -> Outcome {
        self.begin(verb).await.await
    }

    /// Sends a message.
    ///
    /// # Errors
    /// What the backend says.
    ///
    /// # Panics
    /// If there is no outcome in [`PATIENCE`], or the outcome is no message's.
    pub async fn say(&mut self, chat: Chat, text: &str) -> OpResult<Sent> {
        let message = OutgoingMessage {
            chat,
            id: MessageId::from(format!("test-{}", self.last + 1)),
            body: text.to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
        };
        let answer = self.request(Verb::SendMessage(message)).await?;
        let Answer::Sent(sent) = answer else {
            panic!("a message was answered with {answer:?}")
        };
        Ok(sent)
    }

    /// The next event.
    ///
    /// # Panics
    /// If none comes in [`PATIENCE`].
    pub async fn next_event(&mut self) -> Event {
        match timeout(PATIENCE, self.events.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => panic!("the session has ended, and no event is left"),
            Err(_) => panic!("no event came"),
        }
    }

    /// The next event, if one comes in this time.
    pub async fn event_within(&mut self, time: Duration) -> Option<Event> {
        timeout(time, self.events.recv()).await.ok().flatten()
    }

    /// Waits for an event like this, passing over others.
    ///
    /// # Panics
    /// If it does not come; the text tells what came instead.
    pub async fn expect(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        self.wait_for("the event", |event| is_it(event).then(|| event.clone())).await
    }

    /// Waits for an event of which this can be read, passing over others. `what` is named if it does not come.
    ///
    /// # Panics
    /// If it does not come; the text tells what came instead.
    pub async fn wait_for<T>(&mut self, what: &str, mut read: impl FnMut(&Event) -> Option<T>) -> T {
        let mut others = Vec::new();
        loop {
            match timeout(PATIENCE, self.events.recv()).await {
                Ok(Some(event)) => match read(&event) {
                    Some(found) => return found,
                    None => others.push(event),
                },
                Ok(None) | Err(_) => panic!("{what} did not come; these did: {others:#?}"),
            }
        }
    }

    /// From now on this user deals with no event, as one whose devices are stuck: after as many as there is credit for,
    /// `emit` waits. Events are still seen by the test.
    pub fn take_nothing(&self) {
        self.taking.store(false, Ordering::Relaxed);
    }

    /// All events that have come and were not looked at.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Logs the user out and waits until that is done; the driver bounds how long it takes.
    ///
    /// # Panics
    /// If it is not done in [`PATIENCE`].
    pub async fn logout(mut self) {
        let Some(answered) = self.logged_out.take() else { return };
        self.send(ToBackend::Logout {
            assignment: self.assignment,
        })
        .await;
        assert!(timeout(PATIENCE, answered).await.is_ok(), "the logout was not answered");
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.logged_out.is_some() {
            // A driver that has ended has logged everybody out.
            let _ = self.to.try_send(ToBackend::Logout {
                assignment: self.assignment,
            });
        }
    }
}
