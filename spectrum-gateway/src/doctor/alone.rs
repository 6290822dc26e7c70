//! Looking while no instance runs: a link of our own for as long as it takes. Whoever wants something of the transport meanwhile is
//! told that it is not there, as the XMPP server does while nobody holds the link.
//!
//! Owns the link and what comes over it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jid::{BareJid, Jid};
use spectrum_core::admin::Diagnosis;
use spectrum_core::config::Config;
use spectrum_core::instance::{RunError, Shutdown};
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::tasks::Tasks;
use spectrum_core::xml::element;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::info_span;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type as PresenceType;
use xmpp_parsers::stanza_error::DefinedCondition;

use super::found::{Found, Strictness, survey};
use super::{Asker, PATIENCE, domains, judge};
use crate::link::{Handler, Link, LinkError, LinkParts, Outbox, TcpConnect};
use crate::privilege::Grants;

/// How long a server may take to say what it grants.
const GRANTS: Duration = Duration::from_secs(3);
/// How long closing may take.
const GRACE: Duration = Duration::from_secs(2);
/// Whether the server lets us speak in its own name: this comes back to us, or ends the link.
const FORGED: &str = "spectrum-doctor-forged";

/// Connects, looks, disconnects. Takes half a minute at most.
///
/// # Errors
/// [`RunError::Config`] without a secret for the component.
pub(crate) async fn alone(config: &Arc<Config>) -> Result<Diagnosis, RunError> {
    let secret = config
        .gateway
        .secret
        .clone()
        .ok_or_else(|| RunError::Config("gateway.secret is missing".to_owned()))?;
    let tasks = Tasks::new();
    let outbox = Arc::new(Outbox::new());
    let asker = Arc::new(Asker::new(config.jid.clone(), Arc::clone(&outbox)));
    let ear = Arc::new(Ear {
        config: Arc::clone(config),
        asker: Arc::clone(&asker),
        outbox: Arc::clone(&outbox),
        heard: Mutex::default(),
        news: Notify::new(),
    });
    let link = Arc::new(Link::new(LinkParts {
        jid: config.jid.clone(),
        secret,
        connect: Arc::new(TcpConnect {
            host: config.gateway.server.clone(),
            port: config.gateway.port,
        }),
        outbox: Arc::clone(&outbox),
        handler: Arc::clone(&ear) as Arc<dyn Handler>,
        tasks: tasks.clone(),
    }));
    let stop = Shutdown::new();
    let mut linking = {
        let (link, stop) = (Arc::clone(&link), stop.clone());
        tasks.spawn(
            "component",
            info_span!("component"),
            async move { link.run(&stop, true).await },
        )
    };
    let mut found = Found::new(config);
    tokio::select! {
        ended = &mut linking => {
            found.link = match ended {
                Ok(Err(failed)) => Some(Err(failed)),
                Ok(Ok(())) | Err(_) => None,
            };
            return Ok(judge::judge(&found));
        }
        () = ear.until(|heard| heard.up) => found.link = Some(Ok(())),
    }
    let asked = domains(config);
    let surveys = join_all(asked.iter().map(|domain| survey(&asker, domain, &[])));
    let advertised = timeout(
        GRANTS,
        ear.until(|heard| asked.iter().all(|domain| heard.grants.contains_key(domain.as_str()))),
    );
    // The time may end before all have said something.
    let (surveyed, _) = tokio::join!(surveys, advertised);
    found.domains = surveyed;
    for domain in &mut found.domains {
        domain.grants = ear.heard().grants.get(&domain.domain).cloned();
    }
    if let Some(domain) = asked.first() {
        outbox.push(forged(domain, &config.jid));
        let seen = ear.until(|heard| heard.forged || heard.down);
        found.strictness = match timeout(PATIENCE, seen).await {
            Ok(()) if ear.heard().forged => Strictness::Lenient,
            Ok(()) if is_refusal(link.failure().as_ref()) => Strictness::Strict,
            Ok(()) | Err(_) => Strictness::Unseen,
        };
    }
    stop.trigger();
    let _ = timeout(GRACE, linking).await;
    tasks.stop(GRACE).await;
    Ok(judge::judge(&found))
}

