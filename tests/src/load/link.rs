//! The generator's end of the component stream: one task, no queue between it and the socket, writes gathered.

use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::xmpp::{HostedComponent, Item, Splitter};
use crate::{Failure, Outcome};

/// A component stream, read and written by one task without either waiting for the other.
pub(crate) struct Link {
    stream: TcpStream,
    splitter: Splitter,
    out: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Link {
    pub(crate) fn new(component: HostedComponent) -> Outcome<Self> {
        let (reader, writer, splitter) = component.into_parts();
        let stream = reader.reunite(writer).map_err(|e| Failure::new(e.to_string()))?;
        Ok(Self {
            stream,
            splitter,
            out: Vec::new(),
            buffer: vec![0; 256 * 1024].into(),
        })
    }

    /// Queues text; it is written at the next [`Link::next`] that has nothing to give.
    pub(crate) fn queue(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// The next stanza.
    pub(crate) async fn next(&mut self) -> Outcome<String> {
        loop {
            match self.splitter.next()? {
                Some(Item::Stanza(stanza)) => return Ok(stanza),
                Some(Item::Open(_)) => continue,
                Some(Item::Close) => return Err("the gateway closed its stream".into()),
                None => {}
            }
            let interest = if self.out.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable()
                && !self.out.is_empty()
                && let Some(written) = done(self.stream.try_write(&self.out))?
            {
                self.out.drain(..written);
            }
            if ready.is_readable() {
                match done(self.stream.try_read(&mut self.buffer))? {
                    Some(0) => return Err("the gateway's connection ended".into()),
                    Some(got) => self.splitter.push(&self.buffer[..got]),
                    None => {}
                }
            }
        }
    }
}

/// Readiness can be mistaken: then nothing was done.
fn done(result: std::io::Result<usize>) -> Outcome<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// An attribute of a stanza's own tag, as it stands.
pub(crate) fn attribute<'a>(stanza: &'a str, name: &str) -> Option<&'a str> {
    let tag = &stanza[..stanza.find('>')?];
    let mut rest = tag;
    loop {
        let at = rest.find(name)?;
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        rest = after;
        if before.ends_with(char::is_whitespace) && after.starts_with('=') {
            let quote = after[1..].chars().next()?;
            return after[2..].split(quote).next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::attribute;

    #[test]
    fn attributes_are_found_by_their_whole_name() {
        let stanza = "<message auto='no' to=\"a'b\" from='c'><x to='other'/></message>";
        assert_eq!(attribute(stanza, "to"), Some("a'b"));
        assert_eq!(attribute(stanza, "from"), Some("c"));
        assert_eq!(attribute(stanza, "id"), None);
    }
}
