//! Listening for clients, and how many are let in before they have said who they are. The admission is owned by the
//! server and shared by its listeners.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spectrum_core::instance::RunError;
use spectrum_core::tasks::Tasks;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::client::{self, Security, Shared};

/// Connections that have not authenticated, all together. One more is closed at once.
const UNKNOWN_TOTAL: usize = 4096;

/// Those from one address, or one /64 network of IPv6. Loopback is exempt: there stands a proxy, or nobody hostile.
const UNKNOWN_PER_ADDRESS: usize = 64;

/// Logins refused to one address, or one /64 network of IPv6, within [`REFUSALS_COUNT`]. Then none is tried any more: whoever
/// guesses passwords would have the network do it, and a running session answers a guess at once. Loopback is exempt.
const REFUSED_PER_ADDRESS: usize = 30;

/// For how long a refused login counts.
const REFUSALS_COUNT: Duration = Duration::from_secs(600);

/// Addresses whose refused logins are counted; those of further ones are not.
const REFUSED_ADDRESSES: usize = 10_000;

/// How long accepting pauses when the process has no more files.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(100);

/// An address that is listened on.
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) security: Security,
}

/// Binds an address.
pub(crate) async fn bind(address: SocketAddr, security: Security) -> Result<Listener, RunError> {
    let error = |source: io::Error| RunError::Listen {
        address: address.to_string(),
        source,
    };
    let socket = TcpListener::bind(address).await.map_err(error)?;
    let address = socket.local_addr().map_err(error)?;
    Ok(Listener {
        socket,
        address,
        security,
    })
}

/// Accepts clients until the server stops.
pub(crate) async fn run(listener: Listener, shared: Arc<Shared>, admission: Arc<Admission>, tasks: Tasks) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = shared.stopping.cancelled() => return,
        };
        match accepted {
            Ok((socket, from)) => admit(socket, from, listener.security, &shared, &admission, &tasks),
            Err(error) => {
                warn!(%error, "A connection could not be accepted.");
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
            }
        }
    }
}

fn admit(
    socket: TcpStream,
    from: SocketAddr,
    security: Security,
    shared: &Arc<Shared>,
    admission: &Arc<Admission>,
    tasks: &Tasks,
) {
    let Some(seat) = admission.admit(from.ip()) else {
        debug!(%from, "Too many connections have not authenticated; one more is closed.");
        return;
    };
    // Batches are ours to make; the kernel would only delay the last part of each.
    if let Err(error) = socket.set_nodelay(true) {
        info!(%error, "A new connection was gone before it began.");
        return;
    }
    let span = info_span!("client", %from);
    let served = client::serve(Box::new(socket), security, Arc::clone(shared), seat);
    drop(tasks.spawn("client", span.clone(), served.instrument(span)));
}

/// Counts connections that have not authenticated.
#[derive(Default)]
pub(crate) struct Admission {
    unknown: Mutex<Unknown>,
}

#[derive(Default)]
struct Unknown {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
    refused: HashMap<IpAddr, VecDeque<Instant>>,
}

/// The place of one connection among those that have not authenticated. Dropping it gives it up.
pub(crate) struct Seat(Option<(Arc<Admission>, IpAddr)>);

impl Admission {
    fn unknown(&self) -> MutexGuard<'_, Unknown> {
        self.unknown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the connection a seat, or `None` if there is none.
    pub(crate) fn admit(self: &Arc<Self>, from: IpAddr) -> Option<Seat> {
        let from = network(from);
        let mut unknown = self.unknown();
        if unknown.total >= UNKNOWN_TOTAL {
            return None;
        }
        let count = unknown.per_address.entry(from).or_default();
        if *count >= UNKNOWN_PER_ADDRESS && !from.is_loopback() {
            return None;
        }
        *count += 1;
        unknown.total += 1;
        Some(Seat(Some((Arc::clone(self), from))))
    }
}

impl Unknown {
    /// How many logins of this address were refused of late.
    fn refusals(&mut self, from: IpAddr, now: Instant) -> usize {
        let Some(refused) = self.refused.get_mut(&from) else {
            return 0;
        };
        while refused.front().is_some_and(|at| !counts(*at, now)) {
            refused.pop_front();
        }
        refused.len()
    }
}

/// Whether a refusal of then is one of late.
fn counts(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < REFUSALS_COUNT
}

