//! What well-behaved peers send.

use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::MessageType;
use xmpp_parsers::presence::Show;

use super::*;

#[test]
fn client_header_is_reported_as_written() {
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED);
    let Event::Opened(header) = one(&mut reader, CLIENT_HEADER) else {
        panic!("not opened")
    };
    assert_eq!(
        header,
        Header {
            to: Some("irc.localhost".to_owned()),
            version: Some(Version::V1_0),
            lang: Some("en".to_owned()),
            ..Header::default()
        }
    );
}

#[test]
fn component_header_needs_no_version() {
    let mut reader = Reader::new(Content::Component, Side::Initiating, Limits::COMPONENT);
    let Event::Opened(header) = one(&mut reader, COMPONENT_HEADER) else {
        panic!("not opened")
    };
    assert_eq!(header.id.as_deref(), Some("s1"));
    assert_eq!(header.version, None);
}

#[test]
fn stream_namespace_may_be_the_default_of_the_header() {
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::CLIENT);
    let header = "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>";
    assert!(matches!(one(&mut reader, header), Event::Opened(_)));
    let message = stanza(one(&mut reader, "<message xmlns='jabber:client'><body>a</body></message>"));
    assert!(matches!(message, Stanza::Message(_)));
}

#[test]
fn two_stanzas_in_one_chunk_are_two_events() {
    let events = read(&mut client(), "<presence/><message to='a@b'><body>x</body></message>");
    assert!(matches!(
        &events[..],
        [Event::Stanza(Stanza::Presence(_)), Event::Stanza(Stanza::Message(_))]
    ));
}

#[test]
fn message_of_a_component_stream_is_folded_to_jabber_client() {
    let input = "<message from='a@localhost/x' to='b@irc.localhost' id='1' type='chat'><body>hi &amp; bye</body>\
                 <request xmlns='urn:xmpp:receipts'/></message>";
    let Stanza::Message(message) = stanza(one(&mut component(), input)) else {
        panic!("not a message")
    };
    assert_eq!(message.bodies.get("").unwrap(), "hi & bye");
    assert_eq!(message.type_, MessageType::Chat);
    assert_eq!(message.payloads.len(), 1);
    assert!(message.payloads[0].is("request", "urn:xmpp:receipts"));
}

#[test]
fn error_of_a_component_stream_is_folded_to_jabber_client() {
    let input = "<iq from='a@localhost' to='irc.localhost' id='1' type='error'><error type='cancel'>\
                 <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>";
    assert!(matches!(stanza(one(&mut component(), input)), Stanza::Iq(Iq::Error { .. })));
}

#[test]
fn forwarded_content_keeps_the_namespace_it_was_sent_with() {
    let input = "<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'>\
        <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='a@localhost'><body>x</body></message>\
        <message xmlns='jabber:component:accept'/></forwarded></privilege></message>";
    let Stanza::Message(message) = stanza(one(&mut component(), input)) else {
        panic!("not a message")
    };
    let forwarded = message.payloads[0].children().next().unwrap();
    let namespaces: Vec<String> = forwarded.children().map(Element::ns).collect();
    assert_eq!(namespaces, ["jabber:client", "jabber:component:accept"]);
}

#[test]
fn prefixed_elements_and_attributes_are_resolved() {
    let input = "<message xmlns:p='urn:p'><p:a p:b='1' b='2'><c/><p:d xmlns:p='urn:q'/><p:e/></p:a></message>";
    let Stanza::Message(message) = stanza(one(&mut client(), input)) else {
        panic!("not a message")
    };
    let element = &message.payloads[0];
    assert!(element.is("a", "urn:p"));
    assert_eq!(element.attr_ns("urn:p", "b"), Some("1"));
    assert_eq!(
        element.attrs().get(&rxml::Namespace::NONE, "b").map(String::as_str),
        Some("2")
    );
    let children: Vec<String> = element.children().map(Element::ns).collect();
    assert_eq!(children, ["jabber:client", "urn:q", "urn:p"]);
}

