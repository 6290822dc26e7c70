//! Scenes: an instance of either mode in front of a real network, IRC or another XMPP server, and the people around it.

use std::path::PathBuf;
use std::time::Duration;

use minidom::Element;

use crate::Outcome;
use crate::clients::{Account, Foreign, Library};
use crate::irc::Irc;
use crate::peers::{
    Account as SystemAccount, Certificates, Component, Inspircd, NETWORK_DOMAIN, Ngircd, PeerError, Port, Prosody, Relay, Scratch,
};
use crate::programs::{Instance, built};
use crate::xmpp::Encryption;

/// The transport's JID in every scene.
pub const TRANSPORT: &str = "irc.localhost";
/// The channel in every scene.
pub const ROOM: &str = "#tests@irc.localhost";
/// The channel as IRC calls it.
pub const CHANNEL: &str = "#tests";
/// The user's name on the IRC network, an account of [`Inspircd`].
pub const NICK: &str = "alice";
/// Its password there.
pub const PASSWORD: &str = "alice-pw";

const SECRET: &str = "irc-secret";
const MUC: &str = "http://jabber.org/protocol/muc";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";

/// Which server is the network.
#[derive(Debug)]
pub enum Network {
    /// Without accounts.
    Ngircd(Ngircd),
    /// With accounts and SASL; reached with TLS.
    Inspircd(Inspircd),
    /// Without accounts, as one of the networks that a transport may connect to: nobody has to register.
    OneOfSeveral(Ngircd),
    /// Another XMPP server ([`Prosody::network`]), behind a relay that can cut connections.
    Xmpp(Box<Prosody>, Relay),
}

impl Network {
    /// Where people connect in plain text.
    pub fn port(&self) -> u16 {
        match self {
            Self::Ngircd(server) | Self::OneOfSeveral(server) => server.port(),
            Self::Inspircd(server) => server.port(),
            Self::Xmpp(server, _) => server.client_port(),
        }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        match self {
            Self::Ngircd(server) | Self::OneOfSeveral(server) => server.stop(),
            Self::Inspircd(server) => server.stop(),
            Self::Xmpp(server, _) => server.stop(),
        }
    }

    /// Starts it again on the same ports.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> Result<(), PeerError> {
        match self {
            Self::Ngircd(server) | Self::OneOfSeveral(server) => server.restart().await,
            Self::Inspircd(server) => server.restart().await,
            Self::Xmpp(server, _) => server.restart().await,
        }
    }

    fn backend(&self) -> &'static str {
        match self {
            Self::Ngircd(_) | Self::Inspircd(_) | Self::OneOfSeveral(_) => "spectrum-irc",
            Self::Xmpp(..) => "spectrum-xmpp",
        }
    }

    /// The options of the backend for it.
    fn options(&self) -> String {
        match self {
            Self::Ngircd(server) => format!(
                "server = \"127.0.0.1:{}\"\ntls = false\nmax_messages_per_second = 1000\n",
                server.port()
            ),
            Self::OneOfSeveral(server) => format!(
                "networks = [\"127.0.0.1:{}\", \"irc.example.invalid:6667\"]\ntls = false\nmax_messages_per_second = 1000\n",
                server.port()
            ),
            // Its authority is no public one.
            Self::Inspircd(server) => {
                format!(
                    "server = \"127.0.0.1:{}\"\ntls = true\ntls_verify = false\nsasl = true\nmax_messages_per_second = 1000\n",
                    server.tls_port()
                )
            }
            Self::Xmpp(_, relay) => format!(
                "server = \"127.0.0.1:{}\"\ndomains = [\"{NETWORK_DOMAIN}\"]\ntls_verify = false\n",
                relay.port()
            ),
        }
    }
}

/// The part of a configuration that both modes share.
fn common(network: &Network, scratch: &Scratch) -> Outcome<String> {
    Ok(format!(
        "[backend]\ncommand = [\"{backend}\"]\n[backend.options]\n{options}\
         [log]\nfile = \"{log}\"\nlevel = \"debug\"\n[control]\nsocket = \"{socket}\"\n",
        backend = built(network.backend())?.display(),
        options = network.options(),
        log = scratch.text("instance.log"),
        socket = scratch.text("control.sock"),
    ))
}

