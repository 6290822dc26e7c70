//! The roster, where the session serves it.

use super::*;
use crate::backend::{Answer, OpError, OpErrorKind};
use crate::model::{ContactDetails, ContactUpdate, Patch, Subscription};

fn with_juliet(info: BackendInfo) -> Desk {
    let mut desk = Desk::online(SERVER, info);
    desk.event(Event::Contact(
        ContactUpdate::new("juliet").alias("Juliet").groups(["Friends".to_owned()]),
    ));
    desk.out.clear();
    desk
}

fn set(desk: &mut Desk, item: &str) {
    desk.user(&format!(
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    ));
}

const DONE: &str = "<iq to='romeo@example.org/desk' id='s' type='result'/>";

#[test]
fn the_roster_is_served_and_the_resource_hears_of_changes() {
    let mut desk = with_juliet(info());
    let ask = ContactUpdate {
        subscription: Patch::Set(Subscription::Ask),
        ..ContactUpdate::new("nurse")
    };
    desk.event(Event::Contact(ask));
    desk.out.clear();
    desk.user("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    let stanzas = desk.stanzas();
    assert_eq!(stanzas.len(), 1);
    assert!(
        stanzas[0].starts_with("<iq to='romeo@example.org/desk' id='r' type='result'><query xmlns='jabber:iq:roster'>"),
        "{stanzas:?}"
    );
    assert!(
        stanzas[0].contains("<item jid='juliet@net.example' name='Juliet' subscription='both'><group>Friends</group></item>"),
        "{stanzas:?}"
    );
    assert!(
        stanzas[0].contains("<item ask='subscribe' jid='nurse@net.example' subscription='none'/>"),
        "{stanzas:?}"
    );
    assert!(desk.session.resources()[0].interested);
}

#[test]
fn a_roster_that_the_client_has_is_not_sent_again() {
    let mut desk = with_juliet(info());
    let version = desk.session.parts.contacts.version();
    desk.user(&format!(
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='{version}'/></iq>"
    ));
    assert_eq!(desk.stanzas(), ["<iq to='romeo@example.org/desk' id='r' type='result'/>"]);
    desk.user("<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver='old'/></iq>");
    assert!(desk.stanzas()[0].contains(&format!("ver='{version}'")));
}

#[test]
fn equal_rosters_have_equal_versions_in_any_session() {
    let one = with_juliet(info());
    let mut other = Desk::online(SERVER, info());
    other.event(Event::Contact(ContactUpdate::new("nurse")));
    other.event(Event::Contact(ContactUpdate::new("juliet").groups(["Friends".to_owned()])));
    other.event(Event::Contact(ContactUpdate::new("juliet").alias("Juliet")));
    let version = |desk: &Desk| desk.session.parts.contacts.version();
    assert_ne!(version(&one), version(&other));
    other.event(Event::ContactRemoved("nurse".into()));
    assert_eq!(version(&one), version(&other));
}

#[test]
fn a_contact_is_added_once_the_network_has_it() {
    let mut desk = Desk::online(SERVER, info());
    set(
        &mut desk,
        "<item jid='nurse@net.example' name='Nurse'><group>Home</group></item>",
    );
    let (request, verb) = desk.verb();
    let details = ContactDetails {
        id: "nurse".into(),
        alias: Some("Nurse".to_owned()),
        groups: vec!["Home".to_owned()],
    };
    assert_eq!(verb, Verb::AddContact(details));
    desk.outcome(request, Ok(Answer::Done));
    let lines = desk.lines();
    assert_eq!(lines[1..], ["roster nurse@net.example \"Nurse\" [\"Home\"] Both", DONE]);
}

#[test]
fn a_refused_change_leaves_the_roster_as_it_was() {
    let mut desk = with_juliet(info());
    let before = desk.session.parts.contacts.version();
    set(&mut desk, "<item jid='juliet@net.example' name='Jule'/>");
    let (request, verb) = desk.verb();
    assert!(matches!(verb, Verb::UpdateContact(_)));
    desk.outcome(request, Err(OpError::new(OpErrorKind::NotAllowed, "")));
    assert!(desk.lines()[0].contains("<not-allowed"));
    assert_eq!(desk.session.parts.contacts.version(), before);
}

#[test]
fn what_the_network_has_no_word_for_is_kept_here() {
    let missing = [
        Capability::AddContacts,
        Capability::UpdateContacts,
        Capability::RemoveContacts,
    ];
    let mut desk = with_juliet(info_without(&missing));
    set(&mut desk, "<item jid='juliet@net.example' name='Jule'/>");
    assert_eq!(desk.lines()[1..], ["roster juliet@net.example \"Jule\" [] Both", DONE]);
    set(&mut desk, "<item jid='juliet@net.example' subscription='remove'/>");
    assert_eq!(
        desk.lines(),
        [
            "store RemoveContact(\"juliet\")",
            "roster juliet@net.example \"Jule\" [] Removed",
            DONE
        ]
    );
}

#[test]
fn a_bad_request_is_refused() {
    let mut desk = with_juliet(info());
    for (item, condition) in [
        ("", "bad-request"),
        ("<item jid='a@net.example'/><item jid='b@net.example'/>", "bad-request"),
        ("<item jid='a@b@c'/>", "jid-malformed"),
        ("<item jid='friend@elsewhere.example'/>", "not-acceptable"),
        ("<item jid='a@net.example'><group/></item>", "not-acceptable"),
        (
            "<item jid='a@net.example'><group>x</group><group>x</group></item>",
            "bad-request",
        ),
        ("<item jid='stranger@net.example' subscription='remove'/>", "item-not-found"),
    ] {
        set(&mut desk, item);
        let stanzas = desk.stanzas();
        assert!(
            stanzas.len() == 1 && stanzas[0].contains(&format!("<{condition}")),
            "{item}: {stanzas:?}"
        );
    }
}

#[test]
fn an_item_that_does_not_change_costs_nothing() {
    let mut desk = with_juliet(info());
    set(
        &mut desk,
        "<item jid='juliet@net.example' name='Juliet'><group>Friends</group></item>",
    );
    assert_eq!(desk.lines(), [DONE]);
}
