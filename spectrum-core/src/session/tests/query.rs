//! Requests to contacts, to the account and about the session.

use super::*;
use crate::backend::{Answer, OpError, OpErrorKind};
use crate::model::{
    Avatar, Chat, ContactSummary, ContactUpdate, Patch, Presence as ModelPresence, Profile, ProfileUpdate, RoomSummary,
};

const RESULT: &str = "from='juliet@net.example/bot' to='romeo@example.org/desk' id='q'";

fn ask(desk: &mut Desk, payload: &str) {
    desk.user(&format!("<iq to='juliet@net.example/bot' type='get' id='q'>{payload}</iq>"));
}

#[test]
fn a_contact_says_what_the_network_can_do() {
    let mut desk = Desk::online(
        GATEWAY,
        BackendInfo::new("Net", "net").capabilities(&[Capability::ChatStates]),
    );
    ask(&mut desk, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
    let feature = |var: &str| format!("<feature var='{var}'/>");
    let features: String = [
        "http://jabber.org/protocol/chatstates",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "jabber:iq:last",
        "jabber:iq:version",
        "jabber:x:oob",
        "urn:xmpp:ping",
        "urn:xmpp:sfs:0",
    ]
    .into_iter()
    .map(feature)
    .collect();
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<iq {RESULT} type='result'><query xmlns='http://jabber.org/protocol/disco#info'>\
             <identity category='client' name='Net' type='pc'/>{features}</query></iq>"
        )]
    );
    ask(
        &mut desk,
        "<query xmlns='http://jabber.org/protocol/disco#info' node='nonsense'/>",
    );
    assert!(desk.stanzas()[0].contains("<item-not-found"));
}

#[test]
fn small_questions_are_answered_at_once() {
    let mut desk = Desk::online(GATEWAY, info());
    ask(&mut desk, "<ping xmlns='urn:xmpp:ping'/>");
    assert_eq!(desk.stanzas(), [format!("<iq {RESULT} type='result'/>")]);
    ask(&mut desk, "<query xmlns='jabber:iq:version'/>");
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<iq {RESULT} type='result'><query xmlns='jabber:iq:version'><name>Net</name><version>{}</version></query></iq>",
            env!("CARGO_PKG_VERSION")
        )]
    );
    ask(&mut desk, "<query xmlns='jabber:iq:last'/>");
    assert!(desk.stanzas()[0].contains("<service-unavailable"));
    ask(&mut desk, "<query xmlns='urn:unheard-of'/>");
    assert!(desk.stanzas()[0].contains("<service-unavailable"));
}

#[test]
fn idle_time_is_told_where_the_network_tells_it() {
    let mut desk = Desk::online(GATEWAY, info());
    let presence = ModelPresence {
        idle_since: Some(Timestamp::from_secs(1_700_000_000 - 90)),
        ..ModelPresence::ONLINE
    };
    desk.event(Event::Contact(ContactUpdate::new("juliet").presence(presence)));
    desk.out.clear();
    ask(&mut desk, "<query xmlns='jabber:iq:last'/>");
    assert_eq!(
        desk.stanzas(),
        [format!(
            "<iq {RESULT} type='result'><query xmlns='jabber:iq:last' seconds='90'/></iq>"
        )]
    );
}

#[test]
fn a_card_is_fetched_once() {
    let mut desk = Desk::online(GATEWAY, info());
    ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    let (request, verb) = desk.verb();
    assert_eq!(verb, Verb::FetchProfile(Chat::Contact("juliet".into())));
    let profile = Profile {
        full_name: Some("Juliet Capulet".to_owned()),
        nickname: None,
        avatar: Some(Avatar {
            media_type: "image/png".to_owned(),
            data: b"abc".as_slice().into(),
        }),
        notes: vec![("Host".to_owned(), "verona".to_owned())],
    };
    desk.outcome(request, Ok(Answer::Profile(profile)));
    let card = format!(
        "<iq {RESULT} type='result'><vCard xmlns='vcard-temp'><FN>Juliet Capulet</FN><PHOTO><TYPE>image/png</TYPE>\
         <BINVAL>YWJj</BINVAL></PHOTO><DESC>Host: verona</DESC></vCard></iq>"
    );
    assert_eq!(desk.stanzas(), std::slice::from_ref(&card));
    ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    assert_eq!(desk.stanzas(), [card]);
}

