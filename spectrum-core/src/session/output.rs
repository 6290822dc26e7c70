//! What a session wants done.

use xmpp_parsers::message::Message;

use crate::backend::LoginError;
use crate::backend::link::LinkRequest;
use crate::face::UserOut;
use crate::model::{ContactId, LegacyName, LoginPrompt, PromptId, RoomId};
use crate::session::archive::{ArchiveChange, ArchiveRequest};
use crate::session::{JournalChanges, Publication, StoredContact, StoredName, StoredRoom, Ticket};

/// What a session wants done, in order.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // They live in one list that is used again; a box would be an allocation each.
pub enum Output {
    /// Say this to the user.
    User(UserOut),
    /// Get the user a seat on a backend; answered by [`Input::Assigned`](super::Input::Assigned) or `NotAssigned`.
    Assign,
    /// Give the seat up, or stop waiting for one: the user is logged out.
    Release,
    /// To the link of the present assignment. What it does not take comes back as an outcome that says *not sent*.
    Link(LinkRequest),
    /// A durable event has been dealt with: tell the backend.
    Committed(u64),
    /// To the journal. What has content has to be committed before the network is asked for anything that follows; if it
    /// cannot be, [`Input::NotKept`](super::Input::NotKept) says so, and what was asked fails without effect.
    Journal(Box<JournalChanges>),
    /// To the store.
    Store(StoreRequest),
    /// The answer to [`Input::Authenticate`](super::Input::Authenticate).
    Authenticated {
        /// Whose.
        ticket: Ticket,
        /// Whether the client is let in.
        result: Result<(), AuthError>,
    },
    /// To be noted in the user's own account, where the mode can do that.
    Publish(Publication),
    /// How the login comes on, for whoever attends it.
    Progress(Progress),
    /// The user wrote this to the transport itself, and no login had asked for it.
    Said(Message),
    /// The network has accepted the user (for counting).
    LoggedIn,
    /// The network has let go of the user (for counting).
    LoggedOut,
    /// The session is over: nothing follows, and no input is expected.
    Close(CloseReason),
}

/// How a login comes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It asks or shows something; a question is answered by [`Input::Answer`](super::Input::Answer).
    Prompt(PromptId, LoginPrompt),
    /// The network has accepted the user.
    LoggedIn,
    /// The network has not accepted the user, for this reason; the session may try again by itself.
    Failed(String),
}

/// Why a client is not let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthError {
    /// Another password than the running session's.
    NotAuthorized,
    /// The network refused, or could not be reached in time.
    Login(LoginError),
    /// The session has as many resources as it may have, or is ending.
    Refused(String),
}

/// Why a session is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The user went offline.
    Offline,
    /// The network does not let the user in.
    LoginFailed,
    /// There is no registration.
    NotRegistered,
    /// An administrator or the end of the instance.
    Ended,
    /// A bound was passed.
    Overflow,
}

/// To the store, about this user. Only `Load` and `AskArchive` are answered.
#[derive(Clone, PartialEq, Debug)]
pub enum StoreRequest {
    /// Everything that is kept of the user.
    Load,
    /// The user is let in under this name without a registration: keep one, unless there is one by now.
    RegisterAs(LegacyName),
    /// Keep this contact.
    SaveContact(StoredContact),
    /// Forget this contact.
    RemoveContact(ContactId),
    /// Keep this localpart.
    SaveName(StoredName),
    /// Join this room again next time.
    SaveRoom(StoredRoom),
    /// Do not join it again.
    RemoveRoom(RoomId),
    /// Change the archive of a room.
    ChangeArchive {
        /// The room's localpart.
        room: String,
        /// What changes.
        change: ArchiveChange,
    },
    /// Ask the archive of a room; answered by [`Input::Archive`](super::Input::Archive).
    AskArchive {
        /// For the answer.
        request: u64,
        /// The room's localpart.
        room: String,
        /// What for.
        what: ArchiveRequest,
    },
    /// Whether the user is online: those who were are probed at the next start.
    SetOnline(bool),
    /// Keep this preference.
    SaveSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}
