//! What every store must do, as one suite that each implementation runs. A case panics where a store falls short.

mod archive;

use std::sync::Arc;

use crate::model::{AvatarHash, ContactId, FormAnswers, Secret, Subscription, Timestamp, UserKey};
use crate::session::{JournalStage, StoreRequest};
use crate::session_task::SessionStore as _;
use crate::store::{
    ContactRecord, GuestSessions, MessageChanges, MessageRecord, NameRecord, NewRegistration, Registration, RegistrationSummary,
    RoomRecord, RosterEntry, RosterState, Store, StoreError, StoreOptions,
};

/// Runs every case, each on an empty store that `open` makes.
///
/// # Panics
/// Where the store does not do what [`Store`] promises.
pub async fn run(open: impl AsyncFn() -> Arc<dyn Store>) {
    registration_comes_back(&*open().await).await;
    changed_registration_keeps_its_history(&*open().await).await;
    only_a_new_registration_is_added(&*open().await).await;
    login_and_online_flag_are_kept(&*open().await).await;
    list_is_paged_in_order(&*open().await).await;
    removed_user_leaves_nothing(&*open().await).await;
    another_account_begins_with_nothing(&*open().await).await;
    names_are_unique_for_a_user(&*open().await).await;
    contacts_are_added_replaced_removed(&*open().await).await;
    roster_entries_are_kept(&*open().await).await;
    rooms_are_added_replaced_removed(&*open().await).await;
    bookmarks_are_kept(&*open().await).await;
    preferences_and_grants_are_kept(&*open().await).await;
    archive::pages_are_read_both_ways(&*open().await).await;
    archive::queries_are_bounded_by_time_and_lines(&*open().await).await;
    archive::lines_are_added_once_replaced_and_trimmed(&*open().await).await;
    archive::belongs_to_one_user_and_one_room(&*open().await).await;
    archive::room_secret_stays(&*open().await).await;
    messages_are_kept_changed_forgotten(&*open().await).await;
    messages_before_a_removal_go_and_those_after_it_stay(&*open().await).await;
    messages_without_a_fate_are_listed_by_age(&*open().await).await;
    users_do_not_see_each_other(&*open().await).await;
    odd_text_comes_back_or_is_refused(&*open().await).await;
    many_writers_at_once_lose_nothing(open().await).await;
    changes_of_a_session_are_kept_in_their_order(open().await).await;
    closed_store_refuses(&*open().await).await;
}

/// Databases as every earlier version left them, each made where `fresh` says.
///
/// # Panics
/// Where something of them is lost.
pub async fn past_versions(fresh: impl AsyncFn(i64) -> StoreOptions) {
    super::sql::past::run(fresh).await;
}

const ROMEO: &str = "romeo@montague.example";
const JULIET: &str = "juliet@capulet.example";

fn ok<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("the store refused: {error:?}"))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn account(name: &str, password: &str) -> NewRegistration {
    NewRegistration {
        legacy_name: name.into(),
        password: password.into(),
        settings: FormAnswers::new(),
    }
}

fn name(name: &str, localpart: &str) -> NameRecord {
    NameRecord {
        name: name.into(),
        localpart: localpart.to_owned(),
    }
}

async fn only_a_new_registration_is_added(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    assert!(ok(store.add_registration(&user, account("first", "1"), at(1)).await));
    assert!(!ok(store.add_registration(&user, account("second", "2"), at(2)).await));
    let kept = ok(store.load_registration(&user).await);
    assert_eq!(
        kept.map(|kept| (kept.legacy_name, kept.password, kept.created)),
        Some(("first".into(), "1".into(), at(1)))
    );
}

async fn registration_comes_back(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    assert_eq!(ok(store.load_registration(&user).await), None);
    let settings = FormAnswers::from([
        ("server".to_owned(), Secret::new("irc.example")),
        ("token".to_owned(), Secret::default()),
    ]);
    let new = NewRegistration {
        legacy_name: "Romeo M".into(),
        password: "s\u{e9}same".into(),
        settings,
    };
    ok(store.save_registration(&user, new.clone(), at(10)).await);
    let kept = ok(store.load_registration(&user).await).unwrap_or_else(|| panic!("the registration is gone"));
    assert_eq!(
        (kept.legacy_name, kept.password, kept.settings),
        (new.legacy_name, new.password, new.settings)
    );
    assert_eq!((kept.created, kept.last_login, kept.online), (at(10), None, false));
}

