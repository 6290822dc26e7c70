//! Bookmarks of rooms (XEP-0402): what is to be done to those of an account. Pure.
//!
//! Only what we have put there is changed, and only while it still is as we put it: a bookmark that the user made or
//! changed is theirs, and one that they took out stays out until the network says that they have left the room.

use std::collections::BTreeMap;

use jid::BareJid;
use minidom::Element;
use serde::{Deserialize, Serialize};
use spectrum_core::session::Bookmark;
use spectrum_core::xml::text_element;
use xmpp_parsers::ns;

/// The node, and the namespace of its items.
pub(super) const NODE: &str = "urn:xmpp:bookmarks:1";
/// Bookmarks of an account that are looked at.
const MOST_HELD: usize = 4_096;

/// What a bookmark says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    #[serde(default)]
    autojoin: bool,
}

/// What is known of the bookmark of a room that the network says the user is in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entry {
    /// We have put it there, like this.
    Ours(Shape),
    /// The user has changed it or taken it out.
    Theirs,
    /// It could not be put there; the user was invited to the room instead.
    Invited,
}

/// A bookmark in an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Held {
    shape: Shape,
    /// It says more than we ever say.
    has_more: bool,
}

/// What there is to decide by.
pub(super) struct Situation<'a> {
    pub(super) rooms: &'a BTreeMap<BareJid, Option<Bookmark>>,
    /// The rooms are all there are.
    pub(super) is_whole: bool,
    /// Clients are to enter them.
    pub(super) autojoin: bool,
    /// Of an account that the user had before.
    pub(super) forgotten: &'a BTreeMap<BareJid, Entry>,
    pub(super) known: &'a BTreeMap<BareJid, Entry>,
    pub(super) held: &'a BTreeMap<BareJid, Held>,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Put it there.
    Publish(BareJid, Shape),
    /// Take it out.
    Retract(BareJid),
    /// Know this of it from now on.
    Note(BareJid, Option<Entry>),
}

