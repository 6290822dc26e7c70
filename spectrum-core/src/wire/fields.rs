//! How many fields a payload has, counted before anything is allocated for them: two bytes of a frame can become an element
//! of a hundred and fifty.

include!(concat!(env!("OUT_DIR"), "/fields.rs"));

/// A message that can be counted: where it stands in the table.
pub(super) trait Counted {
    const INDEX: usize;
}

/// Payloads up to so many bytes are not counted: they cannot hold enough to matter.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// Most fields of a payload, those of the messages inside included. A list of 100,000 rooms has fewer.
const MAX_FIELDS: usize = 500_000;

/// Whether the payload has more fields than any honest one.
pub(super) fn too_many<M: Counted>(payload: &[u8]) -> bool {
    let mut left = MAX_FIELDS;
    payload.len() > UNCOUNTED_BYTES && count(M::INDEX, payload, &mut left).is_none()
}

/// `None` once nothing is left. What is no protobuf is left to the decoder.
fn count(message: usize, mut bytes: &[u8], left: &mut usize) -> Option<()> {
    while let Some(key) = varint(&mut bytes) {
        *left = left.checked_sub(1)?;
        let skip = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut bytes),
            5 => Some(4),
            _ => None,
        };
        let Some((field, rest)) = skip.and_then(|len| bytes.split_at_checked(usize::try_from(len).ok()?)) else {
            return Some(());
        };
        bytes = rest;
        let tag = key >> 3;
        if key & 7 == 2
            && let Some((_, inner)) = MESSAGES[message].iter().find(|(known, _)| u64::from(*known) == tag)
        {
            count(*inner, field, left)?;
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::proto::{Event, RoomList};

    #[test]
    fn a_list_of_nothings_is_too_much() {
        let rooms = [0x0A, 0x00].repeat(MAX_FIELDS + 1);
        assert!(too_many::<RoomList>(&rooms));
        assert!(!too_many::<RoomList>(&rooms[..2 * MAX_FIELDS]));
    }

    #[test]
    fn elements_of_messages_inside_are_counted() {
        // Event { room_list: Rooms { room: RoomSummary {} ... } }
        let rooms = [0x0A, 0x00].repeat(MAX_FIELDS);
        let mut event = vec![0x72];
        prost::encode_length_delimiter(rooms.len(), &mut event).unwrap_or_default();
        event.extend_from_slice(&rooms);
        assert!(too_many::<Event>(&event));
    }

    #[test]
    fn a_long_text_is_one_field() {
        let mut event = vec![0x6A];
        let notice = [0x0A, 0x00].repeat(MAX_FIELDS + 1);
        prost::encode_length_delimiter(notice.len(), &mut event).unwrap_or_default();
        event.extend_from_slice(&notice);
        assert!(!too_many::<Event>(&event));
    }
}
