//! TLS for clients: certificates from files, or one made at start where only loopback is bound. Shared by all connections;
//! owns the certificate in use, which a reload replaces for those that come later.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jid::BareJid;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use spectrum_core::config;
use spectrum_core::instance::RunError;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::client::{Io, Security};

/// The protocol that clients name when they speak TLS from the first byte (XEP-0368).
const ALPN_CLIENT: &[u8] = b"xmpp-client";

/// What connections are encrypted with.
pub(crate) struct Tls {
    starttls: TlsAcceptor,
    direct: TlsAcceptor,
    used: Arc<Used>,
    /// Where the certificate and its key come from; `None` if they were made.
    files: Option<(PathBuf, PathBuf)>,
}

/// The certificate in use. A lock, because handshakes of all connections read what a reload replaces.
#[derive(Debug)]
struct Used(RwLock<Arc<CertifiedKey>>);

impl Used {
    fn certificate(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, by: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = by;
    }
}

impl ResolvesServerCert for Used {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate())
    }
}

impl Tls {
    /// Takes the certificate of the configuration, or makes one if it has none and only loopback is bound. Blocks on the
    /// file system.
    ///
    /// # Errors
    /// [`RunError::Config`] with the remedy.
    pub(crate) fn new(server: &config::Server, domain: &BareJid) -> Result<Self, RunError> {
        let (certified, files) = match (&server.certificate, &server.key) {
            (Some(certificate), Some(key)) => (read(certificate, key)?, Some((certificate.clone(), key.clone()))),
            (Some(_), None) => return Err(config_error("server.certificate is given and server.key is missing")),
            (None, Some(_)) => return Err(config_error("server.key is given and server.certificate is missing")),
            (None, None) => {
                if let Some(address) = server
                    .listen
                    .iter()
                    .chain(&server.listen_tls)
                    .find(|at| !at.ip().is_loopback())
                {
                    return Err(needs_certificate(*address));
                }
                (make(domain)?, None)
            }
        };
        let used = Arc::new(Used(RwLock::new(Arc::new(certified))));
        let starttls = settings(Arc::clone(&used))?;
        let mut direct = starttls.clone();
        direct.alpn_protocols = vec![ALPN_CLIENT.to_vec()];
        let acceptor = |settings| TlsAcceptor::from(Arc::new(settings));
        Ok(Self {
            starttls: acceptor(starttls),
            direct: acceptor(direct),
            used,
            files,
        })
    }

    /// SHA-256 of the certificate, in the way browsers and clients show it.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&self.used.certificate().cert)
    }

    /// Whether the certificate was made at this start, so that clients do not know it.
    pub(crate) fn is_made(&self) -> bool {
        self.files.is_none()
    }

    /// Reads the certificate and its key anew, for connections that come later. Gives the new fingerprint, or `None` if the
    /// certificate was made and there is nothing to read. Blocks on the file system.
    ///
    /// # Errors
    /// [`RunError::Config`]; the certificate so far stays.
    pub(crate) fn reload(&self) -> Result<Option<String>, RunError> {
        let Some((certificate, key)) = &self.files else {
            return Ok(None);
        };
        self.used.replace(Arc::new(read(certificate, key)?));
        Ok(Some(self.fingerprint()))
    }

    /// What a client has to trust.
    #[cfg(test)]
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.used.certificate().cert[0].clone()
    }

    /// Does the handshake.
    pub(crate) async fn accept(&self, security: Security, io: Box<dyn Io>) -> io::Result<Box<dyn Io>> {
        let acceptor = match security {
            Security::Plain => &self.starttls,
            Security::DirectTls => &self.direct,
        };
        Ok(Box::new(acceptor.accept(io).await?))
    }
}

fn settings(used: Arc<Used>) -> Result<ServerConfig, RunError> {
    // The provider is named, so that a second one in some dependency can never make the choice ambiguous.
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map(|builder| builder.with_no_client_auth().with_cert_resolver(used))
        .map_err(unusable)
}

fn unusable(error: rustls::Error) -> RunError {
    match error {
        rustls::Error::InconsistentKeys(_) => config_error("server.key does not belong to server.certificate"),
        error => config_error(format!("the certificate cannot be used: {error}")),
    }
}

