//! One room the user is in or wants into: who is there, which of the user's resources look at it, what is on its way.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jid::{NodePart, ResourcePart, ResourceRef};
use xmpp_parsers::message::Message;
use xmpp_parsers::muc::muc::History;

use super::archive::Unsaved;
use super::occupant_id::OccupantIds;
use super::past::Past;
use crate::model::{
    Affiliation, AvatarHash, ContactId, MessageId, Nickname, Occupant, Presence, Role, RoomId, RoomSubject, Secret,
};
use crate::session::StoredRoom;

/// Lines of the user that wait for the room to be joined again.
pub(super) const WAITING_LINES: usize = 20;
/// Ids of messages remembered, to drop repeated ones.
const SEEN_IDS: usize = 128;
/// Occupants of one room; more are not shown.
pub(super) const OCCUPANTS: usize = 50_000;

/// How far the user is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The network has to accept the user first.
    Waiting,
    /// The network has been asked.
    Joining,
    /// In.
    Joined,
    /// It was lost, and is joined again by itself at this time or when the network is back (`None`).
    Lost {
        /// When.
        again_at: Option<Duration>,
    },
}

/// One of the user's resources in a room.
#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) resource: ResourcePart,
    /// The nickname it asked for.
    pub(super) asked: ResourcePart,
    /// What it wants to hear of before.
    pub(super) history: Option<History>,
    /// Whether it has been shown who is there.
    pub(super) shown: bool,
    /// Whether it has been told what was said before: from then on it hears every line.
    pub(super) heard: bool,
    /// Whether it was in when the instance ended, and has heard what was said until then.
    pub(super) resumed: bool,
}

/// Somebody in the room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Present {
    /// The nickname as a resource.
    pub(super) resource: ResourcePart,
    pub(super) role: Role,
    pub(super) affiliation: Affiliation,
    pub(super) presence: Presence,
    pub(super) contact: Option<ContactId>,
    pub(super) avatar: Option<AvatarHash>,
    pub(super) stable_id: Option<Box<str>>,
    /// XEP-0421.
    pub(super) occupant_id: Box<str>,
    /// Reported since the last join: who is not, has left in between.
    pub(super) confirmed: bool,
    /// Not shown yet to who has been looking since before the join.
    pub(super) unseen: bool,
}

/// A line of the user's that is on its way and comes back from the backend as an event.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) id: MessageId,
    pub(super) body: String,
    pub(super) message: Message,
    /// When it is shown without having come back.
    pub(super) until: Duration,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) node: NodePart,
    pub(super) state: State,
    /// The user's nickname there.
    pub(super) nickname: Nickname,
    pub(super) password: Option<Secret>,
    pub(super) viewers: Vec<Viewer>,
    /// Resources that were in when the instance ended and have not been heard of since.
    pub(super) expected: Vec<ResourcePart>,
    present: HashMap<Nickname, Present>,
    taken: HashMap<ResourcePart, Nickname>,
    pub(super) subject: Option<RoomSubject>,
    /// What has been said and is not in the archive yet.
    pub(super) unsaved: Unsaved,
    /// What the network still has to tell of what was said before.
    pub(super) past: Past,
    pub(super) ids: OccupantIds,
    pub(super) echoes: VecDeque<Echo>,
    seen: VecDeque<MessageId>,
    /// Joins that failed in a row.
    pub(super) failures: u32,
    /// Whether the join has ever been complete: until then a failure is the answer to a request.
    pub(super) was_in: bool,
}

impl Room {
    pub(super) fn new(id: RoomId, node: NodePart, nickname: Nickname, password: Option<Secret>, ids: OccupantIds) -> Self {
        Self {
            id,
            node,
            state: State::Waiting,
            nickname,
            password,
            viewers: Vec::new(),
            expected: Vec::new(),
            present: HashMap::new(),
            taken: HashMap::new(),
            subject: None,
            unsaved: Unsaved::default(),
            past: Past::default(),
            ids,
            echoes: VecDeque::new(),
            seen: VecDeque::new(),
            failures: 0,
            was_in: false,
        }
    }

