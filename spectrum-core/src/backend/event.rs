//! What a backend reports, and the handles it reports through.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::LoginError;
use crate::model::{
    Chat, ChatState, ContactId, ContactRequest, ContactUpdate, Edit, Form, FormAnswers, IncomingMessage, Invitation, Marker,
    MessageId, Nickname, Occupant, OccupantGone, OccupantRenamed, OwnRooms, Profile, Reactions, Retraction, RoomClosed,
    RoomSubject, RoomSummary, Shown,
};

/// Something happened on the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A contact is new or has changed.
    Contact(ContactUpdate),
    /// A contact is gone for good.
    ContactRemoved(ContactId),
    /// All contacts have been reported; those the core remembers and did not hear of stay, marked offline.
    ContactsComplete,
    /// Somebody asks to see the user.
    ContactRequested(ContactRequest),

    /// A message.
    Message(IncomingMessage),
    /// A message has another text.
    Edited(Edit),
    /// A message was taken back.
    Retracted(Retraction),
    /// Somebody's reactions to a message.
    Reacted(Reactions),
    /// Somebody's read marker.
    Marked(Marker),
    /// One of the user's messages reached its destination; the id is the core's.
    Delivered {
        /// Of which chat.
        chat: Chat,
        /// The message.
        id: MessageId,
    },
    /// Somebody types or stops.
    ChatState {
        /// Where.
        chat: Chat,
        /// Who, in a room.
        nickname: Option<Nickname>,
        /// What.
        state: ChatState,
    },
    /// A contact calls for attention.
    Attention {
        /// Who.
        contact: ContactId,
        /// What they wrote with it.
        text: Option<String>,
    },
    /// The network itself has something to say to the user.
    Notice(String),

    /// All rooms of the user's, or of the network, as a list.
    RoomList(Vec<RoomSummary>),
    /// Rooms that the user is in on the network itself, for their bookmarks. All of them once after each login, then what
    /// changes.
    OwnRooms(OwnRooms),
    /// Somebody is in a room, or has changed there.
    Occupant(Occupant),
    /// Somebody is not in a room any more.
    OccupantGone(OccupantGone),
    /// Somebody has another nickname.
    OccupantRenamed(OccupantRenamed),
    /// The subject of a room.
    RoomSubject(RoomSubject),
    /// The user is out of a room.
    RoomClosed(RoomClosed),
    /// Somebody invites the user.
    Invited(Invitation),

    /// Somebody's profile has changed.
    Profile {
        /// Whose.
        of: Chat,
        /// What it says.
        profile: Profile,
    },
    /// An XMPP stanza as text, from networks that are XMPP.
    RawXml(String),
    /// The session is over. Nothing is accepted after it.
    Closed(LoginError),
}

/// The session has ended, so nobody listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the session has ended")]
pub struct SessionEnded;

/// Takes events. Implemented by whoever runs backends.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Hands the event over; waits while this user has too many on the way.
    async fn emit(&self, event: Event) -> Result<(), SessionEnded>;
    /// Hands the event over and waits until the core has committed it.
    async fn emit_durable(&self, event: Event) -> Result<(), SessionEnded>;
}

/// The way of one legacy session to its user.
#[derive(Clone)]
pub struct Events(Arc<dyn EventSink>);

impl Events {
    /// For whoever runs backends.
    pub fn new(sink: Arc<dyn EventSink>) -> Self {
        Self(sink)
    }

    /// Reports an event. Waits while more than 64 events of this user are on the way, and holds up nobody else.
    ///
    /// # Errors
    /// [`SessionEnded`] once the session is over; the event went nowhere.
    pub async fn emit(&self, event: Event) -> Result<(), SessionEnded> {
        self.0.emit(event).await
    }

    /// Reports an event and returns once the core has committed it, so that the network may be told to forget it.
    ///
    /// # Errors
    /// [`SessionEnded`] once the session is over; the event may or may not have been committed.
    pub async fn emit_durable(&self, event: Event) -> Result<(), SessionEnded> {
        self.0.emit_durable(event).await
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// Takes questions to a person. Implemented by whoever runs backends.
#[async_trait]
pub trait PromptSink: Send + Sync {
    /// Asks and waits for the answer; `None` if the person gives up.
    async fn ask(&self, form: Form) -> Option<FormAnswers>;
    /// Shows something.
    async fn show(&self, shown: Shown);
}

/// The way of a login to its person.
#[derive(Clone)]
pub struct Prompts(Arc<dyn PromptSink>);

impl Prompts {
    /// For whoever runs backends.
    pub fn new(sink: Arc<dyn PromptSink>) -> Self {
        Self(sink)
    }

    /// Asks the person, and waits as long as they take; `None` if they give up.
    pub async fn ask(&self, form: Form) -> Option<FormAnswers> {
        self.0.ask(form).await
    }

    /// Shows the person something.
    pub async fn show(&self, shown: Shown) {
        self.0.show(shown).await;
    }
}

impl fmt::Debug for Prompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prompts")
    }
}
