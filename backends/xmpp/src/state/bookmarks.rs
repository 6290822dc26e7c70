//! Rooms that the account has bookmarks of (XEP-0402): those that its clients enter by themselves are the rooms the user is in.
//! Pure.

use minidom::Element;
use spectrum_backend_sdk::Event;
use spectrum_backend_sdk::model::{Nickname, OwnRoom, OwnRooms};

use super::rooms::MAX_ROOMS;
use crate::address::{parse, room as room_id};
use crate::ns;

/// Bytes of a name.
const MAX_NAME: usize = 1_024;

/// All of them, out of the answer to a question for them.
pub(crate) fn all(answer: &Element) -> Event {
    let items = answer
        .get_child("pubsub", ns::PUBSUB)
        .and_then(|pubsub| pubsub.get_child("items", ns::PUBSUB));
    let rooms = items.into_iter().flat_map(Element::children).filter_map(entered);
    Event::OwnRooms(OwnRooms::All(rooms.take(MAX_ROOMS).collect()))
}

/// What the account has been told of a change.
pub(super) fn changed(items: &Element) -> Vec<Event> {
    let change = |child: &Element| match child.name() {
        "retract" => Some(OwnRooms::Left(room_id(&address(child)?))),
        // Without its payload it says that something has changed, not what.
        "item" if !child.has_child("conference", ns::BOOKMARKS) => None,
        "item" => Some(match entered(child) {
            Some(room) => OwnRooms::Entered(room),
            None => OwnRooms::Left(room_id(&address(child)?)),
        }),
        _ => None,
    };
    items
        .children()
        .take(MAX_ROOMS)
        .filter_map(change)
        .map(Event::OwnRooms)
        .collect()
}

fn address(item: &Element) -> Option<jid::BareJid> {
    let jid = parse(item.attr("id")?).filter(|jid| jid.resource().is_none() && jid.node().is_some())?;
    Some(jid.into_bare())
}

/// The room of a bookmark, if clients are to be in it.
fn entered(item: &Element) -> Option<OwnRoom> {
    let conference = item.children().find(|child| child.is("conference", ns::BOOKMARKS))?;
    if !matches!(conference.attr("autojoin"), Some("true" | "1")) {
        return None;
    }
    let fits = |text: &str| !text.is_empty() && text.len() <= MAX_NAME;
    let nickname = conference.get_child("nick", ns::BOOKMARKS).map(Element::text);
    Some(OwnRoom {
        id: room_id(&address(item)?),
        name: conference.attr("name").filter(|name| fits(name)).map(str::to_owned),
        nickname: nickname.filter(|nick| fits(nick)).map(|nick| Nickname::from(nick.as_str())),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn own(id: &str, name: Option<&str>, nickname: Option<&str>) -> OwnRoom {
        OwnRoom {
            id: id.into(),
            name: name.map(str::to_owned),
            nickname: nickname.map(Nickname::from),
        }
    }

    #[test]
    fn bookmarks_that_are_entered_are_the_rooms_the_user_is_in() {
        let items = "<item id='a@muc.b'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='1' name='A'><nick>Me</nick></conference></item>\
            <item id='b@muc.b'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item>\
            <item id='c@muc.b'><conference xmlns='urn:xmpp:bookmarks:1' name='C'/></item>\
            <item id='muc.b'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item>\
            <item id='no jid@'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item><item id='d@muc.b'/>";
        let answer = format!(
            "<iq xmlns='jabber:client' type='result'><pubsub xmlns='{}'><items node='urn:xmpp:bookmarks:1'>{items}</items></pubsub></iq>",
            ns::PUBSUB
        );
        let (a, b) = (own("a@muc.b", Some("A"), Some("Me")), own("b@muc.b", None, None));
        let expected = Event::OwnRooms(OwnRooms::All(vec![a.clone(), b.clone()]));
        assert_eq!(all(&answer.parse().unwrap()), expected);
        let event = format!(
            "<items xmlns='{}' node='urn:xmpp:bookmarks:1'>{items}<retract id='e@muc.b'/></items>",
            ns::PUBSUB_EVENT
        );
        let left = |id: &str| OwnRooms::Left(id.into());
        let expected = [OwnRooms::Entered(a), OwnRooms::Entered(b), left("c@muc.b"), left("e@muc.b")];
        assert_eq!(changed(&event.parse().unwrap()), expected.map(Event::OwnRooms));
    }
}
