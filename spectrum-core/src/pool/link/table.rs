//! What a link knows of its users: seats, open requests, and the queue to the backend. Plain data behind the link's lock.
//!
//! Every request that is taken in gets exactly one outcome, whatever becomes of its user, the link or the backend.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{CANCEL_GRACE, OpError, OpErrorKind, Outcome, Retry, VERB_DEADLINE, Verb};
use crate::main_process::{LinkInput, LinkRefused, LinkRequest, SessionInbox};
use crate::model::{AssignmentId, Patch, RequestId, UserKey};
use crate::tight;
use crate::wire::{LoginRequest, ToBackend};

/// Requests on their way to the backend. When full, the session gets its request back and decides.
pub(crate) const QUEUE_REQUESTS: usize = 1_024;

/// Bytes of texts and pictures on their way to the backend, about. When full, as above.
pub(crate) const QUEUE_BYTES: usize = 8 * 1024 * 1024;

/// Requests of one user without an outcome. When full, as above, for this user alone.
pub(crate) const OPEN_REQUESTS: usize = 256;

/// Events that have been dealt with are reported to the backend in lots of so many: a quarter of what may be on the way.
const CREDIT_LOT: u32 = 16;

/// How long a profile may take; then the person who asked is told so.
const PROFILE_DEADLINE: Duration = Duration::from_secs(30);

/// A native backend watches its verbs itself, and knows better what has become of them. This is longer than a verb can take
/// there: it may wait for its turn for one deadline, and run for another.
const NATIVE_DEADLINE: Duration = Duration::from_secs(2 * VERB_DEADLINE.as_secs() + 2 * CANCEL_GRACE.as_secs());

/// What goes to sessions once the lock is released.
pub(crate) type Deliveries = Vec<(Arc<dyn SessionInbox>, AssignmentId, LinkInput)>;

/// What happens with a logout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Logout {
    /// It is on its way, and will be confirmed.
    Sent,
    /// There is nobody to log out.
    NotNeeded,
}

/// See the module.
pub(crate) struct Table {
    /// Whether the backend speaks the native dialect (or is in process): with credit and commits.
    native: bool,
    seats: HashMap<AssignmentId, Seat>,
    queue: VecDeque<ToBackend>,
    queued_requests: usize,
    queued_bytes: usize,
    gone: Option<String>,
}

struct Seat {
    user: UserKey,
    inbox: Arc<dyn SessionInbox>,
    open: Vec<Open>,
    credit: u32,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The session has not used it yet, and may not even know of it.
    Fresh,
    /// In use.
    Active,
    /// The backend has closed the legacy session.
    Closed,
    /// The session has let go of it.
    LetGo,
    /// The logout is confirmed.
    LoggedOut,
}

struct Open {
    request: RequestId,
    written: bool,
    profile: bool,
    deadline: Instant,
}

impl Open {
    fn lost(&self, text: &str) -> Outcome {
        Err(if self.written {
            OpError::maybe_sent(text)
        } else {
            OpError::not_connected(text)
        })
    }

    fn late(&self) -> Outcome {
        let text = "The network did not answer in time.";
        Err(if self.written && !self.profile {
            OpError {
                kind: OpErrorKind::Timeout,
                ..OpError::maybe_sent(text)
            }
        } else {
            OpError::new(OpErrorKind::Timeout, text).retry(Retry::WhenConnected)
        })
    }
}

impl Table {
    pub(crate) fn new(native: bool) -> Self {
        Self {
            native,
            seats: HashMap::new(),
            queue: VecDeque::new(),
            queued_requests: 0,
            queued_bytes: 0,
            gone: None,
        }
    }

    /// Takes a user in. If the link is gone already, that is delivered.
    pub(crate) fn attach(&mut self, assignment: AssignmentId, user: UserKey, inbox: Arc<dyn SessionInbox>, out: &mut Deliveries) {
        if let Some(reason) = &self.gone {
            out.push((
                Arc::clone(&inbox),
                assignment,
                LinkInput::BackendLost { reason: reason.clone() },
            ));
        }
        self.seats.insert(
            assignment,
            Seat {
                user,
                inbox,
                open: Vec::new(),
                credit: 0,
                phase: Phase::Fresh,
            },
        );
    }

