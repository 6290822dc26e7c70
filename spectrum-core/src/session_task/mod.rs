//! The task that owns one session: takes inputs out of its mailbox, lets the session handle them, and does what it wants done.
//!
//! It waits for the store and for a seat on a backend, never for a link, a client or the component. What the user is to
//! see goes out once for everything that waited.

mod mailbox;
mod outside;
mod room;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jid::BareJid;
use tokio::time::Instant;
use tracing::debug;

pub use mailbox::{LINK_BYTES, LINK_EVENTS, USER_BYTES, USER_RESERVE, USER_RESERVE_BYTES, USER_STANZAS};
pub(crate) use mailbox::{Mailbox, Queued, Refused};
pub use outside::{NoStore, Outlet, SessionStore};

use crate::admin::UserStatus;
use crate::backend::link::{LinkInput, LinkRequest};
use crate::backend::{BackendInfo, OpError, OpErrorKind, Retry, Verb};
use crate::face::{Face, UserOut, UserView};
use crate::main_process::{AssignError, Assignment, MainProcess, SessionInbox};
use crate::model::{MessageId, Timestamp, UserKey};
use crate::session::{CloseReason, Input, JournalChanges, Now, Output, Session, SessionSeed, StoreRequest};
use room::Room;

/// What can be seen of a session from outside, without asking it.
#[derive(Debug)]
pub(crate) struct Gauges {
    pub(crate) logged_in: AtomicBool,
    pub(crate) backend: AtomicU32,
    pub(crate) resources: AtomicUsize,
    pub(crate) since: Instant,
}

impl Gauges {
    pub(crate) fn new() -> Self {
        Self {
            logged_in: AtomicBool::new(false),
            backend: AtomicU32::new(0),
            resources: AtomicUsize::new(0),
            since: Instant::now(),
        }
    }

    /// As an administrator sees it.
    pub(crate) fn status(&self, user: &UserKey) -> UserStatus {
        let backend = self.backend.load(Ordering::Relaxed);
        let state = match (self.logged_in.load(Ordering::Relaxed), backend) {
            (true, _) => "online",
            (false, 0) => "waiting for a backend",
            (false, _) => "logging in",
        };
        UserStatus {
            user: user.clone(),
            state: state.to_owned(),
            resources: u32::try_from(self.resources.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
            backend: (backend != 0).then_some(u64::from(backend)),
            since_secs: self.since.elapsed().as_secs(),
        }
    }
}

/// What every session task of an instance uses.
pub(crate) struct Surroundings {
    pub(crate) seed: SessionSeed,
    pub(crate) face: Arc<dyn Face>,
    pub(crate) main: Arc<dyn MainProcess>,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) outlet: Arc<dyn Outlet>,
    /// The moment that [`Now::mono`] counts from.
    pub(crate) started: Instant,
}

