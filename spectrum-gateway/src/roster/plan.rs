//! What to do next for one user's roster: a plain state machine without I/O or clock. Owned by the keeper.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jid::BareJid;
use spectrum_core::store::RosterState;
use xmpp_parsers::roster::Subscription;

use super::{Held, Kind, Wanted};
use crate::privilege::Access;

/// Roster sets of one user that may be on the way. A server answers them one by one; more at once would only fill its
/// queue.
const WINDOW: usize = 8;
/// How long an answer may take before its request counts as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two subscription requests to one user: each is a question on somebody's screen.
const PACE: Duration = Duration::from_millis(250);
/// How long grants may take to arrive behind a new link before subscription requests begin.
pub(super) const GRANT_WAIT: Duration = Duration::from_secs(10);

/// What is known of the domain and the link when a step is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// The roster access granted by the user's domain.
    pub(super) access: Access,
    /// Since when the link is up.
    pub(super) up_since: Duration,
    /// Now, on the same clock.
    pub(super) now: Duration,
}

/// What is to be sent or asked next.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    /// Ask for the roster.
    Get,
    /// Set this item.
    Set(BareJid, Wanted, Option<Held>),
    /// Load what is known of the roster from the store.
    LoadKnown,
    /// Ask the user to let the contact in.
    Subscribe(BareJid, Option<String>),
    /// Take the contact's subscriptions back.
    Unsubscribe(BareJid),
}

/// One user's roster and what is to be done to it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    wanted: BTreeMap<BareJid, Wanted>,
    order: VecDeque<BareJid>,
    roster: Knowledge<BTreeMap<BareJid, Held>>,
    known: Knowledge<BTreeMap<BareJid, RosterState>>,
    /// Sets on the way.
    sets: BTreeMap<BareJid, (Wanted, Duration)>,
    next_subscribe: Duration,
    /// A set was refused: the grant does not hold for this user.
    refused: bool,
    /// Whatever the roster holds of ours is to go.
    removes_all: bool,
}

#[derive(Debug, Default)]
enum Knowledge<T> {
    #[default]
    Unknown,
    AskedAt(Duration),
    Known(T),
}

impl Plan {
    /// This is wanted, instead of what was wanted of that item before.
    pub(super) fn want(&mut self, jid: BareJid, wanted: Wanted) {
        if self.wanted.insert(jid.clone(), wanted).is_none() {
            self.order.push_back(jid);
        }
    }

    /// Everything of ours is to leave the roster: these are known to be in it, and what else is found.
    pub(super) fn remove_all(&mut self, known: BTreeMap<BareJid, RosterState>) {
        self.removes_all = true;
        self.wanted.clear();
        self.order.clear();
        for jid in known.keys() {
            self.want(jid.clone(), Wanted::removed());
        }
        if let Knowledge::Known(_) = self.roster {
            self.roster = Knowledge::Unknown;
        }
        self.known = Knowledge::Known(known);
    }

    /// The user is back: what is wanted counts again.
    pub(super) fn keep(&mut self) {
        self.removes_all = false;
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.sets.is_empty()
    }

    /// The link was lost: what was on the way has to be done again.
    pub(super) fn link_lost(&mut self) {
        for (jid, (wanted, _)) in std::mem::take(&mut self.sets) {
            self.again(jid, wanted);
        }
        self.roster = Knowledge::Unknown;
        self.refused = false;
    }

    /// The domain's grants changed.
    pub(super) fn grants_changed(&mut self) {
        self.refused = false;
        if matches!(self.roster, Knowledge::AskedAt(_)) {
            self.roster = Knowledge::Unknown;
        }
    }

    fn again(&mut self, jid: BareJid, wanted: Wanted) {
        if !self.wanted.contains_key(&jid) {
            self.want(jid, wanted);
        }
    }

    /// The user's roster, of which only our items are of interest; `None` if it is not to be had.
    pub(super) fn got(&mut self, roster: Option<BTreeMap<BareJid, Held>>) {
        match roster {
            Some(roster) => {
                if self.removes_all {
                    let found: Vec<BareJid> = roster.keys().filter(|jid| !self.wanted.contains_key(*jid)).cloned().collect();
                    for jid in found {
                        self.want(jid, Wanted::removed());
                    }
                }
                self.roster = Knowledge::Known(roster);
            }
            None => self.refused = true,
        }
    }

