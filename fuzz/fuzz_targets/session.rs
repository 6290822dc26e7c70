//! Any stanzas a user can send, to a session in a room and with a contact: no panic, every request is answered, and whatever
//! the session says to the user can be written on a stream and read from it.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jid::{BareJid, Jid};
use libfuzzer_sys::fuzz_target;
use spectrum_core::backend::link::{LinkInput, LinkRequest};
use spectrum_core::backend::{Answer, BackendInfo, Event as Happened, OpError, OpErrorKind, Verb};
use spectrum_core::face::{FaceTraits, To, UserIn, UserOut};
use spectrum_core::model::{Capability, Chat, IncomingMessage, JoinRoom, Joined, Occupant, RequestId, RoomSubject, Timestamp};
use spectrum_core::session::archive::{ArchiveAnswer, ArchivePage};
use spectrum_core::session::{Account, Input, Now, Output, Session, SessionConfig, SessionSeed, StoreRequest};
use spectrum_core::stream::{Content, Event, Header, Limits, Reader, Side, Stanza, Version, Writer};

const TRANSPORT: &str = "net.example";
const USER: &str = "romeo@example.org";

struct Desk {
    session: Session,
    info: Arc<BackendInfo>,
    now: Now,
    /// Whether the network does what it is asked.
    willing: bool,
    out: Vec<Output>,
}

impl Desk {
    fn new(options: u8) -> Self {
        let info = Arc::new(BackendInfo::new("Net", "net").capabilities(Capability::ALL));
        let is_server = options & 1 != 0;
        let config = SessionConfig {
            transport: BareJid::new(TRANSPORT).expect("a JID"),
            name: None,
            face: FaceTraits {
                holds_messages: is_server,
                serves_roster: is_server,
                answers_chat: !is_server,
            },
            linger: Some(Duration::from_secs(30)),
            login_timeout: Duration::from_secs(30),
            jid_escaping: None,
            durable: options & 2 != 0,
            limits: Default::default(),
        };
        let seed = SessionSeed {
            config: Arc::new(config),
            info: Arc::clone(&info),
        };
        let now = Now {
            mono: Duration::from_secs(1000),
            wall: Timestamp::from_secs(1_700_000_000),
        };
        let mut desk = Self {
            session: Session::new(&seed, BareJid::new(USER).expect("a JID")),
            info,
            now,
            willing: options & 4 != 0,
            out: Vec::new(),
        };
        desk.input(Input::Start);
        let account = Account {
            name: Some("romeo".into()),
            ..Account::default()
        };
        desk.input(Input::Loaded(Some(Box::new(account))));
        desk.input(Input::Link(LinkInput::LoggedIn));
        desk
    }

    /// What the network makes of a request.
    fn done(&self, request: RequestId, verb: Verb) -> Vec<Input> {
        let event = |event| {
            Input::Link(LinkInput::Event {
                event: Box::new(event),
                durable: None,
            })
        };
        // They are taken from the end.
        let mut inputs = Vec::new();
        let outcome = match verb {
            Verb::JoinRoom(JoinRoom { room, nickname, .. }) => {
                inputs.push(event(Happened::RoomSubject(RoomSubject {
                    room: room.clone(),
                    subject: "All welcome".to_owned(),
                    by: None,
                    timestamp: None,
                })));
                inputs.push(event(Happened::Occupant(Occupant::new(room.clone(), nickname.clone()))));
                inputs.push(event(Happened::Occupant(Occupant::new(room, "nurse"))));
                Ok(Answer::Joined(Joined { nickname }))
            }
            _ if self.willing => Ok(Answer::Done),
            _ => Err(OpError::new(OpErrorKind::Unsupported, "no")),
        };
        inputs.insert(
            usize::from(!inputs.is_empty()),
            Input::Link(LinkInput::Outcome {
                request,
                outcome: Box::new(outcome),
            }),
        );
        inputs
    }