/// A gateway behind Prosody.
#[derive(Debug)]
pub struct Gateway {
    /// The gateway.
    pub instance: Instance,
    /// The users' server.
    pub prosody: Prosody,
    /// Behind it.
    pub network: Network,
}

impl Gateway {
    /// Starts all of it. With `privileged` the gateway may manage rosters (XEP-0356).
    ///
    /// # Errors
    /// If a peer is missing, or something does not come up.
    pub async fn start(network: Network, privileged: bool) -> Result<Self, PeerError> {
        let component = Component {
            jid: TRANSPORT.into(),
            secret: SECRET.into(),
            privileged,
        };
        let prosody = Prosody::start(&[component]).await?;
        let scratch = Scratch::new("gateway")?;
        let configuration = format!(
            "mode = \"gateway\"\njid = \"{TRANSPORT}\"\n\
             [gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"{SECRET}\"\n\
             [storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\n{common}",
            port = prosody.component_port(),
            folder = scratch.path().display(),
            common = common(&network, &scratch)?,
        );
        let instance = Instance::start("spectrum-gateway", scratch, &configuration)?;
        Ok(Self {
            instance,
            prosody,
            network,
        })
    }

    /// Logs `user` of Prosody in with a real client, and shows nothing yet.
    ///
    /// # Errors
    /// If the client is missing, or cannot log in.
    pub async fn client(&self, library: Library, user: &str) -> Result<Foreign, PeerError> {
        let account = Account {
            jid: format!("{user}@localhost/tests"),
            password: format!("{user}-pw"),
            port: self.prosody.client_port(),
            encryption: Encryption::StartTls,
            authority: self.prosody.authority().to_owned(),
        };
        Foreign::connect(library, &account).await
    }
}

/// A server without anything in front of it.
#[derive(Debug)]
pub struct Server {
    /// The server.
    pub instance: Instance,
    /// Behind it.
    pub network: Network,
    start_tls: Port,
    direct: Port,
    authority: PathBuf,
}

impl Server {
    /// Starts all of it. Users leave the network one second after their last client.
    ///
    /// # Errors
    /// If something does not come up.
    pub async fn start(network: Network) -> Result<Self, PeerError> {
        let scratch = Scratch::new("server")?;
        let (start_tls, direct) = (Port::free()?, Port::free()?);
        let certificates = Certificates::make(&scratch.join("tls"), &SystemAccount::own(), &[TRANSPORT])?;
        let configuration = format!(
            "mode = \"server\"\njid = \"{TRANSPORT}\"\n\
             [server]\nlisten = [\"127.0.0.1:{start_tls}\"]\nlisten_tls = [\"127.0.0.1:{direct}\"]\nlinger = \"1s\"\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\n[storage]\nurl = \"none\"\n{common}",
            certificate = certificates.certificate.display(),
            key = certificates.key.display(),
            common = common(&network, &scratch)?,
        );
        let mut instance = Instance::start("spectrum-server", scratch, &configuration)?;
        let port = start_tls.number();
        instance
            .process()
            .ready("clients", async || {
                crate::xmpp::greets(port, "jabber:client", TRANSPORT).await
            })
            .await?;
        Ok(Self {
            instance,
            network,
            start_tls,
            direct,
            authority: certificates.authority,
        })
    }

    /// How a client of [`NICK`] logs in.
    pub fn account(&self, resource: &str, encryption: Encryption) -> Account {
        Account {
            jid: format!("{NICK}@{TRANSPORT}/{resource}"),
            password: PASSWORD.into(),
            port: match encryption {
                Encryption::StartTls => self.start_tls.number(),
                Encryption::Direct => self.direct.number(),
            },
            encryption,
            authority: self.authority.clone(),
        }
    }
}

