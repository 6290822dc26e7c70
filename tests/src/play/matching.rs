//! Compares a stanza with a pattern: what is named must be there, and nothing else.

use std::collections::BTreeMap;

use minidom::{Element, Node};

use crate::{Failure, Outcome};

/// What placeholders stand for.
pub type Names = BTreeMap<String, String>;

/// May differ without being named: a stanza's own address, id and language.
const FREE: [&str; 3] = ["to", "id", "lang"];

/// Puts names in; `{*}`, `{=x}` and `{...}` stay for [`matches`].
///
/// # Errors
/// If a name stands for nothing.
pub(super) fn substitute(text: &str, names: &Names) -> Outcome<String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        result += before;
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| Failure::new(format!("`{{` without `}}`: {text}")))?;
        if name == "*" || name == "..." || name.starts_with('=') {
            result += &format!("{{{name}}}");
        } else {
            let value = names
                .get(name)
                .ok_or_else(|| Failure::new(format!("nobody knows what {{{name}}} stands for")))?;
            result += &crate::xmpp::escape(value);
        }
        rest = after;
    }
    result += rest;
    Ok(result)
}

/// Whether the stanza is as the pattern says. Keeps what `{=x}` stood for, if it is.
///
/// # Errors
/// The first difference.
pub fn matches(pattern: &Element, stanza: &Element, names: &mut Names) -> Outcome<()> {
    let mut found = names.clone();
    compare(pattern, stanza, &mut found, true)?;
    *names = found;
    Ok(())
}

fn compare(pattern: &Element, got: &Element, names: &mut Names, is_stanza: bool) -> Outcome<()> {
    let tag = format!("<{}/>", pattern.name());
    if pattern.name() != got.name() || pattern.ns() != got.ns() {
        return Err(format!("{tag} of {} is <{}/> of {}", pattern.ns(), got.name(), got.ns()).into());
    }
    for ((namespace, name), wanted) in pattern.attrs() {
        let value = got
            .attrs()
            .iter()
            .find(|((ns, n), _)| *ns == namespace && *n == name)
            .map(|(_, value)| value);
        let value = value.ok_or_else(|| Failure::new(format!("{tag} lacks the attribute {name}")))?;
        if !same_text(wanted, value, names) {
            return Err(format!("the attribute {name} of {tag} is {value:?}").into());
        }
    }
    for ((namespace, name), value) in got.attrs() {
        let is_named = pattern.attrs().iter().any(|((ns, n), _)| ns == namespace && n == name);
        let is_free = is_stanza && FREE.contains(&name.as_str());
        if !is_named && !is_free {
            return Err(format!("{tag} has the attribute {name}={value:?} too").into());
        }
    }
    compare_contents(pattern, got, names, &tag)
}

fn compare_contents(pattern: &Element, got: &Element, names: &mut Names, tag: &str) -> Outcome<()> {
    let (wanted_text, got_text) = (own_text(pattern), own_text(got));
    let open = wanted_text.contains("{...}");
    if !open && !same_text(&wanted_text, &got_text, names) {
        return Err(format!("the text of {tag} is {got_text:?}").into());
    }
    let mut left: Vec<&Element> = got.children().collect();
    for wanted in pattern.children() {
        let mut nearest = None;
        let at = left.iter().position(|child| {
            let mut found = names.clone();
            match compare(wanted, child, &mut found, false) {
                Ok(()) => {
                    *names = found;
                    true
                }
                Err(failure) => {
                    if wanted.name() == child.name() {
                        nearest = Some(failure);
                    }
                    false
                }
            }
        });
        match (at, nearest) {
            (Some(at), _) => drop(left.remove(at)),
            (None, Some(failure)) => return Err(failure),
            (None, None) => return Err(format!("{tag} lacks the child <{}/> of {}", wanted.name(), wanted.ns()).into()),
        }
    }
    match left.first() {
        Some(more) if !open => Err(format!("{tag} has the child <{}/> of {} too", more.name(), more.ns()).into()),
        _ => Ok(()),
    }
}

