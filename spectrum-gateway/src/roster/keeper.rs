//! The keeper of remote rosters: one task that carries out the plans of all users.
//!
//! Owns plans, grants and requests on the way behind one short lock, because sessions, the link's reader and the
//! registration all have something to say to it and none may wait. Nothing is awaited under the lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};
use jid::{BareJid, Jid, NodePart};
use spectrum_core::model::UserKey;
use spectrum_core::stanza::Stanza;
use spectrum_core::store::{RosterEntry, RosterState, Store, StoreError};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::roster::Roster;

use super::exchange;
use super::plan::{Plan, Situation, Step};
use super::turns::Turns;
use super::{Kind, Wanted, ours, wanted};
use crate::face;
use crate::link::Outbox;
use crate::naming::Naming;
use crate::privilege::Grants;

/// Domains whose grants are kept. Each serves users of ours, so more than this is no gateway of people.
const MOST_DOMAINS: usize = 10_000;

/// Keeps the users' rosters on their servers.
pub struct RosterKeeper {
    transport: BareJid,
    /// The name of the transport's own roster item.
    naming: Naming,
    outbox: Arc<Outbox>,
    store: Arc<dyn Store>,
    started: Instant,
    state: Mutex<State>,
    wake: Notify,
}

/// What to do with a roster when its user leaves the transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clean {
    /// The contacts leave; the transport stays, for another account follows.
    Contacts,
    /// Everything leaves.
    All,
}

#[derive(Default)]
struct State {
    /// Boxed: the table keeps room for as many as there ever were at once.
    plans: HashMap<UserKey, Box<Plan>>,
    dirty: Turns,
    due: BTreeSet<(Duration, UserKey)>,
    due_of: HashMap<UserKey, Duration>,
    grants: HashMap<String, Grants>,
    up_since: Option<Duration>,
    requests: HashMap<String, Request>,
    next_id: u64,
    loads: Vec<UserKey>,
    saves: BTreeMap<UserKey, BTreeMap<String, Option<RosterState>>>,
    grant_saves: Vec<String>,
}

/// A request on the way.
struct Request {
    user: BareJid,
    what: What,
}

enum What {
    Get,
    Set(BareJid),
}

impl RosterKeeper {
    /// A keeper for the users of `transport`.
    pub fn new(transport: BareJid, naming: Naming, outbox: Arc<Outbox>, store: Arc<dyn Store>) -> Self {
        Self {
            transport,
            naming,
            outbox,
            store,
            started: Instant::now(),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state());
        self.wake.notify_one();
        value
    }

    /// Takes a roster change that a session said; gives back any other stanza.
    pub fn take(&self, user: &UserKey, stanza: Stanza) -> Option<Stanza> {
        let transport = Jid::from(self.transport.clone());
        let Some((jid, wanted)) = wanted(&stanza, &transport) else {
            return Some(stanza);
        };
        self.want(user, jid, wanted);
        None
    }

    /// The transport itself belongs into the roster of this user, who has just registered.
    pub fn add_transport(&self, user: &UserKey) {
        self.change(|state| {
            state.dirty.insert(user.clone());
            let plan = state.plans.entry(user.clone()).or_default();
            plan.keep();
            plan.want(self.transport.clone(), Wanted::transport(&self.naming.name()));
        });
    }

    fn want(&self, user: &UserKey, jid: BareJid, wanted: Wanted) {
        self.change(|state| {
            state.dirty.insert(user.clone());
            state.plans.entry(user.clone()).or_default().want(jid, wanted);
        });
    }

    /// The user leaves: what is ours leaves the roster. `known` is what the store knew of it.
    pub fn clean(&self, user: &UserKey, known: Vec<RosterEntry>, how: Clean) {
        let mut known: BTreeMap<BareJid, RosterState> = known
            .into_iter()
            .filter_map(|entry| Some((BareJid::new(&entry.jid).ok()?, entry.state)))
            .collect();
        match how {
            Clean::All => {
                known.entry(self.transport.clone()).or_insert(RosterState::Held);
            }
            Clean::Contacts => {
                known.remove(&self.transport);
            }
        }
        self.change(|state| {
            state.dirty.insert(user.clone());
            let plan = state.plans.entry(user.clone()).or_default();
            match how {
                Clean::All => plan.remove_all(known),
                Clean::Contacts => {
                    for jid in known.keys() {
                        plan.want(jid.clone(), Wanted::removed());
                    }
                    plan.loaded(known);
                }
            }
        });
    }

