//! The suite on SQLite, and on PostgreSQL where `SPECTRUM_TEST_POSTGRES` names a server; opening and what can be wrong.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::SqlSafeStr as _;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use super::*;
use crate::model::FormAnswers;
use crate::store::seal::KeyFile;
use crate::store::{StoreOptions, conformance};

fn options(directory: &Path) -> StoreOptions {
    StoreOptions {
        url: format!("sqlite://{}", directory.join("db/spectrum.db").display()),
        instance: "irc.localhost".to_owned(),
        key_file: directory.join("key"),
        survive_power_cuts: false,
    }
}

fn account(password: &str) -> NewRegistration {
    NewRegistration {
        legacy_name: "n".into(),
        password: password.into(),
        settings: FormAnswers::new(),
    }
}

async fn refusal(options: &StoreOptions) -> StoreError {
    match SqlStore::open(options).await {
        Ok(_) => panic!("the store was opened"),
        Err(error) => error,
    }
}

/// Statements of a test's own on a database that no store has open.
async fn tamper(directory: &Path, statement: &'static str) {
    let url = options(directory).url;
    let mut connection = url
        .parse::<sqlx::sqlite::SqliteConnectOptions>()
        .unwrap()
        .connect()
        .await
        .unwrap();
    connection.execute(statement).await.unwrap();
}

#[tokio::test]
async fn databases_of_every_earlier_version_are_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    conformance::past_versions(async |version| StoreOptions {
        url: format!("sqlite://{}", directory.path().join(format!("{version}.db")).display()),
        key_file: directory.path().join(format!("{version}.key")),
        ..options(directory.path())
    })
    .await;
}

#[tokio::test]
async fn sqlite_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let next = AtomicU32::new(0);
    conformance::run(async || {
        let directory = directory.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
        Arc::new(SqlStore::open(&options(&directory)).await.unwrap()) as Arc<dyn Store>
    })
    .await;
}

