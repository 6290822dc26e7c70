//! What an administrator may do to a running instance: one table of verbs, three ways to them. An ad-hoc command (XEP-0133 where it
//! has one), a line in a chat with the transport in the words of Spectrum 2, a request to the control socket.
//!
//! Owns nothing; everything is asked of [`Control`].

use jid::BareJid;

use super::{Control, ControlError, NewRegistration};
use crate::dialogue::Report;
use crate::model::{Field, FieldKind, FormAnswers, Secret, UserKey};

/// Most users in one answer.
pub const MAX_LISTED: usize = 500;

/// One verb.
#[derive(Debug)]
pub struct AdminVerb {
    /// How it is written in a chat.
    pub name: &'static str,
    /// Its node as an ad-hoc command.
    pub node: &'static str,
    /// What it is called.
    pub title: &'static str,
    what: What,
    arguments: &'static [Argument],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Status,
    Uptime,
    OnlineUsers,
    OnlineCount,
    HasOnline,
    RegisteredUsers,
    RegisteredCount,
    Register,
    Unregister,
    Logout,
    LastLogin,
    Announce,
    Backends,
    BackendCount,
    Crashes,
    CrashCount,
    Memory(Memory),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Memory {
    Resident,
    Shared,
    Used,
    PerUser,
}

#[derive(Clone, Copy, Debug)]
struct Argument {
    name: &'static str,
    label: &'static str,
    is_secret: bool,
}

const fn argument(name: &'static str, label: &'static str) -> Argument {
    let is_secret = false;
    Argument { name, label, is_secret }
}

const fn verb(
    name: &'static str,
    node: &'static str,
    title: &'static str,
    what: What,
    arguments: &'static [Argument],
) -> AdminVerb {
    AdminVerb {
        name,
        node,
        title,
        what,
        arguments,
    }
}

/// A user, or several.
const USERS: &[Argument] = &[argument("accountjids", "JIDs of users")];
const USER: &[Argument] = &[argument("accountjid", "JID of the user")];
const ACCOUNT: &[Argument] = &[
    argument("accountjid", "JID of the user"),
    argument("username", "Name on the network"),
    Argument {
        name: "password",
        label: "Password on the network",
        is_secret: true,
    },
];
const TEXT: &[Argument] = &[argument("announcement", "Announcement")];

/// All of them, in the order of help.
pub const VERBS: &[AdminVerb] = &[
    verb("status", "admin/status", "Show how the transport is", What::Status, &[]),
    verb(
        "uptime",
        "admin/uptime",
        "Show for how many seconds it has been running",
        What::Uptime,
        &[],
    ),
    verb(
        "online_users",
        "http://jabber.org/protocol/admin#get-online-users-list",
        "List the users with a session",
        What::OnlineUsers,
        &[],
    ),
    verb(
        "online_users_count",
        "http://jabber.org/protocol/admin#get-online-users-num",
        "Count the users with a session",
        What::OnlineCount,
        &[],
    ),
    verb(
        "has_online_user",
        "admin/has-online-user",
        "Find out whether a user has a session",
        What::HasOnline,
        USER,
    ),
    verb(
        "registered_users",
        "http://jabber.org/protocol/admin#get-registered-users-list",
        "List the registered users",
        What::RegisteredUsers,
        &[],
    ),
    verb(
        "registered_users_count",
        "http://jabber.org/protocol/admin#get-registered-users-num",
        "Count the registered users",
        What::RegisteredCount,
        &[],
    ),
    verb(
        "last_login",
        "http://jabber.org/protocol/admin#get-user-lastlogin",
        "Show when users logged in last",
        What::LastLogin,
        USERS,
    ),
    verb(
        "register",
        "http://jabber.org/protocol/admin#add-user",
        "Register a user",
        What::Register,
        ACCOUNT,
    ),
    verb(
        "unregister",
        "http://jabber.org/protocol/admin#delete-user",
        "Remove registrations",
        What::Unregister,
        USERS,
    ),
    verb(
        "logout",
        "http://jabber.org/protocol/admin#end-user-session",
        "End sessions of users",
        What::Logout,
        USERS,
    ),
    verb(
        "announce",
        "http://jabber.org/protocol/admin#announce",
        "Send an announcement to everybody online",
        What::Announce,
        TEXT,
    ),
    verb("backends", "admin/backends", "List the backends", What::Backends, &[]),
    verb(
        "backends_count",
        "admin/backends-count",
        "Count the backends",
        What::BackendCount,
        &[],
    ),
    verb(
        "crashed_backends",
        "admin/crashed-backends",
        "List the latest crashes",
        What::Crashes,
        &[],
    ),
    verb(
        "crashed_backends_count",
        "admin/crashed-backends-count",
        "Count the latest crashes",
        What::CrashCount,
        &[],
    ),
    verb(
        "res_memory",
        "admin/res-memory",
        "Show resident memory in KiB",
        What::Memory(Memory::Resident),
        &[],
    ),
    verb(
        "shr_memory",
        "admin/shr-memory",
        "Show shared memory in KiB",
        What::Memory(Memory::Shared),
        &[],
    ),
    verb(
        "used_memory",
        "admin/used-memory",
        "Show memory of its own in KiB",
        What::Memory(Memory::Used),
        &[],
    ),
    verb(
        "average_memory_per_user",
        "admin/average-memory-per-user",
        "Show backends' memory per user in KiB",
        What::Memory(Memory::PerUser),
        &[],
    ),
];

impl AdminVerb {
    /// The verb of this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// The verb of this node.
    pub fn by_node(node: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.node == node)
    }

