//! How legacy names are written as localparts of JIDs, and back: pure text without state. XEP-0106.
//!
//! The mapping loses something (XMPP folds localparts, and both `%` and escapes have to stand for `@`), so it is only
//! half of the truth: the session's name table keeps what it would not give back.

use std::borrow::Cow;

use crate::model::CaseMapping;

/// Longest localpart that XMPP allows, in bytes (RFC 7622 3.3).
pub const MAX_LOCALPART_BYTES: usize = 1023;

/// What XEP-0106 escapes, with the code that follows the backslash.
const ESCAPES: [(char, &str); 10] = [
    (' ', "20"),
    ('"', "22"),
    ('&', "26"),
    ('\'', "27"),
    ('/', "2f"),
    (':', "3a"),
    ('<', "3c"),
    ('>', "3e"),
    ('@', "40"),
    ('\\', "5c"),
];

/// Escapes what a localpart may not contain (XEP-0106 3.2). A space at either end cannot be escaped: the result is then
/// no valid localpart.
pub fn escape(name: &str) -> Cow<'_, str> {
    if !name
        .bytes()
        .any(|b| matches!(b, b' ' | b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@' | b'\\'))
    {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::with_capacity(name.len() + 8);
    let last = name.len() - 1;
    for (at, c) in name.char_indices() {
        let code = ESCAPES.iter().find(|(plain, _)| *plain == c).map(|(_, code)| *code);
        let wanted = match c {
            ' ' => at != 0 && at != last,
            '\\' => escaped_at(&name[at..]).is_some(),
            _ => true,
        };
        match code {
            Some(code) if wanted => {
                escaped.push('\\');
                escaped.push_str(code);
            }
            Some(_) | None => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Undoes [`escape`]; `None` if there is no escape in the text.
pub fn unescape(localpart: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = localpart;
    let mut found = false;
    while let Some(at) = rest.find('\\') {
        name.push_str(&rest[..at]);
        if let Some(plain) = escaped_at(&rest[at..]) {
            name.push(plain);
            rest = &rest[at + 3..];
            found = true;
        } else {
            name.push('\\');
            rest = &rest[at + 1..];
        }
    }
    found.then(|| {
        name.push_str(rest);
        name
    })
}

/// What the escape at the beginning of the text stands for. Codes count in capitals too: XMPP makes them small.
fn escaped_at(text: &str) -> Option<char> {
    let code = text.strip_prefix('\\')?.get(..2)?;
    ESCAPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(code))
        .map(|(plain, _)| *plain)
}

/// The localpart for a legacy name, not yet prepared or checked: fully escaped, or with the last `@` as `%`.
pub fn localpart(name: &str, escaping: bool) -> Cow<'_, str> {
    if escaping {
        escape(name)
    } else {
        replace_last(name, '@', '%')
    }
}

/// The legacy name a localpart stands for if nobody knows better: unescaped if an escape is present, else with the last
/// `%` as `@`.
pub fn legacy_name(localpart: &str) -> Cow<'_, str> {
    match unescape(localpart) {
        Some(name) => Cow::Owned(name),
        None => replace_last(localpart, '%', '@'),
    }
}

/// The account that a localpart names at a login (`name%host@domain`): unescaped if an escape is present, else with every
/// `%` as `@`.
pub fn login_name(localpart: &str) -> String {
    unescape(localpart).unwrap_or_else(|| localpart.replace('%', "@"))
}

/// The form in which two names are equal exactly if the network takes them for one.
pub fn fold(name: &str, mapping: CaseMapping) -> Cow<'_, str> {
    match mapping {
        CaseMapping::Sensitive => Cow::Borrowed(name),
        CaseMapping::Ascii if !name.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(name),
        CaseMapping::Ascii => Cow::Owned(name.to_ascii_lowercase()),
        CaseMapping::Rfc1459 if !name.bytes().any(|b| b.is_ascii_uppercase() || matches!(b, b'['..=b'^')) => Cow::Borrowed(name),
        CaseMapping::Rfc1459 => Cow::Owned(name.chars().map(fold_rfc1459).collect()),
        CaseMapping::Unicode if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) => Cow::Borrowed(name),
        CaseMapping::Unicode => Cow::Owned(name.to_lowercase()),
    }
}

