//! Logins against scripted servers.
#![allow(clippy::unwrap_used)]

use super::*;

fn identity() -> Identity {
    Identity {
        nick: "dan".to_owned(),
        account: "dan".to_owned(),
        password: Some(Secret::new("pw")),
        server_password: None,
        real_name: "Dan".to_owned(),
        sasl: true,
    }
}

/// Plays a login: server lines in, our lines out.
struct Play {
    registration: Registration,
    out: Vec<String>,
}

impl Play {
    fn new(identity: Identity) -> Self {
        let mut out = Vec::new();
        let registration = Registration::start(identity, &mut out).unwrap();
        Self { registration, out }
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out)
    }

    fn hear(&mut self, text: &str) -> Step {
        self.registration.handle(&Line::parse(text).unwrap(), &mut self.out)
    }

    fn refused(&mut self, text: &str) -> LoginError {
        let step = self.hear(text);
        let Step::Refused(error) = step else { panic!("{step:?}") };
        error
    }
}

#[test]
fn sasl_before_the_greeting() {
    let mut play = Play::new(identity());
    assert_eq!(play.take(), ["CAP LS 302", "NICK dan", "USER dan 0 * :Dan"]);
    play.hear("CAP * LS * :multi-prefix batch foo");
    assert_eq!(play.take(), Vec::<String>::new());
    play.hear("CAP * LS :sasl=EXTERNAL,PLAIN labeled-response");
    assert_eq!(play.take(), ["CAP REQ :multi-prefix labeled-response batch sasl"]);
    play.hear("CAP dan ACK :multi-prefix labeled-response batch sasl ");
    assert_eq!(play.take(), ["AUTHENTICATE PLAIN"]);
    play.hear("AUTHENTICATE +");
    assert_eq!(play.take(), ["AUTHENTICATE ZGFuAGRhbgBwdw=="]);
    play.hear(":irc.test 900 dan dan!d@h dan :You are now logged in as dan");
    play.hear(":irc.test 903 dan :SASL authentication successful");
    assert_eq!(play.take(), ["CAP END"]);
    assert!(matches!(play.hear(":irc.test 001 dan :Welcome"), Step::Welcome));
    assert!(play.registration.authenticated);
    assert!(play.registration.caps.has(Caps::LABELED_RESPONSE.with(Caps::SASL)));
}

#[test]
fn a_refused_password_ends_the_login() {
    let mut play = Play::new(identity());
    play.hear("CAP * LS :sasl");
    play.hear("CAP * ACK :sasl");
    play.hear("AUTHENTICATE +");
    let error = play.refused(":irc.test 904 dan :SASL authentication failed");
    assert_eq!(error.kind, LoginErrorKind::AuthenticationFailed);
    assert_eq!(error.retry, Retry::Never);
    assert_eq!(
        error.text,
        "The server did not accept your account and password: SASL authentication failed"
    );
}

#[test]
fn long_credentials_go_in_pieces_and_a_full_last_one_is_followed_by_an_empty_one() {
    let with = |len: usize| {
        let mut play = Play::new(Identity {
            password: Some(Secret::new("x".repeat(len))),
            ..identity()
        });
        play.hear("CAP * LS :sasl");
        play.hear("CAP * ACK :sasl");
        play.take();
        play.hear("AUTHENTICATE +");
        play.take()
            .iter()
            .map(|l| l.len() - "AUTHENTICATE ".len())
            .collect::<Vec<_>>()
    };
    assert_eq!(with(292), [400, 1]);
    assert_eq!(with(300), [400, 12]);
}

#[test]
fn without_a_password_or_without_plain_there_is_no_sasl() {
    let mut play = Play::new(Identity {
        password: None,
        ..identity()
    });
    play.take();
    play.hear("CAP * LS :sasl");
    assert_eq!(play.take(), ["CAP END"]);
    let mut play = Play::new(identity());
    play.take();
    play.hear("CAP * LS :sasl=EXTERNAL");
    assert_eq!(play.take(), ["CAP END"]);
}