/// The link was ended with a reason, not merely lost.
fn is_refusal(failure: Option<&LinkError>) -> bool {
    match failure {
        Some(LinkError::Refused { reason, .. }) => reason.contains("invalid-from"),
        Some(
            LinkError::Lost { .. } | LinkError::Protocol { .. } | LinkError::Unreachable { .. } | LinkError::WrongSecret { .. },
        )
        | None => false,
    }
}

/// A message from the server's own domain to us: harmless, and seen by nobody else.
fn forged(domain: &BareJid, transport: &BareJid) -> Stanza {
    let mut message = Message::new_with_type(MessageType::Normal, Jid::from(transport.clone()));
    message.from = Some(domain.clone().into());
    message.payloads.push(element("origin-id", ns::SID, &[("id", FORGED)]));
    message.into()
}

fn is_forged(message: &Message) -> bool {
    let is_it = |payload: &minidom::Element| payload.is("origin-id", ns::SID) && payload.attr("id") == Some(FORGED);
    message.payloads.iter().any(is_it)
}

#[derive(Default)]
struct Heard {
    up: bool,
    down: bool,
    forged: bool,
    grants: BTreeMap<String, Grants>,
}

/// Hears what comes, and keeps what matters.
struct Ear {
    config: Arc<Config>,
    asker: Arc<Asker>,
    outbox: Arc<Outbox>,
    heard: Mutex<Heard>,
    news: Notify,
}

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Heard)) {
        note(&mut self.heard());
        self.news.notify_waiters();
    }

    async fn until(&self, is_enough: impl Fn(&Heard) -> bool) {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // What is noted from here on is not missed.
            news.as_mut().enable();
            if is_enough(&self.heard()) {
                return;
            }
            news.await;
        }
    }
}

impl Ear {
    /// Believed as a running instance does: of a domain, for its own users, if they may use the transport.
    fn grant(&self, message: &Message, grants: Grants) {
        if let Some(from) = &message.from
            && from.node().is_none()
            && from.resource().is_none()
            && self.config.allows_domain(from.domain().as_str())
        {
            let domain = from.domain().to_string();
            let is_asked = domains(&self.config).iter().any(|asked| asked.as_str() == domain);
            if is_asked {
                self.note(|heard| drop(heard.grants.insert(domain, grants)));
            }
        }
    }

    fn refuse(&self, stanza: &Stanza) {
        if let Some(reply) = refusal(stanza) {
            self.outbox.push(reply);
        }
    }
}

/// The answer to what somebody wants of a transport that does not run; nothing to what wants nothing.
pub(super) fn refusal(stanza: &Stanza) -> Option<Stanza> {
    let wants_something = match stanza {
        Stanza::Iq(_) => true,
        Stanza::Message(message) => !message.bodies.is_empty(),
        // Whoever is there is asked again when the instance starts.
        Stanza::Presence(presence) => presence.type_ == PresenceType::Subscribe,
    };
    let away = error(DefinedCondition::ServiceUnavailable, "The transport is not running.");
    wants_something.then(|| stanza.error_reply(away)).flatten()
}

impl Handler for Ear {
    fn stanza(&self, stanza: Stanza) {
        match stanza {
            Stanza::Iq(iq @ (Iq::Result { .. } | Iq::Error { .. })) => drop(self.asker.answered(iq)),
            Stanza::Message(message) if is_forged(&message) && message.type_ != MessageType::Error => {
                self.note(|heard| heard.forged = true);
            }
            Stanza::Message(message) => match Grants::read(&message) {
                Some(grants) => self.grant(&message, grants),
                None => self.refuse(&message.into()),
            },
            Stanza::Iq(_) | Stanza::Presence(_) => self.refuse(&stanza),
        }
    }

    fn up(&self) {
        self.note(|heard| heard.up = true);
    }

    fn down(&self) {
        self.note(|heard| heard.down = true);
    }
}
