//! The registry of sessions: which user has one, and how to reach it. The only map that tasks share.
//!
//! Reading it is a lock held for a look-up; nothing is awaited under it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use jid::BareJid;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tracing::{info, info_span};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::admin::UserStatus;
use crate::face::{Face, To, UserIn};
use crate::main_process::MainProcess;
use crate::model::{LegacyName, Secret, UserKey};
use crate::session::{CloseReason, Input, RecentMessage, RecentReply, SessionSeed, Ticket};
use crate::session_task::{Gauges, Mailbox, Outlet, Queued, Refused, SessionStore, SessionTask, Surroundings};
use crate::stanza::{Stanza, error};
use crate::tasks::Tasks;

/// What a router is made of.
pub struct RouterParts {
    /// What all sessions have in common.
    pub seed: SessionSeed,
    /// The mode's spelling.
    pub face: Arc<dyn Face>,
    /// Who has the backends.
    pub main: Arc<dyn MainProcess>,
    /// What is kept.
    pub store: Arc<dyn SessionStore>,
    /// Where stanzas go.
    pub outlet: Arc<dyn Outlet>,
    /// Where tasks are born.
    pub tasks: Tasks,
}

/// The registry of sessions. A clone is the same registry.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

struct Inner {
    around: Arc<Surroundings>,
    tasks: Tasks,
    sessions: RwLock<HashMap<UserKey, Entry>>,
    /// Rung when the last session is gone.
    emptied: Notify,
}

#[derive(Clone)]
struct Entry {
    mailbox: Arc<Mailbox>,
    gauges: Arc<Gauges>,
}

/// A stanza that found no session.
#[derive(Debug)]
pub struct NoSession(pub Box<UserIn>);

impl Router {
    /// An empty registry.
    pub fn new(parts: RouterParts) -> Self {
        let around = Surroundings {
            seed: parts.seed,
            face: parts.face,
            main: parts.main,
            store: parts.store,
            outlet: parts.outlet,
            started: Instant::now(),
        };
        Self(Arc::new(Inner {
            around: Arc::new(around),
            tasks: parts.tasks,
            sessions: RwLock::default(),
            emptied: Notify::new(),
        }))
    }

