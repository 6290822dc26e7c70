//! Every stanza of the link finds its way here: to a session, to a service, to the keeper of rosters, or back with an
//! error. Called from the reading task; never waits.

use std::sync::{Arc, Mutex, PoisonError};

use jid::NodePart;
use spectrum_core::backend::BackendInfo;
use spectrum_core::config::Config;
use spectrum_core::face::{Face as _, Read, To, UserIn};
use spectrum_core::main_process::MainProcess;
use spectrum_core::model::UserKey;
use spectrum_core::router::{NoSession, Router};
use spectrum_core::service::{self, ServiceCx, Services};
use spectrum_core::session::Input;
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::store::{RegisteredSessions, Store};
use spectrum_core::tasks::{TaskHandle, Tasks};
use spectrum_core::xml::SEARCH;
use tokio::time::Instant;
use tracing::{debug, info_span, warn};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::account::AccountKeeper;
use crate::clock;
use crate::deputy::Deputy;
use crate::desk::{self, Desk};
use crate::doctor::Asker;
use crate::face::GatewayFace;
use crate::link::{Handler, Outbox};
use crate::naming::Naming;
use crate::presence::PresenceCx;
use crate::privilege::Grants;
use crate::probe::Prober;
use crate::registration::Registrar;
use crate::roster::{RosterKeeper, contact, is_push};

/// Sends each stanza where it belongs.
pub(crate) struct Dispatch {
    pub(crate) config: Arc<Config>,
    pub(crate) naming: Naming,
    pub(crate) face: Arc<GatewayFace>,
    pub(crate) main: Arc<dyn MainProcess>,
    pub(crate) router: Router,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) keeper: Arc<RosterKeeper>,
    pub(crate) registrar: Registrar,
    pub(crate) desk: Desk,
    pub(crate) asker: Arc<Asker>,
    pub(crate) deputy: Arc<Deputy>,
    pub(crate) accounts: Arc<AccountKeeper>,
    pub(crate) services: Services,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) prober: Prober,
    pub(crate) tasks: Tasks,
    pub(crate) started: Instant,
    /// The probing under way, and whether the first one has been done. Touched when the link comes and goes.
    pub(crate) probing: Mutex<Option<TaskHandle<()>>>,
}

impl Handler for Dispatch {
    fn stanza(&self, stanza: Stanza) {
        match self.face.read(stanza) {
            Read::User(user, input) => self.user(&user, input),
            Read::Service(Stanza::Iq(iq)) => self.iq(iq),
            Read::Service(Stanza::Presence(presence)) => {
                if let Some(from) = presence.from.clone() {
                    self.presence_cx().handle(&presence, &from);
                }
            }
            Read::Service(Stanza::Message(message)) => {
                // From a server: grants, or words that nobody is there to read.
                if let (Some(from), Some(grants)) = (&message.from, Grants::read(&message))
                    && from.resource().is_none()
                    && self.config.allows_domain(from.domain().as_str())
                {
                    self.keeper.granted(from.domain().as_str(), grants);
                    self.accounts.again(Some(from.domain().as_str()));
                }
            }
            Read::Reject(reply) => self.outbox.push(reply),
            Read::Ignore => {}
        }
    }

    fn up(&self) {
        self.keeper.link_up();
        self.accounts.again(None);
        let mut probing = self.probing.lock().unwrap_or_else(PoisonError::into_inner);
        let prober = self.prober.clone();
        let span = info_span!("probe");
        let task = match probing.take() {
            None => self.tasks.spawn("probe", span, prober.at_start()),
            Some(before) => {
                let users = self
                    .router
                    .page(None, usize::MAX)
                    .into_iter()
                    .map(|session| session.user)
                    .collect();
                // The first one goes on: whom it has not asked yet has no session.
                if before.is_finished() {
                    self.tasks.spawn("probe", span, prober.at_return(users))
                } else {
                    self.tasks.spawn("probe", span, async move {
                        before.abort();
                        prober.clone().at_return(users).await;
                        prober.at_start().await;
                    })
                }
            }
        };
        *probing = Some(task);
    }

    fn down(&self) {
        self.keeper.link_down();
        self.deputy.link_down();
        self.router.tell_all(|| Input::XmppLost);
    }
}

