//! Any bytes, cut anywhere, on each kind of stream: no panic, equal events whatever the cuts, and every stanza that was
//! read can be written and read again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use spectrum_core::stream::{Content, Event, Limits, Reader, Side, Stanza, Writer};

fuzz_target!(|data: &[u8]| {
    let [options, cut, input @ ..] = data else { return };
    let (content, limits) = match options & 1 {
        0 => (Content::Client, Limits::CLIENT),
        _ => (Content::Component, Limits::COMPONENT),
    };
    let side = if options & 2 == 0 { Side::Receiving } else { Side::Initiating };
    let with_header = options & 4 != 0;
    let run = |chunk: usize| {
        let mut reader = Reader::new(content, side, limits);
        let mut events = Vec::new();
        if with_header {
            let header = format!(
                "<stream:stream xmlns='{}' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
                content.namespace()
            );
            assert!(matches!(reader.read(&mut header.as_bytes()), Some(Event::Opened(_))));
        }
        for mut bytes in input.chunks(chunk) {
            while let Some(event) = reader.read(&mut bytes) {
                events.push(event);
            }
        }
        events
    };
    let whole = run(input.len().max(1));
    let cut = run(usize::from(*cut).max(1));
    assert_eq!(described(&whole), described(&cut));
    for event in whole {
        match event {
            Event::Stanza(stanza) => writes_and_reads_back(content, &stanza),
            Event::Invalid(invalid) => {
                if let Some(reply) = &invalid.reply {
                    writes_and_reads_back(content, reply);
                }
            }
            Event::Opened(_) | Event::Nonza(_) | Event::PeerError(_) | Event::Closed | Event::Error(_) => {}
        }
    }
});

/// What must not depend on the cuts. Of several things that are wrong at the end of a stream any may be named.
fn described(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Error(_) => "an error".to_owned(),
        event => format!("{event:?}"),
    };
    events.iter().map(text).collect()
}

fn writes_and_reads_back(content: Content, stanza: &Stanza) {
    let mut out = BytesMut::new();
    let writer = Writer::new(content);
    writer.open(
        &mut out,
        &spectrum_core::stream::Header {
            version: Some(spectrum_core::stream::Version::V1_0),
            ..Default::default()
        },
    );
    writer.stanza(&mut out, stanza).expect("what was read can be written");
    // Our own output may be longer than what was read: entities for characters, declarations for prefixes.
    let limits = Limits {
        stanza_bytes: usize::MAX,
        attribute_bytes: 1 << 20,
        attributes: 1000,
        ..Limits::COMPONENT
    };
    let mut reader = Reader::new(
        content,
        Side::Initiating,
        Limits {
            stanza_bytes: 16 << 20,
            ..limits
        },
    );
    let mut input = &out[..];
    assert!(matches!(reader.read(&mut input), Some(Event::Opened(_))));
    match reader.read(&mut input) {
        Some(Event::Stanza(again)) => assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(stanza)),
        other => panic!("wrote {} which reads as {other:?}", String::from_utf8_lossy(&out)),
    }
}
