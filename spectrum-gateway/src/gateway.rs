//! A gateway: one component of an XMPP server. Owns the link, the sessions' registry and everything around them; lent the
//! main process and the store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jid::{BareJid, Jid};
use spectrum_core::admin::{self, Control, ControlError, Diagnosis, NewRegistration, Outage, OutageNote, UserStatus};
use spectrum_core::assembly::{gateway_linger, session_seed};
use spectrum_core::config::{Config, Mode};
use spectrum_core::dialogue;
use spectrum_core::face::Face as _;
use spectrum_core::instance::{Instance, RunError, Shutdown, Status};
use spectrum_core::main_process::MainProcess;
use spectrum_core::model::{Secret, UserKey};
use spectrum_core::router::{Router, RouterParts};
use spectrum_core::service::{Prompt, Services};
use spectrum_core::session::{Input, RecentMessage};
use spectrum_core::session_task::Outlet;
use spectrum_core::store::{self, RegisteredSessions, RegistrationSummary, Store, StoreError};
use spectrum_core::tasks::Tasks;
use tokio::time::Instant;
use tracing::{error, info, info_span};
use xmpp_parsers::message::{Lang, Message, MessageType};
use xmpp_parsers::ns;

use crate::account::{AccountKeeper, AccountParts};
use crate::clock;
use crate::deputy::Deputy;
use crate::desk::{Desk, DeskParts};
use crate::dispatch::Dispatch;
use crate::doctor::{self, Asker};
use crate::face::GatewayFace;
use crate::link::{Connect, Link, LinkError, LinkParts, Outbox, TcpConnect};
use crate::naming::Naming;
use crate::outlet::GatewayOutlet;
use crate::probe::Prober;
use crate::registration::{Registrar, RegistrarParts, RegistrationError, Submission};
use crate::roster::RosterKeeper;

/// How long sessions and backends may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long the link may take to write what is left and close.
const LINK_GRACE: Duration = Duration::from_secs(5);

/// What a gateway is made of.
pub struct GatewayParts {
    /// The configuration; its mode is `gateway`.
    pub config: Arc<Config>,
    /// Who has the backends.
    pub main: Arc<dyn MainProcess>,
    /// Where registrations are kept.
    pub store: Arc<dyn Store>,
    /// Where tasks are born.
    pub tasks: Tasks,
    /// Whether a server that cannot be reached at the first attempt ends [`Instance::run`].
    pub once: bool,
    /// How to reach the server; `None`: over TCP as configured.
    pub connect: Option<Arc<dyn Connect>>,
}

/// A transport that is a component (XEP-0114) of an XMPP server.
pub struct Gateway {
    config: Arc<Config>,
    main: Arc<dyn MainProcess>,
    store: Arc<dyn Store>,
    tasks: Tasks,
    once: bool,
    started: Instant,
    router: Router,
    keeper: Arc<RosterKeeper>,
    registrar: Registrar,
    outbox: Arc<Outbox>,
    desk: Desk,
    link: Arc<Link>,
    asker: Arc<Asker>,
    deputy: Arc<Deputy>,
    outage: Arc<OutageNote>,
}

