//! A raw XMPP client (RFC 6120): STARTTLS or direct TLS, SASL PLAIN, bind; then stanzas as they are. It answers nothing
//! by itself, so that a test sees and says every stanza.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use minidom::Element;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::tls::{Io, Tls};
use super::{Item, STREAM, Splitter, element, escape};
use crate::{Failure, Outcome};

/// How long an expected stanza may take, also on a busy machine.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Plain at first, then the server's STARTTLS.
    StartTls,
    /// TLS from the first byte.
    Direct,
}

/// Whom to log in, and where.
#[derive(Debug, Clone)]
pub struct Login {
    /// On 127.0.0.1.
    pub port: u16,
    /// How `port` speaks TLS.
    pub encryption: Encryption,
    /// The domain of the stream.
    pub domain: String,
    /// The name to authenticate as, without domain.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The resource to ask for; without one the server chooses.
    pub resource: Option<String>,
}

/// Why a login did not succeed.
#[derive(Debug)]
pub enum LoginFailure {
    /// The SASL failure of the server.
    Refused {
        /// The condition, e.g. `not-authorized`.
        condition: String,
        /// What it says to a person.
        text: String,
    },
    /// Anything else.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for LoginFailure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A connected client.
pub struct Client {
    io: Box<dyn Io>,
    splitter: Splitter,
    domain: String,
    jid: String,
    waiting: VecDeque<Element>,
    log: Vec<String>,
    keeps_log: bool,
    requests: u64,
}

impl Client {
    /// Connects, authenticates and binds. Sends no presence.
    ///
    /// # Errors
    /// [`LoginFailure::Refused`] if SASL says no.
    pub async fn connect(login: &Login, tls: &Tls) -> Result<Self, LoginFailure> {
        let mut client = Self::open(login, tls).await?;
        client.authenticate(login).await?;
        client.bind(login.resource.as_deref()).await?;
        Ok(client)
    }

    /// Connects and encrypts; what the server offers then has been read. Nothing about the user was said.
    ///
    /// # Errors
    /// If there is no encrypted stream.
    pub async fn open(login: &Login, tls: &Tls) -> Outcome<Self> {
        let socket = TcpStream::connect(("127.0.0.1", login.port)).await?;
        socket.set_nodelay(true)?;
        let mut client = Self {
            io: Box::new(socket),
            splitter: Splitter::default(),
            domain: login.domain.clone(),
            jid: String::new(),
            waiting: VecDeque::new(),
            log: Vec::new(),
            keeps_log: true,
            requests: 0,
        };
        if login.encryption == Encryption::StartTls {
            client.header().await?;
            client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
            let answer = client.receive().await?;
            if answer.name() != "proceed" {
                return Err(client.failure(&format!("no STARTTLS: {}", super::text(&answer))));
            }
        }
        // The socket is moved through TLS; nobody uses what stands there meanwhile.
        let plain = std::mem::replace(&mut client.io, Box::new(tokio::io::empty()));
        client.io = tls.wrap(plain, &login.domain).await?;
        client.header().await?;
        Ok(client)
    }

    /// Authenticates by SASL PLAIN and opens the stream again.
    ///
    /// # Errors
    /// [`LoginFailure::Refused`] if the server says no.
    pub async fn authenticate(&mut self, login: &Login) -> Result<(), LoginFailure> {
        let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{}\0{}", login.user, login.password));
        self.write(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"))
            .await?;
        let answer = self.receive().await?;
        match answer.name() {
            "success" => {
                self.header().await?;
                Ok(())
            }
            "failure" => Err(LoginFailure::Refused {
                condition: answer
                    .children()
                    .find(|c| c.name() != "text")
                    .map(|c| c.name().to_owned())
                    .unwrap_or_default(),
                text: answer.get_child("text", SASL).map(Element::text).unwrap_or_default(),
            }),
            _ => Err(self
                .failure(&format!("neither success nor failure: {}", super::text(&answer)))
                .into()),
        }
    }

    async fn bind(&mut self, resource: Option<&str>) -> Outcome<()> {
        let resource = resource
            .map(|r| format!("<resource>{}</resource>", escape(r)))
            .unwrap_or_default();
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{resource}</bind></iq>"
        ))
        .await?;
        let answer = self.receive().await?;
        let bound = answer
            .children()
            .next()
            .and_then(|bind| bind.get_child("jid", "urn:ietf:params:xml:ns:xmpp-bind"));
        match bound {
            Some(jid) => self.jid = jid.text(),
            None => return Err(self.failure(&format!("not bound: {}", super::text(&answer)))),
        }
        Ok(())
    }

