//! The IRC backend, driven as the core drives it, against a real ngIRCd (no IRCv3) and a real InspIRCd with services.

#![allow(clippy::unwrap_used)]

use spectrum_backend_sdk::model::{
    Affiliation, Availability, Chat, ContactDetails, ContactUpdate, IncomingMessage, JoinRoom, Patch, Presence, Role, Standing,
    room_field,
};
use spectrum_backend_sdk::testing::{Account, Finding, Kit, User, check};
use spectrum_backend_sdk::{Answer, Certainty, Event, LoginErrorKind, OpErrorKind, Outcome, Verb};
use spectrum_irc::{IrcBackend, IrcOptions, OptionValue};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Inspircd, Ngircd, needed};

async fn backend(options: &[(&str, OptionValue)]) -> Kit {
    let fast = [("max_messages_per_second", OptionValue::Integer(100))];
    Kit::start(IrcBackend::from_options(IrcOptions::parse(options.iter().chain(&fast).cloned()).unwrap()).unwrap()).await
}

async fn plain(port: u16) -> Kit {
    backend(&[("server", format!("127.0.0.1:{port}").as_str().into()), ("tls", false.into())]).await
}

async fn login(kit: &Kit, name: &str, password: Option<&str>) -> Result<User, LoginErrorKind> {
    let account = Account::new(name);
    let account = match password {
        Some(password) => account.password(password),
        None => account,
    };
    kit.login(account).await.map_err(|error| error.kind)
}

async fn message(user: &mut User, body: &str) -> IncomingMessage {
    let fits = |e: &Event| match e {
        Event::Message(m) if m.body == body => Some(m.clone()),
        _ => None,
    };
    user.wait_for(body, fits).await
}

async fn say(user: &mut User, chat: &Chat, body: &str) -> Result<(), (OpErrorKind, Certainty)> {
    user.say(chat.clone(), body)
        .await
        .map(drop)
        .map_err(|e| (e.kind, e.certainty))
}

async fn join(user: &mut User, room: &str) -> Result<String, OpErrorKind> {
    let join = Verb::JoinRoom(JoinRoom {
        room: room.into(),
        nickname: "alice".into(),
        password: None,
    });
    match user.request(join).await {
        Ok(Answer::Joined(joined)) => Ok(joined.nickname.as_str().to_owned()),
        Ok(other) => panic!("a join was answered with {other:?}"),
        Err(error) => Err(error.kind),
    }
}

async fn set_standing(user: &mut User, nickname: &str, standing: Standing) -> Outcome {
    user.request(Verb::SetStanding {
        room: "#room".into(),
        nickname: nickname.into(),
        standing,
        reason: None,
    })
    .await
}

async fn kick(user: &mut User, nickname: &str, reason: Option<&str>) -> Outcome {
    user.request(Verb::Kick {
        room: "#room".into(),
        nickname: nickname.into(),
        reason: reason.map(str::to_owned),
    })
    .await
}

fn presence_of(id: &str) -> impl Fn(&Event) -> Option<Availability> {
    move |event| match event {
        Event::Contact(ContactUpdate {
            id: who,
            presence: Patch::Set(presence),
            ..
        }) if who.as_str() == id => Some(presence.availability),
        _ => None,
    }
}