    /// A request of a session. What is delivered is a loss that the session may have missed.
    pub(crate) fn send(
        &mut self,
        assignment: AssignmentId,
        request: LinkRequest,
        now: Instant,
        out: &mut Deliveries,
    ) -> Result<(), LinkRefused> {
        let Some(seat) = self.seats.get_mut(&assignment) else {
            return Err(LinkRefused { request, gone: true });
        };
        if let Some(reason) = &self.gone {
            // The loss may have reached the session before it knew of its assignment.
            out.push((
                Arc::clone(&seat.inbox),
                assignment,
                LinkInput::BackendLost { reason: reason.clone() },
            ));
            self.seats.remove(&assignment);
            return Err(LinkRefused { request, gone: true });
        }
        match (seat.phase, &request) {
            (Phase::Fresh, LinkRequest::Login(_)) => seat.phase = Phase::Active,
            (Phase::Active, LinkRequest::Verb { .. } | LinkRequest::PromptAnswer { .. }) => {}
            (Phase::Fresh | Phase::Active, _) => return Err(LinkRefused { request, gone: false }),
            (Phase::Closed | Phase::LetGo | Phase::LoggedOut, _) => return Err(LinkRefused { request, gone: true }),
        }
        let frame = match request {
            // At most one for each seat, so it needs no bound of its own.
            LinkRequest::Login(login) => ToBackend::Login(Box::new(LoginRequest {
                assignment,
                user: seat.user.clone(),
                name: login.name,
                password: login.password,
                settings: login.settings,
                presence: login.presence,
                contacts: login.contacts,
            })),
            LinkRequest::Verb { request, verb } => {
                let bytes = weight(&verb);
                let full = self.queued_requests >= QUEUE_REQUESTS
                    || self.queued_bytes.saturating_add(bytes) > QUEUE_BYTES
                    || seat.open.len() >= OPEN_REQUESTS;
                if full {
                    return Err(LinkRefused {
                        request: LinkRequest::Verb { request, verb },
                        gone: false,
                    });
                }
                let profile = matches!(*verb, Verb::FetchProfile(_));
                let within = match (profile, self.native) {
                    (true, _) => PROFILE_DEADLINE,
                    (false, true) => NATIVE_DEADLINE,
                    (false, false) => VERB_DEADLINE,
                };
                tight::push(
                    &mut seat.open,
                    Open {
                        request,
                        written: false,
                        profile,
                        deadline: now + within,
                    },
                );
                self.queued_requests += 1;
                self.queued_bytes += bytes;
                ToBackend::Request {
                    assignment,
                    request,
                    verb,
                }
            }
            LinkRequest::PromptAnswer { prompt, answers } => {
                if self.queued_requests >= QUEUE_REQUESTS {
                    return Err(LinkRefused {
                        request: LinkRequest::PromptAnswer { prompt, answers },
                        gone: false,
                    });
                }
                self.queued_requests += 1;
                ToBackend::PromptAnswer {
                    assignment,
                    prompt,
                    answers,
                }
            }
        };
        self.queue.push_back(frame);
        Ok(())
    }

    /// So many events of a user have been dealt with. Returns whether there is something to write.
    pub(crate) fn credit(&mut self, assignment: AssignmentId, events: u32) -> bool {
        let Some(seat) = self
            .seats
            .get_mut(&assignment)
            .filter(|seat| seat.phase == Phase::Active && self.native)
        else {
            return false;
        };
        seat.credit = seat.credit.saturating_add(events);
        if seat.credit < CREDIT_LOT {
            return false;
        }
        self.queue.push_back(ToBackend::Credit {
            assignment,
            events: std::mem::take(&mut seat.credit),
        });
        true
    }

    /// A durable event of a user has been committed. Returns whether there is something to write.
    pub(crate) fn committed(&mut self, assignment: AssignmentId, event: u64) -> bool {
        let known = self.native && self.seats.get(&assignment).is_some_and(|seat| seat.phase == Phase::Active);
        if known {
            self.queue.push_back(ToBackend::Committed { assignment, event });
        }
        known
    }

