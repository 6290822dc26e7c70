//! The verbs that talk to a running instance over its control socket.

use std::time::Duration;

use jid::BareJid;
use serde_json::{Value, json};

use super::args::{Admin, Instance, Query, Register, User};
use super::exit::{Exit, Failure};
use super::{input, locate, output};
use crate::admin::{ControlClient, NewRegistration, UserStatus, table};
use crate::config::{Mode, names_a_secret};
use crate::model::{Secret, UserKey};

pub(super) fn status(mode: Mode, arguments: &Query) -> Result<Exit, Failure> {
    let status = connect(mode, &arguments.instance)?.status()?;
    if arguments.json {
        output::print_json(&status)?;
    } else {
        output::print(&status_text(&status))?;
    }
    Ok(Exit::Success)
}

pub(super) fn backends(mode: Mode, arguments: &Query) -> Result<Exit, Failure> {
    let status = connect(mode, &arguments.instance)?.status()?;
    if arguments.json {
        output::print_json(&status["pool"]["backends"])?;
    } else {
        output::print(&backends_text(&status["pool"]))?;
    }
    Ok(Exit::Success)
}

pub(super) fn users(mode: Mode, arguments: &Query) -> Result<Exit, Failure> {
    let mut client = connect(mode, &arguments.instance)?;
    if arguments.json {
        // One object per line, so that a hundred thousand users are no more than a stream.
        let page = |users: Vec<UserStatus>| {
            let lines: Vec<String> = users.iter().map(|user| json!(user).to_string()).collect();
            output::print(&format!("{}\n", lines.join("\n")))
        };
        broken_pipe_is_fine(client.users(page))?;
    } else {
        let mut rows = Vec::new();
        client.users(|users| {
            rows.extend(users.iter().map(user_row));
            Ok(())
        })?;
        output::print(&table(&["USER", "STATE", "DEVICES", "BACKEND", "SINCE"], &rows))?;
    }
    Ok(Exit::Success)
}

pub(super) fn logout(mode: Mode, arguments: &User) -> Result<Exit, Failure> {
    let (instance, user) = arguments.split().map_err(Failure::usage)?;
    let user = user_key(user)?;
    connect(mode, &instance)?.logout(&user)?;
    Ok(Exit::Success)
}

pub(super) fn register(mode: Mode, arguments: &Register) -> Result<Exit, Failure> {
    gateway_only(mode)?;
    let (instance, user) = arguments.user.split().map_err(Failure::usage)?;
    let user = user_key(user)?;
    let given = arguments
        .field
        .iter()
        .map(|field| field_of(field))
        .collect::<Result<Vec<_>, _>>()?;
    // Before anything is asked for: a person should not type a password for nothing.
    let mut client = connect(mode, &instance)?;
    let password = if arguments.no_password {
        Secret::default()
    } else {
        input::secret(&format!("Password of {} on the network", arguments.username))?
    };
    let mut fields = Vec::new();
    for (name, value) in given {
        let value = match value {
            Some(value) => Secret::new(value),
            None => input::secret(name)?,
        };
        fields.push((name.to_owned(), value));
    }
    client.register(&NewRegistration {
        user,
        username: arguments.username.clone(),
        password,
        fields,
    })?;
    Ok(Exit::Success)
}

pub(super) fn admin(mode: Mode, arguments: &Admin) -> Result<Exit, Failure> {
    let line = arguments.words.join(" ");
    if line.trim().is_empty() {
        output::print(&format!("{}\n", crate::admin::help(mode)))?;
        return Ok(Exit::Success);
    }
    let verb = crate::admin::split(&line).map(|(verb, _)| verb);
    if let Some(Err(wrong)) = verb.map(|verb| verb.check(mode)) {
        return Err(Failure::usage(wrong.to_string()));
    }
    if verb.is_some_and(crate::admin::AdminVerb::takes_secret) {
        return Err(Failure::usage(
            "everybody on this machine can read command lines, and this verb takes a password: use `register`, which asks for it",
        ));
    }
    let instance = Instance {
        file: Some(arguments.file.clone()),
        config: None,
        set: Vec::new(),
    };
    let said = connect(mode, &instance)?.admin(&line)?;
    output::print(&format!("{said}\n"))?;
    Ok(Exit::Success)
}

pub(super) fn unregister(mode: Mode, arguments: &User) -> Result<Exit, Failure> {
    gateway_only(mode)?;
    let (instance, user) = arguments.split().map_err(Failure::usage)?;
    let user = user_key(user)?;
    connect(mode, &instance)?.unregister(&user)?;
    Ok(Exit::Success)
}

fn connect(mode: Mode, instance: &Instance) -> Result<ControlClient, Failure> {
    let config = locate::load(mode, instance)?.config;
    Ok(ControlClient::connect(&config.control.socket)?)
}

fn gateway_only(mode: Mode) -> Result<(), Failure> {
    match mode {
        Mode::Gateway => Ok(()),
        Mode::Server => Err(Failure::usage(
            "server mode keeps no registrations: people log in with their name and password on the legacy network",
        )),
    }
}

fn user_key(text: &str) -> Result<UserKey, Failure> {
    match BareJid::new(text) {
        Ok(jid) if jid.node().is_some() => Ok(UserKey::from(jid.as_str())),
        Ok(_) | Err(_) => Err(Failure::usage(format!(
            "{text}: expected the bare JID of a user, such as juliet@example.org"
        ))),
    }
}

