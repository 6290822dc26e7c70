//! The registry of sessions.
