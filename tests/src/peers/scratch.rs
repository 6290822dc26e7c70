//! A directory for one peer or one instance, removed at the end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Account;
use crate::Outcome;

/// A fresh directory that other users may pass through (servers run as users of their own).
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// Makes one, named for what it holds.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(what: &str) -> Outcome<Self> {
        Self::of(what, &Account::own())
    }

    /// Makes one that belongs to this user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn of(what: &str, owner: &Account) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("spectrum-{what}-")).tempdir()?;
        owner.folder(folder.path())?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        Ok(Self { folder })
    }

    /// Makes one on a RAM disk where there is one, so that a measurement does not wait for a disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn in_memory(what: &str) -> Outcome<Self> {
        let ram = Path::new("/dev/shm");
        let parent = if ram.is_dir() { ram.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new()
            .prefix(&format!("spectrum-{what}-"))
            .tempdir_in(parent)?;
        Ok(Self { folder })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in it, as text for a configuration file.
    pub fn text(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }
}
