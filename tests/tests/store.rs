//! The store on a real PostgreSQL: the same suite that SQLite and memory run inside `spectrum-core`.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use spectrum_core::model::{FormAnswers, Timestamp, UserKey};
use spectrum_core::store::seal::KeyFile;
use spectrum_core::store::{NewRegistration, SqlStore, Store, StoreOptions, conformance};
use spectrum_tests::peers::{Postgres, needed, program};
use tempfile::TempDir;

/// A PostgreSQL that makes a database for each case.
struct Cases {
    postgres: Postgres,
    psql: PathBuf,
    directory: TempDir,
}

impl Cases {
    async fn start() -> Option<Self> {
        Some(Self {
            postgres: needed(Postgres::start().await)?,
            psql: program("psql").unwrap(),
            directory: tempfile::tempdir().unwrap(),
        })
    }

    fn fresh(&self, name: &str) -> StoreOptions {
        let url = self.postgres.url();
        let (server, _) = url.rsplit_once('/').unwrap();
        let create = format!("CREATE DATABASE {name}");
        let created = Command::new(&self.psql)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-c", &create, &url])
            .status()
            .unwrap();
        assert!(created.success());
        StoreOptions {
            url: format!("{server}/{name}"),
            instance: "irc.localhost".to_owned(),
            key_file: self.directory.path().join(name),
            survive_power_cuts: false,
        }
    }
}

#[tokio::test]
async fn postgres_conforms() {
    let Some(cases) = Cases::start().await else { return };
    let next = AtomicU32::new(0);
    conformance::run(async || {
        let options = cases.fresh(&format!("case{}", next.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqlStore::open(&options).await.unwrap()) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn postgres_databases_of_every_earlier_version_are_brought_up_to_date() {
    let Some(cases) = Cases::start().await else { return };
    conformance::past_versions(async |version| cases.fresh(&format!("version{version}"))).await;
}

#[tokio::test]
async fn a_new_key_opens_what_the_old_one_sealed_and_the_old_one_may_go() {
    let Some(cases) = Cases::start().await else { return };
    let options = cases.fresh("rotated");
    let user = UserKey::from("romeo@localhost");
    let account = NewRegistration {
        legacy_name: "romeo".into(),
        password: "sesame".into(),
        settings: FormAnswers::new(),
    };
    let store = SqlStore::open(&options).await.unwrap();
    store
        .save_registration(&user, account, Timestamp::from_secs(1))
        .await
        .unwrap();
    store.close().await;
    KeyFile::new(&options.key_file, None).rotate().unwrap();
    SqlStore::open(&options).await.unwrap().close().await;
    let keys = std::fs::read_to_string(&options.key_file).unwrap();
    let (comment, rest) = keys.split_once('\n').unwrap();
    let (newest, older) = rest.split_once('\n').unwrap();
    assert!(comment.starts_with('#') && older.lines().count() == 1, "two keys");
    std::fs::write(&options.key_file, newest).unwrap();
    let store = SqlStore::open(&options).await.unwrap();
    let kept = store.load_registration(&user).await.unwrap().unwrap();
    assert_eq!(kept.password.expose(), "sesame");
}
