//! The user's contacts: what is stored, what the network reports, and how they are seen (RFC 6121 4, XEP-0115, XEP-0153).
//! Owned by the session.
//!
//! A list that the network reports in part never takes a contact away: only [`Event::ContactRemoved`] and the user do.
//! Packed tightly, because a gateway holds millions of them: what few contacts have is boxed, groups and names are shared.
//!
//! [`Event::ContactRemoved`]: crate::backend::Event::ContactRemoved

mod contact;
mod show;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use jid::ResourceRef;
use xmpp_parsers::presence::Presence as XmppPresence;

use crate::backend::BackendInfo;
use crate::face::{RosterChange, RosterChangeKind, UserOut};
use crate::jid::fold;
use crate::model::{CaseMapping, ContactDetails, ContactId, ContactUpdate, LegacyName, Patch, Presence, Subscription};
use crate::session::text::shorten;
use crate::session::{Cx, StoreRequest, StoredContact, caps, payload};
use contact::{Contact, MAX_NAME_BYTES, name, picture};

/// Groups a contact can be in.
const MAX_GROUPS: usize = 32;

/// The contacts of one user.
#[derive(Debug)]
pub(crate) struct Contacts {
    /// By folded name: as long as that is the name itself, they share their text.
    list: HashMap<LegacyName, Box<Contact>>,
    /// The groups given last: neighbours in a list usually share them.
    last_groups: Option<Arc<Vec<String>>>,
    /// Sum of the items' fingerprints; see [`Self::version`].
    version: u64,
    /// The user has been told that the list is cut.
    told_full: bool,
    /// What the presence of contacts announces (XEP-0115): the same for all of them.
    caps: Box<str>,
}

impl Contacts {
    /// None yet, on this network.
    pub(crate) fn new(info: &BackendInfo) -> Self {
        let caps = caps::version(info).into_boxed_str();
        Self {
            list: HashMap::new(),
            last_groups: None,
            version: 0,
            told_full: false,
            caps,
        }
    }

    /// The network is this one now.
    pub(crate) fn set_network(&mut self, info: &BackendInfo) {
        self.caps = caps::version(info).into_boxed_str();
        for (_, contact) in std::mem::take(&mut self.list) {
            self.list.insert(key_of(info.case_mapping, &contact.id), contact);
        }
        self.version = self.iter().fold(0, |sum, contact| sum.wrapping_add(contact.fingerprint()));
    }

    /// Takes over what is stored; nobody is online yet.
    pub(crate) fn load(&mut self, cx: &Cx<'_>, stored: Vec<StoredContact>) {
        for StoredContact {
            id,
            alias,
            groups,
            subscription,
            avatar,
        } in stored.into_iter().take(cx.config.limits.contacts)
        {
            let mut contact = Contact::new(id);
            contact.alias = name(alias);
            contact.groups = self.share(groups);
            contact.subscription = subscription;
            if avatar.is_some() {
                contact.change_rare(|rare| rare.avatar = avatar);
            }
            self.insert(cx, contact);
        }
    }

    /// The contact of this name, in any spelling.
    pub(crate) fn get(&self, cx: &Cx<'_>, name: &str) -> Option<&Contact> {
        self.list.get(&*fold(name, cx.names.mapping())).map(|contact| &**contact)
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.list.values().map(|contact| &**contact)
    }

    /// All of them as a network wants them that starts from what we know.
    pub(crate) fn for_login(&self) -> Vec<ContactUpdate> {
        self.iter()
            .map(|contact| ContactUpdate {
                alias: Patch::from_option(contact.alias().map(str::to_owned)),
                groups: Patch::Set(contact.groups().to_vec()),
                subscription: Patch::Set(contact.subscription),
                avatar: Patch::from_option(contact.rare.as_ref().and_then(|r| r.avatar.clone())),
                ..ContactUpdate::new(contact.id.clone())
            })
            .collect()
    }

    /// The version of the roster (RFC 6121 2.6): equal for equal rosters, also of another session.
    pub(crate) fn version(&self) -> String {
        format!("{:016x}", self.version)
    }

