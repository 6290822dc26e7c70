//! What a contact can do, as service discovery says it (XEP-0030) and as its presence announces it (XEP-0115). Both come
//! from the network's capabilities by one function, so that they never disagree.

use minidom::Element;
use xmpp_parsers::ns;

use crate::backend::BackendInfo;
use crate::model::Capability;
use crate::session::conversation::files;
use crate::session::payload;
use crate::xml::{element, set};

/// Names this software in capabilities; a name, not an address.
const NODE: &str = "urn:spectrum:contact";
/// What a contact is.
const CATEGORY: &str = "client";
const TYPE: &str = "pc";

/// The features of a contact, sorted as XEP-0115 5.1 wants it.
fn features(info: &BackendInfo) -> Vec<&'static str> {
    let always = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::VERSION,
        ns::PING,
        ns::OOB,
        files::SHARING,
        payload::LAST,
    ];
    let by_capability = [
        (Capability::Profiles, ns::VCARD),
        (Capability::ChatStates, ns::CHATSTATES),
        (Capability::Receipts, ns::RECEIPTS),
        (Capability::Markers, ns::DISPLAYED_MARKERS),
        (Capability::Attention, ns::ATTENTION),
        (Capability::Edits, ns::MESSAGE_CORRECT),
        (Capability::Retractions, payload::RETRACT),
        (Capability::Reactions, ns::REACTIONS),
        (Capability::Replies, payload::REPLY),
        (Capability::Xhtml, ns::XHTML_IM),
    ];
    let mut features: Vec<&'static str> = by_capability
        .into_iter()
        .filter(|(capability, _)| info.capabilities.has(*capability))
        .map(|(_, feature)| feature)
        .chain(always)
        .collect();
    features.sort_unstable();
    features
}

/// The verification string (XEP-0115 5).
pub(crate) fn version(info: &BackendInfo) -> String {
    let mut text = format!("{CATEGORY}/{TYPE}//{}<", info.name);
    for feature in features(info) {
        text.push_str(feature);
        text.push('<');
    }
    payload::base64(&payload::sha1(text.as_bytes()))
}

/// What goes with the presence of a contact.
pub(crate) fn announcement(version: &str) -> Element {
    element("c", ns::CAPS, &[("hash", "sha-1"), ("node", NODE), ("ver", version)])
}

/// The answer to disco#info of a contact; `None` if it has no such node.
pub(crate) fn disco(info: &BackendInfo, node: Option<&str>) -> Option<Element> {
    let mut query = element("query", ns::DISCO_INFO, &[]);
    if let Some(node) = node {
        if node != format!("{NODE}#{}", version(info)) {
            return None;
        }
        set(&mut query, "node", node);
    }
    query.append_child(element(
        "identity",
        ns::DISCO_INFO,
        &[("category", CATEGORY), ("type", TYPE), ("name", &info.name)],
    ));
    for feature in features(info) {
        query.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
    }
    Some(query)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use xmpp_parsers::caps::{compute_disco, hash_caps};
    use xmpp_parsers::disco::DiscoInfoResult;
    use xmpp_parsers::hashes::Algo;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_answer() {
        let info = BackendInfo::new("IRC & more", "irc").capabilities(&[
            Capability::ChatStates,
            Capability::Profiles,
            Capability::Edits,
        ]);
        let answer = DiscoInfoResult::try_from(disco(&info, None).unwrap()).unwrap();
        let hash = hash_caps(&compute_disco(&answer), Algo::Sha_1).unwrap();
        assert_eq!(version(&info), payload::base64(&hash.hash));
        assert_eq!(
            disco(&info, Some(&format!("{NODE}#{}", version(&info))))
                .unwrap()
                .attr("node"),
            Some(&*format!("{NODE}#{}", version(&info)))
        );
        assert_eq!(disco(&info, Some("other")), None);
    }

    #[test]
    fn what_the_network_cannot_do_is_not_announced() {
        let none = BackendInfo::new("N", "n");
        assert!(!features(&none).contains(&ns::CHATSTATES));
        assert!(features(&none.capabilities(&[Capability::ChatStates])).contains(&ns::CHATSTATES));
    }
}
