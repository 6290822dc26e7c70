//! Contacts as the network reports them.

use super::*;
use crate::model::{
    Availability, Avatar, AvatarHash, Chat, ContactUpdate, Patch, Presence as ModelPresence, Profile, Subscription,
};

fn online(id: &str) -> ContactUpdate {
    ContactUpdate::new(id).presence(ModelPresence::ONLINE)
}

const NO_EXTRAS: &[Capability] = &[Capability::Profiles];

#[test]
fn a_contact_appears_in_the_roster_and_then_with_its_presence() {
    let mut desk = Desk::online(GATEWAY, info_without(NO_EXTRAS));
    let presence = ModelPresence {
        availability: Availability::Away,
        text: Some("out".to_owned()),
        idle_since: None,
    };
    let update = ContactUpdate::new("Juliet@Capulet")
        .alias("Juliet C.")
        .groups(["Friends".to_owned()])
        .presence(presence);
    desk.event(Event::Contact(update));
    let lines = desk.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("store SaveContact(StoredContact { id: \"Juliet@Capulet\""),
        "{lines:?}"
    );
    assert_eq!(
        lines[1],
        "roster juliet\\40capulet@net.example \"Juliet C.\" [\"Friends\"] Both"
    );
    let ver = caps::version(&desk.info);
    assert_eq!(
        lines[2],
        format!(
            "<presence from='juliet\\40capulet@net.example/bot' to='romeo@example.org'><show>away</show><status>out</status>\
             <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:spectrum:contact' ver='{ver}'/></presence>"
        )
    );
}

#[test]
fn what_has_not_changed_is_not_said_again() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(online("juliet").alias("J")));
    desk.out.clear();
    desk.event(Event::Contact(online("juliet").alias("J")));
    desk.event(Event::Contact(online("JULIET")));
    assert!(desk.lines().is_empty());
}

#[test]
fn the_stored_spelling_leads_back_to_the_network() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(online("Juliet")));
    desk.out.clear();
    desk.user("<message to='juliet@net.example' type='chat'><body>hi</body></message>");
    assert!(matches!(desk.verb().1, Verb::SendMessage(m) if m.chat == Chat::Contact("Juliet".into())));
}

#[test]
fn a_list_in_part_deletes_nobody_and_marks_the_others_offline() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    let stored = |id: &str| StoredContact {
        id: id.into(),
        alias: None,
        groups: vec![],
        subscription: Subscription::Both,
        avatar: None,
    };
    let account = Account {
        contacts: vec![stored("juliet"), stored("nurse")],
        ..account()
    };
    desk.input(Input::Loaded(Some(Box::new(account))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    assert_eq!(desk.login().contacts.len(), 2);
    desk.input(Input::Link(LinkInput::LoggedIn));
    desk.event(Event::Contact(online("juliet")));
    desk.out.clear();
    desk.event(Event::ContactsComplete);
    assert!(desk.lines().is_empty());
    desk.user("<message to='nurse@net.example' type='chat'><body>hi</body></message>");
    assert_eq!(desk.verbs().len(), 1);
}

#[test]
fn a_contact_that_is_removed_goes_offline_first() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(online("juliet")));
    desk.out.clear();
    desk.event(Event::ContactRemoved("juliet".into()));
    assert_eq!(
        desk.lines(),
        [
            "store RemoveContact(\"juliet\")",
            "<presence from='juliet@net.example/bot' to='romeo@example.org' type='unavailable'/>",
            "roster juliet@net.example \"-\" [] Removed"
        ]
    );
}

#[test]
fn everybody_is_offline_when_the_network_is_gone() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(online("juliet")));
    desk.event(Event::Contact(ContactUpdate::new("nurse")));
    desk.out.clear();
    desk.input(Input::Link(LinkInput::BackendLost {
        reason: "crash".to_owned(),
    }));
    assert_eq!(
        desk.stanzas(),
        ["<presence from='juliet@net.example/bot' to='romeo@example.org' type='unavailable'/>"]
    );
}

#[test]
fn a_contact_that_has_not_agreed_is_not_seen() {
    let mut desk = Desk::online(GATEWAY, info());
    let ask = ContactUpdate {
        subscription: Patch::Set(Subscription::Ask),
        ..online("juliet")
    };
    desk.event(Event::Contact(ask));
    assert!(desk.stanzas().is_empty());
    desk.event(Event::Contact(ContactUpdate {
        subscription: Patch::Set(Subscription::Both),
        ..ContactUpdate::new("juliet")
    }));
    let lines = desk.lines();
    assert!(
        lines.iter().any(|l| l == "answered juliet@net.example true - asks"),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|l| l.starts_with("<presence from='juliet@net.example/bot'")),
        "{lines:?}"
    );
}

#[test]
fn the_pictures_hash_is_the_images_once_it_has_been_seen() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(ContactUpdate {
        avatar: Patch::Set(AvatarHash::new("v1")),
        ..online("juliet")
    }));
    let stand_in = payload::hex(&payload::sha1(b"v1"));
    let photo = |hash: &str| format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>");
    assert!(desk.stanzas()[0].contains(&photo(&stand_in)));
    let avatar = Avatar {
        media_type: "image/png".to_owned(),
        data: b"abc".as_slice().into(),
    };
    let profile = Profile {
        avatar: Some(avatar),
        ..Profile::default()
    };
    desk.event(Event::Profile {
        of: Chat::Contact("juliet".into()),
        profile,
    });
    assert!(desk.stanzas()[0].contains(&photo("a9993e364706816aba3e25717850c26c9cd0d89d")));
}

#[test]
fn there_is_exactly_one_capability_announcement() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(online("juliet")));
    let stanzas = desk.stanzas();
    assert_eq!(stanzas[0].matches("<c ").count(), 1);
    assert!(stanzas[0].contains("<x xmlns='vcard-temp:x:update'><photo/></x>"));
}

#[test]
fn contacts_are_bounded_and_the_user_is_told_once() {
    let limits = SessionLimits {
        contacts: 2,
        ..SessionLimits::default()
    };
    let mut desk = Desk::with_limits(GATEWAY, info(), limits);
    desk.log_in();
    for n in 0..5 {
        desk.event(Event::Contact(ContactUpdate::new(format!("c{n}").as_str())));
    }
    let stanzas = desk.stanzas();
    assert_eq!(stanzas.len(), 1, "{stanzas:?}");
    assert!(stanzas[0].contains("more than 2 contacts"));
}

#[test]
fn nobody_is_shown_while_nobody_looks() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<presence type='unavailable'/>");
    desk.event(Event::Contact(online("juliet")));
    assert!(desk.stanzas().is_empty());
}
