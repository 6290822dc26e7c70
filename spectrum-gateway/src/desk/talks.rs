//! Talks with the transport: what users write to its bare JID. The same dialogues as commands, one question after the other, and
//! the verbs of administrators as Spectrum 2 wrote them.

use jid::{BareJid, Jid};
use spectrum_core::admin;
use spectrum_core::config::Mode;
use spectrum_core::dialogue::chat::{HELP, Reply, Talk};
use spectrum_core::dialogue::{Dialogue, Order, Outcome};
use spectrum_core::model::UserKey;
use spectrum_core::xml::body;
use tokio::time::Instant;
use tracing::info_span;
use xmpp_parsers::message::{Lang, Message, MessageType};

use super::Desk;
use super::orders::{Surface, store_failed};
use super::state::{Place, TALKS, WAITING_LINES};

/// The longest line that is looked at: nothing that is asked takes more.
const MAX_LINE_BYTES: usize = 8_192;
/// Namespaces of end-to-end encryption: what comes with them is a body that says so.
const ENCRYPTED: [&str; 3] = ["eu.siacs.conversations.axolotl", "urn:xmpp:omemo:1", "urn:xmpp:omemo:2"];

impl Desk {
    /// Whether the user is being asked something here, so that what they write is an answer.
    pub(crate) fn is_talking_with(&self, user: &UserKey) -> bool {
        self.state()
            .talks
            .get(user)
            .is_some_and(|place| place.talk.is_some() || place.is_busy)
    }

    /// Something a user wrote to the transport; the answer goes to the outbox. Never waits.
    pub(crate) fn hear(&self, message: &Message) {
        let Some(from) = message.from.clone() else { return };
        if !matches!(message.type_, MessageType::Chat | MessageType::Normal) {
            return;
        }
        let Some(text) = body(message) else { return };
        if message
            .payloads
            .iter()
            .any(|payload| ENCRYPTED.contains(&payload.ns().as_str()))
        {
            let text = "This is a transport: it cannot read encrypted messages. Switch encryption off for this chat.";
            return self.say(from, text);
        }
        if text.len() > MAX_LINE_BYTES {
            return self.say(from, "That is too long.");
        }
        let user = UserKey::from(from.to_bare().as_str());
        let mut state = self.state();
        if !state.talks.contains_key(&user) && state.talks.len() >= TALKS {
            drop(state);
            return self.say(from, "Too many people are talking to me. Try again in some minutes.");
        }
        let place = state.talks.entry(user.clone()).or_insert_with(|| Place {
            talk: None,
            lines: Default::default(),
            is_busy: false,
            touched: Instant::now(),
        });
        if place.lines.len() >= WAITING_LINES {
            drop(state);
            return self.say(from, "Not so fast: this line was not read.");
        }
        place.lines.push_back((from, text.to_owned()));
        place.touched = Instant::now();
        if std::mem::replace(&mut place.is_busy, true) {
            return;
        }
        drop(state);
        let span = info_span!("talk", %user);
        let desk = self.clone();
        drop(self.0.parts.tasks.spawn("talk", span, async move { desk.talk(user).await }));
    }

    /// Answers what one user has written, line by line.
    async fn talk(&self, user: UserKey) {
        let mut place = Busy {
            desk: self,
            user: &user,
            is_done: false,
        };
        while let Some((from, line, talk)) = self.next_line(&user) {
            let talk = self.answer(&from, &line, talk).await;
            if let Some(place) = self.state().talks.get_mut(&user) {
                place.talk = talk.filter(|talk| !talk.is_over());
            }
        }
        place.is_done = true;
    }

    fn next_line(&self, user: &UserKey) -> Option<(Jid, String, Option<Talk>)> {
        let mut state = self.state();
        let place = state.talks.get_mut(user)?;
        let Some((from, line)) = place.lines.pop_front() else {
            // In one step with the look, so that no line is left behind.
            if place.talk.is_some() {
                place.is_busy = false;
            } else {
                state.talks.remove(user);
            }
            return None;
        };
        Some((from, line, place.talk.take()))
    }

