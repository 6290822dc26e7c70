//! The reader of a stream (RFC 6120 sections 4, 8 and 11): bytes in, events out. Owned by one connection.
//!
//! [`Lexer`] tokenizes, [`Namespaces`] resolves, xso builds. Between them stand the limits, and the state in which a stanza
//! is read to its end without being kept.

use std::borrow::Cow;

use rxml::parser::RawQName;
use rxml::{AttrMap, QName};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns;
use xmpp_parsers::presence::Presence;
use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
use xmpp_parsers::stream_error::DefinedCondition as StreamCondition;
use xso::error::FromEventsError;
use xso::minidom_compat::ElementFromEvents;
use xso::{Context, FromXml};

use super::Event;
use super::building::{Builder, Built, Progress};
use super::error::{PeerError, StreamError};
use super::everyday;
use super::header::{Content, Header, Side, Version};
use super::invalid::{Invalid, RawHeader};
use super::kind::StanzaKind;
use super::lexer::{Keep, Lexer, Token};
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::text::is_blank;
use crate::stanza::Stanza;

/// Elements beside stanzas that may stand at the top of a stream, by namespace.
const NONZA_NAMESPACES: &[&str] = &[
    ns::TLS,
    ns::SASL,
    ns::SASL2,
    ns::SM,
    ns::CSI,
    "http://jabber.org/protocol/compress",
];

/// Reads one direction of a stream. Holds no bytes: what it has consumed is in the tokenizer or in the tree that is being
/// built, and both are bounded by [`Limits`].
pub struct Reader {
    lexer: Lexer,
    namespaces: Namespaces,
    content: Content,
    side: Side,
    limits: Limits,
    state: State,
    /// Open elements, the stream included.
    depth: usize,
    /// Nothing of a stanza is in the tokenizer: whitespace is a keepalive (RFC 6120 section 4.6.1) and not even copied.
    between: bool,
    attributes: Vec<(RawQName, String)>,
    stanza: Progress,
    text: String,
    langs: Vec<(usize, String)>,
}

enum State {
    /// The stream header is awaited.
    Header,
    /// Between stanzas.
    Stream,
    /// In a stanza.
    Building(Box<Builder>),
    /// In a stanza that is lost.
    Skipping(Skip),
    /// The stream is over.
    Over,
}

struct Skip {
    condition: StanzaCondition,
    text: Cow<'static, str>,
}

/// Why the normal course of a step was left.
enum Stop {
    /// The stanza is lost.
    Stanza(StanzaCondition, Cow<'static, str>),
    /// The stream is lost.
    Stream(StreamError),
}

impl From<rxml::Error> for Stop {
    fn from(error: rxml::Error) -> Self {
        Self::Stream(StreamError::from_xml(error))
    }
}

impl From<StreamCondition> for Stop {
    fn from(condition: StreamCondition) -> Self {
        Self::Stream(condition.into())
    }
}

const METRICS: rxml::parser::EventMetrics = rxml::parser::EventMetrics::zero();

impl Reader {
    /// A reader at the beginning of a stream.
    #[must_use]
    pub fn new(content: Content, side: Side, limits: Limits) -> Self {
        Self {
            lexer: Lexer::new(),
            namespaces: Namespaces::new(content),
            content,
            side,
            limits,
            state: State::Header,
            depth: 0,
            between: true,
            attributes: Vec::new(),
            stanza: Progress::default(),
            text: String::new(),
            langs: Vec::new(),
        }
    }

    /// Expects a new stream header, as after STARTTLS and after authentication. `limits` hold from now on.
    pub fn restart(&mut self, limits: Limits) {
        *self = Self::new(self.content, self.side, limits);
    }

    /// Replaces the limits for what is to come.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Returns whether nothing of a stanza has been read yet: the stream could be handed over or closed here.
    #[must_use]
    pub fn is_between_stanzas(&self) -> bool {
        self.between
    }

    /// Returns the memory of the last stanzas. For streams that fell silent.
    pub fn release_temporaries(&mut self) {
        if !self.between {
            return;
        }
        self.lexer.release_temporaries();
        self.namespaces.release_temporaries();
        self.attributes = Vec::new();
        self.text = String::new();
        self.stanza.release();
    }

