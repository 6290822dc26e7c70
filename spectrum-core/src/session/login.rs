//! Where a user is on the way into the network: the account, who waits to be let in, and when to try again. Owned by the
//! session; what follows from a step is in `life`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backend::link::LinkLogin;
use crate::backend::{LoginError, LoginErrorKind, Retry};
use crate::model::{LegacyName, Secret};
use crate::session::fingerprint::fingerprint;
use crate::session::{Account, AuthError, Cx, Output, Ticket};

/// A connection that lasted as long counts as a good one: the next back-off starts anew.
const STABLE: Duration = Duration::from_secs(60);
/// The first attempt after a loss comes within this time.
const FIRST_RETRY: Duration = Duration::from_millis(4_500);
/// The second one comes about then; every further one after twice the time.
const SECOND_RETRY: Duration = Duration::from_secs(10);
/// Attempts are never further apart, unless the network asks for it.
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// Nor then.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// A client that comes while nothing is tried makes the next attempt come this soon.
const RETRY_FOR_CLIENT: Duration = Duration::from_secs(1);
/// How long a person may take to answer a question of the login.
const PATIENCE: Duration = Duration::from_secs(600);

/// How far the login has got. Times are deadlines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum State {
    /// Not begun.
    #[default]
    New,
    /// The store has been asked.
    Loading,
    /// There are no credentials yet.
    Idle,
    /// A seat on a backend has been asked for.
    Assigning,
    /// The network has been asked to let the user in.
    LoggingIn(Duration),
    /// The network has accepted the user, at this time.
    Online(Duration),
    /// The next attempt comes then; `reload`: with a question to the store.
    BackingOff { until: Duration, reload: bool },
    /// The session is over.
    Over,
}

/// The login of one user.
#[derive(Debug, Default)]
pub(crate) struct Login {
    pub(crate) state: State,
    name: Option<LegacyName>,
    password: Option<Secret>,
    settings: BTreeMap<String, String>,
    waiting: Vec<Waiting>,
    failures: u32,
    /// The user has been told of the present trouble.
    pub(crate) told: bool,
    /// The store has been told that the user is online.
    pub(crate) marked_online: bool,
    /// The network has accepted the user at least once.
    pub(crate) was_online: bool,
    /// When the session ends for want of resources.
    pub(crate) linger: Option<Duration>,
    /// When resources count as gone that have not been heard of since the link to the XMPP server came back.
    pub(crate) silence: Option<Duration>,
}

/// A client that waits to be let in.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: Ticket,
    until: Duration,
}

/// What an authentication leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// It has been answered.
    Answered,
    /// It waits for the login that is under way, or for the next.
    Waits,
    /// It waits, and has brought the credentials for a first login.
    Begins,
}

impl Login {
    /// Takes over the credentials of a registration; true if they differ from those before.
    pub(crate) fn set_account(&mut self, account: &mut Account) -> bool {
        let name = account.name.take();
        let password = account.password.take();
        let settings = std::mem::take(&mut account.settings);
        // Clients of a server bring the credentials; the store has none then.
        if name.is_none() {
            self.settings.extend(settings);
            return false;
        }
        let changed = self.name != name || self.password != password || self.settings != settings;
        self.name = name;
        self.password = password;
        self.settings = settings;
        changed
    }

    /// The account on the network.
    pub(crate) fn name(&self) -> Option<&LegacyName> {
        self.name.as_ref()
    }

    /// Everybody is let in under their own name.
    pub(crate) fn set_name(&mut self, name: LegacyName) {
        self.name = Some(name);
    }

    /// Whether the user wants to stay logged in without a resource.
    pub(crate) fn stays_connected(&self) -> bool {
        self.settings
            .get("stay_connected")
            .is_some_and(|v| matches!(v.as_str(), "1" | "true" | "yes" | "always"))
    }

    /// The user has chosen something.
    pub(crate) fn set_setting(&mut self, name: String, value: String) {
        self.settings.insert(name, value);
    }

