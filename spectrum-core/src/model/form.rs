//! Questions to a person: what a registration needs and what a login asks back. Rendered by the core.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::Secret;

/// How a field is filled in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FieldKind {
    /// One line.
    Text,
    /// One line without white space, as names of accounts are on most networks: refused before anybody logs in with it.
    Name,
    /// One line that nobody may see.
    Password,
    /// Yes or no.
    Boolean,
    /// One of these: value and label.
    Choice(Vec<(String, String)>),
}

/// One field of a form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// Its key. `username` and `password` are what Login carries as name and password; the rest goes to its settings.
    pub name: String,
    /// What the person sees.
    pub label: String,
    /// How it is filled in.
    pub kind: FieldKind,
    /// Whether it may be left out.
    pub required: bool,
    /// What stands there at first.
    pub default: Option<String>,
}

/// A few questions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Form {
    /// Heading.
    pub title: String,
    /// What to do.
    pub instructions: String,
    /// The questions.
    pub fields: Vec<Field>,
}

/// Answers by field name; secret until proven otherwise.
pub type FormAnswers = BTreeMap<String, Secret>;

/// Something to look at during a login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A picture to scan, such as a QR code, with the text it stands for.
    Picture {
        /// Media type.
        media_type: String,
        /// The image.
        data: Bytes,
        /// What it says, for clients that show no pictures.
        text: String,
    },
    /// A link to follow.
    Link {
        /// Where to.
        url: String,
        /// What to do there.
        text: String,
    },
}

/// What a login asks back or shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginPrompt {
    /// Needs an answer.
    Ask(Form),
    /// Needs none.
    Show(Shown),
}
