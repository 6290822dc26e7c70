//! Requests to a contact, to the user's own account and about the session: service discovery (XEP-0030), profiles
//! (XEP-0054), software version (XEP-0092), ping (XEP-0199), last activity (XEP-0012). Owned by the session: a small cache
//! of profiles. Every request gets exactly one answer.

use std::collections::VecDeque;

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use crate::backend::{Answer, Outcome, Verb};
use crate::model::{Avatar, Capability, Chat, ContactId, LegacyName, Patch, Profile, ProfileUpdate, RoomSummary};
use crate::session::contacts::Contacts;
use crate::session::pending::Pending;
use crate::session::request::Request;
use crate::session::{Cx, caps, payload, rsm, search};
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{SEARCH, element, set, text_element};

/// Profiles that are remembered, the least recently asked for goes first.
const CACHED_PROFILES: usize = 16;
/// Bytes of their pictures.
const CACHED_BYTES: usize = 256 * 1024;
/// Bytes of a picture that is passed on in a card: servers end streams over longer stanzas.
const MAX_PHOTO_BYTES: usize = 120 * 1024;
/// Bytes of a name or a note in a card.
const MAX_TEXT_BYTES: usize = 4 * 1024;
/// Notes in a card.
const MAX_NOTES: usize = 32;
/// Rooms in one answer to disco#items.
const MAX_ROOMS: u32 = 1_000;

/// What requests need to remember.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    cache: VecDeque<(Chat, Box<Profile>)>,
}

/// The list of rooms that was asked for.
#[derive(Debug)]
pub(crate) struct RoomsAsked {
    /// The request of the user.
    iq: Stanza,
    /// Which page of it.
    page: Option<rsm::Wanted>,
}

/// A profile that was asked for.
pub(crate) struct Fetched {
    /// Whose.
    pub(crate) of: Chat,
    /// The request of the user.
    pub(crate) iq: Box<Stanza>,
    /// Somebody is there to see presence.
    pub(crate) seen: bool,
}

/// What a request is about.
enum About<'a> {
    Contact(&'a Contacts, ContactId),
    Other,
}

impl Queries {
    /// A request to a contact, or to an occupant where it is nothing special to rooms.
    pub(crate) fn about_chat(&mut self, cx: &mut Cx<'_>, contacts: &Contacts, chat: Chat, iq: Iq) {
        let about = match &chat {
            Chat::Contact(contact) => About::Contact(contacts, contact.clone()),
            Chat::Room(_) | Chat::Occupant { .. } => About::Other,
        };
        let Some(Request { iq, payload: asked, get }) = Request::of(iq) else {
            return;
        };
        let answer = if !get {
            Err(unavailable())
        } else if asked.is("vCard", ns::VCARD) {
            return self.profile(cx, contacts, chat, iq);
        } else if asked.is("query", ns::DISCO_INFO) {
            caps::disco(cx.info, asked.attr("node"))
                .map(Some)
                .ok_or_else(|| error(DefinedCondition::ItemNotFound, ""))
        } else if asked.is("query", ns::DISCO_ITEMS) {
            Ok(Some(empty_items(&asked)))
        } else if asked.is("query", ns::VERSION) {
            Ok(Some(version(cx)))
        } else if asked.is("ping", ns::PING) {
            Ok(None)
        } else if asked.is("query", payload::LAST) {
            last(cx, &about).map(Some)
        } else {
            Err(unavailable())
        };
        reply(cx, &iq, answer);
    }

