//! Text as people see it and as IRC carries it: formatting codes, `/me`, splitting. Stateless.

use std::borrow::Cow;

/// The text without formatting codes (bold, colours and so on) and other control characters; tabs stay.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unwanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\x03' => rest = skip_colours(rest, 2, |b| b.is_ascii_digit()),
            '\x04' => rest = skip_colours(rest, 6, |b| b.is_ascii_hexdigit()),
            c if is_unwanted(c) => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

fn is_unwanted(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// Skips `fg[,bg]`; a comma belongs to the code only if a background follows.
fn skip_colours(text: &str, digits: usize, is_digit: fn(u8) -> bool) -> &str {
    let count = |text: &str| text.bytes().take(digits).take_while(|b| is_digit(*b)).count();
    let foreground = count(text);
    let rest = &text[foreground..];
    if foreground == 0 {
        return rest;
    }
    if let Some(background) = rest.strip_prefix(',') {
        let digits = count(background);
        if digits > 0 {
            return &background[digits..];
        }
    }
    rest
}

/// What stands between the delimiters of a CTCP message: command and text; the closing one may be missing.
pub(crate) fn ctcp(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('\x01')?;
    let inner = inner.strip_suffix('\x01').unwrap_or(inner);
    Some(inner.split_once(' ').unwrap_or((inner, "")))
}

/// Bytes that an action needs beyond its text.
const ACTION_OVERHEAD: usize = "\x01ACTION \x01".len();

/// The lines that carry a message body, each at most `max` bytes: line by line, long ones split, `/me ` as an action.
///
/// Empty lines vanish, IRC cannot carry them; so do control characters. `max` is at least 32.
pub(crate) fn outgoing_lines(body: &str, max: usize) -> Vec<String> {
    let max = max.max(32);
    let mut lines = Vec::new();
    for line in body.split(['\r', '\n', '\u{2028}', '\u{2029}']) {
        let line = clean(line);
        let (text, is_action) = match line.strip_prefix("/me ") {
            Some(text) => (text, true),
            None => (&*line, false),
        };
        if text.trim().is_empty() {
            continue;
        }
        let room = if is_action { max - ACTION_OVERHEAD } else { max };
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = cut(rest, room);
            rest = after;
            lines.push(if is_action {
                format!("\x01ACTION {piece}\x01")
            } else {
                piece.to_owned()
            });
        }
    }
    lines
}

/// The longest beginning of at most `max` bytes, preferably of whole words, and what is left.
fn cut(text: &str, max: usize) -> (&str, &str) {
    if text.len() <= max {
        return (text, "");
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text[..end].rfind(' ') {
        // A word longer than a quarter of a line is split rather than the line wasted.
        Some(space) if space > max - max / 4 => (&text[..space], &text[space + 1..]),
        Some(_) | None => text.split_at(end),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formatting_vanishes_and_text_stays() {
        assert_eq!(
            clean("\x02bold\x02 \x1funder\x1f \x1dit\x1d \x16rev\x0f \x1estrike \x11mono"),
            "bold under it rev strike mono"
        );
        assert_eq!(clean("\x0304,12red\x03 \x034red \x0312,x"), "red red ,x");
        assert_eq!(clean("\x03123"), "3");
        assert_eq!(clean("\x03,5"), ",5");
        assert_eq!(clean("\x04ff00ff,00ff00hex\x04"), "hex");
        assert_eq!(clean("tab\tstays\x07"), "tab\tstays");
        assert!(matches!(clean("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn ctcp_with_and_without_its_end() {
        assert_eq!(ctcp("\x01ACTION waves\x01"), Some(("ACTION", "waves")));
        assert_eq!(ctcp("\x01VERSION"), Some(("VERSION", "")));
        assert_eq!(ctcp("\x01"), Some(("", "")));
        assert_eq!(ctcp("hello"), None);
    }

    #[test]
    fn a_body_goes_line_by_line() {
        assert_eq!(outgoing_lines("one\r\n\ntwo\u{2028}three", 400), ["one", "two", "three"]);
        assert_eq!(
            outgoing_lines("/me waves\nand says hi", 400),
            ["\x01ACTION waves\x01", "and says hi"]
        );
        assert_eq!(outgoing_lines("/me", 400), ["/me"]);
        assert_eq!(outgoing_lines(" \n\t\n", 400), Vec::<String>::new());
    }

    #[test]
    fn nobody_can_write_a_ctcp_request_by_hand() {
        assert_eq!(outgoing_lines("\x01DCC SEND x\x01", 400), ["DCC SEND x"]);
    }

    #[test]
    fn long_lines_are_split_between_words_where_that_wastes_little() {
        let lines = outgoing_lines("aaaa bbbb cccc dddd eeee ffff gggg hhhh", 32);
        assert_eq!(lines, ["aaaa bbbb cccc dddd eeee ffff", "gggg hhhh"]);
        let lines = outgoing_lines(&"x".repeat(70), 32);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [32, 32, 6]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_or_breaks_a_character(body in any::<String>(), max in 32usize..200) {
            for line in outgoing_lines(&body, max) {
                prop_assert!(line.len() <= max);
                prop_assert!(!line.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
        }

        #[test]
        fn nothing_but_spaces_is_lost(body in "[a-zé😀 ]{0,300}", max in 32usize..80) {
            let joined: String = outgoing_lines(&body, max).concat();
            prop_assume!(!body.trim().is_empty() && !body.starts_with("/me "));
            let squeeze = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&joined), squeeze(&body));
        }

        #[test]
        fn cleaning_twice_changes_nothing_more(text in any::<String>()) {
            let once = clean(&text).into_owned();
            prop_assert_eq!(clean(&once), once.as_str());
        }
    }
}