impl Gateway {
    /// Puts a gateway together; nothing runs yet.
    ///
    /// # Errors
    /// [`RunError::Config`] without a secret for the component.
    pub fn new(parts: GatewayParts) -> Result<Self, RunError> {
        let GatewayParts {
            config,
            main,
            store,
            tasks,
            once,
            connect,
        } = parts;
        let secret = config
            .gateway
            .secret
            .clone()
            .ok_or_else(|| RunError::Config("gateway.secret is missing".to_owned()))?;
        let naming = Naming::new(Arc::clone(&config), Arc::clone(&main));
        let outbox = Arc::new(Outbox::new());
        let keeper = Arc::new(RosterKeeper::new(
            config.jid.clone(),
            naming.clone(),
            Arc::clone(&outbox),
            Arc::clone(&store),
        ));
        let deputy = Arc::new(Deputy::new(config.jid.clone(), Arc::clone(&outbox), Arc::clone(&keeper)));
        let accounts = AccountKeeper::new(AccountParts {
            transport: config.jid.clone(),
            bookmarking: config.gateway.bookmarks,
            deputy: Arc::clone(&deputy),
            outbox: Arc::clone(&outbox),
            store: Arc::clone(&store),
            tasks: tasks.clone(),
        });
        let outage = Arc::new(OutageNote::open(config.identity.outage_file.as_deref()));
        let face = Arc::new(GatewayFace::new(&config, naming.clone(), Arc::clone(&outage)));
        let seed = session_seed(&config, &*main, face.traits(), gateway_linger(&config));
        let outlet = Arc::new(GatewayOutlet::new(
            Arc::clone(&outbox),
            Arc::clone(&keeper),
            Arc::clone(&accounts),
        ));
        let router = Router::new(RouterParts {
            seed,
            face: Arc::clone(&face) as Arc<dyn spectrum_core::face::Face>,
            main: Arc::clone(&main),
            store: Arc::new(RegisteredSessions::new(Arc::clone(&store))),
            outlet: Arc::clone(&outlet) as Arc<dyn Outlet>,
            tasks: tasks.clone(),
        });
        let registrar = Registrar::new(RegistrarParts {
            config: Arc::clone(&config),
            naming: naming.clone(),
            main: Arc::clone(&main),
            store: Arc::clone(&store),
            router: router.clone(),
            keeper: Arc::clone(&keeper),
            accounts: Arc::clone(&accounts),
            outbox: Arc::clone(&outbox),
            tasks: tasks.clone(),
        });
        let desk = Desk::new(DeskParts {
            config: Arc::clone(&config),
            naming: naming.clone(),
            main: Arc::clone(&main),
            store: Arc::clone(&store),
            router: router.clone(),
            registrar: registrar.clone(),
            outbox: Arc::clone(&outbox),
            tasks: tasks.clone(),
        });
        outlet.set_desk(&desk);
        let asker = Arc::new(Asker::new(config.jid.clone(), Arc::clone(&outbox)));
        let started = Instant::now();
        let prober = Prober {
            transport: config.jid.clone(),
            outbox: Arc::clone(&outbox),
            router: router.clone(),
            store: Arc::clone(&store),
            stay_connected: config.gateway.stay_connected,
            main: Arc::clone(&main),
            jid_escaping: config.jid_escaping,
        };
        let dispatch = Dispatch {
            config: Arc::clone(&config),
            naming,
            face,
            main: Arc::clone(&main),
            router: router.clone(),
            outbox: Arc::clone(&outbox),
            keeper: Arc::clone(&keeper),
            registrar: registrar.clone(),
            desk: desk.clone(),
            asker: Arc::clone(&asker),
            deputy: Arc::clone(&deputy),
            accounts,
            store: Arc::clone(&store),
            services: Services::new()
                .with(Prompt)
                .announcing(&[ns::REGISTER, dialogue::command::COMMANDS, ns::DATA_FORMS])
                .telling_outages_at(&config.identity.outage_addresses)
                .telling_contacts(&[
                    ("admin-addresses", &config.identity.admin_addresses),
                    ("abuse-addresses", &config.identity.abuse_addresses),
                    ("support-addresses", &config.identity.support_addresses),
                ]),
            prober,
            tasks: tasks.clone(),
            started,
            probing: Mutex::new(None),
        };
        let connect = connect.unwrap_or_else(|| {
            Arc::new(TcpConnect {
                host: config.gateway.server.clone(),
                port: config.gateway.port,
            })
        });
        let link = Arc::new(Link::new(LinkParts {
            jid: config.jid.clone(),
            secret,
            connect,
            outbox: Arc::clone(&outbox),
            handler: Arc::new(dispatch),
            tasks: tasks.clone(),
        }));
        Ok(Self {
            config,
            main,
            store,
            tasks,
            once,
            started,
            router,
            keeper,
            registrar,
            outbox: Arc::clone(&outbox),
            desk,
            link,
            asker,
            deputy,
            outage,
        })
    }

