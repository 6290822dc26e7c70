//! Calls of ad-hoc commands (XEP-0050) and what service discovery says of them.

use jid::{BareJid, Jid};
use spectrum_core::admin::AdminVerb;
use spectrum_core::dialogue::command::{self, Action, COMMANDS, Call, Place, bad};
use spectrum_core::dialogue::{Command, Dialogue, Next};
use spectrum_core::model::UserKey;
use spectrum_core::service::{self, Answer, refuse};
use spectrum_core::stanza::error;
use tokio::time::Instant;
use tracing::info_span;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::orders::{Surface, store_failed};
use super::state::Session;
use super::{Desk, admin_command, commands};

/// Whether a request is about commands: a call, or a question about a node of theirs.
pub(crate) fn concerns(iq: &Iq) -> bool {
    match iq {
        Iq::Get { payload, .. } => {
            let is_disco = payload.is("query", ns::DISCO_INFO) || payload.is("query", ns::DISCO_ITEMS);
            is_disco && payload.attr("node").is_some()
        }
        Iq::Set { payload, .. } => payload.is("command", COMMANDS),
        Iq::Result { .. } | Iq::Error { .. } => false,
    }
}

/// What a node is, for this person.
enum Node {
    /// The list of all.
    List,
    /// One that the person may run.
    Command(Command, &'static str),
    /// One that the person may not run.
    Forbidden,
    /// None of ours.
    Unknown,
}

impl Desk {
    /// Deals with a request that [`concerns`] the desk; the answer goes to the outbox. Never waits.
    pub(crate) fn handle(&self, iq: Iq) {
        let outbox = &self.0.parts.outbox;
        let Some(from) = iq.from().cloned() else { return };
        match &iq {
            Iq::Get { payload, .. } => {
                let answer = self.discovered(&from.to_bare(), payload);
                outbox.push(service::reply(&iq, answer));
            }
            Iq::Set { payload, .. } => match Call::read(payload) {
                Err(wrong) => outbox.push(service::reply(&iq, Err(wrong))),
                Ok(call) => {
                    let (desk, span) = (self.clone(), info_span!("command", user = %from.to_bare()));
                    let task = async move {
                        let answer = desk.call(&from, call).await;
                        desk.0.parts.outbox.push(service::reply(&iq, answer));
                    };
                    drop(self.0.parts.tasks.spawn("command", span, task));
                }
            },
            Iq::Result { .. } | Iq::Error { .. } => {}
        }
    }

    fn node(&self, user: &BareJid, node: &str) -> Node {
        if node == COMMANDS {
            return Node::List;
        }
        if let Some((_, _, title, begin)) = super::COMMANDS.iter().find(|(own, ..)| *own == node) {
            return Node::Command(begin(), title);
        }
        match AdminVerb::by_node(node) {
            Some(verb) if self.is_admin(user) => Node::Command(admin_command(verb), verb.title),
            Some(_) => Node::Forbidden,
            None => Node::Unknown,
        }
    }

    fn discovered(&self, user: &BareJid, payload: &minidom::Element) -> Answer {
        let name = payload.attr("node").unwrap_or_default();
        let is_info = payload.has_ns(ns::DISCO_INFO);
        let transport = self.0.parts.config.jid.as_str();
        match self.node(user, name) {
            Node::List if is_info => Ok(Some(command::info(name, "Commands"))),
            Node::List => Ok(Some(command::items(transport, commands(self.is_admin(user))))),
            Node::Command(_, title) if is_info => Ok(Some(command::info(name, title))),
            Node::Forbidden => Err(forbidden()),
            // A command has no items.
            Node::Command(..) | Node::Unknown => refuse(DefinedCondition::ItemNotFound, ""),
        }
    }

    async fn call(&self, from: &Jid, call: Call) -> Answer {
        let user = from.to_bare();
        if user.node().is_none() {
            return refuse(DefinedCondition::NotAllowed, "Only users can run commands.");
        }
        match call.session.clone() {
            None => self.begin(from, &user, &call).await,
            Some(session) => self.go_on(from, &user, call, session).await,
        }
    }

