//! One of every frame, verb, outcome and event, for tests: names for the golden file beside values.

use std::time::Duration;

use bytes::Bytes;

use crate::backend::{
    Answer, BackendInfo, Certainty, Event, LoginError, LoginErrorKind, OpError, OpErrorKind, Outcome, Retry, Verb,
};
use crate::model::*;
use crate::wire::{FromBackend, LoginRequest, ResourceUse, ToBackend};

const A: AssignmentId = AssignmentId(300);

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn contact() -> Chat {
    Chat::Contact("bob".into())
}

fn room() -> Chat {
    Chat::Room("#room".into())
}

fn occupant() -> Chat {
    Chat::Occupant {
        room: "#room".into(),
        nickname: "Bob".into(),
    }
}

fn presence() -> Presence {
    Presence {
        availability: Availability::Away,
        text: some("brb"),
        idle_since: Some(Timestamp::from_millis(-5)),
    }
}

fn avatar() -> Avatar {
    Avatar {
        media_type: "image/png".to_owned(),
        data: Bytes::from_static(b"\x89PNG\0\xff"),
    }
}

fn attachment() -> Attachment {
    Attachment {
        url: "https://h/f".to_owned(),
        media_type: some("image/png"),
        description: some("A cat"),
    }
}

fn full_update() -> ContactUpdate {
    ContactUpdate {
        id: "bob".into(),
        alias: Patch::Set("Bob".to_owned()),
        groups: Patch::Set(vec!["Friends".to_owned(), String::new()]),
        presence: Patch::Set(presence()),
        avatar: Patch::Set(AvatarHash::new("hash")),
        blocked: Patch::Set(false),
        subscription: Patch::Set(Subscription::Ask),
    }
}

fn cleared_update() -> ContactUpdate {
    ContactUpdate {
        id: "bob".into(),
        alias: Patch::Clear,
        groups: Patch::Clear,
        presence: Patch::Clear,
        avatar: Patch::Clear,
        blocked: Patch::Clear,
        subscription: Patch::Clear,
    }
}

fn details() -> ContactDetails {
    ContactDetails {
        id: "bob".into(),
        alias: some("Bob"),
        groups: vec!["Friends".to_owned()],
    }
}

fn outgoing() -> OutgoingMessage {
    OutgoingMessage {
        chat: occupant(),
        id: "m1".into(),
        body: "hi \u{1f980}".to_owned(),
        xhtml: some("<b>hi</b>"),
        attachments: vec![attachment()],
        reply: Some(Reply {
            to: "n1".into(),
            author: Some("Bob".into()),
        }),
        wants_receipt: true,
    }
}

fn incoming() -> IncomingMessage {
    IncomingMessage {
        chat: room(),
        nickname: Some("Bob".into()),
        id: Some("n1".into()),
        body: "hi".to_owned(),
        xhtml: some("<b>hi</b>"),
        timestamp: Some(Timestamp::from_millis(1_795_569_493_000)),
        origin: Origin::OwnOtherDevice,
        kind: MessageKind::Headline,
        attachments: vec![attachment()],
        reply: Some(Reply {
            to: "n0".into(),
            author: None,
        }),
    }
}

fn edit() -> Edit {
    Edit {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        body: "new".to_owned(),
        origin: Origin::OwnOtherDevice,
    }
}

fn retraction() -> Retraction {
    Retraction {
        chat: room(),
        nickname: Some("Bob".into()),
        id: "n1".into(),
        reason: some("spam"),
        origin: Origin::Other,
    }
}

fn reactions() -> Reactions {
    Reactions {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        emojis: vec!["\u{1f44d}".to_owned(), "\u{2764}\u{fe0f}".to_owned()],
        origin: Origin::Other,
    }
}

fn marker() -> Marker {
    Marker {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        kind: MarkerKind::Displayed,
        origin: Origin::Other,
    }
}

fn profile() -> Profile {
    Profile {
        full_name: some("Bob B."),
        nickname: some("Bob"),
        avatar: Some(avatar()),
        notes: vec![("Birthday".to_owned(), "1 May".to_owned()), (String::new(), String::new())],
    }
}

fn form() -> Form {
    let field = |name: &str, kind| Field {
        name: name.to_owned(),
        label: "Label".to_owned(),
        kind,
        required: true,
        default: None,
    };
    Form {
        title: "Title".to_owned(),
        instructions: "Do this".to_owned(),
        fields: vec![
            Field {
                default: some("x"),
                required: false,
                ..field("text", FieldKind::Text)
            },
            field("password", FieldKind::Password),
            field("yes", FieldKind::Boolean),
            field(
                "one",
                FieldKind::Choice(vec![("a".to_owned(), "A".to_owned()), ("b".to_owned(), "B".to_owned())]),
            ),
        ],
    }
}

