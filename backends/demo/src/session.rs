//! One user on the network: every verb of the core, as a change of the network's state and a cue for the people on it. Owns
//! the ids that the core gave to the user's messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, Chat, ChatState, ContactDetails, ContactId, ContactSummary, Edit, Form, FormAnswers, HistoryPage,
    JoinRoom, Joined, LegacyName, Marker, MessageId, Nickname, OutgoingMessage, PageRequest, Presence, Profile, ProfileUpdate,
    Reactions, Retraction, RoomId, RoomInfo, RoomSummary, Sent, Standing,
};
use spectrum_backend_sdk::{LegacySession, Op, OpError, OpErrorKind, OpResult};

use crate::line::Line;
use crate::network::{Decree, Draft, Measure, Shared};
use crate::people::{Cue, Cues};

/// Messages of the user whose ids are remembered; about an older one nothing can be said.
const OWN_IDS: usize = 512;

/// A user who is logged in.
pub(crate) struct Session {
    network: Shared,
    me: ContactId,
    seat: u64,
    line: Line,
    cues: Cues,
    /// The core's id and the network's answer. Behind a lock since verbs of different chats run at the same time; held for
    /// a look-up.
    own: Mutex<VecDeque<(MessageId, Sent)>>,
}

impl Session {
    pub(crate) fn new(network: Shared, (me, seat): (ContactId, u64), line: Line, cues: Cues) -> Self {
        Self {
            network,
            me,
            seat,
            line,
            cues,
            own: Mutex::default(),
        }
    }

    fn own(&self) -> MutexGuard<'_, VecDeque<(MessageId, Sent)>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent_before(&self, core: &MessageId) -> Option<Sent> {
        self.own()
            .iter()
            .rev()
            .find(|(id, _)| id == core)
            .map(|(_, sent)| sent.clone())
    }

    /// The network's id of a message that the core names.
    fn resolve(&self, id: &MessageId) -> MessageId {
        self.sent_before(id).and_then(|sent| sent.id).unwrap_or_else(|| id.clone())
    }
}

#[async_trait]
impl LegacySession for Session {
    async fn send_message(&self, message: OutgoingMessage, _cx: Op) -> OpResult<Sent> {
        if let Some(sent) = self.sent_before(&message.id) {
            return Ok(sent);
        }
        let reply = message.reply.map(|reply| self.resolve(&reply.to));
        let draft = Draft {
            body: message.body.clone(),
            attachments: message.attachments.clone(),
            reply,
            ..Draft::default()
        };
        let said = self.network.say(&self.me, &message.chat, draft)?;
        let sent = Sent {
            id: Some(said.id.clone()),
            timestamp: Some(said.at),
        };
        {
            let mut own = self.own();
            if own.len() >= OWN_IDS {
                own.pop_front();
            }
            own.push_back((message.id.clone(), sent.clone()));
        }
        if message.wants_receipt && !matches!(message.chat, Chat::Room(_)) {
            self.line.tell(spectrum_backend_sdk::Event::Delivered {
                chat: message.chat.clone(),
                id: message.id,
            });
        }
        self.cues.give(Cue::Said {
            chat: message.chat,
            id: said.id,
            body: message.body,
            attachments: message.attachments,
        });
        Ok(sent)
    }

    async fn edit_message(&self, edit: Edit, _cx: Op) -> OpResult<Sent> {
        let id = self.resolve(&edit.id);
        self.network.edit(&self.me, &edit.chat, &id, edit.body.clone())?;
        self.cues.give(Cue::Edited {
            chat: edit.chat,
            id: id.clone(),
            body: edit.body,
        });
        Ok(Sent {
            id: Some(id),
            timestamp: Some(self.network.now()),
        })
    }

    async fn retract_message(&self, retraction: Retraction, _cx: Op) -> OpResult<()> {
        let id = self.resolve(&retraction.id);
        self.network.retract(&self.me, &retraction.chat, &id, retraction.reason)?;
        self.cues.give(Cue::Retracted {
            chat: retraction.chat,
            id,
        });
        Ok(())
    }

    async fn react(&self, reactions: Reactions, _cx: Op) -> OpResult<()> {
        let id = self.resolve(&reactions.id);
        self.network.react(&self.me, &reactions.chat, &id, &reactions.emojis)?;
        self.cues.give(Cue::Reacted {
            chat: reactions.chat,
            id,
            emojis: reactions.emojis,
        });
        Ok(())
    }

    async fn mark(&self, marker: Marker, _cx: Op) -> OpResult<()> {
        let id = self.resolve(&marker.id);
        self.network.mark(&self.me, &marker.chat, &id, marker.kind)?;
        self.cues.give(Cue::Marked {
            chat: marker.chat,
            id,
            kind: marker.kind,
        });
        Ok(())
    }

    async fn set_chat_state(&self, chat: Chat, state: ChatState, _cx: Op) -> OpResult<()> {
        self.network.set_chat_state(&self.me, &chat, state)?;
        self.cues.give(Cue::State { chat, state });
        Ok(())
    }

    async fn call_attention(&self, contact: ContactId, text: Option<String>, _cx: Op) -> OpResult<()> {
        self.network.call_attention(&self.me, &contact, text.as_deref())?;
        self.cues.give(Cue::Attention(contact));
        Ok(())
    }

    async fn set_presence(&self, presence: Presence, _cx: Op) -> OpResult<()> {
        self.network.set_presence(&self.me, presence);
        Ok(())
    }