#[test]
fn a_card_that_cannot_be_had_is_an_error() {
    let mut desk = Desk::online(GATEWAY, info());
    ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    let (request, _) = desk.verb();
    desk.outcome(request, Err(OpError::new(OpErrorKind::Timeout, "")));
    assert!(desk.stanzas()[0].contains("<remote-server-timeout"));
    desk.input(Input::Link(LinkInput::BackendLost { reason: String::new() }));
    desk.out.clear();
    ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    assert!(desk.stanzas()[0].contains("<recipient-unavailable"));
}

#[test]
fn a_picture_that_is_too_long_is_left_out() {
    let mut desk = Desk::online(GATEWAY, info());
    ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    let (request, _) = desk.verb();
    let avatar = Some(Avatar {
        media_type: "image/png".to_owned(),
        data: vec![0; 1 << 20].into(),
    });
    desk.outcome(
        request,
        Ok(Answer::Profile(Profile {
            avatar,
            ..Profile::default()
        })),
    );
    assert_eq!(
        desk.stanzas(),
        [format!("<iq {RESULT} type='result'><vCard xmlns='vcard-temp'/></iq>")]
    );
}

#[test]
fn the_own_card_is_set_on_the_network() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user(
        "<iq to='net.example' type='set' id='q'><vCard xmlns='vcard-temp'><NICKNAME>Rom</NICKNAME><FN/><PHOTO><TYPE>image/png</TYPE>\
         <BINVAL>YWJj</BINVAL></PHOTO></vCard></iq>",
    );
    let (request, verb) = desk.verb();
    let avatar = Avatar {
        media_type: "image/png".to_owned(),
        data: b"abc".as_slice().into(),
    };
    let update = ProfileUpdate {
        full_name: Patch::Clear,
        nickname: Patch::Set("Rom".to_owned()),
        avatar: Patch::Set(avatar),
    };
    assert_eq!(verb, Verb::SetProfile(update));
    desk.outcome(request, Ok(Answer::Done));
    assert_eq!(
        desk.stanzas(),
        ["<iq from='net.example' to='romeo@example.org/desk' id='q' type='result'/>"]
    );
    desk.user("<iq to='net.example' type='set' id='q'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>!</BINVAL></PHOTO></vCard></iq>");
    assert!(desk.stanzas()[0].contains("<bad-request"));
}

#[test]
fn the_rooms_of_the_network_are_listed() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<iq to='net.example' type='get' id='q'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>");
    let (request, verb) = desk.verb();
    assert_eq!(verb, Verb::ListRooms);
    let room = RoomSummary {
        id: "#Rust".into(),
        name: None,
        occupants: Some(7),
        subject: None,
    };
    desk.outcome(request, Ok(Answer::Rooms(vec![room])));
    assert_eq!(
        desk.stanzas(),
        [
            "<iq from='net.example' to='romeo@example.org/desk' id='q' type='result'><query xmlns='http://jabber.org/protocol/disco#items'>\
          <item jid='#rust@net.example' name='#Rust (7)'/></query></iq>"
        ]
    );
}

#[test]
fn answers_of_the_client_are_not_answered() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<iq to='juliet@net.example/bot' type='result' id='q'/>");
    desk.user("<iq to='net.example' type='result' id='q'/>");
    assert!(desk.lines().is_empty());
}

#[test]
fn requests_are_bounded() {
    let limits = SessionLimits {
        requests: 3,
        ..SessionLimits::default()
    };
    let mut desk = Desk::with_limits(GATEWAY, info(), limits);
    desk.log_in();
    for _ in 0..5 {
        ask(&mut desk, "<vCard xmlns='vcard-temp'/>");
    }
    let lines = desk.lines();
    assert_eq!(lines.iter().filter(|l| l.starts_with("verb")).count(), 3);
    assert_eq!(
        lines.iter().filter(|l| l.contains("<resource-constraint")).count(),
        2,
        "{lines:?}"
    );
}

