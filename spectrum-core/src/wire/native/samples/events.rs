//! One of every outcome and event.

use super::values::*;
use crate::backend::{Answer, Event, LoginError, LoginErrorKind, OpError, Outcome};
use crate::model::*;

/// Every outcome.
pub(super) fn outcomes() -> Vec<(&'static str, Outcome)> {
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
        ("form", Ok(Answer::Form(form()))),
        (
            "affiliated",
            Ok(Answer::Affiliated(vec![
                Affiliated {
                    who: "*!*@host".into(),
                    affiliation: Affiliation::Outcast,
                    nickname: None,
                    reason: None,
                },
                Affiliated {
                    who: "bob".into(),
                    affiliation: Affiliation::Owner,
                    nickname: Some("Bob".into()),
                    reason: some("his"),
                },
            ])),
        ),
        ("error", Err(error())),
        ("error_maybe", Err(OpError::maybe_sent("gone"))),
        ("error_never", Err(OpError::unsupported())),
    ]
}

fn own_rooms() -> Vec<OwnRoom> {
    let bare = OwnRoom {
        id: "#other".into(),
        name: None,
        nickname: None,
    };
    let full = OwnRoom {
        id: "#room".into(),
        name: some("Room"),
        nickname: Some("Me".into()),
    };
    vec![full, bare]
}

/// Every event.
pub(super) fn events() -> Vec<(&'static str, Event)> {
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
        ("own_rooms", Event::OwnRooms(OwnRooms::All(own_rooms()))),
        ("own_rooms_none", Event::OwnRooms(OwnRooms::All(Vec::new()))),
        ("room_entered", Event::OwnRooms(OwnRooms::Entered(own_rooms().remove(0)))),
        ("room_left", Event::OwnRooms(OwnRooms::Left("#room".into()))),
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
