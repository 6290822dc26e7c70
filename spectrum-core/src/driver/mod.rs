//! The only caller of the backend traits.
