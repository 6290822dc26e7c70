//! `doap.xml` says what of XMPP is there; service discovery tells it to clients. Both are compared here, in both directions and in
//! both modes, with the real programs in front of a network that can do everything.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use minidom::Element;
use spectrum_tests::play::{GatewayStage, Mode, Person, ServerStage, Stage, native_demo};

const INFO: &str = "http://jabber.org/protocol/disco#info";
const DOAP: &str = "https://linkmauve.fr/ns/xmpp-doap#";

/// Which specification a feature is from. One that ends in `*` stands for all that begin so.
const FEATURES: &[(&str, &str)] = &[
    ("jabber:x:data", "0004"),
    ("jabber:iq:last", "0012"),
    (INFO, "0030"),
    ("http://jabber.org/protocol/disco#items", "0030"),
    ("http://jabber.org/protocol/muc#self-ping-optimization", "0410"),
    ("http://jabber.org/protocol/muc*", "0045"),
    ("muc_*", "0045"),
    ("http://jabber.org/protocol/commands", "0050"),
    ("vcard-temp", "0054"),
    ("jabber:iq:search", "0055"),
    ("jabber:x:oob", "0066"),
    ("http://jabber.org/protocol/xhtml-im", "0071"),
    ("jabber:iq:register", "0077"),
    ("http://jabber.org/protocol/chatstates", "0085"),
    ("jabber:iq:version", "0092"),
    ("jabber:iq:gateway", "0100"),
    ("urn:xmpp:receipts", "0184"),
    ("urn:xmpp:ping", "0199"),
    ("urn:xmpp:time", "0202"),
    ("urn:xmpp:attention:0", "0224"),
    ("urn:xmpp:carbons:2", "0280"),
    ("urn:xmpp:message-correct:0", "0308"),
    ("urn:xmpp:mam:2*", "0313"),
    ("urn:xmpp:chat-markers:0", "0333"),
    ("urn:xmpp:sid:0", "0359"),
    ("urn:xmpp:occupant-id:0", "0421"),
    ("urn:xmpp:message-retract:1*", "0424"),
    ("urn:xmpp:message-moderate:1", "0425"),
    ("urn:xmpp:reactions:0", "0444"),
    ("urn:xmpp:sfs:0", "0447"),
    ("urn:xmpp:reply:0", "0461"),
];

/// What a feature of RFC 6121 is announced as.
const RFC: &[&str] = &["jabber:iq:roster"];

/// What is there and has no feature of its own in what the transport, its contacts, its rooms or an account announce; 0071 has
/// one, which only backends for networks with markup bring.
const WITHOUT_A_FEATURE: &[&str] = &[
    "0059", "0071", "0106", "0114", "0115", "0122", "0128", "0133", "0153", "0157", "0172", "0203", "0221", "0231", "0249",
    "0297", "0334", "0352", "0356", "0368", "0402", "0428", "0446", "0455", "0490",
];

fn doap() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../doap.xml");
    let text = std::fs::read_to_string(file).unwrap();
    let root: Element = text.parse().unwrap();
    let project = root.children().next().unwrap();
    let supported = project
        .children()
        .filter(|child| child.name() == "implements")
        .filter_map(|child| child.get_child("SupportedXep", DOAP));
    let number = |xep: &Element| {
        let link = xep.get_child("xep", DOAP).unwrap();
        let (_, resource) = link.attrs().iter().next().unwrap();
        let number = resource.strip_prefix("https://xmpp.org/extensions/xep-").unwrap();
        number.strip_suffix(".html").unwrap().to_owned()
    };
    supported
        .map(|xep| (number(xep), xep.get_child("version", DOAP).unwrap().text()))
        .collect()
}

fn xep_of(feature: &str) -> Option<&'static str> {
    let is_it = |known: &str| match known.strip_suffix('*') {
        Some(beginning) => feature.starts_with(beginning),
        None => feature == known,
    };
    FEATURES.iter().find(|(known, _)| is_it(known)).map(|(_, xep)| *xep)
}

