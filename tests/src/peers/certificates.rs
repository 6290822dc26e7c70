//! A small certificate authority and one server certificate, made afresh for each peer.
//!
//! A leaf that is its own authority is refused by strict verifiers even when it is listed as trusted, hence the two.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::Account;
use crate::{Failure, Outcome};

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority, for clients to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes a certificate for these names (and 127.0.0.1), readable for `account`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(folder: &Path, account: &Account, names: &[&str]) -> Outcome<Self> {
        let failed = |e: rcgen::Error| Failure::new(format!("could not make a certificate: {e}"));
        let mut authority = CertificateParams::new(Vec::new()).map_err(failed)?;
        authority.distinguished_name.push(DnType::CommonName, "Spectrum tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate().map_err(failed)?;
        let authority_pem = authority.self_signed(&authority_key).map_err(failed)?.pem();

        let names: Vec<String> = names.iter().copied().chain(["127.0.0.1"]).map(str::to_owned).collect();
        let mut leaf = CertificateParams::new(names).map_err(failed)?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf_key = KeyPair::generate().map_err(failed)?;
        let leaf_pem = leaf
            .signed_by(&leaf_key, &Issuer::new(authority, authority_key))
            .map_err(failed)?
            .pem();

        account.folder(folder)?;
        let made = Self {
            authority: folder.with_extension("ca.pem"),
            certificate: folder.join("localhost.crt"),
            key: folder.join("localhost.key"),
        };
        Account::own().write(&made.authority, authority_pem)?;
        account.write(&made.certificate, leaf_pem)?;
        account.write(&made.key, leaf_key.serialize_pem())?;
        Ok(made)
    }
}
