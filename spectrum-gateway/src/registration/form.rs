//! The registration form (XEP-0077, XEP-0004): made from the fields that the backend declares, and read back. Pure.
//!
//! Clients get the form and the old elements side by side, and may answer with either.

use std::collections::BTreeMap;

use jid::BareJid;
use minidom::Element;
use spectrum_core::backend::BackendInfo;
use spectrum_core::model::{Field, FieldKind, FormAnswers, LegacyName, Secret};
use spectrum_core::store::{NewRegistration, Registration};
use spectrum_core::xml::text_element;
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field as FormField, FieldType, Option_};
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::DefinedCondition;

/// The longest value of a field, in bytes.
const MAX_VALUE_BYTES: usize = 4_096;
/// The most fields that are read, declared or not.
const MAX_FIELDS: usize = 64;
/// The old elements of XEP-0077 that carry a value.
const LEGACY: [&str; 15] = [
    "username", "nick", "password", "name", "first", "last", "email", "address", "city", "state", "zip", "phone", "url", "date",
    "misc",
];

/// What somebody entered, not checked yet.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    values: BTreeMap<String, Secret>,
}

/// Why what was entered cannot be right. Names fields, never values.
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
    /// The account is the user's own XMPP address here, which would talk to itself.
    #[error("This is your own XMPP address; enter your account on the network.")]
    OwnAddress,
}

impl FormError {
    pub(super) fn condition(&self) -> DefinedCondition {
        match self {
            Self::Malformed | Self::Cancelled => DefinedCondition::BadRequest,
            Self::Missing { .. } | Self::TooLong { .. } | Self::Choice { .. } | Self::Characters { .. } | Self::OwnAddress => {
                DefinedCondition::NotAcceptable
            }
        }
    }
}

/// The form to fill in. It shows what is stored, except secrets.
pub(super) fn question(info: &BackendInfo, name: &str, registration: Option<&Registration>) -> Element {
    let value = |field: &Field| -> Option<String> {
        match (registration, field.name.as_str()) {
            (_, "password") => None,
            (Some(registration), "username") => Some(registration.legacy_name.as_str().to_owned()),
            (Some(registration), other) if field.kind != FieldKind::Password => {
                registration.settings.get(other).map(|value| value.expose().to_owned())
            }
            (Some(_), _) => None,
            (None, _) => field.default.clone(),
        }
    };
    let mut query = Element::builder("query", ns::REGISTER).append(text_element(
        "instructions",
        ns::REGISTER,
        &info.registration_instructions,
    ));
    if registration.is_some() {
        query = query.append(Element::bare("registered", ns::REGISTER));
    }
    for field in info.registration.iter().filter(|field| LEGACY.contains(&field.name.as_str())) {
        query = query.append(text_element(&field.name, ns::REGISTER, &value(field).unwrap_or_default()));
    }
    let mut form = DataForm::new(DataFormType::Form, ns::REGISTER, Vec::new());
    form.title = Some(format!("Registration with {name}"));
    form.instructions = Some(info.registration_instructions.clone());
    form.fields.extend(info.registration.iter().map(|field| {
        let mut shown = FormField::new(&field.name, field_type(&field.kind));
        shown.label = Some(field.label.clone());
        // A password that is stored may stay.
        shown.required = field.required && !(registration.is_some() && field.kind == FieldKind::Password);
        shown.values = value(field).into_iter().collect();
        if let FieldKind::Choice(choices) = &field.kind {
            let option = |(value, label): &(String, String)| Option_ {
                label: Some(label.clone()),
                value: value.clone(),
            };
            shown.options = choices.iter().map(option).collect();
        }
        shown
    }));
    query.append(Element::from(form)).build()
}

fn field_type(kind: &FieldKind) -> FieldType {
    match kind {
        FieldKind::Text => FieldType::TextSingle,
        FieldKind::Password => FieldType::TextPrivate,
        FieldKind::Boolean => FieldType::Boolean,
        FieldKind::Choice(_) => FieldType::ListSingle,
    }
}

