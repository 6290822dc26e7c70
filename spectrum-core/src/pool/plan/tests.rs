#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// A plan, its clock, and what it has asked for so far.
struct Bench {
    plan: Plan,
    now: Instant,
    next_waiter: u64,
}

impl Bench {
    fn new(users_per_backend: usize) -> Self {
        Self::with(PlanOptions {
            users_per_backend,
            ..PlanOptions::default()
        })
    }

    fn with(options: PlanOptions) -> Self {
        Self {
            plan: Plan::new(options),
            now: Instant::now(),
            next_waiter: 1,
        }
    }

    fn tell(&mut self, event: PlanEvent) -> Vec<Action> {
        let mut out = Vec::new();
        self.plan.handle(event, self.now, &mut out);
        out
    }

    fn want(&mut self, user: &str) -> (WaiterId, Vec<Action>) {
        let waiter = WaiterId(self.next_waiter);
        self.next_waiter += 1;
        (
            waiter,
            self.tell(PlanEvent::Wanted {
                waiter,
                user: user.into(),
            }),
        )
    }

    /// Wants a seat, and takes it.
    fn seat(&mut self, user: &str) -> (AssignmentId, BackendId) {
        let (_, actions) = self.want(user);
        seats(&actions)[0]
    }

    fn ready(&mut self, id: u32) -> Vec<Action> {
        self.tell(PlanEvent::Ready { backend: BackendId(id) })
    }

    fn die(&mut self, id: u32) -> Vec<Action> {
        let ending = Ending::Died {
            reason: "signal 9".to_owned(),
            jitter: u16::MAX,
        };
        self.tell(PlanEvent::Ended {
            backend: BackendId(id),
            ending,
        })
    }

    fn pass(&mut self, secs: u64) -> Vec<Action> {
        self.now += Duration::from_secs(secs);
        self.tell(PlanEvent::TimePassed)
    }

    /// Starts the first backend.
    fn up(mut self) -> Self {
        assert_eq!(self.tell(PlanEvent::TimePassed), [Action::Start(BackendId(1))]);
        assert_eq!(self.ready(1), []);
        self
    }
}

fn seats(actions: &[Action]) -> Vec<(AssignmentId, BackendId)> {
    let seat = |action: &Action| match action {
        Action::Seat { assignment, backend, .. } => Some((*assignment, *backend)),
        _ => None,
    };
    actions.iter().filter_map(seat).collect()
}

fn starts(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Start(_))).count()
}

fn refusals(actions: &[Action]) -> Vec<(WaiterId, Refusal)> {
    let refusal = |action: &Action| match action {
        Action::Refuse { waiter, why } => Some((*waiter, why.clone())),
        _ => None,
    };
    actions.iter().filter_map(refusal).collect()
}

#[test]
fn one_backend_is_kept_warm() {
    let mut bench = Bench::new(2).up();
    assert_eq!(bench.seat("a").1, BackendId(1));
    let (_, actions) = bench.want("b");
    assert_eq!(seats(&actions), [(AssignmentId(2), BackendId(1))]);
    assert_eq!(actions[1..], [Action::Start(BackendId(2))]);
    assert_eq!(bench.ready(2), []);
    assert_eq!(bench.seat("c").1, BackendId(2));
}

#[test]
fn empty_backend_beyond_the_spare_one_retires_after_a_minute() {
    let mut bench = Bench::new(1).up();
    let (a, _) = bench.seat("a");
    bench.ready(2);
    bench.tell(PlanEvent::Released { assignment: a });
    assert_eq!(
        bench.tell(PlanEvent::LoggedOut { assignment: a }),
        [Action::Free {
            assignment: a,
            backend: BackendId(1)
        }]
    );
    assert_eq!(bench.plan.next_deadline(), Some(bench.now + Duration::from_secs(60)));
    assert_eq!(bench.pass(59), []);
    assert_eq!(bench.pass(1), [Action::Retire(BackendId(2))]);
    assert_eq!(
        bench.tell(PlanEvent::Ended {
            backend: BackendId(2),
            ending: Ending::Asked
        }),
        []
    );
    assert_eq!(bench.pass(3_600), []);
    assert_eq!(bench.plan.next_deadline(), None);
}

