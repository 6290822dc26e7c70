//! Login, loss, back-off, end.

use super::*;
use crate::backend::{Answer, LoginError, LoginErrorKind, OpError, Retry};
use crate::model::{Availability, Joined, Occupant, Secret};

#[test]
fn a_registered_user_who_comes_online_is_logged_in() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    assert_eq!(desk.lines(), ["store Load"]);
    desk.user("<presence><show>away</show><priority>3</priority></presence>");
    assert_eq!(desk.lines(), ["transport desk Offline Connecting to Net"]);
    desk.input(Input::Loaded(Some(Box::new(account()))));
    assert_eq!(
        desk.lines(),
        ["store SetOnline(true)", "assign", "transport all Offline Connecting to Net"]
    );
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    let login = desk.login();
    assert_eq!(
        (login.name.as_str(), login.presence.availability),
        ("romeo", Availability::Away)
    );
    assert_eq!(login.password, Some(Secret::new("secret")));
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(desk.lines(), ["logged in", "transport all Online -"]);
}

#[test]
fn a_user_without_a_registration_is_told_and_the_session_ends() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.out.clear();
    desk.input(Input::Loaded(None));
    assert_eq!(desk.lines(), ["not registered", "release", "close NotRegistered"]);
    desk.input(Input::Tick);
    assert!(desk.out.is_empty());
}

#[test]
fn where_no_registration_is_needed_the_user_is_let_in_under_their_own_name() {
    let mut info = info();
    info.needs_registration = false;
    let mut desk = Desk::new(GATEWAY, info);
    desk.input(Input::Start);
    desk.input(Input::Loaded(None));
    desk.out.clear();
    desk.user("<presence/>");
    assert_eq!(
        desk.lines(),
        [
            "transport desk Offline Connecting to Net",
            "store RegisterAs(\"romeo\")",
            "store SetOnline(true)",
            "assign",
            "transport all Offline Connecting to Net",
        ]
    );
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    assert_eq!(desk.login().name.as_str(), "romeo");
}

#[test]
fn who_registers_while_the_store_is_asked_logs_in_with_that() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    let registered = Account {
        name: Some("Romeo2".into()),
        ..account()
    };
    desk.input(Input::Registration(Some(Box::new(registered))));
    desk.input(Input::Loaded(None));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    assert_eq!(desk.login().name.as_str(), "Romeo2");
}

#[test]
fn a_login_that_fails_for_good_is_told_once_and_never_tried_again() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    desk.event(Event::Closed(LoginError::new(
        LoginErrorKind::AuthenticationFailed,
        "Wrong password.",
    )));
    assert_eq!(
        desk.lines(),
        [
            "login failed AuthenticationFailed \"Wrong password.\" false",
            "closed Wrong password.",
            "store SetOnline(false)",
            "release",
            "close LoginFailed"
        ]
    );
    assert_eq!(desk.session.next_deadline(), None);
}

#[test]
fn a_lost_connection_is_tried_again_within_five_seconds_without_a_word() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Closed(LoginError::new(LoginErrorKind::Network, "Connection reset.")));
    assert_eq!(
        desk.lines(),
        ["logged out", "transport all Offline Not connected to Net, trying again soon"]
    );
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.lines(), ["release", "assign", "transport all Offline Connecting to Net"]);
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(desk.lines(), ["login romeo Online", "logged in", "transport all Online -"]);
}

#[test]
fn a_network_that_stays_away_is_told_once() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.input(Input::Link(LinkInput::BackendLost {
        reason: "It crashed.".to_owned(),
    }));
    for _ in 0..4 {
        desk.pass(Duration::from_secs(600));
        desk.input(Input::NotAssigned("no backend can be started".to_owned()));
    }
    let told: Vec<_> = desk.lines().into_iter().filter(|l| l.starts_with("login failed")).collect();
    assert_eq!(told, ["login failed Network \"no backend can be started\" true"]);
}

