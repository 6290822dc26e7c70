//! Where the network cuts the bytes does not matter, and no bytes make the reader panic.

use proptest::prelude::*;

use super::*;

/// Everything that has a state of its own: entities, CDATA, prefixes, multi-byte characters, keepalives, lost stanzas.
const CONVERSATION: &str = "<presence/> \n <message from='a@b/ü' to='c@d' id='1' type='chat' xml:lang='de'>\
    <body>1 &lt; 2 &amp; 3 &#x20AC; <![CDATA[<raw> ]] & more]]> 世界 😀</body><p:x xmlns:p='urn:p' p:a='&quot;'><p:y/> text &gt; \
    <z xmlns=''/></p:x></message>\t<presence from='a@b/c' to='c@d' id='2'><priority>?</priority><status>lost</status></presence>\
    <iq from='a@b/c' to='c@d' id='3' type='get'><query xmlns='jabber:iq:roster'/></iq><iq type='set' from='a@b' to='c@d'>\
    <a><b>c</b></a></iq><message to='c@d'><body>last\r\nline</body></message></stream:stream>";

/// What a text breaks at, and what it does not.
const BROKEN: &[&[u8]] = &[
    b"<message>",
    b"<body>",
    b"</body>",
    b"</message>",
    b"<message><body>x</body></message>",
    b"x",
    b" ",
    b"\r",
    b"\n",
    b"]",
    b"]]>",
    b"&",
    b"&amp;",
    b"&#x41;",
    b"&#1;",
    b";",
    b"<",
    b"<!",
    b"<![CDATA[",
    b"<!-",
    b"<?",
    b"'",
    b"\x01",
    b"\xc3",
    b"\xa9",
    b"\xf4",
    b"\xf0\x9f",
    b"\xef\xbf\xbf",
    b"\xff",
];

/// What messages have, and what they should not have.
const ATTRIBUTES: &[&str] = &[
    " from='a@b/c'",
    " to=\"Ä@d\"",
    " to='@'",
    " id='1&amp;2'",
    " id=''",
    "\n type='chat'",
    " type='groupchat' ",
    " type='error'",
    " type='odd'",
    " xml:lang='de'",
    " xml:lang=''",
    " xmlns='jabber:client'",
    " xmlns='jabber:component:accept'",
    " xmlns='urn:x'",
    " xmlns:p='urn:p'",
    " p:a='b'",
    " other='x'",
    " broken='<'",
    " id ='spaced'",
];

const CHILDREN: &[&str] = &[
    "<body>text &lt; 世界\r\n</body>",
    "<body>&unknown;</body>",
    "<body/>",
    "<body></body>",
    "<body xml:lang='de'>Text</body>",
    "<body xmlns='jabber:client'>named</body>",
    "<body other='x'>odd</body>",
    "<body><b/></body>",
    "<body>one<![CDATA[ & ]]>two</body>",
    "<body >blank</body >",
    "<subject>s</subject>",
    "<subject xml:lang='fr'>s</subject>",
    "<thread>t</thread>",
    "<thread parent='p'>t</thread>",
    "<thread xml:lang='de'>t</thread>",
    "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
    "<unknown/>",
    "<active xmlns='http://jabber.org/protocol/chatstates'/>",
    "<request xmlns=\"urn:xmpp:receipts\"></request>",
    "<replace xmlns='urn:xmpp:message-correct:0' id='&quot;1&quot;'/>",
    "<x xmlns='urn:x' a='1' b='2'> <y>text<z xmlns='jabber:client'/></y>]]&gt;<y xmlns='urn:y'><y/></y>tail</x>",
    "<x xmlns='urn:x' a='1' a='2'/>",
    "<x xmlns='urn:x' xml:lang='de'/>",
    "<x xmlns='urn:x' xmlns='urn:y'/>",
    "<x xmlns=''/>",
    "<x xmlns='urn:x' -a='1'/>",
    "<x xmlns='urn:x'></y>",
    "<x xmlns='urn:x'><x><x><x><x><x><x><x><x><x><x><x><x><x/></x></x></x></x></x></x></x></x></x></x></x></x></x>",
    "<p:x xmlns:p='urn:p'/>",
    "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='e@f'><body>inner</body></message></forwarded>",
    "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:component:accept'/></forwarded>",
    " \n ",
    "stray",
    "]]>",
];

fn describe(reader: &mut Reader, chunks: impl Iterator<Item = Vec<u8>>) -> Vec<String> {
    chunks
        .flat_map(|chunk| read(reader, chunk))
        .map(|event| format!("{event:?}"))
        .collect()
}

