//! A whole gateway between a server end that speaks raw XML and a small network in the same process.
#![allow(clippy::unwrap_used)]

mod answers;
mod desk;
mod life;
mod registration;
mod rooms;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use minidom::Element;
use spectrum_core::backend::{Backend, BackendInfo, Event, Events, LegacySession, Login, LoginError, Op, OpResult};
use spectrum_core::config::Config;
use spectrum_core::instance::{Instance as _, Shutdown};
use spectrum_core::model::{Capability, ContactUpdate, JoinRoom, Joined, OutgoingMessage, Presence, Sent, Timestamp, UserKey};
use spectrum_core::pool::{BackendSource, Pool, PoolOptions};
use spectrum_core::store::{MemoryStore, NewRegistration, RoomRecord, RosterState, Store};
use spectrum_core::tasks::{TaskHandle, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, timeout};

use crate::link::{Connect, Halves};
use crate::{Gateway, GatewayParts};

const ROMEO: &str = "romeo@localhost";
const REGISTER: &str = "<iq type='set' id='reg' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><username>Romeo</username><password>p</password></query></iq>";
const GRANT: &str = "<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>";

/// A network with one contact.
#[derive(Default)]
struct Verona {
    /// Everybody is let in under their own name.
    open: bool,
    logins: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Backend for Verona {
    fn info(&self) -> BackendInfo {
        let mut info = BackendInfo::new("Verona", "irc").capabilities(&[Capability::Presence, Capability::Rooms]);
        info.needs_registration = !self.open;
        info.room_prefixes = "#".to_owned();
        info
    }

    async fn login(&self, login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        self.logins.lock().unwrap().push(login.name.as_str().to_owned());
        let nurse = ContactUpdate::new("Nurse")
            .alias("The Nurse")
            .groups(["Verona".to_owned()])
            .presence(Presence::ONLINE);
        let _ended = events.emit(Event::Contact(nurse)).await;
        Ok(Box::new(Citizen))
    }
}

struct Citizen;

#[async_trait]
impl LegacySession for Citizen {
    async fn send_message(&self, _: OutgoingMessage, _: Op) -> OpResult<Sent> {
        Ok(Sent::default())
    }
    async fn join_room(&self, join: JoinRoom, _: Op) -> OpResult<Joined> {
        let nickname = join.nickname;
        Ok(Joined { nickname })
    }
    async fn logout(&self) {}
}

struct Prepared(Mutex<VecDeque<DuplexStream>>);

#[async_trait]
impl Connect for Prepared {
    fn place(&self) -> String {
        "the test".to_owned()
    }

    async fn connect(&self) -> io::Result<Halves> {
        let stream = self.0.lock().unwrap().pop_front().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (input, output) = tokio::io::split(stream);
        Ok((Box::new(input), Box::new(output)))
    }
}

struct Scene {
    server: DuplexStream,
    next: VecDeque<DuplexStream>,
    text: String,
    store: Arc<dyn Store>,
    logins: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
    running: TaskHandle<Result<(), spectrum_core::instance::RunError>>,
}

impl Scene {
    async fn begin() -> Self {
        Self::with_store(Arc::new(MemoryStore::new()), 1).await
    }

    async fn with_store(store: Arc<dyn Store>, connections: usize) -> Self {
        Self::with(Verona::default(), store, connections).await
    }

    async fn with(network: Verona, store: Arc<dyn Store>, connections: usize) -> Self {
        Self::with_config(network, store, connections, "").await
    }