#[test]
fn a_login_that_takes_too_long_is_given_up_and_tried_again() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.user("<presence/>");
    desk.input(Input::Loaded(Some(Box::new(account()))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    desk.pass(Duration::from_secs(30));
    assert_eq!(
        desk.lines(),
        [
            "release",
            "login failed Network \"Net did not accept the login in time.\" true",
            "transport all Offline Not connected to Net, trying again soon"
        ]
    );
}

#[test]
fn a_network_that_asks_for_patience_gets_it() {
    let mut desk = Desk::online(GATEWAY, info());
    let wait = Duration::from_secs(120);
    desk.event(Event::Closed(
        LoginError::new(LoginErrorKind::Network, "").retry(Retry::After(wait)),
    ));
    desk.pass(wait - Duration::from_secs(1));
    assert!(!desk.lines().contains(&"assign".to_owned()));
    desk.pass(Duration::from_secs(1));
    assert!(desk.lines().contains(&"assign".to_owned()));
}

#[test]
fn the_store_is_asked_again_when_it_could_not_answer() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    desk.out.clear();
    desk.input(Input::StoreFailed("disk full".to_owned()));
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.lines(), ["release", "store Load"]);
}

#[test]
fn the_first_client_of_a_server_waits_for_the_network_and_a_second_needs_the_same_password() {
    let mut desk = Desk::new(SERVER, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::default())));
    desk.out.clear();
    let authenticate = |ticket: u64, password: &str| Input::Authenticate {
        ticket: Ticket(ticket),
        name: "romeo".into(),
        password: password.into(),
    };
    desk.input(authenticate(1, "secret"));
    assert_eq!(desk.lines(), ["store SetOnline(true)", "assign"]);
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    assert_eq!(desk.login().password, Some(Secret::new("secret")));
    desk.input(authenticate(2, "guess"));
    assert_eq!(
        desk.lines(),
        ["authenticated 2 Err(Refused(\"Another login to this account is under way.\"))"]
    );
    desk.input(authenticate(3, "secret"));
    assert!(desk.lines().is_empty());
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(
        desk.lines(),
        ["logged in", "authenticated 1 Ok(())", "authenticated 3 Ok(())"]
    );
    desk.input(authenticate(4, "guess"));
    assert_eq!(desk.lines(), ["authenticated 4 Err(NotAuthorized)"]);
    desk.input(authenticate(5, "secret"));
    assert_eq!(desk.lines(), ["authenticated 5 Ok(())"]);
}

#[test]
fn the_first_client_hears_why_it_is_not_let_in() {
    for kind in [LoginErrorKind::AuthenticationFailed, LoginErrorKind::Network] {
        let mut desk = Desk::new(SERVER, info());
        desk.input(Input::Start);
        desk.input(Input::Loaded(Some(Box::default())));
        desk.input(Input::Authenticate {
            ticket: Ticket(1),
            name: "romeo".into(),
            password: "x".into(),
        });
        desk.input(Input::Assigned(Arc::clone(&desk.info)));
        desk.out.clear();
        desk.event(Event::Closed(LoginError::new(kind, "No.")));
        let lines = desk.lines();
        assert!(lines[0].starts_with("authenticated 1 Err(Login("), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "close LoginFailed");
    }
}

#[test]
fn a_client_that_leaves_cancels_the_login() {
    let mut desk = Desk::new(SERVER, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::default())));
    desk.input(Input::Authenticate {
        ticket: Ticket(1),
        name: "romeo".into(),
        password: "x".into(),
    });
    desk.out.clear();
    desk.input(Input::Abandoned(Ticket(1)));
    assert_eq!(
        desk.lines(),
        [
            "closed You have gone offline.",
            "store SetOnline(false)",
            "release",
            "close Offline"
        ]
    );
}

#[test]
fn a_client_is_not_kept_waiting_for_a_seat() {
    let mut desk = Desk::new(SERVER, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::default())));
    desk.input(Input::Authenticate {
        ticket: Ticket(1),
        name: "romeo".into(),
        password: "x".into(),
    });
    desk.out.clear();
    desk.pass(Duration::from_secs(30));
    let lines = desk.lines();
    assert!(lines[0].starts_with("authenticated 1 Err(Login("), "{lines:?}");
}

