//! The people who are always there: who they are, and the task in which they react to one user. It takes its cues from what
//! the user does, one after the other; the network never waits for it.

mod ada;
mod echo;
mod house;
mod tricks;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spectrum_backend_sdk::OpResult;
use spectrum_backend_sdk::model::{Attachment, Avatar, Chat, ChatState, ContactId, MarkerKind, MessageId, Profile, RoomId};
use spectrum_backend_sdk::tasks::Tasks;
use tokio::sync::mpsc;

use crate::network::{Draft, Shared};
use crate::picture;

/// The contact that repeats what it is told.
pub const ECHO: &str = "echo";
/// The contact that answers and does tricks.
pub const ADA: &str = "ada";
/// Can be added at once.
pub const CAROL: &str = "carol";
/// Wants to be asked, and agrees.
pub const DAVE: &str = "dave";
/// Wants to be asked, and does not agree.
pub const EVE: &str = "eve";

/// How long people take to react: long enough for the user to have seen their own message.
pub(crate) const BREATH: Duration = Duration::from_millis(100);
/// How long something lasts that is to be seen.
pub(crate) const MOMENT: Duration = Duration::from_secs(1);
/// Cues of one user that wait; people overlook what is more.
const CUES: usize = 256;

/// Whether somebody lets others have them as a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manners {
    /// Without being asked.
    Open,
    /// If asked.
    Polite,
    /// Never.
    Shy,
}

/// Somebody who is always there.
pub(crate) struct Role {
    pub(crate) id: &'static str,
    pub(crate) alias: &'static str,
    pub(crate) full_name: &'static str,
    pub(crate) manners: Manners,
    /// A contact of everybody, without having been added.
    pub(crate) is_known: bool,
}

/// All of them.
pub(crate) const CAST: &[Role] = &[
    role(ECHO, "Echo", "The Echo", (Manners::Open, true)),
    role(ADA, "Ada", "Ada of the Demo", (Manners::Open, true)),
    role(CAROL, "Carol", "Carol the Open", (Manners::Open, false)),
    role(DAVE, "Dave", "Dave the Polite", (Manners::Polite, false)),
    role(EVE, "Eve", "Eve the Shy", (Manners::Shy, false)),
];

const fn role(id: &'static str, alias: &'static str, full_name: &'static str, (manners, is_known): (Manners, bool)) -> Role {
    Role {
        id,
        alias,
        full_name,
        manners,
        is_known,
    }
}

fn role_of(name: &str) -> Option<&'static Role> {
    CAST.iter().find(|role| role.id == name)
}

/// Whether this is one of them.
pub(crate) fn is_one(name: &str) -> bool {
    role_of(name).is_some()
}

/// Whether this is one whom everybody has as a contact.
pub(crate) fn is_known_to_all(name: &str) -> bool {
    role_of(name).is_some_and(|role| role.is_known)
}

/// Whether they have to be asked. Who logs in has not.
pub(crate) fn manners(name: &str) -> Manners {
    role_of(name).map_or(Manners::Open, |role| role.manners)
}

/// What they are called.
pub(crate) fn alias(name: &str) -> Option<&'static str> {
    role_of(name).map(|role| role.alias)
}

/// What their picture is made of, after so many changes.
pub(crate) fn face_name(name: &str, changes: u32) -> String {
    format!("{name}-{changes}")
}

/// Their card.
pub(crate) fn profile(name: &str, face_changes: u32) -> Option<Profile> {
    let role = role_of(name)?;
    Some(Profile {
        full_name: Some(role.full_name.to_owned()),
        nickname: Some(role.id.to_owned()),
        avatar: Some(Avatar {
            media_type: picture::MEDIA_TYPE.to_owned(),
            data: picture::face(&face_name(name, face_changes)),
        }),
        notes: vec![("Network".to_owned(), "Demo".to_owned())],
    })
}

/// Something the user has done that people may react to. Ids are the network's.
pub(crate) enum Cue {
    Said {
        chat: Chat,
        id: MessageId,
        body: String,
        attachments: Vec<Attachment>,
    },
    Edited {
        chat: Chat,
        id: MessageId,
        body: String,
    },
    Retracted {
        chat: Chat,
        id: MessageId,
    },
    Reacted {
        chat: Chat,
        id: MessageId,
        emojis: Vec<String>,
    },
    Marked {
        chat: Chat,
        id: MessageId,
        kind: MarkerKind,
    },
    State {
        chat: Chat,
        state: ChatState,
    },
    Attention(ContactId),
    Asked(ContactId),
    Answered {
        contact: ContactId,
        accept: bool,
    },
    Invited {
        room: RoomId,
        contact: ContactId,
    },
}

