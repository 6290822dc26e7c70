//! How single values are read and shown: text, numbers, lists, durations, sizes, addresses, secrets.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use figment::value::{Num, Value as Raw};
use jid::BareJid;

use crate::model::Secret;

/// A value as it arrived.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// From the file, with a type.
    Typed(Raw),
    /// From the environment or the command line, which have only text.
    Untyped(String),
}

/// A type that a key can have.
pub(super) trait Value: Sized {
    /// What a reader of an error or of the reference should write, with its article.
    const EXPECTED: &'static str;
    /// Never shown, refused on the command line, not expanded.
    const SECRET: bool = false;
    /// A table whose keys are somebody else's.
    const FREE_FORM: bool = false;

    /// Reads text; used for everything that is a string in the file too.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Reads a typed value. Types that are strings in the file keep this.
    fn from_typed(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::String(_, text) => Self::from_text(text),
            other => Err(mismatch::<Self>(other)),
        }
    }

    /// The value as TOML, `none` where there is none.
    fn show(&self) -> String;

    fn read(text: &Text) -> Result<Self, String> {
        match text {
            Text::Typed(raw) => Self::from_typed(raw),
            Text::Untyped(text) => Self::from_text(text),
        }
    }

    /// Lists what `check` shows: one line, or one per leaf of a free-form table.
    fn entries(&self, key: &str, add: &mut dyn FnMut(String, String)) {
        add(key.to_owned(), self.show());
    }
}

/// "expected X, found Y". The value itself is not quoted: it may be a secret in the wrong place.
pub(super) fn mismatch<T: Value>(raw: &Raw) -> String {
    let found = match raw {
        Raw::String(..) | Raw::Char(..) => "a string",
        Raw::Bool(..) => "true or false",
        Raw::Num(_, Num::F32(_) | Num::F64(_)) => "a number with a fraction",
        Raw::Num(..) => "a number",
        Raw::Empty(..) => "nothing",
        Raw::Dict(..) => "a table",
        Raw::Array(..) => "a list",
    };
    format!("expected {}, found {found}", T::EXPECTED)
}

fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string().trim().to_owned()
}

impl Value for String {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("expected {}", Self::EXPECTED)),
        }
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Bool(_, value) => Ok(*value),
            other => Err(mismatch::<Self>(other)),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole_number {
    ($type:ty, $expected:literal) => {
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("expected {}", Self::EXPECTED))
            }

            fn from_typed(raw: &Raw) -> Result<Self, String> {
                match raw {
                    Raw::Num(_, Num::F32(_) | Num::F64(_)) => Err(mismatch::<Self>(raw)),
                    Raw::Num(_, number) => number
                        .to_i128()
                        .and_then(|number| Self::try_from(number).ok())
                        .ok_or_else(|| format!("out of range, expected {}", Self::EXPECTED)),
                    other => Err(mismatch::<Self>(other)),
                }
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}

whole_number!(u16, "a number from 0 to 65535");
whole_number!(u32, "a number from 0 to 4294967295");

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("expected a path, found nothing".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address and port such as \"127.0.0.1:5222\" or \"[::]:5222\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{} is not an address; expected {}", quoted(text), Self::EXPECTED))
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for BareJid {
    const EXPECTED: &'static str = "a JID without a resource such as \"irc.example.org\" or \"root@example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| format!("{} is not a JID ({error}); expected {}", quoted(text), Self::EXPECTED))
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Value for Duration {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"30s\", \"10m\", \"2h\" or \"1d\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let refuse = || format!("{} is not a duration; expected {}", quoted(text), Self::EXPECTED);
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(refuse()),
        };
        number.checked_mul(milliseconds).map(Self::from_millis).ok_or_else(refuse)
    }

    fn show(&self) -> String {
        let milliseconds = self.as_millis();
        let (number, unit) = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
            .into_iter()
            .find(|(size, _)| milliseconds >= *size && milliseconds.is_multiple_of(*size))
            .map_or((milliseconds, "ms"), |(size, unit)| (milliseconds / size, unit));
        quoted(&format!("{number}{unit}"))
    }
}

/// A number of bytes. In the file: `1048576`, or with a unit `"100MB"`, `"16MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl Value for ByteSize {
    const EXPECTED: &'static str = "a number of bytes, or a size such as \"100MB\" or \"16MiB\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let refuse = || format!("{} is not a size; expected {}", quoted(text), Self::EXPECTED);
        let (number, unit) = split_unit(text);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let size = match unit {
            "" => 1,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                    .ok_or_else(refuse)?
                    .1
            }
        };
        number.checked_mul(size).map(Self).ok_or_else(refuse)
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::String(_, text) => Self::from_text(text),
            Raw::Num(_, number) if !matches!(number, Num::F32(_) | Num::F64(_)) => number
                .to_i128()
                .and_then(|number| u64::try_from(number).ok())
                .map(Self)
                .ok_or_else(|| format!("out of range, expected {}", Self::EXPECTED)),
            other => Err(mismatch::<Self>(other)),
        }
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = UNITS
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.trim())
}

impl Value for Secret {
    const EXPECTED: &'static str = "a string";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("must not be empty".to_owned())
        } else {
            Ok(Self::new(text))
        }
    }

    fn show(&self) -> String {
        "***".to_owned()
    }
}

/// A key that may be absent; the text `none` says so explicitly.
impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const SECRET: bool = T::SECRET;

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "none" && !T::SECRET {
            Ok(None)
        } else {
            T::from_text(text).map(Some)
        }
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::String(_, text) if text == "none" && !T::SECRET => Ok(None),
            other => T::from_typed(other).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::show)
    }
}

/// What lists of a type are called.
pub(super) trait Listed: Value {
    const LIST: &'static str;
}

impl Listed for String {
    const LIST: &'static str = "a list of strings";
}

impl Listed for SocketAddr {
    const LIST: &'static str = "a list of addresses with ports such as [\"127.0.0.1:5222\", \"[::]:5222\"]";
}

impl Listed for BareJid {
    const LIST: &'static str = "a list of JIDs without resources";
}

/// In the file a list; in the environment and on the command line a TOML list or items between commas.
impl<T: Listed> Value for Vec<T> {
    const EXPECTED: &'static str = T::LIST;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            let value = toml_edit::Value::from_str(text).map_err(|_| format!("expected {}", Self::EXPECTED))?;
            let items = value.as_array().ok_or_else(|| format!("expected {}", Self::EXPECTED))?;
            return items
                .iter()
                .map(|item| {
                    item.as_str()
                        .ok_or_else(|| format!("expected {}", Self::EXPECTED))
                        .and_then(T::from_text)
                })
                .collect();
        }
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(T::from_text)
            .collect()
    }

    fn from_typed(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Array(_, items) => items.iter().map(T::from_typed).collect(),
            other => Err(mismatch::<Self>(other)),
        }
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}

/// Implements [`Value`] for an enum of words, and its parsing and printing.
macro_rules! words {
    ($type:ident, $expected:literal, $($word:literal => $variant:ident),+) => {
        impl $type {
            /// The word in the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::config::value::Value for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("expected {}, found {other:?}", Self::EXPECTED)),
                }
            }

            fn show(&self) -> String {
                format!("\"{self}\"")
            }
        }
    };
}
pub(super) use words;
