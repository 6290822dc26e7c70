//! Messages: whose they are, where they belong, and as which events they are told.

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_backend_sdk::Event;
use spectrum_backend_sdk::model::{Chat, Invitation, MessageId, Nickname, Origin, Sent};

use super::archive::forwarded;
use super::bookmarks;
use super::roster::is_hash;
use super::{Archived, Effect, Recent, State, snippet};
use crate::address::{contact, parse, room as room_id};
use crate::errors::{self, About};
use crate::ns;
use crate::said::{Act, Place, Said};
use crate::xml::nonempty_text;

impl State {
    /// A message from the server.
    pub(super) fn message(&mut self, from: &Jid, stanza: &Element) -> Vec<Effect> {
        if let Some(result) = stanza.get_child("result", ns::MAM) {
            let archive = (!self.is_account(from)).then(|| from.as_str());
            self.queries.take(archive, result);
            return Vec::new();
        }
        for direction in ["received", "sent"] {
            if let Some(carbon) = stanza.get_child(direction, ns::CARBONS) {
                // Anybody can write such a message; only the account's own is a copy of what another device said or heard.
                if !self.is_account(from) {
                    return Vec::new();
                }
                return forwarded(carbon).map(|inner| self.heard(&inner, None)).unwrap_or_default();
            }
        }
        if let Some(event) = stanza.get_child("event", ns::PUBSUB_EVENT) {
            return self.published(from, event).into_iter().map(Effect::Event).collect();
        }
        self.note_place(stanza);
        self.heard_from(from, stanza, None)
    }

    /// A message that was forwarded: by another device, or out of the account's archive (`uid`).
    pub(crate) fn heard(&mut self, inner: &Element, uid: Option<&str>) -> Vec<Effect> {
        let Some(from) = inner.attr("from").and_then(parse) else {
            return Vec::new();
        };
        // Rooms say everything to every device, and have archives of their own.
        if inner.attr("type") == Some("groupchat") {
            return Vec::new();
        }
        match uid {
            Some(uid) => self.caught_up_to(uid),
            None => self.note_place(inner),
        }
        if from.to_bare() != self.me {
            return self.heard_from(&from, inner, uid);
        }
        let Some(to) = inner.attr("to").and_then(parse) else {
            return Vec::new();
        };
        let chat = match to.resource() {
            Some(nick) if inner.has_child("x", ns::MUC_USER) || self.rooms.get(&to.to_bare()).is_some() => Chat::Occupant {
                room: room_id(&to.to_bare()),
                nickname: Nickname::from(nick.as_str()),
            },
            _ => Chat::Contact(contact(&to.to_bare())),
        };
        let said = Said::read(inner);
        self.tell(said, chat, Origin::OwnOtherDevice, uid)
    }

    fn heard_from(&mut self, from: &Jid, stanza: &Element, uid: Option<&str>) -> Vec<Effect> {
        let bare = from.to_bare();
        let nick = from.resource().map(|r| r.as_str().to_owned());
        if stanza.attr("type") == Some("error") {
            return self.bounced(from, stanza);
        }
        if let Some(invitation) = invitation(from, stanza) {
            return vec![Effect::Event(Event::Invited(invitation))];
        }
        if stanza.attr("type") == Some("groupchat") {
            return self.heard_in_room(&bare, nick.as_deref(), stanza);
        }
        let is_room = self.rooms.get(&bare).is_some();
        let chat = match nick {
            Some(nickname) if is_room || stanza.has_child("x", ns::MUC_USER) => Chat::Occupant {
                room: room_id(&bare),
                nickname: nickname.into(),
            },
            // The room itself has something to say, such as why nobody hears the user.
            None if is_room => return self.heard_in_room(&bare, None, stanza),
            _ if bare.node().is_none() && bare.domain() == self.me.domain() => {
                let said = Said::read(stanza);
                return (!said.body.is_empty())
                    .then(|| Effect::Event(Event::Notice(said.body)))
                    .into_iter()
                    .collect();
            }
            _ => Chat::Contact(contact(&bare)),
        };
        let said = Said::read(stanza);
        self.tell(said, chat, Origin::Other, uid)
    }

