#![allow(clippy::unwrap_used)]

use spectrum_core::dialogue::MAX_VALUE_BYTES;
use spectrum_core::model::{Field, Timestamp};
use xmpp_parsers::stanza_error::DefinedCondition;

use super::*;

fn info() -> BackendInfo {
    let mut info = BackendInfo::new("IRC", "irc");
    let field = |name: &str, kind, required| Field {
        name: name.to_owned(),
        label: format!("The {name}"),
        kind,
        required,
        default: (name == "encoding").then(|| "utf-8".to_owned()),
    };
    let encodings = ["utf-8", "latin1"].map(|name| (name.to_owned(), name.to_uppercase()));
    info.registration
        .push(field("encoding", FieldKind::Choice(encodings.into()), false));
    info.registration.push(field("tls", FieldKind::Boolean, false));
    info
}

fn registered() -> Registration {
    Registration {
        legacy_name: "Romeo".into(),
        password: "hunter2".into(),
        settings: FormAnswers::from([("encoding".to_owned(), "latin1".into()), ("token".to_owned(), "t".into())]),
        created: Timestamp::from_secs(0),
        last_login: None,
        online: false,
    }
}

fn read(inside: &str) -> Result<Option<Submission>, FormError> {
    Submission::read(&format!("<query xmlns='jabber:iq:register'>{inside}</query>").parse().unwrap())
}

fn check(inside: &str, old: Option<&Registration>) -> Result<NewRegistration, FormError> {
    read(inside)?
        .unwrap()
        .check(&info(), &BareJid::new("romeo@localhost").unwrap(), old)
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

#[test]
fn form_is_made_from_the_fields_of_the_backend() {
    let asked = question(&info(), "IRC", None);
    let expected: Element = "<query xmlns='jabber:iq:register'>\
        <instructions>Enter your username and password of the network.</instructions><username/><password/>\
        <x xmlns='jabber:x:data' type='form'><title>Registration with IRC</title>\
        <instructions>Enter your username and password of the network.</instructions>\
        <field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>\
        <field var='username' type='text-single' label='Username'><required/></field>\
        <field var='password' type='text-private' label='Password'><required/></field>\
        <field var='encoding' type='list-single' label='The encoding'><option label='UTF-8'><value>utf-8</value></option>\
        <option label='LATIN1'><value>latin1</value></option><value>utf-8</value></field>\
        <field var='tls' type='boolean' label='The tls'/></x></query>"
        .parse()
        .unwrap();
    assert_eq!(normal(&asked), normal(&expected));
}

/// Attributes in order; the parts of a field too, whose order means nothing.
fn normal(element: &Element) -> String {
    let mut attributes: Vec<_> = element
        .attrs()
        .iter()
        .map(|((_, name), value)| format!(" {name}={value}"))
        .collect();
    attributes.sort();
    let mut children: Vec<String> = element.children().map(normal).collect();
    if element.name() == "field" {
        children.sort();
    }
    format!(
        "\n<{}{}>{}{}",
        element.name(),
        attributes.concat(),
        element.text().trim(),
        children.concat()
    )
}

#[test]
fn stored_registration_is_shown_without_its_password() {
    let text = String::from(&question(&info(), "IRC", Some(&registered())));
    assert!(
        text.contains("<registered") && text.contains("<username>Romeo</username>") && text.contains("<value>latin1</value>")
    );
    assert!(!text.contains("hunter2") && text.contains("<password"), "{text}");
}

#[test]
fn old_elements_and_the_form_are_both_read_and_the_form_counts() {
    let old = "<username>romeo</username><password>p</password>";
    let new = check(old, None).unwrap();
    assert_eq!((new.legacy_name.as_str(), new.password.expose()), ("romeo", "p"));
    let new = check(
        &format!("{old}{}", form(&[("username", "juliet"), ("encoding", "latin1")])),
        None,
    )
    .unwrap();
    assert_eq!((new.legacy_name.as_str(), new.password.expose()), ("juliet", "p"));
    assert_eq!(new.settings, FormAnswers::from([("encoding".to_owned(), "latin1".into())]));
}

#[test]
fn what_cannot_be_right_is_named_without_its_value() {
    let long = "x".repeat(MAX_VALUE_BYTES + 1);
    for (inside, expected) in [
        (form(&[("username", ""), ("password", "p")]), "Username is missing."),
        (form(&[("username", "  "), ("password", "p")]), "Username is missing."),
        (form(&[("username", "r")]), "Password is missing."),
        (
            form(&[("username", "r"), ("password", "p"), ("encoding", "secret")]),
            "The encoding has a value that cannot be chosen.",
        ),
        (
            form(&[("username", "r"), ("password", "p"), ("tls", "maybe")]),
            "The tls has a value that cannot be chosen.",
        ),
        (
            form(&[("username", "a\nb"), ("password", "p")]),
            "Username has characters that cannot be used.",
        ),
        (form(&[("username", &long), ("password", "p")]), "Username is too long."),
        (
            form(&[("username", "romeo@localhost"), ("password", "p")]),
            "This is your own XMPP address; enter your account on the network.",
        ),
    ] {
        assert_eq!(check(&inside, None).unwrap_err().to_string(), expected);
    }
}

#[test]
fn undeclared_fields_are_not_kept() {
    let new = check(
        &form(&[("username", "r"), ("password", "p"), ("admin", "1"), ("FORM_TYPE", "x")]),
        None,
    )
    .unwrap();
    assert!(new.settings.is_empty());
}

#[test]
fn empty_password_and_hidden_settings_stay_with_a_change() {
    let new = check(
        &form(&[("username", "Romeo"), ("password", ""), ("encoding", "")]),
        Some(&registered()),
    )
    .unwrap();
    assert_eq!(new.password.expose(), "hunter2");
    assert_eq!(new.settings, FormAnswers::from([("token".to_owned(), "t".into())]));
}

#[test]
fn removal_cancellation_and_nonsense_are_told_apart() {
    assert!(read("<remove/>").unwrap().is_none());
    assert_eq!(
        read("<x xmlns='jabber:x:data' type='cancel'/>").unwrap_err(),
        FormError::Cancelled
    );
    assert_eq!(
        read("<x xmlns='jabber:x:data' type='result'/>").unwrap_err(),
        FormError::Malformed
    );
    assert_eq!(read("").unwrap_err(), FormError::Malformed);
    assert_eq!(
        read("<x xmlns='jabber:x:data'><field/><field var='a'/></x>").unwrap_err(),
        FormError::Malformed
    );
}

#[test]
fn name_with_a_space_in_it_is_refused_where_names_have_none() {
    let mut info = info();
    info.registration[0].kind = FieldKind::Name;
    let user = BareJid::new("romeo@localhost").unwrap();
    let entered = |name: &str| {
        let submission = read(&format!("<username>{name}</username><password>p</password>"))
            .unwrap()
            .unwrap();
        submission.check(&info, &user, None)
    };
    let refused = entered("a b").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Username has a space in it, and names of this network have none."
    );
    assert_eq!(refused.condition(), DefinedCondition::NotAcceptable);
    assert!(entered("a\u{a0}b").is_err());
    // What stands around it is an accident.
    assert_eq!(entered(" ab ").unwrap().legacy_name.as_str(), "ab");
}
