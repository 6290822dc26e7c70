//! The life of a backend process: arguments, sandbox, log, runtime, exit code.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::SocketType;
use spectrum_core::backend::Backend;
use spectrum_core::wire::DEFAULT_MAX_FRAME_BYTES;
use tracing_subscriber::EnvFilter;

use crate::connection::{self, Ending};
use crate::options::Options;
use crate::sandbox::{self, Allowed};

/// Wrong arguments, as in `sysexits.h`.
const EXIT_USAGE: u8 = 64;
/// Something of the system failed.
const EXIT_OS: u8 = 71;
/// The transport does not speak our protocol.
const EXIT_PROTOCOL: u8 = 76;
/// The options cannot be worked with.
const EXIT_CONFIG: u8 = 78;

/// Runs a backend process with the usual settings; see [`BackendProcess`].
pub fn run<B, E>(build: impl FnOnce(Options) -> Result<B, E>) -> ExitCode
where
    B: Backend,
    E: fmt::Display,
{
    BackendProcess::new().run(build)
}

/// A backend process before it runs.
#[derive(Clone, Debug)]
pub struct BackendProcess {
    allowed: Allowed,
    max_frame_bytes: usize,
}

impl Default for BackendProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl BackendProcess {
    /// With the usual settings.
    pub fn new() -> Self {
        Self {
            allowed: Allowed::default(),
            max_frame_bytes: DEFAULT_MAX_FRAME_BYTES,
        }
    }

    /// Lets the process read this file or directory too. Without it a process reads what belongs to the system, and nothing of
    /// the transport's.
    pub fn allow_read(mut self, path: impl Into<PathBuf>) -> Self {
        self.allowed.read.push(path.into());
        self
    }

    /// Lets the process read and write this file or directory too; without it nothing but temporary files.
    pub fn allow_write(mut self, path: impl Into<PathBuf>) -> Self {
        self.allowed.write.push(path.into());
        self
    }

    /// Takes frames up to so many bytes instead of 16 MiB.
    pub fn max_frame_bytes(mut self, bytes: usize) -> Self {
        self.max_frame_bytes = bytes;
        self
    }

    /// Speaks to the transport over the inherited socket that `--fd N` names, until it hangs up, says so, or the process is
    /// terminated. Blocks the thread, which should be the only one yet.
    ///
    /// `build` is called once, inside the runtime, with the options of the instance; what its error says is shown to whoever
    /// runs it. Logs go to stderr, as much as `SPECTRUM_LOG` says (`info` without it).
    pub fn run<B, E>(self, build: impl FnOnce(Options) -> Result<B, E>) -> ExitCode
    where
        B: Backend,
        E: fmt::Display,
    {
        let socket = match socket(env::args_os().skip(1)) {
            Ok(socket) => socket,
            Err(Unusable::Help) => {
                eprintln!("{HELP}");
                return ExitCode::SUCCESS;
            }
            Err(problem) => {
                eprintln!("{problem}\n\n{HELP}");
                return ExitCode::from(EXIT_USAGE);
            }
        };
        log_to_stderr();
        sandbox::no_core_dumps();
        let memory = connection::Memory::open();
        sandbox::restrict_files(&self.allowed);
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "The runtime could not be started.");
                return ExitCode::from(EXIT_OS);
            }
        };
        let ending = runtime.block_on(connection::serve(socket, self.max_frame_bytes, memory, build));
        // What an author left running must not keep the process.
        runtime.shutdown_background();
        match ending {
            Ok(Ending::Over) => ExitCode::SUCCESS,
            Ok(Ending::Refused) => ExitCode::from(EXIT_CONFIG),
            Ok(Ending::NoCommonVersion) => ExitCode::from(EXIT_PROTOCOL),
            Err(error) => {
                tracing::error!(%error, "The connection to the transport failed.");
                ExitCode::from(EXIT_OS)
            }
        }
    }
}

const HELP: &str = "This is a backend of an XMPP transport. The transport starts it; name it in the configuration of an instance:\n\n\
    [backend]\n    command = [\"PATH/OF/THIS/PROGRAM\"]\n    wire = \"native\"\n\n\
    Options: --fd N (given by the transport)";

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("help was asked for")]
    Help,
    #[error("--fd is missing")]
    NoFd,
    #[error("--fd needs the number of an inherited socket")]
    NoNumber,
    #[error("{0:?} is not known here")]
    Unknown(OsString),
    #[error("descriptor {0} is no stream socket")]
    NoSocket(RawFd),
}

fn socket(arguments: impl Iterator<Item = OsString>) -> Result<UnixStream, Unusable> {
    let mut fd = None;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let number = match text {
            "--help" | "-h" => return Err(Unusable::Help),
            "--fd" => arguments.next().and_then(|number| number.into_string().ok()),
            _ => match text.strip_prefix("--fd=") {
                Some(number) => Some(number.to_owned()),
                None => return Err(Unusable::Unknown(argument)),
            },
        };
        let number = number
            .and_then(|number| number.parse::<RawFd>().ok())
            .filter(|number| *number > 2);
        fd = Some(number.ok_or(Unusable::NoNumber)?);
    }
    let fd = fd.ok_or(Unusable::NoFd)?;
    inherited(fd).ok_or(Unusable::NoSocket(fd))
}

/// The inherited socket of this number. Only called once, before anything else opens a descriptor.
#[allow(
    unsafe_code,
    reason = "a number on the command line is the only name an inherited descriptor has"
)]
fn inherited(fd: RawFd) -> Option<UnixStream> {
    // SAFETY: nothing is read or written; a number that names no descriptor is an error of the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    if rustix::net::sockopt::socket_type(borrowed).ok()? != SocketType::STREAM {
        return None;
    }
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    // SAFETY: the descriptor is open, and the process that started us has left it to us alone.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    Some(UnixStream::from(owned))
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("SPECTRUM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Whoever collects the lines adds the time. An author may have set up a log of another kind already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .try_init();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<UnixStream, Unusable> {
        socket(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_that_make_no_sense_are_told() {
        assert!(matches!(parsed(&[]), Err(Unusable::NoFd)));
        assert!(matches!(parsed(&["--fd"]), Err(Unusable::NoNumber)));
        assert!(matches!(parsed(&["--fd", "2"]), Err(Unusable::NoNumber)));
        assert!(matches!(parsed(&["--fd=x"]), Err(Unusable::NoNumber)));
        assert!(matches!(parsed(&["--port", "1"]), Err(Unusable::Unknown(_))));
        assert!(matches!(parsed(&["--help"]), Err(Unusable::Help)));
    }

    #[test]
    fn a_descriptor_that_is_no_socket_is_refused() {
        use std::os::fd::AsRawFd;

        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(
            parsed(&["--fd", &file.as_raw_fd().to_string()]),
            Err(Unusable::NoSocket(_))
        ));
        assert!(matches!(parsed(&["--fd", "1000000"]), Err(Unusable::NoSocket(1_000_000))));
    }
}
