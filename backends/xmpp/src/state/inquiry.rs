//! Questions of others, answered: what this client is (XEP-0030, XEP-0115), its version (XEP-0092), whether it is there
//! (XEP-0199). Whoever asks anything else is told that it is not known here.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use sha1::{Digest, Sha1};

use super::refusal;
use crate::ns;
use crate::xml::{element, iq, text_element};

/// What names the program in its capabilities.
const NODE: &str = "https://github.com/spectrum-transport/spectrum";

const NAME: &str = "Spectrum";

/// What is understood, sorted. `+notify` asks contacts' servers for what they publish (XEP-0163).
const FEATURES: [&str; 16] = [
    ns::CAPS,
    ns::CHAT_STATES,
    ns::DISCO_INFO,
    ns::MUC,
    ns::CONFERENCE,
    ns::VERSION,
    ns::ATTENTION,
    "urn:xmpp:avatar:metadata+notify",
    "urn:xmpp:bookmarks:1+notify",
    ns::MARKERS,
    ns::CORRECT,
    ns::RETRACT,
    ns::PING,
    ns::REACTIONS,
    ns::RECEIPTS,
    ns::REPLY,
];

/// The hash of all that (XEP-0115 5.1).
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut text = format!("client/pc//{NAME}<");
    let mut features = FEATURES;
    features.sort_unstable();
    for feature in features {
        text.push_str(feature);
        text.push('<');
    }
    STANDARD.encode(Sha1::digest(text.as_bytes()))
});

/// What presence says of it.
pub(crate) fn caps() -> Element {
    element("c", ns::CAPS, &[("hash", "sha-1"), ("node", NODE), ("ver", &HASH)])
}

/// The answer to a question.
pub(super) fn answer(stanza: &Element, id: &str) -> Element {
    let to = stanza.attr("from");
    if let Some(query) = stanza.get_child("query", ns::DISCO_INFO) {
        let node = query.attr("node");
        let own = format!("{NODE}#{}", *HASH);
        if node.is_some_and(|node| node != own) {
            return refusal(stanza, id, "cancel", "item-not-found");
        }
        let mut info = element("query", ns::DISCO_INFO, &[]);
        if let Some(node) = node {
            crate::xml::set(&mut info, "node", node);
        }
        info.append_child(element(
            "identity",
            ns::DISCO_INFO,
            &[("category", "client"), ("type", "pc"), ("name", NAME)],
        ));
        for feature in FEATURES {
            info.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
        }
        return iq("result", to, id, Some(info));
    }
    if stanza.has_child("query", ns::DISCO_ITEMS) {
        return iq("result", to, id, Some(element("query", ns::DISCO_ITEMS, &[])));
    }
    if stanza.has_child("ping", ns::PING) {
        return iq("result", to, id, None);
    }
    if stanza.has_child("query", ns::VERSION) {
        let mut version = element("query", ns::VERSION, &[]);
        version.append_child(text_element("name", ns::VERSION, NAME));
        version.append_child(text_element("version", ns::VERSION, env!("CARGO_PKG_VERSION")));
        return iq("result", to, id, Some(version));
    }
    refusal(stanza, id, "cancel", "service-unavailable")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ask(payload: &str) -> Element {
        let xml = format!("<iq xmlns='jabber:client' type='get' id='i1' from='bob@b.example/x'>{payload}</iq>");
        answer(&xml.parse().unwrap(), "i1")
    }

    #[test]
    fn the_hash_in_presence_is_that_of_the_answer() {
        let info = ask(&format!(
            "<query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}#{}'/>",
            *HASH
        ));
        let query = info.get_child("query", ns::DISCO_INFO).unwrap();
        let mut features: Vec<_> = query.children().filter_map(|c| c.attr("var")).collect();
        features.sort_unstable();
        features.dedup();
        assert_eq!(features.len(), FEATURES.len());
        let text: String = features.iter().map(|f| format!("{f}<")).collect();
        let hash = STANDARD.encode(Sha1::digest(format!("client/pc//{NAME}<{text}").as_bytes()));
        assert_eq!(caps().attr("ver"), Some(hash.as_str()));
    }

    #[test]
    fn every_question_has_an_answer() {
        assert_eq!(
            ask("<ping xmlns='urn:xmpp:ping'/>"),
            iq("result", Some("bob@b.example/x"), "i1", None)
        );
        assert_eq!(ask("<query xmlns='jabber:iq:version'/>").attr("type"), Some("result"));
        assert_eq!(
            ask("<query xmlns='http://jabber.org/protocol/disco#items'/>").attr("type"),
            Some("result")
        );
        let other = "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>";
        assert_eq!(ask(other).attr("type"), Some("error"));
        let unknown = "<iq xmlns='jabber:client' type='error' to='bob@b.example/x' id='i1'><error type='cancel'>\
                       <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
        assert_eq!(ask("<query xmlns='urn:example'/>"), unknown.parse().unwrap());
    }
}
