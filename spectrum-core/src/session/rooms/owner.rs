//! How a room is set up (XEP-0045 10.2): the network's settings as the form of an owner, and what an owner makes of it. Owns
//! nothing: what was submitted waits with the verb. A network without settings has instant rooms alone.

use jid::NodePart;
use minidom::Element;
use xmpp_parsers::message::{Message, MessageType};
use xmpp_parsers::ns::{DATA_FORMS, MUC_USER};
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::room::{Room, State};
use super::{RoomRequest, Rooms, admin, show};
use crate::backend::{Answer, OpError, Outcome, Verb};
use crate::dialogue::{FormError, MAX_FIELDS, MAX_VALUE_BYTES, check_value, data_form};
use crate::model::{Capability, Field, FieldKind, Form, FormAnswers, RoomId, room_field};
use crate::session::Cx;
use crate::session::text::shorten;
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{MUC_OWNER, element};

const ROOM_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// Bytes of a text between the fields.
const MAX_LABEL_BYTES: usize = 1_024;
/// Choices of one field.
const MAX_CHOICES: usize = 32;
/// Bytes of one, and of its label.
const MAX_CHOICE_BYTES: usize = 128;
/// What settings of rooms have in common, and what XEP-0045 15.5.3 calls it.
const NAMES: &[(&str, &str)] = &[
    (room_field::NAME, "muc#roomconfig_roomname"),
    (room_field::DESCRIPTION, "muc#roomconfig_roomdesc"),
    (room_field::PASSWORD, "muc#roomconfig_roomsecret"),
    (room_field::MEMBERS_ONLY, "muc#roomconfig_membersonly"),
    (room_field::MODERATED, "muc#roomconfig_moderatedroom"),
    (room_field::PUBLIC, "muc#roomconfig_publicroom"),
    (room_field::SUBJECT_BY_ALL, "muc#roomconfig_changesubject"),
    (room_field::INVITES_BY_ALL, "muc#roomconfig_allowinvites"),
    (room_field::MAX_OCCUPANTS, "muc#roomconfig_maxusers"),
    (room_field::PERSISTENT, "muc#roomconfig_persistentroom"),
];

/// A request of an owner, while the network says how the room is set up.
#[derive(Debug)]
pub(crate) struct Asked {
    room: RoomId,
    node: NodePart,
    iq: Stanza,
    /// What was submitted, by XMPP's names; without it the form is asked for.
    submitted: Option<FormAnswers>,
}

impl Asked {
    /// Tells who asked that it did not go out.
    pub(super) fn refuse(self, cx: &mut Cx<'_>, failed: &OpError) {
        cx.refuse(&self.iq, op_error(failed));
    }
}

/// Answers, or asks the network how the room is set up.
pub(super) fn request(rooms: &Rooms, cx: &mut Cx<'_>, node: &NodePart, iq: Stanza, payload: &Element, is_set: bool) {
    match read(rooms.rooms.get(node), cx, payload, is_set) {
        Err(refused) => cx.refuse(&iq, refused),
        Ok(Request::Nothing) => admin::answer(cx, &iq, Ok(Answer::Done)),
        Ok(Request::Ask(room, submitted)) => {
            let asked = Asked {
                room: room.clone(),
                node: node.clone(),
                iq,
                submitted,
            };
            admin::request(cx, Verb::RoomSettings(room), RoomRequest::Settings(Box::new(asked)));
        }
    }
}

enum Request {
    /// It changes nothing: an instant room, or somebody who gave up.
    Nothing,
    /// The network is asked.
    Ask(RoomId, Option<FormAnswers>),
}

fn read(room: Option<&Room>, cx: &Cx<'_>, payload: &Element, is_set: bool) -> Result<Request, StanzaError> {
    let not_here = |text| error(DefinedCondition::FeatureNotImplemented, text);
    if payload.has_child("destroy", MUC_OWNER) {
        return Err(not_here("Rooms are not destroyed from here."));
    }
    let submitted = match payload.get_child("x", DATA_FORMS).filter(|_| is_set) {
        None => None,
        Some(x) => match data_form::answers(x) {
            Ok(mut answers) => {
                answers.remove("FORM_TYPE");
                Some(answers)
            }
            Err(FormError::Cancelled) => return Ok(Request::Nothing),
            Err(_) => return Err(error(DefinedCondition::BadRequest, "This is no form to submit.")),
        },
    };
    if is_set && submitted.as_ref().is_none_or(FormAnswers::is_empty) {
        return Ok(Request::Nothing);
    }
    if !cx.can(Capability::RoomSettings) {
        return Err(not_here("Rooms of this network are not configured from here."));
    }
    match room.filter(|room| room.state == State::Joined) {
        Some(room) => Ok(Request::Ask(room.id.clone(), submitted)),
        None => Err(error(DefinedCondition::NotAcceptable, "You are not in the room.")),
    }
}

