//! Whose roster is dealt with next. Owned by the keeper.
//!
//! When thousands log in at once, their requests are due at once, and each brings several answers: what all of them take
//! together would stay with the process as memory in pieces. So it is some at a time, with a pause for the answers.

use std::collections::BTreeSet;
use std::time::Duration;

use spectrum_core::model::UserKey;

/// Users that are dealt with in one go.
const USERS_AT_ONCE: usize = 128;

/// What is between that and the next go.
const PAUSE: Duration = Duration::from_millis(20);

/// The users with something to do.
#[derive(Default)]
pub(super) struct Turns {
    waiting: BTreeSet<UserKey>,
    /// Those that come before all who wait.
    turn: Vec<UserKey>,
    rests_until: Duration,
}

impl Turns {
    /// There is something to do for this user. Who had a turn just now waits until all others have had theirs.
    pub(super) fn insert(&mut self, user: UserKey) {
        self.waiting.insert(user);
    }

    /// There is something to do for all of these.
    pub(super) fn extend(&mut self, users: impl IntoIterator<Item = UserKey>) {
        self.waiting.extend(users);
    }

    /// Takes those whose turn it is now; nobody during a pause.
    pub(super) fn next(&mut self, now: Duration) -> Vec<UserKey> {
        if now < self.rests_until {
            return Vec::new();
        }
        if self.turn.is_empty() {
            self.turn = std::mem::take(&mut self.waiting).into_iter().rev().collect();
        }
        let rest = self.turn.len().saturating_sub(USERS_AT_ONCE);
        let users = self.turn.split_off(rest);
        if self.turn.is_empty() {
            self.turn = Vec::new();
        }
        if self.somebody_waits() {
            self.rests_until = now + PAUSE;
        }
        users
    }

    /// When the next turn is, if somebody waits.
    pub(super) fn due(&self) -> Option<Duration> {
        self.somebody_waits().then_some(self.rests_until)
    }

    fn somebody_waits(&self) -> bool {
        !self.turn.is_empty() || !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserKey {
        UserKey::from(format!("u{number:04}@localhost").as_str())
    }

    #[test]
    fn a_crowd_takes_turns_with_pauses_and_nobody_is_forgotten() {
        let mut turns = Turns::default();
        turns.extend((0..USERS_AT_ONCE * 2 + 1).map(user));
        assert_eq!(turns.next(Duration::ZERO).len(), USERS_AT_ONCE);
        assert_eq!(turns.due(), Some(PAUSE));
        // Who has had a turn and has something to do again comes behind the others, also behind those of later.
        turns.insert(user(0));
        assert_eq!(turns.next(PAUSE / 2), []);
        let second = turns.next(PAUSE);
        assert_eq!((second.len(), second.contains(&user(0))), (USERS_AT_ONCE, false));
        assert_eq!(turns.next(PAUSE * 2), [user(USERS_AT_ONCE * 2)]);
        assert_eq!(turns.due(), Some(PAUSE * 3));
        assert_eq!(turns.next(PAUSE * 3), [user(0)]);
        assert_eq!(turns.due(), None);
    }

    #[test]
    fn a_few_wait_for_nothing() {
        let mut turns = Turns::default();
        for number in 0..3 {
            turns.insert(user(number));
            assert_eq!(turns.next(Duration::ZERO), [user(number)]);
            assert_eq!(turns.due(), None);
        }
    }
}
