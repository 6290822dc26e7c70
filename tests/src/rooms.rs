//! What clients want of rooms besides conversation: the archive, ids of lines and occupants, moderation, pings of oneself.

use minidom::Element;
use serde_json::json;

use crate::clients::Foreign;
use crate::irc::Irc;
use crate::scene::{CHANNEL, NICK, ROOM, body, is_groupchat};

const MAM: &str = "urn:xmpp:mam:2";
const SID: &str = "urn:xmpp:sid:0";
const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
const RETRACT: &str = "urn:xmpp:message-retract:1";

/// Alice, who is in the channel, uses what rooms have; carol is there too.
///
/// # Panics
/// Where something is missing or different.
pub async fn everything_of_an_archive(client: &mut Foreign, carol: &mut Irc) {
    // What Conversations looks for before it shows a room without a warning.
    let info = client
        .request("get", ROOM, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
        .await;
    let features: Vec<&str> = info
        .children()
        .flat_map(Element::children)
        .filter_map(|feature| feature.attr("var"))
        .collect();
    for feature in [OCCUPANT_ID, MAM, "urn:xmpp:message-moderate:1", SID] {
        assert!(features.contains(&feature), "{feature} is missing in {features:?}");
    }

    carol.send(&format!("PRIVMSG {CHANNEL} :for the archive")).await;
    let line = client.expect_body("for the archive").await;
    let id_of = |line: &Element, name: &str, ns: &str| {
        line.get_child(name, ns)
            .and_then(|e| e.attr("id"))
            .unwrap_or_default()
            .to_owned()
    };
    let (id, author) = (id_of(&line, "stanza-id", SID), id_of(&line, "occupant-id", OCCUPANT_ID));
    assert!(!id.is_empty() && !author.is_empty(), "{line:?}");

    // The newest line of the archive is this one, with the same ids.
    let newest = format!("<query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><before/></set></query>");
    client.request("set", ROOM, &newest).await;
    let found = client
        .expect("the line in the archive", |s| {
            archived(s).is_some_and(|(result, _)| result.attr("id") == Some(&id))
        })
        .await;
    let (_, kept) = archived(&found).unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(
        (body(kept).as_deref(), id_of(kept, "occupant-id", OCCUPANT_ID)),
        (Some("for the archive"), author)
    );

    // Taken away, it is announced, and its text is gone from the archive.
    let moderate = format!("<moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'><retract xmlns='{RETRACT}'/></moderate>");
    let done = client.request("set", ROOM, &moderate).await;
    assert_eq!(done.attr("type"), Some("result"), "{done:?}");
    client
        .expect("the announcement", |s| {
            is_groupchat(s)
                && s.get_child("retract", RETRACT)
                    .is_some_and(|retract| retract.attr("id") == Some(&id))
        })
        .await;
    let named = format!(
        "<query xmlns='{MAM}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{MAM}</value></field>\
         <field var='ids'><value>{id}</value></field></x></query>"
    );
    client.request("set", ROOM, &named).await;
    let found = client
        .expect("the tombstone", |s| {
            archived(s).is_some_and(|(_, kept)| kept.get_child("retracted", RETRACT).is_some())
        })
        .await;
    assert_eq!(archived(&found).and_then(|(_, kept)| body(kept)), None);

    let inside = client
        .request("get", &format!("{ROOM}/{NICK}"), "<ping xmlns='urn:xmpp:ping'/>")
        .await;
    assert_eq!(inside.attr("type"), Some("result"));
}

/// The same as a program with slixmpp asks for it.
///
/// # Panics
/// Where the library does not like an answer.
pub async fn as_slixmpp_asks(client: &mut Foreign) {
    for (plugin, method, named, wanted) in [
        ("xep_0313", "get_archive_metadata", json!({"jid": ROOM}), "<start"),
        ("xep_0313", "get_fields", json!({"jid": ROOM}), "after-id"),
        ("xep_0313", "retrieve", json!({"jid": ROOM, "rsm": {"max": 5}}), "<last>"),
    ] {
        let said = client.call(plugin, method, json!([]), named).await;
        let said = said.unwrap_or_else(|failure| panic!("{plugin}.{method}: {failure}"));
        assert!(said.contains(wanted), "{plugin}.{method}: {said}");
    }
}

/// The result in a message of the archive, and the line it forwards.
fn archived(stanza: &Element) -> Option<(&Element, &Element)> {
    let result = stanza.get_child("result", MAM)?;
    let forwarded = result.get_child("forwarded", "urn:xmpp:forward:0")?;
    Some((result, forwarded.get_child("message", "jabber:client")?))
}
