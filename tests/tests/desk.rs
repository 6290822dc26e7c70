//! What people want of the transport itself, with slixmpp through a real Prosody: registration as a command (XEP-0050) and in a
//! chat, also where the network asks back; removal without ghosts; the verbs of administrators three ways, and nobody else's.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use minidom::Element;
use spectrum_tests::clients::{Account, Foreign, Library};
use spectrum_tests::peers::{Account as SystemAccount, Component, PeerError, Prosody, Scratch, needed};
use spectrum_tests::programs::{Instance, built};
use spectrum_tests::scene::{body, is_presence};
use spectrum_tests::xmpp::Encryption;

const TRANSPORT: &str = "demo.localhost";
const ADMIN: &str = "carol@localhost";
const COMMANDS: &str = "http://jabber.org/protocol/commands";
const FORMS: &str = "jabber:x:data";
const COUNT: &str = "http://jabber.org/protocol/admin#get-registered-users-num";

/// A gateway with the demo network.
struct Scene {
    instance: Instance,
    prosody: Prosody,
}

impl Scene {
    async fn start() -> Result<Self, PeerError> {
        let component = Component {
            jid: TRANSPORT.into(),
            secret: "demo-secret".into(),
            privileged: true,
        };
        let prosody = Prosody::start(&[component]).await?;
        let scratch = Scratch::new("desk")?;
        let configuration = format!(
            "mode = \"gateway\"\njid = \"{TRANSPORT}\"\nadmins = [\"{ADMIN}\"]\n\
             [gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"demo-secret\"\n\
             [storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\n\
             [backend]\ncommand = [\"{demo}\"]\n\
             [identity]\noutage_file = \"{folder}/outage.json\"\n\
             outage_addresses = [\"https://status.example.org/demo.json\"]\n\
             [log]\nfile = \"{folder}/instance.log\"\nlevel = \"debug\"\n[control]\nsocket = \"{folder}/control.sock\"\n",
            port = prosody.component_port(),
            folder = scratch.path().display(),
            demo = built("spectrum-demo")?.display(),
        );
        let instance = Instance::start("spectrum-gateway", scratch, &configuration)?;
        Ok(Self { instance, prosody })
    }

    /// A client that is online, once the transport knows its network.
    async fn client(&self, user: &str) -> Result<Foreign, PeerError> {
        let account = Account {
            jid: format!("{user}@localhost/tests"),
            password: format!("{user}-pw"),
            port: self.prosody.client_port(),
            encryption: Encryption::StartTls,
            authority: self.prosody.authority().to_owned(),
        };
        let mut client = Foreign::connect(Library::Slixmpp, &account).await?;
        let own = client.bare_jid().to_owned();
        client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
        client.send("<presence/>").await;
        for _ in 0..200 {
            let form = client.request("get", TRANSPORT, "<query xmlns='jabber:iq:register'/>").await;
            if form.attr("type") == Some("result") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(client)
    }
}

/// Calls a command and gives what it shows, which is no error.
async fn call(client: &mut Foreign, node: &str, session: Option<&str>, fields: &[(&str, &str)]) -> Element {
    let answer = try_call(client, node, session, fields).await;
    answer
        .get_child("command", COMMANDS)
        .unwrap_or_else(|| panic!("{node}: {answer:?}"))
        .clone()
}

async fn try_call(client: &mut Foreign, node: &str, session: Option<&str>, fields: &[(&str, &str)]) -> Element {
    let session = session.map_or_else(String::new, |id| format!(" sessionid='{id}'"));
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("<field var='{name}'><value>{value}</value></field>"))
        .collect();
    let form = if fields.is_empty() {
        String::new()
    } else {
        format!("<x xmlns='{FORMS}' type='submit'>{fields}</x>")
    };
    let command = format!("<command xmlns='{COMMANDS}' node='{node}'{session}>{form}</command>");
    client.request("set", TRANSPORT, &command).await
}

fn session(command: &Element) -> String {
    command.attr("sessionid").unwrap().to_owned()
}

fn status(command: &Element) -> &str {
    command.attr("status").unwrap_or_default()
}

