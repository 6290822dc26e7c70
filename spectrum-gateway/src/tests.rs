//! A whole gateway between a server end that speaks raw XML and a small network in the same process.
#![allow(clippy::unwrap_used)]

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
        let config = Config::from_toml(
            "mode = \"gateway\"\njid = \"irc.localhost\"\n[gateway]\nsecret = \"s\"\n[backend]\nbuiltin = \"verona\"\n[registration]\nallow = [\"localhost\"]\n",
        )
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

#[tokio::test(start_paused = true)]
async fn registration_brings_the_transport_into_the_roster_and_asks_for_presence() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    scene.send(REGISTER).await;
    scene
        .expect("<iq type='result' id='reg' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    scene
        .expect("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='both'/></query></iq>").await;
    scene.expect("<iq type='set' id='roster-2' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'><item jid='irc.localhost' name='Verona' subscription='both'/></query></iq>").await;
    scene
        .send("<iq type='result' id='roster-2' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    let kept = scene.store.load_registration(&ROMEO.into()).await.unwrap().unwrap();
    assert_eq!((kept.legacy_name.as_str(), kept.password.expose()), ("Romeo", "p"));
}

#[tokio::test(start_paused = true)]
async fn without_a_grant_the_transport_asks_once_ten_seconds_have_passed() {
    let mut scene = Scene::begin().await;
    let began = Instant::now();
    scene.registered().await;
    scene.expect("<presence type='subscribe' from='irc.localhost' to='romeo@localhost'><nick xmlns='http://jabber.org/protocol/nick'>Verona</nick></presence>").await;
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    scene
        .send("<presence type='subscribed' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence type='subscribe' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='subscribed' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .expect("<presence type='unavailable' from='irc.localhost' to='romeo@localhost'/>")
        .await;
}

#[tokio::test(start_paused = true)]
async fn login_shows_the_transport_and_puts_contacts_into_the_roster() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    scene.registered().await;
    scene
        .find("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='irc.localhost' name='Verona' subscription='both'/></query></iq>").await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    let mut online = false;
    let mut contact = None;
    while !online || contact.is_none() {
        let stanza = timeout(Duration::from_secs(600), scene.next()).await.expect("nothing came");
        online |= is_to(&stanza, "presence", None, "irc.localhost");
        if stanza.name() == "iq" && stanza.attr("type") == Some("get") {
            let id = stanza.attr("id").unwrap();
            scene
                .send(&format!(
                    "<iq type='result' id='{id}' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'/></iq>"
                ))
                .await;
        } else if stanza.name() == "iq" && String::from(&stanza).contains("nurse@irc.localhost") {
            contact = stanza.children().next().and_then(|query| query.children().next()).cloned();
        }
    }
    let expected: Element = "<item xmlns='jabber:iq:roster' jid='nurse@irc.localhost' name='The Nurse' subscription='both'><group>Verona</group></item>".parse().unwrap();
    assert_eq!(contact, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn removal_leaves_no_ghost_in_a_roster_we_may_change() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    scene
        .store
        .save_registration(&ROMEO.into(), new, Timestamp::from_secs(1))
        .await
        .unwrap();
    scene.send("<iq type='set' id='bye' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    scene
        .expect("<iq type='result' id='bye' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    scene
        .expect("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='nurse@irc.localhost' subscription='both'/><item jid='irc.localhost' subscription='both'/><item jid='juliet@localhost' subscription='both'/></query></iq>").await;
    for (id, jid) in [("roster-2", "irc.localhost"), ("roster-3", "nurse@irc.localhost")] {
        scene
            .expect(&format!("<presence type='unavailable' from='{jid}' to='romeo@localhost'/>"))
            .await;
        scene.expect(&format!("<iq type='set' id='{id}' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'><item jid='{jid}' subscription='remove'/></query></iq>")).await;
    }
    assert_eq!(scene.store.load_registration(&ROMEO.into()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn removal_without_a_grant_takes_back_every_subscription() {
    let mut scene = Scene::begin().await;
    let user = UserKey::from(ROMEO);
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    scene
        .store
        .save_registration(&user, new, Timestamp::from_secs(1))
        .await
        .unwrap();
    // What the user did with a contact is remembered.
    scene
        .send("<presence type='subscribed' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(scene.store.load_roster(&user).await.unwrap()[0].state, RosterState::Held);
    scene.send("<iq type='set' id='bye' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    scene
        .expect("<iq type='result' id='bye' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    for from in ["irc.localhost", "nurse@irc.localhost"] {
        for type_ in ["unsubscribe", "unsubscribed", "unavailable"] {
            scene
                .expect(&format!("<presence type='{type_}' from='{from}' to='romeo@localhost'/>"))
                .await;
        }
    }
    scene.send("<iq type='set' id='again' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    let answer = scene.next().await;
    assert!(String::from(&answer).contains("registration-required"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_user_are_dealt_with_one_at_a_time() {
    let mut scene = Scene::begin().await;
    // Nobody is let in twice, and every request is answered.
    let requests: String = (0..5)
        .map(|id| REGISTER.replace("id='reg'", &format!("id='reg{id}'")))
        .collect();
    scene.send(&requests).await;
    let mut answers = Vec::new();
    while answers.len() < 5 {
        let stanza = scene.next().await;
        if stanza.name() == "iq" {
            answers.push((stanza.attr("id").unwrap().to_owned(), stanza.attr("type").unwrap().to_owned()));
        }
    }
    answers.sort();
    let ids: Vec<_> = answers.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["reg0", "reg1", "reg2", "reg3", "reg4"]);
    assert!(answers.iter().any(|(_, type_)| type_ == "result"));
}

#[tokio::test(start_paused = true)]
async fn nothing_asked_of_the_transport_stays_without_an_answer() {
    let mut scene = Scene::begin().await;
    for (number, payload) in [
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='jabber:iq:gateway'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<time xmlns='urn:xmpp:time'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<vCard xmlns='vcard-temp'/>",
        "<query xmlns='jabber:iq:register'/>",
        "<query xmlns='urn:example:nothing'/>",
    ]
    .iter()
    .enumerate()
    {
        scene
            .send(&format!(
                "<iq type='get' id='q{number}' from='romeo@localhost/orchard' to='irc.localhost'>{payload}</iq>"
            ))
            .await;
        let answer = scene.next().await;
        let expected = if number == 9 { "error" } else { "result" };
        assert_eq!(
            (answer.attr("id"), answer.attr("type")),
            (Some(format!("q{number}").as_str()), Some(expected)),
            "{payload}"
        );
        assert_eq!(answer.attr("to"), Some("romeo@localhost/orchard"));
    }
}

#[tokio::test(start_paused = true)]
async fn stanzas_of_those_who_are_not_logged_in_are_answered() {
    let mut scene = Scene::begin().await;
    scene
        .send("<message type='chat' id='m' from='romeo@localhost/orchard' to='nurse@irc.localhost'><body>hi</body></message>")
        .await;
    let answer = scene.next().await;
    assert!(is_to(&answer, "message", Some("error"), "nurse@irc.localhost") && answer.attr("id") == Some("m"));
    scene
        .send("<presence type='probe' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='unavailable' from='nurse@irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence type='unsubscribe' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='unsubscribed' from='nurse@irc.localhost' to='romeo@localhost'/>")
        .await;
    // Some servers show us everybody who goes online: that asks for nothing.
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    assert_eq!(scene.all_within(Duration::from_secs(5)).await, []);
}

#[tokio::test(start_paused = true)]
async fn grants_of_servers_without_users_here_are_not_believed() {
    let mut scene = Scene::begin().await;
    scene.send("<message from='elsewhere' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>").await;
    scene.send("<message from='romeo@localhost/orchard' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>").await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert!(scene.store.load_grants().await.unwrap().is_empty());
    scene.send(GRANT).await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert_eq!(
        scene.store.load_grants().await.unwrap().into_keys().collect::<Vec<_>>(),
        ["localhost"]
    );
    scene
        .send("<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'/></message>")
        .await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert!(scene.store.load_grants().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_was_online_is_asked_at_the_start_and_noted_as_offline_without_an_answer() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let user = UserKey::from(ROMEO);
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    store.save_registration(&user, new, Timestamp::from_secs(1)).await.unwrap();
    store.record_login(&user, Timestamp::from_secs(2)).await.unwrap();
    let mut scene = Scene::with_store(store, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    drop(scene.all_within(Duration::from_secs(59)).await);
    assert_eq!(scene.store.list_online().await.unwrap(), [user]);
    drop(scene.all_within(Duration::from_secs(3)).await);
    assert!(scene.store.list_online().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn session_outlives_the_link_and_its_user_is_asked_again() {
    let mut scene = Scene::with_store(Arc::new(MemoryStore::new()), 2).await;
    scene.registered().await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
    scene.restart().await;
    scene
        .find("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
}

#[tokio::test(start_paused = true)]
async fn end_is_shown_to_users_before_the_stream_closes() {
    let mut scene = Scene::begin().await;
    scene.registered().await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
    scene.shutdown.trigger();
    while !is_to(&scene.next().await, "presence", Some("unavailable"), "irc.localhost") {}
    while !scene.text.contains("</stream:stream>") {
        scene.fill().await;
    }
    assert!(matches!(scene.running.await, Ok(Ok(()))));
}

const OPEN: fn() -> Verona = || Verona {
    open: true,
    ..Verona::default()
};
const JOIN: &str = "<presence from='romeo@localhost/orchard' to='#balcony@irc.localhost/rom'><x xmlns='http://jabber.org/protocol/muc'/></presence>";

/// Waits for the user's own presence in the room.
async fn joined(scene: &mut Scene) {
    loop {
        let stanza = timeout(Duration::from_secs(60), scene.next()).await.expect("not joined");
        if is_to(&stanza, "presence", None, "#balcony@irc.localhost/rom") {
            let text = String::from(&stanza);
            assert!(text.contains("code='110'") || text.contains("code=\"110\""), "{text}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_needs_a_registration_a_room_is_joined_at_once_and_the_user_is_remembered() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene.send(JOIN).await;
    joined(&mut scene).await;
    assert_eq!(*scene.logins.lock().unwrap(), ["romeo"]);
    let kept = scene.store.load_registration(&ROMEO.into()).await.unwrap().unwrap();
    assert_eq!(
        (kept.legacy_name.as_str(), kept.password.expose(), kept.online),
        ("romeo", "", true)
    );
    // To register is possible all the same, and the session goes on with that.
    scene.send(REGISTER).await;
    scene
        .find("<iq type='result' id='reg' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    drop(scene.all_within(Duration::from_secs(20)).await);
    assert_eq!(*scene.logins.lock().unwrap(), ["romeo", "Romeo"]);
}

#[tokio::test(start_paused = true)]
async fn presence_alone_logs_in_where_nobody_needs_a_registration() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    scene.find("<presence from='irc.localhost' to='romeo@localhost'/>").await;
}

#[tokio::test(start_paused = true)]
async fn presence_that_a_server_shows_us_logs_nobody_in_who_has_not_asked_for_it() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene.send("<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='presence' type='managed_entity'/></privilege></message>").await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    assert_eq!(scene.all_within(Duration::from_secs(5)).await, []);
    assert!(scene.logins.lock().unwrap().is_empty());
    // A room is asked for.
    scene.send(JOIN).await;
    joined(&mut scene).await;
}

#[tokio::test(start_paused = true)]
async fn registration_form_calls_the_network_by_the_name_it_has_by_then() {
    let mut scene = Scene::begin().await;
    scene
        .send("<iq type='get' id='r' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'/></iq>")
        .await;
    let answer = String::from(&scene.next().await);
    assert!(answer.contains("<title>Registration with Verona</title>"), "{answer}");
    assert!(!answer.contains("with irc.localhost"), "{answer}");
}

/// A store as a killed gateway leaves it: the user online, and in a room.
async fn left_in_a_room() -> Arc<dyn Store> {
    let (store, user) = (Arc::new(MemoryStore::new()), UserKey::from(ROMEO));
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    store.save_registration(&user, new, Timestamp::from_secs(1)).await.unwrap();
    store.record_login(&user, Timestamp::from_secs(2)).await.unwrap();
    let room = RoomRecord {
        room: "#balcony".into(),
        nickname: "rom".into(),
        password: None,
        viewers: vec!["orchard".to_owned()],
    };
    store.save_room(&user, room).await.unwrap();
    store
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_room_is_shown_again_to_the_client_that_was_in_it() {
    let mut scene = Scene::with_store(left_in_a_room().await, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    joined(&mut scene).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_a_client_that_cannot_be_asked_is_told_that_it_is_out_of_the_room() {
    let mut scene = Scene::with_store(left_in_a_room().await, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene.find("<presence type='unavailable' from='#balcony@irc.localhost/rom' to='romeo@localhost/orchard'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/><status code='332'/></x></presence>").await;
}