    fn sessions(&self) -> RwLockReadGuard<'_, HashMap<UserKey, Entry>> {
        self.0.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions_mut(&self) -> RwLockWriteGuard<'_, HashMap<UserKey, Entry>> {
        self.0.sessions.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, user: &UserKey) -> Option<Entry> {
        self.sessions().get(user).cloned()
    }

    /// Hands a stanza to the user's session. One that is over its bound is answered with `resource-constraint`.
    ///
    /// # Errors
    /// Gives the stanza back if there is no session.
    pub fn route(&self, user: &UserKey, input: Box<UserIn>) -> Result<(), NoSession> {
        let Some(entry) = self.entry(user) else {
            return Err(NoSession(input));
        };
        match entry.mailbox.user(input) {
            Ok(()) => Ok(()),
            Err(Refused::Full(input)) => {
                self.answer(
                    user,
                    &input.stanza,
                    DefinedCondition::ResourceConstraint,
                    "Too much at once. Try again in a moment.",
                );
                Ok(())
            }
            Err(Refused::Closed(input)) => Err(NoSession(input)),
        }
    }

    /// The same, and begins a session if there is none.
    pub fn route_or_start(&self, user: &BareJid, input: Box<UserIn>) {
        let key = UserKey::from(user.as_str());
        let mut input = input;
        // A session that ends between the two steps leaves room for the next one at once, so this comes to an end.
        loop {
            match self.route(&key, input) {
                Ok(()) => return,
                Err(NoSession(back)) => input = back,
            }
            if self.0.tasks.token().is_cancelled() {
                self.answer(
                    &key,
                    &input.stanza,
                    DefinedCondition::ServiceUnavailable,
                    "The transport is stopping.",
                );
                return;
            }
            self.start(user);
        }
    }

    /// Begins a session for the user unless there is one.
    pub fn start(&self, user: &BareJid) {
        let key = UserKey::from(user.as_str());
        let mut sessions = self.sessions_mut();
        if sessions.contains_key(&key) {
            return;
        }
        let entry = Entry {
            mailbox: Arc::new(Mailbox::default()),
            gauges: Arc::new(Gauges::new()),
        };
        sessions.insert(key.clone(), entry.clone());
        drop(sessions);
        let around = Arc::clone(&self.0.around);
        let task = SessionTask::new(key.clone(), user.clone(), around, Arc::clone(&entry.mailbox), entry.gauges);
        let guard = Registered {
            router: self.clone(),
            user: key.clone(),
            mailbox: entry.mailbox,
            over: None,
        };
        let span = info_span!("session", user = %key);
        drop(self.0.tasks.spawn("session", span, end(guard, Box::new(task))));
    }

    /// A client wants in: begins a session if there is none, and has it answer through the outlet.
    pub fn authenticate(&self, user: &BareJid, ticket: Ticket, name: &LegacyName, password: &Secret) {
        let key = UserKey::from(user.as_str());
        while !self.0.tasks.token().is_cancelled() {
            let input = Input::Authenticate {
                ticket,
                name: name.clone(),
                password: password.clone(),
            };
            if self.entry(&key).is_some_and(|entry| entry.mailbox.control(input).is_ok()) {
                return;
            }
            self.start(user);
        }
        let refused = crate::session::AuthError::Refused("The server is stopping.".to_owned());
        self.0.around.outlet.authenticated(&key, ticket, Err(refused));
    }

    /// Tells the user's session something; false if there is none.
    pub fn tell(&self, user: &UserKey, input: Input) -> bool {
        self.entry(user).is_some_and(|entry| entry.mailbox.control(input).is_ok())
    }

    /// Tells every session something, and gives the users told.
    pub fn tell_all(&self, input: impl Fn() -> Input) -> Vec<UserKey> {
        let sessions = self.sessions();
        sessions
            .iter()
            .filter(|(_, entry)| entry.mailbox.control(input()).is_ok())
            .map(|(user, _)| user.clone())
            .collect()
    }

    /// Where the user's last messages are, the newest first; `None` without a session.
    pub async fn recent(&self, user: &UserKey) -> Option<Vec<RecentMessage>> {
        let (reply, recent) = tokio::sync::oneshot::channel();
        let reply = RecentReply::new(move |messages| {
            // Who asked may have gone.
            let _gone = reply.send(messages);
        });
        if !self.tell(user, Input::Recent(reply)) {
            return None;
        }
        recent.await.ok()
    }

    /// Whether the user has a session.
    pub fn has(&self, user: &UserKey) -> bool {
        self.sessions().contains_key(user)
    }

    /// The user's session as an administrator sees it.
    pub fn status(&self, user: &UserKey) -> Option<UserStatus> {
        self.entry(user).map(|entry| entry.gauges.status(user))
    }

    /// Whether the network has accepted the user.
    pub fn is_logged_in(&self, user: &UserKey) -> bool {
        self.entry(user)
            .is_some_and(|entry| entry.gauges.logged_in.load(Ordering::Relaxed))
    }

    /// How many sessions there are, and how many of them are logged in.
    pub fn count(&self) -> (usize, usize) {
        let sessions = self.sessions();
        (
            sessions.len(),
            sessions
                .values()
                .filter(|e| e.gauges.logged_in.load(Ordering::Relaxed))
                .count(),
        )
    }

    /// Sessions as an administrator sees them, by user: those after `after`, at most `limit`.
    pub fn page(&self, after: Option<&UserKey>, limit: usize) -> Vec<UserStatus> {
        let sessions = self.sessions();
        let mut users: Vec<&UserKey> = sessions
            .keys()
            .filter(|user| after.is_none_or(|after| *user > after))
            .collect();
        users.sort_unstable();
        users.truncate(limit);
        users
            .into_iter()
            .filter_map(|user| sessions.get(user).map(|entry| entry.gauges.status(user)))
            .collect()
    }

    /// Ends all sessions and waits until they are over, at most for `grace`. New ones are begun only before it is called.
    pub async fn end_all(&self, reason: &str, grace: Duration) {
        self.tell_all(|| Input::End(reason.to_owned()));
        let all_gone = async {
            loop {
                let mut emptied = pin!(self.0.emptied.notified());
                emptied.as_mut().enable();
                if self.sessions().is_empty() {
                    return;
                }
                emptied.await;
            }
        };
        if timeout(grace, all_gone).await.is_err() {
            info!(sessions = self.sessions().len(), "Not all sessions have ended in time.");
        }
    }

    /// Answers a stanza that no session takes.
    pub fn answer(&self, user: &UserKey, stanza: &Stanza, condition: DefinedCondition, text: &str) {
        if let Some(reply) = stanza.error_reply(error(condition, text)) {
            self.0.around.outlet.send(user, &mut vec![reply]);
        }
    }
}

