#![allow(clippy::unwrap_used)]

mod builtin;
mod native;
mod spectrum2;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::testing::{Recorder, login};
use super::{BackendSource, Pool, PoolOptions, Timings};
use crate::config::Wire;
use crate::main_process::{AssignError, Assignment, MainProcess, PoolStatus, SessionInbox};
use crate::tasks::Tasks;

/// Far longer than anything takes that works, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool and where its files are.
struct Rig {
    pool: Arc<Pool>,
    tasks: Tasks,
    dir: tempfile::TempDir,
}

impl Rig {
    fn start(source: BackendSource, change: impl FnOnce(&mut PoolOptions, &Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = PoolOptions::new(source, "irc.example.org", dir.path());
        change(&mut options, dir.path());
        let tasks = Tasks::new();
        Self {
            pool: Pool::start(options, &tasks),
            tasks,
            dir,
        }
    }

    /// With real processes, and less patience than in production.
    fn command(command: &[&str], wire: Wire, change: impl FnOnce(&mut PoolOptions, &Path)) -> Self {
        let command = command.iter().map(|&part| part.to_owned()).collect();
        Self::start(BackendSource::Command { command, wire }, |options, dir| {
            options.timings = Timings {
                kill_grace: Duration::from_millis(500),
                exit_grace: Duration::from_secs(1),
                backoff: Duration::from_millis(100),
                ..Timings::default()
            };
            change(options, dir);
        })
    }

    async fn assign(&self, user: &str) -> Result<(Assignment, Arc<Recorder>), AssignError> {
        let inbox = Recorder::new();
        let user = user.into();
        let wish = self.pool.assign(&user, Arc::clone(&inbox) as Arc<dyn SessionInbox>);
        Ok((timeout(PATIENCE, wish).await.expect("an answer")?, inbox))
    }

    /// Assigns a user and logs them in.
    async fn log_in(&self, user: &str) -> (Assignment, Arc<Recorder>) {
        let (assignment, inbox) = self.assign(user).await.unwrap();
        assignment.send(login()).unwrap();
        inbox.logged_in().await;
        (assignment, inbox)
    }

    /// The reason why no user can be assigned.
    async fn failure(&self) -> String {
        match self.assign("a@example.org").await {
            Err(AssignError::Failing { reason }) => reason,
            other => panic!("expected a failure: {other:?}"),
        }
    }

    /// Waits until the status is as wanted.
    async fn status<T>(&self, pick: impl Fn(&PoolStatus) -> Option<T>) -> T {
        let mut changes = self.pool.shared.snapshot.subscribe();
        let found = async {
            loop {
                if let Some(found) = pick(&self.pool.status()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("not reached: {:?}", self.pool.status()))
    }

    /// The process of the only ready backend.
    async fn pid(&self) -> u32 {
        self.status(|status| status.backends.iter().find(|b| b.state == "ready").and_then(|b| b.pid))
            .await
    }

    /// Stops it, and checks that nothing is left.
    async fn stop(self) {
        timeout(PATIENCE, self.pool.stop(Duration::from_secs(10))).await.unwrap();
        assert!(matches!(self.assign("late@example.org").await, Err(AssignError::Stopping)));
        assert!(self.tasks.stop(Duration::from_secs(10)).await.is_empty());
        let left: Vec<_> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".cfg")), "{left:?}");
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}
