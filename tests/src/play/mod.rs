//! Plays: test scripts that run in both modes. One file, one behaviour.
//!
//! ```text
//! # A message to a contact comes back.          The first line says which behaviour.
//! romeo logs in
//! romeo sends:
//!     <message to='echo@{transport}' type='chat' id='m1'><body>Soft!</body></message>
//! romeo sees:
//!     <message from='echo@{transport}' type='chat' id='{*}'><body>Soft!</body></message>
//! gateway: romeo receives nothing               This line in gateway mode only.
//! ```
//!
//! | statement | what it does |
//! |---|---|
//! | `NAME logs in` | registers if the mode knows registrations, connects, sends available presence, waits until the network is there |
//! | `NAME connects` | the same without presence |
//! | `NAME sends:` | sends the stanzas below as they stand |
//! | `NAME sees:` | waits for the stanzas below, in this order; what comes between is dropped |
//! | `NAME sees, in any order:` | the same in whatever order |
//! | `NAME receives:` | the next stanzas are exactly these, in this order, but for what is ignored |
//! | `NAME ignores:` | from now on drops stanzas like those below |
//! | `NAME receives nothing` | nothing but ignored stanzas came, up to the answer to a ping of the transport |
//! | `NAME logs out` | sends unavailable presence and disconnects |
//!
//! `NAME` is a user, or `user/resource` for another device of the same user. In stanzas, `{transport}` is the JID of the
//! transport, `{romeo}` the full and `{romeo.bare}` the bare JID of a person who has connected, `{*}` anything, `{=x}`
//! anything, kept as `{x}`; an element that contains the text `{...}` may have further children. Stanzas are compared as
//! XML: the order of attributes and of children does not matter, what is not named must not be there, except `to`, `id`
//! and `xml:lang` of the stanza itself.

mod matching;
mod script;
mod stage;
mod stages;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use minidom::Element;

pub use matching::{Names, matches};
pub use script::{Action, Mode, Play, Statement};
pub use stage::{Person, Stage};
pub use stages::{GatewayStage, ServerStage, native_demo, native_echo, spectrum2_echo};

use crate::xmpp::{element, text};
use crate::{Failure, Outcome};

/// Reads a play and runs it on a stage.
///
/// # Errors
/// If the file is no play, or the programs do something else; with file, line and everything that was said.
pub async fn perform(file: &Path, stage: &mut dyn Stage) -> Outcome<()> {
    let play = Play::read(&std::fs::read_to_string(file)?).map_err(|e| e.while_doing(&file.display().to_string()))?;
    run(&play, stage)
        .await
        .map_err(|e| e.while_doing(&file.display().to_string()))
}

/// Runs a play on a stage.
///
/// # Errors
/// If the programs do something else; with the line and everything that was said.
pub async fn run(play: &Play, stage: &mut dyn Stage) -> Outcome<()> {
    let mut performance = Performance {
        people: BTreeMap::new(),
        names: Names::new(),
    };
    performance.names.insert("transport".into(), stage.transport().to_owned());
    for statement in &play.statements {
        if statement.mode.is_some_and(|mode| mode != stage.mode()) {
            continue;
        }
        performance.act(statement, stage).await.map_err(|e| {
            Failure::new(format!(
                "line {} ({} mode): {e}\n{}",
                statement.line,
                stage.mode().name(),
                performance.transcript()
            ))
        })?;
    }
    Ok(())
}

struct Performance {
    people: BTreeMap<String, Actor>,
    names: Names,
}

struct Actor {
    person: Box<dyn Person>,
    // Received and not looked at.
    waiting: VecDeque<Element>,
    ignored: Vec<Element>,
    log: Vec<String>,
    pings: u32,
}

