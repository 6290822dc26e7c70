//! A server's half of a connection, with sessions that do what the test says, and a client that is the test.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jid::BareJid;
use spectrum_core::backend::BackendInfo;
use spectrum_core::config::Config;
use spectrum_core::face::UserIn;
use spectrum_core::model::{Capability, LegacyName, Secret, UserKey};
use spectrum_core::router::NoSession;
use spectrum_core::session::{AuthError, Input, Ticket};
use spectrum_core::session_task::Outlet;
use spectrum_core::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::client::{Io, Security, Sessions, Shared, Timing, serve};
use crate::clients::Clients;
use crate::face::ServerFace;
use crate::listener::Admission;
use crate::service::Answers;
use crate::tls::Tls;

pub(super) const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='irc.localhost' version='1.0'>";

pub(super) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

pub(super) const FEATURES_PLAIN: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";

pub(super) const FEATURES_TLS: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>PLAIN</mechanism></mechanisms></stream:features>";

pub(super) const FEATURES_BIND: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
    <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>\
    <ver xmlns='urn:xmpp:features:rosterver'/></stream:features>";

pub(super) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection told the sessions.
#[derive(Debug)]
pub(super) enum Told {
    Authenticate {
        user: String,
        ticket: Ticket,
        name: String,
        password: String,
    },
    Input(Input),
    Stanza {
        user: String,
        input: Box<UserIn>,
    },
}

struct Script(mpsc::Sender<Told>);

impl Script {
    fn told(&self, told: Told) {
        self.0.try_send(told).expect("the test listens");
    }
}

impl Sessions for Script {
    fn authenticate(&self, user: &BareJid, ticket: Ticket, name: &LegacyName, password: &Secret) {
        let (user, name, password) = (user.to_string(), name.as_str().to_owned(), password.expose().to_owned());
        self.told(Told::Authenticate {
            user,
            ticket,
            name,
            password,
        });
    }

    fn tell(&self, user: &UserKey, input: Input) {
        assert_eq!(user, &alice());
        self.told(Told::Input(input));
    }

    fn route(&self, user: &UserKey, input: Box<UserIn>) -> Result<(), NoSession> {
        self.told(Told::Stanza {
            user: user.to_string(),
            input,
        });
        Ok(())
    }
}

pub(super) struct Stage {
    pub(super) shared: Arc<Shared>,
    /// Where clients come from.
    pub(super) from: IpAddr,
    admission: Arc<Admission>,
    told: mpsc::Receiver<Told>,
    tasks: Tasks,
    trust: Arc<ClientConfig>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let config = Config::from_toml(
            "mode = \"server\"\njid = \"irc.localhost\"\n[backend]\nbuiltin = \"irc\"\n\
             [server]\nlisten = [\"127.0.0.1:0\"]\n",
        )
        .unwrap();
        let domain = config.jid.clone();
        let tls = Tls::new(&config.server, &domain).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(tls.certificate()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (tell, told) = mpsc::channel(1000);
        let shared = Shared {
            domain: domain.clone(),
            sessions: Arc::new(Script(tell)),
            clients: Arc::new(Clients::default()),
            face: Arc::new(ServerFace::new(domain.clone())),
            tls,
            answers: Answers::new(domain, "IRC".to_owned(), {
                let info = Arc::new(BackendInfo::new("IRC", "irc").capabilities(&[Capability::Rooms]));
                Box::new(move || Some(Arc::clone(&info)))
            }),
            timing: Timing::new(LOGIN_TIMEOUT),
            stopping: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            from: Ipv4Addr::LOCALHOST.into(),
            admission: Arc::default(),
            told,
            tasks: Tasks::new(),
            trust: Arc::new(trust),
        }
    }

    /// A client whose connection holds `buffer` bytes that nobody has read.
    pub(super) fn connect_with(&self, security: Security, buffer: usize) -> Peer {
        let (ours, theirs) = tokio::io::duplex(buffer);
        let seat = self.admission.admit(self.from).unwrap();
        let served = serve(Box::new(theirs), security, Arc::clone(&self.shared), seat);
        drop(self.tasks.spawn("client", Span::none(), served));
        Peer {
            io: Box::new(ours),
            read: Vec::new(),
            trust: Arc::clone(&self.trust),
        }
    }

    pub(super) fn connect(&self) -> Peer {
        self.connect_with(Security::Plain, 64 * 1024)
    }

    /// A client inside TLS, before SASL.
    pub(super) async fn connect_tls(&self) -> Peer {
        let mut peer = self.connect().secured().await;
        peer.open().await;
        peer.expect(FEATURES_TLS).await;
        peer
    }

    /// A client that has logged in.
    pub(super) async fn connect_binding(&mut self) -> Peer {
        let mut peer = self.connect_tls().await;
        peer.plain("\0alice\0pw").await;
        self.accept_login().await;
        peer.expect(SUCCESS).await;
        peer.open().await;
        peer.expect(FEATURES_BIND).await;
        peer
    }

    /// A client that has bound `resource`.
    pub(super) async fn connect_bound(&mut self, resource: &str) -> Peer {
        let mut peer = self.connect_binding().await;
        peer.bind(resource).await;
        peer.expect(&bound(resource)).await;
        peer
    }