    pub(super) fn viewer(&self, resource: &ResourceRef) -> Option<&Viewer> {
        self.viewers.iter().find(|v| &*v.resource == resource)
    }

    /// Adds a resource, or lets one that is there already begin anew.
    pub(super) fn add_viewer(&mut self, resource: &ResourcePart, asked: &ResourcePart, history: Option<History>) {
        self.expected.retain(|expected| expected != resource);
        self.viewers.retain(|v| v.resource != *resource);
        self.viewers.push(Viewer {
            resource: resource.clone(),
            asked: asked.clone(),
            history,
            shown: false,
            heard: false,
            resumed: false,
        });
    }

    /// Adds a resource that believes itself in since before the instance ended.
    pub(super) fn resume_viewer(&mut self, resource: &ResourcePart) {
        let asked = self.resource_of(&self.nickname);
        self.add_viewer(resource, &asked, None);
        if let Some(viewer) = self.viewers.last_mut() {
            viewer.resumed = true;
        }
    }

    /// Takes a resource out; true if it was in.
    pub(super) fn remove_viewer(&mut self, resource: &ResourceRef) -> bool {
        let before = self.viewers.len();
        self.viewers.retain(|v| &*v.resource != resource);
        self.viewers.len() != before
    }

    /// What to keep of it.
    pub(super) fn stored(&self) -> StoredRoom {
        let viewers = self.viewers.iter().map(|viewer| viewer.resource.clone());
        StoredRoom {
            id: self.id.clone(),
            nickname: self.nickname.clone(),
            password: self.password.clone(),
            viewers: viewers.chain(self.expected.iter().cloned()).collect(),
        }
    }

    pub(super) fn is_self(&self, nickname: &Nickname) -> bool {
        *nickname == self.nickname
    }

    pub(super) fn get(&self, nickname: &Nickname) -> Option<&Present> {
        self.present.get(nickname)
    }

    pub(super) fn everybody(&self) -> impl Iterator<Item = (&Nickname, &Present)> {
        self.present.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.present.len()
    }

    /// Who is behind a resource of the room's JID. Clients send it back as it was shown, or as a person typed it.
    pub(super) fn nickname_of(&self, resource: &ResourceRef) -> Option<&Nickname> {
        self.taken.get(resource.as_str() as &str).or_else(|| {
            let typed = Nickname::from(resource.as_str());
            self.present.get_key_value(&typed).map(|(nickname, _)| nickname)
        })
    }

    /// The resource a nickname is shown as, whether or not its owner is there.
    pub(super) fn resource_of(&self, nickname: &Nickname) -> ResourcePart {
        self.present
            .get(nickname)
            .map_or_else(|| as_resource(nickname.as_str()), |p| p.resource.clone())
    }

    /// Puts somebody in, or what is new about them; gives true if anything is.
    pub(super) fn put(&mut self, occupant: Occupant) -> bool {
        if let Some(present) = self.present.get_mut(&occupant.nickname) {
            let before = present.clone();
            present.role = occupant.role;
            present.affiliation = occupant.affiliation;
            present.presence = occupant.presence;
            if occupant.contact.is_some() {
                present.contact = occupant.contact;
            }
            if occupant.avatar.is_some() {
                present.avatar = occupant.avatar;
            }
            if occupant.stable_id.is_some() && occupant.stable_id.as_deref() != present.stable_id.as_deref() {
                present.occupant_id = self.ids.id(occupant.stable_id.as_deref(), &occupant.nickname);
                present.stable_id = occupant.stable_id.map(Into::into);
            }
            present.confirmed = true;
            return Present {
                confirmed: true,
                ..before
            } != *present;
        }
        if self.present.len() >= OCCUPANTS {
            return false;
        }
        let resource = self.free_resource(&occupant.nickname);
        let occupant_id = self.ids.id(occupant.stable_id.as_deref(), &occupant.nickname);
        self.taken.insert(resource.clone(), occupant.nickname.clone());
        self.present.insert(
            occupant.nickname,
            Present {
                resource,
                role: occupant.role,
                affiliation: occupant.affiliation,
                presence: occupant.presence,
                contact: occupant.contact,
                avatar: occupant.avatar,
                stable_id: occupant.stable_id.map(Into::into),
                occupant_id,
                confirmed: true,
                unseen: false,
            },
        );
        true
    }

