//! What a backend says of itself: an INI text with `registration.*` and `features.*`.

use crate::backend::BackendInfo;
use crate::model::{Capabilities, Capability, FieldKind, RoomEcho};

/// What holds for every backend on this wire before it says anything: Spectrum 2's defaults.
pub fn default_info(name: impl Into<String>, network_type: impl Into<String>) -> BackendInfo {
    BackendInfo {
        capabilities: Capabilities::of(&[
            Capability::PrivateMessages,
            Capability::ChatStates,
            Capability::Attention,
            Capability::Presence,
            Capability::AddContacts,
            Capability::UpdateContacts,
            Capability::RemoveContacts,
            Capability::Blocking,
            Capability::Profiles,
            Capability::OwnProfile,
            Capability::Xhtml,
        ]),
        room_echo: RoomEcho::Backend,
        ..BackendInfo::new(name, network_type)
    }
}

/// What it has said. Absent: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Said {
    pub(super) need_password: Option<bool>,
    pub(super) need_registration: Option<bool>,
    pub(super) rooms: Option<bool>,
    pub(super) raw_xml: Option<bool>,
    pub(super) receipts: Option<bool>,
    pub(super) no_jid_escaping: Option<bool>,
    pub(super) contacts_at_login: Option<bool>,
}

impl Said {
    /// Reads a text; lines that say nothing known are passed over. What was said before and is not said again stays.
    pub(super) fn read(&mut self, ini: &str) {
        let mut section = "";
        for line in ini.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            // Without a section the key may carry it.
            let (section, key) = match key.trim().rsplit_once('.') {
                Some((own, key)) if section.is_empty() => (own, key),
                _ => (section, key.trim()),
            };
            let said = match (section, key) {
                ("registration", "needPassword") => &mut self.need_password,
                ("registration", "needRegistration") => &mut self.need_registration,
                ("features", "muc") => &mut self.rooms,
                ("features", "rawxml") => &mut self.raw_xml,
                ("features", "receipts") => &mut self.receipts,
                ("features", "disable_jid_escaping") => &mut self.no_jid_escaping,
                ("features", "send_buddies_on_login") => &mut self.contacts_at_login,
                _ => continue,
            };
            *said = truth(value.trim()).or(*said);
        }
    }

    /// The base with what was said.
    pub(super) fn info(&self, base: &BackendInfo) -> BackendInfo {
        let mut info = base.clone();
        let mut can = |said: Option<bool>, capabilities: &[Capability]| {
            if said == Some(true) {
                info.capabilities = capabilities.iter().fold(info.capabilities, |all, one| all.with(*one));
            }
        };
        can(
            self.rooms,
            &[Capability::Rooms, Capability::RoomList, Capability::RoomSubject],
        );
        can(self.receipts, &[Capability::Receipts]);
        can(self.raw_xml, &[Capability::RawXml]);
        can(self.contacts_at_login, &[Capability::ContactsAtLogin]);
        if let Some(needed) = self.need_registration {
            info.needs_registration = needed;
        }
        if self.need_password == Some(false) {
            info.registration.retain(|field| field.kind != FieldKind::Password);
        }
        if let Some(without) = self.no_jid_escaping {
            info.jid_escaping = !without;
        }
        info
    }
}

/// The spellings of a truth value that the original's option parser knows.
fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(ini: &str) -> BackendInfo {
        let mut said = Said::default();
        said.read(ini);
        said.info(&default_info("Net", "net"))
    }

    #[test]
    fn text_of_libpurple_gives_rooms_and_a_password() {
        let info =
            info("[registration]\nneedPassword=1\nneedRegistration=1\n[features]\nmuc=1\nrawxml=0\ndisable_jid_escaping=0\n");
        assert!(info.needs_registration && info.needs_password() && info.jid_escaping);
        assert!(info.capabilities.has(Capability::Rooms));
        assert!(!info.capabilities.has(Capability::RawXml));
        assert_eq!(info.room_echo, RoomEcho::Backend);
    }

    #[test]
    fn text_of_the_irc_backend_needs_no_registration_and_no_escaping() {
        let info =
            info("[registration]\nneedPassword=1\nneedRegistration=0\n[features]\nmuc=1\nrawxml=0\ndisable_jid_escaping=1\n");
        assert!(!info.needs_registration && !info.jid_escaping);
    }

    #[test]
    fn every_feature_has_its_capability() {
        let info = info(" features.receipts = true # yes\r\nfeatures.send_buddies_on_login=yes\nfeatures.rawxml=on\n");
        for capability in [Capability::Receipts, Capability::ContactsAtLogin, Capability::RawXml] {
            assert!(info.capabilities.has(capability), "{capability:?}");
        }
        assert!(!info.capabilities.has(Capability::Rooms));
    }

    #[test]
    fn without_a_password_the_form_asks_for_none() {
        let info = info("[registration]\nneedPassword=0\n");
        assert!(!info.needs_password());
        assert_eq!(info.registration.len(), 1);
    }

    #[test]
    fn nonsense_changes_nothing() {
        assert_eq!(
            info("[features\nmuc\n=\n[x]muc=1\nmuc=maybe\n[registration]\nneedPassword=perhaps\n"),
            default_info("Net", "net")
        );
    }
}