    /// A domain says what it grants. Believed for its own users only, and only if they may use the transport: a server
    /// cannot send in another's name.
    pub fn granted(&self, domain: &str, grants: Grants) {
        info!(domain, roster = ?grants.roster, messages = grants.messages, "A server says what it grants.");
        self.change(|state| {
            if !state.grants.contains_key(domain) && state.grants.len() >= MOST_DOMAINS {
                warn!(domain, "Too many domains grant privileges; this one's are not kept.");
                return;
            }
            state.grants.insert(domain.to_owned(), grants);
            state.grant_saves.push(domain.to_owned());
            let State { plans, dirty, .. } = state;
            for (user, plan) in plans.iter_mut().filter(|(user, _)| user.domain() == domain) {
                plan.grants_changed();
                dirty.insert(user.clone());
            }
        });
    }

    /// What this domain has granted, in this run or an earlier one.
    pub(crate) fn granted_by(&self, domain: &str) -> Option<Grants> {
        self.state().grants.get(domain).cloned()
    }

    /// What the domain of this user has granted.
    pub fn grants(&self, user: &UserKey) -> Grants {
        self.state().grants.get(user.domain()).cloned().unwrap_or_default()
    }

    /// Something was seen of the user's roster: a contact is in it, or is not wanted any more. Such a contact is not
    /// asked for again.
    pub fn seen(&self, user: &UserKey, contact: &BareJid, is_held: bool) {
        let state = if is_held { RosterState::Held } else { RosterState::Asked };
        self.change(|all| {
            if let Some(plan) = all.plans.get_mut(user) {
                plan.note(contact, Some(state));
            }
            all.save(user, contact, Some(state));
        });
    }

    /// The link is up.
    pub fn link_up(&self) {
        let now = self.started.elapsed();
        self.change(|state| {
            state.up_since = Some(now);
            let users: Vec<UserKey> = state.plans.keys().cloned().collect();
            state.dirty.extend(users);
        });
    }

    /// The link is down: what was on the way is done again when it is back.
    pub fn link_down(&self) {
        self.change(|state| {
            state.up_since = None;
            state.requests.clear();
            state.plans.values_mut().for_each(|plan| plan.link_lost());
        });
    }

    /// Takes the answer to a request of ours; gives back any other. Matched by peer and id.
    pub fn answered(&self, iq: Iq) -> Option<Iq> {
        let mut state = self.state();
        let is_ours = state.requests.get(iq.id()).is_some_and(|request| {
            let user = request.user.as_str();
            iq.from().is_some_and(|from| from.as_str() == user)
        });
        if !is_ours {
            return Some(iq);
        }
        let request = state.requests.remove(iq.id())?;
        let user = UserKey::from(request.user.as_str());
        let is_done = self.apply(&mut state, &user, request, iq);
        if is_done {
            state.forget_if_done(&user);
        }
        state.dirty.insert(user);
        drop(state);
        self.wake.notify_one();
        None
    }

    fn apply(&self, state: &mut State, user: &UserKey, request: Request, iq: Iq) -> bool {
        let Some(plan) = state.plans.get_mut(user) else { return false };
        match request.what {
            What::Get => {
                let roster = match iq {
                    Iq::Result {
                        payload: Some(payload), ..
                    } => Roster::try_from(payload).ok(),
                    Iq::Result { .. } | Iq::Error { .. } | Iq::Get { .. } | Iq::Set { .. } => None,
                };
                if roster.is_none() {
                    debug!(%user, "A roster could not be read.");
                }
                plan.got(roster.map(|roster| ours(roster, &self.transport)));
            }
            What::Set(jid) => {
                let accepted = matches!(iq, Iq::Result { .. });
                if !accepted {
                    debug!(%user, "A roster set was refused.");
                }
                if let Some(known) = plan.set_answered(&jid, accepted) {
                    state.save(user, &jid, known);
                    if jid == self.transport && known.is_some() {
                        // The server does not tell a presence that was there before we were.
                        let probe = Presence::probe().with_from(self.transport.clone()).with_to(request.user);
                        self.outbox.push(probe.into());
                    }
                }
            }
        }
        true
    }

