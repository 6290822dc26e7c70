//! What the store keeps of the user's messages, so that none is lost with the process: each until its fate is known, and its
//! ids for some time longer. Owns nothing: what is to be kept follows from the outbox and the history.
//!
//! A message is journaled before its frame is written. That it was handed over is written with it, so that after a crash it
//! is never sent twice: between the commit and the frame it counts as uncertain.

use std::time::Duration;

use jid::{Jid, ResourceRef};
use xmpp_parsers::message::{Id, Message, MessageType};
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::backend::OpError;
use crate::model::{Attachment, Capability, Chat, LegacyName, MessageId, OutgoingMessage, Reply, Timestamp};
use crate::session::Cx;
use crate::session::history::{self, History, Own, Progress};
use crate::session::outbox::{Entry, Outbox};
use crate::session::parts::Parts;
use crate::stanza::{Stanza, error, op_error};

/// A message that has waited this long is not sent any more: its sender is told instead.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
/// Ids of messages older than that are forgotten.
const MAX_IDS_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Characters of a message that are quoted where its sender is told what became of it.
const QUOTED: usize = 60;

/// How far a message has got that is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JournalStage {
    /// It waits for the network.
    Waits,
    /// The network may have it.
    HandedOver,
    /// The network has it; only its ids are kept.
    Known,
}

/// What is kept of one message of the user.
#[derive(Clone, PartialEq, Debug)]
pub struct JournalRecord {
    /// Its place among the user's messages: unique, and later ones have higher numbers.
    pub seq: u64,
    /// When the user sent it.
    pub at: Timestamp,
    /// How far it has got.
    pub stage: JournalStage,
    /// Where it goes.
    pub chat: Chat,
    /// The core's id.
    pub core: MessageId,
    /// The client's id.
    pub client: Box<str>,
    /// The network's id, where it has one and it is known.
    pub network: Option<MessageId>,
    /// A fingerprint of its text, by which a repetition is told from another message with the same id.
    pub print: u64,
    /// The message itself, unless it is with the network.
    pub content: Option<Box<JournalContent>>,
}

/// A message whose fate is not known.
#[derive(Clone, PartialEq, Debug)]
pub struct JournalContent {
    /// The text.
    pub body: String,
    /// Inner XHTML of it.
    pub xhtml: Option<String>,
    /// Files by URL.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub reply: Option<Reply>,
    /// Whether the sender wants to know of the delivery.
    pub wants_receipt: bool,
    /// Who is told what became of it.
    pub from: Option<Jid>,
    /// The address it was sent to.
    pub to: Option<Jid>,
    /// The id of its stanza.
    pub id: Option<String>,
    /// The type of its stanza.
    pub kind: MessageType,
}

/// What has changed since the last time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JournalChanges {
    /// Records that are new or different.
    pub put: Vec<JournalRecord>,
    /// Records that may go.
    pub removed: Vec<u64>,
}

impl JournalChanges {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.removed.is_empty()
    }

    /// Whether something of it must be committed before the network is asked for anything.
    pub fn is_urgent(&self) -> bool {
        self.put.iter().any(|record| record.content.is_some())
    }

    /// Takes later changes in: of each message, the last word counts.
    pub fn merge(&mut self, later: Self) {
        for record in later.put {
            match self.put.iter_mut().rev().find(|earlier| earlier.seq == record.seq) {
                Some(earlier) => *earlier = record,
                None => self.put.push(record),
            }
        }
        for seq in later.removed {
            self.put.retain(|record| record.seq != seq);
            self.removed.push(seq);
        }
    }
}

/// How long a message stays in the journal as it was, after its sender was told what became of it. What is told goes through a
/// queue and a socket, and is lost if the process dies before: then the next session tells it again.
const TOLD: Duration = Duration::from_secs(1);

/// Puts aside what senders have been told just now, and gives free what they were told long enough ago; `None` for `now`: all.
pub(crate) fn release_told(history: &mut History, now: Option<Duration>) {
    let History { told, dirty, .. } = history;
    told.retain_mut(|(until, seq)| {
        let until = *until.get_or_insert(now.unwrap_or_default() + TOLD);
        let stays = now.is_some_and(|now| now < until);
        if !stays {
            dirty.push(*seq);
        }
        stays
    });
}

