//! Rooms and who is in them.

use super::*;

#[test]
fn a_join_tells_occupants_then_subject_then_the_answer() {
    let mut play = Play::online("");
    let no = play.ask(join("#Room"));
    assert_eq!(play.lines(), ["JOIN #Room"]);
    play.hear(":dan!~dan@host.test JOIN #room");
    play.hear(":irc.test 332 dan #room :the \x02topic");
    play.hear(":irc.test 333 dan #room bob!b@h 1000");
    play.hear(":irc.test 353 dan = #room :@bob ~eve");
    play.hear(":irc.test 353 dan = #room :dan +carol");
    assert!(play.effects().is_empty());
    play.hear(":irc.test 366 dan #room :End of NAMES");
    let mut effects = play.effects();
    assert!(
        matches!(effects.pop(), Some(Effect::Answer(n, Ok(Answer::Joined(Joined { nickname })))) if n == no && nickname.as_str() == "dan")
    );
    let in_room = |o: Occupant| {
        Event::Occupant(Occupant {
            room: "#Room".into(),
            ..o
        })
    };
    let events: Vec<_> = effects
        .into_iter()
        .map(|e| if let Effect::Event(e) = e { e } else { panic!() })
        .collect();
    assert_eq!(
        events,
        [
            in_room(occupant("bob", Role::Moderator, Affiliation::Admin)),
            in_room(occupant("carol", Role::Participant, Affiliation::Member)),
            in_room(occupant("eve", Role::Moderator, Affiliation::Owner)),
            in_room(plain("dan")),
            Event::RoomSubject(RoomSubject {
                room: "#Room".into(),
                subject: "the topic".to_owned(),
                by: Some("bob".to_owned()),
                timestamp: Some(Timestamp::from_secs(1000)),
            }),
        ]
    );
    assert_eq!(play.lines(), ["MODE #room"]);
}

#[test]
fn joining_twice_tells_the_room_again_without_a_line() {
    let mut play = Play::online("");
    play.join("bob");
    let no = play.ask(join("#room"));
    let effects = play.effects();
    assert_eq!(effects.len(), 4);
    assert!(matches!(effects[3], Effect::Answer(n, Ok(_)) if n == no));
    assert!(play.lines().is_empty());
}

#[test]
fn refused_joins_have_reasons() {
    for (numeric, kind) in [
        (403, OpErrorKind::NotFound),
        (405, OpErrorKind::NotAllowed),
        (471, OpErrorKind::Full),
        (473, OpErrorKind::MembersOnly),
        (474, OpErrorKind::Banned),
        (475, OpErrorKind::NotAuthorized),
        (477, OpErrorKind::MembersOnly),
        (437, OpErrorKind::Conflict),
        (480, OpErrorKind::RateLimited),
    ] {
        let mut play = Play::online("");
        let no = play.ask(join("#room"));
        play.lines();
        play.hear(&format!(":irc.test {numeric} dan #other :No"));
        assert!(play.effects().is_empty());
        play.hear(&format!(":irc.test {numeric} dan #ROOM :No"));
        let error = play.refused(no);
        assert_eq!(
            (error.kind, error.certainty, error.text.as_str()),
            (kind, Certainty::NotSent, "No"),
            "{numeric}"
        );
    }
}

#[test]
fn a_room_that_forwards_is_left_alone() {
    let mut play = Play::online("");
    let no = play.ask(join("#room"));
    play.lines();
    play.hear(":irc.test 470 dan #room ##overflow :Forwarding to another channel");
    assert_eq!(play.refused(no).text, "This room sends everybody to ##overflow.");
    assert_eq!(play.lines(), ["PART ##overflow"]);
}

#[test]
fn names_that_cannot_be_rooms_are_refused_without_a_line() {
    let mut play = Play::online("");
    for bad in ["room", "#a,#b", "#a b", "#a\r\nQUIT"] {
        let no = play.ask(join(bad));
        assert!(
            matches!(play.refused(no).kind, OpErrorKind::NotFound | OpErrorKind::Invalid),
            "{bad:?}"
        );
    }
    assert!(play.lines().is_empty());
}

#[test]
fn a_room_password_goes_with_the_join() {
    let mut play = Play::online("");
    play.ask(Ask::Join {
        id: "#room".into(),
        channel: "#room".to_owned(),
        key: Some(Secret::new("k")),
    });
    assert_eq!(play.lines(), ["JOIN #room k"]);
}

