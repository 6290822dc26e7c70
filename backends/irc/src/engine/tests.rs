//! The engine against scripted servers: lines in, lines and events out.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use spectrum_backend_sdk::model::{
    Affiliation, Availability, Chat, ContactUpdate, Departure, IncomingMessage, Invitation, JoinRoom, Joined, MessageKind,
    Occupant, OccupantGone, OccupantRenamed, Origin, Presence, Role, RoomClosed, RoomInfo, RoomSubject, RoomSummary, Secret,
    Sent, Standing, Timestamp,
};
use spectrum_backend_sdk::{Answer, Certainty, Event, LoginErrorKind, OpError, OpErrorKind, Outcome, Retry};

use super::*;

/// An engine and a clock that stands still unless told.
struct Play {
    engine: Engine,
    now: Now,
    next: u64,
}

fn setup() -> Setup {
    Setup {
        identity: Identity {
            nick: "dan".to_owned(),
            account: "dan".to_owned(),
            password: None,
            server_password: None,
            real_name: "Dan".to_owned(),
            sasl: true,
        },
        scope: Scope::Plain,
        nickserv: Some("NickServ".to_owned()),
        lines_per_second: 1.0,
        halve_text: false,
        away: None,
    }
}

impl Play {
    fn new(setup: Setup) -> Self {
        let now = Now {
            mono: Instant::now(),
            wall: Timestamp::from_secs(1_000_000),
        };
        Self {
            engine: Engine::new(setup, now).unwrap(),
            now,
            next: 0,
        }
    }

    /// A user who is in, with these capabilities.
    fn online(caps: &str) -> Self {
        let mut play = Self::new(setup());
        play.hear(&format!("CAP * LS :{caps}"));
        if !caps.is_empty() {
            play.hear(&format!("CAP * ACK :{caps}"));
        }
        play.greet("dan");
        play
    }

    fn greet(&mut self, nick: &str) {
        self.hear(&format!(":irc.test 001 {nick} :Welcome {nick}!~dan@host.test"));
        self.hear(&format!(
            ":irc.test 005 {nick} PREFIX=(qaohv)~&@%+ CHANMODES=beI,k,fl,imnpst CHANTYPES=# MODES=4 MONITOR=2 :are supported"
        ));
        self.hear(&format!(":irc.test 422 {nick} :No MOTD"));
        self.lines();
        self.effects();
    }

    fn hear(&mut self, text: &str) {
        self.engine.handle(&Line::parse(text).unwrap(), self.now);
    }

    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.engine.drain(self.now, |line| lines.push(line.to_owned()));
        lines
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.engine.take_effect()).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        let effects = self.effects().into_iter();
        effects
            .map(|e| {
                if let Effect::Event(event) = e {
                    event
                } else {
                    panic!("no event: {e:?}")
                }
            })
            .collect()
    }

    /// Asks, and gives the number of the request.
    fn ask(&mut self, ask: Ask) -> RequestNo {
        self.next += 1;
        let no = RequestNo(self.next);
        self.engine.ask(no, ask, self.now);
        no
    }

    /// The one answer, with nothing else around it.
    fn answer(&mut self, no: RequestNo) -> Outcome {
        let mut effects = self.effects();
        assert_eq!(effects.len(), 1, "{effects:?}");
        let effect = effects.remove(0);
        let Effect::Answer(n, outcome) = effect else {
            panic!("no answer: {effect:?}")
        };
        assert_eq!(n, no);
        outcome
    }

    fn refused(&mut self, no: RequestNo) -> OpError {
        self.answer(no).unwrap_err()
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.engine.tick(self.now);
    }

    fn join(&mut self, names: &str) {
        let no = self.ask(join("#room"));
        self.hear(":dan!~dan@host.test JOIN #room");
        self.hear(&format!(":irc.test 353 dan = #room :dan {names}"));
        self.hear(":irc.test 366 dan #room :End");
        assert!(
            self.effects()
                .iter()
                .any(|e| matches!(e, Effect::Answer(n, Ok(Answer::Joined(_))) if *n == no))
        );
        self.pass(Duration::from_secs(60));
        self.lines();
    }
}