async fn changed_registration_keeps_its_history(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    ok(store.save_registration(&user, account("romeo", "old"), at(10)).await);
    ok(store.record_login(&user, at(20)).await);
    ok(store.save_contacts(&user, vec![ContactRecord::new("nurse")]).await);
    ok(store.save_registration(&user, account("Romeo", "new"), at(30)).await);
    let kept = ok(store.load_registration(&user).await).unwrap_or_else(|| panic!("the registration is gone"));
    assert_eq!((kept.legacy_name.as_str(), kept.password.expose()), ("Romeo", "new"));
    assert_eq!((kept.created, kept.last_login, kept.online), (at(10), Some(at(20)), true));
    assert_eq!(ok(store.load_contacts(&user).await).len(), 1);
}

async fn login_and_online_flag_are_kept(store: &dyn Store) {
    let (romeo, juliet) = (UserKey::from(ROMEO), UserKey::from(JULIET));
    ok(store.record_login(&romeo, at(1)).await);
    ok(store.save_online(&romeo, true).await);
    assert_eq!(ok(store.load_registration(&romeo).await), None, "a login registers nobody");
    for user in [&romeo, &juliet] {
        ok(store.save_registration(user, account("x", "y"), at(1)).await);
        ok(store.record_login(user, at(2)).await);
    }
    assert_eq!(ok(store.list_online().await), [juliet.clone(), romeo.clone()]);
    ok(store.save_online(&juliet, false).await);
    assert_eq!(ok(store.list_online().await), [romeo]);
    let kept = ok(store.load_registration(&juliet).await).unwrap_or_else(|| panic!("the registration is gone"));
    assert_eq!((kept.online, kept.last_login), (false, Some(at(2))));
}

async fn list_is_paged_in_order(store: &dyn Store) {
    // Not in order, and in an order that differs between locales.
    for user in ["b@x", "a_b@x", "aa@x", "a-b@x", "\u{e9}@x"] {
        ok(store.save_registration(&UserKey::from(user), account(user, "p"), at(5)).await);
    }
    let first = ok(store.list_registrations(None, 3).await);
    let last = first.last().map(|summary| summary.user.clone());
    let second = ok(store.list_registrations(last.as_ref(), 3).await);
    let users: Vec<&str> = first.iter().chain(&second).map(|summary| summary.user.as_str()).collect();
    assert_eq!(users, ["a-b@x", "a_b@x", "aa@x", "b@x", "\u{e9}@x"]);
    let expected = RegistrationSummary {
        user: "a-b@x".into(),
        legacy_name: "a-b@x".into(),
        created: at(5),
        last_login: None,
        online: false,
    };
    assert_eq!(first.first(), Some(&expected));
    assert_eq!(ok(store.list_registrations(Some(&"\u{e9}@x".into()), 3).await), []);
}

async fn removed_user_leaves_nothing(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    assert!(!ok(store.remove_user(&user).await));
    keep_something_of_everything(store, &user).await;
    assert!(ok(store.remove_user(&user).await));
    assert_eq!(ok(store.load_registration(&user).await), None);
    nothing_else_is_kept(store, &user).await;
    ok(store.save_registration(&user, account("romeo", "again"), at(9)).await);
    let kept = ok(store.load_registration(&user).await).unwrap_or_else(|| panic!("the registration is gone"));
    assert_eq!((kept.created, kept.password.expose()), (at(9), "again"));
}

