//! Runs a backend without a transport: a test logs users in, issues verbs and expects events.
//!
//! The same driver as in production stands between the test and the backend, so order, deadlines and credit are the real
//! ones. With tokio's paused clock waiting costs nothing.
//!
//! ```
//! # use spectrum_backend_sdk::{*, model::*};
//! # struct Echo;
//! # #[async_trait]
//! # impl Backend for Echo {
//! #     fn info(&self) -> BackendInfo { BackendInfo::new("Echo", "echo") }
//! #     async fn login(&self, _: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> { Ok(Box::new(EchoSession(events))) }
//! # }
//! # struct EchoSession(Events);
//! # #[async_trait]
//! # impl LegacySession for EchoSession {
//! #     async fn send_message(&self, message: OutgoingMessage, _: Op) -> OpResult<Sent> {
//! #         let _ = self.0.emit(Event::Message(IncomingMessage::new(message.chat, message.body))).await;
//! #         Ok(Sent::default())
//! #     }
//! #     async fn logout(&self) {}
//! # }
//! use spectrum_backend_sdk::testing::{Account, Kit};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let kit = Kit::start(Echo).await;
//! let mut user = kit.login(Account::new("alice")).await.expect("the login");
//! user.say(Chat::Contact("echo".into()), "hello").await.expect("the message");
//! user.expect(|event| matches!(event, Event::Message(message) if message.body == "hello")).await;
//! user.logout().await;
//! # });
//! ```

mod conformance;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spectrum_core::backend::{Backend, BackendInfo, Event, LoginError};
use spectrum_core::driver;
use spectrum_core::model::{AssignmentId, Capability, ContactUpdate, FormAnswers, LegacyName, LoginPrompt, Presence, Secret};
use spectrum_core::tasks::Tasks;
use spectrum_core::wire::{FromBackend, LoginRequest, ToBackend};
use tokio::sync::mpsc;
use tracing::Span;

pub use conformance::{Finding, Ground, check, check_on};
pub use user::{PATIENCE, User};

use user::Line;

/// Frames on the way between the test and the driver.
const FRAMES: usize = 1024;

/// Sees what a login asks and shows.
type Watcher = Box<dyn Fn(&LoginPrompt) + Send>;

/// Answers a question of a login.
type Answerer = Box<dyn Fn(&LoginPrompt) -> Option<FormAnswers> + Send>;

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account on the network.
    pub name: LegacyName,
    /// Its password.
    pub password: Option<Secret>,
    /// Further fields.
    pub settings: BTreeMap<String, String>,
    /// What to be seen as.
    pub presence: Presence,
    /// What the core remembers; given to backends that declare [`Capability::ContactsAtLogin`], as in production.
    pub contacts: Vec<ContactUpdate>,
}

impl Account {
    /// Without a password.
    pub fn new(name: impl Into<LegacyName>) -> Self {
        Self {
            name: name.into(),
            password: None,
            settings: BTreeMap::new(),
            presence: Presence::ONLINE,
            contacts: Vec::new(),
        }
    }

    /// With this password.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// With this further field.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// To be seen like this.
    pub fn presence(mut self, presence: Presence) -> Self {
        self.presence = presence;
        self
    }

    /// With this remembered contact.
    pub fn contact(mut self, contact: ContactUpdate) -> Self {
        self.contacts.push(contact);
        self
    }
}

/// A backend with a driver before it.
pub struct Kit {
    info: BackendInfo,
    to: mpsc::Sender<ToBackend>,
    last: AtomicU64,
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// What the task that reads frames and the users share.
#[derive(Default)]
struct Shared {
    lines: Mutex<HashMap<AssignmentId, Line>>,
    answerer: Mutex<Option<Answerer>>,
    watcher: Mutex<Option<Watcher>>,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, HashMap<AssignmentId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, what: &LoginPrompt) {
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = watcher.as_ref() {
            watcher(what);
        }
    }

    fn answer(&self, what: &LoginPrompt) -> Option<FormAnswers> {
        let answerer = self.answerer.lock().unwrap_or_else(PoisonError::into_inner);
        answerer.as_ref().and_then(|answerer| answerer(what))
    }
}

