//! Owners and lists: how a room is set up, who is something to it, there or not.

use super::*;
use crate::model::{Affiliated, Field, FieldKind, Form, FormAnswers, LegacyName, room_field};

fn stage() -> Stage {
    let mut stage = Stage::inside();
    let can = stage.info.capabilities;
    stage.info.capabilities = can.with(Capability::RoomSettings).with(Capability::RoomAffiliations);
    stage
}

fn form() -> Form {
    let field = |name: &str, label: &str, kind, default: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        kind,
        required: false,
        default: Some(default.to_owned()),
    };
    Form {
        title: "Settings".to_owned(),
        instructions: String::new(),
        fields: vec![
            field(room_field::MODERATED, "Quiet", FieldKind::Boolean, "true"),
            field(room_field::PASSWORD, "Password", FieldKind::Password, "old"),
            field("colour", "Colour", FieldKind::Name, "red"),
        ],
    }
}

fn owner(kind: &str, inside: &str) -> String {
    format!(
        "<iq to='#r@net.example' type='{kind}' id='o'><query xmlns='http://jabber.org/protocol/muc#owner'>{inside}</query></iq>"
    )
}

fn submit(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    owner("set", &format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"))
}

/// The one verb that was asked for.
fn verb(stage: &mut Stage) -> (RequestId, Verb) {
    let mut verbs = stage.verbs();
    assert_eq!(verbs.len(), 1, "{verbs:?}");
    verbs.remove(0)
}

const DONE: &str = "<iq from='#r@net.example' id='o' to='u@example/laptop' type='result'/>";

#[test]
fn the_networks_settings_are_the_form_of_an_owner_with_the_names_of_xmpp() {
    let mut stage = stage();
    stage.user("laptop", &owner("get", ""));
    let (request, asked) = verb(&mut stage);
    assert_eq!(asked, Verb::RoomSettings(ROOM.into()));
    stage.outcome(request, Ok(Answer::Form(form())));
    assert_eq!(
        stage.seen(),
        ["<iq from='#r@net.example' id='o' to='u@example/laptop' type='result'>\
          <query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'><title>Settings</title>\
          <field type='hidden' var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
          <field label='Quiet' type='boolean' var='muc#roomconfig_moderatedroom'><value>true</value></field>\
          <field label='Password' type='text-private' var='muc#roomconfig_roomsecret'><value>old</value></field>\
          <field label='Colour' type='text-single' var='colour'><value>red</value></field></x></query></iq>"]
    );
    stage.user("laptop", &owner("get", ""));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Err(OpError::new(OpErrorKind::NotAllowed, "You do not own it.")));
    assert!(stage.seen()[0].contains("<not-allowed"));
}

#[test]
fn what_an_owner_changes_goes_to_the_network_and_who_looks_hears_of_it() {
    let mut stage = stage();
    let fields = [
        ("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
        ("muc#roomconfig_moderatedroom", "1"),
        ("muc#roomconfig_roomsecret", ""),
        ("colour", "blue"),
        ("muc#roomconfig_lang", "en"),
    ];
    stage.user("laptop", &submit(&fields));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Ok(Answer::Form(form())));
    let (request, asked) = verb(&mut stage);
    // Moderated it is already, and a language it has not.
    let answers = FormAnswers::from([("password".to_owned(), "".into()), ("colour".to_owned(), "blue".into())]);
    assert_eq!(
        asked,
        Verb::ConfigureRoom {
            room: ROOM.into(),
            answers
        }
    );
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(
        stage.seen(),
        [
            DONE,
            "<message from='#r@net.example' to='u@example/laptop' type='groupchat'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>"
        ]
    );
}

#[test]
fn every_submission_is_answered() {
    let mut stage = stage();
    stage.user("laptop", &owner("set", "<x xmlns='jabber:x:data' type='cancel'/>"));
    assert_eq!(stage.seen(), [DONE]);
    stage.user("laptop", &owner("set", "<x xmlns='jabber:x:data' type='submit'/>"));
    assert_eq!(stage.seen(), [DONE]);
    stage.user("laptop", &owner("set", "<x xmlns='jabber:x:data' type='result'/>"));
    assert!(stage.seen()[0].contains("<bad-request"));
    assert!(stage.verbs().is_empty());
    // Nothing is another than it was.
    stage.user("laptop", &submit(&[("muc#roomconfig_moderatedroom", "true")]));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Ok(Answer::Form(form())));
    assert_eq!(stage.seen(), [DONE]);
    // A value that cannot be.
    stage.user("laptop", &submit(&[("colour", "light blue")]));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Ok(Answer::Form(form())));
    assert!(stage.seen()[0].contains("<not-acceptable"));
    // The network does not want it.
    stage.user("laptop", &submit(&[("colour", "blue")]));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Ok(Answer::Form(form())));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Err(OpError::new(OpErrorKind::NotAllowed, "No.")));
    let seen = stage.seen();
    assert!(seen.len() == 1 && seen[0].contains("<not-allowed"), "{seen:?}");
    // Nobody can be asked.
    stage.online = false;
    stage.user("laptop", &owner("get", ""));
    assert!(stage.seen()[0].contains("type='error'"));
    stage.online = true;
    stage.user(
        "laptop",
        "<iq to='#other@net.example' type='get' id='o'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>",
    );
    assert!(stage.seen()[0].contains("You are not in the room."));
}

