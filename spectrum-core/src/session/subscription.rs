//! Who may see whom (RFC 6121 3, XEP-0100 4). Owned by the session: requests of contacts that the user has not answered.
//!
//! Subscribing to a contact adds it on the network, unsubscribing removes it: networks have no finer notion.

use jid::{BareJid, NodePart, ResourcePart};
use xmpp_parsers::presence::{Presence, Type};

use crate::backend::{Outcome, Verb};
use crate::face::UserOut;
use crate::model::{Capability, ContactDetails, ContactId, ContactRequest, LegacyName, Subscription};
use crate::session::Cx;
use crate::session::contacts::Contacts;
use crate::session::pending::Pending;
use crate::session::request::presence_envelope;
use crate::stanza::{Stanza, op_error};

/// Requests of contacts that wait for the user. Further ones are not shown; the network keeps them.
const MAX_REQUESTS: usize = 128;

/// Contacts removed while the network was away that it is told of later. Of further ones it keeps its own idea.
const MAX_REMOVED: usize = 128;

/// What waits for an answer of the user, and what for the network.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    requests: Vec<ContactRequest>,
    removed: Vec<ContactId>,
}

/// A subscription presence of the user, and where it came from.
pub(crate) struct Asked<'a> {
    /// The resource.
    pub(crate) resource: Option<&'a ResourcePart>,
    /// The contact.
    pub(crate) node: &'a NodePart,
    /// The presence.
    pub(crate) presence: Presence,
    /// Somebody is there to see presence.
    pub(crate) seen: bool,
}

impl Subscriptions {
    /// A contact asks to see the user.
    pub(crate) fn requested(&mut self, cx: &mut Cx<'_>, request: ContactRequest) {
        if self.position(cx, &request.id).is_none() {
            if self.requests.len() >= MAX_REQUESTS {
                return;
            }
            self.requests.push(request.clone());
        }
        tell(cx, request);
    }

    /// Shows the requests again, to a resource that has just come: no server keeps them for us.
    pub(crate) fn repeat(&self, cx: &mut Cx<'_>) {
        for request in &self.requests {
            tell(cx, request.clone());
        }
    }

    /// Forgets everything: the user has another account.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The network is there again: it is told whom the user has removed meanwhile. Whom it has reported all the same is gone
    /// again.
    pub(crate) fn logged_in(&mut self, cx: &mut Cx<'_>, contacts: &mut Contacts, seen: bool) {
        for id in std::mem::take(&mut self.removed) {
            contacts.remove(cx, &id, seen);
            cx.try_ask(Verb::RemoveContact(id));
        }
    }

