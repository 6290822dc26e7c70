//! The concerns of one session together, and which of them hears what. Nothing is decided here.

use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stanza_error::DefinedCondition;

use jid::{NodePart, ResourcePart};

use crate::backend::BackendInfo;
use crate::face::{To, UserIn, UserOut};
use crate::model::{Capability, Chat, ContactId, LegacyName};
use crate::session::contacts::Contacts;
use crate::session::conversation::{Audience, Conversations};
use crate::session::cx::CONTACT_RESOURCE;
use crate::session::login::{Login, State};
use crate::session::prompt::Prompts;
use crate::session::query::Queries;
use crate::session::resources::{Change, Resources};
use crate::session::rooms::Rooms;
use crate::session::subscription::{Asked, Subscriptions};
use crate::session::{Cx, Output, roster};
use crate::stanza::{Stanza, error};
use crate::xml::body;

/// The concerns of one session.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) login: Login,
    pub(crate) resources: Resources,
    pub(crate) contacts: Contacts,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) conversations: Conversations,
    pub(crate) queries: Queries,
    pub(crate) prompts: Prompts,
    pub(crate) rooms: Rooms,
}

impl Parts {
    pub(crate) fn new(info: &BackendInfo) -> Self {
        Self {
            login: Login::default(),
            resources: Resources::default(),
            contacts: Contacts::new(info),
            subscriptions: Subscriptions::default(),
            conversations: Conversations::default(),
            queries: Queries::default(),
            prompts: Prompts::default(),
            rooms: Rooms::default(),
        }
    }

    /// Who is there to hear.
    pub(crate) fn audience(&self) -> Audience {
        Audience {
            seen: self.resources.any_available(),
            takes_messages: self.resources.takes_messages(),
        }
    }

    /// A stanza of the user.
    pub(crate) fn user(&mut self, cx: &mut Cx<'_>, input: UserIn) {
        let UserIn { resource, to, stanza } = input;
        let resource = resource.as_ref();
        match (to, stanza) {
            (To::Transport | To::Account, Stanza::Presence(presence)) => self.presence(cx, resource, presence),
            (To::Peer { node, resource: nick }, Stanza::Presence(presence)) => {
                self.presence_to_peer(cx, resource, &node, nick.as_ref(), presence);
            }
            (To::Transport, Stanza::Message(message)) => self.message_to_transport(cx, message),
            (To::Account, Stanza::Message(message)) => message_to_self(cx, message),
            (To::Peer { node, resource: nick }, Stanza::Message(message)) => {
                if self.rooms.owns(&node, cx) {
                    self.rooms.message(cx, resource, &node, nick.as_ref(), message);
                } else if !self.rooms.invitation(cx, &node, &message) {
                    self.conversations.outgoing(cx, &node, message);
                }
            }
            (To::Account, Stanza::Iq(iq)) if cx.config.face.serves_roster && roster::is_roster(&iq) => {
                if let (Iq::Get { .. }, Some(resource)) = (&iq, resource) {
                    self.resources.interested(resource, cx.config.limits.resources);
                }
                let seen = self.resources.any_available();
                roster::request(cx, &mut self.contacts, iq, seen);
            }
            (To::Transport | To::Account, Stanza::Iq(iq)) => {
                self.queries
                    .about_user(cx, &self.contacts, self.login.name(), self.rooms.listed(), iq);
            }
            (To::Peer { node, resource: nick }, Stanza::Iq(iq)) => self.iq_to_peer(cx, resource, &node, nick.as_ref(), iq),
        }
    }

