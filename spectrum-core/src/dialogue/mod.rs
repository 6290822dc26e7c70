//! A person's way through one command of the transport: register, answer what the network asks, change a choice. A pure state
//! machine without surface: [`command`] shows it as an ad-hoc command (XEP-0050), [`chat`] as a talk with the transport, and the
//! first form of a registration is also XEP-0077's.
//!
//! Owned by whoever serves the surface. It is told what the person answered and how what it ordered ended; it says what to show or
//! what to do next. Where the time matters it is the owner's business.

mod asking;
pub mod chat;
pub mod command;
pub mod data_form;
mod form;
mod report;
#[cfg(test)]
mod tests;

use xmpp_parsers::stanza_error::DefinedCondition;

use crate::model::{Field, FieldKind, Form, FormAnswers, LoginPrompt, PromptId, Shown};

pub use asking::{Asking, Heard};
pub use form::{FormError, MAX_FIELDS, MAX_VALUE_BYTES, check_value, checked, login_form};
pub use report::Report;

/// What somebody wants of the transport.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// To register, or to change the registration.
    Register,
    /// To leave.
    Unregister,
    /// To log in now.
    Login,
    /// To log out, and stay registered.
    Logout,
    /// To know how things are.
    Status,
    /// To know where the last messages are.
    Messages,
    /// To choose how the transport treats them.
    Preferences,
    /// Something that an administrator may do, by its name in the table of verbs.
    Admin {
        /// Which.
        verb: &'static str,
        /// What it is called.
        title: &'static str,
        /// What it needs to be told.
        fields: Vec<Field>,
    },
}

/// What has to be known to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// The network's name for people.
    pub network: String,
    /// What a login needs, with what is stored of it; `None` while the network is not known.
    pub login: Option<Form>,
    /// Whether there is a registration.
    pub is_registered: bool,
    /// What can be chosen, with what has been chosen.
    pub preferences: Form,
}

/// What has to be done before the dialogue goes on; answered by [`Dialogue::carried_out`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Store this registration and log in with it.
    Register(FormAnswers),
    /// Remove the registration.
    Unregister,
    /// Log in.
    Login,
    /// Log out.
    Logout,
    /// Say how things are.
    Status,
    /// Say where the last messages are.
    Messages,
    /// Keep these choices.
    Prefer(FormAnswers),
    /// Do this.
    Admin {
        /// The verb's name.
        verb: &'static str,
        /// What it needs.
        answers: FormAnswers,
    },
    /// Give the network this answer, and wait for what it says; `None`: the person gave up.
    Answer(PromptId, Option<FormAnswers>),
    /// Wait for what the network says.
    Wait,
}

/// How an order ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// It is done, and so is the dialogue.
    Done(Report),
    /// The login asks something, or has something to show.
    Prompt(PromptId, LoginPrompt),
    /// The network has let the user in.
    LoggedIn,
    /// The network did not let the user in; the registration stands.
    LoginFailed(String),
    /// The network has said nothing yet.
    Waiting,
    /// It cannot be done.
    Refused(Refusal),
}

/// Why something is not done.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    /// As XMPP says it.
    pub condition: DefinedCondition,
    /// For the person.
    pub text: String,
}

impl Refusal {
    /// For this reason.
    pub fn new(condition: DefinedCondition, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { condition, text }
    }
}

/// What the person is to see.
#[derive(Clone, PartialEq, Debug)]
pub enum Say {
    /// Fill this in. `problem`: what was wrong with the last answers.
    Ask {
        /// The questions.
        form: Form,
        /// Why they are asked again.
        problem: Option<String>,
    },
    /// Look at this; more follows by itself.
    Show(Shown),
    /// Nothing has happened yet.
    Wait(String),
    /// It is over, and this came of it.
    Done(Report),
    /// It is over, and nothing came of it.
    Refused(Refusal),
}