fn own_text(element: &Element) -> String {
    let text: String = element.nodes().filter_map(Node::as_text).collect();
    text.trim().to_owned()
}

/// Compares text with a pattern of fixed parts and `{*}` or `{=x}` between them.
fn same_text(pattern: &str, text: &str, names: &mut Names) -> bool {
    let Some((before, after)) = pattern.split_once('{') else {
        return pattern == text;
    };
    let Some((name, rest)) = after.split_once('}') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(before) else { return false };
    // The shortest piece with which the rest fits.
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    for end in ends {
        let mut found = names.clone();
        if let Some(name) = name.strip_prefix('=') {
            found.insert(name.to_owned(), text[..end].to_owned());
        }
        if same_text(rest, &text[end..], &mut found) {
            *names = found;
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::element;

    fn difference(pattern: &str, stanza: &str) -> Option<String> {
        let (pattern, stanza) = (
            element(pattern, "jabber:client").unwrap(),
            element(stanza, "jabber:client").unwrap(),
        );
        matches(&pattern, &stanza, &mut Names::new()).err().map(|e| e.to_string())
    }

    #[test]
    fn order_quotes_and_prefixes_do_not_matter() {
        assert_eq!(
            difference(
                "<message from='a' type=\"chat\"><body>x</body><a:y xmlns:a='n'/></message>",
                "<message type='chat' from='a'>\n  <y xmlns='n'></y>  <body>x</body></message>"
            ),
            None
        );
    }

    #[test]
    fn address_id_and_language_of_the_stanza_are_free() {
        assert_eq!(
            difference("<iq type='result'/>", "<iq type='result' to='x' id='1' xml:lang='en'/>"),
            None
        );
        assert_eq!(
            difference("<iq id='2'/>", "<iq id='1'/>").unwrap(),
            "the attribute id of <iq/> is \"1\""
        );
        assert_eq!(
            difference("<iq><q/></iq>", "<iq><q id='1'/></iq>").unwrap(),
            "<q/> has the attribute id=\"1\" too"
        );
    }

    #[test]
    fn whatever_is_more_or_less_is_a_difference() {
        for (pattern, stanza, why) in [
            ("<iq/>", "<message/>", "<iq/> of jabber:client is <message/> of jabber:client"),
            ("<iq/>", "<iq from='x'/>", "<iq/> has the attribute from=\"x\" too"),
            ("<iq from='x'/>", "<iq/>", "<iq/> lacks the attribute from"),
            ("<iq/>", "<iq><a xmlns='n'/></iq>", "<iq/> has the child <a/> of n too"),
            ("<iq><a xmlns='n'/></iq>", "<iq><a xmlns='m'/></iq>", "<a/> of n is <a/> of m"),
            ("<iq><a xmlns='n'/></iq>", "<iq/>", "<iq/> lacks the child <a/> of n"),
            ("<iq><a>1</a></iq>", "<iq><a>2</a></iq>", "the text of <a/> is \"2\""),
            (
                "<iq><a/><a/></iq>",
                "<iq><a/></iq>",
                "<iq/> lacks the child <a/> of jabber:client",
            ),
        ] {
            assert_eq!(difference(pattern, stanza).as_deref(), Some(why));
        }
    }

    #[test]
    fn placeholders_match_and_are_kept() {
        let mut names = Names::from([("who".into(), "a&b".into())]);
        let pattern = substitute(
            "<message from='{who}' x='{*}@{=host}'><body>{=said}</body>{...}</message>",
            &names,
        )
        .unwrap();
        let stanza = "<message from='a&amp;b' x='echo@irc.localhost'><body>hi</body><z/></message>";
        matches(&element(&pattern, "n").unwrap(), &element(stanza, "n").unwrap(), &mut names).unwrap();
        assert_eq!((names["host"].as_str(), names["said"].as_str()), ("irc.localhost", "hi"));
        substitute("{nobody}", &names).unwrap_err();
    }
}
