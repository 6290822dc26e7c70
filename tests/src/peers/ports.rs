//! Free ports on loopback, held against other tests that run at the same time.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;

use crate::{Failure, Outcome};

/// Below the kernel's ephemeral range: a port from `bind(0)` could be taken by any outgoing connection between our look
/// and the server's bind.
const LOW: u64 = 20_000;
const HIGH: u64 = 32_000;

/// A port that nobody listens on. No other test gets the same one while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Locked as long as it is open, by whichever test process.
    _lock: File,
}

impl Port {
    /// Finds one.
    ///
    /// # Errors
    /// If none of many tries was free.
    pub fn free() -> Outcome<Self> {
        let locks = std::env::temp_dir().join(format!("spectrum-test-ports-{}", rustix::process::getuid().as_raw()));
        std::fs::create_dir_all(&locks)?;
        let random = RandomState::new();
        for attempt in 0..2_000_u32 {
            let number = u16::try_from(LOW + random.hash_one(attempt) % (HIGH - LOW)).map_err(|e| Failure::new(e.to_string()))?;
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(locks.join(number.to_string()))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            if TcpListener::bind(("0.0.0.0", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err("no free port found".into())
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_that_live_at_the_same_time_differ() {
        let ports: Vec<_> = (0..50).map(|_| Port::free().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
    }
}
