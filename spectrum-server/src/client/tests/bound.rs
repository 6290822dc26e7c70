//! Clients with a resource.

use spectrum_core::face::To;
use spectrum_core::session::{CloseReason, Input};
use spectrum_core::session_task::Outlet;
use spectrum_core::stanza::Stanza;
use tokio::time::advance;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::presence::Presence;

use super::stage::*;
use crate::client::outbox::OUTBOX_BURST_BYTES;

fn message(to: &str, body: &str) -> Stanza {
    let mut message = Message::chat(to.parse::<jid::Jid>().unwrap()).with_body(Lang::new(), body.to_owned());
    message.from = Some("bob@irc.localhost".parse().unwrap());
    message.into()
}

fn written(to: &str, body: &str) -> String {
    format!("<message from='bob@irc.localhost' to='{to}' type='chat'><body>{body}</body></message>")
}

#[tokio::test(start_paused = true)]
async fn sender_is_stamped_whatever_the_client_says() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    for from in ["", "from='eve@irc.localhost/x' ", "from='root@example.org' "] {
        peer.send(&format!(
            "<message {from}to='bob@irc.localhost/x' type='chat'><body>hi</body></message>"
        ))
        .await;
        let input = stage.told_stanza().await;
        assert_eq!(input.stanza.sender().unwrap().as_str(), "alice@irc.localhost/phone");
        assert_eq!(input.resource.as_ref().unwrap().as_str(), "phone");
        let To::Peer { node, resource } = &input.to else {
            panic!("{:?}", input.to)
        };
        assert_eq!((node.as_str(), resource.as_ref().unwrap().as_str()), ("bob", "x"));
    }
}

