//! The same through the server alone: two devices of one user, over STARTTLS and over direct TLS.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Inspircd, Ngircd, PeerError, Signal, needed};
use spectrum_tests::rooms::as_slixmpp_asks;
use spectrum_tests::scene::{
    CHANNEL, NICK, Network, ROOM, Server, TRANSPORT, body, conversation, every_message_has_a_fate, is_groupchat, is_presence,
    join,
};
use spectrum_tests::xmpp::Encryption;

async fn ngircd() -> Option<Network> {
    needed(Ngircd::start().await).map(Network::Ngircd)
}

/// Two devices of one user with libraries of two makers, both in the room; carol is in it before.
async fn everybody_in_the_room(server: &Server, encryption: Encryption) -> Option<(Foreign, Foreign, Irc)> {
    let mut carol = Irc::connect(server.network.port(), "carol").await;
    carol.join(CHANNEL).await;
    let mut desk = needed(Foreign::connect(Library::Slixmpp, &server.account("desk", encryption)).await)?;
    desk.send("<presence/>").await;
    let mut phone = needed(Foreign::connect(Library::XmppJs, &server.account("phone", encryption)).await)?;
    phone.send("<presence/>").await;
    assert_eq!(
        (desk.jid(), phone.jid()),
        ("alice@irc.localhost/desk", "alice@irc.localhost/phone")
    );
    join(&mut desk, NICK).await;
    join(&mut phone, NICK).await;
    carol.expect(&[":alice!", "JOIN", CHANNEL]).await;
    Some((desk, phone, carol))
}

async fn everything(network: Network, encryption: Encryption) {
    let Some(server) = needed(Server::start(network).await) else {
        return;
    };
    let Some((mut desk, mut phone, mut carol)) = everybody_in_the_room(&server, encryption).await else {
        return;
    };
    // What one device says and what it is told, the other hears too.
    desk.send(&format!(
        "<message to='{ROOM}' type='groupchat' id='d1'><body>from the desk</body></message>"
    ))
    .await;
    for device in [&mut desk, &mut phone] {
        let heard = device
            .expect("words of the desk", |s| {
                is_groupchat(s) && body(s).as_deref() == Some("from the desk")
            })
            .await;
        assert_eq!(heard.attr("from"), Some("#tests@irc.localhost/alice"));
    }
    carol.send("PRIVMSG alice :to both").await;
    desk.expect_body("to both").await;
    phone.expect_body("to both").await;
    conversation(&mut desk, &mut carol).await;
    as_slixmpp_asks(&mut desk).await;
    // A wrong password gets nothing while the user is there, and harms nobody.
    let wrong = Account {
        password: "wrong".into(),
        ..server.account("thief", encryption)
    };
    match Foreign::connect(Library::Slixmpp, &wrong).await {
        Err(PeerError::Failed(failure)) => assert!(failure.to_string().contains("not-authorized"), "{failure}"),
        other => panic!("{other:?}"),
    }
    // One device goes, the user stays; the last one goes, the user goes.
    desk.close().await;
    carol.send("PRIVMSG alice :still there?").await;
    phone.expect_body("still there?").await;
    phone.close().await;
    carol.expect(&[":alice!", "QUIT"]).await;
}

#[tokio::test]
async fn everything_of_irc_over_starttls_with_two_devices() {
    let Some(network) = ngircd().await else { return };
    everything(network, Encryption::StartTls).await;
}

#[tokio::test]
async fn everything_of_irc_over_direct_tls_with_sasl_and_two_devices() {
    let Some(inspircd) = needed(Inspircd::start().await) else {
        return;
    };
    everything(Network::Inspircd(inspircd), Encryption::Direct).await;
}

#[tokio::test]
async fn the_network_decides_who_may_log_in() {
    let Some(inspircd) = needed(Inspircd::start().await) else {
        return;
    };
    let Some(server) = needed(Server::start(Network::Inspircd(inspircd)).await) else {
        return;
    };
    let wrong = Account {
        password: "wrong".into(),
        ..server.account("desk", Encryption::StartTls)
    };
    match Foreign::connect(Library::Slixmpp, &wrong).await {
        Err(PeerError::Failed(failure)) => assert!(failure.to_string().contains("not-authorized"), "{failure}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_killed_backend_costs_no_message_without_notice() {
    let Some(network) = ngircd().await else { return };
    let Some(mut server) = needed(Server::start(network).await) else {
        return;
    };
    let Some((mut desk, mut phone, mut carol)) = everybody_in_the_room(&server, Encryption::StartTls).await else {
        return;
    };
    let delivered = every_message_has_a_fate(&mut desk, &mut carol, 40, async || {
        for pid in server.instance.backends() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
    })
    .await;
    assert!(delivered > 0);
    carol.send(&format!("PRIVMSG {CHANNEL} :back again?")).await;
    desk.expect_body("back again?").await;
    phone.expect_body("back again?").await;
}

#[tokio::test]
async fn a_restarted_irc_server_costs_no_message_without_notice() {
    let Some(network) = ngircd().await else { return };
    let Some(mut server) = needed(Server::start(network).await) else {
        return;
    };
    let Some((mut desk, mut phone, carol)) = everybody_in_the_room(&server, Encryption::StartTls).await else {
        return;
    };
    drop(carol);
    server.network.stop();
    server.network.restart().await.unwrap();
    let mut carol = Irc::connect(server.network.port(), "carol").await;
    carol.join(CHANNEL).await;
    carol
        .wait_for("alice in the channel", |line| {
            line.contains(":alice!") && line.contains("JOIN")
        })
        .await
        .unwrap();
    every_message_has_a_fate(&mut desk, &mut carol, 10, async || {}).await;
    carol.send(&format!("PRIVMSG {CHANNEL} :back again?")).await;
    phone.expect_body("back again?").await;
}

#[tokio::test]
async fn a_stopped_server_says_goodbye_on_both_sides() {
    let Some(network) = ngircd().await else { return };
    let Some(mut server) = needed(Server::start(network).await) else {
        return;
    };
    let Some((mut desk, _phone, mut carol)) = everybody_in_the_room(&server, Encryption::Direct).await else {
        return;
    };
    server.instance.process().signal(Signal::TERM);
    carol.expect(&[":alice!", "QUIT"]).await;
    desk.expect("carol going", |s| {
        is_presence(s, "carol@irc.localhost", Some("unavailable")) || s.attr("from") == Some(TRANSPORT)
    })
    .await;
    let status = server.instance.process().ends_within(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}");
}
