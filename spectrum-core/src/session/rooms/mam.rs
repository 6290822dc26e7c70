//! The archive of a room as clients ask for it (XEP-0313 with `#extended`, paged by XEP-0059): queries, the form of their
//! fields, and metadata. The archive is the user's own: nobody else's session can ask for it.

use jid::{Jid, NodePart};
use minidom::Element;
use xmpp_parsers::message::Message;
use xmpp_parsers::ns::{DATA_FORMS, FORWARD, MAM, RSM};
use xmpp_parsers::stanza_error::{DefinedCondition, StanzaError};

use super::archive::{self, Asked};
use super::{Rooms, past, show};
use crate::model::Timestamp;
use crate::session::Cx;
use crate::session::archive::{ArchiveAnswer, ArchivePage, ArchiveQuery, ArchiveRequest, ArchivedLine, MAX_IDS, MAX_PAGE};
use crate::session::history::MAX_ID_BYTES;
use crate::session::rsm;
use crate::stanza::{Stanza, error};
use crate::xml::{element, set, text_element};

/// Lines of a page whose query names no number.
const PAGE: u32 = 50;
/// The fields a query may have.
const FIELDS: [&str; 6] = ["start", "end", "before-id", "after-id", "ids", "with"];

/// A query that waits for its answer.
#[derive(Debug)]
pub(crate) struct PageAsked {
    pub(super) iq: Stanza,
    /// The oldest line that this archive has of what was asked for.
    pub(super) oldest: Option<String>,
    query_id: Option<String>,
    /// The page is wanted with the newest line first.
    flip: bool,
    /// Only lines of this address.
    with: Option<Jid>,
    query: ArchiveQuery,
    /// The network has been asked for what is older.
    asked_network: bool,
}

/// A request about the archive. `asked` is its payload.
pub(super) fn request(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, iq: Stanza, asked: &Element, is_set: bool) {
    if asked.is("metadata", MAM) && !is_set {
        return later(rooms, cx, node, ArchiveRequest::Ends, Asked::Ends(Box::new(iq)));
    }
    if asked.is("query", MAM) && !is_set {
        return answer(cx, &iq, Ok(fields()));
    }
    if !asked.is("query", MAM) {
        return answer(cx, &iq, Err(error(DefinedCondition::FeatureNotImplemented, "")));
    }
    match read(asked) {
        Ok((query, with)) => {
            let page = PageAsked {
                iq,
                oldest: None,
                query_id: asked.attr("queryid").map(str::to_owned),
                flip: asked.has_child("flip-page", MAM),
                with,
                query: query.clone(),
                asked_network: false,
            };
            later(rooms, cx, node, ArchiveRequest::Page(query), Asked::Page(Box::new(page)));
        }
        Err(refused) => answer(cx, &iq, Err(refused)),
    }
}

fn later(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, request: ArchiveRequest, asked: Asked) {
    if let Err(asked) = past::ask_later(rooms, cx, node, request, asked) {
        let too_many = error(
            DefinedCondition::ResourceConstraint,
            "Too many queries wait for the network's history.",
        );
        match asked {
            Asked::Page(page) => answer(cx, &page.iq, Err(too_many)),
            Asked::Ends(iq) => answer(cx, &iq, Err(too_many)),
            Asked::History(_) | Asked::CatchUp | Asked::Tombstone(_) => {}
        }
    }
}

fn answer(cx: &mut Cx<'_>, iq: &Stanza, answer: Result<Element, StanzaError>) {
    let reply = match answer {
        Ok(payload) => iq.result_reply(Some(payload)),
        Err(refused) => iq.error_reply(refused),
    };
    if let Some(reply) = reply {
        cx.say(reply);
    }
}

/// The archive could not be read.
pub(super) fn failed(cx: &mut Cx<'_>, iq: &Stanza, reason: &str) {
    answer(cx, iq, Err(error(DefinedCondition::InternalServerError, reason)));
}

