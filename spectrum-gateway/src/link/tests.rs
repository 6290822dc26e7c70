//! The link against a server end that speaks raw XML.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::presence::Presence;

use super::*;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='3BF96D32' from='irc.localhost'>";

/// Hands out the client halves of connections that a test prepared.
struct Prepared(Mutex<VecDeque<DuplexStream>>);

#[async_trait]
impl Connect for Prepared {
    fn place(&self) -> String {
        "127.0.0.1:5347".to_owned()
    }

    async fn connect(&self) -> io::Result<Halves> {
        match self.0.lock().unwrap().pop_front() {
            Some(stream) => {
                let (input, output) = tokio::io::split(stream);
                Ok((Box::new(input), Box::new(output)))
            }
            None => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Seen {
    Stanza(Box<Stanza>),
    Up,
    Down,
}

struct Recorder(mpsc::Sender<Seen>);

impl Handler for Recorder {
    fn stanza(&self, stanza: Stanza) {
        self.0.try_send(Seen::Stanza(Box::new(stanza))).unwrap();
    }
    fn up(&self) {
        self.0.try_send(Seen::Up).unwrap();
    }
    fn down(&self) {
        self.0.try_send(Seen::Down).unwrap();
    }
}

struct Server(DuplexStream);

impl Server {
    async fn read_until(&mut self, end: &str) -> String {
        let mut text = String::new();
        let mut byte = [0];
        while !text.ends_with(end) {
            assert_eq!(self.0.read(&mut byte).await.unwrap(), 1, "the stream ended after {text:?}");
            text.push(char::from(byte[0]));
        }
        text
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn accept(&mut self) {
        assert_eq!(
            self.read_until("irc.localhost'>").await,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='irc.localhost'>"
        );
        self.write(HEADER).await;
        assert_eq!(
            self.read_until("</handshake>").await,
            "<handshake>b09ea9b3b7f586be8a08d0a3dd7466f110aeb136</handshake>"
        );
        self.write("<handshake/>").await;
    }
}

struct Scene {
    link: Arc<Link>,
    outbox: Arc<Outbox>,
    seen: mpsc::Receiver<Seen>,
    shutdown: Shutdown,
    tasks: Tasks,
}

/// A link whose server will accept this many connections.
fn scene(connections: usize) -> (Scene, Vec<Server>) {
    let (ours, theirs): (VecDeque<_>, Vec<_>) = (0..connections)
        .map(|_| {
            let (ours, theirs) = tokio::io::duplex(4096);
            (ours, Server(theirs))
        })
        .unzip();
    let (sender, seen) = mpsc::channel(64);
    let outbox = Arc::new(Outbox::new());
    let tasks = Tasks::new();
    let link = Arc::new(Link::new(LinkParts {
        jid: BareJid::new("irc.localhost").unwrap(),
        secret: "secret".into(),
        connect: Arc::new(Prepared(Mutex::new(ours))),
        outbox: Arc::clone(&outbox),
        handler: Arc::new(Recorder(sender)),
        tasks: tasks.clone(),
    }));
    (
        Scene {
            link,
            outbox,
            seen,
            shutdown: Shutdown::new(),
            tasks,
        },
        theirs,
    )
}

impl Scene {
    fn run(&self) -> spectrum_core::tasks::TaskHandle<Result<(), LinkError>> {
        let (link, shutdown) = (Arc::clone(&self.link), self.shutdown.clone());
        self.tasks
            .spawn("link", tracing::Span::none(), async move { link.run(&shutdown, false).await })
    }
}

fn message(body: &str) -> Stanza {
    Message::chat(jid::Jid::new("romeo@localhost").unwrap())
        .with_body(Lang::default(), body.to_owned())
        .into()
}

#[tokio::test(start_paused = true)]
async fn stanzas_pass_both_ways_and_the_stream_is_closed_at_the_end() {
    let (mut scene, mut servers) = scene(1);
    let running = scene.run();
    let server = &mut servers[0];
    server.accept().await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
    assert!(scene.link.status().up);
    server
        .write("<message from='romeo@localhost/a' to='irc.localhost'><body>hi</body></message>")
        .await;
    let Some(Seen::Stanza(stanza)) = scene.seen.recv().await else {
        panic!("no stanza came")
    };
    assert_eq!(stanza.sender().unwrap().as_str(), "romeo@localhost/a");
    scene.outbox.push_all(&mut vec![message("1"), message("2")]);
    scene.shutdown.trigger();
    let sent = server.read_until("</stream:stream>").await;
    assert_eq!(sent.matches("<message").count(), 2, "{sent}");
    assert_eq!(running.await, Ok(Ok(())));
    assert_eq!(scene.seen.recv().await, Some(Seen::Down));
}

#[tokio::test(start_paused = true)]
async fn lost_link_comes_back_with_the_messages_of_the_meantime() {
    let (mut scene, mut servers) = scene(2);
    let _running = scene.run();
    servers[0].accept().await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
    servers.remove(0);
    assert_eq!(scene.seen.recv().await, Some(Seen::Down));
    assert!(!scene.link.status().up);
    scene
        .outbox
        .push_all(&mut vec![Presence::available().into(), message("kept")]);
    servers[0].accept().await;
    let sent = servers[0].read_until("</message>").await;
    assert!(sent.starts_with("<message") && sent.contains("<body>kept</body>"), "{sent}");
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
}

/// A server that is never there, and when it was looked for.
#[derive(Default)]
struct Refusing(Mutex<Vec<Instant>>);

#[async_trait]
impl Connect for Refusing {
    fn place(&self) -> String {
        "nowhere".to_owned()
    }

    async fn connect(&self) -> io::Result<Halves> {
        self.0.lock().unwrap().push(Instant::now());
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_but_a_returning_server_is_found_within_fifteen_seconds() {
    let (scene, _) = scene(0);
    let connect = Arc::new(Refusing::default());
    let link = Link::new(LinkParts {
        jid: BareJid::new("irc.localhost").unwrap(),
        secret: "secret".into(),
        connect: Arc::clone(&connect) as Arc<dyn Connect>,
        outbox: scene.outbox,
        handler: Arc::new(Recorder(mpsc::channel(1).0)),
        tasks: scene.tasks,
    });
    drop(timeout(Duration::from_secs(300), link.run(&scene.shutdown, false)).await);
    let attempts = connect.0.lock().unwrap();
    let waits: Vec<Duration> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        waits[0] >= Duration::from_millis(750) && waits[0] < Duration::from_secs(2),
        "{waits:?}"
    );
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(15)), "{waits:?}");
    assert!(waits[5..].iter().all(|wait| *wait > Duration::from_secs(7)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn wrong_secret_is_said_clearly_and_ends_the_first_attempt_where_asked() {
    for answer in [
        "<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        "",
    ] {
        let (scene, mut servers) = scene(1);
        let mut server = servers.remove(0);
        let serving = async move {
            server.read_until("irc.localhost'>").await;
            server.write(HEADER).await;
            server.read_until("</handshake>").await;
            server.write(answer).await;
        };
        let (ended, ()) = tokio::join!(scene.link.run(&scene.shutdown, true), serving);
        let failed = ended.unwrap_err();
        assert!(matches!(failed, LinkError::WrongSecret { .. }), "{failed}");
        let text = failed.to_string();
        assert!(text.contains("gateway.secret") && text.contains("irc.localhost"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_is_not_there_is_named() {
    let (scene, _) = scene(0);
    let failed = scene.link.run(&scene.shutdown, true).await.unwrap_err();
    assert!(
        matches!(&failed, LinkError::Unreachable { place, .. } if place == "127.0.0.1:5347"),
        "{failed}"
    );
}

#[tokio::test(start_paused = true)]
async fn conflict_behind_the_handshake_is_kept_for_the_status() {
    let (mut scene, mut servers) = scene(1);
    let _running = scene.run();
    servers[0].accept().await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
    servers[0]
        .write("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
        .await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Down));
    tokio::task::yield_now().await;
    assert!(scene.link.status().text.contains("conflict"), "{:?}", scene.link.status());
}

#[tokio::test(start_paused = true)]
async fn stanza_that_cannot_be_read_is_answered_and_the_link_stays() {
    let (mut scene, mut servers) = scene(1);
    let _running = scene.run();
    let server = &mut servers[0];
    server.accept().await;
    server
        .write("<iq type='get' id='1' from='romeo@localhost/a' to='irc.localhost'><a/><b/></iq>")
        .await;
    server
        .write("<presence from='romeo@localhost/a' to='irc.localhost'><priority>abc</priority></presence>")
        .await;
    let reply = server.read_until("</presence>").await;
    assert!(
        reply.contains("<bad-request") && reply.contains("romeo@localhost/a"),
        "{reply}"
    );
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
    assert!(scene.link.status().up);
}

#[tokio::test(start_paused = true)]
async fn silent_server_is_asked_for_life_and_given_up_without_any() {
    let (mut scene, mut servers) = scene(1);
    let _running = scene.run();
    let server = &mut servers[0];
    server.accept().await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Up));
    let ping = server.read_until("</iq>").await;
    assert!(
        ping.contains("urn:xmpp:ping") && ping.contains("to='irc.localhost'"),
        "{ping}"
    );
    // It comes back to us: that is all that is asked for, and no handler sees it.
    server.write(ping.trim_start()).await;
    server.read_until("</iq>").await;
    assert_eq!(scene.seen.recv().await, Some(Seen::Down));
}
