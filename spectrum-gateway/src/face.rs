//! The gateway's face: how sessions and the stanzas of a component stream meet. Pure.

use std::sync::Arc;

use jid::{BareJid, Jid, ResourcePart};
use spectrum_core::admin::OutageNote;
use spectrum_core::backend::{LoginError, LoginErrorKind};
use spectrum_core::config::{Allowed, Config};
use spectrum_core::face::{Face, FaceTraits, Read, RosterChange, RosterChangeKind, To, UserIn, UserOut, UserView};
use spectrum_core::model::{Availability, Presence as LegacyPresence, UserKey};
use spectrum_core::stanza::{Stanza, error};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::nick::Nick;
use xmpp_parsers::presence::{Presence, Show, Type as PresenceType};
use xmpp_parsers::roster::{Ask, Group, Item, Roster, Subscription};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::clock;
use crate::naming::Naming;
use crate::privilege;

/// The face of a component.
pub struct GatewayFace {
    allowed: Allowed,
    transport: Jid,
    naming: Naming,
    outage: Arc<OutageNote>,
}

impl GatewayFace {
    /// For the instance of this configuration.
    pub fn new(config: &Config, naming: Naming, outage: Arc<OutageNote>) -> Self {
        let transport = config.jid.clone().into();
        Self {
            allowed: Allowed::of(config),
            transport,
            naming,
            outage,
        }
    }

    fn reject(stanza: &Stanza, condition: DefinedCondition, text: &str) -> Read {
        match stanza.error_reply(error(condition, text)) {
            // Nobody waits for an answer to a presence that only tells; and a refusal of each would be a flood.
            Some(Stanza::Presence(_)) if !asks(stanza) => Read::Ignore,
            Some(reply) => Read::Reject(reply),
            None => Read::Ignore,
        }
    }

    fn presence(&self, view: &UserView<'_>, type_: PresenceType, to: Option<&ResourcePart>) -> Presence {
        Presence::new(type_)
            .with_from(self.transport.clone())
            .with_to(address(view.jid, to))
    }
}

impl Face for GatewayFace {
    fn read(&self, stanza: Stanza) -> Read {
        let (Some(from), Some(to)) = (stanza.sender(), stanza.recipient()) else {
            return Read::Ignore;
        };
        if from.domain() == self.transport.domain() {
            // The server lets nobody else speak for us; what is ours has come back to us, and nobody needs it twice.
            return Read::Ignore;
        }
        if to.domain() != self.transport.domain() {
            return Self::reject(&stanza, DefinedCondition::ItemNotFound, "This address is not served here.");
        }
        if from.node().is_none() {
            // Servers ask about the transport, grant privileges and report errors; they are nobody's user.
            return match to.node() {
                None => Read::Service(stanza),
                Some(_) if stanza.forbids_error() => Read::Ignore,
                Some(_) => Self::reject(&stanza, DefinedCondition::ServiceUnavailable, ""),
            };
        }
        // In front of the resource stands the bare JID; to make one of its own takes longer than all the rest here.
        let key = UserKey::from(from.as_str().split('/').next().unwrap_or_default());
        if !self.allowed.has(&key) {
            return Self::reject(&stanza, DefinedCondition::Forbidden, "This transport is not open to you.");
        }
        let resource = from.resource().map(ToOwned::to_owned);
        let to = match to.node() {
            Some(node) => To::Peer {
                node: node.to_owned(),
                resource: to.resource().map(ToOwned::to_owned),
            },
            None if is_for_service(&stanza) => return Read::Service(stanza),
            None => To::Transport,
        };
        if let Stanza::Message(message) = &stanza
            && privilege::is_own(message)
        {
            return Read::Ignore;
        }
        Read::User(key, Box::new(UserIn { resource, to, stanza }))
    }