#[test]
fn a_form_without_end_is_shown_in_part() {
    let mut stage = stage();
    stage.user("laptop", &owner("get", ""));
    let (request, _) = verb(&mut stage);
    let mut endless = form();
    let field = endless.fields[2].clone();
    endless.fields[1].default = Some("x".repeat(5_000));
    endless.fields.extend((0..1_000).map(|n| Field {
        name: format!("f{n}"),
        label: "l".repeat(2_000),
        ..field.clone()
    }));
    stage.outcome(request, Ok(Answer::Form(endless)));
    let seen = stage.seen().concat();
    assert_eq!(seen.matches("<field ").count(), 1 + 64);
    assert!(seen.len() < 100_000 && !seen.contains("roomsecret"));
}

fn admin(kind: &str, item: &str) -> String {
    format!(
        "<iq to='#r@net.example' type='{kind}' id='o'><query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query></iq>"
    )
}

#[test]
fn the_networks_list_of_the_banned_is_shown_and_changed_by_the_names_in_it() {
    let mut stage = stage();
    stage.user("laptop", &admin("get", "<item affiliation='outcast'/>"));
    let (request, asked) = verb(&mut stage);
    assert_eq!(
        asked,
        Verb::ListAffiliated {
            room: ROOM.into(),
            affiliation: Affiliation::Outcast
        }
    );
    let banned = Affiliated {
        who: "*!*@evil.test".into(),
        affiliation: Affiliation::Outcast,
        nickname: None,
        reason: Some("noise".to_owned()),
    };
    stage.outcome(request, Ok(Answer::Affiliated(vec![banned])));
    let seen = stage.seen();
    let jid = "*!*\\40evil.test@net.example";
    assert_eq!(
        seen,
        [format!(
            "<iq from='#r@net.example' id='o' to='u@example/laptop' type='result'>\
             <query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='outcast' jid='{jid}'>\
             <reason>noise</reason></item></query></iq>"
        )]
    );
    stage.user("laptop", &admin("set", &format!("<item affiliation='none' jid='{jid}'/>")));
    let (request, asked) = verb(&mut stage);
    assert_eq!(
        asked,
        Verb::SetAffiliation {
            room: ROOM.into(),
            who: LegacyName::from("*!*@evil.test"),
            affiliation: Affiliation::None,
            reason: None
        }
    );
    stage.outcome(request, Ok(Answer::Done));
    assert_eq!(stage.seen(), [DONE]);
}

#[test]
fn a_network_without_such_a_list_leaves_those_who_are_there() {
    let mut stage = stage();
    stage.user("laptop", &admin("get", "<item affiliation='admin'/>"));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Err(OpError::unsupported()));
    let seen = stage.seen().concat();
    assert!(seen.contains("affiliation='admin'") && seen.contains("nick='op'"), "{seen}");
    // Roles are of those who are there alone.
    stage.user("laptop", &admin("get", "<item role='moderator'/>"));
    assert!(stage.seen().concat().contains("nick='op'"));
    assert!(stage.verbs().is_empty());
    stage.user("laptop", &admin("get", "<item affiliation='outcast'/>"));
    let (request, _) = verb(&mut stage);
    stage.outcome(request, Err(OpError::new(OpErrorKind::NotAllowed, "No.")));
    assert!(stage.seen()[0].contains("<not-allowed"));
    // A long one is shown in part.
    stage.user("laptop", &admin("get", "<item affiliation='member'/>"));
    let (request, _) = verb(&mut stage);
    let many = (0..2_000).map(|n| Affiliated {
        who: format!("p{n}").as_str().into(),
        affiliation: Affiliation::Member,
        nickname: Some("\u{0}".into()),
        reason: Some("r".repeat(10_000)),
    });
    stage.outcome(request, Ok(Answer::Affiliated(many.collect())));
    let seen = stage.seen().concat();
    assert!(seen.matches("<item ").count() > 300 && seen.len() < 160_000, "{}", seen.len());
    // And no more of them than that, however short they are.
    stage.user("laptop", &admin("get", "<item affiliation='member'/>"));
    let (request, _) = verb(&mut stage);
    let short = (0..2_000).map(|n| Affiliated {
        who: format!("p{n}").as_str().into(),
        affiliation: Affiliation::Member,
        nickname: None,
        reason: None,
    });
    stage.outcome(request, Ok(Answer::Affiliated(short.collect())));
    assert_eq!(stage.seen().concat().matches("<item ").count(), 500);
}

#[test]
fn who_is_there_is_changed_by_the_nickname() {
    let mut stage = stage();
    let mut eve = Occupant::new(ROOM.into(), "Eve");
    eve.contact = Some("eve".into());
    stage.event(Event::Occupant(eve));
    stage.seen();
    stage.user("laptop", &admin("set", "<item affiliation='outcast' jid='eve@net.example'/>"));
    let (_, asked) = verb(&mut stage);
    assert!(matches!(asked, Verb::SetStanding { nickname, .. } if nickname.as_str() == "Eve"));
    stage.user(
        "laptop",
        &admin("set", "<item affiliation='outcast' jid='mallory@net.example'/>"),
    );
    let (_, asked) = verb(&mut stage);
    assert!(matches!(asked, Verb::SetAffiliation { who, .. } if who.as_str() == "mallory"));
    stage.user(
        "laptop",
        &admin("set", "<item affiliation='outcast' jid='mallory@elsewhere.example'/>"),
    );
    assert!(stage.seen()[0].contains("<item-not-found"));
}
