//! TCP and TLS to the server of an account: where it is (RFC 6120 3.2, XEP-0368), and how the connection is encrypted.
//! One [`Transport`] per backend process owns the resolver and the TLS settings; it knows nothing of a user.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use spectrum_backend_sdk::tls::client_config;
use spectrum_backend_sdk::{LoginError, LoginErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, ProtocolVersion};
use tokio_xmpp::connect::AsyncReadAndWrite;

use crate::ns;
use crate::options::{CLIENT_PORT, Encryption, XmppOptions};
use crate::shallow::Shallow;
use crate::stream;
use crate::xml::element;

/// How long one address may take to answer, TLS apart.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the question for the address may take; without an answer the domain itself is tried.
const DNS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the encryption may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(15);

/// Addresses of a server that are tried.
const MAX_TARGETS: usize = 8;

/// A connection, encrypted or allowed not to be.
pub(crate) type Io = Box<dyn AsyncReadAndWrite + Send>;

/// A connection that stands.
pub(crate) struct Connected {
    pub(crate) io: Io,
    /// What both ends of the TLS connection know and nobody else (RFC 9266); `None` before TLS 1.3 and without TLS.
    pub(crate) exporter: Option<Vec<u8>>,
}

/// Where a server may be.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    host: String,
    port: u16,
    /// TLS from the first byte.
    is_direct: bool,
}

/// Makes connections.
pub(crate) struct Transport {
    options: XmppOptions,
    /// For STARTTLS, and with the protocol's name (ALPN) for TLS from the first byte.
    tls: Arc<ClientConfig>,
    tls_direct: Arc<ClientConfig>,
    resolver: Option<TokioResolver>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// With the system's resolver and trusted certificates. Reads files.
    ///
    /// # Errors
    /// If the cryptography has no protocol version in common with itself, which would be a defect.
    pub(crate) fn new(options: XmppOptions) -> Result<Self, rustls::Error> {
        let tls = client_config(options.tls_verify)?;
        let mut tls_direct = tls.clone();
        tls_direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
        // Without it names are looked up as the system does, and servers are found by their domain alone.
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        if let Err(error) = &resolver {
            tracing::warn!(%error, "The resolver could not be set up: SRV records are not looked up.");
        }
        Ok(Self {
            options,
            tls: Arc::new(tls),
            tls_direct: Arc::new(tls_direct),
            resolver: resolver.ok(),
        })
    }

    /// Connects to the server of a domain.
    ///
    /// # Errors
    /// What to tell the user: not reachable, not encrypted, not to be trusted.
    pub(crate) async fn connect(&self, domain: &str) -> Result<Connected, LoginError> {
        let mut last = None;
        for target in self.targets(domain).await {
            match self.connect_to(&target, domain).await {
                Ok(connected) => return Ok(connected),
                // The next address will have the same certificate; only what was not reached is tried elsewhere.
                Err(error) if error.kind != LoginErrorKind::Network => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| network(format!("{domain} offers no service for XMPP clients."))))
    }

    async fn targets(&self, domain: &str) -> Vec<Target> {
        let is_direct = self.options.tls == Encryption::Direct;
        if let Some(server) = &self.options.server {
            return vec![Target {
                host: server.host.to_string(),
                port: server.port,
                is_direct,
            }];
        }
        let Some(resolver) = self.resolver.as_ref().filter(|_| !is_address(domain)) else {
            return by_domain(domain, is_direct);
        };
        let direct = timeout(DNS_TIMEOUT, records(resolver, domain, "xmpps-client", true));
        if is_direct {
            let found = direct.await.unwrap_or_default();
            return chosen(found).unwrap_or_else(|| by_domain(domain, true));
        }
        let starttls = timeout(DNS_TIMEOUT, records(resolver, domain, "xmpp-client", false));
        let (direct, starttls) = tokio::join!(direct, starttls);
        let mut found = direct.unwrap_or_default();
        found.extend(starttls.unwrap_or_default());
        chosen(found).unwrap_or_else(|| by_domain(domain, false))
    }

    async fn connect_to(&self, target: &Target, domain: &str) -> Result<Connected, LoginError> {
        let connecting = timeout(TCP_TIMEOUT, TcpStream::connect((target.host.as_str(), target.port)));
        let tcp = match connecting.await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return Err(network(format!("The server of {domain} cannot be reached: {error}."))),
            Err(_) => return Err(network(format!("The server of {domain} does not answer."))),
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "Could not switch Nagle's algorithm off.");
        }
        if self.options.tls == Encryption::Off {
            return Ok(Connected {
                io: Box::new(Shallow::new(tcp)),
                exporter: None,
            });
        }
        let encrypting = async {
            if target.is_direct {
                encrypt(&self.tls_direct, tcp, domain).await
            } else {
                let tcp = starttls(tcp, domain).await?;
                encrypt(&self.tls, tcp, domain).await
            }
        };
        match timeout(TLS_TIMEOUT, encrypting).await {
            Ok(result) => result,
            Err(_) => Err(network(format!("The server of {domain} does not answer."))),
        }
    }
}

fn is_address(domain: &str) -> bool {
    domain.starts_with('[') || domain.parse::<std::net::IpAddr>().is_ok()
}

fn by_domain(domain: &str, is_direct: bool) -> Vec<Target> {
    vec![Target {
        host: domain.trim_matches(['[', ']']).to_owned(),
        port: if is_direct {
            crate::options::CLIENT_TLS_PORT
        } else {
            CLIENT_PORT
        },
        is_direct,
    }]
}

/// One SRV record: priority, weight, target.
type Found = (u16, u16, Target);