impl Performance {
    async fn act(&mut self, statement: &Statement, stage: &mut dyn Stage) -> Outcome<()> {
        match &statement.action {
            Action::LogIn | Action::Connect => {
                let (user, resource) = statement.person.split_once('/').unwrap_or((&statement.person, "play"));
                let person = stage.connect(user, resource, statement.action == Action::LogIn).await?;
                let jid = person.jid().to_owned();
                let bare = jid.split('/').next().unwrap_or_default().to_owned();
                self.names.insert(format!("{}.bare", statement.person), bare);
                self.names.insert(statement.person.clone(), jid);
                let actor = Actor {
                    person,
                    waiting: VecDeque::new(),
                    ignored: Vec::new(),
                    log: Vec::new(),
                    pings: 0,
                };
                self.people.insert(statement.person.clone(), actor);
                return Ok(());
            }
            Action::LogOut => {
                let Some(mut actor) = self.people.remove(&statement.person) else {
                    return Err(format!("{} is not connected", statement.person).into());
                };
                actor.say("<presence type='unavailable'/>").await?;
                return actor.person.leave().await;
            }
            Action::Send | Action::Receive | Action::See | Action::SeeInAnyOrder | Action::Ignore | Action::ReceiveNothing => {}
        }
        let transport = stage.transport().to_owned();
        let Some(actor) = self.people.get_mut(&statement.person) else {
            return Err(format!("{} is not connected", statement.person).into());
        };
        let names = &mut self.names;
        match &statement.action {
            Action::Send => {
                for stanza in &statement.stanzas {
                    actor.say(&matching::substitute(stanza, names)?).await?;
                }
            }
            Action::Receive => {
                for stanza in &statement.stanzas {
                    let wanted = pattern(stanza, names)?;
                    let got = actor.next(names).await?;
                    matches(&wanted, &got, names).map_err(|why| mismatch(&wanted, &got, &why))?;
                }
            }
            Action::See => {
                for stanza in &statement.stanzas {
                    let wanted = pattern(stanza, names)?;
                    while matches(
                        &wanted,
                        &actor.next(names).await.map_err(|e| e.while_doing(&text(&wanted)))?,
                        names,
                    )
                    .is_err()
                    {}
                }
            }
            Action::SeeInAnyOrder => {
                let mut open = Vec::new();
                for stanza in &statement.stanzas {
                    open.push(pattern(stanza, names)?);
                }
                while !open.is_empty() {
                    let waits = || open.iter().map(text).collect::<Vec<_>>().join("\n");
                    let got = actor.next(names).await.map_err(|e| e.while_doing(&waits()))?;
                    if let Some(at) = open.iter().position(|wanted| matches(wanted, &got, names).is_ok()) {
                        open.remove(at);
                    }
                }
            }
            Action::Ignore => {
                for stanza in &statement.stanzas {
                    actor.ignored.push(pattern(stanza, names)?);
                }
            }
            Action::ReceiveNothing => {
                if let Some(got) = actor.until_pong(&transport, names).await? {
                    return Err(format!("received, where nothing was expected: {}", text(&got)).into());
                }
            }
            Action::LogIn | Action::Connect | Action::LogOut => unreachable!("handled above"),
        }
        Ok(())
    }

    fn transcript(&self) -> String {
        let mut lines = Vec::new();
        for (name, actor) in &self.people {
            lines.extend(actor.log.iter().map(|line| format!("  {name} {line}")));
        }
        lines.join("\n")
    }
}

impl Actor {
    async fn say(&mut self, stanza: &str) -> Outcome<()> {
        self.log.push(format!(">> {stanza}"));
        self.person.send(stanza).await
    }

    /// The next stanza that is not ignored.
    async fn next(&mut self, names: &mut Names) -> Outcome<Element> {
        loop {
            let stanza = match self.waiting.pop_front() {
                Some(stanza) => stanza,
                None => self.hear().await?,
            };
            if !self.ignores(&stanza, names) {
                return Ok(stanza);
            }
        }
    }

    async fn hear(&mut self) -> Outcome<Element> {
        let stanza = self.person.receive().await?;
        self.log.push(format!("<< {}", text(&stanza)));
        Ok(stanza)
    }

    fn ignores(&self, stanza: &Element, names: &Names) -> bool {
        // A pattern to ignore keeps nothing.
        self.ignored
            .iter()
            .any(|pattern| matches(pattern, stanza, &mut names.clone()).is_ok())
    }