    /// Takes somebody out.
    pub(super) fn remove(&mut self, nickname: &Nickname) -> Option<Present> {
        let present = self.present.remove(nickname)?;
        self.taken.remove(&present.resource);
        Some(present)
    }

    /// Gives somebody another nickname; gives them as they were before.
    pub(super) fn rename(&mut self, old: &Nickname, new: &Nickname) -> Option<Present> {
        let before = self.remove(old)?;
        let resource = self.free_resource(new);
        // Without an id of the network's the nickname is the person: who takes the old one over must not be taken for them.
        let occupant_id = self.ids.id(before.stable_id.as_deref(), new);
        self.taken.insert(resource.clone(), new.clone());
        self.present.insert(
            new.clone(),
            Present {
                resource,
                occupant_id,
                ..before.clone()
            },
        );
        if self.is_self(old) {
            self.nickname = new.clone();
        }
        Some(before)
    }

    /// Somebody is new or different, and nobody has been shown it.
    pub(super) fn mark_unseen(&mut self, nickname: &Nickname) {
        if let Some(present) = self.present.get_mut(nickname) {
            present.unseen = true;
        }
    }

    /// Who is new or different since they were shown last.
    pub(super) fn take_unseen(&mut self) -> Vec<(Nickname, Present)> {
        let unseen = self.present.iter_mut().filter(|(_, p)| p.unseen);
        unseen
            .map(|(nickname, present)| {
                present.unseen = false;
                (nickname.clone(), present.clone())
            })
            .collect()
    }

    /// Nobody counts as confirmed any more: the room is about to be joined again.
    pub(super) fn doubt_everybody(&mut self) {
        for present in self.present.values_mut() {
            present.confirmed = false;
        }
    }

    /// Takes out who has not been confirmed since [`Room::doubt_everybody`].
    pub(super) fn take_unconfirmed(&mut self) -> Vec<(Nickname, Present)> {
        let gone: Vec<Nickname> = self
            .present
            .iter()
            .filter(|(_, p)| !p.confirmed)
            .map(|(n, _)| n.clone())
            .collect();
        gone.into_iter()
            .filter_map(|nickname| self.remove(&nickname).map(|present| (nickname, present)))
            .collect()
    }

    /// A resource for the nickname that nobody else has: networks tell nicknames apart that XMPP does not.
    fn free_resource(&self, nickname: &Nickname) -> ResourcePart {
        let wanted = as_resource(nickname.as_str());
        if !self.taken.contains_key(&wanted) {
            return wanted;
        }
        (2_u32..)
            .map(|n| as_resource(&format!("{wanted} ({n})")))
            .find(|candidate| !self.taken.contains_key(candidate))
            .unwrap_or(wanted)
    }

    /// The id (XEP-0421) of whoever has this nickname, whether or not they are there.
    pub(super) fn occupant_id(&self, nickname: &Nickname) -> Box<str> {
        self.present
            .get(nickname)
            .map_or_else(|| self.ids.id(None, nickname), |present| present.occupant_id.clone())
    }

    /// Whether this message has been seen before; remembers it if not.
    pub(super) fn is_repeated(&mut self, id: &MessageId) -> bool {
        if self.seen.contains(id) {
            return true;
        }
        if self.seen.len() >= SEEN_IDS {
            self.seen.pop_front();
        }
        self.seen.push_back(id.clone());
        false
    }
}

