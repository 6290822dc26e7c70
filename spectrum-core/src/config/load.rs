//! From a file to a valid [`Config`]: reads the layers, every section, the secret files, and checks the whole.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{ConfigError, Problem};
use super::kinds::StorageUrl;
use super::layers::{ENVIRONMENT_PREFIX, Layers, Origin};
use super::schema::{Entry, Reader};
use super::sections::{
    Archive, Backend, Control, Gateway, Http, Identity, Log, Metrics, Registration, Server, Storage, Top, Upload,
};
use super::{Config, options, semantics, unknown};
use crate::model::Secret;

/// The largest configuration or secret file that is read; a larger one is an error.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration with what is worth telling about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration itself.
    pub config: Config,
    /// Every value in force with its origin, secrets hidden, in the order of the reference.
    pub entries: Vec<Entry>,
    /// What works but deserves a look.
    pub warnings: Vec<Problem>,
}

/// Collects the layers and loads them.
#[derive(Debug)]
pub struct Loader {
    path: PathBuf,
    text: Option<String>,
    environment: Vec<(String, String)>,
    set: Vec<(String, String)>,
    credentials: Option<String>,
}

impl Loader {
    /// Starts from a file. Nothing is read yet.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            text: None,
            environment: Vec::new(),
            set: Vec::new(),
            credentials: None,
        }
    }

    /// Starts from text that is called `name` in errors.
    pub fn text(name: &str, text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            ..Self::file(name)
        }
    }

    /// Puts this process's `SPECTRUM_*` variables on top, and lets `$CREDENTIALS_DIRECTORY` expand. A variable that is not
    /// Unicode is left out.
    #[must_use]
    pub fn process_environment(self) -> Self {
        self.environment(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// Puts these variables on top; only `SPECTRUM_*` and `CREDENTIALS_DIRECTORY` are looked at.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in variables {
            if name == "CREDENTIALS_DIRECTORY" {
                self.credentials = Some(value);
            } else if name.starts_with(ENVIRONMENT_PREFIX) {
                self.environment.push((name, value));
            }
        }
        self
    }

    /// Puts one value on top of everything, as `--set` does.
    ///
    /// # Errors
    /// If the key is a secret: a command line is visible to every user of the machine.
    pub fn set(mut self, key: &str, value: &str) -> Result<Self, SecretOnCommandLine> {
        let url_with_password = key == "storage.url" && super::kinds::password_in(value).is_some();
        let secret_option = key.strip_prefix("backend.options.").is_some_and(options::names_a_secret);
        if unknown::is_secret(key) || url_with_password || secret_option {
            return Err(SecretOnCommandLine {
                key: key.to_owned(),
                variable: super::layers::variable(key),
            });
        }
        self.set.push((key.to_owned(), value.to_owned()));
        Ok(self)
    }

    /// Reads and checks everything. Blocks on the file system.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] if there is no such file; [`ConfigError::Invalid`] with everything wrong inside it.
    pub fn load(self) -> Result<Loaded, ConfigError> {
        let mut warnings = Vec::new();
        let text = match self.text {
            Some(text) => Zeroizing::new(text),
            None => read_text(&self.path, &mut warnings).map_err(|source| ConfigError::Unreadable {
                path: self.path.clone(),
                source,
            })?,
        };
        let layers = Layers::merge(&self.path, &text, &self.environment, &self.set)?;

        let mut reader = Reader::new(&layers);
        let top = Top::read(&mut reader);
        reader.set_mode(top.mode);
        reader.define("$jid", Some(top.jid.to_string()));
        reader.define("$CREDENTIALS_DIRECTORY", self.credentials);
        let mut config = Config {
            mode: top.mode,
            jid: top.jid,
            admins: top.admins,
            jid_escaping: top.jid_escaping,
            gateway: Gateway::read(&mut reader),
            server: Server::read(&mut reader),
            http: Http::read(&mut reader),
            upload: Upload::read(&mut reader),
            identity: Identity::read(&mut reader),
            backend: Backend::read(&mut reader),
            registration: Registration::read(&mut reader),
            storage: Storage::read(&mut reader),
            archive: Archive::read(&mut reader),
            log: Log::read(&mut reader),
            metrics: Metrics::read(&mut reader),
            control: Control::read(&mut reader),
        };
        let Reader {
            entries, mut problems, ..
        } = reader;
        unknown::find(&layers, &mut problems);
        let origin = |key: &str| {
            entries
                .iter()
                .find(|entry| entry.key == key)
                .map_or(Origin::Default, |entry| entry.origin.clone())
        };
        read_secret_files(&mut config, &origin, &mut problems, &mut warnings);
        if problems.is_empty() {
            semantics::check(&config, &layers.file_origin(), &origin, &mut problems, &mut warnings);
        }
        if problems.is_empty() {
            Ok(Loaded {
                config,
                entries,
                warnings,
            })
        } else {
            Err(ConfigError::Invalid(problems))
        }
    }
}

