//! Any bytes from a backend, in both dialects and for both ends: nothing panics, and no frame is read that is not there.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use spectrum_core::model::{AssignmentId, JoinRoom, Presence, RequestId};
use spectrum_core::wire::native::{BackendCodec, NativeCodec};
use spectrum_core::wire::spectrum2::{Spectrum2Codec, default_info};
use spectrum_core::wire::{LoginRequest, ToBackend};

const MAX_FRAME_BYTES: usize = 1 << 20;
/// A frame has a length, and every frame gives at most this many values: an event and what it answers.
const VALUES_PER_FRAME: usize = 4;

/// A codec with a user in a room.
fn spectrum2() -> Spectrum2Codec {
    let mut codec = Spectrum2Codec::new(MAX_FRAME_BYTES, default_info("Net", "net"));
    let mut written = BytesMut::new();
    let assignment = AssignmentId(1);
    let login = LoginRequest {
        assignment,
        user: "u@s".into(),
        name: "me".into(),
        password: None,
        settings: Default::default(),
        presence: Presence::ONLINE,
        contacts: Vec::new(),
    };
    codec.encode(&ToBackend::Login(Box::new(login)), &mut written);
    let join = JoinRoom {
        room: "r".into(),
        nickname: "n".into(),
        password: None,
    };
    let verb = Box::new(spectrum_core::backend::Verb::JoinRoom(join));
    codec.encode(
        &ToBackend::Request {
            assignment,
            request: RequestId(1),
            verb,
        },
        &mut written,
    );
    codec.encode(&ToBackend::Ping, &mut written);
    codec
}

fuzz_target!(|bytes: &[u8]| {
    let most = VALUES_PER_FRAME * (bytes.len() / 4 + 1);
    let mut native = NativeCodec::new(MAX_FRAME_BYTES);
    let mut src = BytesMut::from(bytes);
    assert!(std::iter::from_fn(|| native.decode(&mut src).ok().flatten()).count() <= most);
    let mut backend = BackendCodec::new(MAX_FRAME_BYTES);
    let mut src = BytesMut::from(bytes);
    assert!(std::iter::from_fn(|| backend.decode(&mut src).ok().flatten()).count() <= most);

    let mut codec = spectrum2();
    let mut src = BytesMut::from(bytes);
    let whole: Vec<_> = std::iter::from_fn(|| codec.decode(&mut src).ok().flatten()).collect();
    // However the bytes are cut, they say the same.
    let (mut codec, mut src, mut cut) = (spectrum2(), BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(3) {
        src.extend_from_slice(chunk);
        cut.extend(std::iter::from_fn(|| codec.decode(&mut src).ok().flatten()));
    }
    assert_eq!(cut, whole);
    codec.tick();
    while codec.next_answer().is_some() {}
});
