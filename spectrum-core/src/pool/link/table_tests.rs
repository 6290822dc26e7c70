//! A table under everything that can happen to it.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::table::{Deliveries, Table};
use crate::backend::{Certainty, Event, LoginError, LoginErrorKind};
use crate::main_process::LinkInput;
use crate::model::{AssignmentId, RequestId};
use crate::pool::testing::{Recorder, login, say};
use crate::wire::ToBackend;

/// Something that can happen to a table.
#[derive(Clone, Debug)]
enum Step {
    Attach(u64),
    Login(u64),
    Ask(u64),
    Write(usize),
    Answer(usize),
    Close(u64),
    LetGo(u64),
    Free(u64),
    Late,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let seat = 0..4_u64;
    prop_oneof![
        3 => seat.clone().prop_map(Step::Attach),
        3 => seat.clone().prop_map(Step::Login),
        9 => seat.clone().prop_map(Step::Ask),
        4 => (0..5_usize).prop_map(Step::Write),
        4 => any::<usize>().prop_map(Step::Answer),
        1 => seat.clone().prop_map(Step::Close),
        1 => seat.clone().prop_map(Step::LetGo),
        1 => seat.prop_map(Step::Free),
        1 => Just(Step::Late),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    #[test]
    fn every_request_taken_has_exactly_one_outcome(steps in proptest::collection::vec(step(), 1..120), native: bool) {
        let mut table = Table::new(native);
        let mut now = Instant::now();
        let mut taken: BTreeMap<(u64, u64), usize> = BTreeMap::new();
        let mut written: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        let mut attached = BTreeSet::new();
        for step in steps.into_iter().chain([Step::Lose]) {
            let mut out = Deliveries::new();
            match step {
                Step::Attach(seat) => {
                    if attached.insert(seat) {
                        table.attach(AssignmentId(seat), "u".into(), Recorder::new(), &mut out);
                    }
                }
                Step::Login(seat) => drop(table.send(AssignmentId(seat), login(), now, &mut out)),
                Step::Ask(seat) => {
                    next += 1;
                    if table.send(AssignmentId(seat), say(next, "bob", "x"), now, &mut out).is_ok() {
                        taken.insert((seat, next), 0);
                    }
                }
                Step::Write(most) => {
                    let mut batch = Vec::new();
                    table.take(most, &mut batch);
                    for frame in batch {
                        if let ToBackend::Request { assignment, request, .. } = frame {
                            prop_assert_eq!(taken[&(assignment.0, request.0)], 0, "what has an outcome is not written");
                            written.push((assignment.0, request.0));
                        }
                    }
                }
                Step::Answer(n) if !written.is_empty() => {
                    let (seat, request) = written[n % written.len()];
                    if let Ok(Some(_)) = table.outcome(AssignmentId(seat), RequestId(request)) {
                        *taken.get_mut(&(seat, request)).unwrap() += 1;
                    }
                }
                Step::Answer(_) => {}
                Step::Close(seat) => {
                    let event = Box::new(Event::Closed(LoginError::new(LoginErrorKind::Network, "")));
                    let _ = table.closed(AssignmentId(seat), LinkInput::Event { event, durable: None }, &mut out);
                }
                Step::LetGo(seat) => {
                    table.let_go(AssignmentId(seat));
                    table.log_out(AssignmentId(seat));
                }
                Step::Free(seat) => table.free(AssignmentId(seat), &mut out),
                Step::Late => {
                    now += Duration::from_secs(200);
                    table.expire(now, &mut out);
                }
                Step::Lose => table.lose("gone", &mut out),
            }
            for (_, assignment, input) in out {
                if let LinkInput::Outcome { request, outcome } = input {
                    let key = (assignment.0, request.0);
                    *taken.get_mut(&key).unwrap() += 1;
                    let maybe = outcome.unwrap_err().certainty == Certainty::MaybeSent;
                    prop_assert_eq!(maybe, written.contains(&key), "uncertain if and only if written");
                }
            }
            prop_assert!(taken.values().all(|n| *n <= 1));
        }
        prop_assert!(taken.values().all(|n| *n == 1));
    }
}
