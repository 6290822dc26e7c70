//! Every frame of Spectrum 2 both ways, against golden bytes, and what the codec makes up beside them.

#![allow(clippy::unwrap_used)]

mod hostile;
mod life;
mod read;
mod rooms;
mod written;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;
use crate::backend::{Answer, Certainty, Event, LoginError, LoginErrorKind, Verb};
use crate::model::{
    Affiliation, Attachment, Availability, Avatar, AvatarHash, Capability, Chat, ChatState, ContactDetails, ContactRequest,
    ContactUpdate, Departure, IncomingMessage, JoinRoom, Joined, MessageId, MessageKind, Occupant, OccupantGone, OccupantRenamed,
    Origin, OutgoingMessage, Patch, Presence, Profile, ProfileUpdate, Role, RoomClosed, RoomSubject, Secret, Sent, Timestamp,
};
use crate::wire::{LoginRequest, ResourceUse, golden};
use bytes::Bytes;

static GOLDEN: LazyLock<BTreeMap<&str, Vec<u8>>> = LazyLock::new(|| golden::read(include_str!("../../golden/spectrum2.txt")));

fn frame(name: &'static str) -> &'static [u8] {
    &GOLDEN[name]
}

const A: AssignmentId = AssignmentId(1);
const B: AssignmentId = AssignmentId(2);
const MAX: usize = 64 * 1024;

fn codec() -> Spectrum2Codec {
    Spectrum2Codec::new(MAX, default_info("Net", "net"))
}

fn login(assignment: AssignmentId) -> LoginRequest {
    LoginRequest {
        assignment,
        user: "u@s".into(),
        name: "me".into(),
        password: None,
        settings: BTreeMap::new(),
        presence: Presence::OFFLINE,
        contacts: Vec::new(),
    }
}

/// A codec with one user, as if LOGIN had been written.
fn with_user() -> Spectrum2Codec {
    let mut codec = codec();
    written(&mut codec, &ToBackend::Login(Box::new(login(A))));
    codec
}

fn written(codec: &mut Spectrum2Codec, frame: &ToBackend) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    codec.encode(frame, &mut bytes);
    bytes.to_vec()
}

fn asked(codec: &mut Spectrum2Codec, request: u64, verb: Verb) -> Vec<u8> {
    written(
        codec,
        &ToBackend::Request {
            assignment: A,
            request: RequestId(request),
            verb: Box::new(verb),
        },
    )
}

fn output(codec: &mut Spectrum2Codec) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    codec.take_output(&mut bytes);
    bytes.to_vec()
}

fn read(codec: &mut Spectrum2Codec, names: &[&'static str]) -> Vec<FromBackend> {
    let mut bytes = BytesMut::new();
    for name in names {
        bytes.extend_from_slice(frame(name));
    }
    let frames = std::iter::from_fn(|| codec.decode(&mut bytes).unwrap()).collect();
    assert!(bytes.is_empty());
    frames
}

fn answers(codec: &mut Spectrum2Codec) -> Vec<FromBackend> {
    std::iter::from_fn(|| codec.next_answer()).collect()
}

fn event(event: Event) -> FromBackend {
    FromBackend::Event {
        assignment: A,
        durable: None,
        event: Box::new(event),
    }
}

fn outcome(request: u64, outcome: Outcome) -> FromBackend {
    FromBackend::Outcome {
        assignment: A,
        request: RequestId(request),
        outcome: Box::new(outcome),
    }
}

/// The kind and certainty of a failed outcome.
fn failure(frame: &FromBackend) -> (u64, OpErrorKind, Certainty) {
    match frame {
        FromBackend::Outcome { request, outcome, .. } => {
            let error = outcome.as_ref().as_ref().unwrap_err();
            (request.0, error.kind, error.certainty)
        }
        other => panic!("a failed outcome expected, not {other:?}"),
    }
}

/// Reads one frame, expects one event.
fn read_event(name: &'static str) -> Event {
    let mut frames = read(&mut with_user(), &[name]);
    assert_eq!(frames.len(), 1, "{name}: {frames:?}");
    match frames.remove(0) {
        FromBackend::Event {
            assignment: A,
            durable: None,
            event,
        } => *event,
        other => panic!("{name}: an event expected, not {other:?}"),
    }
}

fn bob() -> Chat {
    Chat::Contact("bob".into())
}

fn room() -> Chat {
    Chat::Room("#room".into())
}

fn in_room() -> Chat {
    Chat::Occupant {
        room: "#room".into(),
        nickname: "Bob".into(),
    }
}

fn message(chat: Chat, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat,
        id: "m1".into(),
        body: body.to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    }
}

fn join() -> Verb {
    Verb::JoinRoom(JoinRoom {
        room: "#room".into(),
        nickname: "Me".into(),
        password: None,
    })
}

/// A codec whose user is in `#room` as `Me`.
fn in_the_room() -> Spectrum2Codec {
    let mut codec = with_user();
    asked(&mut codec, 1, join());
    read(&mut codec, &["occupant_self"]);
    codec
}

fn member(nickname: &str) -> Occupant {
    Occupant {
        affiliation: Affiliation::Member,
        ..Occupant::new("#room".into(), nickname)
    }
}

fn gone(nickname: &str, departure: Departure, reason: Option<&str>) -> Event {
    Event::OccupantGone(OccupantGone {
        room: "#room".into(),
        nickname: nickname.into(),
        departure,
        reason: reason.map(str::to_owned),
    })
}
