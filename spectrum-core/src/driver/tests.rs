//! The contract of `backend/mod.rs`, with a clock that is paused.

#![allow(clippy::unwrap_used)]

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
use crate::model::{Chat, Form, FormAnswers, LoginPrompt, MessageId, OutgoingMessage, Presence, Secret, Sent, Shown};

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
            contacts: Vec::new(),
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

#[tokio::test(start_paused = true)]
async fn first_frame_says_what_the_backend_is() {
    let mut kit = start();
    assert_eq!(
        kit.next().await,
        FromBackend::Info(Box::new(BackendInfo::new("Scripted", "test")))
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_carries_everything_and_events_may_come_before_it_returns() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "early").await;
    assert_eq!(kit.next().await, event(A, notice("hello")));
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: A });
    let login = kit.logins.recv().await.unwrap();
    assert_eq!((login.user.as_str(), login.name.as_str()), ("user@example.org", "early"));
    assert_eq!(login.password.unwrap().expose(), "secret");
    assert_eq!(login.settings["a"], "b");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_closes_the_session_and_logs_nothing_out() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "refused").await;
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::AuthenticationFailed, "No.")))
    );
    kit.say(A, 1, "x", "hi").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn verbs_of_one_chat_run_in_order_and_other_chats_do_not_wait() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.say(A, 1, "x", "slow 1").await;
    kit.say(A, 2, "x", "quick 2").await;
    kit.say(A, 3, "y", "quick 3").await;
    assert_eq!(kit.outcome().await, sent(3));
    assert_eq!(kit.outcome().await, sent(1));
    assert_eq!(kit.outcome().await, sent(2));
    assert_eq!(
        kit.log(),
        [
            "begin slow 1",
            "begin quick 3",
            "end quick 3",
            "end slow 1",
            "begin quick 2",
            "end quick 2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_eight_verbs_of_a_user_run_at_once() {
    let mut kit = start();
    kit.login(A, "me").await;
    for request in 0..20 {
        kit.say(A, request, &format!("contact {request}"), "slow").await;
    }
    for _ in 0..20 {
        kit.outcome().await.1.unwrap();
    }
    assert_eq!(kit.most_running.load(Ordering::SeqCst), CONCURRENT_VERBS);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_login_and_none_is_lost() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "me").await;
    kit.say(A, 1, "x", "quick").await;
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: A });
    assert_eq!(kit.outcome().await, sent(1));
}

#[tokio::test(start_paused = true)]
async fn a_verb_is_cancelled_at_its_deadline_and_its_own_answer_counts() {
    let mut kit = start();
    kit.login(A, "me").await;
    let begin = Instant::now();
    kit.say(A, 1, "x", "obey").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Network, Certainty::NotSent));
    assert_eq!(begin.elapsed(), VERB_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_verb_that_ignores_its_cancellation_is_dropped_and_maybe_sent() {
    let mut kit = start();
    kit.login(A, "me").await;
    let begin = Instant::now();
    kit.say(A, 1, "x", "hang").await;
    kit.say(A, 2, "x", "quick").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Timeout, Certainty::MaybeSent));
    assert_eq!(begin.elapsed(), VERB_DEADLINE + CANCEL_GRACE);
    // It has waited longer than a verb may take, and was not even begun.
    assert_eq!(kit.failure().await, (2, OpErrorKind::Timeout, Certainty::NotSent));
    assert_eq!(kit.log(), ["begin hang"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_verb_ends_that_session_alone() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.say(A, 1, "x", "panic").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::Internal, Certainty::MaybeSent));
    assert_eq!(kit.next().await, event(A, Event::Closed(defect())));
    kit.say(A, 2, "x", "quick").await;
    assert_eq!(kit.failure().await, (2, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.say(B, 3, "x", "quick").await;
    assert_eq!(kit.outcome().await, sent(3));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_login_ends_that_session_alone() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "panics").await;
    assert_eq!(kit.next().await, event(A, Event::Closed(defect())));
    kit.begin_login(B, "other").await;
    assert_eq!(kit.next().await, FromBackend::LoggedIn { assignment: B });
}

