//! The words of a chat network, free of XMPP: what backends and sessions say to each other. Plain data, no I/O, no clock.

mod capability;
mod contact;
mod form;
mod id;
mod message;
mod patch;
mod presence;
mod profile;
mod room;
mod secret;
mod time;
mod xhtml;

pub use capability::{Capabilities, Capability, CaseMapping, RoomEcho};
pub use contact::{ContactDetails, ContactRequest, ContactSummary, ContactUpdate, Subscription};
pub use form::{Field, FieldKind, Form, FormAnswers, LoginPrompt, Shown};
pub use id::{AssignmentId, BackendId, Chat, ContactId, LegacyName, MessageId, Nickname, PromptId, RequestId, RoomId, UserKey};
pub use message::{
    Attachment, ChatState, Edit, HistoryPage, IncomingMessage, Marker, MarkerKind, MessageKind, Origin, OutgoingMessage,
    PageRequest, Reactions, Reply, Retraction, Sent,
};
pub use patch::Patch;
pub use presence::{Availability, Presence};
pub use profile::{Avatar, AvatarHash, Profile, ProfileUpdate};
pub use room::{
    Affiliated, Affiliation, Departure, Invitation, JoinRoom, Joined, Occupant, OccupantGone, OccupantRenamed, OwnRoom, OwnRooms,
    Role, RoomClosed, RoomInfo, RoomSubject, RoomSummary, Standing, room_field,
};
pub use secret::Secret;
pub use time::Timestamp;