/// What comes next.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// Show this.
    Say(Say),
    /// Do this first.
    Do(Order),
}

/// How far a dialogue has got.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// The command's own form is being filled in.
    Filling,
    /// An order is being carried out.
    Working,
    /// The login asks.
    Prompted(PromptId),
    /// The login has shown something, or is silent: whatever the person says means "go on".
    Watching,
    /// Nothing follows.
    Over,
}

/// A person's way through one command.
#[derive(Clone, Debug)]
pub struct Dialogue {
    command: Command,
    known: Known,
    state: State,
    /// The form asked last.
    form: Form,
}

/// The field of the question whether somebody is sure.
pub const CONFIRM: &str = "confirm";

impl Dialogue {
    /// Begins, and says what comes first.
    pub fn begin(command: Command, known: Known) -> (Self, Next) {
        let mut dialogue = Self {
            command,
            known,
            state: State::Filling,
            form: Form::default(),
        };
        let next = dialogue.first();
        (dialogue, next)
    }

    fn first(&mut self) -> Next {
        let order = match &self.command {
            Command::Register => match self.known.login.clone() {
                Some(form) => return self.ask(form, None),
                None => {
                    let text = format!("{} is still starting. Try again in a moment.", self.known.network);
                    return self.refuse(Refusal::new(DefinedCondition::ResourceConstraint, text));
                }
            },
            Command::Unregister if self.known.is_registered => {
                let form = sure(&self.known.network);
                return self.ask(form, None);
            }
            Command::Preferences if self.known.is_registered => {
                let form = self.known.preferences.clone();
                return self.ask(form, None);
            }
            Command::Unregister | Command::Login | Command::Preferences | Command::Logout if !self.known.is_registered => {
                return self.refuse(not_registered());
            }
            Command::Admin { title, fields, .. } if !fields.is_empty() => {
                let form = Form {
                    title: (*title).to_owned(),
                    instructions: String::new(),
                    fields: fields.clone(),
                };
                return self.ask(form, None);
            }
            Command::Admin { verb, .. } => Order::Admin {
                verb,
                answers: FormAnswers::new(),
            },
            Command::Unregister => Order::Unregister,
            Command::Preferences => Order::Prefer(FormAnswers::new()),
            Command::Login => Order::Login,
            Command::Logout => Order::Logout,
            Command::Status => Order::Status,
            Command::Messages => Order::Messages,
        };
        self.order(order)
    }

    /// The person has answered. While nothing is asked it means "go on".
    pub fn answered(&mut self, answers: &FormAnswers) -> Next {
        match self.state {
            State::Filling => {
                let checked = match checked(&self.form, answers) {
                    Ok(checked) => checked,
                    Err(wrong) => return self.ask(self.form.clone(), Some(wrong.to_string())),
                };
                let order = match &self.command {
                    Command::Register => Order::Register(checked),
                    Command::Preferences => Order::Prefer(checked),
                    Command::Unregister => {
                        if checked.get(CONFIRM).is_none_or(|sure| !is_yes(sure.expose())) {
                            return self.done(Report::text("Nothing was changed: you stay registered."));
                        }
                        Order::Unregister
                    }
                    Command::Admin { verb, .. } => Order::Admin { verb, answers: checked },
                    Command::Login => Order::Login,
                    Command::Logout => Order::Logout,
                    Command::Status => Order::Status,
                    Command::Messages => Order::Messages,
                };
                self.order(order)
            }
            State::Prompted(prompt) => match checked(&self.form, answers) {
                Ok(checked) => self.order(Order::Answer(prompt, Some(checked))),
                Err(wrong) => {
                    let next = self.ask(self.form.clone(), Some(wrong.to_string()));
                    self.state = State::Prompted(prompt);
                    next
                }
            },
            State::Watching => self.order(Order::Wait),
            State::Working | State::Over => {
                self.refuse(Refusal::new(DefinedCondition::UnexpectedRequest, "Nothing is asked now."))
            }
        }
    }