/// A field and, if it was given, its value; values of secrets must not be given.
fn field_of(field: &str) -> Result<(&str, Option<&str>), Failure> {
    match field.split_once('=') {
        None => Ok((field, None)),
        Some((name, _)) if names_a_secret(name) => Err(Failure::usage(format!(
            "--field {name}: looks like a secret, and everybody on this machine can read command lines; leave out =VALUE and enter it on standard input"
        ))),
        Some((name, value)) => Ok((name, Some(value))),
    }
}

fn broken_pipe_is_fine(result: Result<(), crate::admin::ClientError>) -> Result<(), Failure> {
    match result {
        Err(crate::admin::ClientError::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

fn user_row(user: &UserStatus) -> Vec<String> {
    vec![
        user.user.to_string(),
        user.state.clone(),
        user.resources.to_string(),
        user.backend.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        span(user.since_secs),
    ]
}

fn status_text(status: &Value) -> String {
    let pool = &status["pool"];
    let mut rows = vec![
        vec!["mode".to_owned(), text(&status["mode"])],
        vec!["version".to_owned(), text(&status["version"])],
        vec!["up for".to_owned(), span(status["uptime_secs"].as_u64().unwrap_or_default())],
        vec!["xmpp".to_owned(), text(&status["xmpp"]["text"])],
        vec![
            "users".to_owned(),
            format!(
                "{} with a session, {} logged in",
                text(&status["sessions"]),
                text(&status["logged_in"])
            ),
        ],
        vec![
            "backends".to_owned(),
            format!(
                "{}, {} running, {} users waiting",
                text(&pool["health"]),
                list(&pool["backends"]).len(),
                text(&pool["waiting"])
            ),
        ],
    ];
    if let Some(reason) = pool["reason"].as_str() {
        rows.push(vec!["".to_owned(), reason.to_owned()]);
    }
    rows.extend(
        list(&status["degraded"])
            .iter()
            .map(|entry| vec!["degraded".to_owned(), text(entry)]),
    );
    table(&["jid", &text(&status["jid"])], &rows)
}

fn backends_text(pool: &Value) -> String {
    let row = |backend: &Value| {
        vec![
            text(&backend["id"]),
            text(&backend["pid"]),
            text(&backend["state"]),
            text(&backend["users"]),
            span(backend["uptime_secs"].as_u64().unwrap_or_default()),
            backend["resident_kib"]
                .as_u64()
                .map_or_else(|| "-".to_owned(), |kib| format!("{} MiB", kib / 1024)),
            text(&backend["violations"]),
        ]
    };
    let rows: Vec<_> = list(&pool["backends"]).iter().map(row).collect();
    let mut shown = table(&["BACKEND", "PID", "STATE", "USERS", "UP FOR", "MEMORY", "VIOLATIONS"], &rows);
    let crash = |crash: &Value| {
        let ago = span(crash["secs_ago"].as_u64().unwrap_or_default());
        let stderr = crash["stderr"]
            .as_str()
            .and_then(|stderr| stderr.lines().last())
            .unwrap_or_default()
            .to_owned();
        vec![
            text(&crash["id"]),
            format!("{ago} ago"),
            text(&crash["how"]),
            text(&crash["users"]),
            stderr,
        ]
    };
    let crashes: Vec<_> = list(&pool["crashes"]).iter().map(crash).collect();
    if !crashes.is_empty() {
        shown.push('\n');
        shown.push_str(&table(&["CRASHED", "WHEN", "HOW", "USERS", "LAST LINE"], &crashes));
    }
    shown
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

/// The two largest units of a span of time: `3d 4h`, `5m 2s`.
fn span(seconds: u64) -> String {
    let seconds = Duration::from_secs(seconds).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn status_is_shown_in_lines_for_people() {
        let status = json!({
            "jid": "irc.example.org", "mode": "gateway", "version": "0.1.0", "uptime_secs": 90061,
            "xmpp": { "up": false, "text": "cannot reach 127.0.0.1:5347" }, "sessions": 3, "logged_in": 2,
            "pool": { "health": "failing", "reason": "spectrum-irc: not found", "backends": [], "waiting": 3, "crashes": [] },
            "degraded": ["peers of backends are known by uid only"],
        });
        let expected = "\
jid       irc.example.org
mode      gateway
version   0.1.0
up for    1d 1h
xmpp      cannot reach 127.0.0.1:5347
users     3 with a session, 2 logged in
backends  failing, 0 running, 3 users waiting
          spectrum-irc: not found
degraded  peers of backends are known by uid only
";
        assert_eq!(status_text(&status), expected);
    }

    #[test]
    fn backends_are_shown_with_their_last_words() {
        let pool = json!({
            "backends": [{ "id": 1, "pid": 77, "state": "ready", "users": 5, "uptime_secs": 61, "resident_kib": 2048, "violations": 0 }],
            "crashes": [{ "id": 0, "how": "killed by signal 11", "stderr": "a\nsegfault", "secs_ago": 5, "users": 2 }],
        });
        let expected = "\
BACKEND  PID  STATE  USERS  UP FOR  MEMORY  VIOLATIONS
1        77   ready  5      1m 1s   2 MiB   0

CRASHED  WHEN    HOW                  USERS  LAST LINE
0        5s ago  killed by signal 11  2      segfault
";
        assert_eq!(backends_text(&pool), expected);
    }

    #[test]
    fn secret_fields_are_refused_as_arguments() {
        assert!(field_of("server_password=x").is_err());
        assert_eq!(field_of("server=a=b").unwrap(), ("server", Some("a=b")));
        assert_eq!(field_of("server_password").unwrap(), ("server_password", None));
    }
}
