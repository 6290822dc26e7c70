//! The XMPP backend, driven as the core drives it, against a real Prosody with a real client (slixmpp) of another account there.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]

use std::time::Duration;

use base64::Engine as _;
use minidom::Element;
use sha1::Digest as _;
use spectrum_backend_sdk::model::{
    Availability, Chat, ChatState, Edit, Marker, MarkerKind, Origin, OutgoingMessage, PageRequest, Reactions, Reply, Retraction,
};
use spectrum_backend_sdk::testing::{Account, Finding, Ground, Kit, User, check, check_on};
use spectrum_backend_sdk::{Answer, Certainty, Event, LoginErrorKind, OpErrorKind, Verb};
use spectrum_tests::clients::Foreign;
use spectrum_tests::elsewhere::{
    ALICE, BOB, backend, befriend, bob_chat, client, hears, join, login, make_room, message, presence_of_bob, say, tell,
};
use spectrum_tests::peers::{NETWORK_DOMAIN, Prosody, Relay, needed};
use spectrum_xmpp::{ServerAddress, XmppBackend, XmppOptions};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_talk_with_everything_that_clients_have() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let Some(mut bob) = needed(client(&prosody, "bob").await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let mut alice = login(&kit).await;
    befriend(&mut alice, &mut bob).await;
    bob.send("<presence><show>dnd</show></presence>").await;
    alice.wait_for("bob busy", presence_of_bob(Availability::DoNotDisturb)).await;

    said_by_alice(&mut alice, &mut bob).await;
    said_by_bob(&mut alice, &mut bob).await;

    // What was said is in the archive, as it is now.
    let page = Verb::History(PageRequest {
        chat: bob_chat(),
        before: None,
        after: None,
        limit: 50,
    });
    let Ok(Answer::History(page)) = alice.request(page).await else {
        panic!("no history")
    };
    let bodies: Vec<&str> = page.messages.iter().map(|m| m.body.as_str()).collect();
    assert_eq!(bodies, ["hello, bob", "an answer", "hello, alice", "bob answers"], "{page:?}");

    // An avatar, published.
    let sha1 = sha1_of(PNG);
    for (node, payload) in [
        (
            "urn:xmpp:avatar:data",
            format!("<data xmlns='urn:xmpp:avatar:data'>{PNG}</data>"),
        ),
        (
            "urn:xmpp:avatar:metadata",
            format!("<metadata xmlns='urn:xmpp:avatar:metadata'><info id='{sha1}' bytes='70' type='image/png'/></metadata>"),
        ),
    ] {
        let published = bob
            .request(
                "set",
                BOB,
                &format!(
                    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item id='{sha1}'>{payload}</item>\
                     </publish></pubsub>"
                ),
            )
            .await;
        assert_eq!(published.attr("type"), Some("result"), "{published:?}");
    }
    let has_avatar = |e: &Event| match e {
        Event::Contact(c) if c.id.as_str() == BOB => c.avatar.as_set().map(|hash| hash.as_str().to_owned()),
        _ => None,
    };
    assert_eq!(alice.wait_for("bob's avatar", has_avatar).await, sha1);
    let Ok(Answer::Profile(profile)) = alice.request(Verb::FetchProfile(bob_chat())).await else {
        panic!("no profile")
    };
    assert_eq!(profile.avatar.unwrap().media_type, "image/png");

    bob.close().await;
    alice.wait_for("bob gone", presence_of_bob(Availability::Offline)).await;
    alice.logout().await;
    assert_eq!(kit.stop().await, Vec::<&str>::new());
}

