//! How a contact is seen: presence (RFC 6121 4), capabilities (XEP-0115), picture (XEP-0153), idle time (XEP-0319).

use jid::ResourceRef;
use minidom::Element;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence as XmppPresence, Show, Type};

use super::Contacts;
use super::contact::{Contact, picture};
use crate::model::{Availability, Capability, LegacyName};
use crate::session::{Cx, caps, payload};
use crate::xml::{element, text_element};

impl Contacts {
    /// The presence of a contact, with its capabilities and its picture.
    pub(super) fn presence(&self, cx: &mut Cx<'_>, contact: &Contact, to: Option<&ResourceRef>) -> XmppPresence {
        let mut presence = XmppPresence::new(if contact.is_online() { Type::None } else { Type::Unavailable });
        presence.from = Some(cx.speaker(&LegacyName::from(&contact.id)));
        presence.to = Some(cx.user_at(to));
        presence.show = match contact.availability {
            Availability::Chat => Some(Show::Chat),
            Availability::Away => Some(Show::Away),
            Availability::ExtendedAway => Some(Show::Xa),
            Availability::DoNotDisturb => Some(Show::Dnd),
            Availability::Online | Availability::Invisible | Availability::Offline => None,
        };
        if let Some(status) = contact.status.as_deref() {
            presence.set_status("", status);
        }
        if contact.is_online() {
            presence.payloads.push(caps::announcement(&self.caps));
            if contact.rare.as_ref().is_some_and(|r| r.avatar.is_some() || r.photo.is_some()) || cx.can(Capability::Profiles) {
                presence.payloads.push(picture_update(contact));
            }
            if let Some(since) = contact.idle_since() {
                presence.payloads.push(payload::idle(since));
            }
        }
        presence
    }
}

fn picture_update(contact: &Contact) -> Element {
    let mut update = element("x", ns::VCARD_UPDATE, &[]);
    update.append_child(match picture(contact) {
        Some(hash) => text_element("photo", ns::VCARD_UPDATE, &hash),
        None => element("photo", ns::VCARD_UPDATE, &[]),
    });
    update
}
