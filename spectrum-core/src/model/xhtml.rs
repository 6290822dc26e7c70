//! Messages that a network writes as XHTML: what a client that shows text alone is given of them. Not a parser of documents:
//! it takes any text, and finds tags and character references where there are some.

use super::{Attachment, IncomingMessage};

/// Pictures taken out of one message; the rest stays unseen.
const MAX_PICTURES: usize = 8;
/// A reference between `&` and `;` is never longer.
const MAX_REFERENCE_BYTES: usize = 10;

impl IncomingMessage {
    /// The same without markup. Nothing that can be shown is lost: a message without a text gets that of its markup, and
    /// pictures at an address become attachments.
    #[must_use]
    pub fn without_markup(mut self) -> Self {
        let Some(xhtml) = self.xhtml.take() else { return self };
        if self.body.trim().is_empty() {
            self.body = text(&xhtml);
        }
        for url in pictures(&xhtml) {
            if self.body.trim() == url {
                // The text is the address and nothing else, which clients show as a picture if it is said to be one.
                self.body.clear();
            }
            if self.attachments.iter().all(|known| known.url != url) {
                self.attachments.push(Attachment {
                    url,
                    media_type: None,
                    description: None,
                });
            }
        }
        self
    }
}

/// The text of some markup, with a new line where a browser begins one.
fn text(xhtml: &str) -> String {
    let mut text = String::with_capacity(xhtml.len());
    let mut rest = xhtml;
    while let Some(at) = rest.find('<') {
        push_text(&mut text, &rest[..at]);
        let Some((tag, after)) = tag(&rest[at..]) else {
            rest = &rest[at..];
            break;
        };
        if begins_line(tag) && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        rest = after;
    }
    push_text(&mut text, rest);
    text.trim().to_owned()
}

/// The addresses of the pictures in some markup.
fn pictures(xhtml: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = xhtml;
    while let Some(at) = rest.find('<') {
        let Some((tag, after)) = tag(&rest[at..]) else { break };
        if name(tag) == "img"
            && let Some(url) = source(tag)
            && found.len() < MAX_PICTURES
            && !found.contains(&url)
        {
            found.push(url);
        }
        rest = after;
    }
    found
}

/// The inside of the tag that `xml` begins with, and what follows it. A `>` in quotes ends no tag.
fn tag(xml: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, byte) in xml.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => return Some((&xml[1..at], &xml[at + 1..])),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of a tag, in small letters; that of an end tag without its slash.
fn name(tag: &str) -> String {
    tag.trim_start_matches('/')
        .split(|c: char| c.is_ascii_whitespace() || c == '/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn begins_line(tag: &str) -> bool {
    let lines = [
        "br",
        "p",
        "div",
        "li",
        "ul",
        "ol",
        "tr",
        "blockquote",
        "pre",
        "h1",
        "h2",
        "h3",
    ];
    lines.contains(&name(tag).as_str())
}

/// The quoted `src` of a tag, if others can fetch it.
fn source(tag: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, behind) = after[1..].split_once(quote)?;
        if before.trim().rsplit(|c: char| c.is_ascii_whitespace()).next() == Some("src") {
            let mut url = String::new();
            push_text(&mut url, value.trim());
            let fetched = url.starts_with("https://") || url.starts_with("http://");
            return Some(url).filter(|url| fetched && !url.contains(char::is_whitespace));
        }
        rest = behind;
    }
}

/// Appends text, with what its references stand for.
fn push_text(to: &mut String, from: &str) {
    let mut rest = from;
    while let Some(at) = rest.find('&') {
        to.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest[1..]
            .split_once(';')
            .filter(|(name, _)| name.len() <= MAX_REFERENCE_BYTES);
        match reference.and_then(|(name, after)| Some((character(name)?, after))) {
            Some((character, after)) => {
                to.push(character);
                rest = after;
            }
            None => {
                to.push('&');
                rest = &rest[1..];
            }
        }
    }
    to.push_str(rest);
}

/// The character a reference stands for, if XML allows it.
fn character(reference: &str) -> Option<char> {
    let number = match reference {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "apos" => return Some('\''),
        "nbsp" => return Some(' '),
        other => other.strip_prefix('#')?,
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code)
        .filter(|c| matches!(c, '\t' | '\n') || *c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{7f}'..='\u{9f}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Chat;

    fn message(body: &str, xhtml: &str) -> IncomingMessage {
        IncomingMessage {
            xhtml: Some(xhtml.to_owned()),
            ..IncomingMessage::new(Chat::Contact("bob".into()), body)
        }
        .without_markup()
    }

    #[test]
    fn the_text_beside_the_markup_is_what_is_shown() {
        let message = message("hi *you*", "hi <b>you</b>");
        assert_eq!((message.body.as_str(), message.xhtml), ("hi *you*", None));
    }

    #[test]
    fn markup_without_a_text_gives_its_own() {
        for (xhtml, text) in [
            ("hi <b>you</b>", "hi you"),
            ("<p>one</p><p>two<br/>three</p>", "one\ntwo\nthree"),
            (
                "<a href='https://x/?a>b'>5 &lt; 6 &amp;amp; &#65;&#x42;&nbsp;&eacute;</a>",
                "5 < 6 &amp; AB &eacute;",
            ),
            ("a & b; &; &#0; &#xffff; &#x110000;", "a & b; &; &#0; &#xffff; &#x110000;"),
            ("2 < 3 and no end", "2 < 3 and no end"),
        ] {
            assert_eq!(message("", xhtml).body, text, "{xhtml}");
        }
    }

    #[test]
    fn pictures_become_attachments() {
        let one = message("", "<IMG alt=\"x\" src=\"https://x/a.png?b=1&amp;c=2\"/>");
        assert_eq!(one.body, "");
        assert_eq!(one.attachments[0].url, "https://x/a.png?b=1&c=2");
        let beside = message("look", "look <img src='http://x/a'/><img src='http://x/a'/>");
        assert_eq!((beside.body.as_str(), beside.attachments.len()), ("look", 1));
        let named = message("http://x/a", "<img src='http://x/a'/>");
        assert_eq!((named.body.as_str(), named.attachments.len()), ("", 1));
        for hidden in [
            "<img src=\"\"/>",
            "<img src='data:image/png;base64,AAAA'/>",
            "<img src=x>",
            "<img data-src='http://x/'/>",
            "<img",
        ] {
            assert_eq!(message("x", hidden).attachments, [], "{hidden}");
        }
        let many: String = (0..100).map(|n| format!("<img src='http://x/{n}'/>")).collect();
        assert_eq!(message("x", &many).attachments.len(), MAX_PICTURES);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(xhtml in "([<>&;'\"/=# a-zé]|src|img|<br>|&#x?[0-9a-f]{1,6};){0,60}") {
            let message = message("", &xhtml);
            prop_assert!(message.body.len() <= xhtml.len() + 1);
            prop_assert!(!message.body.contains(|c: char| c < ' ' && c != '\n' && c != '\t'));
        }
    }
}
