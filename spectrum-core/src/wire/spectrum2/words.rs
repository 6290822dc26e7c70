//! What the core's words are on this wire: messages of the protocol made of values, nothing else.

use std::borrow::Cow;

use bytes::Bytes;

use super::decode;
use crate::model::{Availability, Chat, ContactDetails, ContactUpdate, Nickname, OutgoingMessage, RoomId, UserKey};
use crate::wire::native::{optional, text};
use crate::wire::proto;

/// How this wire names the other side of a chat; `None` for a room.
pub(super) fn peer(chat: &Chat) -> Option<Bytes> {
    match chat {
        Chat::Contact(contact) => text(contact),
        Chat::Occupant { room, nickname } => Some(occupant(room, nickname)),
        Chat::Room(_) => None,
    }
}

pub(super) fn occupant(room: &RoomId, nickname: &Nickname) -> Bytes {
    Bytes::from(format!("{room}/{nickname}"))
}

pub(super) fn outgoing(user: &UserKey, message: &OutgoingMessage) -> proto::ConversationMessage {
    let buddy_name = match &message.chat {
        Chat::Contact(contact) => text(contact),
        Chat::Room(room) => text(room),
        Chat::Occupant { room, nickname } => Some(occupant(room, nickname)),
    };
    // Attachments only come from a backend here, so a file goes as its address.
    let mut body = Cow::Borrowed(message.body.as_str());
    for attachment in &message.attachments {
        if !body.contains(&attachment.url) {
            let body = body.to_mut();
            if !body.is_empty() {
                body.push('\n');
            }
            body.push_str(&attachment.url);
        }
    }
    proto::ConversationMessage {
        user_name: text(user),
        buddy_name,
        message: text(&body),
        xhtml: optional(message.xhtml.as_ref()),
        id: message.wants_receipt.then(|| text(&message.id)).flatten(),
        ..proto::ConversationMessage::default()
    }
}

/// A contact as the core names one: always with the status of somebody who is not there.
pub(super) fn offline_buddy(user: &UserKey, contact: &str) -> proto::Buddy {
    proto::Buddy {
        user_name: text(user),
        buddy_name: text(contact),
        status: Some(decode::STATUS_NONE),
        ..proto::Buddy::default()
    }
}

pub(super) fn details(user: &UserKey, contact: &ContactDetails) -> proto::Buddy {
    proto::Buddy {
        alias: optional(contact.alias.as_ref()),
        group: contact.groups.iter().filter_map(text).collect(),
        ..offline_buddy(user, contact.id.as_str())
    }
}

pub(super) fn stored_contact(user: &UserKey, contact: &ContactUpdate) -> proto::Buddy {
    proto::Buddy {
        alias: contact.alias.as_set().and_then(text),
        group: contact.groups.as_set().into_iter().flatten().filter_map(text).collect(),
        icon_hash: contact.avatar.as_set().and_then(|hash| text(hash.as_str())),
        blocked: contact.blocked.as_set().copied(),
        ..offline_buddy(user, contact.id.as_str())
    }
}

pub(super) fn status(availability: Availability) -> i32 {
    match availability {
        Availability::Online => decode::STATUS_ONLINE,
        Availability::Away => decode::STATUS_AWAY,
        Availability::Chat => decode::STATUS_CHAT,
        Availability::ExtendedAway => decode::STATUS_XA,
        Availability::DoNotDisturb => decode::STATUS_DND,
        Availability::Offline => decode::STATUS_NONE,
        Availability::Invisible => decode::STATUS_INVISIBLE,
    }
}
