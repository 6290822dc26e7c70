//! Load on a server: many TLS clients in this process.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::table::median;
use super::{BODY, TRANSPORT, Table, machine};
use crate::peers::{Account, Certificates, Port, Scratch};
use crate::programs::{Instance, built};
use crate::xmpp::{Client, Encryption, Login, LoginFailure, Tls, trust_anything};
use crate::{Failure, Outcome};

/// Clients that log in at the same time.
const LOGGING_IN: usize = 64;
/// Clients that come first, so that what exists once is not counted for each.
const FIRST: usize = 10;
/// Clients that talk while the others are idle.
const TALKING: usize = 64;

/// What to measure.
#[derive(Debug, Clone)]
pub struct ServerLoad {
    /// Clients that are logged in.
    pub clients: usize,
    /// Messages of one run at full speed.
    pub messages: usize,
    /// How often the whole is done.
    pub runs: usize,
    /// Further lines for the configuration.
    pub extra: String,
}

/// Measures and fills a table.
///
/// # Errors
/// If the programs are not built, or stop answering.
pub async fn run_server(load: &ServerLoad) -> Outcome<Table> {
    let files = machine::raise_file_limit()?;
    if files < load.clients as u64 + 100 {
        return Err(Failure::new(format!(
            "{} clients need more open files than {files} (ulimit -Hn)",
            load.clients
        )));
    }
    let mut table = Table::new(format!(
        "Server mode: {} TLS clients with one contact, 60-byte messages echoed",
        load.clients
    ));
    for _ in 0..load.runs {
        run(load, &mut table).await?;
    }
    Ok(table)
}

async fn run(load: &ServerLoad, table: &mut Table) -> Outcome<()> {
    let scratch = Scratch::in_memory("load")?;
    let port = Port::free()?;
    let certificates = Certificates::make(&scratch.join("tls"), &Account::own(), &[TRANSPORT])?;
    let configuration = format!(
        "mode = \"server\"\njid = \"{TRANSPORT}\"\n\
         [server]\nlisten = []\nlisten_tls = [\"127.0.0.1:{port}\"]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
         [backend]\ncommand = [\"{echo}\"]\n[backend.options]\ncontacts = 1\n[storage]\nurl = \"none\"\n\
         [log]\nfile = \"{folder}/instance.log\"\nlevel = \"warn\"\n[control]\nsocket = \"{folder}/control.sock\"\n{extra}",
        certificate = certificates.certificate.display(),
        key = certificates.key.display(),
        echo = built("echo-backend")?.display(),
        folder = scratch.path().display(),
        extra = load.extra,
    );
    let start = Instant::now();
    let mut instance = Instance::start("spectrum-server", scratch, &configuration)?;
    let number = port.number();
    instance.process().ready("clients", async || connects(number).await).await?;
    table.add("time until clients can connect, s", start.elapsed().as_secs_f64(), "-");
    let pid = instance.process().pid();

    let tls = trust_anything()?;
    let mut clients = log_in(number, &tls, 0..FIRST.min(load.clients)).await?;
    let few = machine::private_dirty(pid)?;
    let (cpu, start) = (machine::cpu(pid)?, Instant::now());
    clients.extend(log_in(number, &tls, clients.len()..load.clients).await?);
    let more = load.clients.saturating_sub(FIRST).max(1) as f64;
    table.add("logins per second", more / start.elapsed().as_secs_f64(), "-");
    table.add(
        "processor time of the main process per login, us",
        (machine::cpu(pid)? - cpu).as_secs_f64() * 1e6 / more,
        "-",
    );
    table.add(
        "private dirty memory per idle client, KiB",
        (machine::private_dirty(pid)? - few) / more,
        "-",
    );

    let each = load.messages / TALKING;
    let (cpu, start) = (machine::cpu(pid)?, Instant::now());
    let mut talks = JoinSet::new();
    for mut client in clients.drain(..TALKING.min(clients.len())) {
        talks.spawn(async move {
            let mut times = Vec::with_capacity(each);
            for number in 0..each {
                let start = Instant::now();
                echo(&mut client, number).await?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, Failure>((client, times))
        });
    }
    let mut times = Vec::new();
    while let Some(talked) = talks.join_next().await {
        let (client, of_one) = talked.map_err(|e| Failure::new(e.to_string()))??;
        times.extend(of_one);
        clients.push(client);
    }
    let echoes = times.len().max(1) as f64;
    table.add("echoes per second, 64 in flight", echoes / start.elapsed().as_secs_f64(), "-");
    table.add(
        "processor time of the main process per echo, us",
        (machine::cpu(pid)? - cpu).as_secs_f64() * 1e6 / echoes,
        "-",
    );
    table.add("median time of an echo, 64 in flight, ms", median(&times), "-");
    Ok(())
}

/// Whether somebody accepts TCP connections: with direct TLS a stream header has to wait.
async fn connects(port: u16) -> Outcome<()> {
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    Ok(())
}

async fn log_in(port: u16, tls: &Tls, numbers: std::ops::Range<usize>) -> Outcome<Vec<Client>> {
    let turns = Arc::new(Semaphore::new(LOGGING_IN));
    let mut logins = JoinSet::new();
    for number in numbers {
        let (turns, tls) = (Arc::clone(&turns), tls.clone());
        logins.spawn(async move {
            let _turn = turns.acquire_owned().await.map_err(|e| Failure::new(e.to_string()))?;
            let login = Login {
                port,
                encryption: Encryption::Direct,
                domain: TRANSPORT.into(),
                user: format!("u{number}"),
                password: "pw".into(),
                resource: Some("load".into()),
            };
            let mut client = match Client::connect(&login, &tls).await {
                Ok(client) => client,
                Err(LoginFailure::Failed(failure)) => return Err(failure),
                Err(LoginFailure::Refused { condition, text }) => {
                    return Err(Failure::new(format!("refused: {condition} {text}")));
                }
            };
            client.keep_no_log();
            client.send("<presence/>").await?;
            // Its contact's presence: then the login has settled.
            client
                .expect("a contact", |s| {
                    s.name() == "presence" && s.attr("from").is_some_and(|f| f.starts_with("echo@"))
                })
                .await?;
            Ok(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(client) = logins.join_next().await {
        clients.push(client.map_err(|e| Failure::new(e.to_string()))??);
    }
    Ok(clients)
}

/// Each message has an id of its own, for one that comes again is a copy.
async fn echo(client: &mut Client, number: usize) -> Outcome<()> {
    client
        .send(&format!(
            "<message to='echo@{TRANSPORT}' type='chat' id='m{number}'><body>{BODY}</body></message>"
        ))
        .await?;
    let back = client
        .expect("the echo", |s| s.name() == "message" && s.has_child("body", "jabber:client"))
        .await?;
    match back.attr("type") {
        Some("error") => Err(Failure::new("a message was refused")),
        _ => Ok(()),
    }
}