impl Kit {
    /// Starts a driver for the backend.
    ///
    /// # Panics
    /// If the backend says nothing of itself.
    pub async fn start(backend: impl Backend) -> Self {
        let (to, frames) = mpsc::channel(FRAMES);
        let (out, mut from) = mpsc::channel(FRAMES);
        let tasks = Tasks::new();
        tasks.spawn(
            "driver",
            Span::none(),
            driver::run(Arc::new(backend), frames, out, tasks.clone()),
        );
        let Some(FromBackend::Info(info)) = from.recv().await else {
            panic!("the backend has not said what it is");
        };
        let shared = Arc::new(Shared::default());
        tasks.spawn("frames", Span::none(), read(from, to.clone(), Arc::clone(&shared)));
        Self {
            info: *info,
            to,
            last: AtomicU64::new(0),
            shared,
            tasks,
        }
    }

    /// What the backend says of itself.
    pub fn info(&self) -> &BackendInfo {
        &self.info
    }

    /// Answers the questions of logins like this; without it nobody answers, and the login sees that the person gave up.
    pub fn answer_prompts(&self, answer: impl Fn(&LoginPrompt) -> Option<FormAnswers> + Send + 'static) {
        *self.shared.answerer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(answer));
    }

    /// Hands everything that logins ask and show to this, before it is answered.
    pub fn watch_prompts(&self, watch: impl Fn(&LoginPrompt) + Send + 'static) {
        *self.shared.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watch));
    }

    /// Logs a user in; several may be.
    ///
    /// # Errors
    /// What the backend says, if it refuses.
    ///
    /// # Panics
    /// If there is no answer in [`PATIENCE`].
    pub async fn login(&self, account: Account) -> Result<User, LoginError> {
        let assignment = AssignmentId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let (line, mut user) = Line::new(assignment, self.to.clone());
        self.shared.lines().insert(assignment, line);
        user.send(ToBackend::Login(Box::new(LoginRequest {
            assignment,
            user: format!("{}@example.org", account.name).as_str().into(),
            name: account.name,
            password: account.password,
            settings: account.settings,
            presence: account.presence,
            contacts: if self.info.capabilities.has(Capability::ContactsAtLogin) {
                account.contacts
            } else {
                Vec::new()
            },
        })))
        .await;
        user.logged_in().await?;
        Ok(user)
    }

    /// Logs everybody out and ends the driver. Returns the names of the tasks that would not end.
    pub async fn stop(self) -> Vec<&'static str> {
        // If the driver has ended already there is nothing to tell it.
        let _ = self.to.send(ToBackend::Exit).await;
        self.tasks.stop(driver::LOGOUT_DEADLINE * 2).await
    }
}

/// Hands every frame to its user, and gives credit as the core does.
async fn read(mut from: mpsc::Receiver<FromBackend>, to: mpsc::Sender<ToBackend>, shared: Arc<Shared>) {
    while let Some(frame) = from.recv().await {
        match frame {
            FromBackend::LoggedIn { assignment } => {
                if let Some(line) = shared.lines().get_mut(&assignment) {
                    line.logged_in(Ok(()));
                }
            }
            FromBackend::Event {
                assignment,
                durable,
                event,
            } => {
                let dealt_with = shared.lines().get_mut(&assignment).is_none_or(|line| {
                    if let Event::Closed(error) = &*event {
                        line.logged_in(Err(error.clone()));
                    }
                    line.event(*event)
                });
                if dealt_with {
                    let _ = to.send(ToBackend::Credit { assignment, events: 1 }).await;
                }
                if let Some(event) = durable {
                    let _ = to.send(ToBackend::Committed { assignment, event }).await;
                }
            }
            FromBackend::Outcome {
                assignment,
                request,
                outcome,
            } => {
                if let Some(line) = shared.lines().get_mut(&assignment) {
                    line.outcome(request, *outcome);
                }
            }
            FromBackend::LoggedOut { assignment } => {
                if let Some(line) = shared.lines().remove(&assignment) {
                    line.logged_out();
                }
            }
            FromBackend::Prompt {
                assignment,
                prompt,
                what,
            } => {
                shared.watch(&what);
                if let LoginPrompt::Ask(_) = &*what {
                    let answers = shared.answer(&what);
                    let _ = to
                        .send(ToBackend::PromptAnswer {
                            assignment,
                            prompt,
                            answers,
                        })
                        .await;
                }
            }
            FromBackend::Hello { .. }
            | FromBackend::Info(_)
            | FromBackend::Refused { .. }
            | FromBackend::Query(_)
            | FromBackend::Pong
            | FromBackend::Stats(_) => {}
        }
    }
}
