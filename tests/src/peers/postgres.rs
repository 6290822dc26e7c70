//! PostgreSQL: a private cluster with one database.

use std::path::{Path, PathBuf};

use super::{Account, PeerError, Port, Process, Scratch, Signal};
use crate::{Failure, Outcome};

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: Port,
    // After the process: it writes there until it ends.
    _scratch: Scratch,
}

impl Postgres {
    /// Makes a cluster, starts it and waits until it answers a query.
    ///
    /// # Errors
    /// If it is not installed, or does not come up.
    pub async fn start() -> Result<Self, PeerError> {
        let programs = newest_version().ok_or(PeerError::Missing("postgresql"))?;
        let account = Account::of("postgres")?;
        let scratch = Scratch::of("postgres", &account)?;
        let port = Port::free()?;
        let data = scratch.join("data");
        account.folder(&data)?;
        account.write(&scratch.join("password"), "spectrum-pw\n")?;
        let mut initdb = account.command(programs.join("initdb"));
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", "spectrum", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb
            .args(["--no-sync", "--no-instructions"])
            .arg(format!("--pwfile={}", scratch.text("password")));
        initdb.current_dir(scratch.path());
        let made = initdb.output()?;
        if !made.status.success() {
            return Err(Failure::new(format!("initdb: {}", String::from_utf8_lossy(&made.stderr))).into());
        }
        let mut command = account.command(programs.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .arg("-p")
            .arg(port.to_string())
            .args(["-h", "127.0.0.1"]);
        // No unix socket: its path may have 107 bytes only. Nothing needs to survive a power cut.
        for setting in [
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_connections=200",
        ] {
            command.arg("-c").arg(setting);
        }
        command.current_dir(scratch.path());
        let mut process = Process::start(command, "postgres", &scratch.join("postgres.log"))?;
        let mut postgres_url = String::new();
        postgres_url += &format!("postgres://spectrum:spectrum-pw@127.0.0.1:{port}/postgres");
        let psql = programs.join("psql");
        process.ready("sql", async || answers(&account, &psql, &postgres_url)).await?;
        Ok(Self {
            process,
            port,
            _scratch: scratch,
        })
    }

    /// What the `storage.url` of a configuration says.
    pub fn url(&self) -> String {
        format!("postgres://spectrum:spectrum-pw@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // "Fast": ends sessions instead of waiting for them, and takes the shared memory away, which a kill would leave.
        self.process.stop_with(Signal::INT);
    }
}

fn newest_version() -> Option<PathBuf> {
    let version = |folder: &Path| folder.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok());
    std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join("bin/initdb").is_file())
        .max_by_key(|folder| version(folder))
        .map(|folder| folder.join("bin"))
}

fn answers(account: &Account, psql: &Path, url: &str) -> Outcome<()> {
    let output = account
        .command(psql)
        .arg(url)
        .args(["-qAtX", "-c", "select 1"])
        .current_dir("/")
        .output()?;
    match output.stdout.as_slice() {
        b"1\n" => Ok(()),
        _ => Err(Failure::new(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
