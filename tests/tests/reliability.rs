//! kill -9 in the middle of conversations: the main process, its backend, both, again and again at random moments, with
//! slixmpp, a real Prosody and a real ngircd around them. Afterwards every message is accounted for.
//!
//! `SPECTRUM_TESTS_KILLS` says how often (`.ci/run --full`: 100), `SPECTRUM_TESTS_SEED` which moments.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the tasks of a test end with its runtime")]

use std::time::Duration;

use spectrum_core::model::UserKey;
use spectrum_core::store::{SqlStore, Store as _, StoreOptions};
use spectrum_tests::clients::{Foreign, Library};
use spectrum_tests::irc::Irc;
use spectrum_tests::peers::{Ngircd, Signal, needed};
use spectrum_tests::reliability::{Goal, Ledger, Seeded, outgoing_number};
use spectrum_tests::scene::{CHANNEL, Gateway, NICK, Network, ROOM, TRANSPORT, body, join, register};
use tokio::sync::mpsc;

/// Kills in a run of the ordinary tests.
const KILLS: u64 = 6;
/// How long the user may have to wait after a kill, also on a busy machine.
const BACK_WITHIN: Duration = Duration::from_secs(90);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Main,
    Backend,
    Both,
}

#[tokio::test]
async fn kills_in_a_conversation_lose_nothing_and_double_nothing() {
    let setting = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |value: String| value.parse::<u64>().unwrap());
    let (kills, seed) = (setting("SPECTRUM_TESTS_KILLS", KILLS), setting("SPECTRUM_TESTS_SEED", 11));
    let Some(network) = needed(Ngircd::start().await).map(Network::Ngircd) else {
        return;
    };
    let Some(gateway) = needed(Gateway::start(network, true).await) else {
        return;
    };
    let (arrivals, arrived) = mpsc::unbounded_channel();
    let port = gateway.network.port();
    for (nick, goal) in [("carol", Goal::Carol), ("dave", Goal::Dave)] {
        let mut person = Irc::connect(port, nick).await;
        person.join(CHANNEL).await;
        tokio::spawn(witness(person, goal, arrivals.clone()));
    }
    let Some(mut client) = needed(gateway.client(Library::Slixmpp, "alice").await) else {
        return;
    };
    register(&mut client).await;
    join(&mut client, NICK).await;
    let mut run = Run {
        gateway,
        client,
        arrived,
        ledger: Ledger::default(),
        random: Seeded::new(seed),
    };
    for kill in 0..kills {
        let victim = [Victim::Main, Victim::Backend, Victim::Both][usize::try_from(kill % 3).unwrap()];
        // Sometimes the next one comes before everything is well again.
        let recovers = run.random.below(4) != 0;
        let moment = Duration::from_millis(100 + run.random.below(900));
        run.talk(moment).await;
        run.kill(victim).await;
        if recovers {
            run.recover().await;
        }
    }
    run.recover().await;
    run.settle().await;
    run.whereabouts().await;
    let summary = run.ledger.check();
    #[expect(clippy::print_stdout, reason = "a run of many kills is judged by it")]
    {
        println!("{kills} kills, seed {seed}: {summary:?}");
    }
    assert!(summary.delivered > summary.sent / 4, "{summary:?}");
    assert!(summary.incoming > 0, "{summary:?}");
}

/// One run.
struct Run {
    gateway: Gateway,
    client: Foreign,
    arrived: mpsc::UnboundedReceiver<(Goal, usize)>,
    ledger: Ledger,
    random: Seeded,
}

