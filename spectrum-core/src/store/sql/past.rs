//! Databases as earlier versions left them: each is brought up to date, and nothing of it is lost.

use sqlx::migrate::Migrator;
use sqlx::{PgPool, SqlitePool};

use crate::model::{RoomId, UserKey};
use crate::session::archive::{ArchiveAnswer, ArchiveRequest};
use crate::store::seal::{KeyFile, Place, SealKey};
use crate::store::sql::schema::{Dialect, migrator, newest};
use crate::store::sql::secret::encode_secret;
use crate::store::{RosterState, SqlStore, Store as _, StoreOptions};

/// Runs for every version there was, on a database that `fresh` makes for it: its options, and no more.
///
/// # Panics
/// Where something is lost.
pub(crate) async fn run(fresh: impl AsyncFn(i64) -> StoreOptions) {
    for version in 1..=newest() {
        let options = fresh(version).await;
        Old::make(&options, version).await;
        check(&options, version).await;
        // What is up to date stays as it is.
        check(&options, version).await;
    }
}

const USER: &str = "romeo@montague.example";

/// A database of an earlier version.
enum Old {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Old {
    async fn make(options: &StoreOptions, version: i64) {
        let old = if options.url.starts_with("sqlite") {
            let path = options.url.trim_start_matches("sqlite://");
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            drop(said(file));
            Self::Sqlite(said(SqlitePool::connect(&options.url).await))
        } else {
            Self::Postgres(said(PgPool::connect(&options.url).await))
        };
        old.migrate(version).await;
        old.fill(options, version).await;
        match old {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }

    async fn migrate(&self, version: i64) {
        let until = |dialect| {
            let all = migrator(dialect);
            Migrator::with_migrations(all.iter().filter(|one| one.version <= version).cloned().collect())
        };
        match self {
            Self::Sqlite(pool) => said(until(Dialect::Sqlite).run(pool).await),
            Self::Postgres(pool) => said(until(Dialect::Postgres).run(pool).await),
        }
    }

    /// What that version wrote: the statements are of that time, so none of ours is used.
    async fn fill(&self, options: &StoreOptions, version: i64) {
        let ring = said(KeyFile::new(&options.key_file, None).create());
        let instance = options.instance.as_str();
        let data = said(SealKey::generate());
        let place = Place {
            instance,
            user: USER,
            column: "registration",
        };
        let secret = said(data.seal(place, &encode_secret(&"sesame".into(), &Default::default())));
        let wrapped = said(ring.wrap(instance, USER, &data));
        let canary = said(ring.canary(instance));
        let user = format!("'{USER}'");
        self.write(&format!(
            "INSERT INTO meta VALUES ('instance', {})",
            self.bytes(instance.as_bytes())
        ))
        .await;
        self.write(&format!("INSERT INTO meta VALUES ('canary', {})", self.bytes(&canary)))
            .await;
        self.write(&format!("INSERT INTO data_keys VALUES ({user}, {})", self.bytes(&wrapped)))
            .await;
        self.write(&format!(
            "INSERT INTO registrations VALUES ({user}, 'Romeo', {}, 5000, 6000, TRUE)",
            self.bytes(&secret)
        ))
        .await;
        self.write(&format!("INSERT INTO names VALUES ({user}, 'nurse-2', 'Nurse')"))
            .await;
        self.write(&format!(
            "INSERT INTO contacts VALUES ({user}, 'Nurse', 'Angelica', '[\"Home\"]', FALSE, NULL)"
        ))
        .await;
        self.write(&format!("INSERT INTO roster VALUES ({user}, 'nurse-2@irc.localhost', TRUE)"))
            .await;
        let room = if version < 3 {
            format!("INSERT INTO rooms VALUES ({user}, '#verona', 'romeo', NULL)")
        } else {
            format!("INSERT INTO rooms VALUES ({user}, '#verona', 'romeo', NULL, 'orchard')")
        };
        self.write(&room).await;
        self.write(&format!("INSERT INTO preferences VALUES ({user}, 'stay_connected', 'true')"))
            .await;
        self.write("INSERT INTO grants VALUES ('montague.example', '{}')").await;
        if version >= 2 {
            self.write(&format!(
                "INSERT INTO archive VALUES ({user}, '#verona', 'line-1', 7000, 1, '<message/>')"
            ))
            .await;
        }
        if version >= 6 {
            self.write(&format!(
                "INSERT INTO bookmarks VALUES ({user}, '#verona@irc.localhost', '\"theirs\"')"
            ))
            .await;
        }
        if version >= 5 {
            self.write(&format!(
                "INSERT INTO message_log (entries) VALUES ('[[\"{USER}\",8,8000,0,{{}}],[\"{USER}\"],[\"{USER}\",9,8000,0,{{}}],[\"{USER}\",9],\
                 [\"{USER}\",10,8000,2,{{\"c\":{{\"c\":\"Nurse\"}},\"i\":\"2\",\"k\":\"k2\",\"p\":1}}]]')"
            ))
            .await;
        } else if version >= 4 {
            self.write(&format!(
                "INSERT INTO messages VALUES ({user}, 9, 0, 8000, '{{\"c\":{{\"c\":\"Nurse\"}},\"i\":\"1\",\"k\":\"k1\",\"p\":1}}')"
            ))
            .await;
        }
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }

    async fn write(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(pool) => drop(said(sqlx::query(statement).execute(pool).await)),
            Self::Postgres(pool) => drop(said(sqlx::query(statement).execute(pool).await)),
        }
    }
}

async fn check(options: &StoreOptions, version: i64) {
    let store = said(SqlStore::open(options).await);
    let user = UserKey::from(USER);
    let registration = said(store.load_registration(&user).await);
    let registration = registration.unwrap_or_else(|| panic!("version {version}: the registration is gone"));
    assert_eq!(
        (
            registration.legacy_name.as_str(),
            registration.password.expose(),
            registration.created.as_millis(),
            registration.last_login.map(|at| at.as_millis()),
            registration.online
        ),
        ("Romeo", "sesame", 5000, Some(6000), true),
        "version {version}"
    );
    let names = said(store.load_names(&user).await);
    assert_eq!(
        (names.len(), names[0].localpart.as_str(), names[0].name.as_str()),
        (1, "nurse-2", "Nurse")
    );
    let contacts = said(store.load_contacts(&user).await);
    assert_eq!(contacts[0].alias.as_deref(), Some("Angelica"));
    assert_eq!(contacts[0].groups, ["Home"]);
    let roster = said(store.load_roster(&user).await);
    assert_eq!(
        (roster[0].jid.as_str(), roster[0].state),
        ("nurse-2@irc.localhost", RosterState::Held)
    );
    let rooms = said(store.load_rooms(&user).await);
    let viewers: &[String] = if version < 3 { &[] } else { &["orchard".to_owned()] };
    assert_eq!(
        (rooms[0].room.clone(), rooms[0].nickname.as_str(), rooms[0].viewers.as_slice()),
        (RoomId::from("#verona"), "romeo", viewers),
        "version {version}"
    );
    let preferences = said(store.load_preferences(&user).await);
    assert_eq!(preferences.get("stay_connected").map(String::as_str), Some("true"));
    assert_eq!(said(store.load_grants().await).len(), 1);
    assert_eq!(said(store.load_bookmarks(&user).await).len(), usize::from(version >= 6));
    let archive = said(store.ask_archive(&user, "#verona", &ArchiveRequest::Ends).await);
    let ArchiveAnswer::Page(page) = archive else {
        panic!("version {version}: the archive has no page")
    };
    let lines = if version < 2 { 0 } else { 2 };
    assert_eq!(
        page.lines.len(),
        lines,
        "version {version}: the only line is the first and the last"
    );
    let messages = said(store.load_messages(&user).await);
    assert_eq!(
        messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        match version {
            ..4 => vec![],
            4 => vec![9],
            // Of what was in the log, the last word.
            _ => vec![10],
        }
    );
    store.close().await;
}

fn said<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|failed| panic!("the database refused: {failed:?}"))
}
