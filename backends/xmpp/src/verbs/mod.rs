//! The longer verbs, by what they are about.

mod history;
mod profile;
mod rooms;
mod settings;

pub(crate) use rooms::standing;
