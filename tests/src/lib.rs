//! The test kit: real peers on loopback, clients we did not write, a raw XMPP client, plays, and the programs under test.
//!
//! Nothing here is part of the product. A helper that meets something unexpected panics with what it saw: in a test that
//! is the report.

#![allow(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]

pub mod clients;
pub mod elsewhere;
pub mod failure;
pub mod irc;
pub mod load;
pub mod peers;
pub mod play;
pub mod programs;
pub mod reliability;
pub mod rooms;
pub mod scene;
pub mod xmpp;

pub use failure::{Failure, Outcome};
