//! Cuts an XML stream into its header, its stanzas and its end, as text. Owns the bytes that make no whole item yet.
//!
//! Trusts the peer to be well-formed: it counts tags. What it cuts is parsed by minidom afterwards.

use crate::{Failure, Outcome};

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// The opening tag of the stream.
    Open(String),
    /// A whole element of the first level.
    Stanza(String),
    /// The closing tag of the stream.
    Close,
}

/// The state of cutting one stream.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: Vec<u8>,
    // Where the current item begins, and how far it has been looked at.
    start: usize,
    seen: usize,
    depth: usize,
}

/// Bytes that are done with stay in front until so many have gathered: moving the rest has a price.
const KEEP: usize = 64 * 1024;

impl Splitter {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            (self.start, self.seen) = (0, 0);
        } else if self.start > KEEP {
            self.bytes.drain(..self.start);
            (self.start, self.seen) = (0, self.seen - self.start);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole item, if there is one.
    ///
    /// # Errors
    /// If it is not UTF-8, or tags do not balance.
    #[expect(clippy::should_implement_trait, reason = "this is no iterator: more may come after None")]
    pub fn next(&mut self) -> Outcome<Option<Item>> {
        while let Some((tag, end)) = self.tag()? {
            let item = match tag {
                Tag::Other => {
                    if self.depth <= 1 {
                        self.start = end;
                    }
                    None
                }
                Tag::Open => {
                    self.depth += 1;
                    (self.depth == 1).then(|| self.cut(end).map(Item::Open))
                }
                Tag::Empty => (self.depth == 1).then(|| self.cut(end).map(Item::Stanza)),
                Tag::Close => {
                    self.depth = self.depth.checked_sub(1).ok_or("a closing tag too many")?;
                    match self.depth {
                        0 => Some(self.cut(end).map(|_| Item::Close)),
                        1 => Some(self.cut(end).map(Item::Stanza)),
                        _ => None,
                    }
                }
            };
            self.seen = end;
            if let Some(item) = item {
                return item.map(Some);
            }
        }
        Ok(None)
    }

    fn cut(&mut self, end: usize) -> Outcome<String> {
        let text = std::str::from_utf8(&self.bytes[self.start..end]).map_err(|e| Failure::new(e.to_string()))?;
        // White space between stanzas is no part of them.
        let text = text.trim_start().to_owned();
        self.start = end;
        Ok(text)
    }

    /// The next tag and where it ends; leaves `seen` before it.
    fn tag(&mut self) -> Outcome<Option<(Tag, usize)>> {
        let rest = &self.bytes[self.seen..];
        let Some(open) = rest.iter().position(|b| *b == b'<') else {
            self.seen = self.bytes.len();
            return Ok(None);
        };
        let at = self.seen + open;
        self.seen = at;
        let tag = &self.bytes[at..];
        for (start, finish) in [(&b"<?"[..], &b"?>"[..]), (b"<!--", b"-->"), (b"<![CDATA[", b"]]>")] {
            if tag.starts_with(start) {
                let found = tag.windows(finish.len()).position(|w| w == finish);
                return Ok(found.map(|n| (Tag::Other, at + n + finish.len())));
            }
        }
        let mut quote = None;
        for (n, byte) in tag.iter().enumerate() {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(*byte),
                (None, b'>') => {
                    let kind = if tag.starts_with(b"</") {
                        Tag::Close
                    } else if tag[n - 1] == b'/' {
                        Tag::Empty
                    } else {
                        Tag::Open
                    };
                    return Ok(Some((kind, at + n + 1)));
                }
                (Some(q), b) if q == *b => quote = None,
                _ => {}
            }
        }
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy)]
enum Tag {
    Open,
    Empty,
    Close,
    // A declaration, a comment, character data.
    Other,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STREAM: &str = "<?xml version='1.0'?><stream:stream id='a>b'> <iq/>\n<message><body>1 > 0</body><x a=\"/>\"/>\
                          <![CDATA[<no>]]></message><presence></presence></stream:stream>";

    fn items(chunks: impl Iterator<Item = &'static [u8]>) -> Vec<Item> {
        let mut splitter = Splitter::default();
        let mut items = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            while let Some(item) = splitter.next().unwrap() {
                items.push(item);
            }
        }
        items
    }

    #[test]
    fn any_chunking_gives_the_same_items() {
        let whole = items([STREAM.as_bytes()].into_iter());
        assert_eq!(
            whole,
            [
                Item::Open("<stream:stream id='a>b'>".into()),
                Item::Stanza("<iq/>".into()),
                Item::Stanza("<message><body>1 > 0</body><x a=\"/>\"/><![CDATA[<no>]]></message>".into()),
                Item::Stanza("<presence></presence>".into()),
                Item::Close,
            ]
        );
        for size in 1..STREAM.len() {
            assert_eq!(items(STREAM.as_bytes().chunks(size)), whole, "chunks of {size}");
        }
    }
}
