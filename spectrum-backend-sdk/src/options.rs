//! `[backend.options]` of an instance, as a backend reads them: texts under dotted keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use spectrum_core::model::Secret;

/// The options a backend is made with. `Debug` shows the keys alone: any value may be a secret.
#[derive(Clone, Default)]
pub struct Options {
    values: BTreeMap<String, Secret>,
    read: BTreeSet<String>,
}

/// An option that a backend cannot work with. Shown to whoever runs the instance.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// It has to be there and is not.
    #[error("option `{0}` is missing")]
    Missing(String),
    /// Its value is none it can have. The value itself is not told.
    #[error("option `{name}`: {problem}")]
    Invalid {
        /// Which.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No backend of this kind has such options.
    #[error("unknown options: {}", .0.join(", "))]
    Unknown(Vec<String>),
}

impl Options {
    /// Options of this text each.
    pub fn new(values: BTreeMap<String, Secret>) -> Self {
        Self {
            values,
            read: BTreeSet::new(),
        }
    }

    /// One option's text.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.read.insert(name.to_owned());
        self.values.get(name).map(Secret::expose)
    }

    /// One option as a secret.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        self.read.insert(name.to_owned());
        self.values.get(name).cloned()
    }

    /// One option that has to be there.
    ///
    /// # Errors
    /// [`OptionsError::Missing`]
    pub fn required(&mut self, name: &str) -> Result<&str, OptionsError> {
        self.get(name).ok_or_else(|| OptionsError::Missing(name.to_owned()))
    }

    /// One option as a number or the like; truth values are `true` and `false`.
    ///
    /// # Errors
    /// [`OptionsError::Invalid`] if the text is no such value.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, OptionsError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.trim().parse() {
            Ok(value) => Ok(Some(value)),
            Err(problem) => Err(OptionsError::Invalid {
                name: name.to_owned(),
                problem: format!("{problem}"),
            }),
        }
    }

    /// One option as a list: items apart by commas.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Checks that every option given has been read.
    ///
    /// # Errors
    /// [`OptionsError::Unknown`] with those that were not.
    pub fn finish(self) -> Result<(), OptionsError> {
        let unknown: Vec<_> = self.values.into_keys().filter(|name| !self.read.contains(name)).collect();
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(OptionsError::Unknown(unknown))
        }
    }

    /// All of them.
    pub fn into_map(self) -> BTreeMap<String, Secret> {
        self.values
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.values).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        Options::new(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Secret::from(*value)))
                .collect(),
        )
    }

    #[test]
    fn values_are_read_as_what_they_are_meant_to_be() {
        let mut options = options(&[
            ("port", " 6697"),
            ("tls", "true"),
            ("networks", "a:1, b:2,"),
            ("password", "p"),
        ]);
        assert_eq!(options.parse::<u16>("port").unwrap(), Some(6697));
        assert_eq!(options.parse::<bool>("tls").unwrap(), Some(true));
        assert_eq!(options.parse::<bool>("absent").unwrap(), None);
        assert_eq!(options.list("networks"), ["a:1", "b:2"]);
        assert_eq!(options.secret("password").unwrap().expose(), "p");
        assert_eq!(options.finish(), Ok(()));
    }

    #[test]
    fn errors_name_the_option_and_never_its_value() {
        let mut options = options(&[("port", "swordfish"), ("colour", "blue")]);
        let error = options.parse::<u16>("port").unwrap_err().to_string();
        assert_eq!(error, "option `port`: invalid digit found in string");
        assert_eq!(
            options.required("server").unwrap_err(),
            OptionsError::Missing("server".to_owned())
        );
        assert_eq!(options.finish(), Err(OptionsError::Unknown(vec!["colour".to_owned()])));
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", options(&[("password", "hunter2")])), r#"{"password": ***}"#);
    }
}