#[test]
fn people_come_and_go() {
    let mut play = Play::online("");
    play.join("bob eve");
    play.hear(":carol!c@h JOIN :#room");
    play.hear(":bob!b@h PART #room :bye");
    play.hear(":eve!e@h QUIT :irc.a.test irc.b.test");
    play.hear(":carol!c@h NICK :caro");
    play.hear(":caro!c@h QUIT :Quit: tea");
    let gone = |nick: &str, departure, reason: &str| {
        Event::OccupantGone(OccupantGone {
            room: "#room".into(),
            nickname: nick.into(),
            departure,
            reason: Some(reason.to_owned()),
        })
    };
    assert_eq!(
        play.events(),
        [
            Event::Occupant(plain("carol")),
            gone("bob", Departure::Left, "bye"),
            gone("eve", Departure::Disconnected, "irc.a.test irc.b.test"),
            Event::OccupantRenamed(OccupantRenamed {
                room: "#room".into(),
                old: "carol".into(),
                new: "caro".into()
            }),
            gone("caro", Departure::Left, "Quit: tea"),
        ]
    );
}

#[test]
fn being_kicked_ends_the_room_and_nothing_is_heard_of_it_any_more() {
    let mut play = Play::online("");
    play.join("@bob");
    play.hear(":bob!b@h KICK #room dan :\x0304out");
    play.hear(":bob!b@h PRIVMSG #room :he is gone");
    let gone = OccupantGone {
        room: "#room".into(),
        nickname: "dan".into(),
        departure: Departure::Kicked { by: Some("bob".into()) },
        reason: Some("out".to_owned()),
    };
    assert_eq!(play.events(), [Event::OccupantGone(gone)]);
    let no = play.ask(say("#room", "hello?"));
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
}

#[test]
fn leaving_is_answered_without_an_event_and_being_taken_out_is_told() {
    let mut play = Play::online("");
    play.join("");
    let no = play.ask(Ask::Leave {
        channel: "#room".to_owned(),
    });
    assert_eq!(play.lines(), ["PART #room", "PING fence-1"]);
    play.hear(":dan!~dan@host.test PART #room");
    assert_eq!(play.answer(no), Ok(Answer::Done));
    play.join("");
    play.hear(":dan!~dan@host.test PART #room :services say so");
    let closed = RoomClosed {
        room: "#room".into(),
        reason: "services say so".to_owned(),
        rejoin: false,
    };
    assert_eq!(play.events(), [Event::RoomClosed(closed)]);
}

#[test]
fn being_put_into_a_room_is_an_invitation() {
    let mut play = Play::online("");
    play.hear(":dan!~dan@host.test JOIN #room");
    play.hear(":irc.test 353 dan = #room :dan bob");
    play.hear(":irc.test 366 dan #room :End");
    play.hear(":bob!b@h PRIVMSG #room :hello");
    let invited = Invitation {
        room: "#room".into(),
        from: None,
        reason: Some("The network has put you into this room.".to_owned()),
        password: None,
    };
    assert_eq!(play.events(), [Event::Invited(invited)]);
    let no = play.ask(join("#room"));
    assert!(matches!(play.effects().last(), Some(Effect::Answer(n, Ok(_))) if *n == no));
}

#[test]
fn modes_change_roles() {
    let mut play = Play::online("");
    play.join("@bob eve");
    play.hear(":bob!b@h MODE #room +lbfv-o 5 *!*@x [5j]:3 eve bob");
    assert_eq!(
        play.events(),
        [
            Event::Occupant(occupant("eve", Role::Participant, Affiliation::Member)),
            Event::Occupant(plain("bob")),
        ]
    );
    play.hear(":irc.test MODE #room +m");
    assert_eq!(
        play.events(),
        [
            Event::Occupant(occupant("bob", Role::Visitor, Affiliation::None)),
            Event::Occupant(occupant("dan", Role::Visitor, Affiliation::None)),
            Event::Occupant(occupant("eve", Role::Participant, Affiliation::Member)),
        ]
    );
    play.hear(":irc.test 324 dan #room +nk key");
    let events = play.events();
    assert_eq!(events[..], [Event::Occupant(plain("bob")), Event::Occupant(plain("dan"))]);
    let no = play.ask(Ask::Info {
        channel: "#room".to_owned(),
    });
    let info = RoomInfo {
        name: Some("#room".to_owned()),
        occupants: Some(3),
        password_protected: true,
        ..RoomInfo::default()
    };
    assert_eq!(play.answer(no), Ok(Answer::RoomInfo(info)));
}

