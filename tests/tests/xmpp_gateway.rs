//! People of two XMPP servers that do not know each other talk through the XMPP backend: behind a gateway of one of them, and
//! behind a server of our own. Real Prosody on both ends, slixmpp on both ends.

#![allow(clippy::unwrap_used)]

use minidom::Element;
use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::peers::{NETWORK_DOMAIN, PeerError, Prosody, Relay, Signal, needed};
use spectrum_tests::scene::{Gateway, Network, Server, TRANSPORT, body, has_status, is_groupchat, is_presence, online, register};
use spectrum_tests::xmpp::{Client, Encryption, Login, trust_anything};

/// Who the user is on the other server, and whom they talk with.
const ALICE: &str = "alice@other.localhost";
/// Bob, as the user's clients know him.
const BOB: &str = "bob\\40other.localhost@irc.localhost";
/// A room there, under both names.
const THEIR_ROOM: &str = "tea@rooms.other.localhost";
const ROOM: &str = "tea\\40rooms.other.localhost@irc.localhost";

const CLIENT: &str = "jabber:client";
const CORRECT: &str = "urn:xmpp:message-correct:0";
const REACTIONS: &str = "urn:xmpp:reactions:0";
const RECEIPTS: &str = "urn:xmpp:receipts";
const REPLY: &str = "urn:xmpp:reply:0";
const RETRACT: &str = "urn:xmpp:message-retract:1";
const MARKERS: &str = "urn:xmpp:chat-markers:0";
const MUC: &str = "http://jabber.org/protocol/muc";
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The other server, with bob on it.
async fn network() -> Option<(Network, Foreign)> {
    let prosody = needed(Prosody::network().await)?;
    let mut bob = needed(there(&prosody, "bob").await)?;
    show(&mut bob).await;
    let relay = Relay::start(prosody.client_port()).await.unwrap();
    Some((Network::Xmpp(Box::new(prosody), relay), bob))
}

/// A client of the other server.
async fn there(prosody: &Prosody, user: &str) -> Result<Foreign, PeerError> {
    let account = Account {
        jid: format!("{user}@{NETWORK_DOMAIN}/tests"),
        password: format!("{user}-pw"),
        port: prosody.client_port(),
        encryption: Encryption::StartTls,
        authority: prosody.authority().to_owned(),
    };
    Foreign::connect(Library::Slixmpp, &account).await
}

fn relay(network: &Network) -> &Relay {
    match network {
        Network::Xmpp(_, relay) => relay,
        Network::Ngircd(_) | Network::Inspircd(_) | Network::OneOfSeveral(_) => panic!("another network"),
    }
}

async fn show(client: &mut Foreign) {
    let own = client.bare_jid().to_owned();
    client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
    client.send("<presence/>").await;
}

async fn send(client: &mut Foreign, to: &str, id: &str, inner: &str) {
    client
        .send(&format!("<message to='{to}' type='chat' id='{id}'>{inner}</message>"))
        .await;
}

/// Waits for a message that has this child about this id.
async fn about(client: &mut Foreign, (name, namespace): (&str, &str), id: &str) -> Element {
    let fits = |s: &Element| {
        s.name() == "message"
            && s.attr("type") != Some("error")
            && s.get_child(name, namespace).is_some_and(|c| c.attr("id") == Some(id))
    };
    client.expect(&format!("<{name}/> about {id}"), fits).await
}

/// The id that the other side knows a message by.
fn id(stanza: &Element) -> String {
    stanza.attr("id").unwrap().to_owned()
}

/// Everything that the two can say to each other, and a room.
async fn everything(alice: &mut Foreign, bob: &mut Foreign) {
    see_each_other(alice, bob).await;
    talk(alice, bob).await;
    picture(alice, bob).await;
    meet(alice, bob).await;
}

async fn become_contacts(alice: &mut Foreign, bob: &mut Foreign) {
    alice.send(&format!("<presence type='subscribe' to='{BOB}'/>")).await;
    bob.expect("alice's request", |s| is_presence(s, ALICE, Some("subscribe")))
        .await;
    bob.send(&format!("<presence type='subscribed' to='{ALICE}'/>")).await;
    alice
        .expect("bob's presence", |s| {
            s.name() == "presence" && s.attr("from").is_some_and(|from| from.starts_with(BOB)) && s.attr("type").is_none()
        })
        .await;
    bob.send("<presence><show>dnd</show></presence>").await;
    alice
        .expect("bob busy", |s| {
            s.name() == "presence" && s.get_child("show", CLIENT).is_some_and(|show| show.text() == "dnd")
        })
        .await;
}