/// The network has said how the room is set up, or not.
pub(super) fn settings(cx: &mut Cx<'_>, asked: Asked, outcome: Outcome) {
    let form = match outcome.map(Answer::form) {
        Ok(Some(form)) => bounded(form),
        Ok(None) => Form::default(),
        Err(failed) => return asked.refuse(cx, &failed),
    };
    let Some(submitted) = asked.submitted else {
        let mut query = element("query", MUC_OWNER, &[]);
        query.append_child(data_form::question(&in_xmpp(form), Some(ROOM_CONFIG), None));
        if let Some(reply) = asked.iq.result_reply(Some(query)) {
            show::say(cx, reply);
        }
        return;
    };
    match changes(&form, submitted) {
        Err(refused) => cx.refuse(&asked.iq, error(refused.condition(), &refused.to_string())),
        Ok(answers) if answers.is_empty() => admin::answer(cx, &asked.iq, Ok(Answer::Done)),
        Ok(answers) => {
            let verb = Verb::ConfigureRoom {
                room: asked.room,
                answers,
            };
            admin::request(cx, verb, RoomRequest::Configure(asked.node, Box::new(asked.iq)));
        }
    }
}

/// The room is set up, or not. Everybody who looks hears that it is another one now (status 104).
pub(super) fn configured(rooms: &Rooms, cx: &mut Cx<'_>, node: &NodePart, iq: &Stanza, outcome: Outcome) {
    let is_done = outcome.is_ok();
    admin::answer(cx, iq, outcome);
    if let Some(room) = rooms.rooms.get(node).filter(|room| is_done && room.state == State::Joined) {
        let mut x = element("x", MUC_USER, &[]);
        x.append_child(element("status", MUC_USER, &[("code", show::code::CONFIGURED)]));
        let mut message = Message::new_with_type(MessageType::Groupchat, None);
        message.from = Some(show::room_jid(room, cx).into());
        message.payloads.push(x);
        show::message_to_viewers(room, &message, cx);
    }
}

/// Without what no client could show or send back.
fn bounded(form: Form) -> Form {
    let fields = form.fields.into_iter().filter(|field| {
        let default = field.default.as_deref().unwrap_or_default();
        default.len() <= MAX_VALUE_BYTES && field.name.len() <= MAX_LABEL_BYTES
    });
    Form {
        title: shorten(&form.title, MAX_LABEL_BYTES).to_owned(),
        instructions: shorten(&form.instructions, MAX_LABEL_BYTES).to_owned(),
        fields: fields
            .take(MAX_FIELDS)
            .map(|field| Field {
                label: shorten(&field.label, MAX_LABEL_BYTES).to_owned(),
                kind: choices_bounded(field.kind),
                ..field
            })
            .collect(),
    }
}

/// A value is sent back as it is, so one that is too long is left out.
fn choices_bounded(kind: FieldKind) -> FieldKind {
    let FieldKind::Choice(choices) = kind else { return kind };
    let choices = choices.into_iter().filter(|(value, _)| value.len() <= MAX_CHOICE_BYTES);
    let choices = choices.take(MAX_CHOICES);
    FieldKind::Choice(
        choices
            .map(|(value, label)| (value, shorten(&label, MAX_CHOICE_BYTES).to_owned()))
            .collect(),
    )
}

/// What a field of the network's is called in XMPP.
fn name_in_xmpp(name: &str) -> &str {
    NAMES
        .iter()
        .find(|(ours, _)| *ours == name)
        .map_or(name, |(_, theirs)| *theirs)
}

fn in_xmpp(mut form: Form) -> Form {
    for field in &mut form.fields {
        field.name = name_in_xmpp(&field.name).to_owned();
    }
    form
}

/// What of the submitted is another than it is, by the network's names. What is not asked is not heard.
fn changes(form: &Form, mut submitted: FormAnswers) -> Result<FormAnswers, FormError> {
    let mut changes = FormAnswers::new();
    for field in &form.fields {
        let Some(value) = submitted.remove(name_in_xmpp(&field.name)) else {
            continue;
        };
        let (now, then) = (field.default.as_deref().unwrap_or_default(), value.expose());
        let is_same = match field.kind {
            FieldKind::Boolean => is_true(now) == is_true(then),
            FieldKind::Text | FieldKind::Name | FieldKind::Password | FieldKind::Choice(_) => now == then,
        };
        if !is_same {
            check_value(field, &value)?;
            changes.insert(field.name.clone(), value);
        }
    }
    Ok(changes)
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "true")
}
