//! A person on a real XMPP client talks with people on a real IRC server, through the gateway behind a real Prosody.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use spectrum_tests::clients::{Foreign, Library};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Inspircd, Ngircd, Process, Signal, needed, wait_until};
use spectrum_tests::rooms::as_slixmpp_asks;
use spectrum_tests::scene::{
    CHANNEL, Gateway, NICK, Network, ROOM, TRANSPORT, body, conversation, every_message_has_a_fate, has_status, is_groupchat,
    is_presence, join, online, register,
};

/// Carol in the channel, alice registered and in it too.
async fn everybody_in_the_room(gateway: &Gateway, library: Library) -> Option<(Foreign, Irc)> {
    let mut carol = Irc::connect(gateway.network.port(), "carol").await;
    carol.join(CHANNEL).await;
    let mut alice = needed(gateway.client(library, "alice").await)?;
    register(&mut alice).await;
    join(&mut alice, NICK).await;
    carol.expect(&[":alice!", "JOIN", CHANNEL]).await;
    Some((alice, carol))
}

async fn ngircd() -> Option<Network> {
    needed(Ngircd::start().await).map(Network::Ngircd)
}

async fn inspircd() -> Option<Network> {
    needed(Inspircd::start().await).map(Network::Inspircd)
}

#[tokio::test]
async fn everything_of_irc_through_prosody_and_ngircd() {
    let Some(network) = ngircd().await else { return };
    let Some(gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    conversation(&mut alice, &mut carol).await;
    as_slixmpp_asks(&mut alice).await;
    // The registration ends, and with it the login.
    let removed = alice
        .request("set", TRANSPORT, "<query xmlns='jabber:iq:register'><remove/></query>")
        .await;
    assert_eq!(removed.attr("type"), Some("result"));
    carol.expect(&[":alice!", "QUIT"]).await;
    alice.close().await;
}

#[tokio::test]
async fn everything_of_irc_through_prosody_and_inspircd_with_sasl() {
    let Some(network) = inspircd().await else { return };
    // Without privileges: the roster is kept by subscription requests.
    let Some(gateway) = needed(Gateway::start(network, false).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::XmppJs).await else {
        return;
    };
    // SASL has told the server whose account it is.
    carol.send("WHOIS alice").await;
    carol.expect(&[" 330 carol alice alice "]).await;
    conversation(&mut alice, &mut carol).await;
    // The last client goes; half a minute later its user is off the network.
    alice.close().await;
    carol.expect_within(Duration::from_secs(60), &[":alice!", "QUIT"]).await;
}

#[tokio::test]
async fn where_nobody_has_to_register_a_join_is_enough_and_the_gateway_remembers_who_came() {
    const OPEN_ROOM: &str = "#tests%127.0.0.1@irc.localhost";
    let Some(server) = needed(Ngircd::start().await) else { return };
    let Some(mut gateway) = needed(Gateway::start(Network::OneOfSeveral(server), true).await) else {
        return;
    };
    let mut carol = Irc::connect(gateway.network.port(), "carol").await;
    carol.join(CHANNEL).await;
    let Some(mut alice) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    alice.send("<presence/>").await;
    let me = format!("{OPEN_ROOM}/wonder");
    let enter = format!("<presence to='{me}'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    alice.send(&enter).await;
    alice
        .expect("my own presence in the room", |s| {
            is_presence(s, &me, None) && has_status(s, "110")
        })
        .await;
    carol.expect(&[":wonder!", "JOIN", CHANNEL]).await;

    alice
        .send(&format!(
            "<message to='{OPEN_ROOM}' type='groupchat' id='g1'><body>hello, room</body></message>"
        ))
        .await;
    carol.expect(&[":wonder!", "PRIVMSG", CHANNEL, ":hello, room"]).await;
    alice
        .send("<message to='carol%127.0.0.1@irc.localhost' type='chat' id='c1'><body>psst</body></message>")
        .await;
    carol.expect(&[":wonder!", "PRIVMSG carol", ":psst"]).await;
    carol.send("PRIVMSG wonder :what is it?").await;
    let answer = alice
        .expect("what carol says", |s| body(s).as_deref() == Some("what is it?"))
        .await;
    let from = answer.attr("from").unwrap();
    assert_eq!(from.split('/').next(), Some("carol%127.0.0.1@irc.localhost"));

    // A network that is not reached harms nobody, and a room there says so.
    let nowhere = "#tests%irc.example.invalid@irc.localhost/wonder";
    alice
        .send(&format!(
            "<presence to='{nowhere}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
        .await;
    alice.expect("a refusal", |s| is_presence(s, nowhere, Some("error"))).await;
    // Nor is one that nobody allowed.
    let forbidden = "#tests%irc.example.org@irc.localhost/wonder";
    alice
        .send(&format!(
            "<presence to='{forbidden}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
        .await;
    alice.expect("a refusal", |s| is_presence(s, forbidden, Some("error"))).await;

    // The gateway comes back and asks for whom it knew.
    gateway.instance.process().kill();
    carol.expect(&[":wonder!", "QUIT"]).await;
    gateway.instance.restart().unwrap();
    carol.expect_within(Duration::from_secs(60), &["JOIN", CHANNEL]).await;
    alice.close().await;
}

#[tokio::test]
async fn a_killed_backend_costs_no_message_without_notice() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    let delivered = every_message_has_a_fate(&mut alice, &mut carol, 40, async || {
        for pid in gateway.instance.backends() {
            kill(pid);
        }
    })
    .await;
    assert!(delivered > 0);
    // It goes on by itself; only who has joined the room again hears it.
    carol.send(&format!("PRIVMSG {CHANNEL} :back again?")).await;
    alice.expect_body("back again?").await;
    alice
        .send(&format!(
            "<message to='{ROOM}' type='groupchat' id='r1'><body>back again!</body></message>"
        ))
        .await;
    carol.expect(&["PRIVMSG", CHANNEL, "back again!"]).await;
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_restarted_irc_server_costs_no_message_without_notice() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    drop(carol);
    gateway.network.stop();
    gateway.network.restart().await.unwrap();
    let mut carol = Irc::connect(gateway.network.port(), "carol").await;
    carol.join(CHANNEL).await;
    // Alice is logged in again, and in the room.
    carol
        .wait_for("alice in the channel", |line| {
            line.contains(":alice!") && line.contains("JOIN")
        })
        .await
        .unwrap();
    every_message_has_a_fate(&mut alice, &mut carol, 10, async || {}).await;
    carol.send(&format!("PRIVMSG {CHANNEL} :back again?")).await;
    alice.expect_body("back again?").await;
}

#[tokio::test]
async fn a_restarted_prosody_finds_everybody_still_on_irc() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    gateway.prosody.restart().await.unwrap();
    drop(alice);
    let mut alice = needed(gateway.client(Library::Slixmpp, "alice").await).unwrap();
    alice.send("<presence/>").await;
    online(&mut alice).await;
    join(&mut alice, NICK).await;
    // She never left, as the IRC server sees it.
    let lines = carol.so_far().await;
    assert!(
        !lines
            .iter()
            .any(|line| line.contains(":alice!") && (line.contains("QUIT") || line.contains("PART"))),
        "{lines:?}"
    );
    alice
        .send(&format!(
            "<message to='{ROOM}' type='groupchat' id='r1'><body>still here</body></message>"
        ))
        .await;
    carol.expect(&["PRIVMSG", CHANNEL, "still here"]).await;
    alice
        .expect("my own words", |s| {
            is_groupchat(s) && body(s).as_deref() == Some("still here")
        })
        .await;
    every_message_has_a_fate(&mut alice, &mut carol, 10, async || {}).await;
}

#[tokio::test]
async fn a_killed_gateway_shows_the_room_again_to_the_client_that_never_left_it() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    carol.send(&format!("PRIVMSG {CHANNEL} :before the end")).await;
    alice.expect_body("before the end").await;
    // Her devices are noted with the room, and so is what was said there.
    alice.request("set", ROOM, "<query xmlns='urn:xmpp:mam:2'/>").await;
    gateway.instance.process().kill();
    carol.expect(&[":alice!", "QUIT"]).await;
    gateway.instance.restart().unwrap();
    carol.expect_within(Duration::from_secs(60), &[":alice!", "JOIN"]).await;
    let me = format!("{ROOM}/{NICK}");
    alice
        .expect("my own presence in the room", |s| {
            is_presence(s, &me, None) && has_status(s, "110")
        })
        .await;
    // She has not joined again, and hears and is heard.
    carol.send(&format!("PRIVMSG {CHANNEL} :back again?")).await;
    let line = alice.expect("a line", |s| is_groupchat(s) && body(s).is_some()).await;
    assert_eq!(
        body(&line).as_deref(),
        Some("back again?"),
        "what she knows is not said again"
    );
    alice
        .send(&format!(
            "<message to='{ROOM}' type='groupchat' id='r1'><body>never left!</body></message>"
        ))
        .await;
    carol.expect(&["PRIVMSG", CHANNEL, "never left!"]).await;
}

#[tokio::test]
async fn messages_of_irc_wait_for_a_restarted_prosody() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    gateway.prosody.stop();
    drop(alice);
    carol.send("PRIVMSG alice :are you there?").await;
    carol.so_far().await;
    gateway.prosody.restart().await.unwrap();
    let mut alice = needed(gateway.client(Library::Slixmpp, "alice").await).unwrap();
    alice.send("<presence/>").await;
    alice.expect_body("are you there?").await;
}

#[tokio::test]
async fn a_stopped_gateway_says_goodbye_on_both_sides() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    let backends = gateway.instance.backends();
    assert!(!backends.is_empty());
    gateway.instance.process().signal(Signal::TERM);
    carol.expect(&[":alice!", "QUIT"]).await;
    alice
        .expect("the transport going", |s| is_presence(s, TRANSPORT, Some("unavailable")))
        .await;
    let status = gateway.instance.process().ends_within(Duration::from_secs(30)).await.unwrap();
    assert!(
        status.success(),
        "{status}\n{}",
        Process::log_tail(gateway.instance.process())
    );
    for pid in backends {
        let gone = || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(());
        wait_until("the backend's end", Duration::from_secs(10), gone).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_said_in_a_room_outlives_a_restart_of_the_gateway() {
    let Some(network) = ngircd().await else { return };
    let Some(mut gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let Some((mut alice, mut carol)) = everybody_in_the_room(&gateway, Library::Slixmpp).await else {
        return;
    };
    carol.send(&format!("PRIVMSG {CHANNEL} :before the restart")).await;
    let said = alice.expect_body("before the restart").await;
    gateway.instance.restart().unwrap();
    carol.expect(&[":alice!", "QUIT"]).await;
    // She is probed, logged in and in the room again without having done anything.
    carol
        .expect_within(Duration::from_secs(60), &[":alice!", "JOIN", CHANNEL])
        .await;
    alice
        .send(&format!(
            "<presence to='{ROOM}/{NICK}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='1'/></x></presence>"
        ))
        .await;
    let told = alice.expect_body("before the restart").await;
    assert!(told.get_child("delay", "urn:xmpp:delay").is_some(), "{told:?}");
    for (name, namespace) in [("stanza-id", "urn:xmpp:sid:0"), ("occupant-id", "urn:xmpp:occupant-id:0")] {
        let id = |line: &minidom::Element| line.get_child(name, namespace).and_then(|e| e.attr("id").map(str::to_owned));
        assert!(id(&said).is_some(), "{said:?}");
        assert_eq!(id(&said), id(&told), "{name} is the same after a restart");
    }
}
