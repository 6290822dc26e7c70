//! Who may use a gateway, made for a look with every stanza.

use std::collections::HashSet;

use super::Config;
use crate::model::UserKey;

/// The users that `registration.allow` means.
#[derive(Debug)]
pub struct Allowed {
    is_everybody: bool,
    /// Domains, for all of their users, and bare JIDs.
    entries: HashSet<Box<str>>,
}

impl Allowed {
    /// By this configuration: without entries those of the transport's parent domain.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let allow = &config.registration.allow;
        let parent = config.parent().filter(|_| allow.is_empty());
        let entries = allow.iter().map(String::as_str).chain(parent);
        Self {
            is_everybody: allow.iter().any(|entry| entry == "*"),
            entries: entries.map(Box::from).collect(),
        }
    }

    /// Whether this user may register and use the transport.
    #[must_use]
    pub fn has(&self, user: &UserKey) -> bool {
        self.is_everybody || self.entries.contains(user.domain()) || self.entries.contains(user.as_str())
    }
}
