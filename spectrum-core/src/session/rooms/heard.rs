//! What the network says in rooms: lines (XEP-0045 7.4), private messages (7.5), and what is said about old lines:
//! corrections, retractions, reactions, markers. Each is shown to the resources that look and kept in the archive, with an
//! id of the room's (XEP-0359) and its author's (XEP-0421).

use jid::ResourcePart;
use minidom::Element;
use xmpp_parsers::message::{Id, Lang, Message, MessageType};
use xmpp_parsers::ns::{DISPLAYED_MARKERS, MUC_USER, SID};

use super::occupant_id;
use super::room::{Room, State};
use super::{Rooms, archive, line, moderation, show};
use crate::model::{
    Attachment, Chat, ChatState, Edit, IncomingMessage, Marker, MarkerKind, MessageId, Nickname, Origin, Reactions, Retraction,
    RoomEcho, RoomId,
};
use crate::session::conversation::{files, words};
use crate::session::fingerprint::Fingerprint;
use crate::session::history::MAX_ID_BYTES;
use crate::session::payload::{REPLY, with_id};
use crate::session::text::pieces;
use crate::session::{Cx, Output, Publication};
use crate::xml::{HINTS, delay, element};

/// Bytes of one body. A longer text is said in several lines: servers end streams over stanzas that are too long.
const MAX_BODY_BYTES: usize = 48 * 1024;
/// Files of one line that are shown.
const MAX_ATTACHMENTS: usize = 16;

/// A line of the network.
pub(super) fn line(rooms: &mut Rooms, cx: &mut Cx<'_>, line: IncomingMessage) {
    let id = match &line.chat {
        Chat::Room(room) => room.clone(),
        Chat::Occupant { room, nickname } => {
            let (room, nickname) = (room.clone(), nickname.clone());
            return private(rooms, cx, &room, &nickname, line);
        }
        Chat::Contact(_) => return,
    };
    let Some(room) = rooms.by_id(cx, &id) else { return };
    if line_id(&line).is_some_and(|id| room.is_repeated(&id)) {
        return;
    }
    let own = line.nickname.as_ref().is_some_and(|nickname| room.is_self(nickname));
    if own
        && cx.info.room_echo == RoomEcho::Backend
        && let Some(at) = room
            .echoes
            .iter()
            .position(|echo| echo.body.trim_end() == line.body.trim_end())
        && let Some(echo) = room.echoes.remove(at)
    {
        let id = line.id.unwrap_or(echo.id);
        line::reflect(room, cx, echo.message, &id);
        return;
    }
    let at = line.timestamp;
    for (id, mut message) in stanzas(room, cx, line) {
        archive::keep(room, cx, &id, at, &message);
        if room.state == State::Joined {
            if let Some(at) = at {
                message.payloads.push(delay(at, show::room_jid(room, cx).as_str()));
            }
            show::message_to_viewers(room, &message, cx);
        }
    }
}

/// The id of a line: the network's or, of an old line without one, one that it has every time it is told.
fn line_id(line: &IncomingMessage) -> Option<MessageId> {
    let fits = |id: &&MessageId| !id.as_str().is_empty() && id.as_str().len() <= MAX_ID_BYTES;
    line.id.as_ref().filter(fits).cloned().or_else(|| {
        let at = line.timestamp?;
        let author = line.nickname.as_ref().map_or("", Nickname::as_str);
        let mark = Fingerprint::new(3).text(author).text(&line.body).finish();
        Some(MessageId::from(format!("{:x}-{mark:016x}", at.as_millis())))
    })
}

