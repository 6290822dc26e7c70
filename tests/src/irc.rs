//! An IRC client for tests: raw lines out, expected lines in, everything kept for the report.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::{Failure, Outcome};

/// How long an expected line may take, also on a busy machine. InspIRCd completes a registration on a one-second tick.
const WITHIN: Duration = Duration::from_secs(20);

/// Whether an IRC server on this port of 127.0.0.1 welcomes a client.
///
/// # Errors
/// If it does not (yet).
pub async fn greets(port: u16) -> Outcome<()> {
    Irc::try_connect(port, "probe").await?.quit().await;
    Ok(())
}

/// A person on the IRC network. PINGs are answered while waiting for lines.
#[derive(Debug)]
pub struct Irc {
    nick: String,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    partial: Vec<u8>,
    log: Vec<String>,
}

impl Irc {
    /// Connects and waits for the welcome.
    ///
    /// # Panics
    /// If there is none.
    pub async fn connect(port: u16, nick: &str) -> Self {
        match Self::try_connect(port, nick).await {
            Ok(irc) => irc,
            Err(failure) => panic!("{nick} could not connect to the IRC server: {failure}"),
        }
    }

    /// The same, for a server that may not be up.
    ///
    /// # Errors
    /// If there is no welcome.
    pub async fn try_connect(port: u16, nick: &str) -> Outcome<Self> {
        let mut irc = Self::open(port, nick).await?;
        irc.send(&format!("NICK {nick}")).await;
        irc.send(&format!("USER {nick} 0 * :{nick}")).await;
        irc.wait_for("the end of the message of the day", |line| {
            [" 376 ", " 422 "].iter().any(|n| line.contains(n))
        })
        .await?;
        Ok(irc)
    }

    /// A connection on which nothing has been said.
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn open(port: u16, nick: &str) -> Outcome<Self> {
        let (reader, writer) = TcpStream::connect(("127.0.0.1", port)).await?.into_split();
        Ok(Self {
            nick: nick.to_owned(),
            reader: BufReader::new(reader),
            writer,
            partial: Vec::new(),
            log: Vec::new(),
        })
    }

    /// The nickname it connected with.
    pub fn nick(&self) -> &str {
        &self.nick
    }

    /// Sends a line. A connection that is gone shows at the next wait.
    pub async fn send(&mut self, line: &str) {
        self.log.push(format!(">> {line}"));
        let _ = self.writer.write_all(format!("{line}\r\n").as_bytes()).await;
    }

    /// Joins a channel and waits until the names are complete.
    pub async fn join(&mut self, channel: &str) {
        self.send(&format!("JOIN {channel}")).await;
        self.expect(&[" 366 ", channel]).await;
    }

    /// Waits for a line that contains all of these texts, skipping others, and gives it.
    ///
    /// # Panics
    /// If none comes in time; with everything that was said.
    pub async fn expect(&mut self, texts: &[&str]) -> String {
        match self
            .wait_for(&format!("{texts:?}"), |line| texts.iter().all(|text| line.contains(text)))
            .await
        {
            Ok(line) => line,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// The same with more patience than a line usually needs.
    ///
    /// # Panics
    /// If none comes in time; with everything that was said.
    pub async fn expect_within(&mut self, patience: Duration, texts: &[&str]) -> String {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            let line = self
                .wait_for(&format!("{texts:?}"), |line| texts.iter().all(|text| line.contains(text)))
                .await;
            match line {
                Ok(line) => return line,
                Err(failure) => assert!(tokio::time::Instant::now() < give_up, "{failure}"),
            }
        }
    }

    /// The lines up to the answer to a PING of ours: what the server had for us until now.
    pub async fn so_far(&mut self) -> Vec<String> {
        let from = self.log.len();
        let token = format!("sync-{from}");
        self.send(&format!("PING {token}")).await;
        self.expect(&["PONG", &token]).await;
        self.log[from + 1..self.log.len() - 1]
            .iter()
            .filter_map(|line| line.strip_prefix("<< ").map(str::to_owned))
            .collect()
    }

    /// Waits for a line that fits.
    ///
    /// # Errors
    /// If none comes in time, or the connection ends; with everything that was said.
    pub async fn wait_for(&mut self, what: &str, mut fits: impl FnMut(&str) -> bool) -> Outcome<String> {
        let deadline = tokio::time::Instant::now() + WITHIN;
        loop {
            let why = match tokio::time::timeout_at(deadline, self.line()).await {
                Ok(Ok(line)) if fits(&line) => return Ok(line),
                Ok(Ok(_)) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(_) => format!("not within {WITHIN:?}"),
            };
            return Err(Failure::new(format!(
                "{} waits for {what}: {why}; so far:\n{}",
                self.nick,
                self.log.join("\n")
            )));
        }
    }

    async fn line(&mut self) -> Outcome<String> {
        // `partial` keeps what a dropped future had read.
        if self.reader.read_until(b'\n', &mut self.partial).await? == 0 {
            return Err("the connection ended".into());
        }
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        self.log.push(format!("<< {line}"));
        if let Some(token) = line.strip_prefix("PING ") {
            let _ = self.writer.write_all(format!("PONG {token}\r\n").as_bytes()).await;
        }
        Ok(line)
    }

    /// Leaves the network.
    pub async fn quit(mut self) {
        self.send("QUIT :bye").await;
        let _ = self.wait_for("the end", |_| false).await;
    }
}
