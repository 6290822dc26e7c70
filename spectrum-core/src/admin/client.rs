//! The asking end of the control socket. Blocking: the verbs of the command line have nothing else to do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{ControlError, Diagnosis, NewRegistration, UserStatus, protocol};
use crate::model::UserKey;

/// How long an answer may take; `logout` waits for the network.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read: 500 users with long JIDs fit many times.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// A connection to a running instance.
#[derive(Debug)]
pub struct ControlClient {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl ControlClient {
    /// Connects. Blocks for a moment.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] if nobody listens; [`ClientError::Io`] with what the system says.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning { path: path.to_owned() },
            _ => ClientError::Io {
                path: path.to_owned(),
                source,
            },
        })?;
        let client = Self {
            stream: BufReader::new(stream),
            path: path.to_owned(),
        };
        for limit in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            limit(client.stream.get_ref(), Some(PATIENCE)).map_err(|source| client.io(source))?;
        }
        Ok(client)
    }

    /// How the instance is, as JSON.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn status(&mut self) -> Result<Value, ClientError> {
        self.ask(&protocol::status())
    }

    /// All users with a session, page by page. A page is handed over before the next is asked for.
    ///
    /// # Errors
    /// [`ClientError`], those of `page` included.
    pub fn users(&mut self, mut page: impl FnMut(Vec<UserStatus>) -> io::Result<()>) -> Result<(), ClientError> {
        let mut after = None;
        loop {
            let answer = self.ask(&protocol::users(after.as_ref()))?;
            let more = answer["more"] == Value::Bool(true);
            let users: Vec<UserStatus> = serde_json::from_value(answer["users"].clone()).map_err(|_| ClientError::Garbled)?;
            after = users.last().map(|last| last.user.clone());
            if !users.is_empty() {
                page(users).map_err(|source| self.io(source))?;
            }
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Ends a user's session.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn logout(&mut self, user: &UserKey) -> Result<(), ClientError> {
        self.ask(&protocol::logout(user)).map(drop)
    }

    /// Stores a user's credentials.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn register(&mut self, registration: &NewRegistration) -> Result<(), ClientError> {
        self.ask(&protocol::register(registration)).map(drop)
    }

    /// Removes a user's registration.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn unregister(&mut self, user: &UserKey) -> Result<(), ClientError> {
        self.ask(&protocol::unregister(user)).map(drop)
    }

    /// Runs a verb of the table, written as in a chat, and gives what it says.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn admin(&mut self, line: &str) -> Result<String, ClientError> {
        match self.ask(&protocol::admin(line))? {
            Value::String(said) => Ok(said),
            _ => Err(ClientError::Garbled),
        }
    }

    /// What the running instance finds about the XMPP server in front of it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn doctor(&mut self) -> Result<Diagnosis, ClientError> {
        serde_json::from_value(self.ask(&protocol::doctor())?).map_err(|_| ClientError::Garbled)
    }

    fn ask(&mut self, request: &str) -> Result<Value, ClientError> {
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(|source| self.io(source))?;
        let mut answer = Vec::new();
        (&mut self.stream)
            .take(MAX_ANSWER_BYTES)
            .read_until(b'\n', &mut answer)
            .map_err(|source| self.io(source))?;
        match serde_json::from_slice(&answer) {
            Ok(protocol::Answer::Ok(value)) => Ok(value),
            Ok(protocol::Answer::Error(error)) => Err(ClientError::Refused(error)),
            Err(_) => Err(ClientError::Garbled),
        }
    }

    fn io(&self, source: io::Error) -> ClientError {
        ClientError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// Why there is no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("the instance is not running (nobody listens on {})", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be used, mostly for lack of permission.
    #[error("could not use the control socket {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The instance answered something else than this version expects.
    #[error("the instance gave an answer that this version does not understand")]
    Garbled,
    /// The instance said no.
    #[error(transparent)]
    Refused(ControlError),
}