fn rooms() -> Vec<RoomSummary> {
    vec![
        RoomSummary {
            id: "#a".into(),
            name: some("Room A"),
            occupants: Some(0),
            subject: some("News"),
        },
        RoomSummary {
            id: "#b".into(),
            name: None,
            occupants: None,
            subject: None,
        },
    ]
}

fn error() -> OpError {
    OpError {
        kind: OpErrorKind::RateLimited,
        certainty: Certainty::NotSent,
        retry: Retry::After(Duration::from_millis(1500)),
        text: "Slower".to_owned(),
    }
}

/// Every verb.
fn verbs() -> Vec<(&'static str, Verb)> {
    vec![
        ("send_message", Verb::SendMessage(outgoing())),
        (
            "send_message_bare",
            Verb::SendMessage(OutgoingMessage {
                chat: contact(),
                xhtml: None,
                attachments: Vec::new(),
                reply: None,
                wants_receipt: false,
                ..outgoing()
            }),
        ),
        ("edit", Verb::Edit(edit())),
        ("retract", Verb::Retract(retraction())),
        ("react", Verb::React(reactions())),
        ("mark", Verb::Mark(marker())),
        (
            "set_chat_state",
            Verb::SetChatState {
                chat: contact(),
                state: ChatState::Composing,
            },
        ),
        (
            "call_attention",
            Verb::CallAttention {
                contact: "bob".into(),
                text: some("hey"),
            },
        ),
        ("set_presence", Verb::SetPresence(presence())),
        (
            "set_profile",
            Verb::SetProfile(ProfileUpdate {
                full_name: Patch::Set("Me".to_owned()),
                nickname: Patch::Clear,
                avatar: Patch::Set(avatar()),
            }),
        ),
        (
            "set_profile_nothing",
            Verb::SetProfile(ProfileUpdate {
                avatar: Patch::Clear,
                ..ProfileUpdate::default()
            }),
        ),
        ("fetch_profile", Verb::FetchProfile(contact())),
        ("add_contact", Verb::AddContact(details())),
        (
            "update_contact",
            Verb::UpdateContact(ContactDetails {
                alias: None,
                ..details()
            }),
        ),
        ("remove_contact", Verb::RemoveContact("bob".into())),
        (
            "answer_contact_request",
            Verb::AnswerContactRequest {
                contact: "bob".into(),
                accept: true,
            },
        ),
        (
            "block",
            Verb::Block {
                contact: "bob".into(),
                blocked: false,
            },
        ),
        ("search", Verb::Search("bob".to_owned())),
        ("list_rooms", Verb::ListRooms),
        (
            "join_room",
            Verb::JoinRoom(JoinRoom {
                room: "#room".into(),
                nickname: "Me".into(),
                password: Some(Secret::new("k\u{1}y")),
            }),
        ),
        ("leave_room", Verb::LeaveRoom("#room".into())),
        ("room_info", Verb::RoomInfo("#room".into())),
        (
            "set_subject",
            Verb::SetSubject {
                room: "#room".into(),
                subject: String::new(),
            },
        ),
        (
            "change_nickname",
            Verb::ChangeNickname {
                room: "#room".into(),
                nickname: "Me_".into(),
            },
        ),
        (
            "invite",
            Verb::Invite {
                room: "#room".into(),
                contact: "bob".into(),
                reason: some("come"),
            },
        ),
        (
            "kick",
            Verb::Kick {
                room: "#room".into(),
                nickname: "Bob".into(),
                reason: None,
            },
        ),
        (
            "set_role",
            Verb::SetStanding {
                room: "#room".into(),
                nickname: "Bob".into(),
                standing: Standing::Role(Role::Visitor),
                reason: some("quiet"),
            },
        ),
        (
            "set_affiliation",
            Verb::SetStanding {
                room: "#room".into(),
                nickname: "Bob".into(),
                standing: Standing::Affiliation(Affiliation::None),
                reason: None,
            },
        ),
        (
            "history",
            Verb::History(PageRequest {
                chat: room(),
                before: Some("n9".into()),
                after: Some("n1".into()),
                limit: 0,
            }),
        ),
        ("raw_xml", Verb::RawXml("<iq/>".to_owned())),
    ]
}

/// Every outcome.
fn outcomes() -> Vec<(&'static str, Outcome)> {
    let info = RoomInfo {
        name: some("Room"),
        subject: some("News"),
        occupants: Some(7),
        password_protected: true,
        members_only: false,
        moderated: true,
        hidden: false,
    };
    let contacts = vec![
        ContactSummary {
            id: "bob".into(),
            alias: some("Bob"),
        },
        ContactSummary {
            id: "eve".into(),
            alias: None,
        },
    ];
    vec![
        ("done", Ok(Answer::Done)),
        (
            "sent",
            Ok(Answer::Sent(Sent {
                id: Some("n1".into()),
                timestamp: Some(Timestamp::from_millis(0)),
            })),
        ),
        ("sent_bare", Ok(Answer::Sent(Sent::default()))),
        ("joined", Ok(Answer::Joined(Joined { nickname: "Me_".into() }))),
        ("profile", Ok(Answer::Profile(profile()))),
        ("contacts", Ok(Answer::Contacts(contacts))),
        ("rooms", Ok(Answer::Rooms(rooms()))),
        ("room_info", Ok(Answer::RoomInfo(info))),
        (
            "history",
            Ok(Answer::History(HistoryPage {
                messages: vec![incoming()],
                complete: true,
            })),
        ),
        ("error", Err(error())),
        ("error_maybe", Err(OpError::maybe_sent("gone"))),
        ("error_never", Err(OpError::unsupported())),
    ]
}