async fn another_account_begins_with_nothing(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    keep_something_of_everything(store, &user).await;
    ok(store.record_login(&user, at(5)).await);
    ok(store.change_account(&user, account("montague", "other"), at(9)).await);
    let kept = ok(store.load_registration(&user).await).unwrap_or_else(|| panic!("the registration is gone"));
    let expected = Registration {
        legacy_name: "montague".into(),
        password: "other".into(),
        settings: account("", "").settings,
        created: at(9),
        last_login: None,
        online: false,
    };
    assert_eq!(kept, expected);
    nothing_else_is_kept(store, &user).await;
    // What is kept after it belongs to the new account.
    ok(store.save_names(&user, vec![name("nurse", "Nurse")]).await);
    assert_eq!(ok(store.load_names(&user).await), [name("nurse", "Nurse")]);
}

async fn keep_something_of_everything(store: &dyn Store, user: &UserKey) {
    ok(store.save_registration(user, account("romeo", "p"), at(1)).await);
    ok(store.save_names(user, vec![name("nurse", "nurse")]).await);
    ok(store.save_contacts(user, vec![ContactRecord::new("nurse")]).await);
    ok(store
        .save_room(
            user,
            RoomRecord {
                room: "#v".into(),
                nickname: "r".into(),
                password: Some("k".into()),
                viewers: Vec::new(),
            },
        )
        .await);
    ok(store.save_preference(user, "stay_connected", Some("true")).await);
}

async fn nothing_else_is_kept(store: &dyn Store, user: &UserKey) {
    assert_eq!(ok(store.load_names(user).await), []);
    assert_eq!(ok(store.load_contacts(user).await), []);
    assert_eq!(ok(store.load_rooms(user).await), []);
    assert!(ok(store.load_preferences(user).await).is_empty());
}

async fn names_are_unique_for_a_user(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    let names = vec![name("Nurse", "nurse"), name("nurse", "nurse-2"), name("Nurse", "nurse-3")];
    ok(store.save_names(&user, names.clone()).await);
    assert_eq!(ok(store.load_names(&user).await), names);
    ok(store.save_names(&user, names.clone()).await);

    match store
        .save_names(&user, vec![name("fresh", "fresh"), name("nurse", "nurse")])
        .await
    {
        Err(StoreError::NameTaken { localpart }) => assert_eq!(localpart, "nurse"),
        other => panic!("a localpart was given out twice: {other:?}"),
    }
    let twice = vec![name("a", "same"), name("b", "same")];
    assert!(matches!(
        store.save_names(&user, twice).await,
        Err(StoreError::NameTaken { .. })
    ));
    assert_eq!(ok(store.load_names(&user).await), names, "a refused call keeps nothing");
}

async fn contacts_are_added_replaced_removed(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    let full = ContactRecord {
        id: "Nurse".into(),
        alias: Some("The \"Nurse\"".to_owned()),
        groups: vec!["A, b".to_owned(), "c\nd".to_owned(), String::new()],
        subscription: Subscription::Ask,
        avatar: Some(AvatarHash::new("abc")),
    };
    ok(store
        .save_contacts(&user, vec![full.clone(), ContactRecord::new("nurse")])
        .await);
    assert_eq!(
        ok(store.load_contacts(&user).await),
        [full.clone(), ContactRecord::new("nurse")]
    );
    let bare = ContactRecord {
        alias: Some("N".to_owned()),
        ..ContactRecord::new("Nurse")
    };
    ok(store.save_contacts(&user, vec![bare.clone()]).await);
    assert_eq!(
        ok(store.load_contacts(&user).await),
        [bare.clone(), ContactRecord::new("nurse")]
    );
    ok(store.save_names(&user, vec![name("nurse", "nurse")]).await);
    assert!(ok(store.remove_contact(&user, &ContactId::from("nurse")).await));
    assert!(!ok(store.remove_contact(&user, &ContactId::from("nurse")).await));
    assert_eq!(ok(store.load_contacts(&user).await), [bare]);
    assert_eq!(ok(store.load_names(&user).await).len(), 1, "the localpart stays");
}

