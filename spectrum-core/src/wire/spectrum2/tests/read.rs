//! What a backend says, as events.

use super::*;

#[test]
fn contacts_are_read() {
    let full = ContactUpdate {
        id: "bob".into(),
        alias: Patch::Set("Bob".to_owned()),
        groups: Patch::Set(vec!["Friends".to_owned()]),
        presence: Patch::Set(Presence {
            text: Some("brb".to_owned()),
            ..Presence::of(Availability::Away)
        }),
        avatar: Patch::Set(AvatarHash::new("hash")),
        blocked: Patch::Set(true),
        subscription: Patch::Keep,
    };
    assert_eq!(read_event("contact"), Event::Contact(full));
    let bare = ContactUpdate {
        presence: Patch::Set(Presence::ONLINE),
        avatar: Patch::Clear,
        blocked: Patch::Set(false),
        ..ContactUpdate::new("bob")
    };
    assert_eq!(read_event("contact_bare"), Event::Contact(bare.clone()));
    let offline = ContactUpdate {
        presence: Patch::Set(Presence::OFFLINE),
        ..bare
    };
    assert_eq!(read_event("contact_offline"), Event::Contact(offline));
    assert_eq!(read_event("contact_gone"), Event::ContactRemoved("bob".into()));
    assert_eq!(read(&mut with_user(), &["contact_self"]), []);
    let request = ContactRequest {
        id: "eve".into(),
        alias: None,
        text: None,
    };
    assert_eq!(read_event("auth_request"), Event::ContactRequested(request));
}

#[test]
fn messages_are_read() {
    let said = |chat: Chat, body: &str| IncomingMessage::new(chat, body);
    let time = Timestamp::from_millis(1_795_569_493_000);
    assert_eq!(
        read_event("said"),
        Event::Message(IncomingMessage {
            xhtml: Some("<i>hi</i>".to_owned()),
            timestamp: Some(time),
            id: Some("n1".into()),
            ..said(bob(), "hi")
        })
    );
    assert_eq!(read_event("said_in_room"), Event::Message(said(room(), "hi").by("Bob")));
    assert_eq!(read_event("said_in_private"), Event::Message(said(in_room(), "psst")));
    assert_eq!(
        read_event("said_elsewhere"),
        Event::Message(IncomingMessage {
            origin: Origin::OwnOtherDevice,
            ..said(bob(), "from my phone")
        })
    );
    assert_eq!(
        read_event("said_headline"),
        Event::Message(IncomingMessage {
            kind: MessageKind::Headline,
            ..said(bob(), "News")
        })
    );
    let file = Attachment {
        url: "https://h/f.png".to_owned(),
        media_type: Some("image/png".to_owned()),
        description: Some("A cat".to_owned()),
    };
    assert_eq!(
        read_event("said_with_file"),
        Event::Message(IncomingMessage {
            attachments: vec![file],
            ..said(bob(), "")
        })
    );
    let epoch = Some(Timestamp::from_secs(1_700_000_000));
    assert_eq!(
        read_event("said_at_epoch"),
        Event::Message(IncomingMessage {
            timestamp: epoch,
            ..said(bob(), "hi")
        })
    );
    // A room without an author is known by the user being in it.
    assert_eq!(
        read(&mut in_the_room(), &["said_by_room"]),
        [event(Event::Message(said(room(), "MOTD")))]
    );
}

#[test]
fn typing_attention_receipts_and_subjects_are_read() {
    let typing = |chat: Chat, state| Event::ChatState {
        chat,
        nickname: None,
        state,
    };
    assert_eq!(read_event("they_type"), typing(bob(), ChatState::Composing));
    assert_eq!(read_event("they_stopped"), typing(bob(), ChatState::Active));
    assert_eq!(read_event("they_paused"), typing(bob(), ChatState::Paused));
    assert_eq!(
        read(&mut in_the_room(), &["occupant_types"]),
        [event(typing(in_room(), ChatState::Composing))]
    );
    assert_eq!(
        read_event("attention_wanted"),
        Event::Attention {
            contact: "bob".into(),
            text: Some("hey".to_owned())
        }
    );
    assert_eq!(
        read_event("receipt"),
        Event::Delivered {
            chat: bob(),
            id: MessageId::from("m1")
        }
    );
    assert_eq!(
        read_event("subject"),
        Event::RoomSubject(RoomSubject {
            room: "#room".into(),
            subject: "News".to_owned(),
            by: Some("Bob".to_owned()),
            timestamp: Some(Timestamp::from_millis(1_795_569_493_000)),
        })
    );
    assert_eq!(read(&mut codec(), &["query"]), [FromBackend::Query("status".to_owned())]);
}

#[test]
fn a_profile_answers_its_request_by_its_number() {
    let mut codec = with_user();
    asked(&mut codec, 7, Verb::FetchProfile(bob()));
    let profile = Profile {
        full_name: Some("Bob B.".to_owned()),
        nickname: Some("Bob".to_owned()),
        avatar: Some(Avatar {
            media_type: "image/jpeg".to_owned(),
            data: Bytes::from_static(b"\xff\xd8\xff\xe0"),
        }),
        notes: Vec::new(),
    };
    assert_eq!(
        read(&mut codec, &["profile"]),
        [outcome(7, Ok(Answer::Profile(profile.clone())))]
    );
    // Again, and never asked for: it is still what the profile says.
    assert_eq!(read(&mut codec, &["profile"]), [event(Event::Profile { of: bob(), profile })]);
    let unasked = Profile {
        full_name: Some("Bob B.".to_owned()),
        ..Profile::default()
    };
    assert_eq!(
        read(&mut codec, &["profile_unasked"]),
        [event(Event::Profile {
            of: bob(),
            profile: unasked
        })]
    );
}

#[test]
fn rooms_of_the_network_answer_a_request_and_those_of_a_user_are_an_event() {
    let summary = |id: &str, name: Option<&str>| RoomSummary {
        id: id.into(),
        name: name.map(str::to_owned),
        occupants: None,
        subject: None,
    };
    let mut codec = with_user();
    assert_eq!(read(&mut codec, &["rooms"]), []);
    asked(&mut codec, 1, Verb::ListRooms);
    let rooms = vec![summary("#a", Some("Room A")), summary("#b", None)];
    assert_eq!(answers(&mut codec), [outcome(1, Ok(Answer::Rooms(rooms)))]);
    assert_eq!(
        read_event("rooms_of_user"),
        Event::RoomList(vec![summary("#a", Some("Room A"))])
    );
}

#[test]
fn stanzas_go_both_ways_once_the_backend_is_xmpp() {
    let mut codec = with_user();
    read(&mut codec, &["config_raw"]);
    let xml = "<message from='u@s' to='bob@net'/>".to_owned();
    assert_eq!(asked(&mut codec, 1, Verb::RawXml(xml)), frame("raw_xml_out"));
    let stanza = "<message to='u@s/r' from='bob@net'><body>hi</body></message>".to_owned();
    assert_eq!(read(&mut codec, &["raw_xml"]), [event(Event::RawXml(stanza))]);
    assert_eq!(read(&mut codec, &["raw_xml_foreign"]), []);
    assert_eq!(codec.counters().foreign_user, 1);
}
