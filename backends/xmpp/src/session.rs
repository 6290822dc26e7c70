//! One user's session: what is asked for at its beginning, and the verbs of the core. Dropping it ends it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minidom::Element;
use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, Chat, ChatState, ContactDetails, ContactId, Edit, Form, FormAnswers, HistoryPage, JoinRoom, Joined,
    LegacyName, Marker, Nickname, OutgoingMessage, OwnRooms, PageRequest, Presence, Profile, ProfileUpdate, Reactions,
    Retraction, RoomId, RoomInfo, RoomSummary, Sent, Standing,
};
use spectrum_backend_sdk::tasks::TaskHandle;
use spectrum_backend_sdk::{Event, LegacySession, LoginError, LoginErrorKind, Op, OpError, OpErrorKind, OpResult};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::address::{bare, of_chat};
use crate::desk::{Desk, get, set};
use crate::ns;
use crate::state::{Effect, Recent, snippet};
use crate::tell::{self, Quote};
use crate::xml::{element, text_element, wrap};

/// How long a goodbye may take.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// One user on XMPP.
pub(crate) struct XmppSession {
    pub(crate) desk: Arc<Desk>,
    /// Taken by the logout; an asynchronous lock, since it is held while the link says goodbye.
    link: Mutex<Option<TaskHandle<()>>>,
    /// How the user is shown, for rooms that are entered later. Held for one assignment.
    pub(crate) shown: std::sync::Mutex<Presence>,
}

impl Drop for XmppSession {
    fn drop(&mut self) {
        self.desk.closing.cancel();
    }
}

impl XmppSession {
    pub(crate) fn new(desk: Arc<Desk>, link: TaskHandle<()>) -> Self {
        Self {
            desk,
            link: Mutex::new(Some(link)),
            shown: std::sync::Mutex::new(Presence::ONLINE),
        }
    }

    /// Loads contacts, catches up with the archive, and shows the user as they want to be shown. In this order: presences are
    /// of contacts, and what was missed comes before what is said now.
    pub(crate) async fn begin(&self, presence: &Presence) -> Result<(), LoginError> {
        let lost = |error: OpError| LoginError::new(LoginErrorKind::Network, error.text);
        let roster = self.desk.load_roster(element("query", ns::ROSTER, &[]));
        let own = get(None, element("query", ns::DISCO_INFO, &[]));
        let domain = self.desk.me.domain().to_string();
        let server = get(Some(&domain), element("query", ns::DISCO_INFO, &[]));
        let (roster, own, server) = tokio::join!(roster, self.desk.ask(own, None), self.desk.ask(server, None));
        roster.map_err(lost)?;
        // A server that does not say what it can do can nothing beyond the basics.
        let has = |answer: &OpResult<Element>, feature: &str| answer.as_ref().is_ok_and(|info| has_feature(info, feature));
        if has(&server, ns::BLOCKING) {
            self.desk
                .load_blocked(element("blocklist", ns::BLOCKING, &[]))
                .await
                .map_err(lost)?;
        }
        let has_archive = has(&own, ns::MAM) || has(&server, ns::MAM);
        if has_archive {
            self.catch_up_if_possible().await;
        }
        if has(&server, ns::CARBONS)
            && let Err(error) = self.desk.ask(set(None, element("enable", ns::CARBONS, &[])), None).await
        {
            tracing::debug!(kind = ?error.kind, "The server makes no copies for other devices.");
        }
        self.show(presence).await.map_err(lost)?;
        if has_archive {
            // What came before the server knew that the user is there is in the archive alone.
            self.catch_up_if_possible().await;
        }
        Ok(())
    }

    /// What cannot be caught up with is not worth a session.
    async fn catch_up_if_possible(&self) {
        if let Err(error) = self.catch_up().await {
            tracing::debug!(kind = ?error.kind, "The archive could not be read.");
        }
    }

    /// Shows the user like this, to contacts and in rooms.
    async fn show(&self, presence: &Presence) -> OpResult<()> {
        *self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = presence.clone();
        self.desk.order(with_caps(tell::presence(presence))).await?;
        let rooms = self.desk.state().rooms.own_addresses();
        // Rooms hear of a change; they are left by leaving them alone.
        if presence.availability.is_online() && presence.availability != spectrum_backend_sdk::model::Availability::Invisible {
            for address in rooms {
                let mut stanza = with_caps(tell::presence(presence));
                crate::xml::set(&mut stanza, "to", &address);
                self.desk.order(stanza).await?;
            }
        }
        Ok(())
    }

