//! What goes between the main process and a backend: frames as data here, their bytes in two dialects beside.

mod frame;

pub use frame::{FromBackend, LoginRequest, ResourceUse, ToBackend};
