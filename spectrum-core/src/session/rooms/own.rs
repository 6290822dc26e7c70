//! Rooms that the user is in on the network itself, under the addresses they have here, for the user's bookmarks. Owns nothing.

use crate::model::{LegacyName, OwnRoom, OwnRooms};
use crate::session::publication::{Bookmark, Bookmarks, Publication};
use crate::session::text::shorten;
use crate::session::{Cx, Output};

/// Bytes of a name.
const MAX_NAME_BYTES: usize = 512;

/// The network says which.
pub(super) fn changed(cx: &mut Cx<'_>, own: OwnRooms) {
    let bookmarks = match own {
        OwnRooms::All(rooms) => {
            let most = cx.config.limits.rooms;
            if rooms.len() > most {
                // Not all, so that none of the others may be taken for one that was left.
                for room in rooms.into_iter().take(most) {
                    let added = Bookmarks::Added(bookmark(cx, room));
                    cx.out.push(Output::Publish(Publication::Bookmarks(added)));
                }
                return;
            }
            Bookmarks::All(rooms.into_iter().map(|room| bookmark(cx, room)).collect())
        }
        OwnRooms::Entered(room) => Bookmarks::Added(bookmark(cx, room)),
        OwnRooms::Left(room) => Bookmarks::Removed(cx.address(&LegacyName::from(&room))),
    };
    cx.out.push(Output::Publish(Publication::Bookmarks(bookmarks)));
}

fn bookmark(cx: &mut Cx<'_>, room: OwnRoom) -> Bookmark {
    Bookmark {
        room: cx.address(&LegacyName::from(&room.id)),
        name: room.name.as_deref().and_then(plain),
        nickname: room.nickname.as_ref().and_then(|nickname| plain(nickname.as_str())),
    }
}

/// A name as every server gives it back: white space is one blank between words, and an empty name is none.
fn plain(name: &str) -> Option<String> {
    let words: Vec<&str> = name
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let name = words.join(" ");
    (!name.is_empty()).then(|| shorten(&name, MAX_NAME_BYTES).trim_end().to_owned())
}
