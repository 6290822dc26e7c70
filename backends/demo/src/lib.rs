//! A chat network in memory that can do everything a transport has words for: to try clients and transports with, to test
//! them, and to read. No server, no account, nothing kept.
//!
//! Everybody who logs in is on it under their own name and can write to everybody else. Besides them there are people who are
//! always there: `echo` repeats what it is told, edits when it is edited, takes back what is taken back; `ada` talks, does
//! tricks on command (write `help` to her), and is to be met in the room `lobby`. `carol`, `dave` and `eve` are found by a
//! search; `dave` wants to be asked first, `eve` says no. The rooms: `lobby`, `crowd` with thousands of members, `council`
//! (moderated), `vault` (with a password).
//!
//! # Logins
//!
//! Any name will do, with the password of [`DemoOptions::password`] if there is one. An account whose name begins with `code-`,
//! `captcha-`, `qr-` or `link-` is asked something on its way in, as [`LoginKind`] says; the option `login` does that for
//! everybody.
//!
//! # How it is built
//!
//! All state is the network's, under one lock that is never held while waiting; what it tells goes into the bounded
//! line of each member, so that a member who takes nothing holds up nobody. What the people do is done by one task per
//! session, which takes its cues from what the user does. Nothing is left to chance: the same words get the same
//! answers, and every pause is one of tokio's clock.

mod line;
mod login;
mod network;
mod options;
mod people;
mod picture;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use spectrum_backend_sdk::model::{Capability, CaseMapping, ContactId};
use spectrum_backend_sdk::tasks::Tasks;
use spectrum_backend_sdk::{Backend, BackendInfo, Events, LegacySession, Login, LoginError, LoginErrorKind};

use line::Line;
use network::{Network, Shared};
use session::Session;

pub use network::{COUNCIL, CROWD, LOBBY, VAULT, VAULT_PASSWORD};
pub use options::{DemoOptions, LoginKind};
pub use people::{ADA, CAROL, DAVE, ECHO, EVE};
pub use spectrum_backend_sdk::Options;

/// The network. A clone is the same network.
#[derive(Clone)]
pub struct Demo {
    network: Shared,
    options: Arc<DemoOptions>,
    tasks: Tasks,
}

impl Default for Demo {
    fn default() -> Self {
        Self::new()
    }
}

impl Demo {
    /// A network that lets everybody in, whatever the password.
    pub fn new() -> Self {
        Self::with_options(DemoOptions::default())
    }

    /// A network that lets in who knows the password.
    pub fn with_password(password: &str) -> Self {
        Self::with_options(DemoOptions {
            password: Some(password.into()),
            ..DemoOptions::default()
        })
    }

    /// A network made with these options.
    pub fn with_options(options: DemoOptions) -> Self {
        Self {
            network: Arc::new(Network::new(&options)),
            options: Arc::new(options),
            tasks: Tasks::new(),
        }
    }
}

/// All it can do: everything but passing XHTML and XMPP through, and it keeps contacts itself.
const CAPABILITIES: &[Capability] = &[
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
    Capability::IdempotentSend,
    Capability::Presence,
    Capability::AddContacts,
    Capability::UpdateContacts,
    Capability::RemoveContacts,
    Capability::Blocking,
    Capability::Profiles,
    Capability::OwnProfile,
    Capability::Search,
];

#[async_trait]
impl Backend for Demo {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("Demo", "demo").capabilities(CAPABILITIES);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.version);
        info.case_mapping = CaseMapping::Unicode;
        "Choose any name; the demo network exists in memory only.".clone_into(&mut info.registration_instructions);
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        let name = login.name.as_str().split('@').next().unwrap_or_default();
        if name.is_empty() || people::is_one(name) {
            return Err(LoginError::new(
                LoginErrorKind::InvalidName,
                "Somebody of that name is there already. Choose another.",
            ));
        }
        login::admit(&login, &self.options).await?;
        let name = ContactId::from(name);
        let line = Line::new(events, &self.tasks);
        let seat = self.network.enter(&name, &line, login.presence)?;
        let cues = people::company(Arc::clone(&self.network), name.clone(), &self.tasks);
        Ok(Box::new(Session::new(Arc::clone(&self.network), (name, seat), line, cues)))
    }
}