/// An operator sets a room up, and lets in again who was banned.
async fn set_up(alice: &mut User, bob: &mut Irc) {
    let outcasts = || Verb::ListAffiliated {
        room: "#room".into(),
        affiliation: Affiliation::Outcast,
    };
    let Ok(Answer::Affiliated(banned)) = alice.request(outcasts()).await else {
        panic!("no list of the banned")
    };
    assert_eq!(banned.len(), 1, "{banned:?}");
    let forgive = Verb::SetAffiliation {
        room: "#room".into(),
        who: banned[0].who.clone(),
        affiliation: Affiliation::None,
        reason: None,
    };
    alice.request(forgive).await.unwrap();
    assert_eq!(alice.request(outcasts()).await, Ok(Answer::Affiliated(Vec::new())));
    let configure = |answers: &[(&str, &str)]| Verb::ConfigureRoom {
        room: "#room".into(),
        answers: answers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect(),
    };
    let settings = async |alice: &mut User| {
        let Ok(Answer::Form(form)) = alice.request(Verb::RoomSettings("#room".into())).await else {
            panic!("no form")
        };
        let value = |name: &str| {
            let field = form.fields.iter().find(|field| field.name == name);
            field.and_then(|field| field.default.clone()).unwrap_or_default()
        };
        [
            value(room_field::MODERATED),
            value(room_field::SUBJECT_BY_ALL),
            value(room_field::PUBLIC),
            value(room_field::PASSWORD),
            value(room_field::MAX_OCCUPANTS),
        ]
    };
    settings(alice).await;
    let strict = [
        (room_field::MODERATED, "1"),
        (room_field::SUBJECT_BY_ALL, "0"),
        (room_field::PUBLIC, "0"),
        (room_field::PASSWORD, "sesame"),
        (room_field::MAX_OCCUPANTS, "7"),
    ];
    alice.request(configure(&strict)).await.unwrap();
    assert_eq!(settings(alice).await, ["true", "false", "false", "sesame", "7"]);
    bob.send("JOIN #room").await;
    bob.expect(&[" 475 "]).await;
    alice.request(configure(&[(room_field::PASSWORD, "other")])).await.unwrap();
    assert_eq!(settings(alice).await[3], "other");
    let open = [
        (room_field::MODERATED, "0"),
        (room_field::SUBJECT_BY_ALL, "1"),
        (room_field::PUBLIC, "1"),
        (room_field::PASSWORD, ""),
        (room_field::MAX_OCCUPANTS, ""),
    ];
    alice.request(configure(&open)).await.unwrap();
    assert_eq!(settings(alice).await, ["false", "true", "true", "", ""]);
    bob.join("#room").await;
    // Who is no operator is told.
    bob.send("JOIN #theirs").await;
    bob.expect(&["JOIN", "#theirs"]).await;
    join(alice, "#theirs").await.unwrap();
    let refused = alice
        .request(Verb::ConfigureRoom {
            room: "#theirs".into(),
            answers: [(room_field::MODERATED.to_owned(), "1".into())].into(),
        })
        .await
        .unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    alice.request(Verb::LeaveRoom("#theirs".into())).await.unwrap();
}

