#![allow(clippy::unwrap_used)]

use std::time::Duration;

use minidom::Element;
use spectrum_core::admin::Outage;
use spectrum_core::backend::BackendInfo;
use spectrum_core::face::RosterChange;
use spectrum_core::main_process::{AssignError, Assignment, MainProcess, PoolStatus, SessionInbox};

use super::*;

/// A main process without a backend.
pub(crate) struct Nowhere;

#[async_trait::async_trait]
impl MainProcess for Nowhere {
    async fn assign(&self, _: &UserKey, _: Arc<dyn SessionInbox>) -> Result<Assignment, AssignError> {
        Err(AssignError::Stopping)
    }
    fn info(&self) -> Option<Arc<BackendInfo>> {
        None
    }
    fn status(&self) -> PoolStatus {
        panic!("a face asks for no status")
    }
    async fn stop(&self, _: Duration) {}
}

fn face() -> GatewayFace {
    face_for("localhost")
}

/// For who is allowed by this entry.
fn face_for(allow: &str) -> GatewayFace {
    let config = Config::from_toml(&format!(
        "mode = \"gateway\"\njid = \"irc.localhost\"\n[identity]\nname = \"IRC\"\n[gateway]\nsecret = \"s\"\n[backend]\ncommand = [\"x\"]\n[registration]\nallow = [\"{allow}\"]\n",
    ))
    .unwrap();
    let config = Arc::new(config);
    GatewayFace::new(
        &config,
        Naming::new(Arc::clone(&config), Arc::new(Nowhere)),
        Arc::new(OutageNote::open(None)),
    )
}

fn stanza(xml: &str) -> Stanza {
    let end = xml.find([' ', '/', '>']).unwrap();
    let xml = format!("{} xmlns='jabber:client'{}", &xml[..end], &xml[end..]);
    let element: Element = xml.parse().unwrap();
    match element.name() {
        "message" => Message::try_from(element).unwrap().into(),
        "presence" => Presence::try_from(element).unwrap().into(),
        _ => Iq::try_from(element).unwrap().into(),
    }
}

fn read(xml: &str) -> Read {
    face().read(stanza(xml))
}

fn write(out: UserOut) -> Vec<Stanza> {
    let (user, transport) = (
        BareJid::new("romeo@localhost").unwrap(),
        BareJid::new("irc.localhost").unwrap(),
    );
    let view = UserView {
        jid: &user,
        transport: &transport,
        resources: &[],
    };
    let mut stanzas = Vec::new();
    face().write(&view, out, &mut stanzas);
    stanzas
}

