//! XMPP backend: one user of the transport is one client of their account on another XMPP server.
//!
//! - [`XmppOptions`] are the `[backend.options]` of a configuration; [`XmppBackend`] is what the core drives.
//! - `transport`, `shallow`, `stream`, `auth` and `login` make a session; `link` is the task that owns its stream, `sm` what it
//!   counts.
//! - `said` and `tell` translate messages, `state` knows what every stanza means; none of them has I/O or a clock.
//! - `desk` is what the link and the verbs share; `session` and `verbs` turn what the core wants into stanzas.
//!
//! Contacts and rooms are called by their JIDs.

mod address;
mod auth;
mod backend;
mod desk;
mod errors;
mod link;
mod login;
mod ns;
mod options;
mod said;
mod session;
mod shallow;
mod sm;
mod state;
mod stream;
mod tell;
mod transport;
mod verbs;
mod xml;

pub use backend::{StartError, XmppBackend};
pub use options::{Encryption, XmppOptions};
pub use spectrum_backend_sdk::ServerAddress;
