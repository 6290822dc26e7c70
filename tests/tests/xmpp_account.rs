//! What a gateway writes into a user's own account, in the user's name (XEP-0356): bookmarks of the rooms that the user is in on the
//! network, and how far they have read there. The network is another XMPP server; real Prosody and slixmpp on both ends.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::Duration;

use minidom::Element;
use serde_json::json;
use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::peers::{NETWORK_DOMAIN, Prosody, Relay, needed};
use spectrum_tests::programs::built;
use spectrum_tests::scene::{Gateway, Network, body, has_status, is_groupchat, is_presence, register};
use spectrum_tests::xmpp::Encryption;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
const DISPLAYED: &str = "urn:xmpp:mds:displayed:0";
const MUC: &str = "http://jabber.org/protocol/muc";
const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// A room there, and how it is called here.
const THEIR_ROOM: &str = "tea@rooms.other.localhost";
const ROOM: &str = "tea\\40rooms.other.localhost@irc.localhost";

/// The user's client of the network itself.
async fn there(prosody: &Prosody) -> Option<Foreign> {
    let account = Account {
        jid: format!("alice@{NETWORK_DOMAIN}/phone"),
        password: "alice-pw".to_owned(),
        port: prosody.client_port(),
        encryption: Encryption::StartTls,
        authority: prosody.authority().to_owned(),
    };
    needed(Foreign::connect(Library::Slixmpp, &account).await)
}

/// The items of a node of the user's own account.
async fn items(client: &mut Foreign, node: &str) -> Vec<Element> {
    let own = client.bare_jid().to_owned();
    let ask = format!("<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>");
    let answer = client.request("get", &own, &ask).await;
    let items = answer
        .get_child("pubsub", PUBSUB)
        .and_then(|pubsub| pubsub.get_child("items", PUBSUB));
    items.into_iter().flat_map(Element::children).cloned().collect()
}

