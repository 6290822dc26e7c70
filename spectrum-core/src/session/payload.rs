//! Small pieces of the stanzas that sessions say, and what they are made with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use sha1::{Digest, Sha1};
use xmpp_parsers::ns;

use crate::model::Timestamp;
use crate::xml::element;

/// XEP-0461.
pub(crate) const REPLY: &str = "urn:xmpp:reply:0";
/// XEP-0428.
pub(crate) const FALLBACK: &str = "urn:xmpp:fallback:0";
/// XEP-0424.
pub(crate) const RETRACT: &str = "urn:xmpp:message-retract:1";
/// XEP-0012.
pub(crate) const LAST: &str = "jabber:iq:last";

/// An element that refers to a message.
pub(crate) fn with_id(name: &str, namespace: &str, id: &str) -> Element {
    element(name, namespace, &[("id", id)])
}

/// Since when somebody has not touched the device (XEP-0319).
pub(crate) fn idle(since: Timestamp) -> Element {
    element("idle", ns::IDLE, &[("since", &since.date_time())])
}

/// SHA-1, which XMPP uses as a name of content, not as a protection.
pub(crate) fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}

/// In small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// In base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// From base64, white space ignored; `None` if it is none.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_small() {
        assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn base64_may_be_broken_into_lines() {
        assert_eq!(from_base64("Zm9v\n YmFy").as_deref(), Some(&b"foobar"[..]));
        assert_eq!(from_base64("Zm9v!"), None);
    }
}
