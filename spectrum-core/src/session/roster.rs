//! The roster, where the session serves it (RFC 6121 2, XEP-0237). The items are the contacts; nothing is owned here.
//!
//! A change is made once the network has made it, so that a refusal leaves the roster as it was. What the network has no
//! word for is kept here alone.

use jid::BareJid;
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use crate::backend::{Outcome, Verb};
use crate::face::RosterChangeKind;
use crate::model::{Capability, ContactDetails, ContactId, Subscription};
use crate::session::Cx;
use crate::session::contacts::Contacts;
use crate::session::pending::Pending;
use crate::session::query::reply;
use crate::session::request::Request;
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{element, set, text_element};

/// Groups of one item.
const MAX_GROUPS: usize = 32;
/// Bytes of a display name or of a group's name (RFC 6121 has no bound but that of localparts).
const MAX_NAME_BYTES: usize = 1_023;

/// Whether it is about the roster.
pub(crate) fn is_roster(iq: &Iq) -> bool {
    match iq {
        Iq::Get { payload, .. } | Iq::Set { payload, .. } => payload.is("query", ns::ROSTER),
        Iq::Result { .. } | Iq::Error { .. } => false,
    }
}

/// A request of the user's about the roster. `seen`: somebody is there to see presence.
pub(crate) fn request(cx: &mut Cx<'_>, contacts: &mut Contacts, iq: Iq, seen: bool) {
    let Some(request) = Request::of(iq) else { return };
    if request.get {
        let answer = items(cx, contacts, request.payload.attr("ver"));
        reply(cx, &request.iq, Ok(answer));
    } else {
        change(cx, contacts, request, seen);
    }
}

/// All items, or nothing if the client has this version already.
fn items(cx: &mut Cx<'_>, contacts: &Contacts, known: Option<&str>) -> Option<Element> {
    let version = contacts.version();
    if known == Some(version.as_str()) {
        return None;
    }
    let mut query = element("query", ns::ROSTER, &[]);
    if known.is_some() {
        set(&mut query, "ver", &version);
    }
    for contact in contacts.iter() {
        let (subscription, kind) = match contact.subscription() {
            Subscription::Both => ("both", RosterChangeKind::Both),
            Subscription::Ask => ("none", RosterChangeKind::Ask),
        };
        let change = contacts.change(cx, contact, kind);
        let mut item = element(
            "item",
            ns::ROSTER,
            &[("jid", change.jid.as_str()), ("subscription", subscription)],
        );
        if let Some(name) = &change.name {
            set(&mut item, "name", name);
        }
        if kind == RosterChangeKind::Ask {
            set(&mut item, "ask", "subscribe");
        }
        for group in &change.groups {
            item.append_child(text_element("group", ns::ROSTER, group));
        }
        query.append_child(item);
    }
    Some(query)
}

/// What a roster set wants.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A contact, called and filed like this.
    Item(ContactDetails),
    /// A contact to be gone.
    Gone(ContactId),
}

