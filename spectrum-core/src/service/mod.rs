//! Stanzas addressed to the transport itself, one file per XEP.
