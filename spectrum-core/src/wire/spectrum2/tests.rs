//! Every frame of Spectrum 2 both ways, against golden bytes, and what the codec makes up beside them.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::backend::{Answer, Certainty, Event, LoginError, LoginErrorKind, Verb};
use crate::model::{
    Affiliation, Attachment, Availability, Avatar, AvatarHash, Capability, Chat, ChatState, ContactDetails, ContactRequest,
    ContactUpdate, Departure, IncomingMessage, JoinRoom, Joined, MessageId, MessageKind, Occupant, OccupantGone, OccupantRenamed,
    Origin, OutgoingMessage, Patch, Presence, Profile, ProfileUpdate, Role, RoomClosed, RoomSubject, Secret, Sent, Timestamp,
};
use crate::wire::{LoginRequest, ResourceUse, golden};

static GOLDEN: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| golden::read(include_str!("../golden/spectrum2.txt")));

fn frame(name: &'static str) -> &'static [u8] {
    &GOLDEN[name]
}

const A: AssignmentId = AssignmentId(1);
const B: AssignmentId = AssignmentId(2);
const MAX: usize = 64 * 1024;

fn codec() -> Spectrum2Codec {
    Spectrum2Codec::new(MAX, default_info("Net", "net"))
}

fn login(assignment: AssignmentId) -> LoginRequest {
    LoginRequest {
        assignment,
        user: "u@s".into(),
        name: "me".into(),
        password: None,
        settings: BTreeMap::new(),
        presence: Presence::OFFLINE,
        contacts: Vec::new(),
    }
}

/// A codec with one user, as if LOGIN had been written.
fn with_user() -> Spectrum2Codec {
    let mut codec = codec();
    written(&mut codec, &ToBackend::Login(Box::new(login(A))));
    codec
}

fn written(codec: &mut Spectrum2Codec, frame: &ToBackend) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    codec.encode(frame, &mut bytes);
    bytes.to_vec()
}

fn asked(codec: &mut Spectrum2Codec, request: u64, verb: Verb) -> Vec<u8> {
    written(
        codec,
        &ToBackend::Request {
            assignment: A,
            request: RequestId(request),
            verb: Box::new(verb),
        },
    )
}

fn output(codec: &mut Spectrum2Codec) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    codec.take_output(&mut bytes);
    bytes.to_vec()
}

fn read(codec: &mut Spectrum2Codec, names: &[&'static str]) -> Vec<FromBackend> {
    let mut bytes = BytesMut::new();
    for name in names {
        bytes.extend_from_slice(frame(name));
    }
    let frames = std::iter::from_fn(|| codec.decode(&mut bytes).unwrap()).collect();
    assert!(bytes.is_empty());
    frames
}

fn answers(codec: &mut Spectrum2Codec) -> Vec<FromBackend> {
    std::iter::from_fn(|| codec.next_answer()).collect()
}

fn event(event: Event) -> FromBackend {
    FromBackend::Event {
        assignment: A,
        durable: None,
        event: Box::new(event),
    }
}

fn outcome(request: u64, outcome: Outcome) -> FromBackend {
    FromBackend::Outcome {
        assignment: A,
        request: RequestId(request),
        outcome: Box::new(outcome),
    }
}

/// The kind and certainty of a failed outcome.
fn failure(frame: &FromBackend) -> (u64, OpErrorKind, Certainty) {
    match frame {
        FromBackend::Outcome { request, outcome, .. } => {
            let error = outcome.as_ref().as_ref().unwrap_err();
            (request.0, error.kind, error.certainty)
        }
        other => panic!("a failed outcome expected, not {other:?}"),
    }
}

/// Reads one frame, expects one event.
fn read_event(name: &'static str) -> Event {
    let mut frames = read(&mut with_user(), &[name]);
    assert_eq!(frames.len(), 1, "{name}: {frames:?}");
    match frames.remove(0) {
        FromBackend::Event {
            assignment: A,
            durable: None,
            event,
        } => *event,
        other => panic!("{name}: an event expected, not {other:?}"),
    }
}

fn bob() -> Chat {
    Chat::Contact("bob".into())
}

fn room() -> Chat {
    Chat::Room("#room".into())
}

fn in_room() -> Chat {
    Chat::Occupant {
        room: "#room".into(),
        nickname: "Bob".into(),
    }
}

fn message(chat: Chat, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat,
        id: "m1".into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    }
}

