//! How server mode spells session events in XMPP (the face table of the design). Pure.

use std::sync::atomic::{AtomicU64, Ordering};

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::backend::LoginError;
use spectrum_core::face::{Face, FaceTraits, Read, RosterChange, RosterChangeKind, To, UserIn, UserOut, UserView};
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::xml::{element, set, text_element};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::carbons;
use crate::clients::key;
use crate::service;

/// The face of server mode.
#[derive(Debug)]
pub struct ServerFace {
    domain: BareJid,
    /// Makes the ids of roster pushes unique.
    pushes: AtomicU64,
}

impl ServerFace {
    /// For a server of this domain.
    #[must_use]
    pub fn new(domain: BareJid) -> Self {
        Self {
            domain,
            pushes: AtomicU64::new(0),
        }
    }

    /// To whom a stanza of `user` goes. The namespace of localparts is private to each session, so nothing leads from
    /// one local user to another.
    fn addressee(&self, user: &BareJid, to: Option<&Jid>, is_presence: bool) -> Result<To, DefinedCondition> {
        let Some(to) = to else {
            return Ok(if is_presence { To::Transport } else { To::Account });
        };
        if to.domain() != self.domain.domain() {
            return Err(DefinedCondition::RemoteServerNotFound);
        }
        Ok(match to.node() {
            None => To::Transport,
            Some(node) if Some(node) == user.node() => To::Account,
            Some(node) => To::Peer {
                node: node.to_owned(),
                resource: to.resource().map(ToOwned::to_owned),
            },
        })
    }

    fn push(&self, user: &UserView<'_>, change: &RosterChange, stanzas: &mut Vec<Stanza>) {
        let mut query = element("query", ns::ROSTER, &[]);
        if let Some(version) = &change.version {
            set(&mut query, "ver", version);
        }
        query.append_child(roster_item(change));
        for resource in user.resources.iter().filter(|resource| resource.interested) {
            let number = self.pushes.fetch_add(1, Ordering::Relaxed);
            stanzas.push(Stanza::Iq(Iq::Set {
                from: None,
                to: Some(user.jid.with_resource(&resource.resource).into()),
                id: format!("push-{number}"),
                payload: query.clone(),
            }));
        }
    }
}

impl Face for ServerFace {
    fn read(&self, stanza: Stanza) -> Read {
        let Some(sender) = stanza.sender().and_then(|jid| jid.try_as_full().ok()).cloned() else {
            // Stamped by the connection: a stanza without it is none of a client.
            return Read::Ignore;
        };
        let user = sender.to_bare();
        let is_presence = matches!(stanza, Stanza::Presence(_));
        let to = match self.addressee(&user, stanza.recipient(), is_presence) {
            Ok(to) => to,
            Err(condition) => return reject(&stanza, condition, "This server has no way to other domains."),
        };
        match (&stanza, &to) {
            // Answers to our own pings and pushes.
            (Stanza::Iq(Iq::Result { .. } | Iq::Error { .. }), To::Transport | To::Account) => return Read::Ignore,
            (Stanza::Iq(Iq::Get { payload, .. } | Iq::Set { payload, .. }), To::Transport | To::Account)
                if service::is_served(payload, &to) =>
            {
                return Read::Service(stanza);
            }
            (Stanza::Presence(presence), To::Transport | To::Account) if presence.to.is_some() => {
                // Nobody subscribes to the server or to themselves, and both know already.
                return Read::Ignore;
            }
            (Stanza::Iq(_) | Stanza::Message(_) | Stanza::Presence(_), _) => {}
        }
        let resource = Some(sender.resource().to_owned());
        Read::User(key(&user), Box::new(UserIn { resource, to, stanza }))
    }

    fn write(&self, user: &UserView<'_>, out: UserOut, stanzas: &mut Vec<Stanza>) {
        match out {
            UserOut::Stanza(stanza) => stanzas.push(stanza),
            UserOut::Roster(change) => self.push(user, &change, stanzas),
            // We serve the roster: who sees whom is settled with the answer.
            UserOut::SubscriptionAnswered {
                contact,
                accepted,
                name,
                asks: _,
            } => {
                let type_ = if accepted {
                    PresenceType::Subscribed
                } else {
                    PresenceType::Unsubscribed
                };
                stanzas.push(presence(type_, contact, user, name).into());
            }
            UserOut::SubscriptionRequested { contact, name, text } => {
                let mut request = presence(PresenceType::Subscribe, contact, user, name);
                if let Some(text) = text {
                    request.set_status("", text);
                }
                stanzas.push(request.into());
            }
            // The first login is answered by SASL; this is about a session that lost the network.
            UserOut::LoginFailed { error, retrying } => stanzas.push(notice(user, &lost(&error, retrying)).into()),
            UserOut::TransportPresence { .. } => {}
            UserOut::OwnMessage(message) => {
                for resource in user.resources {
                    let to = user.jid.with_resource(&resource.resource);
                    stanzas.push(carbons::sent(user.jid, &to, &message).into());
                }
            }
            UserOut::Closed { reason } => stanzas.push(notice(user, &reason).into()),
            // Nobody registers with a server that keeps no passwords.
            UserOut::NotRegistered => {}
        }
    }

    fn traits(&self) -> FaceTraits {
        FaceTraits {
            holds_messages: true,
            serves_roster: true,
            answers_chat: false,
        }
    }
}

fn reject(stanza: &Stanza, condition: DefinedCondition, text: &str) -> Read {
    stanza.error_reply(error(condition, text)).map_or(Read::Ignore, Read::Reject)
}

fn roster_item(change: &RosterChange) -> Element {
    let subscription = match change.kind {
        RosterChangeKind::Both => "both",
        RosterChangeKind::Ask => "none",
        RosterChangeKind::Removed => "remove",
    };
    let mut item = element(
        "item",
        ns::ROSTER,
        &[("jid", change.jid.as_str()), ("subscription", subscription)],
    );
    if change.kind == RosterChangeKind::Removed {
        return item;
    }
    if change.kind == RosterChangeKind::Ask {
        set(&mut item, "ask", "subscribe");
    }
    if let Some(name) = &change.name {
        set(&mut item, "name", name);
    }
    for group in &change.groups {
        item.append_child(text_element("group", ns::ROSTER, group));
    }
    item
}

fn presence(type_: PresenceType, contact: BareJid, user: &UserView<'_>, name: Option<String>) -> Presence {
    let mut presence = Presence::new(type_).with_from(contact).with_to(user.jid.clone());
    if let Some(name) = name {
        presence.payloads.push(text_element("nick", ns::NICK, &name));
    }
    presence
}

/// A word of the server to the user, on all clients.
fn notice(user: &UserView<'_>, text: &str) -> Message {
    let mut message = Message::new_with_type(MessageType::Chat, Some(user.jid.clone().into()));
    message.from = Some(user.transport.clone().into());
    message.with_body(Lang::new(), text.to_owned())
}

fn lost(error: &LoginError, retrying: bool) -> String {
    let reason = if error.text.is_empty() {
        "The connection to the network was lost."
    } else {
        &error.text
    };
    if retrying {
        format!("{reason} Trying again.")
    } else {
        reason.to_owned()
    }
}

#[cfg(test)]
mod tests;
