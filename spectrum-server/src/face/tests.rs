//! The face table, exactly.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use jid::ResourcePart;
use spectrum_core::backend::{LoginError, LoginErrorKind};
use spectrum_core::face::ResourceView;
use spectrum_core::model::{self, Availability};
use spectrum_core::stream::{Content, Event, Limits, Reader, Side, Writer};

use super::*;

fn face() -> ServerFace {
    ServerFace::new(BareJid::new("irc.localhost").unwrap())
}

fn stanza(xml: &str) -> Stanza {
    let mut reader = Reader::new(Content::Client, Side::Receiving, Limits::CLIENT);
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let text = format!("{header}{xml}");
    let mut input = text.as_bytes();
    assert!(matches!(reader.read(&mut input), Some(Event::Opened(_))));
    let Some(Event::Stanza(mut stanza)) = reader.read(&mut input) else {
        panic!("not a stanza: {xml}")
    };
    stanza.set_from(Some("alice@irc.localhost/phone".parse().unwrap()));
    stanza
}

fn read_to(xml: &str) -> Option<To> {
    match face().read(stanza(xml)) {
        Read::User(user, input) => {
            assert_eq!(user.as_str(), "alice@irc.localhost");
            assert_eq!(input.resource, Some("phone".parse().unwrap()));
            Some(input.to)
        }
        Read::Service(_) | Read::Reject(_) | Read::Ignore => None,
    }
}

fn written(out: UserOut) -> Vec<String> {
    let (jid, transport) = (
        BareJid::new("alice@irc.localhost").unwrap(),
        BareJid::new("irc.localhost").unwrap(),
    );
    let resource = |name: &str, interested| ResourceView {
        resource: name.parse::<ResourcePart>().unwrap(),
        availability: Availability::Online,
        priority: 0,
        interested,
    };
    let resources = [resource("phone", true), resource("bot", false)];
    let user = UserView {
        jid: &jid,
        transport: &transport,
        resources: &resources,
    };
    let mut stanzas = Vec::new();
    face().write(&user, out, &mut stanzas);
    let text = |stanza: &Stanza| {
        let mut out = BytesMut::new();
        Writer::new(Content::Client).stanza(&mut out, stanza).unwrap();
        String::from_utf8(out.to_vec()).unwrap()
    };
    stanzas.iter().map(text).collect()
}

fn bob() -> BareJid {
    BareJid::new("bob@irc.localhost").unwrap()
}

#[test]
fn stanzas_of_the_user_are_told_by_whom_they_are_for() {
    assert_eq!(read_to("<presence/>"), Some(To::Transport));
    assert_eq!(read_to("<message><body>x</body></message>"), Some(To::Account));
    assert_eq!(
        read_to("<message to='irc.localhost'><body>help</body></message>"),
        Some(To::Transport)
    );
    assert_eq!(
        read_to("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"),
        Some(To::Account)
    );
    let room = To::Peer {
        node: "#room".parse().unwrap(),
        resource: Some("Nick".parse().unwrap()),
    };
    assert_eq!(read_to("<presence to='#room@irc.localhost/Nick'/>"), Some(room));
    let peer = To::Peer {
        node: "bob".parse().unwrap(),
        resource: None,
    };
    assert_eq!(
        read_to("<iq type='get' id='1' to='bob@irc.localhost'><ping xmlns='urn:xmpp:ping'/></iq>"),
        Some(peer)
    );
}

#[test]
fn answers_to_the_server_and_subscriptions_to_it_are_ignored() {
    for xml in [
        "<iq type='result' id='push-1'/>",
        "<iq type='result' id='ping-1' to='irc.localhost'/>",
        "<presence type='subscribe' to='irc.localhost'/>",
        "<presence type='subscribe' to='alice@irc.localhost'/>",
    ] {
        assert_eq!(face().read(stanza(xml)), Read::Ignore, "{xml}");
    }
}

#[test]
fn roster_change_is_pushed_to_those_who_asked_for_the_roster() {
    let change = |kind| RosterChange {
        jid: bob(),
        name: Some("Bob <b>".to_owned()),
        groups: vec!["Friends".to_owned()],
        kind,
        version: Some("v2".to_owned()),
    };
    let push = |item: &str| {
        vec![format!(
            "<iq to='alice@irc.localhost/phone' id='push-0' type='set'><query xmlns='jabber:iq:roster' ver='v2'>{item}</query></iq>"
        )]
    };
    assert_eq!(
        written(UserOut::Roster(change(RosterChangeKind::Both))),
        push("<item jid='bob@irc.localhost' name='Bob &lt;b&gt;' subscription='both'><group>Friends</group></item>")
    );
    assert_eq!(
        written(UserOut::Roster(change(RosterChangeKind::Ask))),
        push(
            "<item ask='subscribe' jid='bob@irc.localhost' name='Bob &lt;b&gt;' subscription='none'><group>Friends</group></item>"
        )
    );
    assert_eq!(
        written(UserOut::Roster(change(RosterChangeKind::Removed))),
        push("<item jid='bob@irc.localhost' subscription='remove'/>")
    );
}

#[test]
fn subscriptions_are_asked_and_answered() {
    let answered = |accepted| UserOut::SubscriptionAnswered {
        contact: bob(),
        accepted,
        asks: accepted,
        name: None,
    };
    assert_eq!(
        written(answered(true)),
        ["<presence from='bob@irc.localhost' to='alice@irc.localhost' type='subscribed'/>"]
    );
    assert_eq!(
        written(answered(false)),
        ["<presence from='bob@irc.localhost' to='alice@irc.localhost' type='unsubscribed'/>"]
    );
    let asked = UserOut::SubscriptionRequested {
        contact: bob(),
        name: Some("Bob".to_owned()),
        text: Some("Hi".to_owned()),
    };
    assert_eq!(
        written(asked),
        [
            "<presence from='bob@irc.localhost' to='alice@irc.localhost' type='subscribe'><status>Hi</status>\
          <nick xmlns='http://jabber.org/protocol/nick'>Bob</nick></presence>"
        ]
    );
}

#[test]
fn the_transport_itself_has_no_presence() {
    let out = UserOut::TransportPresence {
        to: None,
        presence: model::Presence::ONLINE,
    };
    assert!(written(out).is_empty());
}

#[test]
fn lost_network_and_end_of_the_session_are_told_by_a_message() {
    let error = LoginError::new(LoginErrorKind::Network, "Connection reset.");
    assert_eq!(
        written(UserOut::LoginFailed { error, retrying: true }),
        [
            "<message from='irc.localhost' to='alice@irc.localhost' type='chat'><body>Connection reset. Trying again.</body></message>"
        ]
    );
    assert_eq!(
        written(UserOut::Closed {
            reason: "Over.".to_owned()
        }),
        ["<message from='irc.localhost' to='alice@irc.localhost' type='chat'><body>Over.</body></message>"]
    );
}

#[test]
fn own_message_of_another_client_is_a_carbon_copy_for_each_resource() {
    let mut message = Message::chat(Jid::from(bob())).with_body(Lang::new(), "hi".to_owned());
    message.from = Some("alice@irc.localhost".parse().unwrap());
    let written = written(UserOut::OwnMessage(message));
    assert_eq!(written.len(), 2);
    assert_eq!(
        written[0],
        "<message from='alice@irc.localhost' to='alice@irc.localhost/phone' type='chat'><sent xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@irc.localhost' \
         to='bob@irc.localhost' type='chat'><body>hi</body></message></forwarded></sent></message>"
    );
}
