//! Backends that are linked in, with a paused clock.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::backend::{
    Answer, Backend, BackendInfo, Event, Events, LegacySession, Login, LoginError, LoginErrorKind, Op, OpResult,
};
use crate::main_process::{LinkInput, LinkRequest, PoolHealth};
use crate::model::{BackendId, IncomingMessage, OutgoingMessage, Sent};
use crate::pool::testing::say;

/// Sends back what it gets.
#[derive(Default)]
struct Echo {
    logins: AtomicUsize,
    logouts: Arc<AtomicUsize>,
    /// How often `info` has been asked.
    asked: AtomicUsize,
    /// At which question it panics.
    panics_at: Option<usize>,
}

struct EchoSession {
    events: Events,
    logouts: Arc<AtomicUsize>,
}

#[async_trait]
impl Backend for Echo {
    fn info(&self) -> BackendInfo {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(self.panics_at != Some(asked), "planned");
        BackendInfo::new("Echo", "echo")
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        self.logins.fetch_add(1, Ordering::SeqCst);
        if login.name.as_str() == "nobody" {
            return Err(LoginError::new(LoginErrorKind::InvalidName, "no such account"));
        }
        Ok(Box::new(EchoSession {
            events,
            logouts: Arc::clone(&self.logouts),
        }))
    }
}

#[async_trait]
impl LegacySession for EchoSession {
    async fn send_message(&self, message: OutgoingMessage, _: Op) -> OpResult<Sent> {
        let echo = IncomingMessage::new(message.chat, message.body);
        let _ = self.events.emit(Event::Message(echo)).await;
        Ok(Sent::default())
    }

    async fn logout(&self) {
        self.logouts.fetch_add(1, Ordering::SeqCst);
    }
}

fn rig(echo: Arc<Echo>) -> Rig {
    Rig::start(BackendSource::Builtin(echo), |_, _| {})
}

#[tokio::test(start_paused = true)]
async fn message_goes_to_the_backend_and_an_event_comes_back() {
    let rig = rig(Arc::default());
    assert_eq!(rig.pool.info().unwrap().name, "Echo");
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    assignment.send(say(1, "bob", "hello")).unwrap();
    inbox.message("hello").await;
    assert_eq!(inbox.outcome(1).await, Ok(Answer::Sent(Sent::default())));
    let status = rig.pool.status();
    assert_eq!(
        (status.health, status.backends.len(), status.backends[0].users),
        (PoolHealth::Ready, 1, 1)
    );
    assert_eq!(status.backends[0].pid, None);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dropped_assignment_logs_the_user_out_and_the_next_one_is_seated_after_that() {
    let echo = Arc::<Echo>::default();
    let rig = rig(Arc::clone(&echo));
    let (assignment, _) = rig.log_in("a@example.org").await;
    let first = assignment.id();
    drop(assignment);
    let (assignment, _) = rig.log_in("a@example.org").await;
    assert!(assignment.id() > first);
    assert_eq!(
        (echo.logins.load(Ordering::SeqCst), echo.logouts.load(Ordering::SeqCst)),
        (2, 1)
    );
    drop(assignment);
    rig.status(|status| (status.backends[0].users == 0).then_some(())).await;
    rig.stop().await;
    assert_eq!(echo.logouts.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn assign_that_is_dropped_gives_up_its_place_and_its_seat() {
    let rig = rig(Arc::default());
    let inbox = Recorder::new() as Arc<dyn SessionInbox>;
    let user = "a@example.org".into();
    for _ in 0..100 {
        let mut wish = std::pin::pin!(rig.pool.assign(&user, Arc::clone(&inbox)));
        assert!(futures_util::poll!(wish.as_mut()).is_pending());
    }
    let (assignment, _) = rig.log_in("a@example.org").await;
    rig.status(|status| (status.waiting == 0 && status.backends[0].users == 1).then_some(()))
        .await;
    drop(assignment);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn refused_login_closes_the_assignment() {
    let rig = rig(Arc::default());
    let (assignment, inbox) = rig.assign("a@example.org").await.unwrap();
    let LinkRequest::Login(mut login) = login() else {
        unreachable!()
    };
    login.name = "nobody".into();
    assignment.send(LinkRequest::Login(login)).unwrap();
    let (_, input) = inbox.next().await;
    assert!(matches!(input, LinkInput::Event { event, .. } if matches!(*event, Event::Closed(_))));
    let before = tokio::time::Instant::now();
    drop(assignment);
    rig.log_in("a@example.org").await;
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "the seat of a closed session is free at once"
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn backend_that_panics_is_started_again() {
    // The first question is the pool's, the second that of the first start, the third the driver's.
    for panics_at in [2, 3] {
        let rig = rig(Arc::new(Echo {
            panics_at: Some(panics_at),
            ..Echo::default()
        }));
        let before = tokio::time::Instant::now();
        let (assignment, inbox) = loop {
            let (assignment, inbox) = rig.assign("a@example.org").await.unwrap();
            let sent = assignment.send(login());
            match inbox.next().await.1 {
                LinkInput::LoggedIn => break (assignment, inbox),
                LinkInput::BackendLost { .. } => {}
                other => panic!("{other:?} after {sent:?}"),
            }
        };
        assert!(before.elapsed() <= Duration::from_secs(5));
        assert_eq!(assignment.backend(), BackendId(2));
        assignment.send(say(1, "bob", "still there")).unwrap();
        inbox.message("still there").await;
        assert_eq!(rig.pool.status().crashes.len(), 1);
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn users_are_told_when_the_pool_stops() {
    let rig = rig(Arc::default());
    let (assignment, inbox) = rig.log_in("a@example.org").await;
    let pool = Arc::clone(&rig.pool);
    pool.stop(Duration::from_secs(10)).await;
    inbox.lost().await;
    assert!(assignment.send(say(1, "bob", "x")).unwrap_err().gone);
    assert_eq!(rig.pool.status().health, PoolHealth::Stopping);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_pool_ends_its_backends() {
    let Rig { pool, tasks, dir: _dir } = rig(Arc::default());
    let done = pool.shared.done.clone();
    drop(pool);
    timeout(PATIENCE, done.cancelled()).await.unwrap();
    assert!(tasks.stop(PATIENCE).await.is_empty());
}
