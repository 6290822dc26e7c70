//! The programs under test: where cargo put them, an instance with a configuration of its own, and its end.

use std::path::{Path, PathBuf};

use crate::peers::{Account, Process, Scratch};
use crate::{Failure, Outcome};

/// Where cargo puts what it builds, e.g. `target`.
pub fn target_directory() -> PathBuf {
    profile_directory().parent().map(Path::to_owned).unwrap_or_default()
}

/// Where the programs of this build are, e.g. `target/debug`.
pub fn profile_directory() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    // Tests are in `deps`, programs are not.
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}

/// A program of this workspace.
///
/// # Errors
/// If it has not been built: cargo does not build another crate's programs for a test.
pub fn built(name: &str) -> Outcome<PathBuf> {
    let path = profile_directory().join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(format!(
        "{} is not there: run `cargo build --workspace --bins` (tests/run does)",
        path.display()
    )))
}

/// An instance that runs from a configuration file of the test.
#[derive(Debug)]
pub struct Instance {
    process: Option<Process>,
    program: PathBuf,
    scratch: Scratch,
}

impl Instance {
    /// Writes the configuration and starts the program.
    ///
    /// # Errors
    /// If the program is not built or cannot be started.
    pub fn start(program: &str, scratch: Scratch, configuration: &str) -> Outcome<Self> {
        Account::own().write(&scratch.join("instance.toml"), configuration)?;
        let mut instance = Self {
            process: None,
            program: built(program)?,
            scratch,
        };
        instance.restart()?;
        Ok(instance)
    }

    /// Starts it (again) with the same files.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn restart(&mut self) -> Outcome<()> {
        self.stop();
        let mut command = Account::own().command(&self.program);
        command
            .arg("--config")
            .arg(self.scratch.join("instance.toml"))
            .current_dir(self.scratch.path());
        if let Some(backtrace) = std::env::var_os("RUST_BACKTRACE") {
            command.env("RUST_BACKTRACE", backtrace);
        }
        let mut process = Process::start(command, "instance", &self.scratch.join("instance.out"))?;
        process.also_logs_to(&self.scratch.join("instance.log"));
        self.process = Some(process);
        Ok(())
    }

    /// Ends it politely (SIGTERM).
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&mut self) -> &mut Process {
        match &mut self.process {
            Some(process) => process,
            None => panic!("the instance was stopped"),
        }
    }

    /// Its directory.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Process ids of its children: the backends, oldest first.
    pub fn backends(&mut self) -> Vec<u32> {
        let parent = self.process().pid();
        let mut children: Vec<u32> = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| parent_of(*pid) == Some(parent))
            .collect();
        children.sort_unstable();
        children
    }
}

/// The parent of a live process.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 2..].split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}