/// What goes on every server.
async fn converse(kit: &Kit, port: u16) {
    let mut bob = Irc::connect(port, "bobby").await;
    bob.join("#room").await;
    bob.send("TOPIC #room :the topic").await;
    bob.expect(&["TOPIC", "the topic"]).await;

    let mut alice = login(kit, "alice1", None).await.unwrap();
    assert_eq!(join(&mut alice, "#room").await.as_deref(), Ok("alice1"));
    let bob_is = |e: &Event| match e {
        Event::Occupant(o) if o.nickname.as_str() == "bobby" => Some(o.clone()),
        _ => None,
    };
    let occupant = alice.wait_for("bobby", bob_is).await;
    assert_eq!((occupant.role, occupant.affiliation), (Role::Moderator, Affiliation::Admin));
    let subject = |e: &Event| match e {
        Event::RoomSubject(s) => Some(s.subject.clone()),
        _ => None,
    };
    assert_eq!(alice.wait_for("the subject", subject).await, "the topic");

    let room = Chat::Room("#room".into());
    say(&mut alice, &room, "hello from XMPP").await.unwrap();
    bob.expect(&["alice1", "PRIVMSG #room :hello from XMPP"]).await;
    say(&mut alice, &room, "/me waves").await.unwrap();
    bob.expect(&["PRIVMSG #room :\x01ACTION waves\x01"]).await;
    say(&mut alice, &room, &format!("{}\nsecond", "ü".repeat(700))).await.unwrap();
    let mut received = 0;
    let second = |line: &str| {
        received += line.matches('ü').count();
        line.contains("PRIVMSG #room :second")
    };
    bob.wait_for("the second line", second).await.unwrap();
    assert_eq!(received, 700);

    bob.send("PRIVMSG #room :\x02hello\x02 from \x0304IRC").await;
    let line = message(&mut alice, "hello from IRC").await;
    assert_eq!(line.nickname.unwrap().as_str(), "bobby");
    bob.send("PRIVMSG alice1 :psst").await;
    assert_eq!(message(&mut alice, "psst").await.chat, Chat::Contact("bobby".into()));
    say(&mut alice, &Chat::Contact("bobby".into()), "what?").await.unwrap();
    bob.expect(&["PRIVMSG bobby :what?"]).await;
    let nobody = say(&mut alice, &Chat::Contact("nobody".into()), "hello?").await;
    assert_eq!(nobody, Err((OpErrorKind::NotFound, Certainty::NotSent)));
    bob.send("PRIVMSG alice1 :\x01VERSION\x01").await;
    bob.expect(&["NOTICE bobby :\x01VERSION spectrum-irc"]).await;

    let contact = |id: &str| ContactDetails {
        id: id.into(),
        alias: None,
        groups: Vec::new(),
    };
    alice.request(Verb::AddContact(contact("bobby"))).await.unwrap();
    assert_eq!(
        alice.wait_for("bobby's presence", presence_of("bobby")).await,
        Availability::Online
    );

    let outcome = alice.request(Verb::FetchProfile(Chat::Contact("bobby".into()))).await;
    let Ok(Answer::Profile(profile)) = outcome else {
        panic!("no profile: {outcome:?}")
    };
    assert_eq!(profile.full_name.as_deref(), Some("bobby"));
    let outcome = alice.request(Verb::ListRooms).await;
    let Ok(Answer::Rooms(rooms)) = outcome else {
        panic!("no rooms: {outcome:?}")
    };
    let listed = rooms.iter().find(|r| r.id.as_str() == "#room").unwrap();
    assert_eq!((listed.occupants, listed.subject.as_deref()), (Some(2), Some("the topic")));

    let refused = kick(&mut alice, "bobby", None).await.unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    bob.send("MODE #room +o alice1").await;
    let own_role = |e: &Event| match e {
        Event::Occupant(o) if o.nickname.as_str() == "alice1" => (o.role == Role::Moderator).then_some(()),
        _ => None,
    };
    alice.wait_for("the role of a moderator", own_role).await;
    let topic = Verb::SetSubject {
        room: "#room".into(),
        subject: "another topic".to_owned(),
    };
    alice.request(topic).await.unwrap();
    assert_eq!(alice.wait_for("the new subject", subject).await, "another topic");
    set_standing(&mut alice, "bobby", Standing::Affiliation(Affiliation::Member))
        .await
        .unwrap();
    bob.expect(&["MODE #room", "bobby"]).await;

    let nickname = |nickname: &str| Verb::ChangeNickname {
        room: "#room".into(),
        nickname: nickname.into(),
    };
    alice.request(nickname("alice2")).await.unwrap();
    let renamed = |e: &Event| match e {
        Event::OccupantRenamed(r) => Some(r.new.as_str().to_owned()),
        _ => None,
    };
    assert_eq!(alice.wait_for("the new nickname", renamed).await, "alice2");
    let taken = alice.request(nickname("bobby")).await.unwrap_err();
    assert_eq!(taken.kind, OpErrorKind::Conflict);

    let away = Presence {
        text: Some("lunch".to_owned()),
        ..Presence::of(Availability::Away)
    };
    alice.request(Verb::SetPresence(away)).await.unwrap();
    bob.send("PRIVMSG alice2 :there?").await;
    bob.expect(&[" 301 ", "lunch"]).await;

    kick(&mut alice, "bobby", Some("out")).await.unwrap();
    bob.expect(&["KICK #room bobby :out"]).await;
    set_standing(&mut alice, "bobby", Standing::Affiliation(Affiliation::Outcast))
        .await
        .unwrap_err();
    bob.join("#room").await;
    alice.wait_for("bobby's return", bob_is).await;
    set_standing(&mut alice, "bobby", Standing::Affiliation(Affiliation::Outcast))
        .await
        .unwrap();
    bob.send("JOIN #room").await;
    bob.expect(&[" 474 "]).await;
    set_up(&mut alice, &mut bob).await;

    bob.send("JOIN #closed").await;
    bob.send("MODE #closed +i").await;
    bob.expect(&["MODE #closed", "+i"]).await;
    assert_eq!(join(&mut alice, "#closed").await, Err(OpErrorKind::MembersOnly));
    bob.send("INVITE alice2 #closed").await;
    let invited = |e: &Event| match e {
        Event::Invited(i) => Some(i.room.as_str().to_owned()),
        _ => None,
    };
    assert_eq!(alice.wait_for("the invitation", invited).await, "#closed");
    join(&mut alice, "#closed").await.unwrap();
    alice.request(Verb::LeaveRoom("#closed".into())).await.unwrap();
    bob.expect(&["alice2", "PART", "#closed"]).await;
    bob.send("MODE #closed -i").await;
    bob.expect(&["MODE #closed", "-i"]).await;
    join(&mut alice, "#closed").await.unwrap();

    bob.quit().await;
    assert_eq!(
        alice.wait_for("bobby's absence", presence_of("bobby")).await,
        Availability::Offline
    );
    let closed = alice.take_events().into_iter().any(|e| matches!(e, Event::Closed(_)));
    assert!(!closed);
    alice.logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_verbs_work_on_ngircd_and_its_end_is_reported() {
    let Some(mut ngircd) = needed(Ngircd::start().await) else {
        return;
    };
    let kit = plain(ngircd.port()).await;
    converse(&kit, ngircd.port()).await;

    let mut other = Irc::connect(ngircd.port(), "taken").await;
    let mut alice = login(&kit, "taken", None).await.unwrap();
    let notice = |e: &Event| match e {
        Event::Notice(text) => Some(text.clone()),
        _ => None,
    };
    assert_eq!(
        alice.wait_for("the notice", notice).await,
        "The nickname taken could not be had on IRC: you are taken_ there."
    );
    other.send("PRIVMSG taken_ :hello").await;
    message(&mut alice, "hello").await;

    ngircd.stop();
    let closed = |e: &Event| match e {
        Event::Closed(error) => Some(error.clone()),
        _ => None,
    };
    assert!(alice.wait_for("the end", closed).await.is_temporary());
    let lost = say(&mut alice, &Chat::Contact("bobby".into()), "hello?").await;
    assert_eq!(lost, Err((OpErrorKind::NotConnected, Certainty::NotSent)));
    assert_eq!(login(&kit, "alice", None).await.err(), Some(LoginErrorKind::Network));
    ngircd.restart().await.unwrap();
    login(&kit, "alice", None).await.unwrap().logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_verbs_work_on_inspircd_with_capabilities_sasl_and_services() {
    let Some(inspircd) = needed(Inspircd::start().await) else {
        return;
    };
    let kit = plain(inspircd.port()).await;
    converse(&kit, inspircd.port()).await;

    let refused = login(&kit, "alice", Some("wrong")).await.err();
    assert_eq!(refused, Some(LoginErrorKind::AuthenticationFailed));
    let mut watcher = Irc::connect(inspircd.port(), "watcher").await;
    let alice = login(&kit, "alice", Some("alice-pw")).await.unwrap();
    watcher.send("WHOIS alice").await;
    watcher.expect(&[" 330 ", "alice alice"]).await;
    alice.logout().await;

    // The same account without SASL: NickServ gets the password.
    let server = format!("127.0.0.1:{}", inspircd.port());
    let by_services = backend(&[
        ("server", server.as_str().into()),
        ("tls", false.into()),
        ("sasl", false.into()),
    ])
    .await;
    let mut carol = login(&by_services, "carol", Some("carol-pw")).await.unwrap();
    let accepted = |e: &Event| match e {
        Event::Message(m) => m.body.to_lowercase().contains("password accepted").then(|| m.chat.clone()),
        _ => None,
    };
    assert_eq!(
        carol.wait_for("NickServ's yes", accepted).await,
        Chat::Contact("NickServ".into())
    );
    carol.logout().await;

    let server = format!("localhost:{}", inspircd.tls_port());
    let tls = backend(&[("server", server.as_str().into()), ("tls_verify", false.into())]).await;
    login(&tls, "bob", Some("bob-pw")).await.unwrap().logout().await;
    let strict = backend(&[("server", server.as_str().into())]).await;
    assert_eq!(
        login(&strict, "bob", Some("bob-pw")).await.err(),
        Some(LoginErrorKind::Certificate)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_done_and_nothing_else() {
    let Some(ngircd) = needed(Ngircd::start().await) else { return };
    let kit = plain(ngircd.port()).await;
    let mut user = kit.login(Account::new("alice")).await.unwrap();
    assert_eq!(check(&mut user, kit.info()).await, Vec::<Finding>::new());
    user.logout().await;
    assert_eq!(kit.stop().await, Vec::<&str>::new());
}
