//! Errors that end a stream (RFC 6120 section 4.9): those we send and those we are sent. Plain values.

use std::borrow::Cow;
use std::fmt;

use minidom::Element;
use xmpp_parsers::ns;
use xmpp_parsers::stream_error::DefinedCondition;

/// A stream error to send before closing, see [`Writer::error`](super::Writer::error).
#[derive(Debug, Clone, PartialEq)]
pub struct StreamError {
    /// The condition of RFC 6120 section 4.9.3.
    pub condition: DefinedCondition,
    /// A sentence for the peer's log.
    pub text: Option<Cow<'static, str>>,
}

impl StreamError {
    /// An error with a sentence for the peer's log.
    pub fn new(condition: DefinedCondition, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition,
            text: Some(text.into()),
        }
    }

    pub(super) fn from_xml(error: rxml::Error) -> Self {
        use rxml::Error as Xml;
        let condition = match error {
            Xml::UndeclaredNamespacePrefix(_) => DefinedCondition::BadNamespacePrefix,
            Xml::InvalidEof(_)
            | Xml::UndeclaredEntity
            | Xml::InvalidChar(..)
            | Xml::UnexpectedChar(..)
            | Xml::UnexpectedByte(..)
            | Xml::InvalidSyntax(_)
            | Xml::UnexpectedToken(..)
            | Xml::DuplicateAttribute
            | Xml::ElementMismatch
            | Xml::MultiColonName(_)
            | Xml::EmptyNamePart(_)
            | Xml::ReservedNamespacePrefix
            | Xml::ReservedNamespaceName
            | Xml::InvalidLocalName(_)
            | Xml::EmptyNamespaceUri
            | Xml::InvalidUtf8Byte(_)
            | Xml::RestrictedXml(_) => DefinedCondition::NotWellFormed,
        };
        Self::new(condition, error.to_string())
    }
}

impl From<DefinedCondition> for StreamError {
    fn from(condition: DefinedCondition) -> Self {
        Self { condition, text: None }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_error(f, &self.condition.to_string(), self.text.as_deref())
    }
}

impl std::error::Error for StreamError {}

/// A stream error the peer sent. The condition is kept as text: a peer may use one that no RFC lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerError {
    /// The name of the condition, `undefined-condition` if there was none.
    pub condition: String,
    /// What the peer adds for people.
    pub text: Option<String>,
}

impl PeerError {
    pub(super) fn from_element(element: &Element) -> Self {
        let condition = element
            .children()
            .find(|child| child.has_ns(ns::XMPP_STREAMS) && child.name() != "text")
            .map_or_else(|| "undefined-condition".to_owned(), |child| child.name().to_owned());
        let text = element
            .get_child("text", ns::XMPP_STREAMS)
            .map(Element::text)
            .filter(|text| !text.is_empty());
        Self { condition, text }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_error(f, &self.condition, self.text.as_deref())
    }
}

impl std::error::Error for PeerError {}

fn write_error(f: &mut fmt::Formatter<'_>, condition: &str, text: Option<&str>) -> fmt::Result {
    match text {
        Some(text) => write!(f, "{condition}: {text}"),
        None => f.write_str(condition),
    }
}