/// Bob sees alice too: whatever her client is asked, it says yes.
async fn see_each_other(alice: &mut Foreign, bob: &mut Foreign) {
    become_contacts(alice, bob).await;
    bob.send(&format!("<presence type='subscribe' to='{ALICE}'/>")).await;
    let agreeing = async {
        loop {
            alice
                .expect("bob's request", |s| is_presence(s, BOB, Some("subscribe")))
                .await;
            alice.send(&format!("<presence type='subscribed' to='{BOB}'/>")).await;
        }
    };
    let agreed = async {
        bob.expect("alice's yes", |s| is_presence(s, ALICE, Some("subscribed"))).await;
    };
    tokio::select! {
        () = agreeing => {}
        () = agreed => {}
    }
}

async fn talk(alice: &mut Foreign, bob: &mut Foreign) {
    // There.
    send(
        alice,
        BOB,
        "a1",
        &format!("<body>hello, bbo</body><request xmlns='{RECEIPTS}'/>"),
    )
    .await;
    let heard = bob.expect_body("hello, bbo").await;
    assert!(heard.attr("from").unwrap().starts_with(ALICE), "{heard:?}");
    let a1 = id(&heard);
    // Bob's library says by itself that it came.
    about(alice, ("received", RECEIPTS), "a1").await;
    send(bob, ALICE, "r2", &format!("<displayed xmlns='{MARKERS}' id='{a1}'/>")).await;
    about(alice, ("displayed", MARKERS), "a1").await;
    send(
        alice,
        BOB,
        "a2",
        &format!("<body>hello, bob</body><replace xmlns='{CORRECT}' id='a1'/>"),
    )
    .await;
    let corrected = about(bob, ("replace", CORRECT), &a1).await;
    assert_eq!(body(&corrected).as_deref(), Some("hello, bob"));
    send(
        bob,
        ALICE,
        "r3",
        &format!("<reactions xmlns='{REACTIONS}' id='{a1}'><reaction>👍</reaction></reactions>"),
    )
    .await;
    about(alice, ("reactions", REACTIONS), "a1").await;
    send(
        bob,
        ALICE,
        "r4",
        &format!(
            "<body>&gt; hello, bob\nhello yourself</body><reply xmlns='{REPLY}' to='{ALICE}' id='{a1}'/>\
             <fallback xmlns='urn:xmpp:fallback:0' for='{REPLY}'><body start='0' end='13'/></fallback>"
        ),
    )
    .await;
    let answer = about(alice, ("reply", REPLY), "a1").await;
    assert!(body(&answer).unwrap().ends_with("hello yourself"), "{answer:?}");
    send(alice, BOB, "a3", "<body>a mistake</body>").await;
    let a3 = id(&bob.expect_body("a mistake").await);
    send(alice, BOB, "a4", &format!("<retract xmlns='{RETRACT}' id='a3'/>")).await;
    about(bob, ("retract", RETRACT), &a3).await;

    // And back.
    send(
        bob,
        ALICE,
        "b1",
        &format!("<body>what now?</body><request xmlns='{RECEIPTS}'/>"),
    )
    .await;
    let heard = alice.expect_body("what now?").await;
    assert!(heard.attr("from").unwrap().starts_with(BOB), "{heard:?}");
    let b1 = id(&heard);
    about(bob, ("received", RECEIPTS), "b1").await;
    send(alice, BOB, "a5", &format!("<displayed xmlns='{MARKERS}' id='{b1}'/>")).await;
    about(bob, ("displayed", MARKERS), "b1").await;
    send(
        alice,
        BOB,
        "a6",
        &format!("<reactions xmlns='{REACTIONS}' id='{b1}'><reaction>🎉</reaction></reactions>"),
    )
    .await;
    about(bob, ("reactions", REACTIONS), "b1").await;
    send(
        alice,
        BOB,
        "a7",
        &format!("<body>tea?</body><reply xmlns='{REPLY}' to='{BOB}' id='{b1}'/>"),
    )
    .await;
    about(bob, ("reply", REPLY), "b1").await;
    send(
        bob,
        ALICE,
        "b2",
        &format!("<body>what then?</body><replace xmlns='{CORRECT}' id='b1'/>"),
    )
    .await;
    let corrected = about(alice, ("replace", CORRECT), &b1).await;
    assert_eq!(body(&corrected).as_deref(), Some("what then?"));
    send(bob, ALICE, "b3", &format!("<retract xmlns='{RETRACT}' id='b1'/>")).await;
    about(alice, ("retract", RETRACT), &b1).await;
    send(bob, ALICE, "b4", "<composing xmlns='http://jabber.org/protocol/chatstates'/>").await;
    alice
        .expect("bob typing", |s| {
            s.has_child("composing", "http://jabber.org/protocol/chatstates")
        })
        .await;
}