    fn write(&self, view: &UserView<'_>, out: UserOut, stanzas: &mut Vec<Stanza>) {
        let to = || Jid::from(view.jid.clone());
        match out {
            UserOut::Stanza(stanza) => stanzas.push(stanza),
            UserOut::Roster(change) => stanzas.push(roster_set(&self.transport, view.jid, change)),
            UserOut::SubscriptionAnswered {
                contact,
                accepted,
                asks,
                name,
            } => {
                let answer = if accepted {
                    PresenceType::Subscribed
                } else {
                    PresenceType::Unsubscribed
                };
                stanzas.push(Presence::new(answer).with_from(contact.clone()).with_to(to()).into());
                if asks {
                    // XEP-0100 4.6: the contact wants to see the user too.
                    stanzas.push(subscribe(&contact, to(), name, None).into());
                }
            }
            UserOut::SubscriptionRequested { contact, name, text } => {
                stanzas.push(subscribe(&contact, to(), name, text).into());
            }
            UserOut::LoginFailed { error: failed, retrying } => {
                let text = login_text(&self.naming.name(), &failed, retrying);
                let mut presence = self.presence(view, PresenceType::Error, None);
                presence.payloads.push(error(login_condition(failed.kind), &text).into());
                stanzas.push(presence.into());
                let mut message = Message::new_with_type(MessageType::Chat, to()).with_body(Lang::default(), text);
                message.from = Some(self.transport.clone());
                stanzas.push(message.into());
            }
            UserOut::TransportPresence { to, mut presence } => {
                if let Some(outage) = self.outage.current() {
                    let words = outage.words(clock::now());
                    presence.text = Some(match presence.text {
                        Some(text) => format!("{text}. {words}"),
                        None => words,
                    });
                }
                stanzas.push(spell(self.presence(view, PresenceType::None, to.as_ref()), presence).into());
            }
            UserOut::OwnMessage(message) => stanzas.push(privilege::forwarded(&self.transport, view.jid, message)),
            UserOut::Closed { reason } => {
                let mut presence = self.presence(view, PresenceType::Unavailable, None);
                if !reason.is_empty() {
                    presence.statuses.insert(Lang::default(), reason);
                }
                stanzas.push(presence.into());
            }
            // A server that grants presence (XEP-0356) shows us everybody who goes online: most are none of ours, and an
            // error would answer what nobody asked. Stanzas that do ask for something are answered one by one.
            UserOut::NotRegistered => {}
        }
    }

    fn traits(&self) -> FaceTraits {
        FaceTraits {
            holds_messages: false,
            serves_roster: false,
            answers_chat: true,
        }
    }
}

/// Whether a presence asks for something: an error in answer to any other is of no use.
fn asks(stanza: &Stanza) -> bool {
    match stanza {
        Stanza::Message(_) | Stanza::Iq(_) => true,
        Stanza::Presence(presence) => match presence.type_ {
            PresenceType::Subscribe => true,
            // Joining a room is a request (XEP-0045 7.2).
            PresenceType::None => presence.payloads.iter().any(|payload| payload.has_ns(xmpp_parsers::ns::MUC)),
            PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribed
            | PresenceType::Unavailable
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed => false,
        },
    }
}

/// Whether a stanza to the transport is none of a session's business.
fn is_for_service(stanza: &Stanza) -> bool {
    match stanza {
        Stanza::Iq(_) => true,
        Stanza::Message(_) => false,
        Stanza::Presence(presence) => match presence.type_ {
            PresenceType::None | PresenceType::Unavailable => false,
            PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed => true,
        },
    }
}

fn address(user: &BareJid, resource: Option<&ResourcePart>) -> Jid {
    match resource {
        Some(resource) => user.with_resource(resource).into(),
        None => user.clone().into(),
    }
}

/// A subscription request of a contact or of the transport (XEP-0172: under which name).
pub(crate) fn subscribe(from: &BareJid, to: Jid, name: Option<String>, text: Option<String>) -> Presence {
    let mut presence = Presence::subscribe().with_from(from.clone()).with_to(to);
    if let Some(text) = text {
        presence.statuses.insert(Lang::default(), text);
    }
    if let Some(name) = name {
        presence.payloads.push(Nick(name).into());
    }
    presence
}

