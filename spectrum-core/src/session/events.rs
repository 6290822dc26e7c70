//! What comes from the link, and who hears it. Nothing is decided here; every event is named.

use crate::backend::link::LinkInput;
use crate::backend::{Event, LoginError, LoginErrorKind, Outcome};
use crate::model::Chat;
use crate::session::login::State;
use crate::session::parts::Parts;
use crate::session::pending::Pending;
use crate::session::{Cx, Output, query, roster, search, sending, subscription};
use crate::stanza::op_error;

impl Parts {
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
                if self.login.is_awaited() && !heard && !self.prompts.is_attended() {
                    return self.closed(cx, cannot_show(&cx.info.name));
                }
                if self.prompts.prompt(cx, prompt, *what, heard) {
                    self.login.be_patient(cx.now.mono);
                    self.tell_transport_presence(cx);
                }
            }
            LinkInput::BackendLost { reason } => self.backend_lost(cx, &reason),
        }
    }

    /// Something happened on the network.
    fn event(&mut self, cx: &mut Cx<'_>, event: Event) {
        let event = match event {
            Event::Message(message) => Event::Message(message.without_markup()),
            other => other,
        };
        let Some(event) = self.rooms.event(cx, event) else { return };
        let audience = self.audience();
        match event {
            Event::Contact(update) => {
                let id = update.id.clone();
                if !update.avatar.is_keep() {
                    self.queries.forget(&Chat::Contact(id.clone()));
                }
                if self.contacts.update(cx, update, audience.seen) {
                    subscription::answered(cx, &self.contacts, &id, subscription::Reply::Added);
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
            | Event::OwnRooms(_)
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
            Pending::Message(id) => sending::outcome(cx, &mut self.rooms, &id, outcome),
            Pending::Profile { of, iq } => {
                self.queries
                    .profile_outcome(cx, &mut self.contacts, query::Fetched { of, iq, seen }, outcome)
            }
            Pending::RoomList(asked) => query::rooms_outcome(cx, &asked, outcome),
            Pending::Search(asked) => search::outcome(cx, &asked, outcome),
            Pending::Roster { iq, wanted } => {
                roster::outcome(cx, &mut self.contacts, roster::Asked { iq, wanted, seen }, outcome)
            }
            Pending::Subscribe { contact, presence } => {
                subscription::outcome(cx, &mut self.contacts, contact, &presence, outcome)
            }
            Pending::Room(request) => self.rooms.outcome(cx, request, outcome),
        }
    }
}

/// A client waits for its login to be accepted, and until then there is nowhere to show a question or a picture.
fn cannot_show(network: &str) -> LoginError {
    let text = format!(
        "{network} wants more than a name and a password (a code, a picture or a link), and a login with a password \
         has nowhere to show it. Use {network} through a transport that users register with."
    );
    LoginError::new(LoginErrorKind::NoMechanism, text)
}
