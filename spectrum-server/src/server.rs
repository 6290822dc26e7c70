//! The instance: listeners, clients and sessions put together, from start to a graceful end.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use jid::BareJid;
use spectrum_core::assembly::session_seed;
use spectrum_core::config::{Config, Mode};
use spectrum_core::face::Face;
use spectrum_core::instance::{Instance, RunError, Shutdown, Status, XmppStatus};
use spectrum_core::main_process::MainProcess;
use spectrum_core::router::{Router, RouterParts};
use spectrum_core::session_task::{NoStore, Outlet, SessionStore};
use spectrum_core::store::{self, GuestSessions, Store};
use spectrum_core::tasks::Tasks;
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span};

use crate::client::{Security, Sessions, Shared, Timing};
use crate::clients::Clients;
use crate::face::ServerFace;
use crate::listener::{self, Admission};
use crate::service::Answers;
use crate::tls::Tls;

/// How long sessions, clients and backends each may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A transport that is an XMPP server of its own: clients log in with their accounts of the legacy network.
pub struct Server {
    jid: BareJid,
    config: Arc<Config>,
    main: Arc<dyn MainProcess>,
    store: Option<Arc<dyn Store>>,
    router: Router,
    shared: Arc<Shared>,
    tasks: Tasks,
    started: Instant,
    addresses: OnceLock<Vec<(SocketAddr, Security)>>,
}

impl Server {
    /// A server of this configuration that keeps nothing. Reads the certificate, which blocks on the file system; binds
    /// nothing yet. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`RunError::Config`] if there is no usable certificate, or the system has no random bytes.
    pub fn new(config: Arc<Config>, main: Arc<dyn MainProcess>) -> Result<Self, RunError> {
        Self::build(config, main, None)
    }

    /// The same with a store for what users may find again: contacts, rooms, names, messages on their way. Passwords are
    /// never kept. The store is closed when the server ends.
    ///
    /// # Errors
    /// [`RunError::Config`] if there is no usable certificate.
    pub fn with_store(config: Arc<Config>, main: Arc<dyn MainProcess>, store: Arc<dyn Store>) -> Result<Self, RunError> {
        Self::build(config, main, Some(store))
    }

    fn build(config: Arc<Config>, main: Arc<dyn MainProcess>, store: Option<Arc<dyn Store>>) -> Result<Self, RunError> {
        let sessions: Arc<dyn SessionStore> = match &store {
            Some(store) => Arc::new(GuestSessions::new(Arc::clone(store))),
            None => Arc::new(NoStore::new().map_err(RunError::Config)?),
        };
        let jid = config.jid.clone();
        let tls = Tls::new(&config.server, &jid)?;
        let tasks = Tasks::new();
        let clients = Arc::new(Clients::default());
        let face = Arc::new(ServerFace::new(jid.clone()));
        let seed = session_seed(&config, &*main, face.traits(), Some(config.server.linger));
        let name = seed.config.name.clone().unwrap_or_else(|| seed.info.name.clone());
        let router = Router::new(RouterParts {
            seed,
            face: Arc::clone(&face) as Arc<dyn Face>,
            main: Arc::clone(&main),
            store: sessions,
            outlet: Arc::clone(&clients) as Arc<dyn Outlet>,
            tasks: tasks.clone(),
        });
        let network = Arc::clone(&main);
        let shared = Shared {
            domain: jid.clone(),
            sessions: Arc::new(router.clone()) as Arc<dyn Sessions>,
            clients,
            face,
            tls,
            answers: Answers::new(jid.clone(), name, Box::new(move || network.info())),
            timing: Timing::new(config.server.login_timeout),
            stopping: tokio_util::sync::CancellationToken::new(),
        };
        Ok(Self {
            jid,
            config,
            main,
            store,
            router,
            shared: Arc::new(shared),
            tasks,
            started: Instant::now(),
            addresses: OnceLock::new(),
        })
    }

    /// The registry of sessions, for administration.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// SHA-256 of the certificate as clients show it, if the certificate was made at this start and nobody can know it.
    #[must_use]
    pub fn new_certificate(&self) -> Option<String> {
        self.shared.tls.is_made().then(|| self.shared.tls.fingerprint())
    }

