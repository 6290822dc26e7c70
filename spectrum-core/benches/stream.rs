//! What reading and writing one stanza costs. `cargo bench -p spectrum-core --bench stream`
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spectrum_core::stream::{Content, Event, Limits, Reader, Side, Stanza, Writer};

const MESSAGE: &str = "<message from='alice@example.org/phone.aB3xK' to='bob%irc.example.net@irc.example.org' type='chat' \
    id='7f1e9a02-55d1'><body>The quick brown fox jumps over the lazy dog, again and.</body>\
    <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>";

const PRESENCE: &str = "<presence from='bob%irc.example.net@irc.example.org/bot' to='alice@example.org/phone.aB3xK'>\
    <show>away</show><status>lunch</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
    node='http://example.org/caps' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>";

fn reader(content: Content) -> Reader {
    let (side, limits) = match content {
        Content::Client => (Side::Receiving, Limits::CLIENT),
        Content::Component => (Side::Initiating, Limits::COMPONENT),
    };
    let mut reader = Reader::new(content, side, limits);
    let header = format!(
        "<stream:stream xmlns='{}' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
        content.namespace()
    );
    assert!(matches!(reader.read(&mut header.as_bytes()), Some(Event::Opened(_))));
    reader
}

fn read(reader: &mut Reader, stanza: &str) -> Stanza {
    match reader.read(&mut stanza.as_bytes()) {
        Some(Event::Stanza(stanza)) => stanza,
        other => panic!("not a stanza: {other:?}"),
    }
}

fn stream(criterion: &mut Criterion) {
    for (name, xml) in [("message", MESSAGE), ("presence", PRESENCE)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(xml.len() as u64));
        let mut client = reader(Content::Client);
        group.bench_function("decode, client", |b| b.iter(|| black_box(read(&mut client, xml))));
        let mut component = reader(Content::Component);
        group.bench_function("decode, component", |b| b.iter(|| black_box(read(&mut component, xml))));
        let stanza = read(&mut client, xml);
        let writer = Writer::new(Content::Client);
        let mut out = BytesMut::with_capacity(4096);
        group.bench_function("encode", |b| {
            b.iter(|| {
                out.clear();
                writer.stanza(&mut out, black_box(&stanza)).unwrap();
            });
        });
        group.finish();
    }
}

criterion_group!(benches, stream);
criterion_main!(benches);