async fn records(resolver: &TokioResolver, domain: &str, service: &str, is_direct: bool) -> Vec<Found> {
    // Domains of JIDs may have letters that names in DNS have not (RFC 7622 3.2); those are found by their A-labels, which
    // is what the library makes of them.
    let Ok(lookup) = resolver.srv_lookup(format!("_{service}._tcp.{domain}.")).await else {
        return Vec::new();
    };
    let records = lookup.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some((
            srv.priority,
            srv.weight,
            Target {
                host: srv.target.to_ascii().trim_end_matches('.').to_owned(),
                port: srv.port,
                is_direct,
            },
        )),
        _ => None,
    });
    records.take(MAX_TARGETS).collect()
}

/// In the order in which they are to be tried; `None` if nothing was found, an empty list if the service is said not to be
/// there (RFC 2782's `.`).
fn chosen(mut found: Vec<Found>) -> Option<Vec<Target>> {
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|(priority, weight, _)| (*priority, std::cmp::Reverse(*weight)));
    let targets = found
        .into_iter()
        .map(|(_, _, target)| target)
        .filter(|target| !target.host.is_empty());
    Some(targets.take(MAX_TARGETS).collect())
}

/// Asks for encryption (RFC 6120 5) and gives the connection back when the server is ready for it.
async fn starttls<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: S, domain: &str) -> Result<S, LoginError> {
    let (features, mut stream) = stream::open(Shallow::new(io), domain, None).await?;
    if !features.has_child("starttls", ns::STARTTLS) {
        return Err(LoginError::new(
            LoginErrorKind::Encryption,
            format!("The server of {domain} does not encrypt connections."),
        ));
    }
    stream::write(&mut stream, &element("starttls", ns::STARTTLS, &[])).await?;
    let answer = stream::read(&mut stream).await?;
    if !answer.is("proceed", ns::STARTTLS) {
        return Err(LoginError::new(
            LoginErrorKind::Encryption,
            format!("The server of {domain} refuses to encrypt the connection."),
        ));
    }
    let reader = stream.into_inner();
    // What came behind the go-ahead in plain text would be taken for encrypted.
    if reader.has_more() {
        return Err(LoginError::new(
            LoginErrorKind::Encryption,
            format!("Somebody between here and {domain} meddles with the connection."),
        ));
    }
    Ok(reader.into_inner())
}

async fn encrypt<S>(config: &Arc<ClientConfig>, io: S, domain: &str) -> Result<Connected, LoginError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let name = ServerName::try_from(domain.trim_matches(['[', ']']).to_owned()).map_err(|_| {
        LoginError::new(
            LoginErrorKind::InvalidName,
            format!("{domain} is no name that a certificate can have."),
        )
    })?;
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(name, io)
        .await
        .map_err(|error| tls_error(domain, &error))?;
    Ok(Connected {
        exporter: exporter(&stream),
        io: Box::new(Shallow::new(stream)),
    })
}

/// `tls-exporter` (RFC 9266).
fn exporter<S>(stream: &TlsStream<S>) -> Option<Vec<u8>> {
    let (_, connection) = stream.get_ref();
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection
        .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None)
        .ok()
}

fn network(text: String) -> LoginError {
    LoginError::new(LoginErrorKind::Network, text)
}

fn tls_error(domain: &str, error: &io::Error) -> LoginError {
    let tls = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => LoginError::new(
            LoginErrorKind::Certificate,
            format!("The certificate of {domain} is not to be trusted: {error}."),
        ),
        Some(_) => LoginError::new(
            LoginErrorKind::Encryption,
            format!("No encrypted connection to {domain}: {error}."),
        ),
        None => network(format!("The connection to {domain} was lost: {error}.")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn found(priority: u16, weight: u16, host: &str) -> Found {
        let target = Target {
            host: host.to_owned(),
            port: 1,
            is_direct: false,
        };
        (priority, weight, target)
    }

    #[test]
    fn servers_are_tried_by_priority_and_then_by_weight() {
        let order = |list: Vec<Found>| chosen(list).map(|list| list.into_iter().map(|t| t.host).collect::<Vec<_>>());
        assert_eq!(
            order(vec![found(2, 9, "c"), found(1, 1, "b"), found(1, 5, "a")]).unwrap(),
            ["a", "b", "c"]
        );
        assert_eq!(
            order(vec![found(0, 0, "")]).unwrap(),
            [""; 0],
            "the service is said not to be there"
        );
        assert_eq!(order(Vec::new()), None);
    }

    async fn after_starttls(rest: &'static str) -> Result<tokio::io::DuplexStream, LoginError> {
        let (near, mut far) = tokio::io::duplex(4096);
        let server = async {
            let mut buffer = [0; 1024];
            let _ = far.read(&mut buffer).await.unwrap();
            let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' \
                          version='1.0' from='example.org'>";
            let features = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
            far.write_all(format!("{header}{features}").as_bytes()).await.unwrap();
            let _ = far.read(&mut buffer).await.unwrap();
            far.write_all(rest.as_bytes()).await.unwrap();
            far
        };
        let (result, _far) = tokio::join!(starttls(near, "example.org"), server);
        result
    }

    #[tokio::test]
    async fn nothing_in_plain_text_may_follow_the_go_ahead() {
        assert!(
            after_starttls("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await
                .is_ok()
        );
        let meddled = after_starttls("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features/>").await;
        assert_eq!(meddled.unwrap_err().kind, LoginErrorKind::Encryption);
        let refused = after_starttls("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
        assert_eq!(refused.unwrap_err().kind, LoginErrorKind::Encryption);
    }
}
