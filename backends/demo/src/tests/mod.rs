//! The network as a transport sees it, through the SDK's kit and on tokio's paused clock. One file per concern.

#![allow(clippy::unwrap_used)]

mod conformance;
mod contacts;
mod login;
mod messages;
mod rooms;
mod stall;

use spectrum_backend_sdk::model::{
    Attachment, Chat, ChatState, ContactDetails, Edit, IncomingMessage, JoinRoom, Marker, MarkerKind, MessageId, Occupant,
    Origin, OutgoingMessage, OwnRoom, OwnRooms, PageRequest, Reactions, Retraction, Role, Standing,
};
use spectrum_backend_sdk::testing::{Account, Kit, User};
use spectrum_backend_sdk::{Answer, Event, LoginErrorKind, OpErrorKind, OpResult, Verb};

use crate::*;

/// A network with a crowd that is quick to show.
async fn small() -> Kit {
    Kit::start(Demo::with_options(DemoOptions {
        members: 50,
        ..DemoOptions::default()
    }))
    .await
}

/// Somebody who is in, and has seen their contacts.
async fn enter(kit: &Kit, name: &str) -> User {
    let mut user = kit.login(Account::new(name)).await.unwrap();
    user.expect(|event| *event == Event::ContactsComplete).await;
    user
}

fn to(name: &str) -> Chat {
    Chat::Contact(name.into())
}

fn lobby() -> Chat {
    Chat::Room(LOBBY.into())
}

fn outgoing(chat: Chat, id: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat,
        id: id.into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: true,
    }
}

/// Sends a message under this id of the core's, and gives the network's.
async fn send(user: &mut User, chat: &Chat, id: &str, body: &str) -> MessageId {
    let outcome = user.request(Verb::SendMessage(outgoing(chat.clone(), id, body))).await;
    let Ok(Answer::Sent(sent)) = outcome else {
        panic!("not sent: {outcome:?}")
    };
    sent.id.unwrap()
}

async fn message(user: &mut User, body: &str) -> IncomingMessage {
    user.wait_for(body, |event| match event {
        Event::Message(message) if message.body == body => Some(message.clone()),
        _ => None,
    })
    .await
}

async fn join(user: &mut User, room: &str, nickname: &str) -> OpResult<String> {
    let join = JoinRoom {
        room: room.into(),
        nickname: nickname.into(),
        password: None,
    };
    match user.request(Verb::JoinRoom(join)).await? {
        Answer::Joined(joined) => Ok(joined.nickname.as_str().to_owned()),
        other => panic!("a join was answered with {other:?}"),
    }
}
