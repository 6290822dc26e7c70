//! What `ada` does on command: the list that `help` shows, and the tricks of a conversation. Those of a room are in `house`.

use std::fmt::Write as _;
use std::time::Duration;

use spectrum_backend_sdk::model::{
    Attachment, Availability, Chat, ChatState, ContactId, ContactRequest, ContactUpdate, Invitation, Marker, MarkerKind,
    MessageId, MessageKind, Origin, Presence, RoomId, Timestamp,
};
use spectrum_backend_sdk::{Event, LoginError, LoginErrorKind};

use super::{ADA, BREATH, CAROL, MOMENT, Stage, house, overlook, pause};
use crate::network::{Draft, VAULT, VAULT_PASSWORD};

/// A day before now.
const YESTERDAY: i64 = 24 * 60 * 60 * 1_000;
/// Longest text and most messages that she makes.
const MAX_LONG: usize = 200_000;
const MAX_BURST: usize = 500;
/// How long she types.
const TYPING: Duration = Duration::from_secs(3);

/// Something she can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trick {
    Help,
    Edit,
    React,
    Unreact,
    Reply,
    Retract,
    Typing,
    Read,
    Marks,
    Image,
    Attention,
    Headline,
    Notice,
    Old,
    Device,
    Long,
    Burst,
    Show(Availability),
    Face,
    Profile,
    Request,
    Invite,
    Unban,
    Seen,
    Enter,
    Quit,
    Drop,
    Room(house::Trick),
}

/// The word, what it takes, and what it does.
const TRICKS: &[(&str, &str, &str, Trick)] = &[
    ("help", "", "this list", Trick::Help),
    ("edit", "", "I say something and change it", Trick::Edit),
    ("react", " [EMOJI...]", "I react to your message", Trick::React),
    ("unreact", "", "I take my reactions to it back", Trick::Unreact),
    ("reply", " [TEXT]", "I answer your message, quoting it", Trick::Reply),
    ("retract", "", "I say something and take it back", Trick::Retract),
    ("typing", "", "I type for a while", Trick::Typing),
    ("read", "", "I mark your message as read", Trick::Read),
    ("marks", "", "I say what of mine you have marked as read", Trick::Marks),
    ("image", " [URL]", "I send a picture", Trick::Image),
    ("attention", "", "I call for your attention", Trick::Attention),
    ("headline", "", "an announcement", Trick::Headline),
    ("notice", "", "the network itself says something", Trick::Notice),
    ("old", "", "something that I said yesterday", Trick::Old),
    ("device", " TEXT", "another device of yours writes to me", Trick::Device),
    ("long", " BYTES", "a long text", Trick::Long),
    ("burst", " COUNT", "many messages at once", Trick::Burst),
    ("online", "", "I am there", Trick::Show(Availability::Online)),
    ("away", "", "I am away", Trick::Show(Availability::Away)),
    ("busy", "", "I am busy", Trick::Show(Availability::DoNotDisturb)),
    ("offline", "", "I am gone", Trick::Show(Availability::Offline)),
    ("avatar", "", "I take another picture", Trick::Face),
    ("profile", "", "I show my card", Trick::Profile),
    ("request", "", "carol asks to be your contact", Trick::Request),
    ("invite", "", "I invite you to the room vault", Trick::Invite),
    ("unban", " ROOM", "I take a ban back", Trick::Unban),
    ("seen", "", "another device of yours has read this", Trick::Seen),
    (
        "enter",
        " ROOM",
        "another device of yours is in the room from now on",
        Trick::Enter,
    ),
    ("quit", " ROOM", "and is not any more", Trick::Quit),
    ("drop", "", "the network loses your connection", Trick::Drop),
    ("op", "", "in a room: you are a moderator", Trick::Room(house::Trick::Op)),
    ("voice", "", "in a room: you may speak", Trick::Room(house::Trick::Voice)),
    ("mute", "", "in a room: you may only listen", Trick::Room(house::Trick::Mute)),
    ("kick", "", "in a room: you are thrown out", Trick::Room(house::Trick::Kick)),
    (
        "ban",
        "",
        "in a room: you are thrown out for good",
        Trick::Room(house::Trick::Ban),
    ),
    (
        "subject",
        " TEXT",
        "in a room: I change the subject",
        Trick::Room(house::Trick::Subject),
    ),
    (
        "rename",
        "",
        "in a room: I take another nickname",
        Trick::Room(house::Trick::Rename),
    ),
    ("leave", "", "in a room: I go and come back", Trick::Room(house::Trick::Leave)),
    (
        "whisper",
        "",
        "in a room: I write to you in private",
        Trick::Room(house::Trick::Whisper),
    ),
];

