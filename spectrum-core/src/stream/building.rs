//! What is kept of the stanza at hand: the tree that is being built, and its header in case it is lost. Owned by the reader.

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;
use xso::minidom_compat::ElementFromEvents;
use xso::{Context, FromEventsBuilder, FromXml};

use super::kind::StanzaKind;
use crate::stanza::Stanza;

/// What is known of the stanza at hand. Its strings are reused.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) bytes: usize,
    pub(super) elements: usize,
    pub(super) children: usize,
    pub(super) kind: Option<StanzaKind>,
    pub(super) from: Captured,
    pub(super) to: Captured,
    pub(super) type_: Captured,
    pub(super) id: Captured,
}

#[derive(Default)]
pub(super) struct Captured {
    present: bool,
    value: String,
}

impl Captured {
    pub(super) fn set(&mut self, value: &str) {
        self.present = true;
        self.value.clear();
        self.value.push_str(value);
    }

    pub(super) fn as_deref(&self) -> Option<&str> {
        self.present.then_some(self.value.as_str())
    }

    pub(super) fn take(&mut self) -> Option<String> {
        std::mem::take(&mut self.present).then(|| std::mem::take(&mut self.value))
    }
}

impl Progress {
    pub(super) fn restart(&mut self, name: &str) {
        self.elements = 0;
        self.children = 0;
        self.kind = StanzaKind::from_name(name);
        for captured in [&mut self.from, &mut self.to, &mut self.type_, &mut self.id] {
            captured.present = false;
        }
    }

    /// Gives the memory of its strings back.
    pub(super) fn release(&mut self) {
        for captured in [&mut self.from, &mut self.to, &mut self.type_, &mut self.id] {
            *captured = Captured::default();
        }
    }

    pub(super) fn capture(&mut self, name: &str, value: &str) {
        match name {
            "from" => self.from.set(value),
            "to" => self.to.set(value),
            "type" => self.type_.set(value),
            "id" => self.id.set(value),
            _ => {}
        }
    }
}

pub(super) enum Builder {
    Message(<Message as FromXml>::Builder),
    Presence(<Presence as FromXml>::Builder),
    Iq(<Iq as FromXml>::Builder),
    Nonza(ElementFromEvents),
}

pub(super) enum Built {
    Stanza(Stanza),
    Nonza(Element),
}

impl Builder {
    pub(super) fn feed(&mut self, event: rxml::Event, context: &Context<'_>) -> Result<Option<Built>, xso::error::Error> {
        Ok(match self {
            Self::Message(builder) => builder.feed(event, context)?.map(|it| Built::Stanza(Stanza::Message(it))),
            Self::Presence(builder) => builder.feed(event, context)?.map(|it| Built::Stanza(Stanza::Presence(it))),
            Self::Iq(builder) => builder.feed(event, context)?.map(|it| Built::Stanza(Stanza::Iq(it))),
            Self::Nonza(builder) => builder.feed(event, context)?.map(Built::Nonza),
        })
    }
}
