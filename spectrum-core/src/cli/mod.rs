//! The command line both binaries share. A binary is `fn main() -> ExitCode { spectrum_core::cli::main(&MyLauncher) }`.
//!
//! [`Launcher`] is what a binary brings: its mode, how an instance is built from a configuration, and verbs of its own.
//! [`serve`] runs one instance as a process: log, metrics, control socket, signals, exit code.

mod args;
mod check;
mod control;
mod doctor;
mod exit;
mod input;
mod locate;
mod output;
mod rotate;
mod serve;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use clap::{ArgMatches, Command, FromArgMatches};

use crate::admin::{Control, Diagnosis};
use crate::config::{Config, Mode};
use crate::instance::{Instance, RunError, Shutdown};
use crate::tasks::Tasks;
use args::{Cli, Verb};

pub use args::command;
pub use exit::Exit;
pub use serve::{ServeError, serve};

/// What a binary brings to the shared command line.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// The mode this binary runs; files of the other mode are refused with the right binary's name.
    fn mode(&self) -> Mode;

    /// Builds the instance. Called once, inside the runtime, before [`Instance::run`].
    ///
    /// # Errors
    /// [`RunError`]; its kind decides the exit code.
    async fn launch(&self, start: Start) -> Result<Launched, RunError>;

    /// Looks at what the configuration names, for `check`: what would keep [`Launcher::launch`] from starting it and can be
    /// told without starting anything. Blocks on the file system.
    ///
    /// # Errors
    /// As `launch`.
    fn check(&self, config: &Config) -> Result<(), RunError> {
        let _ = config;
        Ok(())
    }

    /// Looks at the XMPP server in front while no instance runs, for `doctor`. Called inside a runtime; waits for the server's
    /// answers, half a minute at most.
    ///
    /// # Errors
    /// [`RunError::Config`] where nothing can be asked with this configuration.
    async fn doctor(&self, config: Arc<Config>) -> Result<Diagnosis, RunError> {
        let _ = config;
        Err(RunError::Config("this mode has no XMPP server to look at".to_owned()))
    }

    /// Verbs of this binary alone, such as `demo`.
    fn commands(&self) -> Vec<Command> {
        Vec::new()
    }

    /// Runs one of [`Launcher::commands`]. Called outside the runtime.
    fn run_command(&self, name: &str, matches: &ArgMatches) -> Exit {
        let _ = (name, matches);
        Exit::Usage
    }
}

/// What an instance is built from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Start {
    /// The configuration; valid, and of the launcher's mode.
    pub config: Arc<Config>,
    /// Whether a server that cannot be reached at the first attempt ends the process (`--once`, exit 69).
    pub once: bool,
    /// Where the instance's tasks are born; stopped after [`Instance::run`] has returned.
    pub tasks: Tasks,
    /// Triggered by the first SIGTERM or SIGINT; also what [`Instance::run`] gets.
    pub shutdown: Shutdown,
}

/// A built instance with the side that faces the administrator.
pub struct Launched {
    /// The instance, not yet running.
    pub instance: Arc<dyn Instance>,
    /// What the control socket talks to.
    pub control: Arc<dyn Control>,
}

/// Parses this process's command line and does what it says. Blocks until that is done.
pub fn main(launcher: &dyn Launcher) -> ExitCode {
    run(launcher, std::env::args_os()).into()
}

fn run(launcher: &dyn Launcher, arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let extra = launcher.commands();
    let names: Vec<String> = extra.iter().map(|command| command.get_name().to_owned()).collect();
    let matches = match command(launcher.mode(), extra).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Nothing is left to tell if even this cannot be printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    if let Some((name, matches)) = matches.subcommand()
        && names.iter().any(|known| known == name)
    {
        return launcher.run_command(name, matches);
    }
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Exit::Usage;
        }
    };
    let result = match cli.verb.unwrap_or(Verb::Run(cli.run)) {
        Verb::Run(arguments) => serve::run(launcher, &arguments),
        Verb::Check(arguments) => check::check(launcher, &arguments),
        Verb::Doctor(arguments) => doctor::doctor(launcher, &arguments),
        Verb::Status(arguments) => control::status(launcher.mode(), &arguments),
        Verb::Users(arguments) => control::users(launcher.mode(), &arguments),
        Verb::Backends(arguments) => control::backends(launcher.mode(), &arguments),
        Verb::Logout(arguments) => control::logout(launcher.mode(), &arguments),
        Verb::Register(arguments) => control::register(launcher.mode(), &arguments),
        Verb::Unregister(arguments) => control::unregister(launcher.mode(), &arguments),
        Verb::Admin(arguments) => control::admin(launcher.mode(), &arguments),
        Verb::RotateKey(arguments) => rotate::rotate_key(launcher.mode(), &arguments),
        Verb::Completions { shell } => output::completions(launcher, shell),
    };
    result.unwrap_or_else(|failure| failure.report(launcher.mode()))
}

#[cfg(test)]
mod tests;
