//! The echo backend as a process, spoken to over the socket it inherits.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::{FdFlags, fcntl_setfd};
use spectrum_core::backend::{Answer, Event, OpErrorKind, Verb};
use spectrum_core::model::{
    AssignmentId, Chat, ContactUpdate, IncomingMessage, OutgoingMessage, Presence, RequestId, Secret, Sent,
};
use spectrum_core::wire::native::NativeCodec;
use spectrum_core::wire::{DEFAULT_MAX_FRAME_BYTES, FromBackend, LoginRequest, MAX_VERSION, MIN_VERSION, ToBackend};

const A: AssignmentId = AssignmentId(7);
const PATIENCE: Duration = Duration::from_secs(20);

struct Peer {
    process: Child,
    socket: UnixStream,
    codec: NativeCodec,
    buffer: BytesMut,
}

impl Peer {
    fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        fcntl_setfd(&theirs, FdFlags::empty()).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_echo-backend"))
            .arg("--fd")
            .arg(theirs.as_raw_fd().to_string())
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        fcntl_setfd(&theirs, FdFlags::CLOEXEC).unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            process,
            socket: ours,
            codec: NativeCodec::new(DEFAULT_MAX_FRAME_BYTES),
            buffer: BytesMut::new(),
        }
    }

    fn send(&mut self, frame: &ToBackend) {
        let mut bytes = BytesMut::new();
        self.codec.encode(frame, &mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    /// The next frame; `None` if the process has hung up.
    fn next(&mut self) -> Option<FromBackend> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.buffer).unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            match self.socket.read(&mut bytes).unwrap() {
                0 => return None,
                len => self.buffer.extend_from_slice(&bytes[..len]),
            }
        }
    }

    fn greet(&mut self, options: &[(&str, &str)]) {
        assert_eq!(
            self.next(),
            Some(FromBackend::Hello {
                min: MIN_VERSION,
                max: MAX_VERSION
            })
        );
        let options: BTreeMap<_, _> = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Secret::from(*value)))
            .collect();
        self.send(&ToBackend::Version {
            version: MAX_VERSION,
            options,
        });
    }

    /// Logs in and takes note of the contacts.
    fn login(&mut self) -> Vec<ContactUpdate> {
        self.send(&ToBackend::Login(Box::new(LoginRequest {
            assignment: A,
            user: "user@example.org".into(),
            name: "user".into(),
            password: None,
            settings: BTreeMap::new(),
            presence: Presence::ONLINE,
            contacts: Vec::new(),
        })));
        let mut contacts = Vec::new();
        loop {
            match self.next().unwrap() {
                FromBackend::Event { event, .. } => {
                    if let Event::Contact(contact) = *event {
                        contacts.push(contact);
                    }
                }
                FromBackend::LoggedIn { assignment: A } => return contacts,
                FromBackend::Info(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn ended(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_message_goes_there_and_back() {
    let mut peer = Peer::start();
    peer.greet(&[("contacts", "2")]);
    let Some(FromBackend::Info(info)) = peer.next() else {
        panic!("the backend says what it is")
    };
    assert_eq!(info.name, "Echo");
    assert_eq!(peer.login().len(), 2);

    let message = OutgoingMessage {
        chat: Chat::Contact("echo".into()),
        id: "m1".into(),
        body: "hello \u{1f980}".to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: false,
    };
    let verb = Box::new(Verb::SendMessage(message));
    peer.send(&ToBackend::Request {
        assignment: A,
        request: RequestId(1),
        verb,
    });
    let echo = IncomingMessage::new(Chat::Contact("echo".into()), "hello \u{1f980}");
    assert_eq!(
        peer.next(),
        Some(FromBackend::Event {
            assignment: A,
            durable: None,
            event: Box::new(Event::Message(echo))
        })
    );
    let sent = Box::new(Ok(Answer::Sent(Sent::default())));
    assert_eq!(
        peer.next(),
        Some(FromBackend::Outcome {
            assignment: A,
            request: RequestId(1),
            outcome: sent
        })
    );
}

#[test]
fn a_ping_is_answered_with_what_the_process_uses() {
    let mut peer = Peer::start();
    peer.greet(&[]);
    peer.next();
    peer.send(&ToBackend::Ping);
    assert_eq!(peer.next(), Some(FromBackend::Pong));
    let Some(FromBackend::Stats(used)) = peer.next() else {
        panic!("figures expected")
    };
    assert!(used.resident > 0 && used.initial > 0 && used.shared > 0, "{used:?}");
}

#[test]
fn exit_logs_out_and_ends_the_process() {
    let mut peer = Peer::start();
    peer.greet(&[]);
    peer.login();
    peer.send(&ToBackend::Exit);
    assert_eq!(peer.next(), Some(FromBackend::LoggedOut { assignment: A }));
    assert_eq!(peer.next(), None);
    assert_eq!(peer.ended().code(), Some(0));
}

#[test]
fn termination_logs_out_and_ends_the_process() {
    let mut peer = Peer::start();
    peer.greet(&[]);
    peer.login();
    let pid = rustix::process::Pid::from_child(&peer.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(peer.next(), Some(FromBackend::LoggedOut { assignment: A }));
    assert_eq!(peer.next(), None);
    assert_eq!(peer.ended().code(), Some(0));
}

#[test]
fn a_transport_that_hangs_up_ends_the_process() {
    for greeted in [false, true] {
        let mut peer = Peer::start();
        if greeted {
            peer.greet(&[]);
            peer.login();
        } else {
            peer.next();
        }
        peer.socket.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(peer.ended().code(), Some(0), "greeted: {greeted}");
    }
}

#[test]
fn options_that_cannot_be_worked_with_are_refused_in_words() {
    let mut peer = Peer::start();
    peer.greet(&[("contacts", "many")]);
    let text = "option `contacts`: invalid digit found in string".to_owned();
    assert_eq!(peer.next(), Some(FromBackend::Refused { text }));
    assert_eq!(peer.next(), None);
    assert_eq!(peer.ended().code(), Some(78));
}

#[test]
fn an_unknown_version_ends_the_process() {
    let mut peer = Peer::start();
    peer.next();
    peer.send(&ToBackend::Version {
        version: MAX_VERSION + 1,
        options: BTreeMap::new(),
    });
    assert_eq!(peer.next(), None);
    assert_eq!(peer.ended().code(), Some(76));
}

#[test]
fn a_verb_of_a_later_version_is_answered_as_unsupported() {
    let mut peer = Peer::start();
    peer.greet(&[]);
    peer.login();
    // A request whose verb is field 90: type 103, payload, assignment 7, request 9.
    let wrapper = [0x08, 103, 0x12, 0x03, 0xD2, 0x05, 0x00, 0xA0, 0x06, 7, 0xA8, 0x06, 9];
    let mut frame = u32::try_from(wrapper.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(wrapper);
    peer.socket.write_all(&frame).unwrap();
    let Some(FromBackend::Outcome {
        assignment: A,
        request: RequestId(9),
        outcome,
    }) = peer.next()
    else {
        panic!("an answer expected")
    };
    assert_eq!(outcome.unwrap_err().kind, OpErrorKind::Unsupported);
}

#[test]
fn without_a_socket_the_process_says_how_it_is_started() {
    let output = Command::new(env!("CARGO_BIN_EXE_echo-backend")).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("wire = \"native\""));
}
