#![allow(clippy::unwrap_used)]

use spectrum_core::config::Config;
use spectrum_core::store::MemoryStore;
use tokio::task::yield_now;
use xmpp_parsers::stanza_error::{ErrorType, StanzaError};

use super::*;
use crate::face::tests::Nowhere;
use crate::naming::Naming;
use crate::privilege::{Access, Version};

const PRIVILEGE: &str = "urn:xmpp:privilege:2";

fn romeo() -> BareJid {
    BareJid::new("romeo@localhost").unwrap()
}

/// A deputy on a link that is up, and what it has to say.
fn deputy(grants: Option<Grants>) -> (Deputy, Arc<Outbox>) {
    let config = Config::from_toml(
        "mode = \"gateway\"\njid = \"irc.localhost\"\n[gateway]\nsecret = \"s\"\n[backend]\ncommand = [\"x\"]\n[registration]\nallow = [\"localhost\"]\n",
    )
    .unwrap();
    let config = Arc::new(config);
    let (jid, outbox) = (config.jid.clone(), Arc::new(Outbox::new()));
    outbox.set_up(true);
    let naming = Naming::new(config, Arc::new(Nowhere));
    let store = Arc::new(MemoryStore::new());
    let keeper = Arc::new(RosterKeeper::new(jid.clone(), naming, Arc::clone(&outbox), store));
    if let Some(grants) = grants {
        keeper.granted("localhost", grants);
    }
    (Deputy::new(jid, Arc::clone(&outbox), keeper), outbox)
}

fn granted() -> Option<Grants> {
    Some(Grants {
        requests: [(ns::PUBSUB.to_owned(), Access::Both)].into(),
        ..Grants::default()
    })
}

fn request(kind: Kind) -> Request {
    Request {
        to: romeo().into(),
        kind,
        payload: Element::bare("pubsub", ns::PUBSUB),
    }
}

fn iq(xml: &str) -> Iq {
    Iq::try_from(xml.parse::<Element>().unwrap()).unwrap()
}

/// What a server answers: `inner` is what the one asked has said.
fn result(from: &str, id: &str, inner: &str) -> Iq {
    iq(&format!(
        "<iq xmlns='jabber:client' type='result' from='{from}' to='irc.localhost' id='{id}'><privilege xmlns='{PRIVILEGE}'>\
         <forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></privilege></iq>"
    ))
}

fn inner(id: &str, from: &str) -> String {
    format!(
        "<iq xmlns='jabber:client' type='result' id='{id}' to='romeo@localhost'{from}><pubsub xmlns='{}'/></iq>",
        ns::PUBSUB
    )
}

