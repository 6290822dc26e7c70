//! Text out of XML (XML 1.0 sections 2.2, 2.11, 3.3.3 and 4.1): references, ends of lines, and what no document may
//! contain. Stateless; the other way is `escape`.

use std::borrow::Cow;

use xmpp_parsers::stream_error::DefinedCondition;

use super::error::StreamError;

/// The longest reference: `&#x10FFFF;`, and leading zeros that nobody writes.
pub(super) const MAX_REFERENCE_BYTES: usize = 16;

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

pub(super) fn malformed(text: &'static str) -> StreamError {
    StreamError::new(DefinedCondition::NotWellFormed, text)
}

pub(super) fn restricted(text: &'static str) -> StreamError {
    StreamError::new(DefinedCondition::RestrictedXml, text)
}

/// What text is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decode {
    /// Between tags.
    Text,
    /// In a CDATA section, where nothing is escaped.
    Cdata,
    /// In the value of an attribute.
    Attribute,
}

/// Resolves references and ends of lines, and refuses what no document may contain (XML 1.0 sections 2.2, 2.11, 3.3.3).
pub(super) fn decode(text: &str, how: Decode) -> Result<Cow<'_, str>, StreamError> {
    let bytes = text.as_bytes();
    let is_plain = |byte: &u8| !matches!(*byte, 0..=0x1f | b'&' | b'<' | b']' | 0xef);
    let Some(first) = bytes.iter().position(|byte| !is_plain(byte)) else {
        return Ok(Cow::Borrowed(text));
    };
    let mut decoded = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, first);
    while at < bytes.len() {
        let (instead, taken): (char, usize) = match bytes[at] {
            b'\r' if how != Decode::Attribute => ('\n', if bytes.get(at + 1) == Some(&b'\n') { 2 } else { 1 }),
            b'\r' => (' ', if bytes.get(at + 1) == Some(&b'\n') { 2 } else { 1 }),
            b'\n' | b'\t' if how == Decode::Attribute => (' ', 1),
            b'&' if how != Decode::Cdata => reference(&text[at + 1..])?,
            b'<' if how != Decode::Cdata => return Err(malformed("a tag inside of a value")),
            b']' if how == Decode::Text && bytes[at..].starts_with(b"]]>") => return Err(malformed("]]> in a text")),
            0..=8 | 0xb | 0xc | 0xe..=0x1f => return Err(malformed("a control character")),
            0xef if matches!(bytes[at..], [_, 0xbf, 0xbe | 0xbf, ..]) => return Err(malformed("a character that is none")),
            _ => {
                at += 1;
                continue;
            }
        };
        decoded.push_str(&text[copied..at]);
        decoded.push(instead);
        at += taken;
        copied = at;
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    decoded.push_str(&text[copied..]);
    Ok(Cow::Owned(decoded))
}

/// The character that a reference stands for, given what follows its `&`, and how long it is with that.
fn reference(text: &str) -> Result<(char, usize), StreamError> {
    let end = text.bytes().take(MAX_REFERENCE_BYTES).position(|byte| byte == b';');
    let name = end
        .map(|end| &text[..end])
        .ok_or_else(|| malformed("a reference without an end"))?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        "quot" => '"',
        _ => match name.strip_prefix('#') {
            None => return Err(restricted("an entity of one's own")),
            Some(number) => character(number).ok_or_else(|| malformed("a reference to no character"))?,
        },
    };
    Ok((c, name.len() + 2))
}

fn character(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(hexadecimal) => (hexadecimal, 16),
        None => (number, 10),
    };
    // A sign is none of XML.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let c = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    match c {
        '\t' | '\n' | '\r' => Some(c),
        '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => None,
        c => Some(c),
    }
}
