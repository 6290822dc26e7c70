//! Write a backend for an XMPP transport: implement [`Backend`] and [`LegacySession`], and it runs as a process of its own
//! ([`run`]) or inside the transport.
//!
//! A whole backend, whose only contact says everything back:
//!
//! ```no_run
//! use spectrum_backend_sdk::model::{ContactUpdate, IncomingMessage, OutgoingMessage, Presence, Sent};
//! use spectrum_backend_sdk::{
//!     Backend, BackendInfo, Event, Events, LegacySession, Login, LoginError, Op, OpError, OpResult, Options, OptionsError,
//!     async_trait,
//! };
//!
//! struct Echo;
//!
//! #[async_trait]
//! impl Backend for Echo {
//!     fn info(&self) -> BackendInfo {
//!         BackendInfo::new("Echo", "echo")
//!     }
//!
//!     async fn login(&self, _login: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
//!         // If the session has ended meanwhile there is nobody to tell.
//!         let _ = events.emit(Event::Contact(ContactUpdate::new("echo").presence(Presence::ONLINE))).await;
//!         Ok(Box::new(EchoSession(events)))
//!     }
//! }
//!
//! struct EchoSession(Events);
//!
//! #[async_trait]
//! impl LegacySession for EchoSession {
//!     async fn send_message(&self, message: OutgoingMessage, _cx: Op) -> OpResult<Sent> {
//!         let echo = Event::Message(IncomingMessage::new(message.chat, message.body));
//!         self.0.emit(echo).await.map_err(|ended| OpError::not_connected(ended.to_string()))?;
//!         Ok(Sent::default())
//!     }
//!
//!     async fn logout(&self) {}
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     spectrum_backend_sdk::run(|_: Options| Ok::<_, OptionsError>(Echo))
//! }
//! ```
//!
//! The contract is in [`Backend`] and [`LegacySession`]: what runs in which order, what is cancelled when. [`testing`] runs a
//! backend without a transport and checks that it does what it declares.

mod connection;
mod options;
mod process;
mod prompts;
mod sandbox;
mod server;
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;

pub use async_trait::async_trait;
pub use spectrum_core::backend::*;
pub use spectrum_core::model;
pub use spectrum_core::tasks;

pub use options::{Options, OptionsError};
pub use process::{BackendProcess, run};
pub use prompts::PromptsExt;
pub use server::ServerAddress;
