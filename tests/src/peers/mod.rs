//! Third-party servers for tests, started on loopback with configurations of our own and ended by pid.
//!
//! Each peer owns its processes, its ports and its directory; dropping it ends and removes them. Nothing of the system's
//! own configuration is read or changed. As root, a server runs as its package's user (through `setpriv`, which execs, so
//! that the pid we hold is the server's); as anybody else it runs as that user.
//!
//! A peer that is not installed is [`PeerError::Missing`]: [`needed`] turns that into a loud skip, or into a failure where
//! `SPECTRUM_TESTS_REQUIRE=all` says that every peer must be there.

mod account;
mod certificates;
mod inspircd;
mod ngircd;
mod ports;
mod postgres;
mod process;
mod prosody;
mod relay;
mod scratch;

use std::fmt;
use std::path::PathBuf;

pub use account::Account;
pub use certificates::Certificates;
pub use inspircd::Inspircd;
pub use ngircd::Ngircd;
pub use ports::Port;
pub use postgres::Postgres;
pub use process::{Process, Signal, wait_until};
pub use prosody::{Component, NETWORK_DOMAIN, NETWORK_ROOMS, PROSODY_DOMAIN, Prosody, USERS};
pub use relay::Relay;
pub use scratch::Scratch;

use crate::Failure;

/// Why a peer is not there.
#[derive(Debug)]
pub enum PeerError {
    /// Its program is not installed; `tests/setup` would do it.
    Missing(&'static str),
    /// It is installed and did not come up; the text has the end of its logs.
    Failed(Failure),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "{what} is not installed (tests/setup does it)"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl<E: Into<Failure>> From<E> for PeerError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The peer, or `None` if the test is to be skipped because it is not installed.
///
/// # Panics
/// If the peer is installed and does not work, or is missing where `SPECTRUM_TESTS_REQUIRE=all`.
pub fn needed<T>(peer: Result<T, PeerError>) -> Option<T> {
    match peer {
        Ok(peer) => Some(peer),
        Err(PeerError::Missing(what)) if !everything_is_required() => {
            skipped(what);
            None
        }
        Err(error) => panic!("a peer of this test is not there: {error}"),
    }
}

fn everything_is_required() -> bool {
    std::env::var("SPECTRUM_TESTS_REQUIRE").is_ok_and(|v| v == "all")
}

/// Says it where people look: in the test's output, and in the list that `tests/run` prints at the end.
fn skipped(what: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "SKIPPED {test}: {what} is not installed; run tests/setup");
    if let Some(list) = std::env::var_os("SPECTRUM_TESTS_SKIPS")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(list)
    {
        let _ = writeln!(file, "{test} (no {what})");
    }
}

/// Where a program is, looking also where Debian keeps servers.
pub fn program(name: &'static str) -> Result<PathBuf, PeerError> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"])
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|file| file.is_file())
        .ok_or(PeerError::Missing(name))
}

/// Where `tests/setup` put the Python venv and the node modules.
pub fn cache() -> PathBuf {
    if let Some(cache) = std::env::var_os("SPECTRUM_TEST_CACHE") {
        return cache.into();
    }
    crate::programs::target_directory().join("test-peers")
}