    /// Pings the transport and gives the first stanza before the pong that is not ignored.
    async fn until_pong(&mut self, transport: &str, names: &Names) -> Outcome<Option<Element>> {
        self.pings += 1;
        let id = format!("barrier-{}", self.pings);
        self.say(&format!(
            "<iq type='get' id='{id}' to='{transport}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await?;
        let mut first = None;
        loop {
            let stanza = match self.waiting.pop_front() {
                Some(stanza) => stanza,
                None => self.hear().await?,
            };
            if stanza.name() == "iq" && stanza.attr("id") == Some(&id) {
                return Ok(first);
            }
            if first.is_none() && !self.ignores(&stanza, names) {
                first = Some(stanza);
            }
        }
    }
}

fn pattern(stanza: &str, names: &Names) -> Outcome<Element> {
    element(&matching::substitute(stanza, names)?, "jabber:client")
}

fn mismatch(wanted: &Element, got: &Element, why: &Failure) -> Failure {
    Failure::new(format!("{why}\n  expected {}\n  received {}", text(wanted), text(got)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::VecDeque;

    use super::*;

    /// A stage without a program: everybody hears what a test has written down.
    struct Reading {
        heard: VecDeque<&'static str>,
    }

    struct Reader {
        heard: VecDeque<&'static str>,
    }

    #[async_trait::async_trait]
    impl Stage for Reading {
        fn mode(&self) -> Mode {
            Mode::Gateway
        }

        fn transport(&self) -> &str {
            "irc.localhost"
        }

        async fn connect(&mut self, _: &str, _: &str, _: bool) -> Outcome<Box<dyn Person>> {
            Ok(Box::new(Reader {
                heard: std::mem::take(&mut self.heard),
            }))
        }
    }

    #[async_trait::async_trait]
    impl Person for Reader {
        fn jid(&self) -> &str {
            "romeo@localhost/play"
        }

        async fn send(&mut self, _: &str) -> Outcome<()> {
            Ok(())
        }

        async fn receive(&mut self) -> Outcome<Element> {
            element(self.heard.pop_front().ok_or("nothing more")?, "jabber:client")
        }

        async fn leave(self: Box<Self>) -> Outcome<()> {
            Ok(())
        }
    }

    async fn heard(heard: &[&'static str], statements: &str) -> Result<(), String> {
        let play = Play::read(&format!("# A play.\nromeo logs in\n{statements}")).unwrap();
        let mut stage = Reading {
            heard: heard.iter().copied().collect(),
        };
        run(&play, &mut stage).await.map_err(|e| e.to_string())
    }

    const HI: &str = "<message from='echo@irc.localhost'><body>hi</body></message>";
    const AWAY: &str = "<presence from='echo@irc.localhost'/>";

    #[tokio::test]
    async fn receives_takes_the_very_next_stanza() {
        let script = "romeo receives:\n  <message from='echo@{transport}'><body>hi</body></message>";
        heard(&[HI], script).await.unwrap();
        let error = heard(&[AWAY, HI], script).await.unwrap_err();
        assert!(
            error.starts_with("line 3 (gateway mode)") && error.contains("<< <presence"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn sees_skips_what_comes_between() {
        heard(
            &[AWAY, HI],
            "romeo sees:\n  <message from='echo@{transport}'><body>hi</body></message>",
        )
        .await
        .unwrap();
        heard(&[AWAY], "romeo sees:\n  <message from='echo@{transport}'/>")
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn any_order_means_each_once() {
        let script = "romeo sees, in any order:\n  <message from='{*}'>{...}</message>\n  <presence from='{*}'/>";
        heard(&[AWAY, HI], script).await.unwrap();
        heard(&[HI, AWAY], script).await.unwrap();
        heard(&[HI, HI], script).await.unwrap_err();
    }

    #[tokio::test]
    async fn nothing_is_nothing_but_what_is_ignored() {
        let pong = "<iq id='barrier-1' type='result' from='irc.localhost'/>";
        let ignoring = "romeo ignores:\n  <presence from='{*}'>{...}</presence>\nromeo receives nothing";
        heard(&[AWAY, pong], ignoring).await.unwrap();
        heard(&[HI, pong], ignoring).await.unwrap_err();
        heard(&[AWAY, pong], "romeo receives nothing").await.unwrap_err();
    }

    #[tokio::test]
    async fn statements_of_the_other_mode_are_left_out() {
        heard(&[], "server: romeo receives:\n  <presence/>").await.unwrap();
        heard(&[], "gateway: romeo receives:\n  <presence/>").await.unwrap_err();
    }

    #[tokio::test]
    async fn a_kept_value_is_known_later() {
        let script = "romeo receives:\n  <presence from='{=who}'/>\nromeo receives:\n  <message from='{who}'>{...}</message>";
        heard(&[AWAY, HI], script).await.unwrap();
        heard(&["<presence from='other@irc.localhost'/>", HI], script)
            .await
            .unwrap_err();
    }
}
