//! The start, a lost link, the end.

use super::*;

#[tokio::test(start_paused = true)]
async fn whoever_was_online_is_asked_at_the_start_and_noted_as_offline_without_an_answer() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let user = UserKey::from(ROMEO);
    let new = NewRegistration {
        legacy_name: "Romeo".into(),
        password: "p".into(),
        settings: Default::default(),
    };
    store.save_registration(&user, new, Timestamp::from_secs(1)).await.unwrap();
    store.record_login(&user, Timestamp::from_secs(2)).await.unwrap();
    let mut scene = Scene::with_store(store, 1).await;
    scene
        .expect("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    drop(scene.all_within(Duration::from_secs(59)).await);
    assert_eq!(scene.store.list_online().await.unwrap(), [user]);
    drop(scene.all_within(Duration::from_secs(3)).await);
    assert!(scene.store.list_online().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn session_outlives_the_link_and_its_user_is_asked_again() {
    let mut scene = Scene::with_store(Arc::new(MemoryStore::new()), 2).await;
    scene.registered().await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
    scene.restart().await;
    scene
        .find("<presence type='probe' from='irc.localhost' to='romeo@localhost'/>")
        .await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
}

#[tokio::test(start_paused = true)]
async fn end_is_shown_to_users_before_the_stream_closes() {
    let mut scene = Scene::begin().await;
    scene.registered().await;
    scene
        .send("<presence from='romeo@localhost/orchard' to='irc.localhost'/>")
        .await;
    while !is_to(&scene.next().await, "presence", None, "irc.localhost") {}
    scene.shutdown.trigger();
    while !is_to(&scene.next().await, "presence", Some("unavailable"), "irc.localhost") {}
    while !scene.text.contains("</stream:stream>") {
        scene.fill().await;
    }
    assert!(matches!(scene.running.await, Ok(Ok(()))));
}

/// An embedder may run many gateways in one process, one after the other.
#[tokio::test]
async fn a_gateway_that_is_dropped_leaves_nothing_behind() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let config = Config::from_toml(
        "mode = \"gateway\"\njid = \"irc.localhost\"\n[gateway]\nsecret = \"s\"\n[backend]\nbuiltin = \"verona\"\n",
    )
    .unwrap();
    let tasks = Tasks::new();
    let network = BackendSource::Builtin(Arc::new(Verona::default()));
    let gateway = Gateway::new(GatewayParts {
        config: Arc::new(config),
        main: Pool::start(PoolOptions::new(network, "irc.localhost", "."), &tasks),
        store: Arc::clone(&store),
        tasks,
        once: false,
        connect: Some(Arc::new(Prepared(Mutex::default()))),
    })
    .unwrap();
    assert!(Arc::strong_count(&store) > 1);
    drop(gateway);
    assert_eq!(Arc::strong_count(&store), 1, "everything that had the store is gone");
}
