//! What goes between the main process and a backend: frames as data ([`ToBackend`], [`FromBackend`]) and their bytes in two
//! dialects. No I/O, no clock; each codec owns its state and is owned by one link.
//!
//! A frame is a length (four bytes, big-endian) and so many bytes of a `Wrapper` (`proto/spectrum.proto`). The native dialect
//! carries every variant; Spectrum 2's has no assignments and no results, and [`spectrum2`] makes them up.

mod codec;
mod counters;
mod fields;
mod frame;
mod frames;
#[cfg(test)]
mod golden;
mod kind;
pub mod native;
mod reader;
pub mod spectrum2;

#[allow(missing_docs, unreachable_pub, clippy::all, unused_qualifications)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/spectrum.wire.rs"));
}

pub use codec::Codec;
pub use counters::WireCounters;
pub use frame::{FromBackend, LoginRequest, MAX_VERSION, MIN_VERSION, Options, ResourceUse, ToBackend};
pub use frames::{DEFAULT_MAX_FRAME_BYTES, FrameError};
