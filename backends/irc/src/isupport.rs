//! What a server says it supports (numeric 005, `ISUPPORT`). Owned by one connection; capped, since servers are not trusted.

use crate::casemap::Casemap;

/// How a channel mode takes its argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ModeKind {
    /// Adds to or takes from a list; always with an argument.
    List,
    /// Always with an argument.
    Setting,
    /// With an argument when set.
    SettingWhenSet,
    /// Never with one.
    Flag,
    /// Changes what an occupant is; the argument is a nickname.
    Prefix,
}

/// The facts this backend needs, with the defaults of RFC 1459 until the server speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Isupport {
    /// When two names are the same.
    pub(crate) casemap: Casemap,
    /// Characters that names of channels begin with.
    pub(crate) chantypes: String,
    /// Modes of occupants and their signs, highest first.
    pub(crate) prefixes: Vec<(char, char)>,
    /// Characters that may precede a channel in a message to some of its occupants.
    pub(crate) statusmsg: String,
    /// Longest nickname in bytes.
    pub(crate) nick_len: usize,
    /// Longest user name in bytes.
    pub(crate) user_len: usize,
    /// Longest host name in bytes.
    pub(crate) host_len: usize,
    /// Longest topic in bytes.
    pub(crate) topic_len: usize,
    /// How many names may be watched with `MONITOR`; `None` if it is not there.
    pub(crate) monitor: Option<usize>,
    /// Mode changes in one line.
    pub(crate) modes: usize,
    /// The network's name for itself.
    pub(crate) network: Option<String>,
    chanmodes: [String; 4],
}

/// Longest value that is kept.
const MAX_VALUE: usize = 200;

impl Default for Isupport {
    fn default() -> Self {
        Self {
            casemap: Casemap::default(),
            chantypes: "#&".to_owned(),
            prefixes: vec![('o', '@'), ('v', '+')],
            statusmsg: String::new(),
            nick_len: 9,
            user_len: 10,
            host_len: 63,
            topic_len: 390,
            monitor: None,
            modes: 3,
            network: None,
            chanmodes: ["beI".to_owned(), "k".to_owned(), "l".to_owned(), "imnpst".to_owned()],
        }
    }
}

impl Isupport {
    /// Takes in the tokens of one 005 line (without the nickname and the closing text).
    pub(crate) fn apply(&mut self, tokens: &[&str]) {
        for token in tokens {
            let (key, value) = token.split_once('=').unwrap_or((token, ""));
            if value.len() > MAX_VALUE {
                continue;
            }
            match key {
                "CASEMAPPING" => self.casemap = Casemap::from_token(value),
                "CHANTYPES" => self.chantypes = value.to_owned(),
                "PREFIX" => {
                    if let Some((modes, signs)) = value.strip_prefix('(').and_then(|v| v.split_once(')')) {
                        self.prefixes = modes.chars().zip(signs.chars()).collect();
                    }
                }
                "STATUSMSG" => self.statusmsg = value.to_owned(),
                "CHANMODES" => {
                    let mut lists = value.split(',');
                    for slot in &mut self.chanmodes {
                        *slot = lists.next().unwrap_or("").to_owned();
                    }
                }
                "NICKLEN" => number(value, 1..=200, &mut self.nick_len),
                "USERLEN" => number(value, 1..=100, &mut self.user_len),
                "HOSTLEN" => number(value, 1..=200, &mut self.host_len),
                "TOPICLEN" => number(value, 1..=460, &mut self.topic_len),
                "MODES" if value.is_empty() => self.modes = 12,
                "MODES" => number(value, 1..=20, &mut self.modes),
                "MONITOR" => self.monitor = Some(value.parse().unwrap_or(usize::MAX)),
                "-MONITOR" => self.monitor = None,
                "NETWORK" => self.network = Some(value.to_owned()),
                _ => {}
            }
        }
    }

    /// Whether this is the name of a channel.
    pub(crate) fn is_channel(&self, name: &str) -> bool {
        name.chars().next().is_some_and(|c| self.chantypes.contains(c))
    }

