//! XMPP streams (RFC 6120, XEP-0114): bytes in, stanzas out, and the way back. No I/O and no clock; each stream owns its
//! [`Reader`] and [`Writer`].
//!
//! One code path serves client streams (`jabber:client`) and component streams (`jabber:component:accept`), as the
//! receiving and as the initiating side. Inside the process there is one stanza vocabulary, `jabber:client`: the
//! namespace of a component stream is folded when it is read and implied when it is written.
//!
//! The peer is hostile: bytes, depth, elements and attributes of a stanza are bounded before any tree is built
//! ([`Limits`]); what a bad stanza costs depends on who else suffers. On a component stream only that stanza is lost (it
//! is skipped to its end and reported as [`Event::Invalid`] with a ready-made error reply); on a client stream exceeding
//! a limit ends the stream, while a stanza that merely does not parse is answered.

mod building;
mod error;
mod escape;
mod everyday;
mod header;
mod invalid;
mod kind;
mod lexer;
mod limits;
mod namespaces;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use self::error::{PeerError, StreamError};
pub use self::header::{Content, Header, Side, Version};
pub use self::invalid::{Invalid, RawHeader};
pub use self::kind::StanzaKind;
pub use self::limits::Limits;
pub use self::reader::Reader;
pub use self::writer::{WriteError, Writer};

use minidom::Element;

pub use crate::stanza::Stanza;

// Cargo unifies features over a workspace: one crate that enabled `component` would turn every stanza of the server
// into one of a component.
const _: () = assert!(is_client_namespace(xmpp_parsers::ns::DEFAULT_NS));

const fn is_client_namespace(namespace: &str) -> bool {
    let (a, b) = (namespace.as_bytes(), b"jabber:client");
    let mut i = 0;
    while i < b.len() {
        if i >= a.len() || a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    a.len() == b.len()
}

/// What a [`Reader`] found in the bytes of the peer.
#[derive(Debug)]
pub enum Event {
    /// The peer opened its stream, for the first time or after [`Reader::restart`].
    Opened(Header),
    /// A stanza, in the vocabulary of `jabber:client`.
    Stanza(Stanza),
    /// An element that is part of negotiation, not a stanza: features, STARTTLS, SASL, the component handshake.
    Nonza(Element),
    /// A stanza that could not be read. The stream goes on; send its `reply` if there is one.
    Invalid(Box<Invalid>),
    /// The peer reported a stream error; it closes the stream next.
    PeerError(PeerError),
    /// The peer closed its stream. Nothing follows.
    Closed,
    /// The peer broke the stream: send this error, close. Nothing follows.
    Error(StreamError),
}