async fn said(outbox: &Outbox) -> Element {
    let mut batch = Vec::new();
    outbox.work(&mut batch, 1).await;
    match batch.pop().unwrap() {
        Stanza::Iq(iq) => iq.into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_to_the_users_server_and_its_answer_comes_back() {
    let (deputy, outbox) = deputy(granted());
    let answering = async {
        let asked = said(&outbox).await;
        let expected = format!(
            "<iq xmlns='jabber:client' type='set' from='irc.localhost' to='romeo@localhost' id='spectrum-deputy-1'>\
             <privileged_iq xmlns='{PRIVILEGE}'><iq xmlns='jabber:client' type='set' to='romeo@localhost' id='spectrum-deputy-1'>\
             <pubsub xmlns='{}'/></iq></privileged_iq></iq>",
            ns::PUBSUB
        );
        assert_eq!(asked, expected.parse::<Element>().unwrap());
        let answer = result("romeo@localhost", "spectrum-deputy-1", &inner("spectrum-deputy-1", ""));
        assert!(deputy.answered(answer).is_none());
    };
    let user = romeo();
    let (answer, ()) = tokio::join!(deputy.ask(&user, request(Kind::Set)), answering);
    assert!(answer.unwrap().unwrap().is("pubsub", ns::PUBSUB));
    assert!(deputy.lacking().is_empty());
    assert!(deputy.state().open_of.is_empty());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_the_servers_are_nobodys() {
    let (deputy, _outbox) = deputy(granted());
    let forging = async {
        yield_now().await;
        let id = "spectrum-deputy-1";
        for from in ["romeo@localhost/orchard", "juliet@localhost", "localhost", "irc.localhost"] {
            assert!(deputy.answered(result(from, id, &inner(id, ""))).is_some(), "{from}");
        }
        assert!(deputy.answered(result("romeo@localhost", "spectrum-deputy-2", "")).is_some());
        assert!(deputy.answered(result("romeo@localhost", "another", "")).is_some());
    };
    let user = romeo();
    let (answer, ()) = tokio::join!(deputy.ask(&user, request(Kind::Get)), forging);
    assert_eq!(answer, Err(Refused::Silent));
    // What comes too late is nobody's either.
    let late = result("romeo@localhost", "spectrum-deputy-1", "");
    assert!(deputy.answered(late).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_is_none_and_refusals_are_told() {
    let id = "spectrum-deputy-1";
    let error = |condition| StanzaError::new(ErrorType::Cancel, condition, "en", "");
    let outer = |condition| Iq::Error {
        from: Some(romeo().into()),
        to: None,
        id: id.to_owned(),
        error: error(condition),
        payload: None,
    };
    let refused = format!(
        "<iq xmlns='jabber:client' type='error' id='{id}' from='romeo@localhost'><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    );
    let cases = [
        (
            outer(DefinedCondition::Forbidden),
            Refused::Error(DefinedCondition::Forbidden),
        ),
        (
            result("romeo@localhost", id, &refused),
            Refused::Error(DefinedCondition::ItemNotFound),
        ),
        (result("romeo@localhost", id, ""), Refused::Odd),
        (
            result("romeo@localhost", id, "<message xmlns='jabber:client'/>"),
            Refused::Odd,
        ),
        (result("romeo@localhost", id, &inner("other", "")), Refused::Odd),
        (
            result("romeo@localhost", id, &inner(id, " from='juliet@localhost'")),
            Refused::Odd,
        ),
        (
            iq(&format!(
                "<iq xmlns='jabber:client' type='result' from='romeo@localhost' id='{id}'/>"
            )),
            Refused::Odd,
        ),
        (
            iq(&format!(
                "<iq xmlns='jabber:client' type='set' from='romeo@localhost' id='{id}'><x xmlns='y'/></iq>"
            )),
            Refused::Odd,
        ),
    ];
    for (answer, expected) in cases {
        let (deputy, _outbox) = deputy(granted());
        let answering = async {
            yield_now().await;
            assert!(deputy.answered(answer).is_none());
        };
        let user = romeo();
        let (answer, ()) = tokio::join!(deputy.ask(&user, request(Kind::Get)), answering);
        assert_eq!(answer, Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_grant_nothing_is_asked_and_the_administrator_sees_it() {
    let old = Grants {
        version: Version::V1,
        ..granted().unwrap()
    };
    let half = Grants {
        requests: [(ns::PUBSUB.to_owned(), Access::Get)].into(),
        ..Grants::default()
    };
    for grants in [None, Some(Grants::default()), Some(old), Some(half)] {
        let (deputy, outbox) = deputy(grants);
        assert_eq!(deputy.ask(&romeo(), request(Kind::Set)).await, Err(Refused::NotGranted));
        assert!(outbox.is_empty());
        let lacking = deputy.lacking();
        assert_eq!(lacking.len(), 1);
        assert!(
            lacking[0].contains("localhost") && lacking[0].contains(ns::PUBSUB),
            "{lacking:?}"
        );
        deputy.keeper.granted("localhost", granted().unwrap());
        assert!(deputy.lacking().is_empty(), "what is granted later is not lacking any more");
    }
    let (deputy, _outbox) = deputy(granted());
    for n in 0..2 * MOST_LACKING {
        let stranger = BareJid::new(&format!("a@d{n}.example")).unwrap();
        assert!(!deputy.may(&stranger, Kind::Get, ns::PUBSUB));
    }
    assert_eq!(deputy.lacking().len(), MOST_LACKING);
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_and_end_with_the_link() {
    let (deputy, outbox) = deputy(granted());
    let ending = async {
        yield_now().await;
        assert_eq!(outbox.len(), MOST_OF_ONE);
        assert_eq!(deputy.ask(&romeo(), request(Kind::Get)).await, Err(Refused::Busy));
        deputy.link_down();
    };
    let user = romeo();
    let asking = (0..MOST_OF_ONE).map(|_| deputy.ask(&user, request(Kind::Get)));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), ending);
    assert!(answers.iter().all(|answer| *answer == Err(Refused::Lost)));
    outbox.set_up(false);
    assert_eq!(deputy.ask(&user, request(Kind::Get)).await, Err(Refused::Lost));
    assert!(deputy.state().open.is_empty() && deputy.state().open_of.is_empty());
}
