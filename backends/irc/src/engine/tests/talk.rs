//! Messages, their fates, and people.

use super::*;

#[test]
fn without_echo_a_message_is_sent_when_the_fence_behind_it_is_answered() {
    let mut play = Play::online("");
    play.join("bob");
    let no = play.ask(say("#room", "hello"));
    assert_eq!(play.lines(), ["PRIVMSG #room :hello", "PING fence-1"]);
    assert!(play.effects().is_empty());
    play.hear(":irc.test PONG irc.test :fence-1");
    assert_eq!(play.answer(no), sent());
}

#[test]
fn with_echo_the_echo_is_the_answer_and_no_event() {
    let mut play = Play::online("echo-message server-time message-tags");
    play.join("bob");
    let no = play.ask(say("#room", "one\ntwo"));
    assert_eq!(play.lines(), ["PRIVMSG #room :one", "PRIVMSG #room :two"]);
    play.hear(":dan!~dan@host.test PRIVMSG #ROOM :one");
    assert!(play.effects().is_empty());
    play.hear("@msgid=abc;time=1970-01-12T13:46:40.000Z :dan!~dan@host.test PRIVMSG #room :two");
    let answer = Answer::Sent(Sent {
        id: Some("abc".into()),
        timestamp: Some(Timestamp::from_secs(1_000_000)),
    });
    assert_eq!(play.answer(no), Ok(answer));
}

#[test]
fn labels_find_the_message_that_is_meant() {
    let mut play = Play::online("echo-message labeled-response batch");
    let a = play.ask(say("bob", "one"));
    let b = play.ask(Ask::Send {
        chat: Chat::Contact("eve".into()),
        target: "bob".to_owned(),
        body: "two".to_owned(),
    });
    assert_eq!(play.lines(), ["@label=1 PRIVMSG bob :one", "@label=2 PRIVMSG bob :two"]);
    play.hear("@label=2 :dan!~dan@host.test PRIVMSG bob :two");
    assert_eq!(play.answer(b), sent());
    play.hear("@label=1 :irc.test 401 dan bob :No such nick");
    assert_eq!(play.refused(a).kind, OpErrorKind::NotFound);
    let c = play.ask(say("bob", "three"));
    play.lines();
    play.hear("@label=3 :irc.test ACK");
    assert_eq!(play.answer(c), sent());
}

#[test]
fn an_echo_that_never_comes_is_replaced_by_a_fence() {
    let mut play = Play::online("echo-message");
    let no = play.ask(say("bob", "hello"));
    play.lines();
    play.pass(crate::outbox::ECHO_PATIENCE);
    assert_eq!(play.lines(), ["PING fence-1"]);
    play.hear("PONG irc.test fence-1");
    assert_eq!(play.answer(no), sent());
}

#[test]
fn own_lines_from_elsewhere_are_events() {
    let mut play = Play::online("echo-message");
    play.join("bob");
    play.hear(":dan!~dan@host.test PRIVMSG #room :from my bouncer");
    play.hear(":dan!~dan@host.test PRIVMSG bob :psst");
    let in_room = IncomingMessage {
        origin: Origin::OwnOtherDevice,
        ..IncomingMessage::new(Chat::Room("#room".into()), "from my bouncer")
    };
    let private = IncomingMessage {
        origin: Origin::OwnOtherDevice,
        ..IncomingMessage::new(Chat::Contact("bob".into()), "psst")
    };
    assert_eq!(play.events(), [Event::Message(in_room.by("dan")), Event::Message(private)]);
}

#[test]
fn refused_messages_are_answered_with_the_reason() {
    let mut play = Play::online("");
    play.join("bob");
    let no = play.ask(say("#room", "hello"));
    play.lines();
    play.hear(":irc.test 404 dan #room :Cannot send to channel (+m)");
    let error = play.refused(no);
    assert_eq!(error, OpError::new(OpErrorKind::NotAllowed, "Cannot send to channel (+m)"));
    let no = play.ask(say("nobody", "hello"));
    play.lines();
    play.hear(":irc.test 401 dan nobody :No such nick");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotFound);
    // The fence of a message that was refused confirms nothing.
    play.hear(":irc.test PONG irc.test :fence-1");
    assert!(play.effects().is_empty());
}

#[test]
fn a_lost_connection_says_what_may_have_arrived() {
    let mut play = Play::online("");
    play.join("bob");
    let written = play.ask(say("#room", "hello"));
    play.lines();
    let waiting = play.ask(say("bob", "later"));
    play.engine.close(LoginError::new(LoginErrorKind::Network, "gone"));
    let effects = play.effects();
    assert!(matches!(&effects[0], Effect::Answer(no, Err(e)) if *no == written && e.certainty == Certainty::MaybeSent));
    assert!(matches!(&effects[1], Effect::Answer(no, Err(e)) if *no == waiting && e.certainty == Certainty::NotSent));
    assert!(matches!(&effects[2], Effect::Closed(e) if e.text == "gone"));
    assert_eq!(effects.len(), 3);
    let late = play.ask(say("bob", "too late"));
    assert_eq!(play.refused(late).kind, OpErrorKind::NotConnected);
}

