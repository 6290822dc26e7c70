//! The listening end of the control socket. Owns the socket file and the lock that keeps a second instance away.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;
use zeroize::Zeroizing;

use super::protocol::{Answer, MAX_USERS_PER_ANSWER, Request, line};
use super::{Control, ControlError, NewRegistration};
use crate::model::UserKey;
use crate::tasks::Tasks;

/// Connections served at once; the next one waits in the kernel's queue until one ends.
pub const MAX_CONNECTIONS: usize = 16;
/// The longest request; a longer one ends its connection.
pub const MAX_REQUEST_BYTES: u64 = 64 << 10;
/// How long a connection may take to send its next request or to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bound control socket. Dropping it removes the file.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    // Held for its lock: the next instance may bind once this one is gone, however it went.
    _lock: File,
}

impl ControlServer {
    /// Binds the socket with mode 0600, making its directory if needed and replacing the file of an instance that is gone.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] if an instance with this socket is running; else what the system says.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let directory = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.with_extension("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| io::Error::new(io::ErrorKind::AddrInUse, "an instance with this control socket is running"))?;
        // Bound under another name first: at its own name the socket is never open to others, and never half replaced.
        let temporary = path.with_extension("new");
        remove(&temporary)?;
        let listener = UnixListener::bind(&temporary)?;
        std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&temporary, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Answers requests until `tasks` is asked to stop. Each connection is a task of its own.
    pub async fn serve(self, control: Arc<dyn Control>, tasks: Tasks) {
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let seat = tokio::select! {
                () = tasks.stopping() => return,
                seat = Arc::clone(&seats).acquire_owned() => seat,
            };
            let Ok(seat) = seat else { return };
            let accepted = tokio::select! {
                () = tasks.stopping() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_trusted(&stream) => {
                    let connection = serve_connection(stream, Arc::clone(&control), tasks.clone(), seat);
                    tasks.spawn("control", Span::current(), connection);
                }
                Ok(_) => tracing::warn!("A process of another system user tried to use the control socket and was refused."),
                Err(error) => {
                    tracing::warn!(%error, "The control socket could not accept a connection.");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The file's mode keeps others out; this holds even if somebody changed it.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn serve_connection(stream: UnixStream, control: Arc<dyn Control>, tasks: Tasks, _seat: OwnedSemaphorePermit) {
    let served = async {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let mut request = Zeroizing::new(Vec::new());
            let mut bounded = (&mut reader).take(MAX_REQUEST_BYTES + 1);
            let read = bounded.read_until(b'\n', &mut request);
            let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, read).await else {
                return;
            };
            let complete = request.last() == Some(&b'\n');
            let answer = if complete {
                answer(&request, control.as_ref()).await
            } else {
                Answer::Error(ControlError::Refused(format!(
                    "a request is one line of at most {MAX_REQUEST_BYTES} bytes"
                )))
            };
            let text = line(&json!(answer));
            let Ok(Ok(())) = tokio::time::timeout(PATIENCE, writer.write_all(text.as_bytes())).await else {
                return;
            };
            if !complete {
                return;
            }
        }
    };
    tokio::select! {
        () = tasks.stopping() => {}
        () = served => {}
    }
}

async fn answer(request: &[u8], control: &dyn Control) -> Answer {
    // The parser's own message may quote the input, which may hold a password: it says only where it stopped.
    let request = match serde_json::from_slice(request) {
        Ok(request) => request,
        Err(error) => return Answer::Error(ControlError::Refused(format!("not a request (column {})", error.column()))),
    };
    let done = |result: Result<(), ControlError>| result.map(|()| Value::Null);
    let result = match request {
        Request::Status => serde_json::to_value(control.status()).map_err(|error| ControlError::Failed(error.to_string())),
        Request::Doctor => control.doctor().await.map(|diagnosis| json!(diagnosis)),
        Request::Users { after } => {
            let mut users = control.users(after.as_ref(), MAX_USERS_PER_ANSWER + 1);
            let more = users.len() > MAX_USERS_PER_ANSWER;
            users.truncate(MAX_USERS_PER_ANSWER);
            Ok(json!({ "users": users, "more": more }))
        }
        Request::Logout { user } => match prepared(&user) {
            Ok(user) => done(control.logout(&user).await),
            Err(error) => Err(error),
        },
        Request::Register {
            user,
            username,
            password,
            fields,
        } => {
            let fields = fields.into_iter().collect();
            match prepared(&user) {
                Ok(user) => {
                    let registration = NewRegistration {
                        user,
                        username,
                        password,
                        fields,
                    };
                    done(control.register(registration).await)
                }
                Err(error) => Err(error),
            }
        }
        Request::Admin { line } => match super::split(line.expose()) {
            Some((verb, rest)) => match verb.check(control.status().mode).and_then(|()| verb.arguments(rest)) {
                Ok(answers) => verb.perform(&answers, control).await.map(|report| json!(report.lines())),
                Err(error) => Err(error),
            },
            None => Err(ControlError::Refused(format!(
                "Error: Unknown variable or command\n{}",
                super::help(control.status().mode)
            ))),
        },
        Request::Unregister { user } => match prepared(&user) {
            Ok(user) => done(control.unregister(&user).await),
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(error),
    }
}

/// The user as sessions know it: a bare JID in its prepared form.
fn prepared(user: &UserKey) -> Result<UserKey, ControlError> {
    match BareJid::new(user.as_str()) {
        Ok(jid) => Ok(UserKey::from(jid.as_str())),
        Err(_) => Err(ControlError::Refused("not a JID without a resource".to_owned())),
    }
}
