//! The account's contacts and who of them is there (RFC 6121 2 and 4). A contact is whoever is in the roster: presence of
//! anybody else makes none.

use std::collections::HashMap;

use jid::BareJid;
use minidom::Element;
use spectrum_backend_sdk::Event;
use spectrum_backend_sdk::model::{Availability, AvatarHash, ContactUpdate, Patch, Presence, Subscription, Timestamp};

use crate::address::{contact, parse};
use crate::ns;
use crate::xml::{best_text, child_text, nonempty_text};

/// Contacts of one account. What a server says beyond it is left out.
const MAX_CONTACTS: usize = 20_000;

/// Groups of one contact, and bytes of a group's or a contact's name.
const MAX_GROUPS: usize = 32;
const MAX_NAME: usize = 1_024;

/// Devices of one contact.
const MAX_RESOURCES: usize = 16;

/// One contact.
#[derive(Debug)]
struct Contact {
    /// Resource, priority, presence; those that are there.
    resources: Vec<(Box<str>, i8, Presence)>,
    shown: Presence,
    avatar: Option<Box<str>>,
    /// The avatar was published (XEP-0084); the hash in presence is the older way to say it.
    is_published: bool,
    is_blocked: bool,
}

/// All contacts.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    contacts: HashMap<BareJid, Contact>,
}

impl Roster {
    /// Whether somebody is a contact.
    pub(crate) fn has(&self, jid: &BareJid) -> bool {
        self.contacts.contains_key(jid)
    }

    /// The published avatar of a contact.
    pub(crate) fn published_avatar(&self, jid: &BareJid) -> Option<&str> {
        self.contacts.get(jid).filter(|c| c.is_published)?.avatar.as_deref()
    }

    /// The roster as a whole.
    pub(crate) fn load(&mut self, query: &Element) -> Vec<Event> {
        let items = query.children().filter(|item| item.is("item", ns::ROSTER));
        items.filter_map(|item| self.item(item)).collect()
    }

    /// One item: of the roster, or of a push.
    pub(crate) fn item(&mut self, item: &Element) -> Option<Event> {
        let jid = parse(item.attr("jid")?).filter(|jid| jid.resource().is_none())?.into_bare();
        let subscription = item.attr("subscription").unwrap_or("none");
        if subscription == "remove" {
            return self.contacts.remove(&jid).map(|_| Event::ContactRemoved(contact(&jid)));
        }
        // Asked and not answered, or seen by the contact and not seeing: none of them is both.
        let sees = matches!(subscription, "both" | "to");
        if !self.contacts.contains_key(&jid) && self.contacts.len() >= MAX_CONTACTS {
            return None;
        }
        let known = self.contacts.entry(jid.clone()).or_default();
        let mut update = ContactUpdate::new(contact(&jid));
        update.alias = match item.attr("name").filter(|name| !name.is_empty() && name.len() <= MAX_NAME) {
            Some(name) => Patch::Set(name.to_owned()),
            None => Patch::Clear,
        };
        let groups = item
            .children()
            .filter(|group| group.is("group", ns::ROSTER))
            .map(Element::text);
        let groups: Vec<_> = groups
            .filter(|g| !g.is_empty() && g.len() <= MAX_NAME)
            .take(MAX_GROUPS)
            .collect();
        update.groups = if groups.is_empty() { Patch::Clear } else { Patch::Set(groups) };
        update.subscription = Patch::Set(if sees { Subscription::Both } else { Subscription::Ask });
        if !sees && !known.resources.is_empty() {
            known.resources.clear();
            known.shown = Presence::OFFLINE;
            update.presence = Patch::Clear;
        }
        Some(Event::Contact(update))
    }

