//! One IRC line, in and out (RFC 1459 2.3.1, IRCv3 message tags). Stateless and borrowed: reading allocates nothing.
//!
//! The reader is ours. irc-proto turns a line into a typed command and loses what a gateway needs: it decides from a
//! table of its own which channel modes take an argument (the server's `CHANMODES` decides), and stumbles over two
//! spaces in a row. It serves as the second opinion in the tests below.

use std::borrow::Cow;

/// Most parameters a line has; further ones stay in the last.
const MAX_PARAMS: usize = 15;

/// Most bytes of a line without its tags and its line end.
pub(crate) const MAX_LINE: usize = 510;

/// A line from the server.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    tags: &'a str,
    source: &'a str,
    command: &'a str,
    params: [&'a str; MAX_PARAMS],
    count: usize,
}

impl<'a> Line<'a> {
    /// Reads a line without its line end; `None` if it has no command.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim_start_matches(' ');
        let mut tags = "";
        if let Some(tagged) = rest.strip_prefix('@') {
            (tags, rest) = word(tagged);
        }
        let mut source = "";
        if let Some(sourced) = rest.strip_prefix(':') {
            (source, rest) = word(sourced);
        }
        let (command, mut rest) = word(rest);
        if command.is_empty() || !command.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let mut line = Self {
            tags,
            source,
            command,
            params: [""; MAX_PARAMS],
            count: 0,
        };
        while !rest.is_empty() {
            let param = if let Some(trailing) = rest.strip_prefix(':') {
                rest = "";
                trailing
            } else if line.count == MAX_PARAMS - 1 {
                std::mem::take(&mut rest)
            } else {
                let (param, after) = word(rest);
                rest = after;
                param
            };
            line.params[line.count] = param;
            line.count += 1;
        }
        Some(line)
    }

    /// The command as written.
    pub(crate) fn command(&self) -> &'a str {
        self.command
    }

    /// The number of a numeric reply.
    pub(crate) fn numeric(&self) -> Option<u16> {
        if self.command.len() == 3 {
            self.command.parse().ok()
        } else {
            None
        }
    }

    /// All parameters.
    pub(crate) fn params(&self) -> &[&'a str] {
        &self.params[..self.count]
    }

    /// One parameter; empty if there are fewer.
    pub(crate) fn param(&self, index: usize) -> &'a str {
        self.params.get(index).copied().unwrap_or("")
    }

    /// The last parameter; empty if there is none.
    pub(crate) fn last(&self) -> &'a str {
        self.params().last().copied().unwrap_or("")
    }

    /// Who it is from; empty parts if the server does not say.
    pub(crate) fn source(&self) -> Source<'a> {
        Source::parse(self.source)
    }

    /// The value of a tag, unescaped; `None` if it is not there.
    pub(crate) fn tag(&self, name: &str) -> Option<Cow<'a, str>> {
        self.tags.split(';').find_map(|tag| {
            let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
            (key == name && !key.is_empty()).then(|| unescape(value))
        })
    }
}

/// The first word, and what follows the spaces behind it.
fn word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start_matches(' '))
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some(':') => text.push(';'),
            Some('s') => text.push(' '),
            Some('r') => text.push('\r'),
            Some('n') => text.push('\n'),
            Some(other) => text.push(other),
            None => break,
        }
    }
    Cow::Owned(text)
}

/// Where a line comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source<'a> {
    /// Nickname, or the name of a server.
    pub(crate) nick: &'a str,
    /// User name; empty if not given.
    pub(crate) user: &'a str,
    /// Host name; empty if not given.
    pub(crate) host: &'a str,
}

impl<'a> Source<'a> {
    /// Reads `nick!user@host`, any part of which may be missing.
    pub(crate) fn parse(text: &'a str) -> Self {
        let (rest, host) = text.split_once('@').unwrap_or((text, ""));
        let (nick, user) = rest.split_once('!').unwrap_or((rest, ""));
        Self { nick, user, host }
    }

    /// Whether a server speaks, not a person.
    pub(crate) fn is_server(&self) -> bool {
        self.nick.is_empty() || (self.user.is_empty() && self.host.is_empty() && self.nick.contains('.'))
    }
}

/// A value cannot stand where it was meant to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not a name that IRC can carry")]
pub(crate) struct BadParam;

/// A line to the server, under construction. Nothing that a person wrote can end it early or add a parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Draft(String);

impl Draft {
    /// A line with this command.
    pub(crate) fn new(command: &'static str) -> Self {
        Self(command.to_owned())
    }

