//! People of another XMPP server, as the tests of the XMPP backend meet them: alice through the backend, bob with a client there.

#![allow(clippy::unwrap_used, reason = "what goes wrong here is the failure of a test")]

use minidom::Element;
use spectrum_backend_sdk::ServerAddress;
use spectrum_backend_sdk::model::{
    Availability, Chat, ContactDetails, IncomingMessage, JoinRoom, OutgoingMessage, Patch, Subscription,
};
use spectrum_backend_sdk::testing::{Account, Kit, User};
use spectrum_backend_sdk::{Answer, Event, OpErrorKind, Verb};
use spectrum_xmpp::{Encryption, XmppBackend, XmppOptions};

use crate::clients::{Account as ClientAccount, Foreign, Library};
use crate::peers::{NETWORK_DOMAIN, NETWORK_ROOMS, PeerError, Prosody};
use crate::scene::{has_status, is_presence};
use crate::xmpp::Encryption as ClientEncryption;

/// Alice's account there.
pub const ALICE: &str = "alice@other.localhost";
/// Bob's.
pub const BOB: &str = "bob@other.localhost";

/// The backend, for accounts of the server behind this port.
pub async fn backend(port: u16) -> Kit {
    let options = XmppOptions {
        server: Some(ServerAddress {
            host: "127.0.0.1".into(),
            port,
        }),
        domains: vec![NETWORK_DOMAIN.to_owned()],
        tls: Encryption::Required,
        tls_verify: false,
    };
    Kit::start(XmppBackend::from_options(options).unwrap()).await
}

/// Logs alice in.
///
/// # Panics
/// If she is refused.
pub async fn login(kit: &Kit) -> User {
    kit.login(Account::new(ALICE).password("alice-pw")).await.unwrap()
}

/// A client of the server, which is shown and hears of its contacts.
///
/// # Errors
/// If the client is missing, or cannot log in.
pub async fn client(prosody: &Prosody, user: &str) -> Result<Foreign, PeerError> {
    let account = ClientAccount {
        jid: format!("{user}@{NETWORK_DOMAIN}/tests"),
        password: format!("{user}-pw"),
        port: prosody.client_port(),
        encryption: ClientEncryption::StartTls,
        authority: prosody.authority().to_owned(),
    };
    let mut client = Foreign::connect(Library::Slixmpp, &account).await?;
    let own = client.bare_jid().to_owned();
    client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
    client.send("<presence/>").await;
    Ok(client)
}

/// The chat with bob.
pub fn bob_chat() -> Chat {
    Chat::Contact(BOB.into())
}

/// Waits for a message with this text.
pub async fn message(user: &mut User, body: &str) -> IncomingMessage {
    let fits = |e: &Event| match e {
        Event::Message(m) if m.body == body => Some(m.clone()),
        _ => None,
    };
    user.wait_for(body, fits).await
}

/// Alice says something, asking for a receipt.
///
/// # Panics
/// If it does not go out.
pub async fn say(user: &mut User, id: &str, chat: Chat, body: &str) {
    let message = OutgoingMessage {
        chat,
        id: id.into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: true,
    };
    let answer = user.request(Verb::SendMessage(message)).await;
    assert!(matches!(answer, Ok(Answer::Sent(_))), "{answer:?}");
}

/// What bob sends, and what is in it about an older message.
pub async fn tell(bob: &mut Foreign, id: &str, body: &str, payload: &str) {
    let body = if body.is_empty() {
        String::new()
    } else {
        format!("<body>{body}</body>")
    };
    bob.send(&format!(
        "<message to='{ALICE}' type='chat' id='{id}'>{body}{payload}</message>"
    ))
    .await;
}

/// Waits for something about an older message.
pub async fn hears(bob: &mut Foreign, name: &str, namespace: &str, id: &str) -> Element {
    let fits = |s: &Element| s.get_child(name, namespace).is_some_and(|child| child.attr("id") == Some(id));
    bob.expect(&format!("<{name}/> about {id}"), fits).await
}

/// Alice and bob become contacts of each other.
pub async fn befriend(alice: &mut User, bob: &mut Foreign) {
    let details = ContactDetails {
        id: BOB.into(),
        alias: Some("Bob".to_owned()),
        groups: vec!["Friends".to_owned()],
    };
    alice.request(Verb::AddContact(details)).await.unwrap();
    bob.expect("alice's request", |s| is_presence(s, ALICE, Some("subscribe")))
        .await;
    bob.send(&format!("<presence to='{ALICE}' type='subscribed'/>")).await;
    let is_contact = |e: &Event| match e {
        Event::Contact(c) if c.id.as_str() == BOB && c.subscription == Patch::Set(Subscription::Both) => Some(c.clone()),
        _ => None,
    };
    let contact = alice.wait_for("bob in the list", is_contact).await;
    assert_eq!(contact.alias, Patch::Set("Bob".to_owned()));
    assert_eq!(contact.groups, Patch::Set(vec!["Friends".to_owned()]));
    alice.wait_for("bob's presence", presence_of_bob(Availability::Online)).await;
    bob.send(&format!("<presence to='{ALICE}' type='subscribe'/>")).await;
    alice
        .wait_for("bob's request", |e| match e {
            Event::ContactRequested(request) if request.id.as_str() == BOB => Some(()),
            _ => None,
        })
        .await;
    let accept = Verb::AnswerContactRequest {
        contact: BOB.into(),
        accept: true,
    };
    alice.request(accept).await.unwrap();
    bob.expect("alice's yes", |s| is_presence(s, ALICE, Some("subscribed"))).await;
}

/// Whether bob is seen like this now.
pub fn presence_of_bob(availability: Availability) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::Contact(c) if c.id.as_str() == BOB => match &c.presence {
            Patch::Set(presence) if presence.availability == availability => Some(()),
            _ => None,
        },
        _ => None,
    }
}

/// Bob makes a room and is in it.
pub async fn make_room(bob: &mut Foreign, name: &str) -> String {
    let room = format!("{name}@{NETWORK_ROOMS}");
    bob.send(&format!(
        "<presence to='{room}/Bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ))
    .await;
    let me = format!("{room}/Bob");
    bob.expect("bob in the room", |s| is_presence(s, &me, None) && has_status(s, "110"))
        .await;
    let opened = bob
        .request(
            "set",
            &room,
            "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
             <field var='muc#roomconfig_publicroom'><value>1</value></field></x></query>",
        )
        .await;
    assert_eq!(opened.attr("type"), Some("result"), "{opened:?}");
    room
}

/// Alice enters a room; gives her nickname there.
///
/// # Errors
/// What the backend says.
///
/// # Panics
/// If a join is answered with something else.
pub async fn join(alice: &mut User, room: &str) -> Result<String, OpErrorKind> {
    let join = Verb::JoinRoom(JoinRoom {
        room: room.into(),
        nickname: "Alice".into(),
        password: None,
    });
    match alice.request(join).await {
        Ok(Answer::Joined(joined)) => Ok(joined.nickname.as_str().to_owned()),
        Ok(other) => panic!("a join was answered with {other:?}"),
        Err(error) => Err(error.kind),
    }
}