#[test]
fn subjects_are_set_and_refused() {
    let mut play = Play::online("");
    play.join("");
    let topic = || Ask::Topic {
        channel: "#room".to_owned(),
        text: "a\nb".to_owned(),
    };
    let no = play.ask(topic());
    assert_eq!(play.lines(), ["TOPIC #room :a b", "PING fence-1"]);
    play.hear(":dan!~dan@host.test TOPIC #room :a b");
    let effects = play.effects();
    assert!(matches!(&effects[0], Effect::Event(Event::RoomSubject(s)) if s.subject == "a b" && s.by.as_deref() == Some("dan")));
    assert!(matches!(&effects[1], Effect::Answer(n, Ok(Answer::Done)) if *n == no));
    play.hear("PONG irc.test fence-1");
    let no = play.ask(topic());
    play.lines();
    play.hear(":irc.test 482 dan #room :You're not channel operator");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
    play.hear("PONG irc.test fence-2");
    let no = play.ask(topic());
    play.lines();
    play.hear(":irc.test 437 dan #room :Retry topic change later");
    assert_eq!(play.refused(no).kind, OpErrorKind::RateLimited);
}

#[test]
fn nicknames_change_and_collide() {
    let mut play = Play::online("");
    play.join("");
    let nick = || Ask::Nick {
        nick: "daniel".to_owned(),
    };
    let no = play.ask(nick());
    assert_eq!(play.lines(), ["NICK daniel", "PING fence-1"]);
    play.hear(":irc.test 433 dan daniel :Nickname is already in use");
    assert_eq!(play.refused(no).kind, OpErrorKind::Conflict);
    play.hear("PONG irc.test fence-1");
    let no = play.ask(nick());
    play.lines();
    play.hear(":dan!~dan@host.test NICK :daniel");
    let effects = play.effects();
    let renamed = OccupantRenamed {
        room: "#room".into(),
        old: "dan".into(),
        new: "daniel".into(),
    };
    assert!(matches!(&effects[0], Effect::Event(Event::OccupantRenamed(r)) if *r == renamed));
    assert!(matches!(&effects[1], Effect::Answer(n, Ok(Answer::Done)) if *n == no));
    play.hear(":bob!b@h PRIVMSG daniel :hi");
    assert_eq!(
        play.events(),
        [Event::Message(IncomingMessage::new(Chat::Contact("bob".into()), "hi"))]
    );
}

#[test]
fn kicks_and_bans() {
    let mut play = Play::online("");
    play.join("bob");
    let no = play.ask(Ask::Kick {
        channel: "#room".to_owned(),
        nick: "bob".to_owned(),
        reason: Some("why\r\nQUIT".to_owned()),
    });
    assert_eq!(play.lines(), ["KICK #room bob :whyQUIT", "PING fence-1"]);
    play.hear(":irc.test 482 dan #room :You're not channel operator");
    assert_eq!(play.refused(no).kind, OpErrorKind::NotAllowed);
    play.hear("PONG irc.test fence-1");
    play.hear(":eve!e@evil.test JOIN #room");
    play.effects();
    let ban = Standing::Affiliation(Affiliation::Outcast);
    let no = play.ask(Ask::Standing {
        channel: "#room".to_owned(),
        nick: "eve".to_owned(),
        standing: ban,
        reason: None,
    });
    assert_eq!(
        play.lines(),
        ["MODE #room +b *!*@evil.test", "KICK #room eve", "PING fence-2"]
    );
    play.hear(":dan!~dan@host.test MODE #room +b *!*@evil.test");
    play.hear(":dan!~dan@host.test KICK #room eve :eve");
    let effects = play.effects();
    assert!(
        matches!(&effects[0], Effect::Event(Event::OccupantGone(g)) if g.departure == Departure::Banned { by: Some("dan".into()) })
    );
    assert!(matches!(&effects[1], Effect::Answer(n, Ok(Answer::Done)) if *n == no));
}