/// The form of the fields that a query may have.
fn fields() -> Element {
    let mut form = element("x", DATA_FORMS, &[("type", "form")]);
    let mut form_type = element("field", DATA_FORMS, &[("type", "hidden"), ("var", "FORM_TYPE")]);
    form_type.append_child(text_element("value", DATA_FORMS, MAM));
    form.append_child(form_type);
    for name in FIELDS {
        let kind = match name {
            "ids" => "list-multi",
            "with" => "jid-single",
            _ => "text-single",
        };
        let mut field = element("field", DATA_FORMS, &[("type", kind), ("var", name)]);
        if name == "ids" {
            // Any value may be given, not only one of a list (XEP-0122).
            let mut validate = element(
                "validate",
                "http://jabber.org/protocol/xdata-validate",
                &[("datatype", "xs:string")],
            );
            validate.append_child(element("open", "http://jabber.org/protocol/xdata-validate", &[]));
            field.append_child(validate);
        }
        form.append_child(field);
    }
    let mut query = element("query", MAM, &[]);
    query.append_child(form);
    query
}

fn read(asked: &Element) -> Result<(ArchiveQuery, Option<Jid>), StanzaError> {
    let bad = |text: &str| error(DefinedCondition::BadRequest, text);
    let mut query = ArchiveQuery {
        limit: PAGE,
        ..ArchiveQuery::default()
    };
    let mut with = None;
    let form = asked.get_child("x", DATA_FORMS);
    for field in form.into_iter().flat_map(Element::children) {
        let name = field
            .attr("var")
            .filter(|_| field.is("field", DATA_FORMS))
            .unwrap_or_default();
        let mut values = field.children().filter(|v| v.is("value", DATA_FORMS)).map(Element::text);
        if name == "ids" {
            query.ids = values.filter(|id| id.len() <= MAX_ID_BYTES).take(MAX_IDS + 1).collect();
            if query.ids.len() > MAX_IDS {
                return Err(error(
                    DefinedCondition::PolicyViolation,
                    "These are too many ids for one query.",
                ));
            }
            continue;
        }
        let Some(value) = values.next().filter(|value| !value.is_empty()) else {
            continue;
        };
        match name {
            "FORM_TYPE" if value == MAM => {}
            "start" => query.start = Some(time(&value).ok_or_else(|| bad("The start is no time."))?),
            "end" => query.end = Some(time(&value).ok_or_else(|| bad("The end is no time."))?),
            "after-id" => query.after.push(value),
            "before-id" => query.before.push(value),
            "with" => with = Some(Jid::new(&value).map_err(|_| bad("That is no address."))?),
            _ => {
                return Err(error(
                    DefinedCondition::FeatureNotImplemented,
                    "The archive has no such field.",
                ));
            }
        }
    }
    if let Some(page) = rsm::Wanted::of(asked)? {
        query.limit = page.max.map_or(PAGE, |max| max.min(MAX_PAGE));
        query.after.extend(page.after);
        query.newest = page.before.is_some();
        query.before.extend(page.before.filter(|id| !id.is_empty()));
    }
    Ok((query, with))
}

fn time(text: &str) -> Option<Timestamp> {
    let time: xmpp_parsers::date::DateTime = text.parse().ok()?;
    Some(Timestamp::from_millis(time.0.timestamp_millis()))
}

/// The archive has answered a query.
pub(super) fn answered(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, mut asked: PageAsked, said: ArchiveAnswer) {
    let page = match said {
        ArchiveAnswer::Page(page) => page,
        ArchiveAnswer::UnknownId => {
            let text = "The archive has no line of that id.";
            return answer(cx, &asked.iq, Err(error(DefinedCondition::ItemNotFound, text)));
        }
    };
    let backwards = asked.query.newest && asked.query.ids.is_empty() && asked.query.limit > 0;
    if backwards && page.complete && !asked.asked_network && reaches_past(&asked.query, &page) {
        let first = page.lines.first().map(|line| line.id.clone());
        asked.oldest = first.or_else(|| asked.query.before.last().cloned());
        match past::older(rooms, cx, node, asked) {
            Some(back) => asked = back,
            None => return,
        }
    }
    let complete = page.complete && (!backwards || rooms.knows_start(node, cx));
    tell(cx, node, &asked, page, complete);
}