/// A roster change as the set that a privileged entity may send (XEP-0356 4.3); without the privilege the roster keeper
/// turns it into what is allowed.
fn roster_set(transport: &Jid, user: &BareJid, change: RosterChange) -> Stanza {
    let subscription = match change.kind {
        RosterChangeKind::Both => Subscription::Both,
        RosterChangeKind::Ask => Subscription::None,
        RosterChangeKind::Removed => Subscription::Remove,
    };
    let item = Item {
        jid: change.jid,
        name: change.name,
        subscription,
        ask: Ask::None,
        groups: change.groups.into_iter().map(Group).collect(),
        approved: None,
    };
    Iq::from_set(
        "",
        Roster {
            ver: None,
            items: vec![item],
        },
    )
    .with_from(transport.clone())
    .with_to(user.clone().into())
    .into()
}

fn spell(mut presence: Presence, said: LegacyPresence) -> Presence {
    presence.show = match said.availability {
        Availability::Online => None,
        Availability::Chat => Some(Show::Chat),
        Availability::Away => Some(Show::Away),
        Availability::ExtendedAway => Some(Show::Xa),
        Availability::DoNotDisturb => Some(Show::Dnd),
        Availability::Invisible | Availability::Offline => {
            presence.type_ = PresenceType::Unavailable;
            None
        }
    };
    if let Some(text) = said.text {
        presence.statuses.insert(Lang::default(), text);
    }
    presence
}

fn login_text(name: &str, failed: &LoginError, retrying: bool) -> String {
    let reason = if failed.text.is_empty() {
        reason(failed.kind)
    } else {
        failed.text.as_str()
    };
    let next = match (retrying, failed.kind) {
        (true, _) => " The transport tries again by itself.",
        (
            false,
            LoginErrorKind::InvalidName
            | LoginErrorKind::AuthenticationFailed
            | LoginErrorKind::NameInUse
            | LoginErrorKind::Settings,
        ) => " Change your registration with the transport, or go offline and online again.",
        (false, _) => " Go offline and online again to try once more.",
    };
    format!("Could not log in to {name}: {reason}{next}")
}

fn reason(kind: LoginErrorKind) -> &'static str {
    match kind {
        LoginErrorKind::Network => "the network cannot be reached.",
        LoginErrorKind::InvalidName => "there is no such account.",
        LoginErrorKind::AuthenticationFailed => "the password is wrong.",
        LoginErrorKind::NoMechanism => "the network offers no way of logging in that is known here.",
        LoginErrorKind::Encryption => "the connection cannot be encrypted.",
        LoginErrorKind::Certificate => "the network's certificate is not to be trusted.",
        LoginErrorKind::NameInUse => "the account is in use elsewhere.",
        LoginErrorKind::Settings => "something is missing or wrong in the registration.",
        LoginErrorKind::Banned => "you are banned.",
        LoginErrorKind::Cancelled => "nobody answered the network's question.",
        _ => "the network gave no reason.",
    }
}

fn login_condition(kind: LoginErrorKind) -> DefinedCondition {
    match kind {
        LoginErrorKind::Network | LoginErrorKind::Encryption | LoginErrorKind::Certificate => {
            DefinedCondition::RemoteServerTimeout
        }
        LoginErrorKind::InvalidName | LoginErrorKind::AuthenticationFailed | LoginErrorKind::NoMechanism => {
            DefinedCondition::NotAuthorized
        }
        LoginErrorKind::NameInUse => DefinedCondition::Conflict,
        LoginErrorKind::Settings => DefinedCondition::NotAcceptable,
        LoginErrorKind::Banned => DefinedCondition::Forbidden,
        _ => DefinedCondition::UndefinedCondition,
    }
}

#[cfg(test)]
pub(crate) mod tests;
