//! Where sessions' stanzas go: roster changes to the keeper, the rest to the link. Owns nothing.

use std::sync::{Arc, OnceLock};

use spectrum_core::model::UserKey;
use spectrum_core::session::{AuthError, CloseReason, Progress, Publication, Ticket};
use spectrum_core::session_task::Outlet;
use spectrum_core::stanza::Stanza;
use tracing::debug;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;

use crate::account::AccountKeeper;
use crate::desk::{Desk, WeakDesk};
use crate::link::Outbox;
use crate::privilege;
use crate::roster::RosterKeeper;

/// The outlet of a gateway's sessions.
pub(crate) struct GatewayOutlet {
    outbox: Arc<Outbox>,
    keeper: Arc<RosterKeeper>,
    accounts: Arc<AccountKeeper>,
    desk: OnceLock<WeakDesk>,
}

impl GatewayOutlet {
    /// To this link, past these keepers.
    pub(crate) fn new(outbox: Arc<Outbox>, keeper: Arc<RosterKeeper>, accounts: Arc<AccountKeeper>) -> Self {
        Self {
            outbox,
            keeper,
            accounts,
            desk: OnceLock::new(),
        }
    }

    /// What is for the transport itself goes there. Said once, before there are sessions.
    pub(crate) fn set_desk(&self, desk: &Desk) {
        let _already = self.desk.set(desk.downgrade());
    }

    fn desk(&self) -> Option<Desk> {
        self.desk.get().and_then(WeakDesk::upgrade)
    }
}

impl Outlet for GatewayOutlet {
    fn send(&self, user: &UserKey, stanzas: &mut Vec<Stanza>) {
        if stanzas.iter().any(is_special) {
            *stanzas = std::mem::take(stanzas)
                .into_iter()
                .filter_map(|stanza| self.pass(user, stanza))
                .collect();
        }
        self.outbox.push_all(stanzas);
    }

    fn authenticated(&self, user: &UserKey, _ticket: Ticket, _result: Result<(), AuthError>) {
        // No client logs in to a component.
        debug!(%user, "A login was answered that nobody asked for.");
    }

    fn progress(&self, user: &UserKey, progress: Progress) {
        if let Some(desk) = self.desk() {
            desk.progress(user, progress);
        }
    }

    fn publish(&self, user: &UserKey, publication: Publication) {
        self.accounts.publish(user, publication);
    }

    fn said(&self, _user: &UserKey, message: Message) {
        if let Some(desk) = self.desk() {
            desk.hear(&message);
        }
    }

    fn closed(&self, user: &UserKey, reason: &CloseReason) {
        self.accounts.closed(user);
        let why = match reason {
            // Has been told, with the network's words.
            CloseReason::LoginFailed => return,
            CloseReason::NotRegistered => "You are not registered.",
            CloseReason::Offline | CloseReason::Ended | CloseReason::Overflow => "The session has ended.",
        };
        self.progress(user, Progress::Failed(why.to_owned()));
    }
}

/// Whether a stanza has to be looked at: most have not.
fn is_special(stanza: &Stanza) -> bool {
    match stanza {
        Stanza::Iq(Iq::Set { .. }) => true,
        Stanza::Message(message) => privilege::is_forwarded(message),
        Stanza::Presence(_) | Stanza::Iq(Iq::Get { .. } | Iq::Result { .. } | Iq::Error { .. }) => false,
    }
}

impl GatewayOutlet {
    fn pass(&self, user: &UserKey, stanza: Stanza) -> Option<Stanza> {
        match self.keeper.take(user, stanza)? {
            Stanza::Message(message) if privilege::is_forwarded(&message) => {
                let grants = self.keeper.grants(user);
                // The user wrote it and has it where it was written; without the privilege it cannot be shown here.
                grants.messages.then(|| privilege::in_version(message, grants.version).into())
            }
            other => Some(other),
        }
    }
}