    /// What it needs to be told, as a form asks it.
    pub fn fields(&self) -> Vec<Field> {
        let field = |argument: &Argument| Field {
            name: argument.name.to_owned(),
            label: argument.label.to_owned(),
            kind: if argument.is_secret {
                FieldKind::Password
            } else {
                FieldKind::Text
            },
            // A network without passwords takes an empty one.
            required: !argument.is_secret,
            default: None,
        };
        self.arguments.iter().map(field).collect()
    }

    /// Whether it is told a secret, which must not stand where others can read it.
    pub fn takes_secret(&self) -> bool {
        self.arguments.iter().any(|argument| argument.is_secret)
    }

    /// Its arguments out of a line; the last one takes all that is left.
    ///
    /// # Errors
    /// [`ControlError::Refused`] with how it is written.
    pub fn arguments(&self, line: &str) -> Result<FormAnswers, ControlError> {
        let mut rest = line.trim();
        let mut answers = FormAnswers::new();
        for (at, argument) in self.arguments.iter().enumerate() {
            let is_last = at + 1 == self.arguments.len();
            let (value, after) = if is_last {
                (rest, "")
            } else {
                rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
            };
            if value.is_empty() && !argument.is_secret {
                return Err(ControlError::Refused(format!("Error: Argument is missing. {}", self.usage())));
            }
            answers.insert(argument.name.to_owned(), Secret::new(value));
            rest = after.trim_start();
        }
        if rest.is_empty() {
            Ok(answers)
        } else {
            Err(ControlError::Refused(format!("Error: Too many arguments. {}", self.usage())))
        }
    }

    fn usage(&self) -> String {
        format!("Write: {}", self.written())
    }

    /// How it is written, with what stands for its arguments.
    fn written(&self) -> String {
        let arguments: Vec<_> = self.arguments.iter().map(|a| format!(" <{}>", a.label)).collect();
        format!("{}{}", self.name, arguments.concat())
    }

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
            What::Announce => {
                let told = control.announce(&text(answers, "announcement")).await?;
                Ok(Report::text(format!("Sent to {told} users")))
            }
            What::Backends => Ok(backends(control)),
            What::BackendCount => number("backends", "Backends", control.status().pool.backends.len()),
            What::Crashes => Ok(crashes(control)),
            What::CrashCount => number("crashes", "Crashes", control.status().pool.crashes.len()),
            What::Memory(which) => Ok(memory(which, control)),
        }
    }
}

