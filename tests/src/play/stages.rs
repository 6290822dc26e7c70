//! The two stages: a gateway in front of a component host of ours, and a server with raw clients. Both run the real
//! programs with the echo backend of `examples/`.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use minidom::Element;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::{Mode, Person, Stage};
use crate::peers::{Account, Certificates, Port, Scratch};
use crate::programs::{Instance, built};
use crate::xmpp::{
    Client, ComponentHost, Encryption, HostedComponent, Item, Login, LoginFailure, Tls, element, escape, text, trust_anything,
};
use crate::{Failure, Outcome};

const SECRET: &str = "component-secret";
const USERS_DOMAIN: &str = "localhost";
const TRANSPORT: &str = "echo.localhost";
const PASSWORD: &str = "legacy-pw";
/// How many stanzas may wait for one person. A play that lets more gather stalls its gateway, and says so.
const WAITING: usize = 4096;
/// How long an expected stanza may take, also on a busy machine.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// Between two tries of what the transport cannot do yet.
const RETRY_EVERY: std::time::Duration = std::time::Duration::from_millis(100);

/// A gateway whose XMPP server is this test.
#[derive(Debug)]
pub struct GatewayStage {
    // Before the instance: a pump that ends first does not report the end of the stream.
    pump: JoinHandle<()>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    people: People,
    reading: watch::Sender<bool>,
    instance: Instance,
}

/// Who is connected, by full JID; shared with the pump, which reads what the gateway says.
type People = Arc<std::sync::Mutex<BTreeMap<String, mpsc::Sender<Element>>>>;

impl GatewayStage {
    /// Starts a gateway with the echo backend.
    ///
    /// # Errors
    /// If the programs are not built or do not come up.
    pub async fn start() -> Outcome<Self> {
        Self::with_backend(&native_echo()?).await
    }

    /// Starts a gateway with this `[backend]` in its configuration.
    ///
    /// # Errors
    /// If the programs are not built or do not come up.
    pub async fn with_backend(backend: &str) -> Outcome<Self> {
        let host = ComponentHost::listen(SECRET).await?;
        let scratch = Scratch::new("gateway")?;
        let configuration = format!(
            "mode = \"gateway\"\njid = \"{TRANSPORT}\"\n\
             [gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"{SECRET}\"\n\
             [storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\n\
             [registration]\nallow = [\"{USERS_DOMAIN}\"]\n{common}",
            port = host.port()?,
            folder = scratch.path().display(),
            common = common(&scratch, backend),
        );
        let mut instance = Instance::start("spectrum-gateway", scratch, &configuration)?;
        let component = tokio::select! {
            component = host.accept() => component?,
            ended = instance.process().ends_within(WITHIN) => {
                return Err(Failure::new(format!("the gateway did not connect ({ended:?})\n{}", instance.process().log_tail())));
            }
        };
        let people = People::default();
        let (reading, is_reading) = watch::channel(true);
        let (writer, pump) = pump(component, Arc::clone(&people), is_reading);
        Ok(Self {
            pump,
            writer,
            people,
            reading,
            instance,
        })
    }

    /// Stops reading what the gateway says, as an XMPP server that hangs.
    pub fn stop_reading(&self) {
        self.reading.send_replace(false);
    }

    /// Ends [`GatewayStage::stop_reading`].
    pub fn go_on_reading(&self) {
        self.reading.send_replace(true);
    }

