//! One-to-one messages.

use super::*;
use crate::backend::{Answer, OpError, OpErrorKind};
use crate::model::{
    Attachment, Chat, ChatState, Edit, IncomingMessage, Marker, MarkerKind, MessageId, MessageKind, Origin, OutgoingMessage,
    Reactions, Reply, Retraction, Sent,
};

fn juliet() -> Chat {
    Chat::Contact("juliet".into())
}

fn incoming(body: &str) -> IncomingMessage {
    IncomingMessage::new(juliet(), body)
}

fn sent(desk: &mut Desk) -> (RequestId, OutgoingMessage) {
    match desk.verb() {
        (request, Verb::SendMessage(message)) => (request, message),
        other => panic!("{other:?}"),
    }
}

/// Sends a message with this id of the client, accepted by the network under another; gives the core's.
fn accepted(desk: &mut Desk, client: &str, network: &str) -> MessageId {
    desk.user(&format!(
        "<message to='juliet@net.example' type='chat' id='{client}'><body>text of {client}</body></message>"
    ));
    let (request, message) = sent(desk);
    desk.outcome(
        request,
        Ok(Answer::Sent(Sent {
            id: Some(network.into()),
            timestamp: None,
        })),
    );
    message.id
}

fn plain() -> BackendInfo {
    info_without(&[Capability::ChatStates, Capability::Markers])
}

const FROM: &str = "from='juliet@net.example/bot' to='romeo@example.org'";

#[test]
fn a_message_of_the_user_goes_to_the_network() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>/me waves</body><request xmlns='urn:xmpp:receipts'/></message>");
    let (request, message) = sent(&mut desk);
    assert_eq!(
        (message.chat.clone(), message.body.as_str(), message.wants_receipt),
        (juliet(), "/me waves", true)
    );
    desk.outcome(request, Ok(Answer::Done));
    assert!(desk.lines().is_empty());
}

#[test]
fn a_receipt_names_the_clients_id() {
    let mut desk = Desk::online(GATEWAY, info());
    let core = accepted(&mut desk, "m1", "n1");
    desk.event(Event::Delivered {
        chat: juliet(),
        id: core,
    });
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><received xmlns='urn:xmpp:receipts' id='m1'/><store xmlns='urn:xmpp:hints'/></message>"
        )]
    );
}

#[test]
fn no_receipt_is_asked_for_where_the_network_has_none() {
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::Receipts]));
    desk.user("<message to='juliet@net.example' type='chat'><body>x</body><request xmlns='urn:xmpp:receipts'/></message>");
    assert!(!sent(&mut desk).1.wants_receipt);
}

#[test]
fn a_refused_message_is_answered_with_the_reason() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>hi</body></message>");
    let (request, _) = sent(&mut desk);
    desk.outcome(request, Err(OpError::new(OpErrorKind::NotFound, "No such nick.")));
    assert_eq!(
        desk.stanzas(),
        [
            "<message from='juliet@net.example' to='romeo@example.org/desk' id='m1' type='error'><error type='cancel'>\
          <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' \
          xml:lang='en'>No such nick.</text></error></message>"
        ]
    );
}

#[test]
fn messages_wait_until_the_user_is_connected_and_keep_their_order() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    for n in 1..=3 {
        desk.user(&format!(
            "<message to='juliet@net.example' type='chat' id='m{n}'><body>{n}</body></message>"
        ));
    }
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    desk.input(Input::Link(LinkInput::LoggedIn));
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let (request, message) = sent(&mut desk);
        bodies.push(message.body);
        desk.outcome(request, Ok(Answer::Done));
    }
    assert_eq!(bodies, ["1", "2", "3"]);
}

#[test]
fn too_many_waiting_messages_are_refused() {
    let limits = SessionLimits {
        held_messages: 2,
        ..SessionLimits::default()
    };
    let mut desk = Desk::with_limits(GATEWAY, info(), limits);
    desk.input(Input::Start);
    for n in 1..=3 {
        desk.user(&format!(
            "<message to='juliet@net.example' type='chat' id='m{n}'><body>{n}</body></message>"
        ));
    }
    let stanzas = desk.stanzas();
    assert_eq!(stanzas.len(), 1);
    assert!(
        stanzas[0].contains("id='m3'") && stanzas[0].contains("<resource-constraint"),
        "{stanzas:?}"
    );
}

#[test]
fn what_is_no_message_is_left_alone_or_refused() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<message to='juliet@net.example' type='error' id='m1'><body>x</body></message>");
    desk.user("<message to='juliet@net.example' type='chat'/>");
    assert!(desk.lines().is_empty());
    desk.user("<message to='juliet@net.example' type='groupchat' id='m1'><body>x</body></message>");
    assert!(desk.stanzas()[0].contains("<not-acceptable"));
    desk.user("<message to='net.example' type='chat' id='m2'><body>help</body></message>");
    assert!(desk.stanzas()[0].contains("<service-unavailable"));
}

