//! Rooms (XEP-0045): entering and leaving, what they are, who may what, and where they are found (XEP-0030).

use minidom::Element;
use spectrum_backend_sdk::model::{
    Affiliation, Availability, Chat, ContactId, JoinRoom, Joined, Nickname, Role, RoomId, RoomInfo, RoomSummary, Standing,
};
use spectrum_backend_sdk::{Op, OpError, OpErrorKind, OpResult};

use crate::address::{bare, occupant, parse, room as room_id};
use crate::desk::{Question, get, set};
use crate::errors::About;
use crate::ns;
use crate::session::{XmppSession, has_feature, with_caps};
use crate::state::Features;
use crate::tell;
use crate::xml::{child_text, element, text_element, wrap};

/// Lines that are asked for on entering; the archive has the rest.
const HISTORY: &str = "20";

/// Services of a server that are looked at for rooms, and rooms that are listed.
const MAX_SERVICES: usize = 20;
const MAX_LISTED: usize = 1_000;

/// What an affiliation or a role is called.
pub(crate) fn standing(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Role(Role::Moderator) => ("role", "moderator"),
        Standing::Role(Role::Participant) => ("role", "participant"),
        Standing::Role(Role::Visitor) => ("role", "visitor"),
        Standing::Affiliation(Affiliation::Owner) => ("affiliation", "owner"),
        Standing::Affiliation(Affiliation::Admin) => ("affiliation", "admin"),
        Standing::Affiliation(Affiliation::Member) => ("affiliation", "member"),
        Standing::Affiliation(Affiliation::None) => ("affiliation", "none"),
        Standing::Affiliation(Affiliation::Outcast) => ("affiliation", "outcast"),
    }
}

fn not_in(room: &RoomId) -> OpError {
    OpError::new(OpErrorKind::NotAllowed, format!("You are not in {room}."))
}

/// The user enters, seen like this.
fn entrance(join: &JoinRoom, presence: Element) -> OpResult<Element> {
    let to = occupant(&join.room, &join.nickname)?;
    let mut stanza = with_caps(presence);
    crate::xml::set(&mut stanza, "to", to.as_str());
    let mut muc = element("x", ns::MUC, &[]);
    if let Some(password) = &join.password {
        muc.append_child(text_element("password", ns::MUC, password.expose()));
    }
    muc.append_child(element("history", ns::MUC, &[("maxstanzas", HISTORY)]));
    stanza.append_child(muc);
    Ok(stanza)
}

impl XmppSession {
    /// Enters a room, and returns once the room shows the user.
    pub(crate) async fn enter(&self, join: JoinRoom, cx: &Op) -> OpResult<Joined> {
        let jid = bare(join.room.as_str())?;
        if jid.node().is_none() {
            return Err(OpError::new(OpErrorKind::NotFound, format!("{jid} is a server, no room.")));
        }
        let mut presence = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if !presence.availability.is_online() || presence.availability == Availability::Invisible {
            // Nobody is in a room without being seen there.
            presence.availability = Availability::Online;
        }
        let stanza = entrance(&join, tell::presence(&presence))?;
        // A room that does not exist yet has nothing to say, and is made by entering it.
        let info = self
            .desk
            .ask(get(Some(jid.as_str()), element("query", ns::DISCO_INFO, &[])), Some(cx))
            .await;
        let has = |feature: &str| info.as_ref().is_ok_and(|info| has_feature(info, feature));
        let features = Features {
            names_messages: has(ns::SID) || has(ns::MAM),
            names_occupants: has(ns::OCCUPANT_ID),
            has_archive: has(ns::MAM),
        };
        let joined = self.desk.state().rooms.enter(jid.clone(), join.nickname.as_str(), features)?;
        let entering = async {
            self.desk.hand_over(stanza, cx).await?;
            tokio::select! {
                joined = joined => joined.unwrap_or_else(|_| Err(OpError::not_connected("The connection was lost."))),
                () = cx.cancelled() => Err(OpError::new(OpErrorKind::Timeout, "The room does not answer.")),
            }
        };
        let result = entering.await;
        if result.is_err() {
            self.desk.state().rooms.forget(&jid);
        }
        result
    }

    pub(crate) async fn leave(&self, room: &RoomId, cx: &Op) -> OpResult<()> {
        let jid = bare(room.as_str())?;
        let Some(left) = self.desk.state().rooms.forget(&jid) else {
            return Err(not_in(room));
        };
        let to = occupant(room, &Nickname::from(left.nickname.as_str()))?;
        let stanza = element("presence", ns::CLIENT, &[("to", to.as_str()), ("type", "unavailable")]);
        self.desk.hand_over(stanza, cx).await
    }

