//! The values that samples are made of.

use bytes::Bytes;

use crate::backend::{Certainty, OpError, OpErrorKind, Retry};
use crate::model::*;
use std::time::Duration;

pub(super) const A: AssignmentId = AssignmentId(300);

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn contact() -> Chat {
    Chat::Contact("bob".into())
}

pub(super) fn room() -> Chat {
    Chat::Room("#room".into())
}

pub(super) fn occupant() -> Chat {
    Chat::Occupant {
        room: "#room".into(),
        nickname: "Bob".into(),
    }
}

pub(super) fn presence() -> Presence {
    Presence {
        availability: Availability::Away,
        text: some("brb"),
        idle_since: Some(Timestamp::from_millis(-5)),
    }
}

pub(super) fn avatar() -> Avatar {
    Avatar {
        media_type: "image/png".to_owned(),
        data: Bytes::from_static(b"\x89PNG\0\xff"),
    }
}

pub(super) fn attachment() -> Attachment {
    Attachment {
        url: "https://h/f".to_owned(),
        media_type: some("image/png"),
        description: some("A cat"),
    }
}

pub(super) fn full_update() -> ContactUpdate {
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

pub(super) fn cleared_update() -> ContactUpdate {
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

pub(super) fn details() -> ContactDetails {
    ContactDetails {
        id: "bob".into(),
        alias: some("Bob"),
        groups: vec!["Friends".to_owned()],
    }
}

pub(super) fn outgoing() -> OutgoingMessage {
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

pub(super) fn incoming() -> IncomingMessage {
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

pub(super) fn edit() -> Edit {
    Edit {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        body: "new".to_owned(),
        origin: Origin::OwnOtherDevice,
    }
}

pub(super) fn retraction() -> Retraction {
    Retraction {
        chat: room(),
        nickname: Some("Bob".into()),
        id: "n1".into(),
        reason: some("spam"),
        origin: Origin::Other,
    }
}

pub(super) fn reactions() -> Reactions {
    Reactions {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        emojis: vec!["\u{1f44d}".to_owned(), "\u{2764}\u{fe0f}".to_owned()],
        origin: Origin::Other,
    }
}

pub(super) fn marker() -> Marker {
    Marker {
        chat: contact(),
        nickname: None,
        id: "n1".into(),
        kind: MarkerKind::Displayed,
        origin: Origin::Other,
    }
}

pub(super) fn profile() -> Profile {
    Profile {
        full_name: some("Bob B."),
        nickname: some("Bob"),
        avatar: Some(avatar()),
        notes: vec![("Birthday".to_owned(), "1 May".to_owned()), (String::new(), String::new())],
    }
}

pub(super) fn form() -> Form {
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

pub(super) fn name_form() -> Form {
    Form {
        title: "Who".to_owned(),
        instructions: String::new(),
        fields: vec![Field {
            name: "username".to_owned(),
            label: "Nickname".to_owned(),
            kind: FieldKind::Name,
            required: true,
            default: None,
        }],
    }
}

pub(super) fn rooms() -> Vec<RoomSummary> {
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

pub(super) fn error() -> OpError {
    OpError {
        kind: OpErrorKind::RateLimited,
        certainty: Certainty::NotSent,
        retry: Retry::After(Duration::from_millis(1500)),
        text: "Slower".to_owned(),
    }
}