impl Seat {
    /// Whether another login of this address may be tried.
    pub(crate) fn may_try(&self) -> bool {
        let Some((admission, from)) = &self.0 else { return true };
        from.is_loopback() || admission.unknown().refusals(*from, Instant::now()) < REFUSED_PER_ADDRESS
    }

    /// The network, or a session, has refused the login.
    pub(crate) fn refused(&self) {
        let Some((admission, from)) = &self.0 else { return };
        let now = Instant::now();
        let mut unknown = admission.unknown();
        unknown.refusals(*from, now);
        if !unknown.refused.contains_key(from) && unknown.refused.len() >= REFUSED_ADDRESSES {
            unknown
                .refused
                .retain(|_, refused| refused.back().is_some_and(|at| counts(*at, now)));
            if unknown.refused.len() >= REFUSED_ADDRESSES {
                return;
            }
        }
        let refused = unknown.refused.entry(*from).or_default();
        if refused.len() < REFUSED_PER_ADDRESS {
            refused.push_back(now);
        }
    }

    /// The client has said who it is.
    pub(crate) fn give_up(&mut self) {
        let Some((admission, from)) = self.0.take() else { return };
        let mut unknown = admission.unknown();
        unknown.total -= 1;
        if let Some(count) = unknown.per_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                unknown.per_address.remove(&from);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// What one customer of a provider has: an address, or a /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(admission: &Arc<Admission>, from: &str, wanted: usize) -> Vec<Seat> {
        let from = from.parse().expect("an address");
        (0..wanted).map_while(|_| admission.admit(from)).collect()
    }

    #[test]
    fn connections_of_one_address_are_bounded_until_they_authenticate() {
        let admission = Arc::new(Admission::default());
        let mut seats = admitted(&admission, "192.0.2.1", 1000);
        assert_eq!(seats.len(), UNKNOWN_PER_ADDRESS);
        assert_eq!(admitted(&admission, "192.0.2.2", 1).len(), 1);
        seats[0].give_up();
        drop(seats.pop());
        assert_eq!(admitted(&admission, "192.0.2.1", 1000).len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn logins_refused_to_an_address_are_counted_for_a_while() {
        let admission = Arc::new(Admission::default());
        let seat = |from: &str| admitted(&admission, from, 1).pop().expect("a seat");
        for _ in 0..REFUSED_PER_ADDRESS {
            let seat = seat("192.0.2.1");
            assert!(seat.may_try());
            seat.refused();
            seat_of_loopback(&admission).refused();
        }
        assert!(!seat("192.0.2.1").may_try());
        assert!(seat("192.0.2.2").may_try());
        assert!(seat_of_loopback(&admission).may_try());
        tokio::time::advance(REFUSALS_COUNT).await;
        assert!(seat("192.0.2.1").may_try());
    }

    fn seat_of_loopback(admission: &Arc<Admission>) -> Seat {
        admitted(admission, "::1", 1).pop().expect("a seat")
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_with_refused_logins_are_bounded() {
        let admission = Arc::new(Admission::default());
        for n in 0..REFUSED_ADDRESSES + 10 {
            let from = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).expect("few")));
            admission.admit(from).expect("a seat").refused();
        }
        assert_eq!(admission.unknown().refused.len(), REFUSED_ADDRESSES);
        tokio::time::advance(REFUSALS_COUNT).await;
        admitted(&admission, "192.0.2.1", 1)[0].refused();
        assert_eq!(admission.unknown().refused.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let admission = Arc::new(Admission::default());
        let seats: Vec<Seat> = (0..1000)
            .filter_map(|n| admission.admit(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, n))))
            .collect();
        assert_eq!(seats.len(), UNKNOWN_PER_ADDRESS);
        assert_eq!(admitted(&admission, "2001:db8:0:2::1", 1).len(), 1);
        let mapped = admitted(&admission, "::ffff:192.0.2.1", 1000);
        assert_eq!(mapped.len(), UNKNOWN_PER_ADDRESS);
        assert!(admitted(&admission, "192.0.2.1", 1).is_empty());
    }

    #[test]
    fn loopback_is_bounded_by_the_total_alone() {
        let admission = Arc::new(Admission::default());
        let seats = admitted(&admission, "127.0.0.1", 10_000);
        assert_eq!(seats.len(), UNKNOWN_TOTAL);
        drop(seats);
        assert!(admission.unknown().per_address.is_empty());
        assert_eq!(admission.unknown().total, 0);
    }
}
