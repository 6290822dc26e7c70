//! The lexer sees what rxml sees.

use proptest::prelude::*;
use rxml::parser::RawQName;
use rxml::{Options, Parse, RawEvent, RawParser, WithOptions};

use crate::stream::lexer::{Keep, Lexer, Token};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Open(RawQName, Vec<(RawQName, String)>),
    Text(String),
    Close,
}

/// What was read, and whether it ended in an error.
type Seen = (Vec<Piece>, bool);

fn push_text(pieces: &mut Vec<Piece>, text: String) {
    match pieces.last_mut() {
        Some(Piece::Text(before)) => before.push_str(&text),
        _ => pieces.push(Piece::Text(text)),
    }
}

fn ours(chunks: &[&[u8]], keep: Keep) -> Seen {
    let mut lexer = Lexer::new();
    let mut pieces = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            match lexer.next(&mut input, keep) {
                Ok(None) => break,
                Ok(Some(Token::Open(name))) => match name {
                    Some(name) => pieces.push(Piece::Open(name, lexer.attributes.clone())),
                    None => pieces.push(Piece::Text(String::new())),
                },
                Ok(Some(Token::Text(text))) => push_text(&mut pieces, text),
                Ok(Some(Token::Close)) => pieces.push(Piece::Close),
                Err(_) => return (pieces, true),
            }
        }
        assert!(input.is_empty(), "the lexer wants more and has not taken all");
    }
    (pieces, false)
}

fn theirs(document: &[u8]) -> Seen {
    let options = Options {
        max_token_length: 1 << 20,
        ..Options::default()
    };
    let mut parser = RawParser::with_options(options);
    parser.set_text_buffering(false);
    let mut pieces = Vec::new();
    let mut open: Option<(RawQName, Vec<(RawQName, String)>)> = None;
    let mut input = document;
    loop {
        match parser.parse(&mut input, false) {
            Ok(Some(RawEvent::XmlDeclaration(..))) => {}
            Ok(Some(RawEvent::ElementHeadOpen(_, name))) => open = Some((name, Vec::new())),
            Ok(Some(RawEvent::Attribute(_, name, value))) => open.as_mut().unwrap().1.push((name, value)),
            Ok(Some(RawEvent::ElementHeadClose(_))) => {
                let (name, attributes) = open.take().unwrap();
                pieces.push(Piece::Open(name, attributes));
            }
            // rxml leaves a carriage return as it is behind `]]` in a CDATA section; XML 1.0 section 2.11 makes it a line feed.
            Ok(Some(RawEvent::Text(_, text))) => push_text(&mut pieces, text.replace("\r\n", "\n").replace('\r', "\n")),
            Ok(Some(RawEvent::ElementFoot(_))) => pieces.push(Piece::Close),
            Ok(None) | Err(rxml::error::EndOrError::NeedMoreData) => return (pieces, false),
            Err(rxml::error::EndOrError::Error(_)) => return (pieces, true),
        }
    }
}

/// Both see the same up to the first error, and both see the error.
fn agree(document: &[u8]) {
    let text = String::from_utf8_lossy(document).into_owned();
    // Whatever is pending is decided by a tag behind it, in which no name can go on and no quote stays open.
    let mut closed = document.to_vec();
    closed.extend_from_slice(b"\"'>]]><!");
    let (mine, my_error) = ours(&[&closed], Keep::All);
    let (rxmls, their_error) = theirs(&closed);
    assert_eq!(my_error, their_error, "{text:?}: {mine:?} {rxmls:?}");
    // rxml gives texts and tags out earlier than a whole tag is there, so before an error it may have seen more.
    let common = mine.len().min(rxmls.len());
    let equal = mine[..common.saturating_sub(1)] == rxmls[..common.saturating_sub(1)];
    assert!(equal && rxmls.len().abs_diff(mine.len()) <= 1, "{text:?}: {mine:?} {rxmls:?}");
}

