//! `ada`: talks, and does tricks when she is told to. In a room she listens, and answers who speaks to her or says hello.

use spectrum_backend_sdk::model::{Chat, Nickname};

use super::{ADA, CAROL, Cue, Stage, tricks};
use crate::network::Draft;

/// How long a text may be of which she reads every word.
const ATTENTION_SPAN: usize = 512;

/// Reacts to something the user did where she is.
pub(super) async fn react(stage: &Stage, cue: &Cue) {
    match cue {
        Cue::Said {
            chat,
            id,
            body,
            attachments,
        } => {
            let Some(words) = words_to_her(stage, chat, body) else {
                return;
            };
            let scene = tricks::Scene {
                stage,
                chat: stage.theirs(chat),
                line: id.clone(),
            };
            if let Some(file) = attachments.first() {
                scene.answer(&format!("I have got your file: {}", file.url));
            } else if let Some((trick, rest)) = tricks::find(words) {
                tricks::perform(&scene, trick, rest).await;
            } else {
                scene.answer(&converse(words, stage.user.as_str()));
            }
        }
        Cue::Edited { chat, body, .. } if !matches!(chat, Chat::Room(_)) => {
            say(stage, chat, &format!("You have changed that to: {}", cut(body)));
        }
        Cue::Retracted { chat, .. } if !matches!(chat, Chat::Room(_)) => say(stage, chat, "You have taken that back."),
        Cue::Reacted { chat, emojis, .. } if !matches!(chat, Chat::Room(_)) && !emojis.is_empty() => {
            say(stage, chat, &format!("You reacted with {}.", cut(&emojis.join(" "))));
        }
        Cue::Marked { chat, id, kind } => {
            *stage.marked() = Some((stage.theirs(chat), id.clone(), *kind));
        }
        Cue::State { .. }
        | Cue::Edited { .. }
        | Cue::Retracted { .. }
        | Cue::Reacted { .. }
        | Cue::Attention(_)
        | Cue::Asked(_)
        | Cue::Answered { .. }
        | Cue::Invited { .. } => {}
    }
}

/// Somebody has called for her attention.
pub(super) fn called(stage: &Stage) {
    say(stage, &Chat::Contact(ADA.into()), "Yes, I am listening.");
}

/// The user has answered the request that she made `carol` send.
pub(super) fn answered(stage: &Stage, accept: bool) {
    let text = if accept { "Thank you for seeing me." } else { "What a pity." };
    let chat = Chat::Contact(stage.user.clone());
    stage.say(CAROL, &chat, Draft::text(text));
}

fn say(stage: &Stage, chat: &Chat, text: &str) {
    stage.say(ADA, &stage.theirs(chat), Draft::text(text));
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(ATTENTION_SPAN).map_or(text, |(end, _)| &text[..end])
}

/// What of a message is meant for her; in a room only what begins with her name, or a greeting.
fn words_to_her<'a>(stage: &Stage, chat: &Chat, body: &'a str) -> Option<&'a str> {
    let Chat::Room(room) = chat else { return Some(body.trim()) };
    let nickname = stage.network.nickname_in(room, &ADA.into())?;
    spoken_to(body, &nickname)
}

fn spoken_to<'a>(body: &'a str, nickname: &Nickname) -> Option<&'a str> {
    let body = body.trim();
    let name = nickname.as_str();
    if let Some(start) = body.get(..name.len())
        && start.eq_ignore_ascii_case(name)
    {
        return Some(body[name.len()..].trim_start_matches([':', ',', ' ']));
    }
    is_greeting(body).then_some(body)
}

fn is_greeting(text: &str) -> bool {
    let lower = cut(text).to_lowercase();
    let first = lower.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    ["hello", "hi", "hey"].contains(&first) || lower.starts_with("good morning")
}

/// What she says to words that are no trick.
fn converse(said: &str, by: &str) -> String {
    if is_greeting(said) {
        format!("Hello {by}, nice to see you here. Write \"help\" to me and see what I can do.")
    } else if cut(said).contains('?') {
        "A fair question. What would you do?".to_owned()
    } else {
        "Tell me more.".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_room_she_answers_only_who_speaks_to_her_or_greets() {
        let ada = Nickname::from("ada");
        assert_eq!(spoken_to("Ada, what is this?", &ada), Some("what is this?"));
        assert_eq!(spoken_to("ada: op", &ada), Some("op"));
        assert_eq!(spoken_to("Hello everybody", &ada), Some("Hello everybody"));
        assert_eq!(spoken_to("this is for somebody else", &ada), None);
        assert_eq!(spoken_to("\u{e9}\u{e9}", &ada), None);
    }

    #[test]
    fn she_reads_only_so_far() {
        assert_eq!(cut(&"\u{e9}".repeat(2 * ATTENTION_SPAN)).chars().count(), ATTENTION_SPAN);
    }
}
