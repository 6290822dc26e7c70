//! The tokens of XML 1.0, without what XMPP forbids (RFC 6120 section 11.1): comments, processing instructions, document
//! types, entities of one's own. Owned by the reader of a stream.
//!
//! A tag is read once all of it is there, from the bytes as they came in if they came in one piece: no state machine goes
//! over every byte. What is incomplete is carried over to the next bytes, and the reader bounds it. A test holds that
//! rxml sees the same.

use rxml::parser::RawQName;
use rxml::strings::NcName;
use xmpp_parsers::stream_error::DefinedCondition;

use super::error::StreamError;
use super::text::{Decode, MAX_REFERENCE_BYTES, decode, is_blank, malformed, restricted};

/// Bytes that the names of open elements may take, of which a skipped stanza may have very many.
const MAX_OPEN_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one tag. More than a stanza may have: on a component stream a long first tag is read to its end, to know whose
/// stanza it was. Beyond it the stream ends, whatever its kind.
const MAX_TAG_BYTES: usize = 4 * 1024 * 1024;

const CDATA: &[u8] = b"<![CDATA[";

/// A piece of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A start tag; its attributes are in [`Lexer::attributes`]. An empty element closes with the next token.
    Open(Option<RawQName>),
    /// A part of a text.
    Text(String),
    /// An end tag.
    Close,
}

/// Whether anybody wants what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Yes.
    All,
    /// Structure alone: names, attributes and texts are left out, but the document is still one.
    Structure,
}

pub(super) struct Lexer {
    place: Place,
    /// The beginning of a token whose end has not come yet.
    carry: Vec<u8>,
    /// The quote that is open at the end of `carry`, or 0.
    quote: u8,
    /// An empty element has been opened and not closed.
    is_empty: bool,
    /// The names of the open elements, one after the other, and where each begins.
    names: Vec<u8>,
    starts: Vec<u32>,
    /// Of the last [`Token::Open`].
    pub(super) attributes: Vec<(RawQName, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing has come yet.
    Beginning,
    /// Before the outermost element.
    Prolog,
    /// Inside it.
    Content,
    /// In a CDATA section inside it.
    Cdata,
    /// Behind it.
    End,
}

impl Lexer {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Beginning,
            carry: Vec::new(),
            quote: 0,
            is_empty: false,
            names: Vec::new(),
            starts: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Gives memory back.
    pub(super) fn release_temporaries(&mut self) {
        self.carry.shrink_to(0);
        self.names.shrink_to(32);
        self.starts.shrink_to(4);
        self.attributes = Vec::new();
    }

    /// Reads the next token and advances `input` behind it; `None` if it needs more bytes, all of which it has taken then.
    pub(super) fn next(&mut self, input: &mut &[u8], keep: Keep) -> Result<Option<Token>, StreamError> {
        if self.is_empty {
            self.is_empty = false;
            return Ok(Some(self.close()));
        }
        loop {
            if input.is_empty() {
                return Ok(None);
            }
            let in_markup = match self.carry.first() {
                Some(first) => *first == b'<' && self.place != Place::Cdata,
                None => input[0] == b'<' && self.place != Place::Cdata,
            };
            let token = if in_markup {
                self.markup(input, keep)?
            } else {
                self.text(input, keep)?
            };
            if token.is_some() {
                return Ok(token);
            }
        }
    }

    fn markup(&mut self, input: &mut &[u8], keep: Keep) -> Result<Option<Token>, StreamError> {
        // The second byte tells what it is.
        if self.carry.is_empty() && input.len() == 1 {
            self.carry.push(b'<');
            *input = &[];
            return Ok(None);
        }
        let second = if self.carry.is_empty() {
            input[1]
        } else {
            self.carry.get(1).copied().unwrap_or(input[0])
        };
        match second {
            b'!' => return self.exclamation(input).map(|()| None),
            b'?' if self.place != Place::Beginning => return Err(restricted("processing instructions")),
            _ => {}
        }
        let Some(end) = self.tag_end(input, second == b'?')? else {
            if self.carry.len() + input.len() > MAX_TAG_BYTES {
                return Err(StreamError::new(DefinedCondition::PolicyViolation, "tag too long"));
            }
            self.carry.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        };
        let (tag, rest) = input.split_at(end);
        *input = rest;
        if self.carry.is_empty() {
            return self.tag(tag, keep);
        }
        let mut carried = std::mem::take(&mut self.carry);
        carried.extend_from_slice(tag);
        let token = self.tag(&carried, keep);
        carried.clear();
        self.carry = carried;
        token
    }