    /// `top`: lines of the configuration above its tables.
    async fn with_config(network: Verona, store: Arc<dyn Store>, connections: usize, top: &str) -> Self {
        let config = Config::from_toml(&format!(
            "mode = \"gateway\"\njid = \"irc.localhost\"\n{top}[gateway]\nsecret = \"s\"\n[backend]\nbuiltin = \"verona\"\n\
             [registration]\nallow = [\"localhost\"]\n"
        ))
        .unwrap();
        let logins = Arc::clone(&network.logins);
        let (ours, mut theirs): (VecDeque<_>, VecDeque<_>) = (0..connections).map(|_| tokio::io::duplex(1 << 16)).unzip();
        let tasks = Tasks::new();
        let options = PoolOptions::new(BackendSource::Builtin(Arc::new(network)), "irc.localhost", ".");
        let gateway = Arc::new(
            Gateway::new(GatewayParts {
                config: Arc::new(config),
                main: Pool::start(options, &tasks),
                store: Arc::clone(&store),
                tasks: tasks.clone(),
                once: false,
                connect: Some(Arc::new(Prepared(Mutex::new(ours)))),
            })
            .unwrap(),
        );
        let shutdown = Shutdown::new();
        let running = tasks.spawn("gateway", tracing::Span::none(), gateway.run(shutdown.clone()));
        let server = theirs.pop_front().unwrap();
        let mut scene = Self {
            server,
            next: theirs,
            text: String::new(),
            store,
            logins,
            shutdown,
            running,
        };
        scene.accept().await;
        scene
    }

    async fn accept(&mut self) {
        self.text.clear();
        self.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>")
            .await;
        while !self.text.contains("</handshake>") {
            self.fill().await;
        }
        self.text.clear();
        self.send("<handshake/>").await;
    }

    /// The server goes, and comes back.
    async fn restart(&mut self) {
        self.server = self.next.pop_front().unwrap();
        self.accept().await;
    }

    async fn send(&mut self, xml: &str) {
        self.server.write_all(xml.as_bytes()).await.unwrap();
    }

    async fn fill(&mut self) {
        let mut bytes = [0; 4096];
        let got = self.server.read(&mut bytes).await.unwrap();
        assert!(got > 0, "the stream ended; unread: {:?}", self.text);
        self.text.push_str(std::str::from_utf8(&bytes[..got]).unwrap());
    }

    /// The next stanza the gateway sends.
    async fn next(&mut self) -> Element {
        loop {
            self.text = self.text.trim_start().to_owned();
            if let Some(end) = self.end() {
                let stanza: String = self.text.drain(..end).collect();
                return with_namespace(&stanza).parse().unwrap();
            }
            self.fill().await;
        }
    }

    /// Where the first stanza ends. None of ours has another of its name inside.
    fn end(&self) -> Option<usize> {
        let head = self.text.find('>')? + 1;
        if self.text[..head].ends_with("/>") {
            return Some(head);
        }
        let name: String = self.text.chars().skip(1).take_while(char::is_ascii_alphabetic).collect();
        let end = format!("</{name}>");
        self.text.find(&end).map(|at| at + end.len())
    }

    async fn expect(&mut self, xml: &str) {
        let expected: Element = with_namespace(xml).parse().unwrap();
        let got = self.next().await;
        assert_eq!(
            got,
            expected,
            "\ngot      {}\nexpected {}",
            String::from(&got),
            String::from(&expected)
        );
    }

    /// Reads on until this stanza comes, whatever comes before it.
    async fn find(&mut self, xml: &str) {
        let expected: Element = with_namespace(xml).parse().unwrap();
        let mut passed = Vec::new();
        loop {
            let Ok(got) = timeout(Duration::from_secs(600), self.next()).await else {
                panic!("{xml} did not come; these did: {passed:#?}");
            };
            if got == expected {
                return;
            }
            passed.push(String::from(&got));
        }
    }

    /// Everything the gateway sends in this time.
    async fn all_within(&mut self, time: Duration) -> Vec<Element> {
        let mut all = Vec::new();
        let end = Instant::now() + time;
        while let Ok(element) = tokio::time::timeout_at(end, self.next()).await {
            all.push(element);
        }
        all
    }

    async fn registered(&mut self) {
        self.send(REGISTER).await;
        self.find("<iq type='result' id='reg' from='irc.localhost' to='romeo@localhost/orchard'/>")
            .await;
    }
}

fn with_namespace(xml: &str) -> String {
    match xml.find([' ', '/', '>']) {
        Some(end) => format!("{} xmlns='jabber:client'{}", &xml[..end], &xml[end..]),
        None => xml.to_owned(),
    }
}

fn is_to(element: &Element, name: &str, type_: Option<&str>, from: &str) -> bool {
    element.name() == name && element.attr("type") == type_ && element.attr("from") == Some(from)
}
