//! What types cannot say: keys that need each other, modes, and what works but deserves a warning.

use std::path::Path;

use super::Config;
use super::error::Problem;
use super::kinds::{Mode, StorageUrl, Wire};
use super::layers::Origin;

/// Smallest frame limit: the largest avatar most networks allow still fits.
const MIN_FRAME_BYTES: u64 = 64 << 10;

/// Checks a configuration whose values are all well typed.
pub(super) fn check(
    config: &Config,
    file: &Origin,
    origin: &dyn Fn(&str) -> Origin,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    let mut checker = Checker {
        config,
        file,
        origin,
        problems,
        warnings,
    };
    match config.mode {
        Mode::Gateway => checker.gateway(),
        Mode::Server => checker.server(),
    }
    checker.backend();
    checker.storage();
    checker.unused();
}

struct Checker<'a> {
    config: &'a Config,
    file: &'a Origin,
    origin: &'a dyn Fn(&str) -> Origin,
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    /// The place of a key that was said somewhere, else the file.
    fn place(&self, key: &str) -> Origin {
        match (self.origin)(key) {
            Origin::Default => self.file.clone(),
            said => said,
        }
    }

    fn said(&self, key: &str) -> bool {
        (self.origin)(key) != Origin::Default
    }

    fn problem(&mut self, key: &str, message: &str) {
        self.problems.push(Problem::at(self.place(key), key, message));
    }

    fn warning(&mut self, key: &str, message: &str) {
        self.warnings.push(Problem::at(self.place(key), key, message));
    }

    fn gateway(&mut self) {
        let config = self.config;
        if config.gateway.secret.is_none() {
            self.problem(
                "gateway.secret",
                "missing; the XMPP server's configuration has it beside this component, give it here or in secret_file",
            );
        }
        if config.gateway.server.is_empty() {
            self.problem("gateway.server", "must not be empty");
        }
        if config.gateway.port == 0 {
            self.problem("gateway.port", "must not be 0");
        }
        if config.gateway.port == 5222 {
            self.warning(
                "gateway.port",
                "5222 is the port for clients; components usually connect to 5347",
            );
        }
        if config.jid.node().is_some() {
            self.problem("jid", "must be a domain in gateway mode, without anything before an @");
        }
        if config.registration.allow.iter().any(|domain| domain == "*") {
            self.warning(
                "registration.allow",
                "\"*\" lets users of every XMPP server in the world use this transport",
            );
        }
        for entry in config.registration.allow.iter().filter(|entry| entry.contains('@')) {
            match jid::BareJid::new(entry) {
                Ok(user) if user.as_str() == entry.as_str() => {}
                Ok(user) => self.problem(
                    "registration.allow",
                    &format!("\"{entry}\" would never be met; write \"{user}\""),
                ),
                Err(_) => self.problem("registration.allow", &format!("\"{entry}\" is not the JID of a user")),
            }
        }
        if config.registration.allow.is_empty() && !config.jid.domain().as_str().contains('.') {
            self.problem(
                "registration.allow",
                "needed: jid has no parent domain that could be allowed by default",
            );
        }
        for key in ["server.listen", "server.listen_tls", "server.certificate", "server.key"] {
            if self.said(key) {
                self.warning(key, "not used in gateway mode");
            }
        }
    }

    fn server(&mut self) {
        let config = self.config;
        let server = &config.server;
        if config.jid.node().is_some() {
            self.problem("jid", "must be a domain in server mode, without anything before an @");
        }
        if server.listen.is_empty() && server.listen_tls.is_empty() {
            self.problem("server.listen", "nothing to listen on; give an address here or in listen_tls");
        }
        match (&server.certificate, &server.key) {
            (Some(_), None) => self.problem("server.key", "missing; server.certificate needs its private key"),
            (None, Some(_)) => self.problem("server.certificate", "missing; server.key needs its certificate"),
            (Some(certificate), Some(key)) => {
                self.readable("server.certificate", certificate);
                self.readable("server.key", key);
            }
            (None, None) => {
                let public = server
                    .listen
                    .iter()
                    .chain(&server.listen_tls)
                    .any(|address| !address.ip().is_loopback());
                if public {
                    self.problem(
                        "server.certificate",
                        "missing; passwords are accepted inside TLS only, and a certificate is made up for loopback addresses alone",
                    );
                }
            }
        }
        if server.login_timeout.is_zero() {
            self.problem("server.login_timeout", "must be longer than nothing");
        }
        for key in [
            "gateway.server",
            "gateway.port",
            "gateway.secret",
            "gateway.secret_file",
            "registration.allow",
        ] {
            if self.said(key) {
                self.warning(key, "not used in server mode");
            }
        }
    }

    fn readable(&mut self, key: &str, path: &Path) {
        if let Err(error) = std::fs::File::open(path) {
            self.problem(key, &format!("could not open {}: {error}", path.display()));
        }
    }

    fn backend(&mut self) {
        let backend = &self.config.backend;
        match (backend.command.first(), &backend.builtin) {
            (None, None) => self.problem(
                "backend.command",
                "missing; give the command of a backend, or builtin = \"irc\"",
            ),
            (Some(_), Some(_)) => self.problem("backend.builtin", "backend.command is given too; keep one of them"),
            (Some(program), None) if program.is_empty() => {
                self.problem("backend.command", "the first item is the program and must not be empty")
            }
            (None, Some(_)) if backend.wire == Wire::Spectrum2 => {
                self.problem("backend.wire", "a builtin backend speaks no wire protocol; remove this key");
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if backend.users_per_backend == 0 {
            self.problem("backend.users_per_backend", "must be at least 1");
        }
        if backend.max_frame_bytes.0 < MIN_FRAME_BYTES || backend.max_frame_bytes.0 > u64::from(u32::MAX) {
            self.problem("backend.max_frame_bytes", "must be from 64KiB to 4294967295 bytes");
        }
    }

    fn storage(&mut self) {
        match (&self.config.storage.url, self.config.mode) {
            (None, Mode::Gateway) => {
                self.problem(
                    "storage.url",
                    "\"none\" is for server mode; a gateway keeps the registrations of its users",
                );
            }
            (Some(StorageUrl::Sqlite(url)), _) if url.contains(":memory:") => {
                self.warning("storage.url", "everything stored is lost when the process ends");
            }
            (Some(_) | None, _) => {}
        }
    }

    /// Keys of the reference that this version does not act on are said to be so, never silently accepted.
    fn unused(&mut self) {
        for key in [
            "http.listen",
            "http.url",
            "upload.max_size",
            "server.resume_timeout",
            "server.node",
            "server.nodes",
        ] {
            if self.said(key) {
                self.warning(key, "accepted, but this version does not act on it yet");
            }
        }
    }
}
