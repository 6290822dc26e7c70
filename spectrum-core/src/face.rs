//! How one mode spells session events in XMPP.
