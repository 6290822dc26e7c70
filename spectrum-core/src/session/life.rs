//! The life of a session, from the store's answer through login, loss and back-off to its end: what each step means for
//! every concern. The state is in `login`.

use std::time::Duration;

use crate::backend::link::LinkRequest;
use crate::backend::{LoginError, LoginErrorKind, OpError};
use crate::face::UserOut;
use crate::model::{Capability, LegacyName, Secret};
use crate::session::held::LOST_SETTING;
use crate::session::login::{Admission, State, timed_out};
use crate::session::parts::Parts;
use crate::session::rooms::Kept;
use crate::session::{Account, AuthError, CloseReason, Cx, Output, Progress, StoreRequest, Ticket, sending};

/// How long a resource may be silent after the link to the XMPP server came back.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the session outlives the last resource of a user who wants that where others stay.
const LINGER: Duration = Duration::from_secs(30);

impl Parts {
    /// The session begins.
    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        if self.login.state == State::New {
            self.login.state = State::Loading;
            cx.store(StoreRequest::Load);
        }
    }

    /// The store's answer.
    pub(crate) fn loaded(&mut self, cx: &mut Cx<'_>, account: Option<Box<Account>>) {
        if self.login.state != State::Loading {
            return;
        }
        let mut account = match account {
            Some(account) => account,
            // Everybody is let in, or has registered since the store was asked.
            None if !cx.info.needs_registration || self.login.name().is_some() => Box::default(),
            None => {
                self.login
                    .admit(cx, &Err(AuthError::Refused("There is no registration.".to_owned())));
                cx.tell(UserOut::NotRegistered);
                return self.finish(cx, CloseReason::NotRegistered, None);
            }
        };
        self.login.set_account(&mut account);
        self.take_over(cx, *account);
        self.login.state = State::Idle;
        if self.login.name().is_some() || self.resources.any_available() {
            self.begin(cx);
        }
    }

    fn take_over(&mut self, cx: &mut Cx<'_>, account: Account) {
        let Account {
            name: _,
            password: _,
            settings: _,
            contacts,
            rooms,
            names,
            room_secret: secret,
            archive_is_stored,
            messages,
        } = account;
        if let Some(lost) = self.login.take_setting(LOST_SETTING).and_then(|n| n.parse().ok()) {
            self.conversations.held().lost_before(lost);
        }
        cx.names.load(names);
        self.contacts.load(cx, contacts);
        let kept = Kept {
            rooms,
            secret,
            archive_is_stored,
        };
        self.rooms.stored(cx, kept);
        self.restore(cx, messages);
        for view in self.resources.views().iter().filter(|view| view.availability.is_online()) {
            self.rooms.arrived(cx, &view.resource);
        }
    }

    /// The store could not answer: it is asked again later.
    pub(crate) fn store_failed(&mut self, cx: &mut Cx<'_>, reason: &str) {
        if self.login.state == State::Loading {
            let text = format!("Your registration could not be read: {reason}");
            self.lost(cx, LoginError::new(LoginErrorKind::Other, text), true);
        }
    }

    /// A client wants in.
    pub(crate) fn authenticate(&mut self, cx: &mut Cx<'_>, ticket: Ticket, name: LegacyName, password: Secret) {
        if self.login.authenticate(cx, ticket, name, password) == Admission::Begins {
            self.begin(cx);
        }
    }

    /// A client that waited is gone; with the last one goes the login.
    pub(crate) fn abandoned(&mut self, cx: &mut Cx<'_>, ticket: Ticket) {
        let awaited = self.login.is_awaited();
        self.login.abandoned(ticket);
        if awaited {
            self.end_if_forsaken(cx);
        }
    }

    /// Ends a session that nobody waits for and that never was online.
    fn end_if_forsaken(&mut self, cx: &mut Cx<'_>) {
        if !self.login.is_awaited() && !self.login.was_online && self.resources.is_empty() && self.login.state != State::Over {
            self.finish(cx, CloseReason::Offline, None);
        }
    }

    /// There is somebody to log in: with the account, or under their own name where no registration is needed.
    pub(crate) fn begin(&mut self, cx: &mut Cx<'_>) {
        if self.login.name().is_none() {
            match Self::own_name(cx).filter(|_| !cx.info.needs_registration) {
                Some(own) => {
                    // From now on there is a registration, so that the user is found again at the next start.
                    cx.store(StoreRequest::RegisterAs(own.clone()));
                    self.login.set_name(own);
                }
                None => {
                    cx.tell(UserOut::NotRegistered);
                    return self.finish(cx, CloseReason::NotRegistered, None);
                }
            }
        }
        self.assign(cx);
    }

    fn assign(&mut self, cx: &mut Cx<'_>) {
        self.login.state = State::Assigning;
        if !self.login.marked_online {
            self.login.marked_online = true;
            cx.store(StoreRequest::SetOnline(true));
        }
        cx.out.push(Output::Assign);
        self.tell_transport_presence(cx);
    }

    /// The person has answered a question of the login: it goes on.
    pub(crate) fn question_answered(&mut self, cx: &mut Cx<'_>) {
        self.login.be_prompt(cx.now.mono, cx.config.login_timeout);
        self.tell_transport_presence(cx);
    }

    pub(crate) fn tell_transport_presence(&self, cx: &mut Cx<'_>) {
        if self.resources.any_available() {
            let presence = self.transport_presence(cx);
            cx.tell(UserOut::TransportPresence { to: None, presence });
        }
    }

    /// There is a seat on a backend: the network is asked to let the user in.
    pub(crate) fn assigned(&mut self, cx: &mut Cx<'_>) {
        if self.login.state != State::Assigning {
            return;
        }
        let Some(mut login) = self.login.request() else {
            return self.finish(cx, CloseReason::NotRegistered, None);
        };
        login.presence = self.resources.presence_at_login();
        if cx.can(Capability::ContactsAtLogin) {
            login.contacts = self.contacts.for_login();
        }
        self.contacts.forget_reports();
        self.login.state = State::LoggingIn(cx.now.mono + cx.config.login_timeout);
        cx.out.push(Output::Link(LinkRequest::Login(Box::new(login))));
    }

    /// There is no backend for the user.
    pub(crate) fn not_assigned(&mut self, cx: &mut Cx<'_>, reason: String) {
        if self.login.state == State::Assigning {
            self.lost(cx, LoginError::new(LoginErrorKind::Network, reason), false);
        }
    }

    /// The network has accepted the user.
    pub(crate) fn logged_in(&mut self, cx: &mut Cx<'_>) {
        if !matches!(self.login.state, State::LoggingIn(_)) {
            return;
        }
        self.login.state = State::Online(cx.now.mono);
        self.login.was_online = true;
        self.login.told = false;
        self.prompts.forget();
        cx.online = true;
        cx.out.push(Output::LoggedIn);
        self.progress(cx, Progress::LoggedIn);
        self.login.admit(cx, &Ok(()));
        self.tell_transport_presence(cx);
        self.resources.tell_network(cx);
        let seen = self.resources.any_available();
        self.subscriptions.logged_in(cx, &mut self.contacts, seen);
        self.rooms.logged_in(cx);
        cx.outbox.connected();
    }

    /// The network has ended the session, or refused it.
    pub(crate) fn closed(&mut self, cx: &mut Cx<'_>, error: LoginError) {
        self.lost(cx, error, false);
    }

    /// The backend has died. Its requests have had their outcomes.
    pub(crate) fn backend_lost(&mut self, cx: &mut Cx<'_>, reason: &str) {
        if matches!(self.login.state, State::LoggingIn(_) | State::Online(_)) {
            self.lost(cx, LoginError::new(LoginErrorKind::Network, reason), false);
        }
    }

    /// The user is not on the network any more, or not yet: back off, or end if that will not change by itself.
    fn lost(&mut self, cx: &mut Cx<'_>, error: LoginError, reload: bool) {
        let was_online = self.go_offline(cx, &error.text);
        self.prompts.forget();
        if !error.is_temporary() {
            return self.refused(cx, error);
        }
        self.progress(cx, Progress::Failed(format!("{} It is tried again.", error.text)));
        let first_client = self.login.is_awaited() && !self.login.was_online && self.resources.is_empty();
        self.login.admit(cx, &Err(AuthError::Login(error.clone())));
        if first_client {
            return self.finish(cx, CloseReason::LoginFailed, Some(error.text));
        }
        // A loss that heals by itself within seconds is no news; a login that fails is, once.
        if !self.login.told && (!was_online || self.login.has_failed_before()) && self.resources.any_available() {
            self.login.told = true;
            cx.tell(UserOut::LoginFailed {
                error: error.clone(),
                retrying: true,
            });
        }
        let until = cx.now.mono + self.login.next_wait(cx.user.as_str(), error.retry);
        self.login.state = State::BackingOff { until, reload };
        self.tell_transport_presence(cx);
    }

    /// The network does not let the user in, and trying again would not help.
    fn refused(&mut self, cx: &mut Cx<'_>, error: LoginError) {
        let by_clients = self.login.is_awaited() && self.resources.is_empty();
        self.login.admit(cx, &Err(AuthError::Login(error.clone())));
        let text = error.text.clone();
        self.progress(cx, Progress::Failed(text.clone()));
        if !by_clients {
            cx.tell(UserOut::LoginFailed { error, retrying: false });
        }
        self.finish(cx, CloseReason::LoginFailed, Some(text));
    }

    /// Tells whoever attends the login how it comes on.
    fn progress(&self, cx: &mut Cx<'_>, progress: Progress) {
        if self.prompts.is_attended() {
            cx.out.push(Output::Progress(progress));
        }
    }

    /// Somebody attends the login, or nobody does any more.
    pub(crate) fn attend(&mut self, cx: &mut Cx<'_>, attended: bool) {
        let heard = self.resources.any_available();
        self.prompts.attend(cx, attended, heard);
        if attended {
            self.login.hurry(cx.now.mono);
        }
        if matches!(self.login.state, State::Online(_)) {
            self.progress(cx, Progress::LoggedIn);
        }
    }

    /// Nothing can be asked of the network any more, and nobody can be seen; true if that is news.
    fn go_offline(&mut self, cx: &mut Cx<'_>, reason: &str) -> bool {
        cx.online = false;
        let State::Online(since) = self.login.state else {
            return false;
        };
        self.login.lasted(since, cx.now.mono);
        self.login.state = State::Idle;
        cx.out.push(Output::LoggedOut);
        let seen = self.resources.any_available();
        self.contacts.all_offline(cx, seen);
        self.rooms.network_lost(cx, reason);
        true
    }

    /// Whatever was asked of this assignment and has no outcome may have been done or not.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        for pending in cx.requests.take_all() {
            let failed = OpError::maybe_sent(format!("The connection to {} was lost.", cx.info.name));
            self.outcome(cx, pending, Err(failed));
        }
    }

    /// The next attempt. Until now outcomes of the last assignment could still come, and say better what had been sent.
    fn retry(&mut self, cx: &mut Cx<'_>, reload: bool) {
        self.settle(cx);
        cx.out.push(Output::Release);
        if reload {
            self.login.state = State::Loading;
            cx.store(StoreRequest::Load);
        } else {
            self.assign(cx);
        }
    }

    /// The registration has changed, or is gone.
    pub(crate) fn registration(&mut self, cx: &mut Cx<'_>, account: Option<Box<Account>>) {
        let Some(mut account) = account else {
            return self.finish(cx, CloseReason::NotRegistered, None);
        };
        let before = self.login.name().cloned();
        let changed = self.login.set_account(&mut account);
        if !changed || matches!(self.login.state, State::New | State::Loading | State::Over) {
            return;
        }
        self.go_offline(cx, "The registration has changed.");
        self.settle(cx);
        self.prompts.forget();
        cx.out.push(Output::Release);
        if before.is_some_and(|before| Some(&before) != self.login.name()) {
            let seen = self.resources.any_available();
            self.contacts.clear(cx, seen);
            self.subscriptions.clear();
            self.queries.clear();
            self.take_over(cx, *account);
        }
        self.login.forgive();
        self.assign(cx);
    }

    /// The link to the XMPP server is lost: nobody knows who is still there.
    pub(crate) fn xmpp_lost(&mut self) {
        self.resources.distrust();
        self.login.silence = None;
    }

    /// The link to the XMPP server is back, and the user has been probed.
    pub(crate) fn xmpp_back(&mut self, cx: &Cx<'_>) {
        self.login.silence = Some(cx.now.mono + SILENCE);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono;
        self.login.expire(cx);
        self.expire_messages(cx);
        match self.login.state {
            State::LoggingIn(until) if until <= now => {
                cx.out.push(Output::Release);
                let error = timed_out(cx);
                self.lost(cx, error, false);
            }
            State::BackingOff { until, reload } if until <= now => self.retry(cx, reload),
            State::New
            | State::Loading
            | State::Idle
            | State::Assigning
            | State::LoggingIn(_)
            | State::Online(_)
            | State::BackingOff { .. }
            | State::Over => {}
        }
        if self.login.silence.is_some_and(|at| at <= now) {
            self.login.silence = None;
            for resource in self.resources.unheard() {
                self.resource_lost(cx, &resource);
            }
        }
        if self.login.linger.is_some_and(|at| at <= now) && self.resources.is_empty() {
            self.finish(cx, CloseReason::Offline, None);
        }
        if self.login.state != State::Over {
            self.rooms.tick(cx);
        }
    }

    /// Sets or clears the time at which the session ends for want of resources. `alive`: the user has just been heard of.
    pub(crate) fn watch_linger(&mut self, cx: &Cx<'_>, alive: bool) {
        let nobody =
            self.resources.is_empty() && !self.login.is_awaited() && !self.prompts.is_attended() && !self.login.stays_connected();
        if !nobody || self.login.state == State::Over {
            self.login.linger = None;
        } else if self.login.linger.is_none() || alive {
            let own_wish = self.login.leaves_with_resources().then_some(LINGER);
            self.login.linger = cx.config.linger.or(own_wish).map(|linger| cx.now.mono + linger);
        }
    }

    /// Ends the session: everybody who waits for something is told, and the seat is given up. `text`: for the user;
    /// without one they are not told that it is over.
    pub(crate) fn finish(&mut self, cx: &mut Cx<'_>, reason: CloseReason, text: Option<String>) {
        if self.login.state == State::Over {
            return;
        }
        let was_online = matches!(self.login.state, State::Online(_));
        self.login.state = State::Over;
        cx.online = false;
        let words = match (&reason, &text) {
            (_, Some(text)) if !text.is_empty() => text.clone(),
            (CloseReason::Offline, _) => "You have gone offline.".to_owned(),
            (CloseReason::NotRegistered, _) => "You are not registered.".to_owned(),
            (CloseReason::LoginFailed, _) => format!("{} does not let you in.", cx.info.name),
            (CloseReason::Ended | CloseReason::Overflow, _) => "The session has ended.".to_owned(),
        };
        self.settle(cx);
        // What waits is kept for the next session, but a line is not said into a room that the user has left.
        if cx.config.durable && reason == CloseReason::Ended {
            cx.outbox.leave();
        }
        self.rooms.close(cx, &words);
        if cx.config.durable && reason == CloseReason::Offline {
            cx.outbox.leave();
        }
        sending::close(cx, &words);
        self.conversations.close(cx);
        let seen = self.resources.any_available();
        self.contacts.all_offline(cx, seen);
        self.login.admit(cx, &Err(AuthError::Refused(words.clone())));
        if text.is_some() || matches!(reason, CloseReason::Offline) {
            cx.tell(UserOut::Closed { reason: words });
        }
        if was_online {
            cx.out.push(Output::LoggedOut);
        }
        if reason == CloseReason::NotRegistered {
            // Whatever was kept of the user went with the registration, and nothing of it comes back.
            cx.out.retain(|output| !matches!(output, Output::Store(_)));
            cx.outbox.dirty.clear();
            cx.history.dirty.clear();
            cx.history.told.clear();
        }
        // Who is online when the instance ends is asked for at its next start.
        if reason != CloseReason::Ended && self.login.marked_online {
            cx.store(StoreRequest::SetOnline(false));
        }
        cx.out.push(Output::Release);
        cx.out.push(Output::Close(reason));
    }
}