    /// The channel a message is for, without the sign that narrows it to some occupants.
    pub(crate) fn channel_of<'a>(&self, target: &'a str) -> Option<&'a str> {
        if self.is_channel(target) {
            return Some(target);
        }
        let narrowed = target.trim_start_matches(|c| self.statusmsg.contains(c));
        self.is_channel(narrowed).then_some(narrowed)
    }

    /// What a channel mode is; unknown ones are flags.
    pub(crate) fn mode_kind(&self, mode: char) -> ModeKind {
        if self.prefixes.iter().any(|(m, _)| *m == mode) {
            return ModeKind::Prefix;
        }
        let kinds = [ModeKind::List, ModeKind::Setting, ModeKind::SettingWhenSet, ModeKind::Flag];
        self.chanmodes
            .iter()
            .zip(kinds)
            .find(|(list, _)| list.contains(mode))
            .map_or(ModeKind::Flag, |(_, kind)| kind)
    }

    /// Whether the server has this mode of channels.
    pub(crate) fn has_mode(&self, mode: char) -> bool {
        self.chanmodes.iter().any(|list| list.contains(mode))
    }

    /// The occupant modes that the signs before a nickname stand for, and the nickname.
    pub(crate) fn split_signs<'a>(&self, name: &'a str) -> (Vec<char>, &'a str) {
        let mut modes = Vec::new();
        let mut rest = name;
        while let Some(c) = rest.chars().next() {
            let Some((mode, _)) = self.prefixes.iter().find(|(_, sign)| *sign == c) else {
                break;
            };
            modes.push(*mode);
            rest = &rest[c.len_utf8()..];
        }
        (modes, rest)
    }

    /// The rank of an occupant mode, 0 the highest.
    pub(crate) fn rank(&self, mode: char) -> usize {
        self.prefixes.iter().position(|(m, _)| *m == mode).unwrap_or(usize::MAX)
    }

    /// Whether the server has this occupant mode.
    pub(crate) fn has_prefix(&self, mode: char) -> bool {
        self.rank(mode) != usize::MAX
    }
}

fn number(value: &str, range: std::ops::RangeInclusive<usize>, slot: &mut usize) {
    if let Ok(n) = value.parse::<usize>() {
        *slot = n.clamp(*range.start(), *range.end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspircd() -> Isupport {
        let mut is = Isupport::default();
        is.apply(&[
            "CASEMAPPING=rfc1459",
            "CHANMODES=IXbegw,k,Hfjl,ACMNPQRSTimnprstz",
            "PREFIX=(yqaohv)!~&@%+",
            "STATUSMSG=!~&@%+",
        ]);
        is.apply(&["MONITOR=30", "NICKLEN=30", "MODES=20", "CHANTYPES=#", "NETWORK=tests"]);
        is
    }

    #[test]
    fn modes_take_arguments_as_the_server_says() {
        let is = inspircd();
        assert_eq!(is.mode_kind('b'), ModeKind::List);
        assert_eq!(is.mode_kind('k'), ModeKind::Setting);
        assert_eq!(is.mode_kind('H'), ModeKind::SettingWhenSet);
        assert_eq!(is.mode_kind('m'), ModeKind::Flag);
        assert_eq!(is.mode_kind('h'), ModeKind::Prefix);
    }

    #[test]
    fn signs_are_told_from_nicknames() {
        let is = inspircd();
        assert_eq!(is.split_signs("~@bob"), (vec!['q', 'o'], "bob"));
        assert_eq!(is.split_signs("bob"), (vec![], "bob"));
        assert_eq!(is.split_signs("@"), (vec!['o'], ""));
    }

    #[test]
    fn a_message_to_the_operators_belongs_to_the_channel() {
        let is = inspircd();
        assert_eq!(is.channel_of("@#room"), Some("#room"));
        assert_eq!(is.channel_of("#room"), Some("#room"));
        assert_eq!(is.channel_of("bob"), None);
    }

    #[test]
    fn nonsense_is_bounded_or_left_out() {
        let mut is = Isupport::default();
        is.apply(&[
            "NICKLEN=999999999999999999999999",
            "MODES=0",
            "TOPICLEN=-1",
            &format!("CHANTYPES={}", "x".repeat(500)),
            "PREFIX=",
            "=",
        ]);
        assert_eq!((is.nick_len, is.modes, is.topic_len), (9, 1, 390));
        assert_eq!(is.chantypes, "#&");
        assert_eq!(is.prefixes, [('o', '@'), ('v', '+')]);
    }
}