impl Run {
    /// Sends for a while, ever the next message to the next chat.
    async fn talk(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            let (number, goal) = self.ledger.next_message();
            self.send(number, goal).await;
            let pause = Duration::from_micros(self.random.below(8_000));
            self.listen(pause).await;
        }
    }

    async fn send(&mut self, number: usize, goal: Goal) {
        let (to, kind) = match goal {
            Goal::Carol => (format!("carol@{TRANSPORT}"), "chat"),
            Goal::Dave => (format!("dave@{TRANSPORT}"), "chat"),
            Goal::Room => (ROOM.to_owned(), "groupchat"),
        };
        self.client
            .send(&format!(
                "<message to='{to}' type='{kind}' id='n{number}'><body>number {number}.</body></message>"
            ))
            .await;
    }

    async fn listen(&mut self, time: Duration) {
        for stanza in self.client.within(time).await {
            self.ledger.heard(&stanza);
        }
        while let Ok((goal, number)) = self.arrived.try_recv() {
            self.ledger.arrived(goal, number);
        }
    }

    async fn kill(&mut self, victim: Victim) {
        self.ledger.moment(&format!("{victim:?}"));
        if matches!(victim, Victim::Backend | Victim::Both) {
            for pid in self.gateway.instance.backends() {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                // It may have ended with its parent.
                let _gone = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        if matches!(victim, Victim::Main | Victim::Both) {
            self.gateway.instance.process().signal(Signal::KILL);
            self.gateway
                .instance
                .process()
                .ends_within(Duration::from_secs(10))
                .await
                .unwrap();
            // What was sent until now has left the XMPP server when it answers: nothing of it meets the next process.
            let pong = self.client.request("get", "localhost", "<ping xmlns='urn:xmpp:ping'/>").await;
            assert_eq!(pong.attr("type"), Some("result"));
            self.ledger.killed(self.journal().await);
            self.gateway.instance.restart().unwrap();
        }
    }

    /// The ids of the messages in the journal of a gateway that is not running.
    async fn journal(&self) -> Vec<String> {
        let scratch = self.gateway.instance.scratch();
        let options = StoreOptions {
            url: format!("sqlite://{}", scratch.text("spectrum.db")),
            instance: TRANSPORT.to_owned(),
            key_file: scratch.join("key"),
            survive_power_cuts: false,
        };
        let store = SqlStore::open(&options).await.unwrap();
        let messages = store.load_messages(&UserKey::from("alice@localhost")).await.unwrap();
        store.close().await;
        let id = |entry: &str| {
            serde_json::from_str::<serde_json::Value>(entry).ok()?["k"]
                .as_str()
                .map(str::to_owned)
        };
        messages.iter().filter_map(|message| id(&message.entry)).collect()
    }

    /// Waits until a message gets through to each chat.
    async fn recover(&mut self) {
        let deadline = tokio::time::Instant::now() + BACK_WITHIN;
        for goal in Goal::ALL {
            loop {
                let number = self.ledger.next_to(goal);
                self.send(number, goal).await;
                self.listen(Duration::from_millis(100)).await;
                if self.ledger.has_arrived(number) {
                    break;
                }
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{goal:?} hears nothing: {}",
                    self.gateway.instance.process().log_tail()
                );
            }
        }
    }

    /// The transport says where the last messages are, and not what was in them.
    async fn whereabouts(&mut self) {
        self.client
            .send(&format!(
                "<message to='{TRANSPORT}' type='chat'><body>messages</body></message>"
            ))
            .await;
        let told = self
            .client
            .expect("where the messages are", |s| {
                s.name() == "message"
                    && s.attr("from") == Some(TRANSPORT)
                    && body(s).is_some_and(|text| text.contains("Z  carol  "))
            })
            .await;
        let told = body(&told).unwrap();
        let sent = |to: &str| {
            told.lines()
                .any(|line| line.contains(&format!("  {to}  ")) && line.ends_with("  sent"))
        };
        assert!(sent("carol") && sent("dave") && sent(CHANNEL), "{told}");
        assert!(!told.contains("number"), "{told}");
    }

    /// Waits until nothing is without a fate that ought to have one.
    async fn settle(&mut self) {
        let deadline = tokio::time::Instant::now() + BACK_WITHIN;
        while !self.ledger.lost().is_empty() && tokio::time::Instant::now() < deadline {
            self.listen(Duration::from_millis(100)).await;
        }
        // What comes twice or too late comes now.
        self.listen(Duration::from_secs(2)).await;
    }
}

/// A person on IRC who notes what arrives, and talks.
async fn witness(mut person: Irc, goal: Goal, arrivals: mpsc::UnboundedSender<(Goal, usize)>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(40));
    let mut said = 0;
    loop {
        tokio::select! {
            line = person.wait_for("a message", |line| line.contains(" PRIVMSG ")) => {
                let Ok(line) = line else { continue };
                let Some(number) = outgoing_number(&line) else { continue };
                let is_room = line.contains(&format!("PRIVMSG {CHANNEL} "));
                // Both are in the room; one of them notes what is said there.
                match (is_room, goal) {
                    (true, Goal::Carol) => { let _ended = arrivals.send((Goal::Room, number)); }
                    (true, Goal::Dave | Goal::Room) => {}
                    (false, _) => { let _ended = arrivals.send((goal, number)); }
                }
            }
            _ = ticks.tick() => {
                let to = if said % 2 == 0 { CHANNEL } else { NICK };
                person.send(&format!("PRIVMSG {to} :word {said}.")).await;
                said += 1;
            }
        }
    }
}
