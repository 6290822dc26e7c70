//! The IRC backend, driven as the core drives it, against a real ngIRCd (no IRCv3) and a real InspIRCd with services.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use spectrum_backend_sdk::model::{
    Affiliation, Availability, Chat, ContactDetails, Form, FormAnswers, IncomingMessage, JoinRoom, OutgoingMessage, Patch,
    Presence, RequestId, Role, Shown, Standing,
};
use spectrum_backend_sdk::testing::{Account, Finding, Kit, check};
use spectrum_backend_sdk::{
    Backend, Cancel, Certainty, Event, EventSink, Events, LegacySession, Login, LoginErrorKind, Op, OpErrorKind, PromptSink,
    Prompts, SessionEnded,
};
use spectrum_irc::{IrcBackend, IrcOptions, OptionValue};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Inspircd, Ngircd, needed};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// InspIRCd completes registrations on a one-second tick, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

struct Recorder(mpsc::Sender<Event>);

#[async_trait]
impl EventSink for Recorder {
    async fn emit(&self, event: Event) -> Result<(), SessionEnded> {
        self.0.send(event).await.map_err(|_| SessionEnded)
    }
    async fn emit_durable(&self, event: Event) -> Result<(), SessionEnded> {
        self.emit(event).await
    }
}

struct Nobody;

#[async_trait]
impl PromptSink for Nobody {
    async fn ask(&self, _: Form) -> Option<FormAnswers> {
        None
    }
    async fn show(&self, _: Shown) {}
}

struct Never;

#[async_trait]
impl Cancel for Never {
    fn is_cancelled(&self) -> bool {
        false
    }
    async fn cancelled(&self) {
        std::future::pending().await
    }
}

fn op() -> Op {
    Op::new(RequestId(1), Arc::new(Never))
}

fn backend(options: &[(&str, OptionValue)]) -> IrcBackend {
    let fast = [("max_messages_per_second", OptionValue::Integer(100))];
    IrcBackend::from_options(IrcOptions::parse(options.iter().chain(&fast).cloned()).unwrap()).unwrap()
}

fn plain(port: u16) -> IrcBackend {
    backend(&[("server", format!("127.0.0.1:{port}").as_str().into()), ("tls", false.into())])
}

/// A user, and what they are told.
struct User {
    session: Box<dyn LegacySession>,
    events: mpsc::Receiver<Event>,
}

impl User {
    async fn login(backend: &IrcBackend, name: &str, password: Option<&str>) -> Result<Self, LoginErrorKind> {
        let (sender, events) = mpsc::channel(1_000);
        let login = Login {
            user: format!("{name}@example.test").as_str().into(),
            name: name.into(),
            password: password.map(Into::into),
            settings: BTreeMap::new(),
            presence: Presence::ONLINE,
            prompts: Prompts::new(Arc::new(Nobody)),
        };
        let session = backend
            .login(login, Events::new(Arc::new(Recorder(sender))))
            .await
            .map_err(|e| e.kind)?;
        Ok(Self { session, events })
    }

    /// The first event that fits; others before it are passed over.
    async fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(Event) -> Option<T>) -> T {
        let mut seen = Vec::new();
        loop {
            let Ok(event) = timeout(PATIENCE, self.events.recv()).await else {
                panic!("no {what} after {seen:#?}")
            };
            let event = event.unwrap_or_else(|| panic!("the session ended before {what}, after {seen:#?}"));
            seen.push(event.clone());
            if let Some(found) = fits(event) {
                return found;
            }
        }
    }

    async fn message(&mut self, body: &str) -> IncomingMessage {
        let fits = |e| {
            if let Event::Message(m) = e {
                (m.body == body).then_some(m)
            } else {
                None
            }
        };
        self.wait(body, fits).await
    }

    async fn say(&self, chat: &Chat, body: &str) -> Result<(), (OpErrorKind, Certainty)> {
        let message = OutgoingMessage {
            chat: chat.clone(),
            id: "m".into(),
            body: body.to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: false,
        };
        let result = timeout(PATIENCE, self.session.send_message(message, op()))
            .await
            .expect("a fate of the message");
        result.map(drop).map_err(|e| (e.kind, e.certainty))
    }

    async fn join(&self, room: &str) -> Result<String, OpErrorKind> {
        let join = JoinRoom {
            room: room.into(),
            nickname: "alice".into(),
            password: None,
        };
        let joined = timeout(PATIENCE, self.session.join_room(join, op()))
            .await
            .expect("an answer to the join");
        joined.map(|j| j.nickname.as_str().to_owned()).map_err(|e| e.kind)
    }
}

