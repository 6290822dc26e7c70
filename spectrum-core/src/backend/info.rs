//! What a backend says of itself before any login.

use serde::{Deserialize, Serialize};

use crate::model::{Capabilities, Capability, CaseMapping, Field, FieldKind, RoomEcho};

/// What a network is and can do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackendInfo {
    /// The network's name for people, such as `IRC`.
    pub name: String,
    /// The identity type in service discovery, such as `irc` (XMPP registrar, category `gateway`).
    pub network_type: String,
    /// The backend's own version.
    pub version: String,
    /// What the network can do.
    pub capabilities: Capabilities,
    /// When two of its names are the same.
    pub case_mapping: CaseMapping,
    /// Who shows the user's own lines in rooms.
    pub room_echo: RoomEcho,
    /// Whether a user has to register (gateway mode); without it everybody is let in under their own name.
    pub needs_registration: bool,
    /// What a registration asks for: `username` and `password` first, then settings.
    pub registration: Vec<Field>,
    /// What to do with the form.
    pub registration_instructions: String,
    /// What a contact's name is called when one is added, such as `Nickname`.
    pub contact_prompt: String,
    /// Characters that the names of rooms, and of nothing else, begin with (`#` and `&` on IRC). Empty if rooms cannot
    /// be told from their names.
    pub room_prefixes: String,
    /// Longest message text in bytes that the network takes in one piece, if it has a limit.
    pub max_message_bytes: Option<u32>,
    /// Whether localparts escape what XMPP does not allow (XEP-0106); without it `@` becomes `%` and nothing else is done.
    pub jid_escaping: bool,
}

impl BackendInfo {
    /// A network with rooms of no kind, a username and a password.
    pub fn new(name: impl Into<String>, network_type: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            network_type: network_type.into(),
            version: String::new(),
            capabilities: Capabilities::NONE,
            case_mapping: CaseMapping::default(),
            room_echo: RoomEcho::default(),
            needs_registration: true,
            registration: vec![
                Field {
                    name: "username".to_owned(),
                    label: "Username".to_owned(),
                    kind: FieldKind::Text,
                    required: true,
                    default: None,
                },
                Field {
                    name: "password".to_owned(),
                    label: "Password".to_owned(),
                    kind: FieldKind::Password,
                    required: true,
                    default: None,
                },
            ],
            registration_instructions: "Enter your username and password of the network.".to_owned(),
            contact_prompt: "Contact".to_owned(),
            room_prefixes: String::new(),
            max_message_bytes: None,
            jid_escaping: true,
        }
    }

    /// With these capabilities.
    pub fn capabilities(mut self, list: &[Capability]) -> Self {
        self.capabilities = Capabilities::of(list);
        self
    }

    /// Whether a login needs a password.
    pub fn needs_password(&self) -> bool {
        self.registration.iter().any(|f| f.name == "password" && f.required)
    }
}