/// Bob has a picture, and alice's client gets it.
async fn picture(alice: &mut Foreign, bob: &mut Foreign) {
    let own = bob.bare_jid().to_owned();
    let card = format!(
        "<vCard xmlns='vcard-temp'><FN>Bob of Other</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{PNG}</BINVAL></PHOTO></vCard>"
    );
    assert_eq!(bob.request("set", &own, &card).await.attr("type"), Some("result"));
    let answer = alice.request("get", BOB, "<vCard xmlns='vcard-temp'/>").await;
    let card = answer
        .get_child("vCard", "vcard-temp")
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(card.get_child("FN", "vcard-temp").unwrap().text(), "Bob of Other");
    let photo = card
        .get_child("PHOTO", "vcard-temp")
        .and_then(|photo| photo.get_child("BINVAL", "vcard-temp"));
    let photo: String = photo.unwrap().text().split_whitespace().collect();
    assert_eq!(photo, PNG);
}

/// A room there: in, both ways, out.
async fn meet(alice: &mut Foreign, bob: &mut Foreign) {
    bob.send(&format!("<presence to='{THEIR_ROOM}/Bob'><x xmlns='{MUC}'/></presence>"))
        .await;
    let me = format!("{THEIR_ROOM}/Bob");
    bob.expect("bob in the room", |s| is_presence(s, &me, None) && has_status(s, "110"))
        .await;
    let opened = bob
        .request(
            "set",
            THEIR_ROOM,
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
        )
        .await;
    assert_eq!(opened.attr("type"), Some("result"), "{opened:?}");
    enter(alice).await;
    alice
        .send(&format!(
            "<message to='{ROOM}' type='groupchat' id='g1'><body>hello, room</body></message>"
        ))
        .await;
    let heard = bob.expect_body("hello, room").await;
    assert_eq!(heard.attr("from"), Some(format!("{THEIR_ROOM}/Alice").as_str()));
    let mine = alice
        .expect("my own words", |s| {
            is_groupchat(s) && body(s).as_deref() == Some("hello, room")
        })
        .await;
    assert_eq!(mine.attr("id"), Some("g1"));
    bob.send(&format!(
        "<message to='{THEIR_ROOM}' type='groupchat' id='g2'><body>hello, alice</body></message>"
    ))
    .await;
    let heard = alice.expect_body("hello, alice").await;
    assert_eq!(heard.attr("from"), Some(format!("{ROOM}/Bob").as_str()));
    bob.send(&format!(
        "<message to='{THEIR_ROOM}' type='groupchat' id='g3'><body>Hello, Alice!</body><replace xmlns='{CORRECT}' id='g2'/></message>"
    ))
    .await;
    let corrected = about(alice, ("replace", CORRECT), &id(&heard)).await;
    assert_eq!(body(&corrected).as_deref(), Some("Hello, Alice!"));
    alice.send(&format!("<presence to='{ROOM}/Alice' type='unavailable'/>")).await;
    let gone = format!("{THEIR_ROOM}/Alice");
    bob.expect("alice gone", |s| is_presence(s, &gone, Some("unavailable"))).await;
}

async fn enter(alice: &mut Foreign) {
    alice
        .send(&format!("<presence to='{ROOM}/Alice'><x xmlns='{MUC}'/></presence>"))
        .await;
    let me = format!("{ROOM}/Alice");
    alice
        .expect("my own presence in the room", |s| {
            is_presence(s, &me, None) && has_status(s, "110")
        })
        .await;
}

