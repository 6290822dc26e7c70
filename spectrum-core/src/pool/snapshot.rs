//! What `status` shows: written by the pool's task after each change, read by anybody without asking it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::link::Link;
use super::plan::BackendState;
use crate::main_process::{BackendCrash, BackendStatus, PoolHealth, PoolStatus};
use crate::model::BackendId;

/// See the module.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) health: PoolHealth,
    pub(super) reason: Option<String>,
    pub(super) waiting: usize,
    pub(super) backends: Vec<Line>,
    pub(super) crashes: VecDeque<Arc<Crash>>,
}

/// One backend.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: Arc<Link>,
    /// `None` once it has left the plan and only its process remains.
    pub(super) state: Option<BackendState>,
    pub(super) users: usize,
    pub(super) started: Instant,
}

/// A backend that ended without being asked to.
#[derive(Debug)]
pub(super) struct Crash {
    pub(super) id: BackendId,
    pub(super) how: String,
    pub(super) stderr: String,
    pub(super) at: Instant,
    pub(super) users: usize,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            health: PoolHealth::Starting,
            reason: None,
            waiting: 0,
            backends: Vec::new(),
            crashes: VecDeque::new(),
        }
    }
}

impl Snapshot {
    pub(super) fn status(&self) -> PoolStatus {
        PoolStatus {
            health: self.health,
            reason: self.reason.clone(),
            backends: self.backends.iter().map(Line::status).collect(),
            waiting: self.waiting,
            crashes: self.crashes.iter().map(|crash| crash.status()).collect(),
        }
    }
}

impl Line {
    fn status(&self) -> BackendStatus {
        let health = &self.link.health;
        let some = |value: u32| (value != 0).then_some(value);
        BackendStatus {
            id: self.link.backend(),
            pid: some(health.pid.load(Ordering::Relaxed)),
            state: match self.state {
                _ if health.hung.load(Ordering::Relaxed) => "hung",
                Some(BackendState::Starting) => "starting",
                Some(BackendState::Ready) => "ready",
                Some(BackendState::Retiring | BackendState::Lost) | None => "retiring",
            },
            users: self.users,
            uptime_secs: self.started.elapsed().as_secs(),
            resident_kib: some(health.resident_kib.load(Ordering::Relaxed)),
            violations: health.violations(),
        }
    }
}

impl Crash {
    fn status(&self) -> BackendCrash {
        BackendCrash {
            id: self.id,
            how: self.how.clone(),
            stderr: self.stderr.clone(),
            secs_ago: self.at.elapsed().as_secs(),
            users: self.users,
        }
    }
}
