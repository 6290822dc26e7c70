//! Registration and removal: what becomes of the roster, with a grant and without.

use super::*;

#[tokio::test(start_paused = true)]
async fn registration_brings_the_transport_into_the_roster_and_asks_for_presence() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    scene.send(REGISTER).await;
    scene
        .expect("<iq type='result' id='reg' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    scene
        .expect("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='both'/></query></iq>").await;
    scene.expect("<iq type='set' id='roster-2' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'><item jid='irc.localhost' name='Verona' subscription='both'/></query></iq>").await;
    scene
        .send("<iq type='result' id='roster-2' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    let kept = scene.store.load_registration(&ROMEO.into()).await.unwrap().unwrap();
    assert_eq!((kept.legacy_name.as_str(), kept.password.expose()), ("Romeo", "p"));
}

#[tokio::test(start_paused = true)]
async fn without_a_grant_the_transport_asks_once_ten_seconds_have_passed() {
    let mut scene = Scene::begin().await;
    let began = Instant::now();
    scene.registered().await;
    scene.expect("<presence type='subscribe' from='irc.localhost' to='romeo@localhost'><nick xmlns='http://jabber.org/protocol/nick'>Verona</nick></presence>").await;
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    scene
        .send("<presence type='subscribed' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence type='subscribe' from='romeo@localhost' to='irc.localhost'/>")
        .await;
    scene
        .expect("<presence type='subscribed' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .expect("<presence type='unavailable' from='irc.localhost' to='romeo@localhost'/>")
        .await;
}

#[tokio::test(start_paused = true)]
async fn login_shows_the_transport_and_puts_contacts_into_the_roster() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    scene.registered().await;
    scene
        .find("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='irc.localhost' name='Verona' subscription='both'/></query></iq>").await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    let mut online = false;
    let mut contact = None;
    while !online || contact.is_none() {
        let stanza = timeout(Duration::from_secs(600), scene.next()).await.expect("nothing came");
        online |= is_to(&stanza, "presence", None, "irc.localhost");
        if stanza.name() == "iq" && stanza.attr("type") == Some("get") {
            let id = stanza.attr("id").unwrap();
            scene
                .send(&format!(
                    "<iq type='result' id='{id}' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'/></iq>"
                ))
                .await;
        } else if stanza.name() == "iq" && String::from(&stanza).contains("nurse@irc.localhost") {
            contact = stanza.children().next().and_then(|query| query.children().next()).cloned();
        }
    }
    let expected: Element = "<item xmlns='jabber:iq:roster' jid='nurse@irc.localhost' name='The Nurse' subscription='both'><group>Verona</group></item>".parse().unwrap();
    assert_eq!(contact, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn removal_leaves_no_ghost_in_a_roster_we_may_change() {
    let mut scene = Scene::begin().await;
    scene.send(GRANT).await;
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    scene
        .store
        .save_registration(&ROMEO.into(), new, Timestamp::from_secs(1))
        .await
        .unwrap();
    scene.send("<iq type='set' id='bye' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    scene
        .expect("<iq type='result' id='bye' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    scene
        .expect("<iq type='get' id='roster-1' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'/></iq>")
        .await;
    scene.send("<iq type='result' id='roster-1' from='romeo@localhost' to='irc.localhost'><query xmlns='jabber:iq:roster'><item jid='nurse@irc.localhost' subscription='both'/><item jid='irc.localhost' subscription='both'/><item jid='juliet@localhost' subscription='both'/></query></iq>").await;
    for (id, jid) in [("roster-2", "irc.localhost"), ("roster-3", "nurse@irc.localhost")] {
        scene
            .expect(&format!("<presence type='unavailable' from='{jid}' to='romeo@localhost'/>"))
            .await;
        scene.expect(&format!("<iq type='set' id='{id}' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'><item jid='{jid}' subscription='remove'/></query></iq>")).await;
    }
    assert_eq!(scene.store.load_registration(&ROMEO.into()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn removal_without_a_grant_takes_back_every_subscription() {
    let mut scene = Scene::begin().await;
    let user = UserKey::from(ROMEO);
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    scene
        .store
        .save_registration(&user, new, Timestamp::from_secs(1))
        .await
        .unwrap();
    // What the user did with a contact is remembered.
    scene
        .send("<presence type='subscribed' from='romeo@localhost' to='nurse@irc.localhost'/>")
        .await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(scene.store.load_roster(&user).await.unwrap()[0].state, RosterState::Held);
    scene.send("<iq type='set' id='bye' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    scene
        .expect("<iq type='result' id='bye' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    for from in ["irc.localhost", "nurse@irc.localhost"] {
        for type_ in ["unsubscribe", "unsubscribed", "unavailable"] {
            scene
                .expect(&format!("<presence type='{type_}' from='{from}' to='romeo@localhost'/>"))
                .await;
        }
    }
    // The server keeps the items, without a subscription; a client that can takes them out (XEP-0144).
    scene
        .expect(
            "<message type='headline' from='irc.localhost' to='romeo@localhost'>\
             <x xmlns='http://jabber.org/protocol/rosterx'>\
             <item action='delete' jid='irc.localhost'/><item action='delete' jid='nurse@irc.localhost'/></x>\
             <no-store xmlns='urn:xmpp:hints'/></message>",
        )
        .await;
    scene.send("<iq type='set' id='again' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>").await;
    let answer = scene.next().await;
    assert!(String::from(&answer).contains("registration-required"), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_of_one_user_are_dealt_with_one_at_a_time() {
    let mut scene = Scene::begin().await;
    // Nobody is let in twice, and every request is answered.
    let requests: String = (0..5)
        .map(|id| REGISTER.replace("id='reg'", &format!("id='reg{id}'")))
        .collect();
    scene.send(&requests).await;
    let mut answers = Vec::new();
    while answers.len() < 5 {
        let stanza = scene.next().await;
        if stanza.name() == "iq" {
            answers.push((stanza.attr("id").unwrap().to_owned(), stanza.attr("type").unwrap().to_owned()));
        }
    }
    answers.sort();
    let ids: Vec<_> = answers.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["reg0", "reg1", "reg2", "reg3", "reg4"]);
    assert!(answers.iter().any(|(_, type_)| type_ == "result"));
}

#[tokio::test(start_paused = true)]
async fn registration_form_calls_the_network_by_the_name_it_has_by_then() {
    let mut scene = Scene::begin().await;
    scene
        .send("<iq type='get' id='r' from='romeo@localhost/orchard' to='irc.localhost'><query xmlns='jabber:iq:register'/></iq>")
        .await;
    let answer = String::from(&scene.next().await);
    assert!(answer.contains("<title>Registration with Verona</title>"), "{answer}");
    assert!(!answer.contains("with irc.localhost"), "{answer}");
}