fn join(room: &str) -> Ask {
    let join = JoinRoom {
        room: room.into(),
        nickname: "dan".into(),
        password: None,
    };
    Ask::Join {
        id: join.room,
        channel: room.to_owned(),
        key: join.password,
    }
}

fn say(target: &str, body: &str) -> Ask {
    let chat = if target.starts_with('#') {
        Chat::Room(target.into())
    } else {
        Chat::Contact(target.into())
    };
    Ask::Send {
        chat,
        target: target.to_owned(),
        body: body.to_owned(),
    }
}

fn occupant(nick: &str, role: Role, affiliation: Affiliation) -> Occupant {
    Occupant {
        role,
        affiliation,
        contact: Some(nick.into()),
        ..Occupant::new("#room".into(), nick)
    }
}

fn plain(nick: &str) -> Occupant {
    occupant(nick, Role::Participant, Affiliation::None)
}

fn sent() -> Outcome {
    Ok(Answer::Sent(Sent::default()))
}

#[test]
fn a_login_is_reported_once_and_paced_lines_wait_for_the_end_of_the_greeting() {
    let mut play = Play::new(setup());
    assert_eq!(play.lines(), ["CAP LS 302", "NICK dan", "USER dan 0 * :Dan"]);
    play.ask(join("#room"));
    play.hear("CAP * LS :");
    assert_eq!(play.lines(), ["CAP END"]);
    play.hear(":irc.test 001 dan :Welcome dan!~dan@host.test");
    assert!(matches!(play.effects()[..], [Effect::Online]));
    assert!(play.lines().is_empty());
    play.hear(":irc.test 376 dan :End of MOTD");
    assert_eq!(play.lines(), ["JOIN #room"]);
}

#[test]
fn another_nickname_is_told_and_services_get_the_password_where_sasl_is_missing() {
    let mut play = Play::new(Setup {
        identity: Identity {
            password: Some(Secret::new("pw")),
            ..setup().identity
        },
        ..setup()
    });
    play.hear("CAP * LS :");
    play.hear(":irc.test 433 * dan :in use");
    play.lines();
    play.hear(":irc.test 001 dan_ :Welcome");
    assert_eq!(play.lines(), ["PRIVMSG NickServ :IDENTIFY dan pw"]);
    let effects = play.effects();
    assert!(matches!(&effects[..], [Effect::Online, Effect::Event(Event::Notice(text))]
        if text == "The nickname dan could not be had on IRC: you are dan_ there."));
}

#[test]
fn with_sasl_done_or_nickserv_off_no_password_is_written_to_anybody() {
    let identity = Identity {
        password: Some(Secret::new("pw")),
        ..setup().identity
    };
    let mut play = Play::new(Setup {
        identity: identity.clone(),
        nickserv: None,
        ..setup()
    });
    play.hear("CAP * LS :");
    play.lines();
    play.hear(":irc.test 001 dan :Welcome");
    assert!(play.lines().is_empty());
    let mut play = Play::new(Setup { identity, ..setup() });
    for line in ["CAP * LS :sasl", "CAP * ACK :sasl", "AUTHENTICATE +", ":irc.test 903 dan :ok"] {
        play.hear(line);
    }
    play.lines();
    play.hear(":irc.test 001 dan :Welcome");
    assert!(play.lines().is_empty());
}

