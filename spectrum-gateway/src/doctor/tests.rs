//! Verdicts and advice from answers as Prosody 0.12 and ejabberd 23.01 gave them; the asking itself is tried with real servers.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_core::admin::{Diagnosis, Verdict};
use spectrum_core::config::Config;
use spectrum_core::stanza::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Type as PresenceType};
use xmpp_parsers::stanza_error::DefinedCondition;

use super::alone::refusal;
use super::found::{Domain, Found, Said, Strictness};
use super::{Asker, domains, judge};
use crate::link::{LinkError, Outbox};
use crate::privilege::{Access, Grants, Version};

const INFO: &str = "http://jabber.org/protocol/disco#info";

fn said(xml: &str) -> Said {
    Said::Result(Some(xml.parse::<Element>().unwrap()))
}

fn version(name: &str, version: &str) -> Said {
    said(&format!(
        "<query xmlns='jabber:iq:version'><name>{name}</name><version>{version}</version></query>"
    ))
}

fn features(identity: &str, features: &[&str]) -> Said {
    let features: String = features.iter().map(|f| format!("<feature var='{f}'/>")).collect();
    said(&format!("<query xmlns='{INFO}'>{identity}{features}</query>"))
}

fn all() -> Grants {
    Grants {
        roster: Access::Both,
        messages: true,
        requests: [(ns::PUBSUB.to_owned(), Access::Both)].into(),
        ..Grants::default()
    }
}

/// A domain that lacks nothing.
fn whole(version: Said) -> Domain {
    Domain {
        domain: "localhost".to_owned(),
        version,
        info: features("<identity category='server' type='im' name='Prosody'/>", &["urn:xmpp:ping"]),
        items: said("<query xmlns='http://jabber.org/protocol/disco#items'><item jid='upload.localhost'/></query>"),
        services: vec![("upload.localhost".to_owned(), features("", &["urn:xmpp:http:upload:0"]))],
        accounts: vec![features("<identity category='account' type='registered'/>", &["urn:mam:2"])],
        grants: Some(all()),
    }
}

fn found(link: Result<(), LinkError>, domains: Vec<Domain>) -> Found {
    Found {
        jid: "irc.localhost".to_owned(),
        place: "127.0.0.1:5347".to_owned(),
        port: 5347,
        link: Some(link),
        domains,
        strictness: Strictness::Strict,
    }
}

fn verdict(diagnosis: &Diagnosis, name: &str) -> Verdict {
    diagnosis.probes.iter().find(|probe| probe.name == name).unwrap().verdict
}

fn advice(diagnosis: &Diagnosis) -> String {
    diagnosis
        .advice
        .iter()
        .map(|advice| format!("{}\n{}", advice.place, advice.text))
        .collect()
}

#[test]
fn server_that_has_everything_is_told_nothing() {
    let diagnosis = judge::judge(&found(Ok(()), vec![whole(version("Prosody", "0.12.3"))]));
    assert!(diagnosis.reachable && !diagnosis.lacks_something());
    assert!(
        diagnosis.probes.iter().all(|probe| probe.verdict == Verdict::Ok),
        "{diagnosis:?}"
    );
    assert!(diagnosis.advice.is_empty());
}

#[test]
fn what_is_missing_comes_as_lines_of_the_server_that_was_found() {
    for (name, number, wanted, other) in [
        (
            "Prosody",
            "0.12.3",
            "Component \"upload.localhost\" \"http_file_share\"",
            "mod_http_upload",
        ),
        (
            "ejabberd",
            "23.01",
            "  mod_privilege:\n    roster:\n      both: transport\n",
            "http_file_share",
        ),
    ] {
        let domain = Domain {
            services: vec![("rooms.localhost".to_owned(), features("", &[]))],
            accounts: vec![features("", &["urn:xmpp:carbons:2"])],
            grants: None,
            ..whole(version(name, number))
        };
        let diagnosis = judge::judge(&found(Ok(()), vec![domain]));
        for probe in ["roster grant", "message grant", "upload", "archive"] {
            assert_eq!(verdict(&diagnosis, probe), Verdict::Missing, "{probe}");
        }
        let text = advice(&diagnosis);
        assert!(text.contains(wanted) && !text.contains(other), "{text}");
        assert!(text.contains("irc.localhost") && text.contains("mam"), "{text}");
    }
}