    /// What the store knows of the roster.
    pub(super) fn loaded(&mut self, known: BTreeMap<BareJid, RosterState>) {
        self.known = Knowledge::Known(known);
    }

    /// Something became known of one item while this plan was at work.
    pub(super) fn note(&mut self, jid: &BareJid, state: Option<RosterState>) {
        if let Knowledge::Known(known) = &mut self.known {
            match state {
                Some(state) => known.insert(jid.clone(), state),
                None => known.remove(jid),
            };
        }
    }

    /// A set was answered. Gives what is now known of the item.
    pub(super) fn set_answered(&mut self, jid: &BareJid, accepted: bool) -> Option<Option<RosterState>> {
        let (wanted, _) = self.sets.remove(jid)?;
        if !accepted {
            self.refused = true;
            self.again(jid.clone(), wanted);
            return None;
        }
        if let Knowledge::Known(roster) = &mut self.roster {
            match wanted.kind {
                Kind::Removed => {
                    roster.remove(jid);
                }
                Kind::Both | Kind::Ask => {
                    let held = Held {
                        name: wanted.name,
                        groups: wanted.groups,
                        subscription: Subscription::Both,
                    };
                    roster.insert(jid.clone(), held);
                }
            }
        }
        let state = (wanted.kind != Kind::Removed).then_some(RosterState::Held);
        self.note(jid, state);
        Some(state)
    }

    /// The next steps, and when to come back for more even if nothing happens until then.
    pub(super) fn steps(&mut self, at: Situation, out: &mut Vec<Step>) -> Option<Duration> {
        self.give_up_late(at.now);
        if self.wanted.is_empty() {
            return self.sets.values().map(|(_, since)| *since + ANSWER_TIMEOUT).min();
        }
        if at.access.can_set() && !self.refused {
            return self.by_grant(at, out);
        }
        let grants_due = at.up_since + GRANT_WAIT;
        if !at.access.can_set() && at.now < grants_due {
            return Some(grants_due);
        }
        self.by_subscription(at, out)
    }

    fn give_up_late(&mut self, now: Duration) {
        let is_late = |since: Duration| since + ANSWER_TIMEOUT <= now;
        if let Knowledge::AskedAt(since) = self.roster
            && is_late(since)
        {
            self.roster = Knowledge::Unknown;
            self.refused = true;
        }
        let late: Vec<BareJid> = self
            .sets
            .iter()
            .filter(|(_, (_, since))| is_late(*since))
            .map(|(jid, _)| jid.clone())
            .collect();
        for jid in late {
            self.set_answered(&jid, false);
        }
    }

    fn by_grant(&mut self, at: Situation, out: &mut Vec<Step>) -> Option<Duration> {
        if at.access.can_get() {
            match &self.roster {
                Knowledge::Unknown => {
                    self.roster = Knowledge::AskedAt(at.now);
                    out.push(Step::Get);
                    return Some(at.now + ANSWER_TIMEOUT);
                }
                Knowledge::AskedAt(since) => return Some(*since + ANSWER_TIMEOUT),
                Knowledge::Known(_) => {}
            }
        }
        // An item on the way is not sent again before its answer: the later one could overtake it.
        let mut turns = self.order.len();
        while self.sets.len() < WINDOW && turns > 0 {
            turns -= 1;
            let Some(jid) = self.order.pop_front() else { break };
            if self.sets.contains_key(&jid) {
                self.order.push_back(jid);
                continue;
            }
            let Some(wanted) = self.wanted.remove(&jid) else { continue };
            let held = match &self.roster {
                Knowledge::Known(roster) => {
                    let held = roster.get(&jid);
                    if wanted.is_fulfilled_by(held) {
                        continue;
                    }
                    held.cloned()
                }
                Knowledge::Unknown | Knowledge::AskedAt(_) => None,
            };
            out.push(Step::Set(jid.clone(), wanted.clone(), held));
            self.sets.insert(jid, (wanted, at.now));
        }
        self.sets.values().map(|(_, since)| *since + ANSWER_TIMEOUT).min()
    }

