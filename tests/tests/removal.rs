//! Who leaves the transport leaves nothing of it behind: rosters as a real Prosody keeps them and as slixmpp reads them, with its
//! privilege (XEP-0356) and without, by the user's own request (XEP-0077) and by an administrator's.

#![allow(clippy::unwrap_used)]

use std::process::Output;
use std::time::Duration;

use minidom::Element;
use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::peers::{Account as SystemAccount, Component, PeerError, Prosody, Scratch, needed};
use spectrum_tests::programs::{Instance, built};
use spectrum_tests::scene::is_presence;
use spectrum_tests::xmpp::Encryption;

const TRANSPORT: &str = "demo.localhost";
const REMOVE: &str = "<query xmlns='jabber:iq:register'><remove/></query>";
const ROSTERX: &str = "http://jabber.org/protocol/rosterx";

/// A gateway with the demo network, whose people are real contacts.
struct Scene {
    instance: Instance,
    prosody: Prosody,
}

/// An item of a roster: whom it is of, who sees whom, and what is still asked.
type Item = (String, Option<String>, Option<String>);

impl Scene {
    async fn start(privileged: bool) -> Result<Self, PeerError> {
        let component = Component {
            jid: TRANSPORT.into(),
            secret: "demo-secret".into(),
            privileged,
        };
        let prosody = Prosody::start(&[component]).await?;
        let scratch = Scratch::new("removal")?;
        let configuration = format!(
            "mode = \"gateway\"\njid = \"{TRANSPORT}\"\n\
             [gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"demo-secret\"\n\
             [storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\n\
             [backend]\ncommand = [\"{demo}\"]\n\
             [log]\nfile = \"{folder}/instance.log\"\nlevel = \"debug\"\n[control]\nsocket = \"{folder}/control.sock\"\n",
            port = prosody.component_port(),
            folder = scratch.path().display(),
            demo = built("spectrum-demo")?.display(),
        );
        let instance = Instance::start("spectrum-gateway", scratch, &configuration)?;
        Ok(Self { instance, prosody })
    }

    async fn client(&self, resource: &str) -> Foreign {
        let account = Account {
            jid: format!("alice@localhost/{resource}"),
            password: "alice-pw".to_owned(),
            port: self.prosody.client_port(),
            encryption: Encryption::StartTls,
            authority: self.prosody.authority().to_owned(),
        };
        let mut client = Foreign::connect(Library::Slixmpp, &account).await.unwrap();
        items(&mut client).await;
        client.send("<presence/>").await;
        client
    }

