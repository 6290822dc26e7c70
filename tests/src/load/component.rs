//! Load on a gateway: this process is its XMPP server (XEP-0114) and all of its users.

use std::time::{Duration, Instant};

use super::link::{Link, attribute};
use super::table::median;
use super::{BODY, TRANSPORT, Table, machine};
use crate::peers::Scratch;
use crate::programs::{Instance, built};
use crate::xmpp::ComponentHost;
use crate::{Failure, Outcome};

const SECRET: &str = "load";
/// Users that register at the same time.
const REGISTERING: usize = 64;
/// How long the network may be silent where an answer is due.
const SILENCE: Duration = Duration::from_secs(60);
/// Silence after which a gateway is at rest.
const AT_REST: Duration = Duration::from_secs(3);

/// What to measure.
#[derive(Debug, Clone)]
pub struct GatewayLoad {
    /// Users that log in.
    pub users: usize,
    /// Contacts that each of them has, when memory per contact is measured.
    pub contacts: usize,
    /// Messages of one run at full speed.
    pub messages: usize,
    /// Messages at full speed that are under way at the same time.
    pub in_flight: usize,
    /// Messages of one run with one under way.
    pub single: usize,
    /// How often the whole is done.
    pub runs: usize,
    /// What `storage.journal` is.
    pub journal: String,
    /// Further lines for the configuration, for example another backend.
    pub extra: String,
}

