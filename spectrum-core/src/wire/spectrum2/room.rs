//! Rooms on this wire: who is meant by "I", when a join has succeeded, what the flags of a participant mean.

use std::collections::HashMap;

use super::{Spectrum2Codec, Violation};
use crate::backend::{Answer, Event, OpError, OpErrorKind};
use crate::model::{
    Affiliation, AssignmentId, AvatarHash, Departure, Joined, Nickname, Occupant, OccupantGone, OccupantRenamed, RequestId, Role,
    RoomClosed, RoomId, UserKey,
};
use crate::wire::proto;

const MODERATOR: i32 = 1;
const CONFLICT: i32 = 2;
const BANNED: i32 = 4;
const NOT_AUTHORIZED: i32 = 8;
const ME: i32 = 16;
const KICKED: i32 = 32;
const ROOM_NOT_FOUND: i32 = 64;

/// Occupants of one room whose nickname differs from the id the network gives them. Beyond it they appear by that id.
const MAX_ALIASES: usize = 20_000;

/// A room the user is in, or on the way into.
pub(super) struct Room {
    /// The user's own nickname there.
    pub(super) nickname: Nickname,
    /// The request that has not been answered yet.
    pub(super) join: Option<Join>,
    /// Nicknames by the ids that messages name their authors by, where these differ.
    aliases: HashMap<Nickname, Nickname>,
}

/// A join on the way.
pub(super) struct Join {
    pub(super) request: RequestId,
    pub(super) since: u32,
}

impl Room {
    pub(super) fn joining(nickname: Nickname, request: RequestId, since: u32) -> Self {
        Self {
            nickname,
            join: Some(Join { request, since }),
            aliases: HashMap::new(),
        }
    }

    /// The network has given the user this nickname.
    pub(super) fn forced(&mut self, nickname: Nickname) {
        self.nickname = nickname;
    }

    /// What an author is called in the room.
    pub(super) fn shown(&self, author: Nickname) -> Nickname {
        self.aliases.get(&author).cloned().unwrap_or(author)
    }
}

/// Somebody in a room, read from the wire.
struct Participant {
    room: RoomId,
    /// The network's id: the nickname where there is no alias.
    id: Nickname,
    alias: Option<Nickname>,
    renamed: Option<Nickname>,
    flags: i32,
    status: i32,
    text: Option<String>,
    avatar: Option<AvatarHash>,
}

impl Spectrum2Codec {
    pub(super) fn read_participant(&mut self, message: proto::Participant) -> Result<(), Violation> {
        let Some((user, assignment)) = self.known(message.user_name.as_ref())? else {
            return Ok(());
        };
        let mut reader = self.reader();
        let participant = Participant {
            room: reader.required_id(message.room)?,
            id: reader.required_id(message.nickname)?,
            alias: reader.id(message.alias.filter(|a| !a.is_empty())),
            renamed: reader.id(message.newname.filter(|n| !n.is_empty())),
            flags: message.flag.ok_or(Violation::Missing)?,
            status: message.status.ok_or(Violation::Missing)?,
            text: reader.filled(message.status_message),
            avatar: reader.filled(message.icon_hash).map(AvatarHash::new),
        };
        self.participant(&user, assignment, participant);
        Ok(())
    }

    fn participant(&mut self, user: &UserKey, assignment: AssignmentId, participant: Participant) {
        let own = self.is_own(user, &participant);
        let failure = if own { failure(&participant) } else { None };
        if let Some(error) = failure {
            self.out_of_room(user, assignment, &participant.room, error);
        } else if participant.status == super::decode::STATUS_NONE {
            self.participant_gone(user, assignment, participant, own);
        } else {
            self.participant_there(user, assignment, participant, own);
        }
    }

    /// Whether the user is meant. A backend that flags it knows better than the nickname we remember.
    fn is_own(&mut self, user: &UserKey, participant: &Participant) -> bool {
        let Some(room) = self.users.get_mut(user).and_then(|user| user.room(&participant.room)) else {
            return false;
        };
        let shown = participant.alias.as_ref().unwrap_or(&participant.id);
        // A rename of the user's is announced: the new nickname is known before.
        let own = [Some(&participant.id), Some(shown), participant.renamed.as_ref()];
        participant.flags & ME != 0 || own.contains(&Some(&room.nickname))
    }

