//! The way in, as well-behaved clients go it.

use spectrum_core::backend::{LoginError, LoginErrorKind};
use spectrum_core::session::{AuthError, Input};
use tokio::time::advance;

use super::stage::*;
use crate::client::Security;

#[tokio::test(start_paused = true)]
async fn client_comes_in_over_starttls_and_is_bound() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    peer.send("</stream:stream>").await;
    peer.expect_last("</stream:stream>").await;
    assert!(matches!(stage.told_input().await, Input::ResourceLost(resource) if resource.as_str() == "phone"));
    assert_eq!(stage.shared.clients.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn client_comes_in_over_direct_tls_with_and_without_its_protocol_name() {
    let stage = Stage::new();
    for alpn in [&[][..], &[&b"xmpp-client"[..]]] {
        let mut peer = stage.connect_with(Security::DirectTls, 64 * 1024).encrypted(alpn).await;
        peer.open().await;
        peer.expect(FEATURES_TLS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn login_name_is_told_in_its_letters_and_the_jid_in_xmpps() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0Alice%IRC.example.net\0s3cret").await;
    let Told::Authenticate {
        user, name, password, ..
    } = stage.told().await
    else {
        panic!("no login")
    };
    assert_eq!(user, "alice%irc.example.net@irc.localhost");
    assert_eq!((name.as_str(), password.as_str()), ("Alice@IRC.example.net", "s3cret"));
}

#[tokio::test(start_paused = true)]
async fn credentials_may_come_after_a_challenge() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>")
        .await;
    peer.expect("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await;
    peer.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AGFsaWNlAHB3</response>")
        .await;
    let ticket = stage.told_login().await;
    stage.answer(ticket, Ok(()));
    peer.expect(SUCCESS).await;
}

#[tokio::test(start_paused = true)]
async fn success_waits_for_the_network_and_the_clients_clock_stands_still() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    advance(stage.shared.timing.negotiation / 2).await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    advance(LOGIN_TIMEOUT).await;
    stage.answer(ticket, Ok(()));
    peer.expect(SUCCESS).await;
    advance(stage.shared.timing.negotiation / 4).await;
    peer.open().await;
    peer.expect(FEATURES_BIND).await;
}

#[tokio::test(start_paused = true)]
async fn refused_login_is_told_with_the_networks_reason() {
    let mut stage = Stage::new();
    for (error, expected) in [
        (
            AuthError::Login(LoginError::new(LoginErrorKind::AuthenticationFailed, "Password incorrect")),
            sasl_failure("not-authorized", Some("Password incorrect")),
        ),
        (
            AuthError::Login(LoginError::new(LoginErrorKind::Network, "No route to host")),
            sasl_failure("temporary-auth-failure", Some("No route to host")),
        ),
        (
            AuthError::NotAuthorized,
            sasl_failure("not-authorized", Some("You are logged in with another password.")),
        ),
        (
            AuthError::Refused("Stopping.".to_owned()),
            sasl_failure("temporary-auth-failure", Some("Stopping.")),
        ),
    ] {
        let mut peer = stage.connect_tls().await;
        peer.plain("\0alice\0pw").await;
        let ticket = stage.told_login().await;
        stage.answer(ticket, Err(error));
        peer.expect_last(&format!("{expected}</stream:stream>")).await;
        assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
    }
}

#[tokio::test(start_paused = true)]
async fn login_that_nobody_answers_is_a_temporary_failure() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    stage.told_login().await;
    let failure = sasl_failure("temporary-auth-failure", Some("The network did not answer in time."));
    peer.expect_last(&format!("{failure}</stream:stream>")).await;
}

#[tokio::test(start_paused = true)]
async fn client_that_leaves_or_aborts_cancels_its_login() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    drop(peer);
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));

    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    peer.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await;
    peer.expect(&sasl_failure("aborted", None)).await;
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
    peer.plain("\0alice\0pw").await;
    stage.told_login().await;
}

#[tokio::test(start_paused = true)]
async fn client_that_leaves_between_login_and_bind_is_told_of() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    stage.answer(ticket, Ok(()));
    peer.expect(SUCCESS).await;
    drop(peer);
    assert!(matches!(stage.told_input().await, Input::Abandoned(gone) if gone == ticket));
}

#[tokio::test(start_paused = true)]
async fn resource_is_made_where_the_client_has_none_and_refused_where_it_is_none() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_tls().await;
    peer.plain("\0alice\0pw").await;
    let ticket = stage.told_login().await;
    stage.answer(ticket, Ok(()));
    peer.expect(SUCCESS).await;
    peer.open().await;
    peer.expect(FEATURES_BIND).await;
    peer.bind(&"x".repeat(2000)).await;
    peer.expect(
        "<iq id='bind' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This is no resource.</text></error></iq>",
    )
    .await;
    peer.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .await;
    let result = bound("0123456789abcdef");
    let before = result.find("0123").unwrap();
    peer.expect(&result[..before]).await;
}

#[tokio::test(start_paused = true)]
async fn second_client_takes_the_resource_and_the_first_is_told_of_the_conflict() {
    let mut stage = Stage::new();
    let mut first = stage.connect_bound("phone").await;
    let mut second = stage.connect_bound("phone").await;
    first
        .expect_last(&stream_error_text("conflict", "Another client has taken this resource."))
        .await;
    assert!(matches!(stage.told_input().await, Input::ResourceLost(resource) if resource.as_str() == "phone"));
    stage.told_nothing();
    assert_eq!(stage.shared.clients.count(), 1);
    second.send("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    second
        .expect("<iq to='alice@irc.localhost/phone' id='1' type='result'/>")
        .await;
}