    /// The users' sessions.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Ends sessions first, so that what they say last still goes out, then the link, the backends and the store.
    async fn stop(&self, link_stop: &Shutdown) {
        self.router.end_all("The transport is stopping.", GRACE).await;
        link_stop.trigger();
        self.main.stop(GRACE).await;
    }
}

#[async_trait]
impl Instance for Gateway {
    fn jid(&self) -> &BareJid {
        &self.config.jid
    }

    fn mode(&self) -> Mode {
        Mode::Gateway
    }

    fn status(&self) -> Status {
        let (sessions, logged_in) = self.router.count();
        let pool = self.main.status();
        Status {
            jid: self.config.jid.to_string(),
            mode: Mode::Gateway,
            version: env!("CARGO_PKG_VERSION"),
            uptime_secs: self.started.elapsed().as_secs(),
            xmpp: self.link.status(),
            sessions,
            logged_in,
            degraded: pool.reason.iter().cloned().chain(self.deputy.lacking()).collect(),
            pool,
        }
    }

    async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<(), RunError> {
        store::expiry::start(&self.tasks, Arc::clone(&self.store), self.config.archive.max_age);
        let control: Arc<dyn Control> = Arc::clone(&self) as _;
        self.desk.set_control(Arc::downgrade(&control));
        let (desk, ending) = (self.desk.clone(), self.tasks.token());
        let sweeping = self.tasks.spawn("desk", info_span!("desk"), async move {
            tokio::select! {
                () = desk.sweep() => {}
                () = ending.cancelled() => {}
            }
        });
        let keeper = Arc::clone(&self.keeper);
        let stopping = self.tasks.token();
        let keeping = self.tasks.spawn("roster keeper", info_span!("roster"), async move {
            tokio::select! {
                () = keeper.run() => {}
                () = stopping.cancelled() => {}
            }
        });
        // The link has a signal of its own: it outlives the sessions.
        let link_stop = Shutdown::new();
        let mut linking = {
            let (link, stop, once) = (Arc::clone(&self.link), link_stop.clone(), self.once);
            self.tasks.spawn(
                "component",
                info_span!("component"),
                async move { link.run(&stop, once).await },
            )
        };
        let ended = tokio::select! {
            ended = &mut linking => Some(ended),
            () = shutdown.triggered() => None,
        };
        info!("The instance stops.");
        self.stop(&link_stop).await;
        let ended = match ended {
            Some(ended) => ended,
            None => tokio::time::timeout(LINK_GRACE, linking).await.unwrap_or(Ok(Ok(()))),
        };
        keeping.abort();
        sweeping.abort();
        self.store.close().await;
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failed)) => Err(run_error(&failed)),
            Err(failed) => {
                error!(error = %failed, "The link to the XMPP server ended by a defect.");
                Err(RunError::Unreachable(failed.to_string()))
            }
        }
    }
}

#[async_trait]
impl Control for Gateway {
    fn status(&self) -> Status {
        Instance::status(self)
    }

    fn users(&self, after: Option<&UserKey>, limit: usize) -> Vec<UserStatus> {
        self.router.page(after, limit)
    }

    fn user(&self, user: &UserKey) -> Option<UserStatus> {
        self.router.status(user)
    }