#[test]
fn users_wait_in_order_and_are_seated_when_a_backend_is_ready() {
    let mut bench = Bench::new(2);
    assert_eq!(bench.tell(PlanEvent::TimePassed), [Action::Start(BackendId(1))]);
    let (first, actions) = bench.want("a");
    assert_eq!(actions, []);
    let (second, _) = bench.want("b");
    let (third, actions) = bench.want("c");
    assert_eq!(
        starts(&actions),
        0,
        "the second one was started for the spare room that b takes"
    );
    assert_eq!(bench.plan.waiting(), 3);
    let served: Vec<_> = bench
        .ready(1)
        .into_iter()
        .filter_map(|action| match action {
            Action::Seat { waiter, .. } => Some(waiter),
            _ => None,
        })
        .collect();
    assert_eq!(served, [first, second]);
    assert_eq!(seats(&bench.ready(2)).len(), 1);
    assert!(third > second);
    assert_eq!(bench.plan.waiting(), 0);
}

#[test]
fn user_who_comes_back_waits_until_the_old_seat_is_free() {
    let mut bench = Bench::new(10).up();
    let (old, _) = bench.seat("a");
    assert_eq!(
        bench.tell(PlanEvent::Released { assignment: old }),
        [Action::Logout {
            assignment: old,
            backend: BackendId(1)
        }]
    );
    let (_, actions) = bench.want("a");
    assert_eq!(actions, []);
    let (other, _) = bench.seat("b");
    assert_ne!(other, old, "others are not held up");
    let actions = bench.tell(PlanEvent::LoggedOut { assignment: old });
    assert_eq!(
        actions[0],
        Action::Free {
            assignment: old,
            backend: BackendId(1)
        }
    );
    assert_eq!(seats(&actions).len(), 1);
}

#[test]
fn seat_that_was_let_go_counts_for_ten_seconds_at_most() {
    let mut bench = Bench::new(1).up();
    let (old, _) = bench.seat("a");
    bench.tell(PlanEvent::Released { assignment: old });
    assert_eq!(bench.tell(PlanEvent::Released { assignment: old }), [], "once is enough");
    assert_eq!(bench.pass(9), []);
    assert_eq!(bench.plan.users_on(BackendId(1)), 1);
    assert_eq!(
        bench.pass(1),
        [Action::Free {
            assignment: old,
            backend: BackendId(1)
        }]
    );
    assert_eq!(bench.plan.users_on(BackendId(1)), 0);
    assert_eq!(bench.tell(PlanEvent::LoggedOut { assignment: old }), [], "too late to matter");
}

#[test]
fn logout_that_nobody_asked_for_frees_no_seat() {
    let mut bench = Bench::new(1).up();
    let (seat, _) = bench.seat("a");
    assert_eq!(bench.tell(PlanEvent::LoggedOut { assignment: seat }), []);
    assert_eq!(bench.plan.users_on(BackendId(1)), 1);
}

#[test]
fn waiter_who_gives_up_is_not_seated() {
    let mut bench = Bench::new(1);
    bench.tell(PlanEvent::TimePassed);
    let (waiter, _) = bench.want("a");
    bench.tell(PlanEvent::GivenUp { waiter });
    assert_eq!(bench.plan.waiting(), 0);
    assert_eq!(seats(&bench.ready(1)), []);
}

#[test]
fn too_many_waiters_are_refused_as_busy() {
    let mut bench = Bench::with(PlanOptions {
        max_waiting: 2,
        ..PlanOptions::default()
    });
    bench.want("a");
    bench.want("b");
    let (waiter, actions) = bench.want("c");
    assert_eq!(
        actions,
        [Action::Refuse {
            waiter,
            why: Refusal::Busy
        }]
    );
}

#[test]
fn first_retry_comes_within_five_seconds_and_later_ones_at_longer_intervals() {
    let mut bench = Bench::new(10).up();
    assert_eq!(bench.die(1), []);
    let first = bench.plan.next_deadline().unwrap() - bench.now;
    assert!(first <= Duration::from_secs(5), "{first:?}");
    bench.now += first;
    assert_eq!(bench.tell(PlanEvent::TimePassed), [Action::Start(BackendId(2))]);
    bench.die(2);
    let second = bench.plan.next_deadline().unwrap() - bench.now;
    assert!(second > first);
}

