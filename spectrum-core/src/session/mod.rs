//! One XMPP user's life inside an instance.
