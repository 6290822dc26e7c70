//! XMPP as the tests speak it: a raw client and the server's side of a component stream. Both are independent of the
//! product's own streams, so that a mistake there is not made twice.

mod client;
mod host;
mod splitter;
mod tls;

pub use client::{Client, Encryption, Login, LoginFailure};
pub use host::{ComponentHost, HostedComponent};
pub use splitter::{Item, Splitter};
pub use tls::{Tls, trust_anything};

use minidom::Element;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Failure, Outcome};

/// The namespace of streams.
pub const STREAM: &str = "http://etherx.jabber.org/streams";

/// Reads one element out of text, as it would stand in a stream of this default namespace.
///
/// # Errors
/// If it is not one well-formed element.
pub fn element(text: &str, namespace: &str) -> Outcome<Element> {
    let wrapped = format!("<stream:stream xmlns='{namespace}' xmlns:stream='{STREAM}'>{text}</stream:stream>");
    let wrapper: Element = wrapped.parse().map_err(|e| Failure::new(format!("{e} in: {text}")))?;
    let mut children = wrapper.children();
    match (children.next(), children.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(Failure::new(format!("not exactly one element: {text}"))),
    }
}

/// An element as text, for sending and for reports.
pub fn text(element: &Element) -> String {
    String::from(element)
}

/// Escapes text for an attribute or between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&apos;")
        .replace('"', "&quot;")
}

/// Whether an XMPP server on this port of 127.0.0.1 answers a stream header with its own.
///
/// # Errors
/// If it does not (yet).
pub async fn greets(port: u16, namespace: &str, domain: &str) -> Outcome<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let header =
        format!("<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='{STREAM}' to='{domain}' version='1.0'>");
    stream.write_all(header.as_bytes()).await?;
    let mut splitter = Splitter::default();
    let mut buffer = [0; 4096];
    loop {
        let got = stream.read(&mut buffer).await?;
        if got == 0 {
            return Err("closed before the greeting".into());
        }
        splitter.push(&buffer[..got]);
        while let Some(item) = splitter.next()? {
            match item {
                Item::Open(_) if namespace.ends_with(":accept") => return Ok(()),
                Item::Open(_) => {}
                Item::Stanza(first) if first.contains("error") => return Err(first.into()),
                Item::Stanza(_) => return Ok(()),
                Item::Close => return Err("closed at once".into()),
            }
        }
    }
}
