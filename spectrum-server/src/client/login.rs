//! SASL PLAIN (RFC 4616 in RFC 6120 section 6) and login names. Stateless.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jid::{BareJid, NodePart};
use spectrum_core::jid::login_name;
use spectrum_core::model::{LegacyName, Secret};

/// The longest password taken. Networks have shorter ones.
const MAX_PASSWORD_BYTES: usize = 1024;

/// Who wants in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Whom the client will be to XMPP.
    pub(super) user: BareJid,
    /// The account on the legacy network, in the letters it was typed in.
    pub(super) name: LegacyName,
    /// Its password.
    pub(super) password: Secret,
}

/// A SASL failure (RFC 6120 section 6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The client changed its mind.
    Aborted,
    /// Passwords are not taken before TLS.
    EncryptionRequired,
    /// Not base64.
    IncorrectEncoding,
    /// Acting for somebody else.
    InvalidAuthzid,
    /// Not PLAIN.
    InvalidMechanism,
    /// Not as RFC 4616 has it.
    MalformedRequest,
    /// Refused, with the reason of whoever refused.
    NotAuthorized(String),
    /// To be tried again later, with the reason.
    Temporary(String),
}

impl Failure {
    pub(super) fn condition(&self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::NotAuthorized(_) => "not-authorized",
            Self::Temporary(_) => "temporary-auth-failure",
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::NotAuthorized(text) | Self::Temporary(text) => Some(String::as_str(text)).filter(|text| !text.is_empty()),
            Self::Aborted
            | Self::EncryptionRequired
            | Self::IncorrectEncoding
            | Self::InvalidAuthzid
            | Self::InvalidMechanism
            | Self::MalformedRequest => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition())
    }
}

/// Reads the one message of PLAIN, as it stood in the element.
///
/// The name is `name`, or `name%host` with every `%` for an `@`; `@domain` may follow it. Its letters are kept for the
/// network, while the JID has them as XMPP folds them.
pub(super) fn plain(message: &str, domain: &BareJid) -> Result<Credentials, Failure> {
    // RFC 6120 section 6.4.2: a lone `=` is an empty message.
    let message = if message == "=" { "" } else { message };
    let bytes = STANDARD.decode(message.trim()).map_err(|_| Failure::IncorrectEncoding)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::MalformedRequest)?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Failure::MalformedRequest);
    };
    if authcid.is_empty() || password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(Failure::MalformedRequest);
    }
    let (localpart, user) = account(authcid, domain)?;
    if !authzid.is_empty() && BareJid::new(authzid).ok().as_ref() != Some(&user) {
        return Err(Failure::InvalidAuthzid);
    }
    Ok(Credentials {
        user,
        name: LegacyName::from(login_name(localpart)),
        password: Secret::new(password),
    })
}

