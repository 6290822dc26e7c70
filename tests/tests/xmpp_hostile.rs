//! The XMPP backend and a server that is hostile: what it says can hold up or end the session of its own user, and nobody
//! else's.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]

use std::time::{Duration, Instant};

use minidom::Element;
use spectrum_backend_sdk::testing::{Account, Kit, User};
use spectrum_backend_sdk::{Event, LoginErrorKind};
use spectrum_tests::Outcome;
use spectrum_tests::xmpp::{Item, STREAM, Splitter, element};
use spectrum_xmpp::{Encryption, ServerAddress, XmppBackend, XmppOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The server's end of one session.
struct Session {
    socket: TcpStream,
    splitter: Splitter,
    user: String,
}

impl Session {
    /// Takes a connection and goes through a login that any password succeeds with, up to the user's first presence.
    async fn accept(listener: &TcpListener, user: &str) -> Outcome<Self> {
        let mut session = Self::greet(listener, user).await?;
        session.auth().await?;
        session.until_presence().await?;
        Ok(session)
    }

    async fn greet(listener: &TcpListener, user: &str) -> Outcome<Self> {
        let (socket, _) = listener.accept().await?;
        let mut session = Self {
            socket,
            splitter: Splitter::default(),
            user: user.to_owned(),
        };
        let sasl = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
        session.header(sasl).await?;
        Ok(session)
    }

    async fn auth(&mut self) -> Outcome<()> {
        let auth = self.receive().await?;
        assert_eq!(auth.name(), "auth");
        self.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await?;
        self.splitter = Splitter::default();
        self.header("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>").await
    }

    async fn header(&mut self, features: &str) -> Outcome<()> {
        assert!(matches!(self.item().await?, Item::Open(_)));
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{STREAM}' id='1' version='1.0' \
             from='hostile.example'><stream:features>{features}</stream:features>"
        ))
        .await
    }

    async fn until_presence(&mut self) -> Outcome<()> {
        loop {
            let stanza = self.receive().await?;
            match stanza.name() {
                "presence" => return Ok(()),
                "iq" => {
                    let id = stanza.attr("id").unwrap_or_default();
                    let is_bind = stanza.has_child("bind", "urn:ietf:params:xml:ns:xmpp-bind");
                    let payload = if is_bind {
                        format!(
                            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{}@hostile.example/x</jid></bind>",
                            self.user
                        )
                    } else {
                        String::new()
                    };
                    let from = stanza.attr("to").map(|to| format!(" from='{to}'")).unwrap_or_default();
                    self.send(&format!("<iq type='result' id='{id}'{from}>{payload}</iq>"))
                        .await?;
                }
                _ => {}
            }
        }
    }

    async fn send(&mut self, text: &str) -> Outcome<()> {
        self.socket.write_all(text.as_bytes()).await?;
        Ok(())
    }

    async fn say(&mut self, body: &str) -> Outcome<()> {
        let user = &self.user;
        let message = format!(
            "<message from='eve@hostile.example/x' to='{user}@hostile.example' type='chat'><body>{body}</body></message>"
        );
        self.send(&message).await
    }

    async fn receive(&mut self) -> Outcome<Element> {
        match self.item().await? {
            Item::Stanza(text) => element(&text, "jabber:client"),
            other => Err(format!("no stanza: {other:?}").into()),
        }
    }

    async fn item(&mut self) -> Outcome<Item> {
        loop {
            if let Some(item) = self.splitter.next()? {
                return Ok(item);
            }
            let mut buffer = [0; 4096];
            let got = self.socket.read(&mut buffer).await?;
            if got == 0 {
                return Err("the client has gone".into());
            }
            self.splitter.push(&buffer[..got]);
        }
    }
}

async fn listen() -> (TcpListener, Kit) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let options = XmppOptions {
        server: Some(ServerAddress {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
        }),
        tls: Encryption::Off,
        ..XmppOptions::new()
    };
    let kit = Kit::start(XmppBackend::from_options(options).unwrap()).await;
    (listener, kit)
}

async fn log_in(listener: &TcpListener, kit: &Kit, name: &str) -> (User, Session) {
    let account = Account::new(format!("{name}@hostile.example").as_str()).password("any");
    let (user, session) = tokio::join!(kit.login(account), Session::accept(listener, name));
    (user.unwrap(), session.unwrap())
}

async fn hears(user: &mut User, body: &str) {
    user.expect(|e| matches!(e, Event::Message(m) if m.body == body)).await;
}

async fn ended(user: &mut User) {
    user.expect(|e| matches!(e, Event::Closed(_))).await;
}