    async fn answer(&self, from: &Jid, line: &str, talk: Option<Talk>) -> Option<Talk> {
        let user = from.to_bare();
        let (mut talk, mut reply) = match talk {
            Some(mut talk) => {
                let reply = talk.hear(line);
                (talk, reply)
            }
            None => self.begin_talk(from, &user, line).await?,
        };
        loop {
            match reply {
                Reply::Say(text) => {
                    self.say(from.clone(), &text);
                    return Some(talk);
                }
                Reply::Cancelled(order) => {
                    if let Some(order) = order {
                        self.carry_out(&user, order, Surface::Talk).await;
                    }
                    self.say(from.clone(), "Cancelled.");
                    return None;
                }
                Reply::Do(order) => {
                    let logs_in = matches!(order, Order::Register(_) | Order::Login);
                    let outcome = self.carry_out(&user, order, Surface::Talk).await;
                    if logs_in && matches!(outcome, Outcome::Done(_)) {
                        self.tell_of_login(from);
                    }
                    reply = talk.carried_out(outcome);
                }
            }
        }
    }

    /// A line that answers nothing: a command, or nonsense.
    async fn begin_talk(&self, from: &Jid, user: &BareJid, line: &str) -> Option<(Talk, Reply)> {
        let word = line.trim().to_lowercase();
        let command = match super::COMMANDS.iter().find(|(_, name, ..)| *name == word) {
            Some((.., begin)) => begin(),
            None => {
                self.other_line(from, user, line, &word).await;
                return None;
            }
        };
        let known = match self.known(user).await {
            Ok(known) => known,
            Err(failed) => {
                self.say(from.clone(), &store_failed(&failed).text);
                return None;
            }
        };
        let (dialogue, next) = Dialogue::begin(command, known);
        Some(Talk::begin(dialogue, next, self.0.parts.config.jid.as_str()))
    }

    async fn other_line(&self, from: &Jid, user: &BareJid, line: &str, word: &str) {
        let is_admin = self.is_admin(user);
        let text = if word == "help" {
            if is_admin {
                format!("{HELP}\n\nFor administrators:\n{}", admin::help(Mode::Gateway))
            } else {
                HELP.to_owned()
            }
        } else if word == "cancel" {
            "There is nothing to cancel.".to_owned()
        } else if let (true, Some((verb, rest))) = (is_admin, admin::split(line)) {
            match verb.arguments(rest) {
                Err(wrong) => wrong.to_string(),
                Ok(answers) => {
                    let order = Order::Admin {
                        verb: verb.name,
                        answers,
                    };
                    match self.carry_out(user, order, Surface::Talk).await {
                        Outcome::Done(report) => report.lines(),
                        Outcome::Refused(refusal) => format!("Error: {}", refusal.text),
                        Outcome::Prompt(..) | Outcome::LoggedIn | Outcome::LoginFailed(_) | Outcome::Waiting => return,
                    }
                }
            }
        } else {
            "I do not understand. Write \"help\".".to_owned()
        };
        self.say(from.clone(), &text);
    }

    /// Says when the login that has begun has come to a good end. A bad one is told by the session.
    fn tell_of_login(&self, to: &Jid) {
        let (desk, to) = (self.clone(), to.clone());
        let user = UserKey::from(to.to_bare().as_str());
        let span = info_span!("login", %user);
        drop(self.0.parts.tasks.spawn("login", span, async move {
            let router = &desk.0.parts.router;
            let end = Instant::now() + super::PATIENCE;
            while Instant::now() < end && router.has(&user) {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                if router.is_logged_in(&user) {
                    let text = format!("You are logged in to {}.", desk.0.parts.naming.name());
                    return desk.say(to, &text);
                }
            }
        }));
    }

    /// Writes to a user in the transport's name.
    fn say(&self, to: Jid, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut message = Message::new_with_type(MessageType::Chat, to).with_body(Lang::default(), text.to_owned());
        message.from = Some(self.0.parts.config.jid.clone().into());
        self.0.parts.outbox.push(message.into());
    }
}

/// A place while a task works on it: should the task end otherwise than it is meant to, the next line begins anew.
struct Busy<'a> {
    desk: &'a Desk,
    user: &'a UserKey,
    is_done: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.desk.state().talks.remove(self.user);
        }
    }
}