    /// Carries plans out, for ever. Loads the grants of earlier runs first.
    pub async fn run(&self) {
        match self.store.load_grants().await {
            Ok(kept) => self.change(|state| {
                for (domain, text) in kept {
                    if let Ok(grants) = serde_json::from_str(&text) {
                        // What a server has said meanwhile is newer.
                        state.grants.entry(domain).or_insert(grants);
                    }
                }
            }),
            Err(failed) => warn!(
                error = &failed as &dyn std::error::Error,
                "Could not load the grants of earlier runs."
            ),
        }
        loop {
            let woken = self.wake.notified();
            let (mut stanzas, loads, next) = self.work();
            self.outbox.push_all(&mut stanzas);
            for user in loads {
                self.load(&user).await;
            }
            self.save().await;
            match next {
                Some(at) => {
                    tokio::select! {
                        () = woken => {}
                        () = tokio::time::sleep_until(self.started + at) => {}
                    }
                }
                None => woken.await,
            }
        }
    }

    /// The next steps of everybody with something to do.
    fn work(&self) -> (Vec<Stanza>, Vec<UserKey>, Option<Duration>) {
        let now = self.started.elapsed();
        let mut stanzas = Vec::new();
        let mut state = self.state();
        if let Some(up_since) = state.up_since {
            while let Some((at, user)) = state.due.first().cloned()
                && at <= now
            {
                state.due.pop_first();
                state.due_of.remove(&user);
                state.dirty.insert(user);
            }
            let mut steps = Vec::new();
            for user in state.dirty.next(now) {
                let access = state
                    .grants
                    .get(user.domain())
                    .map(|grants| grants.roster)
                    .unwrap_or_default();
                let Some(plan) = state.plans.get_mut(&user) else { continue };
                let next = plan.steps(Situation { access, up_since, now }, &mut steps);
                state.set_due(&user, next);
                if let Ok(jid) = BareJid::new(user.as_str()) {
                    let mut left = Vec::new();
                    for step in steps.drain(..) {
                        if let Step::Unsubscribe(contact) = &step {
                            left.push(contact.clone());
                        }
                        self.perform(&mut state, &user, &jid, step, &mut stanzas);
                    }
                    stanzas.extend(exchange::deletions(&self.transport, &jid, &left).map(Stanza::from));
                }
                steps.clear();
                state.forget_if_done(&user);
            }
        }
        let due = state.due.first().map(|(at, _)| *at);
        let next = state.up_since.and(state.dirty.due().into_iter().chain(due).min());
        (stanzas, std::mem::take(&mut state.loads), next)
    }

    fn perform(&self, state: &mut State, user: &UserKey, jid: &BareJid, step: Step, stanzas: &mut Vec<Stanza>) {
        let transport = || Jid::from(self.transport.clone());
        let to = || Jid::from(jid.clone());
        match step {
            Step::Get => {
                let id = state.request(jid, What::Get);
                let get = Iq::from_get(
                    id,
                    Roster {
                        ver: None,
                        items: Vec::new(),
                    },
                );
                stanzas.push(get.with_from(transport()).with_to(to()).into());
            }
            Step::Set(contact, wanted, held) => {
                if wanted.kind == Kind::Removed {
                    // Whoever is shown as online when the item goes stays so in some clients (Movim).
                    stanzas.push(Presence::unavailable().with_from(contact.clone()).with_to(to()).into());
                }
                let item = wanted.item(&contact, held.as_ref());
                let id = state.request(jid, What::Set(contact));
                let set = Iq::from_set(
                    id,
                    Roster {
                        ver: None,
                        items: vec![item],
                    },
                );
                stanzas.push(set.with_from(transport()).with_to(to()).into());
            }
            Step::LoadKnown => state.loads.push(user.clone()),
            Step::Subscribe(contact, name) => {
                stanzas.push(face::subscribe(&contact, to(), name, None).into());
                state.save(user, &contact, Some(RosterState::Asked));
            }
            Step::Unsubscribe(contact) => {
                for type_ in [
                    PresenceType::Unsubscribe,
                    PresenceType::Unsubscribed,
                    PresenceType::Unavailable,
                ] {
                    stanzas.push(Presence::new(type_).with_from(contact.clone()).with_to(to()).into());
                }
                state.save(user, &contact, None);
            }
        }
    }

