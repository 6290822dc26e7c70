//! Cards and pictures on the wire.

use bytes::Bytes;

use super::basic::{Wire, optional, read_patch, read_text_patch, text, write_patch, write_text_patch};
use super::settings::{read_pairs, write_pair};
use crate::model::{Avatar, Patch, Profile, ProfileUpdate};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::reader::Reader;

impl Wire for Avatar {
    type Message = proto::Avatar;

    fn write(&self) -> proto::Avatar {
        proto::Avatar {
            media_type: text(&self.media_type),
            data: Some(self.data.clone()),
        }
    }

    fn read(message: proto::Avatar, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            media_type: reader.text_or_empty(message.media_type),
            data: own(&message.data.ok_or(Violation::Missing)?),
        })
    }
}

/// A copy of its own: a picture that is kept must not keep all that was read with it.
pub(in crate::wire) fn own(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}

impl Wire for Profile {
    type Message = proto::Profile;

    fn write(&self) -> proto::Profile {
        proto::Profile {
            full_name: optional(self.full_name.as_ref()),
            nickname: optional(self.nickname.as_ref()),
            avatar: self.avatar.as_ref().map(Wire::write),
            note: self.notes.iter().map(|(label, value)| write_pair(label, value)).collect(),
        }
    }

    fn read(message: proto::Profile, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            full_name: reader.text(message.full_name),
            nickname: reader.text(message.nickname),
            avatar: message.avatar.map(|a| Avatar::read(a, reader)).transpose()?,
            notes: read_pairs(message.note, reader).collect(),
        })
    }
}

impl Wire for ProfileUpdate {
    type Message = proto::ProfileUpdate;

    fn write(&self) -> proto::ProfileUpdate {
        proto::ProfileUpdate {
            full_name: write_text_patch(&self.full_name),
            nickname: write_text_patch(&self.nickname),
            avatar: write_patch(&self.avatar, |set| proto::AvatarPatch {
                set: set.map(Wire::write),
            }),
        }
    }

    fn read(message: proto::ProfileUpdate, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            full_name: read_text_patch(message.full_name, reader),
            nickname: read_text_patch(message.nickname, reader),
            avatar: match message.avatar {
                None => Patch::Keep,
                Some(patch) => read_patch(Some(patch.set.map(|a| Avatar::read(a, reader)).transpose()?)),
            },
        })
    }
}
