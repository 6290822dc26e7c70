//! Rooms of another XMPP server through the XMPP backend, with a real client (slixmpp) of another account in them.

#![allow(clippy::unwrap_used)]

use spectrum_backend_sdk::model::{Affiliation, Chat, Edit, Form, Origin, Reactions};
use spectrum_backend_sdk::testing::User;
use spectrum_backend_sdk::{Answer, Event, OpErrorKind, Verb};
use spectrum_tests::clients::Foreign;
use spectrum_tests::elsewhere::{ALICE, BOB, backend, client, hears, join, login, make_room, message};
use spectrum_tests::peers::{Prosody, needed};
use spectrum_tests::scene::{is_groupchat, is_presence};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_in_rooms() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let Some(mut bob) = needed(client(&prosody, "bob").await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let mut alice = login(&kit).await;
    let room = make_room(&mut bob, "tea").await;
    assert_eq!(join(&mut alice, &room).await.as_deref(), Ok("Alice"));
    let is_bob = |e: &Event| match e {
        Event::Occupant(o) if o.nickname.as_str() == "Bob" => Some(o.clone()),
        _ => None,
    };
    assert!(alice.wait_for("bob", is_bob).await.stable_id.is_some());

    let chat = Chat::Room(room.as_str().into());
    let sent = alice.say(chat.clone(), "hello, roomm").await.unwrap();
    let id = sent.id.expect("the room's id");
    let heard = bob.expect_body("hello, roomm").await;
    assert_eq!(heard.attr("from"), Some(format!("{room}/Alice").as_str()));
    let edit = Edit {
        chat: chat.clone(),
        nickname: None,
        id: id.clone(),
        body: "hello, room".to_owned(),
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::Edit(edit)).await.unwrap();
    let corrected = bob.expect_body("hello, room").await;
    // A correction names a message as its sender does (XEP-0308).
    assert_eq!(
        corrected
            .get_child("replace", "urn:xmpp:message-correct:0")
            .unwrap()
            .attr("id"),
        heard.attr("id")
    );
    let reactions = Reactions {
        chat: chat.clone(),
        nickname: None,
        id: id.clone(),
        emojis: vec!["👍".to_owned()],
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::React(reactions)).await.unwrap();
    // A reaction names it as the room does (XEP-0444).
    hears(&mut bob, "reactions", "urn:xmpp:reactions:0", id.as_str()).await;

    let say_in_room = async |bob: &mut Foreign, id: &str, inner: &str| {
        bob.send(&format!("<message to='{room}' type='groupchat' id='{id}'>{inner}</message>"))
            .await;
    };
    say_in_room(&mut bob, "g1", "<body>hello, Alcie</body>").await;
    let heard = message(&mut alice, "hello, Alcie").await;
    assert_eq!((heard.chat, heard.nickname.unwrap().as_str()), (chat.clone(), "Bob"));
    let theirs = heard.id.unwrap();
    say_in_room(
        &mut bob,
        "g2",
        "<body>hello, Alice</body><replace xmlns='urn:xmpp:message-correct:0' id='g1'/>",
    )
    .await;
    let edited = alice
        .wait_for("the correction", |e| match e {
            Event::Edited(edit) => Some(edit.clone()),
            _ => None,
        })
        .await;
    assert_eq!((edited.id, edited.body.as_str()), (theirs.clone(), "hello, Alice"));
    let retract = format!("<retract xmlns='urn:xmpp:message-retract:1' id='{theirs}'/>");
    say_in_room(&mut bob, "g3", &retract).await;
    let retracted = alice
        .wait_for("the retraction", |e| match e {
            Event::Retracted(retraction) => Some(retraction.clone()),
            _ => None,
        })
        .await;
    assert_eq!(retracted.id, theirs);
    say_in_room(&mut bob, "g4", "<subject>what we drink</subject>").await;
    alice
        .wait_for("the subject", |e| match e {
            Event::RoomSubject(s) if s.subject == "what we drink" => Some(()),
            _ => None,
        })
        .await;

    // In private, both ways.
    let private = Chat::Occupant {
        room: room.as_str().into(),
        nickname: "Bob".into(),
    };
    alice.say(private.clone(), "psst").await.unwrap();
    bob.expect("a private message", |s| {
        !is_groupchat(s) && s.attr("from") == Some(format!("{room}/Alice").as_str()) && s.has_child("body", "jabber:client")
    })
    .await;
    bob.send(&format!(
        "<message to='{room}/Alice' type='chat' id='p1'><body>what?</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>"
    ))
    .await;
    assert_eq!(message(&mut alice, "what?").await.chat, private);

    // Invited, listed, left.
    let invite = Verb::Invite {
        room: room.as_str().into(),
        contact: BOB.into(),
        reason: Some("more tea".to_owned()),
    };
    alice.request(invite).await.unwrap();
    bob.expect("the invitation", |s| {
        s.get_child("x", "http://jabber.org/protocol/muc#user")
            .is_some_and(|x| x.has_child("invite", "http://jabber.org/protocol/muc#user"))
    })
    .await;
    let Ok(Answer::Rooms(rooms)) = alice.request(Verb::ListRooms).await else {
        panic!("no rooms")
    };
    assert!(rooms.iter().any(|r| r.id.as_str() == room), "{rooms:?}");
    set_up(&mut alice, &mut bob, &room).await;
    alice.request(Verb::LeaveRoom(room.as_str().into())).await.unwrap();
    let gone = format!("{room}/Alice");
    bob.expect("alice gone", |s| is_presence(s, &gone, Some("unavailable"))).await;

    // A room for members alone refuses with the reason.
    let closed = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
                  <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
                  <field var='muc#roomconfig_membersonly'><value>1</value></field></x></query>";
    assert_eq!(bob.request("set", &room, closed).await.attr("type"), Some("result"));
    assert_eq!(join(&mut alice, &room).await, Err(OpErrorKind::MembersOnly));
    alice.logout().await;
}

