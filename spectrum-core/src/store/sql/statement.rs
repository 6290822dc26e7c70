//! Every statement, in the words that SQLite and PostgreSQL share.

pub(super) const META: &str = "SELECT value FROM meta WHERE name = $1";
pub(super) const SAVE_META: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Keeps the data key that is there already and returns the one that counts. The update changes nothing; without one
/// there would be no row to return.
pub(super) const CLAIM_DATA_KEY: &str = "INSERT INTO data_keys (user_jid, wrapped) VALUES ($1, $2) \
     ON CONFLICT (user_jid) DO UPDATE SET user_jid = excluded.user_jid RETURNING wrapped";
pub(super) const ANY_DATA_KEY: &str = "SELECT user_jid FROM data_keys LIMIT 1";
pub(super) const DATA_KEY: &str = "SELECT wrapped FROM data_keys WHERE user_jid = $1";
pub(super) const DATA_KEYS_AFTER: &str = "SELECT user_jid, wrapped FROM data_keys WHERE user_jid > $1 ORDER BY user_jid LIMIT $2";
pub(super) const REWRAP_DATA_KEY: &str = "UPDATE data_keys SET wrapped = $2 WHERE user_jid = $1";
pub(super) const REMOVE_DATA_KEY: &str = "DELETE FROM data_keys WHERE user_jid = $1";

pub(super) const REGISTRATION: &str = "SELECT r.legacy_name, r.secret, r.created, r.last_login, r.online, k.wrapped \
     FROM registrations r JOIN data_keys k ON k.user_jid = r.user_jid WHERE r.user_jid = $1";
pub(super) const SAVE_REGISTRATION: &str = "INSERT INTO registrations (user_jid, legacy_name, secret, created, last_login, online) \
     VALUES ($1, $2, $3, $4, NULL, FALSE) \
     ON CONFLICT (user_jid) DO UPDATE SET legacy_name = excluded.legacy_name, secret = excluded.secret";
pub(super) const ADD_REGISTRATION: &str = "INSERT INTO registrations (user_jid, legacy_name, secret, created, last_login, online) \
     VALUES ($1, $2, $3, $4, NULL, FALSE) ON CONFLICT (user_jid) DO NOTHING";
pub(super) const REMOVE_REGISTRATION: &str = "DELETE FROM registrations WHERE user_jid = $1";
pub(super) const REGISTRATIONS_AFTER: &str = "SELECT user_jid, legacy_name, created, last_login, online \
     FROM registrations WHERE user_jid > $1 ORDER BY user_jid LIMIT $2";
pub(super) const RECORD_LOGIN: &str = "UPDATE registrations SET last_login = $2, online = TRUE WHERE user_jid = $1";
pub(super) const SAVE_ONLINE: &str = "UPDATE registrations SET online = $2 WHERE user_jid = $1";
pub(super) const ONLINE: &str = "SELECT user_jid FROM registrations WHERE online ORDER BY user_jid";

pub(super) const NAMES: &str = "SELECT localpart, legacy_name FROM names WHERE user_jid = $1 ORDER BY localpart";
/// Touches no row where the localpart belongs to another name.
pub(super) const SAVE_NAME: &str = "INSERT INTO names (user_jid, localpart, legacy_name) VALUES ($1, $2, $3) \
     ON CONFLICT (user_jid, localpart) DO UPDATE SET legacy_name = excluded.legacy_name \
     WHERE names.legacy_name = excluded.legacy_name";
pub(super) const NAME_OF_LOCALPART: &str = "SELECT legacy_name FROM names WHERE user_jid = $1 AND localpart = $2";
pub(super) const REMOVE_NAMES: &str = "DELETE FROM names WHERE user_jid = $1";

pub(super) const CONTACTS: &str = "SELECT legacy_name, alias, groups, asks, avatar FROM contacts \
     WHERE user_jid = $1 ORDER BY legacy_name";
pub(super) const SAVE_CONTACT: &str = "INSERT INTO contacts (user_jid, legacy_name, alias, groups, asks, avatar) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_jid, legacy_name) DO UPDATE SET \
     alias = excluded.alias, groups = excluded.groups, asks = excluded.asks, avatar = excluded.avatar";
pub(super) const REMOVE_CONTACT: &str = "DELETE FROM contacts WHERE user_jid = $1 AND legacy_name = $2";
pub(super) const REMOVE_CONTACTS: &str = "DELETE FROM contacts WHERE user_jid = $1";

pub(super) const ROSTER: &str = "SELECT jid, is_held FROM roster WHERE user_jid = $1 ORDER BY jid";
pub(super) const SAVE_ROSTER: &str = "INSERT INTO roster (user_jid, jid, is_held) VALUES ($1, $2, $3) \
     ON CONFLICT (user_jid, jid) DO UPDATE SET is_held = excluded.is_held";