    /// The person gives up; what has to be done about it, if anything.
    pub fn cancelled(&mut self) -> Option<Order> {
        let order = match self.state {
            State::Prompted(prompt) => Some(Order::Answer(prompt, None)),
            State::Filling | State::Working | State::Watching | State::Over => None,
        };
        self.state = State::Over;
        order
    }

    /// What was ordered has ended.
    pub fn carried_out(&mut self, outcome: Outcome) -> Next {
        if self.state == State::Over {
            return self.refuse(Refusal::new(DefinedCondition::UnexpectedRequest, "This is over."));
        }
        match outcome {
            Outcome::Done(report) => self.done(report),
            Outcome::Prompt(prompt, LoginPrompt::Ask(form)) => {
                if form.fields.is_empty() || form.fields.len() > MAX_FIELDS {
                    return self.order(Order::Answer(prompt, None));
                }
                let next = self.ask(form, None);
                self.state = State::Prompted(prompt);
                next
            }
            Outcome::Prompt(_, LoginPrompt::Show(shown)) => {
                self.state = State::Watching;
                Next::Say(Say::Show(shown))
            }
            Outcome::LoggedIn => {
                let text = match self.command {
                    Command::Register => format!("You are registered and logged in to {}.", self.known.network),
                    _ => format!("You are logged in to {}.", self.known.network),
                };
                self.done(Report::text(text))
            }
            Outcome::LoginFailed(reason) => match (&self.command, &self.known.login) {
                // What was entered is stored; it can be mended here and now.
                (Command::Register, Some(form)) => self.ask(form.clone(), Some(reason)),
                _ => self.refuse(Refusal::new(DefinedCondition::NotAuthorized, reason)),
            },
            Outcome::Waiting => {
                self.state = State::Watching;
                let text = format!("{} has not answered yet. Go on to look again.", self.known.network);
                Next::Say(Say::Wait(text))
            }
            Outcome::Refused(refusal) => match refusal.condition {
                // Something about the answers: they can be mended.
                DefinedCondition::NotAcceptable if !self.form.fields.is_empty() => {
                    self.ask(self.form.clone(), Some(refusal.text))
                }
                _ => self.refuse(refusal),
            },
        }
    }

    /// Whether the answers to what is asked now may be the last: nothing else is asked by the command itself, and no login follows.
    pub fn may_end(&self) -> bool {
        match self.command {
            Command::Register | Command::Login => false,
            Command::Unregister
            | Command::Logout
            | Command::Status
            | Command::Messages
            | Command::Preferences
            | Command::Admin { .. } => true,
        }
    }

    /// Whether nothing follows.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn ask(&mut self, form: Form, problem: Option<String>) -> Next {
        self.state = State::Filling;
        self.form = form.clone();
        Next::Say(Say::Ask { form, problem })
    }

    fn order(&mut self, order: Order) -> Next {
        self.state = State::Working;
        Next::Do(order)
    }

    fn done(&mut self, report: Report) -> Next {
        self.state = State::Over;
        Next::Say(Say::Done(report))
    }

    fn refuse(&mut self, refusal: Refusal) -> Next {
        self.state = State::Over;
        Next::Say(Say::Refused(refusal))
    }
}

fn not_registered() -> Refusal {
    Refusal::new(DefinedCondition::RegistrationRequired, "You are not registered.")
}

fn sure(network: &str) -> Form {
    Form {
        title: "Remove the registration".to_owned(),
        instructions: format!("You will be logged out of {network}, and its contacts leave your contact list."),
        fields: vec![Field {
            name: CONFIRM.to_owned(),
            label: "Remove my registration".to_owned(),
            kind: FieldKind::Boolean,
            required: true,
            default: Some("false".to_owned()),
        }],
    }
}

/// Whether a yes-or-no says yes.
pub fn is_yes(text: &str) -> bool {
    matches!(text, "1" | "true")
}