/// Every event.
fn events() -> Vec<(&'static str, Event)> {
    let gone = |departure| OccupantGone {
        room: "#room".into(),
        nickname: "Bob".into(),
        departure,
        reason: some("bye"),
    };
    vec![
        ("contact", Event::Contact(full_update())),
        ("contact_cleared", Event::Contact(cleared_update())),
        ("contact_kept", Event::Contact(ContactUpdate::new("bob"))),
        ("contact_removed", Event::ContactRemoved("bob".into())),
        ("contacts_complete", Event::ContactsComplete),
        (
            "contact_requested",
            Event::ContactRequested(ContactRequest {
                id: "eve".into(),
                alias: some("Eve"),
                text: some("Hi"),
            }),
        ),
        ("message", Event::Message(incoming())),
        ("message_bare", Event::Message(IncomingMessage::new(contact(), "hi"))),
        ("edited", Event::Edited(edit())),
        ("retracted", Event::Retracted(retraction())),
        ("reacted", Event::Reacted(reactions())),
        (
            "reacted_none",
            Event::Reacted(Reactions {
                emojis: Vec::new(),
                ..reactions()
            }),
        ),
        ("marked", Event::Marked(marker())),
        (
            "delivered",
            Event::Delivered {
                chat: contact(),
                id: "m1".into(),
            },
        ),
        (
            "chat_state",
            Event::ChatState {
                chat: room(),
                nickname: Some("Bob".into()),
                state: ChatState::Paused,
            },
        ),
        (
            "attention",
            Event::Attention {
                contact: "bob".into(),
                text: None,
            },
        ),
        ("notice", Event::Notice("Read this".to_owned())),
        ("room_list", Event::RoomList(rooms())),
        (
            "occupant",
            Event::Occupant(Occupant {
                room: "#room".into(),
                nickname: "Bob".into(),
                role: Role::Moderator,
                affiliation: Affiliation::Outcast,
                presence: presence(),
                contact: Some("bob".into()),
                stable_id: some("U1"),
                avatar: Some(AvatarHash::new("hash")),
            }),
        ),
        ("occupant_left", Event::OccupantGone(gone(Departure::Left))),
        (
            "occupant_kicked",
            Event::OccupantGone(gone(Departure::Kicked { by: Some("Op".into()) })),
        ),
        ("occupant_banned", Event::OccupantGone(gone(Departure::Banned { by: None }))),
        ("occupant_lost", Event::OccupantGone(gone(Departure::Disconnected))),
        (
            "occupant_renamed",
            Event::OccupantRenamed(OccupantRenamed {
                room: "#room".into(),
                old: "Bob".into(),
                new: "Bobby".into(),
            }),
        ),
        (
            "room_subject",
            Event::RoomSubject(RoomSubject {
                room: "#room".into(),
                subject: "News".to_owned(),
                by: some("Bob"),
                timestamp: Some(Timestamp::from_millis(1)),
            }),
        ),
        (
            "room_closed",
            Event::RoomClosed(RoomClosed {
                room: "#room".into(),
                reason: "lost".to_owned(),
                rejoin: true,
            }),
        ),
        (
            "invited",
            Event::Invited(Invitation {
                room: "#room".into(),
                from: Some("bob".into()),
                reason: some("come"),
                password: some("key"),
            }),
        ),
        (
            "profile",
            Event::Profile {
                of: occupant(),
                profile: profile(),
            },
        ),
        ("raw_xml", Event::RawXml("<iq/>".to_owned())),
        ("closed", Event::Closed(LoginError::new(LoginErrorKind::Banned, "Out"))),
        ("closed_for_now", Event::Closed(LoginError::new(LoginErrorKind::Network, ""))),
    ]
}

/// Every frame of the core.
pub(super) fn to_backend() -> Vec<(String, ToBackend)> {
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
pub(super) fn from_backend() -> Vec<(String, FromBackend)> {
    let info = BackendInfo {
        version: "1.2".to_owned(),
        case_mapping: CaseMapping::Rfc1459,
        room_echo: RoomEcho::Backend,
        needs_registration: false,
        registration: form().fields,
        room_prefixes: "#&".to_owned(),
        max_message_bytes: Some(400),
        jid_escaping: false,
        ..BackendInfo::new("IRC", "irc").capabilities(Capability::ALL)
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
