//! Dialogues as ad-hoc commands (XEP-0050): what a client calls, and what it is shown. Pure; the owner of the sessions keeps them
//! apart and gives each its id.

use minidom::Element;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::{Dialogue, FormError, Say, data_form};
use crate::model::FormAnswers;
use crate::stanza::error;
use crate::xml::{element, set, text_element};

/// The namespace, and the node under which commands are listed.
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";

/// Longest node or session id that is looked at.
const MAX_NAME_BYTES: usize = 256;

/// What a client wants of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// To go on, or to begin.
    Next,
    /// To go back.
    Previous,
    /// To give up.
    Cancel,
}

/// A client's call.
#[derive(Debug)]
pub struct Call {
    /// Which command.
    pub node: String,
    /// Which session of it; `None` begins one.
    pub session: Option<String>,
    /// What is wanted.
    pub action: Action,
    /// What was filled in.
    pub answers: FormAnswers,
}

impl Call {
    /// Reads `<command/>`.
    ///
    /// # Errors
    /// The stanza error that answers it, with the condition of XEP-0050 4.4.
    pub fn read(command: &Element) -> Result<Self, Box<StanzaError>> {
        let short = |name: &&str| name.len() <= MAX_NAME_BYTES;
        let Some(node) = command.attr("node").filter(short) else {
            return Err(bad("malformed-action", "The command has no node."));
        };
        let mut action = match command.attr("action") {
            None | Some("execute" | "next" | "complete") => Action::Next,
            Some("prev") => Action::Previous,
            Some("cancel") => Action::Cancel,
            Some(_) => return Err(bad("malformed-action", "There is no such action.")),
        };
        let session = match command.attr("sessionid") {
            None | Some("") => None,
            Some(session) if short(&session) => Some(session.to_owned()),
            Some(_) => return Err(bad("bad-sessionid", "There is no such session.")),
        };
        let answers = match command.get_child("x", ns::DATA_FORMS).map(data_form::answers) {
            None => FormAnswers::new(),
            Some(Ok(answers)) => answers,
            Some(Err(FormError::Cancelled)) => {
                action = Action::Cancel;
                FormAnswers::new()
            }
            Some(Err(wrong)) => return Err(bad("bad-payload", &wrong.to_string())),
        };
        Ok(Self {
            node: node.to_owned(),
            session,
            action,
            answers,
        })
    }
}

/// `bad-request` with the condition of XEP-0050 4.4.
pub fn bad(condition: &str, text: &str) -> Box<StanzaError> {
    let mut bad = error(DefinedCondition::BadRequest, text);
    bad.other = Some(element(condition, COMMANDS, &[]));
    Box::new(bad)
}

/// Where a command stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its node.
    pub node: &'a str,
    /// Its session.
    pub session: &'a str,
    /// What it is called.
    pub title: &'a str,
}

impl<'a> Place<'a> {
    /// What its forms are called (XEP-0068): those of XEP-0133 have a name.
    fn form_type(&self) -> Option<&'a str> {
        let (form_type, _) = self.node.split_once('#')?;
        (form_type == "http://jabber.org/protocol/admin").then_some(form_type)
    }
}

/// The commands that somebody may run, for service discovery: nodes and titles.
pub fn items<'a>(transport: &str, commands: impl IntoIterator<Item = (&'a str, &'a str)>) -> Element {
    let mut query = element("query", ns::DISCO_ITEMS, &[("node", COMMANDS)]);
    for (node, title) in commands {
        query.append_child(element(
            "item",
            ns::DISCO_ITEMS,
            &[("jid", transport), ("node", node), ("name", title)],
        ));
    }
    query
}

/// What a node of commands is: the list, or one command.
pub fn info(node: &str, title: &str) -> Element {
    let kind = if node == COMMANDS { "command-list" } else { "command-node" };
    let mut query = element("query", ns::DISCO_INFO, &[("node", node)]);
    query.append_child(element(
        "identity",
        ns::DISCO_INFO,
        &[("category", "automation"), ("type", kind), ("name", title)],
    ));
    for feature in [COMMANDS, ns::DATA_FORMS] {
        query.append_child(element("feature", ns::DISCO_INFO, &[("var", feature)]));
    }
    query
}

/// What a client is shown; an error if nothing came of the command.
///
/// # Errors
/// What answers the call instead.
pub fn shown(place: Place<'_>, say: &Say, dialogue: &Dialogue) -> Result<Element, Box<StanzaError>> {
    let status = match say {
        Say::Refused(refusal) => return Err(Box::new(error(refusal.condition.clone(), &refusal.text))),
        Say::Done(_) => "completed",
        Say::Ask { .. } | Say::Show(_) | Say::Wait(_) => "executing",
    };
    let mut command = command(place, status);
    match say {
        Say::Ask { form, problem } => {
            let action = if dialogue.may_end() { "complete" } else { "next" };
            command.append_child(actions(action));
            if let Some(problem) = problem {
                command.append_child(note("error", problem));
            }
            command.append_child(data_form::question(form, place.form_type(), problem.as_deref()));
        }
        Say::Show(shown) => {
            command.append_child(actions("next"));
            let (x, data) = data_form::shown(shown, place.title);
            command.append_child(x);
            if let Some(data) = data {
                command.append_child(data);
            }
        }
        Say::Wait(text) => {
            command.append_child(actions("next"));
            command.append_child(note("info", text));
        }
        Say::Done(report) => {
            if !report.text.is_empty() {
                command.append_child(note("info", &report.text));
            }
            if let Some(results) = data_form::results(report, place.title, place.form_type()) {
                command.append_child(results);
            }
        }
        Say::Refused(_) => {}
    }
    Ok(command)
}

/// The answer to one who gave up.
pub fn cancelled(place: Place<'_>) -> Element {
    command(place, "canceled")
}

fn command(place: Place<'_>, status: &str) -> Element {
    let mut command = element("command", COMMANDS, &[]);
    for (name, value) in [("node", place.node), ("sessionid", place.session), ("status", status)] {
        set(&mut command, name, value);
    }
    command
}

fn actions(default: &str) -> Element {
    let mut actions = element("actions", COMMANDS, &[("execute", default)]);
    actions.append_child(element(default, COMMANDS, &[]));
    actions
}

fn note(kind: &str, text: &str) -> Element {
    let mut note = text_element("note", COMMANDS, text);
    set(&mut note, "type", kind);
    note
}