#[test]
fn a_refused_list_is_asked_for_one_by_one() {
    let mut play = Play::new(identity());
    play.take();
    play.hear("CAP * LS :multi-prefix setname");
    play.take();
    play.hear("CAP * NAK :multi-prefix setname");
    assert_eq!(play.take(), ["CAP REQ :multi-prefix", "CAP REQ :setname"]);
    play.hear("CAP * ACK :multi-prefix");
    play.hear("CAP * NAK :setname");
    assert_eq!(play.take(), ["CAP END"]);
    assert_eq!(play.registration.caps, Caps::MULTI_PREFIX);
}

#[test]
fn a_server_without_capabilities_gets_on() {
    let mut play = Play::new(identity());
    play.hear(":irc.test 421 * CAP :Unknown command");
    assert!(matches!(play.hear(":irc.test 001 dan :Welcome"), Step::Welcome));
}

#[test]
fn a_taken_nickname_is_varied_and_given_up_on_at_last() {
    let mut play = Play::new(identity());
    play.take();
    for _ in 0..5 {
        play.hear(":irc.test 433 * dan :Nickname is already in use");
    }
    assert_eq!(
        play.take(),
        ["NICK dan_", "NICK dan__", "NICK dan2", "NICK dan3", "NICK dan4"]
    );
    assert_eq!(
        play.refused(":irc.test 433 * dan4 :Nickname is already in use").kind,
        LoginErrorKind::NameInUse
    );
    let mut play = Play::new(identity());
    play.hear(":irc.test 433 * dan :Nickname is already in use");
    play.hear(":irc.test 001 dan_ :Welcome");
    assert!(play.registration.nick_differs());
}

#[test]
fn what_the_server_does_not_accept_at_all_is_an_invalid_name() {
    let mut play = Play::new(identity());
    for _ in 0..5 {
        play.hear(":irc.test 432 * dan :Erroneous nickname");
    }
    assert_eq!(
        play.refused(":irc.test 432 * dan4 :Erroneous nickname").kind,
        LoginErrorKind::InvalidName
    );
}

#[test]
fn nicknames_are_made_usable() {
    assert_eq!(usable_nick("dan.the man").as_deref(), Some("dan_the_man"));
    assert_eq!(usable_nick("3dan").as_deref(), Some("_3dan"));
    assert_eq!(usable_nick("a\r\nQUIT").as_deref(), Some("a__QUIT"));
    assert_eq!(usable_nick("Jörg").as_deref(), Some("Jörg"));
    assert_eq!(usable_nick("..."), None);
    assert_eq!(usable_nick(""), None);
    assert_eq!(alternative_nick("Jörg", 1, 30), "J_rg_");
    assert_eq!(alternative_nick("averylongnickname", 4, 30), "averylon3");
}

#[test]
fn refusals_have_reasons() {
    let kind = |text: &str| Play::new(identity()).refused(text).kind;
    assert_eq!(
        kind(":irc.test 464 dan :Password incorrect"),
        LoginErrorKind::AuthenticationFailed
    );
    assert_eq!(kind(":irc.test 465 dan :You are banned"), LoginErrorKind::Banned);
    assert_eq!(kind("ERROR :Closing Link: (K-lined)"), LoginErrorKind::Banned);
    assert_eq!(kind("ERROR :Bad password"), LoginErrorKind::AuthenticationFailed);
    assert_eq!(kind("ERROR :Closing link: gone"), LoginErrorKind::Network);
    let error = Play::new(identity()).refused("ERROR :Too many connections from your host");
    assert_eq!(error.retry, Retry::After(Duration::from_secs(60)));
}

#[test]
fn a_ping_during_the_login_is_answered() {
    let mut play = Play::new(identity());
    play.take();
    play.hear("PING :cookie 1");
    assert_eq!(play.take(), ["PONG :cookie 1"]);
}

#[test]
fn the_server_password_comes_first_and_cannot_break_out() {
    let mut play = Play::new(Identity {
        server_password: Some(Secret::new("a b\r\nQUIT")),
        ..identity()
    });
    assert_eq!(play.take()[0], "PASS :a b  QUIT");
}

#[test]
fn endless_capability_lists_are_refused() {
    let mut play = Play::new(identity());
    for _ in 0..32 {
        assert!(matches!(play.hear("CAP * LS * :x"), Step::Continue));
    }
    assert_eq!(play.refused("CAP * LS * :x").kind, LoginErrorKind::Other);
}
