//! Where something is said, as the network sees it: a chat of one user's is a talk of two, or a room.

use spectrum_backend_sdk::model::{Chat, ContactId, Nickname, RoomId};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};

use super::log::Log;
use super::{MAX_TALKS, State, nobody, not_inside};
use crate::people;

/// Where something is said.
pub(super) enum Place {
    /// Between two people; `inside` a room, under the speaker's nickname there, where it is a private message.
    Talk {
        with: ContactId,
        inside: Option<(RoomId, Nickname)>,
    },
    /// In a room, under this nickname.
    Room { id: RoomId, nickname: Nickname },
}

impl State {
    /// Whether there is somebody of this name to talk to.
    pub(super) fn exists(&self, who: &ContactId) -> bool {
        people::is_one(who.as_str()) || self.people.contains_key(who)
    }

    /// What a chat of somebody's is.
    ///
    /// # Errors
    /// Nobody is there, the speaker is not in the room, or is not wanted.
    pub(super) fn place(&self, me: &ContactId, chat: &Chat) -> OpResult<Place> {
        match chat {
            Chat::Contact(with) => {
                if !self.exists(with) {
                    return Err(nobody());
                }
                self.talk(me, with, None)
            }
            Chat::Room(id) => {
                let nickname = self
                    .rooms
                    .get(id)
                    .and_then(|room| room.nickname_of(me))
                    .ok_or_else(not_inside)?;
                Ok(Place::Room {
                    id: id.clone(),
                    nickname: nickname.clone(),
                })
            }
            Chat::Occupant { room: id, nickname } => {
                let room = self.rooms.get(id).ok_or_else(not_inside)?;
                let mine = room.nickname_of(me).ok_or_else(not_inside)?;
                let absent = || OpError::new(OpErrorKind::NotFound, "Nobody of that name is in the room.");
                let other = room.by_nickname(nickname).ok_or_else(absent)?;
                self.talk(me, &other.who, Some((id.clone(), mine.clone())))
            }
        }
    }

    fn talk(&self, me: &ContactId, with: &ContactId, inside: Option<(RoomId, Nickname)>) -> OpResult<Place> {
        if self.accounts.get(with).is_some_and(|account| account.blocked.contains(me)) {
            let text = format!("{with} does not take messages from you.");
            return Err(OpError::new(OpErrorKind::NotAllowed, text));
        }
        Ok(Place::Talk {
            with: with.clone(),
            inside,
        })
    }

    /// What has been said there; nothing if nobody has said anything.
    pub(super) fn log(&self, me: &ContactId, place: &Place) -> Option<&Log> {
        match place {
            Place::Talk { with, .. } => self.talks.get(&pair(me, with)),
            Place::Room { id, .. } => self.rooms.get(id).map(|room| &room.log),
        }
    }

    /// The same, to add to it.
    pub(super) fn log_mut(&mut self, me: &ContactId, place: &Place) -> Option<&mut Log> {
        match place {
            Place::Talk { with, .. } => {
                let pair = pair(me, with);
                if self.talks.len() >= MAX_TALKS && !self.talks.contains_key(&pair) {
                    let silent = self
                        .talks
                        .iter()
                        .min_by_key(|(_, log)| log.last_at())
                        .map(|(pair, _)| pair.clone());
                    silent.and_then(|silent| self.talks.remove(&silent));
                }
                Some(self.talks.entry(pair).or_default())
            }
            Place::Room { id, .. } => self.rooms.get_mut(id).map(|room| &mut room.log),
        }
    }

    /// Tells the others who are there, each in their own view of the place.
    pub(super) fn tell_others(&self, me: &ContactId, place: &Place, event: impl Fn(Chat, Option<Nickname>) -> Event) {
        match place {
            Place::Talk { with, inside } => {
                let chat = match inside {
                    None => Chat::Contact(me.clone()),
                    Some((room, nickname)) => Chat::Occupant {
                        room: room.clone(),
                        nickname: nickname.clone(),
                    },
                };
                if let Some(person) = self.people.get(with) {
                    person.line.tell(event(chat, None));
                }
            }
            Place::Room { id, nickname } => {
                let Some(room) = self.rooms.get(id) else { return };
                for other in room.inside.iter().filter(|other| other.who != *me) {
                    if let Some(line) = &other.line {
                        line.tell(event(Chat::Room(id.clone()), Some(nickname.clone())));
                    }
                }
            }
        }
    }
}

fn pair(one: &ContactId, other: &ContactId) -> (ContactId, ContactId) {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    (first.clone(), second.clone())
}
