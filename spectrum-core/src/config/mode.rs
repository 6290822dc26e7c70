//! The two modes of an instance.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an instance meets its users. Layer 3 alone knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A component (XEP-0114) of an existing XMPP server; runs as `spectrum-gateway`.
    Gateway,
    /// A standalone XMPP server; runs as `spectrum-server`.
    Server,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Server => "server",
        })
    }
}