/// What goes on every server.
async fn converse(backend: &IrcBackend, port: u16) {
    let mut bob = Irc::connect(port, "bobby").await;
    bob.join("#room").await;
    bob.send("TOPIC #room :the topic").await;
    bob.expect(&["TOPIC", "the topic"]).await;

    let mut alice = User::login(backend, "alice1", None).await.unwrap();
    assert_eq!(alice.join("#room").await.as_deref(), Ok("alice1"));
    let bob_is = |e| {
        if let Event::Occupant(o) = e {
            (o.nickname.as_str() == "bobby").then_some(o)
        } else {
            None
        }
    };
    let occupant = alice.wait("bobby", bob_is).await;
    assert_eq!((occupant.role, occupant.affiliation), (Role::Moderator, Affiliation::Admin));
    let subject = |e| {
        if let Event::RoomSubject(s) = e {
            Some(s.subject)
        } else {
            None
        }
    };
    assert_eq!(alice.wait("the subject", subject).await, "the topic");

    let room = Chat::Room("#room".into());
    alice.say(&room, "hello from XMPP").await.unwrap();
    bob.expect(&["alice1", "PRIVMSG #room :hello from XMPP"]).await;
    alice.say(&room, "/me waves").await.unwrap();
    bob.expect(&["PRIVMSG #room :\x01ACTION waves\x01"]).await;
    alice.say(&room, &format!("{}\nsecond", "ü".repeat(700))).await.unwrap();
    let mut received = 0;
    let second = |line: &str| {
        received += line.matches('ü').count();
        line.contains("PRIVMSG #room :second")
    };
    bob.wait_for("the second line", second).await.unwrap();
    assert_eq!(received, 700);

    bob.send("PRIVMSG #room :\x02hello\x02 from \x0304IRC").await;
    let message = alice.message("hello from IRC").await;
    assert_eq!(message.nickname.unwrap().as_str(), "bobby");
    bob.send("PRIVMSG alice1 :psst").await;
    assert_eq!(alice.message("psst").await.chat, Chat::Contact("bobby".into()));
    alice.say(&Chat::Contact("bobby".into()), "what?").await.unwrap();
    bob.expect(&["PRIVMSG bobby :what?"]).await;
    let nobody = alice.say(&Chat::Contact("nobody".into()), "hello?").await;
    assert_eq!(nobody, Err((OpErrorKind::NotFound, Certainty::NotSent)));
    bob.send("PRIVMSG alice1 :\x01VERSION\x01").await;
    bob.expect(&["NOTICE bobby :\x01VERSION spectrum-irc"]).await;

    let contact = |id: &str| ContactDetails {
        id: id.into(),
        alias: None,
        groups: Vec::new(),
    };
    alice.session.add_contact(contact("bobby"), op()).await.unwrap();
    let presence_of = |e| match e {
        Event::Contact(update) if update.id.as_str() == "bobby" => match update.presence {
            Patch::Set(presence) => Some(presence.availability),
            Patch::Keep | Patch::Clear => None,
        },
        _ => None,
    };
    assert_eq!(alice.wait("bobby's presence", presence_of).await, Availability::Online);

    let profile = alice
        .session
        .fetch_profile(Chat::Contact("bobby".into()), op())
        .await
        .unwrap();
    assert_eq!(profile.full_name.as_deref(), Some("bobby"));
    let rooms = alice.session.list_rooms(op()).await.unwrap();
    let listed = rooms.iter().find(|r| r.id.as_str() == "#room").unwrap();
    assert_eq!((listed.occupants, listed.subject.as_deref()), (Some(2), Some("the topic")));

    let refused = alice
        .session
        .kick("#room".into(), "bobby".into(), None, op())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, OpErrorKind::NotAllowed);
    bob.send("MODE #room +o alice1").await;
    let own_role = |e| match e {
        Event::Occupant(o) if o.nickname.as_str() == "alice1" => (o.role == Role::Moderator).then_some(()),
        _ => None,
    };
    alice.wait("the role of a moderator", own_role).await;
    alice
        .session
        .set_subject("#room".into(), "another topic".to_owned(), op())
        .await
        .unwrap();
    assert_eq!(alice.wait("the new subject", subject).await, "another topic");
    alice
        .session
        .set_standing(
            "#room".into(),
            "bobby".into(),
            Standing::Affiliation(Affiliation::Member),
            None,
            op(),
        )
        .await
        .unwrap();
    bob.expect(&["MODE #room", "bobby"]).await;

    alice
        .session
        .change_nickname("#room".into(), "alice2".into(), op())
        .await
        .unwrap();
    let renamed = |e| {
        if let Event::OccupantRenamed(r) = e {
            Some(r.new.as_str().to_owned())
        } else {
            None
        }
    };
    assert_eq!(alice.wait("the new nickname", renamed).await, "alice2");
    let taken = alice
        .session
        .change_nickname("#room".into(), "bobby".into(), op())
        .await
        .unwrap_err();
    assert_eq!(taken.kind, OpErrorKind::Conflict);

    let away = Presence {
        text: Some("lunch".to_owned()),
        ..Presence::of(Availability::Away)
    };
    alice.session.set_presence(away, op()).await.unwrap();
    bob.send("PRIVMSG alice2 :there?").await;
    bob.expect(&[" 301 ", "lunch"]).await;

    alice
        .session
        .kick("#room".into(), "bobby".into(), Some("out".to_owned()), op())
        .await
        .unwrap();
    bob.expect(&["KICK #room bobby :out"]).await;
    alice
        .session
        .set_standing(
            "#room".into(),
            "bobby".into(),
            Standing::Affiliation(Affiliation::Outcast),
            None,
            op(),
        )
        .await
        .unwrap_err();
    bob.join("#room").await;
    alice.wait("bobby's return", bob_is).await;
    alice
        .session
        .set_standing(
            "#room".into(),
            "bobby".into(),
            Standing::Affiliation(Affiliation::Outcast),
            None,
            op(),
        )
        .await
        .unwrap();
    bob.send("JOIN #room").await;
    bob.expect(&[" 474 "]).await;

    bob.send("JOIN #closed").await;
    bob.send("MODE #closed +i").await;
    bob.expect(&["MODE #closed", "+i"]).await;
    assert_eq!(alice.join("#closed").await, Err(OpErrorKind::MembersOnly));
    bob.send("INVITE alice2 #closed").await;
    let invited = |e| {
        if let Event::Invited(i) = e {
            Some(i.room.as_str().to_owned())
        } else {
            None
        }
    };
    assert_eq!(alice.wait("the invitation", invited).await, "#closed");
    alice.join("#closed").await.unwrap();
    alice.session.leave_room("#closed".into(), op()).await.unwrap();
    bob.expect(&["alice2", "PART", "#closed"]).await;
    bob.send("MODE #closed -i").await;
    bob.expect(&["MODE #closed", "-i"]).await;
    alice.join("#closed").await.unwrap();

    bob.quit().await;
    assert_eq!(alice.wait("bobby's absence", presence_of).await, Availability::Offline);
    alice.session.logout().await;
    assert!(!matches!(alice.events.recv().await, Some(Event::Closed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_verbs_work_on_ngircd_and_its_end_is_reported() {
    let Some(mut ngircd) = needed(Ngircd::start().await) else {
        return;
    };
    let backend = plain(ngircd.port());
    converse(&backend, ngircd.port()).await;

    let mut other = Irc::connect(ngircd.port(), "taken").await;
    let mut alice = User::login(&backend, "taken", None).await.unwrap();
    let notice = |e| if let Event::Notice(text) = e { Some(text) } else { None };
    assert_eq!(
        alice.wait("the notice", notice).await,
        "The nickname taken could not be had on IRC: you are taken_ there."
    );
    other.send("PRIVMSG taken_ :hello").await;
    alice.message("hello").await;

    ngircd.stop();
    let closed = |e| if let Event::Closed(error) = e { Some(error) } else { None };
    assert!(alice.wait("the end", closed).await.is_temporary());
    let lost = alice.say(&Chat::Contact("bobby".into()), "hello?").await;
    assert_eq!(lost, Err((OpErrorKind::NotConnected, Certainty::NotSent)));
    assert_eq!(
        User::login(&backend, "alice", None).await.err(),
        Some(LoginErrorKind::Network)
    );
    ngircd.restart().await.unwrap();
    User::login(&backend, "alice", None).await.unwrap().session.logout().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_verbs_work_on_inspircd_with_capabilities_sasl_and_services() {
    let Some(inspircd) = needed(Inspircd::start().await) else {
        return;
    };
    let backend = plain(inspircd.port());
    converse(&backend, inspircd.port()).await;

    let refused = User::login(&backend, "alice", Some("wrong")).await.err();
    assert_eq!(refused, Some(LoginErrorKind::AuthenticationFailed));
    let mut watcher = Irc::connect(inspircd.port(), "watcher").await;
    let alice = User::login(&backend, "alice", Some("alice-pw")).await.unwrap();
    watcher.send("WHOIS alice").await;
    watcher.expect(&[" 330 ", "alice alice"]).await;
    alice.session.logout().await;

    // The same account without SASL: NickServ gets the password.
    let server = format!("127.0.0.1:{}", inspircd.port());
    let by_services = backend_without_sasl(&server);
    let mut carol = User::login(&by_services, "carol", Some("carol-pw")).await.unwrap();
    let accepted = |e| match e {
        Event::Message(m) => m.body.to_lowercase().contains("password accepted").then_some(m.chat),
        _ => None,
    };
    assert_eq!(carol.wait("NickServ's yes", accepted).await, Chat::Contact("NickServ".into()));
    carol.session.logout().await;

    let server = format!("localhost:{}", inspircd.tls_port());
    let tls = self::backend(&[("server", server.as_str().into()), ("tls_verify", false.into())]);
    User::login(&tls, "bob", Some("bob-pw")).await.unwrap().session.logout().await;
    let strict = self::backend(&[("server", server.as_str().into())]);
    assert_eq!(
        User::login(&strict, "bob", Some("bob-pw")).await.err(),
        Some(LoginErrorKind::Certificate)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_declared_is_done_and_nothing_else() {
    let Some(ngircd) = needed(Ngircd::start().await) else { return };
    let kit = Kit::start(plain(ngircd.port())).await;
    let mut user = kit.login(Account::new("alice")).await.unwrap();
    assert_eq!(check(&mut user, kit.info()).await, Vec::<Finding>::new());
    user.logout().await;
    assert_eq!(kit.stop().await, Vec::<&str>::new());
}

fn backend_without_sasl(server: &str) -> IrcBackend {
    backend(&[("server", server.into()), ("tls", false.into()), ("sasl", false.into())])
}
