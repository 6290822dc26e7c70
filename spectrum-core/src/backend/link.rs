//! What passes between a session and the link its user is on: data alone, so that a session needs no runtime.

use std::collections::BTreeMap;

use crate::backend::{Event, Outcome, Verb};
use crate::model::{ContactUpdate, FormAnswers, LegacyName, LoginPrompt, Presence, PromptId, RequestId, Secret};

/// From a link to a session.
#[derive(Debug)]
pub enum LinkInput {
    /// The network has accepted the user.
    LoggedIn,
    /// Something happened on the network; `Closed` ends the assignment.
    Event {
        /// What.
        event: Box<Event>,
        /// Set if the backend waits for its commit.
        durable: Option<u64>,
    },
    /// How a request ended. Every request handed to the link gets exactly one, also when the backend dies.
    Outcome {
        /// Which request.
        request: RequestId,
        /// How.
        outcome: Box<Outcome>,
    },
    /// A question of the login, or something to show.
    Prompt {
        /// For the answer.
        prompt: PromptId,
        /// What.
        what: Box<LoginPrompt>,
    },
    /// The backend has died or hung. Outcomes of open requests came before this.
    BackendLost {
        /// For the user and the log.
        reason: String,
    },
}

/// A user's login on a backend, apart from who it is for.
#[derive(Clone, Debug)]
pub struct LinkLogin {
    /// The account on the network.
    pub name: LegacyName,
    /// Its password.
    pub password: Option<Secret>,
    /// Further fields and preferences.
    pub settings: BTreeMap<String, String>,
    /// What to be seen as.
    pub presence: Presence,
    /// Contacts known from before.
    pub contacts: Vec<ContactUpdate>,
}

/// From a session to its link.
#[derive(Debug)]
pub enum LinkRequest {
    /// Logs in; at most once per assignment.
    Login(Box<LinkLogin>),
    /// A verb.
    Verb {
        /// Its id within the assignment.
        request: RequestId,
        /// What to do.
        verb: Box<Verb>,
    },
    /// The answer to a prompt.
    PromptAnswer {
        /// Which.
        prompt: PromptId,
        /// The answers; `None` if the person gave up.
        answers: Option<FormAnswers>,
    },
}