#[tokio::test]
async fn people_of_two_servers_talk_through_the_gateway() {
    let Some((network, mut bob)) = network().await else { return };
    let Some(gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut alice).await;
    everything(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn people_of_two_servers_talk_through_a_server_of_ours() {
    let Some((network, mut bob)) = network().await else { return };
    let Some(server) = needed(Server::start(network).await) else {
        return;
    };
    let account = server.account("desk", Encryption::StartTls);
    let Some(mut alice) = needed(Foreign::connect(Library::Slixmpp, &account).await) else {
        return;
    };
    show(&mut alice).await;
    everything(&mut alice, &mut bob).await;

    // Away, and back: what was said meanwhile comes once, in its order.
    alice.close().await;
    bob.expect("alice's absence", |s| {
        s.name() == "presence" && s.attr("type") == Some("unavailable") && s.attr("from").is_some_and(|f| f.starts_with(ALICE))
    })
    .await;
    for n in 0..3 {
        send(&mut bob, ALICE, &format!("m{n}"), &format!("<body>missed {n}</body>")).await;
    }
    let mut alice = needed(Foreign::connect(Library::Slixmpp, &account).await).unwrap();
    show(&mut alice).await;
    for n in 0..3 {
        let next = alice
            .expect("a message", |s| s.name() == "message" && body(s).is_some())
            .await;
        assert_eq!(body(&next), Some(format!("missed {n}")));
    }
    send(&mut bob, ALICE, "m9", "<body>and now</body>").await;
    let next = alice
        .expect("a message", |s| s.name() == "message" && body(s).is_some())
        .await;
    assert_eq!(body(&next).as_deref(), Some("and now"), "nothing came twice");
}

#[tokio::test]
async fn a_connection_to_the_other_server_may_be_cut_and_the_server_may_restart() {
    let Some((network, mut bob)) = network().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut alice).await;
    see_each_other(&mut alice, &mut bob).await;
    for n in 0..3 {
        relay(&gateway.network).cut();
        send(&mut bob, ALICE, &format!("b{n}"), &format!("<body>there {n}?</body>")).await;
        send(&mut alice, BOB, &format!("a{n}"), &format!("<body>here {n}</body>")).await;
        alice.expect_body(&format!("there {n}?")).await;
        bob.expect_body(&format!("here {n}")).await;
    }
    drop(bob);
    gateway.network.restart().await.unwrap();
    let Network::Xmpp(prosody, _) = &gateway.network else { return };
    let mut bob = needed(there(prosody, "bob").await).unwrap();
    show(&mut bob).await;
    // She is logged in again by herself: bob sees her.
    bob.expect("alice's return", |s| {
        s.name() == "presence" && s.attr("type").is_none() && s.attr("from").is_some_and(|f| f.starts_with(ALICE))
    })
    .await;
    send(&mut bob, ALICE, "b9", "<body>back again?</body>").await;
    alice.expect_body("back again?").await;
    send(&mut alice, BOB, "a9", "<body>back again!</body>").await;
    bob.expect_body("back again!").await;
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_tried_once() {
    let Some((network, _bob)) = network().await else { return };
    let Some(gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut alice).await;
    let before = relay(&gateway.network).accepted();
    let changed = "<query xmlns='jabber:iq:register'><username>alice</username><password>wrong</password></query>";
    let answer = alice.request("set", TRANSPORT, changed).await;
    // Whichever way it is told, it is told with the other server's words.
    if answer.attr("type") != Some("error") {
        alice
            .expect("the reason", |s| {
                s.name() == "message" && body(s).is_some_and(|text| text.contains("password"))
            })
            .await;
    }
    let tried = relay(&gateway.network).accepted() - before;
    assert_eq!(tried, 1);
    for n in 0..3 {
        // Time passes. A presence of the user's would be a reason to try again.
        alice
            .request("get", TRANSPORT, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let again = relay(&gateway.network).accepted() - before;
        assert_eq!(again, tried, "in round {n}");
    }
}

#[tokio::test]
async fn a_bomb_of_levels_harms_nobody() {
    let Some((network, mut bob)) = network().await else { return };
    let port = network.port();
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut alice).await;
    become_contacts(&mut alice, &mut bob).await;
    let backends = gateway.instance.backends();
    let login = Login {
        port,
        encryption: Encryption::StartTls,
        domain: NETWORK_DOMAIN.into(),
        user: "carol".into(),
        password: "carol-pw".into(),
        resource: None,
    };
    let mut carol = Client::connect(&login, &trust_anything().unwrap())
        .await
        .unwrap_or_else(|e| panic!("{e:?}"));
    // Deeper than Prosody should let through, ten times.
    let bomb = format!("{}{}", "<x>".repeat(5_000), "</x>".repeat(5_000));
    for _ in 0..10 {
        carol
            .send(&format!(
                "<message to='{ALICE}' type='chat'><body>boom</body>{bomb}</message>"
            ))
            .await
            .unwrap();
    }
    carol
        .send(&format!(
            "<message to='{ALICE}' type='chat'><body>that was it</body></message>"
        ))
        .await
        .unwrap();
    alice.expect_body("that was it").await;
    send(&mut bob, ALICE, "b1", "<body>still there?</body>").await;
    alice.expect_body("still there?").await;
    assert_eq!(gateway.instance.backends(), backends, "no backend has died of it");
}

#[tokio::test]
async fn a_killed_backend_costs_no_message_without_notice() {
    let Some((network, mut bob)) = network().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut alice).await;
    become_contacts(&mut alice, &mut bob).await;
    for n in 0..10 {
        send(&mut alice, BOB, &format!("n{n}"), &format!("<body>number {n}</body>")).await;
        if n == 5 {
            for pid in gateway.instance.backends() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                rustix::process::kill_process(pid, Signal::KILL).unwrap();
            }
        }
    }
    for n in 0..10 {
        let (id, text) = (format!("n{n}"), format!("number {n}"));
        let fits = |s: &Element| s.name() == "message" && body(s).as_deref() == Some(&text);
        tokio::select! {
            _ = bob.expect(&text, fits) => {}
            _ = alice.expect("an answer", |s| s.attr("type") == Some("error") && s.attr("id") == Some(&id)) => {}
        }
    }
    online(&mut alice).await;
    send(&mut bob, ALICE, "b1", "<body>back again?</body>").await;
    alice.expect_body("back again?").await;
}
