//! Messages as the store keeps them: a place, a stage, and an entry that only sessions understand.

use std::borrow::Cow;

use jid::Jid;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tracing::error;
use xmpp_parsers::message::MessageType;

use crate::model::{Attachment, Chat, Reply, Timestamp};
use crate::session::{JournalChanges, JournalContent, JournalRecord, JournalStage};
use crate::store::StoreError;

/// One message as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRecord {
    /// Its place among the messages of its user.
    pub seq: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// How far it has got.
    pub stage: JournalStage,
    /// The rest, a JSON object.
    pub entry: String,
}

/// Messages to keep, and to forget.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageChanges {
    /// New, or different from what is kept.
    pub put: Vec<MessageRecord>,
    /// Their places.
    pub removed: Vec<u64>,
}

/// Resolves once a change is committed.
#[derive(Debug)]
pub struct Commit(Option<oneshot::Receiver<Result<bool, StoreError>>>);

impl Commit {
    /// Of a change that is committed already.
    pub(crate) fn done_already() -> Self {
        Self(None)
    }

    pub(crate) fn pending(done: oneshot::Receiver<Result<bool, StoreError>>) -> Self {
        Self(Some(done))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// The database's; [`StoreError::Uncertain`] if nobody can tell.
    pub async fn done(self) -> Result<(), StoreError> {
        match self.0 {
            Some(done) => done.await.map_err(|_| StoreError::Uncertain)?.map(drop),
            None => Ok(()),
        }
    }
}

/// A stage as a number, for databases. Numbers below 2 have no fate yet.
pub(crate) fn stage_number(stage: JournalStage) -> i16 {
    match stage {
        JournalStage::Waits => 0,
        JournalStage::HandedOver => 1,
        JournalStage::Known => 2,
    }
}

/// The stage of a number; one that a later version knows counts as settled.
pub(crate) fn stage_of(number: i16) -> JournalStage {
    match number {
        0 => JournalStage::Waits,
        1 => JournalStage::HandedOver,
        _ => JournalStage::Known,
    }
}

/// The entry: short names, because there is one per message.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    /// Chat.
    c: KeptChat<'a>,
    /// The core's id.
    i: Cow<'a, str>,
    /// The client's id.
    k: Cow<'a, str>,
    /// The network's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<Cow<'a, str>>,
    /// The text's fingerprint; 0 in what was written before there was one, which no text has.
    #[serde(default)]
    p: u64,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    m: Option<Content<'a>>,
}

#[derive(Serialize, Deserialize)]
enum KeptChat<'a> {
    #[serde(rename = "c")]
    Contact(Cow<'a, str>),
    #[serde(rename = "r")]
    Room(Cow<'a, str>),
    #[serde(rename = "o")]
    Occupant(Cow<'a, str>, Cow<'a, str>),
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    /// Body.
    b: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xhtml: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<File<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    receipt: bool,
    /// From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<Cow<'a, str>>,
    /// To.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<Cow<'a, str>>,
    /// The stanza's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    /// The stanza's type, unless it is `chat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<Cow<'a, str>>,
}

/// Address, media type, description.
type File<'a> = (Cow<'a, str>, Option<Cow<'a, str>>, Option<Cow<'a, str>>);

impl MessageChanges {
    /// In the notation of the store.
    pub(crate) fn encode(changes: &JournalChanges) -> Result<Self, StoreError> {
        let mut put = Vec::with_capacity(changes.put.len());
        for record in &changes.put {
            put.push(encode(record)?);
        }
        Ok(Self {
            put,
            removed: changes.removed.clone(),
        })
    }
}

fn encode(record: &JournalRecord) -> Result<MessageRecord, StoreError> {
    let entry = Entry {
        c: match &record.chat {
            Chat::Contact(contact) => KeptChat::Contact(contact.as_str().into()),
            Chat::Room(room) => KeptChat::Room(room.as_str().into()),
            Chat::Occupant { room, nickname } => KeptChat::Occupant(room.as_str().into(), nickname.as_str().into()),
        },
        i: record.core.as_str().into(),
        k: (*record.client).into(),
        // One that no database takes is of no use after a restart, but the rest is.
        n: record
            .network
            .as_ref()
            .map(|id| id.as_str().into())
            .filter(|id: &Cow<'_, str>| !id.contains('\0')),
        p: record.print,
        m: record.content.as_ref().map(|content| Content {
            b: content.body.as_str().into(),
            xhtml: content.xhtml.as_deref().map(Cow::from),
            files: content.attachments.iter().map(file).collect(),
            reply: content.reply.as_ref().map(|reply| {
                let author = reply.author.as_ref().map(|author| author.as_str().into());
                (reply.to.as_str().into(), author)
            }),
            receipt: content.wants_receipt,
            f: content.from.as_ref().map(|jid| jid.as_str().into()),
            t: content.to.as_ref().map(|jid| jid.as_str().into()),
            id: content.id.as_deref().map(Cow::from),
            y: match content.kind {
                MessageType::Normal => Some("normal".into()),
                MessageType::Groupchat => Some("groupchat".into()),
                MessageType::Headline => Some("headline".into()),
                MessageType::Chat | MessageType::Error => None,
            },
        }),
    };
    let entry = serde_json::to_string(&entry).map_err(|_| StoreError::Invalid { what: "message" })?;
    // PostgreSQL has no place for it.
    if has_nul(&entry) {
        return Err(StoreError::Invalid { what: "message" });
    }
    Ok(MessageRecord {
        seq: record.seq,
        at: record.at,
        stage: record.stage,
        entry,
    })
}

/// Whether there is a NUL in a JSON text. Somebody may have written the six characters that stand for one.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes().get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

fn file(file: &Attachment) -> File<'_> {
    (
        file.url.as_str().into(),
        file.media_type.as_deref().map(Cow::from),
        file.description.as_deref().map(Cow::from),
    )
}

