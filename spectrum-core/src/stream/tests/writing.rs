//! The writer says what xso would say, and nothing that is no XML.

use minidom::Element;
use proptest::prelude::*;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::presence::Presence;

use super::*;

/// One stanza of every shape that the writer distinguishes.
const CORPUS: &[&str] = &[
    "<message/>",
    "<message from='a@b/c' to='d@e/f' id='1' type='chat'><body>x &lt; &apos;y&apos; &amp; z&#xd;</body>\
     <request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    "<message type='groupchat'><subject/></message>",
    "<message type='headline' xml:lang='de'><subject>s</subject><body xml:lang='en'>a</body><body>b</body>\
     <thread parent='p'>t</thread></message>",
    "<message type='error'><error type='wait' by='x.y'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b</gone>\
     </error></message>",
    "<message><x xmlns='urn:x' a='1' xml:lang='fr' xmlns:p='urn:p' p:a='2' p:b='&#x9;&#xa;&quot;'><y><z xmlns='urn:z'/>text\
     </y><message xmlns='jabber:client'><body>inner</body></message><n xmlns=''/></x></message>",
    "<presence/>",
    "<presence from='a@b/c' to='d@e' id='1'><show>dnd</show><status>s</status><status xml:lang='de'>t</status>\
     <priority>-1</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>",
    "<presence><show>away</show></presence>",
    "<presence><show>chat</show></presence>",
    "<presence><show>xa</show></presence>",
    "<presence type='error'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
    "<presence type='probe'/>",
    "<presence type='subscribe'/>",
    "<presence type='subscribed'/>",
    "<presence type='unavailable'><status>bye</status></presence>",
    "<presence type='unsubscribe'/>",
    "<presence type='unsubscribed'/>",
    "<iq from='a@b/c' to='d@e' id='1' type='get'><query xmlns='jabber:iq:roster' ver=''/></iq>",
    "<iq id='1' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>",
    "<iq id='1' type='result'/>",
    "<iq id='1' type='result'><query xmlns='jabber:iq:roster'><item jid='a@b'><group>g</group></item></query></iq>",
    "<iq id='1' type='error'><query xmlns='urn:q'/><error type='cancel'>\
     <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
     <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>t</text><own xmlns='urn:own'/></error></iq>",
];

#[test]
fn output_reads_as_what_was_read_and_as_what_xso_writes() {
    for input in CORPUS {
        let original = stanza(one(&mut client(), input));
        let ours = written(Content::Client, &original);
        assert_eq!(stanza(one(&mut client(), &ours)), original, "{ours}");
        assert_eq!(stanza(one(&mut component(), &ours)), original, "implied namespace: {ours}");
        let theirs = match &original {
            Stanza::Message(message) => xso::to_vec(message),
            Stanza::Presence(presence) => xso::to_vec(presence),
            Stanza::Iq(iq) => xso::to_vec(iq),
        };
        assert_eq!(stanza(one(&mut client(), theirs.unwrap())), original);
    }
}

#[test]
fn exact_bytes_of_a_message() {
    let input = CORPUS[1];
    let message = stanza(one(&mut client(), input));
    assert_eq!(
        written(Content::Component, &message),
        "<message from='a@b/c' to='d@e/f' id='1' type='chat'><body>x &lt; 'y' &amp; z&#xd;</body>\
         <request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    );
}

#[test]
fn headers_errors_and_ends() {
    let mut out = bytes::BytesMut::new();
    let client = Writer::new(Content::Client);
    let header = Header {
        from: Some("irc.localhost".to_owned()),
        id: Some("a'b".to_owned()),
        version: Some(Version::V1_0),
        lang: Some("en".to_owned()),
        ..Header::default()
    };
    client.open(&mut out, &header);
    let features =
        "<features xmlns='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></features>";
    client.nonza(&mut out, &features.parse().unwrap()).unwrap();
    client.error(&mut out, &StreamError::new(StreamCondition::Conflict, "a < b"));
    client.error(&mut out, &StreamCondition::SeeOtherHost("[::1]:5222".to_owned()).into());
    client.close(&mut out);
    assert_eq!(
        String::from_utf8(out.to_vec()).unwrap(),
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
         from='irc.localhost' id='a&apos;b' version='1.0' xml:lang='en'>\
         <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>\
         <stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &lt; b</text></stream:error>\
         <stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[::1]:5222</see-other-host></stream:error>\
         </stream:stream>"
    );
}

#[test]
fn element_that_cannot_be_written_leaves_the_buffer_as_it_was() {
    let mut out = bytes::BytesMut::from(&b"before"[..]);
    let mut message = Message::chat(None).with_body(Lang::new(), "x".to_owned());
    message.payloads.push(Element::bare("a b", "urn:x"));
    let writer = Writer::new(Content::Client);
    assert_eq!(writer.stanza(&mut out, &message.into()), Err(WriteError::Name));
    let deep = (0..60).fold(Element::bare("a", "urn:a"), |inner, _| {
        Element::builder("a", "urn:a").append(inner).build()
    });
    assert_eq!(writer.nonza(&mut out, &deep), Err(WriteError::Depth));
    assert_eq!(&out[..], b"before");
}

#[test]
fn control_characters_are_replaced_wherever_text_goes() {
    let mut message = Message::chat(None).with_body(Lang::new(), "a\u{1b}[31mb\0".to_owned());
    message.id = Some(xmpp_parsers::message::Id("i\u{7}\u{ffff}".to_owned()));
    message.payloads.push("<x xmlns='urn:x'/>".parse::<Element>().unwrap());
    message.payloads[0].append_text_node("c\u{c}");
    assert_eq!(
        written(Content::Client, &message.into()),
        "<message id='i\u{fffd}\u{fffd}' type='chat'><body>a\u{fffd}[31mb\u{fffd}</body><x xmlns='urn:x'>c\u{fffd}</x></message>"
    );
}

proptest! {
    #[test]
    fn any_text_is_written_as_xml(text in any::<String>(), id in any::<String>(), lang in "[a-z]{0,3}") {
        let mut message = Message::chat(None).with_body(Lang(lang), text.clone());
        message.id = Some(xmpp_parsers::message::Id(id.clone()));
        let mut presence = Presence::available();
        presence.set_status("", text.clone());
        let iq = Iq::Result { from: None, to: None, id, payload: None };
        for sent in [Stanza::from(message), presence.into(), iq.into()] {
            let read = stanza(one(&mut client(), written(Content::Client, &sent)));
            prop_assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&sent));
            if let Stanza::Presence(presence) = read && !text.is_empty() {
                let expected: String = text.chars().map(|c| match c {
                    '\t' | '\n' | '\r' => c,
                    c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => '\u{fffd}',
                    c => c,
                }).collect();
                prop_assert_eq!(presence.statuses.get(""), Some(&expected));
            }
        }
    }
}