#[test]
fn a_cancelled_message_is_taken_back_if_it_was_not_written() {
    let mut play = Play::online("");
    for _ in 0..5 {
        play.ask(say("bob", "x"));
    }
    play.lines();
    let waiting = play.ask(say("bob", "y"));
    assert!(play.lines().is_empty());
    play.engine.withdraw(waiting);
    let error = play.refused(waiting);
    assert_eq!((error.kind, error.certainty), (OpErrorKind::Timeout, Certainty::NotSent));
    play.engine.withdraw(RequestNo(1));
    assert_eq!(play.refused(RequestNo(1)).certainty, Certainty::MaybeSent);
    play.pass(Duration::from_secs(60));
    assert!(!play.lines().iter().any(|l| l.ends_with(":y")));
}

#[test]
fn too_long_messages_and_too_many_are_refused_before_a_line_is_written() {
    let mut play = Play::online("");
    let no = play.ask(say("bob", &"line\n".repeat(100)));
    let error = play.refused(no);
    assert_eq!((error.kind, error.certainty), (OpErrorKind::TooLong, Certainty::NotSent));
    play.ask(say("bob", &"line\n".repeat(40)));
    let no = play.ask(say("bob", &"line\n".repeat(40)));
    let error = play.refused(no);
    assert_eq!(
        (error.kind, error.retry),
        (OpErrorKind::RateLimited, Retry::After(Duration::from_secs(30)))
    );
}

#[test]
fn lines_fit_into_what_others_receive() {
    let mut play = Play::online("");
    play.join("bob");
    play.ask(say("#room", &"ä".repeat(600)));
    let lines = play.lines();
    for line in lines.iter().filter(|l| l.starts_with("PRIVMSG")) {
        assert!(format!(":dan!~dan@host.test {line}\r\n").len() <= 512);
    }
    assert!(lines[0].len() > 470);
}

#[test]
fn messages_come_cleaned_in_their_kinds() {
    let mut play = Play::online("server-time message-tags");
    play.join("bob");
    play.hear("@msgid=1;time=1970-01-12T13:46:39.000Z :bob!b@h PRIVMSG #room :\x02bold\x02 and \x0304red");
    play.hear(":bob!b@h PRIVMSG #room :\x01ACTION waves\x01");
    play.hear(":bob!b@h NOTICE #room :note");
    play.hear(":bob!b@h NOTICE dan :private note");
    play.hear("@time=1970-01-12T13:00:00.000Z :eve!e@h PRIVMSG dan :old");
    let room = |body: &str| IncomingMessage::new(Chat::Room("#room".into()), body).by("bob");
    assert_eq!(
        play.events(),
        [
            Event::Message(IncomingMessage {
                id: Some("1".into()),
                ..room("bold and red")
            }),
            Event::Message(room("/me waves")),
            Event::Message(IncomingMessage {
                kind: MessageKind::Headline,
                ..room("note")
            }),
            Event::Message(IncomingMessage::new(Chat::Contact("bob".into()), "private note")),
            Event::Message(IncomingMessage {
                timestamp: Some(Timestamp::from_secs(997_200)),
                ..IncomingMessage::new(Chat::Contact("eve".into()), "old")
            }),
        ]
    );
}

#[test]
fn old_messages_played_back_carry_their_time_and_own_ones_are_no_echo() {
    let mut play = Play::online("echo-message batch server-time");
    play.join("bob");
    let no = play.ask(say("#room", "new"));
    play.lines();
    play.hear(":irc.test BATCH +x chathistory #room");
    play.hear("@batch=x;time=1970-01-12T13:46:39.000Z :dan!~dan@h PRIVMSG #room :before");
    play.hear(":irc.test BATCH -x");
    let old = IncomingMessage {
        timestamp: Some(Timestamp::from_secs(999_999)),
        origin: Origin::OwnOtherDevice,
        ..IncomingMessage::new(Chat::Room("#room".into()), "before")
    };
    assert_eq!(play.events(), [Event::Message(old.by("dan"))]);
    play.hear(":dan!~dan@h PRIVMSG #room :new");
    assert_eq!(play.answer(no), sent());
}