/// Whether what is older than the page could fit the query.
fn reaches_past(query: &ArchiveQuery, page: &ArchivePage) -> bool {
    query.after.is_empty()
        && match (query.start, page.lines.first()) {
            (Some(start), Some(first)) => first.at > start,
            (Some(_) | None, None) | (None, Some(_)) => true,
        }
}

/// The network has told what it has: the archive is asked once more.
pub(super) fn again(rooms: &mut Rooms, cx: &mut Cx<'_>, node: &NodePart, mut asked: PageAsked) {
    asked.asked_network = true;
    let query = asked.query.clone();
    archive::ask(rooms, cx, node, ArchiveRequest::Page(query), Asked::Page(Box::new(asked)));
}

fn tell(cx: &mut Cx<'_>, node: &NodePart, asked: &PageAsked, page: ArchivePage, complete: bool) {
    let room = cx.at_transport(node);
    let lines: Vec<(&ArchivedLine, Element)> = page
        .lines
        .iter()
        .filter_map(|line| Some((line, line.stanza.parse::<Element>().ok()?)))
        .filter(|(_, stanza)| asked.with.as_ref().is_none_or(|with| is_from(stanza, with)))
        .collect();
    let mut set = element("set", RSM, &[]);
    if let (Some(first), Some(last)) = (page.lines.first(), page.lines.last()) {
        set.append_child(text_element("first", RSM, &first.id));
        set.append_child(text_element("last", RSM, &last.id));
    }
    if let Some(count) = page.count {
        set.append_child(text_element("count", RSM, &count.to_string()));
    }
    let to = asked.iq.sender().cloned();
    let one = |(line, stanza): (&ArchivedLine, Element)| {
        let mut forwarded = element("forwarded", FORWARD, &[]);
        forwarded.append_child(element("delay", xmpp_parsers::ns::DELAY, &[("stamp", &line.at.date_time())]));
        forwarded.append_child(stanza);
        let mut result = element("result", MAM, &[("id", &line.id)]);
        if let Some(query_id) = &asked.query_id {
            self::set(&mut result, "queryid", query_id);
        }
        result.append_child(forwarded);
        let mut message = Message::new_with_type(xmpp_parsers::message::MessageType::Normal, to.clone());
        message.from = Some(room.clone().into());
        message.payloads.push(result);
        message
    };
    let mut messages: Vec<Message> = lines.into_iter().map(one).collect();
    if asked.flip {
        messages.reverse();
    }
    for message in messages {
        show::say(cx, message);
    }
    let mut fin = element("fin", MAM, &[]);
    if complete {
        self::set(&mut fin, "complete", "true");
    }
    fin.append_child(set);
    answer(cx, &asked.iq, Ok(fin));
}

fn is_from(stanza: &Element, with: &Jid) -> bool {
    stanza
        .attr("from")
        .and_then(|from| Jid::new(from).ok())
        .is_some_and(|from| from == *with || with.resource().is_none() && from.to_bare() == with.to_bare())
}

/// The archive has told its first and last line.
pub(super) fn ends(cx: &mut Cx<'_>, iq: &Stanza, page: &ArchivePage) {
    let mut metadata = element("metadata", MAM, &[]);
    if let (Some(first), Some(last)) = (page.lines.first(), page.lines.last()) {
        for (name, line) in [("start", first), ("end", last)] {
            metadata.append_child(element(name, MAM, &[("id", &line.id), ("timestamp", &line.at.date_time())]));
        }
    }
    answer(cx, iq, Ok(metadata));
}