fn condition(read: Read) -> String {
    match read {
        Read::Reject(reply) => {
            let element = match reply {
                Stanza::Message(message) => Element::from(message),
                Stanza::Presence(presence) => Element::from(presence),
                Stanza::Iq(iq) => Element::from(iq),
            };
            element
                .get_child("error", "jabber:client")
                .unwrap()
                .children()
                .next()
                .unwrap()
                .name()
                .to_owned()
        }
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn users_stanzas_go_to_their_sessions() {
    let Read::User(user, input) =
        read("<message from='romeo@localhost/orchard' to='nurse@irc.localhost/x'><body>a</body></message>")
    else {
        panic!("not a user's")
    };
    assert_eq!(user.as_str(), "romeo@localhost");
    assert_eq!(input.resource.as_ref().unwrap().as_str(), "orchard");
    let To::Peer { node, resource } = input.to else {
        panic!("not for a peer")
    };
    assert_eq!((node.as_str(), resource.unwrap().as_str()), ("nurse", "x"));

    let Read::User(_, input) = read("<presence from='romeo@localhost/orchard' to='irc.localhost'/>") else {
        panic!("not a user's")
    };
    assert_eq!(input.to, To::Transport);
}

#[test]
fn requests_and_subscriptions_to_the_transport_are_services() {
    for xml in [
        "<iq type='get' id='1' from='romeo@localhost/a' to='irc.localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq type='get' id='1' from='localhost' to='irc.localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<presence type='subscribe' from='romeo@localhost' to='irc.localhost'/>",
        "<presence type='probe' from='romeo@localhost' to='irc.localhost'/>",
        "<message from='localhost' to='irc.localhost'><privilege xmlns='urn:xmpp:privilege:2'/></message>",
    ] {
        assert!(matches!(read(xml), Read::Service(_)), "{xml}");
    }
}

#[test]
fn nobody_speaks_in_our_name_and_ghosts_get_no_answer() {
    for xml in [
        "<message from='nurse@irc.localhost' to='irc.localhost'><body>a</body></message>",
        "<message from='irc.localhost' to='romeo@irc.localhost'><body>a</body></message>",
        "<message to='irc.localhost'><body>a</body></message>",
        "<message from='romeo@localhost/a'><body>a</body></message>",
        "<message type='error' from='localhost' to='nurse@irc.localhost'/>",
        "<presence from='romeo@elsewhere/a' to='irc.localhost'/>",
        "<iq type='result' id='1' from='romeo@elsewhere/a' to='irc.localhost'/>",
    ] {
        assert!(matches!(read(xml), Read::Ignore), "{xml}");
    }
}

#[test]
fn single_users_are_let_in() {
    let face = face_for("romeo@localhost");
    let presence = |from: &str| face.read(stanza(&format!("<presence from='{from}' to='irc.localhost'/>")));
    assert!(matches!(presence("romeo@localhost/a"), Read::User(..)));
    assert_eq!(presence("juliet@localhost/a"), Read::Ignore);
    let asks = "<iq type='get' id='1' from='juliet@localhost/a' to='irc.localhost'><query xmlns='jabber:iq:register'/></iq>";
    assert_eq!(condition(face.read(stanza(asks))), "forbidden");
    // What their server grants is believed.
    assert!(matches!(
        face.read(stanza("<message from='localhost' to='irc.localhost'/>")),
        Read::Service(_)
    ));
}

#[test]
fn strangers_are_told() {
    for xml in [
        "<message from='romeo@elsewhere/a' to='nurse@irc.localhost'><body>a</body></message>",
        "<iq type='get' id='1' from='romeo@elsewhere/a' to='irc.localhost'><query xmlns='jabber:iq:register'/></iq>",
        "<presence type='subscribe' from='romeo@elsewhere' to='irc.localhost'/>",
        "<presence from='romeo@elsewhere/a' to='#x@irc.localhost/r'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    ] {
        assert_eq!(condition(read(xml)), "forbidden", "{xml}");
    }
    assert_eq!(
        condition(read(
            "<message from='romeo@localhost/a' to='x@other.localhost'><body>a</body></message>"
        )),
        "item-not-found"
    );
    let from_server = "<iq type='get' id='1' from='localhost' to='nurse@irc.localhost'><query xmlns='jabber:iq:version'/></iq>";
    assert_eq!(condition(read(from_server)), "service-unavailable");
}

#[test]
fn own_message_that_comes_back_is_not_said_again() {
    let said = "<message from='romeo@localhost' to='nurse@irc.localhost'><body>a</body><origin-id xmlns='urn:xmpp:sid:0' id='spectrum-own-7'/></message>";
    assert!(matches!(read(said), Read::Ignore));
}

#[test]
fn accepted_subscription_is_answered_and_returned() {
    let contact = BareJid::new("nurse@irc.localhost").unwrap();
    let said = write(UserOut::SubscriptionAnswered {
        contact: contact.clone(),
        accepted: true,
        asks: true,
        name: Some("Nurse".to_owned()),
    });
    assert_eq!(
        said,
        [
            stanza("<presence type='subscribed' from='nurse@irc.localhost' to='romeo@localhost'/>"),
            stanza(
                "<presence type='subscribe' from='nurse@irc.localhost' to='romeo@localhost'><nick xmlns='http://jabber.org/protocol/nick'>Nurse</nick></presence>"
            ),
        ]
    );
    let said = write(UserOut::SubscriptionAnswered {
        contact,
        accepted: false,
        asks: false,
        name: None,
    });
    assert_eq!(
        said,
        [stanza(
            "<presence type='unsubscribed' from='nurse@irc.localhost' to='romeo@localhost'/>"
        )]
    );
}

#[test]
fn failed_login_is_told_as_presence_error_and_in_words() {
    let error = LoginError::new(LoginErrorKind::AuthenticationFailed, "");
    let text = "Could not log in to IRC: the password is wrong. Change your registration with the transport, or go offline and online again.";
    let said = write(UserOut::LoginFailed { error, retrying: false });
    assert_eq!(
        said,
        [
            stanza(&format!(
                "<presence type='error' from='irc.localhost' to='romeo@localhost'><error type='auth'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>{text}</text></error></presence>"
            )),
            stanza(&format!(
                "<message type='chat' from='irc.localhost' to='romeo@localhost'><body>{text}</body></message>"
            )),
        ]
    );
}

#[test]
fn transport_presence_goes_to_one_resource_or_all() {
    let presence = LegacyPresence {
        availability: Availability::Away,
        text: Some("Logging in".to_owned()),
        ..LegacyPresence::ONLINE
    };
    assert_eq!(
        write(UserOut::TransportPresence { to: None, presence }),
        [stanza(
            "<presence from='irc.localhost' to='romeo@localhost'><show>away</show><status>Logging in</status></presence>"
        )]
    );
    let to = Some(ResourcePart::new("orchard").unwrap().into_owned());
    assert_eq!(
        write(UserOut::TransportPresence {
            to,
            presence: LegacyPresence::OFFLINE
        }),
        [stanza(
            "<presence type='unavailable' from='irc.localhost' to='romeo@localhost/orchard'/>"
        )]
    );
}

#[test]
fn end_of_the_session_is_shown() {
    assert_eq!(
        write(UserOut::Closed {
            reason: "Bye".to_owned()
        }),
        [stanza(
            "<presence type='unavailable' from='irc.localhost' to='romeo@localhost'><status>Bye</status></presence>"
        )]
    );
}

#[test]
fn roster_change_is_a_set_in_the_words_of_a_privileged_entity() {
    let change = RosterChange {
        jid: BareJid::new("nurse@irc.localhost").unwrap(),
        name: Some("Nurse".to_owned()),
        groups: vec!["IRC".to_owned()],
        kind: RosterChangeKind::Both,
        version: None,
    };
    assert_eq!(
        write(UserOut::Roster(change)),
        [stanza(
            "<iq type='set' id='' from='irc.localhost' to='romeo@localhost'><query xmlns='jabber:iq:roster'><item jid='nurse@irc.localhost' name='Nurse' subscription='both'><group>IRC</group></item></query></iq>"
        )]
    );
}

#[tokio::test]
async fn an_outage_stands_in_the_transports_presence() {
    let outage = Outage::told("now", "-", "The network is down.", clock::now()).unwrap();
    let since = outage.beginning.date_time();
    let face = face();
    face.outage.set(Some(outage)).await.unwrap();
    let (user, transport) = (
        BareJid::new("romeo@localhost").unwrap(),
        BareJid::new("irc.localhost").unwrap(),
    );
    let view = UserView {
        jid: &user,
        transport: &transport,
        resources: &[],
    };
    let presence = LegacyPresence::ONLINE;
    let mut stanzas = Vec::new();
    face.write(&view, UserOut::TransportPresence { to: None, presence }, &mut stanzas);
    let text = format!("Outage since {since}: The network is down.");
    assert_eq!(
        stanzas,
        [stanza(&format!(
            "<presence from='irc.localhost' to='romeo@localhost'><status>{text}</status></presence>"
        ))]
    );
}
