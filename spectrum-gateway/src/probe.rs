//! Who is online? Asked at the start for those who were, and for everybody with a session when the link is back (design
//! 8.6). Paced, so that neither the server nor the network meets everybody at once.
//!
//! Owns nothing; runs as one task per start or return, the one before is aborted.

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid};
use minidom::Element;
use spectrum_core::config::StayConnected;
use spectrum_core::main_process::MainProcess;
use spectrum_core::model::{LegacyName, UserKey};
use spectrum_core::router::Router;
use spectrum_core::session::{Input, NameTable, StoredName};
use spectrum_core::store::{STAY_CONNECTED, Store, StoreError};
use spectrum_core::xml::element;
use tracing::{info, warn};
use xmpp_parsers::ns;
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
    pub(crate) main: Arc<dyn MainProcess>,
    pub(crate) jid_escaping: Option<bool>,
}

/// The user is not in the room any more, for the service was shut down (XEP-0045 status 332).
fn out_of_room(occupant: &FullJid, to: FullJid) -> Presence {
    let mut presence = Presence::unavailable().with_from(occupant.clone()).with_to(to);
    let status = |code: &str| element("status", ns::MUC_USER, &[("code", code)]);
    let x = Element::builder("x", ns::MUC_USER)
        .append(element("item", ns::MUC_USER, &[("affiliation", "none"), ("role", "none")]))
        .append(status("110"))
        .append(status("332"))
        .build();
    presence.payloads.push(x);
    presence
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
                continue;
            }
            if let Err(failed) = self.take_out_of_rooms(user).await {
                warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not load which rooms a user was in."
                );
            }
            if let Err(failed) = self.store.save_online(user, false).await {
                warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not note that a user is offline."
                );
            }
        }
    }

    /// Who joined rooms without a subscription to the transport cannot be asked: their clients are told that they are out.
    async fn take_out_of_rooms(&self, user: &UserKey) -> Result<(), StoreError> {
        let rooms = self.store.load_rooms(user).await?;
        if rooms.iter().all(|room| room.viewers.is_empty()) {
            return Ok(());
        }
        let (Ok(user_jid), Some(info)) = (BareJid::new(user.as_str()), self.main.info()) else {
            return Ok(());
        };
        let mut names = NameTable::new(&info);
        names.force_escaping(self.jid_escaping);
        names.load(self.store.load_names(user).await?.into_iter().map(StoredName::from).collect());
        for room in rooms {
            let node = names.node_of(&LegacyName::from(&room.room), &mut Vec::new());
            let jid = BareJid::from_parts(Some(&node), self.transport.domain());
            let Ok(occupant) = jid.with_resource_str(room.nickname.as_str()) else {
                continue;
            };
            for viewer in &room.viewers {
                if let Ok(to) = user_jid.with_resource_str(viewer) {
                    self.outbox.push(out_of_room(&occupant, to).into());
                }
            }
        }
        Ok(())
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