#[tokio::test]
async fn a_hundred_thousand_levels_hold_up_nobody() {
    let (listener, kit) = listen().await;
    let (mut alice, mut to_alice) = log_in(&listener, &kit, "alice").await;
    let (mut bob, mut to_bob) = log_in(&listener, &kit, "bob").await;
    let begin = Instant::now();
    let bomb = format!("{}boom{}", "<x>".repeat(100_000), "</x>".repeat(100_000));
    let stanza = format!("<message from='eve@hostile.example/x' type='chat'><body>head</body>{bomb}</message>");
    to_alice.send(&stanza).await.unwrap();
    to_bob.say("meanwhile").await.unwrap();
    hears(&mut bob, "meanwhile").await;
    to_alice.say("afterwards").await.unwrap();
    hears(&mut alice, "afterwards").await;
    // Without the bound beneath the parser it took a minute and a half.
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn an_endless_message_costs_no_memory_and_leaves_the_next_one() {
    let (listener, kit) = listen().await;
    let (mut alice, mut to_alice) = log_in(&listener, &kit, "alice").await;
    to_alice
        .send("<message from='eve@hostile.example/x' type='chat'><body>")
        .await
        .unwrap();
    let piece = "a".repeat(64 * 1024);
    for _ in 0..256 {
        to_alice.send(&piece).await.unwrap();
    }
    to_alice.send("</body></message>").await.unwrap();
    to_alice.say("afterwards").await.unwrap();
    hears(&mut alice, "afterwards").await;
}

#[tokio::test]
async fn what_is_no_xml_ends_its_own_session_alone() {
    let (listener, kit) = listen().await;
    let (mut bob, mut to_bob) = log_in(&listener, &kit, "bob").await;
    for bad in [
        "<message></presence>",
        "<!DOCTYPE x [<!ENTITY a 'b'>]>",
        "<a b='1' b='2'/>",
        "<message><body>\u{0}</body></message>",
        "</stream:stream>",
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    ] {
        let (mut alice, mut to_alice) = log_in(&listener, &kit, "alice").await;
        to_alice.send(bad).await.unwrap();
        ended(&mut alice).await;
    }
    to_bob.say("untouched").await.unwrap();
    hears(&mut bob, "untouched").await;
}

#[tokio::test]
async fn a_server_that_asks_without_end_and_reads_no_answer_is_left() {
    let (listener, kit) = listen().await;
    let (mut alice, mut to_alice) = log_in(&listener, &kit, "alice").await;
    // Both ends wait for each other as soon as what is unread has reached its bound: no more than time passes then.
    tokio::time::pause();
    let questions = "<iq type='get' id='1' from='hostile.example'><ping xmlns='urn:xmpp:ping'/></iq>".repeat(1024);
    let mut asked = 0;
    while asked < 256 << 20 && to_alice.send(&questions).await.is_ok() {
        asked += questions.len();
    }
    assert!(asked < 256 << 20, "everything was read");
    ended(&mut alice).await;
}

#[tokio::test]
async fn forged_stanzas_are_not_believed() {
    let (listener, kit) = listen().await;
    let (mut alice, mut to_alice) = log_in(&listener, &kit, "alice").await;
    let inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='boss@hostile.example/x' \
                 to='alice@hostile.example' type='chat'><body>forged</body></message></forwarded>";
    for forged in [
        format!("<message from='eve@hostile.example/x'><received xmlns='urn:xmpp:carbons:2'>{inner}</received></message>"),
        format!(
            "<message from='eve@hostile.example/x'><result xmlns='urn:xmpp:mam:2' queryid='q' id='1'>{inner}</result></message>"
        ),
        "<iq type='set' id='1' from='eve@hostile.example/x'><query xmlns='jabber:iq:roster'><item jid='eve@hostile.example' \
         subscription='both'/></query></iq>"
            .to_owned(),
        "<message from='not a jid' type='chat'><body>forged</body></message>".to_owned(),
        "<presence from='eve@hostile.example/x'/>".to_owned(),
    ] {
        to_alice.send(&forged).await.unwrap();
    }
    to_alice.say("true").await.unwrap();
    hears_first(&mut alice).await;
}

/// Nothing but the true message has come since the contacts were complete.
async fn hears_first(alice: &mut User) {
    loop {
        match alice.next_event().await {
            Event::ContactsComplete => {}
            Event::Message(message) => {
                assert_eq!(message.body, "true");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_or_nonsense_while_logging_in_is_a_refused_login() {
    let (listener, kit) = listen().await;
    let account = || Account::new("alice@hostile.example").password("any");
    for answer in [
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>".to_owned(),
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!!!</challenge>".to_owned(),
        format!("{}{}", "<x>".repeat(100_000), "</x>".repeat(100_000)),
        "</stream:stream>".to_owned(),
    ] {
        let server = async {
            let mut session = Session::greet(&listener, "alice").await.unwrap();
            session.receive().await.unwrap();
            session.send(&answer).await.unwrap();
            session
        };
        let (refused, _session) = tokio::join!(kit.login(account()), server);
        let refused = refused.map(drop).unwrap_err();
        let is_wrong_password = answer.contains("not-authorized");
        assert_eq!(
            refused.kind == LoginErrorKind::AuthenticationFailed,
            is_wrong_password,
            "{refused:?}"
        );
    }
}
