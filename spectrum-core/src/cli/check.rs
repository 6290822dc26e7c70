//! `check`: what is in force, and where each value came from.

use serde_json::json;

use super::args::Check;
use super::exit::{Exit, Failure};
use super::{Launcher, locate, output};
use crate::config::{Config, Entry, Loaded, Mode, Origin};

pub(super) fn check(launcher: &dyn Launcher, arguments: &Check) -> Result<Exit, Failure> {
    let mode = launcher.mode();
    let loaded = locate::load(mode, &arguments.instance)?;
    for warning in &loaded.warnings {
        eprintln!("{}: warning: {warning}", mode.binary());
    }
    if let Some(warning) = missing_program(&loaded.config) {
        eprintln!("{}: warning: {warning}", mode.binary());
    }
    launcher.check(&loaded.config).map_err(|error| Failure::from(&error))?;
    if arguments.json {
        output::print_json(&as_json(&loaded))?;
    } else {
        output::print(&as_text(&loaded))?;
    }
    Ok(Exit::Success)
}

/// A warning and no error: the file may be for another machine, or the backend not installed yet.
fn missing_program(config: &Config) -> Option<String> {
    let program = config.backend.command.first().filter(|program| program.contains('/'))?;
    let error = std::fs::File::open(program).err()?;
    Some(format!("backend.command: {program}: {error}"))
}

fn as_json(loaded: &Loaded) -> serde_json::Value {
    let entries: Vec<_> = loaded
        .entries
        .iter()
        .map(|entry| json!({ "key": entry.key, "value": entry.value, "origin": entry.origin.to_string() }))
        .collect();
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    json!({ "entries": entries, "warnings": warnings })
}

/// TOML with the origins as comments.
fn as_text(loaded: &Loaded) -> String {
    /// Where the comments begin, unless a value is longer.
    const COLUMN: usize = 60;
    let mut text = String::new();
    for entry in loaded.entries.iter().filter(|entry| matters(entry, loaded.config.mode)) {
        let assignment = format!("{} = {}", entry.key, entry.value);
        text.push_str(&format!("{assignment:<COLUMN$} # {}\n", entry.origin));
    }
    text
}

/// Defaults of what only the other mode uses would be noise.
fn matters(entry: &Entry, mode: Mode) -> bool {
    let unused: &[&str] = match mode {
        Mode::Gateway => &["server.", "http.", "upload."],
        Mode::Server => &["gateway.", "registration."],
    };
    entry.origin != Origin::Default || !unused.iter().any(|section| entry.key.starts_with(section))
}
