//! How often users try. Each try may be a login on the network, which counts them for all of us. Owned by the registrar.

use std::collections::HashMap;
use std::time::Duration;

use spectrum_core::model::UserKey;
use tokio::time::Instant;

/// Tries of one user within [`WINDOW`].
pub(super) const TRIES: usize = 10;
/// For how long a try counts.
pub(super) const WINDOW: Duration = Duration::from_secs(600);
/// Users whose tries are counted. Beyond them those are forgotten whose tries count no more; if none are, the user waits.
const USERS: usize = 100_000;

/// Who tried when.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<UserKey, Vec<Instant>>);

impl Attempts {
    /// One more try; false if it is one too many.
    pub(super) fn take(&mut self, user: &UserKey, now: Instant) -> bool {
        let counts = |at: &Instant| now.saturating_duration_since(*at) < WINDOW;
        if !self.0.contains_key(user) && self.0.len() >= USERS {
            self.0.retain(|_, tries| tries.last().is_some_and(counts));
            if self.0.len() >= USERS {
                return false;
            }
        }
        let tries = self.0.entry(user.clone()).or_default();
        tries.retain(counts);
        if tries.len() >= TRIES {
            return false;
        }
        // Most users try once.
        tries.reserve_exact(1);
        tries.push(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_are_counted_for_each_user_and_forgotten() {
        let (mut attempts, romeo) = (Attempts::default(), UserKey::from("romeo@x"));
        for _ in 0..TRIES {
            assert!(attempts.take(&romeo, Instant::now()));
        }
        assert!(!attempts.take(&romeo, Instant::now()));
        assert!(attempts.take(&UserKey::from("juliet@x"), Instant::now()));
        tokio::time::advance(WINDOW).await;
        assert!(attempts.take(&romeo, Instant::now()));
    }
}
