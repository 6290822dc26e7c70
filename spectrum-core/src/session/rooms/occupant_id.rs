//! Ids of occupants (XEP-0421): the same person has the same id in a room, whichever of our users looks and whenever, and
//! ids of two rooms tell nothing about each other. Made with a secret of the instance, from the network's own stable id
//! where it has one, else from the nickname: then whoever bears the nickname is the same person, as on the network itself.

use std::fmt;

use minidom::Element;
use sha2::{Digest, Sha256};

use crate::model::{CaseMapping, Nickname, RoomId};
use crate::session::payload::base64;
use crate::xml::element;

/// XEP-0421.
pub(super) const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Bytes of an id; a multiple of three, so that base64 needs no padding.
const ID_BYTES: usize = 15;

/// What an instance makes ids of occupants with. Whoever does not know it cannot tell who is behind an id.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RoomSecret([u8; 32]);

impl RoomSecret {
    /// These bytes, which are random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSecret(***)")
    }
}

/// Makes the ids of one room.
#[derive(Clone, Copy)]
pub(super) struct OccupantIds {
    key: [u8; 32],
    mapping: CaseMapping,
}

impl fmt::Debug for OccupantIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OccupantIds(***)")
    }
}

impl OccupantIds {
    pub(super) fn new(secret: &RoomSecret, room: &RoomId, mapping: CaseMapping) -> Self {
        let room = crate::jid::fold(room.as_str(), mapping);
        Self {
            key: keyed(&secret.0, &[b"room", room.as_bytes()]),
            mapping,
        }
    }

    /// Of whoever has this stable id or, without one, this nickname.
    pub(super) fn id(&self, stable_id: Option<&str>, nickname: &Nickname) -> Box<str> {
        let hash = match stable_id {
            Some(id) => keyed(&self.key, &[b"id", id.as_bytes()]),
            None => {
                let nickname = crate::jid::fold(nickname.as_str(), self.mapping);
                keyed(&self.key, &[b"nick", nickname.as_bytes()])
            }
        };
        base64(&hash[..ID_BYTES]).into_boxed_str()
    }
}

/// A hash that needs the key: nested, so that nothing can be appended to what is hashed.
fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut inner = Sha256::new();
    inner.update(key);
    for part in parts {
        inner.update((part.len() as u64).to_be_bytes());
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(key);
    outer.update(inner.finalize());
    outer.finalize().into()
}

/// As it is written.
pub(super) fn written(id: &str) -> Element {
    element("occupant-id", OCCUPANT_ID, &[("id", id)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(secret: u8, room: &str) -> OccupantIds {
        OccupantIds::new(&RoomSecret::new([secret; 32]), &room.into(), CaseMapping::Ascii)
    }

    #[test]
    fn an_id_stays_and_does_not_lead_from_room_to_room() {
        let id = |secret, room, stable: Option<&str>, nickname: &str| ids(secret, room).id(stable, &nickname.into());
        let alice = id(1, "#a", None, "alice");
        assert_eq!(alice, id(1, "#A", None, "Alice"), "spellings of one name are one person");
        assert_eq!(id(1, "#a", Some("U1"), "alice"), id(1, "#a", Some("U1"), "alice_"));
        let others = [
            id(1, "#a", None, "bob"),
            id(1, "#b", None, "alice"),
            id(2, "#a", None, "alice"),
            id(1, "#a", Some("alice"), "alice"),
        ];
        assert!(!others.contains(&alice), "{others:?}");
        assert_eq!(alice.len(), 20);
        assert!(!format!("{:?} {:?}", RoomSecret::new([1; 32]), ids(1, "#a")).contains('1'));
    }
}
