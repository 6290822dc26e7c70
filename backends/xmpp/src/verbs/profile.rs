//! Profiles: vCards (XEP-0054), avatars as they are published (XEP-0084) or stand in the vCard (XEP-0153).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minidom::Element;
use sha1::{Digest, Sha1};
use spectrum_backend_sdk::model::{Avatar, Chat, Patch, Profile, ProfileUpdate};
use spectrum_backend_sdk::{Op, OpError, OpErrorKind, OpResult};

use crate::address::{bare, of_chat};
use crate::desk::{Question, get, set};
use crate::errors::About;
use crate::ns;
use crate::session::XmppSession;
use crate::xml::{element, nonempty_text, text_element, wrap};

/// Bytes of a picture that is handed on.
const MAX_PICTURE: usize = 512 * 1024;

/// Fields of a vCard that are shown besides names and picture, and what they are called.
const NOTES: [(&str, &str); 5] = [
    ("URL", "Website"),
    ("BDAY", "Birthday"),
    ("TITLE", "Title"),
    ("ROLE", "Role"),
    ("DESC", "About"),
];

impl XmppSession {
    /// The profile of somebody.
    pub(crate) async fn profile(&self, of: &Chat, cx: &Op) -> OpResult<Profile> {
        let (address, _) = of_chat(of)?;
        let question = Question {
            about: About::Contact,
            ..get(Some(&address), element("vCard", ns::VCARD, &[]))
        };
        let card = self.desk.ask(question, Some(cx)).await;
        let published = match of {
            Chat::Contact(contact) => {
                let jid = bare(contact.as_str())?;
                self.desk.state().roster.published_avatar(&jid).map(str::to_owned)
            }
            Chat::Room(_) | Chat::Occupant { .. } => None,
        };
        let mut profile = match (&card, &published) {
            (Ok(answer), _) => answer.get_child("vCard", ns::VCARD).map(read_card).unwrap_or_default(),
            // There may be a picture all the same.
            (Err(_), Some(_)) => Profile::default(),
            (Err(error), None) => return Err(error.clone()),
        };
        if let Some(hash) = published
            && let Some(avatar) = self.published(&address, &hash, cx).await
        {
            profile.avatar = Some(avatar);
        }
        Ok(profile)
    }

    async fn published(&self, address: &str, hash: &str, cx: &Op) -> Option<Avatar> {
        let mut items = element("items", ns::PUBSUB, &[("node", ns::AVATAR_DATA)]);
        items.append_child(element("item", ns::PUBSUB, &[("id", hash)]));
        let question = get(Some(address), wrap("pubsub", ns::PUBSUB, items));
        let answer = self.desk.ask(question, Some(cx)).await.ok()?;
        let item = answer
            .get_child("pubsub", ns::PUBSUB)?
            .get_child("items", ns::PUBSUB)?
            .get_child("item", ns::PUBSUB)?;
        let avatar = picture(&item.get_child("data", ns::AVATAR_DATA)?.text(), None)?;
        // What was published under the hash of something else is not shown.
        hex(&avatar.data).eq_ignore_ascii_case(hash).then_some(avatar)
    }

    /// Changes the user's own profile: the vCard, and the picture that is published.
    pub(crate) async fn change_profile(&self, update: ProfileUpdate, cx: &Op) -> OpResult<()> {
        if let Patch::Set(avatar) = &update.avatar
            && avatar.data.len() > MAX_PICTURE
        {
            return Err(OpError::new(OpErrorKind::TooLong, "The picture is too big."));
        }
        if update == ProfileUpdate::default() {
            return Ok(());
        }
        // Fields that are not changed stay.
        let answer = self.desk.ask(get(None, element("vCard", ns::VCARD, &[])), Some(cx)).await;
        let old = match &answer {
            Ok(answer) => answer.get_child("vCard", ns::VCARD).cloned(),
            // There is none yet.
            Err(error) if error.kind == OpErrorKind::NotFound => None,
            Err(error) => return Err(error.clone()),
        };
        let card = changed_card(old.unwrap_or_else(|| element("vCard", ns::VCARD, &[])), &update);
        self.desk.ask(set(None, card), Some(cx)).await?;
        match &update.avatar {
            Patch::Keep => Ok(()),
            Patch::Clear => {
                let nothing = element("metadata", ns::AVATAR_METADATA, &[]);
                self.publish(ns::AVATAR_METADATA, "current", nothing, cx).await
            }
            Patch::Set(avatar) => {
                let id = hex(&avatar.data);
                let data = text_element("data", ns::AVATAR_DATA, &STANDARD.encode(&avatar.data));
                self.publish(ns::AVATAR_DATA, &id, data, cx).await?;
                let bytes = avatar.data.len().to_string();
                let info = element(
                    "info",
                    ns::AVATAR_METADATA,
                    &[("id", &id), ("bytes", &bytes), ("type", &avatar.media_type)],
                );
                self.publish(ns::AVATAR_METADATA, &id, wrap("metadata", ns::AVATAR_METADATA, info), cx)
                    .await
            }
        }
    }

