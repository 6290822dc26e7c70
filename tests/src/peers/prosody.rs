//! Prosody: the XMPP server that a gateway is a component of, and one that is itself the legacy network.

use std::fmt::Write as _;

use super::{Account, Certificates, PeerError, Port, Process, Scratch, program};
use crate::Outcome;
use crate::xmpp::greets;

/// The domain of its users.
pub const PROSODY_DOMAIN: &str = "localhost";

/// The domain of the users of the one that is a legacy network.
pub const NETWORK_DOMAIN: &str = "other.localhost";

/// Its rooms.
pub const NETWORK_ROOMS: &str = "rooms.other.localhost";

/// Its users and their passwords.
pub const USERS: [(&str, &str); 3] = [("alice", "alice-pw"), ("bob", "bob-pw"), ("carol", "carol-pw")];

/// What privileged components may ask in users' names.
const REQUESTS: &str = "iq = { [\"http://jabber.org/protocol/pubsub\"] = \"both\"; [\"urn:xmpp:http:upload:0\"] = \"get\" }";

/// A component that may connect (XEP-0114).
#[derive(Debug, Clone)]
pub struct Component {
    /// Its domain.
    pub jid: String,
    /// What it authenticates with.
    pub secret: String,
    /// Whether it may manage rosters and send for users (XEP-0356).
    pub privileged: bool,
}

/// A running Prosody.
#[derive(Debug)]
pub struct Prosody {
    process: Option<Process>,
    account: Account,
    scratch: Scratch,
    certificates: Certificates,
    client: Port,
    client_tls: Port,
    component: Port,
    components: Vec<Component>,
    domain: &'static str,
}

impl Prosody {
    /// Starts one with these components, and waits until every port has answered in its protocol.
    ///
    /// # Errors
    /// If it is not installed, or does not come up.
    pub async fn start(components: &[Component]) -> Result<Self, PeerError> {
        Self::of(PROSODY_DOMAIN, components).await
    }

    /// Starts one that is a legacy network: [`USERS`] at [`NETWORK_DOMAIN`] with archives, and rooms at [`NETWORK_ROOMS`].
    ///
    /// # Errors
    /// If it is not installed, or does not come up.
    pub async fn network() -> Result<Self, PeerError> {
        Self::of(NETWORK_DOMAIN, &[]).await
    }

    async fn of(domain: &'static str, components: &[Component]) -> Result<Self, PeerError> {
        program("prosody")?;
        let account = Account::of("prosody")?;
        let scratch = Scratch::of("prosody", &account)?;
        let certificates = Certificates::make(
            &scratch.join("tls"),
            &account,
            &[PROSODY_DOMAIN, "*.localhost", NETWORK_DOMAIN],
        )?;
        let mut prosody = Self {
            process: None,
            account,
            scratch,
            certificates,
            client: Port::free()?,
            client_tls: Port::free()?,
            component: Port::free()?,
            components: components.to_vec(),
            domain,
        };
        prosody.write_files()?;
        prosody.restart().await?;
        Ok(prosody)
    }

    fn write_files(&self) -> Outcome<()> {
        self.account.folder(&self.scratch.join("data"))?;
        // Its store of accounts is one Lua file per user: quicker than prosodyctl, which starts a Lua for each.
        for (user, password) in USERS {
            // As Prosody names the folders of hosts.
            let host = self.scratch.join("data").join(self.domain.replace('.', "%2e"));
            let folder = host.join("accounts");
            std::fs::create_dir_all(&folder)?;
            self.account.folder(&host)?;
            self.account.folder(&folder)?;
            self.account.write(
                &folder.join(format!("{user}.dat")),
                format!("return {{ [\"password\"] = \"{password}\"; }};\n"),
            )?;
        }
        self.account
            .write(&self.scratch.join("prosody.cfg.lua"), self.configuration())
    }

    fn configuration(&self) -> String {
        let mut text = format!(
            r#"pidfile = "{pidfile}"
data_path = "{data}"
log = {{ {{ levels = {{ min = "info" }}, to = "file", filename = "{log}" }} }}
network_backend = "epoll"
storage = "internal"
authentication = "internal_plain"
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client} }}
c2s_direct_tls_ports = {{ {client_tls} }}
component_ports = {{ {component} }}
certificates = "{tls}"
ssl = {{ certificate = "{certificate}"; key = "{key}"; }}
c2s_require_encryption = true
-- A component that connects again after a crash takes its place back at once.
component_conflict_resolve = "kick_old"
modules_enabled = {{
    "roster"; "saslauth"; "tls"; "disco"; "presence"; "message"; "iq"; "carbons"; "pep"; "smacks"; "blocklist"; "private";
    "vcard4"; "vcard_legacy"; "version"; "time"; "ping"; "offline"; "privilege";
}}
modules_disabled = {{ "s2s" }}
VirtualHost "{domain}"
privileged_entities = {{
"#,
            pidfile = self.scratch.text("prosody.pid"),
            data = self.scratch.text("data"),
            log = self.scratch.text("prosody.log"),
            client = self.client,
            client_tls = self.client_tls,
            component = self.component,
            tls = self.scratch.text("tls"),
            certificate = self.certificates.certificate.display(),
            key = self.certificates.key.display(),
            domain = self.domain,
        );
        for component in self.components.iter().filter(|c| c.privileged) {
            let _ = writeln!(
                text,
                "    [\"{}\"] = {{ roster = \"both\"; message = \"outgoing\"; presence = \"roster\"; {REQUESTS} }};",
                component.jid
            );
        }
        text += "}\n";
        if self.domain == NETWORK_DOMAIN {
            text += "modules_enabled = { \"mam\" }\n";
            let _ = writeln!(
                text,
                "Component \"{NETWORK_ROOMS}\" \"muc\"\n    modules_enabled = {{ \"muc_mam\" }}"
            );
        }
        for component in &self.components {
            let _ = writeln!(
                text,
                "Component \"{}\"\n    component_secret = \"{}\"",
                component.jid, component.secret
            );
            if component.privileged {
                text += "    modules_enabled = { \"privilege\" }\n";
            }
        }
        text
    }

    /// Starts it (again) with the same data on the same ports.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> Result<(), PeerError> {
        self.stop();
        let mut command = self.account.command(program("prosody")?);
        command.arg("-F").arg("--config").arg(self.scratch.join("prosody.cfg.lua"));
        command.env("HOME", self.scratch.path()).current_dir(self.scratch.path());
        let mut process = Process::start(command, "prosody", &self.scratch.join("prosody.out"))?;
        process.also_logs_to(&self.scratch.join("prosody.log"));
        let (client, component) = (self.client.number(), self.component.number());
        process
            .ready("clients", async || greets(client, "jabber:client", self.domain).await)
            .await?;
        if let Some(first) = self.components.first() {
            process
                .ready("components", async || {
                    greets(component, "jabber:component:accept", &first.jid).await
                })
                .await?;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ends it; [`Prosody::restart`] brings it back.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop();
        }
    }

    /// Where clients connect with STARTTLS, on 127.0.0.1.
    pub fn client_port(&self) -> u16 {
        self.client.number()
    }

    /// Where clients connect with TLS from the first byte.
    pub fn client_tls_port(&self) -> u16 {
        self.client_tls.number()
    }

    /// Where components connect.
    pub fn component_port(&self) -> u16 {
        self.component.number()
    }

    /// The authority that its certificate comes from.
    pub fn authority(&self) -> &std::path::Path {
        &self.certificates.authority
    }
}