#[test]
fn users_of_a_dead_backend_can_be_seated_on_another_at_once() {
    let mut bench = Bench::new(1).up();
    bench.seat("a");
    bench.ready(2);
    bench.die(1);
    assert_eq!(bench.seat("a").1, BackendId(2));
}

#[test]
fn lost_backend_takes_nobody_and_is_replaced_only_once_its_end_is_known() {
    let mut bench = Bench::new(10).up();
    let (seat, _) = bench.seat("a");
    let backend = BackendId(1);
    assert_eq!(bench.tell(PlanEvent::Lost { backend }), []);
    bench.tell(PlanEvent::Released { assignment: seat });
    let freed = bench.tell(PlanEvent::LoggedOut { assignment: seat });
    assert_eq!(
        freed,
        [Action::Free {
            assignment: seat,
            backend
        }]
    );
    let (_, actions) = bench.want("a");
    assert_eq!(actions, []);
    assert_eq!(bench.die(1), []);
    bench.now = bench.plan.next_deadline().unwrap();
    assert_eq!(bench.tell(PlanEvent::TimePassed), [Action::Start(BackendId(2))]);
    assert_eq!(seats(&bench.ready(2)).len(), 1);
}

#[test]
fn five_deaths_within_a_minute_are_failing_and_waiters_hear_one_reason() {
    let mut bench = Bench::new(10);
    bench.tell(PlanEvent::TimePassed);
    let (waiter, _) = bench.want("a");
    for id in 1..=4 {
        assert_eq!(refusals(&bench.die(id)), [], "after {id}");
        bench.now = bench.plan.next_deadline().unwrap();
        assert_eq!(starts(&bench.tell(PlanEvent::TimePassed)), 1);
    }
    let why = Refusal::Failing("backends ended 5 times within a minute; last: signal 9".to_owned());
    assert_eq!(refusals(&bench.die(5)), [(waiter, why.clone())]);
    let (late, actions) = bench.want("b");
    assert_eq!(refusals(&actions), [(late, why)]);
    bench.now = bench.plan.next_deadline().unwrap();
    assert_eq!(starts(&bench.tell(PlanEvent::TimePassed)), 1, "it goes on trying");
    bench.ready(6);
    assert_eq!(bench.plan.failing(), None);
    bench.seat("b");
}

#[test]
fn unusable_backend_is_failing_at_once_and_one_at_a_time_is_tried() {
    let mut bench = Bench::new(1);
    bench.tell(PlanEvent::TimePassed);
    for user in ["a", "b", "c"] {
        bench.want(user);
    }
    let ending = Ending::Unusable {
        reason: "no such program".to_owned(),
        jitter: 0,
    };
    let actions = bench.tell(PlanEvent::Ended {
        backend: BackendId(1),
        ending,
    });
    assert!(
        refusals(&actions)
            .iter()
            .all(|(_, why)| *why == Refusal::Failing("no such program".to_owned()))
    );
    assert_eq!(refusals(&actions).len(), 3);
    assert_eq!(bench.plan.failing(), Some("no such program"));
}

#[test]
fn failing_ones_do_not_keep_users_off_a_healthy_one() {
    let mut bench = Bench::new(2).up();
    bench.seat("a");
    bench.seat("b");
    let ending = Ending::Unusable {
        reason: "out of memory".to_owned(),
        jitter: 0,
    };
    bench.tell(PlanEvent::Ended {
        backend: BackendId(2),
        ending,
    });
    bench.tell(PlanEvent::Released {
        assignment: AssignmentId(1),
    });
    bench.tell(PlanEvent::LoggedOut {
        assignment: AssignmentId(1),
    });
    assert_eq!(bench.seat("c").1, BackendId(1));
    assert_eq!(bench.plan.failing(), Some("out of memory"));
}