#[test]
fn the_session_outlives_the_last_resource_for_a_while() {
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::Presence]));
    desk.user("<presence type='unavailable'/>");
    desk.pass(Duration::from_secs(29));
    assert!(desk.lines().is_empty());
    desk.user("<presence/>");
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.lines(), ["transport desk Online -"]);
    desk.user("<presence type='unavailable'/>");
    desk.pass(Duration::from_secs(30));
    assert_eq!(
        desk.lines(),
        [
            "closed You have gone offline.",
            "logged out",
            "store SetOnline(false)",
            "release",
            "close Offline"
        ]
    );
}

#[test]
fn a_user_who_wants_to_stay_stays() {
    let mut desk = Desk::new(GATEWAY, info());
    desk.input(Input::Start);
    let mut account = account();
    account.settings.insert("stay_connected".to_owned(), "true".to_owned());
    desk.input(Input::Loaded(Some(Box::new(account))));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert_eq!(desk.session.next_deadline(), None);
}

#[test]
fn what_was_asked_and_has_no_outcome_is_answered_as_uncertain_before_the_next_login() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>hi</body></message>");
    desk.event(Event::Closed(LoginError::new(LoginErrorKind::Network, "")));
    desk.out.clear();
    desk.pass(Duration::from_secs(5));
    // The network of this desk takes a message twice without harm, so it is sent again.
    assert!(desk.stanzas().is_empty());

    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::IdempotentSend]));
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>hi</body></message>");
    desk.event(Event::Closed(LoginError::new(LoginErrorKind::Network, "")));
    desk.out.clear();
    desk.pass(Duration::from_secs(5));
    assert_eq!(
        desk.stanzas(),
        [
            "<message from='juliet@net.example' to='romeo@example.org/desk' id='m1' type='error'><error type='wait'>\
          <remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' \
          xml:lang='en'>The connection to Net was lost. It may have been delivered all the same.</text></error></message>"
        ]
    );
}

#[test]
fn an_outcome_that_comes_late_says_better_what_was_sent() {
    let mut desk = Desk::online(GATEWAY, info_without(&[Capability::IdempotentSend]));
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>hi</body></message>");
    let (request, _) = desk.verb();
    desk.event(Event::Closed(LoginError::new(LoginErrorKind::Network, "")));
    desk.outcome(request, Err(OpError::not_connected("")));
    desk.pass(Duration::from_secs(5));
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.out.clear();
    desk.input(Input::Link(LinkInput::LoggedIn));
    assert!(matches!(desk.verb().1, Verb::SendMessage(message) if message.body == "hi"));
}

#[test]
fn an_administrator_ends_the_session_and_everybody_who_waits_is_told() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(
        crate::model::ContactUpdate::new("juliet").presence(crate::model::Presence::ONLINE),
    ));
    desk.user("<message to='juliet@net.example' type='chat' id='m1'><body>one</body></message>");
    desk.user("<message to='juliet@net.example' type='chat' id='m2'><body>two</body></message>");
    desk.user("<iq to='juliet@net.example' type='get' id='v'><vCard xmlns='vcard-temp'/></iq>");
    desk.out.clear();
    desk.input(Input::End("The transport is being shut down.".to_owned()));
    let lines = desk.lines();
    let count = |needle: &str| lines.iter().filter(|l| l.contains(needle)).count();
    assert_eq!((count("id='m1'"), count("id='m2'"), count("id='v'")), (1, 1, 1), "{lines:?}");
    assert_eq!(count("type='unavailable'"), 1);
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "closed The transport is being shut down.",
            "logged out",
            "release",
            "close Ended"
        ]
    );
}

#[test]
fn a_changed_password_logs_in_anew_and_another_account_forgets_the_contacts() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.event(Event::Contact(crate::model::ContactUpdate::new("juliet")));
    desk.out.clear();
    desk.input(Input::Registration(Some(Box::new(Account {
        password: Some("new".into()),
        ..account()
    }))));
    assert_eq!(
        desk.lines(),
        ["logged out", "release", "assign", "transport all Offline Connecting to Net"]
    );
    desk.input(Input::Registration(Some(Box::new(Account {
        name: Some("other".into()),
        ..account()
    }))));
    assert_eq!(
        desk.lines(),
        [
            "release",
            "store RemoveContact(\"juliet\")",
            "roster juliet@net.example \"-\" [] Removed",
            "assign",
            "transport all Offline Connecting to Net"
        ]
    );
    desk.input(Input::Registration(None));
    assert_eq!(desk.lines(), ["store SetOnline(false)", "release", "close NotRegistered"]);
}

