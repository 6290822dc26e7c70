//! Logins, logouts, results and what a backend is: what this wire leaves out.

use super::*;

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
    assert_eq!(asked(&mut codec, 2, Verb::SendMessage(message(bob(), "hi"))), [0_u8; 0]);
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
    assert_eq!(written(&mut codec, &ToBackend::Login(Box::new(login(B)))), [0_u8; 0]);
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
        [0_u8; 0]
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
    assert_eq!(written(&mut codec, &ToBackend::Logout { assignment: B }), [0_u8; 0]);
    let answers = answers(&mut codec);
    assert_eq!(failure(&answers[0]), (1, OpErrorKind::NotConnected, Certainty::NotSent));
    assert_eq!(answers[1..], [FromBackend::LoggedOut { assignment: B }]);
    written(&mut codec, &ToBackend::Ping);
    read(&mut codec, &["pong"]);
    assert_eq!(output(&mut codec), [0_u8; 0]);
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
