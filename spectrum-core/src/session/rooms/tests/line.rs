//! What is said in a room and to an occupant: echoes, ids, certainty, waiting.

use super::*;

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
        [
            "<message from='#r@net.example/me' id='x1' to='u@example/laptop' type='groupchat'><body>hello</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='#r@net.example' id='ID'/></message>"
        ]
    );
    // One that it forgets is shown after a while.
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x2'><body>lost</body></message>",
    );
    stage.verbs();
    let mut seen = 0;
    while let Some(due) = stage.rooms.next_deadline() {
        stage.now.mono = due;
        stage.with(Rooms::tick);
        seen += stage.seen().len();
    }
    assert_eq!(seen, 1);
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
fn a_line_that_is_to_be_sent_again_after_the_user_has_left_is_answered() {
    let mut stage = Stage::inside();
    stage.user(
        "laptop",
        "<message to='#r@net.example' type='groupchat' id='x1'><body>hello</body></message>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    stage.user("laptop", "<presence to='#r@net.example/me' type='unavailable'/>");
    stage.seen();
    let busy = OpError::new(OpErrorKind::RateLimited, "slow down").retry(Retry::After(Duration::from_secs(1)));
    stage.outcome(request, Err(busy));
    let seen = stage.seen();
    assert_eq!(seen.len(), 1);
    assert!(
        seen[0].contains("id='x1'") && seen[0].contains("you have left the room"),
        "{seen:?}"
    );
}

#[test]
fn a_second_line_waits_until_the_first_is_with_the_network() {
    let mut stage = Stage::inside();
    for id in ["x1", "x2"] {
        stage.user(
            "laptop",
            &format!("<message to='#r@net.example' type='groupchat' id='{id}'><body>{id}</body></message>"),
        );
    }
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SendMessage(m) if m.body == "x1"));
    stage.outcome(request, Ok(Answer::Done));
    let (_, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SendMessage(m) if m.body == "x2"));
}
