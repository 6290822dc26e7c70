//! Talks of two: what the people do with what they are told, and what is kept.

use super::*;

#[tokio::test(start_paused = true)]
async fn echo_reads_types_and_repeats_after_the_receipt() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let id = send(&mut you, &to(ECHO), "c1", "hello").await;
    assert_eq!(
        you.next_event().await,
        Event::Delivered {
            chat: to(ECHO),
            id: "c1".into()
        }
    );
    let Event::Marked(marker) = you.next_event().await else {
        panic!()
    };
    assert_eq!((marker.kind, &marker.id), (MarkerKind::Displayed, &id));
    let Event::ChatState { state, .. } = you.next_event().await else {
        panic!()
    };
    assert_eq!(state, ChatState::Composing);
    let Event::Message(echo) = you.next_event().await else {
        panic!()
    };
    assert_eq!(
        (echo.body.as_str(), &echo.chat, echo.origin),
        ("hello", &to(ECHO), Origin::Other)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_done_to_a_message_echo_does_to_its_own() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let id = send(&mut you, &to(ECHO), "c1", "hello").await;
    let echo = message(&mut you, "hello").await.id.unwrap();
    let edit = Edit {
        chat: to(ECHO),
        nickname: None,
        id: "c1".into(),
        body: "hello again".to_owned(),
        origin: Origin::Other,
    };
    you.request(Verb::Edit(edit)).await.unwrap();
    let edited = you
        .wait_for("the edit", |event| match event {
            Event::Edited(edit) => Some(edit.clone()),
            _ => None,
        })
        .await;
    assert_eq!((edited.id, edited.body.as_str()), (echo.clone(), "hello again"));
    let react = Reactions {
        chat: to(ECHO),
        nickname: None,
        id: "c1".into(),
        emojis: vec!["\u{1f389}".to_owned()],
        origin: Origin::Other,
    };
    you.request(Verb::React(react)).await.unwrap();
    let reacted = you
        .wait_for("the reaction", |event| match event {
            Event::Reacted(reactions) => Some(reactions.clone()),
            _ => None,
        })
        .await;
    assert_eq!((reacted.id, reacted.emojis), (id, vec!["\u{1f389}".to_owned()]));
    let retraction = Retraction {
        chat: to(ECHO),
        nickname: None,
        id: "c1".into(),
        reason: None,
        origin: Origin::Other,
    };
    you.request(Verb::Retract(retraction.clone())).await.unwrap();
    let retracted = you
        .wait_for("the retraction", |event| match event {
            Event::Retracted(retraction) => Some(retraction.id.clone()),
            _ => None,
        })
        .await;
    assert_eq!(retracted, echo);
    let gone = you.request(Verb::Retract(retraction)).await.unwrap_err();
    assert_eq!(gone.kind, OpErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn ada_does_her_tricks_to_the_line_that_asks_for_them() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let chat = to(ADA);
    send(&mut you, &chat, "1", "help").await;
    you.expect(|event| matches!(event, Event::Message(m) if m.body.contains("\nretract - ")))
        .await;

    let id = send(&mut you, &chat, "2", "react \u{1f389}").await;
    you.expect(|e| matches!(e, Event::Reacted(r) if r.id == id && r.emojis == ["\u{1f389}"]))
        .await;
    let id = send(&mut you, &chat, "3", "reply to that").await;
    let theirs = message(&mut you, "to that").await;
    assert_eq!(theirs.reply.map(|reply| reply.to), Some(id));
    let id = send(&mut you, &chat, "4", "read").await;
    you.expect(|e| matches!(e, Event::Marked(m) if m.id == id && m.kind == MarkerKind::Displayed))
        .await;

    let marker = Marker {
        chat: chat.clone(),
        nickname: None,
        id: theirs.id.unwrap(),
        kind: MarkerKind::Displayed,
        origin: Origin::Other,
    };
    you.request(Verb::Mark(marker)).await.unwrap();
    send(&mut you, &chat, "4a", "marks").await;
    message(&mut you, "You have marked as read: to that").await;

    send(&mut you, &chat, "5", "edit").await;
    let wrong = message(&mut you, "This is rong.").await.id.unwrap();
    you.expect(|e| matches!(e, Event::Edited(edit) if edit.id == wrong && edit.body == "This is right."))
        .await;
    send(&mut you, &chat, "6", "retract").await;
    let regretted = message(&mut you, "I wish I had not said this.").await.id.unwrap();
    you.expect(|e| matches!(e, Event::Retracted(r) if r.id == regretted)).await;

    send(&mut you, &chat, "7", "image https://example.org/a.png").await;
    you.expect(|e| matches!(e, Event::Message(m) if matches!(&m.attachments[..], [Attachment { url, .. }] if url == "https://example.org/a.png")))
        .await;
    send(&mut you, &chat, "8", "device from my phone").await;
    let own = message(&mut you, "from my phone").await;
    assert_eq!((own.origin, own.chat), (Origin::OwnOtherDevice, to(ADA)));
    send(&mut you, &chat, "9", "typing").await;
    for expected in [ChatState::Composing, ChatState::Paused, ChatState::Active] {
        you.expect(|e| matches!(e, Event::ChatState { state, .. } if *state == expected))
            .await;
    }
    send(&mut you, &chat, "10", "burst 30").await;
    message(&mut you, "Message 30").await;
    send(&mut you, &chat, "11", "avatar").await;
    let hash = |event: &Event| match event {
        Event::Contact(update) if update.id.as_str() == ADA => update.avatar.as_set().cloned(),
        _ => None,
    };
    let first = you.wait_for("a picture", hash).await;
    send(&mut you, &chat, "12", "avatar").await;
    assert_ne!(you.wait_for("another picture", hash).await, first);
    send(&mut you, &chat, "13", "drop").await;
    you.expect(|e| matches!(e, Event::Closed(error) if error.is_temporary()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn old_messages_come_in_pages_and_show_changes() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    let first = send(&mut you, &to("friend"), "a", "one").await;
    assert_eq!(message(&mut friend, "one").await.id, Some(first.clone()));
    send(&mut friend, &to("you"), "b", "two").await;
    send(&mut you, &to("friend"), "c", "three").await;
    let edit = |id: &str| Edit {
        chat: to("friend"),
        nickname: None,
        id: id.into(),
        body: "one, changed".to_owned(),
        origin: Origin::Other,
    };
    you.request(Verb::Edit(edit("a"))).await.unwrap();
    let other = message(&mut you, "two").await.id.unwrap();
    let refused = you.request(Verb::Edit(edit(other.as_str()))).await.unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    let page = |before: Option<&str>| {
        Verb::History(PageRequest {
            chat: to("friend"),
            before: before.map(MessageId::from),
            after: None,
            limit: 2,
        })
    };
    let Ok(Answer::History(last)) = you.request(page(None)).await else {
        panic!()
    };
    let bodies = |messages: &[IncomingMessage]| messages.iter().map(|m| (m.body.clone(), m.origin)).collect::<Vec<_>>();
    assert_eq!(
        bodies(&last.messages),
        [
            ("two".to_owned(), Origin::Other),
            ("three".to_owned(), Origin::OwnOtherDevice)
        ]
    );
    assert!(!last.complete);
    let before = last.messages[0].id.clone().unwrap();
    let Ok(Answer::History(rest)) = you.request(page(Some(before.as_str()))).await else {
        panic!()
    };
    assert_eq!(
        (bodies(&rest.messages), rest.complete),
        (vec![("one, changed".to_owned(), Origin::OwnOtherDevice)], true)
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_id_twice_is_one_message() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    let first = send(&mut you, &to("friend"), "a", "one").await;
    assert_eq!(send(&mut you, &to("friend"), "a", "one").await, first);
    send(&mut you, &to("friend"), "b", "two").await;
    let heard: Vec<_> = [friend.next_event().await, friend.next_event().await]
        .into_iter()
        .map(|e| if let Event::Message(m) = e { m.body } else { String::new() })
        .collect();
    assert_eq!(heard, ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn marks_and_typing_pass_between_users() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    let id = send(&mut you, &to("friend"), "a", "one").await;
    let marker = Marker {
        chat: to("you"),
        nickname: None,
        id: id.clone(),
        kind: MarkerKind::Displayed,
        origin: Origin::Other,
    };
    friend.request(Verb::Mark(marker)).await.unwrap();
    you.expect(|e| matches!(e, Event::Marked(m) if m.id == id && m.chat == to("friend")))
        .await;
    let typing = Verb::SetChatState {
        chat: to("you"),
        state: ChatState::Composing,
    };
    friend.request(typing).await.unwrap();
    you.expect(|e| matches!(e, Event::ChatState { chat, .. } if *chat == to("friend")))
        .await;
}

#[tokio::test(start_paused = true)]
async fn another_device_is_in_a_room_and_has_read_it() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let own = |event: &Event| match event {
        Event::OwnRooms(rooms) => Some(rooms.clone()),
        _ => None,
    };
    you.say(to(ADA), "enter lobby").await.unwrap();
    let room = OwnRoom {
        id: LOBBY.into(),
        name: Some("Room lobby".to_owned()),
        nickname: Some("you".into()),
    };
    assert_eq!(you.wait_for("a room", own).await, OwnRooms::Entered(room));
    you.say(to(ADA), "quit lobby").await.unwrap();
    assert_eq!(you.wait_for("no room", own).await, OwnRooms::Left(LOBBY.into()));
    let sent = you.say(to(ADA), "seen").await.unwrap();
    let marked = |event: &Event| match event {
        Event::Marked(marker) if marker.origin == Origin::OwnOtherDevice => Some(marker.id.clone()),
        _ => None,
    };
    assert_eq!(Some(you.wait_for("a mark", marked).await), sent.id);
}
