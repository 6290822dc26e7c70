#![allow(clippy::unwrap_used)]

use spectrum_backend_sdk::model::{Chat, ContactUpdate, IncomingMessage, Invitation, Origin, Patch, Subscription};

use super::*;

const ROOM: &str = "r@muc.b.example";

fn state() -> State {
    State::new(FullJid::new("alice@a.example/x1").unwrap(), Place::default())
}

fn hear(state: &mut State, xml: &str) -> Vec<Effect> {
    let xml = xml.replacen(' ', " xmlns='jabber:client' ", 1);
    state.stanza(&Incoming {
        element: xml.parse().unwrap(),
        is_over: false,
    })
}

fn with_bob() -> State {
    let mut state = state();
    let push =
        "<iq type='set' id='p1'><query xmlns='jabber:iq:roster'><item jid='bob@b.example' subscription='both'/></query></iq>";
    let mut bob = ContactUpdate::new("bob@b.example");
    (bob.alias, bob.groups, bob.subscription) = (Patch::Clear, Patch::Clear, Patch::Set(Subscription::Both));
    let done = iq("result", None, "p1", None);
    assert_eq!(
        hear(&mut state, push),
        [Effect::Event(Event::Contact(bob)), Effect::Send(done)]
    );
    state
}

fn message(chat: Chat, id: &str, body: &str) -> IncomingMessage {
    let mut message = IncomingMessage::new(chat, body);
    message.id = Some(id.into());
    message
}

fn bob() -> Chat {
    Chat::Contact("bob@b.example".into())
}

#[test]
fn a_push_of_the_roster_is_believed_from_the_account_alone() {
    let mut state = state();
    let push = |from: &str| {
        format!(
            "<iq type='set' id='p1' from='{from}'><query xmlns='jabber:iq:roster'><item jid='eve@e.example' \
             subscription='both'/></query></iq>"
        )
    };
    for forged in ["eve@e.example/x", "a.example", "alice@a.example/other"] {
        let effects = hear(&mut state, &push(forged));
        assert!(
            matches!(&effects[..], [Effect::Send(refused)] if refused.attr("type") == Some("error")),
            "{forged}"
        );
    }
    assert_eq!(hear(&mut state, &push("alice@a.example")).len(), 2);
}

#[test]
fn an_answer_is_believed_from_who_was_asked() {
    let mut state = state();
    let (answer, mut waiting) = oneshot::channel();
    state.expect("q1", Some("bob@b.example/x"), Answer::To(answer)).unwrap();
    hear(&mut state, "<iq type='result' id='q1' from='eve@e.example/x'/>");
    hear(&mut state, "<iq type='result' id='q1'/>");
    assert!(waiting.try_recv().is_err());
    hear(&mut state, "<iq type='result' id='q1' from='bob@b.example/x'/>");
    assert!(waiting.try_recv().is_ok());
}

#[test]
fn the_roster_is_reported_before_whoever_asked_goes_on() {
    let mut state = state();
    let (done, mut waiting) = oneshot::channel();
    state.expect("q1", None, Answer::Roster(done)).unwrap();
    let effects = hear(
        &mut state,
        "<iq type='result' id='q1'><query xmlns='jabber:iq:roster'><item jid='bob@b.example' subscription='to'/></query></iq>",
    );
    assert_eq!(
        (effects.len(), effects.last()),
        (2, Some(&Effect::Event(Event::ContactsComplete)))
    );
    assert!(waiting.try_recv().is_ok());
}

