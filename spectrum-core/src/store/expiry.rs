//! Lines of rooms that are too old go, those of users who never come back too. A task of each instance with storage; it
//! owns nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{info_span, warn};

use super::{Store, StoreError};
use crate::model::Timestamp;
use crate::tasks::{TaskHandle, Tasks};

/// How often it looks, the first time at once.
const EVERY: Duration = Duration::from_secs(6 * 3_600);

/// Starts it: it ends with the set.
pub fn start(tasks: &Tasks, store: Arc<dyn Store>, max_age: Duration) -> TaskHandle<()> {
    let stopping = tasks.token();
    tasks.spawn("archive expiry", info_span!("archive"), async move {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let oldest = i64::try_from(now.saturating_sub(max_age).as_millis()).unwrap_or(i64::MAX);
            match store.expire_archives(Timestamp::from_millis(oldest)).await {
                Ok(_) => {}
                // The instance ends.
                Err(StoreError::Closed) => return,
                Err(failed) => warn!(
                    error = &failed as &dyn std::error::Error,
                    "Could not take old lines out of the archives of rooms."
                ),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::UserKey;
    use crate::session::archive::{ArchiveAnswer, ArchiveChange, ArchiveRequest, ArchivedLine};
    use crate::store::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn what_is_too_old_goes_by_itself() {
        let (store, user) = (Arc::new(MemoryStore::new()), UserKey::from("romeo@x"));
        let line = |id: &str, at| ArchivedLine {
            id: id.to_owned(),
            at,
            order: 0,
            stanza: "<message/>".to_owned(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let lines = vec![
            line("old", Timestamp::from_secs(1)),
            line("new", Timestamp::from_millis(i64::try_from(now).unwrap())),
        ];
        store.change_archive(&user, "r", ArchiveChange::Append(lines)).await.unwrap();
        let tasks = Tasks::new();
        let task = start(&tasks, Arc::clone(&store) as Arc<dyn Store>, Duration::from_secs(3_600));
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        tasks.token().cancel();
        task.await.unwrap();
        let ends = store.ask_archive(&user, "r", &ArchiveRequest::Ends).await.unwrap();
        let ArchiveAnswer::Page(page) = ends else {
            panic!("the ends name no line")
        };
        assert_eq!(
            page.lines.iter().map(|line| line.id.as_str()).collect::<Vec<_>>(),
            ["new", "new"]
        );
    }
}
