//! The echo backend as a process that the pool runs: the way of every native backend.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use spectrum_core::backend::{Event, Outcome, Verb};
use spectrum_core::config::Wire;
use spectrum_core::main_process::{AssignError, Assignment, LinkInput, LinkLogin, LinkRequest, MainProcess, SessionInbox};
use spectrum_core::model::{AssignmentId, Chat, OutgoingMessage, Presence, RequestId, Secret};
use spectrum_core::pool::{BackendSource, Pool, PoolOptions, Timings};
use spectrum_core::tasks::Tasks;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

/// Far longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

struct Inbox(mpsc::Sender<LinkInput>, Mutex<mpsc::Receiver<LinkInput>>);

impl SessionInbox for Inbox {
    fn deliver(&self, _: AssignmentId, input: LinkInput) {
        self.0.try_send(input).unwrap();
    }
}

impl Inbox {
    async fn find<T>(&self, mut pick: impl FnMut(LinkInput) -> Option<T>) -> T {
        let mut inputs = self.1.lock().await;
        loop {
            let input = timeout(PATIENCE, inputs.recv())
                .await
                .expect("something is delivered")
                .unwrap();
            if let Some(found) = pick(input) {
                return found;
            }
        }
    }

    async fn message(&self, text: &str) {
        self.find(|input| match input {
            LinkInput::Event { event, .. } => matches!(*event, Event::Message(m) if m.body == text).then_some(()),
            LinkInput::LoggedIn | LinkInput::Outcome { .. } | LinkInput::Prompt { .. } | LinkInput::BackendLost { .. } => None,
        })
        .await;
    }

    async fn outcome(&self) -> Outcome {
        self.find(|input| match input {
            LinkInput::Outcome { outcome, .. } => Some(*outcome),
            LinkInput::LoggedIn | LinkInput::Event { .. } | LinkInput::Prompt { .. } | LinkInput::BackendLost { .. } => None,
        })
        .await
    }
}

fn start(change: impl FnOnce(&mut PoolOptions)) -> Arc<Pool> {
    let source = BackendSource::Command {
        command: vec![env!("CARGO_BIN_EXE_echo-backend").to_owned()],
        wire: Wire::Native,
    };
    let mut options = PoolOptions::new(source, "echo.example.org", std::env::temp_dir());
    change(&mut options);
    Pool::start(options, &Tasks::new())
}

async fn log_in(pool: &Pool) -> (Assignment, Arc<Inbox>) {
    let (tell, told) = mpsc::channel(1_000);
    let inbox = Arc::new(Inbox(tell, Mutex::new(told)));
    let user = "alice@example.org".into();
    let wish = pool.assign(&user, Arc::clone(&inbox) as Arc<dyn SessionInbox>);
    let assignment = timeout(PATIENCE, wish).await.unwrap().unwrap();
    let login = LinkLogin {
        name: "alice".into(),
        password: None,
        settings: BTreeMap::new(),
        presence: Presence::ONLINE,
        contacts: Vec::new(),
    };
    assignment.send(LinkRequest::Login(Box::new(login))).unwrap();
    inbox.find(|input| matches!(input, LinkInput::LoggedIn).then_some(())).await;
    (assignment, inbox)
}

fn say(request: u64, body: &str) -> LinkRequest {
    let message = OutgoingMessage {
        chat: Chat::Contact("echo".into()),
        id: format!("m{request}").into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    };
    LinkRequest::Verb {
        request: RequestId(request),
        verb: Box::new(Verb::SendMessage(message)),
    }
}

fn signal(pool: &Pool, signal: Signal) {
    let pid = pool.status().backends[0].pid.unwrap();
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn conversation_goes_on_after_the_backend_was_killed() {
    let pool = start(|_| {});
    let (assignment, inbox) = log_in(&pool).await;
    assignment.send(say(1, "hello")).unwrap();
    inbox.message("hello").await;
    inbox.outcome().await.unwrap();
    assert_eq!(pool.info().unwrap().name, "Echo");
    signal(&pool, Signal::KILL);
    inbox
        .find(|input| matches!(input, LinkInput::BackendLost { .. }).then_some(()))
        .await;
    drop(assignment);
    let (assignment, inbox) = log_in(&pool).await;
    assert_eq!(assignment.backend().0, 2);
    assignment.send(say(1, "hello again")).unwrap();
    inbox.message("hello again").await;
    drop(assignment);
    pool.stop(PATIENCE).await;
    assert!(pool.status().backends.is_empty());
}

#[tokio::test]
async fn more_events_than_may_be_on_the_way_come_through() {
    let pool = start(|_| {});
    let (assignment, inbox) = log_in(&pool).await;
    for request in 0..200 {
        assignment.send(say(request, &request.to_string())).unwrap();
        inbox.message(&request.to_string()).await;
        assignment.credit(1);
    }
    drop(assignment);
    pool.stop(PATIENCE).await;
}

#[tokio::test]
async fn backend_that_hangs_is_replaced() {
    let pool = start(|options| {
        options.timings = Timings {
            ping_interval: Duration::from_millis(200),
            ping_timeout: Duration::from_secs(2),
            kill_grace: Duration::from_millis(500),
            ..Timings::default()
        };
    });
    let (assignment, inbox) = log_in(&pool).await;
    signal(&pool, Signal::STOP);
    let reason = inbox
        .find(|input| match input {
            LinkInput::BackendLost { reason } => Some(reason),
            LinkInput::LoggedIn | LinkInput::Event { .. } | LinkInput::Outcome { .. } | LinkInput::Prompt { .. } => None,
        })
        .await;
    assert_eq!(reason, "the backend did not answer");
    drop(assignment);
    let (assignment, _inbox) = log_in(&pool).await;
    drop(assignment);
    pool.stop(PATIENCE).await;
}

#[tokio::test]
async fn option_the_backend_does_not_know_is_told() {
    let pool = start(|options| {
        options.options.insert("contcats".to_owned(), Secret::new("3"));
    });
    let (tell, told) = mpsc::channel(1);
    let inbox = Arc::new(Inbox(tell, Mutex::new(told)));
    let user = "alice@example.org".into();
    let refused = timeout(PATIENCE, pool.assign(&user, inbox)).await.unwrap();
    let Err(AssignError::Failing { reason }) = refused else {
        panic!("expected to be refused: {refused:?}");
    };
    assert!(
        reason.starts_with("the backend refuses its options: ") && reason.contains("contcats"),
        "{reason}"
    );
    pool.stop(PATIENCE).await;
}
