//! The order of one user's verbs: of one chat one at a time, of all chats a few at once, whoever waits longest first.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::backend::{CONCURRENT_VERBS, Verb};
use crate::model::{Chat, RequestId};

/// A verb that waits for its turn.
pub(super) struct Waiting {
    pub(super) request: RequestId,
    pub(super) verb: Box<Verb>,
    pub(super) since: Instant,
}

impl Waiting {
    pub(super) fn new(request: RequestId, verb: Box<Verb>) -> Self {
        Self {
            request,
            verb,
            since: Instant::now(),
        }
    }
}

/// What a verb has to keep its order with; the session's own verbs are one such.
pub(super) type Lane = Option<Chat>;

/// All verbs of one user that are not done.
#[derive(Default)]
pub(super) struct Queue {
    /// A lane that has a verb running or waiting. The running one is not among them.
    lanes: HashMap<Lane, VecDeque<Waiting>>,
    /// Lanes with something waiting and nothing running.
    ready: VecDeque<Lane>,
    running: usize,
    waiting: usize,
}

impl Queue {
    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether there is nothing to do and nothing being done.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.running == 0
    }

    /// Puts a verb behind those of its lane.
    pub(super) fn push(&mut self, verb: Waiting) {
        self.waiting += 1;
        match self.lanes.entry(verb.verb.chat()) {
            Entry::Occupied(mut lane) => lane.get_mut().push_back(verb),
            Entry::Vacant(lane) => {
                self.ready.push_back(lane.key().clone());
                lane.insert(VecDeque::from([verb]));
            }
        }
    }

    /// Takes the next verb that may run now.
    pub(super) fn start(&mut self) -> Option<(Lane, Waiting)> {
        if self.running == CONCURRENT_VERBS {
            return None;
        }
        let lane = self.ready.pop_front()?;
        let verb = self.lanes.get_mut(&lane)?.pop_front()?;
        self.running += 1;
        self.waiting -= 1;
        Some((lane, verb))
    }

    /// A verb of this lane has ended.
    pub(super) fn finish(&mut self, lane: Lane) {
        self.running -= 1;
        if self.lanes.get(&lane).is_some_and(VecDeque::is_empty) {
            self.lanes.remove(&lane);
        } else {
            self.ready.push_back(lane);
        }
    }

    /// Takes everything that waits, each lane in its order.
    pub(super) fn take_waiting(&mut self) -> Vec<Waiting> {
        self.waiting = 0;
        let mut taken = Vec::new();
        // Nothing runs in a lane that is ready, so the lane goes too.
        for lane in self.ready.drain(..) {
            taken.extend(self.lanes.remove(&lane).unwrap_or_default());
        }
        taken.extend(self.lanes.values_mut().flat_map(std::mem::take));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RoomId;

    fn verb(request: u64, room: &str) -> Waiting {
        Waiting::new(RequestId(request), Box::new(Verb::LeaveRoom(RoomId::from(room))))
    }

    fn started(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.start()).map(|(_, verb)| verb.request.0).collect()
    }

    fn lane(room: &str) -> Lane {
        Some(Chat::Room(RoomId::from(room)))
    }

    #[tokio::test]
    async fn verbs_of_one_chat_wait_for_each_other_and_those_of_others_do_not() {
        let mut queue = Queue::default();
        for (request, room) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            queue.push(verb(request, room));
        }
        assert_eq!(started(&mut queue), [1, 3]);
        queue.finish(lane("a"));
        assert_eq!(started(&mut queue), [2]);
        queue.finish(lane("b"));
        queue.finish(lane("a"));
        assert_eq!(started(&mut queue), [4]);
        queue.finish(lane("a"));
        assert!(queue.is_idle() && queue.lanes.is_empty());
    }

    #[tokio::test]
    async fn only_so_many_run_at_once() {
        let mut queue = Queue::default();
        for request in 0..20 {
            queue.push(verb(request, &request.to_string()));
        }
        assert_eq!(started(&mut queue).len(), CONCURRENT_VERBS);
        queue.finish(lane("0"));
        assert_eq!(started(&mut queue), [CONCURRENT_VERBS as u64]);
    }

    #[tokio::test]
    async fn what_waits_can_be_taken_while_others_run() {
        let mut queue = Queue::default();
        for (request, room) in [(1, "a"), (2, "a"), (3, "b")] {
            queue.push(verb(request, room));
        }
        assert_eq!(queue.start().map(|(_, verb)| verb.request.0), Some(1));
        let mut taken: Vec<_> = queue.take_waiting().iter().map(|verb| verb.request.0).collect();
        taken.sort_unstable();
        assert_eq!(taken, [2, 3]);
        queue.finish(lane("a"));
        assert!(queue.is_idle() && queue.lanes.is_empty() && queue.ready.is_empty());
    }
}