    pub(crate) async fn rename(&self, room: &RoomId, nickname: &Nickname, cx: &Op) -> OpResult<()> {
        let jid = bare(room.as_str())?;
        let to = occupant(room, nickname)?;
        let renamed = {
            let mut state = self.desk.state();
            match state.rooms.get_mut(&jid) {
                Some(room) if room.nickname == nickname.as_str() => return Ok(()),
                Some(room) if room.is_joined => room.rename(),
                Some(_) | None => return Err(not_in(room)),
            }
        };
        self.desk
            .hand_over(element("presence", ns::CLIENT, &[("to", to.as_str())]), cx)
            .await?;
        tokio::select! {
            renamed = renamed => renamed.unwrap_or_else(|_| Err(OpError::not_connected("The connection was lost."))),
            () = cx.cancelled() => Err(OpError::maybe_sent("The room does not answer.")),
        }
    }

    pub(crate) async fn change_subject(&self, room: RoomId, subject: &str, cx: &Op) -> OpResult<()> {
        let jid = bare(room.as_str())?;
        if !self.desk.state().rooms.get(&jid).is_some_and(|room| room.is_joined) {
            return Err(not_in(&room));
        }
        let id = self.desk.new_id();
        let mut stanza = tell::envelope(&Chat::Room(room), &id)?;
        stanza.append_child(text_element("subject", ns::CLIENT, subject));
        // It comes back as the room's subject; a refusal comes before the confirmation.
        self.desk.say(vec![stanza], &id, cx).await
    }

    pub(crate) async fn invite_to_room(&self, room: &RoomId, contact: &ContactId, reason: Option<&str>, cx: &Op) -> OpResult<()> {
        let jid = bare(room.as_str())?;
        let whom = bare(contact.as_str())?;
        if !self.desk.state().rooms.get(&jid).is_some_and(|room| room.is_joined) {
            return Err(not_in(room));
        }
        let id = self.desk.new_id();
        let mut invite = element("invite", ns::MUC_USER, &[("to", whom.as_str())]);
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            invite.append_child(text_element("reason", ns::MUC_USER, reason));
        }
        let mut stanza = element("message", ns::CLIENT, &[("to", jid.as_str()), ("id", &id)]);
        stanza.append_child(wrap("x", ns::MUC_USER, invite));
        self.desk.say(vec![stanza], &id, cx).await
    }

    /// Changes what somebody in a room is or may do.
    pub(crate) async fn moderate(
        &self,
        room: &RoomId,
        nickname: &Nickname,
        (what, value): (&str, &str),
        reason: Option<&str>,
        cx: &Op,
    ) -> OpResult<()> {
        let jid = bare(room.as_str())?;
        let mut item = element("item", ns::MUC_ADMIN, &[(what, value)]);
        {
            let state = self.desk.state();
            let Some(known) = state.rooms.get(&jid).filter(|room| room.is_joined) else {
                return Err(not_in(room));
            };
            if !known.has(nickname.as_str()) {
                return Err(OpError::new(OpErrorKind::NotFound, format!("{nickname} is not in {room}.")));
            }
            // What somebody is to the room is theirs under any name (XEP-0045 9).
            match known.address_of(nickname.as_str()).filter(|_| what == "affiliation") {
                Some(address) => crate::xml::set(&mut item, "jid", address.as_str()),
                None => crate::xml::set(&mut item, "nick", nickname.as_str()),
            }
        }
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            item.append_child(text_element("reason", ns::MUC_ADMIN, reason));
        }
        let question = Question {
            about: About::Room,
            ..set(Some(jid.as_str()), wrap("query", ns::MUC_ADMIN, item))
        };
        self.desk.ask(question, Some(cx)).await.map(drop)
    }

    pub(crate) async fn info_of_room(&self, room: &RoomId, cx: &Op) -> OpResult<RoomInfo> {
        let jid = bare(room.as_str())?;
        let question = Question {
            about: About::Room,
            ..get(Some(jid.as_str()), element("query", ns::DISCO_INFO, &[]))
        };
        let answer = self.desk.ask(question, Some(cx)).await?;
        Ok(room_info(&answer))
    }

    /// The rooms of the services of the account's server.
    pub(crate) async fn rooms_of_server(&self, cx: &Op) -> OpResult<Vec<RoomSummary>> {
        let domain = self.desk.me.domain().to_string();
        let items = self
            .desk
            .ask(get(Some(&domain), element("query", ns::DISCO_ITEMS, &[])), Some(cx))
            .await?;
        let mut rooms = Vec::new();
        for service in items_of(&items).filter(|jid| jid.node().is_none()).take(MAX_SERVICES) {
            let service = service.to_string();
            let info = self
                .desk
                .ask(get(Some(&service), element("query", ns::DISCO_INFO, &[])), Some(cx))
                .await;
            if !info.is_ok_and(|info| is_conference(&info)) {
                continue;
            }
            // One service that does not answer is no reason to show nothing of the others.
            if let Ok(list) = self
                .desk
                .ask(get(Some(&service), element("query", ns::DISCO_ITEMS, &[])), Some(cx))
                .await
            {
                rooms.extend(summaries(&list).take(MAX_LISTED - rooms.len()));
            }
        }
        Ok(rooms)
    }
}

