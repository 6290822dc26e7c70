//! Commands: whose a session is, how many there are, how often somebody may try, and who is let near.

use super::*;

const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ORCHARD: &str = "romeo@localhost/orchard";

/// Calls a command and gives the answer.
async fn call(scene: &mut Scene, from: &str, id: &str, attributes: &str) -> Element {
    let command = format!("<command xmlns='{COMMANDS}' {attributes}/>");
    scene
        .send(&format!(
            "<iq type='set' id='{id}' from='{from}' to='irc.localhost'>{command}</iq>"
        ))
        .await;
    loop {
        let stanza = timeout(Duration::from_secs(60), scene.next()).await.expect("no answer");
        if stanza.name() == "iq" && stanza.attr("id") == Some(id) {
            return stanza;
        }
    }
}

fn session(answer: &Element) -> String {
    let command = answer.get_child("command", COMMANDS).unwrap_or_else(|| panic!("{answer:?}"));
    command.attr("sessionid").unwrap().to_owned()
}

fn is_expired(answer: &Element) -> bool {
    answer
        .get_child("error", "jabber:client")
        .is_some_and(|error| error.has_child("session-expired", COMMANDS))
}

#[tokio::test(start_paused = true)]
async fn session_belongs_to_the_resource_that_began_it() {
    let mut scene = Scene::begin().await;
    let begun = call(&mut scene, ORCHARD, "a", "node='jabber:iq:register'").await;
    let attributes = format!("node='jabber:iq:register' sessionid='{}' action='cancel'", session(&begun));
    for other in ["romeo@localhost/balcony", "tybalt@localhost/orchard"] {
        let answer = call(&mut scene, other, "b", &attributes).await;
        assert!(is_expired(&answer), "{answer:?}");
    }
    let own = call(&mut scene, ORCHARD, "c", &attributes).await;
    assert_eq!(own.attr("type"), Some("result"), "{own:?}");
    let over = call(&mut scene, ORCHARD, "d", &attributes).await;
    assert!(is_expired(&over), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn the_oldest_session_goes_when_a_user_begins_too_many() {
    let mut scene = Scene::begin().await;
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(session(&call(&mut scene, ORCHARD, "a", "node='jabber:iq:register'").await));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    for (at, id) in sessions.iter().enumerate() {
        let attributes = format!("node='jabber:iq:register' sessionid='{id}' action='cancel'");
        let answer = call(&mut scene, ORCHARD, "b", &attributes).await;
        assert_eq!(is_expired(&answer), at == 0, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_tries_too_often_has_to_wait() {
    let mut scene = Scene::begin().await;
    scene.registered().await;
    // The registration was the first of ten.
    for _ in 0..9 {
        let answer = call(&mut scene, ORCHARD, "a", "node='login'").await;
        assert_eq!(answer.attr("type"), Some("result"), "{answer:?}");
    }
    let refused = call(&mut scene, ORCHARD, "b", "node='login'").await;
    let error = refused.get_child("error", "jabber:client").unwrap();
    assert_eq!(error.attr("type"), Some("wait"), "{refused:?}");
    // A server that is heard of is not given up meanwhile.
    for _ in 0..60 {
        scene.send(" ").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let answer = call(&mut scene, ORCHARD, "c", "node='login'").await;
    assert_eq!(answer.attr("type"), Some("result"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn commands_are_for_users_who_are_allowed_and_verbs_for_administrators() {
    let mut scene = Scene::begin().await;
    let condition = |answer: &Element, name: &str| {
        let error = answer.get_child("error", "jabber:client");
        error.is_some_and(|error| error.has_child(name, "urn:ietf:params:xml:ns:xmpp-stanzas"))
    };
    let stranger = call(&mut scene, "nurse@elsewhere/x", "a", "node='jabber:iq:register'").await;
    assert!(
        condition(&stranger, "not-allowed") || condition(&stranger, "forbidden"),
        "{stranger:?}"
    );
    let user = call(&mut scene, ORCHARD, "b", "node='http://jabber.org/protocol/admin#announce'").await;
    assert!(condition(&user, "forbidden"), "{user:?}");
    let unknown = call(&mut scene, ORCHARD, "c", "node='dance'").await;
    assert!(condition(&unknown, "item-not-found"), "{unknown:?}");
}
