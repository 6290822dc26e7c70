//! Backends and who is on which. `plan` decides (layer 2: no I/O, no clock); the rest runs backends and links.
//!
//! One task owns the table of backends and the waiting users. Sessions reach their backend through its link without it.

pub mod plan;

#[cfg(feature = "runtime")]
mod child;
#[cfg(feature = "runtime")]
mod info;
#[cfg(feature = "runtime")]
mod link;
#[cfg(feature = "runtime")]
mod notes;
#[cfg(feature = "runtime")]
mod options;
#[cfg(feature = "runtime")]
mod owner;
#[cfg(feature = "runtime")]
mod snapshot;
#[cfg(feature = "runtime")]
mod start;
#[cfg(feature = "runtime")]
mod supervisor;
#[cfg(all(test, feature = "runtime"))]
mod testing;
#[cfg(all(test, feature = "runtime"))]
mod tests;

#[cfg(feature = "runtime")]
pub use handle::Pool;
#[cfg(feature = "runtime")]
pub use options::{BackendSource, PoolOptions, Queries, Timings};

#[cfg(feature = "runtime")]
mod handle;
