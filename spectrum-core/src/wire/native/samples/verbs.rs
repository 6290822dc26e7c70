//! One of every verb.

use super::values::*;
use crate::backend::Verb;
use crate::model::*;

/// Every verb.
pub(super) fn verbs() -> Vec<(&'static str, Verb)> {
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
        ("room_settings", Verb::RoomSettings("#room".into())),
        (
            "configure_room",
            Verb::ConfigureRoom {
                room: "#room".into(),
                answers: FormAnswers::from([("moderated".to_owned(), "true".into()), ("password".to_owned(), "".into())]),
            },
        ),
        (
            "list_affiliated",
            Verb::ListAffiliated {
                room: "#room".into(),
                affiliation: Affiliation::Outcast,
            },
        ),
        (
            "affiliate",
            Verb::SetAffiliation {
                room: "#room".into(),
                who: "*!*@host".into(),
                affiliation: Affiliation::Outcast,
                reason: some("quiet"),
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