    /// Sends a stanza, well-formed or not, in a user's name: `from` is put after the name of its first tag.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_raw(&self, from: &str, stanza: &str) -> Outcome<()> {
        let name_end = stanza.find([' ', '/', '>']).unwrap_or(stanza.len());
        let (name, rest) = stanza.split_at(name_end);
        self.writer
            .lock()
            .await
            .write_all(format!("{name} from='{}'{rest}", escape(from)).as_bytes())
            .await?;
        Ok(())
    }

    /// Sends a message `huge` with a body of so many bytes to the echo contact.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send_huge(&self, from: &str, bytes: usize) -> Outcome<()> {
        let mut writer = self.writer.lock().await;
        let head = format!(
            "<message from='{}' to='echo@{TRANSPORT}' type='chat' id='huge'><body>",
            escape(from)
        );
        writer.write_all(head.as_bytes()).await?;
        let chunk = vec![b'x'; 1024 * 1024];
        for _ in 0..bytes / chunk.len() {
            writer.write_all(&chunk).await?;
        }
        writer.write_all(b"</body></message>").await?;
        Ok(())
    }

    /// The instance that runs.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    async fn register(&self, person: &mut dyn Person, user: &str) -> Outcome<()> {
        let fields = format!("<username>{}</username><password>{PASSWORD}</password>", escape(user));
        let query = format!("<query xmlns='jabber:iq:register'>{fields}</query>");
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            person
                .send(&format!("<iq type='set' id='register' to='{TRANSPORT}'>{query}</iq>"))
                .await?;
            let answer = loop {
                let stanza = person.receive().await?;
                if stanza.name() == "iq" && stanza.attr("id") == Some("register") {
                    break stanza;
                }
            };
            if answer.attr("type") == Some("result") {
                return Ok(());
            }
            if !asks_to_wait(&answer) || tokio::time::Instant::now() > deadline {
                return Err(Failure::new(format!("could not register: {}", text(&answer))));
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }
}

/// Whether an error says that the same request will succeed later: until the first backend is up, nobody knows what a
/// registration needs.
fn asks_to_wait(answer: &Element) -> bool {
    answer
        .get_child("error", "jabber:client")
        .is_some_and(|error| error.attr("type") == Some("wait"))
}

/// The `[backend]` part of a configuration: a network that echoes, of `examples/`, over the native wire.
///
/// # Errors
/// If it is not built.
pub fn native_echo() -> Outcome<String> {
    Ok(format!(
        "[backend]\ncommand = [\"{}\"]\n[backend.options]\ncontacts = 3\n",
        built("echo-backend")?.display()
    ))
}

/// The same with the demo network.
///
/// # Errors
/// If it is not built.
pub fn native_demo() -> Outcome<String> {
    Ok(format!("[backend]\ncommand = [\"{}\"]\n", built("spectrum-demo")?.display()))
}

/// The echo network in Python, over Spectrum 2's protocol. It writes what it is told to `log`. `wrapper` comes before its
/// command.
pub fn spectrum2_echo(wrapper: &[&str], log: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("backends/spectrum2_echo.py");
    let mut command: Vec<String> = wrapper.iter().map(|part| format!("{part:?}")).collect();
    command.push("\"/usr/bin/python3\"".to_owned());
    command.push(format!("{script:?}"));
    format!(
        "[backend]\ncommand = [{}]\nwire = \"spectrum2\"\n[backend.options.echo]\ncontacts = 3\nlog = {log:?}\n",
        command.join(", ")
    )
}

/// Configuration that both modes share.
fn common(scratch: &Scratch, backend: &str) -> String {
    format!(
        "{backend}[log]\nfile = \"{log}\"\nlevel = \"debug\"\n[control]\nsocket = \"{socket}\"\n",
        log = scratch.text("instance.log"),
        socket = scratch.text("control.sock"),
    )
}

/// Gives each stanza of the gateway to the people it is for, and answers in the place of their server.
fn pump(
    component: HostedComponent,
    people: People,
    mut is_reading: watch::Receiver<bool>,
) -> (Arc<Mutex<OwnedWriteHalf>>, JoinHandle<()>) {
    let (mut reader, writer, mut splitter) = component.into_parts();
    let writer = Arc::new(Mutex::new(writer));
    let answers = Arc::clone(&writer);
    let task = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            while let Ok(Some(item)) = splitter.next() {
                // People see what a client sees: their server has folded the namespace.
                let Item::Stanza(stanza) = item else { return };
                let Ok(stanza) = element(&stanza, "jabber:client") else {
                    return;
                };
                let to = stanza.attr("to").unwrap_or_default();
                let queues: Vec<_> = {
                    let Ok(people) = people.lock() else { return };
                    let is_for = |jid: &&String| *jid == to || jid.split('/').next() == Some(to);
                    people
                        .iter()
                        .filter(|(jid, _)| is_for(jid))
                        .map(|(jid, queue)| (jid.clone(), queue.clone()))
                        .collect()
                };
                if let Some(answer) = server_answer(&stanza, &queues) {
                    let _ = answers.lock().await.write_all(answer.as_bytes()).await;
                    continue;
                }
                for (_, queue) in queues {
                    let _ = queue.send(stanza.clone()).await;
                }
            }
            if is_reading.wait_for(|reading| *reading).await.is_err() {
                return;
            }
            match tokio::io::AsyncReadExt::read(&mut reader, &mut buffer).await {
                Ok(got) if got > 0 => splitter.push(&buffer[..got]),
                _ => return,
            }
        }
    });
    (writer, task)
}