/// The names of what a command asks.
fn asked(command: &Element) -> Vec<String> {
    let form = command
        .get_child("x", FORMS)
        .unwrap_or_else(|| panic!("no form: {command:?}"));
    form.children()
        .filter(|field| field.is("field", FORMS) && field.attr("type") != Some("hidden") && field.attr("type") != Some("fixed"))
        .filter_map(|field| field.attr("var").map(str::to_owned))
        .collect()
}

/// Writes to the transport and gives what it answers.
async fn talk(client: &mut Foreign, line: &str) -> String {
    client
        .send(&format!(
            "<message to='{TRANSPORT}' type='chat'><body>{line}</body></message>"
        ))
        .await;
    hear(client).await
}

async fn hear(client: &mut Foreign) -> String {
    let said = client
        .expect("the transport's words", |s| {
            s.name() == "message" && s.attr("from") == Some(TRANSPORT) && body(s).is_some()
        })
        .await;
    body(&said).unwrap()
}

async fn roster(client: &mut Foreign) -> Vec<String> {
    let own = client.bare_jid().to_owned();
    let roster = client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
    let items = roster.get_child("query", "jabber:iq:roster").map(Element::children);
    items
        .into_iter()
        .flatten()
        .filter_map(|item| item.attr("jid").map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_command_registers_asks_for_the_code_and_lets_go_without_a_ghost() {
    let Some(scene) = needed(Scene::start().await) else { return };
    let Some(mut alice) = needed(scene.client("alice").await) else {
        return;
    };
    // What is listed is what can be asked about and run.
    let list = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>");
    let list = alice.request("get", TRANSPORT, &list).await;
    let nodes: Vec<String> = list
        .children()
        .flat_map(Element::children)
        .filter_map(|item| item.attr("node").map(str::to_owned))
        .collect();
    assert!(
        nodes.iter().any(|node| node == "jabber:iq:register") && !nodes.iter().any(|node| node == COUNT),
        "{nodes:?}"
    );
    for node in &nodes {
        let info = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
        let info = alice.request("get", TRANSPORT, &info).await;
        assert_eq!(info.attr("type"), Some("result"), "{node}: {info:?}");
    }
    let form = call(&mut alice, "jabber:iq:register", None, &[]).await;
    assert_eq!(
        (status(&form), asked(&form)),
        ("executing", vec!["username".to_owned(), "password".to_owned()])
    );
    let id = session(&form);
    let account = [("username", "code-alice"), ("password", "any")];
    let form = call(&mut alice, "jabber:iq:register", Some(&id), &account).await;
    let code = asked(&form);
    assert_eq!((status(&form), code.len()), ("executing", 1), "{form:?}");
    let done = call(&mut alice, "jabber:iq:register", Some(&id), &[(&code[0], "314159")]).await;
    assert_eq!(status(&done), "completed", "{done:?}");
    alice.expect("the transport", |s| is_presence(s, TRANSPORT, None)).await;
    alice
        .expect("contacts in the roster", |s| {
            s.name() == "iq"
                && s.children()
                    .flat_map(Element::children)
                    .any(|i| i.attr("jid").is_some_and(|j| j.ends_with("@demo.localhost")))
        })
        .await;
    // It was a login of its own: a second time needs nothing to be asked.
    let again = call(&mut alice, "login", None, &[]).await;
    assert_eq!(status(&again), "completed", "{again:?}");
    let sure = call(&mut alice, "unregister", None, &[]).await;
    let id = session(&sure);
    let gone = call(&mut alice, "unregister", Some(&id), &[("confirm", "true")]).await;
    assert_eq!(status(&gone), "completed", "{gone:?}");
    alice
        .expect("the transport going", |s| is_presence(s, TRANSPORT, Some("unavailable")))
        .await;
    for _ in 0..100 {
        if roster(&mut alice).await.iter().all(|jid| !jid.ends_with(TRANSPORT)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("ghosts: {:?}", roster(&mut alice).await);
}

#[tokio::test]
async fn a_chat_registers_and_asks_what_the_network_asks() {
    let Some(scene) = needed(Scene::start().await) else { return };
    let Some(mut bob) = needed(scene.client("bob").await) else {
        return;
    };
    assert!(talk(&mut bob, "help").await.contains("register: "));
    assert!(talk(&mut bob, "dance").await.contains("help"));
    assert!(talk(&mut bob, "login").await.contains("not registered"));
    let question = talk(&mut bob, "register").await;
    assert!(!question.contains("chats are kept"), "{question}");
    // The secret comes last, with a warning.
    let question = talk(&mut bob, "captcha-bob").await;
    assert!(question.contains("chats are kept"), "{question}");
    let begun = talk(&mut bob, "any").await;
    assert!(begun.contains("You are registered."), "{begun}");
    let mut shown = hear(&mut bob).await;
    let digits = shown.split("digits ").nth(1).unwrap().trim_end_matches('.').to_owned();
    assert!(!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()), "{shown}");
    shown = hear(&mut bob).await;
    assert!(shown.contains("Digits"), "{shown}");
    bob.send(&format!(
        "<message to='{TRANSPORT}' type='chat'><body>{digits}</body></message>"
    ))
    .await;
    bob.expect("the transport", |s| is_presence(s, TRANSPORT, None)).await;
    let said = hear(&mut bob).await;
    assert!(said.contains("You are logged in to"), "{said}");
    assert!(talk(&mut bob, "status").await.contains("captcha-bob"));
}

#[tokio::test]
async fn administrators_have_three_ways_and_nobody_else_has_one() {
    let Some(scene) = needed(Scene::start().await) else { return };
    let Some(mut carol) = needed(scene.client("carol").await) else {
        return;
    };
    let Some(mut bob) = needed(scene.client("bob").await) else {
        return;
    };
    let added = call(&mut carol, "http://jabber.org/protocol/admin#add-user", None, &[]).await;
    let id = session(&added);
    let fields = [("accountjid", "bob@localhost"), ("username", "bob"), ("password", "any")];
    let added = call(&mut carol, "http://jabber.org/protocol/admin#add-user", Some(&id), &fields).await;
    assert_eq!(status(&added), "completed", "{added:?}");
    let counted = call(&mut carol, COUNT, None, &[]).await;
    let number = counted
        .get_child("x", FORMS)
        .and_then(|x| x.children().find(|field| field.attr("var") == Some("registeredusersnum")))
        .and_then(|field| field.get_child("value", FORMS))
        .map(Element::text);
    assert_eq!(number.as_deref(), Some("1"), "{counted:?}");
    assert_eq!(talk(&mut carol, "registered_users_count").await, "1");
    assert_eq!(
        talk(&mut carol, "messages bob@localhost").await,
        "There is no message that anything is known of."
    );
    assert_eq!(
        talk(&mut carol, "messages nobody@localhost").await,
        "Error: nobody@localhost: no such user"
    );
    assert_eq!(talk(&mut carol, "waiting_messages").await, "No message waits.");
    let file = scene.instance.scratch().join("instance.toml");
    let told = SystemAccount::own()
        .command(built("spectrum-gateway").unwrap())
        .arg("admin")
        .arg(&file)
        .arg("registered_users_count")
        .output()
        .unwrap();
    assert_eq!(
        (told.status.success(), String::from_utf8_lossy(&told.stdout).trim()),
        (true, "1"),
        "{told:?}"
    );
    let refused = try_call(&mut bob, COUNT, None, &[]).await;
    let error = refused.get_child("error", "jabber:client").unwrap();
    assert!(
        error.has_child("forbidden", "urn:ietf:params:xml:ns:xmpp-stanzas"),
        "{refused:?}"
    );
    assert!(talk(&mut bob, "registered_users_count").await.contains("I do not understand"));
    assert!(!talk(&mut bob, "help").await.contains("administrators"));
}

/// Everything a command says, as text.
fn words(command: &Element) -> String {
    String::from(command)
}

#[tokio::test]
async fn every_way_in_can_be_gone_by_command_and_accounts_change_without_ghosts() {
    const NODE: &str = "jabber:iq:register";
    let Some(scene) = needed(Scene::start().await) else { return };
    let Some(mut alice) = needed(scene.client("alice").await) else {
        return;
    };
    // A picture, then the digits it shows. A wrong answer can be mended on the spot.
    let id = session(&call(&mut alice, NODE, None, &[]).await);
    for digits in [Some("0"), None] {
        let account = [("username", "captcha-alice"), ("password", "any")];
        let shown = call(&mut alice, NODE, Some(&id), &account).await;
        assert_eq!(status(&shown), "executing", "{shown:?}");
        let text = words(&shown);
        let shown_digits: String = text
            .split("the digits ")
            .nth(1)
            .unwrap()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let form = call(&mut alice, NODE, Some(&id), &[]).await;
        let field = asked(&form);
        let digits = digits.unwrap_or(&shown_digits);
        let end = call(&mut alice, NODE, Some(&id), &[(&field[0], digits)]).await;
        if digits == "0" {
            assert_eq!((status(&end), asked(&end).len()), ("executing", 2), "{end:?}");
            assert!(words(&end).contains("Those are not the digits."), "{end:?}");
        } else {
            assert_eq!(status(&end), "completed", "{end:?}");
        }
    }
    // Another account takes the place of the first: a QR code that counts as scanned in a moment.
    let id = session(&call(&mut alice, NODE, None, &[]).await);
    let account = [("username", "qr-alice"), ("password", "any")];
    let shown = call(&mut alice, NODE, Some(&id), &account).await;
    assert!(words(&shown).contains("Scan this code"), "{shown:?}");
    let done = call(&mut alice, NODE, Some(&id), &[]).await;
    assert_eq!(status(&done), "completed", "{done:?}");
    // A link, and a question whether it was followed. Who gives up there is not logged in, and stays registered.
    for gives_up in [true, false] {
        let id = session(&call(&mut alice, NODE, None, &[]).await);
        let account = [("username", "link-alice"), ("password", "any")];
        let shown = call(&mut alice, NODE, Some(&id), &account).await;
        assert!(words(&shown).contains("https://example.org/"), "{shown:?}");
        let form = call(&mut alice, NODE, Some(&id), &[]).await;
        let field = asked(&form);
        if gives_up {
            let cancel = format!("<command xmlns='{COMMANDS}' node='{NODE}' sessionid='{id}' action='cancel'/>");
            let end = alice.request("set", TRANSPORT, &cancel).await;
            assert_eq!(status(end.get_child("command", COMMANDS).unwrap()), "canceled");
        } else {
            let end = call(&mut alice, NODE, Some(&id), &[(&field[0], "true")]).await;
            assert_eq!(status(&end), "completed", "{end:?}");
        }
    }
    // The chat has told of the login that failed; here only the last word counts.
    alice
        .send(&format!(
            "<message to='{TRANSPORT}' type='chat'><body>status</body></message>"
        ))
        .await;
    let is_status = |s: &Element| body(s).is_some_and(|text| text.starts_with("You are registered with"));
    let told = body(&alice.expect("the status", is_status).await).unwrap();
    assert!(told.contains(" as link-alice. State: online."), "{told}");
    // The transport is in the roster once, and nobody twice.
    let mut roster = roster(&mut alice).await;
    let all = roster.len();
    roster.sort();
    roster.dedup();
    assert_eq!(roster.len(), all);
    assert!(roster.iter().any(|jid| jid == TRANSPORT), "{roster:?}");
}

#[tokio::test]
async fn an_outage_is_told_to_everybody_online_and_kept_for_a_web_server() {
    let Some(scene) = needed(Scene::start().await) else { return };
    let Some(mut carol) = needed(scene.client("carol").await) else {
        return;
    };
    let Some(mut alice) = needed(scene.client("alice").await) else {
        return;
    };
    let id = session(&call(&mut alice, "jabber:iq:register", None, &[]).await);
    let account = [("username", "alice"), ("password", "any")];
    let done = call(&mut alice, "jabber:iq:register", Some(&id), &account).await;
    assert_eq!(status(&done), "completed", "{done:?}");
    assert_eq!(
        talk(&mut carol, "outage tomorrow - The network moves.").await,
        "Error: tomorrow is no date and time, such as 2027-01-31T22:00:00Z"
    );
    assert_eq!(
        talk(&mut carol, "outage now - The network moves.").await,
        "Noted; 1 users were told"
    );
    alice
        .expect("the outage", |s| {
            s.attr("type") == Some("headline") && body(s).is_some_and(|text| text.contains("The network moves."))
        })
        .await;
    let file = scene.instance.scratch().join("outage.json");
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (&told["planned"], &told["message"]["default"]),
        (&false.into(), &"The network moves.".into())
    );
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let info = alice.request("get", TRANSPORT, info).await;
    assert!(
        String::from(&info).contains("https://status.example.org/demo.json"),
        "{info:?}"
    );
    assert_eq!(talk(&mut carol, "outage_over").await, "Noted; 1 users were told");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
}