/// The localpart as typed, and the JID it makes.
fn account<'a>(authcid: &'a str, domain: &BareJid) -> Result<(&'a str, BareJid), Failure> {
    let elsewhere = || Failure::NotAuthorized(format!("Accounts of this server end in @{domain}."));
    let localpart = match authcid.rsplit_once('@') {
        None => authcid,
        Some((localpart, host)) => {
            let host = BareJid::new(host).map_err(|_| elsewhere())?;
            if host != *domain {
                return Err(elsewhere());
            }
            localpart
        }
    };
    let node = NodePart::new(localpart).map_err(|_| Failure::NotAuthorized("This is not a name that XMPP allows.".to_owned()))?;
    Ok((localpart, domain.domain().with_node(&node)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn read(message: &str) -> Result<(String, String, String), Failure> {
        let domain = BareJid::new("irc.localhost").unwrap();
        plain(&STANDARD.encode(message), &domain).map(|credentials| {
            let Credentials { user, name, password } = credentials;
            (user.to_string(), name.as_str().to_owned(), password.expose().to_owned())
        })
    }

    fn ok(user: &str, name: &str) -> Result<(String, String, String), Failure> {
        Ok((user.to_owned(), name.to_owned(), "pw".to_owned()))
    }

    #[test]
    fn plain_name_is_the_account() {
        assert_eq!(read("\0alice\0pw"), ok("alice@irc.localhost", "alice"));
    }

    #[test]
    fn every_percent_is_an_at_and_letters_are_kept_for_the_network() {
        assert_eq!(
            read("\0Alice%Home%IRC.example.net\0pw"),
            ok("alice%home%irc.example.net@irc.localhost", "Alice@Home@IRC.example.net")
        );
    }

    #[test]
    fn own_domain_may_follow_the_name() {
        assert_eq!(
            read("\0alice%host@irc.localhost\0pw"),
            ok("alice%host@irc.localhost", "alice@host")
        );
        assert_eq!(read("\0alice@IRC.Localhost\0pw"), ok("alice@irc.localhost", "alice"));
    }

    #[test]
    fn other_domains_are_refused() {
        for name in ["alice@example.org", "alice@", "a@b@irc.localhost"] {
            assert!(
                matches!(read(&format!("\0{name}\0pw")), Err(Failure::NotAuthorized(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn authzid_must_be_the_account_itself() {
        assert_eq!(read("Alice@irc.localhost\0alice\0pw"), ok("alice@irc.localhost", "alice"));
        for authzid in ["bob@irc.localhost", "alice", "@", "alice@irc.localhost/phone"] {
            assert_eq!(
                read(&format!("{authzid}\0alice\0pw")),
                Err(Failure::InvalidAuthzid),
                "{authzid}"
            );
        }
    }

    #[test]
    fn malformed_messages_are_told_apart() {
        let domain = BareJid::new("irc.localhost").unwrap();
        for malformed in ["", "alice\0pw", "\0\0pw", "\0alice\0", "\0a\0b\0c"] {
            assert_eq!(read(malformed), Err(Failure::MalformedRequest), "{malformed:?}");
        }
        assert_eq!(
            read(&format!("\0alice\0{}", "x".repeat(1025))),
            Err(Failure::MalformedRequest)
        );
        assert_eq!(plain("=", &domain), Err(Failure::MalformedRequest));
        assert_eq!(
            plain(&STANDARD.encode(b"\0alice\0\xff"), &domain),
            Err(Failure::MalformedRequest)
        );
        assert_eq!(plain("not base64!", &domain), Err(Failure::IncorrectEncoding));
    }

    #[test]
    fn passwords_may_be_anything() {
        assert_eq!(read("\0alice\0 pä%@ß ").unwrap().2, " pä%@ß ");
    }

    /// What is let through to the network fits what was said.
    fn holds(bytes: &[u8], domain: &BareJid) -> Result<(), TestCaseError> {
        let answer = plain(&STANDARD.encode(bytes), domain);
        let Ok(credentials) = answer else {
            prop_assert!(answer != Err(Failure::IncorrectEncoding));
            return Ok(());
        };
        let text = std::str::from_utf8(bytes).unwrap();
        let parts: Vec<_> = text.split('\0').collect();
        prop_assert_eq!(parts.len(), 3);
        prop_assert_eq!(credentials.user.domain(), domain.domain());
        prop_assert!(credentials.user.node().is_some());
        prop_assert!(parts[0].is_empty() || BareJid::new(parts[0]).unwrap() == credentials.user);
        prop_assert_eq!(credentials.password.expose(), parts[2]);
        prop_assert!((1..=MAX_PASSWORD_BYTES).contains(&parts[2].len()));
        prop_assert!(!credentials.name.as_str().is_empty() && !credentials.name.as_str().contains('\0'));
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_in_the_element_has_an_answer(message in "\\PC{0,64}|[A-Za-z0-9+/= ]{0,64}") {
            let domain = BareJid::new("irc.localhost").unwrap();
            if STANDARD.decode(message.trim()).is_err() && message != "=" {
                prop_assert_eq!(plain(&message, &domain), Err(Failure::IncorrectEncoding));
            } else {
                let _ = plain(&message, &domain);
            }
        }

        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            holds(&bytes, &BareJid::new("irc.localhost").unwrap())?;
        }

        #[test]
        fn fields_of_any_shape_have_an_answer(
            fields in proptest::collection::vec("[aA%@ \\\\4ß\u{1}\u{212a}]{0,6}|alice(@irc\\.localhost)?|\\PC{0,8}|x{1020,1030}", 1..5),
            spoilt in proptest::option::of((any::<prop::sample::Index>(), 0x80_u8..)),
        ) {
            let mut bytes = fields.join("\0").into_bytes();
            if let Some((at, byte)) = spoilt && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            holds(&bytes, &BareJid::new("irc.localhost").unwrap())?;
        }
    }
}
