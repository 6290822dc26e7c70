//! The clients that are connected, by user and resource: where what sessions say is handed to connections, and where
//! logins wait. Owned by the server; connections register and unregister themselves, sessions look up. No lock is held
//! while anything is awaited.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jid::{BareJid, FullJid, Jid, ResourcePart, ResourceRef};
use spectrum_core::model::UserKey;
use spectrum_core::session::{AuthError, CloseReason, Ticket};
use spectrum_core::session_task::Outlet;
use spectrum_core::stanza::{Stanza, error};
use tokio::sync::oneshot;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::carbons;
use crate::client::{End, Outbox};

/// A number for each connection, so that one that was replaced does not unregister its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

/// One resource of one user.
struct Resource {
    name: ResourcePart,
    connection: ConnectionId,
    outbox: Arc<Outbox>,
    /// Its priority, once it has sent its presence.
    available: Option<i8>,
    /// Whether it wants copies of what other resources send and get (XEP-0280).
    carbons: bool,
}

/// All connected clients.
#[derive(Default)]
pub(crate) struct Clients {
    users: RwLock<HashMap<UserKey, Vec<Resource>>>,
    logins: Mutex<HashMap<Ticket, oneshot::Sender<Result<(), AuthError>>>>,
    numbers: AtomicU64,
    stopping: AtomicBool,
}

/// Connections of one user. One more is not bound: sessions serve no more resources either.
pub(crate) const RESOURCES_PER_USER: usize = 32;

/// What [`Clients::bind`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) connection: ConnectionId,
    /// Another connection had the resource. It is told, and its session has to be.
    pub(crate) replaced: bool,
}

