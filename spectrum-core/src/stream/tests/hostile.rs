//! What hostile and broken peers send. On a client stream breaking a limit ends the stream; on a component stream, where
//! one user must not end everybody's, the stanza is lost and its sender told.

use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;

use super::*;

/// The error a component answers to `a@localhost/x` for something it sent to `b@irc.localhost`.
fn component_reply(name: &str, condition: &str, text: &str) -> String {
    format!(
        "<{name} from='b@irc.localhost' to='a@localhost/x' id='7' type='error'><error type='modify'>\
         <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>{text}</text></error></{name}>"
    )
}

const ADDRESSES: &str = "from='a@localhost/x' to='b@irc.localhost' id='7'";

/// Reads a lost stanza from a component stream, checks the answer, and that the stream goes on.
fn lost_but_answered(input: &str, name: &str, condition: &str, text: &str) {
    let mut reader = component();
    let lost = invalid(one(&mut reader, input));
    assert_eq!(lost.header.from.as_deref(), Some("a@localhost/x"));
    let reply = lost.reply.expect("answered");
    assert_eq!(written(Content::Component, &reply), component_reply(name, condition, text));
    assert!(matches!(one(&mut reader, "<presence/>"), Event::Stanza(Stanza::Presence(_))));
}

fn nested(levels: usize) -> String {
    format!(
        "<message {ADDRESSES}>{}{}</message>",
        "<a xmlns='urn:a'>".repeat(levels),
        "</a>".repeat(levels)
    )
}

#[test]
fn stanza_nested_200_000_deep_is_skipped_on_a_component_stream() {
    lost_but_answered(&nested(200_000), "message", "policy-violation", "nested too deep");
}

#[test]
fn stanza_nested_200_000_deep_ends_a_client_stream() {
    assert_eq!(
        condition(one(&mut client(), nested(200_000))),
        StreamCondition::PolicyViolation
    );
}

#[test]
fn depth_counts_the_stanza_itself() {
    assert!(matches!(one(&mut client(), nested(31)), Event::Stanza(_)));
    assert_eq!(condition(one(&mut client(), nested(32))), StreamCondition::PolicyViolation);
    assert!(matches!(one(&mut component(), nested(31)), Event::Stanza(_)));
    assert!(matches!(one(&mut component(), nested(32)), Event::Invalid(_)));
}

#[test]
fn endless_nesting_ends_even_a_component_stream() {
    let mut reader = component();
    assert!(read(&mut reader, format!("<message {ADDRESSES}>")).is_empty());
    let chunk = "<a>".repeat(100_000);
    let event = (0..100).find_map(|_| read(&mut reader, &chunk).pop()).expect("it ends");
    assert_eq!(condition(event), StreamCondition::PolicyViolation);
}

#[test]
fn oversized_stanza_is_skipped_on_a_component_stream() {
    let body = "x".repeat(513 * 1024);
    let input = format!("<message {ADDRESSES}><body>{body}</body></message>");
    lost_but_answered(&input, "message", "policy-violation", "stanza too long");
}

#[test]
fn oversized_stanza_ends_a_client_stream_before_it_has_ended() {
    let mut reader = client();
    assert!(read(&mut reader, "<message><body>").is_empty());
    let chunk = "x".repeat(4096);
    let sent = (1..).find(|_| !read(&mut reader, &chunk).is_empty()).unwrap();
    assert_eq!(sent, 64, "in units of 4 KiB");
}

#[test]
fn unauthenticated_client_may_send_little() {
    let mut reader = opened(
        Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED),
        CLIENT_HEADER,
    );
    let auth = format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
        "A".repeat(11_000)
    );
    assert_eq!(condition(one(&mut reader, auth)), StreamCondition::PolicyViolation);
}

#[test]
fn too_many_attributes_or_elements_are_refused() {
    let attributes: String = (0..65).map(|n| format!(" a{n}=''")).collect();
    let elements = "<a/>".repeat(16_384);
    let with_attributes = format!("<message {ADDRESSES}><x xmlns='urn:x'{attributes}/></message>");
    let with_declarations: String = (0..65).map(|n| format!(" xmlns:a{n}='urn:a'")).collect();
    let with_declarations = format!("<message {ADDRESSES}><x xmlns='urn:x'{with_declarations}/></message>");
    let with_elements = format!("<message {ADDRESSES}>{elements}</message>");
    lost_but_answered(&with_attributes, "message", "policy-violation", "too many attributes");
    lost_but_answered(&with_declarations, "message", "policy-violation", "too many attributes");
    lost_but_answered(&with_elements, "message", "policy-violation", "too many elements");
    assert_eq!(
        condition(one(&mut client(), with_attributes)),
        StreamCondition::PolicyViolation
    );
    assert_eq!(condition(one(&mut client(), with_elements)), StreamCondition::PolicyViolation);
}

