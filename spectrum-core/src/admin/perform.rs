//! What the verbs of administrators do: each asks [`Control`] and makes a report of the answer. Owns nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use jid::BareJid;

use super::verbs::{AdminVerb, MAX_LISTED, What};
use super::{Control, ControlError, NewRegistration, Outage, machine, whereabouts};
use crate::dialogue::Report;
use crate::model::{FormAnswers, Timestamp, UserKey};

impl AdminVerb {
    /// Does it. May wait for the store.
    ///
    /// # Errors
    /// [`ControlError`] with the reason, for the administrator.
    pub async fn perform(&self, answers: &FormAnswers, control: &dyn Control) -> Result<Report, ControlError> {
        let number = |name, label, number: usize| Ok(Report::value(name, label, number.to_string()));
        match self.what {
            What::Status => Ok(status(control)),
            What::Uptime => Ok(Report::value("uptime", "Seconds", control.status().uptime_secs.to_string())),
            What::OnlineUsers => Ok(online_users(control)),
            What::OnlineCount => number("onlineusersnum", "Users with a session", control.status().sessions),
            What::HasOnline => {
                let user = user(&text(answers, "accountjid"))?;
                let has = control.user(&user).is_some();
                Ok(Report::value("online", "Online", u8::from(has).to_string()))
            }
            What::RegisteredUsers => registered_users(control).await,
            What::RegisteredCount => {
                let count = control.registered_count().await?;
                number("registeredusersnum", "Registered users", count)
            }
            What::Register => {
                let registration = NewRegistration {
                    user: user(&text(answers, "accountjid"))?,
                    username: text(answers, "username"),
                    password: answers.get("password").cloned().unwrap_or_default(),
                    fields: Vec::new(),
                };
                control.register(registration).await?;
                Ok(Report::text("User registered"))
            }
            What::Unregister => {
                let users = users(answers)?;
                for user in &users {
                    control.unregister(user).await.map_err(|failed| about(user, failed))?;
                }
                Ok(Report::text(if users.len() == 1 {
                    "User unregistered"
                } else {
                    "Users unregistered"
                }))
            }
            What::Logout => {
                for user in &users(answers)? {
                    control.logout(user).await.map_err(|failed| about(user, failed))?;
                }
                Ok(Report::text("Logged out"))
            }
            What::LastLogin => last_login(&users(answers)?, control).await,
            What::Messages => {
                let user = user(&text(answers, "accountjid"))?;
                let messages = control.recent(&user).await.map_err(|failed| about(&user, failed))?;
                Ok(whereabouts::report(&messages))
            }
            What::WaitingMessages => Ok(whereabouts::report_of_all(&control.waiting(MAX_LISTED).await?)),
            What::Announce => {
                let told = control.announce(&text(answers, "announcement")).await?;
                Ok(Report::text(format!("Sent to {told} users")))
            }
            What::Outage => {
                let said = |name| text(answers, name);
                let outage = Outage::told(&said("beginning"), &said("end"), &said("message"), now())?;
                let told = control.set_outage(Some(outage)).await?;
                Ok(Report::text(format!("Noted; {told} users were told")))
            }
            What::OutageOver => {
                let told = control.set_outage(None).await?;
                Ok(Report::text(format!("Noted; {told} users were told")))
            }
            What::Backends => Ok(machine::backends(control)),
            What::BackendCount => number("backends", "Backends", control.status().pool.backends.len()),
            What::Crashes => Ok(machine::crashes(control)),
            What::CrashCount => number("crashes", "Crashes", control.status().pool.crashes.len()),
            What::Memory(which) => Ok(machine::memory(which, control)),
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn text(answers: &FormAnswers, name: &str) -> String {
    answers
        .get(name)
        .map(|value| value.expose().trim().to_owned())
        .unwrap_or_default()
}

fn user(jid: &str) -> Result<UserKey, ControlError> {
    match BareJid::new(jid) {
        Ok(jid) if jid.node().is_some() => Ok(UserKey::from(jid.as_str())),
        Ok(_) | Err(_) => Err(ControlError::Refused(format!("{jid} is not the JID of a user"))),
    }
}

fn users(answers: &FormAnswers) -> Result<Vec<UserKey>, ControlError> {
    let users: Vec<_> = text(answers, "accountjids")
        .split_whitespace()
        .map(user)
        .collect::<Result<_, _>>()?;
    if users.is_empty() {
        return Err(ControlError::Refused("There is no JID.".to_owned()));
    }
    Ok(users)
}

fn about(user: &UserKey, failed: ControlError) -> ControlError {
    match failed {
        ControlError::NoSuchUser => ControlError::Refused(format!("{user}: no such user")),
        other @ (ControlError::WrongMode(_) | ControlError::Refused(_) | ControlError::Failed(_)) => other,
    }
}

fn status(control: &dyn Control) -> Report {
    let status = control.status();
    let mut text = format!(
        "Running ({} users connected using {} backends)\nXMPP: {}",
        status.sessions,
        status.pool.backends.len(),
        status.xmpp.text
    );
    for degraded in &status.degraded {
        text.push('\n');
        text.push_str(degraded);
    }
    Report::text(text)
}

fn online_users(control: &dyn Control) -> Report {
    let users = control.users(None, MAX_LISTED);
    let jids = users.iter().map(|user| user.user.to_string()).collect();
    Report {
        fields: vec![("onlineuserjids", "Users with a session", jids)],
        columns: vec![
            ("jid", "User"),
            ("state", "State"),
            ("devices", "Devices"),
            ("since", "Seconds"),
        ],
        rows: users
            .into_iter()
            .map(|user| {
                vec![
                    user.user.to_string(),
                    user.state,
                    user.resources.to_string(),
                    user.since_secs.to_string(),
                ]
            })
            .collect(),
        ..Report::default()
    }
}

async fn registered_users(control: &dyn Control) -> Result<Report, ControlError> {
    let users = control.registered(None, MAX_LISTED).await?;
    let jids = users.iter().map(|user| user.user.to_string()).collect();
    Ok(Report {
        fields: vec![("registereduserjids", "Registered users", jids)],
        columns: vec![("jid", "User"), ("name", "Name on the network")],
        rows: users
            .into_iter()
            .map(|user| vec![user.user.to_string(), user.legacy_name.as_str().to_owned()])
            .collect(),
        ..Report::default()
    })
}

async fn last_login(users: &[UserKey], control: &dyn Control) -> Result<Report, ControlError> {
    let mut rows = Vec::new();
    for user in users {
        let Some(registration) = control.registration(user).await? else {
            return Err(about(user, ControlError::NoSuchUser));
        };
        let at = registration
            .last_login
            .map_or_else(|| "never".to_owned(), Timestamp::date_time);
        rows.push(vec![user.to_string(), at]);
    }
    let times = rows.iter().filter_map(|row| row.last().cloned()).collect();
    let jids = users.iter().map(UserKey::to_string).collect();
    Ok(Report {
        fields: vec![("accountjids", "Users", jids), ("lastlogin", "Last login", times)],
        columns: vec![("jid", "User"), ("at", "Last login")],
        rows,
        ..Report::default()
    })
}