    /// The user does not get in, or is out: told once, and the backend is told to forget the room.
    fn out_of_room(&mut self, user: &UserKey, assignment: AssignmentId, room: &RoomId, error: OpError) {
        let Some(left) = self.users.get_mut(user).and_then(|user| user.leave(room)) else {
            return;
        };
        self.put_leave(user, room);
        match left.join {
            Some(join) => self.answer(assignment, join.request, Err(error)),
            None => self.event(
                assignment,
                Event::RoomClosed(RoomClosed {
                    room: room.clone(),
                    reason: error.text,
                    rejoin: false,
                }),
            ),
        }
    }

    fn participant_gone(&mut self, user: &UserKey, assignment: AssignmentId, participant: Participant, own: bool) {
        let departure = match participant.flags {
            flags if flags & BANNED != 0 => Departure::Banned { by: None },
            flags if flags & KICKED != 0 => Departure::Kicked { by: None },
            _ => Departure::Left,
        };
        let Some(known) = self.users.get_mut(user) else { return };
        let mut nickname = participant.alias.clone();
        if let Some(room) = known.room(&participant.room) {
            if own && let Some(join) = &room.join {
                // A plain departure is the echo of an earlier stay; thrown out means not let in.
                let kind = match departure {
                    Departure::Left | Departure::Disconnected => return,
                    Departure::Kicked { .. } => OpErrorKind::NotAllowed,
                    Departure::Banned { .. } => OpErrorKind::Banned,
                };
                let request = join.request;
                known.leave(&participant.room);
                self.answer(
                    assignment,
                    request,
                    Err(OpError::new(kind, participant.text.unwrap_or_default())),
                );
                return;
            }
            let alias = room.aliases.remove(&participant.id);
            nickname = nickname.or(alias);
        }
        if own {
            known.leave(&participant.room);
        }
        let gone = OccupantGone {
            nickname: nickname.unwrap_or(participant.id),
            room: participant.room,
            departure,
            reason: participant.text,
        };
        self.event(assignment, Event::OccupantGone(gone));
    }

    fn participant_there(&mut self, user: &UserKey, assignment: AssignmentId, participant: Participant, own: bool) {
        let before = participant.alias.clone().unwrap_or_else(|| participant.id.clone());
        // A rename drops the alias: the new name is what is shown.
        let shown = participant.renamed.clone().unwrap_or_else(|| before.clone());
        let mut joined = None;
        if let Some(room) = self.users.get_mut(user).and_then(|user| user.room(&participant.room)) {
            // A rename moves no alias of its own: whoever had none goes by the new name alone.
            let known = room.aliases.contains_key(&participant.id);
            let has_alias = shown != participant.id && (known || participant.renamed.is_none());
            if has_alias && (known || room.aliases.len() < MAX_ALIASES) {
                room.aliases.insert(participant.id.clone(), shown.clone());
            }
            if own {
                room.nickname = shown.clone();
                joined = room.join.take();
            }
        }
        // Another nickname from the start is what the join answers; it is no rename.
        if joined.is_none() && shown != before {
            let renamed = OccupantRenamed {
                room: participant.room.clone(),
                old: before,
                new: shown.clone(),
            };
            self.event(assignment, Event::OccupantRenamed(renamed));
        }
        let moderator = participant.flags & MODERATOR != 0;
        let occupant = Occupant {
            room: participant.room,
            nickname: shown.clone(),
            role: if moderator { Role::Moderator } else { Role::Participant },
            affiliation: if moderator { Affiliation::Admin } else { Affiliation::Member },
            presence: super::decode::presence(Some(participant.status), participant.text),
            contact: None,
            stable_id: participant.alias.is_some().then(|| participant.id.as_str().to_owned()),
            avatar: participant.avatar,
        };
        self.event(assignment, Event::Occupant(occupant));
        if let Some(join) = joined {
            self.answer(assignment, join.request, Ok(Answer::Joined(Joined { nickname: shown })));
        }
    }
}

/// What the flags of the user's own participant say went wrong.
fn failure(participant: &Participant) -> Option<OpError> {
    let (kind, text) = match participant.flags {
        flags if flags & CONFLICT != 0 => (OpErrorKind::Conflict, "The nickname is taken."),
        flags if flags & NOT_AUTHORIZED != 0 => (OpErrorKind::NotAuthorized, "The room needs another password."),
        flags if flags & ROOM_NOT_FOUND != 0 => (OpErrorKind::NotFound, "There is no such room."),
        _ => return None,
    };
    Some(OpError::new(
        kind,
        participant.text.clone().unwrap_or_else(|| text.to_owned()),
    ))
}
