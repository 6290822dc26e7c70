//! Rooms as the user sees them: exact stanzas in exact order.

#![allow(clippy::unwrap_used)]

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
use crate::session::pending::{Pending, Requests};
use crate::session::{NameTable, Now, Output, SessionConfig, SessionLimits};

/// A user's rooms with everything around them.
struct Stage {
    config: SessionConfig,
    user: BareJid,
    info: BackendInfo,
    names: NameTable,
    requests: Requests,
    rooms: Rooms,
    now: Now,
    online: bool,
    out: Vec<Output>,
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
                name: "Net".to_owned(),
                face: FaceTraits {
                    holds_messages: false,
                    serves_roster: false,
                },
                linger: None,
                login_timeout: Duration::from_secs(30),
                jid_escaping: None,
                limits: SessionLimits::default(),
            },
            user: BareJid::new("u@example").unwrap(),
            names: NameTable::new(&info),
            info,
            requests: Requests::default(),
            rooms: Rooms::default(),
            now: Now {
                mono: Duration::from_secs(100),
                wall: Timestamp::from_secs(1_000_000_000),
            },
            online: true,
            out: Vec::new(),
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Rooms, &mut Cx<'_>) -> T) -> T {
        let mut cx = Cx {
            config: &self.config,
            user: &self.user,
            info: &self.info,
            names: &mut self.names,
            requests: &mut self.requests,
            out: &mut self.out,
            now: self.now,
            online: self.online,
        };
        f(&mut self.rooms, &mut cx)
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
        let Some(Pending::Room(pending)) = self.requests.take(request) else {
            panic!("the request is open and a room's")
        };
        self.with(|rooms, cx| rooms.outcome(cx, pending, outcome));
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
                seen.push(xml.replace("<priority>0</priority>", ""));
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

#[test]
fn a_join_shows_the_others_then_oneself_then_history_then_the_subject() {
    let mut stage = Stage::new();
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let (request, verb) = stage.verbs().pop().unwrap();
    let Verb::JoinRoom(join) = verb else {
        panic!("a join is asked for")
    };
    assert_eq!((join.room.as_str(), join.nickname.as_str()), ("#r", "me"));
    // Whatever order the network reports it in.
    let subject = RoomSubject {
        room: ROOM.into(),
        subject: "S".into(),
        by: Some("op".into()),
        timestamp: None,
    };
    stage.event(Event::RoomSubject(subject));
    stage.event(Event::Occupant(Occupant::new(ROOM.into(), "me")));
    let mut old = IncomingMessage::new(Chat::Room(ROOM.into()), "old").by("op");
    old.timestamp = Some(Timestamp::from_secs(900_000_000));
    old.id = Some("n1".into());
    stage.event(Event::Message(old));
    stage.event(Event::Occupant(op()));
    assert_eq!(stage.seen(), [""; 0]);
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    assert_eq!(
        stage.seen(),
        [
            OP,
            ME,
            "<message from='#r@net.example/op' id='n1' to='u@example/laptop' type='groupchat'><body>old</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='n1'/><delay xmlns='urn:xmpp:delay' from='#r@net.example' stamp='1998-07-09T16:00:00.000Z'/></message>",
            "<message from='#r@net.example/op' to='u@example/laptop' type='groupchat'><subject>S</subject></message>",
        ]
    );
}

#[test]
fn another_nickname_than_asked_for_is_said_with_210() {
    let mut stage = Stage::new();
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me_".into() })));
    assert_eq!(
        stage.seen()[0],
        "<presence from='#r@net.example/me_' to='u@example/laptop'><x xmlns='http://jabber.org/protocol/muc#user'>\
         <item affiliation='none' role='participant'/><status code='110'/><status code='210'/></x></presence>"
    );
}