    /// The presence of one device.
    pub(crate) fn presence(&mut self, from: &jid::Jid, stanza: &Element) -> Option<Event> {
        let jid = from.to_bare();
        let known = self.contacts.get_mut(&jid)?;
        let resource = from.resource().map(|r| r.as_str()).unwrap_or_default();
        known.resources.retain(|(name, ..)| **name != *resource);
        if stanza.attr("type") == Some("unavailable") {
            if resource.is_empty() {
                // Said of the whole account.
                known.resources.clear();
            }
        } else {
            if known.resources.len() >= MAX_RESOURCES {
                known.resources.remove(0);
            }
            known
                .resources
                .push((resource.into(), priority(stanza), read_presence(stanza)));
        }
        let mut update = ContactUpdate::new(contact(&jid));
        // Among equals the one that spoke last.
        let best = known
            .resources
            .iter()
            .max_by_key(|(_, priority, _)| *priority)
            .map(|(.., presence)| presence.clone());
        let mut shown = best.unwrap_or(Presence::OFFLINE);
        if !shown.availability.is_online() {
            shown.text = best_text(stanza, "status").filter(|text| !text.is_empty());
        }
        if known.shown != shown {
            known.shown = shown.clone();
            update.presence = Patch::Set(shown);
        }
        if !known.is_published
            && let Some(hash) = vcard_hash(stanza)
            && known.avatar.as_deref() != hash
        {
            known.avatar = hash.map(Into::into);
            update.avatar = hash.map_or(Patch::Clear, |hash| Patch::Set(AvatarHash::new(hash)));
        }
        let changes = !update.presence.is_keep() || !update.avatar.is_keep();
        changes.then_some(Event::Contact(update))
    }

    /// An avatar was published (XEP-0084), or taken away.
    pub(crate) fn published(&mut self, jid: &BareJid, hash: Option<&str>) -> Option<Event> {
        let known = self.contacts.get_mut(jid)?;
        let changes = known.avatar.as_deref() != hash;
        known.avatar = hash.map(Into::into);
        known.is_published = hash.is_some();
        let mut update = ContactUpdate::new(contact(jid));
        update.avatar = hash.map_or(Patch::Clear, |hash| Patch::Set(AvatarHash::new(hash)));
        changes.then_some(Event::Contact(update))
    }

    /// Whom the user blocks (XEP-0191); of those who are no contacts nothing is told.
    pub(crate) fn blocked(&mut self, jid: &BareJid, blocked: bool) -> Option<Event> {
        let known = self.contacts.get_mut(jid).filter(|known| known.is_blocked != blocked)?;
        known.is_blocked = blocked;
        let mut update = ContactUpdate::new(contact(jid));
        update.blocked = Patch::Set(blocked);
        Some(Event::Contact(update))
    }

    /// Nobody is blocked any more.
    pub(crate) fn unblock_all(&mut self) -> Vec<Event> {
        let blocked: Vec<_> = self
            .contacts
            .iter()
            .filter(|(_, c)| c.is_blocked)
            .map(|(jid, _)| jid.clone())
            .collect();
        blocked.iter().filter_map(|jid| self.blocked(jid, false)).collect()
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self {
            resources: Vec::new(),
            shown: Presence::OFFLINE,
            avatar: None,
            is_published: false,
            is_blocked: false,
        }
    }
}

