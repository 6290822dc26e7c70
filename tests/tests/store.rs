//! The store on a real PostgreSQL: the same suite that SQLite and memory run inside `spectrum-core`.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use spectrum_core::store::{SqlStore, Store, StoreOptions, conformance};
use spectrum_tests::peers::{Postgres, needed, program};

#[tokio::test]
async fn postgres_conforms() {
    let Some(postgres) = needed(Postgres::start().await) else {
        return;
    };
    let psql = program("psql").unwrap();
    let url = postgres.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let directory = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    conformance::run(async || {
        let name = format!("case{}", next.fetch_add(1, Ordering::Relaxed));
        let created = Command::new(&psql)
            .args([
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                &format!("CREATE DATABASE {name}"),
                &postgres.url(),
            ])
            .status()
            .unwrap();
        assert!(created.success());
        let options = StoreOptions {
            url: format!("{server}/{name}"),
            instance: "irc.localhost".to_owned(),
            key_file: directory.path().join(name),
            survive_power_cuts: false,
        };
        Arc::new(SqlStore::open(&options).await.unwrap()) as Arc<dyn Store>
    })
    .await;
}