    /// Reads the next event, advancing `input` past the bytes it is made of. Returns `None` when it needs more bytes, and
    /// for ever after [`Event::Closed`] and [`Event::Error`]. Bytes behind an event are left in `input`, so that what a
    /// peer sent behind `<starttls/>` is seen.
    pub fn read(&mut self, input: &mut &[u8]) -> Option<Event> {
        loop {
            if matches!(self.state, State::Over) {
                return None;
            }
            if self.between {
                let blank = input.iter().take_while(|byte| is_blank(**byte)).count();
                *input = &input[blank..];
                if input.is_empty() {
                    return None;
                }
                if let Some((message, taken)) = self.everyday(input) {
                    *input = &input[taken..];
                    return Some(Event::Stanza(Stanza::Message(message)));
                }
            }
            let keep = match self.state {
                State::Skipping(_) => Keep::Structure,
                State::Header | State::Stream | State::Building(_) | State::Over => Keep::All,
            };
            let before = input.len();
            let token = self.lexer.next(input, keep);
            let consumed = before - input.len();
            if consumed > 0 {
                self.between = false;
                self.stanza.bytes += consumed;
            }
            let step = match (self.check_bytes(), token) {
                (Ok(()), Ok(Some(token))) => self.step(token),
                (Ok(()), Ok(None)) => return None,
                (Ok(()), Err(error)) | (Err(error), _) => Err(error),
            };
            match step {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if matches!(event, Event::Closed | Event::Error(_)) {
                        self.end();
                    }
                    return Some(event);
                }
                Err(error) => {
                    self.end();
                    return Some(Event::Error(error));
                }
            }
        }
    }

    /// A whole message that needs nothing of what is here: most are.
    fn everyday(&self, input: &[u8]) -> Option<(Message, usize)> {
        let is_usual = matches!(self.state, State::Stream) && self.namespaces.is_default(self.content.namespace());
        is_usual
            .then(|| everyday::message(input, self.content, &self.limits))
            .flatten()
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.between = false;
        self.text = String::new();
        self.attributes = Vec::new();
    }

    /// Takes one token. Loses the stanza, not the stream, where that is allowed.
    fn step(&mut self, token: Token) -> Result<Option<Event>, StreamError> {
        match self.take(token) {
            Ok(event) => Ok(event),
            Err(Stop::Stanza(condition, text)) => {
                self.skip(condition, text)?;
                // What is missing in a stanza is missed at its end.
                Ok(if self.depth == 1 { self.finish_skip() } else { None })
            }
            Err(Stop::Stream(error)) => Err(error),
        }
    }

    fn take(&mut self, token: Token) -> Result<Option<Event>, Stop> {
        match token {
            Token::Open(name) => self.open(name),
            Token::Text(text) => self.text(text).map(|()| None),
            Token::Close => self.close(),
        }
    }

    fn check_bytes(&mut self) -> Result<(), StreamError> {
        if self.stanza.bytes <= self.limits.stanza_bytes {
            return Ok(());
        }
        if self.content == Content::Component && matches!(self.state, State::Stream) {
            // In the first tag of a stanza: it is lost once it is known whose it is.
            return Ok(());
        }
        match self.exceed("stanza too long") {
            Stop::Stanza(condition, text) => self.skip(condition, text),
            Stop::Stream(error) => Err(error),
        }
    }

    /// What exceeding a limit means here.
    fn exceed(&self, what: &'static str) -> Stop {
        if self.content == Content::Component && self.stanza.kind.is_some() && self.depth > 1 {
            Stop::Stanza(StanzaCondition::PolicyViolation, what.into())
        } else {
            Stop::Stream(StreamError::new(StreamCondition::PolicyViolation, what))
        }
    }

    /// Goes on to the end of the stanza without keeping it. The first reason stays.
    fn skip(&mut self, condition: StanzaCondition, text: Cow<'static, str>) -> Result<(), StreamError> {
        if matches!(self.state, State::Skipping(_)) {
            return Ok(());
        }
        if self.stanza.kind.is_none() {
            return Err(StreamError::new(StreamCondition::PolicyViolation, text));
        }
        self.namespaces.abandon();
        self.namespaces.truncate(1);
        self.text = String::new();
        self.langs.clear();
        self.state = State::Skipping(Skip { condition, text });
        Ok(())
    }