    /// Opens a stream and reads the header and the features of the server.
    async fn header(&mut self) -> Outcome<Element> {
        self.splitter = Splitter::default();
        let domain = escape(&self.domain);
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='{STREAM}' to='{domain}' version='1.0'>"
        );
        self.write(&header).await?;
        self.receive().await
    }

    /// Forgets what was said and keeps nothing from now on: for long runs.
    pub fn keep_no_log(&mut self) {
        self.keeps_log = false;
        self.log = Vec::new();
    }

    /// The full JID it is bound to.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// Sends text as it is.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, text: &str) -> Outcome<()> {
        if self.keeps_log {
            self.log.push(format!(">> {text}"));
        }
        self.write(text).await
    }

    async fn write(&mut self, text: &str) -> Outcome<()> {
        self.io.write_all(text.as_bytes()).await?;
        self.io.flush().await?;
        Ok(())
    }

    /// The next stanza.
    ///
    /// # Errors
    /// If none comes in time, or the stream ends; with everything that was said.
    pub async fn receive(&mut self) -> Outcome<Element> {
        if let Some(stanza) = self.waiting.pop_front() {
            return Ok(stanza);
        }
        match tokio::time::timeout(WITHIN, self.read()).await {
            Ok(Ok(stanza)) => Ok(stanza),
            Ok(Err(failure)) => Err(self.failure(&failure.to_string())),
            Err(_) => Err(self.failure(&format!("nothing within {WITHIN:?}"))),
        }
    }

    /// Waits for a stanza that fits. Others stay, in their order, for later calls.
    ///
    /// # Errors
    /// If none comes in time, or the stream ends; with everything that was said.
    pub async fn expect(&mut self, what: &str, mut fits: impl FnMut(&Element) -> bool) -> Outcome<Element> {
        if let Some(at) = self.waiting.iter().position(&mut fits)
            && let Some(stanza) = self.waiting.remove(at)
        {
            return Ok(stanza);
        }
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            match tokio::time::timeout_at(deadline, self.read()).await {
                Ok(Ok(stanza)) if fits(&stanza) => return Ok(stanza),
                Ok(Ok(other)) => self.waiting.push_back(other),
                Ok(Err(failure)) => return Err(self.failure(&format!("waiting for {what}: {failure}"))),
                Err(_) => return Err(self.failure(&format!("waiting for {what}: not within {WITHIN:?}"))),
            }
        }
    }

    /// Sends an IQ request and gives the answer, result or error.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn request(&mut self, kind: &str, to: &str, payload: &str) -> Outcome<Element> {
        self.requests += 1;
        let id = format!("q{}", self.requests);
        self.send(&format!("<iq type='{kind}' id='{id}' to='{}'>{payload}</iq>", escape(to)))
            .await?;
        self.expect(&format!("the answer to {id}"), |s| {
            s.name() == "iq" && s.attr("id") == Some(&id) && matches!(s.attr("type"), Some("result" | "error"))
        })
        .await
    }

    /// What arrived and nobody has asked for.
    pub fn unexpected(&mut self) -> Vec<Element> {
        self.waiting.drain(..).collect()
    }

    /// Reads until there is a stanza. A dropped future loses nothing: the splitter has all bytes.
    async fn read(&mut self) -> Outcome<Element> {
        let mut buffer = [0; 16 * 1024];
        loop {
            while let Some(item) = self.splitter.next()? {
                match item {
                    Item::Open(_) => {}
                    Item::Stanza(text) => {
                        if self.keeps_log {
                            self.log.push(format!("<< {text}"));
                        }
                        return element(&text, "jabber:client");
                    }
                    Item::Close => return Err("the stream was closed".into()),
                }
            }
            let got = self.io.read(&mut buffer).await?;
            if got == 0 {
                return Err("the connection ended".into());
            }
            self.splitter.push(&buffer[..got]);
        }
    }

    /// Closes the stream and waits for the server to close its own.
    pub async fn close(mut self) {
        let _ = self.write("</stream:stream>").await;
        let _ = tokio::time::timeout(WITHIN, async { while self.read().await.is_ok() {} }).await;
    }

    fn failure(&self, what: &str) -> Failure {
        // Stanzas only: a password was never logged.
        Failure::new(format!("{}: {what}; so far:\n{}", self.jid, self.log.join("\n")))
    }
}
