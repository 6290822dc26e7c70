//! Runs backends and routes each user to exactly one.