fn join() -> Verb {
    Verb::JoinRoom(JoinRoom {
        room: "#room".into(),
        nickname: "Me".into(),
        password: None,
    })
}

/// A codec whose user is in `#room` as `Me`.
fn in_the_room() -> Spectrum2Codec {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    read(&mut codec, &["occupant_self"]);
    codec
}

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
        assert_eq!(written(&mut codec, &frame), [], "{frame:?}");
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
        assert_eq!(asked(&mut codec, 5, verb.clone()), [], "{verb:?}");
        let answers = answers(&mut codec);
        assert_eq!(
            answers.iter().map(failure).collect::<Vec<_>>(),
            [(5, OpErrorKind::Unsupported, Certainty::NotSent)],
            "{verb:?}"
        );
    }
}

#[test]
fn requests_succeed_when_a_ping_behind_them_is_answered() {
    let mut codec = with_user();
    assert!(!codec.needs_ping());
    asked(&mut codec, 1, Verb::SendMessage(message(bob(), "one")));
    assert!(codec.needs_ping());
    written(&mut codec, &ToBackend::Ping);
    assert!(!codec.needs_ping());
    // Written behind the PING: not confirmed by its PONG, but by the next one, which the codec asks for itself.
    asked(&mut codec, 2, Verb::LeaveRoom("#room".into()));
    assert!(!codec.needs_ping());
    assert_eq!(answers(&mut codec), []);
    let frames = read(&mut codec, &["pong"]);
    assert!(matches!(frames[0], FromBackend::Info(_)));
    assert_eq!(
        frames[1..],
        [FromBackend::Pong, outcome(1, Ok(Answer::Sent(Sent::default())))]
    );
    assert!(codec.has_output());
    assert_eq!(output(&mut codec), frame("ping"));
    assert_eq!(read(&mut codec, &["pong"]), [FromBackend::Pong, outcome(2, Ok(Answer::Done))]);
    assert!(!codec.has_output());
}

#[test]
fn typing_is_done_once_it_is_written() {
    let mut codec = with_user();
    asked(
        &mut codec,
        1,
        Verb::SetChatState {
            chat: bob(),
            state: ChatState::Composing,
        },
    );
    assert_eq!(answers(&mut codec), [outcome(1, Ok(Answer::Done))]);
    assert!(!codec.needs_ping());
}

#[test]
fn a_pong_nobody_asked_for_confirms_nothing() {
    let mut codec = with_user();
    asked(&mut codec, 1, Verb::SendMessage(message(bob(), "one")));
    assert_eq!(read(&mut codec, &["pong"]), []);
    assert_eq!(codec.counters().dropped, 1);
    assert!(codec.needs_ping());
}

#[test]
fn a_backend_is_what_it_says_before_or_after_its_first_pong() {
    let mut before = codec();
    written(&mut before, &ToBackend::Ping);
    let frames = read(&mut before, &["config_irc", "pong", "stats"]);
    let FromBackend::Info(info) = &frames[0] else {
        panic!("what it is")
    };
    assert!(info.capabilities.has(Capability::Rooms) && !info.jid_escaping && !info.needs_registration);
    let stats = FromBackend::Stats(ResourceUse {
        resident: 2048,
        initial: 1024,
        shared: 0,
    });
    assert_eq!(frames[1..], [FromBackend::Pong, stats]);

    let mut after = codec();
    written(&mut after, &ToBackend::Ping);
    let frames = read(&mut after, &["pong", "config_irc", "config_irc"]);
    let defaults = FromBackend::Info(Box::new(default_info("Net", "net")));
    assert_eq!(frames, [defaults, FromBackend::Pong, FromBackend::Info(info.clone())]);
}