    /// The network reports a contact, or a change of one; true if the contact has agreed to be seen by it. `seen`: somebody
    /// is there to see presence.
    pub(crate) fn update(&mut self, cx: &mut Cx<'_>, update: ContactUpdate, seen: bool) -> bool {
        let ContactUpdate {
            id,
            alias,
            groups,
            presence,
            avatar,
            blocked,
            subscription,
        } = update;
        let groups = match groups {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(groups) => self.share(groups).map_or(Patch::Clear, Patch::Set),
        };
        let key = key_of(cx.names.mapping(), &id);
        let is_new = !self.list.contains_key(&key);
        if is_new && self.list.len() >= cx.config.limits.contacts {
            self.tell_full(cx);
            return false;
        }
        let contact = self.list.entry(key.clone()).or_insert_with(|| Box::new(Contact::new(id)));
        let before = if is_new { 0 } else { contact.fingerprint() };
        let asked = !is_new && contact.subscription == Subscription::Ask;
        contact.reported = true;
        match alias {
            Patch::Keep => {}
            Patch::Clear => contact.alias = None,
            Patch::Set(alias) => contact.alias = name(Some(alias)),
        }
        groups.apply(&mut contact.groups);
        match subscription {
            Patch::Keep => {}
            Patch::Clear => contact.subscription = Subscription::Both,
            Patch::Set(subscription) => contact.subscription = subscription,
        }
        match blocked {
            Patch::Keep => {}
            Patch::Clear => contact.blocked = false,
            Patch::Set(blocked) => contact.blocked = blocked,
        }
        let mut shown = match presence {
            Patch::Keep => false,
            Patch::Clear => contact.set_presence(Presence::OFFLINE),
            Patch::Set(presence) => contact.set_presence(presence),
        };
        let pictured = !avatar.is_keep() && contact.rare.as_ref().and_then(|r| r.avatar.as_ref()) != avatar.as_set();
        if pictured {
            contact.change_rare(|rare| {
                avatar.apply(&mut rare.avatar);
                rare.photo = None;
            });
            shown |= contact.is_online();
        }
        let after = contact.fingerprint();
        let agreed = asked && contact.subscription == Subscription::Both;
        let listed = before != after;
        let kept = (listed || pictured).then(|| contact.stored());
        self.version = self.version.wrapping_sub(before).wrapping_add(after);
        if let Some(kept) = kept {
            cx.store(StoreRequest::SaveContact(kept));
        }
        if listed {
            self.tell_item(cx, &key);
        }
        if seen && (shown || agreed) {
            self.say_presence(cx, &key, None);
        }
        agreed
    }

    /// The user has added a contact, or the network has by the user's wish; true if it was not there.
    pub(crate) fn add(&mut self, cx: &mut Cx<'_>, details: ContactDetails, subscription: Subscription) -> bool {
        let key = key_of(cx.names.mapping(), &details.id);
        if self.list.contains_key(&key) {
            return false;
        }
        if self.list.len() >= cx.config.limits.contacts {
            self.tell_full(cx);
            return false;
        }
        let mut contact = Contact::new(details.id);
        contact.alias = name(details.alias);
        contact.groups = self.share(details.groups);
        contact.subscription = subscription;
        cx.store(StoreRequest::SaveContact(contact.stored()));
        self.version = self.version.wrapping_add(contact.fingerprint());
        self.list.insert(key.clone(), Box::new(contact));
        self.tell_item(cx, &key);
        true
    }

    /// The user has renamed or filed a contact.
    pub(crate) fn refile(&mut self, cx: &mut Cx<'_>, details: ContactDetails) {
        let key = key_of(cx.names.mapping(), &details.id);
        let groups = self.share(details.groups);
        let Some(contact) = self.list.get_mut(&key) else { return };
        let before = contact.fingerprint();
        contact.alias = name(details.alias);
        contact.groups = groups;
        self.changed(cx, &key, before);
    }

    /// A contact is gone for good; true if it was there.
    pub(crate) fn remove(&mut self, cx: &mut Cx<'_>, id: &ContactId, seen: bool) -> bool {
        let key = key_of(cx.names.mapping(), id);
        let Some(mut contact) = self.list.remove(&key) else {
            return false;
        };
        self.version = self.version.wrapping_sub(contact.fingerprint());
        cx.store(StoreRequest::RemoveContact(contact.id.clone()));
        if seen && contact.is_online() {
            contact.set_presence(Presence::OFFLINE);
            let presence = self.presence(cx, &contact, None);
            cx.say(presence);
        }
        let change = self.change(cx, &contact, RosterChangeKind::Removed);
        cx.tell(UserOut::Roster(change));
        true
    }

    /// The contact's photo has been seen: its hash is known now.
    pub(crate) fn photo(&mut self, cx: &mut Cx<'_>, id: &ContactId, photo: Option<&[u8]>, seen: bool) {
        let key = key_of(cx.names.mapping(), id);
        let Some(contact) = self.list.get_mut(&key) else { return };
        let hash = photo.map(payload::sha1);
        if contact.rare.as_ref().and_then(|r| r.photo) == hash {
            return;
        }
        let before = picture(contact);
        contact.change_rare(|rare| rare.photo = hash);
        if seen && contact.is_online() && picture(contact) != before {
            self.say_presence(cx, &key, None);
        }
    }

    /// A login begins: nobody has been reported in it yet.
    pub(crate) fn forget_reports(&mut self) {
        self.list.values_mut().for_each(|contact| contact.reported = false);
    }

    /// All contacts have been reported: those that were not are offline.
    pub(crate) fn complete(&mut self, cx: &mut Cx<'_>, seen: bool) {
        self.set_offline(cx, seen, |contact| !contact.reported);
    }

    /// The network is gone: nobody can be seen.
    pub(crate) fn all_offline(&mut self, cx: &mut Cx<'_>, seen: bool) {
        self.set_offline(cx, seen, |_| true);
    }

