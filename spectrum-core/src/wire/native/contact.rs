//! People on the wire.

use super::basic::{Number, Wire, optional, read_patch, read_text_patch, read_texts, text, texts, write_patch, write_text_patch};
use crate::model::{AvatarHash, ContactDetails, ContactRequest, ContactSummary, ContactUpdate, Patch, Presence, Subscription};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::reader::Reader;

impl Wire for ContactUpdate {
    type Message = proto::ContactUpdate;

    fn write(&self) -> proto::ContactUpdate {
        proto::ContactUpdate {
            id: text(&self.id),
            alias: write_text_patch(&self.alias),
            groups: write_patch(&self.groups, |set| proto::GroupsPatch {
                set: set.map(|groups| proto::Groups { group: texts(groups) }),
            }),
            presence: write_patch(&self.presence, |set| proto::PresencePatch {
                set: set.map(Wire::write),
            }),
            avatar: write_patch(&self.avatar, |set| proto::TextPatch {
                set: set.and_then(|hash| text(hash.as_str())),
            }),
            blocked: write_patch(&self.blocked, |set| proto::BoolPatch { set: set.copied() }),
            subscription: write_patch(&self.subscription, |set| proto::NumberPatch {
                set: set.and_then(|s| s.number()),
            }),
        }
    }

    fn read(message: proto::ContactUpdate, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            alias: read_text_patch(message.alias, reader),
            groups: read_patch(message.groups.map(|m| m.set.map(|groups| read_texts(groups.group, reader)))),
            presence: match message.presence {
                None => Patch::Keep,
                Some(patch) => read_patch(Some(patch.set.map(|p| Presence::read(p, reader)).transpose()?)),
            },
            avatar: read_patch(message.avatar.map(|m| reader.text(m.set).map(AvatarHash::new))),
            blocked: read_patch(message.blocked.map(|m| m.set)),
            subscription: read_patch(
                message
                    .subscription
                    .map(|m| m.set.map(|n| Subscription::from_number(Some(n)))),
            ),
        })
    }
}

impl Wire for ContactDetails {
    type Message = proto::ContactDetails;

    fn write(&self) -> proto::ContactDetails {
        proto::ContactDetails {
            id: text(&self.id),
            alias: optional(self.alias.as_ref()),
            group: texts(&self.groups),
        }
    }

    fn read(message: proto::ContactDetails, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            alias: reader.text(message.alias),
            groups: read_texts(message.group, reader),
        })
    }
}

impl Wire for ContactRequest {
    type Message = proto::ContactRequest;

    fn write(&self) -> proto::ContactRequest {
        proto::ContactRequest {
            id: text(&self.id),
            alias: optional(self.alias.as_ref()),
            text: optional(self.text.as_ref()),
        }
    }

    fn read(message: proto::ContactRequest, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            alias: reader.text(message.alias),
            text: reader.text(message.text),
        })
    }
}

impl Wire for ContactSummary {
    type Message = proto::ContactSummary;

    fn write(&self) -> proto::ContactSummary {
        proto::ContactSummary {
            id: text(&self.id),
            alias: optional(self.alias.as_ref()),
        }
    }

    fn read(message: proto::ContactSummary, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            id: reader.id(message.id).ok_or(Violation::Missing)?,
            alias: reader.text(message.alias),
        })
    }
}
