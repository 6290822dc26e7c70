//! From an account and a password to a bound stream: connecting, authenticating, binding, stream management. Also how a
//! lost connection is taken up again.

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, FullJid};
use minidom::Element;
use spectrum_backend_sdk::model::Secret;
use spectrum_backend_sdk::{LoginError, LoginErrorKind};
use tokio::time::timeout;
use tokio_xmpp::xmlstream::XmlStream;

use crate::auth::{self, Account};
use crate::ns;
use crate::options::XmppOptions;
use crate::sm::Sm;
use crate::stream::{read, reopen, write};
use crate::transport::{Connected, Io, Transport};
use crate::xml::{Incoming, child_text, element, iq};
use crate::{errors, stream};

/// How long a login may take from the first byte to the last.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Elements that a server may say before it answers a question of the login.
const MAX_STRAY: usize = 32;

const BIND_ID: &str = "bind";

/// What it takes to log in. Kept while the session lasts, to take up a lost connection.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) transport: Arc<Transport>,
    pub(crate) jid: BareJid,
    pub(crate) password: Secret,
}

/// A stream that is authenticated, and not bound.
pub(crate) struct Authenticated {
    stream: XmlStream<Io, Incoming>,
    features: Element,
}

/// A session that stands.
pub(crate) struct Bound {
    pub(crate) stream: XmlStream<Io, Incoming>,
    pub(crate) jid: FullJid,
    pub(crate) sm: Option<Sm>,
}

/// The account that a login name means.
///
/// # Errors
/// If it is none, or not one that this transport is for.
pub(crate) fn account(name: &str, options: &XmppOptions) -> Result<BareJid, LoginError> {
    let invalid = |text: String| LoginError::new(LoginErrorKind::InvalidName, text);
    let name = name.trim();
    let full = match options.domains.first() {
        Some(domain) if !name.contains('@') => format!("{name}@{domain}"),
        Some(_) | None => name.to_owned(),
    };
    // A resource makes no difference to whose account it is.
    let jid = match jid::Jid::new(&full) {
        Ok(jid) if jid.node().is_some() => jid.into_bare(),
        Ok(_) | Err(_) => {
            return Err(invalid(format!(
                "{name} is no XMPP address; it has to be like name@example.org."
            )));
        }
    };
    if !options.domains.is_empty() && !options.domains.iter().any(|d| d.as_str() == jid.domain().as_str()) {
        return Err(invalid(format!(
            "This transport is for accounts of {} alone.",
            options.domains.join(", ")
        )));
    }
    Ok(jid)
}

impl Credentials {
    /// Connects and authenticates, once.
    pub(crate) async fn authenticate(&self) -> Result<Authenticated, LoginError> {
        match timeout(LOGIN_TIMEOUT, self.authenticate_at_leisure()).await {
            Ok(result) => result,
            Err(_) => Err(LoginError::new(
                LoginErrorKind::Network,
                format!("The server of {} takes too long.", self.jid.domain()),
            )),
        }
    }

    async fn authenticate_at_leisure(&self) -> Result<Authenticated, LoginError> {
        let domain = self.jid.domain().as_str();
        let Connected { io, exporter } = self.transport.connect(domain).await?;
        let (features, stream) = stream::open(io, domain, Some(self.jid.as_str())).await?;
        let account = Account {
            username: self.jid.node().map(|node| node.as_str()).unwrap_or_default(),
            password: &self.password,
            exporter,
        };
        let stream = auth::authenticate(stream, &features, account).await?;
        let (features, stream) = reopen(stream, domain, self.jid.as_str()).await?;
        Ok(Authenticated { stream, features })
    }

    /// Connects, authenticates, binds.
    pub(crate) async fn log_in(&self) -> Result<Bound, LoginError> {
        let authenticated = self.authenticate().await?;
        match timeout(LOGIN_TIMEOUT, bind(authenticated)).await {
            Ok(result) => result,
            Err(_) => Err(LoginError::new(LoginErrorKind::Network, "The server takes too long.")),
        }
    }

