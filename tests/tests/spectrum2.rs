//! A backend in another language, written against Spectrum 2's protocol, runs unmodified; and nobody else gets its port.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use spectrum_tests::peers::{Scratch, Signal, wait_until};
use spectrum_tests::play::{GatewayStage, Person, ServerStage, Stage, perform, spectrum2_echo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What both a native backend and one of Spectrum 2 can do, in plays.
const PLAYS: [&str; 6] = ["contacts", "echo", "profile", "receipt", "room", "typing"];

const WITHIN: Duration = Duration::from_secs(30);

async fn perform_all<S: Stage>(stage: impl AsyncFn(&str) -> spectrum_tests::Outcome<S>) {
    let mut failures = Vec::new();
    for play in PLAYS {
        let scratch = Scratch::new("spectrum2").unwrap();
        let log = scratch.join("backend.log");
        let mut stage = stage(&spectrum2_echo(&[], &log)).await.unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plays/{play}.play"));
        if let Err(failure) = perform(&file, &mut stage).await {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            failures.push(format!("{failure}\n--- the backend's log\n{log}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} plays failed:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[tokio::test]
async fn a_backend_of_spectrum_2_plays_in_gateway_mode() {
    perform_all(GatewayStage::with_backend).await;
}

#[tokio::test]
async fn a_backend_of_spectrum_2_plays_in_server_mode() {
    perform_all(ServerStage::with_backend).await;
}

#[tokio::test]
async fn the_backend_gets_its_arguments_and_its_ini_file_as_from_spectrum_2() {
    let scratch = Scratch::new("spectrum2").unwrap();
    let log = scratch.join("backend.log");
    let mut stage = ServerStage::with_backend(&spectrum2_echo(&[], &log)).await.unwrap();
    let romeo = stage.connect("romeo", "street", true).await.unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let transport = stage.transport();
    assert!(
        text.contains(&format!("started as 1 of {transport}, -j {transport}")),
        "{text}"
    );
    assert!(text.contains(&format!("login romeo@{transport} as romeo")), "{text}");
    romeo.leave().await.unwrap();
}

#[tokio::test]
async fn a_refused_login_says_what_the_network_said() {
    let scratch = Scratch::new("spectrum2").unwrap();
    let stage = ServerStage::with_backend(&spectrum2_echo(&[], &scratch.join("backend.log")))
        .await
        .unwrap();
    let mut login = stage.login("romeo", "street");
    login.password = "wrong".into();
    let refused = spectrum_tests::xmpp::Client::connect(&login, stage.tls())
        .await
        .err()
        .unwrap();
    let spectrum_tests::xmpp::LoginFailure::Refused { condition, text } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (condition.as_str(), text.as_str()),
        ("not-authorized", "The network says: wrong password")
    );
}

async fn body(person: &mut dyn Person, wanted: &str) {
    loop {
        let stanza = person.receive().await.unwrap();
        if stanza
            .get_child("body", "jabber:client")
            .is_some_and(|body| body.text() == wanted)
            && stanza.attr("type") != Some("error")
        {
            return;
        }
    }
}

#[tokio::test]
async fn a_backend_that_dies_is_replaced_and_the_message_is_answered() {
    let scratch = Scratch::new("spectrum2").unwrap();
    let log = scratch.join("backend.log");
    let mut stage = ServerStage::with_backend(&spectrum2_echo(&[], &log)).await.unwrap();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    let message =
        |id: &str, body: &str| format!("<message to='echo@echo.localhost' type='chat' id='{id}'><body>{body}</body></message>");
    romeo.send(&message("m1", "hello")).await.unwrap();
    body(romeo.as_mut(), "hello").await;
    romeo.send(&message("m2", "!die")).await.unwrap();
    // It may have been sent before the backend died: that is what its sender is told.
    loop {
        let stanza = romeo.receive().await.unwrap();
        if stanza.attr("id") == Some("m2") && stanza.attr("type") == Some("error") {
            break;
        }
    }
    romeo.send(&message("m3", "hello again")).await.unwrap();
    body(romeo.as_mut(), "hello again").await;
}

#[tokio::test]
async fn a_stranger_on_the_port_of_a_backend_gets_nothing() {
    let scratch = Scratch::new("spectrum2").unwrap();
    // A wrapper, as people use them, that notes the port and waits before it becomes the backend.
    let wrapper = scratch.join("wrapper");
    let (port, go) = (scratch.join("port"), scratch.join("go"));
    let script = format!(
        "#!/bin/bash\nfor (( i = 1; i <= $#; i++ )); do [ \"${{!i}}\" != --port ] || {{ j=$((i + 1)); port=${{!j}}; }}; done\n\
         if [ ! -e {port} ]; then echo $port > {port}.new; mv {port}.new {port}; while [ ! -e {go} ]; do sleep 0.05; done; fi\n\
         exec \"$@\"\n",
        port = port.display(),
        go = go.display(),
    );
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wrapper = wrapper.display().to_string();
    let mut stage = ServerStage::with_backend(&spectrum2_echo(&[&wrapper], &scratch.join("backend.log")))
        .await
        .unwrap();
    let listening = || std::fs::read_to_string(&port).ok()?.trim().parse::<u16>().ok();
    let number = wait_until("the wrapper's start", WITHIN, listening).await.unwrap();

    // This test is no process of the session that the main process made for its backend.
    let mut stranger = TcpStream::connect(("127.0.0.1", number)).await.unwrap();
    // A PONG, as a backend would say to be given users and their passwords.
    stranger.write_all(&[0, 0, 0, 2, 8, 10]).await.unwrap();
    let mut got = Vec::new();
    let read = tokio::time::timeout(WITHIN, stranger.read_to_end(&mut got)).await;
    assert!(read.is_ok(), "the stranger was kept");
    assert!(got.is_empty(), "the stranger got {got:?}");

    std::fs::write(&go, "").unwrap();
    let mut romeo = stage.connect("romeo", "street", true).await.unwrap();
    romeo
        .send("<message to='echo@echo.localhost' type='chat' id='m1'><body>hello</body></message>")
        .await
        .unwrap();
    body(romeo.as_mut(), "hello").await;
    // Once the backend has connected there is nothing to connect to.
    assert!(TcpStream::connect(("127.0.0.1", number)).await.is_err());
}

#[tokio::test]
async fn a_stopped_instance_tells_its_backend_to_exit() {
    let scratch = Scratch::new("spectrum2").unwrap();
    let log = scratch.join("backend.log");
    let mut stage = ServerStage::with_backend(&spectrum2_echo(&[], &log)).await.unwrap();
    let romeo = stage.connect("romeo", "street", true).await.unwrap();
    stage.instance().process().signal(Signal::TERM);
    stage.instance().process().ends_within(WITHIN).await.unwrap();
    let told = || {
        std::fs::read_to_string(&log)
            .is_ok_and(|log| log.contains("logout romeo@") && log.contains("type 29"))
            .then_some(())
    };
    wait_until("LOGOUT and EXIT", WITHIN, told).await.unwrap();
    drop(romeo);
}
