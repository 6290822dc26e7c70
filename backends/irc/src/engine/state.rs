//! Channels and who is in them. Owned by the engine; capped, since the server is not trusted.

use std::collections::HashMap;

use spectrum_backend_sdk::model::{
    Affiliation, Availability, Nickname, Occupant, Presence, Role, RoomId, RoomSubject, Timestamp,
};

use crate::isupport::Isupport;
use crate::names::Scope;

/// Channels one connection can be in; a server that puts us into more is not followed.
pub(crate) const MAX_CHANNELS: usize = 500;

/// Occupants kept of one channel; further ones are not shown.
pub(crate) const MAX_MEMBERS: usize = 20_000;

/// Somebody in a channel.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) nick: Nickname,
    /// Bit `n` stands for the n-th occupant mode of the server, 0 the highest.
    ranks: u16,
    /// Away text, if away.
    pub(crate) away: Option<Box<str>>,
    /// Host name, once seen.
    pub(crate) host: Option<Box<str>>,
}

impl Member {
    pub(crate) fn new(nick: &str) -> Self {
        Self {
            nick: Nickname::from(nick),
            ranks: 0,
            away: None,
            host: None,
        }
    }

    /// Gives or takes an occupant mode; true if that changed anything.
    pub(crate) fn set_mode(&mut self, mode: char, on: bool, isupport: &Isupport) -> bool {
        let rank = isupport.rank(mode);
        if rank >= 16 {
            return false;
        }
        let before = self.ranks;
        if on {
            self.ranks |= 1 << rank;
        } else {
            self.ranks &= !(1 << rank);
        }
        before != self.ranks
    }

    /// Which occupant modes they have, highest first.
    pub(crate) fn modes<'a>(&'a self, isupport: &'a Isupport) -> impl Iterator<Item = char> + 'a {
        isupport
            .prefixes
            .iter()
            .enumerate()
            .filter(|(rank, _)| *rank < 16 && self.ranks & (1 << rank) != 0)
            .map(|(_, (mode, _))| *mode)
    }

    /// Role and affiliation, by the highest mode: owners `q`, admins `a` and operators, half-operators `h`, voice `v`.
    pub(crate) fn standing(&self, moderated: bool, isupport: &Isupport) -> (Role, Affiliation) {
        match self.modes(isupport).next() {
            Some('q') => (Role::Moderator, Affiliation::Owner),
            Some('h') => (Role::Moderator, Affiliation::Member),
            Some('v') => (Role::Participant, Affiliation::Member),
            // `a`, `o`, and what some networks put above them for their staff.
            Some(mode) if isupport.rank(mode) <= isupport.rank('o') => (Role::Moderator, Affiliation::Admin),
            Some(_) => (Role::Participant, Affiliation::Member),
            None if moderated => (Role::Visitor, Affiliation::None),
            None => (Role::Participant, Affiliation::None),
        }
    }

    fn presence(&self) -> Presence {
        match &self.away {
            None => Presence::ONLINE,
            Some(text) => Presence {
                availability: Availability::Away,
                text: (!text.is_empty()).then(|| text.to_string()),
                idle_since: None,
            },
        }
    }
}

/// The topic of a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topic {
    pub(crate) text: String,
    pub(crate) by: Option<String>,
    pub(crate) at: Option<Timestamp>,
}

/// Modes of a channel that a room shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ChannelModes {
    pub(crate) moderated: bool,
    pub(crate) keyed: bool,
    pub(crate) invite_only: bool,
    pub(crate) hidden: bool,
}

/// A channel we are in.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    /// As the core calls it.
    pub(crate) id: RoomId,
    /// As the server calls it.
    pub(crate) name: String,
    /// By folded nickname.
    pub(crate) members: HashMap<Box<str>, Member>,
    pub(crate) topic: Topic,
    pub(crate) modes: ChannelModes,
    /// How it was set up when that was asked last.
    pub(crate) setup: super::settings::Setup,
    /// Whether the list of occupants is complete: events of it are reported only then.
    pub(crate) is_synced: bool,
    /// Whether the user asked to be here; the core hears nothing of a channel the server put us into.
    pub(crate) is_wanted: bool,
}

impl Channel {
    pub(crate) fn new(id: RoomId, name: &str, is_wanted: bool) -> Self {
        Self {
            id,
            name: name.to_owned(),
            members: HashMap::new(),
            topic: Topic::default(),
            modes: ChannelModes::default(),
            setup: super::settings::Setup::default(),
            is_synced: false,
            is_wanted,
        }
    }

    /// Whether events of it are reported.
    pub(crate) fn is_live(&self) -> bool {
        self.is_synced && self.is_wanted
    }

    /// The occupant as an event says it.
    pub(crate) fn occupant(&self, member: &Member, scope: &Scope, isupport: &Isupport) -> Occupant {
        let (role, affiliation) = member.standing(self.modes.moderated, isupport);
        let mut occupant = Occupant::new(self.id.clone(), member.nick.clone());
        occupant.role = role;
        occupant.affiliation = affiliation;
        occupant.presence = member.presence();
        occupant.contact = Some(scope.contact(member.nick.as_str()));
        occupant
    }

    /// The topic as an event says it.
    pub(crate) fn subject(&self) -> RoomSubject {
        RoomSubject {
            room: self.id.clone(),
            subject: self.topic.text.clone(),
            by: self.topic.by.clone(),
            timestamp: self.topic.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_become_roles_and_affiliations() {
        let mut isupport = Isupport::default();
        isupport.apply(&["PREFIX=(Yqaohv)!~&@%+"]);
        let standing = |modes: &str, moderated| {
            let mut member = Member::new("a");
            for mode in modes.chars() {
                member.set_mode(mode, true, &isupport);
            }
            member.standing(moderated, &isupport)
        };
        assert_eq!(standing("q", false), (Role::Moderator, Affiliation::Owner));
        assert_eq!(standing("Y", false), (Role::Moderator, Affiliation::Admin));
        assert_eq!(standing("vo", false), (Role::Moderator, Affiliation::Admin));
        assert_eq!(standing("h", false), (Role::Moderator, Affiliation::Member));
        assert_eq!(standing("v", true), (Role::Participant, Affiliation::Member));
        assert_eq!(standing("", false), (Role::Participant, Affiliation::None));
        assert_eq!(standing("", true), (Role::Visitor, Affiliation::None));
        assert_eq!(standing("z", true), (Role::Visitor, Affiliation::None));
    }
}