    fn by_subscription(&mut self, at: Situation, out: &mut Vec<Step>) -> Option<Duration> {
        match &self.known {
            Knowledge::Unknown => {
                self.known = Knowledge::AskedAt(at.now);
                out.push(Step::LoadKnown);
                return None;
            }
            Knowledge::AskedAt(_) => return None,
            Knowledge::Known(_) => {}
        }
        while let Some(jid) = self.order.front() {
            let Some(wanted) = self.wanted.get(jid) else {
                self.order.pop_front();
                continue;
            };
            let is_known = matches!(&self.known, Knowledge::Known(known) if known.contains_key(jid));
            // Names and groups cannot be changed from here, and nobody is asked twice.
            let is_needed = match wanted.kind {
                Kind::Both | Kind::Ask => !is_known,
                Kind::Removed => is_known,
            };
            let is_question = is_needed && wanted.kind != Kind::Removed;
            if is_question && self.next_subscribe > at.now {
                return Some(self.next_subscribe);
            }
            let Some(jid) = self.order.pop_front() else { break };
            let Some(wanted) = self.wanted.remove(&jid) else { continue };
            if !is_needed {
                continue;
            }
            let state = match wanted.kind {
                Kind::Removed => None,
                Kind::Both | Kind::Ask => Some(RosterState::Asked),
            };
            self.note(&jid, state);
            if is_question {
                self.next_subscribe = at.now + PACE;
            }
            out.push(match wanted.kind {
                Kind::Removed => Step::Unsubscribe(jid),
                Kind::Both | Kind::Ask => Step::Subscribe(jid, wanted.name),
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    fn jid(text: &str) -> BareJid {
        BareJid::new(&format!("{text}@irc.localhost")).unwrap()
    }

    fn both(name: &str) -> Wanted {
        Wanted {
            name: Some(name.to_owned()),
            groups: BTreeSet::new(),
            kind: Kind::Both,
        }
    }

    fn held(name: &str) -> Held {
        Held {
            name: Some(name.to_owned()),
            groups: BTreeSet::new(),
            subscription: Subscription::Both,
        }
    }

    fn at(access: Access, seconds: u64) -> Situation {
        Situation {
            access,
            up_since: Duration::ZERO,
            now: Duration::from_secs(seconds),
        }
    }

    fn steps(plan: &mut Plan, situation: Situation) -> (Vec<Step>, Option<u64>) {
        let mut out = Vec::new();
        let next = plan.steps(situation, &mut out);
        (out, next.map(|next| next.as_secs()))
    }

    #[test]
    fn roster_is_read_first_and_only_what_differs_is_set() {
        let mut plan = Plan::default();
        for name in ["a", "b", "c"] {
            plan.want(jid(name), both(name));
        }
        assert_eq!(steps(&mut plan, at(Access::Both, 0)), (vec![Step::Get], Some(30)));
        assert_eq!(steps(&mut plan, at(Access::Both, 1)), (vec![], Some(30)));
        plan.got(Some(
            [(jid("a"), held("a")), (jid("b"), held("old")), (jid("x"), held("x"))].into(),
        ));
        let expected = vec![
            Step::Set(jid("b"), both("b"), Some(held("old"))),
            Step::Set(jid("c"), both("c"), None),
        ];
        assert_eq!(steps(&mut plan, at(Access::Both, 2)), (expected, Some(32)));
        assert_eq!(plan.set_answered(&jid("b"), true), Some(Some(RosterState::Held)));
        assert_eq!(plan.set_answered(&jid("c"), true), Some(Some(RosterState::Held)));
        assert!(plan.is_done());
    }

    #[test]
    fn without_a_grant_ten_seconds_pass_before_anybody_is_asked() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("a"));
        assert_eq!(steps(&mut plan, at(Access::None, 1)), (vec![], Some(10)));
        assert_eq!(steps(&mut plan, at(Access::None, 10)), (vec![Step::LoadKnown], None));
        plan.loaded(BTreeMap::new());
        assert_eq!(
            steps(&mut plan, at(Access::None, 10)).0,
            [Step::Subscribe(jid("a"), Some("a".to_owned()))]
        );
        assert!(plan.is_done());
    }

    #[test]
    fn nobody_is_asked_twice() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("a"));
        plan.want(jid("b"), both("b"));
        steps(&mut plan, at(Access::None, 20));
        plan.loaded([(jid("a"), RosterState::Asked), (jid("b"), RosterState::Held)].into());
        assert_eq!(steps(&mut plan, at(Access::None, 20)), (vec![], None));
        assert!(plan.is_done());
    }

