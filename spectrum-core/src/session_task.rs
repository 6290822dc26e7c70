//! The task that owns one session.
