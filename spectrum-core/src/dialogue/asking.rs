//! A form asked in a chat, one field after the other, secrets last. Owned by the talk it is part of.

use std::collections::VecDeque;

use super::form::check_value;
use crate::model::{Field, FieldKind, Form, FormAnswers, Secret};

/// What a person writes to give up.
pub(super) const CANCEL: &str = "cancel";

/// A form that is being asked.
#[derive(Clone, Debug)]
pub struct Asking {
    fields: VecDeque<Field>,
    answers: FormAnswers,
}

/// What became of something the person wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Say this; an answer is waited for.
    Ask(String),
    /// Everything is answered.
    Complete(FormAnswers),
    /// The person gave up.
    Cancelled,
}

impl Asking {
    /// The form's questions, and the first thing to say. Secrets come last: who gives up before has told none.
    pub fn begin(form: Form) -> (Self, Heard) {
        let Form {
            title,
            instructions,
            fields,
        } = form;
        let (secret, open): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.kind == FieldKind::Password);
        let mut asking = Self {
            fields: open.into_iter().chain(secret).collect(),
            answers: FormAnswers::new(),
        };
        let mut heading: Vec<_> = [title, instructions].into_iter().filter(|text| !text.is_empty()).collect();
        let next = match asking.next() {
            Heard::Ask(question) => {
                heading.push(question);
                Heard::Ask(heading.join("\n"))
            }
            other @ (Heard::Complete(_) | Heard::Cancelled) => other,
        };
        (asking, next)
    }

    /// Something the person wrote.
    pub fn hear(&mut self, text: &str) -> Heard {
        let text = text.trim();
        if text.eq_ignore_ascii_case(CANCEL) {
            self.answers.clear();
            return Heard::Cancelled;
        }
        let Some(field) = self.fields.front() else {
            return self.next();
        };
        match value(field, text) {
            Some(value) => {
                self.answers.insert(field.name.clone(), value);
                self.fields.pop_front();
                self.next()
            }
            None => Heard::Ask(format!("That is no possible answer.\n{}", question(field))),
        }
    }

    /// Whether a secret is asked now.
    pub fn asks_secret(&self) -> bool {
        self.fields.front().is_some_and(|field| field.kind == FieldKind::Password)
    }

    fn next(&mut self) -> Heard {
        match self.fields.front() {
            Some(field) => Heard::Ask(question(field)),
            None => Heard::Complete(std::mem::take(&mut self.answers)),
        }
    }
}

fn question(field: &Field) -> String {
    let label = if field.label.is_empty() { &field.name } else { &field.label };
    let hint = match &field.kind {
        FieldKind::Text | FieldKind::Name | FieldKind::Password => String::new(),
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
    if text == "-" || text.is_empty() {
        return match &field.default {
            Some(default) => Some(Secret::new(default.as_str())),
            None => (!field.required).then(Secret::default),
        };
    }
    let value = match &field.kind {
        FieldKind::Text | FieldKind::Name | FieldKind::Password => Secret::new(text),
        FieldKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "true" | "1" => Secret::new("true"),
            "no" | "n" | "false" | "0" => Secret::new("false"),
            _ => return None,
        },
        FieldKind::Choice(choices) => {
            let chosen = choices
                .iter()
                .find(|(value, label)| value.eq_ignore_ascii_case(text) || label.eq_ignore_ascii_case(text));
            Secret::new(chosen?.0.as_str())
        }
    };
    check_value(field, &value).ok().map(|()| value)
}