    async fn publish(&self, node: &str, id: &str, payload: Element, cx: &Op) -> OpResult<()> {
        let mut item = element("item", ns::PUBSUB, &[("id", id)]);
        item.append_child(payload);
        let mut publish = element("publish", ns::PUBSUB, &[("node", node)]);
        publish.append_child(item);
        self.desk
            .ask(set(None, wrap("pubsub", ns::PUBSUB, publish)), Some(cx))
            .await
            .map(drop)
    }
}

fn hex(data: &[u8]) -> String {
    Sha1::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A picture as text; none if it is no picture or too big.
fn picture(text: &str, media_type: Option<&str>) -> Option<Avatar> {
    if text.len() > MAX_PICTURE * 2 {
        return None;
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let data = STANDARD
        .decode(text)
        .ok()
        .filter(|data| !data.is_empty() && data.len() <= MAX_PICTURE)?;
    // What it is is what it begins with, whatever somebody says that it is.
    let kind = match &data[..] {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => media_type.filter(|kind| kind.starts_with("image/") && kind.len() < 64 && *kind != "image/svg+xml")?,
    };
    Some(Avatar {
        media_type: kind.to_owned(),
        data: Bytes::from(data),
    })
}

fn read_card(card: &Element) -> Profile {
    let photo = card.get_child("PHOTO", ns::VCARD);
    let kind = photo.and_then(|photo| nonempty_text(photo, "TYPE", ns::VCARD));
    let notes = NOTES
        .iter()
        .filter_map(|(name, label)| Some(((*label).to_owned(), nonempty_text(card, name, ns::VCARD)?)));
    Profile {
        full_name: nonempty_text(card, "FN", ns::VCARD),
        nickname: nonempty_text(card, "NICKNAME", ns::VCARD),
        avatar: photo
            .and_then(|photo| nonempty_text(photo, "BINVAL", ns::VCARD))
            .and_then(|text| picture(&text, kind.as_deref())),
        notes: notes.collect(),
    }
}

fn changed_card(mut card: Element, update: &ProfileUpdate) -> Element {
    for (name, patch) in [("FN", &update.full_name), ("NICKNAME", &update.nickname)] {
        match patch {
            Patch::Keep => {}
            Patch::Clear => drop(card.remove_child(name, ns::VCARD)),
            Patch::Set(text) => {
                card.remove_child(name, ns::VCARD);
                card.append_child(text_element(name, ns::VCARD, text));
            }
        }
    }
    match &update.avatar {
        Patch::Keep => {}
        Patch::Clear => drop(card.remove_child("PHOTO", ns::VCARD)),
        Patch::Set(avatar) => {
            card.remove_child("PHOTO", ns::VCARD);
            let mut photo = element("PHOTO", ns::VCARD, &[]);
            photo.append_child(text_element("TYPE", ns::VCARD, &avatar.media_type));
            photo.append_child(text_element("BINVAL", ns::VCARD, &STANDARD.encode(&avatar.data)));
            card.append_child(photo);
        }
    }
    card
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    #[test]
    fn a_card_is_read_and_a_picture_is_what_it_begins_with() {
        let card = format!(
            "<vCard xmlns='vcard-temp'><FN>Bob B.</FN><NICKNAME> </NICKNAME><URL>https://b.example</URL>\
             <PHOTO><TYPE>text/html</TYPE><BINVAL>{}</BINVAL></PHOTO></vCard>",
            STANDARD.encode(PNG)
        );
        let profile = read_card(&card.parse().unwrap());
        assert_eq!((profile.full_name.as_deref(), profile.nickname), (Some("Bob B."), None));
        assert_eq!(profile.notes, [("Website".to_owned(), "https://b.example".to_owned())]);
        assert_eq!(profile.avatar.unwrap().media_type, "image/png");
        assert_eq!(picture(&STANDARD.encode("<html>"), Some("text/html")), None);
        assert_eq!(picture("no base64!", None), None);
        assert_eq!(picture(&"A".repeat(MAX_PICTURE * 2 + 4), None), None);
    }

    #[test]
    fn a_changed_card_keeps_what_was_not_changed() {
        let card = "<vCard xmlns='vcard-temp'><FN>Old</FN><NICKNAME>Bo</NICKNAME><TEL>1</TEL></vCard>";
        let update = ProfileUpdate {
            full_name: Patch::Set("New".to_owned()),
            nickname: Patch::Clear,
            avatar: Patch::Set(Avatar {
                media_type: "image/png".to_owned(),
                data: Bytes::from_static(PNG),
            }),
        };
        let expected = format!(
            "<vCard xmlns='vcard-temp'><TEL>1</TEL><FN>New</FN><PHOTO><TYPE>image/png</TYPE><BINVAL>{}</BINVAL></PHOTO></vCard>",
            STANDARD.encode(PNG)
        );
        assert_eq!(changed_card(card.parse().unwrap(), &update), expected.parse().unwrap());
    }
}