/// A line as stanzas, each with its id in the archive; of more than one the first bears the id of the line.
pub(super) fn stanzas(room: &Room, cx: &mut Cx<'_>, line: IncomingMessage) -> Vec<(String, Message)> {
    enum Content<'a> {
        Text(&'a str),
        File(&'a Attachment),
    }
    let mut known = line_id(&line);
    let texts = if line.body.is_empty() {
        Vec::new()
    } else {
        pieces(&line.body, MAX_BODY_BYTES)
    };
    let mut reply = line.reply.as_ref().map(|reply| {
        let author = reply.author.as_ref().map(|nickname| room.resource_of(nickname));
        let to = match &author {
            Some(author) => show::occupant_jid(room, author, cx).to_string(),
            None => show::room_jid(room, cx).to_string(),
        };
        element("reply", REPLY, &[("to", &to), ("id", reply.to.as_str())])
    });
    let files = line.attachments.iter().take(MAX_ATTACHMENTS).map(Content::File);
    let contents = texts.into_iter().map(Content::Text).chain(files);
    let mut stanzas = Vec::with_capacity(1);
    for content in contents {
        let id = known
            .take()
            .unwrap_or_else(|| cx.requests.message_id(cx.now))
            .as_str()
            .to_owned();
        let mut message = by(room, cx, line.nickname.as_ref(), &id);
        match content {
            Content::Text(text) => {
                message.bodies.insert(Lang::new(), text.to_owned());
            }
            Content::File(file) => {
                files::share(&mut message, file);
            }
        }
        message.payloads.extend(reply.take());
        stanzas.push((id, message));
    }
    stanzas
}

/// A message of an occupant's or, without one, of the room itself, with this id.
pub(super) fn by(room: &Room, cx: &Cx<'_>, nickname: Option<&Nickname>, id: &str) -> Message {
    let mut message = Message::new_with_type(MessageType::Groupchat, None);
    message.from = Some(match nickname {
        Some(nickname) => show::occupant_jid(room, &room.resource_of(nickname), cx).into(),
        None => show::room_jid(room, cx).into(),
    });
    message.id = Some(Id(id.to_owned()));
    message.payloads.push(stanza_id(room, cx, id));
    if let Some(nickname) = nickname {
        message.payloads.push(occupant_id::written(&room.occupant_id(nickname)));
    }
    message
}

/// XEP-0359: the id that the room knows a line by.
pub(super) fn stanza_id(room: &Room, cx: &Cx<'_>, id: &str) -> Element {
    let by = show::room_jid(room, cx);
    element("stanza-id", SID, &[("id", id), ("by", by.as_str())])
}

/// A private message of an occupant.
fn private(rooms: &mut Rooms, cx: &mut Cx<'_>, id: &RoomId, nickname: &Nickname, line: IncomingMessage) {
    let Some(room) = rooms.by_id(cx, id) else { return };
    if line.id.as_ref().is_some_and(|id| room.is_repeated(id)) || line.origin == Origin::OwnOtherDevice {
        return;
    }
    let mut known = line_id(&line);
    for text in pieces(&line.body, MAX_BODY_BYTES) {
        let mut message = Message::new_with_type(MessageType::Chat, Some(cx.user.clone().into()));
        message.from = Some(show::occupant_jid(room, &room.resource_of(nickname), cx).into());
        let id = known.take().unwrap_or_else(|| cx.requests.message_id(cx.now));
        message.id = Some(Id(id.as_str().to_owned()));
        message.bodies.insert(Lang::new(), text.to_owned());
        message.payloads.push(Element::builder("x", MUC_USER).build());
        message.payloads.push(occupant_id::written(&room.occupant_id(nickname)));
        if let Some(at) = line.timestamp {
            message.payloads.push(delay(at, show::room_jid(room, cx).as_str()));
        }
        // To the resources that look at the room: another one would not know whom it is from.
        let viewers: Vec<ResourcePart> = room.viewers.iter().map(|v| v.resource.clone()).collect();
        if viewers.is_empty() {
            show::say(cx, message);
            continue;
        }
        for viewer in viewers {
            let mut copy = message.clone();
            copy.to = Some(cx.user.with_resource(&viewer).into());
            show::say(cx, copy);
        }
    }
}

/// What is said about an old line, in the room it was said in.
struct About<'a> {
    room: &'a mut Room,
    message: Message,
    id: String,
}

impl<'a> About<'a> {
    fn new(rooms: &'a mut Rooms, cx: &mut Cx<'_>, chat: &Chat, nickname: Option<&Nickname>) -> Option<Self> {
        let Chat::Room(id) = chat else { return None };
        let room = rooms.by_id(cx, id)?;
        let id = cx.requests.message_id(cx.now).as_str().to_owned();
        let message = by(room, cx, nickname, &id);
        Some(Self { room, message, id })
    }

