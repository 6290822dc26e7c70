//! Privileged entity (XEP-0356): what servers grant us, and how to speak with a grant. Pure.
//!
//! `urn:xmpp:privilege:2`, and `:1` as servers before 2022 speak it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use jid::{BareJid, Jid};
use minidom::Element;
use serde::{Deserialize, Serialize};
use spectrum_core::stanza::Stanza;
use spectrum_core::xml::element;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;

/// The namespace of today.
const V2: &str = "urn:xmpp:privilege:2";
/// The namespace of ejabberd before 24 and of Prosody modules before 2022.
const V1: &str = "urn:xmpp:privilege:1";
/// In front of the ids of what we say in a user's name, by which it is known when it comes back to us.
const OWN: &str = "spectrum-own-";

/// Which version of the protocol a server speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Version {
    /// `urn:xmpp:privilege:1`
    V1,
    /// `urn:xmpp:privilege:2`
    #[default]
    V2,
}

impl Version {
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::V1 => V1,
            Self::V2 => V2,
        }
    }
}

/// What may be done in some respect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// Read.
    Get,
    /// Write.
    Set,
    /// Both.
    Both,
}

impl Access {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("get") => Self::Get,
            Some("set") => Self::Set,
            Some("both") => Self::Both,
            Some(_) | None => Self::None,
        }
    }

    /// Whether reading is allowed.
    pub fn can_get(self) -> bool {
        matches!(self, Self::Get | Self::Both)
    }

    /// Whether writing is allowed.
    pub fn can_set(self) -> bool {
        matches!(self, Self::Set | Self::Both)
    }
}

/// What a domain has granted us over its users.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Grants {
    /// The version to speak.
    #[serde(default)]
    pub version: Version,
    /// Their rosters.
    #[serde(default)]
    pub roster: Access,
    /// Messages in their names.
    #[serde(default)]
    pub messages: bool,
    /// Their presence is shown to us, whether or not it is meant for us.
    #[serde(default)]
    pub presence: bool,
    /// Requests in their names, by namespace.
    #[serde(default)]
    pub requests: BTreeMap<String, Access>,
}

impl Grants {
    /// Reads what a server says it grants; `None` if the message says nothing of that. One without any permission takes
    /// everything back.
    pub fn read(message: &Message) -> Option<Self> {
        if message.type_ == MessageType::Error {
            return None;
        }
        let said = message
            .payloads
            .iter()
            .find(|payload| payload.name() == "privilege" && version(payload).is_some())?;
        if said.get_child("forwarded", ns::FORWARD).is_some() {
            return None;
        }
        let mut grants = Self {
            version: version(said)?,
            ..Self::default()
        };
        for perm in said.children().filter(|child| child.name() == "perm") {
            match perm.attr("access") {
                Some("roster") => grants.roster = Access::parse(perm.attr("type")),
                Some("message") => grants.messages = perm.attr("type") == Some("outgoing"),
                Some("presence") => grants.presence = matches!(perm.attr("type"), Some("managed_entity" | "roster")),
                Some("iq") => grants.read_namespaces(perm, 8),
                Some(_) | None => {}
            }
        }
        Some(grants)
    }

    /// COMPAT: Prosody 0.12 (Debian 12) puts each `<namespace/>` inside the one before it.
    fn read_namespaces(&mut self, inside: &Element, levels: u8) {
        const MOST: usize = 64;
        for namespace in inside.children().filter(|child| child.name() == "namespace") {
            if let Some(ns) = namespace.attr("ns")
                && self.requests.len() < MOST
            {
                self.requests.insert(ns.to_owned(), Access::parse(namespace.attr("type")));
            }
            if let Some(levels) = levels.checked_sub(1) {
                self.read_namespaces(namespace, levels);
            }
        }
    }

    /// What may be asked in users' names in this namespace. Version 1 of the protocol knows no such thing.
    pub fn request(&self, namespace: &str) -> Access {
        match self.version {
            Version::V2 => self.requests.get(namespace).copied().unwrap_or_default(),
            Version::V1 => Access::None,
        }
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                version: self.version,
                ..Self::default()
            }
    }
}

fn version(element: &Element) -> Option<Version> {
    if element.has_ns(V2) {
        Some(Version::V2)
    } else if element.has_ns(V1) {
        Some(Version::V1)
    } else {
        None
    }
}

/// A message in the user's own name, which their server delivers, copies to their other devices and archives (XEP-0356
/// 5.3). It comes back to us, for its addressee is ours.
pub(crate) fn forwarded(transport: &Jid, user: &BareJid, mut message: Message) -> Stanza {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    message.from = Some(user.clone().into());
    message.payloads.retain(|payload| !payload.is("origin-id", ns::SID));
    let id = message
        .id
        .as_ref()
        .map_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed).to_string(), |id| id.0.clone());
    message
        .payloads
        .push(element("origin-id", ns::SID, &[("id", &format!("{OWN}{id}"))]));
    let forwarded = Element::builder("forwarded", ns::FORWARD)
        .append(Element::from(message))
        .build();
    let mut outer = Message::new_with_type(MessageType::Normal, domain(user));
    outer.from = Some(transport.clone());
    outer
        .payloads
        .push(Element::builder("privilege", V2).append(forwarded).build());
    outer.into()
}