    /// With one more parameter of one word.
    pub(crate) fn param(mut self, value: &str) -> Result<Self, BadParam> {
        if value.is_empty() || value.starts_with(':') || value.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(BadParam);
        }
        self.0.push(' ');
        self.0.push_str(value);
        Ok(self)
    }

    /// With a last parameter that may hold spaces and be empty; line ends in it become spaces, NULs vanish.
    pub(crate) fn trailing(mut self, value: &str) -> Self {
        self.0.push_str(" :");
        self.0.extend(
            value
                .chars()
                .filter(|c| *c != '\0')
                .map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }),
        );
        self
    }

    /// The line without a line end, cut at a character if it is too long.
    pub(crate) fn finish(mut self) -> String {
        if self.0.len() > MAX_LINE {
            let mut end = MAX_LINE;
            while !self.0.is_char_boundary(end) {
                end -= 1;
            }
            self.0.truncate(end);
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_parts_are_read() {
        let line = Line::parse("@time=2026-01-01T00:00:00.000Z;msgid=a\\:b :dan!d@host PRIVMSG #room :hello  there").unwrap();
        assert_eq!(line.command(), "PRIVMSG");
        assert_eq!(line.params(), ["#room", "hello  there"]);
        assert_eq!(
            line.source(),
            Source {
                nick: "dan",
                user: "d",
                host: "host"
            }
        );
        assert_eq!(line.tag("msgid").unwrap(), "a;b");
        assert_eq!(line.tag("label"), None);
        assert_eq!(line.numeric(), None);
    }

    #[test]
    fn numerics_and_missing_parameters() {
        let line = Line::parse(":irc.test 353 me = #room :@a +b ").unwrap();
        assert_eq!(line.numeric(), Some(353));
        assert_eq!(line.last(), "@a +b ");
        assert_eq!(line.param(9), "");
        assert!(line.source().is_server());
    }

    #[test]
    fn several_spaces_count_as_one() {
        let line = Line::parse("  :a   MODE  #room   +o  bob ").unwrap();
        assert_eq!(line.params(), ["#room", "+o", "bob"]);
    }

    #[test]
    fn a_trailing_parameter_may_be_empty_or_begin_with_a_colon() {
        assert_eq!(Line::parse("AWAY :").unwrap().params(), [""]);
        assert_eq!(Line::parse("TOPIC #a ::)").unwrap().params(), ["#a", ":)"]);
        assert_eq!(Line::parse("PRIVMSG #a x :y :z").unwrap().params(), ["#a", "x", "y :z"]);
    }

    #[test]
    fn parameters_beyond_the_fifteenth_stay_in_the_last() {
        let line = Line::parse("X 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17").unwrap();
        assert_eq!(line.params().len(), 15);
        assert_eq!(line.last(), "15 16 17");
    }

    #[test]
    fn lines_without_a_command_are_none() {
        for text in ["", " ", "@a", "@a :b", ":b", ":b ", ":b :c", "\u{1}", "PRIV\u{e9} a"] {
            assert!(Line::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_tag_with_a_dangling_escape_is_cut_there() {
        assert_eq!(Line::parse("@a=x\\ PING").unwrap().tag("a").unwrap(), "x");
        assert_eq!(Line::parse("@a=x\\b\\s\\\\ PING").unwrap().tag("a").unwrap(), "xb \\");
    }

    #[test]
    fn a_parameter_cannot_smuggle_another() {
        for bad in ["", "a b", "a\r\nQUIT", "a\nb", "a\0", ":a", "\t"] {
            assert_eq!(Draft::new("JOIN").param(bad), Err(BadParam), "{bad:?}");
        }
        assert_eq!(Draft::new("JOIN").param("#a").unwrap().finish(), "JOIN #a");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let line = Draft::new("TOPIC").param("#a").unwrap().trailing(&"é".repeat(400)).finish();
        assert_eq!(line.len(), 510);
        let line = Draft::new("TOPIC").param("#ab").unwrap().trailing(&"é".repeat(400)).finish();
        assert_eq!(line.len(), 509);
    }

    proptest! {
        #[test]
        fn no_line_panics(text in "\\PC*") {
            if let Some(line) = Line::parse(&text) {
                prop_assert!(line.params().len() <= MAX_PARAMS);
                let _ = (line.source(), line.tag("time"), line.numeric());
            }
        }

        #[test]
        fn trailing_text_can_never_end_a_line(text in any::<String>()) {
            let line = Draft::new("PRIVMSG").param("#a").unwrap().trailing(&text).finish();
            prop_assert!(!line.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            prop_assert!(line.len() <= MAX_LINE);
        }

        #[test]
        fn what_is_drafted_is_read_back(words in proptest::collection::vec("[!-9;-~][!-~]{0,8}", 0..8), last in "[ -~]{0,60}") {
            let mut draft = Draft::new("TEST");
            for w in &words {
                draft = draft.param(w).unwrap();
            }
            let text = draft.trailing(&last).finish();
            let line = Line::parse(&text).unwrap();
            prop_assert_eq!(&line.params()[..words.len()], &words[..]);
            prop_assert_eq!(line.last(), last);
        }

        #[test]
        fn irc_proto_reads_the_same(
            tag in "[a-z]{1,6}=[a-z\\\\:]{0,6}",
            nick in "[a-z]{1,9}",
            words in proptest::collection::vec("[!-9;-~][!-9;-~]{0,8}", 0..4),
            last in "[!-9;-~][ -9;-~]{0,40}",
        ) {
            let words = words.join(" ");
            let text = format!("@{tag} :{nick}!u@h TEST {words}{}:{last}", if words.is_empty() { "" } else { " " });
            let ours = Line::parse(&text).unwrap();
            let theirs: irc_proto::Message = text.parse().unwrap();
            prop_assert_eq!(theirs.source_nickname(), Some(ours.source().nick));
            let irc_proto::Command::Raw(command, params) = theirs.command else { panic!("TEST is no command of IRC") };
            prop_assert_eq!(ours.command(), command);
            prop_assert_eq!(ours.params(), params);
            let irc_proto::message::Tag(key, value) = theirs.tags.unwrap().remove(0);
            prop_assert_eq!(ours.tag(&key).unwrap(), value.unwrap());
        }
    }
}
