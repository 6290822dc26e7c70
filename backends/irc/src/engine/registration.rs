//! Getting in: capabilities, SASL, nickname, until 001 (RFC 2812 3.1, IRCv3 capability negotiation 302, SASL 3.2).
//!
//! A pure state machine: lines in, lines out, and at last an outcome. Owned by the engine until the login is over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use spectrum_backend_sdk::model::Secret;
use spectrum_backend_sdk::{LoginError, LoginErrorKind, Retry};

use crate::caps::Caps;
use crate::line::{Draft, Line};
use crate::text;

use std::time::Duration;

/// Bytes of base64 in one `AUTHENTICATE`.
const SASL_CHUNK: usize = 400;

/// Other nicknames tried before giving up.
const MAX_NICK_TRIES: u32 = 5;

/// Capability lists of one server in one login, so that it cannot keep us here.
const MAX_CAP_LINES: u32 = 32;

/// Who wants in, and how.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Nickname wanted.
    pub(crate) nick: String,
    /// Account name for SASL and services.
    pub(crate) account: String,
    /// Password of the account.
    pub(crate) password: Option<Secret>,
    /// Password of the server.
    pub(crate) server_password: Option<Secret>,
    /// What others see as the real name.
    pub(crate) real_name: String,
    /// Whether SASL may be used.
    pub(crate) sasl: bool,
}

/// What a step of the registration came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The server has more to say.
    Continue,
    /// In: the nickname the server greeted.
    Welcome,
    /// Refused.
    Refused(LoginError),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// `CAP LS` is out.
    Listing,
    /// `CAP REQ` is out: so many answers are due.
    Requesting(usize),
    /// `AUTHENTICATE PLAIN` is out.
    SaslStarted,
    /// The credentials are out.
    SaslSent,
    /// Nothing is left but the greeting.
    Waiting,
}

/// The state of a registration.
#[derive(Debug)]
pub(crate) struct Registration {
    identity: Identity,
    phase: Phase,
    offered: Caps,
    mechanisms_plain: bool,
    cap_lines: u32,
    /// What the server has granted.
    pub(crate) caps: Caps,
    /// The nickname asked for last, or the one the server greeted.
    pub(crate) nick: String,
    /// Whether the server has taken the account.
    pub(crate) authenticated: bool,
    tries: u32,
    nick_len: usize,
}

impl Registration {
    /// Starts: the first lines are in `out`.
    ///
    /// # Errors
    /// `InvalidName` if no nickname can be made of the name.
    pub(crate) fn start(identity: Identity, out: &mut Vec<String>) -> Result<Self, LoginError> {
        let nick = usable_nick(&identity.nick).ok_or_else(|| {
            LoginError::new(
                LoginErrorKind::InvalidName,
                format!("\"{}\" cannot be a nickname on IRC.", identity.nick),
            )
        })?;
        let this = Self {
            phase: Phase::Listing,
            offered: Caps::default(),
            mechanisms_plain: false,
            cap_lines: 0,
            caps: Caps::default(),
            nick,
            authenticated: false,
            tries: 0,
            nick_len: 64,
            identity,
        };
        if let Some(password) = &this.identity.server_password {
            out.push(Draft::new("PASS").trailing(password.expose()).finish());
        }
        out.push("CAP LS 302".to_owned());
        out.push(this.nick_line()?);
        let user = user_name(&this.nick);
        out.push(format!(
            "USER {user} 0 * :{}",
            text::clean(&this.identity.real_name).replace(['\r', '\n', '\0'], " ")
        ));
        Ok(this)
    }

    fn nick_line(&self) -> Result<String, LoginError> {
        let draft = Draft::new("NICK").param(&self.nick);
        draft
            .map(Draft::finish)
            .map_err(|e| LoginError::new(LoginErrorKind::InvalidName, format!("Nickname: {e}.")))
    }

    /// Whether the nickname is another one than the user asked for.
    pub(crate) fn nick_differs(&self) -> bool {
        self.nick != self.identity.nick
    }

    /// Who wants in.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes in one line; `PING` is answered here too.
    pub(crate) fn handle(&mut self, line: &Line<'_>, out: &mut Vec<String>) -> Step {
        if let Some(numeric) = line.numeric() {
            return self.numeric(numeric, line, out);
        }
        match line.command() {
            "PING" => out.push(Draft::new("PONG").trailing(line.last()).finish()),
            "CAP" => return self.cap(line, out),
            "AUTHENTICATE" if self.phase == Phase::SaslStarted && line.param(0) == "+" => {
                self.phase = Phase::SaslSent;
                self.credentials(out);
            }
            "ERROR" => return Step::Refused(closed_by_server(line.last())),
            _ => {}
        }
        Step::Continue
    }