/// Whether a stanza is what [`forwarded`] makes.
pub(crate) fn is_forwarded(message: &Message) -> bool {
    message
        .payloads
        .iter()
        .any(|payload| payload.is("privilege", V2) && payload.has_child("forwarded", ns::FORWARD))
}

/// A request in a user's name as the payload of one to their server (XEP-0356 6.2).
pub(crate) fn wrapped(request: impl Into<Element>) -> Element {
    Element::builder("privileged_iq", V2).append(request.into()).build()
}

/// The answer to such a request, in what their server answers.
pub(crate) fn unwrapped(payload: &Element) -> Option<Element> {
    if !payload.is("privilege", V2) {
        return None;
    }
    payload.get_child("forwarded", ns::FORWARD)?.children().next().cloned()
}

/// The same in the version of the server.
pub(crate) fn in_version(mut message: Message, version: Version) -> Message {
    if version != Version::V2 {
        for payload in message.payloads.iter_mut().filter(|payload| payload.is("privilege", V2)) {
            let children = payload.take_nodes();
            *payload = Element::builder("privilege", version.namespace())
                .append_all(children)
                .build();
        }
    }
    message
}

/// Whether a user's message is one that we said in their name. They could write such an id themselves: then we ignore
/// what they say, which harms nobody else.
pub(crate) fn is_own(message: &Message) -> bool {
    message
        .payloads
        .iter()
        .any(|payload| payload.is("origin-id", ns::SID) && payload.attr("id").is_some_and(|id| id.starts_with(OWN)))
}

fn domain(user: &BareJid) -> Jid {
    BareJid::from_parts(None, user.domain()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(payload: &str) -> Message {
        let xml = format!("<message xmlns='jabber:client' from='localhost' to='irc.localhost'>{payload}</message>");
        Message::try_from(xml.parse::<Element>().unwrap()).unwrap()
    }

    #[test]
    fn both_versions_are_read() {
        for (namespace, version) in [(V2, Version::V2), (V1, Version::V1)] {
            let said = message(&format!(
                "<privilege xmlns='{namespace}'><perm access='roster' type='both' push='true'/><perm access='message' type='outgoing'/><perm access='presence' type='managed_entity'/></privilege>"
            ));
            let expected = Grants {
                version,
                roster: Access::Both,
                messages: true,
                presence: true,
                ..Grants::default()
            };
            assert_eq!(Grants::read(&said), Some(expected));
        }
    }

    #[test]
    fn nested_namespaces_are_all_taken() {
        let said = message(
            "<privilege xmlns='urn:xmpp:privilege:2'><perm access='iq'><namespace ns='a' type='get'><namespace ns='b' type='both'/></namespace><namespace ns='c' type='set'/></perm></privilege>",
        );
        let requests = Grants::read(&said).unwrap().requests;
        let expected = [("a", Access::Get), ("b", Access::Both), ("c", Access::Set)];
        assert_eq!(requests, expected.map(|(ns, access)| (ns.to_owned(), access)).into());
    }

    #[test]
    fn empty_privilege_takes_everything_back() {
        assert!(
            Grants::read(&message("<privilege xmlns='urn:xmpp:privilege:2'/>"))
                .unwrap()
                .is_empty()
        );
        assert_eq!(Grants::read(&message("<body>privilege</body>")), None);
    }

    #[test]
    fn unknown_words_grant_nothing() {
        let said = message(
            "<privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='all'/><perm access='message' type='incoming'/><perm/><x/></privilege>",
        );
        assert!(Grants::read(&said).unwrap().is_empty());
    }

    #[test]
    fn what_we_say_for_a_user_is_known_when_it_comes_back() {
        let user = BareJid::new("romeo@localhost").unwrap();
        let transport = Jid::new("irc.localhost").unwrap();
        let mut said = message("<body>hi</body>");
        said.to = Some(Jid::new("nurse@irc.localhost").unwrap());
        let Stanza::Message(outer) = forwarded(&transport, &user, said) else {
            panic!("not a message")
        };
        assert!(is_forwarded(&outer) && outer.to == Some(Jid::new("localhost").unwrap()));
        let old = in_version(outer.clone(), Version::V1);
        assert!(old.payloads[0].is("privilege", V1) && old.payloads[0].has_child("forwarded", ns::FORWARD));
        let inner = outer.payloads[0]
            .get_child("forwarded", ns::FORWARD)
            .unwrap()
            .children()
            .next()
            .unwrap();
        let inner = Message::try_from(inner.clone()).unwrap();
        assert_eq!(inner.from, Some(user.into()));
        assert!(is_own(&inner) && !is_own(&message("<body>hi</body>")));
    }

    #[test]
    fn grants_survive_storage() {
        let grants = Grants {
            roster: Access::Both,
            messages: true,
            ..Grants::default()
        };
        let text = serde_json::to_string(&grants).unwrap();
        assert_eq!(serde_json::from_str::<Grants>(&text).unwrap(), grants);
        assert_eq!(serde_json::from_str::<Grants>("{}").unwrap(), Grants::default());
    }
}
