//! XMPP streams (RFC 6120) without I/O.
