//! The desk: what users and administrators want of the transport itself, as ad-hoc commands (XEP-0050, XEP-0133) and in a chat.
//!
//! Owns the command sessions, the talks and who attends which login, behind one lock that is never held while waiting. Each call is
//! a task, because it may wait for the store or the network; a session or a talk is dealt with by one task at a time.

mod attendance;
mod calls;
mod orders;
mod state;
mod talks;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use jid::BareJid;
use spectrum_core::admin::{AdminVerb, Control, VERBS};
use spectrum_core::config::{Config, StayConnected};
use spectrum_core::dialogue::{Command, Known, login_form};
use spectrum_core::main_process::MainProcess;
use spectrum_core::model::{Field, FieldKind, Form, UserKey};
use spectrum_core::router::Router;
use spectrum_core::session::Progress;
use spectrum_core::store::{STAY_CONNECTED, Store, StoreError};
use spectrum_core::tasks::Tasks;
use xmpp_parsers::ns;

use crate::link::Outbox;
use crate::naming::Naming;
use crate::registration::{Registrar, stored_values};

pub(crate) use calls::concerns;
use state::State;

/// How long a session or a talk waits for the person.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// How often those are looked for whose person has gone.
const SWEEP: Duration = Duration::from_secs(30);

/// The desk. A clone is the same desk.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Inner>);

/// The desk, for whoever must not keep it: it has the sessions, and they have the way to it.
pub(crate) struct WeakDesk(Weak<Inner>);

impl WeakDesk {
    /// The desk, while its gateway is there.
    pub(crate) fn upgrade(&self) -> Option<Desk> {
        self.0.upgrade().map(Desk)
    }
}

struct Inner {
    parts: DeskParts,
    control: OnceLock<Weak<dyn Control>>,
    state: Mutex<State>,
}

/// What a desk works with.
pub(crate) struct DeskParts {
    /// The configuration: who is an administrator.
    pub(crate) config: Arc<Config>,
    /// The transport's name for people.
    pub(crate) naming: Naming,
    /// Who knows the network.
    pub(crate) main: Arc<dyn MainProcess>,
    /// Where registrations and choices are.
    pub(crate) store: Arc<dyn Store>,
    /// Where sessions are.
    pub(crate) router: Router,
    /// Who registers users and lets them go.
    pub(crate) registrar: Registrar,
    /// Where answers go.
    pub(crate) outbox: Arc<Outbox>,
    /// Where tasks are born.
    pub(crate) tasks: Tasks,
}

/// A command of everybody: node, how it is written in a chat, title, and how it begins.
type Own = (&'static str, &'static str, &'static str, fn() -> Command);

/// The commands of everybody.
const COMMANDS: [Own; 7] = [
    // Slidge's node for it: clients that know that one find ours.
    (ns::REGISTER, "register", "Register, or change the registration", || {
        Command::Register
    }),
    ("unregister", "unregister", "Remove the registration", || Command::Unregister),
    ("login", "login", "Log in now", || Command::Login),
    ("logout", "logout", "Log out", || Command::Logout),
    ("status", "status", "Show how things are", || Command::Status),
    ("messages", "messages", "Show where your last messages are", || {
        Command::Messages
    }),
    // Spectrum 2's node.
    ("settings", "settings", "Choose how the transport treats you", || {
        Command::Preferences
    }),
];

/// What of all this somebody may do.
fn commands(is_admin: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let everybody = COMMANDS.iter().map(|(node, _, title, _)| (*node, *title));
    let admins = VERBS.iter().filter(move |_| is_admin).map(|verb| (verb.node, verb.title));
    everybody.chain(admins)
}

fn admin_command(verb: &'static AdminVerb) -> Command {
    Command::Admin {
        verb: verb.name,
        title: verb.title,
        fields: verb.fields(),
    }
}

impl Desk {
    /// For the users of one instance.
    pub(crate) fn new(parts: DeskParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            control: OnceLock::new(),
            state: Mutex::default(),
        }))
    }

    /// A handle that keeps nothing.
    pub(crate) fn downgrade(&self) -> WeakDesk {
        WeakDesk(Arc::downgrade(&self.0))
    }

    /// Verbs of administrators go here. Said once, when the instance runs.
    pub(crate) fn set_control(&self, control: Weak<dyn Control>) {
        let _already = self.0.control.set(control);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_admin(&self, user: &BareJid) -> bool {
        self.0.parts.config.admins.contains(user)
    }

    /// Lets go of what waits for people who have gone. Runs until it is dropped.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.state().expire();
            self.drop_forsaken();
        }
    }

    /// How a login comes on, from its session.
    pub(crate) fn progress(&self, user: &UserKey, progress: Progress) {
        self.state().attendance.tell(user, progress);
    }

    /// What has to be known to begin a dialogue. Waits for the store.
    async fn known(&self, user: &BareJid) -> Result<Known, StoreError> {
        let parts = &self.0.parts;
        let key = UserKey::from(user.as_str());
        let registration = parts.store.load_registration(&key).await?;
        let name = parts.naming.name();
        let stored = registration.as_ref().map(stored_values);
        let login = parts.main.info().map(|info| login_form(&info, &name, stored.as_ref()));
        let chosen = parts.store.load_preferences(&key).await?;
        let usual = (parts.config.gateway.stay_connected == StayConnected::Always).to_string();
        let preferences = Form {
            title: format!("Settings for {name}"),
            instructions: String::new(),
            fields: vec![Field {
                name: STAY_CONNECTED.to_owned(),
                label: "Stay logged in when my last client goes offline".to_owned(),
                kind: FieldKind::Boolean,
                required: false,
                default: Some(chosen.get(STAY_CONNECTED).cloned().unwrap_or(usual)),
            }],
        };
        Ok(Known {
            network: name,
            login,
            is_registered: registration.is_some(),
            preferences,
        })
    }
}