    /// Whether the user wants to be logged out without a resource, whatever is usual here.
    pub(crate) fn leaves_with_resources(&self) -> bool {
        self.settings
            .get("stay_connected")
            .is_some_and(|v| matches!(v.as_str(), "0" | "false" | "no" | "never"))
    }

    /// Somebody wants to see the login now: the next attempt comes soon.
    pub(crate) fn hurry(&mut self, now: Duration) {
        if let State::BackingOff { until, .. } = &mut self.state {
            *until = (*until).min(now + RETRY_FOR_CLIENT);
        }
    }

    /// Takes a setting out that is the session's own.
    pub(crate) fn take_setting(&mut self, name: &str) -> Option<String> {
        self.settings.remove(name)
    }

    /// What the link needs; `None` without an account.
    pub(crate) fn request(&self) -> Option<LinkLogin> {
        Some(LinkLogin {
            name: self.name.clone()?,
            password: self.password.clone(),
            settings: self.settings.clone(),
            presence: crate::model::Presence::ONLINE,
            contacts: Vec::new(),
        })
    }

    /// A client wants in.
    pub(crate) fn authenticate(&mut self, cx: &mut Cx<'_>, ticket: Ticket, name: LegacyName, password: Secret) -> Admission {
        let mut answer = |result| {
            cx.out.push(Output::Authenticated { ticket, result });
            Admission::Answered
        };
        let known = self.name.as_ref().filter(|_| self.was_online || !self.waiting.is_empty());
        if let Some(known) = known {
            let same = cx.names.same(known.as_str(), name.as_str()) && self.password.as_ref() == Some(&password);
            if !same && self.was_online {
                return answer(Err(AuthError::NotAuthorized));
            }
            if !same {
                // Nobody knows yet whose password is the right one.
                return answer(Err(AuthError::Refused(
                    "Another login to this account is under way.".to_owned(),
                )));
            }
        }
        if matches!(self.state, State::Online(_)) {
            return answer(Ok(()));
        }
        if self.state == State::Over || self.waiting.len() >= cx.config.limits.resources {
            return answer(Err(AuthError::Refused("There are too many resources already.".to_owned())));
        }
        self.name = Some(name);
        self.password = Some(password);
        self.waiting.push(Waiting {
            ticket,
            until: cx.now.mono + cx.config.login_timeout,
        });
        match &mut self.state {
            State::Idle => Admission::Begins,
            State::BackingOff { until, .. } => {
                *until = (*until).min(cx.now.mono + RETRY_FOR_CLIENT);
                Admission::Waits
            }
            State::New | State::Loading | State::Assigning | State::LoggingIn(_) | State::Online(_) | State::Over => {
                Admission::Waits
            }
        }
    }

