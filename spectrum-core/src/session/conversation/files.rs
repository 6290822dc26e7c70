//! Files by their addresses: as XEP-0066 has them, which every client reads, and as XEP-0447, which says what they are. Pure.

use std::borrow::Cow;

use minidom::Element;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::ns;

use crate::model::Attachment;
use crate::session::payload::FALLBACK;
use crate::session::text::shorten;
use crate::xml::{element, text_element};

/// XEP-0447.
pub(in crate::session) const SHARING: &str = "urn:xmpp:sfs:0";
/// XEP-0446.
const METADATA: &str = "urn:xmpp:file:metadata:0";
/// XEP-0103, as XEP-0447 uses it.
const URL_DATA: &str = "http://jabber.org/protocol/url-data";
/// Bytes of an address, and of each thing said about a file.
const MAX_BYTES: usize = 4 * 1024;
const MAX_WORD_BYTES: usize = 255;

/// Makes a message one that shares this file. The body is the address, which is what clients look for that show files in place.
pub(in crate::session) fn share(message: &mut Message, file: &Attachment) {
    let url = shorten(&file.url, MAX_BYTES);
    message.bodies.insert(Lang::new(), url.to_owned());
    let mut oob = element("x", ns::OOB, &[]);
    oob.append_child(text_element("url", ns::OOB, url));
    let description = file.description.as_deref().map(|text| shorten(text, MAX_BYTES));
    if let Some(description) = description {
        oob.append_child(text_element("desc", ns::OOB, description));
    }
    message.payloads.push(oob);
    if !is_web(url) {
        return;
    }
    let mut about = element("file", METADATA, &[]);
    let media_type = file.media_type.as_deref().filter(|kind| kind.len() <= MAX_WORD_BYTES);
    if let Some(media_type) = media_type {
        about.append_child(text_element("media-type", METADATA, media_type));
    }
    if let Some(name) = name(url) {
        about.append_child(text_element("name", METADATA, &name));
    }
    if let Some(description) = description {
        about.append_child(text_element("desc", METADATA, description));
    }
    let mut sources = element("sources", SHARING, &[]);
    sources.append_child(element("url-data", URL_DATA, &[("target", url)]));
    let is_shown = media_type.is_some_and(|kind| ["image/", "video/", "audio/"].iter().any(|shown| kind.starts_with(shown)));
    let disposition = if is_shown { "inline" } else { "attachment" };
    let mut sharing = element("file-sharing", SHARING, &[("disposition", disposition)]);
    sharing.append_child(about);
    sharing.append_child(sources);
    let mut fallback = element("fallback", FALLBACK, &[("for", SHARING)]);
    fallback.append_child(element("body", FALLBACK, &[]));
    message.payloads.push(sharing);
    message.payloads.push(fallback);
}

/// The file that a client shares by its address (XEP-0447); one that is to be had otherwise alone is none.
pub(in crate::session) fn shared(sharing: &Element) -> Option<Attachment> {
    let sources = sharing.get_child("sources", SHARING)?;
    let target = |source: &Element| source.attr("target").filter(|url| is_web(url)).map(str::to_owned);
    let url = sources
        .children()
        .filter(|source| source.is("url-data", URL_DATA))
        .find_map(target)?;
    let about = sharing.get_child("file", METADATA);
    let word = |name: &str| {
        let text = about?.get_child(name, METADATA)?.text();
        (!text.is_empty() && text.len() <= MAX_BYTES).then_some(text)
    };
    Some(Attachment {
        url,
        media_type: word("media-type").filter(|kind| kind.len() <= MAX_WORD_BYTES),
        description: word("desc").or_else(|| word("name")),
    })
}

/// Adds a file that the same message may have named already in other words.
pub(in crate::session) fn add(files: &mut Vec<Attachment>, file: Attachment, most: usize) {
    if let Some(known) = files.iter_mut().find(|known| known.url == file.url) {
        known.media_type = known.media_type.take().or(file.media_type);
        known.description = known.description.take().or(file.description);
    } else if files.len() < most {
        files.push(file);
    }
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// What the file is called, by the last part of its address.
fn name(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1;
    let (_, last) = path
        .split_once('/')?
        .1
        .rsplit_once('/')
        .unwrap_or(("", path.split_once('/')?.1));
    // As it is where that is no text.
    let name = percent_encoding::percent_decode_str(last)
        .decode_utf8()
        .unwrap_or(Cow::Borrowed(last));
    let fits =
        !name.is_empty() && name.len() <= MAX_WORD_BYTES && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'));
    fits.then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_name_is_the_last_part_of_the_address() {
        for (url, expected) in [
            ("https://x.example/a.png", Some("a.png")),
            ("https://x.example/b/tr%C3%A8s%20cool.jpg?key=1#x", Some("très cool.jpg")),
            ("https://x.example/50%", Some("50%")),
            ("https://x.example/%ff%zz", Some("%ff%zz")),
            ("https://x.example/a%2Fb", None),
            ("https://x.example/a%00b", None),
            ("https://x.example/", None),
            ("https://x.example", None),
        ] {
            assert_eq!(name(url).as_deref(), expected, "{url}");
        }
        assert_eq!(name(&format!("https://x.example/{}", "a".repeat(300))), None);
    }

    #[test]
    fn what_is_shared_is_read_and_named_once() {
        let xml = |sources: &str| {
            let xml = format!(
                "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><media-type>image/png</media-type>\
                 <name>a.png</name></file><sources>{sources}</sources></file-sharing>"
            );
            xml.parse::<Element>().unwrap()
        };
        let web = "<url-data xmlns='http://jabber.org/protocol/url-data' target='https://x.example/1'/>";
        let local = "<url-data xmlns='http://jabber.org/protocol/url-data' target='file:///etc/passwd'/>";
        let file = shared(&xml(&format!("{local}{web}"))).unwrap();
        assert_eq!(file.url, "https://x.example/1");
        assert_eq!(
            (file.media_type.as_deref(), file.description.as_deref()),
            (Some("image/png"), Some("a.png"))
        );
        assert_eq!(shared(&xml(local)), None);
        assert_eq!(shared(&xml("<jinglepub xmlns='urn:xmpp:jinglepub:1'/>")), None);
        assert_eq!(shared(&Element::bare("file-sharing", SHARING)), None);
        let bare = |url: &str| Attachment {
            url: url.to_owned(),
            media_type: None,
            description: None,
        };
        let mut files = vec![bare("https://x.example/1")];
        add(&mut files, file.clone(), 2);
        assert_eq!(files, std::slice::from_ref(&file));
        add(&mut files, bare("https://x.example/1"), 2);
        add(&mut files, bare("https://x.example/2"), 2);
        add(&mut files, bare("https://x.example/3"), 2);
        assert_eq!(files, [file, bare("https://x.example/2")]);
    }

    #[test]
    fn an_address_that_is_not_of_the_web_is_shown_as_such_alone() {
        let mut message = Message::new(None);
        let file = Attachment {
            url: "aesgcm://x.example/a#k".to_owned(),
            media_type: None,
            description: None,
        };
        share(&mut message, &file);
        assert_eq!(message.payloads.len(), 1);
        assert!(message.payloads[0].is("x", ns::OOB));
    }
}