    fn tell(&mut self, said: Said, chat: Chat, origin: Origin, uid: Option<&str>) -> Vec<Effect> {
        if said.act == Act::Speak {
            let (with, author) = match &chat {
                Chat::Contact(contact) => (contact.as_str().to_owned(), contact.as_str().to_owned()),
                Chat::Room(room) => (room.as_str().to_owned(), room.as_str().to_owned()),
                Chat::Occupant { room, nickname } => {
                    let address = format!("{room}/{nickname}");
                    (address.clone(), address)
                }
            };
            let author = match origin {
                Origin::Other => author,
                Origin::OwnOtherDevice => self.me.to_string(),
            };
            if let Some(id) = said.id.as_deref().or(uid) {
                self.recent.add(Recent {
                    chat: with.into(),
                    id: id.into(),
                    origin: id.into(),
                    author: author.into(),
                    snippet: snippet(&said.body),
                });
            }
        }
        let id = if said.id.is_none() { uid.map(str::to_owned) } else { None };
        let place = Place {
            chat,
            nickname: None,
            origin,
            id,
        };
        said.events(place).map(Effect::Event).into_iter().collect()
    }

    fn heard_in_room(&mut self, jid: &BareJid, nick: Option<&str>, stanza: &Element) -> Vec<Effect> {
        // Of rooms that the user is not in nothing is heard.
        let Some(room) = self.rooms.get_mut(jid) else {
            return Vec::new();
        };
        let mut said = Said::read(stanza);
        if let Act::Subject(subject) = said.act {
            return vec![Effect::Event(room.subject(nick, subject, stanza))];
        }
        let named = stanza_id(stanza, jid).filter(|_| room.features.names_messages);
        let author = nick.map_or_else(|| jid.to_string(), |nick| format!("{jid}/{nick}"));
        let is_own = nick == Some(room.nickname.as_str());
        let id = named.clone().or_else(|| said.id.clone());
        if let (Some(origin), Some(id)) = (&said.id, &id)
            && !matches!(said.act, Act::State(_) | Act::Nothing)
        {
            // What the user said comes back as a line of the room: for whoever sent it that is the confirmation.
            let is_echo = is_own && room.recent.by_origin(jid.as_str(), &author, origin).is_some();
            if is_own && let Some(waiting) = self.sending.remove(origin) {
                let _ = waiting.send(Ok(Sent {
                    id: Some(MessageId::from(id.as_str())),
                    timestamp: said.timestamp,
                }));
                room.recent.add(recent(jid, id, origin, &author, &said));
                return Vec::new();
            }
            if is_echo {
                return Vec::new();
            }
            room.recent.add(recent(jid, id, origin, &author, &said));
        }
        if let Act::Correct(old) = &mut said.act
            && let Some(found) = room.recent.by_origin(jid.as_str(), &author, old)
        {
            *old = found.id.to_string();
        }
        let place = Place {
            chat: Chat::Room(room_id(jid)),
            nickname: nick.map(Nickname::from),
            origin: if is_own { Origin::OwnOtherDevice } else { Origin::Other },
            id: named,
        };
        said.events(place).map(Effect::Event).into_iter().collect()
    }

    /// A message came back.
    fn bounced(&mut self, from: &Jid, stanza: &Element) -> Vec<Effect> {
        let Some(id) = stanza.attr("id") else { return Vec::new() };
        let bare = from.to_bare();
        let is_room = self.rooms.get(&bare).is_some();
        let error = errors::from_stanza(stanza, if is_room { About::Room } else { About::Contact });
        if let Some(waiting) = self.sending.remove(id) {
            let _ = waiting.send(Err(error));
            return Vec::new();
        }
        // It was sent, and came back when nobody waited any more. Only for what was really said to them: anybody can write
        // such a message.
        let known = self
            .recent
            .by_either(bare.as_str(), id)
            .filter(|r| *r.author == *self.me.as_str());
        let text = known.map(|_| format!("Your message to {bare} was not delivered: {}", error.text));
        text.map(|text| Effect::Event(Event::Notice(text))).into_iter().collect()
    }

    /// Something was published (XEP-0163): of interest are avatars, and bookmarks of the account's own.
    fn published(&mut self, from: &Jid, event: &Element) -> Vec<Event> {
        let Some(items) = event.get_child("items", ns::PUBSUB_EVENT) else {
            return Vec::new();
        };
        if items.attr("node") != Some(ns::BOOKMARKS) {
            return self.avatar(from, items).into_iter().collect();
        }
        if self.is_account(from) {
            bookmarks::changed(items)
        } else {
            Vec::new()
        }
    }

    fn avatar(&mut self, from: &Jid, items: &Element) -> Option<Event> {
        if items.attr("node") != Some(ns::AVATAR_METADATA) || from.resource().is_some() {
            return None;
        }
        let item = items.get_child("item", ns::PUBSUB_EVENT)?;
        let metadata = item.get_child("metadata", ns::AVATAR_METADATA)?;
        let hash = metadata
            .children()
            .find(|info| info.is("info", ns::AVATAR_METADATA))
            .and_then(|info| info.attr("id"));
        self.roster.published(&from.to_bare(), hash.filter(|hash| is_hash(hash)))
    }