impl Clients {
    fn users(&self) -> RwLockReadGuard<'_, HashMap<UserKey, Vec<Resource>>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn users_mut(&self) -> RwLockWriteGuard<'_, HashMap<UserKey, Vec<Resource>>> {
        self.users.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn logins(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Result<(), AuthError>>>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a ticket for a login and the place where its answer arrives.
    pub(crate) fn expect_login(&self) -> (Ticket, oneshot::Receiver<Result<(), AuthError>>) {
        let ticket = Ticket(self.number());
        let (sender, receiver) = oneshot::channel();
        self.logins().insert(ticket, sender);
        (ticket, receiver)
    }

    /// The client that waited is gone.
    pub(crate) fn forget_login(&self, ticket: Ticket) {
        self.logins().remove(&ticket);
    }

    /// Makes the connection the one of this resource; an earlier one is ended with `conflict`. `None` if the user has too
    /// many already.
    pub(crate) fn bind(&self, user: &UserKey, name: ResourcePart, outbox: Arc<Outbox>) -> Option<Bound> {
        let connection = ConnectionId(self.number());
        let resource = Resource {
            name,
            connection,
            outbox,
            available: None,
            carbons: false,
        };
        let mut users = self.users_mut();
        let resources = users.entry(user.clone()).or_default();
        match resources.iter().position(|other| other.name == resource.name) {
            Some(at) => {
                std::mem::replace(&mut resources[at], resource).outbox.close(End::Conflict);
                Some(Bound {
                    connection,
                    replaced: true,
                })
            }
            None if resources.len() >= RESOURCES_PER_USER => None,
            None => {
                resources.push(resource);
                Some(Bound {
                    connection,
                    replaced: false,
                })
            }
        }
    }

    /// Takes the connection out. False if another one has its resource by now.
    pub(crate) fn unbind(&self, user: &UserKey, connection: ConnectionId) -> bool {
        let mut users = self.users_mut();
        let MapEntry::Occupied(mut entry) = users.entry(user.clone()) else {
            return false;
        };
        let before = entry.get().len();
        entry.get_mut().retain(|resource| resource.connection != connection);
        let found = entry.get().len() < before;
        if entry.get().is_empty() {
            entry.remove();
        }
        found
    }

    /// Whether a resource of this name is taken.
    #[cfg(test)]
    pub(crate) fn is_bound(&self, user: &UserKey, name: &ResourceRef) -> bool {
        self.users()
            .get(user)
            .is_some_and(|resources| resources.iter().any(|resource| *resource.name == *name))
    }

    /// How many clients are connected.
    pub(crate) fn count(&self) -> usize {
        self.users().values().map(Vec::len).sum()
    }

    fn change(&self, user: &UserKey, connection: ConnectionId, change: impl FnOnce(&mut Resource)) {
        let mut users = self.users_mut();
        if let Some(resource) = users
            .get_mut(user)
            .and_then(|resources| resources.iter_mut().find(|it| it.connection == connection))
        {
            change(resource);
        }
    }

    /// Remembers what the resource's own presence says: a priority, or that it is not available.
    pub(crate) fn set_available(&self, user: &UserKey, connection: ConnectionId, available: Option<i8>) {
        self.change(user, connection, |resource| resource.available = available);
    }

    /// Remembers whether the resource wants copies.
    pub(crate) fn set_carbons(&self, user: &UserKey, connection: ConnectionId, carbons: bool) {
        self.change(user, connection, |resource| resource.carbons = carbons);
    }

    /// Gives the user's other resources a copy of what this one sends (XEP-0280 section 6).
    pub(crate) fn copy_sent(&self, sender: &FullJid, user: &UserKey, message: &Message) {
        if !carbons::is_eligible(message) {
            return;
        }
        let users = self.users();
        let Some(resources) = users.get(user) else { return };
        let bare = sender.to_bare();
        for resource in resources.iter().filter(|it| it.carbons && *it.name != *sender.resource()) {
            resource
                .outbox
                .push(&carbons::sent(&bare, &bare.with_resource(&resource.name), message).into());
        }
    }

    /// Delivers within one user's resources (RFC 6121 section 8.5); false if nobody took it.
    pub(crate) fn deliver(&self, user: &UserKey, stanza: &Stanza) -> bool {
        self.users().get(user).is_some_and(|resources| deliver(resources, stanza))
    }

    /// The server stops: connections that end from now on are told so.
    pub(crate) fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Ends all connections.
    pub(crate) fn close_all(&self) {
        for resource in self.users().values().flatten() {
            resource.outbox.close(End::Shutdown);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl Outlet for Clients {
    fn send(&self, user: &UserKey, stanzas: &mut Vec<Stanza>) {
        let users = self.users();
        let resources = users.get(user).map_or(&[][..], Vec::as_slice);
        for stanza in stanzas.drain(..) {
            // What has no taker is presence, an answer to somebody who is gone, or a message that the session holds.
            deliver(resources, &stanza);
        }
    }

    fn authenticated(&self, _user: &UserKey, ticket: Ticket, result: Result<(), AuthError>) {
        if let Some(waiting) = self.logins().remove(&ticket) {
            // The client may have gone at this very moment; then its connection says so itself.
            drop(waiting.send(result));
        }
    }

    fn closed(&self, user: &UserKey, reason: &CloseReason) {
        let end = if self.is_stopping() {
            End::Shutdown
        } else {
            End::Session(reason.clone())
        };
        if let Some(resources) = self.users().get(user) {
            for resource in resources {
                resource.outbox.close(end.clone());
            }
        }
    }
}

fn deliver(resources: &[Resource], stanza: &Stanza) -> bool {
    match stanza.recipient().and_then(Jid::resource) {
        Some(name) => deliver_to(resources, name, stanza),
        None => deliver_to_all(resources, stanza),
    }
}

/// To one resource, available or not: it may have asked for something before its presence.
fn deliver_to(resources: &[Resource], name: &ResourceRef, stanza: &Stanza) -> bool {
    let Some(resource) = resources.iter().find(|resource| *resource.name == *name) else {
        return false;
    };
    if let Stanza::Message(message) = stanza {
        if carbons::is_copy(message) && !resource.carbons {
            return true;
        }
        copy_received(resources, name, message);
    }
    resource.outbox.push(stanza)
}

/// Copies for the others of what one resource gets alone (XEP-0280 section 7).
fn copy_received(resources: &[Resource], name: &ResourceRef, message: &Message) {
    if carbons::is_copy(message) || !carbons::is_eligible(message) {
        return;
    }
    let Some(user) = message.to.as_ref().map(Jid::to_bare) else {
        return;
    };
    for other in resources
        .iter()
        .filter(|it| it.carbons && it.available.is_some() && *it.name != *name)
    {
        other
            .outbox
            .push(&carbons::received(&user, &user.with_resource(&other.name), message).into());
    }
}

/// To every available resource; messages only to those that want them (priority not negative).
fn deliver_to_all(resources: &[Resource], stanza: &Stanza) -> bool {
    let mut delivered = false;
    for resource in resources {
        let wanted = match (stanza, resource.available) {
            (_, None) => false,
            (Stanza::Message(message), Some(_)) if carbons::is_copy(message) => resource.carbons,
            (Stanza::Message(_), Some(priority)) => priority >= 0,
            (Stanza::Presence(_) | Stanza::Iq(_), Some(_)) => true,
        };
        delivered |= wanted && resource.outbox.push(stanza);
    }
    delivered
}

/// The answer to a stanza that one of the user's clients sent to another one which is not there; `None` if it needs none.
pub(crate) fn undeliverable(stanza: &Stanza) -> Option<Stanza> {
    match stanza {
        Stanza::Presence(_) => None,
        Stanza::Message(message) if message.type_ == MessageType::Headline => None,
        Stanza::Message(_) | Stanza::Iq(Iq::Get { .. } | Iq::Set { .. } | Iq::Result { .. } | Iq::Error { .. }) => {
            stanza.error_reply(error(DefinedCondition::ServiceUnavailable, ""))
        }
    }
}

/// The key under which sessions and clients know a user.
pub(crate) fn key(user: &BareJid) -> UserKey {
    UserKey::from(user.as_str())
}
