//! From what was typed to a loaded configuration of the right mode.

use std::path::{Path, PathBuf};

use super::args::Instance;
use super::exit::Failure;
use crate::config::{Loaded, Loader, Mode, TRANSPORTS_DIRECTORY};

/// The file that a name means: a bare one is looked up among the installed transports.
pub(super) fn file(name: &str) -> PathBuf {
    let path = Path::new(name);
    let bare = !name.is_empty() && !name.contains('/') && path.extension().is_none_or(|end| end != "toml");
    if bare {
        Path::new(TRANSPORTS_DIRECTORY).join(format!("{name}.toml"))
    } else {
        path.to_owned()
    }
}

/// Loads what the arguments say; a file of the other mode is a failure that names the right binary.
pub(super) fn load(mode: Mode, instance: &Instance) -> Result<Loaded, Failure> {
    let path = instance.path();
    let mut loader = Loader::file(&path).process_environment();
    for pair in &instance.set {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--set {pair}: expected KEY=VALUE, such as --set log.level=debug")))?;
        loader = loader
            .set(key.trim(), value)
            .map_err(|error| Failure::usage(format!("--set {}: {error}", key.trim())))?;
    }
    let loaded = loader.load()?;
    let other = loaded.config.mode;
    if other != mode {
        return Err(Failure::config(format!(
            "{}: mode is \"{other}\"; run it with {}",
            path.display(),
            other.binary()
        )));
    }
    Ok(loaded)
}
