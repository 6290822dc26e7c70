//! Rooms on the wire.

use super::basic::{Number, Wire, optional, read_all, read_time, text, write_all};
use crate::model::{
    Affiliated, Affiliation, AvatarHash, Departure, Invitation, JoinRoom, Joined, Occupant, OccupantGone, OccupantRenamed,
    OwnRoom, OwnRooms, Presence, Role, RoomClosed, RoomInfo, RoomSubject, RoomSummary, Secret, Timestamp,
};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::reader::Reader;

impl Wire for Occupant {
    type Message = proto::Occupant;

    fn write(&self) -> proto::Occupant {
        proto::Occupant {
            room: text(&self.room),
            nickname: text(&self.nickname),
            role: self.role.number(),
            affiliation: self.affiliation.number(),
            presence: Some(self.presence.write()),
            contact: optional(self.contact.as_ref()),
            stable_id: optional(self.stable_id.as_ref()),
            avatar: self.avatar.as_ref().and_then(|hash| text(hash.as_str())),
        }
    }

    fn read(message: proto::Occupant, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            nickname: reader.id(message.nickname).ok_or(Violation::Missing)?,
            role: Role::from_number(message.role),
            affiliation: Affiliation::from_number(message.affiliation),
            presence: message
                .presence
                .map(|p| Presence::read(p, reader))
                .transpose()?
                .unwrap_or_default(),
            contact: reader.id(message.contact),
            stable_id: reader.text(message.stable_id),
            avatar: reader.text(message.avatar).map(AvatarHash::new),
        })
    }
}

const LEFT: u32 = 0;
const KICKED: u32 = 1;
const BANNED: u32 = 2;
const DISCONNECTED: u32 = 3;

impl Wire for OccupantGone {
    type Message = proto::OccupantGone;

    fn write(&self) -> proto::OccupantGone {
        let (departure, by) = match &self.departure {
            Departure::Left => (LEFT, None),
            Departure::Kicked { by } => (KICKED, by.as_ref()),
            Departure::Banned { by } => (BANNED, by.as_ref()),
            Departure::Disconnected => (DISCONNECTED, None),
        };
        proto::OccupantGone {
            room: text(&self.room),
            nickname: text(&self.nickname),
            departure: Some(departure),
            by: optional(by),
            reason: optional(self.reason.as_ref()),
        }
    }

    fn read(message: proto::OccupantGone, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let by = reader.id(message.by);
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            nickname: reader.id(message.nickname).ok_or(Violation::Missing)?,
            departure: match message.departure {
                Some(KICKED) => Departure::Kicked { by },
                Some(BANNED) => Departure::Banned { by },
                Some(DISCONNECTED) => Departure::Disconnected,
                _ => Departure::Left,
            },
            reason: reader.text(message.reason),
        })
    }
}

impl Wire for OccupantRenamed {
    type Message = proto::OccupantRenamed;

    fn write(&self) -> proto::OccupantRenamed {
        proto::OccupantRenamed {
            room: text(&self.room),
            old: text(&self.old),
            new: text(&self.new),
        }
    }

    fn read(message: proto::OccupantRenamed, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            old: reader.id(message.old).ok_or(Violation::Missing)?,
            new: reader.id(message.new).ok_or(Violation::Missing)?,
        })
    }
}

impl Wire for RoomSubject {
    type Message = proto::RoomSubject;

    fn write(&self) -> proto::RoomSubject {
        proto::RoomSubject {
            room: text(&self.room),
            subject: text(&self.subject),
            by: optional(self.by.as_ref()),
            timestamp: self.timestamp.map(Timestamp::as_millis),
        }
    }

    fn read(message: proto::RoomSubject, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            subject: reader.text_or_empty(message.subject),
            by: reader.text(message.by),
            timestamp: read_time(message.timestamp),
        })
    }
}

impl Wire for RoomClosed {
    type Message = proto::RoomClosed;

    fn write(&self) -> proto::RoomClosed {
        proto::RoomClosed {
            room: text(&self.room),
            reason: text(&self.reason),
            rejoin: Some(self.rejoin),
        }
    }

    fn read(message: proto::RoomClosed, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            reason: reader.text_or_empty(message.reason),
            rejoin: message.rejoin.unwrap_or(false),
        })
    }
}

impl Wire for Invitation {
    type Message = proto::Invitation;

    fn write(&self) -> proto::Invitation {
        proto::Invitation {
            room: text(&self.room),
            from: optional(self.from.as_ref()),
            reason: optional(self.reason.as_ref()),
            password: optional(self.password.as_ref()),
        }
    }

    fn read(message: proto::Invitation, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            from: reader.id(message.from),
            reason: reader.text(message.reason),
            password: reader.text(message.password),
        })
    }
}