fn priority(stanza: &Element) -> i8 {
    child_text(stanza, "priority", ns::CLIENT)
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// The presence that a stanza says.
pub(crate) fn read_presence(stanza: &Element) -> Presence {
    let availability = match child_text(stanza, "show", ns::CLIENT).as_deref().map(str::trim) {
        Some("chat") => Availability::Chat,
        Some("away") => Availability::Away,
        Some("xa") => Availability::ExtendedAway,
        Some("dnd") => Availability::DoNotDisturb,
        Some(_) | None => Availability::Online,
    };
    Presence {
        availability,
        text: best_text(stanza, "status").filter(|text| !text.is_empty()),
        idle_since: stanza
            .get_child("idle", ns::IDLE)
            .and_then(|idle| Timestamp::from_date_time(idle.attr("since")?)),
    }
}

/// What a presence says of the avatar (XEP-0153): nothing, none, or its hash.
pub(crate) fn vcard_hash(stanza: &Element) -> Option<Option<&str>> {
    let photo = stanza
        .get_child("x", ns::VCARD_UPDATE)?
        .get_child("photo", ns::VCARD_UPDATE)?;
    let hash = photo.texts().next().map(|text| text.trim()).filter(|hash| !hash.is_empty());
    match hash {
        None => Some(None),
        Some(hash) if is_hash(hash) => Some(Some(hash)),
        Some(_) => None,
    }
}

/// Whether a text is a SHA-1 as XEP-0084 and XEP-0153 write it.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A request to see the user.
pub(crate) fn request(from: &BareJid, stanza: &Element) -> Event {
    Event::ContactRequested(spectrum_backend_sdk::model::ContactRequest {
        id: contact(from),
        alias: nonempty_text(stanza, "nick", ns::NICK),
        text: best_text(stanza, "status").filter(|text| !text.trim().is_empty()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn roster() -> Roster {
        let mut roster = Roster::default();
        let query = "<query xmlns='jabber:iq:roster'><item jid='Bob@b.example' name='Bob' subscription='both'><group>Friends</group>\
                     </item><item jid='carol@b.example' subscription='none' ask='subscribe'/><item jid='a b@c' name='x'/></query>";
        let events = roster.load(&query.parse().unwrap());
        let mut bob = ContactUpdate::new("bob@b.example")
            .alias("Bob")
            .groups(["Friends".to_owned()]);
        bob.subscription = Patch::Set(Subscription::Both);
        let mut carol = ContactUpdate::new("carol@b.example");
        (carol.alias, carol.groups, carol.subscription) = (Patch::Clear, Patch::Clear, Patch::Set(Subscription::Ask));
        assert_eq!(events, [Event::Contact(bob), Event::Contact(carol)]);
        roster
    }

    fn presence(roster: &mut Roster, from: &str, attributes: &str, inner: &str) -> Option<ContactUpdate> {
        let xml = format!("<presence xmlns='jabber:client' {attributes}>{inner}</presence>");
        let event = roster.presence(&jid::Jid::new(from).unwrap(), &xml.parse().unwrap())?;
        let Event::Contact(update) = event else { panic!("{event:?}") };
        Some(update)
    }

    #[test]
    fn a_contact_is_shown_as_the_device_of_the_highest_priority() {
        let mut roster = roster();
        let away = presence(
            &mut roster,
            "bob@b.example/phone",
            "",
            "<show>away</show><status>out</status>",
        )
        .unwrap();
        let mut expected = Presence::of(Availability::Away);
        expected.text = Some("out".to_owned());
        assert_eq!(away.presence, Patch::Set(expected));
        assert_eq!(
            presence(&mut roster, "bob@b.example/pc", "", "<priority>-1</priority>"),
            None,
            "the phone goes before it"
        );
        let here = presence(&mut roster, "bob@b.example/pc", "", "<priority>5</priority>").unwrap();
        assert_eq!(here.presence, Patch::Set(Presence::ONLINE));
        assert_eq!(presence(&mut roster, "bob@b.example/phone", "type='unavailable'", ""), None);
        let gone = presence(&mut roster, "bob@b.example/pc", "type='unavailable'", "").unwrap();
        assert_eq!(gone.presence, Patch::Set(Presence::OFFLINE));
    }

    #[test]
    fn strangers_and_strange_priorities_change_nothing() {
        let mut roster = roster();
        assert_eq!(presence(&mut roster, "eve@e.example/x", "", ""), None);
        assert!(presence(&mut roster, "bob@b.example/x", "", "<priority>abc</priority><show>xyz</show>").is_some());
    }

    #[test]
    fn a_published_avatar_goes_before_the_hash_in_presence() {
        let mut roster = roster();
        let hash = |c: &str| c.repeat(40);
        let update = |h: &str| format!("<x xmlns='vcard-temp:x:update'><photo>{h}</photo></x>");
        let first = presence(&mut roster, "bob@b.example/x", "", &update(&hash("a"))).unwrap();
        assert_eq!(first.avatar, Patch::Set(AvatarHash::new(hash("a"))));
        let bob = BareJid::new("bob@b.example").unwrap();
        assert!(roster.published(&bob, Some(&hash("b"))).is_some());
        assert_eq!(presence(&mut roster, "bob@b.example/x", "", &update(&hash("c"))), None);
        assert_eq!(roster.published_avatar(&bob), Some(hash("b").as_str()));
        assert_eq!(
            vcard_hash(
                &format!("<presence xmlns='jabber:client'>{}</presence>", update(""))
                    .parse()
                    .unwrap()
            ),
            Some(None)
        );
    }

    #[test]
    fn a_contact_that_is_removed_is_none_any_more() {
        let mut roster = roster();
        let item = "<item xmlns='jabber:iq:roster' jid='bob@b.example' subscription='remove'/>"
            .parse()
            .unwrap();
        assert_eq!(roster.item(&item), Some(Event::ContactRemoved("bob@b.example".into())));
        assert_eq!(roster.item(&item), None);
        assert_eq!(presence(&mut roster, "bob@b.example/x", "", ""), None);
    }
}