    /// Forgets everybody: the user has another account.
    pub(crate) fn clear(&mut self, cx: &mut Cx<'_>, seen: bool) {
        let ids: Vec<_> = self.iter().map(|contact| contact.id.clone()).collect();
        for id in ids {
            self.remove(cx, &id, seen);
        }
    }

    /// Shows a resource who is online.
    pub(crate) fn show_to(&self, cx: &mut Cx<'_>, resource: &ResourceRef) {
        for contact in self
            .iter()
            .filter(|contact| contact.is_online() && contact.subscription == Subscription::Both)
        {
            let presence = self.presence(cx, contact, Some(resource));
            cx.say(presence);
        }
    }

    /// Answers a probe for one contact, known or not.
    pub(crate) fn show_one(&self, cx: &mut Cx<'_>, id: &LegacyName, resource: Option<&ResourceRef>) {
        let presence = match self.get(cx, id.as_str()).filter(|c| c.subscription == Subscription::Both) {
            Some(contact) => self.presence(cx, contact, resource),
            None => {
                let mut presence = XmppPresence::unavailable();
                presence.from = Some(cx.speaker(id));
                presence.to = Some(cx.user_at(resource));
                presence
            }
        };
        cx.say(presence);
    }

    /// The item as the user is to have it.
    pub(crate) fn change(&self, cx: &mut Cx<'_>, contact: &Contact, kind: RosterChangeKind) -> RosterChange {
        RosterChange {
            jid: cx.address(&LegacyName::from(&contact.id)),
            name: contact.alias().map(str::to_owned),
            groups: contact.groups().to_vec(),
            kind,
            version: cx.config.face.serves_roster.then(|| self.version()),
        }
    }

    fn insert(&mut self, cx: &Cx<'_>, contact: Contact) {
        let added = contact.fingerprint();
        let old = self.list.insert(key_of(cx.names.mapping(), &contact.id), Box::new(contact));
        self.version = self
            .version
            .wrapping_sub(old.map_or(0, |c| c.fingerprint()))
            .wrapping_add(added);
    }

    /// Keeps and tells what has become of an item, if anything has.
    fn changed(&mut self, cx: &mut Cx<'_>, key: &LegacyName, before: u64) {
        let Some(contact) = self.list.get(key) else { return };
        let after = contact.fingerprint();
        if before != after {
            cx.store(StoreRequest::SaveContact(contact.stored()));
            self.version = self.version.wrapping_sub(before).wrapping_add(after);
            self.tell_item(cx, key);
        }
    }

    fn tell_item(&self, cx: &mut Cx<'_>, key: &LegacyName) {
        let Some(contact) = self.list.get(key) else { return };
        let kind = match contact.subscription {
            Subscription::Both => RosterChangeKind::Both,
            Subscription::Ask => RosterChangeKind::Ask,
        };
        let change = self.change(cx, contact, kind);
        cx.tell(UserOut::Roster(change));
    }

    fn say_presence(&self, cx: &mut Cx<'_>, key: &LegacyName, to: Option<&ResourceRef>) {
        let Some(contact) = self.list.get(key).filter(|c| c.subscription == Subscription::Both) else {
            return;
        };
        let presence = self.presence(cx, contact, to);
        cx.say(presence);
    }

    fn set_offline(&mut self, cx: &mut Cx<'_>, seen: bool, which: impl Fn(&Contact) -> bool) {
        let mut gone = Vec::new();
        for (key, contact) in self.list.iter_mut().filter(|(_, c)| which(c)) {
            if contact.set_presence(Presence::OFFLINE) && seen {
                gone.push(key.clone());
            }
        }
        for key in gone {
            self.say_presence(cx, &key, None);
        }
    }

    fn tell_full(&mut self, cx: &mut Cx<'_>) {
        if !self.told_full {
            self.told_full = true;
            let limit = cx.config.limits.contacts;
            let text = format!("You have more than {limit} contacts; the others are not shown.");
            cx.notice(text);
        }
    }

    /// The groups, capped, and shared with the contact before if they are the same.
    fn share(&mut self, groups: Vec<String>) -> Option<Arc<Vec<String>>> {
        if groups.is_empty() {
            return None;
        }
        if let Some(last) = self.last_groups.as_ref().filter(|last| ***last == groups) {
            return Some(Arc::clone(last));
        }
        let mut kept: Vec<String> = groups
            .into_iter()
            .filter(|group| !group.is_empty())
            .take(MAX_GROUPS)
            .map(|group| shorten(&group, MAX_NAME_BYTES).to_owned())
            .collect();
        kept.shrink_to_fit();
        if kept.is_empty() {
            return None;
        }
        let kept = Arc::new(kept);
        self.last_groups = Some(Arc::clone(&kept));
        Some(kept)
    }
}

/// The key of a name: the name itself where it is folded already, sharing its text.
fn key_of(mapping: CaseMapping, id: &ContactId) -> LegacyName {
    match fold(id.as_str(), mapping) {
        Cow::Borrowed(_) => LegacyName::from(id),
        Cow::Owned(folded) => LegacyName::new(folded),
    }
}
