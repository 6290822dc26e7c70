//! In-band registration (XEP-0077) of users with the transport. Each request is a task of its own, because it waits for the
//! store; a user has one at a time.
//!
//! Owns the set of users with a request on the way. Credentials are neither logged nor quoted in errors.

mod attempts;
mod form;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jid::BareJid;
use spectrum_core::backend::BackendInfo;
use spectrum_core::config::Config;
use spectrum_core::main_process::MainProcess;
use spectrum_core::model::{LegacyName, Timestamp, UserKey};
use spectrum_core::router::Router;
use spectrum_core::service::{self, Answer, refuse};
use spectrum_core::session::Input;
use spectrum_core::session_task::SessionStore as _;
use spectrum_core::store::{RegisteredSessions, Store, StoreError};
use spectrum_core::tasks::Tasks;
use tokio::time::Instant;
use tracing::{error, info, info_span};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::Presence;
use xmpp_parsers::stanza_error::DefinedCondition;

use attempts::Attempts;

use crate::account::AccountKeeper;
use crate::link::Outbox;
use crate::naming::Naming;
use crate::roster::{Clean, RosterKeeper};

pub use form::Submission;
pub(crate) use form::stored_values;
pub use spectrum_core::dialogue::FormError;

/// Requests on the way. The store commits together what waits together, so this many cost hardly more than one; above it
/// the answer is `resource-constraint`.
pub const AT_ONCE: usize = 1_024;

/// Registers users and lets them go.
#[derive(Clone)]
pub struct Registrar(Arc<Parts>);

struct Parts {
    config: Arc<Config>,
    naming: Naming,
    main: Arc<dyn MainProcess>,
    store: Arc<dyn Store>,
    sessions: RegisteredSessions,
    router: Router,
    keeper: Arc<RosterKeeper>,
    accounts: Arc<AccountKeeper>,
    outbox: Arc<Outbox>,
    tasks: Tasks,
    busy: Mutex<HashSet<UserKey>>,
    attempts: Mutex<Attempts>,
}

/// What a registrar works with.
pub struct RegistrarParts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The transport's name for people.
    pub naming: Naming,
    /// Who knows the network.
    pub main: Arc<dyn MainProcess>,
    /// Where registrations are kept.
    pub store: Arc<dyn Store>,
    /// Where sessions are.
    pub router: Router,
    /// Who keeps the users' rosters.
    pub keeper: Arc<RosterKeeper>,
    /// Who keeps their bookmarks.
    pub(crate) accounts: Arc<AccountKeeper>,
    /// Where answers go.
    pub outbox: Arc<Outbox>,
    /// Where tasks are born.
    pub tasks: Tasks,
}