#[test]
fn a_refused_join_is_an_error_presence_with_the_reason() {
    let mut stage = Stage::new();
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Err(OpError::new(OpErrorKind::NotAuthorized, "Bad key.")));
    assert_eq!(
        stage.seen(),
        [
            "<presence from='#r@net.example/me' to='u@example/laptop' type='error'><x xmlns='http://jabber.org/protocol/muc'/>\
          <error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
          <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Bad key.</text></error></presence>"
        ]
    );
    assert!(stage.rooms.rooms.is_empty());
}

#[test]
fn a_join_before_the_network_is_there_is_made_when_it_is() {
    let mut stage = Stage::new();
    stage.online = false;
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    assert!(stage.verbs().is_empty());
    stage.online = true;
    stage.with(Rooms::logged_in);
    assert_eq!(stage.verbs().len(), 1);
}

#[test]
fn a_second_resource_is_shown_the_room_without_asking_the_network() {
    let mut stage = Stage::inside();
    stage.user(
        "phone",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    assert!(stage.verbs().is_empty());
    let seen = stage.seen();
    assert_eq!(seen[0], OP.replace("laptop", "phone"));
    assert_eq!(seen[1], ME.replace("laptop", "phone"));
    assert_eq!(
        seen[2],
        "<message from='#r@net.example' to='u@example/phone' type='groupchat'><subject></subject></message>"
    );
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_line_comes_back_to_all_resources_with_its_id_once_the_network_has_it() {
    let mut stage = Stage::inside();
    stage.join("phone");
    stage.seen();
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>hello</body></message>",
    );
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SendMessage(m) if m.body == "hello" && m.chat == Chat::Room(ROOM.into())));
    assert_eq!(stage.seen(), [""; 0]);
    stage.outcome(
        request,
        Ok(Answer::Sent(Sent {
            id: Some("net1".into()),
            timestamp: None,
        })),
    );
    let line = |resource: &str| {
        format!(
            "<message from='#r@net.example/me' id='x1' to='u@example/{resource}' type='groupchat'><body>hello</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='net1'/></message>"
        )
    };
    assert_eq!(stage.seen(), [line("laptop"), line("phone")]);
}

#[test]
fn a_backend_that_shows_own_lines_is_not_echoed_twice() {
    let mut stage = Stage::inside();
    stage.info.room_echo = RoomEcho::Backend;
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>hello</body></message>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(stage.seen(), [""; 0]);
    stage.event(Event::Message(
        IncomingMessage::new(Chat::Room(ROOM.into()), "hello").by("me"),
    ));
    assert_eq!(
        stage.seen(),
        ["<message from='#r@net.example/me' id='x1' to='u@example/laptop' type='groupchat'><body>hello</body></message>"]
    );
    // One that it forgets is shown after a while.
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x2'><body>lost</body></message>",
    );
    stage.verbs();
    stage.now.mono = stage.rooms.next_deadline().unwrap();
    stage.with(Rooms::tick);
    assert_eq!(stage.seen().len(), 1);
    assert_eq!(stage.rooms.next_deadline(), None);
}

#[test]
fn a_line_that_may_have_been_sent_is_answered_as_uncertain() {
    let mut stage = Stage::inside();
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>hello</body></message>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Err(OpError::maybe_sent("The connection was lost.")));
    assert_eq!(
        stage.seen(),
        [
            "<message from='#r@net.example' id='x1' to='u@example/laptop' type='error'><error type='wait'>\
          <remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' \
          xml:lang='en'>The connection was lost. It may have been delivered all the same.</text></error></message>"
        ]
    );
}

#[test]
fn a_line_said_while_the_network_is_away_goes_out_after_the_rejoin() {
    let mut stage = Stage::inside();
    stage.online = false;
    stage.with(|rooms, cx| rooms.network_lost(cx, "gone"));
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>later</body></message>",
    );
    assert!(stage.verbs().is_empty());
    stage.online = true;
    stage.with(Rooms::logged_in);
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::JoinRoom(_)));
    // `op` has left meanwhile, `new` has come.
    stage.event(Event::Occupant(Occupant::new(ROOM.into(), "me")));
    stage.event(Event::Occupant(Occupant::new(ROOM.into(), "new")));
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    let (_, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SendMessage(m) if m.body == "later"));
    let seen = stage.seen();
    assert!(
        seen.iter()
            .any(|s| s.contains("from='#r@net.example/op'") && s.contains("type='unavailable'")),
        "{seen:?}"
    );
    assert!(seen.iter().any(|s| s.contains("from='#r@net.example/new'")), "{seen:?}");
    assert_eq!(seen.len(), 2, "the rest of the room has not changed: {seen:?}");
}