#[tokio::test(start_paused = true)]
async fn nothing_is_accepted_after_closed_and_logout_still_comes_once() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    kit.say(A, 1, "x", "hang").await;
    kit.say(A, 2, "x", "quick").await;
    kit.say(A, 3, "y", "close").await;
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
    );
    assert_eq!(kit.outcome().await, sent(3));
    // What waits was not sent; what runs gets its grace.
    assert_eq!(kit.failure().await, (2, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.failure().await, (1, OpErrorKind::Network, Certainty::MaybeSent));
    assert_eq!(events.emit(notice("late")).await, Err(SessionEnded));
    assert_eq!(events.emit_durable(notice("late")).await, Err(SessionEnded));
    kit.send(ToBackend::Logout { assignment: A }).await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log().iter().filter(|entry| *entry == "logout me").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_that_wait_for_credit_end_with_the_session() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
        kit.next().await;
    }
    let waiting = events.clone();
    let waiting = Tasks::new().spawn("waiting", Span::none(), async move { waiting.emit(notice("too many")).await });
    tokio::task::yield_now().await;
    // Closed waits for no credit.
    events
        .emit(Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
        .await
        .unwrap();
    assert_eq!(waiting.await.unwrap(), Err(SessionEnded));
    assert_eq!(
        kit.next().await,
        event(A, Event::Closed(LoginError::new(LoginErrorKind::Network, "gone")))
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_is_dropped_when_the_user_gives_up() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "never").await;
    kit.say(A, 1, "x", "quick").await;
    let login = kit.logins.recv().await.unwrap();
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(kit.log(), Vec::<String>::new());
    assert_eq!(login.prompts.ask(Form::default()).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_a_logout_is_done_before_it() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.say(A, 1, "x", "slow 1").await;
    kit.say(A, 2, "x", "quick 2").await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    kit.say(A, 3, "x", "late").await;
    assert_eq!(kit.failure().await, (3, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(kit.outcome().await, sent(1));
    assert_eq!(kit.outcome().await, sent(2));
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
    assert_eq!(
        kit.log(),
        ["begin slow 1", "end slow 1", "begin quick 2", "end quick 2", "logout me"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_answered_in_time_whatever_the_session_does() {
    for (name, body) in [("clings", "quick"), ("trips", "quick"), ("me", "hang"), ("clings", "hang")] {
        let mut kit = start();
        kit.login(A, name).await;
        kit.say(A, 1, "x", body).await;
        let begin = Instant::now();
        kit.send(ToBackend::Logout { assignment: A }).await;
        assert_eq!(kit.outcome().await.0, 1);
        assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A }, "{name} {body}");
        assert!(begin.elapsed() <= LOGOUT_DEADLINE, "{name} {body}: {:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_user_with_too_many_events_on_the_way_waits() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let other = kit.login(B, "other").await;
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
    }
    let (done, mut waits) = oneshot::channel();
    let tasks = Tasks::new();
    tasks.spawn("waiting", Span::none(), async move {
        done.send(events.emit(notice("last")).await).unwrap()
    });
    other.emit(notice("other")).await.unwrap();
    for _ in 0..EVENT_CREDIT {
        assert_eq!(kit.next().await, event(A, notice("n")));
    }
    assert_eq!(kit.next().await, event(B, notice("other")));
    assert!(waits.try_recv().is_err());
    kit.send(ToBackend::Credit {
        assignment: A,
        events: 1,
    })
    .await;
    assert_eq!(kit.next().await, event(A, notice("last")));
    assert_eq!(waits.await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn credit_never_exceeds_its_bound() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    for _ in 0..3 {
        kit.send(ToBackend::Credit {
            assignment: A,
            events: u32::MAX,
        })
        .await;
    }
    kit.send(ToBackend::Ping).await;
    assert_eq!(kit.next().await, FromBackend::Pong);
    for _ in 0..EVENT_CREDIT {
        events.emit(notice("n")).await.unwrap();
    }
    assert!(
        tokio::time::timeout(Duration::from_secs(1), events.emit(notice("n")))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_durable_event_resolves_once_committed() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let durable = events.clone();
    let committed = Tasks::new().spawn(
        "durable",
        Span::none(),
        async move { durable.emit_durable(notice("keep")).await },
    );
    let FromBackend::Event {
        durable: Some(number), ..
    } = kit.next().await
    else {
        panic!("a durable event expected")
    };
    kit.send(ToBackend::Committed {
        assignment: A,
        event: number + 1,
    })
    .await;
    kit.send(ToBackend::Ping).await;
    assert_eq!(kit.next().await, FromBackend::Pong);
    assert!(!committed.is_finished());
    kit.send(ToBackend::Committed {
        assignment: A,
        event: number,
    })
    .await;
    assert_eq!(committed.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_durable_event_that_is_not_committed_ends_with_the_session() {
    let mut kit = start();
    let events = kit.login(A, "me").await;
    let waiting = Tasks::new().spawn(
        "durable",
        Span::none(),
        async move { events.emit_durable(notice("keep")).await },
    );
    kit.next().await;
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(waiting.await.unwrap(), Err(SessionEnded));
}

#[tokio::test(start_paused = true)]
async fn a_login_can_ask_back() {
    let mut kit = start();
    kit.next().await;
    kit.begin_login(A, "never").await;
    let prompts = kit.logins.recv().await.unwrap().prompts;
    let form = Form {
        title: "Code".to_owned(),
        ..Form::default()
    };
    for answers in [Some(FormAnswers::from([("code".to_owned(), Secret::new("123"))])), None] {
        let (prompts, asked) = (prompts.clone(), form.clone());
        let asking = Tasks::new().spawn("asking", Span::none(), async move { prompts.ask(asked).await });
        let FromBackend::Prompt {
            assignment: A,
            prompt,
            what,
        } = kit.next().await
        else {
            panic!("a prompt expected")
        };
        assert_eq!(*what, LoginPrompt::Ask(form.clone()));
        kit.send(ToBackend::PromptAnswer {
            assignment: A,
            prompt,
            answers: answers.clone(),
        })
        .await;
        assert_eq!(asking.await.unwrap(), answers);
    }
    let link = Shown::Link {
        url: "https://example.org".to_owned(),
        text: "Open".to_owned(),
    };
    prompts.show(link.clone()).await;
    let FromBackend::Prompt { what, .. } = kit.next().await else {
        panic!("a prompt expected")
    };
    assert_eq!(*what, LoginPrompt::Show(link));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_there_is_answered_all_the_same() {
    let mut kit = start();
    kit.next().await;
    kit.say(A, 1, "x", "quick").await;
    assert_eq!(kit.failure().await, (1, OpErrorKind::NotConnected, Certainty::NotSent));
    kit.send(ToBackend::Logout { assignment: A }).await;
    assert_eq!(kit.next().await, FromBackend::LoggedOut { assignment: A });
}

#[tokio::test(start_paused = true)]
async fn verbs_beyond_the_bound_are_refused_and_nobody_else_notices() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.say(A, 0, "x", "hang").await;
    kit.say(B, 1, "x", "quick").await;
    assert_eq!(kit.outcome().await, sent(1));
    let total = 2 * WAITING_VERBS as u64 + 10;
    for request in 2..2 + total {
        kit.say(A, request, "x", "quick").await;
    }
    kit.send(ToBackend::Ping).await;
    let mut refused = 0;
    loop {
        match kit.next().await {
            FromBackend::Outcome { outcome, .. } => {
                let error = outcome.unwrap_err();
                assert_eq!((error.kind, error.certainty), (OpErrorKind::RateLimited, Certainty::NotSent));
                refused += 1;
            }
            FromBackend::Pong => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(refused >= 10, "{refused}");
    kit.say(B, 1, "x", "quick").await;
    loop {
        if let FromBackend::Outcome {
            assignment: B, outcome, ..
        } = kit.next().await
        {
            outcome.unwrap();
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn exit_logs_everybody_out_and_returns() {
    let mut kit = start();
    kit.login(A, "me").await;
    kit.login(B, "other").await;
    kit.send(ToBackend::Exit).await;
    let mut out = [kit.next().await, kit.next().await];
    out.sort_by_key(|frame| {
        if let FromBackend::LoggedOut { assignment } = frame {
            assignment.0
        } else {
            0
        }
    });
    assert_eq!(
        out,
        [
            FromBackend::LoggedOut { assignment: A },
            FromBackend::LoggedOut { assignment: B }
        ]
    );
    assert_eq!(kit.driver.await, Ok(()));
    // Once the author's handles are gone too, nothing more can come.
    drop((kit.events, kit.logins));
    assert_eq!(kit.from.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_core_is_the_end_of_all_sessions() {
    let mut kit = start();
    kit.login(A, "me").await;
    drop(kit.to);
    assert_eq!(kit.driver.await, Ok(()));
    assert_eq!(*kit.log.lock().unwrap(), ["logout me"]);
}