fn sha1_of(base64: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
    sha1::Sha1::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn said_by_alice(alice: &mut User, bob: &mut Foreign) {
    let chat = bob_chat();
    let typing = Verb::SetChatState {
        chat: chat.clone(),
        state: ChatState::Composing,
    };
    alice.request(typing).await.unwrap();
    bob.expect("alice typing", |s| {
        s.has_child("composing", "http://jabber.org/protocol/chatstates")
    })
    .await;
    say(alice, "a1", chat.clone(), "hello, bbo").await;
    let heard = bob.expect_body("hello, bbo").await;
    assert_eq!(heard.attr("id"), Some("a1"));
    assert!(heard.has_child("request", "urn:xmpp:receipts") && heard.has_child("markable", "urn:xmpp:chat-markers:0"));
    tell(bob, "r1", "", "<received xmlns='urn:xmpp:receipts' id='a1'/>").await;
    alice
        .wait_for("the receipt", |e| match e {
            Event::Delivered { id, chat } if id.as_str() == "a1" && *chat == bob_chat() => Some(()),
            _ => None,
        })
        .await;
    tell(bob, "r2", "", "<displayed xmlns='urn:xmpp:chat-markers:0' id='a1'/>").await;
    alice
        .wait_for("the marker", |e| match e {
            Event::Marked(m) if m.id.as_str() == "a1" => (m.kind == MarkerKind::Displayed).then_some(()),
            _ => None,
        })
        .await;
    let edit = Edit {
        chat: chat.clone(),
        nickname: None,
        id: "a1".into(),
        body: "hello, bob".to_owned(),
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::Edit(edit)).await.unwrap();
    let corrected = hears(bob, "replace", "urn:xmpp:message-correct:0", "a1").await;
    assert_eq!(corrected.get_child("body", "jabber:client").unwrap().text(), "hello, bob");

    tell(bob, "b0", "what?", "").await;
    message(alice, "what?").await;
    let reply = OutgoingMessage {
        chat: chat.clone(),
        id: "a2".into(),
        body: "an answer".to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: Some(Reply {
            to: "b0".into(),
            author: None,
        }),
        wants_receipt: false,
    };
    alice.request(Verb::SendMessage(reply)).await.unwrap();
    let answer = hears(bob, "reply", "urn:xmpp:reply:0", "b0").await;
    assert_eq!(
        answer.get_child("body", "jabber:client").unwrap().text(),
        "> what?\nan answer"
    );
    let reactions = Reactions {
        chat: chat.clone(),
        nickname: None,
        id: "b0".into(),
        emojis: vec!["👍".to_owned()],
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::React(reactions)).await.unwrap();
    let reacted = hears(bob, "reactions", "urn:xmpp:reactions:0", "b0").await;
    let reactions = reacted.get_child("reactions", "urn:xmpp:reactions:0").unwrap();
    assert_eq!(reactions.children().map(Element::text).collect::<Vec<_>>(), ["👍"]);
    let marker = Marker {
        chat: chat.clone(),
        nickname: None,
        id: "b0".into(),
        kind: MarkerKind::Displayed,
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::Mark(marker)).await.unwrap();
    hears(bob, "displayed", "urn:xmpp:chat-markers:0", "b0").await;
    tell(
        bob,
        "b0r",
        "",
        "<retract xmlns='urn:xmpp:message-retract:1' id='b0'/><store xmlns='urn:xmpp:hints'/>",
    )
    .await;
    alice
        .wait_for("the retraction", |e| match e {
            Event::Retracted(r) if r.id.as_str() == "b0" => Some(()),
            _ => None,
        })
        .await;

    say(alice, "a3", chat.clone(), "a mistake").await;
    bob.expect_body("a mistake").await;
    let retraction = Retraction {
        chat,
        nickname: None,
        id: "a3".into(),
        reason: None,
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::Retract(retraction)).await.unwrap();
    hears(bob, "retract", "urn:xmpp:message-retract:1", "a3").await;
}

async fn said_by_bob(alice: &mut User, bob: &mut Foreign) {
    tell(bob, "b1", "hello, alcie", "<request xmlns='urn:xmpp:receipts'/>").await;
    let heard = message(alice, "hello, alcie").await;
    assert_eq!((heard.chat, heard.id.unwrap().as_str()), (bob_chat(), "b1"));
    let marker = Marker {
        chat: bob_chat(),
        nickname: None,
        id: "b1".into(),
        kind: MarkerKind::Delivered,
        origin: Origin::OwnOtherDevice,
    };
    alice.request(Verb::Mark(marker)).await.unwrap();
    hears(bob, "received", "urn:xmpp:receipts", "b1").await;
    tell(
        bob,
        "b2",
        "hello, alice",
        "<replace xmlns='urn:xmpp:message-correct:0' id='b1'/>",
    )
    .await;
    let edited = alice
        .wait_for("the correction", |e| match e {
            Event::Edited(edit) => Some(edit.clone()),
            _ => None,
        })
        .await;
    assert_eq!((edited.id.as_str(), edited.body.as_str()), ("b1", "hello, alice"));
    tell(
        bob,
        "b3",
        "",
        "<reactions xmlns='urn:xmpp:reactions:0' id='a1'><reaction>🎉</reaction></reactions>",
    )
    .await;
    let reacted = alice
        .wait_for("the reaction", |e| match e {
            Event::Reacted(reactions) => Some(reactions.clone()),
            _ => None,
        })
        .await;
    assert_eq!((reacted.id.as_str(), reacted.emojis), ("a1", vec!["🎉".to_owned()]));
    tell(
        bob,
        "b4",
        "> hello, bob\nbob answers",
        &format!(
            "<reply xmlns='urn:xmpp:reply:0' to='{ALICE}' id='a1'/><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>\
             <body start='0' end='13'/></fallback>"
        ),
    )
    .await;
    let reply = message(alice, "bob answers").await.reply.unwrap();
    assert_eq!(reply.to.as_str(), "a1");
    tell(bob, "b5", "", "<composing xmlns='http://jabber.org/protocol/chatstates'/>").await;
    alice
        .wait_for("bob typing", |e| match e {
            Event::ChatState { chat, state, .. } if *chat == bob_chat() => (*state == ChatState::Composing).then_some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_is_not_tried_again() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let refused = kit.login(Account::new(ALICE).password("wrong")).await.map(drop).unwrap_err();
    assert_eq!(refused.kind, LoginErrorKind::AuthenticationFailed);
    assert!(!refused.is_temporary(), "{refused:?}");
    let strange = kit
        .login(Account::new("alice@elsewhere.localhost").password("alice-pw"))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(strange.kind, LoginErrorKind::InvalidName);
    let strict = XmppOptions {
        server: Some(ServerAddress {
            host: "127.0.0.1".into(),
            port: prosody.client_port(),
        }),
        ..XmppOptions::new()
    };
    let strict = Kit::start(XmppBackend::from_options(strict).unwrap()).await;
    let untrusted = strict
        .login(Account::new(ALICE).password("alice-pw"))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(untrusted.kind, LoginErrorKind::Certificate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_while_the_user_was_away_comes_once() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let Some(mut bob) = needed(client(&prosody, "bob").await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let mut alice = login(&kit).await;
    tell(&mut bob, "b1", "before", "").await;
    message(&mut alice, "before").await;
    alice.logout().await;
    for n in 0..5 {
        tell(&mut bob, &format!("m{n}"), &format!("missed {n}"), "").await;
    }
    // The server has them when it has answered this.
    bob.request("get", NETWORK_DOMAIN, "<ping xmlns='urn:xmpp:ping'/>").await;
    let mut alice = login(&kit).await;
    tell(&mut bob, "b2", "after", "").await;
    let mut bodies = Vec::new();
    let last = |e: &Event| match e {
        Event::Message(m) => {
            bodies.push(m.body.clone());
            (m.body == "after").then_some(())
        }
        _ => None,
    };
    alice.wait_for("after", last).await;
    assert_eq!(bodies, ["missed 0", "missed 1", "missed 2", "missed 3", "missed 4", "after"]);
    alice.logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_taken_up_and_nothing_is_lost() {
    let Some(mut prosody) = needed(Prosody::network().await) else {
        return;
    };
    let Some(mut bob) = needed(client(&prosody, "bob").await) else {
        return;
    };
    let relay = Relay::start(prosody.client_port()).await.unwrap();
    let kit = backend(relay.port()).await;
    let mut alice = login(&kit).await;
    let room = make_room(&mut bob, "cut").await;
    join(&mut alice, &room).await.unwrap();
    for round in 0..3 {
        relay.cut();
        for n in 0..3 {
            tell(&mut bob, &format!("b{round}-{n}"), &format!("during {round}-{n}"), "").await;
        }
        let own = format!("a{round}");
        say(&mut alice, &own, bob_chat(), &format!("alice {round}")).await;
        let mut seen = Vec::new();
        let last = |e: &Event| match e {
            Event::Message(m) if m.body.starts_with("during") => {
                seen.push(m.body.clone());
                (seen.len() == 3).then_some(())
            }
            _ => None,
        };
        alice.wait_for("what was said meanwhile", last).await;
        assert_eq!(seen, [0, 1, 2].map(|n| format!("during {round}-{n}")));
        bob.expect_body(&format!("alice {round}")).await;
    }
    // The room has not noticed.
    alice.say(Chat::Room(room.as_str().into()), "still here").await.unwrap();
    bob.expect_body("still here").await;
    let left = alice
        .take_events()
        .into_iter()
        .any(|e| matches!(e, Event::RoomClosed(_) | Event::Closed(_)));
    assert!(!left);

    // A server that has forgotten the session ends it; the core logs in again.
    drop(bob);
    prosody.restart().await.unwrap();
    let closed = |e: &Event| match e {
        Event::Closed(error) => Some(error.clone()),
        _ => None,
    };
    assert!(alice.wait_for("the end", closed).await.is_temporary());
    let lost = alice.say(bob_chat(), "hello?").await.unwrap_err();
    assert_eq!((lost.kind, lost.certainty), (OpErrorKind::NotConnected, Certainty::NotSent));
    login(&kit).await.logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_done_and_nothing_else() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let mut alice = login(&kit).await;
    assert_eq!(check(&mut alice, kit.info()).await, Vec::<Finding>::new());
    alice.logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_done_with_people_and_rooms_that_exist() {
    let Some(prosody) = needed(Prosody::network().await) else {
        return;
    };
    let Some(mut bob) = needed(client(&prosody, "bob").await) else {
        return;
    };
    let kit = backend(prosody.client_port()).await;
    let mut alice = login(&kit).await;
    befriend(&mut alice, &mut bob).await;
    let room = make_room(&mut bob, "ground").await;
    // Alice is to moderate it.
    let owner = format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item jid='{ALICE}' affiliation='owner'/></query>");
    assert_eq!(bob.request("set", &room, &owner).await.attr("type"), Some("result"));
    let mut carol = client(&prosody, "carol").await.unwrap();
    carol
        .send(&format!(
            "<presence to='{room}/Carol'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        ))
        .await;
    // Bob answers every message, as the ground wants it.
    let answering = tokio::spawn(async move {
        for n in 0.. {
            let heard = bob
                .expect("a message", |s| {
                    s.name() == "message" && s.attr("type") == Some("chat") && s.has_child("request", "urn:xmpp:receipts")
                })
                .await;
            let id = heard.attr("id").unwrap_or_default().to_owned();
            tell(
                &mut bob,
                &format!("answer-{n}"),
                "an answer",
                &format!("<received xmlns='urn:xmpp:receipts' id='{id}'/>"),
            )
            .await;
        }
    });
    let ground = Ground {
        contact: BOB.into(),
        stranger: format!("carol@{NETWORK_DOMAIN}").as_str().into(),
        room: room.as_str().into(),
        nickname: "Alice".into(),
        occupant: "Carol".into(),
    };
    assert_eq!(check_on(&mut alice, kit.info(), &ground).await, Vec::<Finding>::new());
    answering.abort();
    alice.logout().await;
    tokio::time::timeout(Duration::from_secs(20), carol.close()).await.unwrap();
}
