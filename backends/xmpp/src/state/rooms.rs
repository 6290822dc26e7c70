//! Rooms the user is in or enters (XEP-0045): who is there, what they are, and how it ends. Ids of occupants (XEP-0421) and of
//! messages (XEP-0359) are believed where the room says that it makes them.

use std::collections::{HashMap, HashSet};

use jid::{BareJid, Jid};
use minidom::Element;
use spectrum_backend_sdk::model::{
    Affiliation, AvatarHash, Departure, Joined, Nickname, Occupant, OccupantGone, OccupantRenamed, Role, RoomClosed, RoomSubject,
};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};
use tokio::sync::oneshot;

use super::Effect;
use super::ids::RecentMessages;
use super::roster::{read_presence, vcard_hash};
use crate::address::{contact, parse, room as room_id};
use crate::errors::{self, About};
use crate::ns;
use crate::xml::{element, iq, nonempty_text, wrap};

/// Rooms of one session.
pub(crate) const MAX_ROOMS: usize = 500;

/// Occupants of one room. Beyond it people speak and are not listed.
const MAX_OCCUPANTS: usize = 20_000;

/// A room.
#[derive(Debug)]
pub(crate) struct Room {
    jid: BareJid,
    /// The user's own name in it.
    pub(crate) nickname: String,
    pub(crate) is_joined: bool,
    occupants: HashMap<Box<str>, Present>,
    /// What the room says of itself (disco).
    pub(crate) features: Features,
    pub(crate) recent: RecentMessages,
    joining: Option<oneshot::Sender<OpResult<Joined>>>,
    renaming: Option<oneshot::Sender<OpResult<()>>>,
}

/// What is kept of an occupant.
#[derive(Debug)]
struct Present {
    /// The real address, where the room shows it.
    jid: Option<BareJid>,
}

/// What a room can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Features {
    /// It names messages (XEP-0359).
    pub(crate) names_messages: bool,
    /// It names occupants (XEP-0421).
    pub(crate) names_occupants: bool,
    /// It keeps an archive (XEP-0313).
    pub(crate) has_archive: bool,
}

/// All rooms.
#[derive(Debug, Default)]
pub(crate) struct Rooms(HashMap<BareJid, Room>);

impl Rooms {
    /// A room that is entered. What is left of an earlier try is answered.
    pub(crate) fn enter(
        &mut self,
        jid: BareJid,
        nickname: &str,
        features: Features,
    ) -> OpResult<oneshot::Receiver<OpResult<Joined>>> {
        if self.0.len() >= MAX_ROOMS && !self.0.contains_key(&jid) {
            return Err(OpError::new(OpErrorKind::RateLimited, "You are in too many rooms already."));
        }
        let (joining, joined) = oneshot::channel();
        let room = Room {
            jid: jid.clone(),
            nickname: nickname.to_owned(),
            is_joined: false,
            occupants: HashMap::new(),
            features,
            recent: RecentMessages::default(),
            joining: Some(joining),
            renaming: None,
        };
        self.0.insert(jid, room);
        Ok(joined)
    }

    /// A room that the user is in or enters.
    pub(crate) fn get(&self, jid: &BareJid) -> Option<&Room> {
        self.0.get(jid)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, jid: &BareJid) -> Option<&mut Room> {
        self.0.get_mut(jid)
    }

    /// The user is out, or never got in.
    pub(crate) fn forget(&mut self, jid: &BareJid) -> Option<Room> {
        self.0.remove(jid)
    }

    /// The addresses under which the user is in rooms.
    pub(crate) fn own_addresses(&self) -> Vec<String> {
        let joined = self.0.values().filter(|room| room.is_joined);
        joined.map(|room| format!("{}/{}", room.jid, room.nickname)).collect()
    }

    /// The session is over.
    pub(crate) fn end(&mut self) {
        self.0.clear();
    }