    /// Registers, and accepts whatever is asked until everybody is in the roster and sees everybody.
    async fn registered(&self) -> Foreign {
        let mut alice = self.client("one").await;
        let register = "<query xmlns='jabber:iq:register'><username>alice</username><password>any</password></query>";
        for _ in 0..200 {
            let answer = alice.request("set", TRANSPORT, register).await;
            if answer.attr("type") == Some("result") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Without the privilege requests begin after ten seconds, one after the other.
        for _ in 0..60 {
            for stanza in alice.within(Duration::from_millis(500)).await {
                if stanza.name() == "presence" && stanza.attr("type") == Some("subscribe") {
                    let from = stanza.attr("from").unwrap();
                    alice.send(&format!("<presence to='{from}' type='subscribed'/>")).await;
                    alice.send(&format!("<presence to='{from}' type='subscribe'/>")).await;
                }
            }
            let items = items(&mut alice).await;
            let complete = |(_, subscription, _): &Item| subscription.as_deref() == Some("both");
            let contacts = items.iter().filter(|(jid, ..)| jid.ends_with("@demo.localhost")).count();
            if contacts >= 2 && items.iter().any(|(jid, ..)| jid == TRANSPORT) && items.iter().all(complete) {
                return alice;
            }
        }
        panic!("not everybody came into the roster: {:?}", items(&mut alice).await);
    }

    /// `spectrum-gateway unregister`, as an administrator runs it.
    async fn unregister(&self) -> Output {
        let mut command = SystemAccount::own().command(built("spectrum-gateway").unwrap());
        command
            .args(["unregister", "--config"])
            .arg(self.instance.scratch().join("instance.toml"))
            .arg("alice@localhost");
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// What a client that was not there during the removal finds, and what it is asked.
    async fn nothing_is_left(&self, allowed: impl Fn(&Item) -> bool) {
        let mut later = self.client("later").await;
        let heard = later.within(Duration::from_secs(2)).await;
        let from_us = |s: &&Element| s.attr("from").is_some_and(|from| from.contains(TRANSPORT));
        assert_eq!(heard.iter().filter(from_us).collect::<Vec<_>>(), Vec::<&Element>::new());
        let items = items(&mut later).await;
        assert!(items.iter().all(allowed), "{items:?}");
        later.close().await;
    }
}

/// What the roster holds of the transport.
async fn items(client: &mut Foreign) -> Vec<Item> {
    let own = client.bare_jid().to_owned();
    let roster = client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
    let items = roster.get_child("query", "jabber:iq:roster").map(Element::children);
    let text = |item: &Element, name: &str| item.attr(name).map(str::to_owned);
    items
        .into_iter()
        .flatten()
        .filter(|item| item.attr("jid").is_some_and(|jid| jid.ends_with(TRANSPORT)))
        .map(|item| (text(item, "jid").unwrap(), text(item, "subscription"), text(item, "ask")))
        .collect()
}

/// Waits until the roster is like this.
async fn until(client: &mut Foreign, fits: impl Fn(&[Item]) -> bool) {
    for _ in 0..100 {
        let items = items(client).await;
        if fits(&items) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("left behind: {:?}", items(client).await);
}

#[tokio::test]
async fn who_leaves_has_no_ghost_where_the_server_lets_us_change_rosters() {
    let Some(scene) = needed(Scene::start(true).await) else {
        return;
    };
    let mut alice = scene.registered().await;
    let removed = alice.request("set", TRANSPORT, REMOVE).await;
    assert_eq!(removed.attr("type"), Some("result"), "{removed:?}");
    until(&mut alice, <[Item]>::is_empty).await;
    alice.close().await;
    scene.nothing_is_left(|_| false).await;
    // The same by the administrator.
    let mut alice = scene.registered().await;
    let output = scene.unregister().await;
    assert!(output.status.success(), "{output:?}");
    alice
        .expect("the transport going", |s| is_presence(s, TRANSPORT, Some("unavailable")))
        .await;
    until(&mut alice, <[Item]>::is_empty).await;
    alice.close().await;
    scene.nothing_is_left(|_| false).await;
}

#[tokio::test]
async fn who_leaves_has_no_subscription_where_the_server_grants_nothing() {
    let Some(scene) = needed(Scene::start(false).await) else {
        return;
    };
    let nobody_sees = |(_, subscription, ask): &Item| subscription.as_deref() == Some("none") && ask.is_none();
    for by_administrator in [false, true] {
        let mut alice = scene.registered().await;
        if by_administrator {
            let output = scene.unregister().await;
            assert!(output.status.success(), "{output:?}");
        } else {
            let removed = alice.request("set", TRANSPORT, REMOVE).await;
            assert_eq!(removed.attr("type"), Some("result"), "{removed:?}");
        }
        // The server keeps the items for the client to remove. One that follows suggestions (XEP-0144) is told which.
        let suggested = alice.expect("what to delete", |s| s.get_child("x", ROSTERX).is_some()).await;
        let x = suggested.get_child("x", ROSTERX).unwrap();
        let mut suggested: Vec<String> = x.children().map(|item| item.attr("jid").unwrap().to_owned()).collect();
        suggested.sort();
        until(&mut alice, |items| items.iter().all(nobody_sees)).await;
        scene.nothing_is_left(nobody_sees).await;
        let mut kept: Vec<String> = items(&mut alice).await.into_iter().map(|(jid, ..)| jid).collect();
        kept.sort();
        assert_eq!(suggested, kept);
        let own = alice.bare_jid().to_owned();
        for jid in suggested {
            let item = format!("<query xmlns='jabber:iq:roster'><item jid='{jid}' subscription='remove'/></query>");
            let answer = alice.request("set", &own, &item).await;
            assert_eq!(answer.attr("type"), Some("result"), "{answer:?}");
        }
        alice.close().await;
        // Nothing comes back, nor is anybody asked for anew.
        scene.nothing_is_left(|_| false).await;
    }
}
