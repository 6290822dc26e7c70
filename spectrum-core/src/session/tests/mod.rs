//! Tests of whole sessions: inputs and exact stanzas, no runtime. One file per concern; the desk they work at is here.

#![allow(clippy::unwrap_used)]

mod contacts;
mod conversation;
mod journal;
mod life;
mod prompt;
mod query;
mod resources;
mod roster;
mod subscription;
mod torture;

use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid, ResourcePart};
use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;

use super::*;
use crate::backend::link::{LinkInput, LinkLogin, LinkRequest};
use crate::backend::{Event, Outcome, Verb};
use crate::face::{To, UserIn, UserOut};
use crate::model::{Capability, CaseMapping, RequestId};
use crate::stanza::Stanza;

/// The transport of all tests.
pub(super) const TRANSPORT: &str = "net.example";
/// The user of all tests.
pub(super) const USER: &str = "romeo@example.org";

/// A session on a desk: stanzas go in as text, what it wants comes out as lines.
pub(super) struct Desk {
    pub(super) session: Session,
    pub(super) now: Now,
    pub(super) info: Arc<BackendInfo>,
    /// What came out of the last input and has not been looked at.
    pub(super) out: Vec<Output>,
}

/// Everything a network can do, so that each test takes away what it is about.
pub(super) fn info() -> BackendInfo {
    let mut info = BackendInfo::new("Net", "net").capabilities(Capability::ALL);
    info.case_mapping = CaseMapping::Unicode;
    info
}

/// The same without these.
pub(super) fn info_without(missing: &[Capability]) -> BackendInfo {
    let kept: Vec<_> = Capability::ALL.iter().copied().filter(|c| !missing.contains(c)).collect();
    let mut without = info().capabilities(&kept);
    without.case_mapping = CaseMapping::Unicode;
    without
}

pub(super) const GATEWAY: FaceTraits = FaceTraits {
    holds_messages: false,
    serves_roster: false,
    answers_chat: false,
};
pub(super) const SERVER: FaceTraits = FaceTraits {
    holds_messages: true,
    serves_roster: true,
    answers_chat: false,
};

impl Desk {
    pub(super) fn new(face: FaceTraits, info: BackendInfo) -> Self {
        Self::with_limits(face, info, SessionLimits::default())
    }

    /// With a journal.
    pub(super) fn durable(face: FaceTraits, info: BackendInfo) -> Self {
        let mut desk = Self::new(face, info);
        let config = SessionConfig {
            durable: true,
            ..SessionConfig::clone(&desk.session.config)
        };
        desk.session.config = Arc::new(config);
        desk
    }

    pub(super) fn with_limits(face: FaceTraits, info: BackendInfo, limits: SessionLimits) -> Self {
        let info = Arc::new(info);
        let config = SessionConfig {
            transport: BareJid::new(TRANSPORT).unwrap(),
            name: Some("Net".to_owned()),
            face,
            linger: Some(Duration::from_secs(30)),
            login_timeout: Duration::from_secs(30),
            jid_escaping: None,
            durable: false,
            limits,
        };
        let seed = SessionSeed {
            config: Arc::new(config),
            info: Arc::clone(&info),
        };
        let session = Session::new(&seed, BareJid::new(USER).unwrap());
        let now = Now {
            mono: Duration::from_secs(1_000),
            wall: Timestamp::from_secs(1_700_000_000),
        };
        Self {
            session,
            now,
            info,
            out: Vec::new(),
        }
    }

    /// A session whose user is logged in with the resource `desk`, and nothing left to look at.
    pub(super) fn online(face: FaceTraits, info: BackendInfo) -> Self {
        let mut desk = Self::new(face, info);
        desk.log_in();
        desk
    }

    pub(super) fn log_in(&mut self) {
        self.input(Input::Start);
        self.input(Input::User(Box::new(self.read("desk", "<presence/>"))));
        self.input(Input::Loaded(Some(Box::new(account()))));
        self.input(Input::Assigned(Arc::clone(&self.info)));
        self.input(Input::Link(LinkInput::LoggedIn));
        assert!(self.session.is_online());
        self.out.clear();
    }

    pub(super) fn input(&mut self, input: Input) {
        self.session.handle(input, self.now, &mut self.out);
    }