/// Reads a roster set (RFC 6121 2.1.5).
fn wanted(cx: &Cx<'_>, payload: &Element) -> Result<Wanted, StanzaError> {
    let bad = |text: &str| error(DefinedCondition::BadRequest, text);
    let mut children = payload.children().filter(|child| child.is("item", ns::ROSTER));
    let (Some(item), None) = (children.next(), children.next()) else {
        return Err(bad("Exactly one item is expected."));
    };
    let jid = item
        .attr("jid")
        .and_then(|jid| BareJid::new(jid).ok())
        .ok_or_else(|| error(DefinedCondition::JidMalformed, ""))?;
    let node = match jid.node() {
        Some(node) if *jid.domain() == *cx.config.transport.domain() => node.to_owned(),
        Some(_) | None => {
            let text = format!("Only people at {} can be added.", cx.config.transport);
            return Err(error(DefinedCondition::NotAcceptable, &text));
        }
    };
    let id = ContactId::from(&cx.names.name_of(&node));
    if item.attr("subscription") == Some("remove") {
        return Ok(Wanted::Gone(id));
    }
    let mut groups: Vec<String> = Vec::new();
    for group in item
        .children()
        .filter(|child| child.is("group", ns::ROSTER))
        .map(Element::text)
    {
        if group.is_empty() || group.len() > MAX_NAME_BYTES || groups.len() >= MAX_GROUPS {
            return Err(error(
                DefinedCondition::NotAcceptable,
                "A group's name is empty or too long, or there are too many.",
            ));
        }
        if groups.contains(&group) {
            return Err(bad("A group is named twice."));
        }
        groups.push(group);
    }
    let alias = item.attr("name").filter(|name| !name.is_empty());
    if alias.is_some_and(|name| name.len() > MAX_NAME_BYTES) {
        return Err(error(DefinedCondition::NotAcceptable, "The name is too long."));
    }
    Ok(Wanted::Item(ContactDetails {
        id,
        alias: alias.map(str::to_owned),
        groups,
    }))
}

fn change(cx: &mut Cx<'_>, contacts: &mut Contacts, request: Request, seen: bool) {
    let Request { iq: stanza, payload, .. } = request;
    let wanted = match wanted(cx, &payload) {
        Ok(wanted) => wanted,
        Err(refused) => return reply(cx, &stanza, Err(refused)),
    };
    let (verb, needed) = match &wanted {
        Wanted::Gone(id) => match contacts.get(cx, id.as_str()) {
            Some(contact) => (Verb::RemoveContact(contact.id().clone()), Capability::RemoveContacts),
            None => return reply(cx, &stanza, Err(error(DefinedCondition::ItemNotFound, ""))),
        },
        Wanted::Item(details) => match contacts.get(cx, details.id.as_str()) {
            Some(contact) if contact.alias() == details.alias.as_deref() && contact.groups() == details.groups => {
                return reply(cx, &stanza, Ok(None));
            }
            Some(contact) => {
                let details = ContactDetails {
                    id: contact.id().clone(),
                    ..details.clone()
                };
                (Verb::UpdateContact(details), Capability::UpdateContacts)
            }
            None if contacts.iter().count() >= cx.config.limits.contacts => {
                return reply(
                    cx,
                    &stanza,
                    Err(error(DefinedCondition::ResourceConstraint, "There are too many contacts.")),
                );
            }
            None => (Verb::AddContact(details.clone()), Capability::AddContacts),
        },
    };
    if !cx.can(needed) {
        apply(cx, contacts, wanted, seen);
        return reply(cx, &stanza, Ok(None));
    }
    let pending = Pending::Roster {
        iq: Box::new(stanza.clone()),
        wanted: Box::new(wanted),
    };
    if let Err((failed, _)) = cx.ask(verb, pending) {
        reply(cx, &stanza, Err(op_error(&failed)));
    }
}

fn apply(cx: &mut Cx<'_>, contacts: &mut Contacts, wanted: Wanted, seen: bool) {
    match wanted {
        Wanted::Gone(id) => {
            contacts.remove(cx, &id, seen);
        }
        Wanted::Item(details) => {
            if !contacts.add(cx, details.clone(), Subscription::Both) {
                contacts.refile(cx, details);
            }
        }
    }
}

/// A change that the network was asked for.
pub(crate) struct Asked {
    /// The request of the user.
    pub(crate) iq: Box<Stanza>,
    /// What it wants.
    pub(crate) wanted: Box<Wanted>,
    /// Somebody is there to see presence.
    pub(crate) seen: bool,
}

/// The network has made the change, or refused.
pub(crate) fn outcome(cx: &mut Cx<'_>, contacts: &mut Contacts, asked: Asked, outcome: Outcome) {
    let Asked { iq, wanted, seen } = asked;
    let answer = outcome.map(|_| apply(cx, contacts, *wanted, seen)).map(|()| None);
    reply(cx, &iq, answer.map_err(|failed| op_error(&failed)));
}
