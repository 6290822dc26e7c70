//! Authentication with a password (SASL, RFC 6120 6): the strongest mechanism that both sides have, tried once.
//! SCRAM with channel binding (RFC 9266, XEP-0440) where the server has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use sasl::client::Mechanism;
use sasl::client::mechanisms::{Plain, Scram};
use sasl::common::scram::{Sha1, Sha256};
use sasl::common::{ChannelBinding, Credentials};
use spectrum_backend_sdk::model::Secret;
use spectrum_backend_sdk::{LoginError, LoginErrorKind};
use tokio::io::{AsyncBufRead, AsyncWrite};
use tokio_xmpp::xmlstream::{InitiatingStream, XmlStream};

use crate::ns;
use crate::stream::{read, words, write};
use crate::xml::{Incoming, child_text, element};

/// Rounds of hashing that a server may ask for. More would be a way to keep this process busy.
const MAX_ITERATIONS: u32 = 200_000;

/// Steps of one authentication.
const MAX_STEPS: usize = 8;

/// Who authenticates, and over what.
pub(crate) struct Account<'a> {
    /// The localpart.
    pub(crate) username: &'a str,
    pub(crate) password: &'a Secret,
    /// See [`crate::transport::Connected`].
    pub(crate) exporter: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    Sha256Plus,
    Sha1Plus,
    Sha256,
    Sha1,
    Plain,
}

impl Choice {
    const ALL: [Self; 5] = [Self::Sha256Plus, Self::Sha1Plus, Self::Sha256, Self::Sha1, Self::Plain];

    fn name(self) -> &'static str {
        match self {
            Self::Sha256Plus => "SCRAM-SHA-256-PLUS",
            Self::Sha1Plus => "SCRAM-SHA-1-PLUS",
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
        }
    }

    fn is_bound(self) -> bool {
        matches!(self, Self::Sha256Plus | Self::Sha1Plus)
    }
}

/// The best mechanism of those offered. Channel binding is used only of the one kind we have, and only if the server says
/// that it has it: a server that means another kind would refuse.
fn choose(features: &Element, has_exporter: bool) -> Option<Choice> {
    let mechanisms = features.get_child("mechanisms", ns::SASL)?;
    let is_offered = |name: &str| mechanisms.children().any(|m| m.is("mechanism", ns::SASL) && m.text() == name);
    let binds = features.get_child("sasl-channel-binding", ns::SASL_CB).is_some_and(|list| {
        list.children()
            .any(|kind| kind.is("channel-binding", ns::SASL_CB) && kind.attr("type") == Some("tls-exporter"))
    });
    Choice::ALL
        .into_iter()
        .find(|choice| (!choice.is_bound() || (has_exporter && binds)) && is_offered(choice.name()))
}

/// Authenticates, once.
///
/// # Errors
/// What the server says of it, in words for the user, and whether trying again makes sense: never after a refusal.
pub(crate) async fn authenticate<S>(
    mut stream: XmlStream<S, Incoming>,
    features: &Element,
    account: Account<'_>,
) -> Result<InitiatingStream<S>, LoginError>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    let Some(choice) = choose(features, account.exporter.is_some()) else {
        return Err(LoginError::new(
            LoginErrorKind::NoMechanism,
            "The server offers no way to log in with a password.",
        ));
    };
    let mut mechanism = mechanism(choice, account)?;
    let initial = mechanism.initial();
    let nonce = own_nonce(&initial);
    write(&mut stream, &nonza("auth", &[("mechanism", choice.name())], &initial)).await?;
    for _ in 0..MAX_STEPS {
        let answer = read(&mut stream).await?;
        if !answer.has_ns(ns::SASL) {
            continue;
        }
        match answer.name() {
            "challenge" => {
                let challenge = data(&answer)?;
                check(&challenge, nonce.as_deref())?;
                let response = mechanism.response(&challenge).map_err(|_| nonsense())?;
                write(&mut stream, &nonza("response", &[], &response)).await?;
            }
            "success" => {
                // With SCRAM the server proves that it knows the password too.
                mechanism.success(&data(&answer)?).map_err(|_| {
                    LoginError::new(
                        LoginErrorKind::AuthenticationFailed,
                        "The server could not prove that it knows the password.",
                    )
                })?;
                return Ok(stream.initiate_reset());
            }
            "failure" => return Err(failure(&answer)),
            _ => return Err(nonsense()),
        }
    }
    Err(nonsense())
}

fn mechanism(choice: Choice, account: Account<'_>) -> Result<Box<dyn Mechanism + Send>, LoginError> {
    let binding = match account.exporter {
        Some(data) if choice.is_bound() => ChannelBinding::TlsExporter(data),
        Some(_) | None => ChannelBinding::None,
    };
    // In SCRAM these two characters have a meaning (RFC 5802 5.1), and the library leaves that to its caller.
    let username = match choice {
        Choice::Plain => account.username.to_owned(),
        Choice::Sha256Plus | Choice::Sha1Plus | Choice::Sha256 | Choice::Sha1 => {
            account.username.replace('=', "=3D").replace(',', "=2C")
        }
    };
    let credentials = Credentials::default()
        .with_username(username)
        .with_password(account.password.expose())
        .with_channel_binding(binding);
    let made: Result<Box<dyn Mechanism + Send>, _> = match choice {
        Choice::Sha256Plus | Choice::Sha256 => Scram::<Sha256>::from_credentials(credentials).map(|m| Box::new(m) as _),
        Choice::Sha1Plus | Choice::Sha1 => Scram::<Sha1>::from_credentials(credentials).map(|m| Box::new(m) as _),
        Choice::Plain => Plain::from_credentials(credentials).map(|m| Box::new(m) as _),
    };
    made.map_err(|error| LoginError::new(LoginErrorKind::Other, format!("The login could not be prepared: {error}.")))
}

