//! Every frame of the native dialect both ways, against golden bytes; bytes that are none.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::backend::{Outcome, Verb};
use crate::model::{Chat, IncomingMessage, OutgoingMessage, PromptId, Secret};
use crate::wire::frames::Head;
use crate::wire::{DEFAULT_MAX_FRAME_BYTES, golden};

const GOLDEN: &str = include_str!("../golden/native.txt");

fn core() -> NativeCodec {
    NativeCodec::new(DEFAULT_MAX_FRAME_BYTES)
}

fn backend() -> BackendCodec {
    BackendCodec::new(DEFAULT_MAX_FRAME_BYTES)
}

fn to_bytes(frame: &ToBackend) -> BytesMut {
    let mut bytes = BytesMut::new();
    core().encode(frame, &mut bytes);
    bytes
}

fn from_bytes(frame: &FromBackend) -> BytesMut {
    let mut bytes = BytesMut::new();
    backend().encode(frame, &mut bytes);
    bytes
}

#[test]
fn every_frame_comes_out_as_it_went_in() {
    for (name, frame) in samples::to_backend() {
        let mut bytes = to_bytes(&frame);
        let mut codec = backend();
        assert_eq!(codec.decode(&mut bytes).unwrap(), Some(ForBackend::Frame(frame)), "{name}");
        assert_eq!((bytes.len(), codec.counters()), (0, WireCounters::default()), "{name}");
    }
    for (name, frame) in samples::from_backend() {
        let mut bytes = from_bytes(&frame);
        let mut codec = core();
        assert_eq!(codec.decode(&mut bytes).unwrap(), Some(frame), "{name}");
        assert_eq!((bytes.len(), codec.counters()), (0, WireCounters::default()), "{name}");
    }
}

/// The bytes of every sample, as the golden file has them.
fn current() -> String {
    let mut text =
        String::from("# Frames of the native dialect, with their lengths: a name, then bytes in hex. They never change.\n");
    text.push_str("\n# From the core.\n");
    for (name, frame) in samples::to_backend() {
        text.push_str(&format!("to_{name} {}\n", golden::to_hex(&to_bytes(&frame))));
    }
    text.push_str("\n# From a backend.\n");
    for (name, frame) in samples::from_backend() {
        text.push_str(&format!("from_{name} {}\n", golden::to_hex(&from_bytes(&frame))));
    }
    text
}

#[test]
fn every_frame_has_the_bytes_it_always_had() {
    let (golden, current) = (golden::read(GOLDEN), current());
    for (name, bytes) in golden::read(&current) {
        let always = golden
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in golden/native.txt; it would be\n{current}"));
        assert_eq!(golden::to_hex(&bytes), golden::to_hex(always), "{name}");
    }
    assert_eq!(
        golden.len(),
        golden::read(&current).len(),
        "a golden frame has no sample any more"
    );
}

#[test]
fn numbers_of_spectrum_2_are_used_where_it_has_the_word() {
    assert_eq!(&to_bytes(&ToBackend::Ping)[..], [0, 0, 0, 2, 8, 9]);
    assert_eq!(&from_bytes(&FromBackend::Pong)[..], [0, 0, 0, 2, 8, 10]);
    assert_eq!(&to_bytes(&ToBackend::Exit)[..], [0, 0, 0, 2, 8, 29]);
    // LOGOUT with our field 100.
    assert_eq!(
        &to_bytes(&ToBackend::Logout {
            assignment: AssignmentId(1)
        })[..],
        [0, 0, 0, 5, 8, 4, 0xA0, 6, 1]
    );
}

/// A frame of this type, payload and numbers.
fn raw(head: Head, payload: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    frames::put_raw(&mut bytes, head, payload, DEFAULT_MAX_FRAME_BYTES).unwrap();
    bytes
}

const A: Option<u64> = Some(7);

#[test]
fn what_makes_no_sense_is_skipped_and_counted() {
    type Counter = fn(&WireCounters) -> u64;
    let cases: Vec<(&str, BytesMut, Counter)> = vec![
        ("unknown type", raw(Head::of(250), b""), |c| c.unknown_type),
        ("type of the core", raw(Head::of(kind::LOGIN), b""), |c| c.unknown_type),
        ("no assignment", raw(Head::of(kind::CONNECTED), b""), |c| c.missing_field),
        (
            "no request",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::OUTCOME)
                },
                b"\x0a\0",
            ),
            |c| c.missing_field,
        ),
        (
            "no event",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::EVENT)
                },
                b"",
            ),
            |c| c.malformed,
        ),
        (
            "unknown event",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::EVENT)
                },
                b"\xd2\x05\0",
            ),
            |c| c.malformed,
        ),
        (
            "event without a chat",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::EVENT)
                },
                b"\x2a\x03\x22\x01x",
            ),
            |c| c.missing_field,
        ),
        ("no protobuf", BytesMut::from(&b"\0\0\0\x02\xff\xff"[..]), |c| c.malformed),
        (
            "no protobuf inside",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::EVENT)
                },
                b"\xff",
            ),
            |c| c.malformed,
        ),
        ("no type", BytesMut::from(&b"\0\0\0\0"[..]), |c| c.missing_field),
        (
            "too many fields",
            raw(
                Head {
                    assignment: A,
                    ..Head::of(kind::EVENT)
                },
                &[&b"\x72\xc0\x84\x3d"[..], &b"\x0a\0".repeat(500_000)].concat(),
            ),
            |c| c.too_many_fields,
        ),
    ];
    for (name, mut bytes, counter) in cases {
        let mut codec = core();
        bytes.extend_from_slice(&[0, 0, 0, 2, 8, 10]);
        assert_eq!(codec.decode(&mut bytes).unwrap(), Some(FromBackend::Pong), "{name}");
        assert_eq!(
            (counter(&codec.counters()), codec.counters().skipped()),
            (1, 1),
            "{name}: {:?}",
            codec.counters()
        );
    }
}

