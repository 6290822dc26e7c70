//! IRCv3 capabilities: which ones we want and which a connection has. Pure.

macro_rules! caps {
    ($($name:ident = $bit:literal, $text:literal;)*) => {
        impl Caps {
            $(pub(crate) const $name: Self = Self(1 << $bit);)*
            /// Every capability this backend makes use of.
            const WANTED: &'static [(&'static str, Self)] = &[$(($text, Self::$name)),*];
        }
    };
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Caps(u32);

caps! {
    MULTI_PREFIX = 0, "multi-prefix";
    AWAY_NOTIFY = 1, "away-notify";
    ACCOUNT_NOTIFY = 2, "account-notify";
    EXTENDED_JOIN = 3, "extended-join";
    SERVER_TIME = 4, "server-time";
    ECHO_MESSAGE = 5, "echo-message";
    MESSAGE_TAGS = 6, "message-tags";
    CHGHOST = 7, "chghost";
    SETNAME = 8, "setname";
    INVITE_NOTIFY = 9, "invite-notify";
    LABELED_RESPONSE = 10, "labeled-response";
    BATCH = 11, "batch";
    CAP_NOTIFY = 12, "cap-notify";
    USERHOST_IN_NAMES = 13, "userhost-in-names";
    EXTENDED_MONITOR = 14, "extended-monitor";
    SASL = 15, "sasl";
}

impl Caps {
    /// Whether all of these are in it.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With these.
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without these.
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of what is in it.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Self::WANTED
            .iter()
            .filter(move |(_, cap)| self.has(*cap))
            .map(|(name, _)| *name)
    }

    /// The capability of this name, if we make use of it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::WANTED.iter().find(|(n, _)| *n == name).map(|(_, cap)| *cap)
    }

    /// Names as an answer or an offer lists them: those with a `-` leave the set. Values after `=` are not looked at.
    pub(crate) fn apply(self, list: &str) -> Self {
        list.split(' ').fold(self, |set, item| {
            let (name, gone) = item.strip_prefix('-').map_or((item, false), |name| (name, true));
            let name = name.split('=').next().unwrap_or("");
            match Self::named(name) {
                Some(cap) if gone => set.without(cap),
                Some(cap) => set.with(cap),
                None => set,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_add_and_take() {
        let set = Caps::default().apply("multi-prefix sasl=PLAIN,EXTERNAL unknown/thing  batch");
        assert_eq!(set.names().collect::<Vec<_>>(), ["multi-prefix", "batch", "sasl"]);
        assert!(!set.apply("-sasl").has(Caps::SASL));
    }
}
