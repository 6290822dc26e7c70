//! What a backend author implements, and what a backend says back. No XMPP type appears here.
//!
//! The contract: verbs of one user and one chat run one at a time and in order, edits and reactions included; different
//! chats run concurrently, at most [`CONCURRENT_VERBS`]. A verb's future is never dropped before its deadline:
//! [`Op::cancelled`] resolves first, and [`CANCEL_GRACE`] later it is dropped and reported as
//! [`Certainty::MaybeSent`]. [`Events`] may be used before [`Backend::login`] returns. [`Event::Closed`] ends the
//! session: no verb but [`LegacySession::logout`] follows. A backend never reconnects by itself: it reports
//! `Closed`, and the core decides and backs off. A panic in a verb ends that session alone.

mod error;
mod event;
mod info;
pub mod link;
mod verb;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use error::{Certainty, LoginError, LoginErrorKind, OpError, OpErrorKind, Retry};
pub use event::{Event, EventSink, Events, PromptSink, Prompts, SessionEnded};
pub use info::BackendInfo;
pub use verb::{Answer, Outcome, Verb};

use crate::model::{
    Affiliated, Affiliation, Chat, ChatState, ContactDetails, ContactId, ContactSummary, ContactUpdate, Edit, Form, FormAnswers,
    HistoryPage, JoinRoom, Joined, LegacyName, Marker, Nickname, OutgoingMessage, PageRequest, Presence, Profile, ProfileUpdate,
    Reactions, RequestId, Retraction, RoomId, RoomInfo, RoomSummary, Secret, Sent, Standing, UserKey,
};

/// Verbs of one user that may run at the same time, for different chats.
pub const CONCURRENT_VERBS: usize = 8;

/// How long a verb may take before it is cancelled.
pub const VERB_DEADLINE: Duration = Duration::from_secs(60);

/// How long a cancelled verb may go on before it is dropped.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// A legacy network. One value per backend process, or per instance when linked in.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Says what the network is and can do. Pure; called before any login, and possibly more than once.
    fn info(&self) -> BackendInfo;

    /// Logs one user in and returns once the network has accepted them. May take minutes; other users are not held
    /// up. Dropped when the user gives up.
    ///
    /// # Errors
    /// [`LoginError`] says whether trying again makes sense and what to tell the user.
    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError>;
}

/// Who logs in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The XMPP person. For keying what the backend remembers; not an address to write to.
    pub user: UserKey,
    /// The account on the network.
    pub name: LegacyName,
    /// Its password, if there is one.
    pub password: Option<Secret>,
    /// Further fields of the registration and preferences of the user.
    pub settings: BTreeMap<String, String>,
    /// What to be seen as from the start.
    pub presence: Presence,
    /// The contacts the core remembers, as many as the user's limit allows; never any without
    /// [`Capability::ContactsAtLogin`](crate::model::Capability::ContactsAtLogin). For networks that keep no list of
    /// their own: whom the user removed while logged out is not among them.
    pub contacts: Vec<ContactUpdate>,
    /// The way to ask the person something during the login.
    pub prompts: Prompts,
}

/// The context of one verb.
#[derive(Clone)]
pub struct Op {
    request: RequestId,
    cancel: Arc<dyn Cancel>,
}

/// Tells a verb that it has to come to an end. Implemented by whoever runs verbs.
#[async_trait]
pub trait Cancel: Send + Sync {
    /// Whether it has been said.
    fn is_cancelled(&self) -> bool;
    /// Resolves once it is said.
    async fn cancelled(&self);
}

impl Op {
    /// For whoever runs verbs.
    pub fn new(request: RequestId, cancel: Arc<dyn Cancel>) -> Self {
        Self { request, cancel }
    }

    /// Unique within the session: a key for making a send idempotent.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// Whether the verb should come to an end.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Resolves when the verb should come to an end.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op").field("request", &self.request).finish_non_exhaustive()
    }
}

/// What every verb answers.
pub type OpResult<T> = Result<T, OpError>;

/// One user's life on the legacy network. Two verbs are required; every other has a default that answers
/// [`OpErrorKind::Unsupported`]. What is implemented is declared in [`BackendInfo::capabilities`].
#[async_trait]
#[allow(unused_variables)]
pub trait LegacySession: Send + Sync {
    /// Sends a message, and returns once the network has it, or at least once it cannot be lost without a notice.
    async fn send_message(&self, message: OutgoingMessage, cx: Op) -> OpResult<Sent>;

    /// Ends the session. Called once; nothing follows it.
    async fn logout(&self);