#[test]
fn copies_of_other_devices_are_believed_from_the_account_alone() {
    let mut state = state();
    let carbon = |from: &str, direction: &str, inner: &str| {
        format!(
            "<message from='{from}'><{direction} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' {inner} type='chat' id='m1'><body>hi</body></message></forwarded></{direction}></message>"
        )
    };
    let sent = "from='alice@a.example/phone' to='bob@b.example'";
    assert_eq!(hear(&mut state, &carbon("eve@e.example", "sent", sent)), []);
    assert_eq!(hear(&mut state, &carbon("alice@a.example/phone", "sent", sent)), []);
    let mut own = message(bob(), "m1", "hi");
    own.origin = Origin::OwnOtherDevice;
    assert_eq!(
        hear(&mut state, &carbon("alice@a.example", "sent", sent)),
        [Effect::Event(Event::Message(own))]
    );
    let received = "from='bob@b.example/x' to='alice@a.example/phone'";
    assert_eq!(
        hear(&mut state, &carbon("alice@a.example", "received", received)),
        [Effect::Event(Event::Message(message(bob(), "m1", "hi")))]
    );
}

#[test]
fn who_wants_to_see_the_user_asks() {
    let mut state = state();
    let effects = hear(
        &mut state,
        "<presence type='subscribe' from='bob@b.example'><nick xmlns='http://jabber.org/protocol/nick'>Bob</nick>\
         <status>hello?</status></presence>",
    );
    let request = spectrum_backend_sdk::model::ContactRequest {
        id: "bob@b.example".into(),
        alias: Some("Bob".to_owned()),
        text: Some("hello?".to_owned()),
    };
    assert_eq!(effects, [Effect::Event(Event::ContactRequested(request))]);
    assert_eq!(hear(&mut state, "<presence type='subscribed' from='bob@b.example'/>"), []);
}

#[test]
fn a_refused_message_is_told_to_who_waits_or_to_the_user_and_never_by_a_stranger() {
    let mut state = state();
    let bounce = "<message type='error' from='bob@b.example' id='c1'><error type='cancel'><service-unavailable \
                  xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    let mut waiting = state.expect_fate("c1");
    assert_eq!(hear(&mut state, bounce), []);
    assert_eq!(waiting.try_recv().unwrap().unwrap_err().kind, OpErrorKind::NotFound);
    assert_eq!(hear(&mut state, bounce), [], "nothing is known of such a message");
    let author = state.me.as_str().into();
    state.recent.add(Recent {
        chat: "bob@b.example".into(),
        id: "c1".into(),
        origin: "c1".into(),
        author,
        snippet: "hi".into(),
    });
    let text = "Your message to bob@b.example was not delivered: They do not exist, or do not want to hear from you.";
    assert_eq!(hear(&mut state, bounce), [Effect::Event(Event::Notice(text.to_owned()))]);
    assert_eq!(hear(&mut state, &bounce.replace("bob@b", "eve@e")), []);
}

fn in_room() -> State {
    let mut state = state();
    let features = Features {
        names_messages: true,
        names_occupants: true,
        has_archive: true,
    };
    let _joined = state.rooms.enter(BareJid::new(ROOM).unwrap(), "Alice", features).unwrap();
    hear(
        &mut state,
        "<presence from='r@muc.b.example/Alice'><x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/>\
         <status code='110'/></x></presence>",
    );
    state
}

fn line(nick: &str, id: &str, named: &str, inner: &str) -> String {
    format!(
        "<message type='groupchat' from='{ROOM}/{nick}' id='{id}'>{inner}<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='{named}'/>\
         </message>"
    )
}

#[test]
fn lines_of_a_room_have_the_rooms_ids_and_corrections_find_them() {
    let mut state = in_room();
    let room = Chat::Room(ROOM.into());
    let first = message(room.clone(), "s1", "hi").by("Bob");
    assert_eq!(
        hear(&mut state, &line("Bob", "o1", "s1", "<body>hi</body>")),
        [Effect::Event(Event::Message(first))]
    );
    let correct = "<body>ho</body><replace xmlns='urn:xmpp:message-correct:0' id='o1'/>";
    let effects = hear(&mut state, &line("Bob", "o2", "s2", correct));
    assert!(matches!(&effects[..], [Effect::Event(Event::Edited(edit))] if edit.id.as_str() == "s1"));
    let forged = hear(&mut state, &line("Eve", "o3", "s3", correct));
    assert!(
        matches!(&forged[..], [Effect::Event(Event::Edited(edit))] if edit.id.as_str() != "s1"),
        "Eve has said no o1"
    );
}

