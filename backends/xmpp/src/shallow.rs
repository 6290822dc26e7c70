//! A bound on nesting beneath the parser. For every element the parser looks through all that are open, so that its time grows
//! with the square of the depth: a stanza of 100,000 levels would hold up everybody in the process. What lies deeper
//! than [`MAX_LEVELS`] is taken out of the bytes before it reads them; what is left is still over the bound of a stanza
//! (`xml`), which is then treated as one that is too deep.
//!
//! This knows tags, quotes and CDATA and nothing else of XML. What is no XML it hands on, for the parser to refuse.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// Levels that are handed on: more than those of a stanza with its streams around it, so that a cut stanza is known as one.
const MAX_LEVELS: usize = 64;

/// Bytes read at once.
const BUFFER: usize = 8 * 1024;

const CDATA: &[u8] = b"[CDATA[";

/// Where in the document it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Text,
    /// After `<`, which is held back until it is known what it begins.
    Less,
    /// In the tag that begins an element; `slash`: the last character was one.
    Start {
        quote: Option<u8>,
        slash: bool,
    },
    /// In the tag that ends one.
    End,
    /// After `<!`, and so many characters of `[CDATA[`.
    Bang(usize),
    /// In a CDATA section, after so many `]`.
    Data(usize),
    /// In something else that ends with `>`.
    Other,
}

/// Takes out what is too deep.
#[derive(Debug)]
struct Cutter {
    at: At,
    depth: usize,
    /// The tag being read is left out.
    is_cut: bool,
}

impl Cutter {
    const fn new() -> Self {
        Self {
            at: At::Text,
            depth: 0,
            is_cut: false,
        }
    }

    /// Reads `buffer[1..end]` and leaves what is kept at the beginning of the buffer; returns how much that is. One byte may be
    /// held back for the next time, which is what the free byte is for.
    fn cut(&mut self, buffer: &mut [u8], end: usize) -> usize {
        let mut kept = 0;
        let mut keep = |buffer: &mut [u8], byte: u8| {
            if let Some(place) = buffer.get_mut(kept) {
                *place = byte;
                kept += 1;
            }
        };
        for at in 1..end {
            let Some(&byte) = buffer.get(at) else { break };
            if self.at == At::Less {
                self.begin(byte);
                if !self.is_cut {
                    keep(buffer, b'<');
                }
            }
            let was_cut = self.is_cut;
            self.step(byte);
            if !was_cut && self.at != At::Less {
                keep(buffer, byte);
            }
        }
        kept
    }

    /// Decides what the `<` before this byte begins, and whether that is left out.
    fn begin(&mut self, byte: u8) {
        self.is_cut = match byte {
            b'/' => self.depth > MAX_LEVELS,
            b'?' | b'!' => self.depth > MAX_LEVELS,
            _ => self.depth >= MAX_LEVELS,
        };
    }

    fn step(&mut self, byte: u8) {
        self.at = match (self.at, byte) {
            (At::Text, b'<') => At::Less,
            (At::Text, _) => At::Text,
            (At::Less, b'/') => At::End,
            (At::Less, b'!') => At::Bang(0),
            (At::Less, b'?') => At::Other,
            (At::Less | At::Start { .. }, b'>') => {
                if !matches!(self.at, At::Start { slash: true, .. }) {
                    self.depth += 1;
                }
                self.end()
            }
            (At::Less, b'"' | b'\'') => At::Start {
                quote: Some(byte),
                slash: false,
            },
            (At::Less, _) => At::Start {
                quote: None,
                slash: false,
            },
            (At::Start { quote: Some(quote), .. }, _) if quote == byte => At::Start {
                quote: None,
                slash: false,
            },
            (At::Start { quote: Some(_), .. }, _) => self.at,
            (At::Start { quote: None, .. }, b'"' | b'\'') => At::Start {
                quote: Some(byte),
                slash: false,
            },
            (At::Start { quote: None, .. }, _) => At::Start {
                quote: None,
                slash: byte == b'/',
            },
            (At::End, b'>') => {
                self.depth = self.depth.saturating_sub(1);
                self.end()
            }
            (At::Bang(n), _) if CDATA.get(n) == Some(&byte) => {
                if n + 1 == CDATA.len() {
                    At::Data(0)
                } else {
                    At::Bang(n + 1)
                }
            }
            (At::Data(2..), b'>') | (At::Bang(_) | At::Other, b'>') => self.end(),
            (At::Data(n), b']') => At::Data((n + 1).min(2)),
            (At::Data(_), _) => At::Data(0),
            (At::End, _) => At::End,
            (At::Bang(_) | At::Other, _) => At::Other,
        };
    }

    /// A tag is over: text that follows is left out as deep as tags are.
    fn end(&mut self) -> At {
        self.is_cut = self.depth > MAX_LEVELS;
        At::Text
    }
}

