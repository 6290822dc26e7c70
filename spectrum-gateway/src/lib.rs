//! Gateway mode: a transport as a component (XEP-0114) of somebody's XMPP server.
//!
//! [`Gateway`] is an [`Instance`](spectrum_core::instance::Instance); the binary `spectrum-gateway` is the shared command
//! line around it. What comes over the [`link`] is read by the [`face`] and dispatched to sessions, services,
//! [`registration`] and the keeper of remote rosters ([`roster`]).

mod account;
mod clock;
mod deputy;
mod desk;
mod dispatch;
mod doctor;
pub mod face;
mod gateway;
mod launch;
pub mod link;
pub mod naming;
mod outlet;
mod presence;
pub mod privilege;
mod probe;
pub mod registration;
pub mod roster;

pub use gateway::{Gateway, GatewayParts};
pub use launch::{GatewayLauncher, open_store};

#[cfg(test)]
mod tests;
