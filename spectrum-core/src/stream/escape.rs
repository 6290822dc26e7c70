//! Text into XML (XML 1.0 section 2.2 and 2.4). Stateless.

use bytes::{BufMut, BytesMut};

/// Stands for a character that no XML document may contain, not even as a reference.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Appends character data.
pub(super) fn text(out: &mut BytesMut, text: &str) {
    escape::<false>(out, text.as_bytes());
}

/// Appends an attribute's value, for either quote.
pub(super) fn attribute(out: &mut BytesMut, value: &str) {
    escape::<true>(out, value.as_bytes());
}

/// Whether a byte stands for itself, so that nearly all of a text is passed over by one look each.
const fn plain(attribute: bool) -> [bool; 256] {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = match byte as u8 {
            b'<' | b'>' | b'&' | 0xef => false,
            b'"' | b'\'' => !attribute,
            b'\n' | b'\t' => !attribute,
            0..=0x1f => false,
            _ => true,
        };
        byte += 1;
    }
    plain
}

static PLAIN_IN_TEXT: [bool; 256] = plain(false);
static PLAIN_IN_ATTRIBUTES: [bool; 256] = plain(true);

fn escape<const ATTRIBUTE: bool>(out: &mut BytesMut, bytes: &[u8]) {
    out.reserve(bytes.len());
    let mut copied = 0;
    let mut at = 0;
    let plain = if ATTRIBUTE { &PLAIN_IN_ATTRIBUTES } else { &PLAIN_IN_TEXT };
    while at < bytes.len() {
        if plain[usize::from(bytes[at])] {
            at += 1;
            continue;
        }
        let (with, len): (&[u8], usize) = match bytes[at] {
            b'<' => (b"&lt;", 1),
            b'>' => (b"&gt;", 1),
            b'&' => (b"&amp;", 1),
            b'\r' => (b"&#xd;", 1),
            b'"' if ATTRIBUTE => (b"&quot;", 1),
            b'\'' if ATTRIBUTE => (b"&apos;", 1),
            b'\n' if ATTRIBUTE => (b"&#xa;", 1),
            b'\t' if ATTRIBUTE => (b"&#x9;", 1),
            0..=0x1f => (REPLACEMENT, 1),
            // U+FFFE and U+FFFF
            0xef if bytes[at + 1] == 0xbf && bytes[at + 2] >= 0xbe => (REPLACEMENT, 3),
            _ => {
                at += 1;
                continue;
            }
        };
        out.put_slice(&bytes[copied..at]);
        out.put_slice(with);
        at += len;
        copied = at;
    }
    out.put_slice(&bytes[copied..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(input: &str) -> (String, String) {
        let (mut in_text, mut in_attribute) = (BytesMut::new(), BytesMut::new());
        text(&mut in_text, input);
        attribute(&mut in_attribute, input);
        let string = |bytes: BytesMut| String::from_utf8(bytes.to_vec()).expect("escaping keeps UTF-8");
        (string(in_text), string(in_attribute))
    }

    #[test]
    fn markup_and_quotes_are_escaped() {
        let (in_text, in_attribute) = escaped("<a b='c' d=\"e\">&\r\n\t");
        assert_eq!(in_text, "&lt;a b='c' d=\"e\"&gt;&amp;&#xd;\n\t");
        assert_eq!(in_attribute, "&lt;a b=&apos;c&apos; d=&quot;e&quot;&gt;&amp;&#xd;&#xa;&#x9;");
    }

    #[test]
    fn characters_illegal_in_xml_are_replaced() {
        let (in_text, in_attribute) = escaped("a\0b\u{1b}c\u{fffe}d\u{ffff}e\u{fffd}\u{ffbe}\u{7f}");
        assert_eq!(in_text, "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}\u{ffbe}\u{7f}");
        assert_eq!(in_attribute, in_text);
    }

    #[test]
    fn ordinary_text_is_copied() {
        assert_eq!(escaped("Grüße, 世界 😀").0, "Grüße, 世界 😀");
        assert_eq!(escaped("").0, "");
    }
}
