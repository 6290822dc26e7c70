//! When two IRC names are the same name (`CASEMAPPING` of ISUPPORT). Pure.

use std::borrow::Cow;

/// A server's rule for folding names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Casemap {
    /// ASCII letters.
    Ascii,
    /// ASCII letters, and `{}|~` are the small `[]\^`. What a server has that does not say.
    #[default]
    Rfc1459,
    /// As RFC 1459, without `~` and `^`.
    StrictRfc1459,
}

impl Casemap {
    /// From the value of `CASEMAPPING`; a rule we do not know folds ASCII letters only.
    pub(crate) fn from_token(token: &str) -> Self {
        if token.eq_ignore_ascii_case("rfc1459") {
            Self::Rfc1459
        } else if token.eq_ignore_ascii_case("strict-rfc1459") || token.eq_ignore_ascii_case("rfc1459-strict") {
            Self::StrictRfc1459
        } else {
            Self::Ascii
        }
    }

    fn fold_byte(self, byte: u8) -> u8 {
        match (self, byte) {
            (_, b'A'..=b'Z') => byte + 32,
            (Self::Rfc1459 | Self::StrictRfc1459, b'['..=b']') => byte + 32,
            (Self::Rfc1459, b'^') => b'~',
            _ => byte,
        }
    }

    /// The name all spellings of it share. Borrows when it is spelt that way already.
    pub(crate) fn fold(self, name: &str) -> Cow<'_, str> {
        if name.bytes().all(|b| self.fold_byte(b) == b) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(
            name.chars()
                .map(|c| {
                    if c.is_ascii() {
                        char::from(self.fold_byte(c as u8))
                    } else {
                        c
                    }
                })
                .collect(),
        )
    }

    /// Whether both are the same name.
    pub(crate) fn same(self, a: &str, b: &str) -> bool {
        a.len() == b.len() && a.bytes().zip(b.bytes()).all(|(a, b)| self.fold_byte(a) == self.fold_byte(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1459_takes_braces_for_small_brackets() {
        assert_eq!(Casemap::Rfc1459.fold("Nick[]\\^"), "nick{}|~");
        assert_eq!(Casemap::StrictRfc1459.fold("Nick[]\\^"), "nick{}|^");
        assert_eq!(Casemap::Ascii.fold("Nick[]\\^"), "nick[]\\^");
        assert!(Casemap::Rfc1459.same("A[", "a{"));
        assert!(!Casemap::Ascii.same("A[", "a{"));
    }

    #[test]
    fn letters_beyond_ascii_are_left_alone() {
        assert_eq!(Casemap::Rfc1459.fold("ÄB"), "Äb");
    }

    #[test]
    fn folded_names_are_borrowed() {
        assert!(matches!(Casemap::Rfc1459.fold("#room"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_unknown_rule_is_ascii() {
        assert_eq!(Casemap::from_token("rfc7613"), Casemap::Ascii);
    }
}