    /// A frame that belongs to no user.
    pub(crate) fn push(&mut self, frame: ToBackend) {
        self.queue.push_back(frame);
    }

    /// The session has let go: it hears outcomes, and nothing else.
    pub(crate) fn let_go(&mut self, assignment: AssignmentId) {
        if self.gone.is_some() {
            self.seats.remove(&assignment);
        } else if let Some(seat) = self.seats.get_mut(&assignment) {
            // A seat that was never used stays marked as such: there is nobody to log out.
            if seat.phase != Phase::Fresh {
                seat.phase = Phase::LetGo;
            }
        }
    }

    /// Logs a user out who was let go.
    pub(crate) fn log_out(&mut self, assignment: AssignmentId) -> Logout {
        match self.seats.get_mut(&assignment) {
            Some(seat) if seat.phase != Phase::Fresh && self.gone.is_none() => {
                seat.phase = Phase::LetGo;
                self.queue.push_back(ToBackend::Logout { assignment });
                Logout::Sent
            }
            Some(_) | None => Logout::NotNeeded,
        }
    }

    /// The backend confirms a logout. Returns whether somebody waits for that.
    pub(crate) fn logged_out(&mut self, assignment: AssignmentId) -> bool {
        match self.seats.get_mut(&assignment) {
            Some(seat) if seat.phase == Phase::LetGo => {
                seat.phase = Phase::LoggedOut;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The seat is no more.
    pub(crate) fn free(&mut self, assignment: AssignmentId, out: &mut Deliveries) {
        if let Some(mut seat) = self.seats.remove(&assignment) {
            seat.fail_open(assignment, "The session has ended.", out);
        }
    }

    /// Where an event of a user goes. `Err` if the backend may not speak for that user; `Ok(None)` if nobody listens.
    pub(crate) fn listener(&self, assignment: AssignmentId) -> Result<Option<Arc<dyn SessionInbox>>, Foreign> {
        let seat = self.seats.get(&assignment).ok_or(Foreign)?;
        match seat.phase {
            Phase::Active => Ok(Some(Arc::clone(&seat.inbox))),
            Phase::LetGo | Phase::LoggedOut | Phase::Closed => Ok(None),
            Phase::Fresh => Err(Foreign),
        }
    }

    /// The backend has closed the legacy session: outcomes of what is open, then nothing but `input`.
    pub(crate) fn closed(&mut self, assignment: AssignmentId, input: LinkInput, out: &mut Deliveries) -> Result<(), Foreign> {
        let seat = self
            .seats
            .get_mut(&assignment)
            .filter(|seat| seat.phase != Phase::Fresh)
            .ok_or(Foreign)?;
        if seat.phase == Phase::Active {
            seat.phase = Phase::Closed;
            seat.fail_open(assignment, "The connection to the network was lost.", out);
            out.push((Arc::clone(&seat.inbox), assignment, input));
        }
        Ok(())
    }

    /// The backend says how a request ended. `Ok(None)` if that was said already, or the deadline has passed.
    pub(crate) fn outcome(
        &mut self,
        assignment: AssignmentId,
        request: RequestId,
    ) -> Result<Option<Arc<dyn SessionInbox>>, Foreign> {
        let seat = self.seats.get_mut(&assignment).ok_or(Foreign)?;
        let Some(at) = seat.open.iter().position(|open| open.request == request) else {
            return Ok(None);
        };
        seat.open.remove(at);
        Ok(Some(Arc::clone(&seat.inbox)))
    }

    /// Requests whose time is up.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Deliveries) {
        for (assignment, seat) in &mut self.seats {
            let Seat { open, inbox, .. } = seat;
            open.retain(|open| {
                let late = open.deadline <= now;
                if late {
                    let outcome = Box::new(open.late());
                    out.push((
                        Arc::clone(inbox),
                        *assignment,
                        LinkInput::Outcome {
                            request: open.request,
                            outcome,
                        },
                    ));
                }
                !late
            });
        }
    }

    /// Moves up to `most` frames into `batch`, and notes that their requests have been written from now on.
    pub(crate) fn take(&mut self, most: usize, batch: &mut Vec<ToBackend>) {
        while batch.len() < most
            && let Some(frame) = self.queue.pop_front()
        {
            match &frame {
                ToBackend::Request {
                    assignment,
                    request,
                    verb,
                } => {
                    self.queued_requests = self.queued_requests.saturating_sub(1);
                    self.queued_bytes = self.queued_bytes.saturating_sub(weight(verb));
                    let open = self
                        .seats
                        .get_mut(assignment)
                        .and_then(|s| s.open.iter_mut().find(|o| o.request == *request));
                    // It has got its outcome already: too late, or its session has ended.
                    let Some(open) = open else { continue };
                    open.written = true;
                }
                ToBackend::PromptAnswer { .. } => self.queued_requests = self.queued_requests.saturating_sub(1),
                ToBackend::Version { .. }
                | ToBackend::Login(_)
                | ToBackend::Logout { .. }
                | ToBackend::Credit { .. }
                | ToBackend::Committed { .. }
                | ToBackend::QueryAnswer(_)
                | ToBackend::Ping
                | ToBackend::Exit => {}
            }
            batch.push(frame);
        }
        if self.queue.is_empty() && self.queue.capacity() > most.saturating_mul(4) {
            self.queue = VecDeque::new();
        }
    }

    /// The backend is gone: outcomes of everything open, then the loss, for everybody.
    pub(crate) fn lose(&mut self, reason: &str, out: &mut Deliveries) {
        if self.gone.is_some() {
            return;
        }
        self.gone = Some(reason.to_owned());
        self.queue = VecDeque::new();
        self.queued_requests = 0;
        self.queued_bytes = 0;
        self.seats.retain(|assignment, seat| {
            seat.fail_open(*assignment, "The connection to the network was lost.", out);
            if matches!(seat.phase, Phase::Fresh | Phase::Active) {
                out.push((
                    Arc::clone(&seat.inbox),
                    *assignment,
                    LinkInput::BackendLost {
                        reason: reason.to_owned(),
                    },
                ));
            }
            seat.phase == Phase::Fresh
        });
    }

    /// How many users it has.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }
}

impl Seat {
    fn fail_open(&mut self, assignment: AssignmentId, text: &str, out: &mut Deliveries) {
        for open in std::mem::take(&mut self.open) {
            let outcome = Box::new(open.lost(text));
            out.push((
                Arc::clone(&self.inbox),
                assignment,
                LinkInput::Outcome {
                    request: open.request,
                    outcome,
                },
            ));
        }
    }
}

/// The backend speaks for a user it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Foreign;

/// About how many bytes a verb takes in the queue: a lump sum, and what can be large.
fn weight(verb: &Verb) -> usize {
    let large = match verb {
        Verb::SendMessage(message) => message.body.len() + message.xhtml.as_ref().map_or(0, String::len),
        Verb::RawXml(xml) => xml.len(),
        Verb::Edit(edit) => edit.body.len(),
        Verb::SetProfile(profile) => match &profile.avatar {
            Patch::Set(avatar) => avatar.data.len(),
            Patch::Keep | Patch::Clear => 0,
        },
        Verb::Retract(_)
        | Verb::React(_)
        | Verb::Mark(_)
        | Verb::SetChatState { .. }
        | Verb::CallAttention { .. }
        | Verb::SetPresence(_)
        | Verb::FetchProfile(_)
        | Verb::AddContact(_)
        | Verb::UpdateContact(_)
        | Verb::RemoveContact(_)
        | Verb::AnswerContactRequest { .. }
        | Verb::Block { .. }
        | Verb::Search(_)
        | Verb::ListRooms
        | Verb::JoinRoom(_)
        | Verb::LeaveRoom(_)
        | Verb::RoomInfo(_)
        | Verb::SetSubject { .. }
        | Verb::ChangeNickname { .. }
        | Verb::Invite { .. }
        | Verb::Kick { .. }
        | Verb::SetStanding { .. }
        | Verb::RoomSettings(_)
        | Verb::ConfigureRoom { .. }
        | Verb::ListAffiliated { .. }
        | Verb::SetAffiliation { .. }
        | Verb::History(_) => 0,
    };
    large + 256
}
