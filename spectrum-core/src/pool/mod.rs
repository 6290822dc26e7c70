//! Backends and who is on which.
