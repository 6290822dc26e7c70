//! What can go wrong, and how sure that is.

use std::time::Duration;

/// Whether a failed request may have had an effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Certainty {
    /// It had none: sending again is safe.
    NotSent,
    /// Nobody knows: it is not sent again unless the backend declares idempotent sends.
    MaybeSent,
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Retry {
    /// It would fail the same way.
    Never,
    /// After this long.
    After(Duration),
    /// Once the user is connected to the network again.
    WhenConnected,
}

/// What went wrong with a verb.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum OpErrorKind {
    /// The network or its backend cannot do this.
    Unsupported,
    /// The user is not connected to the network.
    NotConnected,
    /// There is no such contact, room, message.
    NotFound,
    /// The user may not do this.
    NotAllowed,
    /// A password is missing or wrong.
    NotAuthorized,
    /// The name is taken.
    Conflict,
    /// The user is banned.
    Banned,
    /// Only members may.
    MembersOnly,
    /// The room is full.
    Full,
    /// The text is too long for the network.
    TooLong,
    /// Too much in too short a time.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// The network does not accept this value.
    Invalid,
    /// The connection was lost on the way.
    Network,
    /// A defect of the backend.
    Internal,
}

/// Why a verb failed: kind, certainty, hope, and a text for the user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind:?}: {text}")]
pub struct OpError {
    /// What went wrong.
    pub kind: OpErrorKind,
    /// Whether it may have had an effect.
    pub certainty: Certainty,
    /// Whether trying again makes sense.
    pub retry: Retry,
    /// For the user. May be empty.
    pub text: String,
}

impl OpError {
    /// A failure without effect that would happen again.
    pub fn new(kind: OpErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            certainty: Certainty::NotSent,
            retry: Retry::Never,
            text: text.into(),
        }
    }

    /// The network cannot do this.
    pub fn unsupported() -> Self {
        Self::new(OpErrorKind::Unsupported, "The network cannot do this.")
    }

    /// The connection was lost, and nobody knows whether this got through.
    pub fn maybe_sent(text: impl Into<String>) -> Self {
        Self {
            kind: OpErrorKind::Network,
            certainty: Certainty::MaybeSent,
            retry: Retry::WhenConnected,
            text: text.into(),
        }
    }

    /// The connection is gone, and this was not sent.
    pub fn not_connected(text: impl Into<String>) -> Self {
        Self {
            kind: OpErrorKind::NotConnected,
            certainty: Certainty::NotSent,
            retry: Retry::WhenConnected,
            text: text.into(),
        }
    }

    /// The same with another hope.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// What went wrong with a login or ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LoginErrorKind {
    /// The network cannot be reached, or the connection was lost.
    Network,
    /// There is no such account, or its name is not valid.
    InvalidName,
    /// The password is wrong.
    AuthenticationFailed,
    /// No way of authenticating that both sides have.
    NoMechanism,
    /// The connection cannot be encrypted.
    Encryption,
    /// The network's certificate is not to be trusted.
    Certificate,
    /// The account is in use elsewhere.
    NameInUse,
    /// Something is missing or wrong in the registration or in the backend's options.
    Settings,
    /// The user is banned from the network.
    Banned,
    /// The person did not answer in time, or gave up.
    Cancelled,
    /// Anything else.
    Other,
}

/// Why a login failed or a session ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind:?}: {text}")]
pub struct LoginError {
    /// What went wrong.
    pub kind: LoginErrorKind,
    /// Whether logging in again makes sense.
    pub retry: Retry,
    /// For the user. May be empty.
    pub text: String,
}

impl LoginError {
    /// With the hope that goes with the kind: the core tries again after `Network` and `Other`, never after the rest.
    pub fn new(kind: LoginErrorKind, text: impl Into<String>) -> Self {
        let retry = match kind {
            LoginErrorKind::Network | LoginErrorKind::Other => Retry::WhenConnected,
            LoginErrorKind::InvalidName
            | LoginErrorKind::AuthenticationFailed
            | LoginErrorKind::NoMechanism
            | LoginErrorKind::Encryption
            | LoginErrorKind::Certificate
            | LoginErrorKind::NameInUse
            | LoginErrorKind::Settings
            | LoginErrorKind::Banned
            | LoginErrorKind::Cancelled => Retry::Never,
        };
        Self {
            kind,
            retry,
            text: text.into(),
        }
    }

    /// The same with another hope.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Whether the core should try again by itself.
    pub fn is_temporary(&self) -> bool {
        self.retry != Retry::Never
    }
}
