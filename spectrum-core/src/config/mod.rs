//! The one configuration file of an instance.
//!
//! One TOML file is one instance. Values come from four layers, later ones win: defaults, the file, environment variables
//! (`SPECTRUM_GATEWAY__SECRET` is `gateway.secret`), `--set key=value`. A [`Config`] that exists is valid: unknown keys, wrong
//! types and contradictions are all reported at once, each with file, line, key and remedy. `docs/configuration.md` is
//! generated from the declarations in `sections.rs`.

mod allowed;
mod error;
mod kinds;
mod layers;
mod load;
mod locate;
mod options;
mod reference;
mod schema;
mod sections;
mod semantics;
mod unknown;
mod value;

use jid::BareJid;

pub use allowed::Allowed;
pub use error::{ConfigError, Problem};
pub use kinds::{Bookmarking, Journal, LogFormat, LogLevel, Mode, Node, Nodes, StayConnected, StorageUrl, Wire};
pub use layers::{ENVIRONMENT_PREFIX, Origin};
pub use load::{Loaded, Loader, MAX_FILE_BYTES};
pub use options::BackendOptions;
pub(crate) use options::names_a_secret;
pub use reference::reference;
pub use schema::Entry;
pub use sections::{Archive, Backend, Control, Gateway, Http, Identity, Log, Metrics, Registration, Server, Storage, Upload};
pub use value::ByteSize;

/// Where a bare name such as `irc` is looked up: `/etc/spectrum2/transports/irc.toml`.
pub const TRANSPORTS_DIRECTORY: &str = "/etc/spectrum2/transports";

/// A valid configuration. Secrets in it print as `***`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How the instance meets XMPP.
    pub mode: Mode,
    /// The JID of the transport.
    pub jid: BareJid,
    /// Who may use the administrative commands over XMPP.
    pub admins: Vec<BareJid>,
    /// Overrides the backend's say on XEP-0106 escapes.
    pub jid_escaping: Option<bool>,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[server]`
    pub server: Server,
    /// `[http]`
    pub http: Http,
    /// `[upload]`
    pub upload: Upload,
    /// `[identity]`
    pub identity: Identity,
    /// `[backend]`
    pub backend: Backend,
    /// `[registration]`
    pub registration: Registration,
    /// `[storage]`
    pub storage: Storage,
    /// `[archive]`
    pub archive: Archive,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[control]`
    pub control: Control,
}

impl Config {
    /// Loads a file with this process's environment on top. Blocks on the file system.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if there is no such file; [`ConfigError::Invalid`] with everything wrong inside it.
    pub fn load(path: impl Into<std::path::PathBuf>) -> Result<Loaded, ConfigError> {
        Loader::file(path).process_environment().load()
    }

    /// Reads a configuration from text, for embedders; no environment. Secret files it names are read.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything wrong inside it.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Loader::text("configuration", text).load().map(|loaded| loaded.config)
    }

    /// Whether users of this domain may register and use the transport (gateway mode), all of them or some.
    #[must_use]
    pub fn allows_domain(&self, domain: &str) -> bool {
        let allow = &self.registration.allow;
        if !allow.is_empty() {
            let domain_of = |entry: &str| entry.rsplit_once('@').is_some_and(|(_, of)| of == domain);
            let is_it = |entry: &String| entry == "*" || entry == domain || domain_of(entry);
            return allow.iter().any(is_it);
        }
        self.parent() == Some(domain)
    }

    /// The domain that the transport's own is under.
    fn parent(&self) -> Option<&str> {
        self.jid.domain().as_str().split_once('.').map(|(_, parent)| parent)
    }

    /// The address of the storage with the password of `storage.password_file` in it; `None` without storage.
    #[must_use]
    pub fn storage_url(&self) -> Option<&str> {
        self.storage.url.as_ref().map(StorageUrl::expose)
    }
}

#[cfg(test)]
mod tests;
