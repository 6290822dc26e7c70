//! Where a server of the legacy network is, as administrators write it.

use std::fmt;
use std::sync::Arc;

/// The address of a server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServerAddress {
    /// Its host name or address, in lower case.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ServerAddress {
    /// Reads `host`, `host:port` or `[address]:port`; `None` if it is none of them.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return None,
            }
        } else {
            match text.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = port.map_or(Some(default_port), |p| p.parse().ok().filter(|p| *p != 0))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        (!host.is_empty() && host.len() <= 253 && host.chars().all(is_name)).then(|| Self {
            host: host.to_ascii_lowercase().into(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses_of_all_kinds() {
        let parse = |text| ServerAddress::parse(text, 9).map(|a| a.to_string());
        assert_eq!(parse("[::1]:6667").unwrap(), "[::1]:6667");
        assert_eq!(parse("::1").unwrap(), "[::1]:9");
        assert_eq!(parse("[::1]").unwrap(), "[::1]:9");
        assert_eq!(parse("127.0.0.1:1").unwrap(), "127.0.0.1:1");
        for bad in ["", ":1", "a:", "a:0", "a:70000", "a b", "a@b", "[::1", "[::1]x", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
