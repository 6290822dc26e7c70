//! Who is who in a room, and how one leaves it: nicknames, kicks, pings of oneself, the end.

use super::*;

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
fn several_changes_of_one_request_are_asked_for_one_after_the_other() {
    let mut stage = Stage::inside();
    let ban_and_voice = "<iq to='#r@net.example' type='set' id='k'><query xmlns='http://jabber.org/protocol/muc#admin'>\
        <item nick='op' affiliation='outcast'/><item nick='me' role='participant'/></query></iq>";
    stage.user("laptop", ban_and_voice);
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SetStanding { nickname, .. } if nickname.as_str() == "op"));
    assert!(stage.verbs().is_empty());
    stage.outcome(request, Ok(Answer::Done));
    let (request, verb) = stage.verbs().pop().unwrap();
    assert!(matches!(verb, Verb::SetStanding { nickname, .. } if nickname.as_str() == "me"));
    assert_eq!(stage.seen(), [""; 0]);
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(
        stage.seen(),
        ["<iq from='#r@net.example' id='k' to='u@example/laptop' type='result'/>"]
    );
    // One that cannot be asked for keeps the others from being done.
    stage.user("laptop", &ban_and_voice.replace("role='participant'", "role='king'"));
    assert!(stage.verbs().is_empty());
    assert!(stage.seen()[0].contains("<bad-request"));
}

#[test]
fn a_room_is_not_destroyed_and_an_empty_configuration_is_accepted() {
    let mut stage = Stage::inside();
    let mut owner = |inside: &str| {
        stage.user(
            "laptop",
            &format!("<iq to='#r@net.example' type='set' id='o'><query xmlns='http://jabber.org/protocol/muc#owner'>{inside}</query></iq>"),
        );
        stage.seen().concat()
    };
    assert!(owner("<destroy jid='#s@net.example'/>").contains("<feature-not-implemented"));
    assert!(owner("<destroy/>").contains("<feature-not-implemented"));
    assert!(owner("<x xmlns='jabber:x:data' type='submit'/>").contains("type='result'"));
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomname'><value>x</value></field></x>";
    assert!(owner(form).contains("<feature-not-implemented"));
}

#[test]
fn a_resource_that_bounces_what_a_room_says_is_written_to_no_more() {
    let mut stage = Stage::inside();
    stage.join("phone");
    stage.seen();
    let say = |stage: &mut Stage| {
        stage.event(Event::Message(IncomingMessage::new(Chat::Room(ROOM.into()), "hi").by("op")));
        stage.seen().len()
    };
    assert_eq!(say(&mut stage), 2);
    let bounce = |condition: &str| {
        format!(
            "<message to='#r@net.example/op' type='error' id='e'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    stage.user("phone", &bounce("not-acceptable"));
    assert_eq!(say(&mut stage), 2, "it is there, it only does not like it");
    stage.user("phone", &bounce("service-unavailable"));
    assert_eq!(say(&mut stage), 1);
    let presence = bounce("recipient-unavailable").replace("message", "presence");
    stage.user("laptop", &presence);
    assert_eq!(say(&mut stage), 0);
    assert_eq!(
        stage.rooms.rooms.len(),
        1,
        "the user stays in, for the archive and the next resource"
    );
}
