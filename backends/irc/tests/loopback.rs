//! The whole backend against a scripted IRC server on loopback: sockets, TLS, logins, sessions of one network and of several.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use spectrum_backend_sdk::model::{Chat, ContactDetails, ContactUpdate, IncomingMessage, JoinRoom, RoomClosed, Sent};
use spectrum_backend_sdk::testing::{Account, Kit, User};
use spectrum_backend_sdk::{Answer, Certainty, Event, LoginError, LoginErrorKind, OpErrorKind, Outcome, Verb};
use spectrum_irc::{IrcBackend, IrcOptions, OptionValue};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// What is taken for a hang. Nothing below waits as long when it works.
const PATIENCE: Duration = Duration::from_secs(20);

fn dan() -> Account {
    Account::new("dan")
}

async fn backend(options: &[(&str, OptionValue)]) -> Kit {
    Kit::start(IrcBackend::from_options(IrcOptions::parse(options.iter().cloned()).unwrap()).unwrap()).await
}

async fn plain(port: u16) -> Kit {
    backend(&[("server", format!("127.0.0.1:{port}").as_str().into()), ("tls", false.into())]).await
}

async fn join(user: &mut User, room: &str) -> Outcome {
    user.request(Verb::JoinRoom(JoinRoom {
        room: room.into(),
        nickname: "dan".into(),
        password: None,
    }))
    .await
}

fn joined(outcome: Outcome) -> String {
    let Ok(Answer::Joined(joined)) = outcome else {
        panic!("not joined: {outcome:?}")
    };
    joined.nickname.as_str().to_owned()
}

/// One client of the scripted server.
struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// The next line that is not one the backend refreshes its knowledge with, whenever it likes.
    async fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            let read = timeout(PATIENCE, self.0.read_line(&mut line))
                .await
                .expect("a line in time")
                .unwrap_or(0);
            if read == 0 {
                return None;
            }
            if !line.starts_with("ISON ") && !line.starts_with("MODE ") {
                return Some(line.trim_end().to_owned());
            }
        }
    }

    async fn expect(&mut self, expected: &str) {
        assert_eq!(self.line().await.as_deref(), Some(expected));
    }

    async fn say(&mut self, lines: &[&str]) {
        self.0
            .get_mut()
            .write_all((lines.join("\r\n") + "\r\n").as_bytes())
            .await
            .unwrap();
    }

    /// Waits for a question about who is there, passing over everything else.
    async fn expect_question(&mut self, expected: &str) {
        let mut line = String::new();
        while line.trim_end() != expected {
            line.clear();
            let read = timeout(PATIENCE, self.0.read_line(&mut line)).await;
            assert!(read.expect("a line in time").unwrap() > 0, "the end before {expected}");
        }
    }

    async fn let_in(&mut self, nick: &str) {
        for expected in [
            "CAP LS 302".to_owned(),
            format!("NICK {nick}"),
            format!("USER {nick} 0 * :{nick}"),
        ] {
            self.expect(&expected).await;
        }
        self.say(&[
            ":irc.test 421 * CAP :Unknown command",
            &format!(":irc.test 001 {nick} :Hi {nick}!u@h.test"),
            ":irc.test 422 x :No MOTD",
        ])
        .await;
    }

    async fn let_join(&mut self, nick: &str) {
        self.expect("JOIN #room").await;
        self.say(&[
            &format!(":{nick}!u@h.test JOIN #room"),
            &format!(":irc.test 353 {nick} = #room :{nick} bob"),
            &format!(":irc.test 366 {nick} #room :End"),
        ])
        .await;
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn accept(listener: &TcpListener) -> Client<tokio::net::TcpStream> {
    Client(BufReader::new(listener.accept().await.unwrap().0))
}

#[tokio::test]
async fn a_conversation_in_a_room_ends_with_the_servers_end() {
    let (listener, port) = listen().await;
    let server = async {
        let mut client = accept(&listener).await;
        client.let_in("dan").await;
        client.let_join("dan").await;
        client.expect("PRIVMSG #room :hello").await;
        client.expect("PING fence-1").await;
        client
            .say(&[":irc.test PONG irc.test :fence-1", ":bob!b@h PRIVMSG #room :hi dan"])
            .await;
        while client.line().await.is_some_and(|l| l != "PRIVMSG #room :are you there?") {}
    };
    let user = async {
        let kit = plain(port).await;
        let mut user = kit.login(dan()).await.unwrap();
        assert_eq!(joined(join(&mut user, "#room").await), "dan");
        for nick in ["bob", "dan"] {
            assert!(matches!(user.next_event().await, Event::Occupant(o) if o.nickname.as_str() == nick));
        }
        assert!(matches!(user.next_event().await, Event::RoomSubject(s) if s.subject.is_empty()));
        let chat = Chat::Room("#room".into());
        assert_eq!(user.say(chat.clone(), "hello").await, Ok(Sent::default()));
        assert_eq!(
            user.next_event().await,
            Event::Message(IncomingMessage::new(chat.clone(), "hi dan").by("bob"))
        );
        let error = user.say(chat.clone(), "are you there?").await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (OpErrorKind::Network, Certainty::MaybeSent));
        let Event::Closed(reason) = user.next_event().await else {
            panic!()
        };
        assert_eq!(
            reason,
            LoginError::new(LoginErrorKind::Network, "The IRC server closed the connection.")
        );
        assert!(reason.is_temporary());
        let error = user.say(chat, "hello?").await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (OpErrorKind::NotConnected, Certainty::NotSent));
        assert_eq!(user.take_events(), []);
        user.logout().await;
    };
    tokio::join!(server, user);
}

