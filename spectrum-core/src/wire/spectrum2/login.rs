//! Logins and logouts on a wire that names users and not assignments: one of a user's at a time, the next one waits.

use super::Spectrum2Codec;
use super::pings::Confirmed;
use super::users::{Next, Phase, User};
use super::words::stored_contact;
use crate::backend::{Event, LoginError, LoginErrorKind, OpError};
use crate::model::{AssignmentId, UserKey};
use crate::wire::native::{text, write_settings};
use crate::wire::{FromBackend, LoginRequest, ToBackend, kind, proto};

impl Spectrum2Codec {
    pub(super) fn write_login(&mut self, login: &LoginRequest) {
        if let Some(user) = self.users.get(&login.user) {
            // The core has let go of the earlier assignment; it is logged out first if that was not said.
            let current = user.assignment;
            if user.phase != Phase::Leaving {
                self.write_logout(current);
            }
            self.hold_login(login);
            return;
        }
        self.start_login(login);
    }

    fn hold_login(&mut self, login: &LoginRequest) {
        self.drop_held(&login.user);
        if let Some(user) = self.users.get_mut(&login.user) {
            user.next = Some(Next {
                assignment: login.assignment,
                held: vec![ToBackend::Login(Box::new(login.clone()))],
            });
            self.users.reserve(login.user.clone(), login.assignment);
        }
    }

    /// Takes back a login that has not been written.
    fn drop_held(&mut self, user: &UserKey) {
        let Some(next) = self.users.get_mut(user).and_then(|user| user.next.take()) else {
            return;
        };
        self.users.forget(next.assignment);
        for frame in next.held {
            if let ToBackend::Request { assignment, request, .. } = frame {
                self.answer(assignment, request, Err(not_connected()));
            }
        }
        self.ready.push_back(FromBackend::LoggedOut {
            assignment: next.assignment,
        });
    }

    fn start_login(&mut self, login: &LoginRequest) {
        let message = proto::Login {
            user: text(&login.user),
            legacy_name: text(&login.name),
            password: Some(login.password.as_ref().and_then(|p| text(p.expose())).unwrap_or_default()),
            settings: Some(write_settings(&login.settings)),
            presence: None,
            contacts: Vec::new(),
        };
        if self.put(kind::LOGIN, &message).is_err() {
            let error = LoginError::new(LoginErrorKind::Settings, "Your settings are too long to be sent.");
            self.event(login.assignment, Event::Closed(error));
            self.counters.dropped += 1;
            return;
        }
        self.users
            .insert(login.user.clone(), User::new(login.assignment, login.name.clone()));
        if self.said.contacts_at_login == Some(true) && !login.contacts.is_empty() {
            let buddies = proto::Buddies {
                buddy: login.contacts.iter().map(|c| stored_contact(&login.user, c)).collect(),
            };
            if self.put(kind::BUDDIES, &buddies).is_err() {
                self.counters.dropped += 1;
            }
        }
        if login.presence.availability.is_online() && self.put_presence(&login.user, &login.presence).is_err() {
            self.counters.dropped += 1;
        }
    }

    pub(super) fn write_logout(&mut self, assignment: AssignmentId) {
        let Some(key) = self.users.key(assignment) else {
            self.ready.push_back(FromBackend::LoggedOut { assignment });
            return;
        };
        let Some(user) = self.users.get_mut(&key) else {
            // A login that could not be written when its turn came.
            self.users.forget(assignment);
            self.ready.push_back(FromBackend::LoggedOut { assignment });
            return;
        };
        if user.assignment != assignment {
            self.drop_held(&key);
            return;
        }
        if user.phase == Phase::Leaving {
            return;
        }
        user.phase = Phase::Leaving;
        let joins = user.take_joins();
        let message = proto::Logout {
            user: text(&key),
            legacy_name: text(&user.name),
        };
        for request in joins {
            self.answer(assignment, request, Err(not_connected()));
        }
        // As long as the LOGIN was, so it fits.
        let _ = self.put(kind::LOGOUT, &message);
        self.pings.wait(Confirmed::LoggedOut { assignment });
    }

    /// A logout is confirmed: the assignment is no more, and the next one may begin.
    pub(super) fn logged_out(&mut self, assignment: AssignmentId) {
        let Some(key) = self.users.key(assignment) else { return };
        let Some(user) = self.users.remove(&key) else { return };
        self.ready.push_back(FromBackend::LoggedOut { assignment });
        if let Some(next) = user.next {
            for frame in &next.held {
                self.write(frame);
            }
        }
    }
}

pub(super) fn not_connected() -> OpError {
    OpError::not_connected("You are not connected to the network.")
}