fn fold_rfc1459(c: char) -> char {
    match c {
        '[' => '{',
        ']' => '}',
        '\\' => '|',
        '^' => '~',
        c => c.to_ascii_lowercase(),
    }
}

/// Whether the network takes the two for one name.
pub fn same(one: &str, other: &str, mapping: CaseMapping) -> bool {
    one == other || fold(one, mapping) == fold(other, mapping)
}

fn replace_last(text: &str, from: char, to: char) -> Cow<'_, str> {
    match text.rfind(from) {
        None => Cow::Borrowed(text),
        Some(at) => {
            let mut replaced = String::with_capacity(text.len());
            replaced.push_str(&text[..at]);
            replaced.push(to);
            replaced.push_str(&text[at + from.len_utf8()..]);
            Cow::Owned(replaced)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rules, names and localparts, one vector a line; see the head of the file.
    const VECTORS: &str = include_str!("../tests/golden/names.txt");

    fn mapping(word: &str) -> CaseMapping {
        match word {
            "ascii" => CaseMapping::Ascii,
            "rfc1459" => CaseMapping::Rfc1459,
            "unicode" => CaseMapping::Unicode,
            "sensitive" => CaseMapping::Sensitive,
            other => panic!("no case mapping is called {other}"),
        }
    }

    #[test]
    fn the_golden_vectors_hold() {
        let mut count = 0;
        for line in VECTORS.lines().filter(|l| !l.is_empty() && !l.starts_with("##")) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [rule, from, to] = fields[..] else {
                panic!("three fields expected: {line:?}")
            };
            let got = match rule {
                "escape" => escape(from).into_owned(),
                "unescape" => unescape(from).unwrap_or_else(|| "-".to_owned()),
                "escaped" => localpart(from, true).into_owned(),
                "plain" => localpart(from, false).into_owned(),
                "name" => legacy_name(from).into_owned(),
                "login" => login_name(from),
                rule => match rule.strip_prefix("fold-") {
                    Some(word) => fold(from, mapping(word)).into_owned(),
                    // Vectors of the name table, which has a test of its own.
                    None => continue,
                },
            };
            assert_eq!(got, to, "{line}");
            count += 1;
        }
        assert!(count > 40, "only {count} vectors were read");
    }

    proptest! {
        #[test]
        fn escaping_is_undone_by_unescaping(name in "\\PC*") {
            let escaped = escape(&name);
            let inner = escaped.trim_matches(' ');
            prop_assert!(!inner.contains([' ', '"', '&', '\'', '/', ':', '<', '>', '@']));
            prop_assert_eq!(unescape(&escaped).unwrap_or_else(|| escaped.to_string()), name);
        }

        #[test]
        fn escaping_survives_names_full_of_backslashes(name in "[\\\\ 0-9a-fA-F@]{0,24}") {
            let escaped = escape(&name);
            prop_assert_eq!(unescape(&escaped).unwrap_or_else(|| escaped.to_string()), name);
        }

        #[test]
        fn folding_twice_changes_nothing(name in "\\PC*") {
            for mapping in [CaseMapping::Ascii, CaseMapping::Rfc1459, CaseMapping::Sensitive] {
                let once = fold(&name, mapping).into_owned();
                prop_assert_eq!(&fold(&once, mapping), &once);
                prop_assert!(same(&once, &name, mapping));
            }
        }

        #[test]
        fn any_localpart_has_a_name(localpart in "\\PC*") {
            let _ = legacy_name(&localpart);
            let _ = login_name(&localpart);
        }
    }
}