impl Entry {
    /// As it is kept.
    pub(super) fn text(&self) -> String {
        // A structure of texts always has a JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What is kept; what cannot be read is taken as the user's own, which is left alone.
pub(super) fn read_entries(kept: BTreeMap<String, String>) -> BTreeMap<BareJid, Entry> {
    kept.into_iter()
        .filter_map(|(room, entry)| {
            let entry = serde_json::from_str(&entry).unwrap_or(Entry::Theirs);
            Some((BareJid::new(&room).ok()?, entry))
        })
        .collect()
}

impl Shape {
    fn of(bookmark: &Bookmark, autojoin: bool) -> Self {
        Self {
            name: bookmark.name.clone(),
            nickname: bookmark.nickname.clone(),
            autojoin,
        }
    }

    /// The bookmark.
    pub(super) fn item(&self) -> Element {
        let mut conference = Element::bare("conference", NODE);
        if let Some(name) = &self.name {
            spectrum_core::xml::set(&mut conference, "name", name);
        }
        if self.autojoin {
            spectrum_core::xml::set(&mut conference, "autojoin", "true");
        }
        if let Some(nickname) = &self.nickname {
            conference.append_child(text_element("nick", NODE, nickname));
        }
        conference
    }
}

/// The bookmarks in an answer that are of rooms at the transport.
pub(super) fn held(answer: &Element, transport: &BareJid) -> BTreeMap<BareJid, Held> {
    let items = answer
        .get_child("items", ns::PUBSUB)
        .filter(|items| items.attr("node") == Some(NODE));
    items
        .into_iter()
        .flat_map(Element::children)
        .filter_map(|item| {
            let room = BareJid::new(item.attr("id")?).ok()?;
            let conference = item.get_child("conference", NODE)?;
            (room.domain() == transport.domain()).then(|| (room, read(conference)))
        })
        .take(MOST_HELD)
        .collect()
}

fn read(conference: &Element) -> Held {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let nick = conference.get_child("nick", NODE).map(Element::text);
    let shape = Shape {
        name: conference.attr("name").and_then(text),
        nickname: nick.as_deref().and_then(text),
        autojoin: matches!(conference.attr("autojoin"), Some("true" | "1")),
    };
    let is_said = |child: &Element| child.is("nick", NODE) || (child.is("extensions", NODE) && child.nodes().next().is_none());
    let has_more = !conference.children().all(is_said);
    Held { shape, has_more }
}

/// What is to be done, room by room.
pub(super) fn plan(at: &Situation<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (room, bookmark) in at.rooms {
        match bookmark {
            Some(bookmark) => enter(at, room, Shape::of(bookmark, at.autojoin), &mut steps),
            None => leave(at, room, &mut steps),
        }
    }
    for room in at.known.keys().filter(|room| !at.rooms.contains_key(*room)) {
        if at.is_whole || at.forgotten.contains_key(room) {
            leave(at, room, &mut steps);
        }
    }
    steps
}

fn enter(at: &Situation<'_>, room: &BareJid, wanted: Shape, steps: &mut Vec<Step>) {
    // Who was invited has no bookmark of ours.
    let known = at.known.get(room).filter(|known| **known != Entry::Invited);
    let held = at.held.get(room);
    let is_as = |held: &Held, shape: &Shape| !held.has_more && held.shape == *shape;
    match (known, held) {
        (None, None) => steps.push(Step::Publish(room.clone(), wanted)),
        // We have put it there and could not keep that we did, or the user did just that: it is the same.
        (None, Some(held)) if is_as(held, &wanted) => steps.push(Step::Note(room.clone(), Some(Entry::Ours(wanted)))),
        (None, Some(_)) => steps.push(Step::Note(room.clone(), Some(Entry::Theirs))),
        (Some(Entry::Theirs | Entry::Invited), _) => {}
        (Some(Entry::Ours(put)), Some(held)) if is_as(held, put) => {
            if *put != wanted {
                steps.push(Step::Publish(room.clone(), wanted));
            }
        }
        // It has been changed by us, and it could not be kept that it was.
        (Some(Entry::Ours(_)), Some(held)) if is_as(held, &wanted) => {
            steps.push(Step::Note(room.clone(), Some(Entry::Ours(wanted))));
        }
        (Some(Entry::Ours(_)), Some(_) | None) => steps.push(Step::Note(room.clone(), Some(Entry::Theirs))),
    }
}

fn leave(at: &Situation<'_>, room: &BareJid, steps: &mut Vec<Step>) {
    match (at.known.get(room), at.held.get(room)) {
        (Some(Entry::Ours(put)), Some(held)) if !held.has_more && held.shape == *put => {
            steps.push(Step::Retract(room.clone()));
        }
        (Some(_), _) => steps.push(Step::Note(room.clone(), None)),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn room(name: &str) -> BareJid {
        BareJid::new(&format!("{name}@irc.localhost")).unwrap()
    }

    fn shape(name: &str) -> Shape {
        Shape {
            name: Some(name.to_owned()),
            nickname: Some("Me".to_owned()),
            autojoin: true,
        }
    }

    fn there(shape: Shape) -> Held {
        Held { shape, has_more: false }
    }

    fn bookmark(room: BareJid, name: &str) -> Bookmark {
        Bookmark {
            room,
            name: Some(name.to_owned()),
            nickname: Some("Me".to_owned()),
        }
    }

    /// What is done for one room that the user is in under this name, or has left.
    fn steps(in_it: Option<&str>, known: Option<Entry>, held: Option<Held>) -> Vec<Step> {
        let at = || room("a");
        plan(&Situation {
            rooms: &[(at(), in_it.map(|name| bookmark(at(), name)))].into(),
            is_whole: false,
            autojoin: true,
            forgotten: &BTreeMap::new(),
            known: &known.into_iter().map(|entry| (at(), entry)).collect(),
            held: &held.into_iter().map(|held| (at(), held)).collect(),
        })
    }

    #[test]
    fn a_room_gets_a_bookmark_that_follows_its_name_and_goes_with_it() {
        let publish = |name| vec![Step::Publish(room("a"), shape(name))];
        assert_eq!(steps(Some("A"), None, None), publish("A"));
        let ours = || Some(Entry::Ours(shape("A")));
        assert_eq!(steps(Some("A"), ours(), Some(there(shape("A")))), []);
        assert_eq!(steps(Some("B"), ours(), Some(there(shape("A")))), publish("B"));
        assert_eq!(steps(None, ours(), Some(there(shape("A")))), [Step::Retract(room("a"))]);
        assert_eq!(steps(None, None, None), []);
        assert_eq!(steps(Some("A"), Some(Entry::Invited), None), publish("A"));
        assert_eq!(steps(None, Some(Entry::Invited), None), [Step::Note(room("a"), None)]);
    }

    #[test]
    fn what_the_user_made_changed_or_removed_is_left_alone() {
        let theirs = || vec![Step::Note(room("a"), Some(Entry::Theirs))];
        let ours = || Some(Entry::Ours(shape("A")));
        let quiet = || {
            there(Shape {
                autojoin: false,
                ..shape("A")
            })
        };
        let more = || Held {
            has_more: true,
            ..there(shape("A"))
        };
        for held in [quiet(), more(), there(shape("Mine"))] {
            assert_eq!(steps(Some("A"), None, Some(held.clone())), theirs());
            assert_eq!(steps(Some("A"), ours(), Some(held.clone())), theirs());
            assert_eq!(steps(Some("B"), Some(Entry::Theirs), Some(held.clone())), []);
            // It stays there when the room is left, and the next time is another.
            for known in [ours(), Some(Entry::Theirs)] {
                assert_eq!(steps(None, known, Some(held.clone())), [Step::Note(room("a"), None)]);
            }
            assert_eq!(steps(None, None, Some(held)), []);
        }
        assert_eq!(steps(Some("A"), ours(), None), theirs());
        assert_eq!(steps(Some("A"), Some(Entry::Theirs), None), []);
    }

    #[test]
    fn one_that_is_just_as_we_would_make_it_is_ours() {
        let note = vec![Step::Note(room("a"), Some(Entry::Ours(shape("A"))))];
        assert_eq!(steps(Some("A"), None, Some(there(shape("A")))), note);
        // Also if what was kept is what it was before.
        assert_eq!(steps(Some("A"), Some(Entry::Ours(shape("B"))), Some(there(shape("A")))), note);
    }

    #[test]
    fn only_a_whole_list_or_a_forgotten_account_takes_others_out() {
        let known: BTreeMap<_, _> = [
            (room("a"), Entry::Ours(shape("A"))),
            (room("b"), Entry::Ours(shape("B"))),
            (room("c"), Entry::Theirs),
        ]
        .into();
        let held: BTreeMap<_, _> = [
            (room("a"), there(shape("A"))),
            (room("b"), there(shape("B"))),
            (room("c"), there(shape("Mine"))),
            (room("d"), there(shape("D"))),
        ]
        .into();
        let rooms = [(room("a"), Some(bookmark(room("a"), "A")))].into();
        let nothing = BTreeMap::new();
        let forgotten = [(room("b"), Entry::Ours(shape("B")))].into();
        let plan_of = |is_whole, forgotten: &BTreeMap<_, _>| {
            plan(&Situation {
                rooms: &rooms,
                is_whole,
                autojoin: true,
                forgotten,
                known: &known,
                held: &held,
            })
        };
        assert_eq!(plan_of(false, &nothing), []);
        assert_eq!(
            plan_of(true, &nothing),
            [Step::Retract(room("b")), Step::Note(room("c"), None)]
        );
        assert_eq!(plan_of(false, &forgotten), [Step::Retract(room("b"))]);
    }

    #[test]
    fn bookmarks_are_read_as_clients_write_them() {
        let answer = |items: &str| {
            let xml = format!("<pubsub xmlns='{}'><items node='{NODE}'>{items}</items></pubsub>", ns::PUBSUB);
            held(&xml.parse().unwrap(), &BareJid::new("irc.localhost").unwrap())
        };
        let item = |id: &str, attributes: &str, inside: &str| {
            format!("<item id='{id}'><conference xmlns='{NODE}' {attributes}>{inside}</conference></item>")
        };
        let read = answer(
            &[
                item("a@irc.localhost", "name='A' autojoin='1'", "<nick>Me</nick>"),
                item("b@irc.localhost", "autojoin='true'", "<extensions/>"),
                item(
                    "c@irc.localhost",
                    "",
                    "<extensions><pinned xmlns='urn:xmpp:bookmarks-pinning:0'/></extensions>",
                ),
                item("d@irc.localhost", "", "<password>key</password>"),
                item("room@elsewhere.example", "name='Other'", ""),
                item("not a jid", "", ""),
                "<item id='e@irc.localhost'/>".to_owned(),
            ]
            .concat(),
        );
        let bare = |autojoin, has_more| Held {
            shape: Shape {
                autojoin,
                ..Shape::default()
            },
            has_more,
        };
        let expected = [
            (room("a"), there(shape("A"))),
            (room("b"), bare(true, false)),
            (room("c"), bare(false, true)),
            (room("d"), bare(false, true)),
        ];
        assert_eq!(read, expected.into());
        let item = shape("A").item();
        let same = format!("<conference xmlns='{NODE}' name='A' autojoin='true'><nick>Me</nick></conference>");
        assert_eq!(item, same.parse::<Element>().unwrap());
        assert_eq!(super::read(&item), there(shape("A")));
    }

    #[test]
    fn what_is_known_survives_storage() {
        let entries: BTreeMap<_, _> = [(room("a"), Entry::Ours(shape("A"))), (room("b"), Entry::Theirs)].into();
        let text = |entries: &BTreeMap<BareJid, Entry>| {
            entries
                .iter()
                .map(|(room, entry)| (room.to_string(), entry.text()))
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(read_entries(text(&entries)), entries);
        let broken = [
            ("a@irc.localhost".to_owned(), "?".to_owned()),
            ("".to_owned(), "\"theirs\"".to_owned()),
        ];
        assert_eq!(read_entries(broken.into()), [(room("a"), Entry::Theirs)].into());
    }
}
