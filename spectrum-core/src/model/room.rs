//! Rooms and who is in them.

use crate::model::{AvatarHash, ContactId, LegacyName, Nickname, Presence, RoomId, Timestamp};

/// What an occupant may do in the room now (XEP-0045's roles).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    /// May kick, and give and take voice.
    Moderator,
    /// May speak.
    #[default]
    Participant,
    /// May listen.
    Visitor,
}

/// What somebody is to the room for good (XEP-0045's affiliations).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Affiliation {
    /// Owns the room.
    Owner,
    /// Administers it.
    Admin,
    /// Is a member.
    Member,
    /// Nothing special.
    #[default]
    None,
    /// Is banned.
    Outcast,
}

/// Somebody in a room; as an event it adds the occupant or replaces what was known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occupant {
    /// Which room.
    pub room: RoomId,
    /// The name in it, unique there.
    pub nickname: Nickname,
    /// What they may do.
    pub role: Role,
    /// What they are.
    pub affiliation: Affiliation,
    /// Presence; online if the network has none in rooms.
    pub presence: Presence,
    /// The contact behind the nickname, where the network shows it.
    pub contact: Option<ContactId>,
    /// An id that stays when the nickname changes, where the network has one.
    pub stable_id: Option<String>,
    /// Picture.
    pub avatar: Option<AvatarHash>,
}

impl Occupant {
    /// An ordinary participant.
    pub fn new(room: RoomId, nickname: impl Into<Nickname>) -> Self {
        Self {
            room,
            nickname: nickname.into(),
            role: Role::default(),
            affiliation: Affiliation::default(),
            presence: Presence::ONLINE,
            contact: None,
            stable_id: None,
            avatar: None,
        }
    }
}

/// Why somebody is not in a room any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Departure {
    /// They left.
    #[default]
    Left,
    /// They were thrown out.
    Kicked {
        /// By whom.
        by: Option<Nickname>,
    },
    /// They were thrown out for good.
    Banned {
        /// By whom.
        by: Option<Nickname>,
    },
    /// They lost the connection to the network.
    Disconnected,
}

/// Somebody, possibly the user, is not in the room any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OccupantGone {
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub nickname: Nickname,
    /// How.
    pub departure: Departure,
    /// Text to go with it.
    pub reason: Option<String>,
}

/// Somebody, possibly the user, has another nickname.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OccupantRenamed {
    /// Which room.
    pub room: RoomId,
    /// Before.
    pub old: Nickname,
    /// From now on.
    pub new: Nickname,
}

/// The subject of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomSubject {
    /// Which room.
    pub room: RoomId,
    /// The subject; empty if there is none.
    pub subject: String,
    /// Who set it, where known.
    pub by: Option<String>,
    /// When, where known.
    pub timestamp: Option<Timestamp>,
}

/// The user is out of a room without having asked for it, and nobody threw them out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomClosed {
    /// Which room.
    pub room: RoomId,
    /// What to tell the user.
    pub reason: String,
    /// True if joining again soon makes sense (a lost connection): the core does it.
    pub rejoin: bool,
}

/// Somebody invites the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invitation {
    /// Where to.
    pub room: RoomId,
    /// Who.
    pub from: Option<ContactId>,
    /// What they wrote with it.
    pub reason: Option<String>,
    /// Password of the room.
    pub password: Option<String>,
}

/// The user wants into a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinRoom {
    /// Which.
    pub room: RoomId,
    /// Under which name.
    pub nickname: Nickname,
    /// With which password.
    pub password: Option<crate::model::Secret>,
}

/// The user is in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// Under which name: the network may have given another one than asked for.
    pub nickname: Nickname,
}

/// A room in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomSummary {
    /// Which.
    pub id: RoomId,
    /// Display name.
    pub name: Option<String>,
    /// How many are in it.
    pub occupants: Option<u32>,
    /// Its subject.
    pub subject: Option<String>,
}

/// A room that the user is in on the network itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRoom {
    /// Which.
    pub id: RoomId,
    /// Display name.
    pub name: Option<String>,
    /// The user's name in it, where the network has one.
    pub nickname: Option<Nickname>,
}

/// The rooms that the user is in on the network itself, whether or not a client of theirs is in them here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnRooms {
    /// These and no others.
    All(Vec<OwnRoom>),
    /// This one too, or it has changed.
    Entered(OwnRoom),
    /// Not this one any more.
    Left(RoomId),
}

/// What can be said of a room without being in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoomInfo {
    /// Display name.
    pub name: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// How many are in it.
    pub occupants: Option<u32>,
    /// Needs a password.
    pub password_protected: bool,
    /// Only for members.
    pub members_only: bool,
    /// Only those with voice may speak.
    pub moderated: bool,
    /// Not in lists.
    pub hidden: bool,
}

/// Somebody who is something to a room, there or not; on IRC also a mask that is banned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Affiliated {
    /// Whom it is about: a contact's name, or what stands for several people.
    pub who: LegacyName,
    /// What they are.
    pub affiliation: Affiliation,
    /// The nickname that they have or had, where known.
    pub nickname: Option<Nickname>,
    /// Text to go with it.
    pub reason: Option<String>,
}

/// Names of fields that settings of rooms have in common, in the form of
/// [`room_settings`](crate::backend::LegacySession::room_settings). A client shows a field with another name as well, but knows
/// what these mean.
pub mod room_field {
    /// Text: the room's name for people.
    pub const NAME: &str = "name";
    /// Text: what it is for.
    pub const DESCRIPTION: &str = "description";
    /// Password: what one has to know to come in; empty: nothing.
    pub const PASSWORD: &str = "password";
    /// Boolean: only members, or who was invited, come in.
    pub const MEMBERS_ONLY: &str = "members_only";
    /// Boolean: only those with voice may speak.
    pub const MODERATED: &str = "moderated";
    /// Boolean: it is in lists.
    pub const PUBLIC: &str = "public";
    /// Boolean: everybody may set the subject.
    pub const SUBJECT_BY_ALL: &str = "subject_by_all";
    /// Boolean: everybody may invite.
    pub const INVITES_BY_ALL: &str = "invites_by_all";
    /// Text: how many may be in it; empty or 0: any number.
    pub const MAX_OCCUPANTS: &str = "max_occupants";
    /// Boolean: it stays when nobody is in it.
    pub const PERSISTENT: &str = "persistent";
}

/// What a moderator makes of an occupant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// This role.
    Role(Role),
    /// This affiliation; `Outcast` is a ban.
    Affiliation(Affiliation),
}
