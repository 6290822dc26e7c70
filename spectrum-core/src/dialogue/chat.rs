//! Dialogues as a talk with the transport, for clients that have neither registration nor commands. Pure; one per user, owned by
//! whoever hears what users write to the transport.

use super::asking::{Asking, CANCEL, Heard};
use super::{Dialogue, Next, Order, Say};
use crate::model::{Form, Shown};

/// What a person can write, besides verbs of administrators.
pub const HELP: &str = "\
help: this text
register: register, or change your registration
unregister: remove your registration
login: go online on the network now
logout: leave the network, and stay registered
status: whether you are registered and logged in
messages: where your last messages are
settings: choose how the transport treats you
cancel: stop what is being asked";

/// One talk about one command.
#[derive(Clone, Debug)]
pub struct Talk {
    dialogue: Dialogue,
    asking: Option<Asking>,
    warning: String,
    warned: bool,
}

/// What comes of something that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Say this; an answer is waited for, or nothing if the talk is over.
    Say(String),
    /// Do this first.
    Do(Order),
    /// The person gave up; this has to be done about it.
    Cancelled(Option<Order>),
}

impl Talk {
    /// About a dialogue that has just begun. `transport`: whose form and commands are the better way to tell a password.
    pub fn begin(dialogue: Dialogue, next: Next, transport: &str) -> (Self, Reply) {
        let mut talk = Self {
            dialogue,
            asking: None,
            warned: false,
            warning: format!(
                "Mind that chats are kept: the next answer is a secret, and your server and devices store what you write here. \
                 If your client can register with a transport or run commands, use that with {transport} instead, and write \
                 \"{CANCEL}\" here."
            ),
        };
        let reply = talk.next(next);
        (talk, reply)
    }

    /// Something the person wrote.
    pub fn hear(&mut self, text: &str) -> Reply {
        let Some(asking) = &mut self.asking else {
            if text.trim().eq_ignore_ascii_case(CANCEL) {
                return Reply::Cancelled(self.dialogue.cancelled());
            }
            let next = self.dialogue.answered(&Default::default());
            return self.next(next);
        };
        match asking.hear(text) {
            Heard::Ask(question) => Reply::Say(self.with_warning(question)),
            Heard::Complete(answers) => {
                self.asking = None;
                let next = self.dialogue.answered(&answers);
                self.next(next)
            }
            Heard::Cancelled => {
                self.asking = None;
                Reply::Cancelled(self.dialogue.cancelled())
            }
        }
    }

    /// What was ordered has ended.
    pub fn carried_out(&mut self, outcome: super::Outcome) -> Reply {
        let next = self.dialogue.carried_out(outcome);
        self.next(next)
    }

    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        self.dialogue.is_over()
    }

    fn next(&mut self, next: Next) -> Reply {
        match next {
            Next::Do(order) => Reply::Do(order),
            Next::Say(Say::Ask { form, problem }) => self.ask(form, problem),
            Next::Say(Say::Show(shown)) => Reply::Say(match shown {
                Shown::Link { url, text } => format!("{text}\n{url}").trim().to_owned(),
                Shown::Picture { text, .. } => text,
            }),
            Next::Say(Say::Wait(text)) => Reply::Say(text),
            Next::Say(Say::Done(report)) => Reply::Say(report.lines()),
            Next::Say(Say::Refused(refusal)) => Reply::Say(refusal.text),
        }
    }

    fn ask(&mut self, form: Form, problem: Option<String>) -> Reply {
        let (asking, heard) = Asking::begin(form);
        self.asking = Some(asking);
        match heard {
            Heard::Ask(question) => {
                let question = self.with_warning(question);
                Reply::Say(match problem {
                    Some(problem) => format!("{problem}\n{question}"),
                    None => question,
                })
            }
            Heard::Complete(answers) => {
                self.asking = None;
                let next = self.dialogue.answered(&answers);
                self.next(next)
            }
            Heard::Cancelled => Reply::Cancelled(self.dialogue.cancelled()),
        }
    }

    fn with_warning(&mut self, question: String) -> String {
        if !self.warned && self.asking.as_ref().is_some_and(Asking::asks_secret) {
            self.warned = true;
            return format!("{}\n{question}", self.warning);
        }
        question
    }
}
