//! The peers themselves: each starts, speaks, comes back after a restart, and logs somebody in.

#![allow(clippy::unwrap_used)]

use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Component, Inspircd, Ngircd, Postgres, Prosody, needed};
use spectrum_tests::xmpp::{Client, Encryption, Login, LoginFailure, trust_anything};

fn gateway() -> Component {
    Component {
        jid: "irc.localhost".into(),
        secret: "irc-secret".into(),
        privileged: true,
    }
}

fn alice(prosody: &Prosody, encryption: Encryption) -> Account {
    Account {
        jid: "alice@localhost/tests".into(),
        password: "alice-pw".into(),
        port: match encryption {
            Encryption::StartTls => prosody.client_port(),
            Encryption::Direct => prosody.client_tls_port(),
        },
        encryption,
        authority: prosody.authority().to_owned(),
    }
}

#[tokio::test]
async fn prosody_logs_our_raw_client_in_and_refuses_a_wrong_password() {
    let Some(mut prosody) = needed(Prosody::start(&[gateway()]).await) else {
        return;
    };
    let tls = trust_anything().unwrap();
    let mut login = Login {
        port: prosody.client_port(),
        encryption: Encryption::StartTls,
        domain: "localhost".into(),
        user: "alice".into(),
        password: "alice-pw".into(),
        resource: Some("raw".into()),
    };
    let mut client = Client::connect(&login, &tls).await.ok().unwrap();
    assert_eq!(client.jid(), "alice@localhost/raw");
    let pong = client
        .request("get", "localhost", "<ping xmlns='urn:xmpp:ping'/>")
        .await
        .unwrap();
    assert_eq!(pong.attr("type"), Some("result"));
    client.close().await;

    prosody.restart().await.unwrap();
    login.password = "wrong".into();
    let refused = Client::connect(&login, &tls).await.err();
    assert!(
        matches!(&refused, Some(LoginFailure::Refused { condition, .. }) if condition == "not-authorized"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn slixmpp_and_xmpp_js_talk_through_prosody() {
    let Some(prosody) = needed(Prosody::start(&[gateway()]).await) else {
        return;
    };
    for encryption in [Encryption::StartTls, Encryption::Direct] {
        let account = alice(&prosody, encryption);
        let Some(mut alice) = needed(Foreign::connect(Library::Slixmpp, &account).await) else {
            return;
        };
        let bob = Account {
            jid: "bob@localhost/tests".into(),
            password: "bob-pw".into(),
            ..account
        };
        let Some(mut bob) = needed(Foreign::connect(Library::XmppJs, &bob).await) else {
            return;
        };
        let version = alice
            .call(
                "xep_0092",
                "get_version",
                serde_json::json!(["localhost"]),
                serde_json::json!({}),
            )
            .await
            .unwrap();
        assert!(version.contains("Prosody"), "{version}");
        let to_bob = format!("<message to='{}' type='chat'><body>hello</body></message>", bob.jid());
        alice.send(&to_bob).await;
        assert_eq!(bob.expect_body("hello").await.attr("from"), Some(alice.jid()));
        let to_alice = format!("<message to='{}' type='chat'><body>and back</body></message>", alice.jid());
        bob.send(&to_alice).await;
        assert_eq!(alice.expect_body("and back").await.attr("from"), Some(bob.jid()));
        alice.close().await;
        bob.close().await;
    }
}

#[tokio::test]
async fn ngircd_carries_a_channel_and_comes_back() {
    let Some(mut ngircd) = needed(Ngircd::start().await) else {
        return;
    };
    let mut carol = Irc::connect(ngircd.port(), "carol").await;
    let mut dave = Irc::connect(ngircd.port(), "dave").await;
    carol.join("#tests").await;
    dave.join("#tests").await;
    carol.send("PRIVMSG #tests :hello").await;
    let line = dave.expect(&["PRIVMSG #tests"]).await;
    assert!(line.starts_with(":carol!") && line.ends_with(":hello"), "{line}");
    assert!(
        carol.so_far().await.iter().all(|line| !line.contains("PRIVMSG")),
        "ngircd does not echo"
    );
    ngircd.restart().await.unwrap();
    Irc::connect(ngircd.port(), "carol").await.quit().await;
}

#[tokio::test]
async fn inspircd_knows_accounts_by_sasl() {
    let Some(inspircd) = needed(Inspircd::start().await) else {
        return;
    };
    let mut irc = Irc::open(inspircd.port(), "alice").await.unwrap();
    irc.send("CAP LS 302").await;
    let offered = irc.expect(&[" LS "]).await;
    assert!(
        offered.contains("echo-message") && offered.contains("labeled-response"),
        "{offered}"
    );
    irc.send("CAP REQ :sasl").await;
    irc.expect(&[" ACK ", "sasl"]).await;
    irc.send("AUTHENTICATE PLAIN").await;
    irc.expect(&["AUTHENTICATE", "+"]).await;
    irc.send("AUTHENTICATE AGFsaWNlAGFsaWNlLXB3").await;
    irc.expect(&[" 903 "]).await;
    irc.send("CAP END").await;
    irc.send("NICK alice").await;
    irc.send("USER alice 0 * :alice").await;
    irc.expect(&[" 001 alice "]).await;
}

#[tokio::test]
async fn postgres_answers() {
    let Some(postgres) = needed(Postgres::start().await) else {
        return;
    };
    assert!(postgres.url().starts_with("postgres://spectrum:"));
}