/// What has changed in the outbox and the history since this was last asked; `None` if nothing has.
pub(crate) fn changes(outbox: &mut Outbox, history: &mut History) -> Option<Box<JournalChanges>> {
    if outbox.dirty.is_empty() && history.dirty.is_empty() {
        return None;
    }
    let mut dirty = std::mem::take(&mut outbox.dirty);
    dirty.append(&mut history.dirty);
    dirty.retain(|seq| history.told.iter().all(|(_, told)| told != seq));
    dirty.sort_unstable();
    dirty.dedup();
    if dirty.is_empty() {
        return None;
    }
    let mut changes = Box::new(JournalChanges::default());
    for seq in dirty {
        let record = outbox.record(seq).or_else(|| history.by_seq(seq).and_then(known));
        match record {
            Some(record) => changes.put.push(record),
            None => changes.removed.push(seq),
        }
    }
    Some(changes)
}

fn known(own: &Own) -> Option<JournalRecord> {
    (own.progress != Progress::Failed).then(|| JournalRecord {
        seq: own.seq,
        at: own.at,
        stage: JournalStage::Known,
        chat: own.chat.clone(),
        core: own.core.clone(),
        client: own.client.clone(),
        network: own.network.clone(),
        print: own.print,
        content: None,
    })
}

/// A message of the outbox as it is kept.
pub(crate) fn open(entry: &Entry, stage: JournalStage) -> JournalRecord {
    let OutgoingMessage {
        chat,
        id,
        body,
        xhtml,
        attachments,
        reply,
        wants_receipt,
    } = entry.message.clone();
    let print = history::print(&body);
    let stanza = &entry.stanza;
    JournalRecord {
        seq: entry.seq,
        at: entry.at,
        stage,
        chat,
        core: id,
        client: entry.client.clone(),
        network: None,
        print,
        content: Some(Box::new(JournalContent {
            body,
            xhtml,
            attachments,
            reply,
            wants_receipt,
            from: stanza.from.clone(),
            to: stanza.to.clone(),
            id: stanza.id.as_ref().map(|id| id.0.clone()),
            kind: stanza.type_.clone(),
        })),
    }
}

impl Parts {
    /// Takes over what was kept when the session before this one ended, by a crash or not. What waited is sent, in its
    /// order; what may have been sent is answered as uncertain, and sent again only where that is harmless.
    pub(crate) fn restore(&mut self, cx: &mut Cx<'_>, records: Vec<JournalRecord>) {
        let idempotent = cx.can(Capability::IdempotentSend);
        let now = cx.now.wall.as_millis();
        let forgotten = millis(MAX_IDS_AGE);
        let mut told = Vec::new();
        for record in records {
            if cx.history.is_known(record.seq) {
                continue;
            }
            let age = now.saturating_sub(record.at.as_millis());
            let progress = match record.stage {
                JournalStage::Known if age > forgotten => {
                    cx.history.dirty.push(record.seq);
                    continue;
                }
                JournalStage::Known => Progress::Sent,
                JournalStage::Waits | JournalStage::HandedOver => Progress::OnItsWay,
            };
            cx.history.restore(Own {
                seq: record.seq,
                at: record.at,
                chat: record.chat.clone(),
                core: record.core.clone(),
                client: record.client.clone(),
                network: record.network.clone(),
                print: record.print,
                progress,
            });
            let stage = record.stage;
            let Some(entry) = entry(cx, record) else { continue };
            let fate = if stage == JournalStage::HandedOver && !idempotent {
                let text = "The transport was restarted while it was being sent.";
                Some(OpError::maybe_sent(text))
            } else if left(entry.at, cx.now.wall).is_zero() {
                Some(waited_too_long())
            } else {
                None
            };
            match fate {
                Some(failed) => told.push((entry, failed)),
                None => cx.outbox.restore(entry),
            }
        }
        for (entry, failed) in told {
            cx.history.failed(&entry.message.id, &failed);
            cx.history.dirty.push(entry.seq);
            self.tell_sender(cx, &entry, &failed);
        }
    }

