#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::table::{OPEN_REQUESTS, QUEUE_BYTES, QUEUE_REQUESTS};
use super::*;
use crate::backend::{Answer, Certainty, LoginError, LoginErrorKind, OpErrorKind, Outcome, Verb};
use crate::model::{Chat, Patch, ProfileUpdate, RequestId};
use crate::pool::testing::{Recorder, login, say, verb};
use crate::tasks::{TaskHandle, Tasks};
use crate::wire::{FromBackend, ToBackend};

const ONE: AssignmentId = AssignmentId(1);
const TWO: AssignmentId = AssignmentId(2);

/// A running link whose backend is this test.
struct Rig {
    link: Arc<Link>,
    notes: Arc<Notes>,
    written: mpsc::Receiver<ToBackend>,
    backend: Option<mpsc::Sender<FromBackend>>,
    reader: TaskHandle<End>,
    retire: CancellationToken,
    kill: CancellationToken,
}

impl Rig {
    fn new() -> Self {
        let tasks = Tasks::new();
        let notes = Arc::<Notes>::default();
        let link = Link::new(BackendId(1), true, Arc::clone(&notes));
        let (source, sink, written, backend) = in_process();
        let (retire, kill) = (CancellationToken::new(), CancellationToken::new());
        let reader = Reader {
            link: Arc::clone(&link),
            source,
            writer: tasks.spawn("link-writer", Span::none(), Arc::clone(&link).write(sink)),
            timings: LinkTimings {
                ping_interval: Duration::from_secs(10),
                ping_timeout: Duration::from_secs(20),
                exit_grace: Duration::from_secs(10),
            },
            retire: retire.clone(),
            kill: kill.clone(),
            violations: metrics::Counter::noop(),
            counted: 0,
        };
        let reader = tasks.spawn("link-reader", Span::none(), reader.run());
        Self {
            link,
            notes,
            written,
            backend: Some(backend),
            reader,
            retire,
            kill,
        }
    }

    /// With a user who is logged in.
    async fn with_user() -> (Self, Arc<Recorder>) {
        let mut rig = Self::new();
        let inbox = rig.join(ONE).await;
        (rig, inbox)
    }

    async fn join(&mut self, assignment: AssignmentId) -> Arc<Recorder> {
        let inbox = Recorder::new();
        self.link.attach(
            assignment,
            format!("user{assignment}@example.org").into(),
            Arc::clone(&inbox) as Arc<dyn SessionInbox>,
        );
        self.link.send(assignment, login()).unwrap();
        assert!(
            matches!(self.next().await, ToBackend::Login(l) if l.assignment == assignment && l.user.as_str().starts_with("user"))
        );
        self.reply(FromBackend::LoggedIn { assignment }).await;
        inbox.logged_in().await;
        inbox
    }

    /// The next frame but PINGs.
    async fn next(&mut self) -> ToBackend {
        loop {
            match self.written.recv().await.unwrap() {
                ToBackend::Ping => {}
                frame => return frame,
            }
        }
    }

    async fn reply(&self, frame: FromBackend) {
        self.backend.as_ref().unwrap().send(frame).await.unwrap();
    }

    async fn notice(&self, assignment: AssignmentId, text: &str) {
        let event = Box::new(Event::Notice(text.to_owned()));
        self.reply(FromBackend::Event {
            assignment,
            durable: None,
            event,
        })
        .await;
    }

    fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        self.notes.take(&mut notes);
        notes
    }
}

fn sent() -> Box<Outcome> {
    Box::new(Ok(Answer::Done))
}

fn certainty(outcome: Outcome) -> (OpErrorKind, Certainty) {
    let error = outcome.unwrap_err();
    (error.kind, error.certainty)
}