    pub(super) async fn told(&mut self) -> Told {
        self.told.recv().await.unwrap()
    }

    pub(super) fn told_nothing(&mut self) {
        assert!(matches!(self.told.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
    }

    pub(super) async fn told_login(&mut self) -> Ticket {
        match self.told().await {
            Told::Authenticate { ticket, .. } => ticket,
            other => panic!("no login: {other:?}"),
        }
    }

    /// The ticket of a login that is asked for before everything else is done; else `None`.
    pub(super) async fn told_login_soon(&mut self) -> Option<Ticket> {
        // The clock is paused: it moves once nothing else can.
        match tokio::time::timeout(Duration::from_millis(1), self.told.recv()).await {
            Ok(Some(Told::Authenticate { ticket, .. })) => Some(ticket),
            Ok(other) => panic!("no login: {other:?}"),
            Err(_) => None,
        }
    }

    pub(super) async fn told_input(&mut self) -> Input {
        match self.told().await {
            Told::Input(input) => input,
            other => panic!("no input: {other:?}"),
        }
    }

    pub(super) async fn told_stanza(&mut self) -> Box<UserIn> {
        match self.told().await {
            Told::Stanza { user, input } => {
                assert_eq!(user, "alice@irc.localhost");
                input
            }
            other => panic!("no stanza: {other:?}"),
        }
    }

    pub(super) fn answer(&self, ticket: Ticket, result: Result<(), AuthError>) {
        self.shared.clients.authenticated(&alice(), ticket, result);
    }

    async fn accept_login(&mut self) {
        let ticket = self.told_login().await;
        self.answer(ticket, Ok(()));
    }
}

pub(super) fn alice() -> UserKey {
    UserKey::from("alice@irc.localhost")
}

pub(super) fn bound(resource: &str) -> String {
    format!(
        "<iq id='bind' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <jid>alice@irc.localhost/{resource}</jid></bind></iq>"
    )
}

pub(super) fn stream_error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
}

pub(super) fn stream_error_text(condition: &str, text: &str) -> String {
    format!(
        "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>{text}</text></stream:error></stream:stream>"
    )
}

pub(super) fn sasl_failure(condition: &str, text: Option<&str>) -> String {
    let text = text.map(|text| format!("<text>{text}</text>")).unwrap_or_default();
    format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/>{text}</failure>")
}

/// The client's end.
pub(super) struct Peer {
    io: Box<dyn Io>,
    read: Vec<u8>,
    trust: Arc<ClientConfig>,
}

impl Peer {
    pub(super) async fn send(&mut self, xml: &str) {
        self.io.write_all(xml.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.io.read(&mut buffer).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..read]);
        read > 0
    }

    fn take(&mut self, bytes: usize) -> String {
        String::from_utf8(self.read.drain(..bytes).collect()).unwrap()
    }

    /// Exactly this comes next.
    pub(super) async fn expect(&mut self, xml: &str) {
        while self.read.len() < xml.len() && self.more().await {}
        let have = self.read.len().min(xml.len());
        assert_eq!(self.take(have), xml);
    }

    /// Exactly this comes, and then the connection is closed.
    pub(super) async fn expect_last(&mut self, xml: &str) {
        while self.more().await {}
        let all = self.read.len();
        assert_eq!(self.take(all), xml);
    }

    /// The server's stream header; returns its id.
    pub(super) async fn expect_header(&mut self) -> String {
        let end = |read: &[u8]| {
            let declaration = read.iter().position(|b| *b == b'>')? + 1;
            Some(declaration + read[declaration..].iter().position(|b| *b == b'>')? + 1)
        };
        while end(&self.read).is_none() {
            assert!(self.more().await, "closed before a header");
        }
        let header = self.take(end(&self.read).unwrap());
        let (before, rest) = header.split_once(" id='").unwrap();
        let (id, after) = rest.split_once('\'').unwrap();
        assert_eq!(
            before,
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' from='irc.localhost'"
        );
        assert_eq!(after, " version='1.0' xml:lang='en'>");
        id.to_owned()
    }

    /// Opens the stream on both sides.
    pub(super) async fn open(&mut self) {
        self.send(OPEN).await;
        assert_eq!(self.expect_header().await.len(), 32);
    }

    /// From clear text into TLS.
    pub(super) async fn secured(mut self) -> Self {
        self.open().await;
        self.expect(FEATURES_PLAIN).await;
        self.send(STARTTLS).await;
        self.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
        self.encrypted(&[]).await
    }

    pub(super) async fn encrypted(self, alpn: &[&[u8]]) -> Self {
        let mut trust = (*self.trust).clone();
        trust.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = "irc.localhost".try_into().unwrap();
        let io = TlsConnector::from(Arc::new(trust)).connect(name, self.io).await.unwrap();
        Self {
            io: Box::new(io),
            ..self
        }
    }

    /// SASL PLAIN with this message.
    pub(super) async fn plain(&mut self, message: &str) {
        let message = STANDARD.encode(message);
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>"
        ))
        .await;
    }

    pub(super) async fn bind(&mut self, resource: &str) {
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ))
        .await;
    }

    pub(super) fn into_io(self) -> Box<dyn Io> {
        self.io
    }

    /// Reads to the end.
    pub(super) async fn drain(&mut self) {
        while self.more().await {
            self.read.clear();
        }
    }
}