    async fn load(&self, user: &UserKey) {
        let known = match self.store.load_roster(user).await {
            Ok(known) => known,
            Err(failed) => {
                // Without it somebody would be asked twice; better not at all. The next change tries again.
                warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not load what is known of a roster."
                );
                self.change(|state| state.plans.remove(user));
                return;
            }
        };
        let known = known
            .into_iter()
            .filter_map(|entry| Some((BareJid::new(&entry.jid).ok()?, entry.state)))
            .collect();
        self.change(|state| {
            if let Some(plan) = state.plans.get_mut(user) {
                plan.loaded(known);
                state.dirty.insert(user.clone());
            }
        });
    }

    async fn save_entries(&self, user: UserKey, entries: BTreeMap<String, Option<RosterState>>) -> Result<(), StoreError> {
        let (held, gone): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, state)| state.is_some());
        let held: Vec<_> = held
            .into_iter()
            .filter_map(|(jid, state)| Some(RosterEntry { jid, state: state? }))
            .collect();
        let saved = async {
            if held.is_empty() {
                Ok(())
            } else {
                self.store.save_roster(&user, held).await
            }
        };
        let removed = join_all(gone.iter().map(|(jid, _)| self.store.remove_roster_entry(&user, jid)));
        let (saved, removed) = join(saved, removed).await;
        saved.and(removed.into_iter().find_map(Result::err).map_or(Ok(()), Err))
    }

    async fn save(&self) {
        let (saves, domains) = {
            let mut state = self.state();
            let domains: Vec<_> = std::mem::take(&mut state.grant_saves)
                .into_iter()
                .map(|domain| {
                    let grants = state.grants.get(&domain).filter(|grants| !grants.is_empty()).cloned();
                    (domain, grants)
                })
                .collect();
            (std::mem::take(&mut state.saves), domains)
        };
        // All are in the queue of the writer before the first is waited for: many users at once are one commit.
        let saving = saves.into_iter().map(|(user, entries)| self.save_entries(user, entries));
        for failed in join_all(saving).await.into_iter().filter_map(Result::err) {
            warn!(
                error = &failed as &dyn std::error::Error,
                "Could not keep what is known of a roster."
            );
        }
        for (domain, grants) in domains {
            let text = grants.and_then(|grants| serde_json::to_string(&grants).ok());
            if let Err(failed) = self.store.save_grants(&domain, text.as_deref()).await {
                warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not keep the grants of a domain."
                );
            }
        }
    }
}

impl State {
    fn request(&mut self, user: &BareJid, what: What) -> String {
        self.next_id += 1;
        let id = format!("roster-{}", self.next_id);
        self.requests.insert(
            id.clone(),
            Request {
                user: user.clone(),
                what,
            },
        );
        id
    }

    fn save(&mut self, user: &UserKey, contact: &BareJid, state: Option<RosterState>) {
        self.saves.entry(user.clone()).or_default().insert(contact.to_string(), state);
    }

    fn set_due(&mut self, user: &UserKey, at: Option<Duration>) {
        if let Some(old) = self.due_of.remove(user) {
            self.due.remove(&(old, user.clone()));
        }
        if let Some(at) = at {
            self.due.insert((at, user.clone()));
            self.due_of.insert(user.clone(), at);
        }
    }

    fn forget_if_done(&mut self, user: &UserKey) {
        if self.plans.get(user).is_some_and(|plan| plan.is_done()) {
            self.plans.remove(user);
            self.set_due(user, None);
        }
    }
}

/// The bare JID of a contact of ours.
pub(crate) fn contact(transport: &BareJid, node: &NodePart) -> BareJid {
    BareJid::from_parts(Some(node), transport.domain())
}

/// Whether this is a push of a roster (XEP-0356 4.4), which is to be answered and nothing else.
pub(crate) fn is_push(iq: &Iq) -> bool {
    matches!(iq, Iq::Set { from: Some(from), payload, .. } if from.resource().is_none() && payload.is("query", ns::ROSTER))
}
