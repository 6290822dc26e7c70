//! Into a room and back into it: the strict order, refusals, further resources, rejoining.

use super::*;

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
fn a_node_that_is_no_room_is_left_alone() {
    let mut stage = Stage::new();
    let node = NodePart::new("someone").unwrap().into_owned();
    stage.with(|rooms, cx| {
        assert!(!rooms.owns(&node, cx));
        let resource = ResourcePart::new("laptop").unwrap().into_owned();
        assert!(!rooms.presence(cx, &resource, &node, None, &Presence::available()));
    });
}

#[test]
fn a_room_of_five_thousand_is_shown_whole_and_oneself_last() {
    const OTHERS: usize = 5_000;
    let mut stage = Stage::new();
    stage.user(
        "laptop",
        "<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let (request, _) = stage.verbs().pop().unwrap();
    for n in 0..OTHERS {
        stage.event(Event::Occupant(Occupant::new(ROOM.into(), format!("n{n}"))));
    }
    assert_eq!(stage.seen(), [""; 0]);
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    let seen = stage.seen();
    assert_eq!(seen.len(), OTHERS + 2);
    assert!(seen[OTHERS].contains("/me'") && seen[OTHERS].contains("<status code='110'/>"));
    assert!(seen[OTHERS + 1].contains("<subject"));
    let different: std::collections::HashSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "nobody is shown twice");
    // What is said and who changes costs one stanza for each resource, however many are there.
    stage.event(Event::Message(IncomingMessage::new(Chat::Room(ROOM.into()), "hi").by("n7")));
    assert_eq!(stage.seen().len(), 1);
    let away = Occupant {
        role: Role::Moderator,
        ..Occupant::new(ROOM.into(), "n7")
    };
    stage.event(Event::Occupant(away));
    assert_eq!(stage.seen().len(), 1);
    stage.join("phone");
    assert_eq!(stage.seen().iter().filter(|s| s.starts_with("<presence")).count(), OTHERS + 1);
}

fn kept(viewers: &[&str]) -> StoredRoom {
    let viewer = |name: &&str| ResourcePart::new(name).unwrap().into_owned();
    StoredRoom {
        id: ROOM.into(),
        nickname: "me".into(),
        password: None,
        viewers: viewers.iter().map(viewer).collect(),
    }
}

fn of_last_time(rooms: Vec<StoredRoom>) -> Kept {
    Kept {
        rooms,
        ..Kept::default()
    }
}

fn saved(out: &[Output]) -> Vec<Vec<String>> {
    let viewers = |room: &StoredRoom| room.viewers.iter().map(ToString::to_string).collect();
    out.iter()
        .filter_map(|output| match output {
            Output::Store(StoreRequest::SaveRoom(room)) => Some(viewers(room)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_client_that_does_not_know_of_a_restart_is_shown_its_rooms_again() {
    let mut stage = Stage::new();
    stage.with(|rooms, cx| rooms.stored(cx, of_last_time(vec![kept(&["desk", "phone"])])));
    stage.with(|rooms, cx| rooms.logged_in(cx));
    let desk = ResourcePart::new("desk").unwrap().into_owned();
    stage.with(|rooms, cx| rooms.arrived(cx, &desk));
    let other = ResourcePart::new("new").unwrap().into_owned();
    stage.with(|rooms, cx| rooms.arrived(cx, &other));
    let (request, _) = stage.verbs().pop().unwrap();
    stage.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    let shown = stage.seen();
    assert!(
        shown[0].contains("to='u@example/desk'") && shown[0].contains("code='110'"),
        "{shown:#?}"
    );
    assert!(
        shown.iter().all(|stanza| stanza.contains("to='u@example/desk'")),
        "{shown:#?}"
    );
    // Who does not come is told, should it be there after all.
    stage.now.mono += EXPECTATION;
    stage.with(|rooms, cx| rooms.tick(cx));
    assert_eq!(
        stage.seen(),
        [
            "<presence from='#r@net.example/me' to='u@example/phone' type='unavailable'><status>The transport was restarted.</status><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'><reason>The transport was restarted.</reason></item><status code='110'/><status code='332'/></x></presence>"
        ]
    );
    // Nobody is waited for twice.
    stage.with(|rooms, cx| rooms.arrived(cx, &ResourcePart::new("phone").unwrap().into_owned()));
    assert!(stage.seen().is_empty());
}

#[test]
fn which_resources_are_in_a_room_is_kept_until_they_are_told_that_they_are_out() {
    let mut stage = Stage::new();
    stage.join("desk");
    assert_eq!(saved(&stage.out), [["desk"]]);
    stage.out.clear();
    stage.join("phone");
    assert_eq!(saved(&stage.out), [["desk", "phone"]]);
    stage.out.clear();
    stage.user("phone", "<presence type='unavailable' to='#r@net.example/me'/>");
    assert_eq!(saved(&stage.out), [["desk"]]);
    stage.out.clear();
    stage.with(|rooms, cx| rooms.close(cx, "The transport is stopping."));
    assert_eq!(saved(&stage.out), [Vec::<String>::new()]);
}