/// Registers a client's user with the gateway by the form it is offered (XEP-0077), subscribes both ways, and waits until
/// the transport is there.
pub async fn register(client: &mut Foreign) {
    let ask = "<query xmlns='jabber:iq:register'/>";
    let mut offered = client.request("get", TRANSPORT, ask).await;
    // Until the first backend is up, nobody knows what a registration needs.
    let wait = |s: &Element| {
        s.get_child("error", "jabber:client")
            .is_some_and(|error| error.attr("type") == Some("wait"))
    };
    for _ in 0..200 {
        if !wait(&offered) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        offered = client.request("get", TRANSPORT, ask).await;
    }
    let form = offered
        .get_child("query", "jabber:iq:register")
        .unwrap_or_else(|| panic!("no form: {offered:?}"));
    assert!(
        form.has_child("username", "jabber:iq:register") && form.has_child("password", "jabber:iq:register"),
        "{form:?}"
    );
    assert!(form.has_child("x", "jabber:x:data"), "{form:?}");
    let fields = [
        ("FORM_TYPE", "jabber:iq:register"),
        ("username", NICK),
        ("password", PASSWORD),
    ];
    let fields = fields
        .map(|(name, value)| format!("<field var='{name}'><value>{value}</value></field>"))
        .concat();
    let filled = format!("<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>");
    let registered = client.request("set", TRANSPORT, &filled).await;
    assert_eq!(registered.attr("type"), Some("result"), "{registered:?}");
    // As clients do: only who has asked for the roster is told of subscriptions.
    let own = bare(client.jid()).to_owned();
    client.request("get", &own, "<query xmlns='jabber:iq:roster'/>").await;
    client.send("<presence/>").await;
    client.send(&format!("<presence type='subscribe' to='{TRANSPORT}'/>")).await;
    // A privileged gateway is in the roster already, any other asks.
    let asked = client
        .expect("the transport or its request", |s| {
            is_presence(s, TRANSPORT, None) || is_presence(s, TRANSPORT, Some("subscribe"))
        })
        .await;
    if asked.attr("type").is_none() {
        return;
    }
    client.send(&format!("<presence type='subscribed' to='{TRANSPORT}'/>")).await;
    online(client).await;
}

/// Waits until the transport has shown that the network is there.
pub async fn online(client: &mut Foreign) {
    client
        .expect("the transport's presence", |s| is_presence(s, TRANSPORT, None))
        .await;
}

/// Joins [`ROOM`] and waits for all of what a join gives, in its order.
pub async fn join(client: &mut Foreign, nick: &str) {
    client
        .send(&format!("<presence to='{ROOM}/{nick}'><x xmlns='{MUC}'/></presence>"))
        .await;
    let me = format!("{ROOM}/{nick}");
    client
        .expect("my own presence in the room", |s| {
            is_presence(s, &me, None) && has_status(s, "110")
        })
        .await;
    client
        .expect("the subject", |s| is_groupchat(s) && s.has_child("subject", "jabber:client"))
        .await;
}

/// Whether it is a presence from there, of this type.
pub fn is_presence(stanza: &Element, from: &str, kind: Option<&str>) -> bool {
    stanza.name() == "presence" && stanza.attr("from") == Some(from) && stanza.attr("type") == kind
}

/// Whether it is a message of a room.
pub fn is_groupchat(stanza: &Element) -> bool {
    stanza.name() == "message" && stanza.attr("type") == Some("groupchat")
}

/// Whether a room's presence has this status code (XEP-0045).
pub fn has_status(stanza: &Element, code: &str) -> bool {
    let x = stanza.get_child("x", MUC_USER);
    x.is_some_and(|x| {
        x.children()
            .any(|status| status.name() == "status" && status.attr("code") == Some(code))
    })
}

/// The item of a room's presence.
pub fn room_item(stanza: &Element) -> Option<&Element> {
    stanza.get_child("x", MUC_USER)?.get_child("item", MUC_USER)
}

/// What a message says.
pub fn body(stanza: &Element) -> Option<String> {
    stanza.get_child("body", "jabber:client").map(Element::text)
}

