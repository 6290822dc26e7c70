//! Remembers what the network is from one run to the next, so that it can be told before the first backend is up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backend::BackendInfo;

/// Longest file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// What was remembered; `None` if there is nothing, or nothing that can be read: it is only a cache.
pub(super) fn load(path: &Path) -> Option<BackendInfo> {
    if std::fs::metadata(path).ok()?.len() > MAX_BYTES {
        return None;
    }
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Remembers it. A failure is logged: everything works without.
pub(super) async fn save(path: PathBuf, info: Arc<BackendInfo>) {
    let saved = async {
        let json = serde_json::to_vec_pretty(&*info)?;
        let new = path.with_extension("new");
        tokio::fs::write(&new, json).await?;
        tokio::fs::rename(&new, &path).await
    };
    if let Err(error) = saved.await {
        tracing::warn!(%error, path = %path.display(), "Could not remember what the network is.");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn what_was_saved_is_loaded_and_rubbish_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("info.json");
        assert_eq!(load(&path), None);
        let info = Arc::new(BackendInfo::new("IRC", "irc"));
        save(path.clone(), Arc::clone(&info)).await;
        assert_eq!(load(&path).as_ref(), Some(&*info));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(load(&path), None);
    }
}