async fn features(person: &mut dyn Person, of: &str) -> BTreeSet<String> {
    let id = format!("features of {of}");
    person
        .send(&format!("<iq to='{of}' type='get' id='{id}'><query xmlns='{INFO}'/></iq>"))
        .await
        .unwrap();
    let answer = loop {
        let stanza = person.receive().await.unwrap();
        if stanza.name() == "iq" && stanza.attr("id") == Some(&id) {
            break stanza;
        }
    };
    let query = answer.get_child("query", INFO).unwrap_or_else(|| panic!("{of}: {answer:?}"));
    let features = query.children().filter(|child| child.name() == "feature");
    features.map(|feature| feature.attr("var").unwrap().to_owned()).collect()
}

/// All that one mode announces, wherever.
async fn announced(stage: &mut dyn Stage) -> BTreeSet<String> {
    let transport = stage.transport().to_owned();
    let mut person = stage.connect("romeo", "orchard", true).await.unwrap();
    let mut places = vec![transport.clone(), format!("ada@{transport}"), format!("council@{transport}")];
    if stage.mode() == Mode::Server {
        places.push(person.jid().split('/').next().unwrap().to_owned());
    }
    let mut all = BTreeSet::new();
    for place in places {
        let found = features(&mut *person, &place).await;
        assert!(found.contains(INFO), "{place}: {found:?}");
        all.extend(found);
    }
    person.leave().await.unwrap();
    all
}

#[tokio::test]
async fn what_is_announced_is_in_the_doap_file_and_the_other_way_round() {
    let backend = native_demo().unwrap();
    let mut all = announced(&mut GatewayStage::with_backend(&backend).await.unwrap()).await;
    all.extend(announced(&mut ServerStage::with_backend(&backend).await.unwrap()).await);
    let said: BTreeSet<String> = doap().into_iter().map(|(number, _)| number).collect();
    let mut shown = BTreeSet::new();
    for feature in all.iter().filter(|feature| !RFC.contains(&feature.as_str())) {
        let xep = xep_of(feature).unwrap_or_else(|| panic!("{feature} is announced, and nobody knows what it is"));
        assert!(said.contains(xep), "{feature} is announced, and doap.xml lacks XEP-{xep}");
        shown.insert(xep);
    }
    for xep in &said {
        let silent = WITHOUT_A_FEATURE.contains(&xep.as_str());
        assert_ne!(
            shown.contains(xep.as_str()),
            silent,
            "XEP-{xep}: announced, or to be announced: {all:?}"
        );
    }
    for silent in WITHOUT_A_FEATURE {
        assert!(said.contains(*silent), "doap.xml lacks XEP-{silent}");
    }
}

#[test]
fn every_specification_has_its_version_once() {
    let entries = doap();
    let numbers: BTreeSet<_> = entries.iter().map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), entries.len());
    for (number, version) in &entries {
        let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        assert!(
            version.split('.').all(is_number) && version.contains('.'),
            "XEP-{number}: {version:?}"
        );
    }
}

/// Names of functions in the Rust files of a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            functions(&entry, names);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&entry).unwrap();
            let after = text.split("fn ").skip(1);
            names.extend(after.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()));
        }
    }
}

#[test]
fn every_test_that_the_list_of_features_names_is_there() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for part in [
        "spectrum-core/src",
        "spectrum-gateway/src",
        "spectrum-server/src",
        "tests/tests",
    ] {
        functions(&workspace.join(part), &mut names);
    }
    let text = std::fs::read_to_string(workspace.join("docs/features.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| |"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 40);
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let tests: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        assert_eq!(tests.is_empty(), row[1] == "not yet", "{row:?}");
        for test in tests {
            assert!(names.contains(test), "{test} is gone: {row:?}");
        }
    }
}