/// Runs the task; its registration goes with it, however it ends.
async fn end(mut guard: Registered, task: Box<SessionTask>) {
    guard.over = Some(task.run().await);
}

/// A session's place in the registry. Dropping it clears the place and answers what still waits.
struct Registered {
    router: Router,
    user: UserKey,
    mailbox: Arc<Mailbox>,
    /// `None` while it runs: then it has panicked or was aborted.
    over: Option<CloseReason>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut sessions = self.router.sessions_mut();
        if sessions
            .get(&self.user)
            .is_some_and(|entry| Arc::ptr_eq(&entry.mailbox, &self.mailbox))
        {
            sessions.remove(&self.user);
        }
        let is_last = sessions.is_empty();
        drop(sessions);
        if is_last {
            self.router.0.emptied.notify_waiters();
        }
        if self.over.is_none() {
            info!(user = %self.user, "The session ended by a defect; the user is told.");
            self.router.0.around.outlet.closed(&self.user, &CloseReason::Ended);
        }
        for queued in self.mailbox.close() {
            match queued {
                Queued::User(input) => self.again(input),
                Queued::Control(input) => self.refuse(*input),
                Queued::Link(..) => {}
            }
        }
    }
}

impl Registered {
    /// A stanza that came while the session ended: what wakes a session goes to a new one, the rest is answered.
    fn again(&self, input: Box<UserIn>) {
        let text = match &self.over {
            Some(CloseReason::NotRegistered) => "You are not registered with this transport.",
            Some(CloseReason::Offline | CloseReason::LoginFailed | CloseReason::Ended | CloseReason::Overflow) => {
                "You are not logged in."
            }
            None => "The session ended by a defect of the transport.",
        };
        let condition = match &self.over {
            Some(CloseReason::NotRegistered) => DefinedCondition::RegistrationRequired,
            Some(_) => DefinedCondition::RecipientUnavailable,
            None => DefinedCondition::InternalServerError,
        };
        let to_transport = input.to == To::Transport && matches!(input.stanza, Stanza::Presence(_));
        if to_transport && self.over == Some(CloseReason::NotRegistered) {
            // Servers show some transports everybody who goes online; that asks for nothing.
            return;
        }
        let available = matches!(&input.stanza, Stanza::Presence(p) if p.type_ == xmpp_parsers::presence::Type::None);
        match (
            available && self.over == Some(CloseReason::Offline),
            BareJid::new(self.user.as_str()),
        ) {
            (true, Ok(jid)) => self.router.route_or_start(&jid, input),
            (true | false, _) => self.router.answer(&self.user, &input.stanza, condition, text),
        }
    }

    fn refuse(&self, input: Input) {
        if let Input::Authenticate { ticket, name, password } = input {
            match BareJid::new(self.user.as_str()) {
                Ok(jid) if self.over.is_some() => self.router.authenticate(&jid, ticket, &name, &password),
                Ok(_) | Err(_) => {
                    let refused = crate::session::AuthError::Refused("The session ended by a defect of the server.".to_owned());
                    self.router.0.around.outlet.authenticated(&self.user, ticket, Err(refused));
                }
            }
        }
    }
}