fn nonza(name: &str, attributes: &[(&str, &str)], data: &[u8]) -> Element {
    let mut nonza = element(name, ns::SASL, attributes);
    // An empty initial response is written as `=` (RFC 6120 6.4.2).
    nonza.append_text(if data.is_empty() {
        "=".to_owned()
    } else {
        STANDARD.encode(data)
    });
    nonza
}

fn data(element: &Element) -> Result<Vec<u8>, LoginError> {
    let text = element.text();
    match text.trim() {
        "" | "=" => Ok(Vec::new()),
        text => STANDARD.decode(text).map_err(|_| nonsense()),
    }
}

/// Our nonce in the first message of SCRAM.
fn own_nonce(initial: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(initial).ok()?;
    text.split(',').find_map(|part| part.strip_prefix("r=")).map(str::to_owned)
}

/// What the library does not check of the first message of a server in SCRAM: that it answers ours, and asks for a
/// reasonable amount of work.
fn check(challenge: &[u8], nonce: Option<&str>) -> Result<(), LoginError> {
    let Some(nonce) = nonce else { return Ok(()) };
    let text = std::str::from_utf8(challenge).map_err(|_| nonsense())?;
    let part = |name: &str| text.split(',').find_map(|part| part.strip_prefix(name));
    if !part("r=").is_some_and(|theirs| theirs.starts_with(nonce) && theirs.len() > nonce.len()) {
        return Err(nonsense());
    }
    match part("i=").and_then(|rounds| rounds.parse::<u32>().ok()) {
        Some(1..=MAX_ITERATIONS) => Ok(()),
        Some(_) => Err(LoginError::new(
            LoginErrorKind::NoMechanism,
            "The server asks for more work to log in than is reasonable.",
        )),
        None => Err(nonsense()),
    }
}

fn nonsense() -> LoginError {
    LoginError::new(LoginErrorKind::Other, "The server does not authenticate as it should.")
}

/// What a refusal (RFC 6120 6.5) means for the user.
fn failure(element: &Element) -> LoginError {
    let condition = element
        .children()
        .find(|child| child.has_ns(ns::SASL) && child.name() != "text")
        .map_or("not-authorized", Element::name);
    let text = child_text(element, "text", ns::SASL)
        .map(|text| words(&text))
        .filter(|text| !text.is_empty());
    let (kind, default) = match condition {
        "temporary-auth-failure" => (LoginErrorKind::Network, "The server cannot check passwords at the moment."),
        "account-disabled" => (LoginErrorKind::Banned, "The account is disabled."),
        "credentials-expired" => (LoginErrorKind::AuthenticationFailed, "The password has expired."),
        "encryption-required" => (LoginErrorKind::Encryption, "The server wants an encrypted connection."),
        "invalid-mechanism" | "mechanism-too-weak" => {
            (LoginErrorKind::NoMechanism, "The server does not accept this way to log in.")
        }
        _ => (
            LoginErrorKind::AuthenticationFailed,
            "The server does not accept the password.",
        ),
    };
    let text = text.map_or_else(|| default.to_owned(), |text| format!("{default} It says: {text}"));
    LoginError::new(kind, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::Retry;

    use super::*;

    fn features(mechanisms: &[&str], bindings: &[&str]) -> Element {
        let list: String = mechanisms.iter().map(|m| format!("<mechanism>{m}</mechanism>")).collect();
        let kinds: String = bindings.iter().map(|b| format!("<channel-binding type='{b}'/>")).collect();
        let xml = format!(
            "<features xmlns='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{list}\
             </mechanisms><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{kinds}</sasl-channel-binding></features>"
        );
        xml.parse().unwrap()
    }

    #[test]
    fn the_strongest_common_mechanism_is_chosen() {
        let all = ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "X-OTHER"];
        assert_eq!(choose(&features(&all, &["tls-exporter"]), true), Some(Choice::Sha1Plus));
        assert_eq!(
            choose(&features(&all, &["tls-unique"]), true),
            Some(Choice::Sha256),
            "a binding we have not"
        );
        assert_eq!(choose(&features(&all, &["tls-exporter"]), false), Some(Choice::Sha256));
        assert_eq!(choose(&features(&["PLAIN"], &[]), true), Some(Choice::Plain));
        assert_eq!(choose(&features(&["EXTERNAL"], &[]), true), None);
    }

    #[test]
    fn a_server_that_answers_somebody_else_or_asks_too_much_is_refused() {
        assert!(check(b"r=abcdef,s=c2FsdA==,i=4096", Some("abc")).is_ok());
        assert!(check(b"r=xyz,s=c2FsdA==,i=4096", Some("abc")).is_err());
        assert!(
            check(b"r=abc,s=c2FsdA==,i=4096", Some("abc")).is_err(),
            "it has added nothing"
        );
        assert_eq!(
            check(b"r=abcdef,s=c2FsdA==,i=4000000000", Some("abc")).unwrap_err().kind,
            LoginErrorKind::NoMechanism
        );
    }

    #[test]
    fn a_wrong_password_is_for_ever_and_a_tired_server_is_not() {
        let failure = |condition: &str| {
            let xml = format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/><text>No.</text></failure>");
            failure(&xml.parse().unwrap())
        };
        let wrong = failure("not-authorized");
        assert_eq!(
            (wrong.kind, wrong.retry),
            (LoginErrorKind::AuthenticationFailed, Retry::Never)
        );
        assert_eq!(wrong.text, "The server does not accept the password. It says: No.");
        assert_eq!(failure("temporary-auth-failure").retry, Retry::WhenConnected);
        assert_eq!(failure("account-disabled").kind, LoginErrorKind::Banned);
    }
}
