#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::Capability;

fn ask(services: &Services, xml: &str) -> String {
    let iq = Iq::try_from(xml.parse::<Element>().unwrap()).unwrap();
    let transport = BareJid::new("irc.localhost").unwrap();
    let info = BackendInfo::new("IRC", "irc").capabilities(&[Capability::Rooms]);
    let cx = ServiceCx {
        transport: &transport,
        name: "Chat & more",
        category: "gateway",
        kind: "irc",
        info: Some(&info),
        wall: Timestamp::from_secs(951_782_400),
        uptime: Duration::from_secs(90),
    };
    match services.answer(&iq, &cx) {
        Some(Stanza::Iq(reply)) => String::from(&Element::from(reply)),
        Some(other) => panic!("not an iq: {other:?}"),
        None => String::new(),
    }
}

fn get(payload: &str) -> String {
    set_or_get("get", payload)
}

fn set_or_get(action: &str, payload: &str) -> String {
    let services = Services::new().with(Prompt).announcing(&["jabber:iq:register"]);
    let xml = format!(
        "<iq xmlns='jabber:client' type='{action}' id='1' from='romeo@localhost/orchard' to='irc.localhost'>{payload}</iq>"
    );
    let answer = ask(&services, &xml);
    let inside = answer
        .split_once('>')
        .map(|(_, rest)| rest.trim_end_matches("</iq>").to_owned());
    assert!(
        answer.contains("to='romeo@localhost/orchard'") || answer.contains("to=\"romeo@localhost/orchard\""),
        "{answer}"
    );
    inside.unwrap_or_default()
}

#[test]
fn discovery_says_what_it_is_and_what_it_answers() {
    let answer = get("<query xmlns='http://jabber.org/protocol/disco#info'/>").replace('"', "'");
    assert!(
        answer.contains("category='gateway'") && answer.contains("type='irc'"),
        "{answer}"
    );
    assert!(answer.contains("name='Chat &amp; more'"), "{answer}");
    for feature in [
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc",
        "jabber:iq:gateway",
        "jabber:iq:last",
        "jabber:iq:register",
        "jabber:iq:version",
        "urn:xmpp:ping",
        "urn:xmpp:time",
        "vcard-temp",
    ] {
        assert_eq!(
            answer.matches(&format!("var='{feature}'")).count(),
            1,
            "{feature} in {answer}"
        );
    }
}

#[test]
fn unknown_node_is_not_found() {
    for query in ["info", "items"] {
        let answer = get(&format!("<query xmlns='http://jabber.org/protocol/disco#{query}' node='x'/>"));
        assert!(answer.contains("item-not-found"), "{answer}");
    }
}

#[test]
fn simple_questions_have_exact_answers() {
    for (payload, expected) in [
        ("<ping xmlns='urn:xmpp:ping'/>", ""),
        (
            "<query xmlns='jabber:iq:last'/>",
            "<query xmlns='jabber:iq:last' seconds='90'/>",
        ),
        (
            "<time xmlns='urn:xmpp:time'/>",
            "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2000-02-29T00:00:00.000Z</utc></time>",
        ),
        (
            "<vCard xmlns='vcard-temp'/>",
            "<vCard xmlns='vcard-temp'><FN>Chat &amp; more</FN><NICKNAME>Chat &amp; more</NICKNAME><JABBERID>irc.localhost</JABBERID><DESC>A transport to IRC.</DESC></vCard>",
        ),
        (
            "<query xmlns='jabber:iq:gateway'/>",
            "<query xmlns='jabber:iq:gateway'><desc>Enter the name of the person on IRC whom you want to add.</desc><prompt>Contact</prompt></query>",
        ),
    ] {
        let answer = get(payload).replace('"', "'");
        let expected: Option<Element> = (!expected.is_empty()).then(|| expected.parse().unwrap());
        let answer: Option<Element> = (!answer.is_empty()).then(|| answer.parse().unwrap());
        assert_eq!(answer, expected);
    }
}