fn notice_of(input: LinkInput) -> Option<String> {
    match input {
        LinkInput::Event { event, .. } => match *event {
            Event::Notice(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn request_gets_the_outcome_the_backend_says_and_only_once() {
    let (mut rig, inbox) = Rig::with_user().await;
    rig.link.send(ONE, say(7, "bob", "hello")).unwrap();
    assert!(matches!(
        rig.next().await,
        ToBackend::Request {
            assignment: ONE,
            request: RequestId(7),
            ..
        }
    ));
    for _ in 0..2 {
        rig.reply(FromBackend::Outcome {
            assignment: ONE,
            request: RequestId(7),
            outcome: sent(),
        })
        .await;
    }
    rig.notice(ONE, "after").await;
    assert_eq!(inbox.outcome(7).await, Ok(Answer::Done));
    assert!(
        matches!(inbox.next().await.1, LinkInput::Event { .. }),
        "the second outcome was dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn lost_backend_answers_what_was_written_as_uncertain_and_the_rest_as_not_sent() {
    let (mut rig, inbox) = Rig::with_user().await;
    rig.link.send(ONE, say(1, "bob", "written")).unwrap();
    rig.next().await;
    // The backend stops reading: what fills the channel is written, what is behind it is not.
    drop(rig.backend.take());
    assert_eq!(rig.reader.await, Ok(End::Closed));
    rig.link.send(ONE, say(2, "bob", "queued")).unwrap();
    rig.link.lose("the backend has ended");
    assert_eq!(
        certainty(inbox.outcome(1).await),
        (OpErrorKind::Network, Certainty::MaybeSent)
    );
    assert_eq!(
        certainty(inbox.outcome(2).await),
        (OpErrorKind::NotConnected, Certainty::NotSent)
    );
    assert_eq!(inbox.lost().await, "the backend has ended", "after the outcomes");
    rig.link.lose("again");
    assert!(inbox.drain().is_empty());
    let refused = rig.link.send(ONE, say(3, "bob", "late")).unwrap_err();
    assert!(
        refused.gone
            && matches!(
                refused.request,
                LinkRequest::Verb {
                    request: RequestId(3),
                    ..
                }
            )
    );
}

#[tokio::test(start_paused = true)]
async fn session_that_may_have_missed_the_loss_hears_of_it_again() {
    let rig = Rig::new();
    let inbox = Recorder::new();
    rig.link
        .attach(ONE, "a@example.org".into(), Arc::clone(&inbox) as Arc<dyn SessionInbox>);
    rig.link.lose("gone");
    assert_eq!(inbox.lost().await, "gone");
    assert!(rig.link.send(ONE, login()).unwrap_err().gone);
    assert_eq!(inbox.lost().await, "gone");
    assert!(rig.link.send(ONE, login()).unwrap_err().gone);
    assert!(inbox.drain().is_empty(), "twice is enough");
    let late = Recorder::new();
    rig.link
        .attach(TWO, "b@example.org".into(), Arc::clone(&late) as Arc<dyn SessionInbox>);
    assert_eq!(late.lost().await, "gone");
}

#[tokio::test(start_paused = true)]
async fn backend_that_does_not_answer_has_hung_after_twenty_seconds() {
    let rig = Rig::new();
    let start = Instant::now();
    assert_eq!(rig.reader.await, Ok(End::Hung));
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(30),
        "a PING after ten, and twenty without a PONG"
    );
    assert!(rig.link.health.hung.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn backend_that_answers_pings_lives() {
    let mut rig = Rig::new();
    for _ in 0..20 {
        assert_eq!(rig.written.recv().await, Some(ToBackend::Ping));
        rig.reply(FromBackend::Pong).await;
    }
    assert!(!rig.reader.is_finished());
}

#[tokio::test(start_paused = true)]
async fn user_who_is_talked_to_all_the_time_does_not_hide_a_backend_that_hangs() {
    let (rig, _inbox) = Rig::with_user().await;
    let backend = rig.backend.clone().unwrap();
    let start = Instant::now();
    let talk = async {
        loop {
            tokio::time::sleep(Duration::from_millis(900)).await;
            let event = Box::new(Event::Notice("x".to_owned()));
            if backend
                .send(FromBackend::Event {
                    assignment: ONE,
                    durable: None,
                    event,
                })
                .await
                .is_err()
            {
                return std::future::pending().await;
            }
        }
    };
    let end = tokio::select! {
        end = rig.reader => end,
        () = talk => unreachable!("talks for ever"),
    };
    assert_eq!(end, Ok(End::Hung));
    assert_eq!(start.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn profile_that_does_not_come_is_a_time_out_after_thirty_seconds() {
    let (mut rig, inbox) = Rig::with_user().await;
    let pongs = rig.backend.clone().unwrap();
    rig.link
        .send(ONE, verb(1, Verb::FetchProfile(Chat::Contact("bob".into()))))
        .unwrap();
    let start = Instant::now();
    let answer = async {
        loop {
            if rig.written.recv().await == Some(ToBackend::Ping) {
                pongs.send(FromBackend::Pong).await.unwrap();
            }
        }
    };
    let outcome = tokio::select! {
        outcome = inbox.outcome(1) => outcome,
        () = answer => unreachable!("answers for ever"),
    };
    assert_eq!(certainty(outcome), (OpErrorKind::Timeout, Certainty::NotSent));
    assert!(start.elapsed() >= Duration::from_secs(30) && start.elapsed() <= Duration::from_secs(31));
}

#[tokio::test(start_paused = true)]
async fn verb_without_a_result_is_uncertain_after_its_deadline_on_the_spectrum2_wire() {
    let notes = Arc::<Notes>::default();
    let link = Link::new(BackendId(1), false, notes);
    let inbox = Recorder::new();
    link.attach(ONE, "a@example.org".into(), Arc::clone(&inbox) as Arc<dyn SessionInbox>);
    link.send(ONE, login()).unwrap();
    link.send(ONE, say(1, "bob", "written")).unwrap();
    let mut batch = Vec::new();
    link.table().take(10, &mut batch);
    link.send(ONE, say(2, "bob", "queued")).unwrap();
    link.expire(Instant::now() + Duration::from_secs(59));
    assert!(inbox.drain().is_empty());
    link.expire(Instant::now() + Duration::from_secs(60));
    assert_eq!(
        certainty(inbox.outcome(1).await),
        (OpErrorKind::Timeout, Certainty::MaybeSent)
    );
    assert_eq!(certainty(inbox.outcome(2).await), (OpErrorKind::Timeout, Certainty::NotSent));
    batch.clear();
    link.table().take(10, &mut batch);
    assert!(batch.is_empty(), "what was answered as not sent is not sent");
}

#[tokio::test(start_paused = true)]
async fn full_queue_gives_requests_back() {
    let link = Link::new(BackendId(1), true, Arc::default());
    let users = QUEUE_REQUESTS / OPEN_REQUESTS;
    for user in 0..=users as u64 {
        link.attach(AssignmentId(user), format!("{user}").into(), Recorder::new());
        link.send(AssignmentId(user), login()).unwrap();
    }
    for user in 0..users as u64 {
        for request in 0..OPEN_REQUESTS as u64 {
            link.send(AssignmentId(user), say(request, "bob", "x")).unwrap();
        }
        let refused = link.send(AssignmentId(user), say(9_999, "bob", "x")).unwrap_err();
        assert!(!refused.gone, "one user has a bound of their own");
    }
    let other = AssignmentId(users as u64);
    assert!(!link.send(other, say(1, "bob", "x")).unwrap_err().gone, "the link is full");
    let mut batch = Vec::new();
    link.table().take(usize::MAX, &mut batch);
    assert_eq!(batch.len(), QUEUE_REQUESTS + users + 1);
    link.send(other, say(1, "bob", "x")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_pictures_fill_the_queue_by_their_bytes() {
    let link = Link::new(BackendId(1), true, Arc::default());
    link.attach(ONE, "a".into(), Recorder::new());
    link.send(ONE, login()).unwrap();
    let picture = |request| {
        let data = vec![0; QUEUE_BYTES / 2].into();
        let avatar = Patch::Set(crate::model::Avatar {
            media_type: "image/png".to_owned(),
            data,
        });
        verb(
            request,
            Verb::SetProfile(ProfileUpdate {
                avatar,
                ..ProfileUpdate::default()
            }),
        )
    };
    link.send(ONE, picture(1)).unwrap();
    assert!(!link.send(ONE, picture(2)).unwrap_err().gone);
    link.table().take(10, &mut Vec::new());
    link.send(ONE, picture(3)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn backend_speaks_for_its_own_users_only() {
    let (mut rig, inbox) = Rig::with_user().await;
    let waiting = Recorder::new();
    rig.link
        .attach(TWO, "b@example.org".into(), Arc::clone(&waiting) as Arc<dyn SessionInbox>);
    rig.notice(AssignmentId(99), "for a stranger").await;
    rig.notice(TWO, "before the login").await;
    rig.reply(FromBackend::LoggedIn { assignment: TWO }).await;
    rig.reply(FromBackend::Outcome {
        assignment: AssignmentId(99),
        request: RequestId(1),
        outcome: sent(),
    })
    .await;
    rig.reply(FromBackend::Hello { min: 1, max: 1 }).await;
    rig.notice(ONE, "for the user").await;
    assert_eq!(inbox.find(notice_of).await, "for the user");
    assert!(waiting.drain().is_empty());
    assert_eq!(rig.link.health.violations(), 5);
    rig.join(AssignmentId(3)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end_of_a_legacy_session_and_open_requests_end_before_it() {
    let (mut rig, inbox) = Rig::with_user().await;
    rig.link.send(ONE, say(1, "bob", "x")).unwrap();
    rig.next().await;
    let error = LoginError::new(LoginErrorKind::Network, "connection reset");
    let closed = Box::new(Event::Closed(error.clone()));
    rig.reply(FromBackend::Event {
        assignment: ONE,
        durable: None,
        event: closed,
    })
    .await;
    rig.notice(ONE, "too late").await;
    assert_eq!(
        certainty(inbox.outcome(1).await),
        (OpErrorKind::Network, Certainty::MaybeSent)
    );
    assert!(matches!(inbox.next().await.1, LinkInput::Event { event, .. } if *event == Event::Closed(error)));
    assert!(rig.link.send(ONE, say(2, "bob", "x")).unwrap_err().gone);
    rig.link.release(ONE);
    rig.link.log_out(ONE);
    assert_eq!(rig.next().await, ToBackend::Logout { assignment: ONE });
    assert!(inbox.drain().is_empty());
    assert_eq!(rig.link.health.violations(), 0, "it was on its way");
}

#[tokio::test(start_paused = true)]
async fn session_that_lets_go_hears_outcomes_and_nothing_else_until_the_logout_is_confirmed() {
    let (mut rig, inbox) = Rig::with_user().await;
    rig.link.send(ONE, say(1, "bob", "bye")).unwrap();
    rig.link.release(ONE);
    rig.link.log_out(ONE);
    assert!(rig.link.send(ONE, say(2, "bob", "x")).unwrap_err().gone);
    assert!(
        matches!(rig.next().await, ToBackend::Request { .. }),
        "what was asked for before is written before"
    );
    assert_eq!(rig.next().await, ToBackend::Logout { assignment: ONE });
    rig.notice(ONE, "too late").await;
    rig.reply(FromBackend::Outcome {
        assignment: ONE,
        request: RequestId(1),
        outcome: sent(),
    })
    .await;
    rig.reply(FromBackend::LoggedOut { assignment: ONE }).await;
    rig.reply(FromBackend::LoggedOut { assignment: ONE }).await;
    assert!(matches!(
        inbox.next().await.1,
        LinkInput::Outcome {
            request: RequestId(1),
            ..
        }
    ));
    rig.notes.rung().await;
    tokio::task::yield_now().await;
    let notes = rig.notes();
    assert!(matches!(notes[..], [Note::Released(ONE), Note::LoggedOut(ONE)]), "{notes:?}");
    rig.link.free(ONE);
    assert_eq!(rig.link.table().len(), 0);
    assert!(inbox.drain().is_empty());
}

#[tokio::test(start_paused = true)]
async fn seat_that_is_taken_away_with_open_requests_answers_them() {
    let (mut rig, inbox) = Rig::with_user().await;
    rig.link.send(ONE, say(1, "bob", "x")).unwrap();
    rig.next().await;
    rig.link.release(ONE);
    rig.link.log_out(ONE);
    rig.link.free(ONE);
    assert_eq!(certainty(inbox.outcome(1).await).1, Certainty::MaybeSent);
}

#[tokio::test(start_paused = true)]
async fn seat_that_was_never_used_needs_no_logout() {
    let mut rig = Rig::new();
    rig.link.attach(ONE, "a@example.org".into(), Recorder::new());
    rig.link.release(ONE);
    rig.link.log_out(ONE);
    let notes = rig.notes();
    assert!(matches!(notes[..], [Note::Released(ONE), Note::LoggedOut(ONE)]), "{notes:?}");
    rig.join(TWO).await;
}

#[tokio::test(start_paused = true)]
async fn verb_before_the_login_and_a_second_login_are_given_back() {
    let rig = Rig::new();
    rig.link.attach(ONE, "a@example.org".into(), Recorder::new());
    assert!(!rig.link.send(ONE, say(1, "bob", "x")).unwrap_err().gone);
    rig.link.send(ONE, login()).unwrap();
    assert!(!rig.link.send(ONE, login()).unwrap_err().gone);
}

#[tokio::test(start_paused = true)]
async fn credit_is_returned_in_lots_and_commits_one_by_one() {
    let (mut rig, _inbox) = Rig::with_user().await;
    for _ in 0..15 {
        rig.link.credit(ONE, 1);
    }
    rig.link.committed(ONE, 42);
    assert_eq!(
        rig.next().await,
        ToBackend::Committed {
            assignment: ONE,
            event: 42
        }
    );
    rig.link.credit(ONE, 3);
    assert_eq!(
        rig.next().await,
        ToBackend::Credit {
            assignment: ONE,
            events: 18
        }
    );
}

#[tokio::test(start_paused = true)]
async fn backend_is_asked_to_end_once_and_has_ten_seconds_for_it() {
    let mut rig = Rig::new();
    rig.retire.cancel();
    assert_eq!(rig.next().await, ToBackend::Exit);
    let start = Instant::now();
    assert_eq!(rig.reader.await, Ok(End::Overdue));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn killed_link_ends_at_once() {
    let rig = Rig::new();
    rig.kill.cancel();
    let start = Instant::now();
    assert_eq!(rig.reader.await, Ok(End::Killed));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn backend_asks_one_admin_question_at_a_time() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.reply(FromBackend::Query("status".to_owned())).await;
    }
    rig.notes.rung().await;
    tokio::task::yield_now().await;
    assert_eq!(rig.notes().len(), 1);
    assert_eq!(rig.link.health.violations(), 2);
    rig.link.answer("fine".to_owned());
    assert_eq!(rig.next().await, ToBackend::QueryAnswer("fine".to_owned()));
    rig.reply(FromBackend::Query("status".to_owned())).await;
    rig.notes.rung().await;
    assert_eq!(rig.notes().len(), 1);
}
