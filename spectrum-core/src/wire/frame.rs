//! Frames as data. An in-process backend gets these very values through a channel; out of process they are bytes, in the
//! native dialect or in Spectrum 2's.

use std::collections::BTreeMap;

use crate::backend::{BackendInfo, Event, Outcome, Verb};
use crate::model::{
    AssignmentId, ContactUpdate, FormAnswers, LegacyName, LoginPrompt, Presence, PromptId, RequestId, Secret, UserKey,
};

/// The lowest version of the native dialect that is spoken here.
pub const MIN_VERSION: u32 = 1;

/// The highest version of the native dialect that is spoken here.
pub const MAX_VERSION: u32 = 1;

/// `[backend.options]`: dotted keys and their values. Any of them may be a secret.
pub type Options = BTreeMap<String, Secret>;

/// Who is to be logged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRequest {
    /// The assignment it opens.
    pub assignment: AssignmentId,
    /// The XMPP person.
    pub user: UserKey,
    /// The account on the network.
    pub name: LegacyName,
    /// Its password, if there is one.
    pub password: Option<Secret>,
    /// Further fields and preferences.
    pub settings: BTreeMap<String, String>,
    /// What to be seen as.
    pub presence: Presence,
    /// The contacts known from before, for backends that want them.
    pub contacts: Vec<ContactUpdate>,
}

/// From the main process to a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToBackend {
    /// The version chosen and what the backend is configured with; the core's first frame in the native dialect.
    Version {
        /// One between the ends of [`FromBackend::Hello`].
        version: u32,
        /// `[backend.options]` of the instance. They travel here, so that no secret is ever in an argument or a variable.
        options: Options,
    },
    /// Logs a user in.
    Login(Box<LoginRequest>),
    /// A verb of a user.
    Request {
        /// Whose.
        assignment: AssignmentId,
        /// Its id within the assignment.
        request: RequestId,
        /// What to do.
        verb: Box<Verb>,
    },
    /// Logs a user out.
    Logout {
        /// Whose.
        assignment: AssignmentId,
    },
    /// So many events of a user have been dealt with.
    Credit {
        /// Whose.
        assignment: AssignmentId,
        /// How many.
        events: u32,
    },
    /// A durable event has been committed.
    Committed {
        /// Whose.
        assignment: AssignmentId,
        /// The number it was sent with.
        event: u64,
    },
    /// The answer to a question; `None` if the person gave up.
    PromptAnswer {
        /// Whose.
        assignment: AssignmentId,
        /// Which question.
        prompt: PromptId,
        /// The answers.
        answers: Option<FormAnswers>,
    },
    /// The answer to [`FromBackend::Query`].
    QueryAnswer(String),
    /// Are you there?
    Ping,
    /// Log everybody out and end.
    Exit,
}

/// What a backend process uses, in KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResourceUse {
    /// Resident now.
    pub resident: u32,
    /// Resident at its start.
    pub initial: u32,
    /// Shared.
    pub shared: u32,
}

/// From a backend to the main process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromBackend {
    /// The versions it speaks; its first frame in the native dialect, answered by [`ToBackend::Version`].
    Hello {
        /// Lowest version it speaks.
        min: u32,
        /// Highest version it speaks.
        max: u32,
    },
    /// What the network is and can do, once the backend is ready for logins. A later one replaces it.
    Info(Box<BackendInfo>),
    /// The backend cannot work with its options, and ends.
    Refused {
        /// Why, for whoever runs the instance.
        text: String,
    },
    /// The network has accepted the user.
    LoggedIn {
        /// Whose.
        assignment: AssignmentId,
    },
    /// Something happened; a failed login is [`Event::Closed`].
    Event {
        /// Whose.
        assignment: AssignmentId,
        /// Set if the backend waits for [`ToBackend::Committed`].
        durable: Option<u64>,
        /// What.
        event: Box<Event>,
    },
    /// How a verb ended.
    Outcome {
        /// Whose.
        assignment: AssignmentId,
        /// Which request.
        request: RequestId,
        /// How.
        outcome: Box<Outcome>,
    },
    /// A logout is done; the assignment is no more.
    LoggedOut {
        /// Whose.
        assignment: AssignmentId,
    },
    /// A question to the person, or something to show.
    Prompt {
        /// Whose.
        assignment: AssignmentId,
        /// For the answer.
        prompt: PromptId,
        /// What.
        what: Box<LoginPrompt>,
    },
    /// An admin command as text (Spectrum 2's QUERY).
    Query(String),
    /// I am here.
    Pong,
    /// What the process uses.
    Stats(ResourceUse),
}
