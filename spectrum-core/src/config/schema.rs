//! How a section of keys is declared once: struct, defaults, reader and reference come from the same lines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::{Dict, Value as Raw};

use super::error::Problem;
use super::kinds::Mode;
use super::layers::{Layers, Origin};
use super::value::{Text, Value};

/// One key as the reference and the search for the nearest key see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) secret: bool,
    pub(super) free_form: bool,
    pub(super) doc: &'static [&'static str],
}

/// One table of the file; the top level has the empty name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) keys: &'static [Key],
}

/// A value in force and where it came from, as `check` prints it. Secrets read `***`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// The value as TOML, or `none`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Takes values out of the merged layers, remembers their origins and collects every problem.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    expansions: BTreeMap<&'static str, Option<String>>,
    mode: Mode,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            expansions: BTreeMap::new(),
            mode: Mode::Gateway,
            entries: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Makes `name` (with its `$`) expand to `value` in everything read from now on; `None`: its use is a problem.
    pub(super) fn define(&mut self, name: &'static str, value: Option<String>) {
        self.expansions.insert(name, value);
    }

    /// Says which mode the defaults are for.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub(super) fn is_server(&self) -> bool {
        self.mode == Mode::Server
    }

    /// Reads one key; a bad value is recorded and reads as absent.
    pub(super) fn take<T: Value>(&mut self, key: &str) -> Option<T> {
        let raw = self.layers.find(key)?;
        let origin = self.layers.origin(&raw, key);
        let expanded = if T::SECRET { Ok(raw) } else { self.expanded(raw) };
        let read = expanded.and_then(|raw| {
            let raw = unquoted::<T>(raw, &origin);
            T::read(&raw)
        });
        match read {
            Ok(value) => {
                value.entries(key, &mut |key, value| {
                    self.entries.push(Entry {
                        key,
                        value,
                        origin: origin.clone(),
                    });
                });
                Some(value)
            }
            Err(message) => {
                self.problems.push(Problem::at(origin, key, message));
                None
            }
        }
    }

    /// Notes that a key has its default.
    pub(super) fn defaulted<T: Value>(&mut self, key: &str, value: &T) {
        value.entries(key, &mut |key, value| {
            self.entries.push(Entry {
                key,
                value,
                origin: Origin::Default,
            });
        });
    }

    /// Records that a key without a default is not given, and returns what stands in until the problems are reported.
    pub(super) fn missing<T>(&mut self, key: &str, why: &str, stand_in: T) -> T {
        if self.layers.find(key).is_none() {
            self.problems
                .push(Problem::at(self.layers.file_origin(), key, why.to_owned()));
        }
        stand_in
    }

    /// A default path, in which `$jid` expands.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        PathBuf::from(self.text(text))
    }

    /// A default text, in which `$jid` expands.
    pub(super) fn text(&self, text: &str) -> String {
        self.expand_text(text.to_owned()).unwrap_or_else(|_| text.to_owned())
    }

    fn expanded(&self, raw: Raw) -> Result<Raw, String> {
        match raw {
            Raw::String(tag, text) => Ok(Raw::String(tag, self.expand_text(text)?)),
            Raw::Array(tag, items) => {
                let items: Result<_, _> = items.into_iter().map(|item| self.expanded(item)).collect();
                Ok(Raw::Array(tag, items?))
            }
            Raw::Dict(tag, items) => {
                let items: Result<Dict, _> = items
                    .into_iter()
                    .map(|(key, item)| self.expanded(item).map(|item| (key, item)))
                    .collect();
                Ok(Raw::Dict(tag, items?))
            }
            other @ (Raw::Char(..) | Raw::Bool(..) | Raw::Num(..) | Raw::Empty(..)) => Ok(other),
        }
    }

    fn expand_text(&self, mut text: String) -> Result<String, String> {
        for (name, value) in &self.expansions {
            if text.contains(name) {
                let value = value
                    .as_deref()
                    .ok_or_else(|| format!("{name} is not set in the environment"))?;
                text = text.replace(name, value);
            }
        }
        Ok(text)
    }
}

/// Environment and command line have only text: there it is parsed, in the file it must already have the right type.
fn unquoted<T: Value>(raw: Raw, origin: &Origin) -> Text {
    match (raw, origin) {
        (Raw::String(_, text), Origin::Environment(_) | Origin::CommandLine) => Text::Untyped(text),
        (raw, _) => Text::Typed(raw),
    }
}

/// `a.b` below a section, the bare name at the top level.
pub(super) fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// Declares one section: `Name("toml name", reader) { /// doc  field: Type = default, }`. `field as "key"` where the key is
/// no Rust identifier. A default may name the fields above it.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $name:ident($prefix:literal, $reader:ident) {
            $( $(#[doc = $doc:literal])+ $field:ident $(as $key:literal)? : $type:ty = $default:expr, )*
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        #[allow(unreachable_pub, reason = "the keys above the first table are re-exported as fields of `Config`")]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )*
        }

        impl $name {
            pub(super) const SECTION: $crate::config::schema::Section = $crate::config::schema::Section {
                name: $prefix,
                doc: &[$($section_doc),+],
                keys: &[$( $crate::config::schema::Key {
                    name: section!(@name $field $($key)?),
                    expected: <$type as $crate::config::value::Value>::EXPECTED,
                    secret: <$type as $crate::config::value::Value>::SECRET,
                    free_form: <$type as $crate::config::value::Value>::FREE_FORM,
                    doc: &[$($doc),+],
                } ),*],
            };

            pub(super) fn read($reader: &mut $crate::config::schema::Reader<'_>) -> Self {
                $(
                    let key = $crate::config::schema::join($prefix, section!(@name $field $($key)?));
                    let $field: $type = match $reader.take(&key) {
                        Some(value) => value,
                        None => {
                            let value: $type = $default;
                            $reader.defaulted(&key, &value);
                            value
                        }
                    };
                )*
                Self { $($field),* }
            }
        }
    };
    (@name $field:ident $key:literal) => { $key };
    (@name $field:ident) => { stringify!($field) };
}
pub(super) use section;
