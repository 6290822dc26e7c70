//! Values that are one of a few words, and the address of the storage.

use std::fmt;

use figment::value::Value as Raw;
use serde::{Deserialize, Serialize};

use super::value::{Value, mismatch, words};

/// How an instance meets XMPP. Chosen by the `mode` key; each mode has its own binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A component (XEP-0114) of somebody's XMPP server: `spectrum-gateway`.
    Gateway,
    /// A standalone XMPP server that clients log in to: `spectrum-server`.
    Server,
}

words!(Mode, "\"gateway\" or \"server\"", "gateway" => Gateway, "server" => Server);

impl Mode {
    /// The binary that runs instances of this mode.
    #[must_use]
    pub fn binary(self) -> &'static str {
        match self {
            Self::Gateway => "spectrum-gateway",
            Self::Server => "spectrum-server",
        }
    }
}

/// The protocol between the main process and its backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Ours: an inherited socket, results for every request, credit per user.
    Native,
    /// Spectrum 2's, for its backends unmodified.
    Spectrum2,
}

words!(Wire, "\"native\" or \"spectrum2\"", "native" => Native, "spectrum2" => Spectrum2);

/// Whether users stay on the legacy network while none of their clients is online (gateway mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StayConnected {
    /// Logged out 30 s after the last client went.
    Never,
    /// Kept online until they log out or unregister.
    Always,
}

words!(StayConnected, "\"never\" or \"always\"", "never" => Never, "always" => Always);

/// Whether the rooms that users are in on the network are put into their bookmarks (gateway mode, XEP-0402).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bookmarking {
    /// They are not.
    Never,
    /// They are, and clients list them.
    List,
    /// They are, and clients enter them by themselves.
    Autojoin,
}

words!(Bookmarking, "\"never\", \"list\" or \"autojoin\"", "never" => Never, "list" => List, "autojoin" => Autojoin);

/// What happens to messages on their way when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Journal {
    /// They are kept in memory alone, and lost with it.
    Off,
    /// They survive any killed process.
    On,
    /// They survive a power cut too; each commit waits for the disk.
    Full,
}

words!(Journal, "\"off\", \"on\" or \"full\"", "off" => Off, "on" => On, "full" => Full);

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

words!(LogFormat, "\"text\" or \"json\"", "text" => Text, "json" => Json);

/// Where registrations and everything durable are kept. `Debug` and `Display` hide a password inside it.
#[derive(Clone, PartialEq, Eq)]
pub enum StorageUrl {
    /// `sqlite:///path/to/file.db`
    Sqlite(String),
    /// `postgres://user:password@host/database`
    Postgres(String),
}

impl StorageUrl {
    /// The whole address, password included.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Self::Sqlite(url) | Self::Postgres(url) => url,
        }
    }

    /// Whether it contains a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        password_in(self.expose()).is_some()
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        match password_in(url) {
            Some((start, end)) => write!(f, "{}***{}", &url[..start], &url[end..]),
            None => f.write_str(url),
        }
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The byte range of the password in a URL: in `user:password@`, or in a `password=` parameter.
pub(super) fn password_in(url: &str) -> Option<(usize, usize)> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?']).map_or(url.len(), |at| start + at);
    // The last `@` before the path ends the user information; an unescaped one inside the password stays hidden with it.
    if let Some(at) = url[start..end].rfind('@') {
        let user = &url[start..start + at];
        if let Some(colon) = user.find(':') {
            return Some((start + colon + 1, start + at));
        }
    }
    let parameter = url.find("password=")? + "password=".len();
    let end = url[parameter..].find('&').map_or(url.len(), |at| parameter + at);
    Some((parameter, end))
}

impl Value for StorageUrl {
    const EXPECTED: &'static str = "\"sqlite:///path/to/file.db\", \"postgres://user@host/database\" or \"none\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.starts_with("sqlite://") || text.starts_with("sqlite::memory:") {
            Ok(Self::Sqlite(text.to_owned()))
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Self::Postgres(text.to_owned()))
        } else {
            Err(format!("expected {}", Self::EXPECTED))
        }
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

/// What to log: a level, or a list such as `info,spectrum_core::pool=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// As the configuration has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Value for LogLevel {
    const EXPECTED: &'static str =
        "\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or a list such as \"info,spectrum_core::pool=debug\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let level = |word: &str| matches!(word, "error" | "warn" | "info" | "debug" | "trace" | "off");
        let target = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        let known = |part: &str| match part.split_once('=') {
            Some((name, word)) => target(name) && level(word),
            None => level(part),
        };
        if !text.is_empty() && text.split(',').map(str::trim).all(known) {
            Ok(Self(text.replace(' ', "")))
        } else {
            Err(format!("expected {}", Self::EXPECTED))
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// One of several server-mode nodes that share a JID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node's name, as `server.node` has it on that machine.
    pub name: String,
    /// Host and port that clients are sent to.
    pub address: String,
}

/// The list in `server.nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(pub Vec<Node>);

impl Value for Nodes {
    const EXPECTED: &'static str = "a list such as [{ name = \"a\", address = \"a.example.org:5222\" }]";

    fn from_text(_: &str) -> Result<Self, String> {
        Err(format!("can be set in the file only; expected {}", Self::EXPECTED))
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        let Raw::Array(_, items) = raw else {
            return Err(mismatch::<Self>(raw));
        };
        let node = |item: &Raw| {
            let table = item.as_dict()?;
            let text = |key: &str| table.get(key).and_then(Raw::as_str).filter(|text| !text.is_empty());
            let complete = Node {
                name: text("name")?.to_owned(),
                address: text("address")?.to_owned(),
            };
            (table.len() == 2).then_some(complete)
        };
        items
            .iter()
            .map(node)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| format!("expected {}", Self::EXPECTED))
    }

    fn show(&self) -> String {
        let node = |node: &Node| format!("{{ name = {:?}, address = {:?} }}", node.name, node.address);
        format!("[{}]", self.0.iter().map(node).collect::<Vec<_>>().join(", "))
    }
}