/// What sessions made of it; `None`, with a line in the log, for what this version cannot read.
pub(crate) fn decode(record: MessageRecord) -> Option<JournalRecord> {
    let entry: Entry<'_> = match serde_json::from_str(&record.entry) {
        Ok(entry) => entry,
        Err(failed) => {
            // Not the text of it: there is a message inside.
            error!(
                seq = record.seq,
                line = failed.line(),
                column = failed.column(),
                "A kept message cannot be read."
            );
            return None;
        }
    };
    let content = entry.m.map(|content| {
        Box::new(JournalContent {
            body: content.b.into_owned(),
            xhtml: content.xhtml.map(Cow::into_owned),
            attachments: content
                .files
                .into_iter()
                .map(|(url, media_type, description)| Attachment {
                    url: url.into_owned(),
                    media_type: media_type.map(Cow::into_owned),
                    description: description.map(Cow::into_owned),
                })
                .collect(),
            reply: content.reply.map(|(to, author)| Reply {
                to: (&*to).into(),
                author: author.map(|author| (&*author).into()),
            }),
            wants_receipt: content.receipt,
            from: content.f.and_then(|jid| Jid::new(&jid).ok()),
            to: content.t.and_then(|jid| Jid::new(&jid).ok()),
            id: content.id.map(Cow::into_owned),
            kind: match content.y.as_deref() {
                Some("normal") => MessageType::Normal,
                Some("groupchat") => MessageType::Groupchat,
                Some("headline") => MessageType::Headline,
                Some(_) | None => MessageType::Chat,
            },
        })
    });
    Some(JournalRecord {
        seq: record.seq,
        at: record.at,
        stage: if content.is_some() {
            record.stage
        } else {
            JournalStage::Known
        },
        chat: match entry.c {
            KeptChat::Contact(contact) => Chat::Contact((&*contact).into()),
            KeptChat::Room(room) => Chat::Room((&*room).into()),
            KeptChat::Occupant(room, nickname) => Chat::Occupant {
                room: (&*room).into(),
                nickname: (&*nickname).into(),
            },
        },
        core: (&*entry.i).into(),
        client: (&*entry.k).into(),
        network: entry.n.map(|id| (&*id).into()),
        print: entry.p,
        content,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn record(chat: Chat, content: Option<JournalContent>) -> JournalRecord {
        JournalRecord {
            seq: 7,
            at: Timestamp::from_secs(3),
            stage: if content.is_some() {
                JournalStage::HandedOver
            } else {
                JournalStage::Known
            },
            chat,
            core: "1.2".into(),
            client: "x\"y".into(),
            network: Some("n".into()),
            print: u64::MAX,
            content: content.map(Box::new),
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let full = JournalContent {
            body: "a\"b\n\u{1f980}".to_owned(),
            xhtml: Some("<b>a</b>".to_owned()),
            attachments: vec![Attachment {
                url: "https://x/y".to_owned(),
                media_type: None,
                description: Some("z".to_owned()),
            }],
            reply: Some(Reply {
                to: "m".into(),
                author: Some("n".into()),
            }),
            wants_receipt: true,
            from: Some(Jid::new("romeo@x/y").unwrap()),
            to: Some(Jid::new("juliet@net").unwrap()),
            id: Some("id".to_owned()),
            kind: MessageType::Groupchat,
        };
        let occupant = Chat::Occupant {
            room: "#r".into(),
            nickname: "n".into(),
        };
        for record in [
            record(Chat::Contact("juliet".into()), None),
            record(Chat::Room("#r".into()), Some(full.clone())),
            record(occupant, Some(full)),
        ] {
            assert_eq!(decode(encode(&record).unwrap()), Some(record));
        }
    }

    #[test]
    fn what_stands_for_a_nul_is_no_nul_but_a_nul_is_refused() {
        let content = |body: &str| JournalContent {
            body: body.to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
            from: None,
            to: None,
            id: None,
            kind: MessageType::Chat,
        };
        let kept = |body: &str| encode(&record(Chat::Contact("juliet".into()), Some(content(body)))).is_ok();
        for body in ["\\u0000", "\\\\u0000", "a\\u0000b"] {
            assert!(kept(body), "{body}");
        }
        assert!(!kept("a\0b") && !kept("\\\0"));
        let mut known = record(Chat::Contact("juliet".into()), None);
        known.network = Some("n\0".into());
        let kept = decode(encode(&known).unwrap()).unwrap();
        assert_eq!(kept.network, None, "the rest of the journal goes on");
    }

    #[test]
    fn a_message_from_before_there_were_fingerprints_is_not_lost() {
        let kept = MessageRecord {
            seq: 1,
            at: Timestamp::from_secs(1),
            stage: JournalStage::Waits,
            entry: r#"{"c":{"c":"juliet"},"i":"1.2","k":"x","m":{"b":"hello"}}"#.to_owned(),
        };
        let content = decode(kept).unwrap().content.unwrap();
        assert_eq!(content.body, "hello");
    }

    #[test]
    fn what_a_later_version_wrote_is_left_alone() {
        let strange = MessageRecord {
            seq: 1,
            at: Timestamp::from_secs(1),
            stage: JournalStage::Waits,
            entry: "{\"c\":{\"galaxy\":\"x\"}}".to_owned(),
        };
        assert_eq!(decode(strange), None);
    }
}