    /// What a reply answers, in the words of the other side.
    fn quote(&self, message: &OutgoingMessage) -> OpResult<Option<Quote>> {
        let Some(reply) = &message.reply else { return Ok(None) };
        let (with, _) = of_chat(&message.chat)?;
        let state = self.desk.state();
        let room = match &message.chat {
            Chat::Room(room) => state.rooms.get(&bare(room.as_str())?),
            Chat::Contact(_) | Chat::Occupant { .. } => None,
        };
        let known = room
            .map_or(&state.recent, |room| &room.recent)
            .by_either(&with, reply.to.as_str());
        let author = match (known, &reply.author) {
            (Some(known), _) => known.author.to_string(),
            (None, Some(author)) => format!("{with}/{author}"),
            (None, None) => with,
        };
        Ok(Some(Quote {
            id: known.map_or_else(|| reply.to.as_str().to_owned(), |known| known.id.to_string()),
            author,
            text: known.map(|known| known.snippet.to_string()).filter(|text| !text.is_empty()),
        }))
    }

    /// The id by which a room knows a message, or by which its sender does.
    fn room_id(&self, chat: &Chat, id: &str, which: Which) -> OpResult<String> {
        let Chat::Room(room) = chat else { return Ok(id.to_owned()) };
        let jid = bare(room.as_str())?;
        let state = self.desk.state();
        let found = state.rooms.get(&jid).and_then(|room| room.recent.by_either(jid.as_str(), id));
        Ok(found
            .map_or(id, |found| match which {
                Which::Room => &*found.id,
                Which::Sender => &*found.origin,
            })
            .to_owned())
    }

    fn check_in_room(&self, chat: &Chat) -> OpResult<()> {
        let room = match chat {
            Chat::Contact(_) => return Ok(()),
            Chat::Room(room) | Chat::Occupant { room, .. } => room,
        };
        let is_in = self
            .desk
            .state()
            .rooms
            .get(&bare(room.as_str())?)
            .is_some_and(|room| room.is_joined);
        if is_in {
            Ok(())
        } else {
            Err(OpError::new(OpErrorKind::NotAllowed, format!("You are not in {room}.")))
        }
    }

    /// Says something in a chat: to a room it is said when the room shows it, to a person when the server has it.
    async fn say(&self, chat: &Chat, stanza: Element, id: &str, cx: &Op) -> OpResult<Sent> {
        self.check_in_room(chat)?;
        match chat {
            Chat::Room(_) => self.desk.say_in_room(stanza, id, cx).await,
            Chat::Contact(_) | Chat::Occupant { .. } => {
                self.desk.say(vec![stanza], id, cx).await?;
                Ok(Sent::default())
            }
        }
    }

