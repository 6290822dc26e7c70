//! `[backend.options]`: free-form, handed to the backend, flattened to dotted keys.

use std::collections::BTreeMap;
use std::fmt;

use figment::value::{Dict, Value as Raw};

use super::value::{Value, mismatch};

/// The options of a backend. `Debug` hides values whose key says that they are secrets.
#[derive(Clone, Default, PartialEq)]
pub struct BackendOptions {
    leaves: BTreeMap<String, Vec<String>>,
}

impl BackendOptions {
    /// Every option under its dotted key; the items of a list are joined by `, `.
    #[must_use]
    pub fn flatten(&self) -> BTreeMap<String, String> {
        self.leaves
            .iter()
            .map(|(key, values)| (key.clone(), values.join(", ")))
            .collect()
    }

    /// Every option as pairs for an INI file: a list gives one pair per item.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.leaves
            .iter()
            .flat_map(|(key, values)| values.iter().map(move |value| (key.as_str(), value.as_str())))
    }

    /// One option; of a list the first item.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.leaves.get(key)?.first().map(String::as_str)
    }

    /// Adds or replaces one option.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.leaves.insert(key.into(), vec![value.into()]);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }
}

impl fmt::Debug for BackendOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, values): (&String, &Vec<String>)| {
            (
                key.clone(),
                if names_a_secret(key) {
                    "***".to_owned()
                } else {
                    values.join(", ")
                },
            )
        };
        f.debug_map().entries(self.leaves.iter().map(shown)).finish()
    }
}

/// Whether a free-form key looks as if its value were a secret: it is then hidden and refused on the command line.
pub(crate) fn names_a_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    let ends = ["password", "secret", "token", "passwd", "passphrase", "credentials"];
    ends.iter().any(|end| last.ends_with(end)) || last == "key" || last.ends_with("_key")
}

impl Value for BackendOptions {
    const EXPECTED: &'static str = "a table";
    const FREE_FORM: bool = true;

    fn from_text(_: &str) -> Result<Self, String> {
        Err("expected a table; set its keys one by one".to_owned())
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        let Raw::Dict(_, table) = raw else {
            return Err(mismatch::<Self>(raw));
        };
        let mut options = Self::default();
        collect(table, "", &mut options.leaves)?;
        Ok(options)
    }

    fn show(&self) -> String {
        "{}".to_owned()
    }

    fn entries(&self, key: &str, add: &mut dyn FnMut(String, String)) {
        for (name, values) in &self.leaves {
            let quoted: Vec<String> = values.iter().map(String::show).collect();
            let value = match quoted.as_slice() {
                _ if names_a_secret(name) => "***".to_owned(),
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            add(format!("{key}.{name}"), value);
        }
    }
}

fn collect(table: &Dict, prefix: &str, leaves: &mut BTreeMap<String, Vec<String>>) -> Result<(), String> {
    for (name, value) in table {
        let key = super::schema::join(prefix, name);
        match value {
            Raw::Dict(_, inner) => collect(inner, &key, leaves)?,
            Raw::Array(_, items) => {
                let items: Result<_, _> = items.iter().map(|item| scalar(&key, item)).collect();
                leaves.insert(key, items?);
            }
            other => {
                let text = scalar(&key, other)?;
                leaves.insert(key, vec![text]);
            }
        }
    }
    Ok(())
}

fn scalar(key: &str, value: &Raw) -> Result<String, String> {
    match value {
        Raw::String(_, text) => Ok(text.clone()),
        Raw::Char(_, letter) => Ok(letter.to_string()),
        Raw::Bool(_, flag) => Ok(flag.to_string()),
        Raw::Num(_, number) => number
            .to_i128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_u128().map(|whole| whole.to_string()))
            .or_else(|| number.to_f64().map(|fraction| fraction.to_string()))
            .ok_or_else(|| format!("{key}: a number that cannot be written as text")),
        Raw::Empty(..) | Raw::Dict(..) | Raw::Array(..) => Err(format!(
            "{key}: expected a string, a number, true or false, or a list of these"
        )),
    }
}