    fn open(&mut self, name: Option<RawQName>) -> Result<Option<Event>, Stop> {
        self.depth += 1;
        if let (2, Some(name)) = (self.depth, &name) {
            self.stanza.restart(&name.1);
            for (name, value) in &self.lexer.attributes {
                if name.0.is_none() && value.len() <= self.limits.attribute_bytes {
                    self.stanza.capture(&name.1, value);
                }
            }
        }
        self.stanza.elements += 1;
        self.check_limits()?;
        let Some(name) = name else {
            return Ok(None);
        };
        if matches!(self.state, State::Skipping(_)) {
            return Ok(None);
        }
        self.flush_text()?;
        for (name, value) in self.lexer.attributes.drain(..) {
            if let Some(attribute) = self.namespaces.declare(name, value)? {
                self.attributes.push(attribute);
            }
        }
        if self.depth == 1 {
            self.check_stream_namespace(&name)?;
        }
        let has_lang = self.attributes.iter().any(|(name, _)| name.0.is_some());
        let (name, attributes) = self.namespaces.open(name, &mut self.attributes)?;
        if self.depth == 1 {
            return self.open_stream(&name, &attributes).map(Some);
        }
        if has_lang && let Some(lang) = attributes.get(rxml::Namespace::xml(), "lang") {
            self.langs.push((self.depth, lang.clone()));
        }
        if self.depth == 2 {
            let builder = self.start(name, attributes)?;
            self.state = State::Building(Box::new(builder));
            return Ok(None);
        }
        if self.depth == 3 {
            self.stanza.children += 1;
            // RFC 6120 section 8.2.3: a request has exactly one payload.
            if self.stanza.children > 1
                && self.stanza.kind == Some(StanzaKind::Iq)
                && matches!(self.stanza.type_.as_deref(), Some("get" | "set"))
            {
                return Err(Stop::Stanza(StanzaCondition::BadRequest, "more than one payload".into()));
            }
        }
        self.build(rxml::Event::StartElement(METRICS, name, attributes)).map(|_| None)
    }

    fn check_limits(&self) -> Result<(), Stop> {
        let attributes = &self.lexer.attributes;
        if self.depth > self.limits.depth + 1 {
            return Err(self.exceed("nested too deep"));
        }
        if self.stanza.elements > self.limits.elements {
            return Err(self.exceed("too many elements"));
        }
        if attributes.len() > self.limits.attributes {
            return Err(self.exceed("too many attributes"));
        }
        if attributes.iter().any(|(_, value)| value.len() > self.limits.attribute_bytes) {
            return Err(self.exceed("attribute too long"));
        }
        if self.stanza.bytes > self.limits.stanza_bytes {
            return Err(self.exceed("stanza too long"));
        }
        Ok(())
    }

    fn text(&mut self, text: String) -> Result<(), Stop> {
        match &self.state {
            State::Building(_) => {
                if self.text.is_empty() {
                    self.text = text;
                } else {
                    self.text.push_str(&text);
                }
                Ok(())
            }
            State::Skipping(_) | State::Over => Ok(()),
            State::Header | State::Stream => {
                if xso::is_xml_whitespace(&text) {
                    Ok(())
                } else {
                    Err(Stop::Stream(StreamError::new(
                        StreamCondition::BadFormat,
                        "text between stanzas",
                    )))
                }
            }
        }
    }

    fn close(&mut self) -> Result<Option<Event>, Stop> {
        self.depth -= 1;
        if self.depth == 0 {
            return Ok(Some(Event::Closed));
        }
        if matches!(self.state, State::Skipping(_)) {
            return Ok((self.depth == 1).then(|| self.finish_skip()).flatten());
        }
        self.flush_text()?;
        let built = self.build(rxml::Event::EndElement(METRICS))?;
        self.namespaces.close();
        if self.langs.last().is_some_and(|(depth, _)| *depth > self.depth) {
            self.langs.pop();
        }
        if self.depth > 1 {
            return Ok(None);
        }
        self.finish_stanza();
        match built {
            Some(Built::Stanza(stanza)) => Ok(Some(Event::Stanza(stanza))),
            Some(Built::Nonza(element)) if element.is("error", ns::STREAM) => {
                Ok(Some(Event::PeerError(PeerError::from_element(&element))))
            }
            Some(Built::Nonza(element)) => Ok(Some(Event::Nonza(element))),
            None => Err(StreamCondition::InternalServerError.into()),
        }
    }

    fn finish_stanza(&mut self) {
        self.state = State::Stream;
        self.stanza.bytes = 0;
        self.between = true;
    }

    fn finish_skip(&mut self) -> Option<Event> {
        let State::Skipping(skip) = std::mem::replace(&mut self.state, State::Stream) else {
            return None;
        };
        self.finish_stanza();
        let progress = &mut self.stanza;
        let header = RawHeader {
            kind: progress.kind?,
            from: progress.from.take(),
            to: progress.to.take(),
            type_: progress.type_.take(),
            id: progress.id.take(),
        };
        Some(Event::Invalid(Box::new(Invalid::new(
            self.content,
            header,
            skip.condition,
            skip.text,
        ))))
    }

