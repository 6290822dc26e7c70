//! The stanza vocabulary of the process (RFC 6120 section 8). Plain values, always in `jabber:client`.

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Id, Message, MessageType};
use xmpp_parsers::presence::{self, Presence};
use xmpp_parsers::stanza_error::StanzaError;

/// Which of the three stanzas it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StanzaKind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

impl StanzaKind {
    /// Returns the name of the element.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "message" => Some(Self::Message),
            "presence" => Some(Self::Presence),
            "iq" => Some(Self::Iq),
            _ => None,
        }
    }
}

/// A stanza.
#[derive(Debug, Clone, PartialEq)]
pub enum Stanza {
    /// `<message/>`
    Message(Message),
    /// `<presence/>`
    Presence(Presence),
    /// `<iq/>`
    Iq(Iq),
}

impl Stanza {
    /// Returns which stanza it is.
    #[must_use]
    pub fn kind(&self) -> StanzaKind {
        match self {
            Self::Message(_) => StanzaKind::Message,
            Self::Presence(_) => StanzaKind::Presence,
            Self::Iq(_) => StanzaKind::Iq,
        }
    }

    /// Returns the sender (`from`).
    #[must_use]
    pub fn sender(&self) -> Option<&Jid> {
        match self {
            Self::Message(message) => message.from.as_ref(),
            Self::Presence(presence) => presence.from.as_ref(),
            Self::Iq(iq) => iq.from(),
        }
    }

    /// Returns the addressee (`to`).
    #[must_use]
    pub fn recipient(&self) -> Option<&Jid> {
        match self {
            Self::Message(message) => message.to.as_ref(),
            Self::Presence(presence) => presence.to.as_ref(),
            Self::Iq(iq) => iq.to(),
        }
    }

    /// Returns the id, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.id.as_ref().map(|id| id.0.as_str()),
            Self::Presence(presence) => presence.id.as_deref(),
            Self::Iq(iq) => Some(iq.id()),
        }
    }

    /// Replaces the sender.
    pub fn set_sender(&mut self, jid: Option<Jid>) {
        match self {
            Self::Message(message) => message.from = jid,
            Self::Presence(presence) => presence.from = jid,
            Self::Iq(iq) => *iq.from_mut() = jid,
        }
    }

    /// Replaces the addressee.
    pub fn set_recipient(&mut self, jid: Option<Jid>) {
        match self {
            Self::Message(message) => message.to = jid,
            Self::Presence(presence) => presence.to = jid,
            Self::Iq(iq) => *iq.to_mut() = jid,
        }
    }

    /// Tells whether an error may be sent in answer: errors are never answered by errors, nor are results.
    #[must_use]
    pub fn may_be_refused(&self) -> bool {
        match self {
            Self::Message(message) => message.type_ != MessageType::Error,
            Self::Presence(presence) => presence.type_ != presence::Type::Error,
            Self::Iq(Iq::Get { .. } | Iq::Set { .. }) => true,
            Self::Iq(Iq::Result { .. } | Iq::Error { .. }) => false,
        }
    }

    /// Returns the error stanza that answers this one: addresses swapped, id kept, payload left out. `None` if it must
    /// not be answered, see [`may_be_refused`](Self::may_be_refused).
    #[must_use]
    pub fn refusal(&self, error: StanzaError) -> Option<Self> {
        if !self.may_be_refused() {
            return None;
        }
        let address = Address {
            from: self.recipient().cloned(),
            to: self.sender().cloned(),
            id: self.id().map(str::to_owned),
        };
        Some(address.error(self.kind(), error))
    }
}

impl From<Message> for Stanza {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<Presence> for Stanza {
    fn from(presence: Presence) -> Self {
        Self::Presence(presence)
    }
}

impl From<Iq> for Stanza {
    fn from(iq: Iq) -> Self {
        Self::Iq(iq)
    }
}

/// Who answers whom.
pub(super) struct Address {
    pub(super) from: Option<Jid>,
    pub(super) to: Option<Jid>,
    pub(super) id: Option<String>,
}

impl Address {
    pub(super) fn error(self, kind: StanzaKind, error: StanzaError) -> Stanza {
        let Self { from, to, id } = self;
        match kind {
            StanzaKind::Message => {
                let mut message = Message::error(to);
                message.from = from;
                message.id = id.map(Id);
                message.payloads.push(Element::from(error));
                Stanza::Message(message)
            }
            StanzaKind::Presence => {
                let mut presence = Presence::error();
                presence.to = to;
                presence.from = from;
                presence.id = id;
                presence.payloads.push(Element::from(error));
                Stanza::Presence(presence)
            }
            // An iq without an id cannot be matched by its sender, but it is owed an answer all the same.
            StanzaKind::Iq => Stanza::Iq(Iq::Error {
                from,
                to,
                id: id.unwrap_or_default(),
                error,
                payload: None,
            }),
        }
    }
}