/// Where a session leaves its cues.
pub(crate) struct Cues(mpsc::Sender<Cue>);

impl Cues {
    /// Leaves one. What is too much is overlooked, as people do.
    pub(crate) fn give(&self, cue: Cue) {
        if self.0.try_send(cue).is_err() {
            tracing::debug!("A cue was overlooked.");
        }
    }
}

/// Begins the task in which people react to one user. It ends with the session.
pub(crate) fn company(network: Shared, user: ContactId, tasks: &Tasks) -> Cues {
    let (cues, mut given) = mpsc::channel(CUES);
    drop(tasks.spawn("demo people", tracing::Span::current(), async move {
        let stage = Stage {
            network,
            user,
            marked: Mutex::default(),
        };
        let mut echo = echo::Echo::default();
        while let Some(cue) = given.recv().await {
            pause(BREATH).await;
            match &cue {
                Cue::Asked(contact) => {
                    let accepted = manners(contact.as_str()) != Manners::Shy;
                    stage.network.settle_request(&stage.user, contact, accepted);
                }
                Cue::Invited { room, contact } => house::come_in(&stage, room, contact),
                Cue::Said { chat, .. }
                | Cue::Edited { chat, .. }
                | Cue::Retracted { chat, .. }
                | Cue::Reacted { chat, .. }
                | Cue::Marked { chat, .. }
                | Cue::State { chat, .. } => match stage.addressee(chat).as_ref().map(ContactId::as_str) {
                    Some(ECHO) => echo.react(&stage, &cue),
                    Some(ADA) => ada::react(&stage, &cue).await,
                    Some(_) | None => {}
                },
                Cue::Attention(contact) if contact.as_str() == ECHO => stage.call_attention(ECHO),
                Cue::Attention(contact) if contact.as_str() == ADA => ada::called(&stage),
                Cue::Answered { contact, accept } if contact.as_str() == CAROL => ada::answered(&stage, *accept),
                Cue::Attention(_) | Cue::Answered { .. } => {}
            }
        }
    }));
    Cues(cues)
}

/// Waits on tokio's clock.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The network, and the user in front of whom people act.
struct Stage {
    network: Shared,
    user: ContactId,
    /// The message of `ada`'s that the user has marked last, and how. Behind a lock for the sake of the compiler alone: one
    /// task has it.
    marked: Mutex<Option<(Chat, MessageId, MarkerKind)>>,
}

impl Stage {
    fn marked(&self) -> MutexGuard<'_, Option<(Chat, MessageId, MarkerKind)>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who of the people is meant in a chat of the user's. In a room that is `ada`, who decides herself.
    fn addressee(&self, chat: &Chat) -> Option<ContactId> {
        match chat {
            Chat::Contact(contact) => Some(contact.clone()),
            Chat::Occupant { room, nickname } => self.network.person_in(room, nickname),
            Chat::Room(room) => self.network.nickname_in(room, &ADA.into()).map(|_| ADA.into()),
        }
    }

    /// The chat as the other side sees it.
    fn theirs(&self, chat: &Chat) -> Chat {
        match chat {
            Chat::Contact(_) => Chat::Contact(self.user.clone()),
            Chat::Room(_) => chat.clone(),
            Chat::Occupant { room, .. } => match self.network.nickname_in(room, &self.user) {
                Some(nickname) => Chat::Occupant {
                    room: room.clone(),
                    nickname,
                },
                // The user has left meanwhile: nothing said there arrives.
                None => chat.clone(),
            },
        }
    }

    /// Somebody says something; `None` if the user does not want to hear it.
    fn say(&self, who: &str, chat: &Chat, draft: Draft) -> Option<MessageId> {
        self.network.say(&who.into(), chat, draft).ok().map(|said| said.id)
    }

    fn call_attention(&self, who: &str) {
        overlook(self.network.call_attention(&who.into(), &self.user, Some("Hey!")));
    }
}

/// What people do may fail because the user has gone, has blocked them, or has changed things meanwhile. They do not mind.
fn overlook(result: OpResult<()>) {
    if let Err(error) = result {
        tracing::debug!(kind = ?error.kind, "People could not do what they wanted.");
    }
}
