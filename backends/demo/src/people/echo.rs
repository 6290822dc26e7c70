//! `echo`: does to its own words what is done to the user's. Remembers which of its words repeat which.

use std::collections::VecDeque;

use spectrum_backend_sdk::model::{ChatState, MarkerKind, MessageId};

use super::{Cue, ECHO, Stage, overlook};
use crate::network::Draft;

/// Messages whose echoes are remembered.
const REMEMBERED: usize = 256;

#[derive(Default)]
pub(super) struct Echo {
    /// The user's message and its echo.
    said: VecDeque<(MessageId, MessageId)>,
}

impl Echo {
    fn echo_of(&self, id: &MessageId) -> Option<&MessageId> {
        self.said
            .iter()
            .rev()
            .find(|(original, _)| original == id)
            .map(|(_, echo)| echo)
    }

    /// Reacts to something that was done to it.
    pub(super) fn react(&mut self, stage: &Stage, cue: &Cue) {
        let (network, me) = (&stage.network, ECHO.into());
        match cue {
            Cue::Said {
                chat,
                id,
                body,
                attachments,
            } => {
                let chat = stage.theirs(chat);
                overlook(network.mark(&me, &chat, id, MarkerKind::Displayed));
                overlook(network.set_chat_state(&me, &chat, ChatState::Composing));
                let draft = Draft {
                    attachments: attachments.clone(),
                    ..Draft::text(body.as_str())
                };
                if let Some(echo) = stage.say(ECHO, &chat, draft) {
                    if self.said.len() >= REMEMBERED {
                        self.said.pop_front();
                    }
                    self.said.push_back((id.clone(), echo));
                }
            }
            Cue::Edited { chat, id, body } => {
                if let Some(echo) = self.echo_of(id) {
                    overlook(network.edit(&me, &stage.theirs(chat), echo, body.clone()));
                }
            }
            Cue::Retracted { chat, id } => {
                if let Some(echo) = self.echo_of(id) {
                    overlook(network.retract(&me, &stage.theirs(chat), echo, None));
                }
            }
            // To the same message, whosever it is.
            Cue::Reacted { chat, id, emojis } => overlook(network.react(&me, &stage.theirs(chat), id, emojis)),
            Cue::State { chat, state } => overlook(network.set_chat_state(&me, &stage.theirs(chat), *state)),
            Cue::Marked { .. } | Cue::Attention(_) | Cue::Asked(_) | Cue::Answered { .. } | Cue::Invited { .. } => {}
        }
    }
}
