//! Whether a session can do what its backend declares, and nothing else.

mod ground;

use std::fmt;

use spectrum_core::backend::{BackendInfo, OpErrorKind, Verb};
use spectrum_core::model::{
    Affiliation, Capability, Chat, ChatState, ContactDetails, Edit, JoinRoom, Marker, MarkerKind, MessageId, Origin,
    OutgoingMessage, PageRequest, Presence, ProfileUpdate, Reactions, Retraction, Role, Standing,
};

use super::User;

pub use ground::{Ground, check_on};

/// Something a backend declares and does not do, or the reverse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Declared, and answered as unsupported.
    Missing(Capability),
    /// Not declared, and yet done, so that no one will ever ask for it.
    Undeclared(Capability),
    /// Declared, and refused although everything was there; only [`check_on`] finds that.
    Refused(Capability, OpErrorKind),
    /// Declared and accepted, but what has to follow did not come; only [`check_on`] finds that.
    Silent(Capability),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(capability) => write!(f, "{capability:?} is declared, but its verb answers that it is unsupported"),
            Self::Undeclared(capability) => write!(f, "{capability:?} is not declared, but its verb does something"),
            Self::Refused(capability, kind) => write!(f, "{capability:?} is declared, but refused: {kind:?}"),
            Self::Silent(capability) => write!(f, "{capability:?} is declared and accepted, but nothing comes of it"),
        }
    }
}

/// Issues the verbs of every capability, about a contact and a room that do not exist, and compares the answers with what is
/// declared. What is declared must not be answered with [`OpErrorKind::Unsupported`], and what is not must not succeed. For a
/// test network: the verbs are real ones.
pub async fn check(user: &mut User, info: &BackendInfo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &capability in Capability::ALL {
        for verb in verbs(capability) {
            match (info.capabilities.has(capability), user.request(verb).await) {
                (true, Err(error)) if error.kind == OpErrorKind::Unsupported => findings.push(Finding::Missing(capability)),
                (false, Ok(_)) => findings.push(Finding::Undeclared(capability)),
                (true | false, Ok(_) | Err(_)) => {}
            }
        }
    }
    findings
}

const NOBODY: &str = "conformance-nobody";
const NOWHERE: &str = "conformance-nowhere";

/// The verbs that a capability stands for; none if it is about events or fields.
fn verbs(capability: Capability) -> Vec<Verb> {
    let contact = || Chat::Contact(NOBODY.into());
    let id = || MessageId::from("conformance-1");
    let details = || ContactDetails {
        id: NOBODY.into(),
        alias: None,
        groups: Vec::new(),
    };
    match capability {
        Capability::Rooms => vec![
            Verb::JoinRoom(JoinRoom {
                room: NOWHERE.into(),
                nickname: "conformance".into(),
                password: None,
            }),
            Verb::LeaveRoom(NOWHERE.into()),
        ],
        Capability::RoomList => vec![Verb::ListRooms],
        Capability::NicknameChange => vec![Verb::ChangeNickname {
            room: NOWHERE.into(),
            nickname: "conformance".into(),
        }],
        Capability::RoomSubject => vec![Verb::SetSubject {
            room: NOWHERE.into(),
            subject: "Conformance".to_owned(),
        }],
        Capability::RoomInvite => vec![Verb::Invite {
            room: NOWHERE.into(),
            contact: NOBODY.into(),
            reason: None,
        }],
        Capability::RoomModeration => vec![
            Verb::Kick {
                room: NOWHERE.into(),
                nickname: NOBODY.into(),
                reason: None,
            },
            Verb::SetStanding {
                room: NOWHERE.into(),
                nickname: NOBODY.into(),
                standing: Standing::Role(Role::Visitor),
                reason: None,
            },
        ],
        Capability::RoomSettings => vec![Verb::RoomSettings(NOWHERE.into())],
        Capability::RoomAffiliations => vec![Verb::ListAffiliated {
            room: NOWHERE.into(),
            affiliation: Affiliation::Outcast,
        }],
        Capability::PrivateMessages => vec![Verb::SendMessage(OutgoingMessage {
            chat: Chat::Occupant {
                room: NOWHERE.into(),
                nickname: NOBODY.into(),
            },
            id: id(),
            body: "Conformance".to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
        })],
        Capability::ChatStates => vec![Verb::SetChatState {
            chat: contact(),
            state: ChatState::Active,
        }],
        Capability::Edits => vec![Verb::Edit(Edit {
            chat: contact(),
            nickname: None,
            id: id(),
            body: "Conformance".to_owned(),
            origin: Origin::OwnOtherDevice,
        })],
        Capability::Retractions => vec![Verb::Retract(Retraction {
            chat: contact(),
            nickname: None,
            id: id(),
            reason: None,
            origin: Origin::OwnOtherDevice,
        })],
        Capability::Reactions => vec![Verb::React(Reactions {
            chat: contact(),
            nickname: None,
            id: id(),
            emojis: Vec::new(),
            origin: Origin::OwnOtherDevice,
        })],
        Capability::Markers => vec![Verb::Mark(Marker {
            chat: contact(),
            nickname: None,
            id: id(),
            kind: MarkerKind::Displayed,
            origin: Origin::OwnOtherDevice,
        })],
        Capability::Attention => vec![Verb::CallAttention {
            contact: NOBODY.into(),
            text: None,
        }],
        Capability::History => vec![Verb::History(PageRequest {
            chat: contact(),
            before: None,
            after: None,
            limit: 1,
        })],
        Capability::Presence => vec![Verb::SetPresence(Presence::ONLINE)],
        Capability::AddContacts => vec![Verb::AddContact(details())],
        Capability::UpdateContacts => vec![Verb::UpdateContact(details())],
        Capability::RemoveContacts => vec![Verb::RemoveContact(NOBODY.into())],
        Capability::Blocking => vec![Verb::Block {
            contact: NOBODY.into(),
            blocked: false,
        }],
        Capability::Profiles => vec![Verb::FetchProfile(contact())],
        Capability::OwnProfile => vec![Verb::SetProfile(ProfileUpdate::default())],
        Capability::Search => vec![Verb::Search(NOBODY.to_owned())],
        Capability::RawXml => vec![Verb::RawXml("<presence/>".to_owned())],
        Capability::Receipts
        | Capability::Replies
        | Capability::IdempotentSend
        | Capability::Xhtml
        | Capability::ContactsAtLogin => Vec::new(),
    }
}