async fn roster_entries_are_kept(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    let entry = |jid: &str, state| RosterEntry {
        jid: jid.to_owned(),
        state,
    };
    let asked = vec![entry("a@x", RosterState::Asked), entry("b@x", RosterState::Asked)];
    ok(store.save_roster(&user, asked).await);
    ok(store.save_roster(&user, vec![entry("b@x", RosterState::Held)]).await);
    let expected = [entry("a@x", RosterState::Asked), entry("b@x", RosterState::Held)];
    assert_eq!(ok(store.load_roster(&user).await), expected);
    assert!(ok(store.remove_roster_entry(&user, "a@x").await));
    assert!(!ok(store.remove_roster_entry(&user, "a@x").await));
    ok(store.remove_user(&user).await);
    assert_eq!(ok(store.load_roster(&user).await), []);
}

async fn rooms_are_added_replaced_removed(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    let open = RoomRecord {
        room: "#Verona".into(),
        nickname: "romeo".into(),
        password: None,
        viewers: Vec::new(),
    };
    let locked = RoomRecord {
        room: "#crypt".into(),
        nickname: "romeo".into(),
        password: Some("key".into()),
        viewers: Vec::new(),
    };
    ok(store.save_room(&user, open.clone()).await);
    assert_eq!(ok(store.load_rooms(&user).await), std::slice::from_ref(&open));
    ok(store.save_room(&user, locked.clone()).await);
    assert_eq!(ok(store.load_rooms(&user).await), [open.clone(), locked.clone()]);
    let renamed = RoomRecord {
        nickname: "Romeo_".into(),
        password: None,
        viewers: vec!["orchard".to_owned(), "a b".to_owned()],
        ..locked
    };
    ok(store.save_room(&user, renamed.clone()).await);
    assert_eq!(ok(store.load_rooms(&user).await), [open.clone(), renamed.clone()]);
    assert!(ok(store.remove_room(&user, &open.room).await));
    assert!(!ok(store.remove_room(&user, &open.room).await));
    assert_eq!(ok(store.load_rooms(&user).await), [renamed]);
}

async fn bookmarks_are_kept(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    let text = |text: &str| Some(text.to_owned());
    let change = |changes: &[(&str, Option<String>)]| {
        changes
            .iter()
            .map(|(room, entry)| ((*room).to_owned(), entry.clone()))
            .collect()
    };
    assert!(ok(store.load_bookmarks(&user).await).is_empty());
    let first = change(&[("#a@irc", text("1")), ("#b@irc", text("1")), ("#c@irc", None)]);
    ok(store.save_bookmarks(&user, first).await);
    ok(store
        .save_bookmarks(&user, change(&[("#a@irc", None), ("#b@irc", text("2"))]))
        .await);
    let expected = [("#b@irc".to_owned(), "2".to_owned())];
    assert_eq!(ok(store.load_bookmarks(&user).await), expected.into());
    let bad = store
        .save_bookmarks(&user, change(&[("#d@irc", text("3")), ("#e@irc", text("\0"))]))
        .await;
    assert!(matches!(bad, Err(StoreError::Invalid { .. })), "{bad:?}");
    assert_eq!(ok(store.load_bookmarks(&user).await).len(), 1, "all or none");
    ok(store.remove_user(&user).await);
    assert!(ok(store.load_bookmarks(&user).await).is_empty());
}

async fn preferences_and_grants_are_kept(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    ok(store.save_preference(&user, "a", Some("1")).await);
    ok(store.save_preference(&user, "a", Some("2")).await);
    ok(store.save_preference(&user, "b", Some("")).await);
    ok(store.save_preference(&user, "c", None).await);
    let expected = [("a".to_owned(), "2".to_owned()), ("b".to_owned(), String::new())];
    assert_eq!(ok(store.load_preferences(&user).await), expected.into());
    ok(store.save_preference(&user, "a", None).await);
    assert_eq!(
        ok(store.load_preferences(&user).await),
        [("b".to_owned(), String::new())].into()
    );

    ok(store.save_grants("montague.example", Some("roster=get")).await);
    ok(store.save_grants("montague.example", Some("roster=both")).await);
    ok(store.save_grants("capulet.example", Some("roster=both")).await);
    ok(store.save_grants("capulet.example", None).await);
    let expected = [("montague.example".to_owned(), "roster=both".to_owned())];
    assert_eq!(ok(store.load_grants().await), expected.into());
}

