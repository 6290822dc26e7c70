//! What a login needs as one form, whatever shows it, and the check of what was answered. Names fields, never values.

use std::collections::BTreeMap;

use xmpp_parsers::stanza_error::DefinedCondition;

use super::data_form::{JIDS, LINES};
use crate::backend::BackendInfo;
use crate::model::{Field, FieldKind, Form, FormAnswers, Secret};

/// The longest value of a field, in bytes.
pub const MAX_VALUE_BYTES: usize = 4_096;
/// The most fields that are asked or read, declared or not.
pub const MAX_FIELDS: usize = 64;

/// Why what was entered cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// It is no form of ours.
    #[error("The form cannot be read.")]
    Malformed,
    /// The person gave up.
    #[error("The registration was cancelled.")]
    Cancelled,
    /// A field that is needed is empty.
    #[error("{label} is missing.")]
    Missing {
        /// The field's label.
        label: String,
    },
    /// A value is too long.
    #[error("{label} is too long.")]
    TooLong {
        /// The field's label.
        label: String,
    },
    /// A value is none of those that can be chosen, or no yes or no.
    #[error("{label} has a value that cannot be chosen.")]
    Choice {
        /// The field's label.
        label: String,
    },
    /// A value has characters that no name has.
    #[error("{label} has characters that cannot be used.")]
    Characters {
        /// The field's label.
        label: String,
    },
    /// A name has white space in it, and on this network names have none.
    #[error("{label} has a space in it, and names of this network have none.")]
    Spaces {
        /// The field's label.
        label: String,
    },
    /// The account is the user's own XMPP address here, which would talk to itself.
    #[error("This is your own XMPP address; enter your account on the network.")]
    OwnAddress,
}

impl FormError {
    /// As a stanza error says it.
    pub fn condition(&self) -> DefinedCondition {
        match self {
            Self::Malformed | Self::Cancelled => DefinedCondition::BadRequest,
            Self::Missing { .. }
            | Self::TooLong { .. }
            | Self::Choice { .. }
            | Self::Characters { .. }
            | Self::Spaces { .. }
            | Self::OwnAddress => DefinedCondition::NotAcceptable,
        }
    }
}

/// What a login needs. `stored`: what is kept already, by field and without secrets; `None` if nothing is kept.
pub fn login_form(info: &BackendInfo, name: &str, stored: Option<&BTreeMap<String, String>>) -> Form {
    let fields = info.registration.iter().map(|field| {
        let mut field = field.clone();
        if let Some(stored) = stored {
            // A password that is stored may stay.
            field.required &= field.kind != FieldKind::Password;
            field.default = stored.get(&field.name).cloned();
        }
        if field.kind == FieldKind::Password {
            field.default = None;
        }
        field
    });
    Form {
        title: format!("Registration with {name}"),
        instructions: info.registration_instructions.clone(),
        fields: fields.collect(),
    }
}

/// The value that a field has if it was answered so.
///
/// # Errors
/// [`FormError`] if it cannot be right.
pub fn check_value(field: &Field, value: &Secret) -> Result<(), FormError> {
    let label = || field.label.clone();
    let text = value.expose();
    let is_empty = match field.kind {
        FieldKind::Password => text.is_empty(),
        FieldKind::Text | FieldKind::Name | FieldKind::Boolean | FieldKind::Choice(_) => text.trim().is_empty(),
    };
    if is_empty && field.required {
        return Err(FormError::Missing { label: label() });
    }
    if text.len() > MAX_VALUE_BYTES {
        return Err(FormError::TooLong { label: label() });
    }
    let takes_lines = matches!(field.name.as_str(), JIDS | LINES) && field.kind == FieldKind::Text;
    if text.chars().any(|c| c.is_control() && !(takes_lines && c == '\n')) {
        return Err(FormError::Characters { label: label() });
    }
    // Around a name they are an accident, and are not kept.
    if field.kind == FieldKind::Name && text.trim().contains(char::is_whitespace) {
        return Err(FormError::Spaces { label: label() });
    }
    let is_choice = match &field.kind {
        FieldKind::Text | FieldKind::Name | FieldKind::Password => true,
        FieldKind::Boolean => matches!(text, "" | "0" | "1" | "true" | "false"),
        FieldKind::Choice(choices) => text.is_empty() || choices.iter().any(|(value, _)| value == text),
    };
    if is_choice {
        Ok(())
    } else {
        Err(FormError::Choice { label: label() })
    }
}

/// The answers to a form's own questions; what else was sent is left out.
///
/// # Errors
/// [`FormError`] for the first that cannot be right.
pub fn checked(form: &Form, answers: &FormAnswers) -> Result<FormAnswers, FormError> {
    let mut checked = FormAnswers::new();
    for field in &form.fields {
        let value = answers.get(&field.name).cloned().unwrap_or_default();
        check_value(field, &value)?;
        checked.insert(field.name.clone(), value);
    }
    Ok(checked)
}
