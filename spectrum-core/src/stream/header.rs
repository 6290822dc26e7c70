//! Stream headers (RFC 6120 section 4.7, XEP-0114 section 3). Plain values.

use std::fmt;

/// What a stream carries, named by its content namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// `jabber:client`: a client and its server.
    Client,
    /// `jabber:component:accept`: a component and its server (XEP-0114).
    Component,
}

impl Content {
    /// Returns the namespace on the wire.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Client => "jabber:client",
            Self::Component => "jabber:component:accept",
        }
    }
}

/// Which side of the stream we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We opened the connection: stream features and replies come towards us.
    Initiating,
    /// The peer opened the connection: requests for TLS and authentication come towards us.
    Receiving,
}

/// The version of XMPP a stream header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot; numbers above 255 are read as 255.
    pub major: u8,
    /// Behind the dot; numbers above 255 are read as 255.
    pub minor: u8,
}

impl Version {
    /// XMPP 1.0, the only version there is.
    pub const V1_0: Self = Self { major: 1, minor: 0 };

    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| -> Option<u8> {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Some(part.parse().unwrap_or(u8::MAX))
        };
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The opening tag of a stream. Addresses are as the peer wrote them: nothing here is verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Whom the stream is for.
    pub to: Option<String>,
    /// Who opened it.
    pub from: Option<String>,
    /// The stream's id, given by the receiving side; the salt of the component handshake.
    pub id: Option<String>,
    /// The version; component streams have none.
    pub version: Option<Version>,
    /// The default language of the stream (`xml:lang`). Stanzas do not inherit it: their texts without a language of
    /// their own are kept without one, because this one is a default of the peer's software more often than the
    /// language of its user.
    pub lang: Option<String>,
}