    /// A presence to the transport, or to everybody.
    fn presence(&mut self, cx: &mut Cx<'_>, resource: Option<&ResourcePart>, presence: Presence) {
        match (&presence.type_, resource) {
            (Type::None, Some(resource)) => self.available(cx, resource, presence.clone(), true),
            (Type::Unavailable, Some(resource)) => {
                if self.resources.unavailable(resource, true) {
                    self.left(cx, resource);
                }
            }
            // The user's server speaks for all resources.
            (Type::Unavailable, None) => {
                let all: Vec<_> = self.resources.views().iter().map(|view| view.resource.clone()).collect();
                for resource in all {
                    self.resource_lost(cx, &resource);
                }
            }
            (Type::Probe, _) => {
                let presence = self.transport_presence(cx);
                cx.tell(UserOut::TransportPresence {
                    to: resource.cloned(),
                    presence,
                });
            }
            // What the transport itself is subscribed to is its service's matter, not the session's.
            (Type::None, None)
            | (Type::Error | Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed, _) => {}
        }
    }

    fn presence_to_peer(
        &mut self,
        cx: &mut Cx<'_>,
        resource: Option<&ResourcePart>,
        node: &NodePart,
        nick: Option<&ResourcePart>,
        presence: Presence,
    ) {
        if let Some(resource) = resource.filter(|r| self.rooms.presence(cx, r, node, nick, &presence)) {
            match presence.type_ {
                // Joining a room shows that the resource is there, even if it writes to nobody else.
                Type::None => self.available(cx, resource, presence, false),
                Type::Unavailable if !self.rooms.is_seen_by(resource) => {
                    if self.resources.unavailable(resource, false) {
                        self.left(cx, resource);
                    }
                }
                Type::Unavailable
                | Type::Error
                | Type::Probe
                | Type::Subscribe
                | Type::Subscribed
                | Type::Unsubscribe
                | Type::Unsubscribed => {}
            }
            return;
        }
        match (&presence.type_, resource) {
            (Type::None, Some(resource)) => self.available(cx, resource, presence.clone(), false),
            (Type::Unavailable, Some(resource)) => {
                if self.resources.unavailable(resource, false) {
                    self.left(cx, resource);
                }
            }
            (Type::Probe, _) => {
                let name = cx.names.name_of(node);
                self.contacts.show_one(cx, &name, resource.map(|r| &**r));
            }
            (Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed, _) => {
                let seen = self.resources.any_available();
                self.subscriptions.handle(
                    cx,
                    &mut self.contacts,
                    Asked {
                        resource,
                        node,
                        presence,
                        seen,
                    },
                );
            }
            (Type::None | Type::Unavailable, None) | (Type::Error, _) => {}
        }
    }

    /// A resource is there. `direct`: it has said so to the transport.
    fn available(&mut self, cx: &mut Cx<'_>, resource: &ResourcePart, presence: Presence, direct: bool) {
        match self
            .resources
            .available(resource, &presence, direct, cx.config.limits.resources)
        {
            Change::TooMany => {
                let text = "You have too many resources here already.";
                return cx.refuse(&Stanza::Presence(presence), error(DefinedCondition::ResourceConstraint, text));
            }
            Change::Arrived => self.arrived(cx, resource),
            Change::Priority => self.deliver_held(cx),
            Change::None => {}
        }
        self.resources.tell_network(cx);
    }

    fn arrived(&mut self, cx: &mut Cx<'_>, resource: &ResourcePart) {
        let presence = self.transport_presence(cx);
        cx.tell(UserOut::TransportPresence {
            to: Some(resource.clone()),
            presence,
        });
        self.contacts.show_to(cx, resource);
        self.rooms.arrived(cx, resource);
        if cx.config.face.serves_roster {
            self.subscriptions.repeat(cx);
        }
        self.deliver_held(cx);
        if self.login.state == State::Idle {
            self.begin(cx);
        }
    }

    /// What waits for a resource goes to the first that takes messages.
    fn deliver_held(&mut self, cx: &mut Cx<'_>) {
        if let Some(view) = self.resources.first_to_take_messages() {
            self.conversations.held().deliver(cx, &view.resource);
        }
    }

    /// A resource is not available any more.
    fn left(&mut self, cx: &mut Cx<'_>, resource: &ResourcePart) {
        self.rooms.resource_gone(cx, resource);
        self.resources.tell_network(cx);
    }

