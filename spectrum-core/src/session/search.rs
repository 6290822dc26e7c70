//! Looking for people on the network (XEP-0055), by the words that somebody types. Owns nothing: the request waits with the
//! verb. Asked by a data form or by the fields of old; answered the same way.

use minidom::Element;
use xmpp_parsers::ns;
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use crate::backend::{Answer, Outcome, Verb};
use crate::dialogue::data_form;
use crate::model::{Capability, ContactSummary, Field, FieldKind, Form, LegacyName};
use crate::session::pending::Pending;
use crate::session::{Cx, query, text};
use crate::stanza::{Stanza, error, op_error};
use crate::xml::{SEARCH, element, text_element};

/// Fields that clients send, in the order in which they are read.
const FIELDS: &[&str] = &["nick", "first", "last", "email"];
const INSTRUCTIONS: &str = "Give a name, or a part of one.";
/// Bytes of what is looked for.
const MAX_WORDS: usize = 256;
/// People in one answer.
const MAX_HITS: usize = 100;
/// Bytes of a name in it.
const MAX_NAME: usize = 256;

/// A search that the network was asked for.
#[derive(Debug)]
pub(crate) struct Search {
    /// The request of the user.
    iq: Stanza,
    /// Whether it came as a data form.
    by_form: bool,
}

/// Answers what is to be filled in, or asks the network.
pub(crate) fn request(cx: &mut Cx<'_>, iq: Stanza, asked: &Element, get: bool) {
    if !cx.can(Capability::Search) {
        let refused = error(
            DefinedCondition::ServiceUnavailable,
            "Nobody can be looked for on this network.",
        );
        return query::reply(cx, &iq, Err(refused));
    }
    if get {
        return query::reply(cx, &iq, Ok(Some(fields())));
    }
    let (words, by_form) = match words(asked) {
        Ok(words) => words,
        Err(refused) => return query::reply(cx, &iq, Err(refused)),
    };
    let search = Search { iq: iq.clone(), by_form };
    if let Err((failed, _)) = cx.ask(Verb::Search(words), Pending::Search(Box::new(search))) {
        query::reply(cx, &iq, Err(op_error(&failed)));
    }
}

/// The network has found somebody, or nobody.
pub(crate) fn outcome(cx: &mut Cx<'_>, search: &Search, outcome: Outcome) {
    let answer = match outcome.map(Answer::contacts) {
        Ok(Some(hits)) => Ok(Some(found(cx, &hits, search.by_form))),
        Ok(None) => Err(error(
            DefinedCondition::InternalServerError,
            "The network has answered something else.",
        )),
        Err(failed) => Err(op_error(&failed)),
    };
    query::reply(cx, &search.iq, answer);
}

fn fields() -> Element {
    let form = Form {
        title: "Search for people".to_owned(),
        instructions: INSTRUCTIONS.to_owned(),
        fields: vec![Field {
            name: "nick".to_owned(),
            label: "Name".to_owned(),
            kind: FieldKind::Text,
            required: true,
            default: None,
        }],
    };
    let mut query = element("query", SEARCH, &[]);
    query.append_child(text_element("instructions", SEARCH, INSTRUCTIONS));
    query.append_child(element("nick", SEARCH, &[]));
    query.append_child(data_form::question(&form, Some(SEARCH), None));
    query
}

/// What is looked for, and whether it came as a data form.
fn words(asked: &Element) -> Result<(String, bool), StanzaError> {
    let bad = |text| error(DefinedCondition::BadRequest, text);
    let form = asked.get_child("x", ns::DATA_FORMS);
    let said: Vec<String> = match form {
        Some(form) => {
            let answers = data_form::answers(form).map_err(|_| bad("This is no form to submit."))?;
            FIELDS
                .iter()
                .filter_map(|name| answers.get(*name))
                .map(|value| value.expose().to_owned())
                .collect()
        }
        None => FIELDS
            .iter()
            .filter_map(|name| asked.get_child(*name, SEARCH))
            .map(Element::text)
            .collect(),
    };
    let words = said.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return Err(bad("There is nothing to look for."));
    }
    if words.len() > MAX_WORDS {
        return Err(bad("That is too much to look for."));
    }
    Ok((words, form.is_some()))
}

fn found(cx: &mut Cx<'_>, hits: &[ContactSummary], by_form: bool) -> Element {
    let hits: Vec<(String, &str)> = hits
        .iter()
        .take(MAX_HITS)
        .map(|hit| {
            let name = hit.alias.as_deref().unwrap_or(hit.id.as_str());
            let jid = cx.address(&LegacyName::from(&hit.id)).to_string();
            (jid, text::shorten(name, MAX_NAME))
        })
        .collect();
    let mut query = element("query", SEARCH, &[]);
    if by_form {
        query.append_child(form(&hits));
        return query;
    }
    for (jid, name) in &hits {
        let mut item = element("item", SEARCH, &[("jid", jid)]);
        item.append_child(text_element("nick", SEARCH, name));
        query.append_child(item);
    }
    query
}

/// The hits as XEP-0055 section 3 has them.
fn form(hits: &[(String, &str)]) -> Element {
    let field = |attributes: &[(&str, &str)], value: Option<&str>| {
        let mut field = element("field", ns::DATA_FORMS, attributes);
        if let Some(value) = value {
            field.append_child(text_element("value", ns::DATA_FORMS, value));
        }
        field
    };
    let mut x = element("x", ns::DATA_FORMS, &[("type", "result")]);
    x.append_child(field(&[("var", "FORM_TYPE"), ("type", "hidden")], Some(SEARCH)));
    let mut reported = element("reported", ns::DATA_FORMS, &[]);
    for (name, label, kind) in [("jid", "Address", "jid-single"), ("nick", "Name", "text-single")] {
        reported.append_child(field(&[("var", name), ("label", label), ("type", kind)], None));
    }
    x.append_child(reported);
    for (jid, name) in hits {
        let mut item = element("item", ns::DATA_FORMS, &[]);
        item.append_child(field(&[("var", "jid")], Some(jid)));
        item.append_child(field(&[("var", "nick")], Some(name)));
        x.append_child(item);
    }
    x
}