    /// A CDATA section is the only thing with an exclamation mark.
    fn exclamation(&mut self, input: &mut &[u8]) -> Result<(), StreamError> {
        while self.carry.len() < CDATA.len() {
            let Some((byte, rest)) = input.split_first() else {
                return Ok(());
            };
            if *byte != CDATA[self.carry.len()] {
                return Err(match (self.carry.len(), byte) {
                    (2, b'-') => restricted("comments"),
                    (2, b'D') => restricted("document types"),
                    _ => malformed("neither a tag nor a CDATA section"),
                });
            }
            self.carry.push(*byte);
            *input = rest;
        }
        if self.place != Place::Content {
            return Err(malformed("text outside of the document"));
        }
        self.carry.clear();
        self.place = Place::Cdata;
        Ok(())
    }

    /// How many bytes of `input` belong to the tag that began in `carry` or begins here.
    fn tag_end(&mut self, input: &[u8], declaration: bool) -> Result<Option<usize>, StreamError> {
        let begun = usize::from(self.carry.is_empty());
        let mut quote = self.quote;
        for (at, byte) in input.iter().enumerate().skip(begun) {
            match *byte {
                b'<' => return Err(malformed("a tag inside of a tag")),
                b'>' if quote == 0 => {
                    self.quote = 0;
                    return Ok(Some(at + 1));
                }
                b'"' | b'\'' if quote == 0 && !declaration => quote = *byte,
                byte if byte == quote => quote = 0,
                _ => {}
            }
        }
        self.quote = quote;
        Ok(None)
    }

    /// A whole tag, from `<` to `>`.
    fn tag(&mut self, tag: &[u8], keep: Keep) -> Result<Option<Token>, StreamError> {
        let inner = &tag[1..tag.len() - 1];
        match inner.first() {
            Some(b'?') => {
                declaration(inner)?;
                self.place = Place::Prolog;
                Ok(None)
            }
            Some(b'/') => {
                let name = trim_end(&inner[1..]);
                let start = self.starts.last().copied().unwrap_or_default() as usize;
                if self.starts.is_empty() || self.names[start..] != *name {
                    return Err(malformed("start and end tag do not match"));
                }
                Ok(Some(self.close()))
            }
            _ => self.start_tag(inner, keep).map(Some),
        }
    }

    fn close(&mut self) -> Token {
        if let Some(start) = self.starts.pop() {
            self.names.truncate(start as usize);
        }
        if self.starts.is_empty() {
            self.place = Place::End;
        }
        Token::Close
    }

    fn start_tag(&mut self, inner: &[u8], keep: Keep) -> Result<Token, StreamError> {
        if self.place == Place::End {
            return Err(malformed("more than one document"));
        }
        let (inner, is_empty) = match inner.strip_suffix(b"/") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let inner = utf8(inner)?;
        let end = inner.bytes().position(is_blank).unwrap_or(inner.len());
        let (name, mut rest) = inner.split_at(end);
        let qname = match keep {
            Keep::All => Some(qname(name)?),
            Keep::Structure => {
                check_name(name)?;
                None
            }
        };
        self.attributes.clear();
        loop {
            let trimmed = trim_start(rest);
            if trimmed.is_empty() {
                break;
            }
            if trimmed.len() == rest.len() {
                return Err(malformed("no space between attributes"));
            }
            rest = self.attribute(trimmed, keep)?;
        }
        if self.names.len() + 8 * self.starts.len() > MAX_OPEN_BYTES {
            return Err(StreamError::new(DefinedCondition::PolicyViolation, "nested too deep"));
        }
        // Bounded above, far below 2^32.
        self.starts.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.extend_from_slice(name.as_bytes());
        self.place = Place::Content;
        self.is_empty = is_empty;
        Ok(Token::Open(qname))
    }