#[test]
fn long_attribute_is_refused_and_the_header_behind_it_is_known() {
    let long = "x".repeat(17 * 1024);
    let input = format!("<message long='{long}' {ADDRESSES}/>");
    lost_but_answered(&input, "message", "policy-violation", "attribute too long");
    assert_eq!(condition(one(&mut client(), input)), StreamCondition::PolicyViolation);
}

#[test]
fn bad_priority_is_answered_in_both_kinds_of_stream() {
    let input = format!("<presence {ADDRESSES}><priority>abc</priority><status>x</status></presence>");
    lost_but_answered(&input, "presence", "bad-request", "a value is not of its type");
    let reply = invalid(one(&mut client(), &input)).reply.expect("answered");
    assert_eq!(
        written(Content::Client, &reply),
        component_reply("presence", "bad-request", "a value is not of its type").replace(" to='a@localhost/x'", "")
    );
}

#[test]
fn iq_without_a_payload_or_with_two_or_of_no_type_is_a_bad_request() {
    for inside in ["", "<a xmlns='urn:a'/><a xmlns='urn:a'/>"] {
        let lost = invalid(one(&mut component(), format!("<iq type='get' {ADDRESSES}>{inside}</iq>")));
        assert_eq!(lost.condition, StanzaCondition::BadRequest);
        assert!(lost.reply.is_some());
    }
    for type_ in ["", "type='fetch'"] {
        let lost = invalid(one(
            &mut component(),
            format!("<iq {type_} {ADDRESSES}><a xmlns='urn:a'/></iq>"),
        ));
        assert_eq!(lost.condition, StanzaCondition::BadRequest);
    }
}

#[test]
fn unreadable_results_and_errors_are_reported_but_not_answered() {
    for input in [
        "<iq type='result'/>",
        "<iq type='error' id='7'/>",
        "<presence type='error'><show>?</show></presence>",
    ] {
        assert_eq!(invalid(one(&mut client(), input)).reply, None);
    }
}

#[test]
fn malformed_addressee_is_told_to_a_client_and_malformed_sender_is_not_answered() {
    let lost = invalid(one(&mut client(), "<message to='a@@b' id='7'/>"));
    assert_eq!(lost.condition, StanzaCondition::JidMalformed);
    assert!(lost.reply.is_some());
    assert_eq!(
        invalid(one(&mut component(), "<message from='@' to='b@irc.localhost'/>")).reply,
        None
    );
}

#[test]
fn text_inside_a_stanza_is_a_bad_request() {
    lost_but_answered(
        &format!("<presence {ADDRESSES}>hello</presence>"),
        "presence",
        "bad-request",
        "Unexpected text content",
    );
}

#[test]
fn unknown_element_is_an_unsupported_stanza_type() {
    for mut reader in [client(), component()] {
        assert_eq!(
            condition(one(&mut reader, "<hello/>")),
            StreamCondition::UnsupportedStanzaType
        );
        assert!(read(&mut reader, "<presence/>").is_empty(), "the stream is over");
    }
    assert_eq!(
        condition(one(&mut client(), "<x xmlns='urn:x'/>")),
        StreamCondition::UnsupportedStanzaType
    );
    assert_eq!(
        condition(one(&mut client(), "<stream:features/>")),
        StreamCondition::UnsupportedStanzaType
    );
}

#[test]
fn stanza_of_another_namespace_is_refused() {
    let input = "<message xmlns='jabber:server'/>";
    assert_eq!(condition(one(&mut client(), input)), StreamCondition::InvalidNamespace);
    let input = "<message xmlns='jabber:component:accept'/>";
    assert_eq!(condition(one(&mut client(), input)), StreamCondition::InvalidNamespace);
}

#[test]
fn markup_that_xmpp_forbids_is_restricted_xml() {
    for input in [
        "<!-- hello -->",
        "<?php ?>",
        "<!DOCTYPE a>",
        "<message>&hello;",
        "<message><!-- x -->",
        "<message><?p ?>",
    ] {
        assert_eq!(
            condition(one(&mut client(), input)),
            StreamCondition::RestrictedXml,
            "{input}"
        );
    }
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::CLIENT);
    assert_eq!(
        condition(one(&mut reader, "<!DOCTYPE stream [ <!ENTITY a 'b'> ]>")),
        StreamCondition::RestrictedXml
    );
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::CLIENT);
    let header = "<?xml version='1.0' encoding='iso-8859-1'?>";
    assert_eq!(condition(one(&mut reader, header)), StreamCondition::UnsupportedEncoding);
}