fn message(seq: u64, stage: JournalStage, text: &str) -> MessageRecord {
    MessageRecord {
        seq,
        at: at(i64::try_from(seq).unwrap_or_default()),
        stage,
        entry: format!("{{\"m\":\"{text}\"}}"),
    }
}

async fn change_messages(store: &dyn Store, user: &UserKey, put: Vec<MessageRecord>, removed: Vec<u64>) {
    let commit = ok(store.save_messages(user, MessageChanges { put, removed }).await);
    ok(commit.done().await);
}

async fn messages_are_kept_changed_forgotten(store: &dyn Store) {
    let (romeo, juliet) = (UserKey::from(ROMEO), UserKey::from("o'hara\"\\@x"));
    let far = message(1_700_000_000_000 << 8, JournalStage::Waits, "far");
    let first = message(1, JournalStage::HandedOver, "a \\\"quoted\\\" \u{1f980} \\n line");
    change_messages(store, &romeo, vec![far.clone(), first.clone()], Vec::new()).await;
    change_messages(store, &juliet, vec![first.clone()], Vec::new()).await;
    assert_eq!(ok(store.load_messages(&romeo).await), [first.clone(), far.clone()]);

    let known = message(1, JournalStage::Known, "ids");
    let again = message(1, JournalStage::Waits, "of two words the last counts");
    let both = vec![again, known.clone(), message(2, JournalStage::Waits, "new")];
    change_messages(store, &romeo, both, vec![far.seq, 77]).await;
    assert_eq!(
        ok(store.load_messages(&romeo).await),
        [known, message(2, JournalStage::Waits, "new")]
    );
    assert_eq!(ok(store.load_messages(&juliet).await), std::slice::from_ref(&first));
    change_messages(store, &romeo, Vec::new(), Vec::new()).await;
    ok(store.remove_user(&romeo).await);
    assert_eq!(ok(store.load_messages(&romeo).await), []);
    assert_eq!(ok(store.load_messages(&juliet).await), [first]);
}

/// All of it may be in one batch of the writer.
async fn messages_before_a_removal_go_and_those_after_it_stay(store: &dyn Store) {
    let romeo = UserKey::from(ROMEO);
    let put = |seq| MessageChanges {
        put: vec![message(seq, JournalStage::Waits, "a")],
        removed: Vec::new(),
    };
    let (first, removed, registered, second) = futures_util::future::join4(
        store.save_messages(&romeo, put(1)),
        store.remove_user(&romeo),
        store.save_registration(&romeo, account("r", "p"), at(1)),
        store.save_messages(&romeo, put(2)),
    )
    .await;
    ok(ok(first).done().await);
    ok(removed);
    ok(registered);
    ok(ok(second).done().await);
    assert_eq!(ok(store.load_messages(&romeo).await), [message(2, JournalStage::Waits, "a")]);
}

/// More than the writer takes at once.
async fn changes_of_a_session_are_kept_in_their_order(store: Arc<dyn Store>) {
    let user = UserKey::from(ROMEO);
    let setting = |number: u32| StoreRequest::SaveSetting {
        name: "encoding".to_owned(),
        value: number.to_string(),
    };
    let sessions = GuestSessions::new(Arc::clone(&store));
    sessions.save(&user, (0..2_000).map(setting).collect()).await;
    let kept = ok(store.load_preferences(&user).await);
    assert_eq!(kept.get("encoding").map(String::as_str), Some("1999"));
}

async fn messages_without_a_fate_are_listed_by_age(store: &dyn Store) {
    let (romeo, juliet) = (UserKey::from(ROMEO), UserKey::from(JULIET));
    let old = message(10, JournalStage::Waits, "old");
    let older = message(5, JournalStage::HandedOver, "older");
    let known = message(6, JournalStage::Known, "ids");
    let young = message(90, JournalStage::Waits, "young");
    change_messages(store, &romeo, vec![old.clone(), known, young], Vec::new()).await;
    change_messages(store, &juliet, vec![older.clone()], Vec::new()).await;
    assert_eq!(
        ok(store.list_waiting(at(50), 10).await),
        [(juliet.clone(), older.clone()), (romeo, old)]
    );
    assert_eq!(ok(store.list_waiting(at(50), 1).await), [(juliet, older)]);
}

