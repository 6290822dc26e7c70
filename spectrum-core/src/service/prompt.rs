//! `jabber:iq:gateway` (XEP-0100 section 6.3): what a contact's name is called, and the JID for a name. Stateless.

use jid::{BareJid, NodePart};
use minidom::Element;
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::service::{Action, Answer, Request, Service, ServiceCx, refuse};
use crate::xml::text_element;

const NS: &str = "jabber:iq:gateway";

/// Turns names of the network into JIDs.
///
/// The mapping is the pure one: an instance's session may know the contact under another localpart, which the user then
/// sees in the roster.
#[derive(Clone, Copy, Debug)]
pub struct Prompt;

impl Service for Prompt {
    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn answer(&self, request: &Request<'_>, cx: &ServiceCx<'_>) -> Option<Answer> {
        if !request.payload.is("query", NS) {
            return None;
        }
        Some(match request.action {
            Action::Get => Ok(Some(question(cx))),
            Action::Set => match request.payload.get_child("prompt", NS).map(Element::text) {
                Some(name) if !name.trim().is_empty() => match jid(name.trim(), cx) {
                    Some(jid) => Ok(Some(
                        Element::builder("query", NS)
                            .append(text_element("jid", NS, jid.as_str()))
                            .build(),
                    )),
                    None => refuse(DefinedCondition::NotAcceptable, "This cannot be the name of a contact."),
                },
                Some(_) | None => refuse(DefinedCondition::BadRequest, "There is no name."),
            },
        })
    }
}

fn question(cx: &ServiceCx<'_>) -> Element {
    let label = cx.info.map_or("Contact", |info| info.contact_prompt.as_str());
    let network = cx.info.map_or(cx.name, |info| info.name.as_str());
    Element::builder("query", NS)
        .append(text_element(
            "desc",
            NS,
            &format!("Enter the name of the person on {network} whom you want to add."),
        ))
        .append(text_element("prompt", NS, label))
        .build()
}

fn jid(name: &str, cx: &ServiceCx<'_>) -> Option<BareJid> {
    // Who gives the JID gets it back.
    if let Ok(jid) = BareJid::new(name)
        && jid.domain() == cx.transport.domain()
        && jid.node().is_some()
    {
        return Some(jid);
    }
    let escaping = cx.info.is_none_or(|info| info.jid_escaping);
    let node = NodePart::new(&crate::jid::localpart(name, escaping)).ok()?.into_owned();
    Some(BareJid::from_parts(Some(&node), cx.transport.domain()))
}