#[test]
fn what_is_no_xml_is_not_well_formed_at_once() {
    for input in ["GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", "hello", "\u{0}", "</a>"] {
        let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED);
        assert_eq!(
            condition(one(&mut reader, input)),
            StreamCondition::NotWellFormed,
            "{input:?}"
        );
    }
    for input in [
        "<message></b>",
        "<message a='1' a='2'/>",
        "<message><body>\u{1}",
        "<message a=b/>",
        "<message a='<'/>",
        "<a:b:c/>",
    ] {
        assert_eq!(
            condition(one(&mut client(), input)),
            StreamCondition::NotWellFormed,
            "{input}"
        );
    }
    assert_eq!(
        condition(one(&mut client(), b"<message><body>\xff\xfe</body>")),
        StreamCondition::NotWellFormed
    );
}

#[test]
fn bad_declarations_are_refused() {
    for (input, expected) in [
        ("<message><a:b/>", StreamCondition::BadNamespacePrefix),
        ("<message a:b='c'/>", StreamCondition::BadNamespacePrefix),
        ("<message><x xmlns:a='urn:a'/><a:b/>", StreamCondition::BadNamespacePrefix),
        ("<message xmlns:a=''/>", StreamCondition::NotWellFormed),
        ("<message xmlns:xmlns='urn:a'/>", StreamCondition::NotWellFormed),
        ("<message xmlns:xml='urn:a'/>", StreamCondition::NotWellFormed),
        (
            "<message xmlns:a='http://www.w3.org/XML/1998/namespace'/>",
            StreamCondition::NotWellFormed,
        ),
        (
            "<message xmlns='http://www.w3.org/2000/xmlns/'/>",
            StreamCondition::NotWellFormed,
        ),
        ("<message xmlns:a='urn:a' xmlns:a='urn:b'/>", StreamCondition::NotWellFormed),
        (
            "<message xmlns:a='urn:a' xmlns:b='urn:a' a:x='' b:x=''/>",
            StreamCondition::NotWellFormed,
        ),
    ] {
        assert_eq!(condition(one(&mut client(), input)), expected, "{input}");
    }
}

#[test]
fn text_between_stanzas_is_refused() {
    assert_eq!(condition(one(&mut client(), "hello<presence/>")), StreamCondition::BadFormat);
}

#[test]
fn header_of_another_kind_of_stream_is_refused() {
    let stream = "xmlns:stream='http://etherx.jabber.org/streams'";
    for (header, expected) in [
        (
            format!("<stream:stream xmlns='jabber:server' {stream} version='1.0'>"),
            StreamCondition::InvalidNamespace,
        ),
        (
            format!("<stream:stream xmlns='jabber:component:accept' {stream} to='a'>"),
            StreamCondition::InvalidNamespace,
        ),
        (
            "<stream:stream xmlns='jabber:client' xmlns:stream='urn:x' version='1.0'>".to_owned(),
            StreamCondition::InvalidNamespace,
        ),
        (
            "<stream xmlns='jabber:client' version='1.0'>".to_owned(),
            StreamCondition::InvalidNamespace,
        ),
        (
            "<stream:stream xmlns='jabber:client'>".to_owned(),
            StreamCondition::BadNamespacePrefix,
        ),
        (
            format!("<stream:flow xmlns='jabber:client' {stream} version='1.0'>"),
            StreamCondition::BadFormat,
        ),
        (
            format!("<stream:stream xmlns='jabber:client' {stream}>"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            format!("<stream:stream xmlns='jabber:client' {stream} version='0.9'>"),
            StreamCondition::UnsupportedVersion,
        ),
        (
            format!("<stream:stream xmlns='jabber:client' {stream} version='one'>"),
            StreamCondition::UnsupportedVersion,
        ),
    ] {
        let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED);
        assert_eq!(condition(one(&mut reader, &header)), expected, "{header}");
    }
}

#[test]
fn unknown_attributes_of_the_header_do_not_matter() {
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::UNAUTHENTICATED);
    let header = CLIENT_HEADER.replace("to=", "xmlns:x='urn:x' x:y='z' colour='blue' to=");
    assert!(matches!(one(&mut reader, header), Event::Opened(_)));
}