#[tokio::test]
async fn a_refused_login_is_an_error() {
    let (listener, port) = listen().await;
    let server = async {
        let mut client = accept(&listener).await;
        client.expect("CAP LS 302").await;
        client
            .say(&[":irc.test 465 dan :You are banned", "ERROR :Closing Link"])
            .await;
    };
    let kit = plain(port).await;
    let ((), result) = tokio::join!(server, kit.login(dan()));
    assert_eq!(
        result.err().unwrap(),
        LoginError::new(LoginErrorKind::Banned, "You are banned from this server: You are banned")
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_temporary_error() {
    let (listener, port) = listen().await;
    drop(listener);
    let error = plain(port).await.login(dan()).await.err().unwrap();
    assert_eq!(error.kind, LoginErrorKind::Network);
    assert!(error.is_temporary());
}

#[tokio::test]
async fn contacts_the_core_remembers_are_watched_from_the_login_on() {
    let (listener, port) = listen().await;
    let server = async {
        let mut client = accept(&listener).await;
        client.let_in("dan").await;
        client.expect_question("ISON :bob eve").await;
        client.say(&[":irc.test 303 dan :bob"]).await;
        client
    };
    let user = async {
        let kit = plain(port).await;
        let account = dan()
            .contact(ContactUpdate::new("eve"))
            .contact(ContactUpdate::new("bob").alias("Bob"));
        let mut user = kit.login(account).await.unwrap();
        for (name, is_there) in [("bob", true), ("eve", false)] {
            let Event::Contact(update) = user.next_event().await else {
                panic!()
            };
            let presence = update.presence.as_set().unwrap();
            assert_eq!((update.id.as_str(), presence.availability.is_online()), (name, is_there));
        }
        (kit, user)
    };
    tokio::join!(server, user);
}

#[tokio::test]
async fn logout_says_farewell_and_the_end_of_the_core_does_too() {
    for is_stopped in [false, true] {
        let (listener, port) = listen().await;
        let server = async {
            let mut client = accept(&listener).await;
            client.let_in("dan").await;
            client.expect("QUIT :Leaving").await;
            assert_eq!(client.line().await, None);
        };
        let user = async {
            let kit = plain(port).await;
            let user = kit.login(dan()).await.unwrap();
            if is_stopped {
                assert_eq!(kit.stop().await, Vec::<&str>::new());
            } else {
                user.logout().await;
            }
        };
        tokio::join!(server, user);
    }
}

#[tokio::test]
async fn a_login_that_is_given_up_leaves_no_connection_behind() {
    let (listener, port) = listen().await;
    let kit = plain(port).await;
    let mut client = tokio::select! {
        _ = kit.login(dan()) => panic!("nobody let the user in"),
        client = async {
            let mut client = accept(&listener).await;
            client.expect("CAP LS 302").await;
            client
        } => client,
    };
    while client.line().await.is_some() {}
}

#[tokio::test]
async fn several_networks_are_connected_on_first_use_and_lost_one_by_one() {
    let (first, one) = listen().await;
    let (second, two) = listen().await;
    let networks = format!("127.0.0.1:{one},localhost:{two}");
    let kit = backend(&[("networks", networks.as_str().into()), ("tls", false.into())]).await;
    let account = dan()
        .password("secret of nobody")
        .setting("nickname@localhost", "daniel")
        .contact(ContactUpdate::new("ann@127.0.0.1"))
        .contact(ContactUpdate::new("joe@elsewhere.test"));
    let mut user = kit.login(account).await.unwrap();
    let contact = ContactDetails {
        id: "bob@127.0.0.1".into(),
        alias: None,
        groups: Vec::new(),
    };
    user.request(Verb::AddContact(contact)).await.unwrap();
    assert!(
        timeout(Duration::from_millis(50), first.accept()).await.is_err(),
        "a login connects nothing"
    );

    let serve_first = async {
        let mut client = accept(&first).await;
        client.let_in("dan").await;
        client.let_join("dan").await;
        client.expect_question("ISON :ann bob").await;
        client
    };
    let (outcome, mut client) = tokio::join!(join(&mut user, "#room@127.0.0.1"), serve_first);
    assert_eq!(joined(outcome), "dan");
    assert!(
        matches!(user.next_event().await, Event::Occupant(o) if o.room.as_str() == "#room@127.0.0.1"
        && o.contact.as_ref().unwrap().as_str() == "bob@127.0.0.1")
    );
    user.next_event().await;
    user.next_event().await;

    let serve_second = async {
        let mut client = accept(&second).await;
        client.let_in("daniel").await;
        client.expect("PRIVMSG eve :hi").await;
        client.expect("PING fence-1").await;
        client.say(&["PONG irc.test fence-1", ":eve!e@h PRIVMSG daniel :hello"]).await;
        client
    };
    let chat = Chat::Contact("eve@localhost".into());
    let (sent, mut other) = tokio::join!(user.say(chat.clone(), "hi"), serve_second);
    assert_eq!(sent, Ok(Sent::default()));
    assert_eq!(user.next_event().await, Event::Message(IncomingMessage::new(chat, "hello")));

    client.say(&["ERROR :Closing Link: (maintenance)"]).await;
    let closed = RoomClosed {
        room: "#room@127.0.0.1".into(),
        reason: "The server closed the connection: Closing Link: (maintenance)".to_owned(),
        rejoin: true,
    };
    assert_eq!(user.next_event().await, Event::RoomClosed(closed));

    // The other network has noticed nothing, and the lost one comes back on its next use.
    other.say(&[":eve!e@h PRIVMSG daniel :still here"]).await;
    assert!(matches!(user.next_event().await, Event::Message(m) if m.body == "still here"));
    let again = async {
        let mut client = accept(&first).await;
        client.let_in("dan").await;
        client.let_join("dan").await;
        client
    };
    let (outcome, _client) = tokio::join!(join(&mut user, "#room@127.0.0.1"), again);
    assert_eq!(joined(outcome), "dan");
    let error = join(&mut user, "#room@elsewhere.test").await.unwrap_err();
    assert_eq!(error.kind, OpErrorKind::NotFound);
}

#[tokio::test]
async fn a_name_with_a_network_fixes_it_for_the_session() {
    let (listener, port) = listen().await;
    let networks = format!("127.0.0.1:{port},other.test");
    let kit = backend(&[("networks", networks.as_str().into()), ("tls", false.into())]).await;
    let server = async {
        let mut client = accept(&listener).await;
        client.let_in("dan").await;
        client.let_join("dan").await;
        client
    };
    let user = async {
        let mut user = kit.login(Account::new("dan@127.0.0.1")).await.unwrap();
        assert_eq!(joined(join(&mut user, "#room").await), "dan");
        user
    };
    tokio::join!(server, user);
    let error = kit.login(Account::new("dan@elsewhere.test")).await.err().unwrap();
    assert_eq!(error.kind, LoginErrorKind::InvalidName);
    assert_eq!(
        error.text,
        "This transport does not connect to elsewhere.test, but to 127.0.0.1, other.test."
    );
}

#[tokio::test]
async fn certificates_are_checked_unless_that_is_switched_off() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    let server = format!("localhost:{port}");

    let strict = backend(&[("server", server.as_str().into())]).await;
    let refuse = async {
        let (tcp, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(tcp).await.is_err());
    };
    let ((), result) = tokio::join!(refuse, strict.login(dan()));
    let error = result.err().unwrap();
    assert_eq!(error.kind, LoginErrorKind::Certificate, "{error}");
    assert!(!error.is_temporary());

    let lax = backend(&[("server", server.as_str().into()), ("tls_verify", false.into())]).await;
    let serve = async {
        let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        assert_eq!(tls.get_ref().1.server_name(), Some("localhost"));
        let mut client = Client(BufReader::new(tls));
        client.let_in("dan").await;
        client.expect("QUIT :Leaving").await;
    };
    let user = async { lax.login(dan()).await.unwrap().logout().await };
    tokio::join!(serve, user);
}

#[tokio::test]
async fn a_user_who_takes_nothing_stops_the_server_and_not_the_memory() {
    let (listener, port) = listen().await;
    let kit = plain(port).await;
    let server = async {
        let mut client = accept(&listener).await;
        client.let_in("dan").await;
        client
    };
    let (user, mut client) = tokio::join!(kit.login(dan()), server);
    let user = user.unwrap();
    user.take_nothing();
    let line = format!(":bob!b@h PRIVMSG dan :{}\r\n", "x".repeat(400));
    let flood = line.repeat(1_000);
    // Some 45 MB would be all; the sockets between hold a few.
    let mut passed = 0;
    while passed < 100
        && timeout(Duration::from_secs(1), client.0.get_mut().write_all(flood.as_bytes()))
            .await
            .is_ok()
    {
        passed += 1;
    }
    assert!(passed < 100);
    user.logout().await;
}
