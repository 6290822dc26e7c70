//! The backend as the core sees it: what XMPP can do, and logins. Owns the TLS settings and, of each user, the place in the
//! archive where their last session ended, in memory: what was said since is caught up with at the next login.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jid::BareJid;
use spectrum_backend_sdk::model::{Capability, CaseMapping, Field, FieldKind, UserKey};
use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{Backend, BackendInfo, Events, LegacySession, Login, LoginError, LoginErrorKind};
use tokio::sync::mpsc;
use tracing::Span;

use crate::desk::Desk;
use crate::link::{EVENTS, Link, ORDERS, emit};
use crate::login::{Credentials, account};
use crate::options::XmppOptions;
use crate::session::{XmppSession, tell_own_rooms};
use crate::state::Place;
use crate::transport::Transport;

/// Users whose place in the archive is remembered. Beyond it an arbitrary one is forgotten, who catches up with nothing.
const MAX_PLACES: usize = 20_000;

/// XMPP, for any number of users.
#[derive(Clone, Debug)]
pub struct XmppBackend {
    options: Arc<XmppOptions>,
    transport: Arc<Transport>,
    tasks: Tasks,
    places: Places,
}

/// Where the sessions of each user ended, by user and account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<(UserKey, BareJid), Place>>>);

impl Places {
    fn locked(&self) -> MutexGuard<'_, HashMap<(UserKey, BareJid), Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: &(UserKey, BareJid)) -> Place {
        self.locked().get(key).cloned().unwrap_or_default()
    }

    fn keep(&self, key: (UserKey, BareJid), place: Place) {
        if place.uid.is_none() {
            return;
        }
        let mut places = self.locked();
        if places.len() >= MAX_PLACES
            && !places.contains_key(&key)
            && let Some(other) = places.keys().next().cloned()
        {
            places.remove(&other);
        }
        places.insert(key, place);
    }
}

/// The backend cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("could not set up encrypted connections: {0}")]
pub struct StartError(#[source] tokio_rustls::rustls::Error);

impl XmppBackend {
    /// Sets the backend up. Reads the system's trusted certificates and resolver settings, so it may block for a moment.
    ///
    /// # Errors
    /// [`StartError`] if the cryptography cannot be used.
    pub fn from_options(options: XmppOptions) -> Result<Self, StartError> {
        let transport = Transport::new(options.clone()).map_err(StartError)?;
        Ok(Self {
            options: Arc::new(options),
            transport: Arc::new(transport),
            tasks: Tasks::new(),
            places: Places::default(),
        })
    }
}

#[async_trait]
impl Backend for XmppBackend {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("XMPP", "xmpp").capabilities(&[
            Capability::Rooms,
            Capability::RoomList,
            Capability::NicknameChange,
            Capability::RoomSubject,
            Capability::RoomInvite,
            Capability::RoomModeration,
            Capability::RoomSettings,
            Capability::RoomAffiliations,
            Capability::PrivateMessages,
            Capability::Receipts,
            Capability::ChatStates,
            Capability::Edits,
            Capability::Retractions,
            Capability::Reactions,
            Capability::Replies,
            Capability::Markers,
            Capability::Attention,
            Capability::History,
            Capability::Presence,
            Capability::AddContacts,
            Capability::UpdateContacts,
            Capability::RemoveContacts,
            Capability::Blocking,
            Capability::Profiles,
            Capability::OwnProfile,
        ]);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
        info.case_mapping = CaseMapping::Unicode;
        "XMPP address".clone_into(&mut info.contact_prompt);
        let (label, instructions) = match &self.options.domains[..] {
            [] => (
                "XMPP address",
                "Enter the address of your account on another XMPP server, and its password.".to_owned(),
            ),
            [only] => ("Username", format!("Enter your username on {only}, and its password.")),
            several => (
                "XMPP address",
                format!(
                    "Enter the address of your account ({}), and its password.",
                    several.join(", ")
                ),
            ),
        };
        let field = |name: &str, label: &str, kind: FieldKind| Field {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            required: true,
            default: None,
        };
        info.registration = vec![
            field("username", label, FieldKind::Name),
            field("password", "Password", FieldKind::Password),
        ];
        info.registration_instructions = instructions;
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        let jid = account(login.name.as_str(), &self.options)?;
        let Some(password) = login.password.filter(|password| !password.is_empty()) else {
            return Err(LoginError::new(
                LoginErrorKind::AuthenticationFailed,
                "A password is needed to log in.",
            ));
        };
        let credentials = Credentials {
            transport: Arc::clone(&self.transport),
            jid: jid.clone(),
            password,
        };
        let bound = credentials.log_in().await?;
        let key = (login.user, jid);
        let place = self.places.of(&key);
        let (orders, to_link) = mpsc::channel(ORDERS);
        let (event_queue, to_core) = mpsc::channel(EVENTS);
        let desk = Arc::new(Desk::new(bound.jid.clone(), place, orders, event_queue.clone()));
        let link = Link::new(credentials, bound, Arc::clone(&desk), to_link, event_queue);
        let places = self.places.clone();
        let kept = Arc::clone(&desk);
        self.tasks.spawn("xmpp events", Span::current(), emit(to_core, events));
        let link_task = self.tasks.spawn("xmpp link", Span::current(), async move {
            link.run().await;
            let place = kept.state().place.clone();
            places.keep(key, place);
        });
        // From here on a session that is dropped says goodbye.
        let session = XmppSession::new(Arc::clone(&desk), link_task);
        session.begin(&login.presence).await?;
        drop(self.tasks.spawn("xmpp bookmarks", Span::current(), async move {
            tell_own_rooms(&desk).await;
        }));
        Ok(Box::new(session))
    }
}