    fn flush_text(&mut self) -> Result<(), Stop> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        self.build(rxml::Event::Text(METRICS, text)).map(|_| ())
    }

    fn build(&mut self, event: rxml::Event) -> Result<Option<Built>, Stop> {
        let State::Building(builder) = &mut self.state else {
            return Ok(None);
        };
        let lang = self
            .langs
            .last()
            .map(|(_, lang)| lang.as_str())
            .filter(|lang| !lang.is_empty());
        builder
            .feed(event, &Context::empty().with_language(lang))
            .map_err(|error| unreadable(&error))
    }

    /// Tells what stands at the top of the stream.
    fn start(&mut self, name: QName, mut attributes: AttrMap) -> Result<Builder, Stop> {
        let kind = self.stanza.kind;
        let (namespace, local) = (&*name.0, name.1.as_str());
        if namespace != ns::JABBER_CLIENT {
            let known = NONZA_NAMESPACES.contains(&namespace)
                || (namespace == ns::STREAM && (local == "error" || (local == "features" && self.side == Side::Initiating)));
            return match kind {
                Some(_) => Err(StreamCondition::InvalidNamespace.into()),
                None if known => Ok(Builder::Nonza(ElementFromEvents::new(name, attributes))),
                None => Err(StreamCondition::UnsupportedStanzaType.into()),
            };
        }
        let Some(kind) = kind else {
            return if local == "handshake" && self.content == Content::Component {
                Ok(Builder::Nonza(ElementFromEvents::new(name, attributes)))
            } else {
                Err(StreamCondition::UnsupportedStanzaType.into())
            };
        };
        let lang = self
            .langs
            .last()
            .map(|(_, lang)| lang.as_str())
            .filter(|lang| !lang.is_empty());
        let context = Context::empty().with_language(lang);
        let started = match kind {
            StanzaKind::Message => {
                // RFC 6121 section 5.2.2: a type nobody knows is `normal`.
                if !matches!(
                    self.stanza.type_.as_deref(),
                    None | Some("chat" | "error" | "groupchat" | "headline" | "normal")
                ) {
                    attributes.remove(&rxml::Namespace::NONE, "type");
                }
                Message::from_events(name, attributes, &context).map(Builder::Message)
            }
            StanzaKind::Presence => Presence::from_events(name, attributes, &context).map(Builder::Presence),
            StanzaKind::Iq => Iq::from_events(name, attributes, &context).map(Builder::Iq),
        };
        started.map_err(|error| match error {
            FromEventsError::Invalid(error) => unreadable(&error),
            FromEventsError::Mismatch { .. } => StreamCondition::UnsupportedStanzaType.into(),
        })
    }

    /// Checks what only the declarations of the stream header tell (RFC 6120 section 4.8).
    fn check_stream_namespace(&self, head: &RawQName) -> Result<(), Stop> {
        match self.namespaces.declared_default() {
            Some(namespace) if namespace == self.content.namespace() => Ok(()),
            Some(ns::STREAM) if head.0.is_none() => Ok(()),
            None if head.0.is_some() => Ok(()),
            None | Some(_) => Err(StreamCondition::InvalidNamespace.into()),
        }
    }

    fn open_stream(&mut self, name: &QName, attributes: &AttrMap) -> Result<Event, Stop> {
        if name.0 != ns::STREAM {
            return Err(StreamCondition::InvalidNamespace.into());
        }
        if name.1.as_str() != "stream" {
            return Err(StreamCondition::BadFormat.into());
        }
        let plain = |name: &str| attributes.get(&rxml::Namespace::NONE, name).cloned();
        let version = plain("version");
        let header = Header {
            to: plain("to"),
            from: plain("from"),
            id: plain("id"),
            version: version.as_deref().and_then(Version::parse),
            lang: attributes.get(rxml::Namespace::xml(), "lang").cloned(),
        };
        if self.content == Content::Client && header.version.is_none_or(|version| version < Version::V1_0) {
            return Err(StreamCondition::UnsupportedVersion.into());
        }
        self.finish_stanza();
        Ok(Event::Opened(header))
    }
}

fn unreadable(error: &xso::error::Error) -> Stop {
    use xso::error::Error;
    // Errors of values may quote the value, which is the sender's own text but not for our log.
    let text: Cow<'static, str> = match error {
        Error::Other(text) => Cow::Borrowed(text),
        Error::TextParseError(_) => "a value is not of its type".into(),
        Error::XmlError(_) | Error::TypeMismatch => "not as its schema says".into(),
    };
    Stop::Stanza(StanzaCondition::BadRequest, text)
}