#[test]
fn texts_of_a_backend_are_repaired_and_those_of_the_core_left_alone() {
    let said = IncomingMessage::new(Chat::Contact("b\u{1}b".into()), "\u{2}bold\u{2}");
    let event = |message| FromBackend::Event {
        assignment: AssignmentId(1),
        durable: None,
        event: Box::new(Event::Message(message)),
    };
    let mut codec = core();
    let repaired = IncomingMessage::new(Chat::Contact("b\u{fffd}b".into()), "\u{fffd}bold\u{fffd}");
    assert_eq!(codec.decode(&mut from_bytes(&event(said))).unwrap(), Some(event(repaired)));
    assert_eq!(
        codec.counters(),
        WireCounters {
            repaired_text: 2,
            ..WireCounters::default()
        }
    );

    // Event { notice: bytes that are no UTF-8 }
    let mut bytes = raw(
        Head {
            assignment: A,
            ..Head::of(kind::EVENT)
        },
        b"\x6a\x04caf\xe9",
    );
    let Some(FromBackend::Event { event, .. }) = codec.decode(&mut bytes).unwrap() else {
        panic!("an event")
    };
    assert_eq!(*event, Event::Notice("caf\u{fffd}".to_owned()));
}

#[test]
fn one_bad_item_of_a_list_costs_only_itself() {
    // Event { room_list: [ RoomSummary { id: "a" }, RoomSummary {} ] }
    let mut bytes = raw(
        Head {
            assignment: A,
            ..Head::of(kind::EVENT)
        },
        b"\x72\x07\x0a\x03\x0a\x01a\x0a\0",
    );
    let mut codec = core();
    let Some(FromBackend::Event { event, .. }) = codec.decode(&mut bytes).unwrap() else {
        panic!("an event")
    };
    let Event::RoomList(rooms) = *event else { panic!("a list") };
    assert_eq!((rooms.len(), codec.counters().missing_field), (1, 1));
}

#[test]
fn a_request_that_cannot_be_read_is_told_by_its_number() {
    let head = Head {
        assignment: Some(7),
        request: Some(9),
        ..Head::of(kind::REQUEST)
    };
    for payload in [&b"\xd2\x05\0"[..], b"", b"\xff", b"\x0a\0"] {
        let mut codec = backend();
        let told = ForBackend::Unreadable {
            assignment: AssignmentId(7),
            request: RequestId(9),
        };
        assert_eq!(codec.decode(&mut raw(head, payload)).unwrap(), Some(told), "{payload:?}");
        assert_eq!(codec.counters().skipped(), 1);
    }
}

