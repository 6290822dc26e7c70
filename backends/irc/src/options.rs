//! The options of the backend, as the `[backend.options]` of a configuration gives them. Values may be text (`"6"`,
//! `"true"`), since not every way to a backend process keeps types.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use serde::Deserialize;
use spectrum_backend_sdk::ServerAddress;
use spectrum_backend_sdk::model::Secret;

/// Every option there is, for the message about an unknown one.
const NAMES: [&str; 9] = [
    "server",
    "networks",
    "tls",
    "tls_verify",
    "server_password",
    "sasl",
    "nickserv",
    "encoding",
    "max_messages_per_second",
];

const TLS_PORT: u16 = 6697;
const PLAIN_PORT: u16 = 6667;

/// Most networks one backend may be given.
const MAX_NETWORKS: usize = 100;

/// One option's value, whatever format it came in.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl From<&str> for OptionValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for OptionValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for OptionValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// An option that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// There is no option of this name.
    #[error("unknown option `{name}`{}", .nearest.map(|n| format!(", did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The name given.
        name: String,
        /// The option that is spelt most like it.
        nearest: Option<&'static str>,
    },
    /// A value that the option cannot have.
    #[error("option `{name}` {problem}")]
    Invalid {
        /// Which option.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither `server` nor `networks`.
    #[error("one of the options `server` (one fixed network) and `networks` (a list of them) is needed")]
    NoServer,
    /// Both `server` and `networks`.
    #[error("the options `server` and `networks` exclude each other")]
    TwoServers,
}

/// Which networks there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Networks {
    /// One, known beforehand: rooms are `#channel`, people `nick`.
    Fixed(ServerAddress),
    /// Several: rooms are `#channel@host`, people `nick@host`.
    Several(Vec<ServerAddress>),
}

/// How the backend was set up.
#[derive(Clone, Debug)]
pub struct IrcOptions {
    /// Which networks there are.
    pub networks: Networks,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Whether the server's certificate must be valid for its name.
    pub tls_verify: bool,
    /// Password of the server itself, the same for all users.
    pub server_password: Option<Secret>,
    /// Whether to log in with SASL where the server offers it and the user has a password.
    pub sasl: bool,
    /// Whom to identify to where SASL is not offered; `None` switches that off.
    pub nickserv: Option<String>,
    /// What text is written in, and read in where it is not UTF-8.
    pub encoding: Option<&'static Encoding>,
    /// How many lines per second go out after a burst.
    pub max_messages_per_second: f64,
}

/// Reads the options of a map by name.
struct Reader(BTreeMap<String, OptionValue>);

impl Reader {
    fn text(&mut self, name: &'static str) -> Result<Option<String>, OptionError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(OptionValue::Text(text)) => Ok(Some(text)),
            Some(OptionValue::Integer(n)) => Ok(Some(n.to_string())),
            Some(OptionValue::Bool(_) | OptionValue::Float(_) | OptionValue::List(_)) => Err(invalid(name, "has to be text")),
        }
    }

    fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, OptionError> {
        match self.0.remove(name) {
            None => Ok(default),
            Some(OptionValue::Bool(value)) => Ok(value),
            Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(OptionValue::Text(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(OptionValue::Text(_) | OptionValue::Integer(_) | OptionValue::Float(_) | OptionValue::List(_)) => {
                Err(invalid(name, "has to be true or false"))
            }
        }
    }

    fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        match self.0.remove(name)? {
            OptionValue::List(list) => Some(list),
            OptionValue::Text(text) => Some(text.split([',', ' ']).filter(|s| !s.is_empty()).map(str::to_owned).collect()),
            OptionValue::Bool(_) | OptionValue::Integer(_) | OptionValue::Float(_) => Some(Vec::new()),
        }
    }

    fn number(&mut self, name: &'static str) -> Result<Option<f64>, OptionError> {
        let number = match self.0.remove(name) {
            None => return Ok(None),
            #[allow(clippy::cast_precision_loss)]
            Some(OptionValue::Integer(n)) => Some(n as f64),
            Some(OptionValue::Float(n)) => Some(n),
            Some(OptionValue::Text(text)) => text.parse().ok(),
            Some(OptionValue::Bool(_) | OptionValue::List(_)) => None,
        };
        number.map(Some).ok_or_else(|| invalid(name, "has to be a number"))
    }
}