#[test]
fn answers_to_a_side_talk_come_back_through_the_room() {
    let mut play = Play::online("");
    play.join("bob");
    let chat = Chat::Occupant {
        room: "#room".into(),
        nickname: "bob".into(),
    };
    play.ask(Ask::Send {
        chat: chat.clone(),
        target: "bob".to_owned(),
        body: "psst".to_owned(),
    });
    play.hear(":bob!b@h PRIVMSG dan :what?");
    assert_eq!(play.events(), [Event::Message(IncomingMessage::new(chat, "what?"))]);
    play.ask(say("bob", "here"));
    play.hear(":bob!b@h PRIVMSG dan :ah");
    assert_eq!(
        play.events(),
        [Event::Message(IncomingMessage::new(Chat::Contact("bob".into()), "ah"))]
    );
}

#[test]
fn ctcp_requests_are_answered_but_not_endlessly_and_never_notices() {
    let mut play = Play::online("");
    play.hear(":bob!b@h NOTICE dan :\x01VERSION\x01");
    play.hear(":bob!b@h PRIVMSG #room :\x01VERSION\x01");
    assert!(play.lines().is_empty());
    play.hear(":bob!b@h PRIVMSG dan :\x01PING 123 456\x01");
    play.hear(":bob!b@h PRIVMSG dan :\x01TIME\x01");
    assert_eq!(
        play.lines(),
        [
            "NOTICE bob :\x01PING 123 456\x01",
            "NOTICE bob :\x01TIME 1970-01-12 13:46:40 UTC\x01"
        ]
    );
    for _ in 0..10 {
        play.hear(":bob!b@h PRIVMSG dan :\x01VERSION\x01");
    }
    assert_eq!(play.lines().len(), 1);
    assert!(play.effects().is_empty());
}

#[test]
fn contacts_are_watched_and_their_absence_is_told() {
    let mut play = Play::online("");
    for nick in ["bob", "eve", "zoe"] {
        let no = play.ask(Ask::Watch {
            id: nick.into(),
            nick: nick.to_owned(),
        });
        assert_eq!(play.answer(no), Ok(Answer::Done));
    }
    assert_eq!(play.lines(), ["MONITOR + bob", "MONITOR + eve"]);
    play.hear(":irc.test 730 dan :bob!b@h,eve!e@h");
    play.hear(":irc.test 731 dan :eve");
    play.hear(":irc.test 301 dan bob :at lunch");
    play.hear(":irc.test 730 dan :bob!b@h");
    let update = |nick: &str, presence| Event::Contact(ContactUpdate::new(nick).presence(presence));
    let lunch = Presence {
        availability: Availability::Away,
        text: Some("at lunch".to_owned()),
        idle_since: None,
    };
    assert_eq!(
        play.events(),
        [
            update("bob", Presence::ONLINE),
            update("eve", Presence::ONLINE),
            update("eve", Presence::OFFLINE),
            update("bob", lunch),
        ]
    );
    play.pass(Duration::from_secs(2));
    assert_eq!(play.lines(), ["ISON :zoe"]);
    play.hear(":irc.test 303 dan :zoe");
    assert_eq!(play.events(), [update("zoe", Presence::ONLINE)]);
}

#[test]
fn the_users_own_absence_is_told_once() {
    let mut play = Play::online("");
    let away = || Ask::Away {
        text: Some("lunch".to_owned()),
    };
    let no = play.ask(away());
    assert_eq!(play.lines(), ["AWAY :lunch", "PING fence-1"]);
    play.hear(":irc.test 306 dan :You have been marked as being away");
    assert_eq!(play.answer(no), Ok(Answer::Done));
    let no = play.ask(away());
    assert_eq!(play.answer(no), Ok(Answer::Done));
    play.hear("PONG irc.test fence-1");
    play.ask(Ask::Away { text: None });
    assert_eq!(play.lines()[0], "AWAY");
}

#[test]
fn a_profile_is_what_whois_says() {
    let mut play = Play::online("");
    let no = play.ask(Ask::Whois { nick: "bob".to_owned() });
    assert_eq!(play.lines(), ["WHOIS bob bob"]);
    for line in [
        "311 dan bob b h.test * :Bob B.",
        "312 dan bob irc.test :a server",
        "317 dan bob 125 1000 :idle",
        "330 dan bob bobby :is logged in as",
    ] {
        play.hear(&format!(":irc.test {line}"));
    }
    play.hear(":irc.test 318 dan Bob :End");
    let Ok(Answer::Profile(profile)) = play.answer(no) else {
        panic!()
    };
    assert_eq!(
        (profile.full_name.as_deref(), profile.nickname.as_deref()),
        (Some("Bob B."), Some("bob"))
    );
    let notes: Vec<_> = profile.notes.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    assert_eq!(
        notes,
        ["Address: b@h.test", "Server: irc.test", "Idle: 2 min", "Account: bobby"]
    );
    let no = play.ask(Ask::Whois {
        nick: "nobody".to_owned(),
    });
    play.lines();
    play.hear(":irc.test 401 dan nobody :No such nick");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotFound);
}
