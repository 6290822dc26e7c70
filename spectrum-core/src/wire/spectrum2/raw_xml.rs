//! Stanzas as text, which this wire carries without a user: cut out of a stream of fragments, their addressee found.
//!
//! No XML parser: it finds where elements end, and one attribute. What is inside is checked by whoever parses it.

/// Most bytes of one stanza.
const MAX_STANZA_BYTES: usize = 1024 * 1024;

/// One stanza.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RawStanza {
    pub(super) xml: Vec<u8>,
    /// Its `to`, as bytes without entities.
    pub(super) to: Option<String>,
}

/// What has come of the next stanza.
#[derive(Default)]
pub(super) struct RawXml {
    buffer: Vec<u8>,
    /// Looked at so far.
    at: usize,
    depth: usize,
    /// Where the stanza's first tag ends.
    first_tag: usize,
}

/// The fragments make no sense; they are thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoXml;

impl RawXml {
    /// Adds a fragment; returns the stanzas that are complete now.
    pub(super) fn push(&mut self, fragment: &[u8]) -> Result<Vec<RawStanza>, NoXml> {
        self.buffer.extend_from_slice(fragment);
        let mut stanzas = Vec::new();
        loop {
            match self.next() {
                Ok(Some(stanza)) => stanzas.push(stanza),
                Ok(None) if self.buffer.len() <= MAX_STANZA_BYTES => return Ok(stanzas),
                Ok(None) | Err(NoXml) => {
                    *self = Self::default();
                    return if stanzas.is_empty() { Err(NoXml) } else { Ok(stanzas) };
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<RawStanza>, NoXml> {
        loop {
            let rest = &self.buffer[self.at..];
            let Some(open) = rest.iter().position(|&b| b == b'<') else {
                // Between stanzas there is nothing but space.
                if self.depth == 0 {
                    self.buffer.clear();
                }
                self.at = self.buffer.len();
                return Ok(None);
            };
            if self.depth == 0 {
                self.buffer.drain(..self.at + open);
                self.at = 0;
            } else {
                self.at += open;
            }
            let rest = &self.buffer[self.at..];
            let Some(len) = token(rest) else {
                return Ok(None);
            };
            let tag = &rest[..len];
            let step = match tag {
                [b'<', b'?' | b'!', ..] => 0,
                [b'<', b'/', ..] => -1,
                [.., b'/', b'>'] => 0,
                _ => 1,
            };
            let is_element = !matches!(tag, [b'<', b'?' | b'!', ..]);
            if self.depth == 0 {
                if step < 0 {
                    return Err(NoXml);
                }
                if !is_element {
                    self.buffer.drain(..len);
                    continue;
                }
                self.first_tag = len;
            }
            self.at += len;
            self.depth = self.depth.checked_add_signed(step).ok_or(NoXml)?;
            if self.depth == 0 && is_element {
                let rest = self.buffer.split_off(self.at);
                let xml = std::mem::replace(&mut self.buffer, rest);
                let to = attribute_to(&xml[..self.first_tag]);
                self.at = 0;
                return Ok(Some(RawStanza { xml, to }));
            }
        }
    }
}

/// Length of the tag, comment, CDATA section or instruction at the start; `None` if it is not all there.
fn token(text: &[u8]) -> Option<usize> {
    let until = |end: &[u8]| text.windows(end.len()).position(|w| w == end).map(|at| at + end.len());
    if text.starts_with(b"<!--") {
        return until(b"-->");
    }
    if text.starts_with(b"<![CDATA[") {
        return until(b"]]>");
    }
    if text.starts_with(b"<?") {
        return until(b"?>");
    }
    // What may still become one of these is waited for.
    if text.len() < 9 && (b"<![CDATA[".starts_with(text) || b"<!--".starts_with(text)) {
        return None;
    }
    let mut quote = None;
    for (at, &byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

/// The attribute `to` of a tag, its entities resolved.
fn attribute_to(tag: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(tag);
    let mut rest = text.split_once(|c: char| c.is_ascii_whitespace())?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, behind) = value[1..].split_once(quote)?;
        if name.trim() == "to" {
            let plain = value
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&apos;", "'")
                .replace("&quot;", "\"");
            return Some(plain.replace("&amp;", "&"));
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn texts(stanzas: Vec<RawStanza>) -> Vec<(String, Option<String>)> {
        stanzas
            .into_iter()
            .map(|s| (String::from_utf8(s.xml).unwrap(), s.to))
            .collect()
    }

    const MESSAGE: &str = "<message from='a@b/c' to='u@s&apos;s/r'><body x=\"a>b\">1 &lt; 2<![CDATA[</body>]]></body><br/><!-- </message> --></message>";

    #[test]
    fn a_stanza_is_found_with_its_addressee() {
        let stanzas = RawXml::default().push(MESSAGE.as_bytes()).unwrap();
        assert_eq!(texts(stanzas), [(MESSAGE.to_owned(), Some("u@s's/r".to_owned()))]);
    }

    #[test]
    fn fragments_give_the_same_however_they_are_cut() {
        let text = format!("<?xml version='1.0'?> {MESSAGE}\n<presence to=\"x@y\"/>{MESSAGE}");
        let whole = RawXml::default().push(text.as_bytes()).unwrap();
        assert_eq!(whole.len(), 3);
        for size in [1, 2, 3, 7, 50] {
            let mut raw = RawXml::default();
            let pieces: Vec<_> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| raw.push(chunk).unwrap())
                .collect();
            assert_eq!(pieces, whole, "cut every {size} bytes");
        }
    }

    #[test]
    fn a_stray_end_tag_is_thrown_away_and_the_next_stanza_is_read() {
        let mut raw = RawXml::default();
        assert_eq!(raw.push(b"</message>"), Err(NoXml));
        assert_eq!(raw.push(b"<iq/>").unwrap().len(), 1);
    }

    #[test]
    fn a_stanza_without_end_is_given_up() {
        let mut raw = RawXml::default();
        assert_eq!(raw.push(b"<a>"), Ok(Vec::new()));
        assert_eq!(raw.push(&vec![b'x'; MAX_STANZA_BYTES]), Err(NoXml));
        assert_eq!(raw.push(b"<iq to='a'/>").unwrap()[0].to.as_deref(), Some("a"));
    }
}
