//! Contacts, requests, blocking, search and profiles.

use spectrum_backend_sdk::model::{Availability, Patch, Presence, ProfileUpdate, Subscription};

use super::*;

fn details(id: &str) -> ContactDetails {
    ContactDetails {
        id: id.into(),
        alias: Some("Called so".to_owned()),
        groups: vec!["Group".to_owned()],
    }
}

async fn subscription(user: &mut User, of: &str) -> Subscription {
    user.wait_for(of, |event| match event {
        Event::Contact(update) if update.id.as_str() == of => update.subscription.as_set().copied(),
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn who_is_added_is_there_at_once_or_after_a_yes_or_never() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    you.request(Verb::AddContact(details(CAROL))).await.unwrap();
    assert_eq!(subscription(&mut you, CAROL).await, Subscription::Both);
    you.request(Verb::AddContact(details(DAVE))).await.unwrap();
    assert_eq!(subscription(&mut you, DAVE).await, Subscription::Ask);
    assert_eq!(subscription(&mut you, DAVE).await, Subscription::Both);
    you.request(Verb::AddContact(details(EVE))).await.unwrap();
    assert_eq!(subscription(&mut you, EVE).await, Subscription::Ask);
    you.expect(|event| *event == Event::ContactRemoved(EVE.into())).await;
    let nobody = you.request(Verb::AddContact(details("nobody"))).await.unwrap_err();
    assert_eq!(nobody.kind, OpErrorKind::NotFound);
    you.logout().await;

    let mut again = kit.login(Account::new("you")).await.unwrap();
    let mut seen = Vec::new();
    while let Event::Contact(update) = again.next_event().await {
        seen.push((update.id.as_str().to_owned(), update.alias.as_set().cloned().unwrap()));
    }
    let called = |id: &str, alias: &str| (id.to_owned(), alias.to_owned());
    assert_eq!(
        seen,
        [
            called(ADA, "Ada"),
            called(CAROL, "Called so"),
            called(DAVE, "Called so"),
            called(ECHO, "Echo")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_was_removed_does_not_come_back_by_itself() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    you.request(Verb::RemoveContact("friend".into())).await.unwrap();
    you.take_events();
    friend
        .request(Verb::SetPresence(Presence::of(Availability::Away)))
        .await
        .unwrap();
    friend.logout().await;
    let mut friend = enter(&kit, "friend").await;
    send(&mut friend, &to("you"), "a", "but I can write to you").await;
    let Event::Message(_) = you.next_event().await else {
        panic!("nothing is seen of them but what they write")
    };
}

#[tokio::test(start_paused = true)]
async fn a_request_of_carol_can_be_granted_or_not() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    for (accept, words) in [(false, "What a pity."), (true, "Thank you for seeing me.")] {
        send(&mut you, &to(ADA), words, "request").await;
        you.expect(|e| matches!(e, Event::ContactRequested(r) if r.id.as_str() == CAROL))
            .await;
        let answer = Verb::AnswerContactRequest {
            contact: CAROL.into(),
            accept,
        };
        you.request(answer).await.unwrap();
        assert_eq!(message(&mut you, words).await.chat, to(CAROL));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_blocked_is_told_and_not_heard() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    let block = |blocked| Verb::Block {
        contact: "friend".into(),
        blocked,
    };
    you.request(block(true)).await.unwrap();
    you.expect(|e| matches!(e, Event::Contact(u) if u.blocked == Patch::Set(true)))
        .await;
    let refused = friend.say(to("you"), "hello?").await.unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    you.request(block(false)).await.unwrap();
    friend.say(to("you"), "hello!").await.unwrap();
    message(&mut you, "hello!").await;
}

#[tokio::test(start_paused = true)]
async fn a_search_finds_people_by_either_name_and_profiles_have_faces() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let Ok(Answer::Contacts(hits)) = you.request(Verb::Search("the SHY".to_owned())).await else {
        panic!()
    };
    assert_eq!(hits.iter().map(|hit| hit.id.as_str()).collect::<Vec<_>>(), [EVE]);
    let Ok(Answer::Profile(profile)) = you.request(Verb::FetchProfile(to(ADA))).await else {
        panic!()
    };
    assert!(profile.avatar.unwrap().data.starts_with(b"\x89PNG"));
    let mut friend = enter(&kit, "friend").await;
    let update = ProfileUpdate {
        full_name: Patch::Set("My Self".to_owned()),
        ..ProfileUpdate::default()
    };
    you.request(Verb::SetProfile(update)).await.unwrap();
    let Ok(Answer::Profile(mine)) = friend.request(Verb::FetchProfile(to("you"))).await else {
        panic!()
    };
    assert_eq!(mine.full_name.as_deref(), Some("My Self"));
}