    /// A resource is gone with its connection.
    pub(crate) fn resource_lost(&mut self, cx: &mut Cx<'_>, resource: &ResourcePart) {
        self.resources.gone(resource);
        self.left(cx, resource);
    }

    fn message_to_transport(&mut self, cx: &mut Cx<'_>, message: Message) {
        if message.type_ == MessageType::Error || message.bodies.is_empty() {
            return;
        }
        match self.prompts.answered(cx, body(&message).unwrap_or_default()) {
            Some(true) => self.question_answered(cx),
            Some(false) => self.login.be_patient(cx.now.mono),
            None if cx.config.face.answers_chat => cx.out.push(Output::Said(message)),
            None => {
                let text = "Nobody reads this address: write to a contact or a room.";
                cx.refuse(&Stanza::Message(message), error(DefinedCondition::ServiceUnavailable, text));
            }
        }
    }

    fn iq_to_peer(
        &mut self,
        cx: &mut Cx<'_>,
        resource: Option<&ResourcePart>,
        node: &NodePart,
        nick: Option<&ResourcePart>,
        iq: Iq,
    ) {
        if matches!(iq, Iq::Result { .. } | Iq::Error { .. }) {
            return;
        }
        let iq = if self.may_be_room(cx, node, nick) {
            match self.rooms.iq(cx, resource, node, nick, iq) {
                Some(iq) => iq,
                None => return,
            }
        } else {
            iq
        };
        let chat = self
            .rooms
            .chat_of(node, nick.map(|n| &**n))
            .unwrap_or_else(|| Chat::Contact(ContactId::from(&cx.names.name_of(node))));
        self.queries.about_chat(cx, &self.contacts, chat, iq);
    }

    /// Whether a request can be about a room: one the user is in, or, where names do not tell, anything that is no contact.
    fn may_be_room(&self, cx: &Cx<'_>, node: &NodePart, nick: Option<&ResourcePart>) -> bool {
        self.rooms.owns(node, cx)
            || cx.info.room_prefixes.is_empty()
                && cx.can(Capability::Rooms)
                && nick.is_none_or(|nick| nick.as_str() != CONTACT_RESOURCE)
                && self.contacts.get(cx, cx.names.name_of(node).as_str()).is_none()
    }

    /// How the transport itself is seen now.
    pub(crate) fn transport_presence(&self, cx: &Cx<'_>) -> crate::model::Presence {
        use crate::model::{Availability, Presence};
        let on_the_way = |text: String| Presence {
            availability: Availability::Offline,
            text: Some(text),
            idle_since: None,
        };
        match self.login.state {
            State::Online(_) => Presence::ONLINE,
            State::LoggingIn(_) if self.prompts.is_open() => on_the_way(format!("{} waits for your answer", cx.info.name)),
            State::New | State::Loading | State::Idle | State::Assigning | State::LoggingIn(_) => {
                on_the_way(format!("Connecting to {}", cx.info.name))
            }
            State::BackingOff { .. } => on_the_way(format!("Not connected to {}, trying again soon", cx.info.name)),
            State::Over => Presence::OFFLINE,
        }
    }

    /// The account that everybody is let in under who needs no registration.
    pub(crate) fn own_name(cx: &Cx<'_>) -> Option<LegacyName> {
        cx.user
            .node()
            .map(|node| LegacyName::new(crate::jid::login_name(node.as_str())))
    }
}

/// A note to oneself: all of the user's resources see it.
fn message_to_self(cx: &mut Cx<'_>, mut message: Message) {
    match message.type_ {
        MessageType::Chat | MessageType::Normal | MessageType::Headline => {
            message.to = Some(cx.user_at(None));
            cx.say(message);
        }
        MessageType::Groupchat => {
            let text = "This is no room.";
            cx.refuse(&Stanza::Message(message), error(DefinedCondition::ServiceUnavailable, text));
        }
        MessageType::Error => {}
    }
}
