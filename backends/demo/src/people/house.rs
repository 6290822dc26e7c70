//! What people do in rooms: come in when invited, and the tricks of `ada` there.

use spectrum_backend_sdk::model::{Affiliation, Chat, ContactId, JoinRoom, Nickname, Role, RoomId, Standing};

use super::tricks::Scene;
use super::{ADA, BREATH, MOMENT, Stage, is_one, overlook, pause};
use crate::network::{Draft, Measure};

/// Something she can do in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trick {
    Op,
    Voice,
    Mute,
    Kick,
    Ban,
    Subject,
    Rename,
    Leave,
    Whisper,
}

/// Somebody has been invited, and comes if it is one of the people.
pub(super) fn come_in(stage: &Stage, room: &RoomId, contact: &ContactId) {
    if is_one(contact.as_str()) && stage.network.room_info(room).is_ok() {
        enter(stage, room, contact, &Nickname::from(contact.as_str()));
    }
}

fn enter(stage: &Stage, room: &RoomId, who: &ContactId, nickname: &Nickname) {
    let join = JoinRoom {
        room: room.clone(),
        nickname: nickname.clone(),
        password: None,
    };
    overlook(stage.network.join(who, &join).map(drop));
}

/// Does it, in the room of the scene.
pub(super) async fn perform(scene: &Scene<'_>, trick: Trick, rest: &str) {
    let (network, user) = (&scene.stage.network, &scene.stage.user);
    let me = ContactId::from(ADA);
    let (Chat::Room(room) | Chat::Occupant { room, .. }) = &scene.chat else {
        scene.answer("That can be done in a room alone: join lobby, and write it there, as \"ada: kick\".");
        return;
    };
    let (Some(theirs), Some(mine)) = (network.nickname_in(room, user), network.nickname_in(room, &me)) else {
        return;
    };
    let measure = |reason: Option<&str>| Measure {
        room,
        nickname: &theirs,
        reason: reason.map(str::to_owned),
    };
    let give = |standing| network.set_standing(&me, measure(None), standing);
    match trick {
        Trick::Op => overlook(give(Standing::Affiliation(Affiliation::Admin))),
        Trick::Voice => overlook(give(Standing::Role(Role::Participant))),
        Trick::Mute => overlook(give(Standing::Role(Role::Visitor))),
        Trick::Kick => overlook(network.kick(&me, measure(Some("As you wished.")))),
        Trick::Ban => {
            let outcast = Standing::Affiliation(Affiliation::Outcast);
            overlook(network.set_standing(&me, measure(Some("As you wished.")), outcast));
        }
        Trick::Subject => {
            let subject = if rest.is_empty() { "Another subject" } else { rest };
            overlook(network.set_subject(&me, room, subject.to_owned()));
        }
        Trick::Rename => {
            let other = if mine.as_str() == ADA { "ada_of_the_demo" } else { ADA };
            overlook(network.rename(&me, room, &other.into()));
        }
        Trick::Leave => {
            network.leave(&me, room);
            pause(MOMENT).await;
            enter(scene.stage, room, &me, &mine);
        }
        Trick::Whisper => {
            pause(BREATH).await;
            let chat = Chat::Occupant {
                room: room.clone(),
                nickname: theirs,
            };
            scene.stage.say(ADA, &chat, Draft::text("Psst: only you can read this."));
        }
    }
}