/// `SPECTRUM_TEST_POSTGRES` is the URL of a server on which databases may be created.
#[tokio::test]
async fn postgres_store_conforms() {
    let Ok(server) = std::env::var("SPECTRUM_TEST_POSTGRES") else {
        eprintln!("SPECTRUM_TEST_POSTGRES is not set: PostgreSQL was not tried");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let server: sqlx::postgres::PgConnectOptions = server.parse().unwrap();
    let next = AtomicU32::new(0);
    conformance::run(async || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let name = format!("spectrum_test_{}_{number}", std::process::id());
        let mut admin = server.connect().await.unwrap();
        admin
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")).into_sql_str())
            .await
            .unwrap();
        let options = StoreOptions {
            url: server.clone().database(&name).to_url_lossy().to_string(),
            instance: "irc.localhost".to_owned(),
            key_file: directory.path().join(&name),
            survive_power_cuts: false,
        };
        let store = SqlStore::open(&options).await.unwrap();
        for statement in sql::ALL
            .iter()
            .copied()
            .chain(sql::PER_DIALECT.iter().map(|both| both.postgres))
        {
            let Pool::Pg(pool) = &store.inner.read else {
                panic!("not PostgreSQL")
            };
            pool.prepare(statement.into_sql_str()).await.unwrap();
        }
        Arc::new(store) as Arc<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn sqlite_takes_every_statement() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqlStore::open(&options(directory.path())).await.unwrap();
    for statement in sql::ALL
        .iter()
        .copied()
        .chain(sql::PER_DIALECT.iter().map(|both| both.sqlite))
    {
        let Pool::Sqlite(pool) = &store.inner.read else {
            panic!("not SQLite")
        };
        pool.prepare(statement.into_sql_str()).await.unwrap();
    }
}

#[tokio::test]
async fn reopened_store_still_knows_and_its_files_are_private() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let user = UserKey::from("romeo@x");
    let store = SqlStore::open(&options).await.unwrap();
    store
        .save_registration(&user, account("hunter2"), Timestamp::from_secs(1))
        .await
        .unwrap();
    for file in ["key", "db/spectrum.db", "db/spectrum.db-wal"] {
        assert_eq!(
            std::fs::metadata(directory.path().join(file)).unwrap().mode() & 0o777,
            0o600,
            "{file}"
        );
    }
    let database = std::fs::read(directory.path().join("db/spectrum.db-wal")).unwrap();
    assert!(!database.windows(7).any(|bytes| bytes == b"hunter2"));
    store.close().await;
    let store = SqlStore::open(&options).await.unwrap();
    assert_eq!(
        store.load_registration(&user).await.unwrap().unwrap().password.expose(),
        "hunter2"
    );
}

#[tokio::test]
async fn swapped_rows_are_detected() {
    let directory = tempfile::tempdir().unwrap();
    let (romeo, juliet) = (UserKey::from("romeo@x"), UserKey::from("juliet@x"));
    let store = SqlStore::open(&options(directory.path())).await.unwrap();
    for user in [&romeo, &juliet] {
        store
            .save_registration(user, account("p"), Timestamp::from_secs(1))
            .await
            .unwrap();
        let room = RoomRecord {
            room: "#a".into(),
            nickname: "n".into(),
            password: Some("a".into()),
            viewers: Vec::new(),
        };
        store.save_room(user, room.clone()).await.unwrap();
        store
            .save_room(
                user,
                RoomRecord {
                    room: "#b".into(),
                    ..room
                },
            )
            .await
            .unwrap();
    }
    store.close().await;
    // Secret and wrapped key of one user under another's name, and two rooms of one user exchanged.
    tamper(
        directory.path(),
        "UPDATE registrations SET secret = (SELECT secret FROM registrations WHERE user_jid = 'juliet@x') WHERE user_jid = 'romeo@x';
         UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE user_jid = 'juliet@x') WHERE user_jid = 'romeo@x';
         UPDATE rooms SET password = (SELECT password FROM rooms WHERE user_jid = 'juliet@x' AND room = '#b')
             WHERE user_jid = 'juliet@x' AND room = '#a';",
    )
    .await;
    let store = SqlStore::open(&options(directory.path())).await.unwrap();
    assert!(matches!(
        store.load_registration(&romeo).await,
        Err(StoreError::Sealed { .. })
    ));
    assert!(store.load_registration(&juliet).await.is_ok());
    assert!(matches!(store.load_rooms(&juliet).await, Err(StoreError::Sealed { .. })));
}

#[tokio::test]
async fn missing_key_file_is_refused_where_rows_are_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    SqlStore::open(&options).await.unwrap().close().await;
    std::fs::rename(&options.key_file, directory.path().join("elsewhere")).unwrap();
    let error = refusal(&options).await;
    assert!(matches!(&error, StoreError::KeyMissing { path } if *path == options.key_file));
    assert!(error.is_configuration() && error.to_string().contains(options.key_file.to_str().unwrap()));
    assert!(!options.key_file.exists(), "no new key is made");
    std::fs::rename(directory.path().join("elsewhere"), &options.key_file).unwrap();
    assert!(SqlStore::open(&options).await.is_ok());
}

#[tokio::test]
async fn another_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    SqlStore::open(&options).await.unwrap().close().await;
    KeyFile::new(&options.key_file, None).create().unwrap();
    assert!(matches!(refusal(&options).await, StoreError::KeyWrong { path } if path == options.key_file));
}

#[tokio::test]
async fn rotation_wraps_every_data_key_and_the_old_key_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = SqlStore::open(&options).await.unwrap();
    let users: Vec<_> = (0..3).map(|number| UserKey::from(format!("u{number}@x"))).collect();
    for user in &users {
        store
            .save_registration(user, account("secret"), Timestamp::from_secs(1))
            .await
            .unwrap();
    }
    store.close().await;
    KeyFile::new(&options.key_file, None).rotate().unwrap();
    SqlStore::open(&options).await.unwrap().close().await;
    let text = std::fs::read_to_string(&options.key_file).unwrap();
    let newest: Vec<&str> = text.lines().take(2).collect();
    std::fs::write(&options.key_file, newest.join("\n")).unwrap();
    let store = SqlStore::open(&options).await.unwrap();
    for user in &users {
        assert_eq!(
            store.load_registration(user).await.unwrap().unwrap().password.expose(),
            "secret"
        );
    }
}

