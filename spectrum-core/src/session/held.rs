//! Messages for the user while no resource takes messages, where no server keeps them for us. Owned by the session;
//! bounded: the oldest go first, and the loss is told.

use std::collections::VecDeque;

use xmpp_parsers::message::{Message, MessageType};

use crate::model::Timestamp;
use crate::session::{Cx, StoreRequest};
use crate::xml::delay;

/// The setting under which a loss is kept for the next login. Not passed on to the network.
pub(crate) const LOST_SETTING: &str = "lost_messages";

/// Messages that wait for a resource.
#[derive(Debug, Default)]
pub(crate) struct Held {
    list: VecDeque<(Timestamp, Message)>,
    bytes: usize,
    lost: u64,
}

impl Held {
    /// Keeps a message until a resource comes. What is of the moment only is dropped (XEP-0160 3).
    pub(crate) fn keep(&mut self, cx: &Cx<'_>, message: Message) {
        if message.bodies.is_empty() || message.type_ == MessageType::Headline {
            return;
        }
        let limits = &cx.config.limits;
        self.bytes += bytes(&message);
        self.list.push_back((cx.now.wall, message));
        while self.list.len() > limits.held_messages || (self.bytes > limits.held_bytes && self.list.len() > 1) {
            if let Some((_, oldest)) = self.list.pop_front() {
                self.bytes -= bytes(&oldest);
                self.lost += 1;
            }
        }
    }

    /// Messages were lost in an earlier session.
    pub(crate) fn lost_before(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// A resource takes messages: it gets all, with the time at which they came.
    pub(crate) fn deliver(&mut self, cx: &mut Cx<'_>, resource: &jid::ResourceRef) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let were = if lost == 1 { "message was" } else { "messages were" };
            cx.notice(format!(
                "{lost} older {were} lost while you were away: there was no room to keep them."
            ));
            cx.store(StoreRequest::SaveSetting {
                name: LOST_SETTING.to_owned(),
                value: "0".to_owned(),
            });
        }
        self.bytes = 0;
        for (since, mut message) in std::mem::take(&mut self.list) {
            message.to = Some(cx.user_at(Some(resource)));
            if !message.payloads.iter().any(|p| p.is("delay", xmpp_parsers::ns::DELAY)) {
                message.payloads.push(delay(since, cx.config.transport.as_str()));
            }
            cx.say(message);
        }
    }

    /// The session is over: what is still here is lost, and told at the next login if there is a store.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>) {
        let lost = self.lost.saturating_add(self.list.len() as u64);
        if lost > 0 {
            cx.store(StoreRequest::SaveSetting {
                name: LOST_SETTING.to_owned(),
                value: lost.to_string(),
            });
        }
        *self = Self::default();
    }
}

fn bytes(message: &Message) -> usize {
    256 + message.bodies.values().map(String::len).sum::<usize>() + 128 * message.payloads.len()
}
