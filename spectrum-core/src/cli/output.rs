//! Standard output, written so that a closed pipe is no error.

use std::io::{self, Write};

use clap_complete::Shell;
use serde_json::Value;

use super::exit::{Exit, Failure};
use super::{Launcher, args};

/// Prints text as it is.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints JSON for people and scripts alike.
pub(super) fn print_json(value: &Value) -> io::Result<()> {
    print(&format!("{value:#}\n"))
}

pub(super) fn completions(launcher: &dyn Launcher, shell: Shell) -> Result<Exit, Failure> {
    let mode = launcher.mode();
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut args::command(mode, launcher.commands()),
        mode.binary(),
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