    fn remember(&self, message: &OutgoingMessage) -> OpResult<()> {
        if matches!(message.chat, Chat::Room(_)) {
            return Ok(());
        }
        let (with, _) = of_chat(&message.chat)?;
        let mut state = self.desk.state();
        let author = state.me.as_str().into();
        state.recent.add(Recent {
            chat: with.into(),
            id: message.id.as_str().into(),
            origin: message.id.as_str().into(),
            author,
            snippet: snippet(&message.body),
        });
        state.remember_own(message.id.as_str());
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Which {
    Room,
    Sender,
}

/// Presence says what the client can do (XEP-0115); whoever goes says nothing.
pub(crate) fn with_caps(mut presence: Element) -> Element {
    if presence.attr("type").is_none() {
        presence.append_child(crate::state::caps());
    }
    presence
}

/// Whether an answer to disco#info has a feature.
pub(crate) fn has_feature(answer: &Element, feature: &str) -> bool {
    let query = answer.get_child("query", ns::DISCO_INFO);
    query.is_some_and(|query| {
        query
            .children()
            .any(|f| f.is("feature", ns::DISCO_INFO) && f.attr("var") == Some(feature))
    })
}

fn roster_item(contact: &ContactDetails) -> OpResult<Element> {
    let jid = bare(contact.id.as_str())?;
    let mut item = element("item", ns::ROSTER, &[("jid", jid.as_str())]);
    if let Some(alias) = contact.alias.as_deref().filter(|alias| !alias.is_empty()) {
        crate::xml::set(&mut item, "name", alias);
    }
    for group in contact.groups.iter().filter(|group| !group.is_empty()) {
        item.append_child(text_element("group", ns::ROSTER, group));
    }
    Ok(wrap("query", ns::ROSTER, item))
}

fn presence_to(jid: &jid::BareJid, kind: &str) -> Element {
    element("presence", ns::CLIENT, &[("to", jid.as_str()), ("type", kind)])
}

/// Says which rooms the account's clients are in, until the user logs out. Nobody's login waits for it: a server may take its
/// time, and one that does not say has said nothing of them.
pub(crate) async fn tell_own_rooms(desk: &Desk) {
    let items = element("items", ns::PUBSUB, &[("node", ns::BOOKMARKS)]);
    let asking = desk.ask(get(None, wrap("pubsub", ns::PUBSUB, items)), None);
    let Some(answer) = desk.closing.run_until_cancelled(asking).await else {
        return;
    };
    let rooms = match answer {
        Ok(answer) => crate::state::bookmarked(&answer),
        Err(error) if error.kind == OpErrorKind::NotFound => Event::OwnRooms(OwnRooms::All(Vec::new())),
        Err(error) => {
            tracing::debug!(kind = ?error.kind, "The bookmarks could not be read.");
            return;
        }
    };
    if desk.report(vec![Effect::Event(rooms)]).await.is_err() {
        tracing::debug!("The session ended before its bookmarks were told.");
    }
}

#[async_trait]
impl LegacySession for XmppSession {
    async fn send_message(&self, message: OutgoingMessage, cx: Op) -> OpResult<Sent> {
        self.check_in_room(&message.chat)?;
        let quote = self.quote(&message)?;
        let stanzas = tell::message(&message, quote.as_ref())?;
        self.remember(&message)?;
        if matches!(message.chat, Chat::Contact(_) | Chat::Occupant { .. }) {
            self.desk.say(stanzas, message.id.as_str(), &cx).await?;
            return Ok(Sent::default());
        }
        let mut sent = Sent::default();
        for (n, stanza) in stanzas.into_iter().enumerate() {
            let id = stanza.attr("id").unwrap_or_default().to_owned();
            let shown = self.desk.say_in_room(stanza, &id, &cx).await?;
            if n == 0 {
                sent = shown;
            }
        }
        Ok(sent)
    }

    async fn logout(&self) {
        self.desk.closing.cancel();
        let Some(link) = self.link.lock().await.take() else { return };
        match timeout(LOGOUT_TIMEOUT, link).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "The link did not end as it should."),
            Err(_) => tracing::debug!("The server takes no leave."),
        }
    }

    async fn edit_message(&self, edit: Edit, cx: Op) -> OpResult<Sent> {
        let target = self.room_id(&edit.chat, edit.id.as_str(), Which::Sender)?;
        let id = self.desk.new_id();
        let stanza = tell::edit(&edit, &target, &id)?;
        self.desk.state().remember_own(&id);
        self.say(&edit.chat, stanza, &id, &cx).await?;
        // It is known by its first id whatever its text is now.
        Ok(Sent::default())
    }

    async fn retract_message(&self, retraction: Retraction, cx: Op) -> OpResult<()> {
        let target = self.room_id(&retraction.chat, retraction.id.as_str(), Which::Room)?;
        let id = self.desk.new_id();
        let stanza = tell::retract(&retraction, &target, &id)?;
        self.desk.state().remember_own(&id);
        self.say(&retraction.chat, stanza, &id, &cx).await.map(drop)
    }

    async fn react(&self, reactions: Reactions, cx: Op) -> OpResult<()> {
        let target = self.room_id(&reactions.chat, reactions.id.as_str(), Which::Room)?;
        let id = self.desk.new_id();
        let stanza = tell::react(&reactions, &target, &id)?;
        self.desk.state().remember_own(&id);
        self.say(&reactions.chat, stanza, &id, &cx).await.map(drop)
    }

    async fn mark(&self, marker: Marker, cx: Op) -> OpResult<()> {
        let target = self.room_id(&marker.chat, marker.id.as_str(), Which::Room)?;
        let id = self.desk.new_id();
        let stanza = tell::mark(&marker.chat, marker.kind, &target, &id)?;
        self.check_in_room(&marker.chat)?;
        self.desk.state().remember_own(&id);
        self.desk.hand_over(stanza, &cx).await
    }

    async fn set_chat_state(&self, chat: Chat, state: ChatState, _cx: Op) -> OpResult<()> {
        self.check_in_room(&chat)?;
        self.desk.order(tell::chat_state(&chat, state, &self.desk.new_id())?).await
    }

    async fn call_attention(&self, contact: ContactId, text: Option<String>, cx: Op) -> OpResult<()> {
        let id = self.desk.new_id();
        let stanza = tell::attention(&Chat::Contact(contact), text.as_deref(), &id)?;
        self.desk.say(vec![stanza], &id, &cx).await
    }

    async fn set_presence(&self, presence: Presence, _cx: Op) -> OpResult<()> {
        self.show(&presence).await
    }