    /// Reads one attribute and returns what is behind it.
    fn attribute<'a>(&mut self, text: &'a str, keep: Keep) -> Result<&'a str, StreamError> {
        let (name, value) = split(text, b'=').ok_or_else(|| malformed("an attribute without a value"))?;
        let name = name.trim_end_matches(is_blank_char);
        let value = trim_start(value);
        let quote = match value.as_bytes().first() {
            Some(quote @ (b'\'' | b'"')) => *quote,
            Some(_) | None => return Err(malformed("a value without quotes")),
        };
        let (value, rest) = split(&value[1..], quote).ok_or_else(|| malformed("a value without an end"))?;
        let value = decode(value, Decode::Attribute)?;
        match keep {
            Keep::All => self.attributes.push((qname(name)?, value.into_owned())),
            Keep::Structure => check_name(name)?,
        }
        Ok(rest)
    }

    fn text(&mut self, input: &mut &[u8], keep: Keep) -> Result<Option<Token>, StreamError> {
        match self.place {
            Place::Content | Place::Cdata => {}
            Place::Beginning | Place::Prolog | Place::End => {
                // Blanks may stand around the document, but not before its declaration.
                let blank = input.iter().take_while(|byte| is_blank(**byte)).count();
                if blank == 0 {
                    return Err(malformed("text outside of the document"));
                }
                *input = &input[blank..];
                if self.place == Place::Beginning {
                    self.place = Place::Prolog;
                }
                return Ok(None);
            }
        }
        if !self.carry.is_empty() {
            let text = self.settle(input)?;
            return Ok(text.filter(|_| keep == Keep::All).map(Token::Text));
        }
        let is_cdata = self.place == Place::Cdata;
        let end = if is_cdata {
            input.windows(3).position(|window| window == b"]]>")
        } else {
            input.iter().position(|byte| *byte == b'<')
        };
        let (text, held) = match end {
            Some(end) => (&input[..end], 0),
            None => hold_back(input, is_cdata),
        };
        self.carry.extend_from_slice(&input[text.len()..text.len() + held]);
        let how = if is_cdata { Decode::Cdata } else { Decode::Text };
        let decoded = decode(utf8(text)?, how)?;
        let token = (keep == Keep::All && !decoded.is_empty()).then(|| Token::Text(decoded.into_owned()));
        let mut taken = text.len() + held;
        if is_cdata && end.is_some() {
            taken += 3;
            self.place = Place::Content;
        }
        *input = &input[taken..];
        Ok(token)
    }

    /// Decides about the few bytes of text in `carry`, one byte after the other.
    fn settle(&mut self, input: &mut &[u8]) -> Result<Option<String>, StreamError> {
        let is_cdata = self.place == Place::Cdata;
        while let Some((byte, rest)) = input.split_first() {
            match (self.carry[0], *byte) {
                (b'\r', next) => {
                    if next == b'\n' {
                        *input = rest;
                    }
                    self.carry.clear();
                    return Ok(Some("\n".to_owned()));
                }
                (b']', b']') => {
                    *input = rest;
                    if self.carry.len() == 1 {
                        self.carry.push(b']');
                    } else {
                        return Ok(Some("]".to_owned()));
                    }
                }
                (b']', b'>') if self.carry.len() == 2 && is_cdata => {
                    *input = rest;
                    self.carry.clear();
                    self.place = Place::Content;
                    return Ok(None);
                }
                (b']', b'>') if self.carry.len() == 2 => return Err(malformed("]]> in a text")),
                (b']', _) => {
                    let text = if self.carry.len() == 1 { "]" } else { "]]" };
                    self.carry.clear();
                    return Ok(Some(text.to_owned()));
                }
                (b'&', next) => {
                    let goes_on = is_in_reference(next) && self.carry.len() < MAX_REFERENCE_BYTES;
                    if !goes_on && next != b';' {
                        return Err(malformed("a reference without an end"));
                    }
                    *input = rest;
                    self.carry.push(next);
                    if next == b';' {
                        let text = decode(utf8(&self.carry)?, Decode::Text)?.into_owned();
                        self.carry.clear();
                        return Ok(Some(text));
                    }
                }
                // What comes is no part of it, so the rest would never come.
                (_, next) if !is_continuation(next) => return Err(malformed("not UTF-8")),
                (first, next) => {
                    *input = rest;
                    self.carry.push(next);
                    if self.carry.len() == utf8_len(first) {
                        let text = decode(utf8(&self.carry)?, Decode::Cdata)?.into_owned();
                        self.carry.clear();
                        return Ok(Some(text));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Splits off what cannot be decided without the next bytes: returns the rest and how many bytes are held.
fn hold_back(text: &[u8], is_cdata: bool) -> (&[u8], usize) {
    let held = match text {
        [.., b'\r'] => 1,
        [.., b']', b']'] => 2,
        [.., b']'] => 1,
        _ => {
            let tail = &text[text.len().saturating_sub(3)..];
            let incomplete = tail.iter().rposition(|byte| *byte >= 0xc0).map_or(0, |at| {
                let there = tail.len() - at;
                let goes_on = tail[at + 1..].iter().all(|byte| is_continuation(*byte));
                if goes_on && there < utf8_len(tail[at]) { there } else { 0 }
            });
            let tail = &text[text.len().saturating_sub(MAX_REFERENCE_BYTES)..];
            let reference = tail.iter().rposition(|byte| *byte == b'&').map_or(0, |at| {
                let is_open = tail[at + 1..].iter().all(|byte| is_in_reference(*byte));
                if is_open && !is_cdata { tail.len() - at } else { 0 }
            });
            incomplete.max(reference)
        }
    };
    (&text[..text.len() - held], held)
}

/// Whether it may stand between `&` and `;`, as far as XMPP knows references.
fn is_in_reference(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'#'
}

/// How many bytes a character takes that begins with this one.
fn utf8_len(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    }
}

/// Whether it may stand in a character behind its first byte.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn utf8(bytes: &[u8]) -> Result<&str, StreamError> {
    std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))
}

fn is_blank_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_blank)
}