    /// Gives an old message of the user's a new text.
    async fn edit_message(&self, edit: Edit, cx: Op) -> OpResult<Sent> {
        Err(OpError::unsupported())
    }
    /// Takes a message back.
    async fn retract_message(&self, retraction: Retraction, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Makes these the user's reactions to a message.
    async fn react(&self, reactions: Reactions, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Tells how far the user has got in a chat.
    async fn mark(&self, marker: Marker, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Tells what the user does in a chat.
    async fn set_chat_state(&self, chat: Chat, state: ChatState, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Calls for a contact's attention.
    async fn call_attention(&self, contact: ContactId, text: Option<String>, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }

    /// Shows the user like this.
    async fn set_presence(&self, presence: Presence, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Changes the user's own profile.
    async fn set_profile(&self, profile: ProfileUpdate, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Fetches the profile of a contact or an occupant.
    async fn fetch_profile(&self, of: Chat, cx: Op) -> OpResult<Profile> {
        Err(OpError::unsupported())
    }

    /// Adds a contact, or asks to see one.
    async fn add_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Renames and files a contact.
    async fn update_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Removes a contact.
    async fn remove_contact(&self, contact: ContactId, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Answers [`Event::ContactRequested`].
    async fn answer_contact_request(&self, contact: ContactId, accept: bool, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Blocks a contact or ends that.
    async fn block(&self, contact: ContactId, blocked: bool, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Searches for people.
    async fn search(&self, text: String, cx: Op) -> OpResult<Vec<ContactSummary>> {
        Err(OpError::unsupported())
    }

    /// Lists the rooms there are.
    async fn list_rooms(&self, cx: Op) -> OpResult<Vec<RoomSummary>> {
        Err(OpError::unsupported())
    }
    /// Joins a room. [`Event::Occupant`] of everybody in it, the user included, and [`Event::RoomSubject`] come
    /// before this returns or after it; the room counts as complete when it has returned.
    async fn join_room(&self, join: JoinRoom, cx: Op) -> OpResult<Joined> {
        Err(OpError::unsupported())
    }
    /// Leaves a room; no event for it.
    async fn leave_room(&self, room: RoomId, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Says what a room is.
    async fn room_info(&self, room: RoomId, cx: Op) -> OpResult<RoomInfo> {
        Err(OpError::unsupported())
    }
    /// Sets the subject; it comes back as an event.
    async fn set_subject(&self, room: RoomId, subject: String, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Changes the user's nickname in a room; it comes back as [`Event::OccupantRenamed`].
    async fn change_nickname(&self, room: RoomId, nickname: Nickname, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Invites a contact to a room.
    async fn invite(&self, room: RoomId, contact: ContactId, reason: Option<String>, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Throws somebody out of a room.
    async fn kick(&self, room: RoomId, nickname: Nickname, reason: Option<String>, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Gives an occupant a role or an affiliation.
    async fn set_standing(
        &self,
        room: RoomId,
        nickname: Nickname,
        standing: Standing,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        Err(OpError::unsupported())
    }

    /// Says how a room is set up: a form whose defaults are what it is now. Fields that networks have in common are named in
    /// [`room_field`](crate::model::room_field).
    async fn room_settings(&self, room: RoomId, cx: Op) -> OpResult<Form> {
        Err(OpError::unsupported())
    }
    /// Sets a room up: what is to change, by the names of the fields of [`room_settings`](Self::room_settings).
    async fn configure_room(&self, room: RoomId, answers: FormAnswers, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
    /// Lists who is this to a room, also of those who are not there. [`OpErrorKind::Unsupported`]: the network keeps no such list,
    /// and the core lists those who are there.
    async fn list_affiliated(&self, room: RoomId, affiliation: Affiliation, cx: Op) -> OpResult<Vec<Affiliated>> {
        Err(OpError::unsupported())
    }
    /// Makes somebody something to a room who need not be there, by the name of a contact or of an entry of a list. `Outcast` is a
    /// ban, `None` its end.
    async fn set_affiliation(
        &self,
        room: RoomId,
        who: LegacyName,
        affiliation: Affiliation,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        Err(OpError::unsupported())
    }

    /// Fetches old messages.
    async fn history(&self, page: PageRequest, cx: Op) -> OpResult<HistoryPage> {
        Err(OpError::unsupported())
    }
    /// Takes an XMPP stanza as text; for networks that are XMPP.
    async fn raw_xml(&self, xml: String, cx: Op) -> OpResult<()> {
        Err(OpError::unsupported())
    }
}