#[test]
fn a_broken_character_is_seen_at_its_next_byte_and_not_waited_for() {
    for broken in [
        &b"<message><body>\xf4<"[..],
        b"<message><body>\xe2\x82x",
        b"<message><body>\xc3\xc3",
        b"<message><body>\xf7\rx",
    ] {
        for size in [1, broken.len()] {
            let events = describe(&mut client(), broken.chunks(size).map(<[u8]>::to_vec));
            assert!(
                events.len() == 1 && events[0].contains("NotWellFormed"),
                "{broken:?}: {events:?}"
            );
        }
    }
}

#[test]
fn a_reference_that_is_too_long_ends_the_stream_at_the_same_byte_in_any_pieces() {
    let broken = format!("<message><body>&{}", "a".repeat(16));
    for (bytes, expected) in [(broken.len(), 1), (broken.len() - 1, 0)] {
        for size in [1, 3, bytes] {
            let events = describe(&mut client(), broken.as_bytes()[..bytes].chunks(size).map(<[u8]>::to_vec));
            assert_eq!(events.len(), expected, "{bytes} bytes, {size} at once: {events:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_message_is_the_same_whether_it_comes_at_once_or_in_two_pieces(
        attributes in prop::collection::vec(prop::sample::select(ATTRIBUTES), 0..5),
        children in prop::collection::vec(prop::sample::select(CHILDREN), 0..6),
        cut in 1usize..12,
        is_component: bool,
    ) {
        let reader = || if is_component { component() } else { client() };
        let message = format!("<message{}>{}</message>", attributes.concat(), children.concat());
        let whole = describe(&mut reader(), std::iter::once(message.clone().into_bytes()));
        let (first, second) = message.as_bytes().split_at(cut.min(message.len()));
        let in_two = describe(&mut reader(), [first.to_vec(), second.to_vec()].into_iter());
        prop_assert_eq!(in_two, whole, "{}", message);
    }
}

proptest! {
    #[test]
    fn any_chunking_gives_equal_events(cuts in prop::collection::vec(1usize..40, 1..60), is_component: bool) {
        let reader = || if is_component { component() } else { client() };
        let whole = describe(&mut reader(), std::iter::once(CONVERSATION.as_bytes().to_vec()));
        let mut rest = CONVERSATION.as_bytes();
        let mut cuts = cuts.iter().cycle();
        let chunks = std::iter::from_fn(|| {
            let (chunk, after) = rest.split_at((*cuts.next()?).min(rest.len()));
            rest = after;
            (!chunk.is_empty()).then(|| chunk.to_vec())
        });
        let in_chunks = describe(&mut reader(), chunks);
        prop_assert_eq!(whole.len(), 7);
        prop_assert_eq!(in_chunks, whole);
    }

    #[test]
    fn broken_documents_break_at_the_same_stanza_however_they_are_cut(
        pieces in prop::collection::vec(prop::sample::select(BROKEN), 0..20),
        cut in 1usize..4,
        is_component: bool,
    ) {
        let reader = || if is_component { component() } else { client() };
        let document = pieces.concat();
        let whole = describe(&mut reader(), std::iter::once(document.clone()));
        let in_chunks = describe(&mut reader(), document.chunks(cut).map(<[u8]>::to_vec));
        // Of several things that are wrong at the end any may be named.
        let unnamed = |events: Vec<String>| -> Vec<String> {
            events.into_iter().map(|e| if e.starts_with("Error(") { "Error".to_owned() } else { e }).collect()
        };
        prop_assert_eq!(unnamed(in_chunks), unnamed(whole));
    }

    #[test]
    fn bytes_of_any_kind_do_not_panic(
        junk in prop::collection::vec(any::<u8>(), 0..300),
        is_component: bool,
        with_header: bool,
    ) {
        let mut reader = match (with_header, is_component) {
            (true, true) => component(),
            (true, false) => client(),
            (false, true) => Reader::new(Content::Component, Side::Initiating, Limits::COMPONENT),
            (false, false) => Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED),
        };
        read(&mut reader, junk);
    }

    #[test]
    fn pieces_of_xml_in_any_order_do_not_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<message", "<presence>", "<iq", " type='get'", " id='1'", " from='a@b'", ">", "/>", "</message>", "</iq>",
            "</presence>", "<body>", "</body>", "text", "&amp;", "<priority>", " xmlns='urn:x'", " xmlns:p='urn:p'", "<p:a",
            "<error type='cancel'>", "</error>", "<a>", "</a>", "<![CDATA[", "]]>", "</stream:stream>", " xml:lang='de'",
        ]), 0..60),
        is_component: bool,
    ) {
        let mut reader = if is_component { component() } else { client() };
        for piece in pieces {
            read(&mut reader, piece);
        }
        reader.release_temporaries();
    }
}
