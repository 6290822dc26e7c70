//! What goes into the user's own account: rooms they are in, and how far they have read.

use super::*;
use crate::model::{Marker, MarkerKind, Origin, OwnRoom, OwnRooms};
use crate::session::{Bookmark, Bookmarks, Publication};

fn published(stage: &mut Stage) -> Vec<Publication> {
    let publication = |output| match output {
        Output::Publish(publication) => Some(publication),
        _ => None,
    };
    std::mem::take(&mut stage.out).into_iter().filter_map(publication).collect()
}

fn own(id: &str, name: &str) -> OwnRoom {
    OwnRoom {
        id: id.into(),
        name: Some(name.to_owned()),
        nickname: Some("me".into()),
    }
}

fn bookmark(room: &str, name: Option<&str>) -> Bookmark {
    Bookmark {
        room: BareJid::new(room).unwrap(),
        name: name.map(str::to_owned),
        nickname: Some("me".to_owned()),
    }
}

#[test]
fn rooms_of_the_users_are_published_under_the_addresses_they_have_here() {
    let mut stage = Stage::new();
    let all = vec![own("#r", "Room"), own("#x y", "")];
    stage.event(Event::OwnRooms(OwnRooms::All(all)));
    let expected = Bookmarks::All(vec![
        bookmark("#r@net.example", Some("Room")),
        bookmark("#x\\20y@net.example", None),
    ]);
    assert_eq!(published(&mut stage), [Publication::Bookmarks(expected)]);
    stage.event(Event::OwnRooms(OwnRooms::Entered(own("#r", "Other"))));
    stage.event(Event::OwnRooms(OwnRooms::Left("#r".into())));
    assert_eq!(
        published(&mut stage),
        [
            Publication::Bookmarks(Bookmarks::Added(bookmark("#r@net.example", Some("Other")))),
            Publication::Bookmarks(Bookmarks::Removed(BareJid::new("#r@net.example").unwrap())),
        ]
    );
}

#[test]
fn a_list_of_rooms_is_bounded_and_one_that_is_cut_is_not_taken_for_all() {
    let mut stage = Stage::new();
    let most = stage.config.limits.rooms;
    let all = (0..most + 5).map(|n| own(&format!("#r{n}"), "")).collect();
    stage.event(Event::OwnRooms(OwnRooms::All(all)));
    let published = published(&mut stage);
    assert_eq!(published.len(), most);
    let is_one = |it: &Publication| matches!(it, Publication::Bookmarks(Bookmarks::Added(_)));
    assert!(published.iter().all(is_one));
}

#[test]
fn names_are_published_as_every_server_gives_them_back() {
    let mut stage = Stage::new();
    let odd = OwnRoom {
        nickname: Some("".into()),
        ..own("#r", " two\t\nwords\u{1} ")
    };
    stage.event(Event::OwnRooms(OwnRooms::Entered(odd)));
    let plain = Bookmark {
        nickname: None,
        ..bookmark("#r@net.example", Some("two words"))
    };
    assert_eq!(published(&mut stage), [Publication::Bookmarks(Bookmarks::Added(plain))]);
}

#[test]
fn what_the_user_has_read_elsewhere_is_published_and_what_others_have_is_not() {
    let mut stage = Stage::inside();
    let marked = |origin, kind| {
        Event::Marked(Marker {
            chat: Chat::Room(ROOM.into()),
            nickname: Some("me".into()),
            id: "net7".into(),
            kind,
            origin,
        })
    };
    stage.event(marked(Origin::Other, MarkerKind::Displayed));
    stage.event(marked(Origin::OwnOtherDevice, MarkerKind::Delivered));
    assert_eq!(published(&mut stage), []);
    stage.event(marked(Origin::OwnOtherDevice, MarkerKind::Displayed));
    let room = BareJid::new("#r@net.example").unwrap();
    assert_eq!(
        published(&mut stage),
        [Publication::Displayed {
            chat: room.clone(),
            id: "net7".to_owned(),
            by: room,
        }]
    );
}
