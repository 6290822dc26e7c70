//! Requests in a user's name (XEP-0356 6): asked of the user's server, which asks as if the user had and passes the answer on.
//!
//! [`Deputy`] owns the requests on the way and remembers what it was not allowed to ask, for `status`. Grants are the roster
//! keeper's. Whoever asks waits; nobody else does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::model::UserKey;
use spectrum_core::stanza::Stanza;
use tokio::sync::oneshot;
use tokio::time::timeout;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::link::Outbox;
use crate::privilege::{self, Grants};
use crate::roster::RosterKeeper;

/// How long the user's server may take: it may have to ask another one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests on the way at once; one more is refused.
const MOST_OPEN: usize = 4_096;
/// Of one user.
const MOST_OF_ONE: usize = 8;
/// Domains and namespaces that are remembered as not granted.
const MOST_LACKING: usize = 64;
/// In front of the ids.
const OWN: &str = "spectrum-deputy-";

/// What sort of request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It reads.
    Get,
    /// It writes.
    Set,
}

/// A request in a user's name.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Whom: the user's own account, or a service of theirs.
    pub(crate) to: Jid,
    /// What sort it is.
    pub(crate) kind: Kind,
    /// What is asked. Its namespace is what has to be granted.
    pub(crate) payload: Element,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refused {
    /// The user's server does not grant it.
    #[error("the server does not grant it")]
    NotGranted,
    /// Too much is asked at once.
    #[error("too many requests are on the way")]
    Busy,
    /// The link is down, or went down.
    #[error("the link to the server is down")]
    Lost,
    /// Nothing came within the time.
    #[error("no answer came")]
    Silent,
    /// The answer was none.
    #[error("the answer could not be understood")]
    Odd,
    /// Who was asked refused, or the user's server did. COMPAT: Prosody's mod_privilege says `internal-server-error` for
    /// whatever error it was.
    #[error("refused: {0:?}")]
    Error(DefinedCondition),
}

/// Asks in users' names.
pub(crate) struct Deputy {
    transport: Jid,
    outbox: Arc<Outbox>,
    keeper: Arc<RosterKeeper>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    open: HashMap<String, Open>,
    open_of: HashMap<BareJid, usize>,
    lacking: BTreeMap<String, BTreeSet<String>>,
}

struct Open {
    user: BareJid,
    asked: Jid,
    sender: oneshot::Sender<Result<Option<Element>, Refused>>,
}

/// Takes a request back, however the asking ends.
struct OnTheWay<'a> {
    deputy: &'a Deputy,
    id: String,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        self.deputy.state().take(&self.id);
    }
}

impl State {
    fn take(&mut self, id: &str) -> Option<Open> {
        let open = self.open.remove(id)?;
        if let Some(count) = self.open_of.get_mut(&open.user) {
            *count -= 1;
            if *count == 0 {
                self.open_of.remove(&open.user);
            }
        }
        Some(open)
    }
}

impl Deputy {
    /// One for the transport of this JID.
    pub(crate) fn new(transport: BareJid, outbox: Arc<Outbox>, keeper: Arc<RosterKeeper>) -> Self {
        Self {
            transport: transport.into(),
            outbox,
            keeper,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this user's server lets us ask this. What is not granted is remembered for [`Deputy::lacking`].
    pub(crate) fn may(&self, user: &BareJid, kind: Kind, namespace: &str) -> bool {
        let grants = self.keeper.grants(&UserKey::from(user.as_str()));
        let may = allows(&grants, kind, namespace);
        if !may {
            let mut state = self.state();
            let domain = user.domain().as_str();
            if state.lacking.len() < MOST_LACKING || state.lacking.contains_key(domain) {
                let of_it = state.lacking.entry(domain.to_owned()).or_default();
                if of_it.len() < MOST_LACKING && !of_it.contains(namespace) {
                    of_it.insert(namespace.to_owned());
                }
            }
        }
        may
    }

    /// Asks, and waits for the answer, [`PATIENCE`] at most.
    ///
    /// # Errors
    /// Each [`Refused`] but for the last two without anything having been asked.
    pub(crate) async fn ask(&self, user: &BareJid, request: Request) -> Result<Option<Element>, Refused> {
        let Request { to, kind, payload } = request;
        if !self.may(user, kind, &payload.ns()) {
            return Err(Refused::NotGranted);
        }
        if !self.outbox.is_up() {
            return Err(Refused::Lost);
        }
        let (sender, answer) = oneshot::channel();
        let on_the_way = {
            let mut state = self.state();
            let of_user = state.open_of.get(user).copied().unwrap_or_default();
            if state.open.len() >= MOST_OPEN || of_user >= MOST_OF_ONE {
                return Err(Refused::Busy);
            }
            state.next += 1;
            let id = format!("{OWN}{}", state.next);
            *state.open_of.entry(user.clone()).or_default() += 1;
            let open = Open {
                user: user.clone(),
                asked: to.clone(),
                sender,
            };
            state.open.insert(id.clone(), open);
            OnTheWay { deputy: self, id }
        };
        let id = on_the_way.id.clone();
        let inner = iq(kind, None, to, id.clone(), payload);
        let outer = iq(
            kind,
            Some(self.transport.clone()),
            user.clone().into(),
            id,
            privilege::wrapped(inner),
        );
        self.outbox.push(Stanza::Iq(outer));
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Lost),
            Err(_) => Err(Refused::Silent),
        }
    }