    /// A request to the user's own account or about the session; the roster has been taken out before.
    pub(crate) fn about_user(
        &mut self,
        cx: &mut Cx<'_>,
        contacts: &Contacts,
        own: Option<&LegacyName>,
        listed: &[RoomSummary],
        iq: Iq,
    ) {
        let Some(Request { iq, payload: asked, get }) = Request::of(iq) else {
            return;
        };
        let answer = if asked.is("query", SEARCH) {
            return search::request(cx, iq, &asked, get);
        } else if get && asked.is("vCard", ns::VCARD) {
            match own {
                Some(own) if cx.can(Capability::Profiles) => {
                    return self.profile(cx, contacts, Chat::Contact(own.into()), iq);
                }
                Some(_) | None => Ok(Some(element("vCard", ns::VCARD, &[]))),
            }
        } else if asked.is("vCard", ns::VCARD) {
            return set_profile(cx, &asked, iq);
        } else if get && asked.is("query", ns::DISCO_ITEMS) && asked.attr("node").is_none() {
            return rooms(cx, listed, iq, &asked);
        } else if get && asked.is("query", ns::DISCO_INFO) && asked.attr("node").is_none() {
            Ok(Some(account()))
        } else if get && asked.is("ping", ns::PING) {
            Ok(None)
        } else {
            Err(unavailable())
        };
        reply(cx, &iq, answer);
    }

    fn profile(&mut self, cx: &mut Cx<'_>, contacts: &Contacts, of: Chat, iq: Stanza) {
        let known = self.cache.iter().position(|(cached, _)| *cached == of);
        if let Some(entry) = known.and_then(|at| self.cache.remove(at)) {
            let card = card(&entry.1);
            self.cache.push_back(entry);
            return reply(cx, &iq, Ok(Some(card)));
        }
        if !cx.can(Capability::Profiles) {
            let alias = match &of {
                Chat::Contact(contact) => contacts.get(cx, contact.as_str()).and_then(|c| c.alias()).map(str::to_owned),
                Chat::Room(_) | Chat::Occupant { .. } => None,
            };
            let answer = match alias {
                Some(alias) => Ok(Some(card(&Profile {
                    nickname: Some(alias),
                    ..Profile::default()
                }))),
                None => Err(error(DefinedCondition::ItemNotFound, "The network has no profiles.")),
            };
            return reply(cx, &iq, answer);
        }
        let pending = Pending::Profile {
            of: of.clone(),
            iq: Box::new(iq.clone()),
        };
        if let Err((failed, _)) = cx.ask(Verb::FetchProfile(of), pending) {
            reply(cx, &iq, Err(op_error(&failed)));
        }
    }

    /// A profile has come, or not.
    pub(crate) fn profile_outcome(&mut self, cx: &mut Cx<'_>, contacts: &mut Contacts, fetched: Fetched, outcome: Outcome) {
        let Fetched { of, iq, seen } = fetched;
        let iq = &*iq;
        match outcome.map(Answer::profile) {
            Ok(Some(profile)) => {
                reply(cx, iq, Ok(Some(card(&profile))));
                self.seen(cx, contacts, of, profile, seen);
            }
            Ok(None) => reply(cx, iq, Ok(Some(element("vCard", ns::VCARD, &[])))),
            Err(failed) => reply(cx, iq, Err(op_error(&failed))),
        }
    }

    /// A profile has been seen: its picture's hash is known now, and the next request is answered at once.
    pub(crate) fn seen(&mut self, cx: &mut Cx<'_>, contacts: &mut Contacts, of: Chat, profile: Profile, seen: bool) {
        if let Chat::Contact(contact) = &of {
            contacts.photo(cx, contact, photo(&profile).map(|avatar| &*avatar.data), seen);
        }
        self.forget(&of);
        self.cache.push_back((of, Box::new(profile)));
        let bytes = |cache: &VecDeque<(Chat, Box<Profile>)>| -> usize {
            cache.iter().map(|(_, p)| p.avatar.as_ref().map_or(0, |a| a.data.len())).sum()
        };
        while self.cache.len() > CACHED_PROFILES || (bytes(&self.cache) > CACHED_BYTES && !self.cache.is_empty()) {
            self.cache.pop_front();
        }
    }

    /// Somebody's profile is not what it was.
    pub(crate) fn forget(&mut self, of: &Chat) {
        self.cache.retain(|(cached, _)| cached != of);
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&mut self) {
        self.cache = VecDeque::new();
    }
}

