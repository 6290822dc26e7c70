//! The schema: an append-only list of migrations. What has been released is never edited, only followed.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// One text for both databases; what differs is the word for bytes, and that PostgreSQL must be told to order text by its
/// bytes as SQLite does.
macro_rules! first {
    ($text:literal, $bytes:literal) => {
        concat!(
            "CREATE TABLE meta (name ",
            $text,
            " NOT NULL PRIMARY KEY, value ",
            $bytes,
            " NOT NULL);\n",
            "CREATE TABLE data_keys (user_jid ",
            $text,
            " NOT NULL PRIMARY KEY, wrapped ",
            $bytes,
            " NOT NULL);\n",
            "CREATE TABLE registrations (user_jid ",
            $text,
            " NOT NULL PRIMARY KEY, legacy_name ",
            $text,
            " NOT NULL, secret ",
            $bytes,
            " NOT NULL, created BIGINT NOT NULL, last_login BIGINT, online BOOLEAN NOT NULL);\n",
            "CREATE INDEX registrations_online ON registrations (user_jid) WHERE online;\n",
            "CREATE TABLE names (user_jid ",
            $text,
            " NOT NULL, localpart ",
            $text,
            " NOT NULL, legacy_name ",
            $text,
            " NOT NULL, PRIMARY KEY (user_jid, localpart));\n",
            "CREATE TABLE contacts (user_jid ",
            $text,
            " NOT NULL, legacy_name ",
            $text,
            " NOT NULL, alias ",
            $text,
            ", groups ",
            $text,
            " NOT NULL, asks BOOLEAN NOT NULL, avatar ",
            $text,
            ", PRIMARY KEY (user_jid, legacy_name));\n",
            "CREATE TABLE roster (user_jid ",
            $text,
            " NOT NULL, jid ",
            $text,
            " NOT NULL, is_held BOOLEAN NOT NULL, PRIMARY KEY (user_jid, jid));\n",
            "CREATE TABLE rooms (user_jid ",
            $text,
            " NOT NULL, room ",
            $text,
            " NOT NULL, nickname ",
            $text,
            " NOT NULL, password ",
            $bytes,
            ", PRIMARY KEY (user_jid, room));\n",
            "CREATE TABLE preferences (user_jid ",
            $text,
            " NOT NULL, name ",
            $text,
            " NOT NULL, value ",
            $text,
            " NOT NULL, PRIMARY KEY (user_jid, name));\n",
            "CREATE TABLE grants (domain ",
            $text,
            " NOT NULL PRIMARY KEY, grants ",
            $text,
            " NOT NULL);\n",
        )
    };
}

/// What was said in rooms. A page is read along the index; the primary key finds lines by their ids.
macro_rules! archive {
    ($text:literal) => {
        concat!(
            "CREATE TABLE archive (user_jid ",
            $text,
            " NOT NULL, room ",
            $text,
            " NOT NULL, line ",
            $text,
            " NOT NULL, said BIGINT NOT NULL, place BIGINT NOT NULL, stanza ",
            $text,
            " NOT NULL, PRIMARY KEY (user_jid, room, line));\n",
            "CREATE INDEX archive_in_order ON archive (user_jid, room, said, place);\n",
            "CREATE INDEX archive_by_age ON archive (said);\n",
        )
    };
}

/// Messages on their way, and the ids of those that are out. One table for both, so that a message whose fate is known costs
/// one more write and not two; entries are short, so rows lie in the index itself where the database can do that.
macro_rules! messages {
    ($text:literal, $clustered:literal) => {
        concat!(
            "CREATE TABLE messages (user_jid ",
            $text,
            " NOT NULL, seq BIGINT NOT NULL, stage SMALLINT NOT NULL, sent BIGINT NOT NULL, entry ",
            $text,
            " NOT NULL, PRIMARY KEY (user_jid, seq))",
            $clustered,
            ";\n",
            "CREATE INDEX messages_waiting ON messages (sent) WHERE stage < 2;\n",
        )
    };
}

/// What we have put into the bookmarks in users' accounts.
macro_rules! bookmarks {
    ($text:literal) => {
        concat!(
            "CREATE TABLE bookmarks (user_jid ",
            $text,
            " NOT NULL, room ",
            $text,
            " NOT NULL, entry ",
            $text,
            " NOT NULL, PRIMARY KEY (user_jid, room));\n",
        )
    };
}

/// Description, for SQLite, for PostgreSQL. The position is the version, counted from 1.
const MIGRATIONS: &[(&str, &str, &str)] = &[
    ("first", first!("TEXT", "BLOB"), first!("TEXT COLLATE \"C\"", "BYTEA")),
    ("archive", archive!("TEXT"), archive!("TEXT COLLATE \"C\"")),
    (
        "viewers",
        "ALTER TABLE rooms ADD COLUMN viewers TEXT NOT NULL DEFAULT '';\n",
        "ALTER TABLE rooms ADD COLUMN viewers TEXT NOT NULL DEFAULT '';\n",
    ),
    (
        "messages",
        messages!("TEXT", " WITHOUT ROWID"),
        messages!("TEXT COLLATE \"C\"", ""),
    ),
    // Appended to by every batch and folded into `messages` from time to time.
    (
        "message log",
        "CREATE TABLE message_log (id INTEGER PRIMARY KEY, entries TEXT NOT NULL);\n",
        "CREATE TABLE message_log (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entries TEXT NOT NULL);\n",
    ),
    ("bookmarks", bookmarks!("TEXT"), bookmarks!("TEXT COLLATE \"C\"")),
];

/// Which database's words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The newest version known.
pub(super) fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What brings a database up to date.
pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, (description, sqlite, postgres))| {
        let sql = match dialect {
            Dialect::Sqlite => *sqlite,
            Dialect::Postgres => *postgres,
        };
        Migration::new(
            version,
            Cow::Borrowed(description),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A released migration that changes makes every existing database unusable: it must fail here first.
    #[test]
    fn released_migrations_are_unchanged() {
        let sums = |dialect| {
            let migrator = migrator(dialect);
            migrator
                .iter()
                .map(|migration| checksum(&migration.checksum))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            sums(Dialect::Sqlite),
            [
                "095ac9496e29559d",
                "76e2a8f8b0048061",
                "aa86b1adeae59d17",
                "118928329ff66a39",
                "2ea1cedf1d535bdf",
                "aad4f59a8fe5b000"
            ]
        );
        assert_eq!(
            sums(Dialect::Postgres),
            [
                "14bfdab57a4d2f92",
                "030f31ca65617212",
                "aa86b1adeae59d17",
                "37b89de9cf653e15",
                "2f1404b35c6a16f3",
                "3e2a13e4e555e583"
            ]
        );
    }

    fn checksum(bytes: &[u8]) -> String {
        bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