    /// Messages that wait for too long are answered.
    pub(crate) fn expire_messages(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.wall;
        for entry in cx.outbox.withdraw_where(|entry| left(entry.at, now).is_zero()) {
            let failed = waited_too_long();
            cx.history.failed(&entry.message.id, &failed);
            self.tell_sender(cx, &entry, &failed);
        }
    }

    /// What could not be journaled is not sent: it would be lost without a word if the process died.
    pub(crate) fn not_kept(&mut self, cx: &mut Cx<'_>, seqs: &[u64]) {
        for entry in cx.outbox.withdraw_where(|entry| seqs.contains(&entry.seq)) {
            cx.history.forget(&entry.message.id);
            let text = "Not sent: the transport cannot keep messages at the moment. Try again later.";
            cx.refuse(
                &Stanza::Message(*entry.stanza),
                error(DefinedCondition::InternalServerError, text),
            );
        }
    }

    /// Tells who sent a message of an earlier session what became of it: by an error where the client may still wait for
    /// one, else in words, which the user's server or this session keeps.
    fn tell_sender(&mut self, cx: &mut Cx<'_>, entry: &Entry, failed: &OpError) {
        let resource = entry.stanza.from.as_ref().and_then(Jid::resource);
        if resource.is_some_and(|resource| self.is_there(resource)) {
            return cx.refuse(&Stanza::Message((*entry.stanza).clone()), op_error(failed));
        }
        let to = match &entry.message.chat {
            Chat::Contact(contact) => LegacyName::from(contact),
            Chat::Room(room) | Chat::Occupant { room, .. } => LegacyName::from(room),
        };
        let error = op_error(failed);
        let why = error.texts.values().next().map(String::as_str).unwrap_or_default();
        let text = format!(
            "Your message to {} of {} was not sent, or it is not certain that it was: {why}\n> {}",
            cx.address(&to),
            entry.at.date_time(),
            quote(&entry.message.body),
        );
        let audience = self.audience();
        self.conversations.notice(cx, &text, audience);
    }

    fn is_there(&self, resource: &ResourceRef) -> bool {
        self.resources.views().iter().any(|view| &*view.resource == resource)
    }
}

/// When the oldest message that waits has waited for [`MAX_AGE`], counted like [`Now::mono`](super::Now::mono).
pub(crate) fn expiry(cx: &Cx<'_>) -> Option<Duration> {
    let oldest = cx.outbox.oldest_waiting()?;
    Some(cx.now.mono + left(oldest, cx.now.wall))
}

/// For how long a message may wait that was sent then.
fn left(at: Timestamp, now: Timestamp) -> Duration {
    let age = now.as_millis().saturating_sub(at.as_millis());
    MAX_AGE.saturating_sub(Duration::from_millis(u64::try_from(age).unwrap_or_default()))
}

/// A message of an earlier session as it waits in the outbox; `None` if only its ids were kept.
fn entry(cx: &mut Cx<'_>, record: JournalRecord) -> Option<Entry> {
    let content = *record.content?;
    let room = match &record.chat {
        Chat::Contact(_) => None,
        Chat::Room(room) | Chat::Occupant { room, .. } => Some(cx.names.node_of(&LegacyName::from(room), cx.out)),
    };
    let mut stanza = Message::new_with_type(content.kind, content.to);
    stanza.from = content.from;
    stanza.id = content.id.map(Id);
    if room.is_some() {
        // A line is shown in its room once it is out.
        stanza.bodies.insert(Default::default(), content.body.clone());
    }
    Some(Entry {
        seq: record.seq,
        at: record.at,
        client: record.client,
        message: OutgoingMessage {
            chat: record.chat,
            id: record.core,
            body: content.body,
            xhtml: content.xhtml,
            attachments: content.attachments,
            reply: content.reply,
            wants_receipt: content.wants_receipt,
        },
        stanza: Box::new(stanza),
        room,
    })
}

fn waited_too_long() -> OpError {
    OpError::not_connected("It waited too long to be sent.")
}

fn quote(body: &str) -> String {
    let line = body.lines().next().unwrap_or_default();
    let mut quoted: String = line.chars().take(QUOTED).collect();
    if quoted.len() < body.len() {
        quoted.push('…');
    }
    quoted
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
