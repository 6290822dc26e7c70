//! What can go wrong with a store, in the operator's words.

use std::path::PathBuf;

/// Why a store could not be opened or did not do as asked. No variant holds a password or a URL with one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL is none that we know.
    #[error("could not understand the storage url: {reason}; it must begin with sqlite://, postgres:// or be memory:")]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The database could not be opened or reached.
    #[error("could not open the database at {place}")]
    Open {
        /// The file, or the host and database.
        place: String,
        /// The database's reason.
        #[source]
        source: sqlx::Error,
    },
    /// The directory for the database could not be made.
    #[error("could not create {path}")]
    Create {
        /// What could not be created.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The database can be read but not written.
    #[error("the database at {place} cannot be written; its file and its directory must belong to this user")]
    ReadOnly {
        /// The file, or the host and database.
        place: String,
    },
    /// The file is no database or is damaged.
    #[error("the database at {place} is damaged or is not a database; restore it from a backup")]
    Corrupt {
        /// The file, or the host and database.
        place: String,
        /// The database's reason.
        #[source]
        source: sqlx::Error,
    },
    /// A newer release has written the database.
    #[error(
        "the database at {place} was written by a newer release (schema {found}, this one knows up to {known}); install that release or restore a backup"
    )]
    NewerSchema {
        /// The file, or the host and database.
        place: String,
        /// The newest version found in it.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The schema could not be brought up to date.
    #[error("could not bring the schema of the database at {place} up to date")]
    Migrate {
        /// The file, or the host and database.
        place: String,
        /// The reason.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The database belongs to another instance.
    #[error("the database at {place} belongs to the instance {found}, not to {expected}; each instance needs its own")]
    OtherInstance {
        /// The file, or the host and database.
        place: String,
        /// Whose it is.
        found: String,
        /// Who opened it.
        expected: String,
    },
    /// There are sealed rows, but no key.
    #[error(
        "the key file {path} is missing, and the database holds passwords sealed with it; restore it from your backup (a new key could not open them)"
    )]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key file could not be read or written.
    #[error("could not read or write the key file {path}")]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The key file holds no key.
    #[error("line {line} of the key file {path} is not a key")]
    KeyMalformed {
        /// Which file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The key does not open this database.
    #[error("the key file {path} holds another key than the one this database was sealed with; restore the right one")]
    KeyWrong {
        /// Which file.
        path: PathBuf,
    },
    /// A sealed value does not open: damaged, swapped with another row's, or sealed with another key.
    #[error("could not open the sealed {column} of {user}: it is damaged or belongs to somebody else")]
    Sealed {
        /// Whose row.
        user: String,
        /// Which value.
        column: &'static str,
    },
    /// The system gave no random numbers.
    #[error("could not get random numbers from the system")]
    Random,
    /// A localpart belongs to another name of this user.
    #[error("the localpart {localpart} stands for another name already")]
    NameTaken {
        /// The localpart.
        localpart: String,
    },
    /// Text that no database takes: it contains a NUL character.
    #[error("the {what} contains a NUL character")]
    Invalid {
        /// Which text.
        what: &'static str,
    },
    /// The database did not do as asked; nothing was changed.
    #[error("the database did not answer as expected")]
    Database(#[source] sqlx::Error),
    /// Whether the change was kept is not known: the database went away during the commit.
    #[error("the database went away during a commit; the change may or may not have been kept")]
    Uncertain,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// True if the operator must change or restore something before a start can succeed (exit 78); false where a retry
    /// may help.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Url { .. }
            | Self::Create { .. }
            | Self::ReadOnly { .. }
            | Self::Corrupt { .. }
            | Self::NewerSchema { .. }
            | Self::Migrate { .. }
            | Self::OtherInstance { .. }
            | Self::KeyMissing { .. }
            | Self::KeyFile { .. }
            | Self::KeyMalformed { .. }
            | Self::KeyWrong { .. } => true,
            Self::Open { source, .. } => !matches!(source, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut),
            Self::Sealed { .. }
            | Self::Random
            | Self::NameTaken { .. }
            | Self::Invalid { .. }
            | Self::Database(_)
            | Self::Uncertain
            | Self::Closed => false,
        }
    }
}

/// Turns an error of the database into ours. `place` is shown to the operator.
pub(crate) fn from_sqlx(error: sqlx::Error, place: &str) -> StoreError {
    // SQLite's primary result codes (https://www.sqlite.org/rescode.html) are the low byte of what sqlx reports.
    const READONLY: i64 = 8;
    const CORRUPT: i64 = 11;
    const NOTADB: i64 = 26;
    const CANTOPEN: i64 = 14;
    let sqlite_code = error
        .as_database_error()
        .filter(|database| database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some())
        .and_then(|database| database.code())
        .and_then(|code| code.parse::<i64>().ok())
        .map(|code| code & 0xff);
    match sqlite_code {
        Some(READONLY) => StoreError::ReadOnly { place: place.to_owned() },
        Some(CORRUPT | NOTADB) => StoreError::Corrupt {
            place: place.to_owned(),
            source: error,
        },
        Some(CANTOPEN) => StoreError::Open {
            place: place.to_owned(),
            source: error,
        },
        _ => match error {
            sqlx::Error::PoolClosed => StoreError::Closed,
            other => StoreError::Database(other),
        },
    }
}