    async fn set_profile(&self, profile: ProfileUpdate, _cx: Op) -> OpResult<()> {
        self.network.set_profile(&self.me, profile)
    }

    async fn fetch_profile(&self, of: Chat, _cx: Op) -> OpResult<Profile> {
        let nobody = || OpError::new(OpErrorKind::NotFound, "Nobody of that name is there.");
        match of {
            Chat::Contact(contact) => self.network.profile(&contact),
            Chat::Occupant { room, nickname } => {
                let who = self.network.person_in(&room, &nickname).ok_or_else(nobody)?;
                self.network.profile(&who)
            }
            Chat::Room(_) => Err(OpError::new(OpErrorKind::NotFound, "Rooms have no profile.")),
        }
    }

    async fn add_contact(&self, contact: ContactDetails, _cx: Op) -> OpResult<()> {
        let id = contact.id.clone();
        if self.network.add_contact(&self.me, contact)? {
            self.cues.give(Cue::Asked(id));
        }
        Ok(())
    }

    async fn update_contact(&self, contact: ContactDetails, _cx: Op) -> OpResult<()> {
        self.network.update_contact(&self.me, contact)
    }

    async fn remove_contact(&self, contact: ContactId, _cx: Op) -> OpResult<()> {
        self.network.remove_contact(&self.me, &contact)
    }

    async fn answer_contact_request(&self, contact: ContactId, accept: bool, _cx: Op) -> OpResult<()> {
        if accept {
            let details = ContactDetails {
                id: contact.clone(),
                alias: None,
                groups: Vec::new(),
            };
            self.network.add_contact(&self.me, details)?;
            self.network.settle_request(&self.me, &contact, true);
        }
        self.cues.give(Cue::Answered { contact, accept });
        Ok(())
    }

    async fn block(&self, contact: ContactId, blocked: bool, _cx: Op) -> OpResult<()> {
        self.network.block(&self.me, &contact, blocked)
    }

    async fn search(&self, text: String, _cx: Op) -> OpResult<Vec<ContactSummary>> {
        Ok(self.network.search(&text))
    }

    async fn list_rooms(&self, _cx: Op) -> OpResult<Vec<RoomSummary>> {
        Ok(self.network.rooms())
    }

    async fn join_room(&self, join: JoinRoom, _cx: Op) -> OpResult<Joined> {
        let joined = self.network.join(&self.me, &join)?;
        // The room is complete once everybody in it has been shown.
        self.line.all_taken().await?;
        Ok(joined)
    }

    async fn leave_room(&self, room: RoomId, _cx: Op) -> OpResult<()> {
        self.network.leave(&self.me, &room);
        Ok(())
    }

    async fn room_info(&self, room: RoomId, _cx: Op) -> OpResult<RoomInfo> {
        self.network.room_info(&room)
    }

    async fn set_subject(&self, room: RoomId, subject: String, _cx: Op) -> OpResult<()> {
        self.network.set_subject(&self.me, &room, subject)
    }

    async fn change_nickname(&self, room: RoomId, nickname: Nickname, _cx: Op) -> OpResult<()> {
        self.network.rename(&self.me, &room, &nickname)
    }

    async fn invite(&self, room: RoomId, contact: ContactId, reason: Option<String>, _cx: Op) -> OpResult<()> {
        self.network.invite(&self.me, &room, &contact, reason)?;
        self.cues.give(Cue::Invited { room, contact });
        Ok(())
    }

    async fn kick(&self, room: RoomId, nickname: Nickname, reason: Option<String>, _cx: Op) -> OpResult<()> {
        let measure = Measure {
            room: &room,
            nickname: &nickname,
            reason,
        };
        self.network.kick(&self.me, measure)
    }

    async fn set_standing(
        &self,
        room: RoomId,
        nickname: Nickname,
        standing: Standing,
        reason: Option<String>,
        _cx: Op,
    ) -> OpResult<()> {
        let measure = Measure {
            room: &room,
            nickname: &nickname,
            reason,
        };
        self.network.set_standing(&self.me, measure, standing)
    }

    async fn room_settings(&self, room: RoomId, _cx: Op) -> OpResult<Form> {
        self.network.room_settings(&self.me, &room)
    }

    async fn configure_room(&self, room: RoomId, answers: FormAnswers, _cx: Op) -> OpResult<()> {
        self.network.configure_room(&self.me, &room, &answers)
    }

    async fn list_affiliated(&self, room: RoomId, affiliation: Affiliation, _cx: Op) -> OpResult<Vec<Affiliated>> {
        self.network.affiliated(&self.me, &room, affiliation)
    }

    async fn set_affiliation(
        &self,
        room: RoomId,
        who: LegacyName,
        affiliation: Affiliation,
        reason: Option<String>,
        _cx: Op,
    ) -> OpResult<()> {
        let decree = Decree {
            who,
            affiliation,
            reason,
        };
        self.network.decree(&self.me, &room, decree)
    }

    async fn history(&self, page: PageRequest, _cx: Op) -> OpResult<HistoryPage> {
        let request = PageRequest {
            before: page.before.as_ref().map(|id| self.resolve(id)),
            after: page.after.as_ref().map(|id| self.resolve(id)),
            ..page
        };
        self.network.page(&self.me, &request)
    }

    async fn logout(&self) {
        self.network.exit(&self.me, self.seat);
    }
}