    /// Presence from a room or somebody in it.
    pub(crate) fn presence(&mut self, from: &Jid, stanza: &Element) -> Vec<Effect> {
        let jid = from.to_bare();
        let Some(room) = self.0.get_mut(&jid) else { return Vec::new() };
        let mut effects = Vec::new();
        let is_over = match (stanza.attr("type"), from.resource()) {
            (Some("error"), _) => room.refused(stanza),
            (Some("unavailable"), Some(nick)) => room.gone(nick.as_str(), stanza, &mut effects),
            (Some("unavailable"), None) => room.closed(stanza, &mut effects),
            (None, Some(nick)) => {
                room.here(nick.as_str(), stanza, &mut effects);
                false
            }
            (Some(_), _) | (None, None) => false,
        };
        if is_over {
            self.0.remove(&jid);
        }
        effects
    }
}

/// The status codes of a stanza (XEP-0045 15.6).
fn codes(stanza: &Element) -> HashSet<&str> {
    let x = stanza.get_child("x", ns::MUC_USER);
    let statuses = x
        .into_iter()
        .flat_map(Element::children)
        .filter(|child| child.is("status", ns::MUC_USER));
    statuses.filter_map(|status| status.attr("code")).take(16).collect()
}

fn item(stanza: &Element) -> Option<&Element> {
    stanza.get_child("x", ns::MUC_USER)?.get_child("item", ns::MUC_USER)
}

fn affiliation(text: Option<&str>) -> Affiliation {
    match text {
        Some("owner") => Affiliation::Owner,
        Some("admin") => Affiliation::Admin,
        Some("member") => Affiliation::Member,
        Some("outcast") => Affiliation::Outcast,
        Some(_) | None => Affiliation::None,
    }
}

fn role(text: Option<&str>) -> Role {
    match text {
        Some("moderator") => Role::Moderator,
        Some("visitor") => Role::Visitor,
        Some(_) | None => Role::Participant,
    }
}

impl Room {
    /// The real address of somebody in it, where the room shows it.
    pub(crate) fn address_of(&self, nickname: &str) -> Option<&BareJid> {
        self.occupants.get(nickname)?.jid.as_ref()
    }

    /// Whether somebody of that name is in it.
    pub(crate) fn has(&self, nickname: &str) -> bool {
        self.occupants.contains_key(nickname)
    }

    /// Waits for a change of the user's name.
    pub(crate) fn rename(&mut self) -> oneshot::Receiver<OpResult<()>> {
        let (renaming, renamed) = oneshot::channel();
        self.renaming = Some(renaming);
        renamed
    }

    fn here(&mut self, nick: &str, stanza: &Element, effects: &mut Vec<Effect>) {
        let codes = codes(stanza);
        let item = item(stanza);
        let is_self = codes.contains("110") || nick == self.nickname;
        let jid = item.and_then(|item| parse(item.attr("jid")?)).map(Jid::into_bare);
        if is_self && !self.is_joined {
            // The room may have changed the name (210).
            nick.clone_into(&mut self.nickname);
        }
        if self.occupants.len() >= MAX_OCCUPANTS && !self.occupants.contains_key(nick) && !is_self {
            return;
        }
        let mut occupant = Occupant::new(room_id(&self.jid), nick);
        occupant.affiliation = affiliation(item.and_then(|item| item.attr("affiliation")));
        occupant.role = role(item.and_then(|item| item.attr("role")));
        occupant.presence = read_presence(stanza);
        occupant.contact = jid.as_ref().map(contact);
        if self.features.names_occupants {
            let id = stanza.get_child("occupant-id", ns::OCCUPANT_ID).and_then(|id| id.attr("id"));
            occupant.stable_id = id.filter(|id| !id.is_empty() && id.len() <= 256).map(str::to_owned);
        }
        occupant.avatar = vcard_hash(stanza).flatten().map(AvatarHash::new);
        self.occupants.insert(nick.into(), Present { jid });
        effects.push(Effect::Event(Event::Occupant(occupant)));
        if !is_self {
            return;
        }
        if codes.contains("201") {
            // It did not exist: as it is by default it is good enough (XEP-0045 10.1.2).
            let form = element("x", ns::DATA, &[("type", "submit")]);
            let query = wrap("query", ns::MUC_OWNER, form);
            effects.push(Effect::Send(iq("set", Some(self.jid.as_str()), "instant-room", Some(query))));
        }
        self.is_joined = true;
        if let Some(joining) = self.joining.take() {
            // Nobody waits if the verb was cancelled.
            let _ = joining.send(Ok(Joined {
                nickname: Nickname::from(nick),
            }));
        }
    }

