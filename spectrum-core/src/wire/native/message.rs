//! Messages, and what happens to them afterwards, on the wire.

use super::basic::{Number, Wire, optional, read_all, read_texts, read_time, text, texts, write_all};
use crate::model::{
    Attachment, Chat, Edit, HistoryPage, IncomingMessage, Marker, MarkerKind, MessageKind, Origin, OutgoingMessage, PageRequest,
    Reactions, Reply, Retraction, Sent, Timestamp,
};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::reader::Reader;

impl Wire for Attachment {
    type Message = proto::Attachment;

    fn write(&self) -> proto::Attachment {
        proto::Attachment {
            url: text(&self.url),
            mime_type: optional(self.media_type.as_ref()),
            description: optional(self.description.as_ref()),
        }
    }

    fn read(message: proto::Attachment, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            url: reader.text(message.url).ok_or(Violation::Missing)?,
            media_type: reader.text(message.mime_type),
            description: reader.text(message.description),
        })
    }
}

impl Wire for Reply {
    type Message = proto::Reply;

    fn write(&self) -> proto::Reply {
        proto::Reply {
            to: text(&self.to),
            author: optional(self.author.as_ref()),
        }
    }

    fn read(message: proto::Reply, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            to: reader.id(message.to).ok_or(Violation::Missing)?,
            author: reader.id(message.author),
        })
    }
}

/// What a message answers; a reply to nothing is no reply, and the message stays.
fn read_reply(message: Option<proto::Reply>, reader: &mut Reader<'_>) -> Option<Reply> {
    read_all(message.into_iter().collect(), reader).pop()
}

impl Wire for OutgoingMessage {
    type Message = proto::OutgoingMessage;

    fn write(&self) -> proto::OutgoingMessage {
        proto::OutgoingMessage {
            chat: Some(self.chat.write()),
            id: text(&self.id),
            body: text(&self.body),
            xhtml: optional(self.xhtml.as_ref()),
            attachment: write_all(&self.attachments),
            reply: self.reply.as_ref().map(Wire::write),
            wants_receipt: self.wants_receipt.then_some(true),
        }
    }

    fn read(message: proto::OutgoingMessage, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            body: reader.text_or_empty(message.body),
            xhtml: reader.text(message.xhtml),
            attachments: read_all(message.attachment, reader),
            reply: read_reply(message.reply, reader),
            wants_receipt: message.wants_receipt.unwrap_or(false),
        })
    }
}

impl Wire for IncomingMessage {
    type Message = proto::IncomingMessage;

    fn write(&self) -> proto::IncomingMessage {
        proto::IncomingMessage {
            chat: Some(self.chat.write()),
            nickname: optional(self.nickname.as_ref()),
            id: optional(self.id.as_ref()),
            body: text(&self.body),
            xhtml: optional(self.xhtml.as_ref()),
            timestamp: self.timestamp.map(Timestamp::as_millis),
            own: write_origin(self.origin),
            headline: (self.kind == MessageKind::Headline).then_some(true),
            attachment: write_all(&self.attachments),
            reply: self.reply.as_ref().map(Wire::write),
        }
    }

    fn read(message: proto::IncomingMessage, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            nickname: reader.id(message.nickname),
            id: reader.id(message.id),
            body: reader.text_or_empty(message.body),
            xhtml: reader.text(message.xhtml),
            timestamp: read_time(message.timestamp),
            origin: read_origin(message.own),
            kind: if message.headline == Some(true) {
                MessageKind::Headline
            } else {
                MessageKind::Normal
            },
            attachments: read_all(message.attachment, reader),
            reply: read_reply(message.reply, reader),
        })
    }
}

fn write_origin(origin: Origin) -> Option<bool> {
    match origin {
        Origin::Other => None,
        Origin::OwnOtherDevice => Some(true),
    }
}

fn read_origin(own: Option<bool>) -> Origin {
    if own == Some(true) {
        Origin::OwnOtherDevice
    } else {
        Origin::Other
    }
}

impl Wire for Sent {
    type Message = proto::Sent;

    fn write(&self) -> proto::Sent {
        proto::Sent {
            id: optional(self.id.as_ref()),
            timestamp: self.timestamp.map(Timestamp::as_millis),
        }
    }

    fn read(message: proto::Sent, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id),
            timestamp: read_time(message.timestamp),
        })
    }
}

impl Wire for Edit {
    type Message = proto::Afterwards;

    fn write(&self) -> proto::Afterwards {
        proto::Afterwards {
            chat: Some(self.chat.write()),
            nickname: optional(self.nickname.as_ref()),
            id: text(&self.id),
            own: write_origin(self.origin),
            text: text(&self.body),
            ..proto::Afterwards::default()
        }
    }

    fn read(message: proto::Afterwards, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            nickname: reader.id(message.nickname),
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            body: reader.text_or_empty(message.text),
            origin: read_origin(message.own),
        })
    }
}

impl Wire for Retraction {
    type Message = proto::Afterwards;

    fn write(&self) -> proto::Afterwards {
        proto::Afterwards {
            chat: Some(self.chat.write()),
            nickname: optional(self.nickname.as_ref()),
            id: text(&self.id),
            own: write_origin(self.origin),
            text: optional(self.reason.as_ref()),
            ..proto::Afterwards::default()
        }
    }

    fn read(message: proto::Afterwards, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            nickname: reader.id(message.nickname),
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            reason: reader.text(message.text),
            origin: read_origin(message.own),
        })
    }
}

impl Wire for Reactions {
    type Message = proto::Afterwards;

    fn write(&self) -> proto::Afterwards {
        proto::Afterwards {
            chat: Some(self.chat.write()),
            nickname: optional(self.nickname.as_ref()),
            id: text(&self.id),
            own: write_origin(self.origin),
            emoji: texts(&self.emojis),
            ..proto::Afterwards::default()
        }
    }

    fn read(message: proto::Afterwards, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            nickname: reader.id(message.nickname),
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            emojis: read_texts(message.emoji, reader),
            origin: read_origin(message.own),
        })
    }
}

impl Wire for Marker {
    type Message = proto::Afterwards;

    fn write(&self) -> proto::Afterwards {
        proto::Afterwards {
            chat: Some(self.chat.write()),
            nickname: optional(self.nickname.as_ref()),
            id: text(&self.id),
            own: write_origin(self.origin),
            marker: self.kind.number(),
            ..proto::Afterwards::default()
        }
    }

    fn read(message: proto::Afterwards, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            nickname: reader.id(message.nickname),
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            kind: MarkerKind::from_number(message.marker),
            origin: read_origin(message.own),
        })
    }
}

impl Wire for PageRequest {
    type Message = proto::PageRequest;

    fn write(&self) -> proto::PageRequest {
        proto::PageRequest {
            chat: Some(self.chat.write()),
            before: optional(self.before.as_ref()),
            after: optional(self.after.as_ref()),
            limit: Some(self.limit),
        }
    }

    fn read(message: proto::PageRequest, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            chat: Chat::read_required(message.chat, reader)?,
            before: reader.id(message.before),
            after: reader.id(message.after),
            limit: message.limit.ok_or(Violation::Missing)?,
        })
    }
}

impl Wire for HistoryPage {
    type Message = proto::HistoryPage;

    fn write(&self) -> proto::HistoryPage {
        proto::HistoryPage {
            message: write_all(&self.messages),
            complete: Some(self.complete),
        }
    }

    fn read(message: proto::HistoryPage, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            messages: read_all(message.message, reader),
            complete: message.complete.unwrap_or(false),
        })
    }
}
