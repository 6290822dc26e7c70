//! Who has whom as a contact: lists, requests, blocking, search. The state is the network's.

use spectrum_backend_sdk::model::{ContactDetails, ContactId, ContactSummary, ContactUpdate, Patch, Subscription};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};

use super::{Card, Network, State, nobody};
use crate::people::{self, Manners};

/// Contacts one account can have.
const MAX_CONTACTS: usize = 1_000;
/// Hits of one search.
const MAX_HITS: usize = 50;

impl Network {
    /// Adds a contact, or asks to see one. True if somebody has to be asked: [`Network::settle_request`] follows.
    ///
    /// # Errors
    /// There is nobody of that name, or too many contacts.
    pub(crate) fn add_contact(&self, me: &ContactId, details: ContactDetails) -> OpResult<bool> {
        let mut state = self.state();
        let id = details.id.clone();
        if !state.exists(&id) || id == *me {
            return Err(nobody());
        }
        let asked = people::manners(id.as_str()) != Manners::Open;
        let account = state.accounts.entry(me.clone()).or_default();
        if account.cards.len() >= MAX_CONTACTS && !account.cards.contains_key(&id) {
            return Err(OpError::new(OpErrorKind::Full, "You have too many contacts."));
        }
        account.removed.remove(&id);
        let known = account
            .cards
            .get(&id)
            .is_some_and(|card| card.subscription == Subscription::Both);
        let asked = asked && !known;
        let card = Card {
            alias: details.alias,
            groups: details.groups,
            subscription: if asked { Subscription::Ask } else { Subscription::Both },
        };
        account.cards.insert(id.clone(), card);
        state.show_contact(me, &id);
        Ok(asked)
    }

    /// Somebody who was asked agrees, or does not: then they are no contact.
    pub(crate) fn settle_request(&self, me: &ContactId, id: &ContactId, accepted: bool) {
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(me) else { return };
        let Some(card) = account
            .cards
            .get_mut(id)
            .filter(|card| card.subscription == Subscription::Ask)
        else {
            return;
        };
        if accepted {
            card.subscription = Subscription::Both;
            state.show_contact(me, id);
        } else {
            account.cards.remove(id);
            if let Some(person) = state.people.get(me) {
                person.line.tell(Event::ContactRemoved(id.clone()));
            }
        }
    }

    /// Renames and files a contact.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn update_contact(&self, me: &ContactId, details: ContactDetails) -> OpResult<()> {
        let mut state = self.state();
        if !state.sees(me, &details.id) {
            return Err(not_a_contact());
        }
        let cards = &mut state.accounts.entry(me.clone()).or_default().cards;
        if cards.len() >= MAX_CONTACTS && !cards.contains_key(&details.id) {
            return Err(OpError::new(OpErrorKind::Full, "You have too many contacts."));
        }
        let card = cards.entry(details.id).or_default();
        card.alias = details.alias;
        card.groups = details.groups;
        Ok(())
    }

    /// Removes a contact; it does not come back by itself.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn remove_contact(&self, me: &ContactId, id: &ContactId) -> OpResult<()> {
        let mut state = self.state();
        if !state.sees(me, id) {
            return Err(not_a_contact());
        }
        let account = state.accounts.entry(me.clone()).or_default();
        account.cards.remove(id);
        if account.removed.len() < MAX_CONTACTS {
            account.removed.insert(id.clone());
        }
        Ok(())
    }

    /// Blocks somebody or ends that.
    ///
    /// # Errors
    /// There is nobody of that name.
    pub(crate) fn block(&self, me: &ContactId, id: &ContactId, blocked: bool) -> OpResult<()> {
        let mut state = self.state();
        if blocked && !state.exists(id) {
            return Err(nobody());
        }
        let account = state.accounts.entry(me.clone()).or_default();
        if !blocked {
            account.blocked.remove(id);
        } else if account.blocked.len() < MAX_CONTACTS {
            account.blocked.insert(id.clone());
        } else {
            return Err(OpError::new(OpErrorKind::Full, "You block too many people."));
        }
        if state.sees(me, id) {
            state.show_contact(me, id);
        }
        Ok(())
    }

    /// People whose name or full name contains the text.
    pub(crate) fn search(&self, text: &str) -> Vec<ContactSummary> {
        let text = text.trim().to_lowercase();
        let state = self.state();
        let cast = people::CAST
            .iter()
            .map(|who| (ContactId::from(who.id), Some(who.full_name.to_owned())));
        let here = state.people.keys().map(|id| {
            let profile = state.accounts.get(id).map(|account| &account.profile);
            (id.clone(), profile.and_then(|profile| profile.full_name.clone()))
        });
        let mut hits: Vec<_> = cast
            .chain(here)
            .filter(|(id, name)| {
                let name = name.as_deref().unwrap_or_default();
                id.as_str().to_lowercase().contains(&text) || name.to_lowercase().contains(&text)
            })
            .map(|(id, alias)| ContactSummary { id, alias })
            .collect();
        hits.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        hits.truncate(MAX_HITS);
        hits
    }
}

fn not_a_contact() -> OpError {
    OpError::new(OpErrorKind::NotFound, "This is none of your contacts.")
}

impl State {
    /// Whether somebody has this person as a contact: added, or there by themselves and not removed.
    pub(super) fn sees(&self, viewer: &ContactId, id: &ContactId) -> bool {
        let by_itself = people::is_known_to_all(id.as_str()) || self.people.contains_key(id);
        match self.accounts.get(viewer) {
            Some(account) => account.cards.contains_key(id) || by_itself && !account.removed.contains(id),
            None => by_itself,
        }
    }

    /// Somebody's contacts.
    pub(super) fn contacts_of(&self, viewer: &ContactId) -> Vec<ContactUpdate> {
        let account = self.accounts.get(viewer);
        let added = account.into_iter().flat_map(|account| account.cards.keys().cloned());
        let cast = people::CAST.iter().map(|who| ContactId::from(who.id));
        let mut ids: Vec<_> = cast
            .chain(self.people.keys().cloned())
            .filter(|id| id != viewer && self.sees(viewer, id))
            .chain(added)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(MAX_CONTACTS);
        ids.iter().map(|id| self.card(viewer, id)).collect()
    }

    /// A contact as somebody sees it.
    pub(super) fn card(&self, viewer: &ContactId, id: &ContactId) -> ContactUpdate {
        let account = self.accounts.get(viewer);
        let card = account.and_then(|account| account.cards.get(id)).cloned().unwrap_or_default();
        let alias = card.alias.or_else(|| people::alias(id.as_str()).map(str::to_owned));
        let is_open = card.subscription == Subscription::Both;
        ContactUpdate {
            id: id.clone(),
            alias: alias.map_or(Patch::Keep, Patch::Set),
            groups: Patch::Set(card.groups),
            presence: if is_open {
                Patch::Set(self.presence_of(id))
            } else {
                Patch::Keep
            },
            avatar: self.picture_of(id).map_or(Patch::Clear, Patch::Set),
            blocked: Patch::Set(account.is_some_and(|account| account.blocked.contains(id))),
            subscription: Patch::Set(card.subscription),
        }
    }

    fn show_contact(&self, viewer: &ContactId, id: &ContactId) {
        if let Some(person) = self.people.get(viewer) {
            person.line.tell(Event::Contact(self.card(viewer, id)));
        }
    }
}
