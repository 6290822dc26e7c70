//! How rooms are set up (XEP-0045 10.2) and who is something to them (9.5, 10.5), forwarded: the room decides who may.

use minidom::Element;
use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, Field, FieldKind, Form, FormAnswers, LegacyName, Nickname, RoomId, Standing,
};
use spectrum_backend_sdk::{Op, OpError, OpErrorKind, OpResult};

use super::standing;
use crate::address::{bare, contact, parse};
use crate::desk::{Question, get, set};
use crate::errors::About;
use crate::ns;
use crate::session::XmppSession;
use crate::xml::{child_text, element, text_element, wrap};

const ROOM_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// Fields of a form and people of a list.
const MAX_FIELDS: usize = 100;
const MAX_LISTED: usize = 1_000;

impl XmppSession {
    fn inside(&self, room: &RoomId) -> OpResult<jid::BareJid> {
        let jid = bare(room.as_str())?;
        if self.desk.state().rooms.get(&jid).is_some_and(|room| room.is_joined) {
            return Ok(jid);
        }
        Err(OpError::new(OpErrorKind::NotAllowed, format!("You are not in {room}.")))
    }

    pub(crate) async fn settings_of_room(&self, room: &RoomId, cx: &Op) -> OpResult<Form> {
        let jid = self.inside(room)?;
        let question = Question {
            about: About::Room,
            ..get(Some(jid.as_str()), element("query", ns::MUC_OWNER, &[]))
        };
        let answer = self.desk.ask(question, Some(cx)).await?;
        form(&answer).ok_or_else(|| OpError::new(OpErrorKind::NotAllowed, "The room shows no settings."))
    }

    pub(crate) async fn configure(&self, room: &RoomId, answers: &FormAnswers, cx: &Op) -> OpResult<()> {
        let jid = self.inside(room)?;
        let question = Question {
            about: About::Room,
            ..set(Some(jid.as_str()), wrap("query", ns::MUC_OWNER, submission(answers)))
        };
        self.desk.ask(question, Some(cx)).await.map(drop)
    }

    pub(crate) async fn affiliated(&self, room: &RoomId, affiliation: Affiliation, cx: &Op) -> OpResult<Vec<Affiliated>> {
        let jid = self.inside(room)?;
        let (what, value) = standing(Standing::Affiliation(affiliation));
        let item = element("item", ns::MUC_ADMIN, &[(what, value)]);
        let question = Question {
            about: About::Room,
            ..get(Some(jid.as_str()), wrap("query", ns::MUC_ADMIN, item))
        };
        let answer = self.desk.ask(question, Some(cx)).await?;
        Ok(listed(&answer, affiliation))
    }

    pub(crate) async fn affiliate(
        &self,
        room: &RoomId,
        who: &LegacyName,
        (affiliation, reason): (Affiliation, Option<&str>),
        cx: &Op,
    ) -> OpResult<()> {
        let jid = self.inside(room)?;
        let whom = bare(who.as_str())?;
        let (what, value) = standing(Standing::Affiliation(affiliation));
        let mut item = element("item", ns::MUC_ADMIN, &[(what, value), ("jid", whom.as_str())]);
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            item.append_child(text_element("reason", ns::MUC_ADMIN, reason));
        }
        let question = Question {
            about: About::Room,
            ..set(Some(jid.as_str()), wrap("query", ns::MUC_ADMIN, item))
        };
        self.desk.ask(question, Some(cx)).await.map(drop)
    }
}

/// The form of an owner. What takes several values at once is left as it is.
fn form(answer: &Element) -> Option<Form> {
    let x = answer.get_child("query", ns::MUC_OWNER)?.get_child("x", ns::DATA)?;
    let fields = x.children().filter(|child| child.is("field", ns::DATA));
    Some(Form {
        title: child_text(x, "title", ns::DATA).unwrap_or_default(),
        instructions: child_text(x, "instructions", ns::DATA).unwrap_or_default(),
        fields: fields.filter_map(field).take(MAX_FIELDS).collect(),
    })
}

