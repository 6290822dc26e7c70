//! Bytes that no honest backend sends, and bytes cut anywhere.

use proptest::prelude::*;

use super::*;

#[test]
fn what_makes_no_sense_is_skipped_and_counted_and_the_next_frame_is_read() {
    type Counter = fn(&WireCounters) -> u64;
    let cases: [(&str, Counter); 18] = [
        ("unknown_type", |c| c.unknown_type),
        ("file_transfer", |c| c.unknown_type),
        ("type_of_the_core", |c| c.unknown_type),
        ("no_type", |c| c.missing_field),
        ("empty_frame", |c| c.missing_field),
        ("no_protobuf", |c| c.malformed),
        ("no_protobuf_inside", |c| c.malformed),
        ("no_user", |c| c.missing_field),
        ("no_contact", |c| c.missing_field),
        ("empty_contact", |c| c.missing_field),
        ("no_error_number", |c| c.missing_field),
        ("no_status", |c| c.missing_field),
        ("receipt_without_id", |c| c.missing_field),
        ("foreign_user", |c| c.foreign_user),
        ("connected_foreign", |c| c.foreign_user),
        ("said_nothing", |c| c.malformed),
        ("raw_xml_foreign", |c| c.foreign_user),
        ("rooms_of_user", |_| 1),
    ];
    for (name, counter) in cases {
        let mut codec = with_user();
        let frames = read(&mut codec, &[name, "contact_gone"]);
        assert_eq!(frames.last(), Some(&event(Event::ContactRemoved("bob".into()))), "{name}");
        assert_eq!(counter(&codec.counters()), 1, "{name}: {:?}", codec.counters());
    }
}

#[test]
fn a_text_is_repaired_and_its_message_stays() {
    let mut codec = with_user();
    assert_eq!(
        read(&mut codec, &["invalid_utf8", "control_character", "unknown_field"]),
        [
            event(Event::Message(IncomingMessage::new(bob(), "caf\u{fffd}"))),
            event(Event::Message(IncomingMessage::new(bob(), "\u{fffd}bold\u{fffd}"))),
            event(Event::Message(IncomingMessage::new(bob(), "hi"))),
        ]
    );
    assert_eq!(
        codec.counters(),
        WireCounters {
            repaired_text: 2,
            ..WireCounters::default()
        }
    );
}

#[test]
fn a_missing_text_costs_no_attachment() {
    let mut codec = with_user();
    let file = Attachment {
        url: "https://h/f".to_owned(),
        media_type: None,
        description: None,
    };
    let message = IncomingMessage {
        attachments: vec![file],
        ..IncomingMessage::new(bob(), "")
    };
    assert_eq!(read(&mut codec, &["no_text"]), [event(Event::Message(message))]);
    assert_eq!(codec.counters().missing_field, 1);
}

#[test]
fn a_frame_that_is_too_long_ends_the_link_before_its_bytes_are_there() {
    let mut bytes = BytesMut::from(&[0, 1, 0, 1][..]);
    assert_eq!(
        codec().decode(&mut bytes),
        Err(FrameError::TooLong { len: MAX + 1, max: MAX })
    );
    let mut bytes = BytesMut::from(&[0, 1, 0, 0][..]);
    assert_eq!(codec().decode(&mut bytes), Ok(None));
}

#[test]
fn every_golden_frame_has_its_place_in_a_test() {
    let source = [
        include_str!("mod.rs"),
        include_str!("hostile.rs"),
        include_str!("life.rs"),
        include_str!("read.rs"),
        include_str!("rooms.rs"),
        include_str!("written.rs"),
    ]
    .concat();
    let unused: Vec<_> = GOLDEN
        .keys()
        .filter(|name| !source.contains(&format!("\"{name}\"")))
        .collect();
    assert_eq!(unused, Vec::<&&str>::new());
}

/// Everything golden, in the order of the file, read by one codec.
fn all_frames() -> Vec<u8> {
    GOLDEN.values().flatten().copied().collect()
}

fn everything(codec: &mut Spectrum2Codec, chunks: impl Iterator<Item = Vec<u8>>) -> Vec<FromBackend> {
    let mut bytes = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        bytes.extend_from_slice(&chunk);
        while let Ok(Some(frame)) = codec.decode(&mut bytes) {
            frames.push(frame);
        }
    }
    frames
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        everything(&mut in_the_room(), std::iter::once(bytes));
    }

    #[test]
    fn any_payload_of_any_type_is_survived(kind in 0_u8..40, payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        // Behind a user that is known, so that more than the first field is looked at.
        let mut inner = vec![0x0A, 3, b'u', b'@', b's'];
        inner.extend(payload);
        let mut frame = u32::try_from(inner.len() + 4).unwrap().to_be_bytes().to_vec();
        frame.extend([0x08, kind, 0x12, u8::try_from(inner.len()).unwrap()]);
        frame.extend(inner);
        everything(&mut in_the_room(), std::iter::once(frame));
    }

    #[test]
    fn a_broken_byte_anywhere_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = all_frames();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        everything(&mut in_the_room(), std::iter::once(bytes));
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut(sizes in proptest::collection::vec(1_usize..50, 1..40)) {
        let bytes = all_frames();
        let whole = everything(&mut in_the_room(), std::iter::once(bytes.clone()));
        let mut rest = &bytes[..];
        let mut sizes = sizes.into_iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let size = sizes.next()?.min(rest.len());
            let (chunk, behind) = rest.split_at(size);
            rest = behind;
            (!chunk.is_empty()).then(|| chunk.to_vec())
        });
        prop_assert_eq!(everything(&mut in_the_room(), chunks), whole);
    }
}
