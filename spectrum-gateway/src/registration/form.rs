//! The registration form (XEP-0077, XEP-0004): made from the fields that the backend declares, and read back. Pure.
//!
//! Clients get the form and the old elements side by side, and may answer with either.

use std::collections::BTreeMap;

use jid::BareJid;
use minidom::Element;
use spectrum_core::backend::BackendInfo;
use spectrum_core::dialogue::{FormError, MAX_FIELDS, check_value, data_form, login_form};
use spectrum_core::model::{FieldKind, FormAnswers, LegacyName, Secret};
use spectrum_core::store::{NewRegistration, Registration};
use spectrum_core::xml::text_element;
use xmpp_parsers::ns;

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

/// The form to fill in (XEP-0077). It shows what is stored, except secrets.
pub(super) fn question(info: &BackendInfo, name: &str, registration: Option<&Registration>) -> Element {
    let form = login_form(info, name, registration.map(stored_values).as_ref());
    let mut query =
        Element::builder("query", ns::REGISTER).append(text_element("instructions", ns::REGISTER, &form.instructions));
    if registration.is_some() {
        query = query.append(Element::bare("registered", ns::REGISTER));
    }
    for field in form.fields.iter().filter(|field| LEGACY.contains(&field.name.as_str())) {
        let value = field.default.as_deref().unwrap_or_default();
        query = query.append(text_element(&field.name, ns::REGISTER, value));
    }
    query.append(data_form::question(&form, Some(ns::REGISTER), None)).build()
}

/// What is stored, by field and as the form shows it.
pub(crate) fn stored_values(registration: &Registration) -> BTreeMap<String, String> {
    let settings = registration.settings.iter();
    let mut values: BTreeMap<_, _> = settings
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    values.insert("username".to_owned(), registration.legacy_name.as_str().to_owned());
    values
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
            values.extend(data_form::answers(form)?);
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
            let mut value = self.values.remove(&field.name).unwrap_or_default();
            if value.is_empty() && field.kind == FieldKind::Password {
                let stored = match (old, field.name.as_str()) {
                    (Some(old), "password") => Some(&old.password),
                    (Some(old), other) => old.settings.get(other),
                    (None, _) => None,
                };
                value = stored.cloned().unwrap_or_default();
            }
            check_value(field, &value)?;
            let text = value.expose();
            match field.name.as_str() {
                "username" => {
                    let name = text.trim();
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
