//! One line of JSON each way. Passwords travel inside it, so its buffers are wiped and its types have no `Debug`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{ControlError, NewRegistration};
use crate::model::{Secret, UserKey};

/// Users in one answer; a client asks again for the next page.
pub(super) const MAX_USERS_PER_ANSWER: usize = 500;

#[derive(Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Request {
    Status,
    Doctor,
    Users {
        after: Option<UserKey>,
    },
    Logout {
        user: UserKey,
    },
    Register {
        user: UserKey,
        username: String,
        password: Secret,
        #[serde(default)]
        fields: BTreeMap<String, Secret>,
    },
    Unregister {
        user: UserKey,
    },
    /// A verb of the table, as one writes it in a chat.
    Admin {
        line: Secret,
    },
}

/// `{"ok": ...}` or `{"error": {"kind": ..., "reason": ...}}`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Ok(Value),
    Error(ControlError),
}

pub(super) fn status() -> Zeroizing<String> {
    line(&json!({ "verb": "status" }))
}

pub(super) fn doctor() -> Zeroizing<String> {
    line(&json!({ "verb": "doctor" }))
}

pub(super) fn users(after: Option<&UserKey>) -> Zeroizing<String> {
    line(&json!({ "verb": "users", "after": after }))
}

pub(super) fn logout(user: &UserKey) -> Zeroizing<String> {
    line(&json!({ "verb": "logout", "user": user }))
}

pub(super) fn unregister(user: &UserKey) -> Zeroizing<String> {
    line(&json!({ "verb": "unregister", "user": user }))
}

pub(super) fn admin(line: &str) -> Zeroizing<String> {
    self::line(&json!({ "verb": "admin", "line": line }))
}

/// The one place where a secret is written out: to a socket of the same system user.
pub(super) fn register(registration: &NewRegistration) -> Zeroizing<String> {
    let fields: BTreeMap<&str, &str> = registration
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    line(&json!({
        "verb": "register",
        "user": registration.user,
        "username": registration.username,
        "password": registration.password.expose(),
        "fields": fields,
    }))
}

pub(super) fn line(value: &Value) -> Zeroizing<String> {
    let mut text = Zeroizing::new(value.to_string());
    text.push('\n');
    text
}
