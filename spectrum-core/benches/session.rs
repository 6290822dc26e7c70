//! What a session costs: memory when idle and per contact, and time per message, presence and login.
//!
//! Memory is what the process has resident before and after ten thousand sessions, so it holds what the allocator adds.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jid::{BareJid, NodePart, ResourcePart};
use spectrum_core::backend::link::{LinkInput, LinkRequest};
use spectrum_core::backend::{Answer, BackendInfo, Event};
use spectrum_core::face::{FaceTraits, To, UserIn};
use spectrum_core::model::{
    Availability, Capability, Chat, ContactUpdate, IncomingMessage, Presence, RequestId, Sent, Timestamp,
};
use spectrum_core::session::{Account, Input, Now, Output, Session, SessionConfig, SessionLimits, SessionSeed};
use spectrum_core::stanza::Stanza;
use xmpp_parsers::message::{Id, Lang, Message};
use xmpp_parsers::presence::Presence as XmppPresence;

const NOW: Now = Now {
    mono: Duration::from_secs(1),
    wall: Timestamp::from_secs(1_700_000_000),
};

fn seed() -> SessionSeed {
    let mut info = BackendInfo::new("Net", "net").capabilities(&[
        Capability::Presence,
        Capability::ChatStates,
        Capability::Receipts,
        Capability::Rooms,
    ]);
    info.room_prefixes = "#".to_owned();
    let config = SessionConfig {
        transport: BareJid::new("net.example").unwrap(),
        name: Some("Net".to_owned()),
        face: FaceTraits {
            holds_messages: false,
            serves_roster: false,
            answers_chat: false,
        },
        linger: Some(Duration::from_secs(30)),
        login_timeout: Duration::from_secs(30),
        jid_escaping: None,
        durable: false,
        limits: SessionLimits::default(),
    };
    SessionSeed {
        config: Arc::new(config),
        info: Arc::new(info),
    }
}

fn from_user(stanza: impl Into<Stanza>, to: To) -> Input {
    let resource = ResourcePart::new("desk").unwrap().into_owned();
    let mut stanza = stanza.into();
    stanza.set_from(Some(
        BareJid::new("romeo@example.org").unwrap().with_resource(&resource).into(),
    ));
    Input::User(Box::new(UserIn {
        resource: Some(resource),
        to,
        stanza,
    }))
}

fn online(seed: &SessionSeed, user: usize) -> Session {
    let mut out = Vec::new();
    let mut session = Session::new(seed, BareJid::new(&format!("romeo{user}@example.org")).unwrap());
    session.handle(Input::Start, NOW, &mut out);
    session.handle(from_user(XmppPresence::available(), To::Transport), NOW, &mut out);
    let account = Account {
        name: Some(format!("romeo{user}").into()),
        password: Some("secret".into()),
        ..Account::default()
    };
    session.handle(Input::Loaded(Some(Box::new(account))), NOW, &mut out);
    session.handle(Input::Assigned(Arc::clone(&seed.info)), NOW, &mut out);
    session.handle(Input::Link(LinkInput::LoggedIn), NOW, &mut out);
    assert!(session.is_online());
    session
}

fn event(event: Event) -> Input {
    Input::Link(LinkInput::Event {
        event: Box::new(event),
        durable: None,
    })
}

fn contact(n: usize) -> ContactUpdate {
    ContactUpdate::new(format!("contact{n:04}@host.example").as_str())
        .alias(format!("Contact {n}"))
        .groups(["Friends".to_owned()])
        .presence(Presence::ONLINE)
}

/// Bytes resident, without what is shared with files.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<usize> = statm.split(' ').filter_map(|n| n.trim().parse().ok()).collect();
    (pages[1] - pages[2]) * 4_096
}

fn memory() {
    const SESSIONS: usize = 10_000;
    const CONTACTS: usize = 50;
    let seed = seed();
    let mut sessions = Vec::with_capacity(SESSIONS);
    sessions.push(online(&seed, 0));
    let start = resident();
    sessions.extend((1..SESSIONS).map(|user| online(&seed, user)));
    let idle = resident();
    let mut out = Vec::new();
    for session in &mut sessions {
        for n in 0..CONTACTS {
            session.handle(event(Event::Contact(contact(n))), NOW, &mut out);
            out.clear();
        }
    }
    let full = resident();
    println!(
        "a session: {} bytes in place, {} resident",
        size_of::<Session>(),
        (idle - start) / SESSIONS
    );
    println!(
        "a contact of {CONTACTS}: {} bytes resident",
        (full - idle) / SESSIONS / CONTACTS
    );
}

fn benches(c: &mut Criterion) {
    memory();
    let seed = seed();

    c.bench_function("message to the network and its outcome", |b| {
        let mut session = online(&seed, 0);
        let mut out = Vec::new();
        let node = NodePart::new("juliet").unwrap().into_owned();
        b.iter_batched(
            || {
                let mut message = Message::chat(None);
                message.id = Some(Id("f3a1c2".to_owned()));
                message.bodies.insert(Lang::new(), "x".repeat(60));
                from_user(
                    message,
                    To::Peer {
                        node: node.clone(),
                        resource: None,
                    },
                )
            },
            |input| {
                session.handle(input, NOW, &mut out);
                let request = out.drain(..).find_map(|output| match output {
                    Output::Link(LinkRequest::Verb { request, .. }) => Some(request),
                    _ => None,
                });
                let request: RequestId = request.unwrap();
                let outcome = Box::new(Ok(Answer::Sent(Sent::default())));
                session.handle(Input::Link(LinkInput::Outcome { request, outcome }), NOW, &mut out);
                out.clear();
            },
            BatchSize::SmallInput,
        );
    });

    c.bench_function("message to the user", |b| {
        let mut session = online(&seed, 0);
        let mut out = Vec::new();
        let chat = Chat::Contact("juliet".into());
        b.iter_batched(
            || event(Event::Message(IncomingMessage::new(chat.clone(), "x".repeat(60)))),
            |input| {
                session.handle(input, NOW, &mut out);
                black_box(&out);
                out.clear();
            },
            BatchSize::SmallInput,
        );
    });

    c.bench_function("presence of a contact", |b| {
        let mut session = online(&seed, 0);
        let mut out = Vec::new();
        let mut away = false;
        b.iter(|| {
            away = !away;
            let availability = if away { Availability::Away } else { Availability::Online };
            let update = ContactUpdate::new("juliet").presence(Presence::of(availability));
            session.handle(event(Event::Contact(update)), NOW, &mut out);
            black_box(&out);
            out.clear();
        });
    });

    c.bench_function("login with fifty contacts", |b| {
        b.iter(|| {
            let mut session = online(&seed, 0);
            let mut out = Vec::new();
            for n in 0..50 {
                session.handle(event(Event::Contact(contact(n))), NOW, &mut out);
            }
            black_box((session, out))
        });
    });
}

criterion_group!(session, benches);
criterion_main!(session);
