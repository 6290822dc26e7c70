//! Opening a database: connect, bring the schema up to date, see whose it is, verify the key, finish a rotation.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Mutex;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::error::from_sqlx;
use crate::store::seal::{KeyFile, Keyring};
use crate::store::sql::schema::{self, Dialect};
use crate::store::sql::writer::{Tx, in_tx, messages};
use crate::store::sql::{Inner, Pool, SqlStore, on, statement as sql};
use crate::store::{StoreError, StoreOptions, random_secret};

/// Connections for reads; a fifth reader waits for one of them.
const READERS: u32 = 4;
/// How long SQLite waits for a lock of another process before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a verb waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Data keys wrapped anew in one transaction.
const REWRAP_BATCH: i64 = 1000;

impl SqlStore {
    /// Opens the database of an instance.
    ///
    /// # Errors
    /// See [`crate::store::open`].
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let (read, write, place, dialect) = connect(&options.url, options.survive_power_cuts).await?;
        let prepared = prepare(&write, &place, dialect, options).await;
        match prepared {
            Ok((keyring, room_secret)) => Ok(Self::start(Inner {
                read,
                write,
                keyring,
                room_secret,
                instance: options.instance.clone(),
                place,
                pending: Mutex::default(),
            })),
            Err(error) => {
                read.close().await;
                write.close().await;
                Err(error)
            }
        }
    }
}

async fn connect(url: &str, survive_power_cuts: bool) -> Result<(Pool, Pool, String, Dialect), StoreError> {
    if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).map_err(|error| StoreError::Url {
            reason: error.to_string(),
        })?;
        sqlite(options, survive_power_cuts).await
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        // The error of the parser may quote the url, and with it a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| StoreError::Url {
            reason: "it is not of the form postgres://user@host/database".to_owned(),
        })?;
        postgres(options).await
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        Err(StoreError::Url {
            reason: format!("`{scheme}` is no database known here"),
        })
    }
}

async fn sqlite(options: SqliteConnectOptions, survive_power_cuts: bool) -> Result<(Pool, Pool, String, Dialect), StoreError> {
    let path = options.get_filename().to_owned();
    let place = path.display().to_string();
    create_file(&path)?;
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(if survive_power_cuts {
            SqliteSynchronous::Full
        } else {
            SqliteSynchronous::Normal
        })
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(sql_count());
    let failed = |error: sqlx::Error| opening(error, &place);
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        // A connection to a file does not break.
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(failed)?;
    // Connected when first needed. Not opened read-only: a reader of a WAL database must be able to write its index.
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.pragma("query_only", "true"));
    Ok((Pool::Sqlite(read), Pool::Sqlite(write), place, Dialect::Sqlite))
}

async fn postgres(options: PgConnectOptions) -> Result<(Pool, Pool, String, Dialect), StoreError> {
    let place = format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_else(|| options.get_username())
    );
    let options = options.application_name("spectrum").statement_cache_capacity(sql_count());
    // A pool tries again until its time is up; whoever starts an instance wants to know at once.
    options
        .connect()
        .await
        .map_err(|error| opening(error, &place))?
        .close()
        .await
        .map_err(|error| opening(error, &place))?;
    let pool = |connections| {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
    };
    let write = pool(1)
        .connect_with(options.clone())
        .await
        .map_err(|error| opening(error, &place))?;
    let read = pool(READERS).connect_lazy_with(options);
    Ok((Pool::Pg(read), Pool::Pg(write), place, Dialect::Postgres))
}

/// Room for every statement, so that none is prepared twice on a connection.
const fn sql_count() -> usize {
    64
}

fn opening(error: sqlx::Error, place: &str) -> StoreError {
    match from_sqlx(error, place) {
        StoreError::Database(source) => StoreError::Open {
            place: place.to_owned(),
            source,
        },
        other => other,
    }
}

/// Makes the file with a mode of our own: SQLite would let everybody read it. Its companions take the mode over.
fn create_file(path: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path, source: std::io::Error| match source.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => StoreError::ReadOnly {
            place: path.display().to_string(),
        },
        _ => StoreError::Create {
            path: path.to_owned(),
            source,
        },
    };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    }
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(path, error)),
    }
}