#[test]
fn an_own_line_is_confirmed_by_the_room_and_not_told_twice() {
    let mut state = in_room();
    let mut waiting = state.expect_fate("c1");
    let echo = line("Alice", "c1", "s1", "<body>hi</body>");
    assert_eq!(hear(&mut state, &echo), []);
    assert_eq!(waiting.try_recv().unwrap().unwrap().id, Some("s1".into()));
    assert_eq!(hear(&mut state, &echo), [], "and a late copy of it says nothing");
    let other = hear(&mut state, &line("Alice", "p1", "s2", "<body>from my phone</body>"));
    let Effect::Event(Event::Message(other)) = &other[0] else {
        panic!("{other:?}")
    };
    assert_eq!(
        (other.origin, other.nickname.clone()),
        (Origin::OwnOtherDevice, Some("Alice".into()))
    );
}

#[test]
fn a_line_of_a_room_that_the_user_is_not_in_is_not_heard() {
    assert_eq!(hear(&mut state(), &line("Bob", "o1", "s1", "<body>hi</body>")), []);
}

#[test]
fn private_messages_are_those_of_occupants() {
    let mut state = in_room();
    let effects = hear(
        &mut state,
        "<message type='chat' from='r@muc.b.example/Bob' id='m1'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>\
         </message>",
    );
    let chat = Chat::Occupant {
        room: ROOM.into(),
        nickname: "Bob".into(),
    };
    assert_eq!(effects, [Effect::Event(Event::Message(message(chat, "m1", "psst")))]);
}

#[test]
fn invitations_come_through_the_room_or_from_a_person() {
    let mut state = state();
    let invited = |from: Option<&str>, reason: Option<&str>| {
        Effect::Event(Event::Invited(Invitation {
            room: ROOM.into(),
            from: from.map(Into::into),
            reason: reason.map(str::to_owned),
            password: None,
        }))
    };
    let mediated = "<message from='r@muc.b.example'><x xmlns='http://jabber.org/protocol/muc#user'><invite \
                    from='bob@b.example/x'><reason>tea</reason></invite></x></message>";
    assert_eq!(hear(&mut state, mediated), [invited(Some("bob@b.example"), Some("tea"))]);
    let direct = "<message from='bob@b.example/x'><x xmlns='jabber:x:conference' jid='r@muc.b.example'/></message>";
    assert_eq!(hear(&mut state, direct), [invited(Some("bob@b.example"), None)]);
    let forged = "<message from='eve@e.example/x'><x xmlns='http://jabber.org/protocol/muc#user'><invite \
                  from='bob@b.example/x'/></x></message>";
    assert_eq!(hear(&mut state, forged), []);
}

#[test]
fn what_the_server_itself_says_is_a_notice_and_what_is_too_much_is_refused() {
    let mut state = state();
    let notice = hear(
        &mut state,
        "<message from='a.example'><body>Maintenance at noon.</body></message>",
    );
    assert_eq!(notice, [Effect::Event(Event::Notice("Maintenance at noon.".to_owned()))]);
    let over = Incoming {
        element: "<iq xmlns='jabber:client' type='get' id='7' from='eve@e.example/x'/>"
            .parse()
            .unwrap(),
        is_over: true,
    };
    let refused = state.stanza(&over);
    assert!(
        matches!(&refused[..], [Effect::Send(error)] if error.attr("type") == Some("error") && error.attr("id") == Some("7"))
    );
    assert_eq!(
        hear(&mut state, "<message from='a b@c'><body>x</body></message>"),
        [],
        "no address"
    );
}

