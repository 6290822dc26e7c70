//! Write a backend for an XMPP transport: implement [`Backend`] and [`LegacySession`], in or out of process.

pub use spectrum_core::backend::*;
pub use spectrum_core::model;
pub use spectrum_core::tasks;
