//! The concerns of one session together, and which of them hears what. Nothing is decided here.

use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::presence::{Presence, Type};
use xmpp_parsers::stanza_error::DefinedCondition;

use jid::{NodePart, ResourcePart};

use crate::backend::link::LinkInput;
use crate::backend::{BackendInfo, Event, Outcome};
use crate::face::{To, UserIn, UserOut};
use crate::model::{Capability, Chat, ContactId, LegacyName};
use crate::session::contacts::Contacts;
use crate::session::conversation::{Audience, Conversations};
use crate::session::cx::CONTACT_RESOURCE;
use crate::session::login::{Login, State};
use crate::session::pending::Pending;
use crate::session::prompt::Prompts;
use crate::session::query::{self, Queries};
use crate::session::resources::{Change, Resources};
use crate::session::rooms::Rooms;
use crate::session::subscription::{self, Asked, Subscriptions};
use crate::session::{Cx, Output, roster};
use crate::stanza::{Stanza, error, op_error};
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
                } else {
                    self.conversations.from_user(cx, &node, message);
                }
            }
            (To::Account, Stanza::Iq(iq)) if cx.config.face.serves_roster && roster::is_roster(&iq) => {
                let seen = self.resources.any_available();
                roster::request(cx, &mut self.contacts, &mut self.resources, resource, iq, seen);
            }
            (To::Transport | To::Account, Stanza::Iq(iq)) => {
                self.queries
                    .to_self(cx, &self.contacts, self.login.name(), self.rooms.listed(), iq);
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
        if let Some(resource) = resource {
            if self.rooms.presence(cx, resource, node, nick, &presence) {
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
                self.subscriptions.from_user(
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
            Some(true) => self.login.be_prompt(cx.now.mono, cx.config.login_timeout),
            Some(false) => self.login.be_patient(cx.now.mono),
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
        self.queries.to_chat(cx, &self.contacts, chat, iq);
    }

    /// Whether a request can be about a room: one the user is in, or, where names do not tell, anything that is no contact.
    fn may_be_room(&self, cx: &Cx<'_>, node: &NodePart, nick: Option<&ResourcePart>) -> bool {
        self.rooms.owns(node, cx)
            || cx.info.room_prefixes.is_empty()
                && cx.can(Capability::Rooms)
                && nick.is_none_or(|nick| nick.as_str() != CONTACT_RESOURCE)
                && self.contacts.get(cx, cx.names.name_of(node).as_str()).is_none()
    }

    /// From the link of the present assignment.
    pub(crate) fn link(&mut self, cx: &mut Cx<'_>, input: LinkInput) {
        match input {
            LinkInput::LoggedIn => self.logged_in(cx),
            LinkInput::Event { event, durable } => {
                if matches!(self.login.state, State::LoggingIn(_) | State::Online(_)) {
                    self.event(cx, *event);
                }
                if let Some(durable) = durable {
                    cx.out.push(Output::Committed(durable));
                }
            }
            LinkInput::Outcome { request, outcome } => {
                if let Some(pending) = cx.requests.take(request) {
                    self.outcome(cx, pending, *outcome);
                }
            }
            LinkInput::Prompt { prompt, what } => {
                let heard = self.resources.any_available();
                if self.prompts.prompt(cx, prompt, *what, heard) {
                    self.login.be_patient(cx.now.mono);
                }
            }
            LinkInput::BackendLost { reason } => self.backend_lost(cx, &reason),
        }
    }

    /// Something happened on the network.
    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        let Some(event) = self.rooms.event(cx, event) else { return };
        let audience = self.audience();
        match event {
            Event::Contact(update) => {
                let id = update.id.clone();
                if !update.avatar.is_keep() {
                    self.queries.forget(&Chat::Contact(id.clone()));
                }
                if self.contacts.update(cx, update, audience.seen) {
                    subscription::answered(cx, &self.contacts, &id, true);
                }
            }
            Event::ContactRemoved(id) => {
                self.contacts.remove(cx, &id, audience.seen);
            }
            Event::ContactsComplete => self.contacts.complete(cx, audience.seen),
            Event::ContactRequested(request) => self.subscriptions.requested(cx, request),
            Event::Message(message) => {
                if let Chat::Contact(contact) = &message.chat {
                    let contact = contact.clone();
                    self.conversations.incoming(cx, &contact, message, audience);
                }
            }
            Event::Edited(edit) => {
                if let Chat::Contact(contact) = &edit.chat {
                    let contact = contact.clone();
                    self.conversations.edited(cx, &contact, edit, audience);
                }
            }
            Event::Retracted(retraction) => {
                if let Chat::Contact(contact) = &retraction.chat {
                    let contact = contact.clone();
                    self.conversations.retracted(cx, &contact, retraction, audience);
                }
            }
            Event::Reacted(reactions) => {
                if let Chat::Contact(contact) = &reactions.chat {
                    let contact = contact.clone();
                    self.conversations.reacted(cx, &contact, reactions, audience);
                }
            }
            Event::Marked(marker) => {
                if let Chat::Contact(contact) = &marker.chat {
                    let contact = contact.clone();
                    self.conversations.marked(cx, &contact, marker, audience);
                }
            }
            Event::Delivered {
                chat: Chat::Contact(contact),
                id,
            } => self.conversations.delivered(cx, &contact, &id, audience),
            Event::ChatState {
                chat: Chat::Contact(contact),
                nickname: _,
                state,
            } => {
                self.conversations.chat_state(cx, &contact, state, audience);
            }
            // Receipts and typing of occupants: rooms show none.
            Event::Delivered {
                chat: Chat::Room(_) | Chat::Occupant { .. },
                ..
            }
            | Event::ChatState {
                chat: Chat::Room(_) | Chat::Occupant { .. },
                ..
            } => {}
            Event::Attention { contact, text } => self.conversations.attention(cx, &contact, text, audience),
            Event::Notice(text) => self.conversations.notice(cx, &text, audience),
            Event::Profile { of, profile } => self.queries.seen(cx, &mut self.contacts, of, profile, audience.seen),
            Event::Closed(reason) => self.closed(cx, reason),
            // The rooms have taken these; XMPP as text is for a face that passes it on, and none does.
            Event::RoomList(_)
            | Event::Occupant(_)
            | Event::OccupantGone(_)
            | Event::OccupantRenamed(_)
            | Event::RoomSubject(_)
            | Event::RoomClosed(_)
            | Event::Invited(_)
            | Event::RawXml(_) => {}
        }
    }

    /// How a request ended: whoever waits for it hears.
    pub(crate) fn outcome(&mut self, cx: &mut Cx<'_>, pending: Pending, outcome: Outcome) {
        let seen = self.resources.any_available();
        match pending {
            Pending::Nobody => {}
            Pending::Iq(iq) => query::reply(cx, &iq, outcome.map(|_| None).map_err(|failed| op_error(&failed))),
            Pending::Tell(stanza) => {
                if let Err(failed) = outcome {
                    cx.refuse(&stanza, op_error(&failed));
                }
            }
            Pending::Message(id) => self.conversations.outcome(cx, &id, outcome),
            Pending::Profile { of, iq } => {
                self.queries
                    .profile_outcome(cx, &mut self.contacts, query::Fetched { of, iq, seen }, outcome)
            }
            Pending::RoomList(iq) => query::rooms_outcome(cx, &iq, outcome),
            Pending::Roster(iq) => roster::outcome(cx, &mut self.contacts, &iq, outcome, seen),
            Pending::Subscribe { contact, presence } => {
                subscription::outcome(cx, &mut self.contacts, contact, &presence, outcome)
            }
            Pending::Room(request) => self.rooms.outcome(cx, request, outcome),
        }
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