impl Submission {
    /// Of these values, by field name.
    pub fn new(values: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self {
            values: values.into_iter().collect(),
        }
    }

    /// Reads a submission; `None` if it asks for removal. A form counts before the old elements.
    pub(super) fn read(query: &Element) -> Result<Option<Self>, FormError> {
        if query.has_child("remove", ns::REGISTER) {
            return Ok(None);
        }
        let mut values = BTreeMap::new();
        for child in query.children().filter(|child| child.has_ns(ns::REGISTER)).take(MAX_FIELDS) {
            if LEGACY.contains(&child.name()) {
                values.insert(child.name().to_owned(), Secret::new(child.text()));
            }
        }
        if let Some(form) = query.get_child("x", ns::DATA_FORMS) {
            match form.attr("type") {
                // COMPAT: some clients leave the type out, or send the form back as it came.
                Some("submit" | "form") | None => {}
                Some("cancel") => return Err(FormError::Cancelled),
                Some(_) => return Err(FormError::Malformed),
            }
            // Read by hand: clients leave types out, or give others than they were asked for.
            for field in form
                .children()
                .filter(|child| child.is("field", ns::DATA_FORMS))
                .take(MAX_FIELDS)
            {
                let value = field.get_child("value", ns::DATA_FORMS).map(Element::text);
                if let (Some(var), Some(value)) = (field.attr("var"), value) {
                    values.insert(var.to_owned(), Secret::new(value));
                }
            }
        }
        if values.is_empty() {
            Err(FormError::Malformed)
        } else {
            Ok(Some(Self { values }))
        }
    }

    /// What is to be stored. An empty password leaves the stored one, for the form does not show it.
    pub(super) fn check(
        mut self,
        info: &BackendInfo,
        user: &BareJid,
        old: Option<&Registration>,
    ) -> Result<NewRegistration, FormError> {
        let mut username = LegacyName::from("");
        let mut password = Secret::default();
        let mut settings = FormAnswers::new();
        for field in &info.registration {
            let label = || field.label.clone();
            let mut value = self.values.remove(&field.name).unwrap_or_default();
            if value.is_empty() && field.kind == FieldKind::Password {
                let stored = match (old, field.name.as_str()) {
                    (Some(old), "password") => Some(&old.password),
                    (Some(old), other) => old.settings.get(other),
                    (None, _) => None,
                };
                value = stored.cloned().unwrap_or_default();
            }
            let text = value.expose();
            if text.is_empty() && field.required {
                return Err(FormError::Missing { label: label() });
            }
            if text.len() > MAX_VALUE_BYTES {
                return Err(FormError::TooLong { label: label() });
            }
            if text.chars().any(char::is_control) {
                return Err(FormError::Characters { label: label() });
            }
            let is_choice = match &field.kind {
                FieldKind::Text | FieldKind::Password => true,
                FieldKind::Boolean => matches!(text, "" | "0" | "1" | "true" | "false"),
                FieldKind::Choice(choices) => text.is_empty() || choices.iter().any(|(value, _)| value == text),
            };
            if !is_choice {
                return Err(FormError::Choice { label: label() });
            }
            match field.name.as_str() {
                "username" => {
                    let name = text.trim();
                    if name.is_empty() && field.required {
                        return Err(FormError::Missing { label: label() });
                    }
                    if BareJid::new(name).is_ok_and(|jid| jid == *user) {
                        return Err(FormError::OwnAddress);
                    }
                    username = LegacyName::from(name);
                }
                "password" => password = value,
                _ if text.is_empty() => {}
                other => {
                    settings.insert(other.to_owned(), value);
                }
            }
        }
        // What the backend keeps for the account beyond the form stays.
        if let Some(old) = old {
            let is_declared = |name: &str| info.registration.iter().any(|field| field.name == name);
            for (name, value) in old.settings.iter().filter(|(name, _)| !is_declared(name)) {
                settings.insert(name.clone(), value.clone());
            }
        }
        Ok(NewRegistration {
            legacy_name: username,
            password,
            settings,
        })
    }
}

#[cfg(test)]
mod tests;
