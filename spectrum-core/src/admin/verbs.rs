//! What an administrator may do to a running instance: one table of verbs, three ways to them. An ad-hoc command (XEP-0133 where it
//! has one), a line in a chat with the transport in the words of Spectrum 2, a request to the control socket.
//!
//! Owns nothing. What the verbs do is in [`super::perform`].

use super::ControlError;
use crate::config::Mode;
use crate::model::{Field, FieldKind, FormAnswers, Secret};

/// Why registrations are nothing to ask a server for.
const NO_REGISTRATIONS: &str = "A server keeps no registrations: users log in with their accounts of the network.";

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
    pub(super) what: What,
    arguments: &'static [Argument],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
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
    Outage,
    OutageOver,
    Backends,
    BackendCount,
    Crashes,
    CrashCount,
    Messages,
    WaitingMessages,
    Memory(Memory),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Memory {
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
const OUTAGE: &[Argument] = &[
    argument("beginning", "Beginning, or now"),
    argument("end", "Expected end, or -"),
    argument("message", "What people are told"),
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
        "messages",
        "admin/messages",
        "Show where the last messages of a user are",
        What::Messages,
        USER,
    ),
    verb(
        "waiting_messages",
        "admin/waiting-messages",
        "List the messages that are not with the network yet, the oldest first",
        What::WaitingMessages,
        &[],
    ),
    verb(
        "announce",
        "http://jabber.org/protocol/admin#announce",
        "Send an announcement to everybody online",
        What::Announce,
        TEXT,
    ),
    verb(
        "outage",
        "admin/outage",
        "Note an outage, at present or planned, and tell everybody",
        What::Outage,
        OUTAGE,
    ),
    verb(
        "outage_over",
        "admin/outage-over",
        "Note that there is no outage any more, and tell everybody",
        What::OutageOver,
        &[],
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

    /// Whether an instance of this mode can do it.
    pub fn is_of(&self, mode: Mode) -> bool {
        match mode {
            Mode::Gateway => true,
            Mode::Server => self.why_not_in_server().is_none(),
        }
    }

    /// That this mode has the verb.
    ///
    /// # Errors
    /// [`ControlError::WrongMode`] with the reason.
    pub fn check(&self, mode: Mode) -> Result<(), ControlError> {
        match (mode, self.why_not_in_server()) {
            (Mode::Gateway, _) | (Mode::Server, None) => Ok(()),
            (Mode::Server, Some(reason)) => Err(ControlError::WrongMode(reason.to_owned())),
        }
    }

    /// Why a server does not have it, if it does not.
    fn why_not_in_server(&self) -> Option<&'static str> {
        match self.what {
            What::RegisteredUsers | What::RegisteredCount | What::Register | What::Unregister | What::LastLogin => {
                Some(NO_REGISTRATIONS)
            }
            What::WaitingMessages => Some("Here messages wait in sessions only: ask for those of one user."),
            What::Announce | What::Outage | What::OutageOver => Some("Announcements are made in gateway mode only."),
            What::Status
            | What::Uptime
            | What::OnlineUsers
            | What::OnlineCount
            | What::HasOnline
            | What::Logout
            | What::Backends
            | What::BackendCount
            | What::Crashes
            | What::CrashCount
            | What::Messages
            | What::Memory(_) => None,
        }
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
}

/// The help of administrators of an instance of this mode, one verb a line.
pub fn help(mode: Mode) -> String {
    let line = |verb: &AdminVerb| format!("{}: {}", verb.written(), verb.title);
    VERBS
        .iter()
        .filter(|verb| verb.is_of(mode))
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
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
    fn a_server_lists_no_verb_of_a_gateway_and_says_why() {
        let listed = |mode| {
            help(mode)
                .lines()
                .map(|line| line.split([' ', ':']).next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let (gateway, server) = (listed(Mode::Gateway), listed(Mode::Server));
        assert_eq!(gateway.len(), VERBS.len());
        let missing: Vec<_> = gateway.iter().filter(|name| !server.contains(name)).collect();
        assert_eq!(
            missing,
            [
                "registered_users",
                "registered_users_count",
                "last_login",
                "register",
                "unregister",
                "waiting_messages",
                "announce",
                "outage",
                "outage_over"
            ]
        );
        for verb in VERBS {
            assert_eq!(verb.check(Mode::Gateway), Ok(()));
            assert_eq!(verb.check(Mode::Server).is_ok(), server.iter().any(|name| name == verb.name));
        }
        assert_eq!(
            AdminVerb::by_name("register").unwrap().check(Mode::Server),
            Err(ControlError::WrongMode(NO_REGISTRATIONS.to_owned()))
        );
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
