//! Requests to the server itself and to the user's own account that need no session: discovery (XEP-0030), ping
//! (XEP-0199), version (XEP-0092), time (XEP-0202), and the session request of RFC 3921. Stateless; answers come from the
//! configuration.

use std::time::{SystemTime, UNIX_EPOCH};

use minidom::Element;
use spectrum_core::face::To;
use spectrum_core::model::Timestamp;
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::xml::{date_time, element, text_element};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

/// RFC 3921's session establishment, which does nothing since RFC 6121.
pub(crate) const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";

/// What the server's own discovery says.
const FEATURES: &[&str] = &[
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::CARBONS,
    ns::PING,
    ns::ROSTER,
    ns::TIME,
    ns::VCARD,
    ns::VERSION,
];

/// Whether a request to the server or to the user's own account is answered here; anything else is the session's.
pub(crate) fn is_served(payload: &Element, to: &To) -> bool {
    let namespace = payload.ns();
    match (namespace.as_str(), to) {
        (ns::PING | ns::DISCO_INFO | ns::CARBONS | SESSION | ns::BIND, To::Transport | To::Account) => true,
        (ns::VERSION | ns::TIME, To::Transport) => true,
        (ns::DISCO_ITEMS, To::Account) => true,
        (_, To::Transport | To::Account | To::Peer { .. }) => false,
    }
}

/// How the server introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// For people.
    pub(crate) name: String,
}

/// Answers a request that [`is_served`] but changes nothing.
pub(crate) fn answer(identity: &Identity, request: &Stanza) -> Option<Stanza> {
    let Stanza::Iq(iq) = request else { return None };
    match iq {
        Iq::Get { payload, .. } => match get(identity, iq, payload) {
            Ok(result) => request.result_reply(Some(result)),
            Err(Some(condition)) => request.error_reply(error(condition, "")),
            Err(None) => request.result_reply(None),
        },
        Iq::Set { payload, .. } if payload.has_ns(SESSION) => request.result_reply(None),
        Iq::Set { payload, .. } if payload.has_ns(ns::BIND) => {
            request.error_reply(error(DefinedCondition::NotAllowed, "This stream has its resource."))
        }
        Iq::Set { .. } => request.error_reply(error(DefinedCondition::FeatureNotImplemented, "")),
        Iq::Result { .. } | Iq::Error { .. } => None,
    }
}

/// The result, or an error, or a result that is empty.
fn get(identity: &Identity, iq: &Iq, payload: &Element) -> Result<Element, Option<DefinedCondition>> {
    let to_account = iq.to().is_none_or(|to| to.node().is_some());
    match (payload.name(), payload.ns().as_str()) {
        ("ping", ns::PING) => Err(None),
        ("query", ns::DISCO_INFO | ns::DISCO_ITEMS) if payload.attr("node").is_some_and(|node| !node.is_empty()) => {
            Err(Some(DefinedCondition::ItemNotFound))
        }
        ("query", ns::DISCO_INFO) if to_account => Ok(info(&[("category", "account"), ("type", "registered")], &FEATURES[..3])),
        ("query", ns::DISCO_INFO) => Ok(info(
            &[("category", "server"), ("type", "im"), ("name", identity.name.as_str())],
            FEATURES,
        )),
        ("query", ns::DISCO_ITEMS) => Ok(element("query", ns::DISCO_ITEMS, &[])),
        ("query", ns::VERSION) => {
            let mut query = element("query", ns::VERSION, &[]);
            query.append_child(text_element("name", ns::VERSION, "Spectrum"));
            query.append_child(text_element("version", ns::VERSION, env!("CARGO_PKG_VERSION")));
            Ok(query)
        }
        ("time", ns::TIME) => {
            let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let now = Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
            let mut time = element("time", ns::TIME, &[]);
            time.append_child(text_element("tzo", ns::TIME, "+00:00"));
            time.append_child(text_element("utc", ns::TIME, &date_time(now)));
            Ok(time)
        }
        _ => Err(Some(DefinedCondition::FeatureNotImplemented)),
    }
}

fn info(identity: &[(&str, &str)], features: &[&str]) -> Element {
    let mut query = element("query", ns::DISCO_INFO, &[]);
    query.append_child(element("identity", ns::DISCO_INFO, identity));
    for feature in features {
        query.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
    }
    query
}