    #[test]
    fn removal_of_everything_takes_what_the_roster_holds() {
        let mut plan = Plan::default();
        plan.remove_all([(jid("a"), RosterState::Held)].into());
        assert_eq!(steps(&mut plan, at(Access::Both, 0)).0, [Step::Get]);
        plan.got(Some([(jid("b"), held("b"))].into()));
        assert_eq!(
            steps(&mut plan, at(Access::Both, 1)).0,
            [Step::Set(jid("b"), Wanted::removed(), Some(held("b")))]
        );
        plan.set_answered(&jid("b"), true);
        assert!(plan.is_done());
    }

    #[test]
    fn removal_without_a_grant_takes_back_what_is_known_at_once() {
        let mut plan = Plan::default();
        plan.remove_all([(jid("a"), RosterState::Asked), (jid("b"), RosterState::Held)].into());
        let expected = vec![Step::Unsubscribe(jid("a")), Step::Unsubscribe(jid("b"))];
        assert_eq!(steps(&mut plan, at(Access::None, 20)), (expected, None));
    }

    #[test]
    fn requests_are_paced_and_a_late_grant_stops_them() {
        let mut plan = Plan::default();
        for name in ["a", "b", "c"] {
            plan.want(jid(name), both(name));
        }
        steps(&mut plan, at(Access::None, 20));
        plan.loaded(BTreeMap::new());
        let mut out = Vec::new();
        let next = plan.steps(at(Access::None, 20), &mut out);
        assert_eq!((out.len(), next), (1, Some(Duration::from_millis(20_250))));
        plan.grants_changed();
        assert_eq!(steps(&mut plan, at(Access::Set, 20)).0.len(), 2);
        assert_eq!(steps(&mut plan, at(Access::Set, 21)).0, []);
    }

    #[test]
    fn refused_set_falls_back_to_asking() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("a"));
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0.len(), 1);
        assert_eq!(plan.set_answered(&jid("a"), false), None);
        assert_eq!(steps(&mut plan, at(Access::Set, 1)).0, [Step::LoadKnown]);
        plan.loaded(BTreeMap::new());
        assert_eq!(
            steps(&mut plan, at(Access::Set, 1)).0,
            [Step::Subscribe(jid("a"), Some("a".to_owned()))]
        );
    }

    #[test]
    fn server_that_never_answers_does_not_hold_the_roster_up() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("a"));
        steps(&mut plan, at(Access::Both, 0));
        assert_eq!(steps(&mut plan, at(Access::Both, 30)).0, [Step::LoadKnown]);
    }

    #[test]
    fn sets_are_bounded_and_continue_as_answers_come() {
        let mut plan = Plan::default();
        for number in 0..20 {
            plan.want(jid(&format!("c{number:02}")), both("x"));
        }
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0.len(), WINDOW);
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0.len(), 0);
        plan.set_answered(&jid("c00"), true);
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0.len(), 1);
    }

    #[test]
    fn item_changed_while_on_the_way_is_sent_again_behind_its_answer() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("one"));
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0.len(), 1);
        plan.want(jid("a"), both("two"));
        assert_eq!(steps(&mut plan, at(Access::Set, 0)).0, []);
        plan.set_answered(&jid("a"), true);
        assert_eq!(
            steps(&mut plan, at(Access::Set, 0)).0,
            [Step::Set(jid("a"), both("two"), None)]
        );
    }

    #[test]
    fn lost_link_starts_over_with_the_newest_wish() {
        let mut plan = Plan::default();
        plan.want(jid("a"), both("one"));
        plan.want(jid("b"), both("b"));
        steps(&mut plan, at(Access::Set, 0));
        plan.want(jid("a"), both("two"));
        plan.link_lost();
        let sent = steps(&mut plan, at(Access::Set, 5)).0;
        assert_eq!(
            sent,
            [Step::Set(jid("a"), both("two"), None), Step::Set(jid("b"), both("b"), None)]
        );
    }
}
