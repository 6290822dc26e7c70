//! Random lives: nothing panics, every request has exactly one answer, every message exactly one fate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::backend::{Answer, LoginError, LoginErrorKind, OpError, OpErrorKind, Retry};
use crate::model::{
    Availability, Chat, ChatState, ContactRequest, ContactUpdate, Edit, IncomingMessage, Marker, MarkerKind, Origin, Patch,
    Presence as ModelPresence, Profile, Reactions, Retraction, Sent, Subscription,
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Stanza(u8, String),
    Event(Box<Event>),
    Outcome(u8, u8),
    Pass(u16),
    LoggedIn,
    Assigned,
    NotAssigned,
    BackendLost,
    Xmpp(bool),
    Lost(u8),
    Registration(u8),
    Login(u8, u8),
    Abandoned(u8),
}

fn stanza_text() -> impl Strategy<Value = String> {
    let node = prop::sample::select(vec!["juliet", "nurse", "a%b", "x\\40y", "#room"]);
    let resource = prop::sample::select(vec!["", "/bot", "/desk"]);
    let to = prop_oneof![
        3 => (node, resource).prop_map(|(node, resource)| format!(" to='{node}@net.example{resource}'")),
        1 => Just(" to='net.example'".to_owned()),
        1 => Just(" to='romeo@example.org'".to_owned()),
        1 => Just(String::new()),
    ];
    let presence = prop::sample::select(vec![
        "",
        " type='unavailable'",
        " type='probe'",
        " type='subscribe'",
        " type='subscribed'",
        " type='unsubscribe'",
        " type='unsubscribed'",
        " type='error'",
    ]);
    let message = prop::sample::select(vec![
        "<body>say 'ID'</body>",
        "<body>say 'ID'</body><request xmlns='urn:xmpp:receipts'/>",
        "<body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='ID1'/>",
        "<retract xmlns='urn:xmpp:message-retract:1' id='ID1'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='ID1'><reaction>x</reaction></reactions>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='n1'/>",
        "<attention xmlns='urn:xmpp:attention:0'/>",
        "<subject>s</subject>",
        "",
    ]);
    let message_type = prop::sample::select(vec!["chat", "normal", "headline", "groupchat", "error"]);
    let query = prop::sample::select(vec![
        "<vCard xmlns='vcard-temp'/>",
        "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>YWJj</BINVAL></PHOTO></vCard>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        "<query xmlns='jabber:iq:version'/>",
        "<query xmlns='jabber:iq:last'/>",
        "<query xmlns='jabber:iq:roster'/>",
        "<query xmlns='jabber:iq:roster'><item jid='juliet@net.example' name='J'/></query>",
        "<query xmlns='jabber:iq:roster'><item jid='juliet@net.example' subscription='remove'/></query>",
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='urn:unheard-of'/>",
    ]);
    let iq_type = prop::sample::select(vec!["get", "set", "result"]);
    prop_oneof![
        (to.clone(), presence, -2_i8..3)
            .prop_map(|(to, type_, p)| format!("<presence{to}{type_}><priority>{p}</priority></presence>")),
        (to.clone(), message_type, message)
            .prop_map(|(to, type_, m)| format!("<message{to} type='{type_}' id='ID'>{m}</message>")),
        (to, iq_type, query).prop_map(|(to, type_, q)| format!("<iq{to} type='{type_}' id='ID'>{q}</iq>")),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop::sample::select(vec!["juliet", "Nurse", "a@b", "x@y", "", "💩"]);
    let id = prop::sample::select(vec!["n1", "n2", "n3", ""]);
    (name, id, 0_u8..18, any::<bool>()).prop_map(|(name, id, kind, flag)| {
        let chat = Chat::Contact(name.into());
        let origin = if flag { Origin::OwnOtherDevice } else { Origin::Other };
        match kind {
            0 => Event::Contact(ContactUpdate::new(name).presence(ModelPresence::ONLINE).alias(id)),
            1 => Event::Contact(ContactUpdate {
                presence: Patch::Set(ModelPresence::of(Availability::Away)),
                ..ContactUpdate::new(name)
            }),
            2 => Event::Contact(ContactUpdate {
                subscription: Patch::Set(Subscription::Ask),
                ..ContactUpdate::new(name)
            }),
            3 => Event::Contact(ContactUpdate {
                presence: Patch::Clear,
                groups: Patch::Set(vec![id.to_owned()]),
                ..ContactUpdate::new(name)
            }),
            4 => Event::ContactRemoved(name.into()),
            5 => Event::ContactsComplete,
            6 => Event::ContactRequested(ContactRequest {
                id: name.into(),
                alias: None,
                text: None,
            }),
            7 => Event::Message(IncomingMessage {
                id: Some(id.into()),
                origin,
                ..IncomingMessage::new(chat, "text")
            }),
            8 => Event::Edited(Edit {
                chat,
                nickname: None,
                id: id.into(),
                body: id.to_owned(),
                origin,
            }),
            9 => Event::Retracted(Retraction {
                chat,
                nickname: None,
                id: id.into(),
                reason: None,
                origin,
            }),
            10 => Event::Reacted(Reactions {
                chat,
                nickname: None,
                id: id.into(),
                emojis: vec![],
                origin,
            }),
            11 => Event::Marked(Marker {
                chat,
                nickname: None,
                id: id.into(),
                kind: MarkerKind::Delivered,
                origin,
            }),
            12 => Event::Delivered { chat, id: id.into() },
            13 => Event::ChatState {
                chat,
                nickname: None,
                state: ChatState::Composing,
            },
            14 => Event::Attention {
                contact: name.into(),
                text: None,
            },
            15 => Event::Profile {
                of: chat,
                profile: Profile::default(),
            },
            16 => Event::Closed(LoginError::new(
                if flag && id == "n1" {
                    LoginErrorKind::Banned
                } else {
                    LoginErrorKind::Network
                },
                "lost",
            )),
            _ => Event::Notice(name.to_owned()),
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0_u8..3, stanza_text()).prop_map(|(resource, text)| Step::Stanza(resource, text)),
        20 => event().prop_map(|event| Step::Event(Box::new(event))),
        20 => (any::<u8>(), 0_u8..6).prop_map(|(which, how)| Step::Outcome(which, how)),
        6 => (0_u16..400).prop_map(Step::Pass),
        6 => Just(Step::LoggedIn),
        6 => Just(Step::Assigned),
        1 => Just(Step::NotAssigned),
        1 => Just(Step::BackendLost),
        1 => any::<bool>().prop_map(Step::Xmpp),
        1 => (0_u8..3).prop_map(Step::Lost),
        1 => (0_u8..3).prop_map(Step::Registration),
        2 => (0_u8..4, 0_u8..2).prop_map(|(ticket, password)| Step::Login(ticket, password)),
        1 => (0_u8..4).prop_map(Step::Abandoned),
    ]
}

/// What has to be answered, and what has been.
#[derive(Default)]
struct Ledger {
    /// Requests of the user that have no answer yet.
    asked: BTreeSet<String>,
    /// Open requests to the network, with the text they carry.
    open: BTreeMap<RequestId, Option<String>>,
    /// How often each message, by the id of the client, was taken by the network or refused.
    fates: HashMap<String, usize>,
    /// Messages of the user that must have a fate.
    said: BTreeSet<String>,
    tickets: BTreeSet<u64>,
    over: bool,
}

const RESOURCES: [&str; 3] = ["desk", "phone", "car"];

impl Ledger {
    fn fate(&mut self, id: &str) {
        let fates = self.fates.entry(id.to_owned()).or_default();
        *fates += 1;
        assert_eq!(*fates, 1, "a second fate of {id}");
    }

    fn look(&mut self, out: Vec<Output>) {
        for output in out {
            assert!(!self.over, "nothing follows the end: {output:?}");
            match output {
                Output::User(UserOut::Stanza(Stanza::Iq(iq))) => {
                    assert!(self.asked.remove(iq.id()), "an answer to nothing: {iq:?}");
                }
                Output::User(UserOut::Stanza(Stanza::Message(message)))
                    if message.type_ == xmpp_parsers::message::MessageType::Error =>
                {
                    self.fate(&message.id.unwrap().0);
                }
                Output::Link(LinkRequest::Verb { request, verb }) => {
                    let message = match *verb {
                        Verb::SendMessage(message) => {
                            message.body.strip_prefix("say ").map(|id| id.trim_matches('\'').to_owned())
                        }
                        _ => None,
                    };
                    assert!(self.open.insert(request, message).is_none(), "an id used twice");
                }
                Output::Release => self.open.clear(),
                Output::Authenticated { ticket, .. } => {
                    assert!(self.tickets.remove(&ticket.0), "an answer to no ticket");
                }
                Output::Close(_) => self.over = true,
                Output::User(_)
                | Output::Assign
                | Output::Link(_)
                | Output::Committed(_)
                | Output::Store(_)
                | Output::Publish(_)
                | Output::Progress(_)
                | Output::Said(_)
                | Output::LoggedIn
                | Output::LoggedOut
                | Output::Journal(_) => {}
            }
        }
    }
}

fn run(face: FaceTraits, steps: Vec<Step>) {
    let limits = SessionLimits {
        resources: 2,
        contacts: 3,
        rooms: 2,
        requests: 6,
        held_messages: 3,
        held_bytes: 4_000,
        ..SessionLimits::default()
    };
    let mut info = info_without(&[Capability::IdempotentSend]);
    info.room_prefixes = "#".to_owned();
    let mut desk = Desk::with_limits(face, info, limits);
    let mut ledger = Ledger::default();
    let mut count = 0_u32;
    desk.input(Input::Start);
    desk.input(Input::Loaded(Some(Box::new(account()))));
    for step in steps {
        let input = match step {
            Step::Stanza(resource, text) => {
                count += 1;
                let id = format!("q{count}");
                let text = text
                    .replace("'ID1'", &format!("'q{}'", count.saturating_sub(2)))
                    .replace("'ID'", &format!("'{id}'"));
                if text.starts_with("<iq") && !text.contains("type='result'") {
                    ledger.asked.insert(id.clone());
                }
                let to_contact = text.contains("@net.example") && !text.contains("#room");
                if to_contact && text.contains(">say ") && !text.contains("'error'") {
                    ledger.said.insert(id);
                }
                // A correction or a retraction of a message that waits is made in place.
                if text.contains("<replace") || text.contains("<retract") {
                    ledger.said.remove(&format!("q{}", count.saturating_sub(2)));
                }
                Input::User(Box::new(desk.read(RESOURCES[usize::from(resource)], &text)))
            }
            Step::Event(event) => Input::Link(LinkInput::Event { event, durable: None }),
            Step::Outcome(which, how) => {
                let Some(request) = ledger.open.keys().nth(usize::from(which) % ledger.open.len().max(1)).copied() else {
                    continue;
                };
                let message = ledger.open.remove(&request).flatten();
                if let Some(id) = message.filter(|_| how <= 2) {
                    ledger.fate(&id);
                }
                let outcome = match how {
                    0 | 1 => Ok(Answer::Sent(Sent {
                        id: Some(format!("n{which}").as_str().into()),
                        timestamp: None,
                    })),
                    2 => Ok(Answer::Done),
                    3 => Err(OpError::maybe_sent("")),
                    4 => {
                        Err(OpError::new(OpErrorKind::RateLimited, "").retry(Retry::After(Duration::from_secs(u64::from(which)))))
                    }
                    _ => Err(OpError::unsupported()),
                };
                Input::Link(LinkInput::Outcome {
                    request,
                    outcome: Box::new(outcome),
                })
            }
            Step::Pass(seconds) => {
                desk.pass(Duration::from_secs(u64::from(seconds)));
                Input::Tick
            }
            Step::LoggedIn => Input::Link(LinkInput::LoggedIn),
            Step::Assigned => Input::Assigned(Arc::clone(&desk.info)),
            Step::NotAssigned => Input::NotAssigned("failing".to_owned()),
            Step::BackendLost => Input::Link(LinkInput::BackendLost {
                reason: "crash".to_owned(),
            }),
            Step::Xmpp(true) => Input::XmppBack,
            Step::Xmpp(false) => Input::XmppLost,
            Step::Lost(resource) => Input::ResourceLost(full(RESOURCES[usize::from(resource)]).resource().unwrap().to_owned()),
            Step::Registration(0) => Input::Registration(None),
            Step::Registration(n) => Input::Registration(Some(Box::new(Account {
                password: Some(format!("p{n}").into()),
                ..account()
            }))),
            Step::Login(ticket, password) => {
                if !ledger.over && !ledger.tickets.insert(u64::from(ticket)) {
                    continue;
                }
                let password = if password == 0 { "secret" } else { "guess" };
                Input::Authenticate {
                    ticket: Ticket(u64::from(ticket)),
                    name: "romeo".into(),
                    password: password.into(),
                }
            }
            Step::Abandoned(ticket) => {
                ledger.tickets.remove(&u64::from(ticket));
                Input::Abandoned(Ticket(u64::from(ticket)))
            }
        };
        if ledger.over {
            break;
        }
        desk.input(input);
        ledger.look(std::mem::take(&mut desk.out));
    }
    if !ledger.over {
        desk.input(Input::End("over".to_owned()));
        ledger.look(std::mem::take(&mut desk.out));
    }
    assert!(ledger.over);
    // The last stanza may have come after the end.
    assert!(
        ledger.asked.iter().all(|id| *id == format!("q{count}")),
        "never answered: {:?}",
        ledger.asked
    );
    let without: Vec<_> = ledger
        .said
        .iter()
        .filter(|id| !ledger.fates.contains_key(*id) && **id != format!("q{count}"))
        .collect();
    assert!(without.is_empty(), "no fate: {without:?}");
    assert!(ledger.tickets.is_empty(), "never let in or refused: {:?}", ledger.tickets);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_everybody_is_answered_once(server: bool, steps in prop::collection::vec(step(), 0..80)) {
        run(if server { SERVER } else { GATEWAY }, steps);
    }
}