/// A connection whose bytes to read are cut, with the buffer that the parser reads from.
#[derive(Debug)]
pub(crate) struct Shallow<S> {
    io: S,
    cutter: Cutter,
    buffer: Box<[u8]>,
    /// What is left to be read of it.
    from: usize,
    to: usize,
}

impl<S> Shallow<S> {
    pub(crate) fn new(io: S) -> Self {
        Self {
            io,
            cutter: Cutter::new(),
            buffer: vec![0; BUFFER + 1].into_boxed_slice(),
            from: 0,
            to: 0,
        }
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    /// Whether something was read that nobody has taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffered().is_empty() || self.cutter.at == At::Less
    }

    /// The connection. What is buffered is lost.
    pub(crate) fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncBufRead for Shallow<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.from >= this.to {
            let mut read = ReadBuf::new(this.buffer.get_mut(1..).unwrap_or_default());
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            let got = read.filled().len();
            if got == 0 {
                return Poll::Ready(Ok(&[]));
            }
            this.from = 0;
            this.to = this.cutter.cut(&mut this.buffer, got + 1);
        }
        Poll::Ready(Ok(this.buffered()))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.from = (this.from + amount).min(this.to);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shallow<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ready = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = ready.len().min(out.remaining());
        out.put_slice(ready.get(..amount).unwrap_or_default());
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shallow<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// The document as it comes out if it comes in pieces of these lengths.
    fn cut(document: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let mut cutter = Cutter::new();
        let mut out = Vec::new();
        let mut rest = document;
        for length in lengths.into_iter().chain(std::iter::repeat(usize::MAX)) {
            let (piece, later) = rest.split_at(length.clamp(1, rest.len().max(1)).min(rest.len()));
            let mut buffer = vec![0];
            buffer.extend_from_slice(piece);
            let end = buffer.len();
            let kept = cutter.cut(&mut buffer, end);
            out.extend_from_slice(&buffer[..kept]);
            rest = later;
            if rest.is_empty() {
                return out;
            }
        }
        out
    }

    fn nested(levels: usize, inner: &str) -> String {
        format!("{}{inner}{}", "<x>".repeat(levels), "</x>".repeat(levels))
    }

    #[test]
    fn what_is_not_deep_is_left_as_it_is() {
        let document = format!(
            "<?xml version='1.0'?><stream:stream a='<x>' b=\"'/>\"><m><b>1 > 0</b><c d='/'/><e/><![CDATA[<x><y>]]]></m>{}",
            nested(MAX_LEVELS - 1, "deep")
        );
        assert_eq!(String::from_utf8(cut(document.as_bytes(), [])).unwrap(), document);
    }

    #[test]
    fn what_is_too_deep_is_left_out_and_the_rest_is_not() {
        let rest = "<message><body>after</body></message>";
        let deep = format!(
            "<stream>{}{rest}",
            nested(MAX_LEVELS - 1, "<a b='>'>one<![CDATA[</a>]]><c/></a><d/>two")
        );
        let expected = format!("<stream>{}{rest}", nested(MAX_LEVELS - 1, "two"));
        assert_eq!(String::from_utf8(cut(deep.as_bytes(), [])).unwrap(), expected);
        let bomb = format!("<stream>{}{rest}", nested(100_000, "boom"));
        let expected = format!("<stream>{}{rest}", nested(MAX_LEVELS - 1, ""));
        assert_eq!(String::from_utf8(cut(bomb.as_bytes(), [])).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_reader_gets_what_is_left_and_the_end() {
        let bomb = format!("<s>{}", nested(50_000, "boom"));
        let mut text = String::new();
        Shallow::new(bomb.as_bytes()).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, format!("<s>{}", nested(MAX_LEVELS - 1, "")));
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_in_which_pieces_bytes_come(
            parts in proptest::collection::vec(
                prop_oneof!["<a>", "</a>", "<b c='x>'/>", "<!\\[CDATA\\[<>\\]\\]>", "t", "[<>/!?'\"\\[\\]=a]"], 0..400),
            lengths in proptest::collection::vec(1usize..9, 0..400),
        ) {
            let document = parts.concat();
            prop_assert_eq!(cut(document.as_bytes(), []), cut(document.as_bytes(), lengths));
        }

        #[test]
        fn no_more_levels_come_out_than_may(opens in 0usize..300, closes in 0usize..300) {
            let document = format!("{}{}", "<a>".repeat(opens), "</a>".repeat(closes));
            let out = cut(document.as_bytes(), []);
            let levels = out.windows(3).filter(|w| w == b"<a>").count();
            prop_assert_eq!(levels, opens.min(MAX_LEVELS));
        }
    }
}
