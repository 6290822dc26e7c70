//! XMPP clients that we did not write, each in a process of its own behind one JSON object per line
//! (`tests/clients/`): slixmpp, from PyPI, and xmpp.js, from npm. Both check the server's certificate.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use minidom::Element;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::peers::{PeerError, cache, program};
use crate::xmpp::{Encryption, escape};
use crate::{Failure, Outcome};

/// How long an answer may take, also on a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

/// Which library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// Python.
    Slixmpp,
    /// JavaScript.
    XmppJs,
}

/// Whom to log in, and where.
#[derive(Debug, Clone)]
pub struct Account {
    /// With a resource if one is wanted.
    pub jid: String,
    /// Its password.
    pub password: String,
    /// On 127.0.0.1.
    pub port: u16,
    /// How `port` speaks TLS.
    pub encryption: Encryption,
    /// The authority to trust, in PEM.
    pub authority: PathBuf,
}

/// A client that is logged in. Its process ends when this is dropped.
#[derive(Debug)]
pub struct Foreign {
    _process: Child,
    orders: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    jid: String,
    waiting: VecDeque<Element>,
    log: Vec<String>,
    calls: u64,
}

impl Foreign {
    /// Starts the library and logs in.
    ///
    /// # Errors
    /// [`PeerError::Missing`] if the library is not installed; [`PeerError::Failed`] with the library's words if the
    /// login fails.
    pub async fn connect(library: Library, account: &Account) -> Result<Self, PeerError> {
        let mut process = library
            .command(&account.authority)?
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::from)?;
        let (Some(orders), Some(events)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(PeerError::Failed("no pipes to the client".into()));
        };
        let mut client = Self {
            _process: process,
            orders,
            events: BufReader::new(events).lines(),
            jid: account.jid.clone(),
            waiting: VecDeque::new(),
            log: Vec::new(),
            calls: 0,
        };
        let tls = match account.encryption {
            Encryption::StartTls => "starttls",
            Encryption::Direct => "direct",
        };
        let authority = account.authority.display().to_string();
        let order = json!({ "do": "connect", "jid": account.jid, "password": account.password, "port": account.port,
                            "tls": tls, "ca": authority });
        client.order(&order).await?;
        loop {
            let event = client.event("the login").await?;
            match event["event"].as_str() {
                Some("online") => {
                    client.jid = text_of(&event, "jid");
                    return Ok(client);
                }
                Some("failed") => return Err(PeerError::Failed(Failure::new(text_of(&event, "text")))),
                _ => {}
            }
        }
    }

    /// Its full JID.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// Its JID without resource.
    pub fn bare_jid(&self) -> &str {
        self.jid.split_once('/').map_or(self.jid.as_str(), |(bare, _)| bare)
    }

    /// Sends a stanza through the library.
    ///
    /// # Panics
    /// If the client is gone.
    pub async fn send(&mut self, xml: &str) {
        self.log.push(format!(">> {xml}"));
        // Python's parser knows no default namespace from outside.
        let name_end = xml.find([' ', '>', '/']).unwrap_or(xml.len());
        let xml = match xml.find('>') {
            Some(end) if !xml[..end].contains("xmlns=") => {
                format!("{} xmlns='jabber:client'{}", &xml[..name_end], &xml[name_end..])
            }
            _ => xml.to_owned(),
        };
        if let Err(failure) = self.order(&json!({ "do": "send", "xml": xml })).await {
            panic!("{}", self.failure(&failure.to_string()));
        }
    }

    /// Waits for a stanza that fits. Others stay, in their order, for later calls.
    ///
    /// # Panics
    /// If none comes in time; with everything that was said.
    pub async fn expect(&mut self, what: &str, mut fits: impl FnMut(&Element) -> bool) -> Element {
        if let Some(at) = self.waiting.iter().position(&mut fits)
            && let Some(stanza) = self.waiting.remove(at)
        {
            return stanza;
        }
        loop {
            let event = match self.event(what).await {
                Ok(event) => event,
                Err(failure) => panic!("{failure}"),
            };
            if let Some(stanza) = self.stanza(&event) {
                if fits(&stanza) {
                    return stanza;
                }
                self.waiting.push_back(stanza);
            }
        }
    }

    /// The stanzas that come within this time, after those that are waiting.
    ///
    /// # Panics
    /// If the client is gone.
    pub async fn within(&mut self, time: Duration) -> Vec<Element> {
        let deadline = tokio::time::Instant::now() + time;
        let mut heard: Vec<Element> = self.waiting.drain(..).collect();
        loop {
            let line = match tokio::time::timeout_at(deadline, self.events.next_line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None) | Err(_)) => panic!("{}", self.failure("the client ended")),
                Err(_) => return heard,
            };
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(stanza) = self.stanza(&event) {
                self.log.push(format!("<< {}", event["xml"].as_str().unwrap_or_default()));
                heard.push(stanza);
            }
        }
    }

    /// Waits for a message with this body.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn expect_body(&mut self, body: &str) -> Element {
        self.expect(&format!("the message {body:?}"), |s| {
            s.name() == "message" && s.get_child("body", "jabber:client").is_some_and(|b| b.text() == body)
        })
        .await
    }

    /// Sends an IQ request and gives the answer, result or error.
    ///
    /// # Panics
    /// If there is none.
    pub async fn request(&mut self, kind: &str, to: &str, payload: &str) -> Element {
        self.calls += 1;
        let id = format!("t{}", self.calls);
        self.send(&format!("<iq type='{kind}' id='{id}' to='{}'>{payload}</iq>", escape(to)))
            .await;
        self.expect(&format!("the answer to {payload}"), |s| {
            s.name() == "iq" && s.attr("id") == Some(&id) && matches!(s.attr("type"), Some("result" | "error"))
        })
        .await
    }

    /// Calls a method of one of slixmpp's plugins, as a program built on it would, and gives what it says.
    ///
    /// # Errors
    /// What the library raised.
    pub async fn call(&mut self, plugin: &str, method: &str, arguments: Value, named: Value) -> Outcome<String> {
        self.calls += 1;
        let id = self.calls;
        let order = json!({ "do": "call", "id": id, "plugin": plugin, "method": method, "args": arguments, "kwargs": named });
        self.order(&order).await?;
        loop {
            let event = self.event(method).await?;
            if let Some(stanza) = self.stanza(&event) {
                self.waiting.push_back(stanza);
            } else if event["id"] == json!(id) {
                return match event["event"].as_str() {
                    Some("result") => Ok(text_of(&event, "value")),
                    _ => Err(self.failure(&text_of(&event, "text"))),
                };
            }
        }
    }

    /// Logs out and waits for the process to end.
    pub async fn close(mut self) {
        let _ = self.order(&json!({ "do": "close" })).await;
        let _ = tokio::time::timeout(WITHIN, async { while let Ok(Some(_)) = self.events.next_line().await {} }).await;
    }

    fn stanza(&self, event: &Value) -> Option<Element> {
        (event["event"] == "stanza").then_some(())?;
        match crate::xmpp::element(event["xml"].as_str()?, "jabber:client") {
            Ok(stanza) => Some(stanza),
            Err(failure) => panic!("{}", self.failure(&failure.to_string())),
        }
    }

    async fn order(&mut self, order: &Value) -> Outcome<()> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await?;
        self.orders.flush().await?;
        Ok(())
    }

    async fn event(&mut self, what: &str) -> Outcome<Value> {
        let line = match tokio::time::timeout(WITHIN, self.events.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(Ok(None)) => return Err(self.failure(&format!("waiting for {what}: the client ended"))),
            Ok(Err(error)) => return Err(self.failure(&format!("waiting for {what}: {error}"))),
            Err(_) => return Err(self.failure(&format!("waiting for {what}: not within {WITHIN:?}"))),
        };
        let event: Value = serde_json::from_str(&line).map_err(|e| Failure::new(format!("{e}: {line}")))?;
        self.log.push(match event["xml"].as_str() {
            Some(xml) => format!("<< {xml}"),
            None => format!("-- {line}"),
        });
        Ok(event)
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::new(format!("{}: {what}; so far:\n{}", self.jid, self.log.join("\n")))
    }
}

impl Library {
    fn command(self, authority: &Path) -> Result<Command, PeerError> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let mut command = match self {
            Self::Slixmpp => {
                let venv = cache().join("venv");
                if !venv.join(".complete").is_file() {
                    return Err(PeerError::Missing("slixmpp"));
                }
                let mut command = Command::new(venv.join("bin/python"));
                command.arg(scripts.join("slixmpp_client.py"));
                command
            }
            Self::XmppJs => {
                let modules = cache().join("node");
                if !modules.join(".complete").is_file() {
                    return Err(PeerError::Missing("xmpp.js"));
                }
                let mut command = Command::new(program("node")?);
                command
                    .arg(scripts.join("xmppjs_client.mjs"))
                    .arg(modules)
                    .env("NODE_EXTRA_CA_CERTS", authority);
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command)
    }
}

fn text_of(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}