#[tokio::test(start_paused = true)]
async fn unreadable_stanza_is_answered_and_the_stream_goes_on() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    peer.send("<presence id='1'><priority>abc</priority></presence><presence id='2'/>")
        .await;
    peer.expect(
        "<presence id='1' type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>a value is not of its type</text></error></presence>",
    )
    .await;
    assert_eq!(stage.told_stanza().await.stanza.id(), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_available_resources_and_full_jids_to_their_own() {
    let mut stage = Stage::new();
    let mut phone = stage.connect_bound("phone").await;
    let mut laptop = stage.connect_bound("laptop").await;
    let mut bot = stage.connect_bound("bot").await;
    phone.send("<presence/>").await;
    laptop.send("<presence><priority>5</priority></presence>").await;
    bot.send("<presence><priority>-1</priority></presence>").await;
    for _ in 0..3 {
        stage.told_stanza().await;
    }
    let bare = "alice@irc.localhost";
    let mut stanzas = vec![
        message(bare, "one"),
        message("alice@irc.localhost/bot", "two"),
        Presence::available()
            .with_from("bob@irc.localhost".parse::<jid::Jid>().unwrap())
            .with_to(bare.parse::<jid::Jid>().unwrap())
            .into(),
    ];
    stage.shared.clients.send(&alice(), &mut stanzas);
    assert!(stanzas.is_empty());
    let presence = "<presence from='bob@irc.localhost' to='alice@irc.localhost'/>";
    phone.expect(&format!("{}{presence}", written(bare, "one"))).await;
    laptop.expect(&format!("{}{presence}", written(bare, "one"))).await;
    bot.expect(&format!("{}{presence}", written("alice@irc.localhost/bot", "two")))
        .await;
    phone.send("<presence type='unavailable'/>").await;
    stage.told_stanza().await;
    stage.shared.clients.send(
        &alice(),
        &mut vec![message(bare, "three"), message("alice@irc.localhost/phone", "four")],
    );
    laptop.expect(&written(bare, "three")).await;
    phone.expect(&written("alice@irc.localhost/phone", "four")).await;
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_user_talk_to_each_other_without_the_session() {
    let mut stage = Stage::new();
    let mut phone = stage.connect_bound("phone").await;
    let mut laptop = stage.connect_bound("laptop").await;
    phone
        .send("<iq type='get' id='1' to='alice@irc.localhost/laptop'><query xmlns='jabber:iq:version'/></iq>")
        .await;
    laptop
        .expect(
            "<iq from='alice@irc.localhost/phone' to='alice@irc.localhost/laptop' id='1' type='get'>\
             <query xmlns='jabber:iq:version'/></iq>",
        )
        .await;
    phone
        .send("<iq type='get' id='2' to='alice@irc.localhost/gone'><query xmlns='jabber:iq:version'/></iq>")
        .await;
    phone
        .expect(
            "<iq from='alice@irc.localhost/gone' to='alice@irc.localhost/phone' id='2' type='error'><error type='cancel'>\
             <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
        )
        .await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn other_domains_are_not_reached() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    peer.send("<message to='bob@example.org' id='1'><body>x</body></message>")
        .await;
    peer.expect(
        "<message from='bob@example.org' to='alice@irc.localhost/phone' id='1' type='error'><error type='cancel'>\
         <remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>This server has no way to other domains.</text>\
         </error></message>",
    )
    .await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn server_answers_for_itself() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    let head = |from: &str, id: &str| format!("<iq {from}to='alice@irc.localhost/phone' id='{id}' type='result'");
    peer.send("<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
        .await;
    peer.expect(&format!("{}/>", head("", "1"))).await;
    peer.send("<iq type='get' id='2' to='irc.localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    peer.expect(&format!("{}/>", head("from='irc.localhost' ", "2"))).await;
    peer.send("<iq type='get' id='3' to='irc.localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        .await;
    peer.expect(&format!(
        "{}><query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='server' name='IRC' type='im' xml:lang='en'/>\
         <identity category='conference' name='IRC' type='text' xml:lang='en'/>\
         <feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='http://jabber.org/protocol/muc'/><feature var='jabber:iq:last'/>\
         <feature var='jabber:iq:roster'/><feature var='jabber:iq:version'/><feature var='urn:xmpp:carbons:2'/>\
         <feature var='urn:xmpp:ping'/><feature var='urn:xmpp:time'/><feature var='vcard-temp'/></query></iq>",
        head("from='irc.localhost' ", "3")
    ))
    .await;
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn requests_to_the_account_go_to_the_session() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    for to in ["", "to='alice@irc.localhost'"] {
        peer.send(&format!("<iq type='get' id='1' {to}><query xmlns='jabber:iq:roster'/></iq>"))
            .await;
        assert_eq!(stage.told_stanza().await.to, To::Account);
    }
    peer.send("<presence/>").await;
    assert_eq!(stage.told_stanza().await.to, To::Transport);
}

#[tokio::test(start_paused = true)]
async fn copies_go_to_clients_that_want_them() {
    let mut stage = Stage::new();
    let mut phone = stage.connect_bound("phone").await;
    let mut laptop = stage.connect_bound("laptop").await;
    laptop
        .send("<iq type='set' id='1'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        .await;
    laptop
        .expect("<iq to='alice@irc.localhost/laptop' id='1' type='result'/>")
        .await;
    phone
        .send("<message to='bob@irc.localhost' type='chat'><body>hi</body></message>")
        .await;
    stage.told_stanza().await;
    laptop
        .expect(
            "<message from='alice@irc.localhost' to='alice@irc.localhost/laptop' type='chat'><sent xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@irc.localhost/phone' \
             to='bob@irc.localhost' type='chat'><body>hi</body></message></forwarded></sent></message>",
        )
        .await;
    phone
        .send("<message to='bob@irc.localhost' type='chat'><body>psst</body><private xmlns='urn:xmpp:carbons:2'/></message>")
        .await;
    phone
        .send("<message to='room@irc.localhost' type='groupchat'><body>all</body></message>")
        .await;
    stage.told_stanza().await;
    stage.told_stanza().await;
    laptop.send("<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    laptop
        .expect("<iq to='alice@irc.localhost/laptop' id='2' type='result'/>")
        .await;
}

#[tokio::test(start_paused = true)]
async fn idle_client_is_asked_and_a_dead_one_is_closed() {
    let mut stage = Stage::new();
    let mut alive = stage.connect_bound("alive").await;
    let mut dead = stage.connect_bound("dead").await;
    let ping = |resource: &str, number: u8| {
        format!(
            "<iq from='irc.localhost' to='alice@irc.localhost/{resource}' id='ping-{number}' type='get'>\
             <ping xmlns='urn:xmpp:ping'/></iq>"
        )
    };
    for number in 1..=3 {
        alive.expect(&ping("alive", number)).await;
        // Any sign of life will do.
        alive
            .send(if number == 2 {
                " "
            } else {
                "<iq type='result' id='ping-1' to='irc.localhost'/>"
            })
            .await;
    }
    let closed = stream_error_text("connection-timeout", "no answer to a ping");
    dead.expect_last(&format!("{}{closed}", ping("dead", 1))).await;
    assert!(matches!(stage.told_input().await, Input::ResourceLost(resource) if resource.as_str() == "dead"));
    stage.told_nothing();
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_read_is_detached_and_others_are_not_held_up() {
    let mut stage = Stage::new();
    let mut stalled = stage.connect_bound("stalled").await;
    let mut other = stage.connect_bound("other").await;
    other.send("<presence/>").await;
    stage.told_stanza().await;
    let body = "x".repeat(1000);
    let mut sent = 0;
    while stage
        .shared
        .clients
        .is_bound(&alice(), "stalled".parse::<jid::ResourcePart>().unwrap().as_ref())
    {
        let mut stanzas = vec![
            message("alice@irc.localhost/stalled", &body),
            message("alice@irc.localhost/other", "hello"),
        ];
        stage.shared.clients.send(&alice(), &mut stanzas);
        other.expect(&written("alice@irc.localhost/other", "hello")).await;
        sent += 1000;
        assert!(sent < OUTBOX_BURST_BYTES, "still not detached");
        advance(std::time::Duration::from_millis(20)).await;
    }
    assert!(matches!(stage.told_input().await, Input::ResourceLost(resource) if resource.as_str() == "stalled"));
    stalled.drain().await;
}

#[tokio::test(start_paused = true)]
async fn end_of_the_session_ends_its_clients_with_the_reason() {
    for (reason, expected) in [
        (CloseReason::Offline, "</stream:stream>".to_owned()),
        (
            CloseReason::LoginFailed,
            stream_error_text("remote-connection-failed", "The network does not let you in any more."),
        ),
        (CloseReason::Ended, stream_error_text("reset", "Your session was ended.")),
        (
            CloseReason::Overflow,
            stream_error_text("resource-constraint", "Too much came in for you at once."),
        ),
    ] {
        let mut stage = Stage::new();
        let mut peer = stage.connect_bound("phone").await;
        stage
            .shared
            .clients
            .send(&alice(), &mut vec![message("alice@irc.localhost/phone", "bye")]);
        stage.shared.clients.closed(&alice(), &reason);
        peer.expect_last(&format!("{}{expected}", written("alice@irc.localhost/phone", "bye")))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_server_tells_its_clients() {
    let mut stage = Stage::new();
    let mut peer = stage.connect_bound("phone").await;
    stage.shared.clients.announce_stop();
    stage.shared.clients.closed(&alice(), &CloseReason::Ended);
    peer.expect_last(&stream_error_text("system-shutdown", "The server is stopping."))
        .await;
}
