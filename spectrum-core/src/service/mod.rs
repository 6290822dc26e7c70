//! Stanzas addressed to the transport itself, one file per XEP. Stateless: what an answer needs is in [`ServiceCx`].
//!
//! Which services an instance has is decided by who registers them; discovery announces exactly those.

mod disco;
mod last;
mod ping;
mod prompt;
mod time;
mod vcard;
mod version;

use std::time::Duration;

use jid::{BareJid, Jid};
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use crate::backend::BackendInfo;
use crate::model::Timestamp;
use crate::stanza::{Stanza, error};

pub use disco::Disco;
pub use last::LastActivity;
pub use ping::Ping;
pub use prompt::Prompt;
pub use time::EntityTime;
pub use vcard::TransportCard;
pub use version::SoftwareVersion;

/// What a service may look at.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCx<'a> {
    /// The transport.
    pub transport: &'a BareJid,
    /// Its name for people.
    pub name: &'a str,
    /// Its category in discovery.
    pub category: &'a str,
    /// Its type in discovery.
    pub kind: &'a str,
    /// The network, as last known.
    pub info: Option<&'a BackendInfo>,
    /// The wall clock.
    pub wall: Timestamp,
    /// How long the instance has been running.
    pub uptime: Duration,
}

/// A request to the transport.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub from: &'a Jid,
    /// Whether something is to be read or changed.
    pub action: Action,
    /// What is asked.
    pub payload: &'a Element,
}

/// Whether something is to be read or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// `type='get'`
    Get,
    /// `type='set'`
    Set,
}

/// The answer to a request: the payload of the result, if it has one, or an error.
pub type Answer = Result<Option<Element>, Box<StanzaError>>;

/// One thing the transport can be asked. Answers at once and from what it is given.
pub trait Service: Send + Sync {
    /// What discovery announces for it.
    fn features(&self) -> &'static [&'static str];

    /// Answers, or leaves it to another service.
    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer>;
}

/// The services of one instance.
pub struct Services {
    list: Vec<Box<dyn Service>>,
    disco: Disco,
}

impl Services {
    /// What every instance answers: discovery, version, time, last activity, ping, its own card.
    pub fn new() -> Self {
        let list: Vec<Box<dyn Service>> = vec![
            Box::new(SoftwareVersion),
            Box::new(EntityTime),
            Box::new(LastActivity),
            Box::new(Ping),
            Box::new(TransportCard),
        ];
        let mut disco = Disco::default();
        for service in &list {
            disco.announce(service.features());
        }
        Self { list, disco }
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, service: impl Service + 'static) -> Self {
        self.disco.announce(service.features());
        self.list.push(Box::new(service));
        self
    }

    /// Announces what is answered elsewhere.
    #[must_use]
    pub fn announcing(mut self, features: &[&'static str]) -> Self {
        self.disco.announce(features);
        self
    }

    /// Tells clients where to look for outages (XEP-0455).
    #[must_use]
    pub fn telling_outages_at(mut self, addresses: &[String]) -> Self {
        self.disco.tell_outages_at(addresses);
        self
    }

    /// Tells who is reached where (XEP-0157): what for, such as `admin-addresses`, and addresses.
    #[must_use]
    pub fn telling_contacts(mut self, contacts: &[(&'static str, &[String])]) -> Self {
        self.disco.tell_contacts(contacts);
        self
    }

    /// The answer to a request: every `get` and `set` has one. `None` for results and errors, and without a sender.
    pub fn answer(&self, iq: &Iq, cx: &ServiceCx<'_>) -> Option<Stanza> {
        let (action, payload) = match iq {
            Iq::Get { payload, .. } => (Action::Get, payload),
            Iq::Set { payload, .. } => (Action::Set, payload),
            Iq::Result { .. } | Iq::Error { .. } => return None,
        };
        let request = Request {
            from: iq.from()?,
            action,
            payload,
        };
        let answer = self
            .disco
            .answer(&request, cx)
            .or_else(|| self.list.iter().find_map(|service| service.answer(&request, cx)))
            .unwrap_or_else(|| refuse(DefinedCondition::ServiceUnavailable, ""));
        Some(reply(iq, answer))
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}

/// Addresses an answer to whoever sent the request.
pub fn reply(request: &Iq, answer: Answer) -> Stanza {
    let (from, to, id) = (request.to().cloned(), request.from().cloned(), request.id().to_owned());
    Stanza::Iq(match answer {
        Ok(payload) => Iq::Result { from, to, id, payload },
        Err(error) => Iq::Error {
            from,
            to,
            id,
            error: *error,
            payload: None,
        },
    })
}

/// An answer that says no.
pub fn refuse(condition: DefinedCondition, text: &str) -> Answer {
    Err(Box::new(error(condition, text)))
}

#[cfg(test)]
mod tests;
