//! The user's resources.

use super::*;
use crate::model::{Availability, ContactUpdate, Presence as ModelPresence};

fn told(desk: &mut Desk) -> Vec<ModelPresence> {
    let verbs = desk.verbs();
    verbs
        .into_iter()
        .map(|(_, verb)| match verb {
            Verb::SetPresence(presence) => presence,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn the_network_is_told_of_a_change_and_of_nothing_else() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<presence><show>dnd</show><status>busy</status></presence>");
    let busy = ModelPresence {
        availability: Availability::DoNotDisturb,
        text: Some("busy".to_owned()),
        idle_since: None,
    };
    assert_eq!(told(&mut desk), [busy]);
    desk.user("<presence><show>dnd</show><status>busy</status></presence>");
    desk.user("<presence to='juliet@net.example'><show>dnd</show></presence>");
    assert!(told(&mut desk).is_empty());
    desk.user("<presence type='unavailable'/>");
    assert_eq!(told(&mut desk), [ModelPresence::of(Availability::Away)]);
}

#[test]
fn a_new_resource_is_shown_everybody_who_is_online() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(ContactUpdate::new("juliet").presence(ModelPresence::ONLINE)));
    desk.event(Event::Contact(ContactUpdate::new("nurse")));
    desk.out.clear();
    desk.user_at("phone", "<presence/>");
    let lines = desk.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], "transport phone Online -");
    assert!(
        lines[1].starts_with("<presence from='juliet@net.example/bot' to='romeo@example.org/phone'>"),
        "{lines:?}"
    );
}

#[test]
fn a_probe_is_answered_for_the_transport_and_for_anybody() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<presence type='probe' to='net.example'/>");
    assert_eq!(desk.lines(), ["transport desk Online -"]);
    desk.user("<presence type='probe' to='stranger@net.example'/>");
    assert_eq!(
        desk.lines(),
        ["<presence from='stranger@net.example/bot' to='romeo@example.org/desk' type='unavailable'/>"]
    );
}

#[test]
fn a_resource_over_the_bound_is_refused() {
    let limits = SessionLimits {
        resources: 1,
        ..SessionLimits::default()
    };
    let mut desk = Desk::with_limits(GATEWAY, info(), limits);
    desk.log_in();
    desk.user_at("phone", "<presence to='net.example'/>");
    let stanzas = desk.stanzas();
    assert!(stanzas[0].contains("<resource-constraint"), "{stanzas:?}");
}

#[test]
fn a_resource_that_only_writes_to_contacts_logs_in_and_out() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.user("<presence to='juliet@net.example'/>");
    assert_eq!(desk.session.resources().len(), 1);
    desk.user("<presence to='juliet@net.example' type='unavailable'/>");
    assert!(desk.session.resources().is_empty());
}

#[test]
fn the_servers_word_for_the_bare_jid_counts_for_all_resources() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user_at("phone", "<presence/>");
    let mut stanza = stanza("<presence type='unavailable' to='net.example'/>");
    stanza.set_from(Some(Jid::new(USER).unwrap()));
    desk.input(Input::User(Box::new(UserIn {
        resource: None,
        to: To::Transport,
        stanza,
    })));
    assert!(desk.session.resources().is_empty());
}

#[test]
fn a_client_whose_connection_is_gone_is_gone() {
    let mut desk = Desk::online(SERVER, info());
    let resource = full("desk").resource().unwrap().to_owned();
    desk.input(Input::ResourceLost(resource));
    assert!(desk.session.resources().is_empty());
}