#[test]
fn the_list_of_rooms_is_given_in_pages() {
    let mut desk = Desk::online(GATEWAY, info());
    let ask = |desk: &mut Desk, set: &str| {
        desk.user(&format!(
            "<iq to='net.example' type='get' id='r'><query xmlns='http://jabber.org/protocol/disco#items'>\
             <set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query></iq>"
        ));
        let (request, verb) = desk.verb();
        assert_eq!(verb, Verb::ListRooms);
        let rooms = ["c", "a", "b"].map(|id| RoomSummary {
            id: id.into(),
            name: None,
            occupants: None,
            subject: None,
        });
        desk.outcome(request, Ok(Answer::Rooms(rooms.to_vec())));
        desk.stanzas().concat()
    };
    assert_eq!(
        ask(&mut desk, "<max>2</max>"),
        "<iq from='net.example' to='romeo@example.org/desk' id='r' type='result'>\
         <query xmlns='http://jabber.org/protocol/disco#items'><item jid='a@net.example' name='a'/><item jid='b@net.example' name='b'/>\
         <set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a@net.example</first><last>b@net.example</last><count>3</count></set>\
         </query></iq>"
    );
    let rest = ask(&mut desk, "<max>2</max><after>b@net.example</after>");
    assert!(
        rest.contains("jid='c@net.example'") && rest.contains("<first index='2'>"),
        "{rest}"
    );
    assert!(ask(&mut desk, "<after>z@net.example</after>").contains("<item-not-found"));
}

#[test]
fn people_are_looked_for_by_form_and_by_fields() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<iq to='net.example' type='get' id='q'><query xmlns='jabber:iq:search'/></iq>");
    assert_eq!(
        desk.stanzas(),
        [
            "<iq from='net.example' to='romeo@example.org/desk' id='q' type='result'><query xmlns='jabber:iq:search'>\
          <instructions>Give a name, or a part of one.</instructions><nick/>\
          <x xmlns='jabber:x:data' type='form'><title>Search for people</title>\
          <instructions>Give a name, or a part of one.</instructions>\
          <field type='hidden' var='FORM_TYPE'><value>jabber:iq:search</value></field>\
          <field label='Name' type='text-single' var='nick'><required/></field></x></query></iq>"
        ]
    );
    let nurse = || ContactSummary {
        id: "Nurse".into(),
        alias: Some("Angelica".to_owned()),
    };
    look_for(
        &mut desk,
        "<x xmlns='jabber:x:data' type='submit'><field var='nick'><value> the  nurse </value></field></x>",
    );
    let (request, verb) = desk.verb();
    assert_eq!(verb, Verb::Search("the nurse".to_owned()));
    desk.outcome(request, Ok(Answer::Contacts(vec![nurse()])));
    assert_eq!(
        desk.stanzas(),
        [
            "<iq from='net.example' to='romeo@example.org/desk' id='q' type='result'><query xmlns='jabber:iq:search'>\
          <x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'><value>jabber:iq:search</value></field>\
          <reported><field label='Address' type='jid-single' var='jid'/><field label='Name' type='text-single' var='nick'/></reported>\
          <item><field var='jid'><value>nurse@net.example</value></field><field var='nick'><value>Angelica</value></field></item>\
          </x></query></iq>"
        ]
    );
    look_for(&mut desk, "<first>the</first><last>nurse</last>");
    let (request, verb) = desk.verb();
    assert_eq!(verb, Verb::Search("the nurse".to_owned()));
    desk.outcome(request, Ok(Answer::Contacts(vec![nurse()])));
    assert_eq!(
        desk.stanzas(),
        [
            "<iq from='net.example' to='romeo@example.org/desk' id='q' type='result'><query xmlns='jabber:iq:search'>\
          <item jid='nurse@net.example'><nick>Angelica</nick></item></query></iq>"
        ]
    );
}

#[test]
fn a_search_for_nothing_for_too_much_or_where_nobody_can_be_found_is_refused() {
    let mut desk = Desk::online(GATEWAY, info());
    for (wanted, condition) in [
        (String::new(), "<bad-request"),
        ("<nick>  </nick>".to_owned(), "<bad-request"),
        (format!("<nick>{}</nick>", "x".repeat(300)), "<bad-request"),
        ("<x xmlns='jabber:x:data' type='cancel'/>".to_owned(), "<bad-request"),
    ] {
        look_for(&mut desk, &wanted);
        assert!(desk.stanzas().concat().contains(condition), "{wanted}");
    }
    look_for(&mut desk, "<nick>nurse</nick>");
    let (request, _) = desk.verb();
    desk.outcome(request, Err(OpError::unsupported()));
    assert!(desk.stanzas().concat().contains("type='error'"));
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::Search]));
    look_for(&mut desk, "<nick>nurse</nick>");
    assert!(desk.stanzas().concat().contains("<service-unavailable"));
}

fn look_for(desk: &mut Desk, wanted: &str) {
    desk.user(&format!(
        "<iq to='net.example' type='set' id='q'><query xmlns='jabber:iq:search'>{wanted}</query></iq>"
    ));
}
