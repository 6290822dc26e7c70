//! Messages and what is said about them, in talks and rooms alike. The state is the network's.

use spectrum_backend_sdk::model::{
    Attachment, Chat, ChatState, ContactId, Edit, HistoryPage, IncomingMessage, Marker, MarkerKind, MessageId, MessageKind,
    Origin, PageRequest, Reactions, Reply, Retraction, Role, Timestamp,
};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};

use super::log::Entry;
use super::place::Place;
use super::{Network, State, nobody};

/// Something to be said.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub(crate) body: String,
    pub(crate) attachments: Vec<Attachment>,
    /// The message it answers.
    pub(crate) reply: Option<MessageId>,
    pub(crate) kind: MessageKind,
    /// When it was written, if that was before now.
    pub(crate) at: Option<Timestamp>,
}

impl Draft {
    /// A text.
    pub(crate) fn text(body: impl Into<String>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }
}

/// What became of it.
pub(crate) struct Said {
    pub(crate) id: MessageId,
    pub(crate) at: Timestamp,
}

fn no_message() -> OpError {
    OpError::new(OpErrorKind::NotFound, "The demo network does not remember that message.")
}

impl Network {
    /// Somebody says something.
    pub(crate) fn say(&self, me: &ContactId, chat: &Chat, draft: Draft) -> OpResult<Said> {
        let now = self.now();
        let mut state = self.state();
        let place = state.place(me, chat)?;
        state.may_speak(me, &place)?;
        let reply = draft.reply.map(|to| Reply {
            author: state
                .log(me, &place)
                .and_then(|log| log.get(&to))
                .and_then(|entry| entry.nickname.clone()),
            to,
        });
        let entry = Entry {
            id: state.next_id(),
            by: me.clone(),
            nickname: match &place {
                Place::Room { nickname, .. } => Some(nickname.clone()),
                Place::Talk { .. } => None,
            },
            body: draft.body,
            attachments: draft.attachments,
            reply,
            at: draft.at.unwrap_or(now),
        };
        state.tell_others(me, &place, |chat, _| {
            let mut message = entry.seen_by(me, chat);
            message.origin = Origin::Other;
            message.timestamp = draft.at;
            message.kind = draft.kind;
            Event::Message(message)
        });
        let said = Said {
            id: entry.id.clone(),
            at: entry.at,
        };
        if let Some(log) = state.log_mut(me, &place) {
            log.push(entry);
        }
        Ok(said)
    }

    /// Another device of somebody's says something to a contact.
    pub(crate) fn say_elsewhere(&self, me: &ContactId, to: &ContactId, body: String) -> OpResult<()> {
        let said = self.say(me, &Chat::Contact(to.clone()), Draft::text(body.clone()))?;
        let mut message = IncomingMessage::new(Chat::Contact(to.clone()), body);
        message.id = Some(said.id);
        message.origin = Origin::OwnOtherDevice;
        self.tell(me, Event::Message(message));
        Ok(())
    }

    /// Somebody gives a message of theirs another text.
    pub(crate) fn edit(&self, me: &ContactId, chat: &Chat, id: &MessageId, body: String) -> OpResult<()> {
        let mut state = self.state();
        let place = state.place(me, chat)?;
        state.may_speak(me, &place)?;
        if state.message(me, &place, id)?.by != *me {
            return Err(OpError::new(OpErrorKind::NotAllowed, "Only its author can change a message."));
        }
        if let Some(log) = state.log_mut(me, &place) {
            log.edit(id, body.clone());
        }
        state.tell_others(me, &place, |chat, nickname| {
            Event::Edited(Edit {
                chat,
                nickname,
                id: id.clone(),
                body: body.clone(),
                origin: Origin::Other,
            })
        });
        Ok(())
    }

    /// Somebody takes a message back: their own, or as a moderator of a room anybody's.
    pub(crate) fn retract(&self, me: &ContactId, chat: &Chat, id: &MessageId, reason: Option<String>) -> OpResult<()> {
        let mut state = self.state();
        let place = state.place(me, chat)?;
        let own = state.message(me, &place, id)?.by == *me;
        let moderates = matches!(&place, Place::Room { id, .. } if state.role(id, me) == Some(Role::Moderator));
        if !own && !moderates {
            return Err(OpError::new(
                OpErrorKind::NotAllowed,
                "Only its author and moderators can take a message back.",
            ));
        }
        if let Some(log) = state.log_mut(me, &place) {
            log.remove(id);
        }
        state.tell_others(me, &place, |chat, nickname| {
            Event::Retracted(Retraction {
                chat,
                nickname,
                id: id.clone(),
                reason: reason.clone(),
                origin: Origin::Other,
            })
        });
        Ok(())
    }

