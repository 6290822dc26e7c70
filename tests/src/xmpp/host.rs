//! The server's side of a component stream (XEP-0114): enough of an XMPP server for a gateway to run against, and nothing
//! between the test and the exact stanzas.

use minidom::Element;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::{Item, STREAM, Splitter, element};
use crate::Outcome;

const ACCEPT: &str = "jabber:component:accept";
const STREAM_ID: &str = "tests-3BF96D32";

/// Listens for one component.
#[derive(Debug)]
pub struct ComponentHost {
    listener: TcpListener,
    secret: String,
}

impl ComponentHost {
    /// Listens on a port of 127.0.0.1 that the system chooses.
    ///
    /// # Errors
    /// What the network says.
    pub async fn listen(secret: &str) -> Outcome<Self> {
        Ok(Self {
            listener: TcpListener::bind(("127.0.0.1", 0)).await?,
            secret: secret.to_owned(),
        })
    }

    /// Where the component connects.
    ///
    /// # Errors
    /// What the network says.
    pub fn port(&self) -> Outcome<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Waits for the component and checks its handshake.
    ///
    /// # Errors
    /// If what connected is no component, or knows another secret.
    pub async fn accept(&self) -> Outcome<HostedComponent> {
        let (socket, _) = self.listener.accept().await?;
        HostedComponent::greet(socket, &self.secret).await
    }
}

/// A component that is connected.
#[derive(Debug)]
pub struct HostedComponent {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    splitter: Splitter,
    jid: String,
}

impl HostedComponent {
    async fn greet(socket: TcpStream, secret: &str) -> Outcome<Self> {
        socket.set_nodelay(true)?;
        let (reader, writer) = socket.into_split();
        let mut component = Self {
            reader,
            writer,
            splitter: Splitter::default(),
            jid: String::new(),
        };
        let Item::Open(header) = component.item().await? else {
            return Err("no stream header".into());
        };
        // The header is a tag that is never closed: closed here, to be parsed.
        let header: Element = format!("{}/>", header.trim_end_matches('>'))
            .parse()
            .map_err(|e| format!("{e}: {header}"))?;
        component.jid = header.attr("to").ok_or("a stream header without `to`")?.to_owned();
        let ours = format!(
            "<stream:stream xmlns='{ACCEPT}' xmlns:stream='{STREAM}' from='{}' id='{STREAM_ID}'>",
            component.jid
        );
        component.send(&format!("<?xml version='1.0'?>{ours}")).await?;
        let handshake = component.receive().await?;
        let expected = Sha1::digest(format!("{STREAM_ID}{secret}"));
        let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        if handshake.name() != "handshake" || handshake.text() != expected {
            return Err(format!("a wrong handshake: {}", super::text(&handshake)).into());
        }
        component.send("<handshake/>").await?;
        Ok(component)
    }

    /// The domain it wants to have.
    pub fn jid(&self) -> &str {
        &self.jid
    }

    /// Sends text as it is.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, text: &str) -> Outcome<()> {
        self.writer.write_all(text.as_bytes()).await?;
        Ok(())
    }

    /// The next stanza from the component. A dropped future loses nothing.
    ///
    /// # Errors
    /// If the stream ends.
    pub async fn receive(&mut self) -> Outcome<Element> {
        match self.item().await? {
            Item::Stanza(text) => element(&text, ACCEPT),
            Item::Open(_) => Err("a second stream header".into()),
            Item::Close => Err("the component closed its stream".into()),
        }
    }

    async fn item(&mut self) -> Outcome<Item> {
        loop {
            if let Some(item) = self.splitter.next()? {
                return Ok(item);
            }
            let mut buffer = [0; 16 * 1024];
            let got = self.reader.read(&mut buffer).await?;
            if got == 0 {
                return Err("the component's connection ended".into());
            }
            self.splitter.push(&buffer[..got]);
        }
    }

    /// The two halves and what has been read but not cut, for a reader and a writer of their own.
    pub fn into_parts(self) -> (OwnedReadHalf, OwnedWriteHalf, Splitter) {
        (self.reader, self.writer, self.splitter)
    }
}