#[test]
fn a_user_is_logged_in_once() {
    let mut codec = with_user();
    assert_eq!(
        read(&mut codec, &["connected", "connected"]),
        [FromBackend::LoggedIn { assignment: A }]
    );
}

#[test]
fn a_disconnect_closes_the_session_with_its_reason() {
    let cases = [
        ("disconnected_0", LoginErrorKind::Network),
        ("disconnected_1", LoginErrorKind::InvalidName),
        ("disconnected_2", LoginErrorKind::AuthenticationFailed),
        ("disconnected_3", LoginErrorKind::NoMechanism),
        ("disconnected_4", LoginErrorKind::Encryption),
        ("disconnected_6", LoginErrorKind::NameInUse),
        ("disconnected_7", LoginErrorKind::Settings),
        ("disconnected_8", LoginErrorKind::Certificate),
        ("disconnected_15", LoginErrorKind::Certificate),
        ("disconnected_16", LoginErrorKind::Other),
        ("disconnected_99", LoginErrorKind::Other),
    ];
    for (name, kind) in cases {
        assert_eq!(read_event(name), Event::Closed(LoginError::new(kind, "Bad")));
    }
}

#[test]
fn nothing_is_accepted_after_a_disconnect_and_requests_are_refused() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    let frames = read(&mut codec, &["disconnected_0", "said", "connected", "disconnected_2"]);
    assert_eq!(frames.len(), 2);
    assert_eq!(failure(&frames[0]), (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(asked(&mut codec, 2, Verb::SendMessage(message(bob(), "hi"))), []);
    assert_eq!(
        failure(&answers(&mut codec)[0]),
        (2, OpErrorKind::NotConnected, Certainty::NotSent)
    );
    assert_eq!(written(&mut codec, &ToBackend::Logout { assignment: A }), frame("logout"));
}

#[test]
fn a_login_waits_until_the_logout_before_it_is_confirmed() {
    let mut codec = with_user();
    assert_eq!(written(&mut codec, &ToBackend::Logout { assignment: A }), frame("logout"));
    assert!(codec.needs_ping());
    assert_eq!(written(&mut codec, &ToBackend::Ping), frame("ping"));
    assert_eq!(written(&mut codec, &ToBackend::Login(Box::new(login(B)))), []);
    let verb = Box::new(Verb::SendMessage(message(room(), "hi")));
    assert_eq!(
        written(
            &mut codec,
            &ToBackend::Request {
                assignment: B,
                request: RequestId(1),
                verb
            }
        ),
        []
    );
    // What still comes is the earlier session's.
    assert_eq!(read(&mut codec, &["disconnected_2", "said"]), []);
    let frames = read(&mut codec, &["pong"]);
    assert_eq!(frames[1..], [FromBackend::Pong, FromBackend::LoggedOut { assignment: A }]);
    let released = [
        frame("login_offline_without_password"),
        frame("message_to_room"),
        frame("ping"),
    ]
    .concat();
    assert_eq!(golden::to_hex(&output(&mut codec)), golden::to_hex(&released));
    assert_eq!(read(&mut codec, &["connected"]), [FromBackend::LoggedIn { assignment: B }]);
    let frames = read(&mut codec, &["pong"]);
    assert!(
        matches!(
            frames[1],
            FromBackend::Outcome {
                assignment: B,
                request: RequestId(1),
                ..
            }
        ),
        "{frames:?}"
    );
}

#[test]
fn a_login_that_waits_can_be_taken_back() {
    let mut codec = with_user();
    written(&mut codec, &ToBackend::Logout { assignment: A });
    written(&mut codec, &ToBackend::Login(Box::new(login(B))));
    let verb = Box::new(Verb::SendMessage(message(bob(), "hi")));
    written(
        &mut codec,
        &ToBackend::Request {
            assignment: B,
            request: RequestId(1),
            verb,
        },
    );
    assert_eq!(written(&mut codec, &ToBackend::Logout { assignment: B }), []);
    let answers = answers(&mut codec);
    assert_eq!(failure(&answers[0]), (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(answers[1..], [FromBackend::LoggedOut { assignment: B }]);
    written(&mut codec, &ToBackend::Ping);
    read(&mut codec, &["pong"]);
    assert_eq!(output(&mut codec), []);
}

#[test]
fn a_login_over_a_living_one_logs_that_out_first() {
    let mut codec = with_user();
    assert_eq!(written(&mut codec, &ToBackend::Login(Box::new(login(B)))), frame("logout"));
    written(&mut codec, &ToBackend::Ping);
    let frames = read(&mut codec, &["pong"]);
    assert_eq!(frames[2..], [FromBackend::LoggedOut { assignment: A }]);
    assert_eq!(output(&mut codec), frame("login_offline_without_password"));
}

#[test]
fn only_so_much_waits_for_a_login() {
    let mut codec = with_user();
    written(&mut codec, &ToBackend::Logout { assignment: A });
    written(&mut codec, &ToBackend::Login(Box::new(login(B))));
    for request in 0..2000 {
        let verb = Box::new(Verb::SendMessage(message(bob(), "hi")));
        written(
            &mut codec,
            &ToBackend::Request {
                assignment: B,
                request: RequestId(request),
                verb,
            },
        );
    }
    let refused = answers(&mut codec);
    assert_eq!(refused.len(), 2000 - 1023);
    assert_eq!(failure(&refused[0]), (1023, OpErrorKind::RateLimited, Certainty::NotSent));
}

#[test]
fn who_is_not_there_is_answered_all_the_same() {
    let mut codec = codec();
    asked(&mut codec, 1, Verb::SendMessage(message(bob(), "hi")));
    written(&mut codec, &ToBackend::Logout { assignment: A });
    let answers = answers(&mut codec);
    assert_eq!(failure(&answers[0]), (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(answers[1..], [FromBackend::LoggedOut { assignment: A }]);
}

#[test]
fn what_is_too_long_is_answered_and_not_written() {
    let mut codec = with_user();
    assert_eq!(asked(&mut codec, 1, Verb::SendMessage(message(bob(), &"x".repeat(MAX)))), []);
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
    assert_eq!(written(&mut other, &ToBackend::Login(Box::new(long))), []);
    assert!(matches!(&answers(&mut other)[..], [FromBackend::Event { assignment: B, .. }]));
}

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

fn member(nickname: &str) -> Occupant {
    Occupant {
        affiliation: Affiliation::Member,
        ..Occupant::new("#room".into(), nickname)
    }
}

fn gone(nickname: &str, departure: Departure, reason: Option<&str>) -> Event {
    Event::OccupantGone(OccupantGone {
        room: "#room".into(),
        nickname: nickname.into(),
        departure,
        reason: reason.map(str::to_owned),
    })
}

#[test]
fn a_join_is_answered_when_the_user_appears_in_the_room() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    assert!(!codec.needs_ping());
    let bob = Occupant {
        role: Role::Moderator,
        affiliation: Affiliation::Admin,
        presence: Presence {
            text: Some("brb".to_owned()),
            ..Presence::of(Availability::Away)
        },
        avatar: Some(AvatarHash::new("hash")),
        ..member("Bob")
    };
    let joined = outcome(1, Ok(Answer::Joined(Joined { nickname: "Me".into() })));
    assert_eq!(
        read(&mut codec, &["occupant", "occupant_self"]),
        [event(Event::Occupant(bob)), event(Event::Occupant(member("Me"))), joined]
    );
    // Once is enough.
    assert_eq!(read(&mut codec, &["occupant_self"]), [event(Event::Occupant(member("Me")))]);
}

#[test]
fn a_join_answers_with_the_nickname_the_network_gives() {
    let joined = outcome(1, Ok(Answer::Joined(Joined { nickname: "Me_".into() })));
    let there = event(Event::Occupant(member("Me_")));
    for given in [&["own_nickname", "self_renamed"][..], &["occupant_flagged_me"]] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        let frames = read(&mut codec, given);
        // The rename of a name the user never had is none.
        assert_eq!(
            frames
                .iter()
                .filter(|f| matches!(f, FromBackend::Outcome { .. }))
                .collect::<Vec<_>>(),
            [&joined],
            "{given:?}"
        );
        assert!(frames.contains(&there), "{frames:?}");
        assert!(
            !frames
                .iter()
                .any(|f| matches!(f, FromBackend::Event { event, .. } if matches!(**event, Event::OccupantRenamed(_))))
        );
    }
}

#[test]
fn a_join_that_fails_is_answered_and_the_room_is_left() {
    let cases = [
        ("self_conflict", OpErrorKind::Conflict),
        ("self_not_authorized", OpErrorKind::NotAuthorized),
        ("self_not_found", OpErrorKind::NotFound),
    ];
    for (name, kind) in cases {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        let frames = read(&mut codec, &[name]);
        assert_eq!(
            frames.iter().map(failure).collect::<Vec<_>>(),
            [(1, kind, Certainty::NotSent)],
            "{name}"
        );
        assert_eq!(output(&mut codec), frame("leave"), "{name}");
    }
    for (name, kind) in [("self_banned", OpErrorKind::Banned), ("self_kicked", OpErrorKind::NotAllowed)] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        assert_eq!(
            failure(&read(&mut codec, &[name])[0]),
            (1, kind, Certainty::NotSent),
            "{name}"
        );
    }
}

#[test]
fn the_echo_of_an_earlier_departure_does_not_fail_a_join() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    assert_eq!(read(&mut codec, &["self_gone"]), []);
    assert_eq!(read(&mut codec, &["occupant_self"]).len(), 2);
}

#[test]
fn errors_of_a_room_that_was_joined_close_it() {
    let mut codec = in_the_room();
    let closed = RoomClosed {
        room: "#room".into(),
        reason: "Key!".to_owned(),
        rejoin: false,
    };
    assert_eq!(read(&mut codec, &["self_not_authorized"]), [event(Event::RoomClosed(closed))]);
    assert_eq!(output(&mut codec), frame("leave"));
    // A conflict of somebody else is nothing of the user's.
    let mut codec = in_the_room();
    assert_eq!(read(&mut codec, &["other_conflict"]), [event(Event::Occupant(member("Bob")))]);
}

#[test]
fn a_join_is_answered_when_it_is_overtaken() {
    for (verb, expected) in [(join(), 1), (Verb::LeaveRoom("#room".into()), 1)] {
        let mut codec = with_user();
        asked(&mut codec, 1, join());
        asked(&mut codec, 2, verb);
        let answers = answers(&mut codec);
        assert_eq!(
            answers.iter().map(failure).collect::<Vec<_>>(),
            [(expected, OpErrorKind::Invalid, Certainty::NotSent)]
        );
    }
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    written(&mut codec, &ToBackend::Logout { assignment: A });
    assert_eq!(
        failure(&answers(&mut codec)[0]),
        (1, OpErrorKind::NotConnected, Certainty::NotSent)
    );
}

#[test]
fn who_leaves_a_room_and_how_is_read() {
    let mut codec = in_the_room();
    assert_eq!(
        read(&mut codec, &["occupant_gone"]),
        [event(gone("Bob", Departure::Left, Some("bye")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_kicked"]),
        [event(gone("Bob", Departure::Kicked { by: None }, Some("out")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_banned"]),
        [event(gone("Bob", Departure::Banned { by: None }, None))]
    );
    assert_eq!(
        read(&mut codec, &["self_kicked"]),
        [event(gone("Me", Departure::Kicked { by: None }, Some("out")))]
    );
    // Out of the room, the same name is nobody's.
    assert_eq!(read(&mut codec, &["self_conflict"]).len(), 1);
    assert_eq!(output(&mut codec), []);
}

#[test]
fn nicknames_change_and_the_user_is_still_known() {
    let mut codec = in_the_room();
    let renamed = |old: &str, new: &str| {
        Event::OccupantRenamed(OccupantRenamed {
            room: "#room".into(),
            old: old.into(),
            new: new.into(),
        })
    };
    assert_eq!(
        read(&mut codec, &["occupant_renamed"]),
        [event(renamed("Bob", "Bobby")), event(Event::Occupant(member("Bobby")))]
    );
    assert_eq!(
        read(&mut codec, &["own_nickname", "self_renamed"]),
        [event(renamed("Me", "Me_")), event(Event::Occupant(member("Me_")))]
    );
    // The old name is somebody else's now.
    assert_eq!(read(&mut codec, &["self_conflict"]).len(), 1);
    assert_eq!(output(&mut codec), []);
}

#[test]
fn authors_named_by_an_id_are_shown_by_their_nickname() {
    let mut codec = in_the_room();
    let there = Occupant {
        stable_id: Some("U123".to_owned()),
        ..member("Bob")
    };
    assert_eq!(read(&mut codec, &["occupant_with_alias"]), [event(Event::Occupant(there))]);
    let said = IncomingMessage::new(room(), "hi");
    assert_eq!(
        read(&mut codec, &["said_by_id"]),
        [event(Event::Message(said.clone().by("Bob")))]
    );
    assert_eq!(
        read(&mut codec, &["occupant_with_alias_gone"]),
        [event(gone("Bob", Departure::Left, None))]
    );
    assert_eq!(read(&mut codec, &["said_by_id"]), [event(Event::Message(said.by("U123")))]);
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
fn joins_and_profiles_are_given_up_after_a_minute() {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    asked(&mut codec, 2, Verb::FetchProfile(bob()));
    for _ in 0..ANSWER_TICKS {
        codec.tick();
    }
    assert_eq!(answers(&mut codec), []);
    codec.tick();
    let answers = answers(&mut codec);
    assert_eq!(failure(&answers[0]), (2, OpErrorKind::Timeout, Certainty::NotSent));
    assert_eq!(failure(&answers[1]), (1, OpErrorKind::Timeout, Certainty::MaybeSent));
    assert_eq!(read(&mut codec, &["occupant_self"]), [event(Event::Occupant(member("Me")))]);
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

#[test]
fn what_makes_no_sense_is_skipped_and_counted_and_the_next_frame_is_read() {
    type Counter = fn(&WireCounters) -> u64;
    let cases: [(&str, Counter); 18] = [
        ("unknown_type", |c| c.unknown_type),
        ("file_transfer", |c| c.unknown_type),
        ("type_of_the_core", |c| c.unknown_type),
        ("no_type", |c| c.missing_field),
        ("empty_frame", |c| c.missing_field),
        ("no_protobuf", |c| c.malformed),
        ("no_protobuf_inside", |c| c.malformed),
        ("no_user", |c| c.missing_field),
        ("no_contact", |c| c.missing_field),
        ("empty_contact", |c| c.missing_field),
        ("no_error_number", |c| c.missing_field),
        ("no_status", |c| c.missing_field),
        ("receipt_without_id", |c| c.missing_field),
        ("foreign_user", |c| c.foreign_user),
        ("connected_foreign", |c| c.foreign_user),
        ("said_nothing", |c| c.malformed),
        ("raw_xml_foreign", |c| c.foreign_user),
        ("rooms_of_user", |_| 1),
    ];
    for (name, counter) in cases {
        let mut codec = with_user();
        let frames = read(&mut codec, &[name, "contact_gone"]);
        assert_eq!(frames.last(), Some(&event(Event::ContactRemoved("bob".into()))), "{name}");
        assert_eq!(counter(&codec.counters()), 1, "{name}: {:?}", codec.counters());
    }
}

#[test]
fn a_text_is_repaired_and_its_message_stays() {
    let mut codec = with_user();
    assert_eq!(
        read(&mut codec, &["invalid_utf8", "control_character", "unknown_field"]),
        [
            event(Event::Message(IncomingMessage::new(bob(), "caf\u{fffd}"))),
            event(Event::Message(IncomingMessage::new(bob(), "\u{fffd}bold\u{fffd}"))),
            event(Event::Message(IncomingMessage::new(bob(), "hi"))),
        ]
    );
    assert_eq!(
        codec.counters(),
        WireCounters {
            repaired_text: 2,
            ..WireCounters::default()
        }
    );
}

#[test]
fn a_missing_text_costs_no_attachment() {
    let mut codec = with_user();
    let file = Attachment {
        url: "https://h/f".to_owned(),
        media_type: None,
        description: None,
    };
    let message = IncomingMessage {
        attachments: vec![file],
        ..IncomingMessage::new(bob(), "")
    };
    assert_eq!(read(&mut codec, &["no_text"]), [event(Event::Message(message))]);
    assert_eq!(codec.counters().missing_field, 1);
}

#[test]
fn a_frame_that_is_too_long_ends_the_link_before_its_bytes_are_there() {
    let mut bytes = BytesMut::from(&[0, 1, 0, 1][..]);
    assert_eq!(
        codec().decode(&mut bytes),
        Err(FrameError::TooLong { len: MAX + 1, max: MAX })
    );
    let mut bytes = BytesMut::from(&[0, 1, 0, 0][..]);
    assert_eq!(codec().decode(&mut bytes), Ok(None));
}

#[test]
fn every_golden_frame_has_its_place_in_a_test() {
    let source = include_str!("tests.rs");
    let unused: Vec<_> = GOLDEN
        .keys()
        .filter(|name| !source.contains(&format!("\"{name}\"")))
        .collect();
    assert_eq!(unused, Vec::<&&str>::new());
}

/// Everything golden, in the order of the file, read by one codec.
fn all_frames() -> Vec<u8> {
    GOLDEN.values().flatten().copied().collect()
}

fn everything(codec: &mut Spectrum2Codec, chunks: impl Iterator<Item = Vec<u8>>) -> Vec<FromBackend> {
    let mut bytes = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        bytes.extend_from_slice(&chunk);
        while let Ok(Some(frame)) = codec.decode(&mut bytes) {
            frames.push(frame);
        }
    }
    frames
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        everything(&mut in_the_room(), std::iter::once(bytes));
    }

    #[test]
    fn any_payload_of_any_type_is_survived(kind in 0_u8..40, payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        // Behind a user that is known, so that more than the first field is looked at.
        let mut inner = vec![0x0A, 3, b'u', b'@', b's'];
        inner.extend(payload);
        let mut frame = u32::try_from(inner.len() + 4).unwrap().to_be_bytes().to_vec();
        frame.extend([0x08, kind, 0x12, u8::try_from(inner.len()).unwrap()]);
        frame.extend(inner);
        everything(&mut in_the_room(), std::iter::once(frame));
    }

    #[test]
    fn a_broken_byte_anywhere_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = all_frames();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        everything(&mut in_the_room(), std::iter::once(bytes));
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut(sizes in proptest::collection::vec(1_usize..50, 1..40)) {
        let bytes = all_frames();
        let whole = everything(&mut in_the_room(), std::iter::once(bytes.clone()));
        let mut rest = &bytes[..];
        let mut sizes = sizes.into_iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let size = sizes.next()?.min(rest.len());
            let (chunk, behind) = rest.split_at(size);
            rest = behind;
            (!chunk.is_empty()).then(|| chunk.to_vec())
        });
        prop_assert_eq!(everything(&mut in_the_room(), chunks), whole);
    }
}