    /// Takes the answer to a request of ours; gives back any other. It comes from the user's bare JID, with which only their
    /// server speaks, and has the request's id.
    pub(crate) fn answered(&self, iq: Iq) -> Option<Iq> {
        if !iq.id().starts_with(OWN) {
            return Some(iq);
        }
        let mut state = self.state();
        let is_ours = state.open.get(iq.id()).is_some_and(|open| {
            let user = open.user.as_str();
            iq.from().is_some_and(|from| from.as_str() == user)
        });
        if !is_ours {
            return Some(iq);
        }
        let open = state.take(iq.id())?;
        drop(state);
        let said = match iq {
            Iq::Error { error, .. } => Err(Refused::Error(error.defined_condition)),
            Iq::Result { id, payload, .. } => payload
                .and_then(|payload| privilege::unwrapped(&payload))
                .map_or(Err(Refused::Odd), |inner| heard(inner, &id, &open)),
            Iq::Get { .. } | Iq::Set { .. } => Err(Refused::Odd),
        };
        // Who asked may have given up.
        let _ = open.sender.send(said);
        None
    }

    /// The link is down: nothing that was asked will be answered.
    pub(crate) fn link_down(&self) {
        let mut state = self.state();
        state.open.clear();
        state.open_of.clear();
    }

    /// What was to be asked in users' names and is not granted at the moment, for the administrator.
    pub(crate) fn lacking(&self) -> Vec<String> {
        let mut state = self.state();
        state.lacking.retain(|domain, namespaces| {
            let grants = self.keeper.granted_by(domain).unwrap_or_default();
            namespaces.retain(|namespace| !(allows(&grants, Kind::Get, namespace) && allows(&grants, Kind::Set, namespace)));
            !namespaces.is_empty()
        });
        let sentence = |(domain, namespaces): (&String, &BTreeSet<String>)| {
            let list: Vec<&str> = namespaces.iter().map(String::as_str).collect();
            format!(
                "{domain} does not grant requests in its users' names (XEP-0356) for {}",
                list.join(", ")
            )
        };
        state.lacking.iter().map(sentence).collect()
    }
}

fn allows(grants: &Grants, kind: Kind, namespace: &str) -> bool {
    let access = grants.request(namespace);
    match kind {
        Kind::Get => access.can_get(),
        Kind::Set => access.can_set(),
    }
}

fn iq(kind: Kind, from: Option<Jid>, to: Jid, id: String, payload: Element) -> Iq {
    let to = Some(to);
    match kind {
        Kind::Get => Iq::Get { from, to, id, payload },
        Kind::Set => Iq::Set { from, to, id, payload },
    }
}

/// What the one who was asked has said, if it was that one.
fn heard(inner: Element, id: &str, open: &Open) -> Result<Option<Element>, Refused> {
    if !inner.is("iq", ns::DEFAULT_NS) || inner.attr("id") != Some(id) {
        return Err(Refused::Odd);
    }
    // An account may leave its own address out (RFC 6120 8.1.2.1).
    let asked: &str = open.asked.as_str();
    let is_theirs = inner.attr("from").map_or(asked == open.user.as_str(), |from| from == asked);
    if !is_theirs {
        return Err(Refused::Odd);
    }
    match Iq::try_from(inner) {
        Ok(Iq::Result { payload, .. }) => Ok(payload),
        Ok(Iq::Error { error, .. }) => Err(Refused::Error(error.defined_condition)),
        Ok(Iq::Get { .. } | Iq::Set { .. }) | Err(_) => Err(Refused::Odd),
    }
}

#[cfg(test)]
mod tests;
