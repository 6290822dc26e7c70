//! The same with people and a room that exist: what is declared has to succeed, and to show.

use std::time::Duration;

use spectrum_core::backend::{Answer, BackendInfo, Event, OpErrorKind, Verb};
use spectrum_core::model::{
    Affiliation, Capability, Chat, ChatState, ContactDetails, ContactId, Edit, JoinRoom, LegacyName, Marker, MarkerKind,
    MessageId, Nickname, Origin, OutgoingMessage, PageRequest, Presence, ProfileUpdate, Reactions, Reply, Retraction, Role,
    RoomId, Sent, Standing,
};

use super::{Finding, User};

/// How long what has to follow may take to come.
const WITHIN: Duration = Duration::from_secs(20);

/// What there is on the test network.
#[derive(Clone, Debug)]
pub struct Ground {
    /// A contact of the user's that answers every message.
    pub contact: ContactId,
    /// Somebody who is no contact and can be added.
    pub stranger: ContactId,
    /// A room that is the user's to moderate.
    pub room: RoomId,
    /// The user's nickname in it.
    pub nickname: Nickname,
    /// Somebody else who is in it; thrown out in the end.
    pub occupant: Nickname,
}

/// Uses every capability as a user does: writes to the contact and about what was written, adds the stranger, joins the room
/// and moderates it. What is declared must succeed, and what has to follow must come; what is not declared must not succeed.
/// For a test network: everything is done for real.
///
/// # Panics
/// If the network does not take a message to the contact, or a request is not answered.
pub async fn check_on(user: &mut User, info: &BackendInfo, ground: &Ground) -> Vec<Finding> {
    let mut check = Check {
        user,
        info,
        findings: Vec::new(),
        events: Vec::new(),
    };
    check.messages(ground).await;
    check.people(ground).await;
    check.room(ground).await;
    check.findings.sort_unstable_by_key(|finding| format!("{finding:?}"));
    check.findings.dedup();
    check.findings
}

struct Check<'a> {
    user: &'a mut User,
    info: &'a BackendInfo,
    findings: Vec<Finding>,
    /// What has come so far.
    events: Vec<Event>,
}

fn message(chat: Chat, id: &str) -> OutgoingMessage {
    OutgoingMessage {
        chat,
        id: MessageId::from(id),
        body: "Conformance".to_owned(),
        xhtml: None,
        attachments: Vec::new(),
        reply: None,
        wants_receipt: true,
    }
}