    /// Where clients can connect: with STARTTLS, and with TLS from the first byte. Empty before [`Instance::run`] has
    /// bound the addresses.
    #[must_use]
    pub fn addresses(&self) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let of = |wanted: Security| {
            let bound = self.addresses.get().map_or(&[][..], Vec::as_slice);
            bound
                .iter()
                .filter(|(_, security)| *security == wanted)
                .map(|(address, _)| *address)
                .collect()
        };
        (of(Security::Plain), of(Security::DirectTls))
    }

    async fn listen(&self) -> Result<(), RunError> {
        let server = &self.config.server;
        let wanted = server.listen.iter().map(|at| (*at, Security::Plain));
        let wanted = wanted.chain(server.listen_tls.iter().map(|at| (*at, Security::DirectTls)));
        let mut listeners = Vec::new();
        for (address, security) in wanted {
            listeners.push(listener::bind(address, security).await?);
        }
        if listeners.is_empty() {
            return Err(RunError::Config(
                "server.listen and server.listen_tls are both empty".to_owned(),
            ));
        }
        let bound = listeners
            .iter()
            .map(|listener| (listener.address, listener.security))
            .collect();
        if self.addresses.set(bound).is_err() {
            return Err(RunError::Config("a server runs once".to_owned()));
        }
        let admission = Arc::new(Admission::default());
        for listener in listeners {
            let tls = listener.security == Security::DirectTls;
            info!(address = %listener.address, tls, "Clients can connect.");
            let span = info_span!("listener", address = %listener.address);
            let run = listener::run(listener, Arc::clone(&self.shared), Arc::clone(&admission), self.tasks.clone());
            drop(self.tasks.spawn("listener", span.clone(), run.instrument(span)));
        }
        if let Some(fingerprint) = self.new_certificate() {
            info!(
                sha256 = fingerprint,
                "A certificate was made for this start; clients have to be told to trust it."
            );
        }
        Ok(())
    }

    async fn stop(&self) {
        self.shared.clients.announce_stop();
        self.shared.stopping.cancel();
        self.router.end_all("The server is stopping.", GRACE).await;
        self.shared.clients.close_all();
        self.main.stop(GRACE).await;
        self.tasks.stop(GRACE).await;
        if let Some(store) = &self.store {
            store.close().await;
        }
    }
}

#[async_trait]
impl Instance for Server {
    fn jid(&self) -> &BareJid {
        &self.jid
    }

    fn mode(&self) -> Mode {
        Mode::Server
    }

    fn status(&self) -> Status {
        let (sessions, logged_in) = self.router.count();
        let addresses: Vec<String> = self
            .addresses
            .get()
            .into_iter()
            .flatten()
            .map(|(address, _)| address.to_string())
            .collect();
        let xmpp = if addresses.is_empty() {
            XmppStatus {
                up: false,
                text: "not listening".to_owned(),
            }
        } else {
            let clients = self.shared.clients.count();
            XmppStatus {
                up: true,
                text: format!("listening on {}, {clients} clients", addresses.join(", ")),
            }
        };
        Status {
            jid: self.jid.to_string(),
            mode: Mode::Server,
            version: env!("CARGO_PKG_VERSION"),
            uptime_secs: self.started.elapsed().as_secs(),
            xmpp,
            sessions,
            logged_in,
            pool: self.main.status(),
            degraded: Vec::new(),
        }
    }

    fn reload(&self) {
        match self.shared.tls.reload() {
            Ok(Some(fingerprint)) => info!(sha256 = fingerprint, "The certificate was read anew."),
            // It was made at this start, and nothing has to be read.
            Ok(None) => {}
            Err(error) => error!(%error, "The new certificate is refused; the old one stays in use."),
        }
    }

    async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), RunError> {
        if let Some(store) = &self.store {
            store::expiry::start(&self.tasks, Arc::clone(store), self.config.archive.max_age);
        }
        let listening = self.listen().await;
        if listening.is_ok() {
            shutdown.triggered().await;
        }
        self.stop().await;
        listening
    }
}
