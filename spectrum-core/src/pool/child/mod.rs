//! Backend processes: how they are started, watched, heard and ended.

mod exec;
mod ini;
mod output;
mod peer;
mod process;
mod spawn;

pub(crate) use ini::{ConfigFile, ConfigText};
pub(crate) use peer::{Peer, identify};
pub(crate) use process::{Farewell, Process};
pub(crate) use spawn::{ChildSpec, spawn};