/// Talks through everything an IRC user does: a room both ways, private messages both ways, topics, nick changes, a kick.
/// The client has joined [`ROOM`] as [`NICK`]; `carol` is in the channel and its operator.
pub async fn conversation(client: &mut Foreign, carol: &mut Irc) {
    // A room, both ways.
    client
        .send(&format!(
            "<message to='{ROOM}' type='groupchat' id='g1'><body>hello, room</body></message>"
        ))
        .await;
    let line = carol.expect(&["PRIVMSG", CHANNEL, ":hello, room"]).await;
    assert!(line.contains(":alice!"), "{line}");
    let mine = client
        .expect("my own words", |s| {
            is_groupchat(s) && body(s).as_deref() == Some("hello, room")
        })
        .await;
    assert_eq!(
        (mine.attr("from"), mine.attr("id")),
        (Some("#tests@irc.localhost/alice"), Some("g1"))
    );
    carol.send(&format!("PRIVMSG {CHANNEL} :hello, alice")).await;
    assert_eq!(
        client.expect_body("hello, alice").await.attr("from"),
        Some("#tests@irc.localhost/carol")
    );
    carol.send(&format!("PRIVMSG {CHANNEL} :\u{1}ACTION waves\u{1}")).await;
    client.expect_body("/me waves").await;

    // Private messages, both ways; long and with several lines.
    carol.send("PRIVMSG alice :psst").await;
    assert_eq!(
        client.expect_body("psst").await.attr("from").map(bare),
        Some("carol@irc.localhost")
    );
    client
        .send("<message to='carol@irc.localhost' type='chat' id='p1'><body>what is it?\nsay</body></message>")
        .await;
    carol.expect(&["PRIVMSG carol", "what is it?"]).await;
    carol.expect(&["PRIVMSG carol", "say"]).await;
    let long = "\u{e4}".repeat(600);
    client
        .send(&format!(
            "<message to='carol@irc.localhost' type='chat' id='p2'><body>{long}</body></message>"
        ))
        .await;
    let mut got = String::new();
    while got.chars().count() < 600 {
        let line = carol.expect(&["PRIVMSG carol :\u{e4}"]).await;
        got += line.rsplit(':').next().unwrap_or_default();
    }
    assert_eq!(got, long);

    // Topics, both ways.
    carol.send(&format!("TOPIC {CHANNEL} :what we test")).await;
    let changed =
        |s: &Element, text: &str| is_groupchat(s) && s.get_child("subject", "jabber:client").is_some_and(|t| t.text() == text);
    client.expect("the topic", |s| changed(s, "what we test")).await;
    carol.send(&format!("MODE {CHANNEL} +o alice")).await;
    let operator = |s: &Element| room_item(s).is_some_and(|item| item.attr("role") == Some("moderator"));
    client
        .expect("being operator", |s| {
            is_presence(s, "#tests@irc.localhost/alice", None) && operator(s)
        })
        .await;
    // InspIRCd wants some time between two topics, and says so: then the client is told, and tries again.
    loop {
        client
            .send(&format!(
                "<message to='{ROOM}' type='groupchat' id='t1'><subject>and what not</subject></message>"
            ))
            .await;
        let answer = client
            .expect("the topic or a refusal", |s| {
                changed(s, "and what not") || (s.name() == "message" && s.attr("type") == Some("error"))
            })
            .await;
        if answer.attr("type") != Some("error") {
            break;
        }
        assert_eq!(answer.attr("id"), Some("t1"));
        assert!(condition(&answer, "resource-constraint"), "{answer:?}");
    }
    carol.expect(&["TOPIC", CHANNEL, "and what not"]).await;

    // Nicknames change on either side.
    client.send(&format!("<presence to='{ROOM}/alicia'/>")).await;
    carol.expect(&[":alice!", "NICK", "alicia"]).await;
    let gone = client
        .expect("leaving the old nick", |s| {
            is_presence(s, "#tests@irc.localhost/alice", Some("unavailable"))
        })
        .await;
    assert!(has_status(&gone, "303") && has_status(&gone, "110"), "{gone:?}");
    assert_eq!(room_item(&gone).and_then(|item| item.attr("nick")), Some("alicia"));
    client
        .expect("the new nick", |s| {
            is_presence(s, "#tests@irc.localhost/alicia", None) && has_status(s, "110")
        })
        .await;
    client.send(&format!("<presence to='{ROOM}/alice'/>")).await;
    carol.expect(&[":alicia!", "NICK", "alice"]).await;
    client
        .expect("the old nick again", |s| {
            is_presence(s, "#tests@irc.localhost/alice", None) && has_status(s, "110")
        })
        .await;
    carol.send("NICK caroline").await;
    let gone = client
        .expect("carol's old nick", |s| {
            is_presence(s, "#tests@irc.localhost/carol", Some("unavailable"))
        })
        .await;
    assert!(has_status(&gone, "303"), "{gone:?}");
    client
        .expect("carol's new nick", |s| is_presence(s, "#tests@irc.localhost/caroline", None))
        .await;
    carol.send("NICK carol").await;
    client
        .expect("carol's nick again", |s| is_presence(s, "#tests@irc.localhost/carol", None))
        .await;

    crate::rooms::everything_of_an_archive(client, carol).await;

    // A kick, and back in.
    carol.send(&format!("KICK {CHANNEL} alice :out you go")).await;
    let kicked = client
        .expect("the kick", |s| {
            is_presence(s, "#tests@irc.localhost/alice", Some("unavailable"))
        })
        .await;
    assert!(has_status(&kicked, "307") && has_status(&kicked, "110"), "{kicked:?}");
    assert_eq!(
        room_item(&kicked)
            .and_then(|item| item.get_child("reason", MUC_USER))
            .map(Element::text)
            .as_deref(),
        Some("out you go")
    );
    join(client, NICK).await;
    carol.expect(&[":alice!", "JOIN", CHANNEL]).await;
}