    async fn registered(&self, after: Option<&UserKey>, limit: usize) -> Result<Vec<RegistrationSummary>, ControlError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let listed = self.store.list_registrations(after, limit).await;
        listed.map_err(|failed| ControlError::Failed(failed.to_string()))
    }

    async fn registration(&self, user: &UserKey) -> Result<Option<RegistrationSummary>, ControlError> {
        let loaded = self.store.load_registration(user).await;
        let registration = loaded.map_err(|failed| ControlError::Failed(failed.to_string()))?;
        Ok(registration.map(|registration| RegistrationSummary {
            user: user.clone(),
            legacy_name: registration.legacy_name,
            created: registration.created,
            last_login: registration.last_login,
            online: registration.online,
        }))
    }

    async fn recent(&self, user: &UserKey) -> Result<Vec<RecentMessage>, ControlError> {
        let failed = |failed: StoreError| ControlError::Failed(failed.to_string());
        let recent = admin::recent(&self.router, &*self.store, user).await.map_err(failed)?;
        if recent.is_empty() && self.registration(user).await?.is_none() {
            return Err(ControlError::NoSuchUser);
        }
        Ok(recent)
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<(UserKey, RecentMessage)>, ControlError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let waiting = admin::waiting(&*self.store, limit).await;
        waiting.map_err(|failed| ControlError::Failed(failed.to_string()))
    }

    async fn set_outage(&self, outage: Option<Outage>) -> Result<usize, ControlError> {
        let text = match &outage {
            Some(outage) => outage.words(clock::now()),
            None => "The outage is over.".to_owned(),
        };
        self.outage.set(outage).await?;
        self.announce(&text).await
    }

    async fn announce(&self, text: &str) -> Result<usize, ControlError> {
        let mut told = 0;
        for status in self.router.page(None, usize::MAX) {
            let Ok(to) = BareJid::new(status.user.as_str()) else {
                continue;
            };
            if status.resources == 0 {
                continue;
            }
            let mut message =
                Message::new_with_type(MessageType::Headline, Jid::from(to)).with_body(Lang::default(), text.to_owned());
            message.from = Some(self.config.jid.clone().into());
            self.outbox.push(message.into());
            told += 1;
        }
        info!(told, "An administrator has announced something.");
        Ok(told)
    }

    async fn doctor(&self) -> Result<Diagnosis, ControlError> {
        let registered = self.registered(None, doctor::MOST_REGISTERED).await.unwrap_or_default();
        let users = registered.iter().filter_map(|entry| BareJid::new(entry.user.as_str()).ok());
        let state = doctor::Running {
            config: &self.config,
            asker: &self.asker,
            up: self.link.status().up,
            failure: self.link.failure(),
            keeper: &self.keeper,
            users: users.collect(),
        };
        Ok(state.examine().await)
    }

    async fn logout(&self, user: &UserKey) -> Result<(), ControlError> {
        if self
            .router
            .tell(user, Input::End("An administrator logged you out.".to_owned()))
        {
            Ok(())
        } else {
            Err(ControlError::NoSuchUser)
        }
    }

    async fn register(&self, registration: NewRegistration) -> Result<(), ControlError> {
        let user = bare_jid(&registration.user)?;
        let NewRegistration {
            username,
            password,
            fields,
            ..
        } = registration;
        let own = [
            ("username".to_owned(), Secret::new(username)),
            ("password".to_owned(), password),
        ];
        let submission = Submission::new(fields.into_iter().chain(own));
        self.registrar
            .register(&user, submission)
            .await
            .map_err(|failed| control_error(&failed))
    }

    async fn unregister(&self, user: &UserKey) -> Result<(), ControlError> {
        self.registrar
            .unregister(&bare_jid(user)?)
            .await
            .map_err(|failed| control_error(&failed))
    }
}

fn bare_jid(user: &UserKey) -> Result<BareJid, ControlError> {
    BareJid::new(user.as_str())
        .ok()
        .filter(|jid| jid.node().is_some())
        .ok_or_else(|| ControlError::Refused(format!("{user} is not the JID of a user")))
}

fn control_error(failed: &RegistrationError) -> ControlError {
    match failed {
        RegistrationError::NotRegistered => ControlError::NoSuchUser,
        RegistrationError::Form(_) | RegistrationError::Busy | RegistrationError::TooOften => {
            ControlError::Refused(failed.to_string())
        }
        RegistrationError::Starting => ControlError::Failed(failed.to_string()),
        RegistrationError::Store(source) => ControlError::Failed(source.to_string()),
    }
}

fn run_error(failed: &LinkError) -> RunError {
    RunError::Unreachable(failed.to_string())
}