fn items_of(answer: &Element) -> impl Iterator<Item = jid::Jid> {
    let query = answer.get_child("query", ns::DISCO_ITEMS);
    let items = query
        .into_iter()
        .flat_map(Element::children)
        .filter(|item| item.is("item", ns::DISCO_ITEMS));
    items.filter_map(|item| parse(item.attr("jid")?))
}

fn summaries(answer: &Element) -> impl Iterator<Item = RoomSummary> {
    let query = answer.get_child("query", ns::DISCO_ITEMS);
    let items = query
        .into_iter()
        .flat_map(Element::children)
        .filter(|item| item.is("item", ns::DISCO_ITEMS));
    items.filter_map(|item| {
        let jid = parse(item.attr("jid")?).filter(|jid| jid.node().is_some() && jid.resource().is_none())?;
        Some(RoomSummary {
            id: room_id(&jid.to_bare()),
            name: item.attr("name").filter(|name| !name.is_empty()).map(str::to_owned),
            occupants: None,
            subject: None,
        })
    })
}

fn is_conference(info: &Element) -> bool {
    let query = info.get_child("query", ns::DISCO_INFO);
    let mut identities = query
        .into_iter()
        .flat_map(Element::children)
        .filter(|c| c.is("identity", ns::DISCO_INFO));
    identities.any(|i| i.attr("category") == Some("conference") && i.attr("type") != Some("irc")) && has_feature(info, ns::MUC)
}

fn room_info(answer: &Element) -> RoomInfo {
    let query = answer.get_child("query", ns::DISCO_INFO);
    let identity = query.and_then(|query| query.get_child("identity", ns::DISCO_INFO));
    let form = query.and_then(|query| query.get_child("x", ns::DATA));
    let field = |name: &str| {
        let fields = form.into_iter().flat_map(Element::children);
        let mut fields = fields.filter(|f| f.is("field", ns::DATA) && f.attr("var") == Some(name));
        fields
            .next()
            .and_then(|f| child_text(f, "value", ns::DATA))
            .filter(|text| !text.is_empty())
    };
    RoomInfo {
        name: identity
            .and_then(|i| i.attr("name"))
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        subject: field("muc#roominfo_subject").or_else(|| field("muc#roominfo_description")),
        occupants: field("muc#roominfo_occupants").and_then(|text| text.parse().ok()),
        password_protected: has_feature(answer, "muc_passwordprotected"),
        members_only: has_feature(answer, "muc_membersonly"),
        moderated: has_feature(answer, "muc_moderated"),
        hidden: has_feature(answer, "muc_hidden"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::model::Presence;

    use super::*;

    #[test]
    fn a_room_is_entered_with_a_password_and_a_little_history() {
        let join = JoinRoom {
            room: "R@muc.b.example".into(),
            nickname: "Alice".into(),
            password: Some("secret".into()),
        };
        let stanza = entrance(&join, tell::presence(&Presence::of(Availability::Away))).unwrap();
        assert_eq!(stanza.attr("to"), Some("r@muc.b.example/Alice"));
        let expected = "<x xmlns='http://jabber.org/protocol/muc'><password>secret</password><history maxstanzas='20'/></x>";
        assert_eq!(stanza.get_child("x", ns::MUC), Some(&expected.parse().unwrap()));
        assert_eq!(child_text(&stanza, "show", ns::CLIENT).as_deref(), Some("away"));
    }

    #[test]
    fn what_a_room_says_of_itself_is_read() {
        let answer = "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/disco#info'>\
            <identity category='conference' type='text' name='Tea'/><feature var='muc_membersonly'/>\
            <feature var='http://jabber.org/protocol/muc'/><x xmlns='jabber:x:data' type='result'>\
            <field var='muc#roominfo_occupants'><value>3</value></field></x></query></iq>";
        let answer = answer.parse().unwrap();
        let expected = RoomInfo {
            name: Some("Tea".to_owned()),
            occupants: Some(3),
            members_only: true,
            ..RoomInfo::default()
        };
        assert_eq!(room_info(&answer), expected);
        assert!(is_conference(&answer));
    }

    #[test]
    fn rooms_are_listed_and_what_is_none_is_not() {
        let answer = "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/disco#items'>\
            <item jid='tea@muc.b.example' name='Tea'/><item jid='muc.b.example'/><item jid='a b'/></query></iq>";
        let rooms: Vec<_> = summaries(&answer.parse().unwrap()).collect();
        assert_eq!(rooms.len(), 1);
        assert_eq!(
            (rooms[0].id.as_str(), rooms[0].name.as_deref()),
            ("tea@muc.b.example", Some("Tea"))
        );
    }
}
