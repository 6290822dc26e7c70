//! Tests of streams. Each file is one concern; here is what they share.
#![allow(clippy::unwrap_used)]

mod chunks;
mod hostile;
mod lexing;
mod reading;
mod writing;

use xmpp_parsers::stream_error::DefinedCondition as StreamCondition;

use super::*;

pub(super) const CLIENT_HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='irc.localhost' version='1.0' xml:lang='en'>";

pub(super) const COMPONENT_HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' from='irc.localhost' id='s1' xml:lang='en'>";

/// A server's view of a client.
pub(super) fn client() -> Reader {
    opened(Reader::new(Content::Client, Side::Receiving, Limits::CLIENT), CLIENT_HEADER)
}

/// A component's view of its server.
pub(super) fn component() -> Reader {
    opened(
        Reader::new(Content::Component, Side::Initiating, Limits::COMPONENT),
        COMPONENT_HEADER,
    )
}

fn opened(mut reader: Reader, header: &str) -> Reader {
    let events = read(&mut reader, header);
    assert!(matches!(events[..], [Event::Opened(_)]), "{events:?}");
    reader
}

pub(super) fn read(reader: &mut Reader, input: impl AsRef<[u8]>) -> Vec<Event> {
    let mut input = input.as_ref();
    std::iter::from_fn(|| reader.read(&mut input)).collect()
}

pub(super) fn one(reader: &mut Reader, input: impl AsRef<[u8]>) -> Event {
    let mut events = read(reader, input);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

pub(super) fn stanza(event: Event) -> Stanza {
    match event {
        Event::Stanza(stanza) => stanza,
        other => panic!("not a stanza: {other:?}"),
    }
}

pub(super) fn invalid(event: Event) -> Invalid {
    match event {
        Event::Invalid(invalid) => *invalid,
        other => panic!("not an invalid stanza: {other:?}"),
    }
}

pub(super) fn condition(event: Event) -> StreamCondition {
    match event {
        Event::Error(error) => error.condition,
        other => panic!("not a stream error: {other:?}"),
    }
}

pub(super) fn written(content: Content, stanza: &Stanza) -> String {
    let mut out = bytes::BytesMut::new();
    Writer::new(content).stanza(&mut out, stanza).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}