/// Alice, once an owner, sets the room up and keeps its lists.
async fn set_up(alice: &mut User, bob: &mut Foreign, room: &str) {
    let settings = || Verb::RoomSettings(room.into());
    assert_eq!(alice.request(settings()).await.unwrap_err().kind, OpErrorKind::NotAllowed);
    let make = |affiliation: &str| {
        format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}' jid='{ALICE}'/></query>")
    };
    let made = bob.request("set", room, &make("owner")).await;
    assert_eq!(made.attr("type"), Some("result"));
    let Ok(Answer::Form(form)) = alice.request(settings()).await else {
        panic!("no form")
    };
    let moderated = |form: &Form| {
        let mut fields = form.fields.iter();
        let field = fields.find(|field| field.name == "muc#roomconfig_moderatedroom");
        field.and_then(|field| field.default.clone()).unwrap()
    };
    assert_eq!(moderated(&form), "0");
    let configure = |value: &str| Verb::ConfigureRoom {
        room: room.into(),
        answers: [("muc#roomconfig_moderatedroom".to_owned(), value.into())].into(),
    };
    alice.request(configure("1")).await.unwrap();
    let Ok(Answer::Form(form)) = alice.request(settings()).await else {
        panic!("no form")
    };
    assert_eq!(moderated(&form), "1");
    alice.request(configure("0")).await.unwrap();
    let set = |affiliation, reason: Option<&str>| Verb::SetAffiliation {
        room: room.into(),
        who: "mallory@elsewhere.example".into(),
        affiliation,
        reason: reason.map(str::to_owned),
    };
    let outcasts = || Verb::ListAffiliated {
        room: room.into(),
        affiliation: Affiliation::Outcast,
    };
    alice.request(set(Affiliation::Outcast, Some("noise"))).await.unwrap();
    let Ok(Answer::Affiliated(list)) = alice.request(outcasts()).await else {
        panic!("no list")
    };
    assert_eq!((list.len(), list[0].who.as_str()), (1, "mallory@elsewhere.example"));
    alice.request(set(Affiliation::None, None)).await.unwrap();
    assert_eq!(alice.request(outcasts()).await, Ok(Answer::Affiliated(Vec::new())));
    let made = bob.request("set", room, &make("none")).await;
    assert_eq!(made.attr("type"), Some("result"));
}
