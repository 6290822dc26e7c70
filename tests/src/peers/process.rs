//! A child process that a test started: its log, its end by pid, and waiting until it answers.

use std::fs::File;
use std::future::Future;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process, kill_process_group};

pub use rustix::process::Signal;

use crate::{Failure, Outcome};

/// How long a server may take until it answers, also on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to end by itself before it is killed.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at something that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of a log is shown when something fails.
const SHOWN_LINES: usize = 40;

/// A running program in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    logs: Vec<PathBuf>,
}

impl Process {
    /// Starts it, with its output appended to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command, name: &str, log: &Path) -> Outcome<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|e| Failure::new(format!("could not start {name}: {e}")))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            ended: None,
            logs: vec![log.to_owned()],
        })
    }

    /// Another log to show when something fails.
    pub fn also_logs_to(&mut self, log: &Path) {
        self.logs.push(log.to_owned());
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Sends a signal to the process alone.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none()
            && let Some(pid) = raw_pid(self.child.id())
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it politely, and by force after a while. Leftovers of its group are killed.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        self.stop_with(Signal::TERM)
    }

    /// The same with another signal for the polite part.
    pub fn stop_with(&mut self, polite: Signal) -> Option<ExitStatus> {
        self.signal(polite);
        let deadline = Instant::now() + END_WITHIN;
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        self.kill();
        self.ended
    }

    /// Kills it and its group at once.
    pub fn kill(&mut self) {
        // The leader is not reaped before the group is signalled, or is: a group id is not reused while a member lives.
        if let Some(pid) = raw_pid(self.child.id()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Waits until it ended by itself.
    ///
    /// # Errors
    /// If it has not within this time.
    pub async fn ends_within(&mut self, time: Duration) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(self.failure("is still running"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until `probe` says yes: until the server has spoken its protocol.
    ///
    /// # Errors
    /// If it ended instead, or took too long; with the end of its logs.
    pub async fn ready<F>(&mut self, what: &str, mut probe: impl FnMut() -> F) -> Outcome<()>
    where
        F: Future<Output = Outcome<()>>,
    {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let last = match tokio::time::timeout(Duration::from_secs(5), probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new("no answer"),
            };
            if let Some(status) = self.ended() {
                return Err(self.failure(&format!("{what}: it ended by itself: {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("{what}: not ready in {READY_WITHIN:?}: {last}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The end of its logs.
    pub fn log_tail(&self) -> String {
        let mut text = String::new();
        for log in &self.logs {
            let Ok(content) = std::fs::read(log) else { continue };
            let content = String::from_utf8_lossy(&content);
            let lines: Vec<_> = content.lines().collect();
            text += &format!("--- {}\n", log.display());
            for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                text += line;
                text.push('\n');
            }
        }
        text
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::new(format!("{}: {what}\n{}", self.name, self.log_tail()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            use std::io::Write as _;
            let _ = writeln!(
                std::io::stderr().lock(),
                "=== {} (pid {})\n{}",
                self.name,
                self.child.id(),
                self.log_tail()
            );
        }
    }
}

fn raw_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Waits until `probe` gives something, looking again and again: for what has no event to wait for.
///
/// # Errors
/// If it has not within `time`.
pub async fn wait_until<T>(what: &str, time: Duration, mut probe: impl FnMut() -> Option<T>) -> Outcome<T> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("{what}: not within {time:?}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Account, Scratch};
    use super::*;

    #[test]
    fn dropping_ends_the_process_and_what_it_started() {
        let scratch = Scratch::new("process").unwrap();
        let mut shell = Account::own().command("/bin/sh");
        // The shell's child would outlive it.
        shell.arg("-c").arg("sleep 1000 & echo $!; wait");
        let process = Process::start(shell, "shell", &scratch.join("log")).unwrap();
        let child = loop {
            let log = std::fs::read_to_string(scratch.join("log")).unwrap();
            if log.ends_with('\n') {
                break log.trim().to_owned();
            }
            std::thread::yield_now();
        };
        let (parent, child) = (format!("/proc/{}", process.pid()), format!("/proc/{child}/stat"));
        assert!(Path::new(&parent).exists());
        drop(process);
        assert!(!Path::new(&parent).exists());
        // An orphan may stay a zombie until its new parent looks.
        let deadline = Instant::now() + END_WITHIN;
        while std::fs::read_to_string(&child).is_ok_and(|stat| !stat.contains(") Z")) {
            assert!(Instant::now() < deadline, "the shell's child is still alive");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_program_that_ends_is_reported_with_its_log() {
        let scratch = Scratch::new("process").unwrap();
        let mut shell = Account::own().command("/bin/sh");
        shell.arg("-c").arg("echo no such port; exit 7");
        let mut process = Process::start(shell, "shell", &scratch.join("log")).unwrap();
        let failure = process
            .ready("start", async || Err("refused".into()))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            failure.contains("ended by itself") && failure.contains("no such port"),
            "{failure}"
        );
    }
}
