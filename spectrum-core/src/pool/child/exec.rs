//! The one place with unsafe code: what a child does between fork and exec, and waiting for a process descriptor.
//!
//! In the child only async-signal-safe system calls are made, and nothing is allocated: other threads of the parent may have held
//! any lock at the moment of the fork.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, Signal, getpid, getppid, set_parent_process_death_signal, setrlimit, setsid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// `CLOSE_RANGE_CLOEXEC` of Linux 5.11.
const CLOEXEC: libc::c_uint = 1 << 2;

/// Where the kernel has no `close_range`, so many descriptors are looked at.
const MOST_DESCRIPTORS: RawFd = 65_536;

/// Makes the child the leader of a session of its own that dies with the thread that forks it, has no descriptor above 2 but
/// `keep`, and leaves no core dump: that would hold passwords.
pub(super) fn prepare(command: &mut Command, keep: Option<RawFd>) {
    let parent = getpid();
    let in_child = move || {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            // The parent has died before the line above could take effect.
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        setrlimit(
            Resource::Core,
            Rlimit {
                current: Some(0),
                maximum: Some(0),
            },
        )?;
        close_on_exec();
        if let Some(fd) = keep {
            // SAFETY: whoever spawns the command keeps `fd` open until the child has been forked, and a forked child has
            // the descriptors of its parent.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only (setsid, prctl, getppid, setrlimit, close_range or fcntl), takes no lock and
    // allocates nothing; errors are made of a number. So it is async-signal-safe.
    unsafe { command.pre_exec(in_child) };
}

/// A descriptor that can be waited for until it is readable.
pub(super) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and `AsyncFd` owns it until then.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(io::Error::from)
}

/// Marks all descriptors above 2 to be closed by exec; exec itself still needs some of them until then.
fn close_on_exec() {
    // SAFETY: the call has no pointers, and only sets flags of descriptors of this single-threaded child.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, CLOEXEC) };
    if done == 0 {
        return;
    }
    for fd in 3..MOST_DESCRIPTORS {
        // SAFETY: as above; a number that is no descriptor is an error that changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