#[test]
fn a_message_of_a_contact_carries_the_networks_id() {
    let mut desk = Desk::online(GATEWAY, plain());
    desk.event(Event::Message(IncomingMessage {
        id: Some("n1".into()),
        ..incoming("hello")
    }));
    assert_eq!(
        desk.stanzas(),
        [format!("<message {FROM} id='n1' type='chat'><body>hello</body></message>")]
    );
}

#[test]
fn a_message_asks_the_client_for_what_the_network_wants_to_know() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Message(incoming("hello")));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><body>hello</body><active xmlns='http://jabber.org/protocol/chatstates'/>\
             <request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>"
        )]
    );
}

#[test]
fn a_repeated_message_is_dropped() {
    let mut desk = Desk::online(GATEWAY, plain());
    for _ in 0..2 {
        desk.event(Event::Message(IncomingMessage {
            id: Some("n1".into()),
            ..incoming("hello")
        }));
    }
    assert_eq!(desk.stanzas().len(), 1);
}

#[test]
fn an_old_message_carries_its_time() {
    let mut desk = Desk::online(GATEWAY, plain());
    desk.event(Event::Message(IncomingMessage {
        timestamp: Some(Timestamp::from_secs(1_600_000_000)),
        ..incoming("old")
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><body>old</body>\
             <delay xmlns='urn:xmpp:delay' from='net.example' stamp='2020-09-13T12:26:40.000Z'/></message>"
        )]
    );
}

#[test]
fn a_message_that_has_markup_alone_is_shown_as_text() {
    let mut desk = Desk::online(GATEWAY, plain());
    desk.event(Event::Message(IncomingMessage {
        xhtml: Some("<b>hi</b> &lt;you&gt;".to_owned()),
        ..incoming("")
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><body>hi &lt;you&gt;</body></message>"
        )]
    );
}

#[test]
fn an_announcement_is_a_headline() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Message(IncomingMessage {
        kind: MessageKind::Headline,
        ..incoming("news")
    }));
    assert_eq!(
        desk.stanzas(),
        [format!("<message {FROM} id='ID' type='headline'><body>news</body></message>")]
    );
}

#[test]
fn a_file_is_shown_by_its_address() {
    let mut desk = Desk::online(GATEWAY, plain());
    let attachments = vec![Attachment {
        url: "https://x.example/a.png".to_owned(),
        media_type: Some("image/png".to_owned()),
        description: Some("A".to_owned()),
    }];
    desk.event(Event::Message(IncomingMessage {
        attachments,
        id: Some("n1".into()),
        ..incoming("look")
    }));
    assert_eq!(
        desk.stanzas(),
        [
            format!("<message {FROM} id='n1' type='chat'><body>look</body></message>"),
            format!(
                "<message {FROM} id='ID' type='chat'><body>https://x.example/a.png</body>\
                 <x xmlns='jabber:x:oob'><url>https://x.example/a.png</url><desc>A</desc></x>\
                 <file-sharing xmlns='urn:xmpp:sfs:0' disposition='inline'><file xmlns='urn:xmpp:file:metadata:0'>\
                 <media-type>image/png</media-type><name>a.png</name><desc>A</desc></file><sources>\
                 <url-data xmlns='http://jabber.org/protocol/url-data' target='https://x.example/a.png'/></sources></file-sharing>\
                 <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body/></fallback></message>"
            )
        ]
    );
}

#[test]
fn a_very_long_message_comes_in_pieces() {
    let mut desk = Desk::online(GATEWAY, plain());
    desk.event(Event::Message(incoming(&"word ".repeat(30_000))));
    let stanzas = desk.stanzas();
    assert_eq!(stanzas.len(), 4);
    assert!(stanzas.iter().all(|s| s.len() < 60_000));
}

#[test]
fn a_message_of_the_user_from_another_device_is_told_as_such() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Message(IncomingMessage {
        origin: Origin::OwnOtherDevice,
        id: Some("n1".into()),
        ..incoming("mine")
    }));
    assert_eq!(
        desk.lines(),
        ["own <message from='romeo@example.org' to='juliet@net.example' id='n1' type='chat'><body>mine</body></message>"]
    );
}

