//! Starts children, always from one thread that never ends: a parent-death signal follows the thread that forked.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::exec;

/// Starts that wait for the thread. The pool starts a few at a time; when full, the start fails and is tried again.
const STARTS: usize = 64;

/// What of our own environment a child inherits; also everything that begins with `LC_`. Nothing else: a variable may hold a
/// secret of ours.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "RUST_BACKTRACE",
];

/// A child to be started: in a session of its own, with an almost empty environment, without stdin.
#[derive(Debug)]
pub(crate) struct ChildSpec {
    /// The program and its arguments. Without a slash it is looked for in `PATH`.
    pub(crate) argv: Vec<OsString>,
    /// Variables on top of those that are inherited.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it runs.
    pub(crate) working_dir: Option<PathBuf>,
    /// A descriptor it gets, under the number that it has here.
    pub(crate) pass: Option<OwnedFd>,
}

type Start = (ChildSpec, oneshot::Sender<io::Result<Child>>);

static THREAD: Mutex<Option<SyncSender<Start>>> = Mutex::new(None);

/// Starts a child. Its stdout and stderr are pipes.
///
/// # Errors
/// Whatever fork and exec say, such as `NotFound` for the program.
pub(crate) async fn spawn(spec: ChildSpec) -> io::Result<Child> {
    let (reply, answer) = oneshot::channel();
    thread()?.try_send((spec, reply)).map_err(|error| match error {
        TrySendError::Full(_) => io::Error::from(io::ErrorKind::WouldBlock),
        TrySendError::Disconnected(_) => io::Error::from(io::ErrorKind::BrokenPipe),
    })?;
    answer.await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?
}

fn thread() -> io::Result<SyncSender<Start>> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(starts) = &*thread {
        return Ok(starts.clone());
    }
    let (sender, starts) = sync_channel(STARTS);
    std::thread::Builder::new()
        .name("spectrum-spawn".to_owned())
        .spawn(move || run(&starts))?;
    *thread = Some(sender.clone());
    Ok(sender)
}

/// Never returns: the sender lives in a static.
fn run(starts: &Receiver<Start>) {
    while let Ok((spec, reply)) = starts.recv() {
        if let Err(Ok(mut child)) = reply.send(start(&spec)) {
            // Nobody waits for it any more.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(spec: &ChildSpec) -> io::Result<Child> {
    let (program, arguments) = spec.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let inherited =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| INHERITED.contains(&n) || n.starts_with("LC_")));
    command
        .env_clear()
        .envs(inherited)
        .envs(spec.environment.iter().map(|(name, value)| (name, value)));
    if let Some(dir) = &spec.working_dir {
        command.current_dir(dir);
    }
    exec::prepare(&mut command, spec.pass.as_ref().map(AsRawFd::as_raw_fd));
    command.spawn()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn child_outlives_the_thread_that_asked_for_it() {
        let start = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let argv = ["sleep", "60"].map(OsString::from).to_vec();
            runtime
                .block_on(spawn(ChildSpec {
                    argv,
                    environment: Vec::new(),
                    working_dir: None,
                    pass: None,
                }))
                .unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        // By the time of a second start the death of the first thread has come through.
        let mut second = std::thread::spawn(start).join().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        for child in [&mut child, &mut second] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
