//! Server mode: an XMPP server whose users log in with their accounts of a legacy network.
//!
//! [`Server`] is the [`Instance`](spectrum_core::instance::Instance). A client's stream is owned by one task; what
//! sessions say reaches it through a bounded outbox, so that no session ever waits for a client.

mod builtins;
mod carbons;
mod client;
mod clients;
mod demo;
mod face;
mod launch;
mod listener;
mod server;
mod service;
mod tls;

pub use builtins::ServerBuiltins;
pub use face::ServerFace;
pub use launch::{ServerLauncher, launch};
pub use server::Server;