#[test]
fn backend_that_was_asked_to_end_is_not_blamed_for_how_it_does() {
    let mut bench = Bench::with(PlanOptions {
        min_spare: 0,
        ..PlanOptions::default()
    });
    bench.want("a");
    bench.ready(1);
    bench.tell(PlanEvent::Released {
        assignment: AssignmentId(1),
    });
    bench.tell(PlanEvent::LoggedOut {
        assignment: AssignmentId(1),
    });
    assert_eq!(bench.pass(60), [Action::Retire(BackendId(1))]);
    bench.die(1);
    let (_, actions) = bench.want("a");
    assert_eq!(actions, [Action::Start(BackendId(2))]);
}

#[test]
fn stopping_refuses_waiters_and_retires_everything() {
    let mut bench = Bench::new(1).up();
    let (seat, _) = bench.seat("a");
    bench.tell(PlanEvent::Released { assignment: seat });
    let (behind, _) = bench.want("a");
    let actions = bench.tell(PlanEvent::Stopped);
    assert!(actions.contains(&Action::Retire(BackendId(1))) && actions.contains(&Action::Retire(BackendId(2))));
    let refused: Vec<_> = refusals(&actions).into_iter().map(|(waiter, _)| waiter).collect();
    assert_eq!(refused, [behind]);
    let (late, actions) = bench.want("b");
    assert_eq!(
        actions,
        [Action::Refuse {
            waiter: late,
            why: Refusal::Stopping
        }]
    );
    assert_eq!(bench.die(1), [], "nothing is started any more");
}

/// What may happen, with small numbers so that things meet.
#[derive(Clone, Debug)]
enum Step {
    Want(u8),
    GiveUp(u8),
    Ready(u8),
    Lose(u8),
    Die(u8, bool),
    Release(u8),
    LogOut(u8),
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u8).prop_map(Step::Want),
        1 => any::<u8>().prop_map(Step::GiveUp),
        3 => any::<u8>().prop_map(Step::Ready),
        1 => any::<u8>().prop_map(Step::Lose),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, hopeless)| Step::Die(n, hopeless)),
        3 => any::<u8>().prop_map(Step::Release),
        3 => any::<u8>().prop_map(Step::LogOut),
        2 => (0..90_u8).prop_map(Step::Pass),
    ]
}

/// What the world outside the plan knows; each action is held against it.
#[derive(Default)]
struct World {
    open: BTreeMap<WaiterId, UserKey>,
    live: BTreeMap<BackendId, BackendState>,
    seats: BTreeMap<AssignmentId, (UserKey, BackendId, bool)>,
    full: usize,
}

