//! The control socket: what the verbs `status`, `users`, `backends`, `logout`, `register` and `unregister` talk to.
//!
//! A Unix socket that only the instance's own system user and root can open. A request is one line of JSON, so is its answer.
//! [`Control`] is what an instance implements; [`ControlServer`] owns the socket; [`ControlClient`] is the other end.

mod client;
mod diagnosis;
mod machine;
mod outage;
mod perform;
mod protocol;
mod server;
mod table;
mod verbs;
mod whereabouts;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::instance::Status;
use crate::model::{Secret, UserKey};
use crate::session::RecentMessage;
use crate::store::RegistrationSummary;

pub use client::{ClientError, ControlClient};
pub use diagnosis::{Advice, Diagnosis, Probe, Verdict};
pub use outage::{MAX_TEXT as MAX_OUTAGE_TEXT, Outage, OutageNote};
pub use server::{ControlServer, MAX_CONNECTIONS, MAX_REQUEST_BYTES};
pub use table::table;
pub use verbs::{AdminVerb, MAX_LISTED, VERBS, help, split};
pub use whereabouts::{recent, report as whereabouts, waiting};

/// What an administrator can ask of a running instance. Called from the control socket's tasks, one request per connection at a
/// time; must not wait for a user, a client or a backend longer than a moment, except where said.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// How the instance is. Takes a moment.
    fn status(&self) -> Status;

    /// Users with a session, sorted by JID, those after `after` only, at most `limit`.
    fn users(&self, after: Option<&UserKey>, limit: usize) -> Vec<UserStatus>;

    /// One user with a session. Takes a moment.
    fn user(&self, user: &UserKey) -> Option<UserStatus>;

    /// Registered users, those after `after` only, at most `limit` (gateway mode). May wait for the store.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] in server mode; [`ControlError::Failed`] if the store failed.
    async fn registered(&self, _after: Option<&UserKey>, _limit: usize) -> Result<Vec<RegistrationSummary>, ControlError> {
        Err(no_registrations())
    }

    /// One user's registration (gateway mode). May wait for the store.
    ///
    /// # Errors
    /// As [`Control::registered`].
    async fn registration(&self, _user: &UserKey) -> Result<Option<RegistrationSummary>, ControlError> {
        Err(no_registrations())
    }

    /// How many users are registered (gateway mode). May wait for the store.
    ///
    /// # Errors
    /// As [`Control::registered`].
    async fn registered_count(&self) -> Result<usize, ControlError> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.registered(after.as_ref(), COUNTED_AT_ONCE).await?;
            count += page.len();
            match page.into_iter().next_back() {
                Some(last) => after = Some(last.user),
                None => return Ok(count),
            }
        }
    }

    /// Where the last messages of a user are, the newest first. May wait for the session or the store.
    ///
    /// # Errors
    /// [`ControlError::NoSuchUser`] if nothing is known of the user; [`ControlError::Failed`] if the store failed.
    async fn recent(&self, user: &UserKey) -> Result<Vec<RecentMessage>, ControlError>;

    /// Messages of everybody that are not with the network yet, the oldest first, at most `limit`. May wait for the store.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] where they are kept nowhere but in sessions; [`ControlError::Failed`] if the store failed.
    async fn waiting(&self, _limit: usize) -> Result<Vec<(UserKey, RecentMessage)>, ControlError> {
        let reason = "Here messages wait in sessions only: ask for those of one user.";
        Err(ControlError::WrongMode(reason.to_owned()))
    }

    /// Notes an outage, or that there is none any more, and tells everybody who is online; gives how many were told.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] where the mode has no way; [`ControlError::Failed`] if it cannot be kept.
    async fn set_outage(&self, _outage: Option<Outage>) -> Result<usize, ControlError> {
        Err(ControlError::WrongMode("this mode has no notes of outages".to_owned()))
    }

    /// Sends a text to everybody who is online, and gives how many were told.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] where the mode has no way.
    async fn announce(&self, _text: &str) -> Result<usize, ControlError> {
        Err(ControlError::WrongMode("this mode has no announcements".to_owned()))
    }

    /// Looks at the XMPP server in front (gateway mode). Waits for its answers, half a minute at most.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] in server mode.
    async fn doctor(&self) -> Result<Diagnosis, ControlError> {
        Err(ControlError::WrongMode(
            "server mode has no XMPP server to look at: it is one".to_owned(),
        ))
    }

    /// Ends a user's session, on the legacy network too. May wait for the network to confirm.
    ///
    /// # Errors
    /// [`ControlError::NoSuchUser`] if there is no session.
    async fn logout(&self, user: &UserKey) -> Result<(), ControlError>;

    /// Stores credentials for a user, replacing earlier ones (gateway mode). May wait for the store.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] in server mode; [`ControlError::Refused`] with the reason.
    async fn register(&self, registration: NewRegistration) -> Result<(), ControlError>;

    /// Removes a user's registration and ends the session (gateway mode). May wait for the store.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] in server mode; [`ControlError::NoSuchUser`] if there is none.
    async fn unregister(&self, user: &UserKey) -> Result<(), ControlError>;
}

/// Registrations read at once when they are counted.
const COUNTED_AT_ONCE: usize = 1_000;

fn no_registrations() -> ControlError {
    ControlError::WrongMode("server mode keeps no registrations".to_owned())
}

/// One user with a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// The user's bare JID.
    pub user: UserKey,
    /// In words: `logging in`, `online`, `waiting for a backend`, `logging out`.
    pub state: String,
    /// Devices that are online.
    pub resources: u32,
    /// The backend that holds the legacy session, if one does.
    pub backend: Option<u64>,
    /// Seconds since the session began.
    pub since_secs: u64,
}

/// Credentials an administrator enters for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegistration {
    /// Whose they are.
    pub user: UserKey,
    /// The name on the legacy network.
    pub username: String,
    /// The password there; empty where the network needs none.
    pub password: Secret,
    /// Further fields of the backend's registration form, by name.
    pub fields: Vec<(String, Secret)>,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ControlError {
    /// No such session or registration.
    #[error("no such user")]
    NoSuchUser,
    /// The verb belongs to the other mode.
    #[error("{0}")]
    WrongMode(String),
    /// The request makes no sense or is not allowed.
    #[error("{0}")]
    Refused(String),
    /// Something failed that an administrator should look at.
    #[error("{0}")]
    Failed(String),
}

#[cfg(test)]
mod tests;
