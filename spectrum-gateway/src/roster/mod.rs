//! The users' rosters on their own servers: by XEP-0356 where it is granted, else by paced subscription requests.
//!
//! [`RosterKeeper`] owns the grants of all domains and what is still to be done for each user. Sessions only say what
//! changed; a change that comes while the one before it still waits replaces it, so what waits is bounded by the users'
//! contacts. Nothing is removed from a roster unless a session says that it is gone: a contact list that arrives in part
//! deletes nobody.

mod exchange;
mod keeper;
mod plan;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use jid::{BareJid, Jid};
use spectrum_core::stanza::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::roster::{Group, Item, Roster, Subscription};

pub use keeper::{Clean, RosterKeeper};
pub(crate) use keeper::{contact, is_push};

/// One wanted state of one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    name: Option<String>,
    groups: BTreeSet<String>,
    kind: Kind,
}

/// What is to become of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// In the roster, both seeing each other.
    Both,
    /// In the roster; who sees whom is left as it is.
    Ask,
    /// Gone.
    Removed,
}

impl Wanted {
    /// The transport itself, in the roster.
    fn transport(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            groups: BTreeSet::new(),
            kind: Kind::Both,
        }
    }

    fn removed() -> Self {
        Self {
            name: None,
            groups: BTreeSet::new(),
            kind: Kind::Removed,
        }
    }

    /// Whether a roster that holds this item needs no change.
    fn is_fulfilled_by(&self, held: Option<&Held>) -> bool {
        match (self.kind, held) {
            (Kind::Removed, None) => true,
            (Kind::Removed, Some(_)) | (Kind::Both | Kind::Ask, None) => false,
            (Kind::Both | Kind::Ask, Some(held)) => {
                let same_text = self.name == held.name && self.groups == held.groups;
                same_text && (self.kind == Kind::Ask || held.subscription == Subscription::Both)
            }
        }
    }

    /// The item for a roster set. A contact that has not agreed yet keeps whatever the roster says of it.
    fn item(&self, jid: &BareJid, held: Option<&Held>) -> Item {
        let subscription = match self.kind {
            Kind::Both => Subscription::Both,
            Kind::Ask => held.map_or(Subscription::Both, |held| held.subscription.clone()),
            Kind::Removed => Subscription::Remove,
        };
        Item {
            jid: jid.clone(),
            name: self.name.clone(),
            subscription,
            ask: xmpp_parsers::roster::Ask::None,
            groups: self.groups.iter().cloned().map(Group).collect(),
            approved: None,
        }
    }
}

/// What a roster holds of ours.
#[derive(Clone, PartialEq, Debug)]
struct Held {
    name: Option<String>,
    groups: BTreeSet<String>,
    subscription: Subscription,
}

/// The items of a roster that are ours.
fn ours(roster: Roster, transport: &BareJid) -> BTreeMap<BareJid, Held> {
    roster
        .items
        .into_iter()
        .filter(|item| item.jid.domain() == transport.domain())
        .map(|item| {
            let groups = item.groups.into_iter().map(|group| group.0).collect();
            (
                item.jid,
                Held {
                    name: item.name,
                    groups,
                    subscription: item.subscription,
                },
            )
        })
        .collect()
}

/// What a session wants of a roster, if that is what this stanza of the face says.
fn wanted(stanza: &Stanza, transport: &Jid) -> Option<(BareJid, Wanted)> {
    let Stanza::Iq(Iq::Set {
        from: Some(from),
        payload,
        ..
    }) = stanza
    else {
        return None;
    };
    if from != transport || !payload.is("query", ns::ROSTER) {
        return None;
    }
    let item = Roster::try_from(payload.clone()).ok()?.items.into_iter().next()?;
    let kind = match item.subscription {
        Subscription::Both => Kind::Both,
        Subscription::Remove => Kind::Removed,
        Subscription::None | Subscription::From | Subscription::To => Kind::Ask,
    };
    let groups = item.groups.into_iter().map(|group| group.0).collect();
    Some((
        item.jid,
        Wanted {
            name: item.name,
            groups,
            kind,
        },
    ))
}