#[test]
fn documents_of_every_kind_are_read_as_rxml_reads_them() {
    for document in [
        "<?xml version='1.0'?><a/>",
        "<?xml version=\"1.0\" encoding='UTF-8' standalone='yes' ?>\n<a b='c' d=\"e'f\"></a >\n",
        "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<?xml encoding='utf-8'?><a/>",
        "<?xmlversion='1.0'?><a/>",
        " <?xml version='1.0'?><a/>",
        "<a>x &lt;&gt;&amp;&apos;&quot;&#65;&#x42;&#x1F600; y\r\nz\rw</a>",
        "<a b='x &lt;&#10;&#x9;\r\ny\tz'/>",
        "<a><![CDATA[<&]]]]><![CDATA[>\r\n]]></a>",
        "<a>]]></a>",
        "<a>]] ></a>",
        "<a>]</a>",
        "<a b = 'c'\n\td\n=\n'e'/>",
        "<a b='c'd='e'/>",
        "<a b='<'/>",
        "<a b=c/>",
        "<a b/>",
        "<a /b>",
        "<a/ >",
        "< a/>",
        "</a>",
        "<a></b>",
        "<a><b></a></b>",
        "<a/><b/>",
        "<a/>x",
        "x<a/>",
        "<a>&unknown;</a>",
        "<a>&#0;</a>",
        "<a>&#xD800;</a>",
        "<a>&#x110000;</a>",
        "<a>&#+65;</a>",
        "<a>&;</a>",
        "<a>& b</a>",
        "<a>\u{1}</a>",
        "<a>\u{fffe}</a>",
        "<a b='\u{b}'/>",
        "<a:b c:d='e'/>",
        "<a:b:c/>",
        "<:a/>",
        "<a:/>",
        "<1/>",
        "<a><!-- b --></a>",
        "<a><?b?></a>",
        "<!DOCTYPE a><a/>",
        "<a b='c' b='d'/>",
        "<ä ö='ü'>世界 😀</ä>",
        "<![CDATA[x]]>",
    ] {
        agree(document.as_bytes());
    }
    agree(b"<a>\xff</a>");
    agree(b"<a>\xe4\xb8</a>");
    agree(b"<a b='\xc0\x80'/>");
}

const PIECES: &[&str] = &[
    "<a>",
    "</a>",
    "<b c='d'>",
    "</b>",
    "<e/>",
    "<f g=\"h\" i='j'/>",
    "text",
    "&amp;",
    "&#65;",
    "&#x1F600;",
    "&lt",
    ";",
    "&",
    "<",
    ">",
    "/",
    "'",
    "\"",
    "=",
    " ",
    "\r",
    "\n",
    "\r\n",
    "\t",
    "]",
    "]]",
    "]]>",
    "<![CDATA[",
    "<!",
    "<!-",
    "<?",
    "?>",
    "é",
    "世",
    "😀",
    "\u{fffe}",
    "\u{ffbe}",
    "\0",
    "a:b",
    "<x:y z:w='v'>",
    "</x:y>",
    "<?xml version='1.0'?>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_pieces_are_read_as_rxml_reads_them(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..20)) {
        agree(format!("<a>{}", pieces.concat()).as_bytes());
        // rxml takes no blanks before the document, and takes an empty CDATA section there, which XML does not.
        let document = pieces.concat();
        if !document.contains("<![CDATA[") {
            agree(document.trim_start_matches([' ', '\t', '\r', '\n']).as_bytes());
        }
    }

    #[test]
    fn chunks_and_what_is_kept_do_not_matter(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..20),
        cuts in prop::collection::vec(1usize..9, 1..9),
    ) {
        let document = format!("<a>{}", pieces.concat());
        let mut rest = document.as_bytes();
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        let (whole, error) = ours(&[document.as_bytes()], Keep::All);
        let (in_chunks, error_in_chunks) = ours(&chunks, Keep::All);
        prop_assert_eq!(error, error_in_chunks);
        if error {
            // A text that is cut may be given out before what is wrong in its rest is seen.
            let common = whole.len().saturating_sub(1);
            prop_assert_eq!(&in_chunks[..common.min(in_chunks.len())], &whole[..common.min(in_chunks.len())]);
        } else {
            prop_assert_eq!(in_chunks, whole);
        }
        prop_assert_eq!(ours(&chunks, Keep::Structure).1, error);
    }
}