/// What the user's server answers by itself: probes, and requests to a bare JID (RFC 6121, 8.5.2).
fn server_answer(stanza: &Element, online: &[(String, mpsc::Sender<Element>)]) -> Option<String> {
    let (from, to) = (escape(stanza.attr("from")?), stanza.attr("to")?);
    if stanza.name() == "presence" && stanza.attr("type") == Some("probe") {
        return Some(
            online
                .iter()
                .map(|(jid, _)| format!("<presence from='{}' to='{from}'/>", escape(jid)))
                .collect(),
        );
    }
    let is_request = stanza.name() == "iq" && matches!(stanza.attr("type"), Some("get" | "set"));
    if is_request && (online.is_empty() || !to.contains('/')) {
        let id = escape(stanza.attr("id").unwrap_or_default());
        let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        return Some(format!(
            "<iq type='error' id='{id}' from='{}' to='{from}'>{error}</iq>",
            escape(to)
        ));
    }
    None
}

impl Drop for GatewayStage {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

#[async_trait]
impl Stage for GatewayStage {
    fn mode(&self) -> Mode {
        Mode::Gateway
    }

    fn transport(&self) -> &str {
        TRANSPORT
    }

    async fn connect(&mut self, user: &str, resource: &str, log_in: bool) -> Outcome<Box<dyn Person>> {
        let jid = format!("{user}@{USERS_DOMAIN}/{resource}");
        let (sender, stanzas) = mpsc::channel(WAITING);
        let first_device = {
            let mut people = self.people.lock().map_err(|_| "the pump has panicked")?;
            let first = !people.keys().any(|other| other.split('/').next() == jid.split('/').next());
            people.insert(jid.clone(), sender);
            first
        };
        let mut person = Hosted {
            jid,
            stanzas,
            earlier: VecDeque::new(),
            writer: Arc::clone(&self.writer),
            people: Arc::clone(&self.people),
        };
        if first_device {
            self.register(&mut person, user).await?;
        }
        if log_in {
            person.send("<presence/>").await?;
            let mut earlier = VecDeque::new();
            loop {
                let stanza = person
                    .receive()
                    .await
                    .map_err(|e| e.while_doing("waiting for the transport's presence"))?;
                let is_transport =
                    stanza.name() == "presence" && stanza.attr("from") == Some(TRANSPORT) && stanza.attr("type").is_none();
                earlier.push_back(stanza);
                if is_transport {
                    break;
                }
            }
            person.earlier = earlier;
        }
        Ok(Box::new(person))
    }
}

/// A device of a user of the server that we play.
struct Hosted {
    jid: String,
    stanzas: mpsc::Receiver<Element>,
    // Came while somebody waited for something else.
    earlier: VecDeque<Element>,
    writer: Arc<Mutex<OwnedWriteHalf>>,
    people: People,
}

#[async_trait]
impl Person for Hosted {
    fn jid(&self) -> &str {
        &self.jid
    }

    async fn send(&mut self, stanza: &str) -> Outcome<()> {
        let read = element(stanza, "jabber:client")?;
        // As their server does: it stamps `from`, with the bare JID on subscriptions, and broadcasts presence to who may see it.
        let is_subscription = matches!(
            read.attr("type"),
            Some("subscribe" | "subscribed" | "unsubscribe" | "unsubscribed")
        ) && read.name() == "presence";
        let from = if is_subscription {
            self.jid.split('/').next().unwrap_or_default()
        } else {
            &self.jid
        };
        let to = if read.attr("to").is_none() {
            format!(" to='{TRANSPORT}'")
        } else {
            String::new()
        };
        let name_end = 1 + read.name().len();
        let stamped = format!("{} from='{}'{to}{}", &stanza[..name_end], escape(from), &stanza[name_end..]);
        self.writer.lock().await.write_all(stamped.as_bytes()).await?;
        Ok(())
    }

