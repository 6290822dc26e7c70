//! Forms and tables as data forms (XEP-0004), pictures in them (XEP-0221, XEP-0231). Pure.
//!
//! Read by hand: clients leave types out, or give others than they were asked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;
use sha1::{Digest as _, Sha1};
use xmpp_parsers::ns;

use super::form::{FormError, MAX_FIELDS};
use super::report::Report;
use crate::model::{Field, FieldKind, Form, FormAnswers, Secret, Shown};
use crate::xml::{element, text_element};

/// Media elements (XEP-0221).
const MEDIA: &str = "urn:xmpp:media-element";
/// Bits of binary (XEP-0231).
const BOB: &str = "urn:xmpp:bob";
/// Fields of XEP-0133 that take several values: people's addresses, and a text of several lines.
pub(super) const JIDS: &str = "accountjids";
pub(super) const LINES: &str = "announcement";
/// Larger pictures are told by their text alone: many would not fit into a stanza.
pub const MAX_PICTURE_BYTES: usize = 64 * 1024;

/// A form to fill in; `form_type`: its name, where it has one.
pub fn question(form: &Form, form_type: Option<&str>, problem: Option<&str>) -> Element {
    let mut x = element("x", ns::DATA_FORMS, &[("type", "form")]);
    if !form.title.is_empty() {
        x.append_child(text_element("title", ns::DATA_FORMS, &form.title));
    }
    for text in problem
        .into_iter()
        .chain([form.instructions.as_str()])
        .filter(|text| !text.is_empty())
    {
        x.append_child(text_element("instructions", ns::DATA_FORMS, text));
    }
    if let Some(form_type) = form_type {
        x.append_child(hidden(form_type));
    }
    for field in form.fields.iter().map(question_field) {
        x.append_child(field);
    }
    x
}

fn hidden(form_type: &str) -> Element {
    let mut field = element("field", ns::DATA_FORMS, &[("var", "FORM_TYPE"), ("type", "hidden")]);
    field.append_child(text_element("value", ns::DATA_FORMS, form_type));
    field
}

fn question_field(field: &Field) -> Element {
    let kind = match field.kind {
        FieldKind::Text if field.name == JIDS => "jid-multi",
        FieldKind::Text if field.name == LINES => "text-multi",
        FieldKind::Text | FieldKind::Name => "text-single",
        FieldKind::Password => "text-private",
        FieldKind::Boolean => "boolean",
        FieldKind::Choice(_) => "list-single",
    };
    let mut shown = element("field", ns::DATA_FORMS, &[("var", &field.name), ("type", kind)]);
    if !field.label.is_empty() {
        crate::xml::set(&mut shown, "label", &field.label);
    }
    if let FieldKind::Choice(choices) = &field.kind {
        for (value, label) in choices {
            let mut option = element("option", ns::DATA_FORMS, &[]);
            if !label.is_empty() {
                crate::xml::set(&mut option, "label", label);
            }
            option.append_child(text_element("value", ns::DATA_FORMS, value));
            shown.append_child(option);
        }
    }
    if field.required {
        shown.append_child(element("required", ns::DATA_FORMS, &[]));
    }
    if let Some(default) = &field.default {
        shown.append_child(text_element("value", ns::DATA_FORMS, default));
    }
    shown
}

/// The answers in a form that was sent.
///
/// # Errors
/// [`FormError::Cancelled`] if that is what it says; [`FormError::Malformed`] if it is no form to submit.
pub fn answers(x: &Element) -> Result<FormAnswers, FormError> {
    match x.attr("type") {
        // COMPAT: some clients leave the type out, or send the form back as it came.
        Some("submit" | "form") | None => {}
        Some("cancel") => return Err(FormError::Cancelled),
        Some(_) => return Err(FormError::Malformed),
    }
    let fields = x
        .children()
        .filter(|child| child.is("field", ns::DATA_FORMS))
        .take(MAX_FIELDS);
    Ok(fields
        .filter_map(|field| {
            let mut values = field.children().filter(|child| child.is("value", ns::DATA_FORMS));
            let mut value = values.next()?.text();
            for further in values {
                value.push('\n');
                value.push_str(&further.text());
            }
            Some((field.attr("var")?.to_owned(), Secret::new(value)))
        })
        .collect())
}

/// Values and table as a form of results; `None` if there are neither. A form that has a name (XEP-0133) has values alone.
pub fn results(report: &Report, title: &str, form_type: Option<&str>) -> Option<Element> {
    let mut x = element("x", ns::DATA_FORMS, &[("type", "result")]);
    x.append_child(text_element("title", ns::DATA_FORMS, title));
    if report.columns.is_empty() || form_type.is_some() {
        if report.fields.is_empty() {
            return None;
        }
        if let Some(form_type) = form_type {
            x.append_child(hidden(form_type));
        }
        for (name, label, values) in &report.fields {
            let kind = if values.len() == 1 { "text-single" } else { "text-multi" };
            let mut field = element("field", ns::DATA_FORMS, &[("var", name), ("label", label), ("type", kind)]);
            for value in values {
                field.append_child(text_element("value", ns::DATA_FORMS, value));
            }
            x.append_child(field);
        }
        return Some(x);
    }
    let mut reported = element("reported", ns::DATA_FORMS, &[]);
    for (name, label) in &report.columns {
        reported.append_child(element(
            "field",
            ns::DATA_FORMS,
            &[("var", name), ("label", label), ("type", "text-single")],
        ));
    }
    x.append_child(reported);
    for row in &report.rows {
        let mut item = element("item", ns::DATA_FORMS, &[]);
        for ((name, _), value) in report.columns.iter().zip(row) {
            let mut field = element("field", ns::DATA_FORMS, &[("var", name)]);
            field.append_child(text_element("value", ns::DATA_FORMS, value));
            item.append_child(field);
        }
        x.append_child(item);
    }
    Some(x)
}

/// Something to look at as a form without a question, and the data that goes beside it.
pub fn shown(shown: &Shown, title: &str) -> (Element, Option<Element>) {
    let mut x = element("x", ns::DATA_FORMS, &[("type", "form")]);
    x.append_child(text_element("title", ns::DATA_FORMS, title));
    let fixed = |text: &str| {
        let mut field = element("field", ns::DATA_FORMS, &[("type", "fixed")]);
        field.append_child(text_element("value", ns::DATA_FORMS, text));
        field
    };
    match shown {
        Shown::Link { url, text } => {
            for text in [text.as_str(), url].into_iter().filter(|text| !text.is_empty()) {
                x.append_child(fixed(text));
            }
            (x, None)
        }
        Shown::Picture { media_type, data, text } => {
            if !text.is_empty() {
                x.append_child(fixed(text));
            }
            if data.is_empty() || data.len() > MAX_PICTURE_BYTES {
                return (x, None);
            }
            let hash: String = Sha1::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
            let cid = format!("sha1+{hash}@bob.xmpp.org");
            let mut media = element("media", MEDIA, &[]);
            let mut uri = text_element("uri", MEDIA, &format!("cid:{cid}"));
            crate::xml::set(&mut uri, "type", media_type);
            media.append_child(uri);
            let mut field = element("field", ns::DATA_FORMS, &[("var", "picture"), ("type", "fixed")]);
            field.append_child(media);
            x.append_child(field);
            let mut bits = text_element("data", BOB, &STANDARD.encode(data));
            for (name, value) in [("cid", cid.as_str()), ("type", media_type), ("max-age", "0")] {
                crate::xml::set(&mut bits, name, value);
            }
            (x, Some(bits))
        }
    }
}