#[test]
fn what_is_too_long_is_answered_instead_of_sent() {
    let max = 200;
    let long = "x".repeat(max);
    let mut codec = NativeCodec::new(max);
    let mut bytes = BytesMut::new();
    let verb = Verb::SendMessage(OutgoingMessage {
        chat: Chat::Contact("bob".into()),
        id: "m".into(),
        body: long.clone(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    });
    let (assignment, request) = (AssignmentId(1), RequestId(2));
    codec.encode(
        &ToBackend::Request {
            assignment,
            request,
            verb: Box::new(verb),
        },
        &mut bytes,
    );
    assert!(bytes.is_empty());
    let Some(FromBackend::Outcome { outcome, .. }) = codec.next_answer() else {
        panic!("an answer")
    };
    assert_eq!(outcome.unwrap_err().kind, OpErrorKind::TooLong);

    let prompt = PromptId(3);
    let answers = [("code".to_owned(), Secret::new(long.as_str()))].into();
    codec.encode(
        &ToBackend::PromptAnswer {
            assignment,
            prompt,
            answers: Some(answers),
        },
        &mut bytes,
    );
    let gave_up = ToBackend::PromptAnswer {
        assignment,
        prompt,
        answers: None,
    };
    assert_eq!(
        BackendCodec::new(max).decode(&mut bytes).unwrap(),
        Some(ForBackend::Frame(gave_up))
    );

    let mut codec = BackendCodec::new(max);
    let event = Box::new(Event::Notice(long.clone()));
    codec.encode(
        &FromBackend::Event {
            assignment,
            durable: Some(5),
            event,
        },
        &mut bytes,
    );
    codec.encode(
        &FromBackend::Outcome {
            assignment,
            request,
            outcome: Box::new(Err(OpError::maybe_sent(long))),
        },
        &mut bytes,
    );
    let mut core = NativeCodec::new(max);
    let Some(FromBackend::Event {
        durable: Some(5), event, ..
    }) = core.decode(&mut bytes).unwrap()
    else {
        panic!("an event")
    };
    assert!(matches!(*event, Event::Notice(text) if text.contains("too long")));
    let Some(FromBackend::Outcome { outcome, .. }) = core.decode(&mut bytes).unwrap() else {
        panic!("an outcome")
    };
    assert_eq!(outcome.unwrap_err().kind, OpErrorKind::TooLong);
    assert_eq!(codec.counters().dropped, 2);
}

#[test]
fn a_length_beyond_the_bound_ends_the_link_at_once() {
    let mut bytes = BytesMut::from(&[1, 0, 0, 1][..]);
    let error = FrameError::TooLong {
        len: DEFAULT_MAX_FRAME_BYTES + 1,
        max: DEFAULT_MAX_FRAME_BYTES,
    };
    assert_eq!(core().decode(&mut bytes.clone()), Err(error));
    assert_eq!(backend().decode(&mut bytes), Err(error));
}

#[test]
fn a_picture_that_is_kept_keeps_nothing_else() {
    let mut bytes = BytesMut::with_capacity(1 << 20);
    for (name, frame) in samples::from_backend() {
        if name == "outcome_profile" {
            bytes.extend_from_slice(&from_bytes(&frame));
        }
    }
    let Some(FromBackend::Outcome { outcome, .. }) = core().decode(&mut bytes).unwrap() else {
        panic!("an outcome")
    };
    let crate::backend::Answer::Profile(profile) = Outcome::unwrap(*outcome) else {
        panic!("a profile")
    };
    // The buffer can be had back, so nobody holds on to it.
    bytes.clear();
    assert!(bytes.try_reclaim(1 << 19));
    assert_eq!(profile.avatar.unwrap().data.len(), 6);
}

/// All samples of a backend in one stretch of bytes.
fn everything() -> Vec<u8> {
    samples::from_backend()
        .iter()
        .flat_map(|(_, frame)| from_bytes(frame))
        .collect()
}

fn read_in_chunks<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<FromBackend> {
    let (mut codec, mut bytes, mut read) = (core(), BytesMut::new(), Vec::new());
    for chunk in chunks {
        bytes.extend_from_slice(chunk);
        while let Ok(Some(frame)) = codec.decode(&mut bytes) {
            read.push(frame);
        }
    }
    read
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_in_chunks(std::iter::once(&bytes[..]));
        let (mut codec, mut bytes) = (backend(), BytesMut::from(&bytes[..]));
        while let Ok(Some(_)) = codec.decode(&mut bytes) {}
    }

    #[test]
    fn any_payload_of_any_type_is_survived(kind in 0_i32..120, payload in proptest::collection::vec(any::<u8>(), 0..80)) {
        let head = Head { assignment: Some(1), request: Some(2), number: Some(3), ..Head::of(kind) };
        let bytes = raw(head, &payload);
        let _ = core().decode(&mut bytes.clone());
        let _ = backend().decode(&mut bytes.clone());
    }

    #[test]
    fn a_broken_byte_anywhere_is_survived(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = everything();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_in_chunks(std::iter::once(&bytes[..]));
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut(size in 1_usize..300) {
        let bytes = everything();
        prop_assert_eq!(read_in_chunks(bytes.chunks(size)), samples::from_backend().into_iter().map(|(_, frame)| frame).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_of_the_core_arrives_as_it_is(body in any::<String>(), password in any::<String>(), settings in any::<std::collections::BTreeMap<String, String>>()) {
        let Some((_, ToBackend::Login(mut login))) = samples::to_backend().into_iter().find(|(name, _)| name == "login") else {
            panic!("a login");
        };
        login.password = Some(Secret::new(password));
        login.settings = settings;
        login.presence.text = Some(body);
        let frame = ToBackend::Login(login);
        prop_assert_eq!(backend().decode(&mut to_bytes(&frame)).unwrap(), Some(ForBackend::Frame(frame)));
    }

    #[test]
    fn any_text_of_a_backend_is_text_for_xml(text in any::<String>()) {
        let event = Box::new(Event::Notice(text));
        let frame = FromBackend::Event { assignment: AssignmentId(1), durable: None, event };
        let Some(FromBackend::Event { event, .. }) = core().decode(&mut from_bytes(&frame)).unwrap() else { panic!("an event") };
        let Event::Notice(read) = *event else { panic!("a notice") };
        let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        prop_assert!(read.chars().all(legal));
    }
}