/// The trick that some words ask for, and the words after its name.
pub(super) fn find(words: &str) -> Option<(Trick, &str)> {
    let (first, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    let word = first.trim_start_matches('/');
    TRICKS
        .iter()
        .find(|(name, ..)| name.eq_ignore_ascii_case(word))
        .map(|(.., trick)| (*trick, rest.trim()))
}

/// Where she acts: the chat as she sees it, and the line she was given.
pub(super) struct Scene<'a> {
    pub(super) stage: &'a Stage,
    pub(super) chat: Chat,
    pub(super) line: MessageId,
}

impl Scene<'_> {
    /// Says something; in a room to the user by name.
    pub(super) fn answer(&self, text: &str) -> Option<MessageId> {
        let text = match &self.chat {
            Chat::Room(room) => match self.stage.network.nickname_in(room, &self.stage.user) {
                Some(nickname) => format!("{nickname}: {text}"),
                None => return None,
            },
            Chat::Contact(_) | Chat::Occupant { .. } => text.to_owned(),
        };
        self.stage.say(ADA, &self.chat, Draft::text(text))
    }

    pub(super) fn say(&self, draft: Draft) -> Option<MessageId> {
        self.stage.say(ADA, &self.chat, draft)
    }

    /// Tells the user something that is no message.
    fn tell(&self, event: Event) {
        self.stage.network.tell(&self.stage.user, event);
    }

    /// Another device of the user's is in this room, or not any more.
    fn own_room(&self, room: &str, is_in: bool) {
        if room.is_empty() {
            self.answer("Which room?");
        } else {
            self.stage.network.set_own_room(&self.stage.user, RoomId::from(room), is_in);
        }
    }

    fn react(&self, emojis: &[String]) {
        overlook(self.stage.network.react(&ADA.into(), &self.chat, &self.line, emojis));
    }

    fn state(&self, state: ChatState) {
        overlook(self.stage.network.set_chat_state(&ADA.into(), &self.chat, state));
    }
}

