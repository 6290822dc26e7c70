//! The echo network does what it declares.

#![allow(clippy::unwrap_used)]

use spectrum_backend_sdk::model::{Chat, JoinRoom};
use spectrum_backend_sdk::testing::{Account, Kit, check};
use spectrum_backend_sdk::{Event, LoginErrorKind, Verb};
use spectrum_examples::echo::{ECHO, Echo, LOBBY, WRONG_PASSWORD};

#[tokio::test]
async fn the_echo_network_does_what_it_declares() {
    let kit = Kit::start(Echo { contacts: 2 }).await;
    let mut user = kit.login(Account::new("alice")).await.unwrap();
    assert_eq!(check(&mut user, kit.info()).await, []);
    user.logout().await;
    assert_eq!(kit.stop().await, Vec::<&str>::new());
}

#[tokio::test]
async fn users_talk_in_the_lobby_and_are_echoed() {
    let kit = Kit::start(Echo { contacts: 1 }).await;
    let mut user = kit.login(Account::new("alice")).await.unwrap();
    user.expect(|event| matches!(event, Event::ContactsComplete)).await;
    let join = JoinRoom {
        room: LOBBY.into(),
        nickname: "Alice".into(),
        password: None,
    };
    user.request(Verb::JoinRoom(join)).await.unwrap();
    user.say(Chat::Room(LOBBY.into()), "hello").await.unwrap();
    let echo = user.expect(|event| matches!(event, Event::Message(_))).await;
    let Event::Message(message) = echo else {
        unreachable!("expected above")
    };
    assert_eq!((message.body.as_str(), message.nickname.unwrap().as_str()), ("hello", ECHO));
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let kit = Kit::start(Echo { contacts: 1 }).await;
    let refused = kit.login(Account::new("alice").password(WRONG_PASSWORD)).await;
    assert_eq!(refused.err().unwrap().kind, LoginErrorKind::AuthenticationFailed);
}
