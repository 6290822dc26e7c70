//! Networks that need no registration, and rooms after a kill of the gateway.

use super::*;

const OPEN: fn() -> Verona = || Verona {
    open: true,
    ..Verona::default()
};
const JOIN: &str = "<presence from='romeo@localhost/orchard' to='#balcony@irc.localhost/rom'><x xmlns='http://jabber.org/protocol/muc'/></presence>";

/// Waits for the user's own presence in the room.
async fn joined(scene: &mut Scene) {
    loop {
        let stanza = timeout(Duration::from_secs(60), scene.next()).await.expect("not joined");
        if is_to(&stanza, "presence", None, "#balcony@irc.localhost/rom") {
            let text = String::from(&stanza);
            assert!(text.contains("code='110'") || text.contains("code=\"110\""), "{text}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_needs_a_registration_a_room_is_joined_at_once_and_the_user_is_remembered() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene.send(JOIN).await;
    joined(&mut scene).await;
    assert_eq!(*scene.logins.lock().unwrap(), ["romeo"]);
    let kept = scene.store.load_registration(&ROMEO.into()).await.unwrap().unwrap();
    assert_eq!(
        (kept.legacy_name.as_str(), kept.password.expose(), kept.online),
        ("romeo", "", true)
    );
    // To register is possible all the same, and the session goes on with that.
    scene.send(REGISTER).await;
    scene
        .find("<iq type='result' id='reg' from='irc.localhost' to='romeo@localhost/orchard'/>")
        .await;
    drop(scene.all_within(Duration::from_secs(20)).await);
    assert_eq!(*scene.logins.lock().unwrap(), ["romeo", "Romeo"]);
}

#[tokio::test(start_paused = true)]
async fn presence_alone_logs_in_where_nobody_needs_a_registration() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    scene.find("<presence from='irc.localhost' to='romeo@localhost'/>").await;
}

#[tokio::test(start_paused = true)]
async fn presence_that_a_server_shows_us_logs_nobody_in_who_has_not_asked_for_it() {
    let mut scene = Scene::with(OPEN(), Arc::new(MemoryStore::new()), 1).await;
    scene.send("<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm access='presence' type='managed_entity'/></privilege></message>").await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    assert_eq!(scene.all_within(Duration::from_secs(5)).await, []);
    assert!(scene.logins.lock().unwrap().is_empty());
    // A room is asked for.
    scene.send(JOIN).await;
    joined(&mut scene).await;
}

/// A store as a killed gateway leaves it: the user online, and in a room.
async fn left_in_a_room() -> Arc<dyn Store> {
    let (store, user) = (Arc::new(MemoryStore::new()), UserKey::from(ROMEO));
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    store.save_registration(&user, new, Timestamp::from_secs(1)).await.unwrap();
    store.record_login(&user, Timestamp::from_secs(2)).await.unwrap();
    let room = RoomRecord {
        room: "#balcony".into(),
        nickname: "rom".into(),
        password: None,
        viewers: vec!["orchard".to_owned()],
    };
    store.save_room(&user, room).await.unwrap();
    store
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_room_is_shown_again_to_the_client_that_was_in_it() {
    let mut scene = Scene::with_store(left_in_a_room().await, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    joined(&mut scene).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_a_client_that_cannot_be_asked_is_told_that_it_is_out_of_the_room() {
    let mut scene = Scene::with_store(left_in_a_room().await, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene.find("<presence type='unavailable' from='#balcony@irc.localhost/rom' to='romeo@localhost/orchard'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/><status code='332'/></x></presence>").await;
}
