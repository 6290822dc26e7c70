//! Rooms that the user is in on the network itself, under the addresses they have here, for the user's bookmarks. Owns nothing.

use crate::model::{LegacyName, OwnRoom, OwnRooms};
use crate::session::publication::{Bookmark, Bookmarks, Publication};
use crate::session::{Cx, Output};

/// The network says which.
pub(super) fn changed(cx: &mut Cx<'_>, own: OwnRooms) {
    let bookmarks = match own {
        OwnRooms::All(rooms) => {
            let most = cx.config.limits.rooms;
            Bookmarks::All(rooms.into_iter().take(most).map(|room| bookmark(cx, room)).collect())
        }
        OwnRooms::Entered(room) => Bookmarks::Added(bookmark(cx, room)),
        OwnRooms::Left(room) => Bookmarks::Removed(cx.address(&LegacyName::from(&room))),
    };
    cx.out.push(Output::Publish(Publication::Bookmarks(bookmarks)));
}

fn bookmark(cx: &mut Cx<'_>, room: OwnRoom) -> Bookmark {
    Bookmark {
        room: cx.address(&LegacyName::from(&room.id)),
        name: room.name.filter(|name| !name.is_empty()),
        nickname: room.nickname.map(|nickname| nickname.as_str().to_owned()),
    }
}