    /// Handles the input and whatever comes of it.
    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.now.mono += Duration::from_millis(1);
            self.session.handle(input, self.now, &mut self.out);
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::User(UserOut::Stanza(stanza)) => can_be_read(&stanza),
                    Output::Assign => inputs.push(Input::Assigned(Arc::clone(&self.info))),
                    Output::Link(LinkRequest::Verb { request, verb }) => inputs.extend(self.done(request, *verb)),
                    Output::Store(StoreRequest::AskArchive { request, .. }) => inputs.push(Input::Archive {
                        request,
                        answer: Ok(ArchiveAnswer::Page(ArchivePage::default())),
                    }),
                    Output::User(_)
                    | Output::Link(_)
                    | Output::Release
                    | Output::Committed(_)
                    | Output::Journal(_)
                    | Output::Store(_)
                    | Output::Authenticated { .. }
                    | Output::Progress(_)
                    | Output::Said(_)
                    | Output::LoggedIn
                    | Output::LoggedOut
                    | Output::Close(_) => {}
                }
            }
        }
    }
}

/// As a face would say it: to whom it goes, and from which resource.
fn addressed(stanza: Stanza, resource: &str) -> Option<UserIn> {
    let user = BareJid::new(USER).expect("a JID");
    let to = match stanza.recipient() {
        None => To::Account,
        Some(to) if to.domain() == user.domain() => To::Account,
        Some(to) => match to.node() {
            None => To::Transport,
            Some(node) => To::Peer {
                node: node.to_owned(),
                resource: to.resource().map(ToOwned::to_owned),
            },
        },
    };
    let mut stanza = stanza;
    let from: Jid = user.with_resource_str(resource).ok()?.into();
    stanza.set_from(Some(from));
    Some(UserIn {
        resource: Some(resource.parse().ok()?),
        to,
        stanza,
    })
}

fn can_be_read(stanza: &Stanza) {
    let mut out = BytesMut::new();
    let writer = Writer::new(Content::Client);
    let header = Header {
        version: Some(Version::V1_0),
        ..Default::default()
    };
    writer.open(&mut out, &header);
    writer.stanza(&mut out, stanza).expect("a stanza can be written");
    let limits = Limits {
        stanza_bytes: 16 << 20,
        attribute_bytes: 1 << 20,
        elements: 1 << 20,
        attributes: 1000,
        ..Limits::COMPONENT
    };
    let mut reader = Reader::new(Content::Client, Side::Initiating, limits);
    let mut input = &out[..];
    assert!(matches!(reader.read(&mut input), Some(Event::Opened(_))));
    match reader.read(&mut input) {
        Some(Event::Stanza(_)) => {}
        other => panic!("said {} which reads as {other:?}", String::from_utf8_lossy(&out)),
    }
}

fuzz_target!(|data: &[u8]| {
    let [options, input @ ..] = data else { return };
    let mut desk = Desk::new(*options);
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::CLIENT);
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let greeting = "<presence/><presence to='lobby@net.example/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    let all = [header.as_bytes(), greeting.as_bytes(), input].concat();
    let mut bytes = &all[..];
    let mut number = 0u8;
    while let Some(event) = reader.read(&mut bytes) {
        let Event::Stanza(stanza) = event else { continue };
        number = number.wrapping_add(1);
        let resource = if options & 8 != 0 && number % 3 == 0 {
            "balcony"
        } else {
            "garden"
        };
        if let Some(input) = addressed(stanza, resource) {
            desk.input(Input::User(Box::new(input)));
        }
        if number % 4 == 0 {
            let chats = [
                Chat::Contact("juliet".into()),
                Chat::Room("lobby".into()),
                Chat::Occupant {
                    room: "lobby".into(),
                    nickname: "nurse".into(),
                },
            ];
            for chat in chats {
                let message = IncomingMessage::new(chat, "hi").by("nurse");
                desk.input(Input::Link(LinkInput::Event {
                    event: Box::new(Happened::Message(message)),
                    durable: None,
                }));
            }
        }
    }
    desk.now.mono += Duration::from_secs(100);
    desk.input(Input::Tick);
    desk.input(Input::End("The end.".to_owned()));
});
