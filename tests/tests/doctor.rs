//! `spectrum-gateway doctor` in front of real Prosody: what it sees of a server that grants privileges and of one that does not,
//! while no instance runs and while one does, and of a link that does not come up.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;
use spectrum_tests::clients::Library;
use spectrum_tests::peers::{Component, Ngircd, Port, Prosody, Scratch, needed};
use spectrum_tests::programs::built;
use spectrum_tests::scene::{Gateway, Network, TRANSPORT, register};

const SECRET: &str = "doctor-secret";

async fn prosody(privileged: bool) -> Option<Prosody> {
    let component = Component {
        jid: TRANSPORT.into(),
        secret: SECRET.into(),
        privileged,
    };
    needed(Prosody::start(&[component]).await)
}

fn doctor(scratch: &Scratch, arguments: &[&str]) -> Output {
    Command::new(built("spectrum-gateway").unwrap())
        .args(["doctor", "./instance.toml"])
        .args(arguments)
        .current_dir(scratch.path())
        .output()
        .unwrap()
}

/// A configuration whose instance does not run.
fn stopped(jid: &str, port: u16, secret: &str) -> Scratch {
    let scratch = Scratch::new("doctor").unwrap();
    let text = format!(
        "mode = \"gateway\"\njid = \"{jid}\"\n[gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"{secret}\"\n\
         [storage]\nurl = \"sqlite://./spectrum.db\"\n[registration]\nallow = [\"localhost\"]\n[backend]\ncommand = [\"spectrum-irc\"]\n\
         [control]\nsocket = \"./control.sock\"\n"
    );
    std::fs::write(scratch.join("instance.toml"), text).unwrap();
    scratch
}

/// The verdict and the reason of a probe.
fn probe(diagnosis: &Value, name: &str) -> (String, String) {
    let probes = diagnosis["probes"].as_array().unwrap();
    let found = probes.iter().find(|probe| probe["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {diagnosis}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("verdict"), text("reason"))
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test]
async fn prosody_that_grants_lacks_what_it_lacks_and_no_more() {
    let Some(prosody) = prosody(true).await else { return };
    let scratch = stopped(TRANSPORT, prosody.component_port(), SECRET);
    let output = doctor(&scratch, &["--json"]);
    let found = json(&output);
    for (name, verdict, reason) in [
        ("link", "ok", "accepts irc.localhost"),
        ("server", "ok", "localhost is Prosody"),
        ("roster grant", "ok", "read and write (urn:xmpp:privilege:2)"),
        ("message grant", "ok", "urn:xmpp:privilege:2"),
        ("request grant", "ok", "http://jabber.org/protocol/pubsub"),
        ("upload", "missing", "lists no service that takes files"),
        ("archive", "unknown", "ask again while the instance runs"),
        ("sender check", "ok", "ends the link"),
    ] {
        let (was, why) = probe(&found, name);
        assert_eq!(was, verdict, "{name}: {why}");
        assert!(why.contains(reason), "{name}: {why}");
    }
    assert_eq!(output.status.code(), Some(1), "something is missing");
    let advice = found["advice"].as_array().unwrap();
    assert_eq!(advice.len(), 1);
    let text = advice[0]["text"].as_str().unwrap();
    assert!(text.contains("Component \"upload.localhost\" \"http_file_share\""), "{text}");
    assert!(!text.contains("privilege"), "{text}");
}

#[tokio::test]
async fn prosody_that_grants_nothing_is_told_how() {
    let Some(prosody) = prosody(false).await else { return };
    let scratch = stopped(TRANSPORT, prosody.component_port(), SECRET);
    let output = doctor(&scratch, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().any(|line| line.starts_with("missing  roster grant")), "{text}");
    let lines = "VirtualHost \"localhost\"\n    modules_enabled = { \"privilege\" }\n    privileged_entities = {\n        \
                 [\"irc.localhost\"] = { roster = \"both\"; message = \"outgoing\"; iq = { \
                 [\"http://jabber.org/protocol/pubsub\"] = \"both\"; [\"urn:xmpp:http:upload:0\"] = \"get\" } };\n    }\n\nComponent \"irc.localhost\"\n    \
                 modules_enabled = { \"privilege\" }\n";
    assert!(text.contains(lines), "{text}");
    assert!(!text.contains(SECRET) && !text.contains("ejabberd"), "{text}");
}

#[tokio::test]
async fn link_that_does_not_come_up_is_told_with_its_remedy() {
    let Some(prosody) = prosody(false).await else { return };
    let port = prosody.component_port();
    let nobody = Port::free().unwrap();
    for (jid, port, secret, reason) in [
        (TRANSPORT, port, "wrong", "does not accept the secret for irc.localhost"),
        ("unknown.localhost", port, SECRET, "has no component unknown.localhost"),
        (TRANSPORT, nobody.number(), SECRET, "is the server running"),
        (TRANSPORT, prosody.client_port(), SECRET, "127.0.0.1"),
    ] {
        let scratch = stopped(jid, port, secret);
        let output = doctor(&scratch, &["--json"]);
        let found = json(&output);
        let (verdict, why) = probe(&found, "link");
        assert_eq!((verdict.as_str(), output.status.code()), ("missing", Some(69)), "{why}");
        assert!(why.contains(reason), "{why}");
        let places: Vec<_> = found["advice"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["place"].as_str().unwrap())
            .collect();
        assert!(
            places[0].starts_with("Prosody") && places[1].starts_with("ejabberd"),
            "{places:?}"
        );
        let text = found["advice"][0]["text"].as_str().unwrap();
        assert!(
            text.contains(&format!("Component \"{jid}\"")) && !text.contains(secret),
            "{text}"
        );
    }
}

#[tokio::test]
async fn running_instance_is_asked_and_goes_on() {
    let Some(network) = needed(Ngircd::start().await) else {
        return;
    };
    let Some(gateway) = needed(Gateway::start(Network::Ngircd(network), true).await) else {
        return;
    };
    let Some(mut romeo) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut romeo).await;
    let output = doctor(gateway.instance.scratch(), &["--json"]);
    let found = json(&output);
    assert_eq!(probe(&found, "link").0, "ok");
    assert_eq!(probe(&found, "roster grant").0, "ok");
    // The account is seen because its owner has the transport in the roster; this Prosody has no archives.
    let (verdict, why) = probe(&found, "archive");
    assert_eq!(verdict, "missing", "{why}");
    assert_eq!(probe(&found, "sender check").0, "unknown");
    assert!(
        found["advice"][0]["text"]
            .as_str()
            .unwrap()
            .contains("modules_enabled = { \"mam\" }")
    );
    // The link is the one that was there.
    let again = romeo
        .request("get", TRANSPORT, "<query xmlns='http://jabber.org/protocol/disco#info'/>")
        .await;
    assert_eq!(again.attr("type"), Some("result"));
}