impl Check<'_> {
    fn has(&self, capability: Capability) -> bool {
        self.info.capabilities.has(capability)
    }

    /// Issues a verb that stands for a capability.
    async fn tries(&mut self, capability: Capability, verb: Verb) -> Option<Answer> {
        match (self.has(capability), self.user.request(verb).await) {
            (true, Ok(answer)) => return Some(answer),
            (true, Err(error)) if error.kind == OpErrorKind::Unsupported => self.findings.push(Finding::Missing(capability)),
            (true, Err(error)) => self.findings.push(Finding::Refused(capability, error.kind)),
            (false, Ok(_)) => self.findings.push(Finding::Undeclared(capability)),
            (false, Err(_)) => {}
        }
        None
    }

    /// Waits for what has to follow.
    async fn follows(&mut self, capability: Capability, is_it: impl Fn(&Event) -> bool) {
        if self.has(capability) && self.sees(is_it).await.is_none() {
            self.findings.push(Finding::Silent(capability));
        }
    }

    async fn sees(&mut self, is_it: impl Fn(&Event) -> bool) -> Option<Event> {
        if let Some(seen) = self.events.iter().find(|event| is_it(event)) {
            return Some(seen.clone());
        }
        while let Some(event) = self.user.event_within(WITHIN).await {
            self.events.push(event.clone());
            if is_it(&event) {
                return Some(event);
            }
        }
        None
    }

    async fn messages(&mut self, ground: &Ground) {
        let chat = Chat::Contact(ground.contact.clone());
        let id = MessageId::from("conformance-1");
        let first = self
            .user
            .request(Verb::SendMessage(message(chat.clone(), "conformance-1")))
            .await;
        let Ok(Answer::Sent(sent)) = first else {
            panic!("the contact does not take a message: {first:?}")
        };
        self.follows(
            Capability::Receipts,
            |event| matches!(event, Event::Delivered { id: of, .. } if *of == id),
        )
        .await;
        self.repeats(&chat, &sent).await;
        let answer = self
            .sees(|event| matches!(event, Event::Message(m) if m.chat == chat && m.id.is_some()))
            .await;
        let theirs = match answer {
            Some(Event::Message(message)) => message.id,
            Some(_) | None => None,
        };
        // Where messages have no ids nothing can be said about those of others.
        let theirs = theirs.unwrap_or_else(|| id.clone());
        if self.has(Capability::Replies) {
            let reply = OutgoingMessage {
                reply: Some(Reply {
                    to: theirs.clone(),
                    author: None,
                }),
                ..message(chat.clone(), "conformance-2")
            };
            self.tries(Capability::Replies, Verb::SendMessage(reply)).await;
        }
        let reactions = Reactions {
            chat: chat.clone(),
            nickname: None,
            id: theirs.clone(),
            emojis: vec!["\u{1f44d}".to_owned()],
            origin: Origin::OwnOtherDevice,
        };
        self.tries(Capability::Reactions, Verb::React(reactions)).await;
        let marker = Marker {
            chat: chat.clone(),
            nickname: None,
            id: theirs,
            kind: MarkerKind::Displayed,
            origin: Origin::OwnOtherDevice,
        };
        self.tries(Capability::Markers, Verb::Mark(marker)).await;
        let edit = Edit {
            chat: chat.clone(),
            nickname: None,
            id: id.clone(),
            body: "Conformance, changed".to_owned(),
            origin: Origin::OwnOtherDevice,
        };
        self.tries(Capability::Edits, Verb::Edit(edit)).await;
        let page = PageRequest {
            chat: chat.clone(),
            before: None,
            after: None,
            limit: 10,
        };
        if let Some(Answer::History(page)) = self.tries(Capability::History, Verb::History(page)).await
            && page.messages.is_empty()
        {
            self.findings.push(Finding::Silent(Capability::History));
        }
        let retraction = Retraction {
            chat: chat.clone(),
            nickname: None,
            id,
            reason: None,
            origin: Origin::OwnOtherDevice,
        };
        self.tries(Capability::Retractions, Verb::Retract(retraction)).await;
        let typing = Verb::SetChatState {
            chat,
            state: ChatState::Composing,
        };
        self.tries(Capability::ChatStates, typing).await;
        let attention = Verb::CallAttention {
            contact: ground.contact.clone(),
            text: None,
        };
        self.tries(Capability::Attention, attention).await;
    }

    /// The same message once more: where that is harmless, it is the same message.
    async fn repeats(&mut self, chat: &Chat, sent: &Sent) {
        if !self.has(Capability::IdempotentSend) {
            return;
        }
        let again = Verb::SendMessage(message(chat.clone(), "conformance-1"));
        if let Some(Answer::Sent(again)) = self.tries(Capability::IdempotentSend, again).await
            && again.id != sent.id
        {
            self.findings.push(Finding::Silent(Capability::IdempotentSend));
        }
    }

    async fn people(&mut self, ground: &Ground) {
        let details = ContactDetails {
            id: ground.stranger.clone(),
            alias: Some("Conformance".to_owned()),
            groups: vec!["Tests".to_owned()],
        };
        self.tries(Capability::Presence, Verb::SetPresence(Presence::ONLINE)).await;
        self.tries(Capability::OwnProfile, Verb::SetProfile(ProfileUpdate::default()))
            .await;
        let profile = Verb::FetchProfile(Chat::Contact(ground.contact.clone()));
        self.tries(Capability::Profiles, profile).await;
        let search = Verb::Search(ground.stranger.as_str().to_owned());
        if let Some(Answer::Contacts(hits)) = self.tries(Capability::Search, search).await
            && !hits.iter().any(|hit| hit.id == ground.stranger)
        {
            self.findings.push(Finding::Silent(Capability::Search));
        }
        self.tries(Capability::AddContacts, Verb::AddContact(details.clone())).await;
        self.follows(
            Capability::AddContacts,
            |event| matches!(event, Event::Contact(update) if update.id == ground.stranger),
        )
        .await;
        self.tries(Capability::UpdateContacts, Verb::UpdateContact(details)).await;
        for blocked in [true, false] {
            let block = Verb::Block {
                contact: ground.stranger.clone(),
                blocked,
            };
            self.tries(Capability::Blocking, block).await;
        }
        self.tries(Capability::RemoveContacts, Verb::RemoveContact(ground.stranger.clone()))
            .await;
    }

    async fn room(&mut self, ground: &Ground) {
        let Ground {
            room,
            nickname,
            occupant,
            ..
        } = ground;
        let join = JoinRoom {
            room: room.clone(),
            nickname: nickname.clone(),
            password: None,
        };
        self.tries(Capability::Rooms, Verb::JoinRoom(join)).await;
        for who in [occupant, nickname] {
            let is_shown = |event: &Event| matches!(event, Event::Occupant(o) if o.room == *room && o.nickname == *who);
            self.follows(Capability::Rooms, is_shown).await;
        }
        self.tries(Capability::RoomList, Verb::ListRooms).await;
        let other = Nickname::from(format!("{nickname}_"));
        let rename = Verb::ChangeNickname {
            room: room.clone(),
            nickname: other.clone(),
        };
        self.tries(Capability::NicknameChange, rename).await;
        let is_renamed = |event: &Event| matches!(event, Event::OccupantRenamed(renamed) if renamed.new == other);
        self.follows(Capability::NicknameChange, is_renamed).await;
        let subject = Verb::SetSubject {
            room: room.clone(),
            subject: "Conformance".to_owned(),
        };
        self.tries(Capability::RoomSubject, subject).await;
        let is_set = |event: &Event| matches!(event, Event::RoomSubject(set) if set.subject == "Conformance");
        self.follows(Capability::RoomSubject, is_set).await;
        let private = Chat::Occupant {
            room: room.clone(),
            nickname: occupant.clone(),
        };
        let private = Verb::SendMessage(message(private, "conformance-3"));
        self.tries(Capability::PrivateMessages, private).await;
        let invite = Verb::Invite {
            room: room.clone(),
            contact: ground.contact.clone(),
            reason: None,
        };
        self.tries(Capability::RoomInvite, invite).await;
        self.tries(Capability::RoomSettings, Verb::RoomSettings(room.clone())).await;
        let standing = Verb::SetStanding {
            room: room.clone(),
            nickname: occupant.clone(),
            standing: Standing::Role(Role::Moderator),
            reason: None,
        };
        self.tries(Capability::RoomModeration, standing).await;
        let kick = Verb::Kick {
            room: room.clone(),
            nickname: occupant.clone(),
            reason: None,
        };
        self.tries(Capability::RoomModeration, kick).await;
        let is_gone = |event: &Event| matches!(event, Event::OccupantGone(gone) if gone.nickname == *occupant);
        self.follows(Capability::RoomModeration, is_gone).await;
        // The stranger may be the occupant, who is not there any more.
        for affiliation in [Affiliation::Outcast, Affiliation::None] {
            let set = Verb::SetAffiliation {
                room: room.clone(),
                who: LegacyName::from(&ground.stranger),
                affiliation,
                reason: None,
            };
            self.tries(Capability::RoomAffiliations, set).await;
        }
        let outcasts = Verb::ListAffiliated {
            room: room.clone(),
            affiliation: Affiliation::Outcast,
        };
        self.tries(Capability::RoomAffiliations, outcasts).await;
        self.tries(Capability::Rooms, Verb::LeaveRoom(room.clone())).await;
    }
}