impl Wire for JoinRoom {
    type Message = proto::JoinRoom;

    fn write(&self) -> proto::JoinRoom {
        proto::JoinRoom {
            room: text(&self.room),
            nickname: text(&self.nickname),
            password: self.password.as_ref().and_then(|p| text(p.expose())),
        }
    }

    fn read(message: proto::JoinRoom, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            room: reader.id(message.room).ok_or(Violation::Missing)?,
            nickname: reader.id(message.nickname).ok_or(Violation::Missing)?,
            password: reader.text(message.password).map(Secret::new),
        })
    }
}

impl Wire for Joined {
    type Message = proto::JoinRoom;

    fn write(&self) -> proto::JoinRoom {
        proto::JoinRoom {
            room: None,
            nickname: text(&self.nickname),
            password: None,
        }
    }

    fn read(message: proto::JoinRoom, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            nickname: reader.id(message.nickname).ok_or(Violation::Missing)?,
        })
    }
}

impl Wire for RoomSummary {
    type Message = proto::RoomSummary;

    fn write(&self) -> proto::RoomSummary {
        proto::RoomSummary {
            id: text(&self.id),
            name: optional(self.name.as_ref()),
            occupants: self.occupants,
            subject: optional(self.subject.as_ref()),
        }
    }

    fn read(message: proto::RoomSummary, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            name: reader.text(message.name),
            occupants: message.occupants,
            subject: reader.text(message.subject),
        })
    }
}

impl Wire for OwnRoom {
    type Message = proto::OwnRoom;

    fn write(&self) -> proto::OwnRoom {
        proto::OwnRoom {
            id: text(&self.id),
            name: optional(self.name.as_ref()),
            nickname: optional(self.nickname.as_ref()),
        }
    }

    fn read(message: proto::OwnRoom, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            name: reader.text(message.name),
            nickname: reader.id(message.nickname),
        })
    }
}

impl Wire for Affiliated {
    type Message = proto::Affiliated;

    fn write(&self) -> proto::Affiliated {
        proto::Affiliated {
            who: text(&self.who),
            affiliation: self.affiliation.number(),
            nickname: optional(self.nickname.as_ref()),
            reason: optional(self.reason.as_ref()),
        }
    }

    fn read(message: proto::Affiliated, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            who: reader.id(message.who).ok_or(Violation::Missing)?,
            affiliation: Affiliation::from_number(message.affiliation),
            nickname: reader.id(message.nickname),
            reason: reader.text(message.reason),
        })
    }
}

const ALL: u32 = 0;
const ENTERED: u32 = 1;
const LEFT_FOR_GOOD: u32 = 2;

impl Wire for OwnRooms {
    type Message = proto::OwnRooms;

    fn write(&self) -> proto::OwnRooms {
        let (change, room) = match self {
            Self::All(rooms) => (ALL, write_all(rooms)),
            Self::Entered(room) => (ENTERED, vec![room.write()]),
            Self::Left(id) => {
                let room = proto::OwnRoom {
                    id: text(id),
                    name: None,
                    nickname: None,
                };
                (LEFT_FOR_GOOD, vec![room])
            }
        };
        proto::OwnRooms {
            change: Some(change),
            room,
        }
    }

    fn read(message: proto::OwnRooms, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut rooms = message.room;
        match message.change {
            Some(ALL) => Ok(Self::All(read_all(rooms, reader))),
            Some(ENTERED) => Ok(Self::Entered(OwnRoom::read_required(rooms.pop(), reader)?)),
            Some(LEFT_FOR_GOOD) => Ok(Self::Left(OwnRoom::read_required(rooms.pop(), reader)?.id)),
            // A list that is none would take rooms away.
            Some(_) | None => Err(Violation::Malformed),
        }
    }
}

impl Wire for RoomInfo {
    type Message = proto::RoomInfo;

    fn write(&self) -> proto::RoomInfo {
        proto::RoomInfo {
            name: optional(self.name.as_ref()),
            subject: optional(self.subject.as_ref()),
            occupants: self.occupants,
            password_protected: Some(self.password_protected),
            members_only: Some(self.members_only),
            moderated: Some(self.moderated),
            hidden: Some(self.hidden),
        }
    }

    fn read(message: proto::RoomInfo, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            name: reader.text(message.name),
            subject: reader.text(message.subject),
            occupants: message.occupants,
            password_protected: message.password_protected.unwrap_or(false),
            members_only: message.members_only.unwrap_or(false),
            moderated: message.moderated.unwrap_or(false),
            hidden: message.hidden.unwrap_or(false),
        })
    }
}
