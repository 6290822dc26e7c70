//! What the kernel says about a process: processor time and memory.

use std::time::Duration;

use crate::{Failure, Outcome};

/// Processor time of a process, all threads, user and system. Its unit is a tick of 10 ms.
///
/// # Errors
/// If the process is gone.
pub(crate) fn cpu(pid: u32) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may contain anything: the fields from the third on.
    let fields: Vec<&str> = stat[stat.rfind(')').map_or(0, |at| at + 2)..].split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 10)),
        _ => Err(Failure::new(format!("no processor time in {stat}"))),
    }
}

/// Private dirty memory of a process in KiB: what it costs to have it, shared libraries apart.
///
/// # Errors
/// If the process is gone.
pub(crate) fn private_dirty(pid: u32) -> Outcome<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = rollup.lines().find_map(|line| {
        line.strip_prefix("Private_Dirty:")?
            .split_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    });
    kib.ok_or_else(|| Failure::new("no Private_Dirty in smaps_rollup"))
}

/// Lets this process, and those it starts, open as many files as the system allows it.
///
/// # Errors
/// If the limit cannot be set.
pub(crate) fn raise_file_limit() -> Outcome<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .map_err(|e| Failure::new(e.to_string()))?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn this_process_has_used_memory() {
        assert!(super::private_dirty(std::process::id()).unwrap() > 0.0);
        super::cpu(std::process::id()).unwrap();
    }
}