    async fn receive(&mut self) -> Outcome<Element> {
        if let Some(stanza) = self.earlier.pop_front() {
            return Ok(stanza);
        }
        match tokio::time::timeout(WITHIN, self.stanzas.recv()).await {
            Ok(Some(stanza)) => Ok(stanza),
            Ok(None) => Err("the gateway's stream ended".into()),
            Err(_) => Err(Failure::new(format!("nothing within {WITHIN:?}"))),
        }
    }

    async fn leave(self: Box<Self>) -> Outcome<()> {
        self.people.lock().map_err(|_| "the pump has panicked")?.remove(&self.jid);
        Ok(())
    }
}

/// A server with raw clients.
pub struct ServerStage {
    instance: Instance,
    port: Port,
    tls: Tls,
    _certificates: Certificates,
}

impl ServerStage {
    /// Starts a server with the echo backend.
    ///
    /// # Errors
    /// If the programs are not built or do not come up.
    pub async fn start() -> Outcome<Self> {
        Self::with_backend(&native_echo()?).await
    }

    /// Starts a server with this `[backend]` in its configuration.
    ///
    /// # Errors
    /// If the programs are not built or do not come up.
    pub async fn with_backend(backend: &str) -> Outcome<Self> {
        let scratch = Scratch::new("server")?;
        let port = Port::free()?;
        let certificates = Certificates::make(&scratch.join("tls"), &Account::own(), &[TRANSPORT])?;
        let configuration = format!(
            "mode = \"server\"\njid = \"{TRANSPORT}\"\n\
             [server]\nlisten = [\"127.0.0.1:{port}\"]\nlisten_tls = []\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
             [storage]\nurl = \"none\"\n{common}",
            certificate = certificates.certificate.display(),
            key = certificates.key.display(),
            common = common(&scratch, backend),
        );
        let mut instance = Instance::start("spectrum-server", scratch, &configuration)?;
        let number = port.number();
        instance
            .process()
            .ready("clients", async || {
                crate::xmpp::greets(number, "jabber:client", TRANSPORT).await
            })
            .await?;
        Ok(Self {
            instance,
            port,
            tls: trust_anything()?,
            _certificates: certificates,
        })
    }

    /// The instance that runs.
    pub fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Whom to log in for a user's device.
    pub fn login(&self, user: &str, resource: &str) -> Login {
        Login {
            port: self.port.number(),
            encryption: Encryption::StartTls,
            domain: TRANSPORT.into(),
            user: user.into(),
            password: PASSWORD.into(),
            resource: Some(resource.into()),
        }
    }

    /// What its clients use.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }
}

#[async_trait]
impl Stage for ServerStage {
    fn mode(&self) -> Mode {
        Mode::Server
    }

    fn transport(&self) -> &str {
        TRANSPORT
    }

    async fn connect(&mut self, user: &str, resource: &str, log_in: bool) -> Outcome<Box<dyn Person>> {
        let mut client = match Client::connect(&self.login(user, resource), &self.tls).await {
            Ok(client) => client,
            Err(LoginFailure::Failed(failure)) => return Err(failure),
            Err(LoginFailure::Refused { condition, text }) => return Err(format!("refused: {condition}: {text}").into()),
        };
        if log_in {
            // The server says success only after the network has: nothing to wait for.
            client.send("<presence/>").await?;
        }
        Ok(Box::new(client))
    }
}

#[async_trait]
impl Person for Client {
    fn jid(&self) -> &str {
        Self::jid(self)
    }

    async fn send(&mut self, stanza: &str) -> Outcome<()> {
        Self::send(self, stanza).await
    }

    async fn receive(&mut self) -> Outcome<Element> {
        Self::receive(self).await
    }

    async fn leave(self: Box<Self>) -> Outcome<()> {
        self.close().await;
        Ok(())
    }
}
