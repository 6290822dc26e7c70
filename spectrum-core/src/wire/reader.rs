//! Texts at the edge of the wire: whatever a backend sends becomes text that XML can carry, and costs no message.

use std::borrow::Cow;

use bytes::Bytes;

use super::counters::{Violation, WireCounters};

/// How texts are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// From a backend: what XML cannot carry is replaced.
    ForXml,
    /// From the core, by a backend: passwords have to arrive as they are.
    AsTheyAre,
}

/// Reads the fields of one frame.
pub(super) struct Reader<'c> {
    pub(super) counters: &'c mut WireCounters,
    pub(super) texts: Texts,
}

impl Reader<'_> {
    /// A text, repaired if it has to be.
    pub(super) fn cow<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, str> {
        let text = String::from_utf8_lossy(bytes);
        let repaired = match self.texts {
            Texts::ForXml if !is_legal(text.as_bytes()) => Cow::Owned(text.chars().map(legal).collect()),
            Texts::ForXml | Texts::AsTheyAre => text,
        };
        if let Cow::Owned(_) = &repaired {
            self.counters.repaired_text += 1;
        }
        repaired
    }

    /// A text that may be absent.
    pub(super) fn text(&mut self, bytes: Option<Bytes>) -> Option<String> {
        bytes.map(|b| self.cow(&b).into_owned())
    }

    /// A text; absent is empty.
    pub(super) fn text_or_empty(&mut self, bytes: Option<Bytes>) -> String {
        self.text(bytes).unwrap_or_default()
    }

    /// A text that means nothing when it is empty.
    pub(super) fn filled(&mut self, bytes: Option<Bytes>) -> Option<String> {
        self.text(bytes.filter(|b| !b.is_empty()))
    }

    /// An id that may be absent.
    pub(super) fn id<T: for<'t> From<&'t str>>(&mut self, bytes: Option<Bytes>) -> Option<T> {
        bytes.map(|b| T::from(&self.cow(&b)))
    }

    /// A text that has to be there and must not be empty.
    pub(super) fn required<'b>(&mut self, bytes: Option<&'b Bytes>) -> Result<Cow<'b, str>, Violation> {
        let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or(Violation::Missing)?;
        Ok(self.cow(bytes))
    }

    /// An id that has to be there and must not be empty.
    pub(super) fn required_id<T: for<'t> From<&'t str>>(&mut self, bytes: Option<Bytes>) -> Result<T, Violation> {
        Ok(T::from(&self.required(bytes.as_ref())?))
    }
}

/// Whether XML 1.0 can carry every character of this UTF-8.
fn is_legal(utf8: &[u8]) -> bool {
    // The only illegal ones that UTF-8 can hold: controls but tab and line ends, U+FFFE (EF BF BE) and U+FFFF (EF BF BF).
    let controls = utf8
        .iter()
        .fold(false, |found, &b| found | (b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')));
    !controls && !utf8.windows(3).any(|w| w[0] == 0xEF && w[1] == 0xBF && w[2] >= 0xBE)
}

fn legal(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => c,
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: Texts, bytes: &[u8]) -> (String, u64) {
        let mut counters = WireCounters::default();
        let text = Reader {
            counters: &mut counters,
            texts,
        }
        .cow(bytes)
        .into_owned();
        (text, counters.repaired_text)
    }

    #[test]
    fn text_that_xml_carries_is_left_alone() {
        for text in ["", "plain", "a\tb\r\nc", "ěšč 🦀 \u{fffd} \u{1fffe} \u{7f}\u{85}"] {
            assert_eq!(read(Texts::ForXml, text.as_bytes()), (text.to_owned(), 0));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_counted() {
        assert_eq!(read(Texts::ForXml, b"caf\xe9!"), ("caf\u{fffd}!".to_owned(), 1));
        assert_eq!(read(Texts::AsTheyAre, b"caf\xe9!"), ("caf\u{fffd}!".to_owned(), 1));
    }

    #[test]
    fn characters_xml_cannot_carry_are_replaced_and_counted() {
        assert_eq!(read(Texts::ForXml, b"\x02bold\x0f"), ("\u{fffd}bold\u{fffd}".to_owned(), 1));
        assert_eq!(
            read(Texts::ForXml, "a\u{fffe}b\u{ffff}".as_bytes()),
            ("a\u{fffd}b\u{fffd}".to_owned(), 1)
        );
    }

    #[test]
    fn controls_reach_a_backend_as_they_are() {
        assert_eq!(read(Texts::AsTheyAre, b"p\x01w\0"), ("p\x01w\0".to_owned(), 0));
    }
}