pub(super) const REMOVE_ROSTER_ENTRY: &str = "DELETE FROM roster WHERE user_jid = $1 AND jid = $2";
pub(super) const REMOVE_ROSTER: &str = "DELETE FROM roster WHERE user_jid = $1";

pub(super) const ROOMS: &str = "SELECT room, nickname, password, viewers FROM rooms WHERE user_jid = $1 ORDER BY room";
pub(super) const SAVE_ROOM: &str = "INSERT INTO rooms (user_jid, room, nickname, password, viewers) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (user_jid, room) DO UPDATE SET nickname = excluded.nickname, password = excluded.password, viewers = excluded.viewers";
pub(super) const REMOVE_ROOM: &str = "DELETE FROM rooms WHERE user_jid = $1 AND room = $2";
pub(super) const REMOVE_ROOMS: &str = "DELETE FROM rooms WHERE user_jid = $1";

pub(super) const PREFERENCES: &str = "SELECT name, value FROM preferences WHERE user_jid = $1";
pub(super) const SAVE_PREFERENCE: &str = "INSERT INTO preferences (user_jid, name, value) VALUES ($1, $2, $3) \
     ON CONFLICT (user_jid, name) DO UPDATE SET value = excluded.value";
pub(super) const REMOVE_PREFERENCE: &str = "DELETE FROM preferences WHERE user_jid = $1 AND name = $2";
pub(super) const REMOVE_PREFERENCES: &str = "DELETE FROM preferences WHERE user_jid = $1";

pub(super) const MESSAGES: &str = "SELECT seq, sent, stage, entry FROM messages WHERE user_jid = $1 ORDER BY seq";
pub(super) const WAITING: &str = "SELECT user_jid, seq, sent, stage, entry FROM messages \
     WHERE stage < 2 AND sent < $1 ORDER BY sent, user_jid, seq LIMIT $2";
pub(super) const REMOVE_MESSAGES: &str = "DELETE FROM messages WHERE user_jid = $1";

/// The log of what happened to messages: each row a JSON array of `[user, seq, sent, stage, entry]` for a message that is new or
/// different, `[user, seq]` for one that may go, `[user]` for a user who is gone.
pub(super) const APPEND_MESSAGES: &str = "INSERT INTO message_log (entries) VALUES ($1) RETURNING id";
pub(super) const MESSAGE_LOG: &str = "SELECT id, entries FROM message_log ORDER BY id";
pub(super) const EMPTY_MESSAGE_LOG: &str = "DELETE FROM message_log WHERE id <= $1";

/// Any number of messages of any number of users, as one JSON array of `[user, seq, sent, stage, entry]`: one statement for
/// a whole batch.
pub(super) const SAVE_MESSAGES: PerDialect = PerDialect {
    sqlite: "INSERT INTO messages (user_jid, seq, sent, stage, entry) \
        SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4 FROM json_each($1) WHERE TRUE \
        ON CONFLICT (user_jid, seq) DO UPDATE SET stage = excluded.stage, entry = excluded.entry",
    postgres: "INSERT INTO messages (user_jid, seq, sent, stage, entry) \
        SELECT v ->> 0, (v ->> 1)::bigint, (v ->> 2)::bigint, (v ->> 3)::smallint, v ->> 4 \
        FROM json_array_elements($1::text::json) AS rows (v) \
        ON CONFLICT (user_jid, seq) DO UPDATE SET stage = excluded.stage, entry = excluded.entry",
};
/// The same of `[user, seq]`.
pub(super) const FORGET_MESSAGES: PerDialect = PerDialect {
    sqlite: "DELETE FROM messages WHERE (user_jid, seq) IN (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
    postgres: "DELETE FROM messages USING json_array_elements($1::text::json) AS rows (v) \
        WHERE user_jid = v ->> 0 AND seq = (v ->> 1)::bigint",
};