async fn prepare(pool: &Pool, place: &str, dialect: Dialect, options: &StoreOptions) -> Result<(Keyring, [u8; 32]), StoreError> {
    let failed = |error| from_sqlx(error, place);
    let migrator = schema::migrator(dialect);
    on!(pool, pool => migrator.run(pool).await).map_err(|error| migrating(error, place))?;

    let mut tx = Tx::begin(pool).await.map_err(failed)?;
    match meta(&mut tx, "instance").await.map_err(failed)? {
        Some(found) if found != options.instance.as_bytes() => {
            return Err(StoreError::OtherInstance {
                place: place.to_owned(),
                found: String::from_utf8_lossy(&found).into_owned(),
                expected: options.instance.clone(),
            });
        }
        Some(_) => {}
        None => save_meta(&mut tx, "instance", options.instance.as_bytes())
            .await
            .map_err(failed)?,
    }
    // Left by a process that died.
    let pending = messages::logged(&mut tx).await.map_err(failed)?;
    if !pending.is_empty() {
        messages::fold(&mut tx, &pending).await.map_err(failed)?;
    }
    let canary = meta(&mut tx, "canary").await.map_err(failed)?;
    let any_key: Option<String> =
        in_tx!(&mut tx, c => sqlx::query_scalar(sql::ANY_DATA_KEY).fetch_optional(c).await).map_err(failed)?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let file = KeyFile::new(&options.key_file, credentials.as_deref());
    let keyring = match (file.load()?, &canary) {
        (Some(keyring), Some(canary)) if !keyring.knows_canary(&options.instance, canary) => {
            return Err(StoreError::KeyWrong {
                path: file.path().to_owned(),
            });
        }
        (Some(keyring), _) => keyring,
        (None, Some(_)) => {
            return Err(StoreError::KeyMissing {
                path: file.path().to_owned(),
            });
        }
        (None, None) if any_key.is_some() => {
            return Err(StoreError::KeyMissing {
                path: file.path().to_owned(),
            });
        }
        (None, None) => file.create()?,
    };
    if canary.is_none() {
        let canary = keyring.canary(&options.instance)?;
        save_meta(&mut tx, "canary", &canary).await.map_err(failed)?;
        save_meta(&mut tx, "key_id", keyring.current_id().as_bytes())
            .await
            .map_err(failed)?;
    }
    let known = meta(&mut tx, "room_secret").await.map_err(failed)?;
    let room_secret = match known.and_then(|bytes| bytes.try_into().ok()) {
        Some(secret) => secret,
        None => {
            let fresh = random_secret()?;
            save_meta(&mut tx, "room_secret", &fresh).await.map_err(failed)?;
            fresh
        }
    };
    let is_rotated = canary.is_some_and(|canary| !keyring.is_current(&canary));
    tx.commit().await.map_err(failed)?;
    if is_rotated {
        rewrap(pool, place, &keyring, &options.instance).await?;
    }
    Ok((keyring, room_secret))
}

/// Wraps every data key that an older key wrapped with the current one, then the canary: a crash in between is made good
/// at the next start.
async fn rewrap(pool: &Pool, place: &str, keyring: &Keyring, instance: &str) -> Result<(), StoreError> {
    let failed = |error| from_sqlx(error, place);
    let mut after = String::new();
    let mut count = 0_u64;
    loop {
        let mut tx = Tx::begin(pool).await.map_err(failed)?;
        let rows: Vec<(String, Vec<u8>)> = in_tx!(&mut tx, c => sqlx::query_as(sql::DATA_KEYS_AFTER)
            .bind(&after)
            .bind(REWRAP_BATCH)
            .fetch_all(c)
            .await)
        .map_err(failed)?;
        let Some((last, _)) = rows.last() else { break };
        after.clone_from(last);
        for (user, wrapped) in rows.iter().filter(|(_, wrapped)| !keyring.is_current(wrapped)) {
            let data = keyring.unwrap(instance, user, wrapped)?;
            let wrapped = keyring.wrap(instance, user, &data)?;
            in_tx!(&mut tx, c => sqlx::query(sql::REWRAP_DATA_KEY).bind(user).bind(wrapped).execute(c).await.map(|_| ()))
                .map_err(failed)?;
            count += 1;
        }
        tx.commit().await.map_err(failed)?;
    }
    let mut tx = Tx::begin(pool).await.map_err(failed)?;
    save_meta(&mut tx, "canary", &keyring.canary(instance)?)
        .await
        .map_err(failed)?;
    save_meta(&mut tx, "key_id", keyring.current_id().as_bytes())
        .await
        .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    tracing::info!(
        count,
        "Wrapped the data keys with the new key; older lines of the key file may go."
    );
    Ok(())
}

async fn meta(tx: &mut Tx, name: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    in_tx!(tx, c => sqlx::query_scalar(sql::META).bind(name).fetch_optional(c).await)
}

async fn save_meta(tx: &mut Tx, name: &str, value: &[u8]) -> Result<(), sqlx::Error> {
    in_tx!(tx, c => sqlx::query(sql::SAVE_META).bind(name).bind(value).execute(c).await.map(|_| ()))
}

fn migrating(error: MigrateError, place: &str) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) if found > schema::newest() => StoreError::NewerSchema {
            place: place.to_owned(),
            found,
            known: schema::newest(),
        },
        MigrateError::Execute(error) => opening(error, place),
        source => StoreError::Migrate {
            place: place.to_owned(),
            source,
        },
    }
}
