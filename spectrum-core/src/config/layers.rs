//! The layers a value can come from, merged by figment: defaults, file, environment, command line.

use std::fmt;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Tag, Value as Raw};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::{ConfigError, Problem};
use super::locate::Locator;
use super::unknown;

const ENVIRONMENT: &str = "environment";
const COMMAND_LINE: &str = "command line";

/// What every variable that belongs to the configuration starts with.
pub const ENVIRONMENT_PREFIX: &str = "SPECTRUM_";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file, and the line (from 1) where it is known.
    File(PathBuf, Option<usize>),
    /// This environment variable.
    Environment(String),
    /// `--set`.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

/// The merged layers.
pub(super) struct Layers {
    figment: Figment,
    root: Dict,
    locator: Locator,
    path: PathBuf,
}

impl Layers {
    /// Merges a file's text, environment variables (with their prefix) and `--set` pairs; later ones win.
    pub(super) fn merge(
        path: &Path,
        text: &str,
        environment: &[(String, String)],
        set: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let locator = Locator::parse(path, text)?;
        let environment = Layer::new(
            ENVIRONMENT,
            environment.iter().filter_map(|(name, value)| {
                let key = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase();
                // A variable that resembles no key and names no table belongs to somebody else, such as a test suite.
                let ours = key.contains("__") || unknown::nearest(&key).is_some();
                ours.then(|| (key.split("__").map(str::to_owned).collect(), value.as_str()))
            }),
        );
        let set = Layer::new(
            COMMAND_LINE,
            set.iter()
                .map(|(key, value)| (key.split('.').map(str::to_owned).collect(), value.as_str())),
        );
        let figment = Figment::new().merge(Toml::string(text)).merge(environment).merge(set);
        let mut data = figment.data().map_err(|error| {
            ConfigError::Invalid(vec![Problem::at(Origin::File(path.to_owned(), None), "", error.to_string())])
        })?;
        let root = data.remove(&Profile::Default).unwrap_or_default();
        Ok(Self {
            figment,
            root,
            locator,
            path: path.to_owned(),
        })
    }

    pub(super) fn root(&self) -> &Dict {
        &self.root
    }

    pub(super) fn find(&self, key: &str) -> Option<Raw> {
        let mut parts = key.split('.');
        let mut value = self.root.get(parts.next()?)?;
        for part in parts {
            value = value.as_dict()?.get(part)?;
        }
        Some(value.clone())
    }

    pub(super) fn file_origin(&self) -> Origin {
        Origin::File(self.path.clone(), None)
    }

    /// Where the value at `key` was said.
    pub(super) fn origin(&self, value: &Raw, key: &str) -> Origin {
        let layer = self
            .figment
            .get_metadata(deepest_tag(value))
            .map(|metadata| metadata.name.as_ref());
        match layer {
            Some(ENVIRONMENT) => Origin::Environment(variable(key)),
            Some(COMMAND_LINE) => Origin::CommandLine,
            _ => Origin::File(self.path.clone(), self.locator.line(key)),
        }
    }
}

/// The variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// A table merged from several layers has no tag of its own worth reporting; its first leaf has.
fn deepest_tag(value: &Raw) -> Tag {
    match value {
        Raw::Dict(tag, items) => items.values().next().map_or(*tag, deepest_tag),
        other => other.tag(),
    }
}

/// Pairs of a path and untyped text.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Layer {
    fn new<'a>(name: &'static str, pairs: impl Iterator<Item = (Vec<String>, &'a str)>) -> Self {
        let mut values = Dict::new();
        for (path, text) in pairs {
            insert(&mut values, &path, text);
        }
        Self { name, values }
    }
}

/// Puts `text` at `path`; a scalar in the way gives place to the table, so that the walk over unknown keys sees it.
fn insert(values: &mut Dict, path: &[String], text: &str) {
    match path {
        [] => {}
        [key] => {
            values.insert(key.clone(), Raw::from(text));
        }
        [key, rest @ ..] => {
            let entry = values.entry(key.clone()).or_insert_with(|| Raw::from(Dict::new()));
            if !matches!(entry, Raw::Dict(..)) {
                *entry = Raw::from(Dict::new());
            }
            if let Raw::Dict(_, inner) = entry {
                insert(inner, rest, text);
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}