#[test]
fn half_a_grant_is_none_and_the_old_version_is_a_grant() {
    let half = Grants {
        roster: Access::Get,
        ..all()
    };
    let diagnosis = judge::judge(&found(
        Ok(()),
        vec![Domain {
            grants: Some(half),
            ..whole(version("Prosody", ""))
        }],
    ));
    assert_eq!(verdict(&diagnosis, "roster grant"), Verdict::Missing);
    assert_eq!(verdict(&diagnosis, "message grant"), Verdict::Ok);
    assert!(advice(&diagnosis).contains("privileged_entities"));
    let old = Grants {
        version: Version::V1,
        ..all()
    };
    let diagnosis = judge::judge(&found(
        Ok(()),
        vec![Domain {
            grants: Some(old),
            ..whole(version("ejabberd", "23.01"))
        }],
    ));
    assert!(diagnosis.text().contains("urn:xmpp:privilege:1"));
    for (probe, verdict_of_it) in [
        ("roster grant", Verdict::Ok),
        ("message grant", Verdict::Ok),
        ("request grant", Verdict::Missing),
    ] {
        assert_eq!(verdict(&diagnosis, probe), verdict_of_it, "{probe}");
    }
    assert!(diagnosis.advice.is_empty(), "no line of a configuration helps: {diagnosis:?}");
    // A server that takes everything back says so by a grant without anything in it.
    let none = Domain {
        grants: Some(Grants::default()),
        ..whole(version("Prosody", ""))
    };
    assert_eq!(
        verdict(&judge::judge(&found(Ok(()), vec![none])), "roster grant"),
        Verdict::Missing
    );
}

#[test]
fn requests_that_are_not_granted_come_as_lines_of_the_server() {
    for (name, wanted) in [
        (
            "Prosody",
            "[\"irc.localhost\"] = { iq = { [\"http://jabber.org/protocol/pubsub\"] = \"both\"; [\"urn:xmpp:http:upload:0\"] = \"get\" } };",
        ),
        (
            "ejabberd",
            "  mod_privilege:\n    iq:\n      http://jabber.org/protocol/pubsub:\n        both: transport\n",
        ),
    ] {
        for requests in [
            Grants::default().requests,
            [(ns::PUBSUB.to_owned(), Access::Set)].into(),
            [("urn:xmpp:http:upload:0".to_owned(), Access::Both)].into(),
        ] {
            let domain = Domain {
                grants: Some(Grants { requests, ..all() }),
                ..whole(version(name, "99"))
            };
            let diagnosis = judge::judge(&found(Ok(()), vec![domain]));
            assert_eq!(verdict(&diagnosis, "request grant"), Verdict::Missing);
            let text = advice(&diagnosis);
            assert!(text.contains(wanted) && !text.contains("outgoing"), "{text}");
        }
    }
}

#[test]
fn what_was_not_answered_is_unknown_and_no_reason_for_advice() {
    let silent = Domain {
        version: Said::Nothing,
        info: Said::Nothing,
        items: Said::Nothing,
        services: Vec::new(),
        accounts: Vec::new(),
        grants: None,
        ..whole(Said::Nothing)
    };
    let diagnosis = judge::judge(&found(Ok(()), vec![silent.clone()]));
    assert_eq!(verdict(&diagnosis, "server"), Verdict::Unknown);
    assert!(!diagnosis.lacks_something() && diagnosis.advice.is_empty(), "{diagnosis:?}");
    let shy = Domain {
        items: Said::Error(DefinedCondition::ServiceUnavailable),
        accounts: vec![Said::Error(DefinedCondition::ServiceUnavailable)],
        grants: Some(all()),
        info: features("<identity category='server' type='im' name='ejabberd'/>", &[]),
        ..silent
    };
    let diagnosis = judge::judge(&found(Ok(()), vec![shy]));
    assert_eq!(verdict(&diagnosis, "server"), Verdict::Ok);
    assert_eq!(verdict(&diagnosis, "upload"), Verdict::Unknown);
    assert_eq!(verdict(&diagnosis, "archive"), Verdict::Unknown);
}

#[test]
fn server_of_another_kind_gets_no_lines_that_are_not_its_own() {
    let other = Domain {
        grants: None,
        ..whole(version("Some \u{9b}31mServer", &"9".repeat(500)))
    };
    let diagnosis = judge::judge(&found(Ok(()), vec![other]));
    let text = diagnosis.text();
    assert!(text.lines().all(|line| line.len() < 300), "{text}");
    assert!(
        !text.contains("VirtualHost") && !text.contains("mod_privilege") && !text.contains('\u{9b}'),
        "{text}"
    );
}

