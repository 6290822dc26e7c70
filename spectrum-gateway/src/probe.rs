//! Who is online? Asked at the start for those who were, and for everybody with a session when the link is back (design
//! 8.6). Paced, so that neither the server nor the network meets everybody at once.
//!
//! Owns nothing; runs as one task per start or return, the one before is aborted.

use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use spectrum_core::config::StayConnected;
use spectrum_core::model::UserKey;
use spectrum_core::router::Router;
use spectrum_core::session::Input;
use spectrum_core::store::{STAY_CONNECTED, Store};
use tracing::{info, warn};
use xmpp_parsers::presence::Presence;

use crate::link::Outbox;

/// Probes sent at once.
const BATCH: usize = 20;
/// Between two batches: 200 users a second.
const PACE: Duration = Duration::from_millis(100);
/// Who has not answered after this long is offline.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);

/// Asks who is online.
#[derive(Clone)]
pub(crate) struct Prober {
    pub(crate) transport: BareJid,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) router: Router,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stay_connected: StayConnected,
}

impl Prober {
    /// At the start: those who were online when the instance ended. Who answers gets a session by that; who does not is
    /// noted as offline, unless they stay connected without a client.
    pub(crate) async fn at_start(self) {
        let users = match self.store.list_online().await {
            Ok(users) => users,
            Err(failed) => {
                warn!(error = &failed as &dyn std::error::Error, "Could not load who was online.");
                return;
            }
        };
        if users.is_empty() {
            return;
        }
        info!(users = users.len(), "Asking who of those that were online still is.");
        for batch in users.chunks(BATCH) {
            for user in batch {
                self.probe(user);
            }
            tokio::time::sleep(PACE).await;
        }
        tokio::time::sleep(ANSWER).await;
        for user in users.iter().filter(|user| !self.router.has(user)) {
            if self.stays_connected(user).await {
                if let Ok(jid) = BareJid::new(user.as_str()) {
                    self.router.start(&jid);
                }
            } else if let Err(failed) = self.store.save_online(user, false).await {
                warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not note that a user is offline."
                );
            }
        }
    }

    /// When the link is back: everybody with a session, who then has a minute to answer.
    pub(crate) async fn at_return(self, users: Vec<UserKey>) {
        info!(users = users.len(), "The link is back; asking who is online.");
        for batch in users.chunks(BATCH) {
            for user in batch {
                self.probe(user);
                self.router.tell(user, Input::XmppBack);
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn stays_connected(&self, user: &UserKey) -> bool {
        match self
            .store
            .load_preferences(user)
            .await
            .map(|kept| kept.get(STAY_CONNECTED).cloned())
        {
            Ok(Some(chosen)) => chosen == "true",
            Ok(None) | Err(_) => self.stay_connected == StayConnected::Always,
        }
    }

    fn probe(&self, user: &UserKey) {
        if let Ok(jid) = BareJid::new(user.as_str()) {
            self.outbox
                .push(Presence::probe().with_from(self.transport.clone()).with_to(jid).into());
        }
    }
}
