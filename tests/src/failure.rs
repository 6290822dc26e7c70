//! The one error of the test kit: a sentence on what was attempted and what came instead.

use std::fmt;

/// What went wrong, for a person to read.
pub struct Failure(String);

/// The result of a helper of the test kit.
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Puts what was attempted before the text.
    #[must_use]
    pub fn while_doing(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

// `Result::unwrap` in a test prints this: the text as it is, lines unescaped.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}
