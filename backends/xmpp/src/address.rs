//! Names of people and rooms are JIDs: read strictly on the way out, and made in one form on the way in.

use jid::{BareJid, FullJid, Jid, ResourcePart};
use spectrum_backend_sdk::model::{Chat, ContactId, Nickname, RoomId};
use spectrum_backend_sdk::{OpError, OpErrorKind};

/// Bytes of a JID that is worth reading: three parts of 1,023 each and what is between them.
const MAX_JID: usize = 3_071;

/// A JID out of a stanza; strange ones are none.
pub(crate) fn parse(text: &str) -> Option<Jid> {
    (text.len() <= MAX_JID).then(|| Jid::new(text).ok())?
}

/// The address of a person or a room.
///
/// # Errors
/// [`OpErrorKind::Invalid`] if the name is none.
pub(crate) fn bare(name: &str) -> Result<BareJid, OpError> {
    let jid = parse(name).filter(|jid| jid.resource().is_none());
    jid.map(Jid::into_bare).ok_or_else(|| {
        OpError::new(
            OpErrorKind::Invalid,
            format!("{} is no XMPP address.", crate::stream::words(name)),
        )
    })
}

/// The address of somebody in a room.
///
/// # Errors
/// [`OpErrorKind::Invalid`] if the room's name is no address, or the nickname cannot be part of one.
pub(crate) fn occupant(room: &RoomId, nickname: &Nickname) -> Result<FullJid, OpError> {
    let room = bare(room.as_str())?;
    let resource = ResourcePart::new(nickname.as_str())
        .map_err(|_| OpError::new(OpErrorKind::Invalid, "Nobody can have that name in a room."))?;
    Ok(room.with_resource(&resource))
}

/// The address that a message of this chat goes to, and its type.
///
/// # Errors
/// [`OpErrorKind::Invalid`] if a name is no address.
pub(crate) fn of_chat(chat: &Chat) -> Result<(String, &'static str), OpError> {
    match chat {
        Chat::Contact(contact) => Ok((bare(contact.as_str())?.to_string(), "chat")),
        Chat::Room(room) => Ok((bare(room.as_str())?.to_string(), "groupchat")),
        Chat::Occupant { room, nickname } => Ok((occupant(room, nickname)?.to_string(), "chat")),
    }
}

/// The chat with a person.
pub(crate) fn contact(jid: &BareJid) -> ContactId {
    ContactId::from(jid.as_str())
}

/// A room.
pub(crate) fn room(jid: &BareJid) -> RoomId {
    RoomId::from(jid.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_become_addresses_in_one_form() {
        assert_eq!(bare("Ann@Other.Example").unwrap().as_str(), "ann@other.example");
        for bad in ["", "a b@c", "@c", "a@b/c", "a@"] {
            assert_eq!(bare(bad).unwrap_err().kind, OpErrorKind::Invalid, "{bad}");
        }
        let chat = Chat::Occupant {
            room: "r@muc.example".into(),
            nickname: "Ann Ä".into(),
        };
        assert_eq!(of_chat(&chat).unwrap(), ("r@muc.example/Ann Ä".to_owned(), "chat"));
        assert_eq!(parse(&"a".repeat(MAX_JID + 1)), None);
    }
}