fn invalid(name: &'static str, problem: impl Into<String>) -> OptionError {
    OptionError::Invalid {
        name,
        problem: problem.into(),
    }
}

impl IrcOptions {
    /// The options for one network, everything else as it is by default.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] if `server` is no `host` or `host:port`.
    pub fn for_server(server: &str, tls: bool) -> Result<Self, OptionError> {
        Self::parse([("server", OptionValue::from(server)), ("tls", OptionValue::from(tls))])
    }

    /// Reads options by name.
    ///
    /// # Errors
    /// [`OptionError`] names the option, and what is wrong with it.
    pub fn parse<K: Into<String>, V: Into<OptionValue>>(options: impl IntoIterator<Item = (K, V)>) -> Result<Self, OptionError> {
        let mut reader = Reader(options.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        let tls = reader.flag("tls", true)?;
        let default_port = if tls { TLS_PORT } else { PLAIN_PORT };
        let address = |name: &'static str, text: &str| {
            ServerAddress::parse(text, default_port)
                .ok_or_else(|| invalid(name, format!("needs HOST or HOST:PORT, not `{text}`")))
        };
        let networks = match (reader.text("server")?, reader.list("networks")) {
            (Some(_), Some(_)) => return Err(OptionError::TwoServers),
            (None, None) => return Err(OptionError::NoServer),
            (Some(server), None) => Networks::Fixed(address("server", &server)?),
            (None, Some(list)) if list.is_empty() || list.len() > MAX_NETWORKS => {
                return Err(invalid(
                    "networks",
                    format!("has to be a list of 1 to {MAX_NETWORKS} servers"),
                ));
            }
            (None, Some(list)) => {
                let list: Vec<_> = list.iter().map(|n| address("networks", n)).collect::<Result<_, _>>()?;
                if let Some(twice) = list
                    .iter()
                    .enumerate()
                    .find(|(i, a)| list[..*i].iter().any(|b| a.host == b.host))
                {
                    return Err(invalid("networks", format!("has `{}` twice", twice.1.host)));
                }
                Networks::Several(list)
            }
        };
        let nickserv = match reader.0.remove("nickserv") {
            None | Some(OptionValue::Bool(true)) => Some("NickServ".to_owned()),
            Some(OptionValue::Bool(false)) => None,
            Some(OptionValue::Text(name)) if name.is_empty() || name == "false" => None,
            Some(OptionValue::Text(name)) if name == "true" => Some("NickServ".to_owned()),
            Some(OptionValue::Text(name)) if !name.starts_with(':') && !name.contains(|c: char| c.is_control() || c == ' ') => {
                Some(name)
            }
            Some(OptionValue::Text(_) | OptionValue::Integer(_) | OptionValue::Float(_) | OptionValue::List(_)) => {
                return Err(invalid("nickserv", "has to be a nickname, or false"));
            }
        };
        let encoding = match reader.text("encoding")? {
            None => None,
            Some(label) => match Encoding::for_label(label.as_bytes()) {
                Some(encoding) if encoding.is_ascii_compatible() => Some(encoding),
                Some(_) | None => {
                    return Err(invalid(
                        "encoding",
                        format!("has no use for `{label}`, try utf-8 or windows-1252"),
                    ));
                }
            },
        };
        let max_messages_per_second = reader.number("max_messages_per_second")?.unwrap_or(0.5);
        if !(0.05..=1_000.0).contains(&max_messages_per_second) {
            return Err(invalid("max_messages_per_second", "has to be between 0.05 and 1000"));
        }
        let options = Self {
            networks,
            tls,
            tls_verify: reader.flag("tls_verify", true)?,
            server_password: reader.text("server_password")?.filter(|p| !p.is_empty()).map(Secret::new),
            sasl: reader.flag("sasl", true)?,
            nickserv,
            encoding,
            max_messages_per_second,
        };
        match reader.0.into_keys().next() {
            Some(name) => Err(OptionError::Unknown {
                nearest: nearest(&name),
                name,
            }),
            None => Ok(options),
        }
    }
}

