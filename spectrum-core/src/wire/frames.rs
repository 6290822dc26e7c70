//! Frames as bytes: cut out of what was read, and put into what is to be written.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::counters::Violation;
use super::proto::Wrapper;

/// How long a frame may be unless configured otherwise, in bytes.
pub const DEFAULT_MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The link cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than allowed, so nothing behind it can be found.
    #[error("a frame of {len} bytes is longer than the {max} allowed")]
    TooLong {
        /// What the frame says of itself.
        len: usize,
        /// What is allowed.
        max: usize,
    },
}

/// Bytes of the length in front of a frame.
pub(super) const LENGTH_BYTES: usize = 4;

/// Takes the next frame off the front; `None` if it is not all there.
pub(super) fn split(src: &mut BytesMut, max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = src.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*length) as usize;
    if len > max {
        return Err(FrameError::TooLong { len, max });
    }
    if src.len() - LENGTH_BYTES < len {
        return Ok(None);
    }
    src.advance(LENGTH_BYTES);
    Ok(Some(src.split_to(len).freeze()))
}

/// A frame opened: its type and what it is about. The payload is still closed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub kind: i32,
    pub payload: Bytes,
    pub assignment: Option<u64>,
    pub request: Option<u64>,
    pub number: Option<u64>,
}

/// Opens a frame.
pub(super) fn open(frame: Bytes) -> Result<Opened, Violation> {
    let wrapper = Wrapper::decode(frame)?;
    Ok(Opened {
        kind: wrapper.r#type.ok_or(Violation::Missing)?,
        payload: wrapper.payload.unwrap_or_default(),
        assignment: wrapper.assignment,
        request: wrapper.request,
        number: wrapper.number,
    })
}

/// What stands in front of a payload.
#[derive(Clone, Copy, Default)]
pub(super) struct Head {
    pub kind: i32,
    pub assignment: Option<u64>,
    pub request: Option<u64>,
    pub number: Option<u64>,
}

impl Head {
    pub(super) fn of(kind: i32) -> Self {
        Self { kind, ..Self::default() }
    }

    fn put(&self, dst: &mut BytesMut, payload: Option<usize>, max: usize) -> Result<(), FrameError> {
        // The wrapper is written by hand: then its payload is encoded in place, not copied in.
        let kind = self.kind.cast_unsigned().into();
        let numbers: usize = self
            .numbers()
            .iter()
            .filter_map(|(tag, value)| Some(tag.len() + varint_len((*value)?)))
            .sum();
        let payload_field = payload.map_or(0, |len| 1 + varint_len(len as u64) + len);
        let len = 1 + varint_len(kind) + numbers + payload_field;
        let (true, Ok(length)) = (len <= max, u32::try_from(len)) else {
            return Err(FrameError::TooLong { len, max });
        };
        dst.reserve(LENGTH_BYTES + len);
        dst.put_u32(length);
        dst.put_u8(0x08);
        put_varint(dst, kind);
        for (tag, value) in self.numbers() {
            if let Some(value) = value {
                dst.put_slice(&tag);
                put_varint(dst, value);
            }
        }
        if let Some(payload) = payload {
            dst.put_u8(0x12);
            put_varint(dst, payload as u64);
        }
        Ok(())
    }

    /// Fields 100, 101 and 102 with their keys, all of them varints.
    fn numbers(&self) -> [([u8; 2], Option<u64>); 3] {
        [
            ([0xA0, 0x06], self.assignment),
            ([0xA8, 0x06], self.request),
            ([0xB0, 0x06], self.number),
        ]
    }
}

/// Appends a frame without a payload.
pub(super) fn put_bare(dst: &mut BytesMut, head: Head, max: usize) -> Result<(), FrameError> {
    head.put(dst, None, max)
}

/// Appends a frame; if it is too long nothing is appended.
pub(super) fn put_message(dst: &mut BytesMut, head: Head, message: &impl Message, max: usize) -> Result<(), FrameError> {
    head.put(dst, Some(message.encoded_len()), max)?;
    message.encode_raw(dst);
    Ok(())
}

/// Appends a frame whose payload is no message of its own.
pub(super) fn put_raw(dst: &mut BytesMut, head: Head, payload: &[u8], max: usize) -> Result<(), FrameError> {
    head.put(dst, Some(payload.len()), max)?;
    dst.put_slice(payload);
    Ok(())
}

fn varint_len(value: u64) -> usize {
    // Seven bits to a byte, and one byte for zero.
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

fn put_varint(dst: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        dst.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    dst.put_u8(value as u8);
}