/// Does it.
pub(super) async fn perform(scene: &Scene<'_>, trick: Trick, rest: &str) {
    let (network, user) = (&scene.stage.network, &scene.stage.user);
    let me = ContactId::from(ADA);
    match trick {
        Trick::Help => {
            scene.answer(&help());
        }
        Trick::Edit => {
            if let Some(id) = scene.answer("This is rong.") {
                pause(MOMENT).await;
                overlook(network.edit(&me, &scene.chat, &id, "This is right.".to_owned()));
            }
        }
        Trick::React => {
            let mut emojis: Vec<_> = rest.split_whitespace().map(str::to_owned).take(8).collect();
            if emojis.is_empty() {
                emojis.push("\u{1f44d}".to_owned());
            }
            scene.react(&emojis);
        }
        Trick::Unreact => scene.react(&[]),
        Trick::Reply => {
            let body = if rest.is_empty() { "This is my answer to that." } else { rest };
            scene.say(Draft {
                reply: Some(scene.line.clone()),
                ..Draft::text(body)
            });
        }
        Trick::Retract => {
            if let Some(id) = scene.answer("I wish I had not said this.") {
                pause(MOMENT).await;
                overlook(network.retract(&me, &scene.chat, &id, None));
            }
        }
        Trick::Typing => {
            scene.state(ChatState::Composing);
            pause(TYPING).await;
            scene.state(ChatState::Paused);
            pause(BREATH).await;
            scene.state(ChatState::Active);
        }
        Trick::Read => overlook(network.mark(&me, &scene.chat, &scene.line, MarkerKind::Displayed)),
        Trick::Marks => {
            scene.answer(&marks(scene));
        }
        Trick::Image => {
            let url = if rest.is_empty() { network.media.as_str() } else { rest };
            let file = Attachment {
                url: url.to_owned(),
                media_type: Some("image/png".to_owned()),
                description: Some("A picture".to_owned()),
            };
            scene.say(Draft {
                attachments: vec![file],
                ..Draft::default()
            });
        }
        Trick::Attention => scene.stage.call_attention(ADA),
        Trick::Headline => {
            scene.say(Draft {
                kind: MessageKind::Headline,
                ..Draft::text("Tonight: nothing at all.")
            });
        }
        Trick::Notice => scene.tell(Event::Notice("The demo network is in good health.".to_owned())),
        Trick::Old => {
            let at = Timestamp::from_millis(network.now().as_millis() - YESTERDAY);
            scene.say(Draft {
                at: Some(at),
                ..Draft::text("I said this yesterday.")
            });
        }
        Trick::Device => {
            let text = if rest.is_empty() { "Written elsewhere." } else { rest };
            overlook(network.say_elsewhere(user, &me, text.to_owned()));
        }
        Trick::Long => {
            let length = rest.parse().unwrap_or(5_000_usize).min(MAX_LONG);
            scene.say(Draft::text("long text ".repeat(length / 10 + 1)));
        }
        Trick::Burst => {
            for n in 1..=rest.parse().unwrap_or(10).min(MAX_BURST) {
                scene.say(Draft::text(format!("Message {n}")));
            }
        }
        Trick::Show(availability) => {
            let presence = Presence {
                text: (availability == Availability::Away).then(|| "Out for tea".to_owned()),
                ..Presence::of(availability)
            };
            scene.tell(Event::Contact(ContactUpdate::new(ADA).presence(presence)));
        }
        Trick::Face => network.change_face(&me, user),
        Trick::Profile => {
            if let Ok(profile) = network.profile(&me) {
                scene.tell(Event::Profile {
                    of: Chat::Contact(me),
                    profile,
                });
            }
        }
        Trick::Request => scene.tell(Event::ContactRequested(ContactRequest {
            id: CAROL.into(),
            alias: Some("Carol".to_owned()),
            text: Some("Ada told me of you.".to_owned()),
        })),
        Trick::Invite => scene.tell(Event::Invited(Invitation {
            room: VAULT.into(),
            from: Some(me),
            reason: Some("Come and see the vault.".to_owned()),
            password: Some(VAULT_PASSWORD.into()),
        })),
        Trick::Unban => {
            network.forgive(&rest.into(), user);
            scene.answer("You may come in again.");
        }
        Trick::Seen => {
            let nickname = match &scene.chat {
                Chat::Room(room) => network.nickname_in(room, user),
                Chat::Contact(_) | Chat::Occupant { .. } => None,
            };
            scene.tell(Event::Marked(Marker {
                chat: match &scene.chat {
                    Chat::Contact(_) => Chat::Contact(me),
                    other @ (Chat::Room(_) | Chat::Occupant { .. }) => other.clone(),
                },
                nickname,
                id: scene.line.clone(),
                kind: MarkerKind::Displayed,
                origin: Origin::OwnOtherDevice,
            }));
        }
        Trick::Enter => scene.own_room(rest, true),
        Trick::Quit => scene.own_room(rest, false),
        Trick::Drop => {
            let lost = LoginError::new(
                LoginErrorKind::Network,
                "The demo network has lost your connection, as you wished.",
            );
            overlook(network.cut(user, lost));
        }
        Trick::Room(trick) => house::perform(scene, trick, rest).await,
    }
}

fn marks(scene: &Scene<'_>) -> String {
    let Some((chat, id, kind)) = scene.stage.marked().clone() else {
        return "You have marked nothing of mine.".to_owned();
    };
    let how = match kind {
        MarkerKind::Delivered => "received",
        MarkerKind::Displayed => "read",
    };
    match scene.stage.network.body_of(&ADA.into(), &chat, &id) {
        Some(body) => format!("You have marked as {how}: {body}"),
        None => format!("You have marked as {how} something that is forgotten."),
    }
}

fn help() -> String {
    let mut text = "Write one of these to me (in a room: with my name before it):".to_owned();
    for (name, takes, does, _) in TRICKS {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name}{takes} - {does}");
    }
    text.push_str("\nOr write to echo, join the rooms lobby, crowd, council and vault, or look for people.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tricks_are_found_by_their_first_word() {
        assert_eq!(find("react \u{1f389} \u{1f44d}"), Some((Trick::React, "\u{1f389} \u{1f44d}")));
        assert_eq!(find("/HELP"), Some((Trick::Help, "")));
        assert_eq!(find("what do you help with"), None);
    }

    #[test]
    fn every_trick_has_a_name_of_its_own() {
        for (at, (name, ..)) in TRICKS.iter().enumerate() {
            assert_eq!(TRICKS.iter().position(|(other, ..)| other == name), Some(at), "{name}");
            assert!(help().contains(&format!("\n{name}")));
        }
    }
}
