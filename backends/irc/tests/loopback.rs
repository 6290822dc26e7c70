//! The whole backend against a scripted IRC server on loopback: sockets, TLS, logins, sessions of one network and of several.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Chat, ContactDetails, Form, FormAnswers, IncomingMessage, JoinRoom, OutgoingMessage, Presence, RequestId, RoomClosed, Sent,
    Shown,
};
use spectrum_backend_sdk::{
    Backend, Cancel, Certainty, Event, EventSink, Events, Login, LoginError, LoginErrorKind, Op, OpErrorKind, PromptSink,
    Prompts, SessionEnded,
};
use spectrum_irc::{IrcBackend, IrcOptions, OptionValue};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// What is taken for a hang. Nothing below waits as long when it works.
const PATIENCE: Duration = Duration::from_secs(20);

struct Recorder(mpsc::Sender<Event>);

#[async_trait]
impl EventSink for Recorder {
    async fn emit(&self, event: Event) -> Result<(), SessionEnded> {
        self.0.send(event).await.map_err(|_| SessionEnded)
    }
    async fn emit_durable(&self, event: Event) -> Result<(), SessionEnded> {
        self.emit(event).await
    }
}

struct Nobody;

#[async_trait]
impl PromptSink for Nobody {
    async fn ask(&self, _: Form) -> Option<FormAnswers> {
        None
    }
    async fn show(&self, _: Shown) {}
}

struct Never;

#[async_trait]
impl Cancel for Never {
    fn is_cancelled(&self) -> bool {
        false
    }
    async fn cancelled(&self) {
        std::future::pending().await
    }
}

fn op() -> Op {
    Op::new(RequestId(1), Arc::new(Never))
}

fn login(name: &str, password: Option<&str>) -> Login {
    Login {
        user: "user@example.test".into(),
        name: name.into(),
        password: password.map(Into::into),
        settings: BTreeMap::new(),
        presence: Presence::ONLINE,
        prompts: Prompts::new(Arc::new(Nobody)),
    }
}

fn backend(options: &[(&str, OptionValue)]) -> IrcBackend {
    IrcBackend::from_options(IrcOptions::parse(options.iter().cloned()).unwrap()).unwrap()
}

fn plain(port: u16) -> IrcBackend {
    backend(&[("server", format!("127.0.0.1:{port}").as_str().into()), ("tls", false.into())])
}

fn events() -> (Events, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(64);
    (Events::new(Arc::new(Recorder(sender))), receiver)
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(PATIENCE, events.recv())
        .await
        .expect("an event in time")
        .expect("a session that goes on")
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

fn message(chat: Chat, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat,
        id: "m".into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    }
}

fn join(room: &str) -> JoinRoom {
    JoinRoom {
        room: room.into(),
        nickname: "dan".into(),
        password: None,
    }
}

#[tokio::test]
async fn a_conversation_in_a_room_ends_with_the_servers_end() {
    let (listener, port) = listen().await;
    let server = async {
        let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
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
        let (sink, mut events) = events();
        let session = plain(port).login(login("dan", None), sink).await.unwrap();
        let joined = session.join_room(join("#room"), op()).await.unwrap();
        assert_eq!(joined.nickname.as_str(), "dan");
        for nick in ["bob", "dan"] {
            assert!(matches!(next(&mut events).await, Event::Occupant(o) if o.nickname.as_str() == nick));
        }
        assert!(matches!(next(&mut events).await, Event::RoomSubject(s) if s.subject.is_empty()));
        let chat = Chat::Room("#room".into());
        assert_eq!(
            session.send_message(message(chat.clone(), "hello"), op()).await,
            Ok(Sent::default())
        );
        assert_eq!(
            next(&mut events).await,
            Event::Message(IncomingMessage::new(chat.clone(), "hi dan").by("bob"))
        );
        let error = session
            .send_message(message(chat.clone(), "are you there?"), op())
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.certainty), (OpErrorKind::Network, Certainty::MaybeSent));
        let Event::Closed(reason) = next(&mut events).await else {
            panic!()
        };
        assert_eq!(
            reason,
            LoginError::new(LoginErrorKind::Network, "The IRC server closed the connection.")
        );
        assert!(reason.is_temporary());
        let error = session.send_message(message(chat, "hello?"), op()).await.unwrap_err();
        assert_eq!((error.kind, error.certainty), (OpErrorKind::NotConnected, Certainty::NotSent));
        session.logout().await;
        assert!(events.recv().await.is_none() || events.is_empty());
    };
    tokio::join!(server, user);
}

