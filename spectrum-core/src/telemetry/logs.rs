//! The log of a process: a file, and the terminal or the journal.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use tracing::{Dispatch, Subscriber};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use super::filter::filter;
use super::journal::Journal;
use super::writer::{self, LogFile};
use crate::config::{Log, LogFormat, LogLevel};

/// What standard error is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// A person looks at it: lines with colours.
    Person,
    /// systemd reads it: lines with priorities.
    Journal,
    /// Something else: used only if there is no file.
    Other,
}

impl Terminal {
    /// Looks at this process's standard error and environment.
    #[must_use]
    pub fn detect() -> Self {
        if io::stderr().is_terminal() {
            Self::Person
        } else if std::env::var_os("JOURNAL_STREAM").is_some() {
            Self::Journal
        } else {
            Self::Other
        }
    }
}

/// The log of this process.
pub struct Logs {
    file: Option<LogFile>,
    level: reload::Handle<EnvFilter, Registry>,
}

impl Logs {
    /// Opens the log and makes it this process's own. Once per process.
    ///
    /// # Errors
    /// [`LogError::Open`] if the file cannot be opened; [`LogError::Installed`] if the process has a log already.
    pub fn start(log: &Log, terminal: Terminal) -> Result<Self, LogError> {
        let (logs, dispatch) = Self::build(log, terminal)?;
        // Libraries that use the `log` crate come through here too.
        dispatch.try_init().map_err(|_| LogError::Installed)?;
        Ok(logs)
    }

    /// The log without making it the process's own.
    pub(super) fn build(log: &Log, terminal: Terminal) -> Result<(Self, Dispatch), LogError> {
        let file = log
            .file
            .as_ref()
            .map(|path| {
                LogFile::open(path).map_err(|source| LogError::Open {
                    path: path.clone(),
                    source,
                })
            })
            .transpose()?;
        let (level, handle) = reload::Layer::new(filter(&log.level));
        let file_layer = file.clone().map(|file| lines(log.format, file));
        let stderr_layer = stderr_layer(log, terminal);
        let subscriber = Registry::default().with(level).with(file_layer).with(stderr_layer);
        let logs = Self { file, level: handle };
        Ok((logs, Dispatch::new(subscriber)))
    }

    /// Opens the log file anew, after it was moved away. On an error the old one stays in use.
    ///
    /// # Errors
    /// What the system says.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)
    }

    /// Changes the level while the process runs. What must not be logged stays out at every level.
    pub fn set_level(&self, level: &LogLevel) {
        // Fails only when the subscriber is gone, and then nobody reads the log.
        let _ = self.level.reload(filter(level));
    }
}

fn lines<S>(format: LogFormat, file: LogFile) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(file)
        .with_ansi(false)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

fn stderr_layer<S>(log: &Log, terminal: Terminal) -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer::stderr)
        .log_internal_errors(false);
    match (terminal, log.format) {
        (Terminal::Other, _) if log.file.is_some() => None,
        (Terminal::Journal, _) => Some(layer.with_ansi(false).event_format(Journal::new()).boxed()),
        (Terminal::Person, _) => Some(layer.with_ansi(true).boxed()),
        (Terminal::Other, LogFormat::Text) => Some(layer.with_ansi(false).boxed()),
        (Terminal::Other, LogFormat::Json) => Some(layer.with_ansi(false).json().flatten_event(true).boxed()),
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be opened or its directory not made.
    #[error("could not open the log {} (key log.file): {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The process has a log already.
    #[error("this process has a log already")]
    Installed,
}