fn field(field: &Element) -> Option<Field> {
    let kind = match field.attr("type") {
        Some("boolean") => FieldKind::Boolean,
        Some("text-private") => FieldKind::Password,
        Some("list-single") => FieldKind::Choice(
            field
                .children()
                .filter(|option| option.is("option", ns::DATA))
                .filter_map(|option| {
                    let value = child_text(option, "value", ns::DATA)?;
                    Some((value, option.attr("label").unwrap_or_default().to_owned()))
                })
                .collect(),
        ),
        Some("text-single") | None => FieldKind::Text,
        Some(_) => return None,
    };
    let value = child_text(field, "value", ns::DATA).unwrap_or_default();
    // COMPAT Prosody: a "no" has no value at all.
    let is_no = kind == FieldKind::Boolean && value.is_empty();
    Some(Field {
        name: field.attr("var")?.to_owned(),
        label: field.attr("label").unwrap_or_default().to_owned(),
        kind,
        required: false,
        default: Some(if is_no { "0".to_owned() } else { value }),
    })
}

/// What is to change; the room keeps what is not named.
fn submission(answers: &FormAnswers) -> Element {
    let mut x = element("x", ns::DATA, &[("type", "submit")]);
    let mut put = |name: &str, value: &str| {
        let mut field = element("field", ns::DATA, &[("var", name)]);
        field.append_child(text_element("value", ns::DATA, value));
        x.append_child(field);
    };
    put("FORM_TYPE", ROOM_CONFIG);
    for (name, value) in answers {
        put(name, value.expose());
    }
    x
}

fn listed(answer: &Element, affiliation: Affiliation) -> Vec<Affiliated> {
    let query = answer.get_child("query", ns::MUC_ADMIN);
    let items = query
        .into_iter()
        .flat_map(Element::children)
        .filter(|item| item.is("item", ns::MUC_ADMIN));
    items
        .filter_map(|item| {
            Some(Affiliated {
                who: LegacyName::from(&contact(&parse(item.attr("jid")?)?.to_bare())),
                affiliation,
                nickname: item.attr("nick").map(Nickname::from),
                reason: child_text(item, "reason", ns::MUC_ADMIN).filter(|reason| !reason.is_empty()),
            })
        })
        .take(MAX_LISTED)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_form_of_a_room_is_read_and_answered_by_the_rooms_own_names() {
        let answer = "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#owner'>\
            <x xmlns='jabber:x:data' type='form'><title>Tea</title>\
            <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
            <field type='fixed'><value>General</value></field>\
            <field var='muc#roomconfig_roomname' type='text-single' label='Name'><value>Tea</value></field>\
            <field var='muc#roomconfig_membersonly' type='boolean'><value>0</value></field>\
            <field var='muc#roomconfig_whois' type='list-single'><value>anyone</value>\
            <option label='All'><value>anyone</value></option></field>\
            <field var='muc#roomconfig_roomadmins' type='jid-multi'/></x></query></iq>";
        let form = form(&answer.parse().unwrap()).unwrap();
        let names: Vec<_> = form.fields.iter().map(|field| (field.name.as_str(), &field.kind)).collect();
        let choices = FieldKind::Choice(vec![("anyone".to_owned(), "All".to_owned())]);
        assert_eq!(
            names,
            [
                ("muc#roomconfig_roomname", &FieldKind::Text),
                ("muc#roomconfig_membersonly", &FieldKind::Boolean),
                ("muc#roomconfig_whois", &choices),
            ]
        );
        let answers = FormAnswers::from([("muc#roomconfig_membersonly".to_owned(), "1".into())]);
        let expected = "<x xmlns='jabber:x:data' type='submit'>\
            <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
            <field var='muc#roomconfig_membersonly'><value>1</value></field></x>";
        assert_eq!(submission(&answers), expected.parse().unwrap());
    }

    #[test]
    fn a_list_of_people_is_read_and_what_is_no_address_is_left_out() {
        let answer = "<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/muc#admin'>\
            <item affiliation='outcast' jid='eve@b.example'><reason>spam</reason></item>\
            <item affiliation='outcast' jid='a b@'/><item affiliation='outcast'/></query></iq>";
        let expected = Affiliated {
            who: "eve@b.example".into(),
            affiliation: Affiliation::Outcast,
            nickname: None,
            reason: Some("spam".to_owned()),
        };
        assert_eq!(listed(&answer.parse().unwrap(), Affiliation::Outcast), [expected]);
    }
}
