//! A change of one value: nothing is ever said by leaving something out.

/// What an update does to a value it may leave alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Patch<T> {
    /// The value stays as it was.
    #[default]
    Keep,
    /// The value is gone.
    Clear,
    /// The value is this now.
    Set(T),
}

impl<T> Patch<T> {
    /// Applies the change; true if the value differs afterwards.
    pub fn apply(self, value: &mut Option<T>) -> bool
    where
        T: PartialEq,
    {
        let new = match self {
            Self::Keep => return false,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        };
        let changed = *value != new;
        *value = new;
        changed
    }

    /// `Set` of the value if there is one, else `Keep`.
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    /// True for `Keep`.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value set, if any.
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applying_says_whether_the_value_changed() {
        let mut value = None;
        assert!(!Patch::<u8>::Keep.apply(&mut value));
        assert!(Patch::Set(1).apply(&mut value));
        assert!(!Patch::Set(1).apply(&mut value));
        assert!(Patch::Clear.apply(&mut value));
        assert_eq!(value, None);
    }
}