/// The rooms of the network have come, or not.
pub(crate) fn rooms_outcome(cx: &mut Cx<'_>, asked: &RoomsAsked, outcome: Outcome) {
    let answer = match outcome.map(Answer::rooms) {
        Ok(Some(list)) => room_items(cx, &list, asked.page.as_ref()).map(Some),
        Ok(None) => Ok(Some(element("query", ns::DISCO_ITEMS, &[]))),
        Err(failed) => Err(op_error(&failed)),
    };
    reply(cx, &asked.iq, answer);
}

/// Answers a request.
pub(crate) fn reply(cx: &mut Cx<'_>, iq: &Stanza, answer: Result<Option<Element>, StanzaError>) {
    let reply = match answer {
        Ok(payload) => iq.result_reply(payload),
        Err(error) => iq.error_reply(error),
    };
    if let Some(reply) = reply {
        cx.say(reply);
    }
}

fn unavailable() -> StanzaError {
    error(DefinedCondition::ServiceUnavailable, "")
}

fn empty_items(asked: &Element) -> Element {
    let mut items = element("query", ns::DISCO_ITEMS, &[]);
    if let Some(node) = asked.attr("node") {
        set(&mut items, "node", node);
    }
    items
}

fn version(cx: &Cx<'_>) -> Element {
    let mut query = element("query", ns::VERSION, &[]);
    let version = if cx.info.version.is_empty() {
        env!("CARGO_PKG_VERSION")
    } else {
        &cx.info.version
    };
    query.append_child(text_element("name", ns::VERSION, &cx.info.name));
    query.append_child(text_element("version", ns::VERSION, version));
    query
}

fn last(cx: &Cx<'_>, about: &About<'_>) -> Result<Element, StanzaError> {
    let idle = match about {
        About::Contact(contacts, contact) => contacts
            .get(cx, contact.as_str())
            .filter(|c| c.is_online())
            .and_then(|c| c.idle_since()),
        About::Other => None,
    };
    let since = idle.ok_or_else(|| error(DefinedCondition::ServiceUnavailable, "The network does not say when."))?;
    let seconds = cx.now.wall.as_millis().saturating_sub(since.as_millis()).max(0) / 1_000;
    Ok(element("query", payload::LAST, &[("seconds", &seconds.to_string())]))
}

/// What the user's own account is and can do.
fn account() -> Element {
    let mut query = element("query", ns::DISCO_INFO, &[]);
    query.append_child(element(
        "identity",
        ns::DISCO_INFO,
        &[("category", "account"), ("type", "registered")],
    ));
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, ns::ROSTER, ns::VCARD] {
        query.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
    }
    query
}

fn set_profile(cx: &mut Cx<'_>, vcard: &Element, iq: Stanza) {
    let update = match profile_update(vcard) {
        Ok(update) => update,
        Err(refused) => return reply(cx, &iq, Err(refused)),
    };
    if !cx.can(Capability::OwnProfile) {
        let text = "Profiles cannot be changed on this network.";
        return reply(cx, &iq, Err(error(DefinedCondition::FeatureNotImplemented, text)));
    }
    if let Err((failed, _)) = cx.ask(Verb::SetProfile(update), Pending::Iq(Box::new(iq.clone()))) {
        reply(cx, &iq, Err(op_error(&failed)));
    }
}

/// A card replaces the whole card (XEP-0054 3.2); names that it does not have are left alone, because clients leave out what
/// they do not know.
fn profile_update(vcard: &Element) -> Result<ProfileUpdate, StanzaError> {
    let text = |name: &str| match vcard.get_child(name, ns::VCARD).map(Element::text) {
        None => Patch::Keep,
        Some(text) if text.trim().is_empty() => Patch::Clear,
        Some(text) if text.len() <= MAX_TEXT_BYTES => Patch::Set(text),
        Some(_) => Patch::Keep,
    };
    let photo = vcard.get_child("PHOTO", ns::VCARD);
    let avatar = match photo.and_then(|photo| photo.get_child("BINVAL", ns::VCARD)) {
        None => Patch::Clear,
        Some(binval) => {
            let data = payload::from_base64(&binval.text())
                .filter(|data| !data.is_empty())
                .ok_or_else(|| error(DefinedCondition::BadRequest, "The picture is no base64."))?;
            let media_type = photo
                .and_then(|photo| photo.get_child("TYPE", ns::VCARD))
                .map(Element::text)
                .unwrap_or_default();
            Patch::Set(Avatar {
                media_type,
                data: data.into(),
            })
        }
    };
    Ok(ProfileUpdate {
        full_name: text("FN"),
        nickname: text("NICKNAME"),
        avatar,
    })
}

