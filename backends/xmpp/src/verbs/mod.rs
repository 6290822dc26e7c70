//! The longer verbs, by what they are about.

mod history;
mod profile;
mod rooms;

pub(crate) use rooms::standing;
