//! The rules on slow clients, slow users and slow links (design: who may wait for whom): one stalls, everybody else goes on
//! unharmed, and no backend is declared dead.

#![allow(clippy::unwrap_used)]

use spectrum_tests::play::{GatewayStage, Person, ServerStage, Stage};
use spectrum_tests::programs::Instance;
use spectrum_tests::xmpp::Client;

/// More than every buffer between a client and us can hold: sockets, TLS, the server's queue.
const FLOOD: usize = 400;
/// Of one message of the flood: less than what a long message is split at.
const LARGE: usize = 40 * 1024;
/// Messages of somebody who must not be slowed down.
const ECHOES: usize = 50;

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
            assert_eq!(stanza.attr("type"), Some("chat"));
            return;
        }
    }
}

async fn many_echoes(person: &mut dyn Person, transport: &str) {
    for n in 0..ECHOES {
        echo(person, transport, &format!("echo {n}")).await;
    }
}

/// Whether the backends are those of before: none was declared dead.
fn same_backends(instance: &mut Instance, before: &[u32]) {
    let now = instance.backends();
    assert!(before.iter().all(|pid| now.contains(pid)), "{before:?} became {now:?}");
}

#[tokio::test]
async fn a_client_that_does_not_read_harms_nobody() {
    let mut stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut juliet = stage.connect("juliet", "balcony", true).await.unwrap();
    many_echoes(juliet.as_mut(), &transport).await;
    let backends = stage.instance().backends();

    // Romeo has one device that reads and one that never will.
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    let deaf: Client = Client::connect(&stage.login("romeo", "deaf"), stage.tls())
        .await
        .ok()
        .unwrap();
    let mut deaf = deaf;
    deaf.send("<presence/>").await.unwrap();
    let large = "x".repeat(LARGE);
    for n in 0..FLOOD {
        // Each comes back to both devices.
        echo(romeo.as_mut(), &transport, &format!("{n} {large}")).await;
        if n % 100 == 0 {
            many_echoes(juliet.as_mut(), &transport).await;
        }
    }
    many_echoes(juliet.as_mut(), &transport).await;
    same_backends(stage.instance(), &backends);
}

#[tokio::test]
async fn a_network_that_hangs_for_one_user_harms_nobody() {
    let mut stage = ServerStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut juliet = stage.connect("juliet", "balcony", true).await.unwrap();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    many_echoes(juliet.as_mut(), &transport).await;
    let backends = stage.instance().backends();
    romeo
        .send(&format!(
            "<message to='echo@{transport}' type='chat' id='h'><body>!hang</body></message>"
        ))
        .await
        .unwrap();
    many_echoes(juliet.as_mut(), &transport).await;
    // Not even the rest of his own chats.
    let friend = format!("<message to='friend1@{transport}' type='chat' id='f'><body>are you there?</body></message>");
    romeo.send(&friend).await.unwrap();
    loop {
        let stanza = romeo.receive().await.unwrap();
        if stanza
            .get_child("body", "jabber:client")
            .is_some_and(|body| body.text() == "are you there?")
        {
            break;
        }
    }
    same_backends(stage.instance(), &backends);
}

#[tokio::test]
async fn an_xmpp_server_that_does_not_read_loses_nothing_and_harms_no_backend() {
    let mut stage = GatewayStage::start().await.unwrap();
    let transport = stage.transport().to_owned();
    let mut juliet = stage.connect("juliet", "balcony", true).await.unwrap();
    many_echoes(juliet.as_mut(), &transport).await;
    let backends = stage.instance().backends();

    stage.stop_reading();
    let large = "x".repeat(LARGE);
    for n in 0..FLOOD {
        let body = format!("<body>{n} {large}</body>");
        juliet
            .send(&format!(
                "<message to='echo@{transport}' type='chat' id='f{n}'>{body}</message>"
            ))
            .await
            .unwrap();
    }
    stage.go_on_reading();

    // Each has come back, or was answered with an error.
    let mut open = vec![true; FLOOD];
    while open.iter().any(|open| *open) {
        let stanza = juliet.receive().await.unwrap();
        let number = match stanza.attr("type") {
            Some("error") => stanza.attr("id").and_then(|id| id.strip_prefix('f')?.parse::<usize>().ok()),
            _ => stanza
                .get_child("body", "jabber:client")
                .and_then(|body| body.text().split(' ').next()?.parse().ok()),
        };
        if let Some(number) = number {
            open[number] = false;
        }
    }
    many_echoes(juliet.as_mut(), &transport).await;
    same_backends(stage.instance(), &backends);
}