#[test]
fn a_nickname_change_of_the_user_is_303_and_110() {
    let mut stage = Stage::inside();
    stage.user("laptop", "<presence to='#r@net.example/other'/>");
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::ChangeNickname { nickname, .. } if nickname.as_str() == "other"));
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(stage.seen(), [""; 0]);
    stage.event(Event::OccupantRenamed(OccupantRenamed {
        room: ROOM.into(),
        old: "me".into(),
        new: "other".into(),
    }));
    assert_eq!(
        stage.seen(),
        [
            "<presence from='#r@net.example/me' to='u@example/laptop' type='unavailable'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' nick='other' role='participant'/>\
             <status code='110'/><status code='303'/></x></presence>",
            &ME.replace("/me'", "/other'"),
        ]
    );
}

#[test]
fn a_refused_nickname_change_is_an_error_presence() {
    let mut stage = Stage::inside();
    stage.user("laptop", "<presence to='#r@net.example/other'/>");
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Err(OpError::new(OpErrorKind::Conflict, "")));
    assert_eq!(
        stage.seen(),
        [
            "<presence from='#r@net.example/other' to='u@example/laptop' type='error'><error type='cancel'>\
          <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        ]
    );
}

#[test]
fn a_kick_is_307_with_actor_and_reason() {
    let mut stage = Stage::inside();
    let gone = OccupantGone {
        room: ROOM.into(),
        nickname: "me".into(),
        departure: Departure::Kicked { by: Some("op".into()) },
        reason: Some("out".into()),
    };
    stage.event(Event::OccupantGone(gone));
    assert_eq!(
        stage.seen(),
        [
            "<presence from='#r@net.example/me' to='u@example/laptop' type='unavailable'><status>out</status>\
          <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'><actor nick='op'/><reason>out</reason>\
          </item><status code='110'/><status code='307'/></x></presence>"
        ]
    );
    assert!(stage.rooms.rooms.is_empty());
}

#[test]
fn the_last_resource_that_leaves_takes_the_user_out() {
    let mut stage = Stage::inside();
    stage.join("phone");
    stage.seen();
    stage.user("laptop", "<presence to='#r@net.example/me' type='unavailable'/>");
    assert!(stage.verbs().is_empty());
    assert_eq!(
        stage.seen(),
        ["<presence from='#r@net.example/me' to='u@example/laptop' type='unavailable'>\
          <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/></x></presence>"]
    );
    stage.user("phone", "<presence to='#r@net.example/me' type='unavailable'/>");
    assert!(matches!(stage.verbs().pop(), Some((_, Verb::LeaveRoom(_)))));
}

#[test]
fn a_ping_of_oneself_tells_whether_one_is_inside() {
    let mut stage = Stage::inside();
    stage.user(
        "laptop",
        "<iq to='#r@net.example/me' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert_eq!(
        stage.seen(),
        ["<iq from='#r@net.example/me' id='p' to='u@example/laptop' type='result'/>"]
    );
    stage.user(
        "phone",
        "<iq to='#r@net.example/me' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert_eq!(
        stage.seen(),
        [
            "<iq from='#r@net.example/me' id='p' to='u@example/phone' type='error'><error type='modify'>\
          <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>\
          You are not in the room.</text></error></iq>"
        ]
    );
}

