//! The verbs of a legacy session as data, for queues and for the wire.

use crate::backend::OpError;
use crate::model::{
    Affiliated, Affiliation, Chat, ChatState, ContactDetails, ContactId, ContactSummary, Edit, Form, FormAnswers, HistoryPage,
    JoinRoom, Joined, LegacyName, Marker, Nickname, OutgoingMessage, PageRequest, Presence, Profile, ProfileUpdate, Reactions,
    Retraction, RoomId, RoomInfo, RoomSummary, Sent, Standing,
};

/// A request of the core: one method of [`LegacySession`](crate::backend::LegacySession).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Sends a message.
    SendMessage(OutgoingMessage),
    /// Changes a message.
    Edit(Edit),
    /// Takes a message back.
    Retract(Retraction),
    /// Reacts to a message.
    React(Reactions),
    /// Moves a read marker.
    Mark(Marker),
    /// Says what the user does in a chat.
    SetChatState {
        /// Where.
        chat: Chat,
        /// What.
        state: ChatState,
    },
    /// Calls for attention.
    CallAttention {
        /// Whose.
        contact: ContactId,
        /// With this text.
        text: Option<String>,
    },
    /// Shows the user like this.
    SetPresence(Presence),
    /// Changes the user's profile.
    SetProfile(ProfileUpdate),
    /// Fetches a profile.
    FetchProfile(Chat),
    /// Adds a contact.
    AddContact(ContactDetails),
    /// Renames and files a contact.
    UpdateContact(ContactDetails),
    /// Removes a contact.
    RemoveContact(ContactId),
    /// Answers a contact's request.
    AnswerContactRequest {
        /// Whose.
        contact: ContactId,
        /// Yes or no.
        accept: bool,
    },
    /// Blocks a contact or ends that.
    Block {
        /// Whom.
        contact: ContactId,
        /// Which.
        blocked: bool,
    },
    /// Searches for people.
    Search(String),
    /// Lists rooms.
    ListRooms,
    /// Joins a room.
    JoinRoom(JoinRoom),
    /// Leaves a room.
    LeaveRoom(RoomId),
    /// Asks what a room is.
    RoomInfo(RoomId),
    /// Sets a subject.
    SetSubject {
        /// Where.
        room: RoomId,
        /// To this.
        subject: String,
    },
    /// Changes the user's nickname in a room.
    ChangeNickname {
        /// Where.
        room: RoomId,
        /// To this.
        nickname: Nickname,
    },
    /// Invites a contact to a room.
    Invite {
        /// Where to.
        room: RoomId,
        /// Whom.
        contact: ContactId,
        /// Why.
        reason: Option<String>,
    },
    /// Throws somebody out.
    Kick {
        /// Where.
        room: RoomId,
        /// Whom.
        nickname: Nickname,
        /// Why.
        reason: Option<String>,
    },
    /// Gives an occupant a role or an affiliation.
    SetStanding {
        /// Where.
        room: RoomId,
        /// Whom.
        nickname: Nickname,
        /// Which.
        standing: Standing,
        /// Why.
        reason: Option<String>,
    },
    /// Asks how a room is set up.
    RoomSettings(RoomId),
    /// Sets a room up.
    ConfigureRoom {
        /// Which.
        room: RoomId,
        /// What changes, by field.
        answers: FormAnswers,
    },
    /// Lists who is this to a room.
    ListAffiliated {
        /// Which.
        room: RoomId,
        /// What.
        affiliation: Affiliation,
    },
    /// Makes somebody something to a room who need not be there.
    SetAffiliation {
        /// Which.
        room: RoomId,
        /// Whom.
        who: LegacyName,
        /// What.
        affiliation: Affiliation,
        /// Why.
        reason: Option<String>,
    },
    /// Fetches old messages.
    History(PageRequest),
    /// Passes an XMPP stanza.
    RawXml(String),
}

impl Verb {
    /// The chat whose verbs run in order with this one; `None`: the order of the session's own verbs.
    pub fn chat(&self) -> Option<Chat> {
        match self {
            Self::SendMessage(m) => Some(m.chat.clone()),
            Self::Edit(e) => Some(e.chat.clone()),
            Self::Retract(r) => Some(r.chat.clone()),
            Self::React(r) => Some(r.chat.clone()),
            Self::Mark(m) => Some(m.chat.clone()),
            Self::SetChatState { chat, .. } => Some(chat.clone()),
            Self::CallAttention { contact, .. } => Some(Chat::Contact(contact.clone())),
            Self::FetchProfile(chat) => Some(chat.clone()),
            Self::History(p) => Some(p.chat.clone()),
            Self::JoinRoom(j) => Some(Chat::Room(j.room.clone())),
            Self::LeaveRoom(room) | Self::RoomInfo(room) | Self::RoomSettings(room) => Some(Chat::Room(room.clone())),
            Self::SetSubject { room, .. }
            | Self::ChangeNickname { room, .. }
            | Self::Invite { room, .. }
            | Self::Kick { room, .. }
            | Self::SetStanding { room, .. }
            | Self::ConfigureRoom { room, .. }
            | Self::ListAffiliated { room, .. }
            | Self::SetAffiliation { room, .. } => Some(Chat::Room(room.clone())),
            Self::SetPresence(_)
            | Self::SetProfile(_)
            | Self::AddContact(_)
            | Self::UpdateContact(_)
            | Self::RemoveContact(_)
            | Self::AnswerContactRequest { .. }
            | Self::Block { .. }
            | Self::Search(_)
            | Self::ListRooms
            | Self::RawXml(_) => None,
        }
    }
}

/// What a verb answers when it succeeds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// A message was sent or changed.
    Sent(Sent),
    /// The user is in the room.
    Joined(Joined),
    /// A profile.
    Profile(Profile),
    /// People found.
    Contacts(Vec<ContactSummary>),
    /// Rooms there are.
    Rooms(Vec<RoomSummary>),
    /// What a room is.
    RoomInfo(RoomInfo),
    /// Old messages.
    History(HistoryPage),
    /// How a room is set up, with what it is now as defaults.
    Form(Form),
    /// Who is something to a room.
    Affiliated(Vec<Affiliated>),
}

/// Takes one kind of answer out; `None` if it is another one, which only a backend gives that does not keep its trait.
macro_rules! taking {
    ($($name:ident: $variant:ident($inner:ty)),* $(,)?) => {
        impl Answer {
            $(pub(crate) fn $name(self) -> Option<$inner> {
                let Self::$variant(it) = self else { return None };
                Some(it)
            })*
        }
    };
}

taking! {
    joined: Joined(Joined),
    profile: Profile(Profile),
    contacts: Contacts(Vec<ContactSummary>),
    rooms: Rooms(Vec<RoomSummary>),
    room_info: RoomInfo(RoomInfo),
    history: History(HistoryPage),
    form: Form(Form),
    affiliated: Affiliated(Vec<Affiliated>),
}

/// How a verb ended.
pub type Outcome = Result<Answer, OpError>;
