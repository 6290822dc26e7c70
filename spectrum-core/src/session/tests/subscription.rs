//! Who may see whom.

use super::*;
use crate::backend::{Answer, OpError, OpErrorKind};
use crate::model::{ContactDetails, ContactRequest, ContactUpdate};

fn details() -> ContactDetails {
    ContactDetails {
        id: "juliet".into(),
        alias: None,
        groups: vec![],
    }
}

#[test]
fn subscribing_adds_the_contact_on_the_network() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<presence type='subscribe' to='juliet@net.example'/>");
    let (request, verb) = desk.verb();
    assert_eq!(verb, Verb::AddContact(details()));
    desk.outcome(request, Ok(Answer::Done));
    let lines = desk.lines();
    assert_eq!(
        lines[1..],
        [
            "roster juliet@net.example \"-\" [] Both",
            "answered juliet@net.example true - asks",
            "<presence from='juliet@net.example/bot' to='romeo@example.org' type='unavailable'/>"
        ]
    );
}

#[test]
fn a_subscription_that_the_network_refuses_is_answered_with_no() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<presence type='subscribe' to='juliet@net.example' id='s'/>");
    let (request, _) = desk.verb();
    desk.outcome(request, Err(OpError::new(OpErrorKind::NotFound, "Nobody of that name.")));
    let lines = desk.lines();
    assert_eq!(lines[0], "answered juliet@net.example false -");
    assert!(lines[1].contains("<item-not-found"), "{lines:?}");
}

#[test]
fn where_the_network_has_no_list_everybody_can_be_a_contact() {
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::AddContacts]));
    desk.user("<presence type='subscribe' to='juliet@net.example'/>");
    assert!(desk.lines().contains(&"answered juliet@net.example true - asks".to_owned()));
}

#[test]
fn subscribing_to_a_known_contact_is_answered_at_once_and_asks_nothing_in_return() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(ContactUpdate::new("juliet").alias("J")));
    desk.out.clear();
    desk.user("<presence type='subscribe' to='juliet@net.example'/>");
    assert_eq!(
        desk.lines(),
        [
            "answered juliet@net.example true J",
            "<presence from='juliet@net.example/bot' to='romeo@example.org' type='unavailable'/>"
        ]
    );
}

#[test]
fn unsubscribing_removes_the_contact() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(ContactUpdate::new("juliet")));
    desk.out.clear();
    desk.user("<presence type='unsubscribe' to='juliet@net.example'/>");
    let lines = desk.lines();
    assert_eq!(
        lines,
        [
            "verb RemoveContact(\"juliet\")",
            "answered juliet@net.example false -",
            "store RemoveContact(\"juliet\")",
            "roster juliet@net.example \"-\" [] Removed"
        ]
    );
}

#[test]
fn a_contact_removed_while_the_network_is_away_is_not_in_the_next_login_and_the_network_is_told() {
    let mut desk = Desk::online(GATEWAY, info());
    for name in ["juliet", "nurse"] {
        desk.event(Event::Contact(ContactUpdate::new(name)));
    }
    desk.input(Input::Link(LinkInput::BackendLost {
        reason: "gone".to_owned(),
    }));
    desk.out.clear();
    desk.user("<presence type='unsubscribe' to='juliet@net.example'/>");
    assert_eq!(
        desk.lines(),
        [
            "answered juliet@net.example false -",
            "store RemoveContact(\"juliet\")",
            "roster juliet@net.example \"-\" [] Removed"
        ]
    );
    desk.pass(Duration::from_secs(5));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    let login = desk.login();
    assert_eq!(login.contacts.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["nurse"]);
    desk.event(Event::Contact(ContactUpdate::new("juliet")));
    desk.out.clear();
    desk.input(Input::Link(LinkInput::LoggedIn));
    let lines = desk.lines();
    assert!(lines.contains(&"verb RemoveContact(\"juliet\")".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"roster juliet@net.example \"-\" [] Removed".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn a_request_of_a_contact_is_asked_and_answered() {
    for (type_, accept) in [("subscribed", true), ("unsubscribed", false)] {
        let mut desk = Desk::online(GATEWAY, info());
        let request = ContactRequest {
            id: "Juliet".into(),
            alias: Some("J".to_owned()),
            text: Some("It is I.".to_owned()),
        };
        desk.event(Event::ContactRequested(request));
        assert_eq!(desk.lines(), ["requested juliet@net.example J It is I."]);
        desk.user(&format!("<presence type='{type_}' to='juliet@net.example'/>"));
        assert_eq!(
            desk.verb().1,
            Verb::AnswerContactRequest {
                contact: "Juliet".into(),
                accept
            }
        );
        desk.user(&format!("<presence type='{type_}' to='juliet@net.example'/>"));
        assert!(desk.lines().is_empty());
    }
}

#[test]
fn where_no_server_keeps_requests_each_resource_is_asked_again() {
    let mut desk = Desk::online(SERVER, info());
    desk.event(Event::ContactRequested(ContactRequest {
        id: "juliet".into(),
        alias: None,
        text: None,
    }));
    desk.out.clear();
    desk.user_at("phone", "<presence/>");
    assert!(desk.lines().contains(&"requested juliet@net.example - -".to_owned()));
}

#[test]
fn who_is_not_connected_is_told_so() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.out.clear();
    desk.user("<presence type='subscribe' to='juliet@net.example' id='s'/>");
    assert!(desk.stanzas()[0].contains("<recipient-unavailable"));
}
