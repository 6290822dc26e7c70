//! Stanzas in the one vocabulary of the process, `jabber:client`, and the only place where errors become stanzas.

use jid::Jid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use crate::backend::{Certainty, OpError, OpErrorKind};

/// One stanza.
#[derive(Clone, PartialEq, Debug)]
pub enum Stanza {
    /// `<message/>`
    Message(Message),
    /// `<presence/>`
    Presence(Presence),
    /// `<iq/>`
    Iq(Iq),
}

impl Stanza {
    /// Its sender.
    pub fn sender(&self) -> Option<&Jid> {
        match self {
            Self::Message(m) => m.from.as_ref(),
            Self::Presence(p) => p.from.as_ref(),
            Self::Iq(iq) => iq.from(),
        }
    }

    /// Its addressee.
    pub fn recipient(&self) -> Option<&Jid> {
        match self {
            Self::Message(m) => m.to.as_ref(),
            Self::Presence(p) => p.to.as_ref(),
            Self::Iq(iq) => iq.to(),
        }
    }

    /// Its id.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(m) => m.id.as_ref().map(|id| id.0.as_str()),
            Self::Presence(p) => p.id.as_deref(),
            Self::Iq(iq) => Some(iq.id()),
        }
    }

    /// Sets the sender: what a server does with every stanza of a client before anything else sees it.
    pub fn set_from(&mut self, from: Option<Jid>) {
        match self {
            Self::Message(m) => m.from = from,
            Self::Presence(p) => p.from = from,
            Self::Iq(iq) => *iq.from_mut() = from,
        }
    }

    /// Sets the addressee.
    pub fn set_to(&mut self, to: Option<Jid>) {
        match self {
            Self::Message(m) => m.to = to,
            Self::Presence(p) => p.to = to,
            Self::Iq(iq) => *iq.to_mut() = to,
        }
    }

    /// Whether an error in answer to it would be wrong (RFC 6120 8.3.1): it is an error or a result itself.
    pub fn forbids_error(&self) -> bool {
        match self {
            Self::Message(m) => m.type_ == MessageType::Error,
            Self::Presence(p) => p.type_ == PresenceType::Error,
            Self::Iq(iq) => matches!(iq, Iq::Result { .. } | Iq::Error { .. }),
        }
    }

    /// The error in answer to this stanza, addressed back; `None` where RFC 6120 forbids one. The payload is not quoted.
    pub fn error_reply(&self, error: StanzaError) -> Option<Self> {
        if self.forbids_error() {
            return None;
        }
        let (from, to) = (self.recipient().cloned(), self.sender().cloned());
        Some(match self {
            Self::Message(m) => {
                let mut reply = Message::new_with_type(MessageType::Error, to);
                reply.from = from;
                reply.id = m.id.clone();
                reply.payloads.push(error.into());
                Self::Message(reply)
            }
            Self::Presence(p) => {
                let mut reply = Presence::new(PresenceType::Error);
                reply.from = from;
                reply.to = to;
                reply.id = p.id.clone();
                reply.payloads.push(error.into());
                Self::Presence(reply)
            }
            Self::Iq(iq) => Self::Iq(Iq::Error {
                from,
                to,
                id: iq.id().to_owned(),
                error,
                payload: None,
            }),
        })
    }

    /// The result in answer to an IQ request; `None` for anything else.
    pub fn result_reply(&self, payload: Option<Element>) -> Option<Self> {
        match self {
            Self::Iq(Iq::Get { from, to, id, .. } | Iq::Set { from, to, id, .. }) => Some(Self::Iq(Iq::Result {
                from: to.clone(),
                to: from.clone(),
                id: id.clone(),
                payload,
            })),
            Self::Iq(Iq::Result { .. } | Iq::Error { .. }) | Self::Message(_) | Self::Presence(_) => None,
        }
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

/// A stanza error with the type that RFC 6120 8.3.3 associates with the condition; an empty text is left out.
pub fn error(condition: DefinedCondition, text: &str) -> StanzaError {
    let type_ = match &condition {
        DefinedCondition::BadRequest
        | DefinedCondition::JidMalformed
        | DefinedCondition::NotAcceptable
        | DefinedCondition::PolicyViolation
        | DefinedCondition::Redirect { .. } => ErrorType::Modify,
        DefinedCondition::Forbidden
        | DefinedCondition::NotAuthorized
        | DefinedCondition::RegistrationRequired
        | DefinedCondition::SubscriptionRequired => ErrorType::Auth,
        DefinedCondition::RecipientUnavailable
        | DefinedCondition::RemoteServerTimeout
        | DefinedCondition::ResourceConstraint
        | DefinedCondition::UnexpectedRequest => ErrorType::Wait,
        DefinedCondition::Conflict
        | DefinedCondition::FeatureNotImplemented
        | DefinedCondition::Gone { .. }
        | DefinedCondition::InternalServerError
        | DefinedCondition::ItemNotFound
        | DefinedCondition::NotAllowed
        | DefinedCondition::RemoteServerNotFound
        | DefinedCondition::ServiceUnavailable
        | DefinedCondition::UndefinedCondition => ErrorType::Cancel,
    };
    let mut error = StanzaError::new(type_, condition, "en", text);
    if text.is_empty() {
        error.texts.clear();
    }
    error
}

/// How a failed verb is told to the user. An uncertain one says so.
pub fn op_error(failed: &OpError) -> StanzaError {
    let condition = match failed.kind {
        OpErrorKind::Unsupported => DefinedCondition::FeatureNotImplemented,
        OpErrorKind::NotConnected => DefinedCondition::RecipientUnavailable,
        OpErrorKind::NotFound => DefinedCondition::ItemNotFound,
        OpErrorKind::NotAllowed => DefinedCondition::NotAllowed,
        OpErrorKind::NotAuthorized => DefinedCondition::NotAuthorized,
        OpErrorKind::Conflict => DefinedCondition::Conflict,
        OpErrorKind::Banned => DefinedCondition::Forbidden,
        OpErrorKind::MembersOnly => DefinedCondition::RegistrationRequired,
        OpErrorKind::Full => DefinedCondition::ServiceUnavailable,
        OpErrorKind::TooLong => DefinedCondition::PolicyViolation,
        OpErrorKind::RateLimited => DefinedCondition::ResourceConstraint,
        OpErrorKind::Timeout => DefinedCondition::RemoteServerTimeout,
        OpErrorKind::Invalid => DefinedCondition::NotAcceptable,
        OpErrorKind::Network => DefinedCondition::RemoteServerTimeout,
        OpErrorKind::Internal => DefinedCondition::InternalServerError,
    };
    match failed.certainty {
        Certainty::NotSent => error(condition, &failed.text),
        Certainty::MaybeSent => {
            let text = if failed.text.is_empty() {
                "The connection was lost."
            } else {
                &failed.text
            };
            error(condition, &format!("{text} It may have been delivered all the same."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_never_answered_with_an_error() {
        let error_message = Stanza::from(Message::error(None));
        assert_eq!(error_message.error_reply(error(DefinedCondition::BadRequest, "")), None);
    }

    #[test]
    fn the_default_namespace_is_that_of_clients() {
        assert_eq!(xmpp_parsers::ns::DEFAULT_NS, "jabber:client");
    }
}