async fn users_do_not_see_each_other(store: &dyn Store) {
    let (romeo, juliet) = (UserKey::from(ROMEO), UserKey::from(JULIET));
    for (user, other) in [(&romeo, "r"), (&juliet, "j")] {
        ok(store.save_registration(user, account(other, other), at(1)).await);
        ok(store.save_names(user, vec![name(other, "same")]).await);
        ok(store
            .save_contacts(
                user,
                vec![ContactRecord {
                    alias: Some(other.to_owned()),
                    ..ContactRecord::new("same")
                }],
            )
            .await);
        ok(store
            .save_room(
                user,
                RoomRecord {
                    room: "#x".into(),
                    nickname: other.into(),
                    password: Some(other.into()),
                    viewers: Vec::new(),
                },
            )
            .await);
        ok(store.save_preference(user, "same", Some(other)).await);
    }
    assert!(ok(store.remove_user(&juliet).await));
    assert!(ok(store.load_registration(&romeo).await).is_some_and(|kept| kept.password.expose() == "r"));
    assert_eq!(ok(store.load_names(&romeo).await), [name("r", "same")]);
    assert_eq!(ok(store.load_contacts(&romeo).await)[0].alias.as_deref(), Some("r"));
    assert_eq!(ok(store.load_rooms(&romeo).await)[0].password, Some("r".into()));
    assert_eq!(ok(store.load_preferences(&romeo).await)["same"], "r");
}

async fn odd_text_comes_back_or_is_refused(store: &dyn Store) {
    let user = UserKey::from("o'hara%net\"\\;--@x");
    let odd = "'; DROP TABLE names; -- \u{1f980}\u{202e}\n\u{7f}$1?";
    let long = "x".repeat(100_000);
    for text in [odd, long.as_str(), ""] {
        ok(store
            .save_registration(&user, account(text, text), at(i64::MAX / 2_000))
            .await);
        ok(store
            .save_names(&user, vec![name(text, text.get(..10).unwrap_or(text))])
            .await);
        let kept = ok(store.load_registration(&user).await);
        assert!(kept.is_some_and(|kept| kept.legacy_name.as_str() == text && kept.password.expose() == text));
    }
    assert!(ok(store.load_names(&user).await).iter().any(|name| name.name.as_str() == odd));
    let nul = store.save_registration(&user, account("a\0b", ""), at(1)).await;
    assert!(matches!(nul, Err(StoreError::Invalid { what: "legacy name" })));
    let nul = store.save_preference(&UserKey::from("a\0b"), "k", Some("v")).await;
    assert!(matches!(nul, Err(StoreError::Invalid { what: "user" })));
}

async fn many_writers_at_once_lose_nothing(store: Arc<dyn Store>) {
    const WRITERS: usize = 200;
    let tasks = crate::tasks::Tasks::new();
    let running: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tasks.spawn("conformance", tracing::Span::none(), async move {
                let user = UserKey::from(format!("user{writer:03}@x"));
                ok(store.save_registration(&user, account("n", "p"), at(1)).await);
                ok(store.record_login(&user, at(2)).await);
                // One in ten is refused, in the midst of the others' batch.
                if writer % 10 == 0 {
                    let twice = vec![name("a", "s"), name("b", "s")];
                    assert!(matches!(
                        store.save_names(&user, twice).await,
                        Err(StoreError::NameTaken { .. })
                    ));
                }
                ok(store.load_registration(&user).await).is_some_and(|kept| kept.online)
            })
        })
        .collect();
    for task in running {
        assert!(task.await == Ok(true), "a writer did not read what it wrote");
    }
    assert_eq!(ok(store.list_online().await).len(), WRITERS);
}

async fn closed_store_refuses(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    ok(store.save_registration(&user, account("n", "p"), at(1)).await);
    store.close().await;
    store.close().await;
    assert!(matches!(store.save_online(&user, true).await, Err(StoreError::Closed)));
    assert!(matches!(store.load_registration(&user).await, Err(StoreError::Closed)));
}