impl<'de> Deserialize<'de> for IrcOptions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, OptionValue>::deserialize(deserializer)?;
        Self::parse(map).map_err(serde::de::Error::custom)
    }
}

/// The option spelt most like this, unless none comes near.
fn nearest(name: &str) -> Option<&'static str> {
    let best = NAMES.iter().map(|n| (strsim::damerau_levenshtein(name, n), *n)).min()?;
    (best.0 <= 1 + best.1.len() / 3).then_some(best.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(options: &[(&str, OptionValue)]) -> Result<IrcOptions, OptionError> {
        IrcOptions::parse(options.iter().cloned())
    }

    #[test]
    fn a_server_alone_is_enough() {
        let options = parse(&[("server", "IRC.Example.net".into())]).unwrap();
        assert_eq!(
            options.networks,
            Networks::Fixed(ServerAddress {
                host: "irc.example.net".into(),
                port: 6697
            })
        );
        assert!(options.tls && options.tls_verify && options.sasl);
        assert_eq!(options.nickserv.as_deref(), Some("NickServ"));
    }

    #[test]
    fn plain_connections_have_another_port() {
        let options = parse(&[("server", "irc.example.net".into()), ("tls", false.into())]).unwrap();
        assert_eq!(
            options.networks,
            Networks::Fixed(ServerAddress {
                host: "irc.example.net".into(),
                port: 6667
            })
        );
    }

    #[test]
    fn values_may_be_text() {
        let options = parse(&[
            ("networks", "a:1, b:2".into()),
            ("tls", "false".into()),
            ("max_messages_per_second", "2.5".into()),
        ]);
        let options = options.unwrap();
        assert!(matches!(&options.networks, Networks::Several(list) if list.len() == 2 && list[1].port == 2));
        assert!(!options.tls);
        assert_eq!(options.max_messages_per_second, 2.5);
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = parse(&[("server", "a".into()), ("tls_verfy", false.into())]).unwrap_err();
        assert_eq!(error.to_string(), "unknown option `tls_verfy`, did you mean `tls_verify`?");
        let error = parse(&[("server", "a".into()), ("colour", false.into())]).unwrap_err();
        assert_eq!(error.to_string(), "unknown option `colour`");
    }

    #[test]
    fn wrong_values_are_named() {
        let server = ("server", OptionValue::from("a"));
        for (name, value, text) in [
            ("tls", OptionValue::Integer(3), "option `tls` has to be true or false"),
            (
                "encoding",
                "utf-16".into(),
                "option `encoding` has no use for `utf-16`, try utf-8 or windows-1252",
            ),
            (
                "max_messages_per_second",
                OptionValue::Integer(0),
                "option `max_messages_per_second` has to be between 0.05 and 1000",
            ),
            (
                "max_messages_per_second",
                OptionValue::Float(f64::NAN),
                "option `max_messages_per_second` has to be between 0.05 and 1000",
            ),
            ("nickserv", "a b".into(), "option `nickserv` has to be a nickname, or false"),
        ] {
            assert_eq!(parse(&[server.clone(), (name, value)]).unwrap_err().to_string(), text);
        }
        assert_eq!(parse(&[]).unwrap_err(), OptionError::NoServer);
        assert_eq!(
            parse(&[server, ("networks", "b".into())]).unwrap_err(),
            OptionError::TwoServers
        );
        let twice = parse(&[("networks", "a:1,A:2".into())]).unwrap_err();
        assert_eq!(twice.to_string(), "option `networks` has `a` twice");
    }

    #[test]
    fn the_server_password_is_not_shown() {
        let options = parse(&[("server", "a".into()), ("server_password", "hunter2".into())]).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