    /// These are somebody's reactions to a message now.
    pub(crate) fn react(&self, me: &ContactId, chat: &Chat, id: &MessageId, emojis: &[String]) -> OpResult<()> {
        let state = self.state();
        let place = state.place(me, chat)?;
        state.may_speak(me, &place)?;
        state.message(me, &place, id)?;
        state.tell_others(me, &place, |chat, nickname| {
            Event::Reacted(Reactions {
                chat,
                nickname,
                id: id.clone(),
                emojis: emojis.to_vec(),
                origin: Origin::Other,
            })
        });
        Ok(())
    }

    /// Somebody has got or read what was said up to this message.
    pub(crate) fn mark(&self, me: &ContactId, chat: &Chat, id: &MessageId, kind: MarkerKind) -> OpResult<()> {
        let state = self.state();
        let place = state.place(me, chat)?;
        state.message(me, &place, id)?;
        state.tell_others(me, &place, |chat, nickname| {
            Event::Marked(Marker {
                chat,
                nickname,
                id: id.clone(),
                kind,
                origin: Origin::Other,
            })
        });
        Ok(())
    }

    /// Somebody types, or stops.
    pub(crate) fn set_chat_state(&self, me: &ContactId, chat: &Chat, chat_state: ChatState) -> OpResult<()> {
        let state = self.state();
        let place = state.place(me, chat)?;
        state.tell_others(me, &place, |chat, nickname| Event::ChatState {
            chat,
            nickname,
            state: chat_state,
        });
        Ok(())
    }

    /// Somebody calls for a contact's attention.
    pub(crate) fn call_attention(&self, me: &ContactId, contact: &ContactId, text: Option<&str>) -> OpResult<()> {
        let state = self.state();
        let place = state.place(me, &Chat::Contact(contact.clone()))?;
        state.tell_others(me, &place, |_, _| Event::Attention {
            contact: me.clone(),
            text: text.map(str::to_owned),
        });
        Ok(())
    }

    /// Old messages.
    pub(crate) fn page(&self, me: &ContactId, request: &PageRequest) -> OpResult<HistoryPage> {
        let state = self.state();
        let place = state.place(me, &request.chat)?;
        let Some(log) = state.log(me, &place) else {
            return Ok(HistoryPage {
                messages: Vec::new(),
                complete: true,
            });
        };
        let (before, after) = (request.before.as_ref(), request.after.as_ref());
        let (page, complete) = log.page(before, after, request.limit).ok_or_else(no_message)?;
        Ok(HistoryPage {
            messages: page.map(|entry| entry.seen_by(me, request.chat.clone())).collect(),
            complete,
        })
    }

    /// The text of a message, if it is kept.
    pub(crate) fn body_of(&self, me: &ContactId, chat: &Chat, id: &MessageId) -> Option<String> {
        let state = self.state();
        let place = state.place(me, chat).ok()?;
        state.message(me, &place, id).ok().map(|entry| entry.body.clone())
    }

    /// Tells somebody something, if they are here.
    pub(crate) fn tell(&self, who: &ContactId, event: Event) {
        if let Some(person) = self.state().people.get(who) {
            person.line.tell(event);
        }
    }

    /// Cuts somebody off.
    ///
    /// # Errors
    /// They are not here.
    pub(crate) fn cut(&self, who: &ContactId, why: spectrum_backend_sdk::LoginError) -> OpResult<()> {
        let state = self.state();
        state.people.get(who).ok_or_else(nobody)?.line.cut(why);
        Ok(())
    }
}

impl State {
    fn message(&self, me: &ContactId, place: &Place, id: &MessageId) -> OpResult<&Entry> {
        self.log(me, place).and_then(|log| log.get(id)).ok_or_else(no_message)
    }

    fn role(&self, room: &spectrum_backend_sdk::model::RoomId, who: &ContactId) -> Option<Role> {
        self.rooms
            .get(room)
            .and_then(|room| room.by_person(who))
            .map(|inside| inside.role)
    }

    fn may_speak(&self, me: &ContactId, place: &Place) -> OpResult<()> {
        match place {
            Place::Room { id, .. } if self.role(id, me) == Some(Role::Visitor) => Err(OpError::new(
                OpErrorKind::NotAllowed,
                "You may only listen in this room: a moderator gives you voice.",
            )),
            Place::Room { .. } | Place::Talk { .. } => Ok(()),
        }
    }
}
