//! Questions of a login to the person: asked in a chat with the transport, one field after the other. Owned by the session.

use std::collections::VecDeque;

use crate::backend::link::LinkRequest;
use crate::model::{Field, FieldKind, Form, FormAnswers, LoginPrompt, PromptId, Secret, Shown};
use crate::session::{Cx, Output};

/// Fields that one question can have; a longer one is answered with "gave up".
const MAX_FIELDS: usize = 32;
/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 4_096;
/// What a person writes to give up.
const CANCEL: &str = "cancel";

/// The question that is being asked, if any.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    id: PromptId,
    fields: VecDeque<Field>,
    answers: FormAnswers,
}

impl Prompts {
    /// The login asks something or has something to show; true if it has to wait for the person. `heard`: somebody can see it.
    pub(crate) fn prompt(&mut self, cx: &mut Cx<'_>, id: PromptId, what: LoginPrompt, heard: bool) -> bool {
        let Form {
            title,
            instructions,
            fields,
        } = match what {
            LoginPrompt::Show(Shown::Link { url, text }) => {
                cx.notice(format!("{text}\n{url}").trim());
                return false;
            }
            LoginPrompt::Show(Shown::Picture { text, .. }) => {
                cx.notice(text);
                return false;
            }
            LoginPrompt::Ask(form) => form,
        };
        self.give_up(cx);
        if fields.is_empty() || fields.len() > MAX_FIELDS || !heard {
            answer(cx, id, None);
            return false;
        }
        let heading: Vec<_> = [title, instructions].into_iter().filter(|t| !t.is_empty()).collect();
        if !heading.is_empty() {
            cx.notice(heading.join("\n"));
        }
        self.open = Some(Box::new(Open {
            id,
            fields: fields.into(),
            answers: FormAnswers::new(),
        }));
        self.ask_next(cx);
        true
    }

    /// Something the user wrote to the transport; `None` if nothing was asked, else whether the question is done.
    pub(crate) fn answered(&mut self, cx: &mut Cx<'_>, text: &str) -> Option<bool> {
        let open = self.open.as_mut()?;
        let text = text.trim();
        if text.eq_ignore_ascii_case(CANCEL) {
            self.give_up(cx);
            return Some(true);
        }
        let field = open.fields.front()?;
        match value(field, text) {
            Some(value) => {
                open.answers.insert(field.name.clone(), value);
                open.fields.pop_front();
            }
            None => cx.notice("That is no possible answer."),
        }
        self.ask_next(cx);
        Some(self.open.is_none())
    }

    /// Nobody will answer any more.
    pub(crate) fn give_up(&mut self, cx: &mut Cx<'_>) {
        if let Some(open) = self.open.take() {
            answer(cx, open.id, None);
        }
    }

    /// The login that asked is gone.
    pub(crate) fn forget(&mut self) {
        self.open = None;
    }

    fn ask_next(&mut self, cx: &mut Cx<'_>) {
        let Some(open) = &self.open else { return };
        if let Some(field) = open.fields.front() {
            let text = question(field);
            cx.notice(text);
        } else if let Some(open) = self.open.take() {
            answer(cx, open.id, Some(open.answers));
        }
    }
}

fn answer(cx: &mut Cx<'_>, prompt: PromptId, answers: Option<FormAnswers>) {
    cx.out.push(Output::Link(LinkRequest::PromptAnswer { prompt, answers }));
}

fn question(field: &Field) -> String {
    let label = if field.label.is_empty() { &field.name } else { &field.label };
    let hint = match &field.kind {
        FieldKind::Text | FieldKind::Password => String::new(),
        FieldKind::Boolean => " (yes or no)".to_owned(),
        FieldKind::Choice(choices) => {
            let labels: Vec<_> = choices
                .iter()
                .map(|(value, label)| if label.is_empty() { value.as_str() } else { label })
                .collect();
            format!(" (one of: {})", labels.join(", "))
        }
    };
    let default = field.default.as_ref().map_or_else(String::new, |d| format!(" [{d}]"));
    format!("{label}{hint}{default}: write your answer, \"-\" for the default or nothing, or \"{CANCEL}\".")
}

/// What an answer stands for; `None` if it is none.
fn value(field: &Field, text: &str) -> Option<Secret> {
    if text.len() > MAX_ANSWER_BYTES {
        return None;
    }
    if text == "-" || text.is_empty() {
        return match &field.default {
            Some(default) => Some(Secret::new(default.as_str())),
            None => (!field.required).then(Secret::default),
        };
    }
    match &field.kind {
        FieldKind::Text | FieldKind::Password => Some(Secret::new(text)),
        FieldKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "true" | "1" => Some(Secret::new("true")),
            "no" | "n" | "false" | "0" => Some(Secret::new("false")),
            _ => None,
        },
        FieldKind::Choice(choices) => {
            let chosen = choices
                .iter()
                .find(|(value, label)| value.eq_ignore_ascii_case(text) || label.eq_ignore_ascii_case(text));
            chosen.map(|(value, _)| Secret::new(value.as_str()))
        }
    }
}
