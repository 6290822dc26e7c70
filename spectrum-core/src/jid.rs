//! Legacy names and JID localparts.
