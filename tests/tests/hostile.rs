//! What a hostile peer sends to the real programs: each gets the answer of RFC 6120, and nobody else is disturbed.

#![allow(clippy::unwrap_used)]

use spectrum_tests::play::{GatewayStage, Person, ServerStage, Stage};
use spectrum_tests::xmpp::{Client, Login};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DEEP: usize = 200_000;
const HUGE: usize = 400 * 1024 * 1024;
/// What a main process may grow by while it is sent [`HUGE`]: far less than that.
const GROWTH_KIB: u64 = 64 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))
}

async fn echo(person: &mut dyn Person, transport: &str, text: &str) {
    person
        .send(&format!(
            "<message to='echo@{transport}' type='chat' id='e'><body>{text}</body></message>"
        ))
        .await
        .unwrap();
    loop {
        let stanza = person.receive().await.unwrap();
        if stanza
            .get_child("body", "jabber:client")
            .is_some_and(|body| body.text() == text)
        {
            return;
        }
    }
}

/// The condition of the stream error that ends a client's stream.
async fn stream_error(mut client: Client) -> String {
    loop {
        match client.receive().await {
            Ok(stanza) if stanza.name() == "error" => return stanza.children().next().unwrap().name().to_owned(),
            Ok(_) => {}
            Err(failure) => panic!("ended without a stream error: {failure}"),
        }
    }
}

async fn attacker(stage: &ServerStage) -> Client {
    Client::connect(&stage.login("mallory", "attack"), stage.tls())
        .await
        .ok()
        .unwrap()
}

#[tokio::test]
async fn a_client_that_breaks_the_rules_of_streams_loses_its_own_stream_only() {
    let mut stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    echo(romeo.as_mut(), &transport, "before").await;
    let attacks = [
        ("<message><!-- a comment --></message>", "restricted-xml"),
        ("<?php echo ?>", "restricted-xml"),
        ("<message>&entity;</message>", "restricted-xml"),
        ("<message><body></message>", "not-well-formed"),
        ("<message to=x/>", "not-well-formed"),
        ("<nonsense xmlns='urn:example:nonsense'/>", "unsupported-stanza-type"),
    ];
    for (attack, condition) in attacks {
        let mut client = attacker(&stage).await;
        client.send(attack).await.unwrap();
        assert_eq!(stream_error(client).await, condition, "{attack}");
    }
    echo(romeo.as_mut(), &transport, "after").await;
}

#[tokio::test]
async fn a_stanza_nested_without_end_is_the_loss_of_its_sender() {
    let mut stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    let mut client = attacker(&stage).await;
    let deep = format!("<message to='echo@{transport}' id='deep'>{}</message>", nested(DEEP));
    // The server may have closed long before all was sent.
    let _ = client.send(&deep).await;
    loop {
        match client.receive().await {
            // Skipped, and answered.
            Ok(stanza) if stanza.attr("id") == Some("deep") => {
                assert_eq!((stanza.name(), stanza.attr("type")), ("message", Some("error")));
                break;
            }
            // Or too long to be skipped for a client.
            Ok(stanza) if stanza.name() == "error" => break,
            Ok(_) => {}
            Err(failure) => panic!("neither an error nor a stream error: {failure}"),
        }
    }
    echo(romeo.as_mut(), &transport, "after").await;
}

#[tokio::test]
async fn a_client_cannot_fill_the_memory_before_or_after_its_login() {
    let mut stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    echo(romeo.as_mut(), &transport, "before").await;
    let pid = stage.instance().process().pid();
    let before = resident_kib(pid);

    let login: Login = stage.login("mallory", "attack");
    let unknown = Client::open(&login, stage.tls()).await.unwrap();
    let known = attacker(&stage).await;
    for (mut client, start) in [
        (unknown, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"),
        (known, "<message><body>"),
    ] {
        client.keep_no_log();
        client.send(start).await.unwrap();
        let chunk = "x".repeat(1024 * 1024);
        let mut sent = 0;
        while sent < HUGE && client.send(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        assert!(sent < HUGE, "it listened to all of it");
    }
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
    echo(romeo.as_mut(), &transport, "after").await;
}

#[tokio::test]
async fn a_bad_priority_is_answered_and_the_stream_goes_on() {
    let stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut client = attacker(&stage).await;
    client
        .send("<presence id='bad'><priority>a hundred</priority></presence>")
        .await
        .unwrap();
    let error = client
        .expect("an answer", |s| s.name() == "presence" && s.attr("id") == Some("bad"))
        .await
        .unwrap();
    assert_eq!(error.attr("type"), Some("error"));
    client.send("<presence/>").await.unwrap();
    echo(&mut client, &transport, "after").await;
}

#[tokio::test]
async fn who_speaks_http_to_a_client_port_is_sent_away() {
    let mut stage = ServerStage::start().await.unwrap();
    let port = stage.login("x", "x").port;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Reads to the end: the server closes.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.contains("<stream:error"), "{answer}");
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    echo(romeo.as_mut(), &transport, "after").await;
}

#[tokio::test]
async fn hostile_stanzas_through_the_users_server_cost_the_stanza_only() {
    let mut stage = GatewayStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    let mut mallory = stage.connect("mallory", "attack", true).await.unwrap();
    let pid = stage.instance().process().pid();
    let before = resident_kib(pid);
    let attacks = [
        format!("<message to='echo@{transport}' id='deep'>{}</message>", nested(DEEP)),
        format!(
            "<message to='echo@{transport}' id='long' type='chat'><body>{}</body></message>",
            "x".repeat(1024 * 1024)
        ),
        format!("<presence to='{transport}' id='bad'><priority>a hundred</priority></presence>"),
    ];
    for (attack, id) in attacks.iter().zip(["deep", "long", "bad"]) {
        stage.send_raw("mallory@localhost/attack", attack).await.unwrap();
        let answer = loop {
            let stanza = mallory.receive().await.unwrap();
            if stanza.attr("id") == Some(id) {
                break stanza;
            }
        };
        assert_eq!(answer.attr("type"), Some("error"), "{id}");
        echo(romeo.as_mut(), &transport, &format!("after {id}")).await;
    }
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
    // Mallory is still there.
    echo(mallory.as_mut(), &transport, "no hard feelings").await;
}

#[tokio::test]
async fn a_body_of_400_megabytes_through_the_users_server_is_skipped() {
    let mut stage = GatewayStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    echo(romeo.as_mut(), &transport, "before").await;
    let pid = stage.instance().process().pid();
    let before = resident_kib(pid);
    stage.send_huge("romeo@localhost/street", HUGE).await.unwrap();
    let answer = loop {
        let stanza = romeo.receive().await.unwrap();
        if stanza.attr("id") == Some("huge") {
            break stanza;
        }
    };
    assert_eq!(answer.attr("type"), Some("error"));
    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < GROWTH_KIB, "grew by {grown} KiB");
    echo(romeo.as_mut(), &transport, "after").await;
}