/// The text before an ASCII character and the text behind it. Names and values are short: the search of the standard library
/// takes longer to begin than this to end.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let found = text.bytes().position(|byte| byte == at)?;
    Some((&text[..found], &text[found + 1..]))
}

fn trim_start(text: &str) -> &str {
    &text[text.bytes().take_while(|byte| is_blank(*byte)).count()..]
}

fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [before @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = before;
    }
    bytes
}

/// Checks `<?xml ... ?>` without its angles (XML 1.0 section 2.8).
fn declaration(inner: &[u8]) -> Result<(), StreamError> {
    let inner = utf8(inner)?;
    let attributes = inner
        .strip_prefix("?xml")
        .and_then(|inner| inner.strip_suffix('?'))
        .filter(|inner| inner.starts_with(is_blank_char))
        .ok_or_else(|| restricted("processing instructions"))?;
    let mut expected = ["version", "encoding", "standalone"].iter();
    let mut rest = attributes.trim_matches(is_blank_char);
    let mut is_first = true;
    while !rest.is_empty() {
        let (name, value) = rest
            .split_once('=')
            .ok_or_else(|| malformed("a declaration without values"))?;
        let name = name.trim_end_matches(is_blank_char);
        let value = value.trim_start_matches(is_blank_char);
        let quote = value
            .chars()
            .next()
            .filter(|c| matches!(c, '\'' | '"'))
            .ok_or_else(|| malformed("a value without quotes"))?;
        let (value, behind) = value[1..]
            .split_once(quote)
            .ok_or_else(|| malformed("a value without an end"))?;
        if !expected.any(|known| *known == name) || is_first != (name == "version") {
            return Err(malformed("an unknown or misplaced part of the declaration"));
        }
        match name {
            "version" if value != "1.0" => return Err(restricted("a version of XML other than 1.0")),
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(StreamError::new(DefinedCondition::UnsupportedEncoding, "only UTF-8"));
            }
            "standalone" if !matches!(value, "yes" | "no") => return Err(malformed("standalone is neither yes nor no")),
            _ => {}
        }
        is_first = false;
        rest = behind.trim_start_matches(is_blank_char);
        if !rest.is_empty() && rest.len() == behind.len() {
            return Err(malformed("no space in the declaration"));
        }
    }
    if is_first {
        Err(malformed("a declaration without a version"))
    } else {
        Ok(())
    }
}

fn qname(name: &str) -> Result<RawQName, StreamError> {
    let nc = |name: &str| NcName::try_from(name).map_err(|_| malformed("not a name"));
    match split(name, b':') {
        None => Ok((None, nc(name)?)),
        Some((prefix, local)) => Ok((Some(nc(prefix)?), nc(local)?)),
    }
}

fn check_name(name: &str) -> Result<(), StreamError> {
    rxml::strings::validate_name(name).map_err(|_| malformed("not a name"))
}