impl Dispatch {
    fn presence_cx(&self) -> PresenceCx<'_> {
        PresenceCx {
            transport: &self.config.jid,
            router: &self.router,
            keeper: &self.keeper,
            outbox: &self.outbox,
        }
    }

    fn user(&self, user: &UserKey, input: Box<UserIn>) {
        if let (To::Peer { node, .. }, Stanza::Presence(presence)) = (&input.to, &input.stanza) {
            match presence.type_ {
                PresenceType::Subscribe | PresenceType::Subscribed => {
                    self.keeper.seen(user, &contact(&self.config.jid, node), true);
                }
                PresenceType::Unsubscribe => self.keeper.seen(user, &contact(&self.config.jid, node), false),
                PresenceType::None
                | PresenceType::Error
                | PresenceType::Probe
                | PresenceType::Unavailable
                | PresenceType::Unsubscribed => {}
            }
        }
        if let (To::Transport, Stanza::Message(message)) = (&input.to, &input.stanza) {
            // A login that asks something is answered before anything else is understood by it.
            let is_answer = !self.desk.is_talking_with(user) && self.router.has(user);
            if !is_answer {
                return self.desk.hear(message);
            }
        }
        // A presence that says "here I am" begins a session, whomever it is for; a room's join too.
        let begins = matches!(&input.stanza, Stanza::Presence(presence) if presence.type_ == PresenceType::None);
        if begins {
            match jid::BareJid::new(user.as_str()) {
                Ok(jid) if self.may_mean_nothing(user, &input) => self.begin_if_registered(jid, input),
                Ok(jid) => self.router.route_or_start(&jid, input),
                Err(_) => debug!("A user's address is none."),
            }
        } else if let Err(NoSession(input)) = self.router.route(user, input) {
            match (&input.to, &input.stanza) {
                (To::Transport, Stanza::Message(message)) => self.desk.hear(message),
                (To::Peer { node, .. }, Stanza::Presence(presence)) if presence.type_ == PresenceType::Unsubscribe => {
                    self.forget_contact(user, node);
                    self.without_session(&input.stanza);
                }
                (_, stanza) => self.without_session(stanza),
            }
        }
    }

    /// Whether a presence may be none of ours. A server that grants presence (XEP-0356) shows us everybody who goes online:
    /// where nobody needs a registration, all of them would be logged in.
    fn may_mean_nothing(&self, user: &UserKey, input: &UserIn) -> bool {
        input.to == To::Transport
            && self.main.info().is_some_and(|info| !info.needs_registration)
            && !self.router.has(user)
            && self.keeper.grants(user).presence
    }

    /// Begins a session for who is registered; nothing comes of it for others.
    fn begin_if_registered(&self, user: jid::BareJid, input: Box<UserIn>) {
        let (store, router) = (Arc::clone(&self.store), self.router.clone());
        let span = info_span!("begin", %user);
        drop(self.tasks.spawn("begin", span, async move {
            match store.load_registration(&UserKey::from(user.as_str())).await {
                Ok(Some(_)) => router.route_or_start(&user, input),
                Ok(None) => {}
                Err(failed) => warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not find out whether a user is registered."
                ),
            }
        }));
    }

    /// A user who is not logged in has removed a contact: the next login is not to bring it back.
    fn forget_contact(&self, user: &UserKey, node: &NodePart) {
        let Some(info) = self.main.info() else { return };
        let sessions = RegisteredSessions::new(Arc::clone(&self.store));
        let (user, node) = (user.clone(), node.clone());
        self.tasks.spawn("forget contact", info_span!("forget", %user), async move {
            if let Err(failed) = sessions.forget_contact(&user, &node, &info).await {
                warn!(error = %failed, "A contact that a user removed could not be forgotten.");
            }
        });
    }

    /// What is answered to a user who is not logged in.
    fn without_session(&self, stanza: &Stanza) {
        let answer = |type_: PresenceType| {
            let (from, to) = (stanza.recipient()?.to_bare(), stanza.sender()?.to_bare());
            Some(Stanza::from(Presence::new(type_).with_from(from).with_to(to)))
        };
        let reply = match stanza {
            Stanza::Presence(presence) => match presence.type_ {
                PresenceType::Probe => answer(PresenceType::Unavailable),
                PresenceType::Unsubscribe => answer(PresenceType::Unsubscribed),
                PresenceType::Subscribe => self.not_logged_in(stanza),
                PresenceType::None
                | PresenceType::Error
                | PresenceType::Subscribed
                | PresenceType::Unavailable
                | PresenceType::Unsubscribed => None,
            },
            Stanza::Message(message) if message.bodies.is_empty() => None,
            Stanza::Message(_) | Stanza::Iq(_) => self.not_logged_in(stanza),
        };
        if let Some(reply) = reply {
            self.outbox.push(reply);
        }
    }

    fn not_logged_in(&self, stanza: &Stanza) -> Option<Stanza> {
        let text = format!(
            "You are not logged in to {}: register with {} first, or go online.",
            self.naming.name(),
            self.config.jid
        );
        stanza.error_reply(error(DefinedCondition::RecipientUnavailable, &text))
    }

    /// A request or an answer to the transport itself.
    fn iq(&self, iq: Iq) {
        match &iq {
            Iq::Result { .. } | Iq::Error { .. } => {
                let rest = self.keeper.answered(iq).and_then(|iq| self.asker.answered(iq));
                if let Some(iq) = rest.and_then(|iq| self.deputy.answered(iq)) {
                    self.to_session(iq);
                }
            }
            Iq::Get { .. } | Iq::Set { .. } if Registrar::concerns(&iq) => self.registrar.handle(iq),
            Iq::Get { .. } | Iq::Set { .. } if desk::concerns(&iq) => self.desk.handle(iq),
            Iq::Set { .. } if is_push(&iq) => self.outbox.push(service::reply(&iq, Ok(None))),
            // The rooms of the network are known to whoever is logged in.
            Iq::Get { payload, .. } if payload.is("query", ns::DISCO_ITEMS) && payload.attr("node").is_none() => {
                if let Some(iq) = self.to_session(iq) {
                    self.serve(&iq);
                }
            }
            // And so are its people.
            Iq::Get { payload, .. } | Iq::Set { payload, .. } if payload.is("query", SEARCH) => {
                if let Some(refused) = self.to_session(iq).and_then(|iq| self.not_logged_in(&iq.into())) {
                    self.outbox.push(refused);
                }
            }
            Iq::Get { .. } | Iq::Set { .. } => self.serve(&iq),
        }
    }

    /// Hands an iq to the sender's session; gives it back if there is none.
    fn to_session(&self, iq: Iq) -> Option<Iq> {
        let from = iq.from()?.clone();
        let input = UserIn {
            resource: from.resource().map(ToOwned::to_owned),
            to: To::Transport,
            stanza: Stanza::Iq(iq),
        };
        match self.router.route(&UserKey::from(from.to_bare().as_str()), Box::new(input)) {
            Ok(()) => None,
            Err(NoSession(input)) => match input.stanza {
                Stanza::Iq(iq) => Some(iq),
                Stanza::Message(_) | Stanza::Presence(_) => None,
            },
        }
    }

    /// The network as it is to be spelled here: the configuration may overrule how its names are escaped.
    fn network(&self) -> Option<Arc<BackendInfo>> {
        let info = self.main.info()?;
        match self.config.jid_escaping {
            Some(jid_escaping) if jid_escaping != info.jid_escaping => Some(Arc::new(BackendInfo {
                jid_escaping,
                ..BackendInfo::clone(&info)
            })),
            Some(_) | None => Some(info),
        }
    }

    fn serve(&self, iq: &Iq) {
        let (info, name) = (self.network(), self.naming.name());
        let identity = &self.config.identity;
        let cx = ServiceCx {
            transport: &self.config.jid,
            name: &name,
            category: &identity.category,
            kind: identity
                .kind
                .as_deref()
                .or(info.as_deref().map(|info| info.network_type.as_str()))
                .unwrap_or("generic"),
            info: info.as_deref(),
            wall: clock::now(),
            uptime: self.started.elapsed(),
        };
        if let Some(reply) = self.services.answer(iq, &cx) {
            self.outbox.push(reply);
        }
    }
}
