//! What administrators see of backends and memory. Owns nothing.

use super::Control;
use super::verbs::Memory;
use crate::dialogue::Report;

pub(super) fn backends(control: &dyn Control) -> Report {
    let row = |backend: crate::main_process::BackendStatus| {
        vec![
            backend.id.to_string(),
            backend.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            backend.state.to_owned(),
            backend.users.to_string(),
        ]
    };
    Report {
        columns: vec![("id", "Backend"), ("pid", "Process"), ("state", "State"), ("users", "Users")],
        rows: control.status().pool.backends.into_iter().map(row).collect(),
        ..Report::default()
    }
}

pub(super) fn crashes(control: &dyn Control) -> Report {
    Report {
        columns: vec![("id", "Backend"), ("how", "How"), ("ago", "Seconds ago")],
        rows: control
            .status()
            .pool
            .crashes
            .into_iter()
            .map(|crash| vec![crash.id.to_string(), crash.how, crash.secs_ago.to_string()])
            .collect(),
        ..Report::default()
    }
}

pub(super) fn memory(which: Memory, control: &dyn Control) -> Report {
    let pool = control.status().pool;
    let backends: u64 = pool.backends.iter().filter_map(|b| b.resident_kib).map(u64::from).sum();
    let users: usize = pool.backends.iter().map(|b| b.users).sum();
    let (own, shared) = own_memory().unwrap_or_default();
    let (label, kib) = match which {
        Memory::Resident => ("Resident, KiB", own + backends),
        Memory::Shared => ("Shared, KiB", shared),
        Memory::Used => ("Own, KiB", (own + backends).saturating_sub(shared)),
        Memory::PerUser => (
            "Per user, KiB",
            backends.checked_div(u64::try_from(users).unwrap_or(u64::MAX)).unwrap_or(0),
        ),
    };
    Report::value("memory", label, kib.to_string())
}

/// Resident and shared memory of this process in KiB; `None` where the system does not say.
fn own_memory() -> Option<(u64, u64)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = statm
        .split_whitespace()
        .skip(1)
        .map_while(|number| number.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).ok()? / 1024;
    Some((pages.next()? * page, pages.next()? * page))
}
