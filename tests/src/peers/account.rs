//! Who a server runs as: its package's user under root, else whoever we are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::PeerError;
use crate::Outcome;

/// A user of this machine that servers are started as.
#[derive(Debug, Clone)]
pub struct Account {
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The user named so if we are root (PostgreSQL and InspIRCd refuse to run as root), else ourselves.
    ///
    /// # Errors
    /// [`PeerError::Missing`] if we are root and there is no such user, that is, no such package.
    pub fn of(user: &'static str) -> Result<Self, PeerError> {
        if !rustix::process::getuid().is_root() {
            return Ok(Self { ids: None });
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let ids = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == user).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        ids.map(|ids| Self { ids: Some(ids) }).ok_or(PeerError::Missing(user))
    }

    /// Ourselves, root included.
    pub fn own() -> Self {
        Self { ids: None }
    }

    /// A command that runs `program` as this user, and that ends with the thread that starts it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        // A killed test run leaves no server behind.
        command.arg("--pdeathsig=KILL");
        if let Some((uid, gid)) = self.ids {
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .arg("--clear-groups");
        }
        command.arg("--").arg(program.as_ref());
        // A venv's or a toolchain's variables do not reach the servers.
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8");
        command
    }

    /// Makes a folder that this user can write to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn folder(&self, path: &Path) -> Outcome<()> {
        std::fs::create_dir_all(path)?;
        self.give(path, 0o700)
    }

    /// Writes a file that this user, and nobody else, can read.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, path: &Path, text: impl AsRef<[u8]>) -> Outcome<()> {
        std::fs::write(path, text)?;
        self.give(path, 0o600)
    }

    fn give(&self, path: &Path, mode: u32) -> Outcome<()> {
        if let Some((uid, gid)) = self.ids {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(())
    }
}
