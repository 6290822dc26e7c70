//! Rooms as the user sees them: exact stanzas in exact order.

#![allow(clippy::unwrap_used)]

mod archive;
mod join;
mod line;
mod own;
mod owner;
mod standing;

use std::time::Duration;

use jid::{BareJid, NodePart, ResourcePart};
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;

use super::*;
use crate::backend::link::LinkRequest;
use crate::backend::{Answer, BackendInfo, OpError, OpErrorKind, Retry, Verb};
use crate::face::{FaceTraits, UserOut};
use crate::model::{
    Affiliation, Capability, Departure, IncomingMessage, Joined, Occupant, OccupantGone, OccupantRenamed, RequestId, Role,
    RoomClosed, RoomEcho, RoomSubject, Sent, Timestamp,
};
use crate::session::archive::ArchiveChange;
use crate::session::history::History;
use crate::session::outbox::Outbox;
use crate::session::pending::{Pending, Requests};
use crate::session::sending;
use crate::session::{NameTable, Now, Output, SessionConfig, SessionLimits, StoreRequest};

/// A user's rooms with everything around them.
struct Stage {
    config: SessionConfig,
    user: BareJid,
    info: BackendInfo,
    names: NameTable,
    requests: Requests,
    outbox: Outbox,
    history: History,
    rooms: Rooms,
    now: Now,
    online: bool,
    out: Vec<Output>,
    /// Whether ids of occupants are looked at: most tests are about something else.
    shows_occupant_ids: bool,
}

const ROOM: &str = "#r";

impl Stage {
    fn new() -> Self {
        let mut info = BackendInfo::new("Net", "net").capabilities(&[
            Capability::Rooms,
            Capability::NicknameChange,
            Capability::RoomSubject,
            Capability::RoomModeration,
            Capability::PrivateMessages,
        ]);
        info.room_prefixes = "#".to_owned();
        Self {
            config: SessionConfig {
                transport: BareJid::new("net.example").unwrap(),
                name: Some("Net".to_owned()),
                face: FaceTraits {
                    holds_messages: false,
                    serves_roster: false,
                    answers_chat: false,
                },
                linger: None,
                login_timeout: Duration::from_secs(30),
                jid_escaping: None,
                durable: false,
                limits: SessionLimits::default(),
            },
            user: BareJid::new("u@example").unwrap(),
            names: NameTable::new(&info),
            info,
            requests: Requests::default(),
            outbox: Outbox::default(),
            history: History::default(),
            rooms: Rooms::default(),
            now: Now {
                mono: Duration::from_secs(100),
                wall: Timestamp::from_secs(1_000_000_000),
            },
            online: true,
            out: Vec::new(),
            shows_occupant_ids: false,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Rooms, &mut Cx<'_>) -> T) -> T {
        let mut cx = Cx {
            config: &self.config,
            user: &self.user,
            info: &self.info,
            names: &mut self.names,
            requests: &mut self.requests,
            outbox: &mut self.outbox,
            history: &mut self.history,
            out: &mut self.out,
            now: self.now,
            online: self.online,
        };
        let result = f(&mut self.rooms, &mut cx);
        sending::flush(&mut cx, &mut self.rooms);
        result
    }

    /// A stanza of the user's from this resource.
    fn user(&mut self, resource: &str, xml: &str) {
        let element: Element = xml.replacen(' ', " xmlns='jabber:client' ", 1).parse().unwrap();
        let to = jid::Jid::new(element.attr("to").unwrap()).unwrap();
        let node = to.node().unwrap().to_owned();
        let nick = to.resource().map(ToOwned::to_owned);
        let from = self.user.with_resource_str(resource).unwrap();
        let resource = ResourcePart::new(resource).unwrap().into_owned();
        match element.name() {
            "presence" => {
                let mut presence = Presence::try_from(element).unwrap();
                presence.from = Some(from.into());
                self.with(|rooms, cx| assert!(rooms.presence(cx, &resource, &node, nick.as_ref(), &presence)));
            }
            "message" => {
                let mut message = Message::try_from(element).unwrap();
                message.from = Some(from.into());
                self.with(|rooms, cx| rooms.message(cx, Some(&resource), &node, nick.as_ref(), message));
            }
            _ => {
                let mut iq = Iq::try_from(element).unwrap();
                *iq.from_mut() = Some(from.into());
                self.with(|rooms, cx| assert_eq!(rooms.iq(cx, Some(&resource), &node, nick.as_ref(), iq), None));
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.with(|rooms, cx| assert_eq!(rooms.event(cx, event), None));
    }

    /// The verbs asked for since the last look, with their ids.
    fn verbs(&mut self) -> Vec<(RequestId, Verb)> {
        let mut verbs = Vec::new();
        self.out.retain(|output| match output {
            Output::Link(LinkRequest::Verb { request, verb }) => {
                verbs.push((*request, (**verb).clone()));
                false
            }
            _ => true,
        });
        verbs
    }

    fn outcome(&mut self, request: RequestId, outcome: Outcome) {
        let pending = self.requests.take(request);
        self.with(|rooms, cx| match pending {
            Some(Pending::Room(pending)) => rooms.outcome(cx, pending, outcome),
            Some(Pending::Message(id)) => sending::outcome(cx, rooms, &id, outcome),
            other => panic!("not a room's request: {other:?}"),
        });
    }

    /// What the user has been sent since the last look.
    fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        for output in self.out.drain(..) {
            if let Output::User(UserOut::Stanza(stanza)) = output {
                let element: Element = match stanza {
                    Stanza::Message(m) => m.into(),
                    Stanza::Presence(p) => p.into(),
                    Stanza::Iq(iq) => iq.into(),
                };
                let xml = String::from(&element);
                let xml = xml.replace('"', "'").replace(" xmlns='jabber:client'", "");
                let xml = xml.replace("<priority>0</priority>", "");
                seen.push(masked(&if self.shows_occupant_ids {
                    xml
                } else {
                    without_occupant_id(&xml)
                }));
            }
        }
        seen
    }

    /// In the room as `me`, with `op` there before.
    fn inside() -> Self {
        let mut stage = Self::new();
        stage.join("laptop");
        stage.seen();
        stage
    }

    fn join(&mut self, resource: &str) {
        self.user(
            resource,
            "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
        );
        for (request, verb) in self.verbs() {
            assert!(matches!(verb, Verb::JoinRoom(_)));
            self.event(Event::Occupant(op()));
            self.event(Event::Occupant(Occupant::new(ROOM.into(), "me")));
            self.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
        }
    }
}

fn without_occupant_id(xml: &str) -> String {
    match xml.split_once("<occupant-id") {
        Some((before, rest)) => before.to_owned() + rest.split_once("/>").map_or("", |(_, after)| after),
        None => xml.to_owned(),
    }
}

/// Ids that the session makes begin with the time of the test; the rest of them is a count.
fn masked(xml: &str) -> String {
    let mut parts = xml.split("e8d4a51000.");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("ID");
        masked.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    masked
}

fn op() -> Occupant {
    Occupant {
        role: Role::Moderator,
        affiliation: Affiliation::Admin,
        ..Occupant::new(ROOM.into(), "op")
    }
}

const OP: &str = "<presence from='#r@net.example/op' to='u@example/laptop'><x xmlns='http://jabber.org/protocol/muc#user'>\
    <item affiliation='admin' role='moderator'/></x></presence>";
const ME: &str = "<presence from='#r@net.example/me' to='u@example/laptop'><x xmlns='http://jabber.org/protocol/muc#user'>\
    <item affiliation='none' role='participant'/><status code='110'/></x></presence>";
