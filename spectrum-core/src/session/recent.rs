//! Where the user's last messages are: the answer to a question, by whatever way it was asked. Owns nothing.

use std::fmt;

use crate::model::{Chat, Timestamp};
use crate::session::Session;
use crate::session::history::Progress;

/// One of the user's last messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecentMessage {
    /// When the user sent it.
    pub at: Timestamp,
    /// Where it goes.
    pub chat: Chat,
    /// The id that the user's client gave it.
    pub client: Box<str>,
    /// How far it has got.
    pub stage: MessageStage,
}

/// How far a message of the user has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageStage {
    /// It waits for the network in memory; the end of the process would be its end.
    Accepted,
    /// It waits for the network and is in the journal: it survives the process. This is what *acknowledged* means.
    Journaled,
    /// The network has been asked to take it and has not answered yet.
    HandedOver,
    /// The network has it.
    Sent,
    /// The network says that it has reached its destination.
    Delivered,
    /// The network says that it has been read.
    Displayed,
    /// It may have been sent; nobody knows. The sender was told.
    Uncertain,
    /// It was not sent. The sender was told.
    Failed,
}

/// Takes the answer to [`Input::Recent`](super::Input::Recent).
pub struct RecentReply(Box<dyn FnOnce(Vec<RecentMessage>) + Send>);

impl RecentReply {
    /// The answer is given to this, by the task of the session: it must not wait.
    pub fn new(reply: impl FnOnce(Vec<RecentMessage>) + Send + 'static) -> Self {
        Self(Box::new(reply))
    }

    pub(crate) fn give(self, recent: Vec<RecentMessage>) {
        (self.0)(recent);
    }
}

impl fmt::Debug for RecentReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecentReply")
    }
}

impl Session {
    /// The user's last messages, the newest first, and how far each has got. As many as corrections can refer to.
    pub fn recent(&self) -> Vec<RecentMessage> {
        let stage = |progress: Progress, seq: u64| match progress {
            Progress::OnItsWay if self.outbox.is_handed_over(seq) => MessageStage::HandedOver,
            Progress::OnItsWay if self.config.durable => MessageStage::Journaled,
            Progress::OnItsWay => MessageStage::Accepted,
            Progress::Sent => MessageStage::Sent,
            Progress::Delivered => MessageStage::Delivered,
            Progress::Displayed => MessageStage::Displayed,
            Progress::Uncertain => MessageStage::Uncertain,
            Progress::Failed => MessageStage::Failed,
        };
        self.history
            .own()
            .rev()
            .map(|own| RecentMessage {
                at: own.at,
                chat: own.chat.clone(),
                client: own.client.clone(),
                stage: stage(own.progress, own.seq),
            })
            .collect()
    }
}