/// Why a registration was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// What was entered cannot be right.
    #[error("{0}")]
    Form(#[from] FormError),
    /// The user is not registered.
    #[error("the user is not registered")]
    NotRegistered,
    /// The network is not known yet.
    #[error("the network is still starting")]
    Starting,
    /// Another request of the same user is on the way.
    #[error("another request of this user is being dealt with")]
    Busy,
    /// The user has tried too often.
    #[error("the user has tried too often")]
    TooOften,
    /// The store failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

impl Registrar {
    /// For the users of one instance.
    pub fn new(parts: RegistrarParts) -> Self {
        let RegistrarParts {
            config,
            naming,
            main,
            store,
            router,
            keeper,
            accounts,
            outbox,
            tasks,
        } = parts;
        let sessions = RegisteredSessions::new(Arc::clone(&store));
        let busy = Mutex::default();
        Self(Arc::new(Parts {
            config,
            naming,
            main,
            store,
            sessions,
            router,
            keeper,
            accounts,
            outbox,
            tasks,
            busy,
            attempts: Mutex::default(),
        }))
    }

    /// Whether this request is one for the registrar.
    pub fn concerns(iq: &Iq) -> bool {
        match iq {
            Iq::Get { payload, .. } | Iq::Set { payload, .. } => payload.is("query", ns::REGISTER),
            Iq::Result { .. } | Iq::Error { .. } => false,
        }
    }

    /// Deals with a request; the answer goes to the outbox. Never waits.
    pub fn handle(&self, iq: Iq) {
        let Some(user) = iq.from().filter(|from| from.node().is_some()).map(|from| from.to_bare()) else {
            self.reply(&iq, refuse(DefinedCondition::NotAllowed, "Only users can register."));
            return;
        };
        let Some(turn) = Turn::begin(self, &user) else {
            let text = "Another request is being dealt with. Try again in a moment.";
            self.reply(&iq, refuse(DefinedCondition::ResourceConstraint, text));
            return;
        };
        let span = info_span!("registration", %user);
        drop(self.0.tasks.clone().spawn("registration", span, turn.answer(iq, user)));
    }

    fn reply(&self, iq: &Iq, answer: Answer) {
        self.0.outbox.push(service::reply(iq, answer));
    }

    /// Stores what the user has entered. Waits for the store.
    ///
    /// # Errors
    /// [`RegistrationError`] except `NotRegistered`.
    pub async fn enter(&self, user: &BareJid, submission: Submission) -> Result<(), RegistrationError> {
        if !self.may_try(user) {
            return Err(RegistrationError::TooOften);
        }
        self.register(user, submission).await
    }

    /// Whether the user may try to log in once more, with what is stored or with something else; counts as a try.
    pub fn may_try(&self, user: &BareJid) -> bool {
        let user = UserKey::from(user.as_str());
        let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.take(&user, Instant::now())
    }

    /// Stores credentials that an administrator has entered. Waits for the store.
    ///
    /// # Errors
    /// [`RegistrationError`] except `NotRegistered` and `TooOften`.
    pub async fn register(&self, user: &BareJid, submission: Submission) -> Result<(), RegistrationError> {
        let _turn = Turn::begin(self, user).ok_or(RegistrationError::Busy)?;
        self.save(user, submission).await
    }

    /// Removes a registration, the session and the user's roster items. Waits for the store.
    ///
    /// # Errors
    /// [`RegistrationError::NotRegistered`], [`RegistrationError::Busy`], [`RegistrationError::Store`].
    pub async fn unregister(&self, user: &BareJid) -> Result<(), RegistrationError> {
        let _turn = Turn::begin(self, user).ok_or(RegistrationError::Busy)?;
        self.remove(user).await
    }

    fn info(&self) -> Result<Arc<BackendInfo>, RegistrationError> {
        self.0.main.info().ok_or(RegistrationError::Starting)
    }

    async fn answer_get(&self, user: &BareJid) -> Result<minidom::Element, RegistrationError> {
        let info = self.info()?;
        let registration = self.0.store.load_registration(&UserKey::from(user.as_str())).await?;
        Ok(form::question(&info, &self.0.naming.name(), registration.as_ref()))
    }

    async fn save(&self, user: &BareJid, submission: Submission) -> Result<(), RegistrationError> {
        let key = UserKey::from(user.as_str());
        let info = self.info()?;
        let old = self.0.store.load_registration(&key).await?;
        let new = submission.check(&info, user, old.as_ref())?;
        let is_other_account = old
            .as_ref()
            .is_some_and(|old| !is_same_account(&info, &old.legacy_name, &new.legacy_name));
        if is_other_account {
            // The contacts of another account are ghosts. The session of the old one ends before it is forgotten, and adds nothing.
            self.0.router.tell(&key, Input::Registration(None));
            let known = self.0.store.load_roster(&key).await?;
            let bookmarks = self.0.accounts.known(&key).await?;
            self.0.store.change_account(&key, new, now()).await?;
            self.0.keeper.clean(&key, known, Clean::Contacts);
            self.0.accounts.clean(&key, bookmarks);
        } else {
            self.0.store.save_registration(&key, new, now()).await?;
        }
        // Who was let in without a registration, or has taken the transport out, has it in the roster now.
        self.0.keeper.add_transport(&key);
        match (&old, is_other_account) {
            (None, _) => info!("A user registered."),
            (Some(_), true) => {
                info!("A user changed to another account.");
                let probe = Presence::probe().with_from(self.0.config.jid.clone()).with_to(user.clone());
                self.0.outbox.push(probe.into());
            }
            (Some(_), false) => info!("A user changed the registration."),
        }
        // One that has just begun, without a registration or with the old account, has to hear of it as well.
        if self.0.router.has(&key)
            && let Ok(Some(account)) = self.0.sessions.load(&key).await
        {
            self.0.router.tell(&key, Input::Registration(Some(Box::new(account))));
        }
        Ok(())
    }

    async fn remove(&self, user: &BareJid) -> Result<(), RegistrationError> {
        let key = UserKey::from(user.as_str());
        let known = self.0.store.load_roster(&key).await?;
        let bookmarks = self.0.accounts.known(&key).await?;
        if !self.0.store.remove_user(&key).await? {
            return Err(RegistrationError::NotRegistered);
        }
        self.0.router.tell(&key, Input::Registration(None));
        self.0.keeper.clean(&key, known, Clean::All);
        self.0.accounts.clean(&key, bookmarks);
        info!("A user left.");
        Ok(())
    }
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

fn is_same_account(info: &BackendInfo, one: &LegacyName, other: &LegacyName) -> bool {
    spectrum_core::jid::same(one.as_str(), other.as_str(), info.case_mapping)
}

/// A user's turn: while it lives, no other request of the user is dealt with.
struct Turn {
    registrar: Registrar,
    user: UserKey,
}

impl Turn {
    fn begin(registrar: &Registrar, user: &BareJid) -> Option<Self> {
        let user = UserKey::from(user.as_str());
        let mut busy = registrar.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy.len() >= AT_ONCE || !busy.insert(user.clone()) {
            return None;
        }
        drop(busy);
        Some(Self {
            registrar: registrar.clone(),
            user,
        })
    }

    async fn answer(self, iq: Iq, user: BareJid) {
        let registrar = &self.registrar;
        let answer = match &iq {
            Iq::Get { .. } => registrar.answer_get(&user).await.map(Some),
            Iq::Set { payload, .. } => match Submission::read(payload) {
                Ok(None) => registrar.remove(&user).await.map(|()| None),
                Ok(Some(_)) if !registrar.may_try(&user) => Err(RegistrationError::TooOften),
                Ok(Some(submission)) => registrar.save(&user, submission).await.map(|()| None),
                Err(refused) => Err(refused.into()),
            },
            Iq::Result { .. } | Iq::Error { .. } => return,
        };
        registrar.reply(
            &iq,
            answer.or_else(|failed| {
                let (condition, text) = failed.told();
                refuse(condition, &text)
            }),
        );
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.registrar
            .0
            .busy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.user);
    }
}

impl RegistrationError {
    /// How it is told to the user. What the database says is logged instead.
    pub(crate) fn told(&self) -> (DefinedCondition, String) {
        let (condition, text) = match self {
            Self::Form(refused) => return (refused.condition(), refused.to_string()),
            Self::NotRegistered => (DefinedCondition::RegistrationRequired, "You are not registered."),
            Self::Starting => (
                DefinedCondition::ResourceConstraint,
                "The network is still starting. Try again in a moment.",
            ),
            Self::Busy => (DefinedCondition::ResourceConstraint, "Try again in a moment."),
            Self::TooOften => (
                DefinedCondition::ResourceConstraint,
                "You have tried too often. Try again in some minutes.",
            ),
            Self::Store(failed) => {
                error!(
                    error = failed as &dyn std::error::Error,
                    "The database failed a registration."
                );
                (
                    DefinedCondition::InternalServerError,
                    "The transport's database failed. Try again later.",
                )
            }
        };
        (condition, text.to_owned())
    }
}
