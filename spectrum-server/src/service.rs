//! Requests to the server itself and to the user's own account that need no session. Those to the server are answered by
//! the services that every instance has; what is here are the account's, and the session request of RFC 3921. Stateless.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jid::BareJid;
use minidom::Element;
use spectrum_core::backend::BackendInfo;
use spectrum_core::face::To;
use spectrum_core::model::Timestamp;
use spectrum_core::service::{Answer, ServiceCx, Services, refuse, reply};
use spectrum_core::stanza::Stanza;
use spectrum_core::xml::element;
use tokio::time::Instant;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

/// RFC 3921's session establishment, which does nothing since RFC 6121.
pub(crate) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// Last activity (XEP-0012).
const LAST: &str = "jabber:iq:last";

/// What the server can do besides answering for itself: streams, accounts and sessions see to it.
const ELSEWHERE: &[&str] = &[ns::CARBONS, ns::ROSTER];

/// What the user's own account says it can do.
const ACCOUNT: &[&str] = &[ns::DISCO_INFO, ns::DISCO_ITEMS, ns::CARBONS, ns::PING, ns::ROSTER, ns::VCARD];

/// Whether a request to the server or to the user's own account is answered here; anything else is the session's, which
/// knows the rooms of the network among other things.
pub(crate) fn is_served(payload: &Element, to: &To) -> bool {
    match (payload.ns().as_str(), to) {
        (ns::PING | ns::DISCO_INFO | ns::CARBONS | SESSION | ns::BIND, To::Transport | To::Account) => true,
        (ns::VERSION | ns::TIME | ns::VCARD | LAST, To::Transport) => true,
        (ns::DISCO_ITEMS, To::Account) => true,
        (_, To::Transport | To::Account | To::Peer { .. }) => false,
    }
}

/// What is known of the network at the moment.
pub(crate) type Network = Box<dyn Fn() -> Option<Arc<BackendInfo>> + Send + Sync>;

/// Answers for the server and for accounts.
pub(crate) struct Answers {
    services: Services,
    domain: BareJid,
    name: String,
    network: Network,
    started: Instant,
}

impl Answers {
    /// For a server of this domain and name.
    pub(crate) fn new(domain: BareJid, name: String, network: Network) -> Self {
        Self {
            services: Services::new().announcing(ELSEWHERE),
            domain,
            name,
            network,
            started: Instant::now(),
        }
    }

    /// Answers a request that [`is_served`] but changes nothing.
    pub(crate) fn answer(&self, request: &Stanza) -> Option<Stanza> {
        let Stanza::Iq(iq) = request else { return None };
        let to_account = iq.to().is_none_or(|to| to.node().is_some());
        let (is_get, payload) = match iq {
            Iq::Get { payload, .. } => (true, payload),
            Iq::Set { payload, .. } => (false, payload),
            Iq::Result { .. } | Iq::Error { .. } => return None,
        };
        if payload.has_ns(SESSION) || payload.has_ns(ns::BIND) {
            return Some(reply(iq, about_stream(is_get, payload)));
        }
        if to_account {
            return Some(reply(iq, about_account(is_get, payload)));
        }
        let info = (self.network)();
        let cx = ServiceCx {
            transport: &self.domain,
            name: &self.name,
            category: "server",
            kind: "im",
            info: info.as_deref(),
            wall: wall(),
            uptime: self.started.elapsed(),
        };
        self.services.answer(iq, &cx)
    }
}

/// Requests of the stream's negotiation that come late.
fn about_stream(is_get: bool, payload: &Element) -> Answer {
    match (is_get, payload.has_ns(SESSION)) {
        (false, true) => Ok(None),
        (false, false) => refuse(DefinedCondition::NotAllowed, "This stream has its resource."),
        (true, _) => refuse(DefinedCondition::BadRequest, ""),
    }
}

fn about_account(is_get: bool, payload: &Element) -> Answer {
    if !is_get {
        return refuse(DefinedCondition::FeatureNotImplemented, "");
    }
    match (payload.name(), payload.ns().as_str()) {
        ("ping", ns::PING) => Ok(None),
        ("query", ns::DISCO_INFO | ns::DISCO_ITEMS) if payload.attr("node").is_some_and(|node| !node.is_empty()) => {
            refuse(DefinedCondition::ItemNotFound, "")
        }
        ("query", ns::DISCO_INFO) => {
            let mut query = element("query", ns::DISCO_INFO, &[]);
            let identity = [("category", "account"), ("type", "registered")];
            query.append_child(element("identity", ns::DISCO_INFO, &identity));
            for feature in ACCOUNT {
                query.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
            }
            Ok(Some(query))
        }
        ("query", ns::DISCO_ITEMS) => Ok(Some(element("query", ns::DISCO_ITEMS, &[]))),
        _ => refuse(DefinedCondition::FeatureNotImplemented, ""),
    }
}

fn wall() -> Timestamp {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
