//! The engine against scripted servers: lines in, lines and events out.
#![allow(clippy::unwrap_used)]

mod rooms;
mod settings;
mod talk;

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
        watched: Vec::new(),
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
fn contacts_known_before_the_login_are_watched_after_the_greeting_by_the_names_the_server_knows() {
    let mut play = Play::new(Setup {
        watched: [("bob", "bob"), ("Ann[a]", "Ann[a]"), ("no such name", "no such name")]
            .map(|(id, nick)| (id.into(), nick.to_owned()))
            .into(),
        ..setup()
    });
    play.hear("CAP * LS :");
    play.hear(":irc.test 001 dan :Welcome dan!~dan@host.test");
    play.hear(":irc.test 005 dan MONITOR=10 CASEMAPPING=ascii :are supported");
    play.lines();
    play.effects();
    play.hear(":irc.test 422 dan :No MOTD");
    assert_eq!(play.lines(), ["MONITOR + Ann[a],bob"]);
    play.hear(":irc.test 730 dan :ann[a]!a@h");
    let online = ContactUpdate::new("Ann[a]").presence(Presence::ONLINE);
    assert_eq!(play.events(), [Event::Contact(online)]);
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
fn lines_without_a_channel_change_nothing() {
    let mut play = Play::online("");
    for line in [":dan JOIN", "MODE", ":dan JOIN :", "MODE :", ":bob JOIN"] {
        play.hear(line);
    }
    assert!(play.engine.channels.is_empty());
    assert!(play.effects().is_empty());
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