    /// Time passes, and the session is woken whenever it wants to be.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.mono + time;
        let mut wakings = 0;
        while let Some(due) = self.session.next_deadline().filter(|due| *due <= end) {
            let step = due.saturating_sub(self.now.mono);
            self.step(step);
            self.input(Input::Tick);
            wakings += 1;
            assert!(wakings < 1_000, "the session wants to be woken again and again");
        }
        let rest = end.saturating_sub(self.now.mono);
        self.step(rest);
    }

    fn step(&mut self, time: Duration) {
        self.now.mono += time;
        let millis = self.now.wall.as_millis() + i64::try_from(time.as_millis()).unwrap();
        self.now.wall = Timestamp::from_millis(millis);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.input(Input::Link(LinkInput::Event {
            event: Box::new(event),
            durable: None,
        }));
    }

    pub(super) fn outcome(&mut self, request: RequestId, outcome: Outcome) {
        self.input(Input::Link(LinkInput::Outcome {
            request,
            outcome: Box::new(outcome),
        }));
    }

    /// A stanza of the resource `desk`; `to` may be missing, which means the account or the transport as the mode has it.
    pub(super) fn user(&mut self, xml: &str) {
        self.user_at("desk", xml);
    }

    pub(super) fn user_at(&mut self, resource: &str, xml: &str) {
        let input = self.read(resource, xml);
        self.input(Input::User(Box::new(input)));
    }

    fn read(&self, resource: &str, xml: &str) -> UserIn {
        let resource = ResourcePart::new(resource).unwrap().into_owned();
        let mut stanza = stanza(xml);
        let from = BareJid::new(USER).unwrap().with_resource(&resource);
        stanza.set_from(Some(from.into()));
        let to = match stanza.recipient() {
            None => {
                let account = self.session.config.face.serves_roster && matches!(stanza, Stanza::Iq(_));
                if account { To::Account } else { To::Transport }
            }
            Some(to) if to.as_str() == TRANSPORT => To::Transport,
            Some(to) if to.to_bare().as_str() == USER => To::Account,
            Some(to) => To::Peer {
                node: to.node().unwrap().to_owned(),
                resource: to.resource().map(ToOwned::to_owned),
            },
        };
        UserIn {
            resource: Some(resource),
            to,
            stanza,
        }
    }

    /// Everything that came out, in lines; ids that the session made are `ID`.
    pub(super) fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out).iter().map(line).collect()
    }

    /// The stanzas that came out.
    pub(super) fn stanzas(&mut self) -> Vec<String> {
        let out = std::mem::take(&mut self.out);
        out.iter()
            .filter(|o| matches!(o, Output::User(UserOut::Stanza(_))))
            .map(line)
            .collect()
    }

    /// The verbs that came out, with their ids.
    pub(super) fn verbs(&mut self) -> Vec<(RequestId, Verb)> {
        let out = std::mem::take(&mut self.out);
        out.into_iter()
            .filter_map(|output| match output {
                Output::Link(LinkRequest::Verb { request, verb }) => Some((request, *verb)),
                _ => None,
            })
            .collect()
    }

    /// The one verb that came out.
    pub(super) fn verb(&mut self) -> (RequestId, Verb) {
        let mut verbs = self.verbs();
        assert_eq!(verbs.len(), 1, "{verbs:?}");
        verbs.remove(0)
    }

    /// The login that came out.
    pub(super) fn login(&mut self) -> LinkLogin {
        let out = std::mem::take(&mut self.out);
        let mut logins = out.into_iter().filter_map(|output| match output {
            Output::Link(LinkRequest::Login(login)) => Some(*login),
            _ => None,
        });
        logins.next().unwrap()
    }
}

/// The account of the user on the network.
pub(super) fn account() -> Account {
    Account {
        name: Some("romeo".into()),
        password: Some("secret".into()),
        ..Account::default()
    }
}

pub(super) fn stanza(xml: &str) -> Stanza {
    let xml = match xml.find([' ', '/', '>']) {
        Some(at) => format!("{} xmlns='jabber:client'{}", &xml[..at], &xml[at..]),
        None => panic!("no stanza: {xml}"),
    };
    let element: Element = xml.parse().unwrap();
    match element.name() {
        "message" => Message::try_from(element).unwrap().into(),
        "presence" => Presence::try_from(element).unwrap().into(),
        "iq" => Iq::try_from(element).unwrap().into(),
        other => panic!("{other} is no stanza"),
    }
}

