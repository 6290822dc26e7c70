//! Forms, prompts, and what a backend says of itself, on the wire.

use super::basic::{Number, Wire, numbers, optional, read_all, text, write_all};
use super::profile::own;
use super::settings::{read_pairs, write_pair};
use crate::backend::BackendInfo;
use crate::model::{Capabilities, CaseMapping, Field, FieldKind, Form, LoginPrompt, RoomEcho, Shown};
use crate::wire::counters::Violation;
use crate::wire::proto;
use crate::wire::proto::prompt::What;
use crate::wire::reader::Reader;

numbers! {
    CaseMapping or Unicode { Ascii = 0, Rfc1459 = 1, Unicode = 2, Sensitive = 3 }
}

const TEXT: u32 = 0;
const PASSWORD: u32 = 1;
const BOOLEAN: u32 = 2;
const CHOICE: u32 = 3;
/// Text to a main process that does not know it.
const NAME: u32 = 4;

impl Wire for Field {
    type Message = proto::Field;

    fn write(&self) -> proto::Field {
        let (kind, choice) = match &self.kind {
            FieldKind::Text => (TEXT, Vec::new()),
            FieldKind::Name => (NAME, Vec::new()),
            FieldKind::Password => (PASSWORD, Vec::new()),
            FieldKind::Boolean => (BOOLEAN, Vec::new()),
            FieldKind::Choice(choices) => (
                CHOICE,
                choices.iter().map(|(value, label)| write_pair(value, label)).collect(),
            ),
        };
        proto::Field {
            name: text(&self.name),
            label: text(&self.label),
            kind: Some(kind),
            choice,
            required: Some(self.required),
            default: optional(self.default.as_ref()),
        }
    }

    fn read(message: proto::Field, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            name: reader.text(message.name).ok_or(Violation::Missing)?,
            label: reader.text_or_empty(message.label),
            kind: match message.kind {
                Some(NAME) => FieldKind::Name,
                Some(PASSWORD) => FieldKind::Password,
                Some(BOOLEAN) => FieldKind::Boolean,
                Some(CHOICE) => FieldKind::Choice(read_pairs(message.choice, reader).collect()),
                _ => FieldKind::Text,
            },
            required: message.required.unwrap_or(false),
            default: reader.text(message.default),
        })
    }
}

impl Wire for Form {
    type Message = proto::Form;

    fn write(&self) -> proto::Form {
        proto::Form {
            title: text(&self.title),
            instructions: text(&self.instructions),
            field: write_all(&self.fields),
        }
    }

    fn read(message: proto::Form, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            title: reader.text_or_empty(message.title),
            instructions: reader.text_or_empty(message.instructions),
            fields: read_all(message.field, reader),
        })
    }
}

impl Wire for LoginPrompt {
    type Message = proto::Prompt;

    fn write(&self) -> proto::Prompt {
        let what = match self {
            Self::Ask(form) => What::Ask(form.write()),
            Self::Show(Shown::Picture {
                media_type,
                data,
                text: says,
            }) => What::Picture(proto::Picture {
                media_type: text(media_type),
                data: Some(data.clone()),
                text: text(says),
            }),
            Self::Show(Shown::Link { url, text: says }) => What::Link(proto::Link {
                url: text(url),
                text: text(says),
            }),
        };
        proto::Prompt { what: Some(what) }
    }

    fn read(message: proto::Prompt, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(match message.what.ok_or(Violation::Malformed)? {
            What::Ask(form) => Self::Ask(Form::read(form, reader)?),
            What::Picture(picture) => Self::Show(Shown::Picture {
                media_type: reader.text_or_empty(picture.media_type),
                data: own(&picture.data.ok_or(Violation::Missing)?),
                text: reader.text_or_empty(picture.text),
            }),
            What::Link(link) => Self::Show(Shown::Link {
                url: reader.text(link.url).ok_or(Violation::Missing)?,
                text: reader.text_or_empty(link.text),
            }),
        })
    }
}

impl Wire for BackendInfo {
    type Message = proto::Info;

    fn write(&self) -> proto::Info {
        proto::Info {
            name: text(&self.name),
            network_type: text(&self.network_type),
            version: text(&self.version),
            capabilities: Some(self.capabilities.bits()),
            case_mapping: self.case_mapping.number(),
            backend_echoes: Some(self.room_echo == RoomEcho::Backend),
            needs_registration: Some(self.needs_registration),
            registration: write_all(&self.registration),
            registration_instructions: text(&self.registration_instructions),
            contact_prompt: text(&self.contact_prompt),
            room_prefixes: text(&self.room_prefixes),
            max_message_bytes: self.max_message_bytes,
            jid_escaping: Some(self.jid_escaping),
        }
    }

    fn read(message: proto::Info, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(Self {
            name: reader.text(message.name).ok_or(Violation::Missing)?,
            network_type: reader.text(message.network_type).ok_or(Violation::Missing)?,
            version: reader.text_or_empty(message.version),
            capabilities: Capabilities::from_bits(message.capabilities.unwrap_or(0)),
            case_mapping: CaseMapping::from_number(message.case_mapping),
            room_echo: if message.backend_echoes == Some(true) {
                RoomEcho::Backend
            } else {
                RoomEcho::Core
            },
            needs_registration: message.needs_registration.unwrap_or(true),
            registration: read_all(message.registration, reader),
            registration_instructions: reader.text_or_empty(message.registration_instructions),
            contact_prompt: reader.text_or_empty(message.contact_prompt),
            room_prefixes: reader.text_or_empty(message.room_prefixes),
            max_message_bytes: message.max_message_bytes,
            jid_escaping: message.jid_escaping.unwrap_or(true),
        })
    }
}