    fn numeric(&mut self, numeric: u16, line: &Line<'_>, out: &mut Vec<String>) -> Step {
        let text = text::clean(line.last());
        let refused = |kind, what: &str| Step::Refused(LoginError::new(kind, format!("{what}: {text}")));
        match numeric {
            1 => {
                if !line.param(0).is_empty() {
                    line.param(0).clone_into(&mut self.nick);
                }
                return Step::Welcome;
            }
            10 => return refused(LoginErrorKind::Network, "The server sends us elsewhere"),
            5 => {
                // A few servers send ISUPPORT before the greeting.
                if let Some(len) = line.params().iter().find_map(|p| p.strip_prefix("NICKLEN=")) {
                    self.nick_len = len.parse().unwrap_or(self.nick_len).clamp(1, 200);
                }
            }
            // No CAP at all.
            421 if line.param(1) == "CAP" => self.phase = Phase::Waiting,
            431 | 432 => {
                return self.another_nick(out, |me| {
                    LoginError::new(
                        LoginErrorKind::InvalidName,
                        format!("The server does not accept the nickname {}: {text}", me.nick),
                    )
                });
            }
            433 | 436 | 437 => {
                return self.another_nick(out, |me| {
                    LoginError::new(
                        LoginErrorKind::NameInUse,
                        format!("The nickname {} and others like it are in use.", me.identity.nick),
                    )
                });
            }
            463 | 465 | 466 => return refused(LoginErrorKind::Banned, "You are banned from this server"),
            464 => return refused(LoginErrorKind::AuthenticationFailed, "The server did not accept its password"),
            903 | 907 => {
                self.authenticated = true;
                self.end(out);
            }
            902 | 904 | 905 | 906 if self.in_sasl() => {
                return refused(
                    LoginErrorKind::AuthenticationFailed,
                    "The server did not accept your account and password",
                );
            }
            908 if self.in_sasl() => return refused(LoginErrorKind::NoMechanism, "The server has no login with a password"),
            _ => {}
        }
        Step::Continue
    }

    fn in_sasl(&self) -> bool {
        matches!(self.phase, Phase::SaslStarted | Phase::SaslSent)
    }

    fn another_nick(&mut self, out: &mut Vec<String>, give_up: impl FnOnce(&Self) -> LoginError) -> Step {
        self.tries += 1;
        if self.tries > MAX_NICK_TRIES {
            return Step::Refused(give_up(self));
        }
        let base = usable_nick(&self.identity.nick).unwrap_or_default();
        self.nick = alternative_nick(&base, self.tries, self.nick_len);
        match self.nick_line() {
            Ok(line) => {
                out.push(line);
                Step::Continue
            }
            Err(error) => Step::Refused(error),
        }
    }

    fn cap(&mut self, line: &Line<'_>, out: &mut Vec<String>) -> Step {
        self.cap_lines += 1;
        if self.cap_lines > MAX_CAP_LINES {
            return Step::Refused(LoginError::new(
                LoginErrorKind::Other,
                "The server does not come to an end with its capabilities.",
            ));
        }
        match (line.param(1), self.phase) {
            ("LS", Phase::Listing) => {
                let more = line.params().len() > 3 && line.param(2) == "*";
                self.offer(line.last());
                if !more {
                    self.request(out);
                }
            }
            ("ACK", Phase::Requesting(due)) => {
                self.caps = self.caps.apply(line.last());
                self.answered(due, out);
            }
            ("NAK", Phase::Requesting(due)) => {
                // A list is refused as a whole: ask for each alone, once.
                let refused = Caps::default().apply(line.last());
                let names: Vec<_> = refused.names().collect();
                if names.len() > 1 {
                    out.extend(names.iter().map(|name| format!("CAP REQ :{name}")));
                    self.phase = Phase::Requesting(due - 1 + names.len());
                } else {
                    self.answered(due, out);
                }
            }
            _ => {}
        }
        Step::Continue
    }

    fn offer(&mut self, list: &str) {
        self.offered = self.offered.apply(list);
        for item in list.split(' ') {
            if let Some(mechanisms) = item.strip_prefix("sasl") {
                self.mechanisms_plain = match mechanisms.strip_prefix('=') {
                    Some(list) => list.split(',').any(|m| m.eq_ignore_ascii_case("PLAIN")),
                    None => mechanisms.is_empty(),
                };
            }
        }
    }

