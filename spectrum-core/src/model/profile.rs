//! What a person's card says, and their picture.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::Patch;

/// Names an avatar's content on the network; any text, compared byte by byte. Not necessarily a hash of the image.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AvatarHash(Arc<str>);

impl AvatarHash {
    /// Wraps the network's name of the picture.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Avatar {
    /// Media type such as `image/png`.
    pub media_type: String,
    /// The image.
    pub data: Bytes,
}

/// What is known of a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Profile {
    /// Full name.
    pub full_name: Option<String>,
    /// The name they go by.
    pub nickname: Option<String>,
    /// Picture.
    pub avatar: Option<Avatar>,
    /// Anything else, label and value, in the network's words.
    pub notes: Vec<(String, String)>,
}

/// A change of the user's own profile.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProfileUpdate {
    /// Full name.
    pub full_name: Patch<String>,
    /// The name to go by.
    pub nickname: Patch<String>,
    /// Picture.
    pub avatar: Patch<Avatar>,
}