    /// Notes where in the account's archive a message is.
    fn note_place(&mut self, message: &Element) {
        if let Some(uid) = stanza_id(message, &self.me) {
            self.place.is_live = true;
            self.at(&uid);
        }
    }

    /// A message of the account's archive that the user looks at: nothing is caught up with by that.
    pub(crate) fn old(&mut self, archived: &Archived) -> Vec<Effect> {
        let place = self.place.clone();
        let effects = self.heard(&archived.message, Some(&archived.uid));
        self.place = place;
        effects
    }

    /// A message of a room's archive; `named` has what corrections on the same page refer to.
    pub(crate) fn old_in_room(&self, jid: &BareJid, archived: &Archived, named: &mut Vec<Named>) -> Vec<Effect> {
        let Some(from) = archived
            .message
            .attr("from")
            .and_then(parse)
            .filter(|from| from.to_bare() == *jid)
        else {
            return Vec::new();
        };
        let nick = from.resource().map(|r| r.as_str());
        let mut said = Said::read(&archived.message);
        if let Some(origin) = &said.id {
            named.push(Named {
                author: from.to_string(),
                origin: origin.clone(),
                uid: archived.uid.clone(),
            });
        }
        if let Act::Correct(old) = &mut said.act
            && let Some(found) = named.iter().rev().find(|n| n.author == from.as_str() && n.origin == *old)
        {
            old.clone_from(&found.uid);
        }
        let is_own = self.rooms.get(jid).is_some_and(|room| nick == Some(room.nickname.as_str()));
        let place = Place {
            chat: Chat::Room(room_id(jid)),
            nickname: nick.map(Nickname::from),
            origin: if is_own { Origin::OwnOtherDevice } else { Origin::Other },
            id: Some(archived.uid.clone()),
        };
        said.events(place).map(Effect::Event).into_iter().collect()
    }

    /// The messages of a page of the account's archive, as events.
    pub(crate) fn catch_up(&mut self, page: &[Archived]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for archived in page {
            let own = archived
                .message
                .attr("id")
                .is_some_and(|id| self.place.own.iter().any(|own| own == id));
            if own {
                continue;
            }
            let keep = std::mem::take(&mut self.place.own);
            effects.extend(self.heard(&archived.message, Some(&archived.uid)));
            // Whether more of them come is not known before the last page.
            self.place.own = keep;
        }
        effects
    }
}

/// How a message of an archive was called by its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    author: String,
    origin: String,
    uid: String,
}

fn recent(jid: &BareJid, id: &str, origin: &str, author: &str, said: &Said) -> Recent {
    Recent {
        chat: jid.as_str().into(),
        id: id.into(),
        origin: origin.into(),
        author: author.into(),
        snippet: snippet(&said.body),
    }
}

/// The id that somebody gave a message (XEP-0359).
pub(crate) fn stanza_id(message: &Element, by: &BareJid) -> Option<String> {
    let mut ids = message.children().filter(|child| child.is("stanza-id", ns::SID));
    let id = ids.find(|id| id.attr("by").and_then(parse).is_some_and(|jid| jid.as_str() == by.as_str()))?;
    id.attr("id")
        .filter(|id| !id.is_empty() && id.len() <= 1_024)
        .map(str::to_owned)
}

/// An invitation: through the room (XEP-0045 7.8.2), or from a person (XEP-0249).
fn invitation(from: &Jid, stanza: &Element) -> Option<Invitation> {
    if let Some(x) = stanza.get_child("x", ns::MUC_USER)
        && let Some(invite) = x.get_child("invite", ns::MUC_USER)
    {
        // The room says who it was; a person could only say so of themselves.
        from.resource().is_none().then_some(())?;
        return Some(Invitation {
            room: room_id(&from.to_bare()),
            from: invite.attr("from").and_then(parse).map(|jid| contact(&jid.to_bare())),
            reason: nonempty_text(invite, "reason", ns::MUC_USER),
            password: nonempty_text(x, "password", ns::MUC_USER),
        });
    }
    let x = stanza.get_child("x", ns::CONFERENCE)?;
    let room = parse(x.attr("jid")?).filter(|jid| jid.resource().is_none() && jid.node().is_some())?;
    // Rooms repeat their invitation in this form for old clients; then the person is not known by the sender's address.
    let person = (from.to_bare() != room.to_bare()).then(|| contact(&from.to_bare()));
    Some(Invitation {
        room: room_id(&room.to_bare()),
        from: person,
        reason: x.attr("reason").filter(|reason| !reason.is_empty()).map(str::to_owned),
        password: x.attr("password").filter(|password| !password.is_empty()).map(str::to_owned),
    })
}
