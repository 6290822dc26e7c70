//! One of every frame, for tests: names for the golden file beside values.

mod events;
mod values;
mod verbs;

use crate::backend::{BackendInfo, Event};
use crate::model::*;
use crate::wire::{FromBackend, LoginRequest, ResourceUse, ToBackend};

use events::{events, outcomes};
use values::*;
use verbs::verbs;

/// Every frame of the core.
pub(in crate::wire) fn to_backend() -> Vec<(String, ToBackend)> {
    let login = LoginRequest {
        assignment: A,
        user: "u@s".into(),
        name: "me".into(),
        password: Some(Secret::new("p\u{2}w")),
        settings: [("server".to_owned(), "irc".to_owned())].into(),
        presence: presence(),
        contacts: vec![full_update()],
    };
    let bare = LoginRequest {
        password: None,
        settings: Default::default(),
        contacts: Vec::new(),
        presence: Presence::ONLINE,
        ..login.clone()
    };
    let answers = FormAnswers::from([("code".to_owned(), Secret::new("123"))]);
    let mut frames = vec![
        (
            "version".to_owned(),
            ToBackend::Version {
                version: 1,
                options: [("server.password".to_owned(), Secret::new("s\u{3}t"))].into(),
            },
        ),
        ("login".to_owned(), ToBackend::Login(Box::new(login))),
        ("login_bare".to_owned(), ToBackend::Login(Box::new(bare))),
        ("logout".to_owned(), ToBackend::Logout { assignment: A }),
        (
            "credit".to_owned(),
            ToBackend::Credit {
                assignment: A,
                events: 32,
            },
        ),
        (
            "committed".to_owned(),
            ToBackend::Committed {
                assignment: A,
                event: u64::MAX,
            },
        ),
        (
            "answered".to_owned(),
            ToBackend::PromptAnswer {
                assignment: A,
                prompt: PromptId(3),
                answers: Some(answers),
            },
        ),
        (
            "given_up".to_owned(),
            ToBackend::PromptAnswer {
                assignment: A,
                prompt: PromptId(3),
                answers: None,
            },
        ),
        ("query_answer".to_owned(), ToBackend::QueryAnswer("ok".to_owned())),
        ("ping".to_owned(), ToBackend::Ping),
        ("exit".to_owned(), ToBackend::Exit),
    ];
    for (name, verb) in verbs() {
        frames.push((
            format!("request_{name}"),
            ToBackend::Request {
                assignment: A,
                request: RequestId(9),
                verb: Box::new(verb),
            },
        ));
    }
    frames
}

/// Every frame of a backend.
pub(in crate::wire) fn from_backend() -> Vec<(String, FromBackend)> {
    let info = BackendInfo {
        version: "1.2".to_owned(),
        case_mapping: CaseMapping::Rfc1459,
        room_echo: RoomEcho::Backend,
        needs_registration: false,
        registration: form().fields,
        room_prefixes: "#&".to_owned(),
        max_message_bytes: Some(400),
        jid_escaping: false,
        // All there were when the frame was written down.
        capabilities: Capabilities::from_bits(0xdff3_ff7f),
        ..BackendInfo::new("IRC", "irc")
    };
    let prompt = |what| FromBackend::Prompt {
        assignment: A,
        prompt: PromptId(3),
        what: Box::new(what),
    };
    let picture = Shown::Picture {
        media_type: "image/png".to_owned(),
        data: avatar().data,
        text: "code".to_owned(),
    };
    let link = Shown::Link {
        url: "https://h".to_owned(),
        text: "Open".to_owned(),
    };
    let mut frames = vec![
        ("hello".to_owned(), FromBackend::Hello { min: 1, max: 3 }),
        ("info".to_owned(), FromBackend::Info(Box::new(info))),
        (
            "info_default".to_owned(),
            FromBackend::Info(Box::new(BackendInfo::new("Net", "net"))),
        ),
        (
            "refused".to_owned(),
            FromBackend::Refused {
                text: "No server".to_owned(),
            },
        ),
        ("logged_in".to_owned(), FromBackend::LoggedIn { assignment: A }),
        ("logged_out".to_owned(), FromBackend::LoggedOut { assignment: A }),
        ("ask".to_owned(), prompt(LoginPrompt::Ask(form()))),
        ("ask_name".to_owned(), prompt(LoginPrompt::Ask(name_form()))),
        ("show_picture".to_owned(), prompt(LoginPrompt::Show(picture))),
        ("show_link".to_owned(), prompt(LoginPrompt::Show(link))),
        ("query".to_owned(), FromBackend::Query("status".to_owned())),
        ("pong".to_owned(), FromBackend::Pong),
        (
            "stats".to_owned(),
            FromBackend::Stats(ResourceUse {
                resident: 2048,
                initial: 1024,
                shared: 3,
            }),
        ),
        (
            "durable".to_owned(),
            FromBackend::Event {
                assignment: A,
                durable: Some(1),
                event: Box::new(Event::ContactsComplete),
            },
        ),
    ];
    for (name, event) in events() {
        frames.push((
            format!("event_{name}"),
            FromBackend::Event {
                assignment: A,
                durable: None,
                event: Box::new(event),
            },
        ));
    }
    for (name, outcome) in outcomes() {
        let frame = FromBackend::Outcome {
            assignment: A,
            request: RequestId(9),
            outcome: Box::new(outcome),
        };
        frames.push((format!("outcome_{name}"), frame));
    }
    frames
}
