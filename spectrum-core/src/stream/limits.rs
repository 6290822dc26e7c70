//! What one stanza may cost. Plain values, owned by each [`Reader`](super::Reader).

/// Bounds on one stanza, one stream header or one nonza. Held while the bytes arrive, before anything is built of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the wire, from `<` to `>`.
    pub stanza_bytes: usize,
    /// Levels of nesting; the stanza itself is the first. Trees are built, compared and dropped recursively.
    pub depth: usize,
    /// Elements in one stanza: a four byte `<a/>` costs about 200 bytes of memory.
    pub elements: usize,
    /// Attributes and namespace declarations of one element.
    pub attributes: usize,
    /// Bytes of one attribute's value.
    pub attribute_bytes: usize,
}

impl Limits {
    /// For a component stream. Larger than what common servers let their users send, so that what is refused here was
    /// refused there.
    pub const COMPONENT: Self = Self {
        stanza_bytes: 512 * 1024,
        depth: 32,
        elements: 16_384,
        attributes: 64,
        attribute_bytes: 16 * 1024,
    };

    /// For a client stream after authentication.
    pub const CLIENT: Self = Self {
        stanza_bytes: 256 * 1024,
        depth: 32,
        elements: 4096,
        attributes: 32,
        attribute_bytes: 8 * 1024,
    };

    /// For a client that has not authenticated: enough for a SASL exchange.
    pub const UNAUTHENTICATED: Self = Self {
        stanza_bytes: 10 * 1024,
        depth: 8,
        elements: 64,
        attributes: 16,
        attribute_bytes: 4 * 1024,
    };
}