    fn request(&mut self, out: &mut Vec<String>) {
        let mut wanted = self.offered;
        let can_sasl = self.identity.sasl && self.identity.password.is_some() && self.mechanisms_plain;
        if !can_sasl {
            wanted = wanted.without(Caps::SASL);
        }
        if wanted.has(Caps::LABELED_RESPONSE) && !wanted.has(Caps::BATCH) {
            wanted = wanted.without(Caps::LABELED_RESPONSE);
        }
        if wanted.is_empty() {
            return self.end(out);
        }
        let names: Vec<_> = wanted.names().collect();
        out.push(format!("CAP REQ :{}", names.join(" ")));
        self.phase = Phase::Requesting(1);
    }

    fn answered(&mut self, due: usize, out: &mut Vec<String>) {
        if due > 1 {
            self.phase = Phase::Requesting(due - 1);
        } else if self.caps.has(Caps::SASL) && !self.authenticated {
            self.phase = Phase::SaslStarted;
            out.push("AUTHENTICATE PLAIN".to_owned());
        } else {
            self.end(out);
        }
    }

    fn credentials(&self, out: &mut Vec<String>) {
        let password = self.identity.password.as_ref().map_or("", Secret::expose);
        let plain = format!("{0}\0{0}\0{password}", self.identity.account);
        let encoded = BASE64.encode(plain);
        let mut rest = encoded.as_str();
        // A full last piece needs an empty one behind it.
        loop {
            let (piece, after) = rest.split_at(rest.len().min(SASL_CHUNK));
            out.push(format!("AUTHENTICATE {}", if piece.is_empty() { "+" } else { piece }));
            if piece.len() < SASL_CHUNK {
                break;
            }
            rest = after;
        }
    }

    fn end(&mut self, out: &mut Vec<String>) {
        self.phase = Phase::Waiting;
        out.push("CAP END".to_owned());
    }
}

/// What an `ERROR` says of the hope there is.
pub(crate) fn closed_by_server(text: &str) -> LoginError {
    let text = text::clean(text);
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if says(&[
        "banned", "k-line", "g-line", "z-line", "k:line", "g:line", "z:line", "d-line", "klined", "glined",
    ]) {
        LoginError::new(LoginErrorKind::Banned, format!("You are banned from this server: {text}"))
    } else if says(&["password", "unauthorized", "not authorized", "access denied"]) {
        LoginError::new(
            LoginErrorKind::AuthenticationFailed,
            format!("The server refuses the connection: {text}"),
        )
    } else if says(&["too many", "throttl", "too fast", "reconnect"]) {
        LoginError::new(
            LoginErrorKind::Network,
            format!("The server has too many connections: {text}"),
        )
        .retry(Retry::After(Duration::from_secs(60)))
    } else {
        LoginError::new(LoginErrorKind::Network, format!("The server closed the connection: {text}"))
    }
}

/// A nickname made of a name: what IRC does not allow becomes `_`. `None` if nothing would be left of it.
pub(crate) fn usable_nick(name: &str) -> Option<String> {
    let nick: String = name
        .chars()
        .take(64)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "[]\\`_^{|}-".contains(c) || !c.is_ascii() && c.is_alphanumeric() {
                c
            } else {
                '_'
            }
        })
        .collect();
    let has_substance = nick.chars().any(|c| c != '_') || name.chars().all(|c| c == '_');
    match nick.chars().next() {
        Some(first) if has_substance => Some(if first.is_ascii_digit() || first == '-' {
            format!("_{nick}")
        } else {
            nick
        }),
        Some(_) | None => None,
    }
}

/// Another nickname like this one: first without what may have been wrong with it, then with `_`, then with a number.
fn alternative_nick(base: &str, attempt: u32, max: usize) -> String {
    let ascii: String = base.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let suffix = if attempt <= 2 {
        "_".repeat(attempt as usize)
    } else {
        (attempt - 1).to_string()
    };
    // Nine characters are what every server takes.
    let max = if attempt > 3 { max.min(9) } else { max };
    let keep = max.saturating_sub(suffix.len()).min(ascii.len());
    format!("{}{suffix}", &ascii[..keep])
}

/// A user name (`~user` in front of the host) made of the nickname.
fn user_name(nick: &str) -> String {
    let user: String = nick.chars().filter(char::is_ascii_alphanumeric).take(9).collect();
    if user.is_empty() {
        "user".to_owned()
    } else {
        user.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests;
