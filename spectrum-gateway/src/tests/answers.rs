//! Nothing that is asked stays without an answer, and not everything that is said is believed.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_asked_of_the_transport_stays_without_an_answer() {
    let mut scene = Scene::begin().await;
    for (number, payload) in [
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='jabber:iq:gateway'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<time xmlns='urn:xmpp:time'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<vCard xmlns='vcard-temp'/>",
        "<query xmlns='jabber:iq:register'/>",
        "<query xmlns='urn:example:nothing'/>",
    ]
    .iter()
    .enumerate()
    {
        scene
            .send(&format!(
                "<iq type='get' id='q{number}' from='romeo@localhost/orchard' to='irc.localhost'>{payload}</iq>"
            ))
            .await;
        let answer = scene.next().await;
        let expected = if number == 9 { "error" } else { "result" };
        assert_eq!(
            (answer.attr("id"), answer.attr("type")),
            (Some(format!("q{number}").as_str()), Some(expected)),
            "{payload}"
        );
        assert_eq!(answer.attr("to"), Some("romeo@localhost/orchard"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_jid_of_a_name_is_escaped_as_configured() {
    for (top, jid) in [
        ("", "nurse\\40verona@irc.localhost"),
        ("jid_escaping = false\n", "nurse%verona@irc.localhost"),
    ] {
        let mut scene = Scene::with_config(Verona::default(), Arc::new(MemoryStore::new()), 1, top).await;
        scene
            .send(
                "<iq type='set' id='g' from='romeo@localhost/orchard' to='irc.localhost'>\
                 <query xmlns='jabber:iq:gateway'><prompt>nurse@verona</prompt></query></iq>",
            )
            .await;
        let answer = scene.next().await;
        let found = answer
            .children()
            .next()
            .and_then(|query| query.children().next())
            .map(Element::text);
        assert_eq!(found.as_deref(), Some(jid), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stanzas_of_those_who_are_not_logged_in_are_answered() {
    let mut scene = Scene::begin().await;
    scene
        .send("<message type='chat' id='m' from='romeo@localhost/orchard' to='nurse@irc.localhost'><body>hi</body></message>")
        .await;
    let answer = scene.next().await;
    assert!(is_to(&answer, "message", Some("error"), "nurse@irc.localhost") && answer.attr("id") == Some("m"));
    scene
        .send("<presence type='probe' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='unavailable' from='nurse@irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence type='unsubscribe' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='unsubscribed' from='nurse@irc.localhost' to='romeo@localhost'/>")
        .await;
    // Some servers show us everybody who goes online: that asks for nothing.
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    assert_eq!(scene.all_within(Duration::from_secs(5)).await, []);
}

#[tokio::test(start_paused = true)]
async fn grants_of_servers_without_users_here_are_not_believed() {
    let mut scene = Scene::begin().await;
    scene.send("<message from='elsewhere' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>").await;
    scene.send("<message from='romeo@localhost/orchard' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/></privilege></message>").await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert!(scene.store.load_grants().await.unwrap().is_empty());
    scene.send(GRANT).await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert_eq!(
        scene.store.load_grants().await.unwrap().into_keys().collect::<Vec<_>>(),
        ["localhost"]
    );
    scene
        .send("<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'/></message>")
        .await;
    drop(scene.all_within(Duration::from_secs(5)).await);
    assert!(scene.store.load_grants().await.unwrap().is_empty());
}