/// The help of administrators, one verb a line.
pub fn help() -> String {
    let line = |verb: &AdminVerb| format!("{}: {}", verb.written(), verb.title);
    VERBS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The verb of a line and what is left of the line. As on Spectrum 2 there may be a `get` or `set` in front.
pub fn split(line: &str) -> Option<(&'static AdminVerb, &str)> {
    let word = |line: &'_ str| -> (usize, usize) {
        let start = line.len() - line.trim_start().len();
        let end = line[start..].find(char::is_whitespace).map_or(line.len(), |at| start + at);
        (start, end)
    };
    let (start, end) = word(line);
    let mut rest = line;
    let mut name = &line[start..end];
    if matches!(name, "get" | "set") {
        rest = &line[end..];
        let (start, end) = word(rest);
        name = &rest[start..end];
        rest = &rest[end..];
    } else {
        rest = &rest[end..];
    }
    AdminVerb::by_name(name).map(|verb| (verb, rest))
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
            .map_or_else(|| "never".to_owned(), crate::xml::date_time);
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

fn backends(control: &dyn Control) -> Report {
    let row = |backend: crate::main_process::BackendStatus| {
        vec![
            backend.id.to_string(),
            backend.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            backend.state.to_owned(),
            backend.users.to_string(),
        ]
    };
    Report {
        columns: vec![("id", "Backend"), ("pid", "Process"), ("state", "State"), ("users", "Users")],
        rows: control.status().pool.backends.into_iter().map(row).collect(),
        ..Report::default()
    }
}

fn crashes(control: &dyn Control) -> Report {
    Report {
        columns: vec![("id", "Backend"), ("how", "How"), ("ago", "Seconds ago")],
        rows: control
            .status()
            .pool
            .crashes
            .into_iter()
            .map(|crash| vec![crash.id.to_string(), crash.how, crash.secs_ago.to_string()])
            .collect(),
        ..Report::default()
    }
}

fn memory(which: Memory, control: &dyn Control) -> Report {
    let pool = control.status().pool;
    let backends: u64 = pool.backends.iter().filter_map(|b| b.resident_kib).map(u64::from).sum();
    let users: usize = pool.backends.iter().map(|b| b.users).sum();
    let (own, shared) = own_memory().unwrap_or_default();
    let (label, kib) = match which {
        Memory::Resident => ("Resident, KiB", own + backends),
        Memory::Shared => ("Shared, KiB", shared),
        Memory::Used => ("Own, KiB", (own + backends).saturating_sub(shared)),
        Memory::PerUser => (
            "Per user, KiB",
            backends.checked_div(u64::try_from(users).unwrap_or(u64::MAX)).unwrap_or(0),
        ),
    };
    Report::value("memory", label, kib.to_string())
}

/// Resident and shared memory of this process in KiB; `None` where the system does not say.
fn own_memory() -> Option<(u64, u64)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm
        .split_whitespace()
        .skip(1)
        .map_while(|number| number.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).ok()? / 1024;
    Some((pages.next()? * page, pages.next()? * page))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_nodes_are_unique() {
        let names: BTreeSet<_> = VERBS.iter().map(|verb| verb.name).collect();
        let nodes: BTreeSet<_> = VERBS.iter().map(|verb| verb.node).collect();
        assert_eq!((names.len(), nodes.len()), (VERBS.len(), VERBS.len()));
    }

    #[test]
    fn lines_are_split_as_spectrum_2_did() {
        let (verb, rest) = split(" get status ").unwrap();
        assert_eq!((verb.name, rest.trim()), ("status", ""));
        let (verb, rest) = split("register a@b name pass word").unwrap();
        let answers = verb.arguments(rest).unwrap();
        assert_eq!(
            answers.iter().map(|(k, v)| (k.as_str(), v.expose())).collect::<Vec<_>>(),
            [("accountjid", "a@b"), ("password", "pass word"), ("username", "name")]
        );
        assert!(split("dance").is_none() && split("").is_none() && split("get").is_none());
    }

    #[test]
    fn missing_and_spare_arguments_are_told_with_how_it_is_written() {
        let (verb, rest) = split("has_online_user").unwrap();
        assert_eq!(
            verb.arguments(rest).unwrap_err().to_string(),
            "Error: Argument is missing. Write: has_online_user <JID of the user>"
        );
        let (verb, rest) = split("status now").unwrap();
        assert!(
            verb.arguments(rest)
                .unwrap_err()
                .to_string()
                .starts_with("Error: Too many arguments.")
        );
    }
}
