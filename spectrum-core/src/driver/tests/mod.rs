//! The contract of `backend/mod.rs`, with a clock that is paused.

#![allow(clippy::unwrap_used)]

mod end;
mod events;
mod login;
mod verbs;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::backend::{
    Answer, BackendInfo, CANCEL_GRACE, CONCURRENT_VERBS, Certainty, Event, Events, LegacySession, Login, Op, OpResult,
    SessionEnded, VERB_DEADLINE, Verb,
};
use crate::model::{
    Chat, ContactUpdate, Form, FormAnswers, LoginPrompt, MessageId, OutgoingMessage, Presence, Secret, Sent, Shown,
};

/// Does what names and texts tell it to.
#[derive(Default)]
struct Scripted {
    /// What happened, in order.
    log: Arc<Mutex<Vec<String>>>,
    running: Arc<AtomicUsize>,
    most_running: Arc<AtomicUsize>,
    /// Hands out the events of each login.
    logins: Mutex<Option<mpsc::Sender<Login>>>,
    events: Mutex<Option<mpsc::Sender<Events>>>,
}

#[async_trait]
impl Backend for Scripted {
    fn info(&self) -> BackendInfo {
        BackendInfo::new("Scripted", "test")
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        let name = login.name.as_str().to_owned();
        if let Some(sender) = &*self.events.lock().unwrap() {
            sender.try_send(events.clone()).unwrap();
        }
        if let Some(sender) = &*self.logins.lock().unwrap() {
            sender.try_send(login).unwrap();
        }
        match name.as_str() {
            "refused" => return Err(LoginError::new(LoginErrorKind::AuthenticationFailed, "No.")),
            "panics" => panic!("planned"),
            "never" => std::future::pending().await,
            "early" => events.emit(Event::Notice("hello".to_owned())).await.unwrap(),
            _ => {}
        }
        let session = ScriptedSession {
            name,
            events,
            log: Arc::clone(&self.log),
            running: Arc::clone(&self.running),
            most_running: Arc::clone(&self.most_running),
        };
        Ok(Box::new(session))
    }
}

struct ScriptedSession {
    name: String,
    events: Events,
    log: Arc<Mutex<Vec<String>>>,
    running: Arc<AtomicUsize>,
    most_running: Arc<AtomicUsize>,
}

impl ScriptedSession {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }
}

#[async_trait]
impl LegacySession for ScriptedSession {
    async fn send_message(&self, message: OutgoingMessage, cx: Op) -> OpResult<Sent> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        self.note(format!("begin {}", message.body));
        match message.body.split(' ').next().unwrap() {
            "slow" => tokio::time::sleep(Duration::from_secs(1)).await,
            "hang" => std::future::pending().await,
            "obey" => {
                cx.cancelled().await;
                self.note("obeyed");
                return Err(OpError::new(OpErrorKind::Network, "cancelled"));
            }
            "panic" => panic!("planned"),
            "close" => self
                .events
                .emit(Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
                .await
                .unwrap(),
            _ => {}
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.note(format!("end {}", message.body));
        Ok(Sent {
            id: Some(MessageId::from(format!("net-{}", message.id).as_str())),
            timestamp: None,
        })
    }

    async fn logout(&self) {
        self.note(format!("logout {}", self.name));
        match self.name.as_str() {
            "clings" => std::future::pending().await,
            "trips" => panic!("planned"),
            _ => {}
        }
    }
}

/// A driver and the core's end of it.
struct Kit {
    to: mpsc::Sender<ToBackend>,
    from: mpsc::Receiver<FromBackend>,
    log: Arc<Mutex<Vec<String>>>,
    most_running: Arc<AtomicUsize>,
    logins: mpsc::Receiver<Login>,
    events: mpsc::Receiver<Events>,
    driver: crate::tasks::TaskHandle<()>,
}

fn start() -> Kit {
    let (to, frames) = mpsc::channel(4096);
    let (out, from) = mpsc::channel(4096);
    let (login, logins) = mpsc::channel(16);
    let (event, events) = mpsc::channel(16);
    let backend = Scripted {
        logins: Mutex::new(Some(login)),
        events: Mutex::new(Some(event)),
        ..Scripted::default()
    };
    let (log, most_running) = (Arc::clone(&backend.log), Arc::clone(&backend.most_running));
    let tasks = Tasks::new();
    let driver = tasks.spawn("driver", Span::none(), run(Arc::new(backend), frames, out, tasks.clone()));
    Kit {
        to,
        from,
        log,
        most_running,
        logins,
        events,
        driver,
    }
}

const A: AssignmentId = AssignmentId(1);
const B: AssignmentId = AssignmentId(2);

impl Kit {
    async fn send(&self, frame: ToBackend) {
        self.to.send(frame).await.unwrap();
    }

    async fn next(&mut self) -> FromBackend {
        tokio::time::timeout(Duration::from_secs(3600), self.from.recv())
            .await
            .expect("a frame within the hour")
            .unwrap()
    }

    async fn begin_login(&mut self, assignment: AssignmentId, name: &str) {
        self.send(ToBackend::Login(Box::new(LoginRequest {
            assignment,
            user: "user@example.org".into(),
            name: name.into(),
            password: Some(Secret::new("secret")),
            settings: [("a".to_owned(), "b".to_owned())].into(),
            presence: Presence::ONLINE,
            contacts: vec![ContactUpdate::new("nurse").alias("Nurse")],
        })))
        .await;
    }

    async fn login(&mut self, assignment: AssignmentId, name: &str) -> Events {
        self.begin_login(assignment, name).await;
        let events = self.events.recv().await.unwrap();
        loop {
            match self.next().await {
                FromBackend::Info(_) => {}
                other => {
                    assert_eq!(other, FromBackend::LoggedIn { assignment });
                    return events;
                }
            }
        }
    }

    async fn say(&self, assignment: AssignmentId, request: u64, to: &str, body: &str) {
        let message = OutgoingMessage {
            chat: Chat::Contact(to.into()),
            id: MessageId::from(request.to_string()),
            body: body.to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
        };
        let verb = Box::new(Verb::SendMessage(message));
        self.send(ToBackend::Request {
            assignment,
            request: RequestId(request),
            verb,
        })
        .await;
    }

    async fn outcome(&mut self) -> (u64, Outcome) {
        match self.next().await {
            FromBackend::Outcome { request, outcome, .. } => (request.0, *outcome),
            other => panic!("an outcome expected, not {other:?}"),
        }
    }

    async fn failure(&mut self) -> (u64, OpErrorKind, Certainty) {
        let (request, outcome) = self.outcome().await;
        let error = outcome.unwrap_err();
        (request, error.kind, error.certainty)
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn sent(request: u64) -> (u64, Outcome) {
    (
        request,
        Ok(Answer::Sent(Sent {
            id: Some(MessageId::from(format!("net-{request}"))),
            timestamp: None,
        })),
    )
}

fn notice(text: &str) -> Event {
    Event::Notice(text.to_owned())
}

fn event(assignment: AssignmentId, event: Event) -> FromBackend {
    FromBackend::Event {
        assignment,
        durable: None,
        event: Box::new(event),
    }
}
