//! What a store must do with the archives of rooms.

use super::{JULIET, ROMEO, ok};
use crate::model::{Timestamp, UserKey};
use crate::session::archive::{
    ArchiveAnswer, ArchiveBounds, ArchiveChange, ArchivePage, ArchiveQuery, ArchiveRequest, ArchivedLine,
};
use crate::store::Store;

const ROOM: &str = "#verona";

fn line(n: i64) -> ArchivedLine {
    ArchivedLine {
        id: format!("id {n}"),
        at: Timestamp::from_secs(n),
        order: n * 10,
        stanza: format!("<message>{n}</message>"),
    }
}

async fn fill(store: &dyn Store, lines: impl IntoIterator<Item = i64>) {
    let append = ArchiveChange::Append(lines.into_iter().map(line).collect());
    assert!(ok(store.change_archive(&UserKey::from(ROMEO), ROOM, append).await));
}

async fn ask(store: &dyn Store, what: ArchiveRequest) -> ArchiveAnswer {
    ok(store.ask_archive(&UserKey::from(ROMEO), ROOM, &what).await)
}

async fn page(store: &dyn Store, query: ArchiveQuery) -> ArchivePage {
    match ask(store, ArchiveRequest::Page(query)).await {
        ArchiveAnswer::Page(page) => page,
        ArchiveAnswer::UnknownId => panic!("the archive does not know a line it was given"),
    }
}

fn numbers(page: &ArchivePage) -> Vec<i64> {
    page.lines.iter().map(|line| line.at.as_millis() / 1_000).collect()
}

fn ids(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(|n| format!("id {n}")).collect()
}

pub(super) async fn pages_are_read_both_ways(store: &dyn Store) {
    // Not in their order, and two of one moment.
    fill(store, [5, 3, 4, 1, 2]).await;
    let twin = ArchivedLine {
        order: 31,
        id: "twin".to_owned(),
        ..line(3)
    };
    ok(store
        .change_archive(&UserKey::from(ROMEO), ROOM, ArchiveChange::Append(vec![twin]))
        .await);
    let limit = 2;
    let mut query = ArchiveQuery {
        limit,
        ..ArchiveQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let found = page(store, query.clone()).await;
        seen.extend(numbers(&found));
        if found.complete {
            break;
        }
        query.after = found.lines.last().map(|line| line.id.clone()).into_iter().collect();
    }
    assert_eq!(seen, [1, 2, 3, 3, 4, 5]);

    let mut query = ArchiveQuery {
        limit,
        newest: true,
        ..ArchiveQuery::default()
    };
    let newest = page(store, query.clone()).await;
    assert_eq!((numbers(&newest), newest.complete), (vec![4, 5], false));
    query.before = ids(&[3]);
    let oldest = page(store, query).await;
    assert_eq!((numbers(&oldest), oldest.complete), (vec![1, 2], true));
}

pub(super) async fn queries_are_bounded_by_time_and_lines(store: &dyn Store) {
    assert_eq!(
        ask(store, ArchiveRequest::Ends).await,
        ArchiveAnswer::Page(ArchivePage {
            complete: true,
            ..ArchivePage::default()
        })
    );
    fill(store, 1..=9).await;
    let all = ArchiveQuery {
        limit: 100,
        ..ArchiveQuery::default()
    };
    let between = ArchiveQuery {
        start: Some(Timestamp::from_secs(3)),
        end: Some(Timestamp::from_secs(7)),
        after: ids(&[2, 4]),
        before: ids(&[9, 7]),
        ..all.clone()
    };
    assert_eq!(numbers(&page(store, between.clone()).await), [5, 6]);
    let counted = ArchiveQuery { limit: 0, ..between };
    assert_eq!(page(store, counted).await.count, Some(2));
    let named = ArchiveQuery {
        ids: ids(&[8, 2]),
        ..all.clone()
    };
    assert_eq!(numbers(&page(store, named).await), [2, 8]);
    for (after, before, named) in [
        (ids(&[77]), vec![], vec![]),
        (vec![], ids(&[77]), vec![]),
        (vec![], vec![], ids(&[1, 77])),
    ] {
        let unknown = ArchiveQuery {
            after,
            before,
            ids: named,
            ..all.clone()
        };
        assert_eq!(ask(store, ArchiveRequest::Page(unknown)).await, ArchiveAnswer::UnknownId);
    }
    let ArchiveAnswer::Page(ends) = ask(store, ArchiveRequest::Ends).await else {
        panic!("the ends name no line")
    };
    assert_eq!(numbers(&ends), [1, 9]);
}

pub(super) async fn lines_are_added_once_replaced_and_trimmed(store: &dyn Store) {
    let user = UserKey::from(ROMEO);
    fill(store, 1..=9).await;
    let again = ArchivedLine {
        stanza: "<message>another</message>".to_owned(),
        ..line(4)
    };
    assert!(!ok(store
        .change_archive(&user, ROOM, ArchiveChange::Append(vec![again]))
        .await));
    let replace = |id: &str| ArchiveChange::Replace {
        id: id.to_owned(),
        stanza: "<message>gone</message>".to_owned(),
    };
    assert!(ok(store.change_archive(&user, ROOM, replace("id 5")).await));
    assert!(!ok(store.change_archive(&user, ROOM, replace("id 77")).await));
    let trim = |oldest, lines| {
        ArchiveChange::Trim(ArchiveBounds {
            oldest: Timestamp::from_secs(oldest),
            lines,
        })
    };
    assert!(!ok(store.change_archive(&user, ROOM, trim(0, 9)).await));
    assert!(ok(store.change_archive(&user, ROOM, trim(3, 100)).await));
    assert!(ok(store.change_archive(&user, ROOM, trim(0, 6)).await));
    let all = ArchiveQuery {
        limit: 100,
        ..ArchiveQuery::default()
    };
    let left = page(store, all.clone()).await;
    assert_eq!(numbers(&left), [4, 5, 6, 7, 8, 9]);
    let texts: Vec<_> = left.lines.iter().map(|line| line.stanza.as_str()).collect();
    assert_eq!(
        texts[..3],
        ["<message>4</message>", "<message>gone</message>", "<message>6</message>"]
    );
    assert!(ok(store.expire_archives(Timestamp::from_secs(9)).await));
    assert!(!ok(store.expire_archives(Timestamp::from_secs(9)).await));
    assert_eq!(numbers(&page(store, all).await), [9]);
    let nul = ArchivedLine {
        stanza: "\0".to_owned(),
        ..line(10)
    };
    let refused = store.change_archive(&user, ROOM, ArchiveChange::Append(vec![nul])).await;
    assert!(refused.is_err());
}

pub(super) async fn belongs_to_one_user_and_one_room(store: &dyn Store) {
    fill(store, 1..=3).await;
    let (romeo, juliet) = (UserKey::from(ROMEO), UserKey::from(JULIET));
    let nothing = ArchiveAnswer::Page(ArchivePage {
        complete: true,
        ..ArchivePage::default()
    });
    let ends = ArchiveRequest::Ends;
    assert_eq!(ok(store.ask_archive(&juliet, ROOM, &ends).await), nothing);
    assert_eq!(ok(store.ask_archive(&romeo, "#mantua", &ends).await), nothing);
    ok(store.remove_user(&romeo).await);
    assert_eq!(ok(store.ask_archive(&romeo, ROOM, &ends).await), nothing);
}

pub(super) async fn room_secret_stays(store: &dyn Store) {
    let first = ok(store.room_secret().await);
    assert_ne!(first, [0; 32]);
    assert_eq!(ok(store.room_secret().await), first);
}