#[test]
fn a_correction_goes_both_ways() {
    let mut desk = Desk::online(GATEWAY, info());
    let core = accepted(&mut desk, "m1", "n1");
    desk.user("<message to='juliet@net.example' type='chat' id='m2'><body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>");
    assert!(matches!(desk.verb().1, Verb::Edit(Edit { id, body, .. }) if id == core && body == "better"));
    desk.event(Event::Edited(Edit {
        chat: juliet(),
        nickname: None,
        id: "x9".into(),
        body: "theirs".to_owned(),
        origin: Origin::Other,
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><body>theirs</body><replace xmlns='urn:xmpp:message-correct:0' id='x9'/></message>"
        )]
    );
}

#[test]
fn a_correction_without_a_word_for_it_is_a_message() {
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::Edits]));
    accepted(&mut desk, "m1", "n1");
    desk.user("<message to='juliet@net.example' type='chat' id='m2'><body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>");
    assert_eq!(sent(&mut desk).1.body, "better");
}

#[test]
fn a_correction_of_a_message_that_waits_is_made_in_place() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>worse</body></message>");
    desk.user("<message to='juliet@net.example' type='chat' id='m2'><body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>");
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(sent(&mut desk).1.body, "better");
}

#[test]
fn retractions_and_reactions_go_both_ways() {
    let mut desk = Desk::online(GATEWAY, info());
    let core = accepted(&mut desk, "m1", "n1");
    desk.user(
        "<message to='juliet@net.example' type='chat' id='r'><retract xmlns='urn:xmpp:message-retract:1' id='m1'/></message>",
    );
    assert!(matches!(desk.verb().1, Verb::Retract(Retraction { id, .. }) if id == core));
    desk.user("<message to='juliet@net.example' type='chat' id='e'><reactions xmlns='urn:xmpp:reactions:0' id='x9'><reaction>👍</reaction></reactions></message>");
    assert!(matches!(desk.verb().1, Verb::React(Reactions { id, emojis, .. }) if id.as_str() == "x9" && emojis == ["👍"]));
    desk.event(Event::Reacted(Reactions {
        chat: juliet(),
        nickname: None,
        id: "n1".into(),
        emojis: vec!["❤".to_owned()],
        origin: Origin::Other,
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><reactions xmlns='urn:xmpp:reactions:0' id='m1'><reaction>❤</reaction></reactions>\
             <store xmlns='urn:xmpp:hints'/></message>"
        )]
    );
    desk.event(Event::Retracted(Retraction {
        chat: juliet(),
        nickname: None,
        id: "x9".into(),
        reason: None,
        origin: Origin::Other,
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><body>/me retracted a previous message, but it's unsupported by your client.</body>\
             <retract xmlns='urn:xmpp:message-retract:1' id='x9'/><fallback xmlns='urn:xmpp:fallback:0' \
             for='urn:xmpp:message-retract:1'/><store xmlns='urn:xmpp:hints'/></message>"
        )]
    );
}

#[test]
fn what_the_network_has_no_word_for_is_refused() {
    let mut desk = Desk::online(
        GATEWAY,
        info_without(&[Capability::Retractions, Capability::Reactions, Capability::Attention]),
    );
    desk.user(
        "<message to='juliet@net.example' type='chat' id='1'><retract xmlns='urn:xmpp:message-retract:1' id='m1'/></message>",
    );
    desk.user("<message to='juliet@net.example' type='chat' id='2'><reactions xmlns='urn:xmpp:reactions:0' id='x9'/></message>");
    desk.user("<message to='juliet@net.example' type='headline' id='3'><attention xmlns='urn:xmpp:attention:0'/></message>");
    let stanzas = desk.stanzas();
    assert_eq!(
        stanzas.iter().filter(|s| s.contains("<feature-not-implemented")).count(),
        3,
        "{stanzas:?}"
    );
}

#[test]
fn a_reply_says_what_it_answers() {
    let mut desk = Desk::online(GATEWAY, plain());
    accepted(&mut desk, "m1", "n1");
    let reply = Some(Reply {
        to: "n1".into(),
        author: None,
    });
    desk.event(Event::Message(IncomingMessage {
        reply,
        id: Some("n2".into()),
        ..incoming("yes")
    }));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='n2' type='chat'><body>yes</body><reply xmlns='urn:xmpp:reply:0' id='m1' to='romeo@example.org'/></message>"
        )]
    );
    desk.user("<message to='juliet@net.example' type='chat' id='m3'><body>good</body><reply xmlns='urn:xmpp:reply:0' id='n2'/></message>");
    assert_eq!(sent(&mut desk).1.reply.unwrap().to.as_str(), "n2");
}