#[test]
fn a_login_that_does_not_end_is_given_up() {
    let mut play = Play::new(setup());
    play.pass(LOGIN_TIMEOUT);
    assert!(matches!(&play.effects()[..], [Effect::Closed(e)] if e.kind == LoginErrorKind::Network && e.is_temporary()));
}

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let mut play = Play::online("");
    play.pass(SILENCE);
    assert_eq!(play.lines(), ["PING alive"]);
    play.hear(":irc.test PONG irc.test :alive");
    play.pass(SILENCE);
    assert_eq!(play.lines(), ["PING alive"]);
    play.pass(SILENCE_LIMIT - SILENCE);
    assert!(matches!(&play.effects()[..], [Effect::Closed(e)] if e.kind == LoginErrorKind::Network));
    assert!(play.engine.next_at(play.now).is_none());
}

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
fn one_network_of_several_closes_its_rooms_and_takes_its_contacts_offline() {
    let mut play = Play::new(Setup {
        scope: Scope::Qualified("irc.test".into()),
        ..setup()
    });
    play.hear("CAP * LS :");
    play.greet("dan");
    play.ask(Ask::Watch {
        id: "bob@irc.test".into(),
        nick: "bob".to_owned(),
    });
    play.ask(Ask::Join {
        id: "#room@irc.test".into(),
        channel: "#room".to_owned(),
        key: None,
    });
    play.hear(":irc.test 730 dan :bob!b@h");
    play.hear(":dan!~dan@host.test JOIN #room");
    play.hear(":irc.test 353 dan = #room :dan bob");
    play.hear(":irc.test 366 dan #room :End");
    let effects = play.effects();
    assert!(effects.iter().any(
        |e| matches!(e, Effect::Event(Event::Occupant(o)) if o.contact.as_ref().is_some_and(|c| c.as_str() == "bob@irc.test"))
    ));
    play.hear("ERROR :Closing Link: (shutdown)");
    let effects = play.effects();
    let offline = ContactUpdate::new("bob@irc.test").presence(Presence::OFFLINE);
    assert!(matches!(&effects[0], Effect::Event(Event::Contact(u)) if *u == offline));
    let closed = RoomClosed {
        room: "#room@irc.test".into(),
        reason: "The server closed the connection: Closing Link: (shutdown)".to_owned(),
        rejoin: true,
    };
    assert!(matches!(&effects[1], Effect::Event(Event::RoomClosed(c)) if *c == closed));
    assert!(matches!(&effects[2], Effect::Closed(_)));
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

#[test]
fn hostile_servers_cannot_fill_the_memory() {
    let mut play = Play::online("");
    for i in 0..2 * state::MAX_CHANNELS {
        play.hear(&format!(":dan!~dan@host.test JOIN #c{i}"));
    }
    assert_eq!(play.engine.channels.len(), state::MAX_CHANNELS);
    for i in 0..state::MAX_MEMBERS + 100 {
        play.hear(&format!(":n{i}!u@h JOIN #c1"));
    }
    assert_eq!(play.engine.channels.get("#c1").unwrap().members.len(), state::MAX_MEMBERS);
    for i in 0..1_000 {
        play.hear(&format!(":irc.test BATCH +b{i} netsplit a b"));
    }
    assert_eq!(play.engine.batches.len(), MAX_BATCHES);
    play.ask(Ask::List);
    for i in 0..6_000 {
        play.hear(&format!(":irc.test 322 dan #c{i} 1 :"));
    }
    play.effects();
    play.hear(":irc.test 323 dan :End");
    assert!(matches!(&play.effects()[..], [Effect::Answer(_, Ok(Answer::Rooms(r)))] if r.len() == 5_000));
}

proptest::proptest! {
    #[test]
    fn no_conversation_panics(lines in proptest::collection::vec(
        "(@[a-z]{1,5}=[a-zx0-9]{0,8} )?(:(dan|bob|irc\\.test)(![a-z]@[a-z])? )?(JOIN|PART|MODE|KICK|NICK|QUIT|TOPIC|PRIVMSG|NOTICE|CAP|BATCH|INVITE|AWAY|CHGHOST|PONG|FAIL|001|005|3[0-9]{2}|4[0-9]{2}|7[0-9]{2})( (dan|bob|#room|[+-][a-z]{1,4}|=|\\*|[^ ]{1,6})){0,5}( :\\PC{0,20})?",
        0..40,
    )) {
        let mut play = Play::online("echo-message labeled-response batch");
        play.ask(join("#room"));
        play.ask(say("bob", "x"));
        play.ask(Ask::List);
        play.ask(Ask::Whois { nick: "bob".to_owned() });
        for line in &lines {
            if let Some(line) = Line::parse(line) {
                play.engine.handle(&line, play.now);
            }
            for written in play.lines() {
                proptest::prop_assert!(!written.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
        }
        play.engine.close(LoginError::new(LoginErrorKind::Network, "end"));
        // Every request got exactly one answer.
        let mut answered: Vec<_> = play.effects().iter().filter_map(|e| if let Effect::Answer(no, _) = e { Some(no.0) } else { None }).collect();
        answered.sort_unstable();
        proptest::prop_assert_eq!(answered, vec![1, 2, 3, 4]);
    }
}
