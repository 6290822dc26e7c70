//! IRC backend: one user of the transport is one client of an IRC server, or of several.
//!
//! - [`IrcOptions`] are the `[backend.options]` of a configuration; [`IrcBackend`] is what the core drives.
//! - `engine` knows IRC, without I/O or clock; `connection` is the task that gives it a socket; `session` turns the
//!   verbs of the core into its requests.
//!
//! Rooms are channels and contacts are nicknames: `#channel` and `nick` where a session has one network, `#channel@host`
//! and `nick@host` where it has several.

mod backend;
mod caps;
mod casemap;
mod connection;
mod engine;
mod isupport;
mod line;
mod names;
mod options;
mod outbox;
mod session;
mod text;
mod transport;

pub use backend::{IrcBackend, StartError};
pub use options::{IrcOptions, Networks, OptionError, OptionValue};
pub use spectrum_backend_sdk::ServerAddress;

/// An entrance for the fuzz target `irc`; not for use.
#[doc(hidden)]
pub mod fuzzing;