#[test]
fn nothing_is_kept_of_a_user_whose_registration_is_gone() {
    let mut desk = Desk::durable(GATEWAY, info_without(&[Capability::IdempotentSend]));
    desk.log_in();
    desk.out.clear();
    desk.user("<presence to='#r@net.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    let (request, _) = desk.verb();
    desk.event(Event::Occupant(Occupant::new("#r".into(), "me")));
    desk.outcome(request, Ok(Answer::Joined(Joined { nickname: "me".into() })));
    assert!(desk.lines().iter().any(|line| line.starts_with("store SaveRoom")));
    // One message of which nobody knows whether it was sent.
    desk.user("<message to='juliet@net.example' type='chat' id='m'><body>Hi</body></message>");
    desk.out.clear();
    desk.input(Input::Registration(None));
    let lines = desk.lines();
    let kept: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("store") || line.starts_with("journal"))
        .collect();
    assert_eq!(kept, ["store SetOnline(false)"], "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("id='m'") && line.contains("type='error'")),
        "{lines:#?}"
    );
}

#[test]
fn resources_that_are_silent_after_the_xmpp_server_came_back_are_gone() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.user_at("phone", "<presence/>");
    desk.input(Input::XmppLost);
    desk.pass(Duration::from_secs(300));
    desk.out.clear();
    desk.input(Input::XmppBack);
    desk.user_at("phone", "<presence/>");
    assert_eq!(desk.lines(), ["transport phone Online -"]);
    desk.pass(Duration::from_secs(60));
    let names: Vec<_> = desk.session.resources().iter().map(|r| r.resource.as_str()).collect();
    assert_eq!(names, ["phone"]);
}

#[test]
fn too_much_from_the_network_ends_the_session_with_a_text() {
    let mut desk = Desk::online(GATEWAY, info());
    desk.input(Input::Overflow);
    let lines = desk.lines();
    assert_eq!(lines[0], format!("closed {OVERFLOW}"));
    assert_eq!(lines.last().unwrap(), "close Overflow");
}

#[test]
fn a_durable_event_is_committed_after_it_was_dealt_with() {
    let mut desk = Desk::online(GATEWAY, info());
    let event = Box::new(Event::Notice("Welcome.".to_owned()));
    desk.input(Input::Link(LinkInput::Event { event, durable: Some(5) }));
    assert_eq!(
        desk.lines(),
        [
            "<message from='net.example' to='romeo@example.org' id='ID' type='chat'><body>Welcome.</body></message>",
            "committed 5"
        ]
    );
}

#[test]
fn a_client_that_leaves_after_its_login_and_before_its_resource_leaves_no_session_for_ever() {
    let mut desk = Desk::new(SERVER, info());
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::default())));
    desk.input(Input::Authenticate {
        ticket: Ticket(1),
        name: "romeo".into(),
        password: Secret::new("secret"),
    });
    desk.input(Input::Assigned(Arc::clone(&desk.info)));
    desk.input(Input::Link(LinkInput::LoggedIn));
    desk.out.clear();
    desk.input(Input::Abandoned(Ticket(1)));
    assert_eq!(desk.lines(), [""; 0], "it lingers");
    assert_eq!(desk.session.next_deadline(), Some(desk.now.mono + Duration::from_secs(30)));
    desk.now.mono += Duration::from_secs(30);
    desk.input(Input::Tick);
    let lines = desk.lines();
    assert_eq!(lines.last().map(String::as_str), Some("close Offline"), "{lines:?}");
    assert!(
        lines.contains(&"release".to_owned()) && lines.contains(&"logged out".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn who_wants_to_leave_with_the_last_client_does_where_others_stay() {
    let mut desk = Desk::online(GATEWAY, info());
    let config = SessionConfig {
        linger: None,
        ..(*desk.session.config).clone()
    };
    desk.session.config = Arc::new(config);
    desk.input(Input::Setting {
        name: "stay_connected".to_owned(),
        value: "false".to_owned(),
    });
    desk.user("<presence type='unavailable'/>");
    desk.pass(Duration::from_secs(31));
    assert!(desk.lines().contains(&"close Offline".to_owned()));
}