#[test]
fn version_tells_no_system() {
    let answer = get("<query xmlns='jabber:iq:version'/>");
    assert!(
        answer.contains("<name>Spectrum</name>") && !answer.contains("<os"),
        "{answer}"
    );
}

#[test]
fn name_becomes_a_jid_and_a_jid_stays_one() {
    for (name, jid) in [
        ("Romeo", "romeo@irc.localhost"),
        ("a b@c", "a\\20b\\40c@irc.localhost"),
        ("x@irc.localhost", "x@irc.localhost"),
    ] {
        let answer = set_or_get(
            "set",
            &format!("<query xmlns='jabber:iq:gateway'><prompt>{name}</prompt></query>"),
        );
        assert!(answer.contains(&format!("<jid>{jid}</jid>")), "{answer}");
    }
    let long = "x".repeat(2000);
    for (prompt, condition) in [("", "bad-request"), ("  ", "bad-request"), (long.as_str(), "not-acceptable")] {
        let answer = set_or_get(
            "set",
            &format!("<query xmlns='jabber:iq:gateway'><prompt>{prompt}</prompt></query>"),
        );
        assert!(answer.contains(condition), "{answer}");
    }
}

#[test]
fn nothing_is_left_without_an_answer() {
    for action in ["get", "set"] {
        let answer = set_or_get(action, "<query xmlns='urn:example:unknown'/>");
        assert!(answer.contains("service-unavailable"), "{answer}");
    }
    assert!(set_or_get("set", "<ping xmlns='urn:xmpp:ping'/>").contains("service-unavailable"));
    let services = Services::new();
    assert_eq!(
        ask(
            &services,
            "<iq xmlns='jabber:client' type='result' id='1' from='a@b' to='irc.localhost'/>"
        ),
        ""
    );
}

const INFO: &str = "<iq xmlns='jabber:client' type='get' id='1' from='romeo@localhost/orchard' to='irc.localhost'>\
                    <query xmlns='http://jabber.org/protocol/disco#info'/></iq>";

/// Holds the form in what the transport says of itself against fields and their values.
fn assert_form(services: &Services, expected: &[(&str, Vec<&str>)]) {
    let iq: Element = ask(services, INFO).parse().unwrap();
    let form = iq
        .get_child("query", "http://jabber.org/protocol/disco#info")
        .and_then(|query| query.get_child("x", "jabber:x:data"))
        .unwrap();
    let fields: Vec<(&str, Vec<String>)> = form
        .children()
        .map(|field| (field.attr("var").unwrap(), field.children().map(Element::text).collect()))
        .collect();
    assert_eq!(
        fields,
        expected
            .iter()
            .map(|(var, values)| (*var, values.iter().map(|v| (*v).to_owned()).collect()))
            .collect::<Vec<_>>()
    );
}

#[test]
fn clients_are_told_where_outages_are_told_of() {
    assert!(!ask(&Services::new(), INFO).contains("urn:xmpp:sos:0"));
    let services = Services::new().telling_outages_at(&["https://status.example.org/irc.json".to_owned()]);
    let expected = [
        ("FORM_TYPE", vec!["urn:xmpp:sos:0"]),
        ("external-status-addresses", vec!["https://status.example.org/irc.json"]),
    ];
    assert_form(&services, &expected);
}

#[test]
fn whoever_asks_is_told_where_people_are_reached() {
    let admins = ["mailto:a@example.org".to_owned(), "xmpp:a@example.org".to_owned()];
    let nothing = Services::new().telling_contacts(&[("admin-addresses", &[])]);
    assert!(!ask(&nothing, INFO).contains("serverinfo"));
    let services = Services::new().telling_contacts(&[("admin-addresses", &admins), ("abuse-addresses", &[])]);
    let expected = [
        ("FORM_TYPE", vec!["http://jabber.org/network/serverinfo"]),
        ("admin-addresses", admins.iter().map(String::as_str).collect()),
    ];
    assert_form(&services, &expected);
}