#[test]
fn link_that_does_not_come_up_has_a_remedy_for_each_server() {
    let place = || "127.0.0.1:5347".to_owned();
    let refused = |reason: &str| LinkError::Refused {
        place: place(),
        reason: reason.to_owned(),
    };
    for (failure, reason) in [
        (
            LinkError::Unreachable {
                place: place(),
                reason: "refused".to_owned(),
            },
            "is the server running",
        ),
        (refused("host-unknown"), "has no component irc.localhost"),
        (refused("conflict"), "another process is connected as irc.localhost"),
        (
            LinkError::WrongSecret {
                place: place(),
                jid: "irc.localhost".to_owned(),
            },
            "gateway.secret",
        ),
        (
            LinkError::Protocol {
                place: place(),
                reason: "x".to_owned(),
            },
            "the port for clients",
        ),
    ] {
        let diagnosis = judge::judge(&found(Err(failure), Vec::new()));
        assert!(!diagnosis.reachable && diagnosis.probes.len() == 1);
        assert!(diagnosis.probes[0].reason.contains(reason), "{diagnosis:?}");
        let text = advice(&diagnosis);
        assert!(
            text.contains("component_secret") && text.contains("ejabberd_service"),
            "{text}"
        );
    }
}

#[test]
fn domains_are_those_whose_users_may_use_the_transport() {
    let config = |allow: &str| {
        let text = format!(
            "mode = \"gateway\"\njid = \"irc.a.example\"\n[gateway]\nsecret = \"s\"\n[storage]\nurl = \"sqlite:///x.db\"\n\
             [backend]\ncommand = [\"spectrum-irc\"]\n[registration]\nallow = [{allow}]\n"
        );
        Config::from_toml(&text).unwrap()
    };
    let names = |allow: &str| domains(&config(allow)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(""), ["a.example"]);
    assert_eq!(names("\"*\""), ["a.example"]);
    assert_eq!(names("\"b.example\", \"a.example\""), ["a.example", "b.example"]);
    assert_eq!(
        names("\"romeo@b.example\", \"juliet@b.example\", \"a.example\""),
        ["a.example", "b.example"]
    );
    let many: Vec<String> = (0..50).map(|n| format!("\"d{n}.example\"")).collect();
    assert_eq!(names(&many.join(",")).len(), super::MOST_DOMAINS);
}

#[tokio::test(start_paused = true)]
async fn answers_count_from_who_was_asked_alone_and_silence_ends() {
    let outbox = Arc::new(Outbox::new());
    let asker = Asker::new(BareJid::new("irc.localhost").unwrap(), outbox);
    let server = Jid::new("localhost").unwrap();
    let question = || asker.ask(server.clone(), Element::builder("query", INFO).build());
    let result = |from: &str, id: &str| Iq::Result {
        from: Some(Jid::new(from).unwrap()),
        to: None,
        id: id.to_owned(),
        payload: None,
    };
    let answering = async {
        tokio::task::yield_now().await;
        assert!(asker.answered(result("evil.example", "spectrum-doctor-1")).is_some());
        assert!(asker.answered(result("localhost", "another")).is_some());
        assert!(asker.answered(result("localhost", "spectrum-doctor-1")).is_none());
    };
    let (said, ()) = tokio::join!(question(), answering);
    assert!(matches!(said, Said::Result(None)));
    assert!(matches!(question().await, Said::Nothing));
    // What comes too late is nobody's.
    assert!(asker.answered(result("localhost", "spectrum-doctor-2")).is_some());
}

#[test]
fn whoever_wants_something_while_doctor_holds_the_link_is_told_that_nobody_is_there() {
    let read = |xml: &str| xml.parse::<Element>().unwrap();
    let message = |xml: &str| Stanza::from(Message::try_from(read(xml)).unwrap());
    let presence = |xml: &str| Stanza::from(Presence::try_from(read(xml)).unwrap());
    let iq = |xml: &str| Stanza::from(Iq::try_from(read(xml)).unwrap());
    let address = "xmlns='jabber:client' from='alice@localhost/x' to='irc.localhost' id='1'";
    for wanted in [
        message(&format!("<message {address} type='chat'><body>hello</body></message>")),
        iq(&format!("<iq {address} type='get'><query xmlns='jabber:iq:register'/></iq>")),
        iq(&format!("<iq {address} type='set'><query xmlns='jabber:iq:register'/></iq>")),
        presence(&format!("<presence {address} type='subscribe'/>")),
    ] {
        let reply = refusal(&wanted).unwrap_or_else(|| panic!("{wanted:?} has no answer"));
        assert_eq!(reply.recipient(), wanted.sender());
        assert!(matches!(
            &reply,
            Stanza::Iq(Iq::Error { .. })
                | Stanza::Message(Message {
                    type_: MessageType::Error,
                    ..
                })
                | Stanza::Presence(Presence {
                    type_: PresenceType::Error,
                    ..
                })
        ));
    }
    for nothing in [
        message(&format!("<message {address} type='error'><body>hello</body></message>")),
        message(&format!(
            "<message {address} type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )),
        iq(&format!("<iq {address} type='result'/>")),
        presence(&format!("<presence {address}/>")),
    ] {
        assert!(refusal(&nothing).is_none(), "{nothing:?}");
    }
}
