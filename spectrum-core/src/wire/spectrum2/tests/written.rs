//! What the core says, as bytes.

use super::*;

#[test]
fn a_login_is_written_with_settings_and_presence() {
    let request = LoginRequest {
        password: Some(Secret::new("pw")),
        settings: [("a".to_owned(), "b".to_owned())].into(),
        presence: Presence {
            text: Some("brb".to_owned()),
            ..Presence::of(Availability::Away)
        },
        ..login(A)
    };
    assert_eq!(written(&mut codec(), &ToBackend::Login(Box::new(request))), frame("login"));
    assert_eq!(
        written(&mut codec(), &ToBackend::Login(Box::new(login(A)))),
        frame("login_offline_without_password")
    );
}

#[test]
fn contacts_go_with_the_login_only_if_the_backend_asked() {
    let contacts = vec![
        ContactUpdate {
            avatar: Patch::Set(AvatarHash::new("hash")),
            blocked: Patch::Set(true),
            ..ContactUpdate::new("bob")
                .alias("Bob")
                .groups(["Friends".to_owned(), "Work".to_owned()])
        },
        ContactUpdate::new("eve"),
    ];
    let request = ToBackend::Login(Box::new(LoginRequest {
        presence: Presence::ONLINE,
        contacts,
        ..login(A)
    }));
    let mut asked_for = codec();
    let FromBackend::Info(info) = &read(&mut asked_for, &["config_contacts"])[0] else {
        panic!("what it is")
    };
    assert!(info.capabilities.has(Capability::ContactsAtLogin));
    assert_eq!(written(&mut asked_for, &request), frame("login_with_contacts"));
    let bytes = written(&mut codec(), &request);
    assert!(bytes.len() < frame("login_with_contacts").len() && bytes.starts_with(frame("login_offline_without_password")));
}

#[test]
fn every_verb_of_this_wire_is_written() {
    let details = || ContactDetails {
        id: "bob".into(),
        alias: Some("Bob".to_owned()),
        groups: vec!["Friends".to_owned()],
    };
    let cases: Vec<(&str, Verb)> = vec![
        (
            "message",
            Verb::SendMessage(OutgoingMessage {
                xhtml: Some("<b>hi</b>".to_owned()),
                wants_receipt: true,
                ..message(bob(), "hi")
            }),
        ),
        ("message_to_room", Verb::SendMessage(message(room(), "hi"))),
        ("message_to_occupant", Verb::SendMessage(message(in_room(), "psst"))),
        (
            "message_with_file",
            Verb::SendMessage(OutgoingMessage {
                attachments: vec![Attachment {
                    url: "https://h/f.png".to_owned(),
                    media_type: None,
                    description: None,
                }],
                ..message(bob(), "look")
            }),
        ),
        (
            "typing",
            Verb::SetChatState {
                chat: bob(),
                state: ChatState::Composing,
            },
        ),
        (
            "stopped_typing",
            Verb::SetChatState {
                chat: bob(),
                state: ChatState::Active,
            },
        ),
        (
            "typed",
            Verb::SetChatState {
                chat: bob(),
                state: ChatState::Paused,
            },
        ),
        (
            "attention",
            Verb::CallAttention {
                contact: "bob".into(),
                text: Some("hey".to_owned()),
            },
        ),
        (
            "status_dnd",
            Verb::SetPresence(Presence {
                text: Some("busy".to_owned()),
                ..Presence::of(Availability::DoNotDisturb)
            }),
        ),
        ("status_chat", Verb::SetPresence(Presence::of(Availability::Chat))),
        ("status_xa", Verb::SetPresence(Presence::of(Availability::ExtendedAway))),
        ("status_invisible", Verb::SetPresence(Presence::of(Availability::Invisible))),
        ("profile_request", Verb::FetchProfile(bob())),
        (
            "own_avatar",
            Verb::SetProfile(ProfileUpdate {
                full_name: Patch::Set("Me Myself".to_owned()),
                nickname: Patch::Set("me".to_owned()),
                avatar: Patch::Set(Avatar {
                    media_type: "image/png".to_owned(),
                    data: Bytes::from_static(b"\x89PNG"),
                }),
            }),
        ),
        ("contact_added", Verb::AddContact(details())),
        ("contact_added", Verb::UpdateContact(details())),
        (
            "contact_named",
            Verb::AnswerContactRequest {
                contact: "bob".into(),
                accept: true,
            },
        ),
        (
            "contact_removed",
            Verb::AnswerContactRequest {
                contact: "bob".into(),
                accept: false,
            },
        ),
        ("contact_removed", Verb::RemoveContact("bob".into())),
        (
            "contact_blocked",
            Verb::Block {
                contact: "bob".into(),
                blocked: true,
            },
        ),
        (
            "contact_unblocked",
            Verb::Block {
                contact: "bob".into(),
                blocked: false,
            },
        ),
        (
            "join",
            Verb::JoinRoom(JoinRoom {
                room: "#room".into(),
                nickname: "Me".into(),
                password: Some(Secret::new("key")),
            }),
        ),
        ("join_without_password", join()),
        ("leave", Verb::LeaveRoom("#room".into())),
        (
            "subject_set",
            Verb::SetSubject {
                room: "#room".into(),
                subject: "News".to_owned(),
            },
        ),
    ];
    for (name, verb) in cases {
        let shown = format!("{name} {verb:?}");
        assert_eq!(
            golden::to_hex(&asked(&mut with_user(), 1, verb)),
            golden::to_hex(frame(name)),
            "{shown}"
        );
    }
}