/// A secret in `--set`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is a secret and everybody on this machine can read command lines; put it into the file, or into {variable}")]
pub struct SecretOnCommandLine {
    key: String,
    variable: String,
}

/// Puts what the `*_file` keys name where the key without `_file` would have it.
fn read_secret_files(
    config: &mut Config,
    origin: &dyn Fn(&str) -> Origin,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    if let Some(path) = &config.gateway.secret_file {
        let key = "gateway.secret_file";
        let read = if config.gateway.secret.is_some() {
            Err("gateway.secret is given too; keep one of them".to_owned())
        } else {
            read_secret(path, &origin(key), key, warnings)
        };
        match read {
            Ok(secret) => config.gateway.secret = Some(secret),
            Err(message) => problems.push(Problem::at(origin(key), key, message)),
        }
    }
    if let Some(path) = &config.storage.password_file {
        let key = "storage.password_file";
        let read = match &config.storage.url {
            Some(url @ StorageUrl::Postgres(_)) if url.has_password() => {
                Err("storage.url has a password too; keep one of them".to_owned())
            }
            Some(StorageUrl::Postgres(url)) => read_secret(path, &origin(key), key, warnings).and_then(|password| {
                with_password(url, &password).ok_or_else(|| "storage.url needs a user: postgres://user@host/database".to_owned())
            }),
            Some(StorageUrl::Sqlite(_)) | None => Err("only a PostgreSQL address in storage.url has a password".to_owned()),
        };
        match read {
            Ok(url) => config.storage.url = Some(StorageUrl::Postgres(url)),
            Err(message) => problems.push(Problem::at(origin(key), key, message)),
        }
    }
}

/// Puts a percent-encoded password behind the user of a URL.
fn with_password(url: &str, password: &Secret) -> Option<String> {
    let start = url.find("://")? + 3;
    let at = start + url[start..].find('@')?;
    let encoded: String = password.expose().bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    });
    Some(format!("{}:{encoded}{}", &url[..at], &url[at..]))
}

fn read_secret(path: &Path, origin: &Origin, key: &str, warnings: &mut Vec<Problem>) -> Result<Secret, String> {
    let text = read_bounded(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    if world_readable(path) {
        warnings.push(Problem::at(
            origin.clone(),
            key,
            format!("{} can be read by everybody; chmod o-r it", path.display()),
        ));
    }
    Ok(Secret::new(secret))
}

fn read_text(path: &Path, warnings: &mut Vec<Problem>) -> io::Result<Zeroizing<String>> {
    let text = read_bounded(path)?;
    if world_readable(path) && text.lines().any(|line| line.trim_start().starts_with("secret")) {
        let message = "contains a secret and can be read by everybody; chmod o-r it";
        warnings.push(Problem::at(Origin::File(path.to_owned(), None), "", message));
    }
    Ok(text)
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(text)
}

fn world_readable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}