impl Surroundings {
    /// What the network is, with what the configuration overrules.
    fn info(&self) -> Arc<BackendInfo> {
        let info = self.main.info().unwrap_or_else(|| Arc::clone(&self.seed.info));
        match self.seed.config.jid_escaping {
            Some(jid_escaping) if jid_escaping != info.jid_escaping => Arc::new(BackendInfo {
                jid_escaping,
                ..BackendInfo::clone(&info)
            }),
            Some(_) | None => info,
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono: self.started.elapsed(),
            wall: Timestamp::from_millis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

/// How long what has become of messages may wait to be written together with the next message. A crash within it makes the
/// transport tell senders that it is not certain whether messages were sent that were.
const SETTLE: Duration = Duration::from_millis(20);

/// How long after the journal could not be written that is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Fates of messages that wait while the database cannot be written; more are given up, and their senders are told after a
/// crash that their fate is uncertain.
const UNSETTLED: usize = 4_096;

/// Changes that are kept with one commit; of more, so many at a time.
const SAVED_AT_ONCE: usize = 1_024;

/// What the store has to do before the session goes on.
enum Change {
    /// What the session wants to know.
    Ask(StoreRequest),
    /// What the session wants kept: all that it wanted in a row, for a user in 200 rooms is one user to the database.
    Save(Vec<StoreRequest>),
    /// To write the journal.
    Journal,
}

/// What ended a wait.
enum Woken {
    /// Something came in.
    ByMail,
    /// Something is due.
    ByTime,
    /// There is a seat on a backend, or none.
    Assigned(Result<Assignment, AssignError>),
}

type Assigning = Pin<Box<dyn Future<Output = Result<Assignment, AssignError>> + Send>>;

/// One session and what belongs to it.
pub(crate) struct SessionTask {
    user: UserKey,
    jid: BareJid,
    session: Session,
    around: Arc<Surroundings>,
    mailbox: Arc<Mailbox>,
    gauges: Arc<Gauges>,
    assignment: Option<Assignment>,
    assigning: Option<Assigning>,
    /// What the journal does not have yet.
    journal: JournalChanges,
    /// When it is written if no message is before that.
    settle_at: Option<Instant>,
    /// What follows in time from it, and waits for its commit.
    after_commit: Vec<LinkRequest>,
    /// Durable events that have been dealt with and are not acknowledged yet.
    to_acknowledge: Vec<u64>,
    /// Events dealt with since the last credit.
    dealt: u32,
    over: Option<CloseReason>,
}

impl SessionTask {
    pub(crate) fn new(
        user: UserKey,
        jid: BareJid,
        around: Arc<Surroundings>,
        mailbox: Arc<Mailbox>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let seed = SessionSeed {
            config: Arc::clone(&around.seed.config),
            info: around.info(),
        };
        let session = Session::new(&seed, jid.clone());
        Self {
            user,
            jid,
            session,
            around,
            mailbox,
            gauges,
            assignment: None,
            assigning: None,
            journal: JournalChanges::default(),
            settle_at: None,
            after_commit: Vec::new(),
            to_acknowledge: Vec::new(),
            dealt: 0,
            over: None,
        }
    }

    /// Runs until the session is over, and gives what it was over for.
    ///
    /// One place waits for the store and one for anything to do, and no input or output lives across them but the change
    /// that is being kept: an idle session costs its state and little more.
    pub(crate) async fn run(mut self: Box<Self>) -> CloseReason {
        let mut room = Room::take();
        room.own.push_back(Input::Start);
        loop {
            while let Some(change) = self.next_change(&mut room) {
                // Boxed: it is long, and most of the time nothing is kept.
                Box::pin(self.keep(&mut room, change)).await;
            }
            self.flush(&mut room);
            if let Some(reason) = self.over.take() {
                self.around.outlet.closed(&self.user, &reason);
                self.leftover(&mut room);
                return reason;
            }
            room.leave();
            let woken = self.wait().await;
            room = Room::take();
            self.woken(&mut room, woken);
        }
    }

    /// Handles what there is, up to the next thing that the store has to do first; none once nothing is left.
    fn next_change(&mut self, room: &mut Room) -> Option<Change> {
        loop {
            if let Some(change) = self.perform(room) {
                return Some(change);
            }
            match self.next_input(room) {
                Some(input) => self.handle(room, input),
                // One commit for all that waited, then what follows from it.
                None => return self.has_to_commit().then_some(Change::Journal),
            }
        }
    }

    fn has_to_commit(&self) -> bool {
        let is_due = self.settle_at.is_none() || self.over.is_some();
        self.holds_back() || (is_due && !self.journal.is_empty())
    }

    /// Whether something is to be committed before the network is asked for anything.
    fn holds_back(&self) -> bool {
        self.journal.is_urgent() || !self.after_commit.is_empty()
    }

    /// The next input there is; none once the session is over.
    fn next_input(&mut self, room: &mut Room) -> Option<Input> {
        if self.over.is_some() {
            return None;
        }
        loop {
            if let Some(input) = room.own.pop_front() {
                return Some(input);
            }
            match room.batch.pop_front()? {
                Queued::User(input) => return Some(Input::User(input)),
                Queued::Control(input) => return Some(*input),
                // What an earlier assignment still had on the way is none of the present one's business.
                Queued::Link(id, _) if self.assignment.as_ref().map(Assignment::id) != Some(id) => {}
                Queued::Link(_, input) => {
                    if matches!(*input, LinkInput::Event { .. }) {
                        self.dealt += 1;
                    }
                    return Some(Input::Link(*input));
                }
            }
        }
    }

    /// Waits for anything to do.
    async fn wait(&mut self) -> Woken {
        let deadline = self.session.next_deadline().map(|at| self.around.started + at);
        // One timer for both: what was due first is seen when it rings.
        let due = deadline.into_iter().chain(self.settle_at).min();
        let Self { mailbox, assigning, .. } = self;
        tokio::select! {
            () = mailbox.filled() => Woken::ByMail,
            assigned = async {
                match assigning.as_mut() {
                    Some(assigning) => assigning.await,
                    None => std::future::pending().await,
                }
            } => Woken::Assigned(assigned),
            () = sleep_until(due) => Woken::ByTime,
        }
    }

    fn woken(&mut self, room: &mut Room, woken: Woken) {
        match woken {
            Woken::ByMail => self.mailbox.take(&mut room.batch),
            Woken::ByTime => {
                let now = Instant::now();
                if self.settle_at.is_some_and(|at| at <= now) {
                    self.settle_at = None;
                }
                if self.session.next_deadline().is_some_and(|at| self.around.started + at <= now) {
                    room.own.push_back(Input::Tick);
                }
            }
            Woken::Assigned(result) => {
                self.assigning = None;
                room.own.push_back(match result {
                    Ok(assignment) => {
                        self.gauges.backend.store(assignment.backend().0, Ordering::Relaxed);
                        self.assignment = Some(assignment);
                        Input::Assigned(self.around.info())
                    }
                    Err(error) => Input::NotAssigned(error.to_string()),
                });
            }
        }
    }

    fn handle(&mut self, room: &mut Room, input: Input) {
        let now = self.around.now();
        let mut outputs = Vec::from(std::mem::take(&mut room.outputs));
        self.session.handle(input, now, &mut outputs);
        room.outputs = VecDeque::from(outputs);
    }

    /// Does what the session wants done, up to the next thing that the store has to do, which is given.
    fn perform(&mut self, room: &mut Room) -> Option<Change> {
        while let Some(output) = room.outputs.pop_front() {
            match output {
                // What the present backend was to be asked before belongs to it.
                Output::Assign | Output::Release if self.holds_back() => {
                    room.outputs.push_front(output);
                    return Some(Change::Journal);
                }
                Output::User(out) => self.say(room, out),
                Output::Assign => {
                    self.assignment = None;
                    let (main, user, inbox) = (Arc::clone(&self.around.main), self.user.clone(), Arc::clone(&self.mailbox));
                    self.assigning = Some(Box::pin(
                        async move { main.assign(&user, inbox as Arc<dyn SessionInbox>).await },
                    ));
                }
                Output::Release => {
                    self.assigning = None;
                    self.assignment = None;
                    self.dealt = 0;
                    self.gauges.backend.store(0, Ordering::Relaxed);
                }
                Output::Journal(changes) => {
                    self.journal.merge(*changes);
                    self.settle_at.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                // What is behind a message in its chat must not overtake it.
                Output::Link(request) if self.holds_back() => self.after_commit.push(request),
                Output::Link(request) => self.send(room, request),
                Output::Committed(event) => self.to_acknowledge.push(event),
                Output::Store(request) if is_question(&request) => return Some(Change::Ask(request)),
                Output::Store(request) => return Some(Change::Save(self.saves(room, request))),
                Output::Authenticated { ticket, result } => {
                    // The stanzas said before it belong before it.
                    self.flush(room);
                    self.around.outlet.authenticated(&self.user, ticket, result);
                }
                Output::Publish(publication) => self.around.outlet.publish(&self.user, publication),
                Output::Progress(progress) => self.around.outlet.progress(&self.user, progress),
                Output::Said(message) => self.around.outlet.said(&self.user, message),
                Output::LoggedIn => self.gauges.logged_in.store(true, Ordering::Relaxed),
                Output::LoggedOut => self.gauges.logged_in.store(false, Ordering::Relaxed),
                Output::Close(reason) => {
                    if reason == CloseReason::NotRegistered {
                        // It went with the registration.
                        self.journal = JournalChanges::default();
                    }
                    self.over = Some(reason);
                }
            }
        }
        None
    }

    /// A change, and those that follow it. What the user is to see of them in between goes out after all of them, as it would
    /// have done anyway.
    fn saves(&mut self, room: &mut Room, first: StoreRequest) -> Vec<StoreRequest> {
        let mut saves = vec![first];
        while saves.len() < SAVED_AT_ONCE {
            match room.outputs.pop_front() {
                Some(Output::Store(request)) if !is_question(&request) => saves.push(request),
                Some(Output::User(out)) => self.say(room, out),
                Some(other) => {
                    room.outputs.push_front(other);
                    break;
                }
                None => break,
            }
        }
        saves
    }

    async fn keep(&mut self, room: &mut Room, change: Change) {
        let store = &self.around.store;
        match change {
            Change::Journal => {
                let changes = std::mem::take(&mut self.journal);
                let kept = if changes.is_empty() {
                    Ok(())
                } else {
                    store.journal(&self.user, &changes).await
                };
                self.committed(room, changes, kept);
            }
            Change::Ask(StoreRequest::AskArchive {
                request,
                room: asked,
                what,
            }) => {
                let answer = store.archive(&self.user, &asked, what).await;
                room.own.push_back(Input::Archive { request, answer });
            }
            Change::Ask(_) => {
                let answer = match store.load(&self.user).await {
                    Ok(account) => Input::Loaded(account.map(Box::new)),
                    Err(error) => Input::StoreFailed(error),
                };
                room.own.push_back(answer);
            }
            Change::Save(requests) => store.save(&self.user, requests).await,
        }
    }

    fn say(&mut self, room: &mut Room, out: UserOut) {
        if let UserOut::Stanza(stanza) = out {
            room.stanzas.push(stanza);
            return;
        }
        let view = UserView {
            jid: &self.jid,
            transport: &self.around.seed.config.transport,
            resources: self.session.resources(),
        };
        self.around.face.write(&view, out, &mut room.stanzas);
    }

    /// The journal has been written, or could not be: asks the network for what waited for that. What cannot be journaled is
    /// not sent.
    fn committed(&mut self, room: &mut Room, changes: JournalChanges, kept: Result<(), String>) {
        self.settle_at = None;
        let failed = match kept {
            Ok(()) => Vec::new(),
            Err(reason) => {
                debug!(reason, "Messages are refused.");
                self.unwritten(room, changes)
            }
        };
        for request in std::mem::take(&mut self.after_commit) {
            match request {
                LinkRequest::Verb { request, verb } => match *verb {
                    Verb::SendMessage(message) if failed.contains(&message.id) => {
                        let text = "The transport cannot keep messages at the moment.";
                        let error = OpError::new(OpErrorKind::Internal, text);
                        room.own.push_back(Input::Link(LinkInput::Outcome {
                            request,
                            outcome: Box::new(Err(error)),
                        }));
                    }
                    verb => self.send(
                        room,
                        LinkRequest::Verb {
                            request,
                            verb: Box::new(verb),
                        },
                    ),
                },
                LinkRequest::Login(_) | LinkRequest::PromptAnswer { .. } => self.send(room, request),
            }
        }
    }

    /// The journal could not be written: gives the messages that must not be sent. What only settles others is tried again
    /// with the next write, as far as there is room.
    fn unwritten(&mut self, room: &mut Room, changes: JournalChanges) -> Vec<MessageId> {
        let (open, settled): (Vec<_>, Vec<_>) = changes.put.into_iter().partition(|record| record.content.is_some());
        if self.over.is_none() && settled.len() + changes.removed.len() <= UNSETTLED {
            self.journal.put = settled;
            self.journal.removed = changes.removed;
            self.settle_at = Some(Instant::now() + WRITE_AGAIN);
        }
        room.own
            .push_back(Input::NotKept(open.iter().map(|record| record.seq).collect()));
        open.into_iter().map(|record| record.core).collect()
    }

    /// Hands a request to the link; what it does not take has failed without effect.
    fn send(&mut self, room: &mut Room, request: LinkRequest) {
        let refused = match &self.assignment {
            Some(assignment) => match assignment.send(request) {
                Ok(()) => return,
                Err(refused) => refused.request,
            },
            None => request,
        };
        match refused {
            LinkRequest::Verb { request, .. } => {
                let error = OpError::new(OpErrorKind::RateLimited, "The network's backend is busy.")
                    .retry(Retry::After(Duration::from_secs(1)));
                room.own.push_back(Input::Link(LinkInput::Outcome {
                    request,
                    outcome: Box::new(Err(error)),
                }));
            }
            LinkRequest::Login(_) => {
                room.own.push_back(Input::Link(LinkInput::BackendLost {
                    reason: "The network's backend is busy.".to_owned(),
                }));
            }
            LinkRequest::PromptAnswer { .. } => debug!("An answer came after its question was gone."),
        }
    }

    /// Sends what has been said, and tells the backend how much has been dealt with.
    fn flush(&mut self, room: &mut Room) {
        if !room.stanzas.is_empty() {
            self.around.outlet.send(&self.user, &mut room.stanzas);
        }
        if self.dealt > 0
            && let Some(assignment) = &self.assignment
        {
            assignment.credit(self.dealt);
        }
        self.dealt = 0;
        // Everything they led to is stored and on its way to the user.
        for event in self.to_acknowledge.drain(..) {
            if let Some(assignment) = &self.assignment {
                assignment.committed(event);
            }
        }
        self.gauges.resources.store(self.session.resources().len(), Ordering::Relaxed);
    }

    /// Puts back what the session did not get to see, so that the router finds it when it closes the mailbox.
    fn leftover(&mut self, room: &mut Room) {
        for queued in std::mem::take(&mut room.batch) {
            match queued {
                Queued::User(input) => drop(self.mailbox.user(input)),
                Queued::Control(input) => drop(self.mailbox.control(*input)),
                Queued::Link(..) => {}
            }
        }
    }
}

/// Whether the session waits for an answer.
fn is_question(request: &StoreRequest) -> bool {
    matches!(request, StoreRequest::Load | StoreRequest::AskArchive { .. })
}

/// Waits for the moment, for ever if there is none.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