#[test]
fn a_kick_by_the_user_becomes_a_verb_and_its_outcome_the_answer() {
    let mut stage = Stage::inside();
    let kick = "<iq to='#r@net.example' type='set' id='k'><query xmlns='http://jabber.org/protocol/muc#admin'>\
        <item nick='op' role='none'><reason>bye</reason></item></query></iq>";
    stage.user("laptop", kick);
    let (request, verb) = stage.verbs().pop().unwrap();
    assert_eq!(
        verb,
        Verb::Kick {
            room: ROOM.into(),
            nickname: "op".into(),
            reason: Some("bye".into())
        }
    );
    stage.outcome(
        request,
        Err(OpError::new(OpErrorKind::NotAllowed, "You are not an operator.")),
    );
    assert_eq!(
        stage.seen(),
        [
            "<iq from='#r@net.example' id='k' to='u@example/laptop' type='error'><error type='cancel'>\
          <not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>\
          You are not an operator.</text></error></iq>"
        ]
    );
}

#[test]
fn a_room_lost_on_the_network_is_joined_again_with_growing_pauses() {
    let mut stage = Stage::inside();
    stage.event(Event::RoomClosed(RoomClosed {
        room: ROOM.into(),
        reason: "lost".into(),
        rejoin: true,
    }));
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let at = stage.rooms.next_deadline().unwrap();
        pauses.push((at - stage.now.mono).as_secs());
        stage.now.mono = at;
        stage.with(Rooms::tick);
        let (request, _) = stage.verbs().pop().unwrap();
        stage.outcome(request, Err(OpError::not_connected("").retry(Retry::WhenConnected)));
    }
    assert_eq!(pauses, [2, 5, 10]);
    assert_eq!(stage.seen(), [""; 0]);
}

#[test]
fn private_messages_go_both_ways_through_the_occupant() {
    let mut stage = Stage::inside();
    stage.user(
        "laptop",
        "<message to='#r@net.example/op' type='chat' id='p1'><body>psst</body></message>",
    );
    let (_, verb) = stage.verbs().pop().unwrap();
    let chat = Chat::Occupant {
        room: ROOM.into(),
        nickname: "op".into(),
    };
    assert!(matches!(verb, Verb::SendMessage(m) if m.chat == chat));
    let mut answer = IncomingMessage::new(chat, "what?");
    answer.id = Some("n1".into());
    stage.event(Event::Message(answer));
    assert_eq!(
        stage.seen(),
        [
            "<message from='#r@net.example/op' id='n1' to='u@example/laptop' type='chat'><body>what?</body>\
          <x xmlns='http://jabber.org/protocol/muc#user'/></message>"
        ]
    );
}

#[test]
fn a_line_from_outside_the_room_is_refused() {
    let mut stage = Stage::inside();
    stage.user(
        "phone",
        "<message to='#r@net.example' type='groupchat' id='x'><body>hi</body></message>",
    );
    assert!(stage.verbs().is_empty());
    assert!(stage.seen()[0].contains("<not-acceptable"));
}

#[test]
fn names_of_rooms_need_their_prefix() {
    let mut stage = Stage::new();
    stage.user(
        "laptop",
        "<presence to='r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    assert!(stage.verbs().is_empty());
    assert!(stage.seen()[0].contains("<item-not-found"));
}

#[test]
fn the_end_of_the_session_is_332_for_who_looks_and_an_error_for_who_waits() {
    let mut stage = Stage::inside();
    stage.online = false;
    stage.with(|rooms, cx| rooms.network_lost(cx, "gone"));
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>later</body></message>",
    );
    stage.with(|rooms, cx| rooms.close(cx, "Good bye."));
    let seen = stage.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].contains("<status code='332'/>") && seen[0].contains("<status code='110'/>"));
    assert!(seen[1].contains("id='x1'") && seen[1].contains("type='error'"));
}

#[test]
fn a_node_that_is_no_room_is_left_alone() {
    let mut stage = Stage::new();
    let node = NodePart::new("someone").unwrap().into_owned();
    stage.with(|rooms, cx| {
        assert!(!rooms.owns(&node, cx));
        let resource = ResourcePart::new("laptop").unwrap().into_owned();
        assert!(!rooms.presence(cx, &resource, &node, None, &Presence::available()));
    });
}