/// Measures and fills a table.
///
/// # Errors
/// If the programs are not built, or stop answering.
pub async fn run_gateway(load: &GatewayLoad) -> Outcome<Table> {
    machine::raise_file_limit()?;
    let title = format!(
        "Gateway mode: {} users, 60-byte messages echoed, SQLite on a RAM disk, journal {}, {} processors",
        load.users,
        load.journal,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    let mut table = Table::new(title);
    for _ in 0..load.runs {
        let few = session(load, 1, &mut table).await?;
        if load.contacts > 1 {
            let many = memory_with(load, load.contacts).await?;
            let contacts = ((load.contacts - 1) * load.users) as f64;
            table.add("private dirty memory per contact, KiB", (many - few) / contacts, "1.6");
        }
    }
    Ok(table)
}

/// One gateway with everything measured on it; gives its memory with all users and idle.
async fn session(load: &GatewayLoad, contacts: usize, table: &mut Table) -> Outcome<f64> {
    let mut run = Run::start(load, contacts).await?;
    table.add("time to the component handshake, s", run.handshake.as_secs_f64(), "1.08");
    run.ready().await?;
    let empty = run.memory()?;
    let start = Instant::now();
    run.log_in_everybody().await?;
    table.add(
        "registrations with login per second",
        load.users as f64 / start.elapsed().as_secs_f64(),
        "8 to 32",
    );
    run.settle().await?;
    let full = run.memory()?;
    table.add(
        "private dirty memory per user with one contact, KiB",
        (full - empty) / load.users as f64,
        "15 + 1.6",
    );

    let (cpu, start) = (machine::cpu(run.pid)?, Instant::now());
    run.echo(load.messages, load.in_flight).await?;
    let (cpu, time) = (machine::cpu(run.pid)? - cpu, start.elapsed());
    table.add(
        "echoes per second, many in flight",
        load.messages as f64 / time.as_secs_f64(),
        "15400",
    );
    table.add(
        "processor time of the main process per echo, us",
        cpu.as_secs_f64() * 1e6 / load.messages as f64,
        "54",
    );

    let mut times = Vec::with_capacity(load.single);
    for _ in 0..load.single {
        let start = Instant::now();
        run.echo(1, 1).await?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    table.add("median time of an echo, one in flight, ms", median(&times), "0.107");
    Ok(full)
}

async fn memory_with(load: &GatewayLoad, contacts: usize) -> Outcome<f64> {
    let mut run = Run::start(load, contacts).await?;
    run.ready().await?;
    run.log_in_everybody().await?;
    run.settle().await?;
    run.memory()
}

struct Run {
    link: Link,
    pid: u32,
    users: usize,
    contacts: usize,
    handshake: Duration,
    next_user: usize,
    /// Messages so far: each has an id of its own, for one that comes again is a copy.
    next_message: usize,
    /// Subscription requests that came: one for the transport and one for each contact of everybody.
    asked: usize,
    // Ends with the run.
    _instance: Instance,
}

impl Run {
    async fn start(load: &GatewayLoad, contacts: usize) -> Outcome<Self> {
        let host = ComponentHost::listen(SECRET).await?;
        let scratch = Scratch::in_memory("load")?;
        let configuration = format!(
            "mode = \"gateway\"\njid = \"{TRANSPORT}\"\n\
             [gateway]\nserver = \"127.0.0.1\"\nport = {port}\nsecret = \"{SECRET}\"\n\
             [backend]\ncommand = [\"{echo}\"]\n[backend.options]\ncontacts = {contacts}\n\
             [storage]\nurl = \"sqlite://{folder}/spectrum.db\"\nkey_file = \"{folder}/key\"\njournal = \"{journal}\"\n\
             [log]\nfile = \"{folder}/instance.log\"\nlevel = \"warn\"\n[control]\nsocket = \"{folder}/control.sock\"\n{extra}",
            port = host.port()?,
            echo = built("echo-backend")?.display(),
            folder = scratch.path().display(),
            journal = load.journal,
            extra = load.extra,
        );
        let start = Instant::now();
        let mut instance = Instance::start("spectrum-gateway", scratch, &configuration)?;
        let component = tokio::select! {
            component = host.accept() => component?,
            _ = instance.process().ends_within(SILENCE) => {
                return Err(Failure::new(format!("the gateway did not connect\n{}", instance.process().log_tail())));
            }
        };
        let handshake = start.elapsed();
        let pid = instance.process().pid();
        Ok(Self {
            link: Link::new(component)?,
            pid,
            users: load.users,
            contacts,
            handshake,
            next_user: 0,
            next_message: 0,
            asked: 0,
            _instance: instance,
        })
    }

    fn memory(&self) -> Outcome<f64> {
        machine::private_dirty(self.pid)
    }

    async fn next(&mut self) -> Outcome<String> {
        match tokio::time::timeout(SILENCE, self.link.next()).await {
            Ok(stanza) => stanza,
            Err(_) => Err(Failure::new(format!("the gateway was silent for {SILENCE:?}"))),
        }
    }

    /// Waits until the first backend is up: before it is, nobody can register, and how long it takes is no part of a rate.
    async fn ready(&mut self) -> Outcome<()> {
        loop {
            self.link.queue(&format!(
                "<iq type='get' id='ready' from='ready@localhost/load' to='{TRANSPORT}'><query xmlns='jabber:iq:register'/></iq>"
            ));
            let answer = loop {
                let stanza = self.next().await?;
                if stanza.starts_with("<iq") && attribute(&stanza, "id") == Some("ready") {
                    break stanza;
                }
            };
            match attribute(&answer, "type") {
                Some("result") => return Ok(()),
                _ if answer.contains("type='wait'") => tokio::time::sleep(Duration::from_millis(10)).await,
                _ => return Err(Failure::new(format!("no form to register with: {answer}"))),
            }
        }
    }

    /// Registers every user, sends their presence, and waits until the transport and all contacts have shown theirs.
    async fn log_in_everybody(&mut self) -> Outcome<()> {
        let (mut registered, mut online) = (0, 0);
        let mut seen = vec![0_usize; self.users];
        while online < self.users {
            while registered < self.users && registered < online + REGISTERING {
                self.link.queue(&registration(registered));
                registered += 1;
            }
            let stanza = self.next().await?;
            let to = attribute(&stanza, "to").and_then(|to| to.strip_prefix('u')?.split('@').next()?.parse::<usize>().ok());
            let Some(user) = to.filter(|user| *user < self.users) else {
                continue;
            };
            let (from, kind) = (attribute(&stanza, "from").unwrap_or_default(), attribute(&stanza, "type"));
            if stanza.starts_with("<iq") && attribute(&stanza, "id") == Some(&format!("r{user}")) {
                if kind != Some("result") {
                    return Err(Failure::new(format!("could not register: {stanza}")));
                }
                self.link
                    .queue(&format!("<presence from='u{user}@localhost/load' to='{TRANSPORT}'/>"));
            } else if stanza.starts_with("<presence") && kind == Some("subscribe") {
                self.subscribed(user, from);
            } else if stanza.starts_with("<presence") && kind.is_none() {
                // The transport and each contact; some say so again when they are subscribed to.
                seen[user] += 1;
                if seen[user] == self.contacts + 1 {
                    online += 1;
                }
            }
        }
        Ok(())
    }

    /// Waits until every contact has asked for a place in the roster, and everything has come to rest: those requests are
    /// paced, and what waits for them is no part of an idle user.
    async fn settle(&mut self) -> Outcome<()> {
        // The first message fills what every user has once.
        self.echo(self.users, 64).await?;
        loop {
            let all_asked = self.asked >= self.users * (self.contacts + 1);
            let patience = if all_asked { AT_REST } else { SILENCE };
            let stanza = match tokio::time::timeout(patience, self.link.next()).await {
                Ok(stanza) => stanza?,
                Err(_) if all_asked => return Ok(()),
                Err(_) => return Err(Failure::new(format!("{} contacts asked, then silence", self.asked))),
            };
            let user = attribute(&stanza, "to").and_then(|to| to.strip_prefix('u')?.split('@').next()?.parse().ok());
            if let Some(user) =
                user.filter(|_| stanza.starts_with("<presence") && attribute(&stanza, "type") == Some("subscribe"))
            {
                self.subscribed(user, attribute(&stanza, "from").unwrap_or_default());
            }
        }
    }

    /// Answers as a client does that trusts its transport: the contact may see the user, and is asked in return.
    fn subscribed(&mut self, user: usize, from: &str) {
        self.asked += 1;
        let (who, from) = (format!("u{user}@localhost"), from.split('/').next().unwrap_or_default());
        self.link
            .queue(&format!("<presence type='subscribed' from='{who}' to='{from}'/>"));
        self.link
            .queue(&format!("<presence type='subscribe' from='{who}' to='{from}'/>"));
    }

    /// Sends this many messages to the echo contact, in turn from all users, and waits for all to come back.
    async fn echo(&mut self, messages: usize, in_flight: usize) -> Outcome<()> {
        let (mut sent, mut back) = (0, 0);
        while back < messages {
            while sent < messages && sent < back + in_flight {
                let user = self.next_user;
                self.next_user = (self.next_user + 1) % self.users;
                let id = self.next_message;
                self.next_message += 1;
                self.link.queue(&format!(
                    "<message from='u{user}@localhost/load' to='echo@{TRANSPORT}' type='chat' id='m{id}'><body>{BODY}</body></message>"
                ));
                sent += 1;
            }
            let stanza = self.next().await?;
            if stanza.starts_with("<presence") && attribute(&stanza, "type") == Some("subscribe") {
                let user = attribute(&stanza, "to").and_then(|to| to.strip_prefix('u')?.split('@').next()?.parse().ok());
                if let Some(user) = user {
                    self.subscribed(user, attribute(&stanza, "from").unwrap_or_default());
                }
            } else if stanza.starts_with("<message") {
                if attribute(&stanza, "type") == Some("error") {
                    return Err(Failure::new(format!("a message was refused: {stanza}")));
                }
                back += usize::from(stanza.contains(BODY));
            }
        }
        Ok(())
    }
}

fn registration(user: usize) -> String {
    format!(
        "<iq type='set' id='r{user}' from='u{user}@localhost/load' to='{TRANSPORT}'>\
         <query xmlns='jabber:iq:register'><username>u{user}</username><password>pw</password></query></iq>"
    )
}