/// An output as one line.
pub(super) fn line(output: &Output) -> String {
    match output {
        Output::User(UserOut::Stanza(stanza)) => xml(stanza),
        Output::User(UserOut::OwnMessage(message)) => format!("own {}", xml(&Stanza::Message(message.clone()))),
        Output::User(UserOut::Roster(change)) => {
            format!(
                "roster {} {:?} {:?} {:?}",
                change.jid,
                change.name.as_deref().unwrap_or("-"),
                change.groups,
                change.kind
            )
        }
        Output::User(UserOut::TransportPresence { to, presence }) => {
            let to = to.as_ref().map_or("all", |to| to.as_str());
            format!(
                "transport {to} {:?} {}",
                presence.availability,
                presence.text.as_deref().unwrap_or("-")
            )
        }
        Output::User(UserOut::LoginFailed { error, retrying }) => {
            format!("login failed {:?} {:?} {retrying}", error.kind, error.text)
        }
        Output::User(UserOut::Closed { reason }) => format!("closed {reason}"),
        Output::User(UserOut::NotRegistered) => "not registered".to_owned(),
        Output::User(UserOut::SubscriptionAnswered {
            contact,
            accepted,
            asks,
            name,
        }) => {
            let asks = if *asks { " asks" } else { "" };
            format!("answered {contact} {accepted} {}{asks}", name.as_deref().unwrap_or("-"))
        }
        Output::User(UserOut::SubscriptionRequested { contact, name, text }) => {
            format!(
                "requested {contact} {} {}",
                name.as_deref().unwrap_or("-"),
                text.as_deref().unwrap_or("-")
            )
        }
        Output::Link(LinkRequest::Verb { verb, .. }) => format!("verb {}", masked(&format!("{verb:?}"))),
        Output::Link(LinkRequest::Login(login)) => format!("login {} {:?}", login.name, login.presence.availability),
        Output::Link(LinkRequest::PromptAnswer { prompt, answers }) => {
            format!(
                "prompt {prompt} {:?}",
                answers
                    .as_ref()
                    .map(|a| a.iter().map(|(k, v)| format!("{k}={}", v.expose())).collect::<Vec<_>>())
            )
        }
        Output::Store(request) => format!("store {}", masked(&format!("{request:?}"))),
        Output::Authenticated { ticket, result } => format!("authenticated {} {result:?}", ticket.0),
        Output::Journal(changes) => {
            let put = changes
                .put
                .iter()
                .map(|record| format!("{:?} {}", record.stage, record.client));
            let removed = changes.removed.iter().map(|_| "removed".to_owned());
            format!("journal {}", put.chain(removed).collect::<Vec<_>>().join(", "))
        }
        Output::Committed(event) => format!("committed {event}"),
        Output::Assign => "assign".to_owned(),
        Output::Release => "release".to_owned(),
        Output::Publish(publication) => format!("publish {publication:?}"),
        Output::Progress(progress) => format!("progress {progress:?}"),
        Output::Said(message) => format!("said {}", xml(&Stanza::Message(message.clone()))),
        Output::LoggedIn => "logged in".to_owned(),
        Output::LoggedOut => "logged out".to_owned(),
        Output::Close(reason) => format!("close {reason:?}"),
    }
}

/// A stanza as text: the attributes of the stanza itself in the usual order, no namespace that is the same everywhere, and no
/// priority of nought, which the type writes where nothing was said.
fn xml(stanza: &Stanza) -> String {
    let element: Element = match stanza.clone() {
        Stanza::Message(message) => message.into(),
        Stanza::Presence(presence) => presence.into(),
        Stanza::Iq(iq) => iq.into(),
    };
    let whole = String::from(&element)
        .replace('"', "'")
        .replace(" xmlns='jabber:client'", "")
        .replace("<priority>0</priority>", "");
    let (_, content) = whole.split_once('>').unwrap();
    let mut text = format!("<{}", element.name());
    for name in ["from", "to", "id", "type"] {
        if let Some(value) = element.attr(name) {
            text.push_str(&format!(" {name}='{value}'"));
        }
    }
    let end = format!("</{}>", element.name());
    if content.is_empty() || content == end {
        text.push_str("/>");
    } else {
        text.push('>');
        text.push_str(content);
    }
    masked(&text)
}

/// Ids that the session makes begin with the time of the test; the rest of them is a count.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("18bcfe5") {
        masked.push_str(&rest[..at]);
        masked.push_str("ID");
        let tail = &rest[at..];
        let end = tail
            .find(|c: char| !(c.is_ascii_hexdigit() || c == '.'))
            .unwrap_or(tail.len());
        rest = &tail[end..];
    }
    masked + rest
}

/// A full JID of the user.
pub(super) fn full(resource: &str) -> Jid {
    Jid::new(&format!("{USER}/{resource}")).unwrap()
}
