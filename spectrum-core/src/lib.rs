//! The core of an XMPP transport: a bridge between XMPP and another chat network.
//!
//! Three layers, each behind a cargo feature; a layer names only those above it in this list:
//!
//! 1. **Vocabulary** (`backend`): [`model`], [`backend`], [`jid`], [`wire`]. No I/O, no clock.
//! 2. **Brain** (`xmpp`): `stream`, `session`, `face`, `service`, `pool::plan`. No I/O, no clock, and no knowledge of
//!    the mode (gateway or server) it runs in.
//! 3. **Runtime** (`runtime`): `config`, `store`, `pool`, `router`, `session_task`, `admin`, `cli`, `telemetry`.

pub mod backend;
pub mod jid;
pub mod model;
pub mod wire;

#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "driver")]
pub mod tasks;

#[cfg(feature = "xmpp")]
pub mod dialogue;
#[cfg(feature = "xmpp")]
pub mod face;
#[cfg(feature = "xmpp")]
pub mod service;
#[cfg(feature = "xmpp")]
pub mod session;
#[cfg(feature = "xmpp")]
pub mod stanza;
#[cfg(feature = "xmpp")]
pub mod stream;
#[cfg(feature = "xmpp")]
pub mod xml;

#[cfg(feature = "xmpp")]
pub mod pool;
#[cfg(feature = "xmpp")]
mod tight;

#[cfg(feature = "runtime")]
pub mod admin;
#[cfg(feature = "runtime")]
pub mod assembly;
#[cfg(feature = "runtime")]
pub mod cli;
#[cfg(feature = "runtime")]
pub mod config;
#[cfg(feature = "runtime")]
pub mod instance;
#[cfg(feature = "runtime")]
pub mod main_process;
#[cfg(feature = "runtime")]
pub mod router;
#[cfg(feature = "runtime")]
pub mod session_task;
#[cfg(feature = "runtime")]
pub mod store;
#[cfg(feature = "runtime")]
pub mod telemetry;
