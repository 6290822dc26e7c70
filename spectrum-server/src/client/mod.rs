//! One client: a task that owns its stream, from the first byte to the last. Nothing here is shared but the [`Outbox`],
//! which others fill.

mod bound;
mod login;
mod negotiation;
mod outbox;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid};
use spectrum_core::face::UserIn;
use spectrum_core::model::{LegacyName, Secret, UserKey};
use spectrum_core::router::{NoSession, Router};
use spectrum_core::session::{Input, Ticket};
use spectrum_core::stream::{Header, StreamError, Version};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use xmpp_parsers::stream_error::DefinedCondition;

use self::negotiation::Negotiation;
pub(crate) use self::outbox::{End, Outbox};
pub(crate) use self::wire::Io;
use self::wire::Wire;
use crate::clients::{Clients, ConnectionId};
use crate::face::ServerFace;
use crate::listener::Seat;
use crate::service::Answers;
use crate::tls::Tls;

/// What a connection wants of sessions. Implemented by the router; an interface of its own so that a connection can be
/// tried without a network behind it.
pub(crate) trait Sessions: Send + Sync + 'static {
    /// Has the user's session answer whether these credentials are let in.
    fn authenticate(&self, user: &BareJid, ticket: Ticket, name: &LegacyName, password: &Secret);
    /// Tells the user's session something, if there is one.
    fn tell(&self, user: &UserKey, input: Input);
    /// Hands a stanza to the user's session.
    ///
    /// # Errors
    /// Gives it back if there is no session.
    fn route(&self, user: &UserKey, input: Box<UserIn>) -> Result<(), NoSession>;
}

impl Sessions for Router {
    fn authenticate(&self, user: &BareJid, ticket: Ticket, name: &LegacyName, password: &Secret) {
        Self::authenticate(self, user, ticket, name, password);
    }

    fn tell(&self, user: &UserKey, input: Input) {
        // A session that has ended by itself needs no telling.
        Self::tell(self, user, input);
    }

    fn route(&self, user: &UserKey, input: Box<UserIn>) -> Result<(), NoSession> {
        Self::route(self, user, input)
    }
}

/// How long things take with clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// How long a client may keep us waiting until it has bound its resource. The network's time is not counted.
    pub(crate) negotiation: Duration,
    /// How long the network may take to accept a login. The session keeps this time; the connection gives it some more.
    pub(crate) login: Duration,
    /// After so long without a byte the buffers of a client are made small.
    pub(crate) quiet: Duration,
    /// After so long without a byte a client is asked whether it is there (XEP-0199).
    pub(crate) ping_after: Duration,
    /// So long it may take to say something then.
    pub(crate) ping_wait: Duration,
}

impl Timing {
    pub(crate) const fn new(login: Duration) -> Self {
        Self {
            negotiation: Duration::from_secs(60),
            login,
            quiet: Duration::from_secs(10),
            // Rare enough for the battery of a telephone, often enough for the tables of a router.
            ping_after: Duration::from_secs(240),
            ping_wait: Duration::from_secs(60),
        }
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) domain: BareJid,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) face: Arc<ServerFace>,
    pub(crate) tls: Tls,
    pub(crate) answers: Answers,
    pub(crate) timing: Timing,
    /// The server stops.
    pub(crate) stopping: CancellationToken,
}

impl Shared {
    /// The header of our side of a stream.
    fn header(&self) -> Header {
        Header {
            from: Some(self.domain.to_string()),
            id: Some(random_hex::<16>()),
            version: Some(Version::V1_0),
            lang: Some("en".to_owned()),
            to: None,
        }
    }
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// In clear text; it has to be upgraded.
    Plain,
    /// With TLS from the first byte (XEP-0368).
    DirectTls,
}

/// Why a connection is over.
#[derive(Debug)]
enum Stop {
    /// The client is gone, or not worth a word.
    Gone,
    /// The client has closed its stream.
    Closed,
    /// This is to be told before closing.
    Error(StreamError),
}

impl From<DefinedCondition> for Stop {
    fn from(condition: DefinedCondition) -> Self {
        Self::Error(condition.into())
    }
}

impl Stop {
    fn error(condition: DefinedCondition, text: &'static str) -> Self {
        Self::Error(StreamError::new(condition, text))
    }
}

/// A client that has bound its resource.
struct Me {
    jid: FullJid,
    bare: BareJid,
    user: UserKey,
    connection: ConnectionId,
    outbox: Arc<Outbox>,
}

/// Serves one client until it is gone. Its seat among those that have not authenticated is given up on the way.
pub(crate) async fn serve(io: Box<dyn Io>, security: Security, shared: Arc<Shared>, seat: Seat) {
    let mut wire = Wire::new(io);
    let stop = match negotiate(&mut wire, security, &shared, seat).await {
        Ok(me) => {
            info!(user = %me.user, resource = %me.jid.resource(), "A client is connected.");
            let stop = Box::pin(bound::run(&mut wire, &shared, &me)).await;
            info!(user = %me.user, resource = %me.jid.resource(), "A client is gone.");
            stop
        }
        Err(stop) => stop,
    };
    match stop {
        Stop::Gone => {}
        Stop::Closed => wire.close(&shared.header(), None).await,
        Stop::Error(error) => {
            debug!(%error, "The stream of a client is closed.");
            wire.close(&shared.header(), Some(&error)).await;
        }
    }
}

/// Boxed, so that its memory is gone once the client is bound.
async fn negotiate(wire: &mut Wire, security: Security, shared: &Shared, seat: Seat) -> Result<Me, Stop> {
    let negotiation = Box::pin(Negotiation::new(wire, shared, seat).run(security));
    tokio::select! {
        result = negotiation => result,
        () = shared.stopping.cancelled() => Err(DefinedCondition::SystemShutdown.into()),
    }
}

/// Random bytes as text.
fn random_hex<const BYTES: usize>() -> String {
    use std::fmt::Write;
    let mut bytes = [0; BYTES];
    // Without entropy TLS has failed before.
    getrandom::fill(&mut bytes).expect("the system has a random generator");
    bytes.iter().fold(String::with_capacity(2 * BYTES), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