    /// True if the user is out.
    fn gone(&mut self, nick: &str, stanza: &Element, effects: &mut Vec<Effect>) -> bool {
        let codes = codes(stanza);
        let item = item(stanza);
        let is_self = codes.contains("110") || nick == self.nickname;
        if codes.contains("303")
            && let Some(new) = item.and_then(|item| item.attr("nick")).filter(|new| !new.is_empty())
        {
            self.renamed(nick, new, is_self, effects);
            return false;
        }
        self.occupants.remove(nick);
        let reason = item.and_then(|item| nonempty_text(item, "reason", ns::MUC_USER));
        let by = item
            .and_then(|item| item.get_child("actor", ns::MUC_USER)?.attr("nick"))
            .map(Nickname::from);
        let departure = if codes.contains("301") {
            Departure::Banned { by }
        } else if codes.contains("307") || codes.contains("321") || codes.contains("322") {
            Departure::Kicked { by }
        } else if codes.contains("333") {
            Departure::Disconnected
        } else {
            Departure::Left
        };
        let was_thrown_out = matches!(departure, Departure::Banned { .. } | Departure::Kicked { .. });
        if is_self && !was_thrown_out {
            return self.closed(stanza, effects);
        }
        effects.push(Effect::Event(Event::OccupantGone(OccupantGone {
            room: room_id(&self.jid),
            nickname: Nickname::from(nick),
            departure,
            reason,
        })));
        is_self
    }

    fn renamed(&mut self, old: &str, new: &str, is_self: bool, effects: &mut Vec<Effect>) {
        if let Some(present) = self.occupants.remove(old) {
            self.occupants.insert(new.into(), present);
        }
        let address = |nick: &str| format!("{}/{nick}", self.jid);
        self.recent.rename(&address(old), &address(new));
        if is_self {
            new.clone_into(&mut self.nickname);
            if let Some(renaming) = self.renaming.take() {
                let _ = renaming.send(Ok(()));
            }
        }
        effects.push(Effect::Event(Event::OccupantRenamed(OccupantRenamed {
            room: room_id(&self.jid),
            old: Nickname::from(old),
            new: Nickname::from(new),
        })));
    }

    /// The user is out without anybody having thrown them out.
    fn closed(&mut self, stanza: &Element, effects: &mut Vec<Effect>) -> bool {
        let destroy = stanza
            .get_child("x", ns::MUC_USER)
            .and_then(|x| x.get_child("destroy", ns::MUC_USER));
        let (reason, rejoin) = match destroy {
            Some(destroy) => {
                let why = nonempty_text(destroy, "reason", ns::MUC_USER);
                (why.unwrap_or_else(|| "The room was closed down.".to_owned()), false)
            }
            None => ("The room has shut you out, or its server has gone.".to_owned(), true),
        };
        if let Some(joining) = self.joining.take() {
            let _ = joining.send(Err(OpError::new(OpErrorKind::NotAllowed, reason)));
            return true;
        }
        effects.push(Effect::Event(Event::RoomClosed(RoomClosed {
            room: room_id(&self.jid),
            reason,
            rejoin,
        })));
        true
    }

