//! The one configuration file of an instance.

mod mode;

pub use mode::Mode;
