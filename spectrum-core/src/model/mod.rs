//! The words of a chat network, free of XMPP.