#[test]
fn language_of_a_stanza_is_inherited_and_that_of_the_stream_is_not() {
    let mut reader = client();
    let input = "<message><body>a</body><body xml:lang='de'>b</body></message>\
                 <message xml:lang='fr'><body>c</body><body xml:lang=''>d</body></message><message><body>e</body></message>";
    let bodies: Vec<Vec<(String, String)>> = read(&mut reader, input)
        .into_iter()
        .map(|event| {
            let Stanza::Message(message) = stanza(event) else {
                panic!("not a message")
            };
            message.bodies.into_iter().map(|(lang, body)| (lang.0, body)).collect()
        })
        .collect();
    let pair = |lang: &str, body: &str| (lang.to_owned(), body.to_owned());
    assert_eq!(
        bodies,
        [
            vec![pair("", "a"), pair("de", "b")],
            vec![pair("", "d"), pair("fr", "c")],
            vec![pair("", "e")],
        ]
    );
}

#[test]
fn message_of_unknown_type_is_normal() {
    let Stanza::Message(message) = stanza(one(&mut client(), "<message type='shout'/>")) else {
        panic!("not a message")
    };
    assert_eq!(message.type_, MessageType::Normal);
}

#[test]
fn presence_is_read() {
    let input = "<presence><show>away</show><status>lunch</status><priority>-5</priority></presence>";
    let Stanza::Presence(presence) = stanza(one(&mut client(), input)) else {
        panic!("not a presence")
    };
    assert_eq!((presence.show, presence.priority.0), (Some(Show::Away), -5));
}

#[test]
fn negotiation_elements_are_nonzas() {
    let mut reader = client();
    let Event::Nonza(starttls) = one(&mut reader, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") else {
        panic!("not a nonza")
    };
    assert_eq!(starttls.name(), "starttls");
    let Event::Nonza(handshake) = one(&mut component(), "<handshake/>") else {
        panic!("not a nonza")
    };
    assert_eq!(handshake.name(), "handshake");
}

#[test]
fn bytes_behind_starttls_are_left_to_be_seen() {
    let mut input = &b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><presence/>"[..];
    assert!(matches!(client().read(&mut input), Some(Event::Nonza(_))));
    assert_eq!(input, b"<presence/>");
}

#[test]
fn restarted_stream_wants_a_new_header() {
    let mut reader = client();
    reader.restart(Limits::CLIENT);
    assert!(matches!(one(&mut reader, CLIENT_HEADER), Event::Opened(_)));
    assert!(matches!(one(&mut reader, "<presence/>"), Event::Stanza(_)));
}

#[test]
fn closing_tag_closes_and_nothing_follows() {
    let mut reader = client();
    assert!(matches!(
        read(&mut reader, "<presence/></stream:stream>  ")[..],
        [Event::Stanza(_), Event::Closed]
    ));
    assert!(read(&mut reader, "<presence/>").is_empty());
}

#[test]
fn whitespace_keepalives_leave_no_trace() {
    let mut reader = client();
    for _ in 0..100 {
        assert!(read(&mut reader, " ".repeat(16 * 1024)).is_empty());
    }
    assert!(reader.is_between_stanzas());
    assert!(matches!(one(&mut reader, "\n<presence/>"), Event::Stanza(_)));
}

#[test]
fn idle_reader_gives_its_memory_back_and_reads_on() {
    let mut reader = client();
    assert!(matches!(
        one(&mut reader, "<message id='1'><body>x</body></message>"),
        Event::Stanza(_)
    ));
    reader.release_temporaries();
    assert!(matches!(
        one(&mut reader, "<message id='2'><body>x</body></message>"),
        Event::Stanza(_)
    ));
    assert!(read(&mut reader, "<message id='3'><bo").is_empty());
    reader.release_temporaries();
    assert!(matches!(one(&mut reader, "dy>x</body></message>"), Event::Stanza(_)));
}

#[test]
fn stream_error_of_the_peer_is_reported() {
    let input = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                 <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Replaced</text></stream:error></stream:stream>";
    let events = read(&mut component(), input);
    let [Event::PeerError(error), Event::Closed] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(error.to_string(), "conflict: Replaced");
}

#[test]
fn stanzas_are_those_of_clients() {
    // Cargo unifies features: a crate that enables `component` of xmpp-parsers breaks server mode.
    assert_eq!(xmpp_parsers::ns::DEFAULT_NS, "jabber:client");
}