impl World {
    fn check(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(id) => assert!(self.live.insert(id, BackendState::Starting).is_none()),
                Action::Seat {
                    waiter,
                    user,
                    assignment,
                    backend,
                } => {
                    assert_eq!(
                        self.open.remove(&waiter),
                        Some(user.clone()),
                        "only who waits is seated, once"
                    );
                    assert_eq!(self.live[&backend], BackendState::Ready);
                    assert!(self.seats.values().all(|(u, _, _)| *u != user), "a user has one seat");
                    self.seats.insert(assignment, (user, backend, false));
                    let on_it = self.seats.values().filter(|(_, b, _)| *b == backend).count();
                    assert!(on_it <= self.full, "no backend is overfull");
                }
                Action::Refuse { waiter, .. } => assert!(self.open.remove(&waiter).is_some(), "only who waits is refused, once"),
                Action::Logout { assignment, backend } => {
                    let seat = &self.seats[&assignment];
                    assert!(seat.1 == backend && seat.2, "only who has let go is logged out");
                }
                Action::Free { assignment, .. } => {
                    let (_, _, let_go) = self.seats.remove(&assignment).unwrap();
                    assert!(let_go, "no seat is taken away");
                }
                Action::Retire(id) => {
                    assert_eq!(self.live.insert(id, BackendState::Retiring), Some(BackendState::Ready));
                    assert!(self.seats.values().all(|(_, b, _)| *b != id), "nobody is thrown out");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_one_user_has_one_seat_and_every_wish_an_answer(
        steps in proptest::collection::vec(step(), 1..200),
        users_per_backend in 1..4_usize,
        min_spare in 0..3_usize,
    ) {
        let mut bench = Bench::with(PlanOptions { users_per_backend, min_spare, ..PlanOptions::default() });
        let mut world = World { full: users_per_backend, ..World::default() };
        let actions = bench.tell(PlanEvent::TimePassed);
        world.check(actions);
        let pick = |n: u8, len: usize| usize::from(n) % len.max(1);
        for step in steps {
            let event = match step {
                Step::Want(user) => {
                    let waiter = WaiterId(bench.next_waiter);
                    bench.next_waiter += 1;
                    let user: UserKey = format!("user{user}").into();
                    world.open.insert(waiter, user.clone());
                    PlanEvent::Wanted { waiter, user }
                }
                Step::GiveUp(n) => {
                    let Some(waiter) = world.open.keys().nth(pick(n, world.open.len())).copied() else { continue };
                    world.open.remove(&waiter);
                    PlanEvent::GivenUp { waiter }
                }
                Step::Ready(n) => {
                    let starting: Vec<_> = world.live.iter().filter(|(_, s)| **s == BackendState::Starting).map(|(id, _)| *id).collect();
                    let Some(backend) = starting.get(pick(n, starting.len())).copied() else { continue };
                    world.live.insert(backend, BackendState::Ready);
                    PlanEvent::Ready { backend }
                }
                Step::Lose(n) => {
                    let ready: Vec<_> = world.live.iter().filter(|(_, s)| **s == BackendState::Ready).map(|(id, _)| *id).collect();
                    let Some(backend) = ready.get(pick(n, ready.len())).copied() else { continue };
                    world.live.insert(backend, BackendState::Lost);
                    PlanEvent::Lost { backend }
                }
                Step::Die(n, hopeless) => {
                    let Some(backend) = world.live.keys().nth(pick(n, world.live.len())).copied() else { continue };
                    world.live.remove(&backend);
                    world.seats.retain(|_, (_, b, _)| *b != backend);
                    let (reason, jitter) = ("x".to_owned(), 7);
                    let ending = if hopeless { Ending::Unusable { reason, jitter } } else { Ending::Died { reason, jitter } };
                    PlanEvent::Ended { backend, ending }
                }
                Step::Release(n) => {
                    let Some(assignment) = world.seats.keys().nth(pick(n, world.seats.len())).copied() else { continue };
                    world.seats.get_mut(&assignment).unwrap().2 = true;
                    PlanEvent::Released { assignment }
                }
                Step::LogOut(n) => {
                    let Some(assignment) = world.seats.keys().nth(pick(n, world.seats.len())).copied() else { continue };
                    PlanEvent::LoggedOut { assignment }
                }
                Step::Pass(secs) => {
                    bench.now += Duration::from_secs(secs.into());
                    PlanEvent::TimePassed
                }
            };
            let actions = bench.tell(event);
            world.check(actions);
            prop_assert_eq!(bench.plan.waiting(), world.open.len());
            prop_assert!(bench.plan.next_deadline().is_none_or(|at| at > bench.now), "nothing that is due is left undone");
            prop_assert!(world.live.values().filter(|s| **s == BackendState::Starting).count() <= MAX_STARTING);
        }
        // Whoever still waits is seated once backends come up and seats become free.
        for _ in 0..1_000 {
            if world.open.is_empty() {
                break;
            }
            let starting = world.live.iter().find(|(_, s)| **s == BackendState::Starting).map(|(id, _)| *id);
            let lost = world.live.iter().find(|(_, s)| **s == BackendState::Lost).map(|(id, _)| *id);
            let held = world.seats.iter().find(|(_, (_, _, let_go))| !let_go).map(|(id, _)| *id);
            let event = if let Some(backend) = starting {
                world.live.insert(backend, BackendState::Ready);
                PlanEvent::Ready { backend }
            } else if let Some(backend) = lost {
                world.live.remove(&backend);
                world.seats.retain(|_, (_, b, _)| *b != backend);
                PlanEvent::Ended { backend, ending: Ending::Died { reason: "x".to_owned(), jitter: 7 } }
            } else if let Some(assignment) = held {
                world.seats.get_mut(&assignment).unwrap().2 = true;
                PlanEvent::Released { assignment }
            } else {
                bench.now += Duration::from_secs(31);
                PlanEvent::TimePassed
            };
            let actions = bench.tell(event);
            world.check(actions);
        }
        prop_assert!(world.open.is_empty(), "somebody waits for ever");
    }
}
