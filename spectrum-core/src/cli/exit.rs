//! Exit codes (those of `sysexits.h`) and what is printed before one of them.

use std::io;
use std::process::ExitCode;

use crate::admin::{ClientError, ControlError};
use crate::config::{ConfigError, Mode};
use crate::instance::RunError;
use crate::store::StoreError;
use crate::telemetry::LogError;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: an instance said no, or something failed that is nobody's mistake.
    Failure,
    /// 64: the command line is wrong.
    Usage,
    /// 69: a server, an address or the running instance cannot be reached.
    Unavailable,
    /// 78: the configuration is wrong.
    Config,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<&RunError> for Exit {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Config(_) | RunError::Store(_) => Self::Config,
            RunError::Unreachable(_) | RunError::Listen { .. } => Self::Unavailable,
        }
    }
}

/// Why a verb did not do what it was told.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Tells it on standard error, each line with the binary's name, as compilers do.
    pub(super) fn report(self, mode: Mode) -> Exit {
        for line in self.message.lines() {
            eprintln!("{}: {line}", mode.binary());
        }
        self.exit
    }
}

impl From<&RunError> for Failure {
    fn from(error: &RunError) -> Self {
        Self::new(Exit::from(error), error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(error.to_string())
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::config(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::NotRunning { .. } | ClientError::Io { .. } => Exit::Unavailable,
            ClientError::Refused(ControlError::WrongMode(_)) => Exit::Usage,
            ClientError::Refused(_) | ClientError::Garbled => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = if error.is_configuration() {
            Exit::Config
        } else {
            Exit::Failure
        };
        Self::new(exit, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever reads our output has seen enough (`| head`): no reason to complain.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Success, "");
        }
        Self::new(Exit::Failure, error.to_string())
    }
}