    /// The client that waited is gone.
    pub(crate) fn abandoned(&mut self, ticket: Ticket) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
    }

    /// Whether clients wait.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers everybody who waits.
    pub(crate) fn admit(&mut self, cx: &mut Cx<'_>, result: &Result<(), AuthError>) {
        for Waiting { ticket, .. } in std::mem::take(&mut self.waiting) {
            cx.out.push(Output::Authenticated {
                ticket,
                result: result.clone(),
            });
        }
    }

    /// Answers those who have waited long enough.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        let (late, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(|w| w.until <= now);
        self.waiting = waiting;
        for Waiting { ticket, .. } in late {
            cx.out.push(Output::Authenticated {
                ticket,
                result: Err(AuthError::Login(timed_out(cx))),
            });
        }
    }

    /// The login goes on when the person has answered: that takes longer.
    pub(crate) fn be_patient(&mut self, now: Duration) {
        if let State::LoggingIn(until) = &mut self.state {
            *until = now + PATIENCE;
        }
        self.waiting.iter_mut().for_each(|waiting| waiting.until = now + PATIENCE);
    }

    /// The person has answered: the network has its usual time again.
    pub(crate) fn be_prompt(&mut self, now: Duration, timeout: Duration) {
        if let State::LoggingIn(until) = &mut self.state {
            *until = now + timeout;
        }
        self.waiting.iter_mut().for_each(|waiting| waiting.until = now + timeout);
    }

    /// The login starts from the beginning, because something about it has changed.
    pub(crate) fn forgive(&mut self) {
        self.failures = 0;
        self.told = false;
    }

    /// A connection has lasted; if it was a good one, the next back-off starts anew.
    pub(crate) fn lasted(&mut self, since: Duration, now: Duration) {
        if now.saturating_sub(since) >= STABLE {
            self.failures = 0;
        }
    }

    /// Whether something went wrong before, since the last good connection.
    pub(crate) fn has_failed_before(&self) -> bool {
        self.failures > 0
    }

    /// How long to wait before the next attempt. Spread by user, so that a network that comes back is not run over.
    pub(crate) fn next_wait(&mut self, user: &str, retry: Retry) -> Duration {
        let spread = fingerprint(user, u64::from(self.failures) + 16) % 1_000;
        let spread = u32::try_from(spread).unwrap_or_default();
        let wait = match self.failures {
            0 => FIRST_RETRY * spread / 1_000,
            n => {
                let base = SECOND_RETRY.saturating_mul(1 << (n - 1).min(8)).min(LONGEST_RETRY);
                base * 3 / 4 + base * spread / 2_000
            }
        };
        self.failures = self.failures.saturating_add(1);
        match retry {
            Retry::After(asked) => wait.max(asked.min(LONGEST_WAIT)),
            Retry::WhenConnected | Retry::Never => wait,
        }
    }

    /// When something is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let state = match self.state {
            State::LoggingIn(until) | State::BackingOff { until, .. } => Some(until),
            State::New | State::Loading | State::Idle | State::Assigning | State::Online(_) | State::Over => None,
        };
        let waiting = self.waiting.iter().map(|w| w.until);
        state.into_iter().chain(self.linger).chain(self.silence).chain(waiting).min()
    }
}

/// The network has not answered in time.
pub(crate) fn timed_out(cx: &Cx<'_>) -> LoginError {
    LoginError::new(
        LoginErrorKind::Network,
        format!("{} did not accept the login in time.", cx.info.name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_comes_within_five_seconds_and_later_ones_ever_later() {
        for user in ["romeo@example.org", "juliet@example.org", "nurse@example.org"] {
            let mut login = Login::default();
            let first = login.next_wait(user, Retry::WhenConnected);
            assert!(first < Duration::from_secs(5));
            let waits: Vec<_> = (0..8).map(|_| login.next_wait(user, Retry::WhenConnected)).collect();
            assert!(
                waits[0] >= Duration::from_secs(7) && waits[0] <= Duration::from_secs(13),
                "{waits:?}"
            );
            assert!(waits.windows(2).take(4).all(|w| w[0] < w[1]), "{waits:?}");
            assert!(waits.iter().all(|w| *w <= LONGEST_RETRY * 5 / 4));
            let asked = Duration::from_secs(900);
            assert_eq!(login.next_wait(user, Retry::After(asked)), asked);
        }
    }

    #[test]
    fn users_do_not_retry_at_the_same_time() {
        let wait = |user: &str| Login::default().next_wait(user, Retry::WhenConnected);
        assert_ne!(wait("romeo@example.org"), wait("juliet@example.org"));
    }

    #[test]
    fn only_a_connection_that_lasted_makes_the_back_off_start_anew() {
        let mut login = Login::default();
        login.next_wait("u", Retry::WhenConnected);
        login.lasted(Duration::ZERO, Duration::from_secs(5));
        assert!(login.has_failed_before());
        login.lasted(Duration::ZERO, STABLE);
        assert!(!login.has_failed_before());
    }
}
