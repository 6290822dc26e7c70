//! Messages and what happens to them afterwards.

use crate::model::{Chat, MessageId, Nickname, Timestamp};

/// A file that goes with a message, by URL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Where to get it.
    pub url: String,
    /// Media type, if known.
    pub media_type: Option<String>,
    /// What it shows.
    pub description: Option<String>,
}

/// What a message answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The message answered.
    pub to: MessageId,
    /// Its author in a room.
    pub author: Option<Nickname>,
}

/// A message from the user to the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutgoingMessage {
    /// Where to.
    pub chat: Chat,
    /// The core's id of it, unique within the session; receipts and edits refer to it.
    pub id: MessageId,
    /// The text. Never empty unless there are attachments. `/me ` at the start is an action.
    pub body: String,
    /// Inner XHTML of the same text, where the user's client sent some.
    pub xhtml: Option<String>,
    /// Files by URL.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub reply: Option<Reply>,
    /// Whether the sender wants to know of the delivery; answered by [`Event::Delivered`](crate::backend::Event::Delivered).
    pub wants_receipt: bool,
}

/// What a successful send says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// The network's id of the message, where it has one.
    pub id: Option<MessageId>,
    /// The network's time of it, where it says one.
    pub timestamp: Option<Timestamp>,
}

/// Who wrote an incoming message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Origin {
    /// Somebody else.
    #[default]
    Other,
    /// The user, with another client of the network.
    OwnOtherDevice,
}

/// What sort of message it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum MessageKind {
    /// Conversation.
    #[default]
    Normal,
    /// An announcement that expects no answer.
    Headline,
}

/// A message from the network. In a room, `nickname` is its author; without one the room itself speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IncomingMessage {
    /// Where it belongs.
    pub chat: Chat,
    /// Its author, in `Chat::Room`.
    pub nickname: Option<Nickname>,
    /// The network's id, where it has one: repeated ids are dropped.
    pub id: Option<MessageId>,
    /// The text.
    pub body: String,
    /// Inner XHTML of the same text.
    pub xhtml: Option<String>,
    /// When it was written, if that was before now.
    pub timestamp: Option<Timestamp>,
    /// Who wrote it.
    pub origin: Origin,
    /// What sort it is.
    pub kind: MessageKind,
    /// Files by URL.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub reply: Option<Reply>,
}

impl IncomingMessage {
    /// A message of somebody else, written now.
    pub fn new(chat: Chat, body: impl Into<String>) -> Self {
        Self {
            chat,
            nickname: None,
            id: None,
            body: body.into(),
            xhtml: None,
            timestamp: None,
            origin: Origin::Other,
            kind: MessageKind::Normal,
            attachments: Vec::new(),
            reply: None,
        }
    }

    /// Written by this occupant.
    pub fn by(mut self, nickname: impl Into<Nickname>) -> Self {
        self.nickname = Some(nickname.into());
        self
    }
}

/// A new text for an old message, either direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Where it belongs.
    pub chat: Chat,
    /// Its author in a room (from the network).
    pub nickname: Option<Nickname>,
    /// The message changed.
    pub id: MessageId,
    /// The text it has now.
    pub body: String,
    /// Who changed it.
    pub origin: Origin,
}

/// A message taken back, either direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retraction {
    /// Where it belongs.
    pub chat: Chat,
    /// Who took it back, in a room (from the network).
    pub nickname: Option<Nickname>,
    /// The message.
    pub id: MessageId,
    /// Why.
    pub reason: Option<String>,
    /// Who took it back.
    pub origin: Origin,
}

/// All reactions of one person to one message, either direction; an empty list takes them back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reactions {
    /// Where it belongs.
    pub chat: Chat,
    /// Whose they are, in a room (from the network).
    pub nickname: Option<Nickname>,
    /// The message.
    pub id: MessageId,
    /// The full set.
    pub emojis: Vec<String>,
    /// Whose they are.
    pub origin: Origin,
}

/// How far a message got.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MarkerKind {
    /// It reached the other side.
    Delivered,
    /// It was looked at.
    Displayed,
}

/// A read marker, either direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Where it belongs.
    pub chat: Chat,
    /// Whose it is, in a room (from the network).
    pub nickname: Option<Nickname>,
    /// The newest message it covers.
    pub id: MessageId,
    /// How far it got.
    pub kind: MarkerKind,
    /// Whose it is.
    pub origin: Origin,
}

/// What somebody does in a chat (XEP-0085's states that networks know).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChatState {
    /// There, and not typing.
    Active,
    /// Typing.
    Composing,
    /// Stopped typing for a moment.
    Paused,
}

/// A page of old messages asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageRequest {
    /// Of which chat.
    pub chat: Chat,
    /// Only older than this message.
    pub before: Option<MessageId>,
    /// Only newer than this message.
    pub after: Option<MessageId>,
    /// At most so many.
    pub limit: u32,
}

/// A page of old messages, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HistoryPage {
    /// The messages.
    pub messages: Vec<IncomingMessage>,
    /// True if there is nothing further in the direction asked for.
    pub complete: bool,
}