#[tokio::test]
async fn database_of_another_instance_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    SqlStore::open(&options).await.unwrap().close().await;
    "xmpp.localhost".clone_into(&mut options.instance);
    assert!(matches!(refusal(&options).await, StoreError::OtherInstance { found, .. } if found == "irc.localhost"));
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    SqlStore::open(&options).await.unwrap().close().await;
    tamper(
        directory.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .await;
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error:?}");
    assert!(error.is_configuration());
}

#[tokio::test]
async fn file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    std::fs::create_dir(directory.path().join("db")).unwrap();
    std::fs::write(directory.path().join("db/spectrum.db"), "no database, ".repeat(1000)).unwrap();
    let error = refusal(&options).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.is_configuration());
}

#[tokio::test]
async fn damage_found_later_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(directory.path());
    let store = SqlStore::open(&options).await.unwrap();
    store
        .save_registration(&"romeo@x".into(), account("p"), Timestamp::from_secs(1))
        .await
        .unwrap();
    store.close().await;
    let path = directory.path().join("db/spectrum.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // All pages but the first two: the schema is still readable, the tables are not.
    bytes[2 * 4096..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let error = match SqlStore::open(&options).await {
        Ok(store) => store.load_registration(&"romeo@x".into()).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn place_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    // Not by permissions: tests may run as root, for whom they do not count.
    for url in ["sqlite:///proc/spectrum.db", "sqlite:///dev/null/spectrum.db"] {
        url.clone_into(&mut options.url);
        let error = refusal(&options).await;
        assert!(
            matches!(error, StoreError::Create { .. } | StoreError::ReadOnly { .. }),
            "{error:?}"
        );
        assert!(error.is_configuration());
    }
}

#[tokio::test]
async fn url_is_checked_and_a_password_in_it_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    for url in [
        "",
        "mysql://u:hunter2@h/d",
        "postgres://u:hunter2@h:notaport/d",
        "postgres://u:hunter2@127.0.0.1:1/d",
    ] {
        url.clone_into(&mut options.url);
        let error = refusal(&options).await;
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(matches!(error, StoreError::Url { .. } | StoreError::Open { .. }), "{text}");
    }
}

/// How many registrations with a login a second; `cargo test --release -- --ignored --nocapture registrations_per_second`.
/// `SPECTRUM_TEST_DIRECTORY` says where, for instance a RAM disk.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, asserts nothing about speed"]
async fn registrations_per_second() {
    const USERS: usize = 20_000;
    let root = std::env::var("SPECTRUM_TEST_DIRECTORY").unwrap_or_else(|_| "/dev/shm".to_owned());
    let directory = tempfile::tempdir_in(root).unwrap();
    let store = Arc::new(SqlStore::open(&options(directory.path())).await.unwrap());
    let start = std::time::Instant::now();
    let tasks = Tasks::new();
    let running: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&store);
            tasks.spawn("load", tracing::Span::none(), async move {
                for number in (task..USERS).step_by(64) {
                    let user = UserKey::from(format!("user{number}@x"));
                    store
                        .save_registration(&user, account("password"), Timestamp::from_secs(1))
                        .await
                        .unwrap();
                    store.load_registration(&user).await.unwrap().unwrap();
                    store.record_login(&user, Timestamp::from_secs(2)).await.unwrap();
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    let elapsed = start.elapsed();
    assert_eq!(store.list_online().await.unwrap().len(), USERS);
    println!(
        "{USERS} registrations + logins in {elapsed:?}: {:.0}/s",
        USERS as f64 / elapsed.as_secs_f64()
    );
}
