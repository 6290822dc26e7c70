//! How the names of one network become legacy names and back: plain where a session has one network, `name@host` where
//! it has several. Pure.

use std::sync::Arc;

use spectrum_backend_sdk::model::{ContactId, RoomId};

/// What the legacy names of one connection look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// The session has no other network.
    Plain,
    /// Names end in `@` and this host.
    Qualified(Arc<str>),
}

impl Scope {
    fn name(&self, name: &str) -> String {
        match self {
            Self::Plain => name.to_owned(),
            Self::Qualified(host) => format!("{name}@{host}"),
        }
    }

    /// The id of a channel.
    pub(crate) fn room(&self, channel: &str) -> RoomId {
        RoomId::from(self.name(channel))
    }

    /// The id of a person.
    pub(crate) fn contact(&self, nick: &str) -> ContactId {
        ContactId::from(self.name(nick))
    }
}

/// Splits `name@host` at its last `@`, the host in lower case.
pub(crate) fn split_qualified(name: &str) -> Option<(&str, String)> {
    let (name, host) = name.rsplit_once('@')?;
    (!name.is_empty() && !host.is_empty()).then(|| (name, host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_come_apart_at_the_last_at_sign() {
        let scope = Scope::Qualified("irc.test".into());
        assert_eq!(scope.room("#a@b").as_str(), "#a@b@irc.test");
        assert_eq!(split_qualified("#a@b@IRC.test"), Some(("#a@b", "irc.test".to_owned())));
        assert_eq!(split_qualified("dan"), None);
        assert_eq!(split_qualified("@irc.test"), None);
        assert_eq!(Scope::Plain.contact("dan").as_str(), "dan");
    }
}
