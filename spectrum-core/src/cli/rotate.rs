//! `rotate-key`: a new key for what is sealed in the database. The data keys of users are wrapped anew with it, what they seal
//! stays as it is. Owns nothing.

use std::path::PathBuf;

use super::args::RotateKey;
use super::exit::{Exit, Failure};
use super::{locate, output};
use crate::admin::ControlClient;
use crate::assembly::open_store;
use crate::config::{Config, Mode};
use crate::store::seal::KeyFile;

pub(super) fn rotate_key(mode: Mode, arguments: &RotateKey) -> Result<Exit, Failure> {
    let config = locate::load(mode, &arguments.instance)?.config;
    if config.storage_url().is_none_or(|url| url == "memory:") {
        return Err(Failure::usage("this instance has no database, and so no key"));
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let file = KeyFile::new(&config.storage.key_file, credentials.as_deref());
    // A running instance knows the keys it has read: its rows must stay as they are until it reads the file again.
    let is_running = ControlClient::connect(&config.control.socket).is_ok();
    if !is_running {
        // If the database or the present key is wrong, nothing is changed.
        open_once(&config)?;
    }
    file.rotate()?;
    let path = file.path().display();
    if is_running {
        return output::print(&format!(
            "There is a new key in {path}. The instance is running: it takes the key into use when it starts the next time.\n"
        ))
        .map(|()| Exit::Success)
        .map_err(Failure::from);
    }
    open_once(&config)?;
    output::print(&format!(
        "There is a new key in {path}, and the database uses it. The older lines of the file are needed only for backups of the \
         database made until now.\n"
    ))?;
    Ok(Exit::Success)
}

/// Opens the database as an instance does at its start, which finishes a rotation, and closes it.
fn open_once(config: &Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(store) = open_store(config).await.map_err(|failed| Failure::from(&failed))? {
            store.close().await;
        }
        Ok(())
    })
}