#[test]
fn frames_without_a_user_are_written() {
    assert_eq!(written(&mut codec(), &ToBackend::Ping), frame("ping"));
    assert_eq!(written(&mut codec(), &ToBackend::Exit), frame("exit"));
    assert_eq!(
        written(&mut codec(), &ToBackend::QueryAnswer("ok".to_owned())),
        frame("query_answer")
    );
    // The vectors of the appendix.
    assert_eq!(frame("ping"), [0, 0, 0, 2, 8, 9]);
    assert_eq!(frame("pong"), [0, 0, 0, 2, 8, 10]);
    assert_eq!(frame("exit"), [0, 0, 0, 2, 8, 29]);
    assert_eq!(
        frame("query"),
        [0, 0, 0, 12, 8, 31, 18, 8, 10, 6, b's', b't', b'a', b't', b'u', b's']
    );
    assert_eq!(frame("connected_foreign"), [0, 0, 0, 9, 8, 1, 18, 5, 10, 3, b'a', b'@', b'b']);
}

#[test]
fn what_this_wire_has_no_words_for_is_never_written() {
    let mut codec = with_user();
    for frame in [
        ToBackend::Version {
            version: 1,
            options: BTreeMap::new(),
        },
        ToBackend::Credit {
            assignment: A,
            events: 1,
        },
        ToBackend::Committed { assignment: A, event: 1 },
        ToBackend::PromptAnswer {
            assignment: A,
            prompt: crate::model::PromptId(1),
            answers: None,
        },
    ] {
        assert_eq!(written(&mut codec, &frame), [0_u8; 0], "{frame:?}");
    }
    for verb in [
        Verb::Search("x".to_owned()),
        Verb::ListRooms,
        Verb::RoomInfo("#room".into()),
        Verb::ChangeNickname {
            room: "#room".into(),
            nickname: "x".into(),
        },
        Verb::Invite {
            room: "#room".into(),
            contact: "bob".into(),
            reason: None,
        },
        Verb::Kick {
            room: "#room".into(),
            nickname: "Bob".into(),
            reason: None,
        },
        Verb::RawXml("<presence/>".to_owned()),
        Verb::SetChatState {
            chat: room(),
            state: ChatState::Composing,
        },
        Verb::FetchProfile(room()),
        Verb::SetProfile(ProfileUpdate::default()),
    ] {
        assert_eq!(asked(&mut codec, 5, verb.clone()), [0_u8; 0], "{verb:?}");
        let answers = answers(&mut codec);
        assert_eq!(
            answers.iter().map(failure).collect::<Vec<_>>(),
            [(5, OpErrorKind::Unsupported, Certainty::NotSent)],
            "{verb:?}"
        );
    }
}

#[test]
fn what_is_too_long_is_answered_and_not_written() {
    let mut codec = with_user();
    assert_eq!(
        asked(&mut codec, 1, Verb::SendMessage(message(bob(), &"x".repeat(MAX)))),
        [0_u8; 0]
    );
    assert_eq!(
        failure(&answers(&mut codec)[0]),
        (1, OpErrorKind::TooLong, Certainty::NotSent)
    );
    assert!(!codec.needs_ping());
    let long = LoginRequest {
        name: "x".repeat(MAX).as_str().into(),
        ..login(B)
    };
    let mut other = Spectrum2Codec::new(MAX, default_info("Net", "net"));
    assert_eq!(written(&mut other, &ToBackend::Login(Box::new(long))), [0_u8; 0]);
    assert!(matches!(&answers(&mut other)[..], [FromBackend::Event { assignment: B, .. }]));
}
