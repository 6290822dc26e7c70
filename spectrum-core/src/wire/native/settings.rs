//! Logins, options, and pairs of texts on the wire.

use std::collections::BTreeMap;

use super::basic::{Wire, read_all, text, write_all};
use crate::model::{AssignmentId, Presence, Secret};
use crate::wire::counters::Violation;
use crate::wire::reader::Reader;
use crate::wire::{LoginRequest, proto};

pub(super) fn write_pair(key: &str, value: &str) -> proto::Entry {
    proto::Entry {
        key: text(key),
        value: text(value),
    }
}

/// Pairs; as everywhere in protobuf, an absent half is an empty one.
pub(super) fn read_pairs<'r, 'c>(
    entries: Vec<proto::Entry>,
    reader: &'r mut Reader<'c>,
) -> impl Iterator<Item = (String, String)> + use<'r, 'c> {
    entries
        .into_iter()
        .map(|e| (reader.text_or_empty(e.key), reader.text_or_empty(e.value)))
}

pub(super) fn write_secrets(secrets: &BTreeMap<String, Secret>) -> Vec<proto::Entry> {
    secrets.iter().map(|(key, value)| write_pair(key, value.expose())).collect()
}

pub(super) fn read_secrets(entries: Vec<proto::Entry>, reader: &mut Reader<'_>) -> BTreeMap<String, Secret> {
    read_pairs(entries, reader)
        .map(|(key, value)| (key, Secret::new(value)))
        .collect()
}

pub(in crate::wire) fn write_settings(settings: &BTreeMap<String, String>) -> proto::Settings {
    proto::Settings {
        value: settings.iter().map(|(key, value)| write_pair(key, value)).collect(),
    }
}

pub(super) fn write_login(login: &LoginRequest) -> proto::Login {
    proto::Login {
        user: text(&login.user),
        legacy_name: text(&login.name),
        password: login.password.as_ref().and_then(|p| text(p.expose())),
        settings: Some(write_settings(&login.settings)),
        presence: Some(login.presence.write()),
        contacts: write_all(&login.contacts),
    }
}

pub(super) fn read_login(
    assignment: AssignmentId,
    message: proto::Login,
    reader: &mut Reader<'_>,
) -> Result<LoginRequest, Violation> {
    Ok(LoginRequest {
        assignment,
        user: reader.id(message.user).ok_or(Violation::Missing)?,
        name: reader.id(message.legacy_name).ok_or(Violation::Missing)?,
        password: reader.text(message.password).map(Secret::new),
        settings: read_pairs(message.settings.unwrap_or_default().value, reader).collect(),
        presence: message
            .presence
            .map(|p| Presence::read(p, reader))
            .transpose()?
            .unwrap_or_default(),
        contacts: read_all(message.contacts, reader),
    })
}