    async fn set_profile(&self, profile: ProfileUpdate, cx: Op) -> OpResult<()> {
        self.change_profile(profile, &cx).await
    }

    async fn fetch_profile(&self, of: Chat, cx: Op) -> OpResult<Profile> {
        self.profile(&of, &cx).await
    }

    async fn add_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        let jid = bare(contact.id.as_str())?;
        self.desk.ask(set(None, roster_item(&contact)?), Some(&cx)).await?;
        self.desk.hand_over(presence_to(&jid, "subscribe"), &cx).await
    }

    async fn update_contact(&self, contact: ContactDetails, cx: Op) -> OpResult<()> {
        self.desk.ask(set(None, roster_item(&contact)?), Some(&cx)).await.map(drop)
    }

    async fn remove_contact(&self, contact: ContactId, cx: Op) -> OpResult<()> {
        let jid = bare(contact.as_str())?;
        if !self.desk.state().roster.has(&jid) {
            // Who is not there has been removed already, perhaps with another client.
            return Ok(());
        }
        let item = element("item", ns::ROSTER, &[("jid", jid.as_str()), ("subscription", "remove")]);
        // The server ends both subscriptions with it (RFC 6121 2.5).
        self.desk
            .ask(set(None, wrap("query", ns::ROSTER, item)), Some(&cx))
            .await
            .map(drop)
    }

    async fn answer_contact_request(&self, contact: ContactId, accept: bool, cx: Op) -> OpResult<()> {
        let jid = bare(contact.as_str())?;
        let kind = if accept { "subscribed" } else { "unsubscribed" };
        self.desk.hand_over(presence_to(&jid, kind), &cx).await
    }

    async fn block(&self, contact: ContactId, blocked: bool, cx: Op) -> OpResult<()> {
        let jid = bare(contact.as_str())?;
        let item = element("item", ns::BLOCKING, &[("jid", jid.as_str())]);
        let verb = if blocked { "block" } else { "unblock" };
        self.desk
            .ask(set(None, wrap(verb, ns::BLOCKING, item)), Some(&cx))
            .await
            .map(drop)
    }

    async fn list_rooms(&self, cx: Op) -> OpResult<Vec<RoomSummary>> {
        self.rooms_of_server(&cx).await
    }

    async fn join_room(&self, join: JoinRoom, cx: Op) -> OpResult<Joined> {
        self.enter(join, &cx).await
    }

    async fn leave_room(&self, room: RoomId, cx: Op) -> OpResult<()> {
        self.leave(&room, &cx).await
    }

    async fn room_info(&self, room: RoomId, cx: Op) -> OpResult<RoomInfo> {
        self.info_of_room(&room, &cx).await
    }

    async fn set_subject(&self, room: RoomId, subject: String, cx: Op) -> OpResult<()> {
        self.change_subject(room, &subject, &cx).await
    }

    async fn change_nickname(&self, room: RoomId, nickname: Nickname, cx: Op) -> OpResult<()> {
        self.rename(&room, &nickname, &cx).await
    }

    async fn invite(&self, room: RoomId, contact: ContactId, reason: Option<String>, cx: Op) -> OpResult<()> {
        self.invite_to_room(&room, &contact, reason.as_deref(), &cx).await
    }

    async fn kick(&self, room: RoomId, nickname: Nickname, reason: Option<String>, cx: Op) -> OpResult<()> {
        self.moderate(&room, &nickname, ("role", "none"), reason.as_deref(), &cx)
            .await
    }

    async fn set_standing(
        &self,
        room: RoomId,
        nickname: Nickname,
        standing: Standing,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        let what = crate::verbs::standing(standing);
        self.moderate(&room, &nickname, what, reason.as_deref(), &cx).await
    }

    async fn room_settings(&self, room: RoomId, cx: Op) -> OpResult<Form> {
        self.settings_of_room(&room, &cx).await
    }

    async fn configure_room(&self, room: RoomId, answers: FormAnswers, cx: Op) -> OpResult<()> {
        self.configure(&room, &answers, &cx).await
    }

    async fn list_affiliated(&self, room: RoomId, affiliation: Affiliation, cx: Op) -> OpResult<Vec<Affiliated>> {
        self.affiliated(&room, affiliation, &cx).await
    }

    async fn set_affiliation(
        &self,
        room: RoomId,
        who: LegacyName,
        affiliation: Affiliation,
        reason: Option<String>,
        cx: Op,
    ) -> OpResult<()> {
        self.affiliate(&room, &who, (affiliation, reason.as_deref()), &cx).await
    }

    async fn history(&self, page: PageRequest, cx: Op) -> OpResult<HistoryPage> {
        self.page(page, &cx).await
    }
}
