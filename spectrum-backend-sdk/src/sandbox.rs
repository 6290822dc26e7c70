//! What a backend process gives up before it does anything: core dumps, and files it has no business with.
//!
//! The transport's state directory and key are simply not among what is allowed. It is done before there is a second thread:
//! the rules hold for threads that begin later.

use std::env;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// The newest rules known here; an older kernel holds those it has.
const RULES: ABI = ABI::V5;

/// What any program reads: configuration of the system, libraries, names, certificates, time zones, itself.
const READ: &[&str] = &[
    "/etc",
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/opt",
    "/nix/store",
    "/proc/self",
    "/proc/sys",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    // Where names are looked up on systems whose /etc/resolv.conf points there.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/nscd",
    "/var/lib/ca-certificates",
];

/// What any program may write.
const WRITE: &[&str] = &["/tmp", "/var/tmp", "/dev/null", "/dev/shm"];

/// Certificates may be elsewhere; these say where.
const CERTIFICATE_VARIABLES: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// What an author allows beyond that.
#[derive(Clone, Default, Debug)]
pub(crate) struct Allowed {
    pub(crate) read: Vec<PathBuf>,
    pub(crate) write: Vec<PathBuf>,
}

/// No picture of the memory, with passwords in it, is ever written. It also keeps other processes of this user out of it.
pub(crate) fn no_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "Core dumps could not be limited.");
    }
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "Core dumps could not be turned off.");
    }
}

/// Gives up all other files, as far as the kernel can hold a process to that.
pub(crate) fn restrict_files(allowed: &Allowed) {
    let from_environment = CERTIFICATE_VARIABLES.iter().filter_map(env::var_os).map(PathBuf::from);
    let read = READ
        .iter()
        .map(PathBuf::from)
        .chain(from_environment)
        .chain(allowed.read.iter().cloned());
    let write = WRITE.iter().map(PathBuf::from).chain(allowed.write.iter().cloned());
    match restrict(read, write) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => {
            tracing::debug!("Files are restricted.");
        }
        Ok(RulesetStatus::NotEnforced) => tracing::info!("This kernel cannot restrict files; all of this user's can be read."),
        Err(error) => tracing::warn!(%error, "Files could not be restricted."),
    }
}

/// From now on this thread, and those it starts, may open these alone. What does not exist is passed over.
fn restrict(read: impl Iterator<Item = PathBuf>, write: impl Iterator<Item = PathBuf>) -> Result<RulesetStatus, RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(RULES)))?
        .add_rules(path_beneath_rules(write, AccessFs::from_all(RULES)))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn what_is_not_allowed_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [state, data, scratch] = ["state", "data", "scratch"].map(|name| folder.path().join(name));
        for path in [&state, &data, &scratch] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "x").unwrap();
        }
        // The rules hold for this thread alone.
        let restricted = std::thread::spawn(move || {
            let status = restrict([data.clone()].into_iter(), [scratch.clone()].into_iter()).unwrap();
            if status == RulesetStatus::NotEnforced {
                return None;
            }
            let reads = [&state, &data, &scratch].map(|path| fs::read(path.join("file")).is_ok());
            let writes = [&state, &data, &scratch].map(|path| fs::write(path.join("new"), "y").is_ok());
            Some((reads, writes))
        });
        // A kernel without Landlock restricts nothing, and the process says so in its log.
        if let Some((reads, writes)) = restricted.join().unwrap() {
            assert_eq!(reads, [false, true, true]);
            assert_eq!(writes, [false, false, true]);
        }
    }
}
