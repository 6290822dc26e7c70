//! Both dialects behind one value, as a link owns it.

use bytes::BytesMut;

use super::native::NativeCodec;
use super::spectrum2::Spectrum2Codec;
use super::{FrameError, FromBackend, ToBackend, WireCounters};

/// The main process's end of the wire to one backend.
///
/// How a link uses it:
///
/// * To write: [`encode`](Self::encode) each frame of a batch; if [`needs_ping`](Self::needs_ping) then, encode a
///   [`ToBackend::Ping`] behind them; write the bytes at once. Then take every [`next_answer`](Self::next_answer).
/// * When bytes have come: call [`decode`](Self::decode) until it returns `None`. If there is
///   [output](Self::has_output) then, have it written with the next batch or at once.
/// * Every ten seconds: [`tick`](Self::tick), and again take answers and output.
///
/// An error of `decode` is final: nothing behind the frame can be found.
#[derive(Debug)]
pub enum Codec {
    /// Ours.
    Native(NativeCodec),
    /// Spectrum 2's.
    Spectrum2(Box<Spectrum2Codec>),
}

impl Codec {
    /// Appends the frame's bytes to `dst`. What the dialect cannot say is answered instead, see
    /// [`next_answer`](Self::next_answer); what has to wait appears as output later.
    pub fn encode(&mut self, frame: &ToBackend, dst: &mut BytesMut) {
        match self {
            Self::Native(codec) => codec.encode(frame, dst),
            Self::Spectrum2(codec) => codec.encode(frame, dst),
        }
    }

    /// Takes the next frame off the front of `src`, or an answer of the codec's own; `None` if more bytes are needed. What
    /// cannot be used is skipped and counted.
    ///
    /// # Errors
    /// [`FrameError::TooLong`]: the link has to be closed.
    pub fn decode(&mut self, src: &mut BytesMut) -> Result<Option<FromBackend>, FrameError> {
        match self {
            Self::Native(codec) => codec.decode(src),
            Self::Spectrum2(codec) => codec.decode(src),
        }
    }

    /// Whether requests wait for a PONG and no PING has been written behind them. Never so in the native dialect.
    pub fn needs_ping(&self) -> bool {
        match self {
            Self::Native(_) => false,
            Self::Spectrum2(codec) => codec.needs_ping(),
        }
    }

    /// What the codec itself answers to frames encoded: a request that cannot be made, a time-out.
    pub fn next_answer(&mut self) -> Option<FromBackend> {
        match self {
            Self::Native(codec) => codec.next_answer(),
            Self::Spectrum2(codec) => codec.next_answer(),
        }
    }

    /// Whether there are bytes to write that no `encode` has returned: frames held back until now.
    pub fn has_output(&self) -> bool {
        match self {
            Self::Native(_) => false,
            Self::Spectrum2(codec) => codec.has_output(),
        }
    }

    /// Appends these bytes to `dst`. [`encode`](Self::encode) does so too, before its own.
    pub fn take_output(&mut self, dst: &mut BytesMut) {
        match self {
            Self::Native(_) => {}
            Self::Spectrum2(codec) => codec.take_output(dst),
        }
    }

    /// Says that ten seconds have passed; ends what has waited too long for an answer.
    pub fn tick(&mut self) {
        match self {
            Self::Native(_) => {}
            Self::Spectrum2(codec) => codec.tick(),
        }
    }

    /// What went wrong so far.
    pub fn counters(&self) -> WireCounters {
        match self {
            Self::Native(codec) => codec.counters(),
            Self::Spectrum2(codec) => codec.counters(),
        }
    }
}