    /// The user subscribes, unsubscribes, or answers.
    pub(crate) fn handle(&mut self, cx: &mut Cx<'_>, contacts: &mut Contacts, asked: Asked<'_>) {
        let name = cx.names.name_of(asked.node);
        match asked.presence.type_ {
            Type::Subscribe => subscribe(cx, contacts, &name, asked),
            Type::Unsubscribe => self.unsubscribe(cx, contacts, &name, asked),
            Type::Subscribed => self.answer(cx, &name, true),
            Type::Unsubscribed => self.answer(cx, &name, false),
            Type::None | Type::Unavailable | Type::Probe | Type::Error => {}
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_>, name: &LegacyName, accept: bool) {
        if let Some(at) = self.position(cx, &ContactId::from(name)) {
            let ContactRequest { id: contact, .. } = self.requests.remove(at);
            cx.try_ask(Verb::AnswerContactRequest { contact, accept });
        }
    }

    fn unsubscribe(&mut self, cx: &mut Cx<'_>, contacts: &mut Contacts, name: &LegacyName, asked: Asked<'_>) {
        let id = ContactId::from(name);
        if let Some(contact) = contacts.get(cx, name.as_str()) {
            let id = contact.id().clone();
            if cx.can(Capability::RemoveContacts) {
                let presence = presence_envelope(asked.presence);
                if !cx.online {
                    // The user's server has removed it already: a refusal would make it come back.
                    if self.removed.len() < MAX_REMOVED {
                        self.removed.push(id.clone());
                    }
                } else if let Err((failed, _)) = cx.ask(Verb::RemoveContact(id.clone()), Pending::Tell(presence.clone())) {
                    return cx.refuse(&presence, op_error(&failed));
                }
            }
            answered(cx, contacts, &id, Reply::Refused);
            contacts.remove(cx, &id, asked.seen);
        } else {
            answered(cx, contacts, &id, Reply::Refused);
        }
    }

    fn position(&self, cx: &Cx<'_>, id: &ContactId) -> Option<usize> {
        self.requests
            .iter()
            .position(|request| cx.names.same(request.id.as_str(), id.as_str()))
    }
}

fn subscribe(cx: &mut Cx<'_>, contacts: &mut Contacts, name: &LegacyName, asked: Asked<'_>) {
    let id = ContactId::from(name);
    match contacts.get(cx, name.as_str()).map(|contact| contact.subscription()) {
        // Asked already: the answer will come from the network.
        Some(Subscription::Ask) => {}
        Some(Subscription::Both) => {
            answered(cx, contacts, &id, Reply::Known);
            contacts.show_one(cx, name, None);
        }
        None if cx.can(Capability::AddContacts) => {
            let details = ContactDetails {
                id: id.clone(),
                alias: None,
                groups: Vec::new(),
            };
            let presence = presence_envelope(asked.presence);
            let pending = Pending::Subscribe {
                contact: id,
                presence: presence.clone(),
            };
            if let Err((failed, _)) = cx.ask(Verb::AddContact(details), pending) {
                cx.refuse(&presence, op_error(&failed));
            }
        }
        // Where contacts are none of the network's business, everybody can be one.
        None => added(cx, contacts, id, asked.resource),
    }
}

fn added(cx: &mut Cx<'_>, contacts: &mut Contacts, id: ContactId, resource: Option<&ResourcePart>) {
    let details = ContactDetails {
        id: id.clone(),
        alias: None,
        groups: Vec::new(),
    };
    contacts.add(cx, details, Subscription::Both);
    if contacts
        .get(cx, id.as_str())
        .is_some_and(|contact| contact.subscription() == Subscription::Both)
    {
        answered(cx, contacts, &id, Reply::Added);
        contacts.show_one(cx, &LegacyName::from(&id), resource.map(|r| &**r));
    }
}

/// The network has added a contact that the user subscribed to, or refused.
pub(crate) fn outcome(cx: &mut Cx<'_>, contacts: &mut Contacts, contact: ContactId, presence: &Stanza, outcome: Outcome) {
    match outcome {
        Ok(_) => added(cx, contacts, contact, None),
        Err(failed) => {
            answered(cx, contacts, &contact, Reply::Refused);
            cx.refuse(presence, op_error(&failed));
        }
    }
}

/// What becomes of a subscription request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// Yes, and the contact, now in the list, wants to see the user too.
    Added,
    /// Yes, as before.
    Known,
    /// No.
    Refused,
}

/// A subscription request of the user has an answer.
pub(crate) fn answered(cx: &mut Cx<'_>, contacts: &Contacts, id: &ContactId, reply: Reply) {
    let name = contacts
        .get(cx, id.as_str())
        .and_then(|contact| contact.alias())
        .map(str::to_owned);
    let contact = address(cx, id);
    cx.tell(UserOut::SubscriptionAnswered {
        contact,
        accepted: reply != Reply::Refused,
        asks: reply == Reply::Added,
        name,
    });
}

fn tell(cx: &mut Cx<'_>, request: ContactRequest) {
    let contact = address(cx, &request.id);
    cx.tell(UserOut::SubscriptionRequested {
        contact,
        name: request.alias,
        text: request.text,
    });
}

fn address(cx: &mut Cx<'_>, id: &ContactId) -> BareJid {
    cx.address(&LegacyName::from(id))
}
