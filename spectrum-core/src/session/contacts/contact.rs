//! One contact, packed tightly: what few contacts have is boxed, and groups are shared with neighbours.

use std::sync::Arc;

use crate::model::{Availability, AvatarHash, ContactId, Presence, Subscription, Timestamp};
use crate::session::StoredContact;
use crate::session::fingerprint::Fingerprint;
use crate::session::payload;
use crate::session::text::shorten;

/// Bytes of a display name or a group's name that are kept.
pub(super) const MAX_NAME_BYTES: usize = 512;
/// Bytes of a status text that are kept.
const MAX_STATUS_BYTES: usize = 2_048;

/// A contact.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(super) id: ContactId,
    pub(super) alias: Option<Box<str>>,
    pub(super) groups: Option<Arc<Vec<String>>>,
    pub(super) status: Option<Box<str>>,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) availability: Availability,
    pub(super) subscription: Subscription,
    pub(super) blocked: bool,
    /// The network has reported it since the last login.
    pub(super) reported: bool,
}

/// What few contacts have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) idle_since: Option<Timestamp>,
    pub(super) avatar: Option<AvatarHash>,
    /// SHA-1 of the photo, once it has been seen.
    pub(super) photo: Option<[u8; 20]>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.idle_since.is_none() && self.avatar.is_none() && self.photo.is_none()
    }
}

impl Contact {
    pub(super) fn new(id: ContactId) -> Self {
        Self {
            id,
            alias: None,
            groups: None,
            status: None,
            rare: None,
            availability: Availability::Offline,
            subscription: Subscription::Both,
            blocked: false,
            reported: false,
        }
    }

    pub(crate) fn id(&self) -> &ContactId {
        &self.id
    }

    pub(crate) fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    pub(crate) fn groups(&self) -> &[String] {
        self.groups.as_ref().map_or(&[], |groups| groups.as_slice())
    }

    pub(crate) fn subscription(&self) -> Subscription {
        self.subscription
    }

    pub(crate) fn is_online(&self) -> bool {
        self.availability.is_online()
    }

    pub(crate) fn idle_since(&self) -> Option<Timestamp> {
        self.rare.as_ref().and_then(|rare| rare.idle_since)
    }

    pub(super) fn stored(&self) -> StoredContact {
        StoredContact {
            id: self.id.clone(),
            alias: self.alias().map(str::to_owned),
            groups: self.groups().to_vec(),
            subscription: self.subscription,
            avatar: self.rare.as_ref().and_then(|rare| rare.avatar.clone()),
        }
    }

    pub(super) fn set_presence(&mut self, presence: Presence) -> bool {
        let Presence {
            availability,
            text,
            idle_since,
        } = presence;
        // Nobody but the user is invisible; a contact that is, is offline.
        let availability = if availability == Availability::Invisible {
            Availability::Offline
        } else {
            availability
        };
        let status = text
            .filter(|t| !t.is_empty())
            .map(|t| Box::from(shorten(&t, MAX_STATUS_BYTES)));
        let changed = self.availability != availability || self.status != status || self.idle_since() != idle_since;
        self.availability = availability;
        if changed {
            self.status = status;
        }
        if self.idle_since() != idle_since {
            self.change_rare(|rare| rare.idle_since = idle_since);
        }
        changed
    }

    /// Sets what few contacts have, and gives the memory back if nothing is left of it.
    pub(super) fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        let mut rare = self.rare.take().unwrap_or_default();
        change(&mut rare);
        self.rare = (!rare.is_empty()).then_some(rare);
    }

    /// The item's part in the version of the roster.
    pub(super) fn fingerprint(&self) -> u64 {
        let subscription = match self.subscription {
            Subscription::Both => "both",
            Subscription::Ask => "ask",
        };
        let start = Fingerprint::new(0)
            .text(self.id.as_str())
            .text(self.alias().unwrap_or_default())
            .text(subscription);
        self.groups().iter().fold(start, |hash, group| hash.text(group)).finish()
    }
}

/// A display name, capped; none if it is empty.
pub(super) fn name(alias: Option<String>) -> Option<Box<str>> {
    alias.filter(|a| !a.is_empty()).map(|a| shorten(&a, MAX_NAME_BYTES).into())
}

/// The hash to show for a contact's picture: of the image where it has been seen, else the network's, or one made from it.
pub(super) fn picture(contact: &Contact) -> Option<String> {
    let rare = contact.rare.as_ref()?;
    if let Some(photo) = rare.photo {
        return Some(payload::hex(&photo));
    }
    let hash = rare.avatar.as_ref()?.as_str();
    if hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(hash.to_ascii_lowercase());
    }
    // Not a SHA-1, and clients drop what is none: a stand-in that changes when the picture does. Whoever fetches the
    // picture makes us see the real one.
    Some(payload::hex(&payload::sha1(hash.as_bytes())))
}
