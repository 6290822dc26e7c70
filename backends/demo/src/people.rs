//! The two who are always there, and what they say. Pure.

use spectrum_backend_sdk::model::Profile;

use crate::{ADA, ECHO};

/// What a person who is always there answers; `None` for anybody else.
pub(crate) fn answer(to: &str, said: &str, by: &str) -> Option<String> {
    match to {
        ECHO => Some(said.to_owned()),
        ADA => Some(converse(said, by)),
        _ => None,
    }
}

/// What `ada` says to a line in a room: only when she is spoken to, or somebody greets.
pub(crate) fn answer_in_room(said: &str, by: &str) -> Option<String> {
    let lower = said.to_lowercase();
    let spoken_to = lower.starts_with(ADA);
    let greeting = ["hello", "hi", "hey", "good morning"].iter().any(|g| lower.starts_with(g));
    (spoken_to || greeting).then(|| format!("{by}: {}", converse(said, by)))
}

fn converse(said: &str, by: &str) -> String {
    let lower = said.to_lowercase();
    if lower.contains("help") {
        "Write to echo and hear yourself, join the room lobby, change its subject, or open a second client with another name and talk to it."
            .to_owned()
    } else if lower.contains('?') {
        "A fair question. What would you do?".to_owned()
    } else if ["hello", "hi", "hey"].iter().any(|g| lower.contains(g)) {
        format!("Hello {by}, nice to see you here.")
    } else {
        "Tell me more.".to_owned()
    }
}

/// The card of a person who is always there.
pub(crate) fn profile(name: &str) -> Option<Profile> {
    let full_name = match name {
        ECHO => "The Echo",
        ADA => "Ada of the Demo",
        _ => return None,
    };
    Some(Profile {
        full_name: Some(full_name.to_owned()),
        nickname: Some(name.to_owned()),
        ..Profile::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_says_what_it_is_told() {
        assert_eq!(answer(ECHO, "one two", "me").as_deref(), Some("one two"));
    }

    #[test]
    fn ada_answers_in_a_room_only_when_spoken_to() {
        assert!(answer_in_room("ada, what is this?", "me").is_some());
        assert!(answer_in_room("this is for somebody else", "me").is_none());
    }
}