    /// A request to enter, or to be called something else, was refused. True if the user is not in.
    fn refused(&mut self, stanza: &Element) -> bool {
        let error = errors::from_stanza(stanza, About::Join);
        if let Some(joining) = self.joining.take() {
            let _ = joining.send(Err(error));
            return true;
        }
        if let Some(renaming) = self.renaming.take() {
            let _ = renaming.send(Err(error));
        }
        false
    }

    /// The subject, as the room tells it.
    pub(crate) fn subject(&self, nick: Option<&str>, subject: String, stanza: &Element) -> Event {
        Event::RoomSubject(RoomSubject {
            room: room_id(&self.jid),
            subject,
            by: nick.map(str::to_owned),
            timestamp: crate::said::delay(stanza),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::model::Presence;

    use super::*;

    const ROOM: &str = "r@muc.b.example";

    fn entered() -> (Rooms, oneshot::Receiver<OpResult<Joined>>) {
        let mut rooms = Rooms::default();
        let features = Features {
            names_occupants: true,
            ..Features::default()
        };
        let joined = rooms.enter(BareJid::new(ROOM).unwrap(), "Alice", features).unwrap();
        (rooms, joined)
    }

    fn presence(rooms: &mut Rooms, nick: &str, attributes: &str, inner: &str) -> Vec<Event> {
        let xml = format!("<presence xmlns='jabber:client' {attributes}>{inner}</presence>");
        let effects = rooms.presence(&Jid::new(&format!("{ROOM}/{nick}")).unwrap(), &xml.parse().unwrap());
        let events = effects.into_iter().filter_map(|effect| match effect {
            Effect::Event(event) => Some(event),
            Effect::Send(_) => None,
        });
        events.collect()
    }

    fn x(inner: &str) -> String {
        format!("<x xmlns='http://jabber.org/protocol/muc#user'>{inner}</x>")
    }

    fn joined() -> Rooms {
        let (mut rooms, mut waiting) = entered();
        let bob = x("<item affiliation='owner' role='moderator' jid='bob@b.example/x'/>");
        let bob = format!("{bob}<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o1'/><show>away</show>");
        let mut expected = Occupant::new(ROOM.into(), "Bob");
        (expected.role, expected.affiliation) = (Role::Moderator, Affiliation::Owner);
        expected.contact = Some("bob@b.example".into());
        expected.stable_id = Some("o1".to_owned());
        expected.presence = Presence::of(spectrum_backend_sdk::model::Availability::Away);
        assert_eq!(presence(&mut rooms, "Bob", "", &bob), [Event::Occupant(expected)]);
        assert!(waiting.try_recv().is_err(), "the user is not in before the room shows them");
        presence(
            &mut rooms,
            "Alice_",
            "",
            &x("<item affiliation='none' role='visitor'/><status code='110'/><status code='210'/>"),
        );
        assert_eq!(waiting.try_recv().unwrap().unwrap().nickname, "Alice_".into());
        rooms
    }

    #[test]
    fn the_user_is_in_when_the_room_shows_them_under_the_name_it_gave() {
        let rooms = joined();
        assert_eq!(rooms.own_addresses(), ["r@muc.b.example/Alice_"]);
    }

    #[test]
    fn a_room_that_did_not_exist_is_opened_as_it_is() {
        let (mut rooms, _waiting) = entered();
        let xml = format!(
            "<presence xmlns='jabber:client'>{}</presence>",
            x("<status code='110'/><status code='201'/>")
        );
        let effects = rooms.presence(&Jid::new(&format!("{ROOM}/Alice")).unwrap(), &xml.parse().unwrap());
        let expected = "<iq xmlns='jabber:client' type='set' id='instant-room' to='r@muc.b.example'>\
                        <query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>";
        assert_eq!(effects.last(), Some(&Effect::Send(expected.parse().unwrap())));
    }

    #[test]
    fn a_refused_entrance_is_an_error_of_the_verb_and_leaves_nothing() {
        let (mut rooms, mut waiting) = entered();
        let error = "<error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        assert_eq!(presence(&mut rooms, "Alice", "type='error'", error), []);
        assert_eq!(waiting.try_recv().unwrap().unwrap_err().kind, OpErrorKind::NotAuthorized);
        assert!(rooms.get(&BareJid::new(ROOM).unwrap()).is_none());
    }

    #[test]
    fn kicks_bans_and_leaves_are_told_apart() {
        let mut rooms = joined();
        let gone = |departure: Departure, reason: Option<&str>| {
            Event::OccupantGone(OccupantGone {
                room: ROOM.into(),
                nickname: "Bob".into(),
                departure,
                reason: reason.map(str::to_owned),
            })
        };
        let kick = x("<item role='none'><actor nick='Carol'/><reason>spam</reason></item><status code='307'/>");
        let by = Some("Carol".into());
        assert_eq!(
            presence(&mut rooms, "Bob", "type='unavailable'", &kick),
            [gone(Departure::Kicked { by: by.clone() }, Some("spam"))]
        );
        let ban = x("<item affiliation='outcast' role='none'><actor nick='Carol'/></item><status code='301'/>");
        assert_eq!(
            presence(&mut rooms, "Bob", "type='unavailable'", &ban),
            [gone(Departure::Banned { by }, None)]
        );
        assert_eq!(
            presence(&mut rooms, "Bob", "type='unavailable'", ""),
            [gone(Departure::Left, None)]
        );
    }

    #[test]
    fn the_user_thrown_out_is_gone_and_a_room_shut_down_is_entered_again() {
        let mut rooms = joined();
        let kick = x("<item role='none'/><status code='110'/><status code='307'/>");
        assert!(matches!(
            presence(&mut rooms, "Alice_", "type='unavailable'", &kick)[..],
            [Event::OccupantGone(OccupantGone {
                departure: Departure::Kicked { .. },
                ..
            })]
        ));
        assert!(rooms.get(&BareJid::new(ROOM).unwrap()).is_none());
        let mut rooms = joined();
        let down = x("<item role='none'/><status code='110'/><status code='332'/>");
        assert!(matches!(
            presence(&mut rooms, "Alice_", "type='unavailable'", &down)[..],
            [Event::RoomClosed(RoomClosed { rejoin: true, .. })]
        ));
        let mut rooms = joined();
        let destroyed = x("<destroy><reason>moved</reason></destroy>");
        let Event::RoomClosed(closed) = presence(&mut rooms, "Alice_", "type='unavailable'", &destroyed).remove(0) else {
            panic!("not closed")
        };
        assert_eq!((closed.reason.as_str(), closed.rejoin), ("moved", false));
    }

    #[test]
    fn a_change_of_name_is_told_and_answers_who_asked_for_it() {
        let mut rooms = joined();
        let mut waiting = rooms.get_mut(&BareJid::new(ROOM).unwrap()).unwrap().rename();
        let change = x("<item nick='Alicia'/><status code='110'/><status code='303'/>");
        let renamed = Event::OccupantRenamed(OccupantRenamed {
            room: ROOM.into(),
            old: "Alice_".into(),
            new: "Alicia".into(),
        });
        assert_eq!(presence(&mut rooms, "Alice_", "type='unavailable'", &change), [renamed]);
        assert!(waiting.try_recv().unwrap().is_ok());
        assert_eq!(rooms.own_addresses(), ["r@muc.b.example/Alicia"]);
        let mut waiting = rooms.get_mut(&BareJid::new(ROOM).unwrap()).unwrap().rename();
        let taken = "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        presence(&mut rooms, "Bob", "type='error'", taken);
        assert_eq!(waiting.try_recv().unwrap().unwrap_err().kind, OpErrorKind::Conflict);
        assert_eq!(rooms.own_addresses().len(), 1, "the user is still in");
    }
}
