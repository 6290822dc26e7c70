//! What hostile, broken and slow clients do on the way in.

use std::time::Duration;

use spectrum_core::session::{AuthError, Input};
use tokio::time::{Instant, advance};

use super::stage::*;
use crate::client::Security;
use crate::clients::RESOURCES_PER_USER;

#[tokio::test(start_paused = true)]
async fn password_before_tls_is_refused() {
    let mut stage = Stage::new();
    let mut peer = stage.connect();
    peer.open().await;
    peer.expect(FEATURES_PLAIN).await;
    peer.plain("\0alice\0pw").await;
    peer.expect(&sasl_failure("encryption-required", None)).await;
    stage.told_nothing();
    peer.send(STARTTLS).await;
    peer.expect("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
}

#[tokio::test(start_paused = true)]
async fn text_behind_starttls_ends_the_connection() {
    let mut stage = Stage::new();
    let mut peer = stage.connect();
    peer.open().await;
    peer.expect(FEATURES_PLAIN).await;
    peer.send(&format!(
        "{STARTTLS}{OPEN}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
    ))
    .await;
    peer.expect_last("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
        .await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn stream_for_another_domain_is_refused() {
    let stage = Stage::new();
    for to in ["to='example.org'", "", "to='@@'"] {
        let mut peer = stage.connect();
        peer.send(&OPEN.replace("to='irc.localhost'", to)).await;
        peer.expect_header().await;
        peer.expect_last(&stream_error("host-unknown")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_gets_a_stream_error() {
    let stage = Stage::new();
    for (bytes, condition) in [
        ("GET / HTTP/1.1\r\nHost: irc.localhost\r\n\r\n", "not-well-formed"),
        ("<!-- hello -->", "restricted-xml"),
        (
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>",
            "invalid-namespace",
        ),
    ] {
        let mut peer = stage.connect();
        peer.send(bytes).await;
        peer.expect_header().await;
        let prefix = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
        peer.expect(&prefix).await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_mechanisms_and_malformed_messages_may_be_tried_again_three_times_in_all() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>biw=</auth>")
        .await;
    peer.expect(&sasl_failure("invalid-mechanism", None)).await;
    peer.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>!</auth>")
        .await;
    peer.expect(&sasl_failure("incorrect-encoding", None)).await;
    peer.plain("bob@irc.localhost\0alice\0pw").await;
    let last = sasl_failure("invalid-authzid", None);
    let over = stream_error_text("policy-violation", "too many attempts at authentication");
    peer.expect_last(&format!("{last}{over}")).await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn oversized_credentials_end_the_stream() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain(&format!("\0alice\0{}", "x".repeat(9000))).await;
    peer.expect_last(&stream_error_text("policy-violation", "stanza too long"))
        .await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn client_that_talks_too_much_before_it_is_bound_is_cut_off() {
    let stage = Stage::new();
    let mut peer = stage.connect();
    peer.open().await;
    peer.expect(FEATURES_PLAIN).await;
    let nonsense = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</auth>", "x".repeat(9000));
    for _ in 0..7 {
        peer.send(&nonsense).await;
        peer.expect(&sasl_failure("encryption-required", None)).await;
    }
    peer.send(&nonsense).await;
    peer.expect_last(&stream_error_text("policy-violation", "too much before authentication"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn stanzas_before_login_and_before_bind_are_not_authorized() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.send("<message to='bob@irc.localhost'><body>x</body></message>").await;
    peer.expect_last(&stream_error("not-authorized")).await;

    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    stage.answer(ticket, Ok(()));
    peer.expect(SUCCESS).await;
    peer.open().await;
    peer.expect(FEATURES_BIND).await;
    peer.send("<presence/>").await;
    peer.expect_last(&stream_error("not-authorized")).await;
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn talk_during_the_login_ends_it() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    peer.send("<presence/>").await;
    peer.expect_last(&stream_error("not-authorized")).await;
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
}

#[tokio::test(start_paused = true)]
async fn silent_client_is_cut_off_in_every_phase() {
    let mut stage = Stage::new();
    let limit = stage.shared.timing.negotiation;
    let too_slow = stream_error_text("connection-timeout", "too slow");

    let begun = Instant::now();
    let mut peer = stage.connect();
    peer.expect_header().await;
    peer.expect_last(&too_slow).await;
    assert!(begun.elapsed() <= limit + Duration::from_secs(1));

    // One byte now and then does not help.
    let begun = Instant::now();
    let mut peer = stage.connect();
    for byte in OPEN.chars().take(100) {
        if begun.elapsed() < limit {
            peer.send(&byte.to_string()).await;
            advance(Duration::from_secs(1)).await;
        }
    }
    peer.expect_header().await;
    peer.expect_last(&too_slow).await;
    assert!(begun.elapsed() <= limit + Duration::from_secs(2));

    // Neither does TLS that never begins.
    let mut peer = stage.connect();
    peer.open().await;
    peer.expect(FEATURES_PLAIN).await;
    peer.send(STARTTLS).await;
    peer.expect_last("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await;
    let mut peer = stage.connect_with(Security::DirectTls, 64 * 1024);
    peer.expect_last("").await;

    let mut peer = stage.connect_tls().await;
    peer.expect_last(&too_slow).await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn clear_text_on_the_tls_port_is_cut_off() {
    let stage = Stage::new();
    let mut peer = stage.connect_with(Security::DirectTls, 64 * 1024);
    peer.send(OPEN).await;
    // Nothing in clear text comes back but a TLS alert.
    let mut io = peer.into_io();
    let mut alert = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut io, &mut alert).await.unwrap_or(0);
    assert!(alert.is_empty() || alert[0] == 21, "{alert:?}");
}

#[tokio::test(start_paused = true)]
async fn stopping_server_tells_clients_that_are_on_their_way_in() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    stage.shared.stopping.cancel();
    peer.expect_last(&stream_error("system-shutdown")).await;
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
}

#[tokio::test(start_paused = true)]
async fn who_guesses_passwords_is_not_let_try_for_ever() {
    let mut stage = Stage::new();
    stage.from = [192, 0, 2, 1].into();
    let refused = sasl_failure("not-authorized", Some("You are logged in with another password."));
    let mut guesses = 0;
    let last = loop {
        let mut peer = stage.connect_tls().await;
        peer.plain(&format!("\0alice\0guess{guesses}")).await;
        let Some(ticket) = stage.told_login_soon().await else {
            break peer;
        };
        stage.answer(ticket, Err(AuthError::NotAuthorized));
        peer.expect_last(&format!("{refused}</stream:stream>")).await;
        stage.told_input().await;
        guesses += 1;
        assert!(guesses < 100);
    };
    let text = "Too many logins from your address were refused. Try again in some minutes.";
    let mut last = last;
    last.expect_last(&format!(
        "{}</stream:stream>",
        sasl_failure("temporary-auth-failure", Some(text))
    ))
    .await;
    assert_eq!(guesses, 30);
    stage.from = [192, 0, 2, 2].into();
    stage.connect_bound("elsewhere").await;
}

#[tokio::test(start_paused = true)]
async fn one_user_has_so_many_connections_and_no_more() {
    let mut stage = Stage::new();
    let mut peers = Vec::new();
    for n in 0..RESOURCES_PER_USER {
        peers.push(stage.connect_bound(&format!("r{n}")).await);
    }
    let mut peer = stage.connect_binding().await;
    peer.bind("one-more").await;
    peer.expect(
        "<iq id='bind' type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>You have too many connections already.</text></error></iq>",
    )
    .await;
    peer.bind("r0").await;
    peer.expect(&bound("r0")).await;
    assert_eq!(stage.shared.clients.count(), RESOURCES_PER_USER);
}