#[test]
fn typing_goes_both_ways_and_is_not_kept() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user(
        "<message to='juliet@net.example' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
    );
    assert!(matches!(
        desk.verb().1,
        Verb::SetChatState {
            state: ChatState::Composing,
            ..
        }
    ));
    let typing = || Event::ChatState {
        chat: juliet(),
        nickname: None,
        state: ChatState::Paused,
    };
    desk.event(typing());
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} type='chat'><paused xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>"
        )]
    );
    desk.user("<presence type='unavailable'/>");
    desk.out.clear();
    desk.event(typing());
    assert!(desk.lines().is_empty());
}

#[test]
fn read_markers_go_both_ways() {
    let mut desk = Desk::online(GATEWAY, info());
    accepted(&mut desk, "m1", "n1");
    desk.user("<message to='juliet@net.example' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='x9'/></message>");
    assert!(matches!(desk.verb().1, Verb::Mark(Marker { id, kind: MarkerKind::Displayed, .. }) if id.as_str() == "x9"));
    let marker = Marker {
        chat: juliet(),
        nickname: None,
        id: "n1".into(),
        kind: MarkerKind::Displayed,
        origin: Origin::Other,
    };
    desk.event(Event::Marked(marker));
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/><store xmlns='urn:xmpp:hints'/></message>"
        )]
    );
}

#[test]
fn attention_goes_both_ways() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<message to='juliet@net.example' type='headline'><attention xmlns='urn:xmpp:attention:0'/></message>");
    assert!(matches!(desk.verb().1, Verb::CallAttention { text: None, .. }));
    desk.event(Event::Attention {
        contact: "juliet".into(),
        text: None,
    });
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<message {FROM} id='ID' type='headline'><attention xmlns='urn:xmpp:attention:0'/></message>"
        )]
    );
}

#[test]
fn without_a_resource_a_gateway_sends_and_a_server_holds() {
    let mut desk = Desk::online(GATEWAY, plain());
    desk.user("<presence type='unavailable'/>");
    desk.out.clear();
    desk.event(Event::Message(incoming("hello")));
    assert_eq!(desk.stanzas().len(), 1);

    let mut desk = Desk::online(SERVER, plain());
    desk.user("<presence><priority>-1</priority></presence>");
    desk.out.clear();
    desk.event(Event::Message(incoming("hello")));
    assert!(desk.stanzas().is_empty());
    desk.user("<presence><priority>0</priority></presence>");
    assert_eq!(
        desk.stanzas(),
        [
            "<message from='juliet@net.example/bot' to='romeo@example.org/desk' id='ID' type='chat'><body>hello</body>\
          <delay xmlns='urn:xmpp:delay' from='net.example' stamp='2023-11-14T22:13:20.000Z'/></message>"
        ]
    );
}

#[test]
fn held_messages_are_bounded_and_the_loss_is_told() {
    let limits = SessionLimits {
        held_messages: 2,
        ..SessionLimits::default()
    };
    let mut desk = Desk::with_limits(SERVER, plain(), limits);
    desk.log_in();
    desk.user("<presence type='unavailable'/>");
    for n in 0..5 {
        desk.event(Event::Message(incoming(&format!("{n}"))));
    }
    desk.out.clear();
    desk.user("<presence/>");
    let stanzas = desk.stanzas();
    assert_eq!(stanzas.len(), 3, "{stanzas:?}");
    assert!(stanzas[0].contains("3 older messages were lost"));
    assert!(stanzas[1].contains("<body>3</body>") && stanzas[2].contains("<body>4</body>"));
}

#[test]
fn messages_that_a_session_took_with_it_are_told_at_the_next() {
    let mut desk = Desk::online(SERVER, plain());
    desk.user("<presence type='unavailable'/>");
    desk.event(Event::Message(incoming("hello")));
    desk.out.clear();
    desk.pass(Duration::from_secs(30));
    let lines = desk.lines();
    assert!(
        lines.contains(&"store SaveSetting { name: \"lost_messages\", value: \"1\" }".to_owned()),
        "{lines:?}"
    );

    let mut desk = Desk::new(SERVER, plain());
    desk.input(Input::Start);
    let mut account = account();
    account.settings.insert("lost_messages".to_owned(), "1".to_owned());
    desk.input(Input::Loaded(Some(Box::new(account))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    assert!(desk.login().settings.is_empty());
    desk.user("<presence/>");
    assert!(desk.stanzas()[0].contains("1 older message was lost"));
}

#[test]
fn a_note_to_oneself_reaches_all_resources() {
    let mut desk = Desk::online(SERVER, info());
    desk.user("<message to='romeo@example.org' type='chat' id='m1'><body>milk</body></message>");
    assert_eq!(
        desk.stanzas(),
        ["<message from='romeo@example.org/desk' to='romeo@example.org' id='m1' type='chat'><body>milk</body></message>"]
    );
}