    /// Shows it, and keeps it beside what it is about.
    fn tell(self, cx: &mut Cx<'_>) {
        archive::keep(self.room, cx, &self.id, None, &self.message);
        if self.room.state == State::Joined {
            show::message_to_viewers(self.room, &self.message, cx);
        }
    }
}

/// XEP-0308. Refers to the id that the stanza had.
pub(super) fn edited(rooms: &mut Rooms, cx: &mut Cx<'_>, edit: Edit) {
    let replaced = cx.history.for_client(&edit.chat, &edit.id);
    let Some(mut about) = About::new(rooms, cx, &edit.chat, edit.nickname.as_ref()) else {
        return;
    };
    let text = pieces(&edit.body, MAX_BODY_BYTES)
        .first()
        .copied()
        .unwrap_or_default()
        .to_owned();
    about.message.bodies.insert(Lang::new(), text);
    about.message.payloads.push(words::replace(&replaced));
    about.tell(cx);
}

/// XEP-0424. Refers to the id that the room gave the line, as everything below does.
pub(super) fn retracted(rooms: &mut Rooms, cx: &mut Cx<'_>, retraction: Retraction) {
    let line = cx.history.for_room(&retraction.chat, &retraction.id);
    let Some(mut about) = About::new(rooms, cx, &retraction.chat, retraction.nickname.as_ref()) else {
        return;
    };
    words::retract(&mut about.message, &line, retraction.reason.as_deref());
    let (node, id) = (about.room.node.clone(), about.id.clone());
    about.tell(cx);
    moderation::bury(rooms, cx, &node, &line, moderation::Tombstone::of_retraction(id, cx.now.wall));
}

/// XEP-0444.
pub(super) fn reacted(rooms: &mut Rooms, cx: &mut Cx<'_>, reactions: Reactions) {
    let line = cx.history.for_room(&reactions.chat, &reactions.id);
    let Some(mut about) = About::new(rooms, cx, &reactions.chat, reactions.nickname.as_ref()) else {
        return;
    };
    words::react(&mut about.message, &line, &reactions.emojis);
    about.tell(cx);
}

/// XEP-0333: how far somebody has read. Worth nothing later, so it is not kept.
pub(super) fn marked(rooms: &mut Rooms, cx: &mut Cx<'_>, marker: &Marker) {
    if marker.kind == MarkerKind::Delivered {
        return;
    }
    let line = cx.history.for_room(&marker.chat, &marker.id);
    let Some(mut about) = About::new(rooms, cx, &marker.chat, marker.nickname.as_ref()) else {
        return;
    };
    if marker.origin == Origin::OwnOtherDevice && matches!(marker.chat, Chat::Room(_)) {
        let room = cx.at_transport(&about.room.node);
        cx.out.push(Output::Publish(Publication::Displayed {
            chat: room.clone(),
            id: line.as_str().to_owned(),
            by: room,
        }));
    }
    if about.room.state == State::Joined {
        about.message.payloads.retain(|p| !p.is("stanza-id", SID));
        about.message.payloads.push(with_id("displayed", DISPLAYED_MARKERS, &line));
        about.message.payloads.push(element("no-store", HINTS, &[]));
        show::message_to_viewers(about.room, &about.message, cx);
    }
}

/// XEP-0085 in a room.
pub(super) fn chat_state(room: &Room, cx: &mut Cx<'_>, nickname: &Nickname, state: ChatState) {
    if room.state != State::Joined || room.is_self(nickname) {
        return;
    }
    let id = cx.requests.message_id(cx.now).as_str().to_owned();
    let mut message = by(room, cx, Some(nickname), &id);
    message.payloads.retain(|p| !p.is("stanza-id", SID));
    message.payloads.push(words::chat_state(state));
    message.payloads.push(element("no-store", HINTS, &[]));
    show::message_to_viewers(room, &message, cx);
}