    async fn begin(&self, from: &Jid, user: &BareJid, call: &Call) -> Answer {
        let (command, title) = match self.node(user, &call.node) {
            Node::Command(command, title) => (command, title),
            Node::Forbidden => return Err(forbidden()),
            Node::List | Node::Unknown => return refuse(DefinedCondition::ItemNotFound, "There is no such command."),
        };
        if call.action != Action::Next {
            return Err(bad("bad-action", "A command begins with execute."));
        }
        let known = match self.known(user).await {
            Ok(known) => known,
            Err(failed) => {
                let refusal = store_failed(&failed);
                return Err(Box::new(error(refusal.condition, &refusal.text)));
            }
        };
        let (dialogue, next) = Dialogue::begin(command, known);
        let id = self.state().id();
        let session = Session {
            owner: from.clone(),
            user: UserKey::from(user.as_str()),
            node: call.node.clone(),
            title,
            dialogue: None,
            touched: Instant::now(),
        };
        if !self.state().begin(id.clone(), session) {
            let text = "Too many commands are being run. Try again later.";
            return refuse(DefinedCondition::ResourceConstraint, text);
        }
        let running = Running { desk: self, id: &id };
        running.show(user, (&call.node, title), dialogue, next).await
    }

    async fn go_on(&self, from: &Jid, user: &BareJid, call: Call, id: String) -> Answer {
        let (title, mut dialogue) = self.take_dialogue(from, &call, &id)?;
        let running = Running { desk: self, id: &id };
        match call.action {
            Action::Cancel => {
                if let Some(order) = dialogue.cancelled() {
                    self.carry_out(user, order, Surface::Command(&id)).await;
                }
                let node = call.node.as_str();
                Ok(Some(command::cancelled(Place {
                    node,
                    session: &id,
                    title,
                })))
            }
            Action::Previous => {
                running.keep(dialogue);
                Err(bad("bad-action", "There is no way back from here."))
            }
            Action::Next => {
                let next = dialogue.answered(&call.answers);
                running.show(user, (&call.node, title), dialogue, next).await
            }
        }
    }
}

impl Desk {
    /// Takes the dialogue out of its session, so that one task works on it.
    fn take_dialogue(&self, from: &Jid, call: &Call, id: &str) -> Result<(&'static str, Dialogue), Box<StanzaError>> {
        let mut state = self.state();
        // Somebody else's session is none that the caller could know of.
        let own = |session: &&mut Session| session.owner == *from && session.node == call.node;
        let session = state.sessions.get_mut(id).filter(own).ok_or_else(expired)?;
        session.touched = Instant::now();
        let dialogue = session.dialogue.take().ok_or_else(|| {
            let text = "Your last answer is still being dealt with.";
            Box::new(error(DefinedCondition::UnexpectedRequest, text))
        })?;
        Ok((session.title, dialogue))
    }
}

/// A session while a task works on it. It is gone with the task unless it was put back.
struct Running<'a> {
    desk: &'a Desk,
    id: &'a str,
}

impl Running<'_> {
    async fn show(&self, user: &BareJid, (node, title): (&str, &'static str), mut dialogue: Dialogue, next: Next) -> Answer {
        let mut next = next;
        let say = loop {
            match next {
                Next::Say(say) => break say,
                Next::Do(order) => {
                    let outcome = self.desk.carry_out(user, order, Surface::Command(self.id)).await;
                    next = dialogue.carried_out(outcome);
                }
            }
        };
        let place = Place {
            node,
            session: self.id,
            title,
        };
        let shown = command::shown(place, &say, &dialogue);
        if !dialogue.is_over() {
            self.keep(dialogue);
        }
        shown.map(Some)
    }

    /// Puts the session back for the next call.
    fn keep(&self, dialogue: Dialogue) {
        if let Some(session) = self.desk.state().sessions.get_mut(self.id) {
            session.dialogue = Some(dialogue);
            session.touched = Instant::now();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        let is_over = state.sessions.get(self.id).is_some_and(|session| session.dialogue.is_none());
        let ended = is_over.then(|| state.sessions.remove(self.id)).flatten();
        drop(state);
        if let Some(session) = ended {
            self.desk.leave_login(&session.user, self.id);
        }
    }
}

fn forbidden() -> Box<StanzaError> {
    Box::new(error(DefinedCondition::Forbidden, "This is for administrators."))
}

/// XEP-0050 4.4: the session is gone.
fn expired() -> Box<StanzaError> {
    let mut expired = error(
        DefinedCondition::NotAllowed,
        "There is no such session, or it has waited too long.",
    );
    expired.other = Some(spectrum_core::xml::element("session-expired", COMMANDS, &[]));
    Box::new(expired)
}
