//! Rooms: who is there, what may be done, who may do it.

use spectrum_backend_sdk::Answer;
use spectrum_backend_sdk::model::{Affiliation, Departure, FormAnswers, OccupantGone, room_field};

use super::*;

async fn occupant(user: &mut User, nickname: &str) -> Occupant {
    user.wait_for(nickname, |event| match event {
        Event::Occupant(occupant) if occupant.nickname.as_str() == nickname => Some(occupant.clone()),
        _ => None,
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn who_joins_sees_the_others_then_themselves_then_the_subject_then_old_lines() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    assert_eq!(join(&mut you, LOBBY, "me").await.as_deref(), Ok("me"));
    let events = you.take_events();
    let nick = |event: &Event| {
        if let Event::Occupant(o) = event {
            o.nickname.as_str().to_owned()
        } else {
            String::new()
        }
    };
    assert_eq!((nick(&events[0]).as_str(), nick(&events[1]).as_str()), (ADA, "me"));
    assert!(matches!(&events[2], Event::RoomSubject(s) if s.subject == "Welcome to the demo network"));
    let times: Vec<_> = events[3..]
        .iter()
        .map(|event| {
            if let Event::Message(m) = event {
                m.timestamp.unwrap()
            } else {
                panic!("{event:?}")
            }
        })
        .collect();
    assert!(times.len() == 20 && times.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_shown_whole_before_the_join_is_answered() {
    let kit = Kit::start(Demo::new()).await;
    let mut you = enter(&kit, "you").await;
    join(&mut you, CROWD, "me").await.unwrap();
    let occupants = you
        .take_events()
        .into_iter()
        .filter(|e| matches!(e, Event::Occupant(_)))
        .count();
    assert_eq!(occupants, 5_002);
}

#[tokio::test(start_paused = true)]
async fn ada_answers_who_greets_and_does_tricks_in_the_room() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    join(&mut you, LOBBY, "me").await.unwrap();
    you.take_events();
    send(&mut you, &lobby(), "a", "hello everybody").await;
    let line = you
        .wait_for(
            "an answer",
            |e| if let Event::Message(m) = e { Some(m.clone()) } else { None },
        )
        .await;
    assert!(line.body.starts_with("me: Hello you") && line.nickname.unwrap().as_str() == ADA);
    let id = send(&mut you, &lobby(), "b", "ada: react").await;
    you.expect(|e| matches!(e, Event::Reacted(r) if r.id == id && r.nickname.as_ref().unwrap().as_str() == ADA))
        .await;
    send(&mut you, &lobby(), "c", "ada: op").await;
    assert_eq!(occupant(&mut you, "me").await.role, Role::Moderator);
    send(&mut you, &lobby(), "d", "ada: kick").await;
    let gone = OccupantGone {
        room: LOBBY.into(),
        nickname: "me".into(),
        departure: Departure::Kicked { by: Some(ADA.into()) },
        reason: Some("As you wished.".to_owned()),
    };
    you.expect(|e| *e == Event::OccupantGone(gone.clone())).await;
    join(&mut you, LOBBY, "me").await.unwrap();
    send(&mut you, &lobby(), "e", "ada, ban").await;
    you.expect(|e| matches!(e, Event::OccupantGone(g) if matches!(g.departure, Departure::Banned { .. })))
        .await;
    assert_eq!(join(&mut you, LOBBY, "me").await.unwrap_err().kind, OpErrorKind::Banned);
    send(&mut you, &to(ADA), "f", "unban lobby").await;
    message(&mut you, "You may come in again.").await;
    join(&mut you, LOBBY, "me").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_room_of_ones_own_is_ones_own_to_moderate() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    join(&mut you, "own", "me").await.unwrap();
    assert_eq!(occupant(&mut you, "me").await.affiliation, Affiliation::Owner);
    join(&mut friend, "own", "friend").await.unwrap();
    let standing = |who: &str, standing| Verb::SetStanding {
        room: "own".into(),
        nickname: who.into(),
        standing,
        reason: None,
    };
    let refused = friend
        .request(standing("me", Standing::Role(Role::Visitor)))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    you.request(standing("friend", Standing::Role(Role::Visitor))).await.unwrap();
    let chat = Chat::Room("own".into());
    assert_eq!(friend.say(chat.clone(), "x").await.unwrap_err().kind, OpErrorKind::NotAllowed);
    you.request(standing("friend", Standing::Affiliation(Affiliation::Admin)))
        .await
        .unwrap();
    friend.say(chat.clone(), "y").await.unwrap();
    let line = message(&mut you, "y").await.id.unwrap();
    let retraction = Retraction {
        chat,
        nickname: None,
        id: line,
        reason: Some("moderated".to_owned()),
        origin: Origin::Other,
    };
    you.request(Verb::Retract(retraction)).await.unwrap();
    friend
        .expect(|e| matches!(e, Event::Retracted(r) if r.reason.as_deref() == Some("moderated")))
        .await;
    let above = friend
        .request(standing("me", Standing::Affiliation(Affiliation::None)))
        .await
        .unwrap_err();
    assert_eq!(above.kind, OpErrorKind::NotAllowed);
}

#[tokio::test(start_paused = true)]
async fn people_come_when_invited_and_whisper_back() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    join(&mut you, "own", "me").await.unwrap();
    let invite = Verb::Invite {
        room: "own".into(),
        contact: ECHO.into(),
        reason: None,
    };
    you.request(invite).await.unwrap();
    assert_eq!(occupant(&mut you, ECHO).await.contact, Some(ECHO.into()));
    let private = Chat::Occupant {
        room: "own".into(),
        nickname: ECHO.into(),
    };
    send(&mut you, &private, "a", "psst").await;
    assert_eq!(message(&mut you, "psst").await.chat, private);
    you.request(Verb::LeaveRoom("own".into())).await.unwrap();
    assert_eq!(
        you.say(private, "still there?").await.unwrap_err().kind,
        OpErrorKind::NotAllowed
    );
}

#[tokio::test(start_paused = true)]
async fn doors_are_kept() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    assert_eq!(
        join(&mut you, VAULT, "me").await.unwrap_err().kind,
        OpErrorKind::NotAuthorized
    );
    let with_password = JoinRoom {
        room: VAULT.into(),
        nickname: "me".into(),
        password: Some(VAULT_PASSWORD.into()),
    };
    you.request(Verb::JoinRoom(with_password)).await.unwrap();
    join(&mut you, COUNCIL, "me").await.unwrap();
    let council = Chat::Room(COUNCIL.into());
    assert_eq!(you.say(council.clone(), "x").await.unwrap_err().kind, OpErrorKind::NotAllowed);
    let ada = Chat::Occupant {
        room: COUNCIL.into(),
        nickname: ADA.into(),
    };
    send(&mut you, &ada, "a", "voice").await;
    you.expect(|e| matches!(e, Event::Occupant(o) if o.nickname.as_str() == "me" && o.role == Role::Participant && o.room.as_str() == COUNCIL))
        .await;
    you.say(council, "x").await.unwrap();
    assert_eq!(join(&mut you, LOBBY, ADA).await.unwrap_err().kind, OpErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_room_is_set_up_by_its_owner_alone() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    join(&mut you, "own", "me").await.unwrap();
    join(&mut friend, "own", "friend").await.unwrap();
    let refused = friend.request(Verb::RoomSettings("own".into())).await.unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    let configure = |name: &str, value: &str| Verb::ConfigureRoom {
        room: "own".into(),
        answers: FormAnswers::from([(name.to_owned(), value.into())]),
    };
    let refused = friend.request(configure(room_field::MODERATED, "1")).await.unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    you.request(configure(room_field::MODERATED, "1")).await.unwrap();
    friend
        .expect(|e| matches!(e, Event::Occupant(o) if o.nickname.as_str() == "friend" && o.role == Role::Visitor))
        .await;
    you.request(configure(room_field::PASSWORD, "secret")).await.unwrap();
    let Ok(Answer::Form(form)) = you.request(Verb::RoomSettings("own".into())).await else {
        panic!("no form")
    };
    let now = |name: &str| {
        form.fields
            .iter()
            .find(|field| field.name == name)
            .unwrap()
            .default
            .clone()
            .unwrap()
    };
    assert_eq!(
        (now(room_field::MODERATED), now(room_field::PASSWORD)),
        ("true".to_owned(), "secret".to_owned())
    );
    let too_long = you
        .request(configure(room_field::PASSWORD, &"x".repeat(300)))
        .await
        .unwrap_err();
    assert_eq!(too_long.kind, OpErrorKind::TooLong);
}

#[tokio::test(start_paused = true)]
async fn who_is_banned_need_not_be_there_and_has_a_reason() {
    let kit = small().await;
    let mut you = enter(&kit, "you").await;
    let mut friend = enter(&kit, "friend").await;
    join(&mut you, "own", "me").await.unwrap();
    let set = |affiliation| Verb::SetAffiliation {
        room: "own".into(),
        who: "friend".into(),
        affiliation,
        reason: Some("noise".to_owned()),
    };
    let outcasts = || Verb::ListAffiliated {
        room: "own".into(),
        affiliation: Affiliation::Outcast,
    };
    you.request(set(Affiliation::Outcast)).await.unwrap();
    assert_eq!(
        join(&mut friend, "own", "friend").await.unwrap_err().kind,
        OpErrorKind::Banned
    );
    let Ok(Answer::Affiliated(list)) = you.request(outcasts()).await else {
        panic!("no list")
    };
    assert_eq!((list[0].who.as_str(), list[0].reason.as_deref()), ("friend", Some("noise")));
    you.request(set(Affiliation::None)).await.unwrap();
    assert_eq!(you.request(outcasts()).await, Ok(Answer::Affiliated(Vec::new())));
    join(&mut friend, "own", "friend").await.unwrap();
    assert_eq!(friend.request(outcasts()).await.unwrap_err().kind, OpErrorKind::NotAllowed);
    let above = friend.request(set(Affiliation::Owner)).await.unwrap_err();
    assert_eq!(above.kind, OpErrorKind::NotAllowed);
}
