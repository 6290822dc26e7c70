//! The options of the backend, as the `[backend.options]` of a configuration gives them.

use std::net::IpAddr;

use jid::DomainPart;
use spectrum_backend_sdk::{Options, OptionsError, ServerAddress};

/// Where clients of a server connect unless it says something else (RFC 6120 14.7).
pub(crate) const CLIENT_PORT: u16 = 5222;
/// The same for TLS from the first byte (XEP-0368).
pub(crate) const CLIENT_TLS_PORT: u16 = 5223;

/// Most domains that may be listed.
const MAX_DOMAINS: usize = 1_000;

/// How connections are encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encryption {
    /// As the server prefers: STARTTLS or TLS from the first byte. A server that has neither is not used.
    #[default]
    Required,
    /// TLS from the first byte alone.
    Direct,
    /// None. Only with a `server` on this machine.
    Off,
}

/// How the backend was set up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct XmppOptions {
    /// Where all accounts connect; `None`: where their domain says.
    pub server: Option<ServerAddress>,
    /// Whose accounts may be used; empty: everybody's. A login name without a domain gets the first.
    pub domains: Vec<String>,
    /// How connections are encrypted.
    pub tls: Encryption,
    /// Whether the server's certificate must be valid for its domain.
    pub tls_verify: bool,
}

impl XmppOptions {
    /// Everything as it is by default.
    pub fn new() -> Self {
        Self {
            tls_verify: true,
            ..Self::default()
        }
    }

    /// Reads options.
    ///
    /// # Errors
    /// [`OptionsError`] names the option, and what is wrong with it.
    pub fn read(mut options: Options) -> Result<Self, OptionsError> {
        let tls = match options.get("tls") {
            None | Some("required" | "true") => Encryption::Required,
            Some("direct") => Encryption::Direct,
            Some("off" | "false") => Encryption::Off,
            Some(_) => return Err(invalid("tls", "has to be required, direct or off")),
        };
        let default_port = if tls == Encryption::Direct {
            CLIENT_TLS_PORT
        } else {
            CLIENT_PORT
        };
        let server = match options.get("server").map(str::trim).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                Some(ServerAddress::parse(text, default_port).ok_or_else(|| invalid("server", "needs HOST or HOST:PORT"))?)
            }
        };
        if tls == Encryption::Off && !server.as_ref().is_some_and(is_here) {
            return Err(invalid(
                "tls",
                "can be off only with a `server` on this machine, such as 127.0.0.1",
            ));
        }
        let mut domains = Vec::new();
        for text in options.list("domains") {
            let domain = DomainPart::new(&text).map_err(|_| invalid("domains", "has something that is no domain"))?;
            domains.push(domain.as_str().to_owned());
        }
        if domains.len() > MAX_DOMAINS {
            return Err(invalid("domains", format!("has more than {MAX_DOMAINS}")));
        }
        let tls_verify = options.parse("tls_verify")?.unwrap_or(true);
        options.finish()?;
        Ok(Self {
            server,
            domains,
            tls,
            tls_verify,
        })
    }
}

/// Whether what is said to it never leaves the machine.
fn is_here(server: &ServerAddress) -> bool {
    *server.host == *"localhost" || server.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn invalid(name: &str, problem: impl Into<String>) -> OptionsError {
    OptionsError::Invalid {
        name: name.to_owned(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::model::Secret;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<XmppOptions, String> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_owned(), Secret::from(*v))).collect();
        XmppOptions::read(Options::new(map)).map_err(|e| e.to_string())
    }

    #[test]
    fn without_options_every_account_is_encrypted_and_checked() {
        let options = read(&[]).unwrap();
        assert_eq!(options, XmppOptions::new());
        assert!(options.tls_verify && options.tls == Encryption::Required && options.server.is_none());
    }

    #[test]
    fn a_fixed_server_may_be_a_name_or_an_address_with_a_port() {
        let server = |text: &str| read(&[("server", text)]).map(|o| o.server.unwrap().to_string());
        assert_eq!(server("xmpp.example").unwrap(), "xmpp.example:5222");
        assert_eq!(server("[::1]:15222").unwrap(), "[::1]:15222");
        assert_eq!(server("192.0.2.1:1").unwrap(), "192.0.2.1:1");
        assert_eq!(server("a b").unwrap_err(), "option `server`: needs HOST or HOST:PORT");
        let direct = read(&[("server", "h"), ("tls", "direct")]).unwrap();
        assert_eq!(direct.server.unwrap().port, 5223);
    }

    #[test]
    fn a_connection_in_plain_text_never_leaves_the_machine() {
        assert_eq!(read(&[("server", "127.0.0.1"), ("tls", "off")]).unwrap().tls, Encryption::Off);
        let refused = "option `tls`: can be off only with a `server` on this machine, such as 127.0.0.1";
        assert_eq!(read(&[("tls", "off")]).unwrap_err(), refused);
        assert_eq!(read(&[("server", "xmpp.example"), ("tls", "off")]).unwrap_err(), refused);
    }

    #[test]
    fn domains_are_names_and_unknown_options_are_told() {
        assert_eq!(
            read(&[("domains", "One.Example, two.example")]).unwrap().domains,
            ["one.example", "two.example"]
        );
        assert!(read(&[("domains", "a@b")]).is_err());
        assert_eq!(read(&[("colour", "blue")]).unwrap_err(), "unknown options: colour");
    }
}