/// A statement for which the databases have no common words.
pub(super) struct PerDialect {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

#[cfg(test)]
pub(super) const PER_DIALECT: &[PerDialect] = &[SAVE_MESSAGES, FORGET_MESSAGES];

pub(super) const BOOKMARKS: &str = "SELECT room, entry FROM bookmarks WHERE user_jid = $1";
pub(super) const SAVE_BOOKMARK: &str = "INSERT INTO bookmarks (user_jid, room, entry) VALUES ($1, $2, $3) \
     ON CONFLICT (user_jid, room) DO UPDATE SET entry = excluded.entry";
pub(super) const REMOVE_BOOKMARK: &str = "DELETE FROM bookmarks WHERE user_jid = $1 AND room = $2";
pub(super) const REMOVE_BOOKMARKS: &str = "DELETE FROM bookmarks WHERE user_jid = $1";

pub(super) const GRANTS: &str = "SELECT domain, grants FROM grants";
pub(super) const SAVE_GRANTS: &str = "INSERT INTO grants (domain, grants) VALUES ($1, $2) \
     ON CONFLICT (domain) DO UPDATE SET grants = excluded.grants";
pub(super) const REMOVE_GRANTS: &str = "DELETE FROM grants WHERE domain = $1";

pub(super) const APPEND_ARCHIVE: &str = "INSERT INTO archive (user_jid, room, line, said, place, stanza) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_jid, room, line) DO NOTHING";
pub(super) const REPLACE_ARCHIVED: &str = "UPDATE archive SET stanza = $4 WHERE user_jid = $1 AND room = $2 AND line = $3";
pub(super) const ARCHIVED: &str = "SELECT line, said, place, stanza FROM archive \
     WHERE user_jid = $1 AND room = $2 AND line = $3";
/// The bounds are always there, at their widest where nothing is asked: one statement serves all queries.
pub(super) const ARCHIVE_OLDEST: &str = "SELECT line, said, place, stanza FROM archive WHERE user_jid = $1 AND room = $2 \
     AND said >= $3 AND said <= $4 AND (said, place) > ($5, $6) AND (said, place) < ($7, $8) \
     ORDER BY said, place LIMIT $9";
pub(super) const ARCHIVE_NEWEST: &str = "SELECT line, said, place, stanza FROM archive WHERE user_jid = $1 AND room = $2 \
     AND said >= $3 AND said <= $4 AND (said, place) > ($5, $6) AND (said, place) < ($7, $8) \
     ORDER BY said DESC, place DESC LIMIT $9";
pub(super) const COUNT_ARCHIVE: &str = "SELECT COUNT(*) FROM archive WHERE user_jid = $1 AND room = $2 \
     AND said >= $3 AND said <= $4 AND (said, place) > ($5, $6) AND (said, place) < ($7, $8)";
/// The inner query finds the newest line that is one too many, if there is one.
pub(super) const TRIM_ARCHIVE: &str = "DELETE FROM archive WHERE user_jid = $1 AND room = $2 AND (said < $3 OR (said, place) <= \
     (SELECT said, place FROM archive WHERE user_jid = $1 AND room = $2 ORDER BY said DESC, place DESC LIMIT 1 OFFSET $4))";
pub(super) const EXPIRE_ARCHIVES: &str = "DELETE FROM archive WHERE said < $1";
pub(super) const REMOVE_ARCHIVES: &str = "DELETE FROM archive WHERE user_jid = $1";

/// All of the above, so that a test can have each database take them.
#[cfg(test)]
pub(super) const ALL: &[&str] = &[
    APPEND_MESSAGES,
    MESSAGE_LOG,
    EMPTY_MESSAGE_LOG,
    META,
    SAVE_META,
    CLAIM_DATA_KEY,
    ANY_DATA_KEY,
    DATA_KEY,
    DATA_KEYS_AFTER,
    REWRAP_DATA_KEY,
    REMOVE_DATA_KEY,
    REGISTRATION,
    SAVE_REGISTRATION,
    ADD_REGISTRATION,
    REMOVE_REGISTRATION,
    REGISTRATIONS_AFTER,
    RECORD_LOGIN,
    SAVE_ONLINE,
    ONLINE,
    NAMES,
    SAVE_NAME,
    NAME_OF_LOCALPART,
    REMOVE_NAMES,
    CONTACTS,
    SAVE_CONTACT,
    REMOVE_CONTACT,
    REMOVE_CONTACTS,
    ROSTER,
    SAVE_ROSTER,
    REMOVE_ROSTER_ENTRY,
    REMOVE_ROSTER,
    ROOMS,
    SAVE_ROOM,
    REMOVE_ROOM,
    REMOVE_ROOMS,
    PREFERENCES,
    SAVE_PREFERENCE,
    REMOVE_PREFERENCE,
    REMOVE_PREFERENCES,
    BOOKMARKS,
    SAVE_BOOKMARK,
    REMOVE_BOOKMARK,
    REMOVE_BOOKMARKS,
    MESSAGES,
    WAITING,
    REMOVE_MESSAGES,
    GRANTS,
    SAVE_GRANTS,
    REMOVE_GRANTS,
    APPEND_ARCHIVE,
    REPLACE_ARCHIVED,
    ARCHIVED,
    ARCHIVE_OLDEST,
    ARCHIVE_NEWEST,
    COUNT_ARCHIVE,
    TRIM_ARCHIVE,
    EXPIRE_ARCHIVES,
    REMOVE_ARCHIVES,
];