    /// Connects again and takes the session up where it was lost. Returns the stream and what has to be written again;
    /// `Ok(None)` if the server has given the session up.
    pub(crate) async fn resume(&self, sm: &mut Sm) -> Result<Option<(XmlStream<Io, Incoming>, Vec<Element>)>, LoginError> {
        let Authenticated { mut stream, features } = self.authenticate().await?;
        let Some(resume) = sm.resume().filter(|_| features.has_child("sm", ns::SM)) else {
            return Ok(None);
        };
        let asking = async {
            write(&mut stream, &resume).await?;
            for _ in 0..MAX_STRAY {
                let answer = read(&mut stream).await?;
                if answer.has_ns(ns::SM) {
                    return Ok(answer);
                }
            }
            Err(nonsense())
        };
        let answer = match timeout(LOGIN_TIMEOUT, asking).await {
            Ok(answer) => answer?,
            Err(_) => return Err(LoginError::new(LoginErrorKind::Network, "The server takes too long.")),
        };
        let h = crate::sm::counter(&answer);
        if !answer.is("resumed", ns::SM) {
            sm.end(h);
            return Ok(None);
        }
        let again = h.and_then(|h| sm.resumed(h).ok()).ok_or_else(nonsense)?;
        Ok(Some((stream, again)))
    }
}

async fn bind(authenticated: Authenticated) -> Result<Bound, LoginError> {
    let Authenticated { mut stream, features } = authenticated;
    // The server names the resource: a name of ours would throw out a second session of the same account.
    let request = iq("set", None, BIND_ID, Some(element("bind", ns::BIND, &[])));
    write(&mut stream, &request).await?;
    let answer = answer_to(&mut stream, |e| e.is("iq", ns::CLIENT) && e.attr("id") == Some(BIND_ID)).await?;
    if answer.attr("type") != Some("result") {
        let error = errors::from_stanza(&answer, errors::About::Account);
        return Err(LoginError::new(LoginErrorKind::Network, error.text));
    }
    let jid = answer
        .get_child("bind", ns::BIND)
        .and_then(|bind| child_text(bind, "jid", ns::BIND))
        .and_then(|text| FullJid::new(&text).ok())
        .ok_or_else(nonsense)?;
    // Servers of the old kind want a session besides (RFC 3921 3), and mark it as optional if they do not.
    let session = "urn:ietf:params:xml:ns:xmpp-session";
    if features
        .get_child("session", session)
        .is_some_and(|s| !s.has_child("optional", session))
    {
        write(
            &mut stream,
            &iq("set", None, "session", Some(element("session", session, &[]))),
        )
        .await?;
        answer_to(&mut stream, |e| e.is("iq", ns::CLIENT) && e.attr("id") == Some("session")).await?;
    }
    let mut sm = None;
    if features.has_child("sm", ns::SM) {
        write(&mut stream, &element("enable", ns::SM, &[("resume", "true")])).await?;
        let answer = answer_to(&mut stream, |e| e.has_ns(ns::SM)).await?;
        sm = answer.is("enabled", ns::SM).then(|| Sm::enabled(&answer));
    }
    Ok(Bound { stream, jid, sm })
}

async fn answer_to(stream: &mut XmlStream<Io, Incoming>, is_it: impl Fn(&Element) -> bool) -> Result<Element, LoginError> {
    for _ in 0..MAX_STRAY {
        let element = read(stream).await?;
        if is_it(&element) {
            return Ok(element);
        }
        // Before the first presence nobody has anything to say to this resource.
    }
    Err(nonsense())
}

fn nonsense() -> LoginError {
    LoginError::new(LoginErrorKind::Other, "The server does not speak XMPP as it should.")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn options(domains: &[&str]) -> XmppOptions {
        XmppOptions {
            domains: domains.iter().map(|d| (*d).to_owned()).collect(),
            ..XmppOptions::new()
        }
    }

    #[test]
    fn a_login_name_is_an_address() {
        let any = options(&[]);
        assert_eq!(account(" Ann@Other.Example ", &any).unwrap().as_str(), "ann@other.example");
        assert_eq!(
            account("ann@other.example/phone", &any).unwrap().as_str(),
            "ann@other.example"
        );
        for bad in ["ann", "@other.example", "a b@other.example", ""] {
            assert_eq!(account(bad, &any).unwrap_err().kind, LoginErrorKind::InvalidName, "{bad}");
        }
    }

    #[test]
    fn a_transport_for_some_domains_takes_no_others() {
        let some = options(&["one.example", "two.example"]);
        assert_eq!(account("ann", &some).unwrap().as_str(), "ann@one.example");
        assert_eq!(account("ann@two.example", &some).unwrap().as_str(), "ann@two.example");
        let refused = account("ann@three.example", &some).unwrap_err();
        assert_eq!(
            refused.text,
            "This transport is for accounts of one.example, two.example alone."
        );
    }
}
