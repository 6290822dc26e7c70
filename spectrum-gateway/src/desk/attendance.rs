//! Who attends which login: a command that shows the questions of a login has the session tell how it comes on.

use std::collections::HashMap;
use std::time::Duration;

use jid::BareJid;
use spectrum_core::dialogue::Outcome;
use spectrum_core::model::UserKey;
use spectrum_core::session::{Input, Progress};
use tokio::sync::mpsc;

use super::Desk;

/// Things a login can say before they are looked at; with one more the oldest question may be lost, and the login gives up by itself.
const SAID: usize = 16;
/// How long a client waits for an answer to its call: longer, and some give up.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// After this time it is looked whether the session is still there.
const LOOK: Duration = Duration::from_secs(2);

/// Who attends which login.
#[derive(Default)]
pub(super) struct Attendances(HashMap<UserKey, Attendance>);

struct Attendance {
    /// The command session that attends.
    session: String,
    said: mpsc::Sender<Progress>,
    /// `None` while somebody waits on it.
    heard: Option<mpsc::Receiver<Progress>>,
}

impl Attendances {
    /// A session's word for whoever attends it.
    pub(super) fn tell(&self, user: &UserKey, progress: Progress) {
        if let Some(attendance) = self.0.get(user) {
            let _full_or_gone = attendance.said.try_send(progress);
        }
    }
}

impl Desk {
    /// Waits for what the user's login says next, for a while. The session is begun if there is none.
    pub(super) async fn attend(&self, user: &BareJid, session: &str) -> Outcome {
        let key = UserKey::from(user.as_str());
        let router = &self.0.parts.router;
        let mut heard = self.take_attendance(&key, session);
        let outcome = tokio::time::timeout(ANSWER, async {
            loop {
                router.start(user);
                match tokio::time::timeout(LOOK, heard.recv()).await {
                    Ok(Some(progress)) => return progress,
                    // Another command attends now.
                    Ok(None) => return Progress::Failed("Another command has taken over.".to_owned()),
                    // It may have been another session, which was about to end.
                    Err(_) if !router.has(&key) => {
                        router.start(user);
                        router.tell(&key, Input::Attend(true));
                    }
                    Err(_) => {}
                }
            }
        })
        .await;
        match outcome {
            Ok(Progress::Prompt(prompt, what)) => {
                self.put_back(&key, session, heard);
                Outcome::Prompt(prompt, what)
            }
            Ok(Progress::LoggedIn) => {
                self.leave_login(&key, session);
                Outcome::LoggedIn
            }
            Ok(Progress::Failed(reason)) => {
                self.leave_login(&key, session);
                Outcome::LoginFailed(reason)
            }
            Err(_) => {
                self.put_back(&key, session, heard);
                Outcome::Waiting
            }
        }
    }

    fn take_attendance(&self, user: &UserKey, session: &str) -> mpsc::Receiver<Progress> {
        let mut state = self.state();
        let own = state
            .attendance
            .0
            .get_mut(user)
            .filter(|attendance| attendance.session == session);
        if let Some(heard) = own.and_then(|attendance| attendance.heard.take()) {
            return heard;
        }
        let (said, heard) = mpsc::channel(SAID);
        let attendance = Attendance {
            session: session.to_owned(),
            said,
            heard: None,
        };
        state.attendance.0.insert(user.clone(), attendance);
        drop(state);
        if let Ok(jid) = BareJid::new(user.as_str()) {
            self.0.parts.router.start(&jid);
        }
        self.0.parts.router.tell(user, Input::Attend(true));
        heard
    }

    fn put_back(&self, user: &UserKey, session: &str, heard: mpsc::Receiver<Progress>) {
        let mut state = self.state();
        if let Some(attendance) = state.attendance.0.get_mut(user).filter(|a| a.session == session) {
            attendance.heard = Some(heard);
        }
    }

    /// The command no longer attends the user's login; an open question goes to the chat.
    pub(super) fn leave_login(&self, user: &UserKey, session: &str) {
        let mut state = self.state();
        let is_own = state.attendance.0.get(user).is_some_and(|a| a.session == session);
        if is_own {
            state.attendance.0.remove(user);
            drop(state);
            self.0.parts.router.tell(user, Input::Attend(false));
        }
    }

    /// Leaves the logins whose command is gone.
    pub(super) fn drop_forsaken(&self) {
        let state = self.state();
        let forsaken: Vec<_> = state
            .attendance
            .0
            .iter()
            .filter(|(_, attendance)| !state.sessions.contains_key(&attendance.session))
            .map(|(user, attendance)| (user.clone(), attendance.session.clone()))
            .collect();
        drop(state);
        for (user, session) in forsaken {
            self.leave_login(&user, &session);
        }
    }
}
