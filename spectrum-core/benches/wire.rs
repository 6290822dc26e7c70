//! What a frame costs in the main process: one 60-byte message each way, in both dialects.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::hint::black_box;

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use spectrum_core::backend::{Event, Verb};
use spectrum_core::model::{AssignmentId, Chat, IncomingMessage, OutgoingMessage, Presence, RequestId};
use spectrum_core::wire::native::{BackendCodec, NativeCodec};
use spectrum_core::wire::spectrum2::{Spectrum2Codec, default_info};
use spectrum_core::wire::{DEFAULT_MAX_FRAME_BYTES, FromBackend, LoginRequest, ToBackend};

const A: AssignmentId = AssignmentId(123_456);
const BODY: &str = "sixty bytes of text that says nothing at all, and says it so";
/// Frames that go with one write.
const BATCH: u64 = 64;

fn request() -> ToBackend {
    let message = OutgoingMessage {
        chat: Chat::Contact("somebody@network.example".into()),
        id: "0123456789abcdef".into(),
        body: BODY.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    };
    ToBackend::Request {
        assignment: A,
        request: RequestId(99),
        verb: Box::new(Verb::SendMessage(message)),
    }
}

fn event() -> FromBackend {
    let message = IncomingMessage::new(Chat::Contact("somebody@network.example".into()), BODY);
    FromBackend::Event {
        assignment: A,
        durable: None,
        event: Box::new(Event::Message(message)),
    }
}

fn native(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/native");
    group.throughput(Throughput::Elements(BATCH));
    let (mut codec, frame, mut bytes) = (NativeCodec::new(DEFAULT_MAX_FRAME_BYTES), request(), BytesMut::new());
    group.bench_function("encode message", |b| {
        b.iter(|| {
            bytes.clear();
            for _ in 0..BATCH {
                codec.encode(black_box(&frame), &mut bytes);
            }
        });
    });
    let mut bytes = BytesMut::new();
    for _ in 0..BATCH {
        BackendCodec::new(DEFAULT_MAX_FRAME_BYTES).encode(&event(), &mut bytes);
    }
    group.bench_function("decode message", |b| {
        b.iter_batched_ref(
            || bytes.clone(),
            |bytes| {
                while let Some(frame) = codec.decode(bytes).unwrap() {
                    black_box(frame);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A message of the network as an original backend writes it.
fn spectrum2_message() -> Vec<u8> {
    let field = |tag: u8, text: &str| [&[tag << 3 | 2, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let payload = [
        field(1, "user@example.org"),
        field(2, "somebody@network.example"),
        field(3, BODY),
    ]
    .concat();
    let wrapper = [&[0x08, 8, 0x12, u8::try_from(payload.len()).unwrap()], &payload[..]].concat();
    [&u32::try_from(wrapper.len()).unwrap().to_be_bytes()[..], &wrapper].concat()
}

fn spectrum2(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire/spectrum2");
    group.throughput(Throughput::Elements(BATCH));
    let mut codec = Spectrum2Codec::new(DEFAULT_MAX_FRAME_BYTES, default_info("Net", "net"));
    let mut bytes = BytesMut::new();
    let login = LoginRequest {
        assignment: A,
        user: "user@example.org".into(),
        name: "user".into(),
        password: None,
        settings: BTreeMap::new(),
        presence: Presence::ONLINE,
        contacts: Vec::new(),
    };
    codec.encode(&ToBackend::Login(Box::new(login)), &mut bytes);
    let frame = request();
    let pong = [0, 0, 0, 2, 8, 10];
    group.bench_function("encode message and its confirmation", |b| {
        b.iter(|| {
            bytes.clear();
            for _ in 0..BATCH {
                codec.encode(black_box(&frame), &mut bytes);
            }
            codec.encode(&ToBackend::Ping, &mut bytes);
            let mut answer = BytesMut::from(&pong[..]);
            while let Some(frame) = codec.decode(&mut answer).unwrap() {
                black_box(frame);
            }
        });
    });
    let bytes = BytesMut::from(&spectrum2_message().repeat(BATCH as usize)[..]);
    group.bench_function("decode message", |b| {
        b.iter_batched_ref(
            || bytes.clone(),
            |bytes| {
                while let Some(frame) = codec.decode(bytes).unwrap() {
                    black_box(frame);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, native, spectrum2);
criterion_main!(benches);
