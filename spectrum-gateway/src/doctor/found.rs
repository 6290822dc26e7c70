//! What was answered, as it was answered. The asking of one domain; no judgement.

use futures_util::future::join_all;
use futures_util::join;
use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::config::Config;
use spectrum_core::xml::element;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::{Asker, MOST_ACCOUNTS, MOST_SERVICES};
use crate::link::LinkError;
use crate::privilege::Grants;

/// Software version (XEP-0092).
pub(super) const VERSION: &str = "jabber:iq:version";

/// The answer to a question.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// A result with its payload.
    Result(Option<Element>),
    /// An error.
    Error(DefinedCondition),
    /// None within the time.
    Nothing,
}

impl Said {
    /// What is in the result.
    pub(super) fn element(&self) -> Option<&Element> {
        match self {
            Self::Result(payload) => payload.as_ref(),
            Self::Error(_) | Self::Nothing => None,
        }
    }
}

/// What became of a stanza in another's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The server ended the stream for it.
    Strict,
    /// The server passed it on.
    Lenient,
    /// Neither came to be seen.
    Unseen,
    /// It was not sent, because a strict server ends the link for it.
    NotTried,
}

/// All that was seen.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) jid: String,
    pub(super) place: String,
    pub(super) port: u16,
    /// Nothing where the first attempt has not ended.
    pub(super) link: Option<Result<(), LinkError>>,
    pub(super) domains: Vec<Domain>,
    pub(super) strictness: Strictness,
}

/// What was seen of one domain of users.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) domain: String,
    pub(super) version: Said,
    pub(super) info: Said,
    pub(super) items: Said,
    /// What each of its services says it is.
    pub(super) services: Vec<(String, Said)>,
    /// What accounts of users of ours say they have.
    pub(super) accounts: Vec<Said>,
    pub(super) grants: Option<Grants>,
}

impl Found {
    /// Nothing yet.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            jid: config.jid.to_string(),
            place: format!("{}:{}", config.gateway.server, config.gateway.port),
            port: config.gateway.port,
            link: None,
            domains: Vec::new(),
            strictness: Strictness::NotTried,
        }
    }
}

/// Asks one domain all there is to ask, at once what can be asked at once. Takes twice the patience at most.
pub(super) async fn survey(asker: &Asker, domain: &BareJid, users: &[BareJid]) -> Domain {
    let to = || Jid::from(domain.clone());
    let query = |namespace: &str| element("query", namespace, &[]);
    let accounts = users
        .iter()
        .filter(|user| user.domain() == domain.domain() && user.node().is_some())
        .take(MOST_ACCOUNTS)
        .map(|user| asker.ask(user.clone().into(), query(ns::DISCO_INFO)));
    let (version, info, items, accounts) = join!(
        asker.ask(to(), query(VERSION)),
        asker.ask(to(), query(ns::DISCO_INFO)),
        asker.ask(to(), query(ns::DISCO_ITEMS)),
        join_all(accounts),
    );
    let found: Vec<Jid> = items
        .element()
        .into_iter()
        .flat_map(Element::children)
        .filter(|item| item.is("item", ns::DISCO_ITEMS) && item.attr("node").is_none())
        .filter_map(|item| Jid::new(item.attr("jid")?).ok())
        // Whom nobody has to ask is us.
        .filter(|jid| jid.node().is_none() && jid.domain() != asker.transport().domain())
        .take(MOST_SERVICES)
        .collect();
    let asked = found.iter().map(|jid| asker.ask(jid.clone(), query(ns::DISCO_INFO)));
    let services = join_all(asked).await;
    Domain {
        domain: domain.to_string(),
        version,
        info,
        items,
        services: found.iter().map(ToString::to_string).zip(services).collect(),
        accounts,
        grants: None,
    }
}