#[test]
fn standings_become_the_modes_that_differ() {
    let standing = |modes: &str, standing: Standing| {
        let mut play = Play::online("");
        play.join(&format!("{modes}bob"));
        let no = play.ask(Ask::Standing {
            channel: "#room".to_owned(),
            nick: "bob".to_owned(),
            standing,
            reason: None,
        });
        let lines = play.lines();
        if lines.is_empty() {
            return play.answer(no).map(|_| String::new()).map_err(|e| e.kind);
        }
        Ok(lines[0].clone())
    };
    let ok = |line: &str| Ok(line.to_owned());
    assert_eq!(standing("", Standing::Role(Role::Moderator)), ok("MODE #room +h bob"));
    assert_eq!(standing("@", Standing::Role(Role::Moderator)), ok(""));
    assert_eq!(standing("@", Standing::Role(Role::Participant)), ok("MODE #room -o bob"));
    assert_eq!(standing("", Standing::Role(Role::Visitor)), Err(OpErrorKind::NotAllowed));
    assert_eq!(
        standing("", Standing::Affiliation(Affiliation::Owner)),
        ok("MODE #room +q bob")
    );
    assert_eq!(
        standing("~", Standing::Affiliation(Affiliation::Admin)),
        ok("MODE #room -q+o bob bob")
    );
    assert_eq!(
        standing("@", Standing::Affiliation(Affiliation::Member)),
        ok("MODE #room -o+v bob bob")
    );
    assert_eq!(
        standing("@+", Standing::Affiliation(Affiliation::None)),
        ok("MODE #room -o-v bob bob")
    );
    assert_eq!(standing("", Standing::Affiliation(Affiliation::None)), ok(""));
}

#[test]
fn invitations_go_both_ways() {
    let mut play = Play::online("");
    play.join("");
    let no = play.ask(Ask::Invite {
        channel: "#room".to_owned(),
        nick: "bob".to_owned(),
    });
    assert_eq!(play.lines(), ["INVITE bob #room", "PING fence-1"]);
    play.hear(":irc.test 341 dan bob #room");
    assert_eq!(play.answer(no), Ok(Answer::Done));
    play.hear(":bob!b@h INVITE dan :#den");
    let invited = Invitation {
        room: "#den".into(),
        from: Some("bob".into()),
        reason: None,
        password: None,
    };
    assert_eq!(play.events(), [Event::Invited(invited)]);
    play.hear(":bob!b@h INVITE eve :#den");
    assert!(play.effects().is_empty());
}

#[test]
fn absences_of_occupants_are_seen() {
    let mut play = Play::online("away-notify");
    play.join("bob");
    play.hear(":irc.test 352 dan #room b evil.test irc.test bob G :0 Bob");
    play.hear(":bob!b@h AWAY :gone fishing");
    play.hear(":bob!b@h AWAY");
    let away = |text: Option<&str>| Presence {
        availability: Availability::Away,
        text: text.map(str::to_owned),
        idle_since: None,
    };
    let with = |presence| {
        Event::Occupant(Occupant {
            presence,
            ..plain("bob")
        })
    };
    assert_eq!(
        play.events(),
        [with(away(None)), with(away(Some("gone fishing"))), with(Presence::ONLINE)]
    );
}

#[test]
fn rooms_are_listed_once_for_all_who_ask_and_remembered() {
    let mut play = Play::online("");
    let a = play.ask(Ask::List);
    let b = play.ask(Ask::List);
    let info = play.ask(Ask::Info {
        channel: "#Two".to_owned(),
    });
    assert_eq!(play.lines(), ["LIST"]);
    play.hear(":irc.test 321 dan Channel :Users Name");
    play.hear(":irc.test 322 dan #one 3 :[+nt] The \x02first");
    play.hear(":irc.test 322 dan #two 1 :");
    play.hear(":irc.test 323 dan :End");
    let rooms = vec![
        RoomSummary {
            id: "#one".into(),
            name: Some("#one".to_owned()),
            occupants: Some(3),
            subject: Some("The first".to_owned()),
        },
        RoomSummary {
            id: "#two".into(),
            name: Some("#two".to_owned()),
            occupants: Some(1),
            subject: None,
        },
    ];
    let effects = play.effects();
    assert_eq!(effects.len(), 2);
    for (effect, no) in effects.into_iter().zip([a, b]) {
        assert!(matches!(effect, Effect::Answer(n, Ok(Answer::Rooms(r))) if n == no && r == rooms));
    }
    assert_eq!(play.lines(), ["LIST #two"]);
    play.hear(":irc.test 322 dan #two 1 :");
    play.hear(":irc.test 323 dan :End");
    assert!(matches!(play.answer(info), Ok(Answer::RoomInfo(i)) if i.name.as_deref() == Some("#two") && i.occupants == Some(1)));
    let again = play.ask(Ask::List);
    assert!(matches!(play.answer(again), Ok(Answer::Rooms(r)) if r == rooms));
    assert!(play.lines().is_empty());
}

#[test]
fn a_server_without_time_for_a_list_says_so() {
    let mut play = Play::online("");
    let no = play.ask(Ask::List);
    play.lines();
    play.hear(":irc.test 263 dan LIST :Server load is temporarily too heavy");
    assert_eq!(play.refused(no).kind, OpErrorKind::RateLimited);
    play.ask(Ask::List);
    assert_eq!(play.lines(), ["LIST"]);
}