/// Sends numbered private messages to carol while `in_between` happens after half of them, and waits until each was
/// delivered or answered with an error. Gives how many were delivered.
pub async fn every_message_has_a_fate(
    client: &mut Foreign,
    carol: &mut Irc,
    count: usize,
    in_between: impl AsyncFnOnce(),
) -> usize {
    let send = async |client: &mut Foreign, n: usize| {
        let body = format!("<body>number {n}.</body>");
        client
            .send(&format!(
                "<message to='carol@irc.localhost' type='chat' id='n{n}'>{body}</message>"
            ))
            .await;
    };
    for n in 0..count / 2 {
        send(client, n).await;
    }
    in_between().await;
    for n in count / 2..count {
        send(client, n).await;
    }
    let mut delivered = vec![false; count];
    let mut answered = vec![false; count];
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    while (0..count).any(|n| !delivered[n] && !answered[n]) {
        let open: Vec<_> = (0..count).filter(|n| !delivered[*n] && !answered[*n]).collect();
        tokio::select! {
            line = carol.wait_for("a numbered message", |line| line.contains("number ")) => {
                if let Some(n) = line.ok().and_then(|line| number_in(&line)) {
                    delivered[n] = true;
                }
            }
            error = client.expect("an answer", |s| s.name() == "message" && s.attr("type") == Some("error")) => {
                if let Some(n) = error.attr("id").and_then(|id| id.strip_prefix('n')?.parse::<usize>().ok()) {
                    answered[n] = true;
                }
            }
            () = tokio::time::sleep_until(deadline) => panic!("messages without a fate: {open:?}"),
        }
    }
    delivered.iter().filter(|delivered| **delivered).count()
}

fn number_in(line: &str) -> Option<usize> {
    line.split("number ").nth(1)?.split('.').next()?.parse().ok()
}

fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or(jid)
}

/// Whether an error has this condition.
fn condition(stanza: &Element, name: &str) -> bool {
    stanza
        .get_child("error", "jabber:client")
        .is_some_and(|e| e.get_child(name, "urn:ietf:params:xml:ns:xmpp-stanzas").is_some())
}