#[tokio::test]
async fn a_refused_login_is_an_error_and_no_event() {
    let (listener, port) = listen().await;
    let server = async {
        let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
        client.expect("CAP LS 302").await;
        client
            .say(&[":irc.test 465 dan :You are banned", "ERROR :Closing Link"])
            .await;
    };
    let (sink, mut events) = events();
    let backend = plain(port);
    let ((), result) = tokio::join!(server, backend.login(login("dan", None), sink));
    let error = result.err().unwrap();
    assert_eq!(
        error,
        LoginError::new(LoginErrorKind::Banned, "You are banned from this server: You are banned")
    );
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_temporary_error() {
    let (listener, port) = listen().await;
    drop(listener);
    let error = plain(port).login(login("dan", None), events().0).await.err().unwrap();
    assert_eq!(error.kind, LoginErrorKind::Network);
    assert!(error.is_temporary());
}

#[tokio::test]
async fn logout_says_farewell_and_a_dropped_session_does_too() {
    for is_dropped in [false, true] {
        let (listener, port) = listen().await;
        let server = async {
            let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
            client.let_in("dan").await;
            client.expect("QUIT :Leaving").await;
            assert_eq!(client.line().await, None);
        };
        let user = async {
            let session = plain(port).login(login("dan", None), events().0).await.unwrap();
            if !is_dropped {
                session.logout().await;
            }
        };
        tokio::join!(server, user);
    }
}

#[tokio::test]
async fn a_login_that_is_given_up_leaves_no_connection_behind() {
    let (listener, port) = listen().await;
    let backend = plain(port);
    let login = backend.login(login("dan", None), events().0);
    let mut client = tokio::select! {
        _ = login => panic!("nobody let the user in"),
        client = async {
            let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
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
    let backend = backend(&[("networks", networks.as_str().into()), ("tls", false.into())]);
    let (sink, mut events) = events();
    let mut with_settings = login("dan", Some("secret of nobody"));
    with_settings
        .settings
        .insert("nickname@localhost".to_owned(), "daniel".to_owned());
    let session = backend.login(with_settings, sink).await.unwrap();
    let contact = ContactDetails {
        id: "bob@127.0.0.1".into(),
        alias: None,
        groups: Vec::new(),
    };
    session.add_contact(contact, op()).await.unwrap();
    assert!(
        timeout(Duration::from_millis(50), first.accept()).await.is_err(),
        "a login connects nothing"
    );

    let serve_first = async {
        let mut client = Client(BufReader::new(first.accept().await.unwrap().0));
        client.let_in("dan").await;
        client.let_join("dan").await;
        client
    };
    let (joined, mut client) = tokio::join!(session.join_room(join("#room@127.0.0.1"), op()), serve_first);
    assert_eq!(joined.unwrap().nickname.as_str(), "dan");
    assert!(
        matches!(next(&mut events).await, Event::Occupant(o) if o.room.as_str() == "#room@127.0.0.1"
        && o.contact.as_ref().unwrap().as_str() == "bob@127.0.0.1")
    );
    next(&mut events).await;
    next(&mut events).await;

    let serve_second = async {
        let mut client = Client(BufReader::new(second.accept().await.unwrap().0));
        client.let_in("daniel").await;
        client.expect("PRIVMSG eve :hi").await;
        client.expect("PING fence-1").await;
        client.say(&["PONG irc.test fence-1", ":eve!e@h PRIVMSG daniel :hello"]).await;
        client
    };
    let chat = Chat::Contact("eve@localhost".into());
    let (sent, mut other) = tokio::join!(session.send_message(message(chat.clone(), "hi"), op()), serve_second);
    assert_eq!(sent, Ok(Sent::default()));
    assert_eq!(next(&mut events).await, Event::Message(IncomingMessage::new(chat, "hello")));

    client.say(&["ERROR :Closing Link: (maintenance)"]).await;
    let closed = RoomClosed {
        room: "#room@127.0.0.1".into(),
        reason: "The server closed the connection: Closing Link: (maintenance)".to_owned(),
        rejoin: true,
    };
    assert_eq!(next(&mut events).await, Event::RoomClosed(closed));

    // The other network has noticed nothing, and the lost one comes back on its next use.
    other.say(&[":eve!e@h PRIVMSG daniel :still here"]).await;
    assert!(matches!(next(&mut events).await, Event::Message(m) if m.body == "still here"));
    let again = async {
        let mut client = Client(BufReader::new(first.accept().await.unwrap().0));
        client.let_in("dan").await;
        client.let_join("dan").await;
        client
    };
    let (joined, _client) = tokio::join!(session.join_room(join("#room@127.0.0.1"), op()), again);
    assert_eq!(joined.unwrap().nickname.as_str(), "dan");
    let error = session.join_room(join("#room@elsewhere.test"), op()).await.unwrap_err();
    assert_eq!(error.kind, OpErrorKind::NotFound);
}

#[tokio::test]
async fn a_name_with_a_network_fixes_it_for_the_session() {
    let (listener, port) = listen().await;
    let networks = format!("127.0.0.1:{port},other.test");
    let backend = backend(&[("networks", networks.as_str().into()), ("tls", false.into())]);
    let server = async {
        let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
        client.let_in("dan").await;
        client.let_join("dan").await;
        client
    };
    let user = async {
        let session = backend.login(login("dan@127.0.0.1", None), events().0).await.unwrap();
        session.join_room(join("#room"), op()).await.unwrap();
        session
    };
    tokio::join!(server, user);
    let error = backend
        .login(login("dan@elsewhere.test", None), events().0)
        .await
        .err()
        .unwrap();
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

    let strict = backend(&[("server", server.as_str().into())]);
    let refuse = async {
        let (tcp, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(tcp).await.is_err());
    };
    let ((), result) = tokio::join!(refuse, strict.login(login("dan", None), events().0));
    let error = result.err().unwrap();
    assert_eq!(error.kind, LoginErrorKind::Certificate, "{error}");
    assert!(!error.is_temporary());

    let lax = backend(&[("server", server.as_str().into()), ("tls_verify", false.into())]);
    let serve = async {
        let tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        assert_eq!(tls.get_ref().1.server_name(), Some("localhost"));
        let mut client = Client(BufReader::new(tls));
        client.let_in("dan").await;
        client.expect("QUIT :Leaving").await;
    };
    let user = async { lax.login(login("dan", None), events().0).await.unwrap().logout().await };
    tokio::join!(serve, user);
}

#[tokio::test]
async fn a_user_who_takes_nothing_stops_the_server_and_not_the_memory() {
    let (listener, port) = listen().await;
    let (blocked, _kept) = mpsc::channel(1);
    let sink = Events::new(Arc::new(Recorder(blocked)));
    let server = async {
        let mut client = Client(BufReader::new(listener.accept().await.unwrap().0));
        client.let_in("dan").await;
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
        passed
    };
    let backend = plain(port);
    let (session, passed) = tokio::join!(async { backend.login(login("dan", None), sink).await.unwrap() }, server);
    assert!(passed < 100);
    session.logout().await;
}