fn certified(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<CertifiedKey, RunError> {
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(unusable)
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, RunError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| config_error(format!("server.certificate: {}: {error}", certificate.display())))?;
    if chain.is_empty() {
        return Err(config_error(format!(
            "server.certificate: {}: no certificate in it",
            certificate.display()
        )));
    }
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| config_error(format!("server.key: {}: {error}", key.display())))?;
    certified(chain, key)
}

fn make(domain: &BareJid) -> Result<CertifiedKey, RunError> {
    let names = vec![
        domain.to_string(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| config_error(format!("a certificate for {domain} could not be made: {error}")))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    certified(vec![made.cert.der().clone()], key)
}

fn fingerprint(chain: &[CertificateDer<'_>]) -> String {
    let digest = chain.first().map(Sha256::digest).unwrap_or_default();
    digest
        .iter()
        .enumerate()
        .fold(String::with_capacity(95), |mut text, (at, byte)| {
            let _ = write!(text, "{}{byte:02X}", if at == 0 { "" } else { ":" });
            text
        })
}

fn needs_certificate(address: SocketAddr) -> RunError {
    config_error(format!(
        "server.certificate and server.key are missing, and {address} can be reached from outside; \
         give both, or listen on loopback alone, such as listen = [\"127.0.0.1:5222\"]"
    ))
}

fn config_error(text: impl Into<String>) -> RunError {
    RunError::Config(text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_core::config::Config;

    use super::*;

    fn tls(change: impl FnOnce(&mut config::Server)) -> Result<Tls, String> {
        let text = "mode = \"server\"\njid = \"irc.localhost\"\n[backend]\nbuiltin = \"irc\"\n\
                    [server]\nlisten = [\"127.0.0.1:5222\", \"[::1]:5222\"]\n";
        let mut config = Config::from_toml(text).unwrap();
        change(&mut config.server);
        Tls::new(&config.server, &config.jid).map_err(|error| error.to_string())
    }

    #[test]
    fn certificate_is_made_where_only_loopback_is_bound() {
        let tls = tls(|_| {}).unwrap();
        assert!(tls.is_made());
        assert_eq!(tls.fingerprint().len(), 95);
        assert_eq!(tls.fingerprint(), fingerprint(&[tls.certificate()]));
        assert_eq!(tls.reload().unwrap(), None);
    }

    #[test]
    fn certificate_is_wanted_where_others_can_connect() {
        let error = tls(|server| server.listen_tls.push("0.0.0.0:5223".parse().unwrap()))
            .err()
            .unwrap();
        assert!(
            error.contains("server.certificate and server.key are missing, and 0.0.0.0:5223"),
            "{error}"
        );
    }

    #[test]
    fn certificate_is_read_from_files_and_mistakes_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["irc.localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["irc.localhost".to_owned()]).unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = file("cert.pem", &made.cert.pem());
        let key = file("key.pem", &made.signing_key.serialize_pem());
        let other = file("other.pem", &other.signing_key.serialize_pem());
        let empty = file("empty.pem", "");
        let files = |certificate: &Path, key: &Path| {
            tls(|server| {
                server.listen.push("0.0.0.0:5222".parse().unwrap());
                server.certificate = Some(certificate.to_owned());
                server.key = Some(key.to_owned());
            })
        };
        assert!(!files(&certificate, &key).unwrap().is_made());
        for (certificate, key, expected) in [
            (&certificate, &other, "server.key does not belong to server.certificate"),
            (&empty, &key, "no certificate in it"),
            (&certificate, &empty, "server.key: "),
        ] {
            let error = files(certificate, key).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
        let missing = directory.path().join("missing.pem");
        assert!(files(&missing, &key).is_err());
    }

    #[test]
    fn a_new_certificate_takes_over_and_a_bad_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let made = || rcgen::generate_simple_self_signed(vec!["irc.localhost".to_owned()]).unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
            std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        };
        let (first, second) = (made(), made());
        write(&first);
        let tls = tls(|server| {
            server.certificate = Some(path("cert.pem"));
            server.key = Some(path("key.pem"));
        })
        .unwrap();
        assert_eq!(tls.certificate(), *first.cert.der());

        std::fs::write(path("cert.pem"), second.cert.pem()).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert_eq!(error, "server.key does not belong to server.certificate");
        assert_eq!(tls.certificate(), *first.cert.der(), "the old one stays");

        write(&second);
        assert_eq!(tls.reload().unwrap(), Some(fingerprint(&[second.cert.der().clone()])));
        assert_eq!(tls.certificate(), *second.cert.der());
    }
}