#[test]
fn blocking_is_pushed_for_contacts() {
    let mut state = with_bob();
    let push = "<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'><item jid='bob@b.example'/><item jid='eve@e.example'/></block>\
                </iq>";
    let mut blocked = ContactUpdate::new("bob@b.example");
    blocked.blocked = Patch::Set(true);
    assert_eq!(hear(&mut state, push)[0], Effect::Event(Event::Contact(blocked)));
    let all = hear(&mut state, "<iq type='set' id='b2'><unblock xmlns='urn:xmpp:blocking'/></iq>");
    assert_eq!(all.len(), 2, "one event and the answer");
}

#[test]
fn catching_up_tells_what_was_missed_and_not_what_the_user_said_here() {
    let mut state = state();
    state.place = Place {
        is_live: false,
        uid: Some("u0".to_owned()),
        own: ["c1".to_owned()].into(),
    };
    let archived = |uid: &str, xml: &str| Archived {
        uid: uid.to_owned(),
        message: xml.parse().unwrap(),
    };
    let page = [
        archived(
            "u1",
            "<message xmlns='jabber:client' from='alice@a.example/x' to='bob@b.example' id='c1'><body>mine</body></message>",
        ),
        archived(
            "u2",
            "<message xmlns='jabber:client' from='bob@b.example/x' to='alice@a.example' id='m1'><body>hi</body></message>",
        ),
        archived(
            "u3",
            "<message xmlns='jabber:client' from='alice@a.example/y' to='bob@b.example' id='p1'><body>phone</body></message>",
        ),
    ];
    let effects = state.catch_up(&page);
    let bodies: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Event(Event::Message(message)) => (message.body.as_str(), message.origin),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [("hi", Origin::Other), ("phone", Origin::OwnOtherDevice)]);
    assert_eq!(state.place.uid.as_deref(), Some("u3"));
}

#[test]
fn what_comes_in_while_the_archive_is_read_is_further_than_what_is_read() {
    let mut state = state();
    state.at("u0");
    assert_eq!(state.begin_to_catch_up().as_deref(), Some("u0"));
    hear(
        &mut state,
        "<message from='bob@b.example/x' to='alice@a.example' id='m9'><body>hi</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='alice@a.example' id='u9'/></message>",
    );
    state.caught_up_to("u1");
    assert_eq!(state.begin_to_catch_up().as_deref(), Some("u9"));
    state.caught_up_to("u10");
    assert_eq!(state.place.uid.as_deref(), Some("u10"));
}

mod strange {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_stanza_is_too_strange(
            name in "(iq|message|presence)", kind in "(get|set|result|error|groupchat|chat|subscribe|unavailable|x)?",
            from in "(r@muc\\.b\\.example|bob@b\\.example|alice@a\\.example|[a-z@/. ]{0,12})(/[A-Za-z]{0,4})?",
            child in "(x|event|received|sent|result|query|body|reactions|retract|replace|fallback|invite|item)",
            namespace in "(http://jabber.org/protocol/muc#user|urn:xmpp:carbons:2|urn:xmpp:mam:2|jabber:iq:roster|jabber:client)",
            inner in "(forwarded|item|invite|status)", text in "[a-z<>&]{0,8}",
        ) {
            let mut state = in_room();
            let mut element = element(&name, ns::CLIENT, &[("type", &kind), ("from", &from), ("id", "i")]);
            let mut payload = crate::xml::text_element(&child, &namespace, &text);
            payload.append_child(crate::xml::element(&inner, &namespace, &[("jid", &from), ("id", &text), ("code", "110")]));
            element.append_child(payload);
            let effects = state.stanza(&Incoming { element, is_over: false });
            // Every question has exactly one answer.
            let answers = effects.iter().filter(|e| matches!(e, Effect::Send(s) if s.name() == "iq")).count();
            let is_known = parse(&from).is_some();
            prop_assert_eq!(answers, usize::from(name == "iq" && is_known && (kind == "get" || kind == "set")));
        }
    }
}