/// Waits until a node holds what is wanted.
async fn until(client: &mut Foreign, node: &str, fits: impl Fn(&[Element]) -> bool) -> Vec<Element> {
    let mut held = Vec::new();
    for _ in 0..100 {
        held = items(client, node).await;
        if fits(&held) {
            return held;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{node} never was as it should be: {held:?}");
}

/// The user's client there has a room among its bookmarks.
async fn bookmark_there(client: &mut Foreign, autojoin: bool) {
    let own = client.bare_jid().to_owned();
    let xml = format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'><item id='{THEIR_ROOM}'><conference xmlns='{BOOKMARKS}' name='Tea' \
         autojoin='{autojoin}'><nick>Alice</nick></conference></item></publish></pubsub>"
    );
    let done = client.request("set", &own, &xml).await;
    assert_eq!(done.attr("type"), Some("result"), "{done:?}");
}

async fn enter(client: &mut Foreign, room: &str) {
    client
        .send(&format!("<presence to='{room}/Alice'><x xmlns='{MUC}'/></presence>"))
        .await;
    let me = format!("{room}/Alice");
    client
        .expect("myself in the room", |s| is_presence(s, &me, None) && has_status(s, "110"))
        .await;
}

async fn scene(privileged: bool) -> Option<(Gateway, Foreign, Foreign)> {
    let prosody = needed(Prosody::network().await)?;
    let mut phone = there(&prosody).await?;
    phone.send("<presence/>").await;
    bookmark_there(&mut phone, true).await;
    let relay = Relay::start(prosody.client_port()).await.unwrap();
    let network = Network::Xmpp(Box::new(prosody), relay);
    let gateway = needed(Gateway::start(network, privileged).await)?;
    let mut alice = needed(gateway.client(Library::Slixmpp, "alice").await)?;
    register(&mut alice).await;
    Some((gateway, phone, alice))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_of_the_network_come_into_the_users_bookmarks() {
    let Some((_gateway, mut phone, mut alice)) = scene(true).await else {
        return;
    };
    let held = until(&mut alice, BOOKMARKS, |held| held.len() == 1).await;
    assert_eq!(held[0].attr("id"), Some(ROOM));
    let expected = format!("<conference xmlns='{BOOKMARKS}' name='Tea' autojoin='true'><nick>Alice</nick></conference>");
    assert_eq!(held[0].get_child("conference", BOOKMARKS), Some(&expected.parse().unwrap()));
    // As a client's library reads it.
    let own = alice.bare_jid().to_owned();
    let read = alice
        .call("xep_0060", "get_items", json!([own, BOOKMARKS]), json!({}))
        .await
        .unwrap();
    assert!(read.contains("conference"), "{read}");

    // Left there, taken out here.
    bookmark_there(&mut phone, false).await;
    until(&mut alice, BOOKMARKS, <[Element]>::is_empty).await;
    bookmark_there(&mut phone, true).await;
    until(&mut alice, BOOKMARKS, |held| held.len() == 1).await;

    // What the user changes by hand stays as it is, whatever the network says.
    let mine = format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'><item id='{ROOM}'><conference xmlns='{BOOKMARKS}' name='My tea'/></item>\
         </publish></pubsub>"
    );
    let done = alice.request("set", &own, &mine).await;
    assert_eq!(done.attr("type"), Some("result"), "{done:?}");
    bookmark_there(&mut phone, true).await;
    bookmark_there(&mut phone, false).await;
    // Another room is the sign that all that has been dealt with.
    let other = format!(
        "<pubsub xmlns='{PUBSUB}'><publish node='{BOOKMARKS}'><item id='cake@rooms.other.localhost'><conference xmlns='{BOOKMARKS}' \
         autojoin='true'/></item></publish></pubsub>"
    );
    let there = phone.bare_jid().to_owned();
    phone.request("set", &there, &other).await;
    let held = until(&mut alice, BOOKMARKS, |held| held.len() == 2).await;
    let tea = held.iter().find(|item| item.attr("id") == Some(ROOM)).unwrap();
    let conference = tea.get_child("conference", BOOKMARKS).unwrap();
    assert_eq!((conference.attr("name"), conference.attr("autojoin")), (Some("My tea"), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_been_read_on_the_network_is_read_here() {
    let Some((_gateway, mut phone, mut alice)) = scene(true).await else {
        return;
    };
    enter(&mut phone, THEIR_ROOM).await;
    let opened = phone
        .request(
            "set",
            THEIR_ROOM,
            &format!("<query xmlns='{MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'/></query>"),
        )
        .await;
    assert_eq!(opened.attr("type"), Some("result"), "{opened:?}");
    enter(&mut alice, ROOM).await;
    phone
        .send(&format!(
            "<message to='{THEIR_ROOM}' type='groupchat' id='g1'><body>tea is ready</body></message>"
        ))
        .await;
    let heard = alice
        .expect("the line", |s| is_groupchat(s) && body(s).as_deref() == Some("tea is ready"))
        .await;
    let line = heard
        .get_child("stanza-id", "urn:xmpp:sid:0")
        .unwrap()
        .attr("id")
        .unwrap()
        .to_owned();
    phone
        .send(&format!(
            "<message to='{THEIR_ROOM}' type='groupchat' id='g2'><displayed xmlns='urn:xmpp:chat-markers:0' id='{line}'/></message>"
        ))
        .await;
    let held = until(&mut alice, DISPLAYED, |held| held.len() == 1).await;
    assert_eq!(held[0].attr("id"), Some(ROOM));
    let at = held[0]
        .get_child("displayed", DISPLAYED)
        .and_then(|displayed| displayed.get_child("stanza-id", "urn:xmpp:sid:0"))
        .unwrap();
    assert_eq!((at.attr("id"), at.attr("by")), (Some(line.as_str()), Some(ROOM)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_grant_the_account_stays_as_it_is_and_the_administrator_sees_why() {
    let Some((gateway, _phone, mut alice)) = scene(false).await else {
        return;
    };
    let mut said = String::new();
    for _ in 0..100 {
        let mut command = Command::new(built("spectrum-gateway").unwrap());
        let command = command
            .args(["status", "./instance.toml"])
            .current_dir(gateway.instance.scratch().path());
        said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        if said.contains(PUBSUB) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let line = said
        .lines()
        .find(|line| line.starts_with("degraded"))
        .unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("localhost does not grant requests in its users' names (XEP-0356)"),
        "{line}"
    );
    assert!(items(&mut alice, BOOKMARKS).await.is_empty());
    let invited = alice
        .expect("an invitation instead", |s| s.has_child("x", "jabber:x:conference"))
        .await;
    let direct = invited.get_child("x", "jabber:x:conference").unwrap();
    assert_eq!((invited.attr("from"), direct.attr("jid")), (Some(ROOM), Some(ROOM)));
}