fn rooms(cx: &mut Cx<'_>, listed: &[RoomSummary], iq: Stanza, asked: &Element) {
    let page = match rsm::Wanted::of(asked) {
        Ok(page) => page,
        Err(refused) => return reply(cx, &iq, Err(refused)),
    };
    if !cx.can(Capability::RoomList) || (!cx.online && !listed.is_empty()) {
        let items = room_items(cx, listed, page.as_ref()).map(Some);
        return reply(cx, &iq, items);
    }
    let asked = RoomsAsked { iq: iq.clone(), page };
    if let Err((failed, _)) = cx.ask(Verb::ListRooms, Pending::RoomList(Box::new(asked))) {
        reply(cx, &iq, Err(op_error(&failed)));
    }
}

/// Rooms as items, in the order of their addresses so that pages fit together. Without a page the first thousand.
fn room_items(cx: &mut Cx<'_>, list: &[RoomSummary], page: Option<&rsm::Wanted>) -> Result<Element, StanzaError> {
    let mut rooms: Vec<(String, &RoomSummary)> = list
        .iter()
        .map(|room| (cx.address(&LegacyName::from(&room.id)).to_string(), room))
        .collect();
    rooms.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    rooms.dedup_by(|(one, _), (other, _)| one == other);
    let (rooms, told) = match page {
        Some(page) => {
            let (rooms, told) = page.cut(&rooms, MAX_ROOMS, |(jid, _)| jid)?;
            (rooms, Some(told))
        }
        None => (rooms.get(..MAX_ROOMS as usize).unwrap_or(&rooms), None),
    };
    let mut items = element("query", ns::DISCO_ITEMS, &[]);
    for (jid, room) in rooms {
        let name = room.name.as_deref().unwrap_or(room.id.as_str());
        let name = match room.occupants {
            Some(count) => format!("{name} ({count})"),
            None => name.to_owned(),
        };
        let name = crate::session::text::shorten(&name, 256);
        items.append_child(element("item", ns::DISCO_ITEMS, &[("jid", jid), ("name", name)]));
    }
    if let Some(told) = told {
        items.append_child(told);
    }
    Ok(items)
}

/// The picture, unless it is too long to be passed on.
fn photo(profile: &Profile) -> Option<&Avatar> {
    profile
        .avatar
        .as_ref()
        .filter(|avatar| !avatar.data.is_empty() && avatar.data.len() <= MAX_PHOTO_BYTES)
}

/// A profile as a card.
fn card(profile: &Profile) -> Element {
    let short = |text: &str| crate::session::text::shorten(text, MAX_TEXT_BYTES).to_owned();
    let mut vcard = element("vCard", ns::VCARD, &[]);
    if let Some(name) = profile.full_name.as_deref().filter(|n| !n.is_empty()) {
        vcard.append_child(text_element("FN", ns::VCARD, &short(name)));
    }
    if let Some(name) = profile.nickname.as_deref().filter(|n| !n.is_empty()) {
        vcard.append_child(text_element("NICKNAME", ns::VCARD, &short(name)));
    }
    if let Some(avatar) = photo(profile) {
        let mut photo = element("PHOTO", ns::VCARD, &[]);
        photo.append_child(text_element("TYPE", ns::VCARD, &avatar.media_type));
        photo.append_child(text_element("BINVAL", ns::VCARD, &payload::base64(&avatar.data)));
        vcard.append_child(photo);
    }
    if !profile.notes.is_empty() {
        let notes: Vec<_> = profile
            .notes
            .iter()
            .take(MAX_NOTES)
            .map(|(label, value)| format!("{label}: {value}"))
            .collect();
        vcard.append_child(text_element("DESC", ns::VCARD, &short(&notes.join("\n"))));
    }
    vcard
}