/// A nickname as a resource (RFC 7622 3.4). What a resource may not contain is replaced; an empty one becomes a dot.
pub(super) fn as_resource(nickname: &str) -> ResourcePart {
    const MAX_BYTES: usize = 1023;
    if let Ok(resource) = ResourcePart::new(nickname) {
        return resource.into_owned();
    }
    let mut cleaned: String = nickname
        .chars()
        .map(|c| if c.is_control() || is_private_use(c) { '\u{fffd}' } else { c })
        .collect();
    while cleaned.len() > MAX_BYTES {
        cleaned.pop();
    }
    for candidate in [cleaned.as_str(), cleaned.trim()] {
        if let Ok(resource) = ResourcePart::new(candidate) {
            return resource.into_owned();
        }
    }
    let ascii: String = cleaned.chars().filter(|c| c.is_ascii_graphic()).collect();
    for candidate in [ascii.as_str(), "."] {
        if let Ok(resource) = ResourcePart::new(candidate) {
            return resource.into_owned();
        }
    }
    unreachable!("a dot is a resource")
}

fn is_private_use(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..)
}

#[cfg(test)]
mod tests {
    use super::super::occupant_id::RoomSecret;
    use super::*;
    use crate::model::CaseMapping;

    fn room() -> Room {
        let node = NodePart::new("#r").expect("a node").into_owned();
        let ids = OccupantIds::new(&RoomSecret::default(), &"#r".into(), CaseMapping::Unicode);
        Room::new("#r".into(), node, "me".into(), None, ids)
    }

    #[test]
    fn any_nickname_becomes_a_resource() {
        for nickname in ["", " ", "\u{0}", "a\u{1b}b", "\u{e000}", &"x".repeat(5000), "Ａ", "\u{fdd0}"] {
            let resource = as_resource(nickname);
            assert!(
                !resource.as_str().is_empty() && resource.as_str().len() <= 1023,
                "{nickname:?}"
            );
        }
    }

    #[test]
    fn nicknames_that_look_alike_get_resources_of_their_own() {
        let mut room = room();
        room.put(Occupant::new("#r".into(), "a\u{1}"));
        room.put(Occupant::new("#r".into(), "a\u{2}"));
        let (one, two) = (room.resource_of(&"a\u{1}".into()), room.resource_of(&"a\u{2}".into()));
        assert_ne!(one, two);
        assert_eq!(room.nickname_of(&two), Some(&"a\u{2}".into()));
    }

    #[test]
    fn who_takes_over_a_nickname_is_not_taken_for_who_had_it() {
        let mut room = room();
        room.put(Occupant::new("#r".into(), "a"));
        let a = room.occupant_id(&"a".into());
        room.rename(&"a".into(), &"b".into());
        room.put(Occupant::new("#r".into(), "a"));
        assert_eq!(
            room.occupant_id(&"a".into()),
            a,
            "the nickname is all that the network tells of somebody"
        );
        assert_ne!(room.occupant_id(&"b".into()), a);
        let known = Occupant {
            stable_id: Some("U1".to_owned()),
            ..Occupant::new("#r".into(), "c")
        };
        assert!(room.put(known));
        let c = room.occupant_id(&"c".into());
        room.rename(&"c".into(), &"d".into());
        assert_eq!(room.occupant_id(&"d".into()), c);
    }

    #[test]
    fn who_is_not_reported_after_a_rejoin_has_left() {
        let mut room = room();
        room.put(Occupant::new("#r".into(), "stays"));
        room.put(Occupant::new("#r".into(), "leaves"));
        room.doubt_everybody();
        assert!(!room.put(Occupant::new("#r".into(), "stays")), "nothing about them is new");
        let gone: Vec<_> = room.take_unconfirmed().into_iter().map(|(n, _)| n).collect();
        assert_eq!(gone, [Nickname::from("leaves")]);
    }
}
