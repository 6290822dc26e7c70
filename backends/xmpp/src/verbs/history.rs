//! Archives (XEP-0313): pages that the user wants to see, and what was missed between two sessions.

use minidom::Element;
use spectrum_backend_sdk::model::{Chat, HistoryPage, IncomingMessage, MessageId, PageRequest};
use spectrum_backend_sdk::{Event, Op, OpError, OpErrorKind, OpResult};

use crate::address::{bare, of_chat};
use crate::desk::set;
use crate::ns;
use crate::session::XmppSession;
use crate::state::{Archived, Effect, Named};
use crate::xml::{element, text_element};

/// Messages of one page of catching up, and pages. What was missed beyond it is found by looking at the history.
const CATCH_UP_PAGE: u32 = 100;
const CATCH_UP_PAGES: usize = 10;

/// The longest page asked for.
const MAX_LIMIT: u32 = 250;

/// Which part of an archive.
#[derive(Clone, Debug, Default)]
struct Part<'a> {
    /// With whom.
    with: Option<&'a str>,
    /// Older than this; `""` is the newest there is.
    before: Option<&'a str>,
    /// Newer than this.
    after: Option<&'a str>,
    limit: u32,
}

/// A page as it came.
struct Page {
    messages: Vec<Archived>,
    is_complete: bool,
}

fn query(id: &str, part: &Part<'_>) -> Element {
    let mut query = element("query", ns::MAM, &[("queryid", id)]);
    if let Some(with) = part.with {
        let mut form = element("x", ns::DATA, &[("type", "submit")]);
        for (name, kind, value) in [("FORM_TYPE", Some("hidden"), ns::MAM), ("with", None, with)] {
            let mut field = element("field", ns::DATA, &[("var", name)]);
            if let Some(kind) = kind {
                crate::xml::set(&mut field, "type", kind);
            }
            field.append_child(text_element("value", ns::DATA, value));
            form.append_child(field);
        }
        query.append_child(form);
    }
    let mut set = element("set", ns::RSM, &[]);
    set.append_child(text_element("max", ns::RSM, &part.limit.to_string()));
    if let Some(before) = part.before {
        set.append_child(text_element("before", ns::RSM, before));
    }
    if let Some(after) = part.after {
        set.append_child(text_element("after", ns::RSM, after));
    }
    query.append_child(set);
    query
}

impl XmppSession {
    async fn read_archive(&self, archive: Option<&str>, part: &Part<'_>, cx: Option<&Op>) -> OpResult<Page> {
        let id = self.desk.new_id();
        if !self.desk.state().queries.begin(&id, archive) {
            return Err(OpError::new(OpErrorKind::RateLimited, "Too many archives are being read."));
        }
        let answer = self.desk.ask(set(archive, query(&id, part)), cx).await;
        let messages = self.desk.state().queries.end(&id);
        let answer = answer?;
        let fin = answer.get_child("fin", ns::MAM);
        Ok(Page {
            messages,
            is_complete: fin.is_some_and(|fin| matches!(fin.attr("complete"), Some("true" | "1"))),
        })
    }

    /// Reports what was said since the last session of the same user, or notes where the archive ends.
    pub(crate) async fn catch_up(&self) -> OpResult<()> {
        let place = self.desk.state().begin_to_catch_up();
        let Some(mut after) = place else {
            let newest = Part {
                before: Some(""),
                limit: 1,
                ..Part::default()
            };
            let page = self.read_archive(None, &newest, None).await?;
            if let Some(last) = page.messages.last() {
                self.desk.state().caught_up_to(&last.uid);
            }
            return Ok(());
        };
        for _ in 0..CATCH_UP_PAGES {
            let part = Part {
                after: Some(&after),
                limit: CATCH_UP_PAGE,
                ..Part::default()
            };
            let page = self.read_archive(None, &part, None).await?;
            let effects = self.desk.state().catch_up(&page.messages);
            self.desk.report(effects).await?;
            match page.messages.last() {
                Some(last) => after.clone_from(&last.uid),
                None => break,
            }
            if page.is_complete {
                break;
            }
        }
        self.desk.state().caught_up_to(&after);
        Ok(())
    }

    /// A page of old messages.
    pub(crate) async fn page(&self, request: PageRequest, cx: &Op) -> OpResult<HistoryPage> {
        let place = |id: &Option<MessageId>| -> OpResult<Option<String>> {
            let Some(id) = id else { return Ok(None) };
            if let Some(uid) = self.desk.state().page_id(id) {
                return Ok(Some(uid.to_owned()));
            }
            match &request.chat {
                // A room's archive has the ids that the room gives.
                Chat::Room(_) => Ok(Some(id.as_str().to_owned())),
                Chat::Contact(_) | Chat::Occupant { .. } => {
                    let text = "The server cannot look for what was before or after this message.";
                    Err(OpError::new(OpErrorKind::NotFound, text))
                }
            }
        };
        let (before, after) = (place(&request.before)?, place(&request.after)?);
        let (address, _) = of_chat(&request.chat)?;
        let archive = match &request.chat {
            Chat::Room(_) => Some(address.as_str()),
            Chat::Contact(_) | Chat::Occupant { .. } => None,
        };
        let part = Part {
            with: Some(address.as_str()).filter(|_| archive.is_none()),
            before: match (&before, &after) {
                (Some(before), _) => Some(before),
                // The newest page, unless the oldest after something is wanted.
                (None, None) => Some(""),
                (None, Some(_)) => None,
            },
            after: after.as_deref(),
            limit: request.limit.clamp(1, MAX_LIMIT),
        };
        let page = self.read_archive(archive, &part, Some(cx)).await?;
        let ends: Vec<_> = [page.messages.first(), page.messages.last()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let mut messages = Vec::new();
        let mut named = Vec::new();
        for archived in &page.messages {
            let events = self.read_archived(&request.chat, archived, &mut named)?;
            for event in events {
                apply(&mut messages, event);
            }
            if ends.contains(archived)
                && let Some(id) = messages.last().and_then(|m: &IncomingMessage| m.id.clone())
            {
                self.desk.state().remember_page(&id, &archived.uid);
            }
        }
        Ok(HistoryPage {
            messages,
            complete: page.is_complete,
        })
    }

    fn read_archived(&self, chat: &Chat, archived: &Archived, named: &mut Vec<Named>) -> OpResult<Vec<Event>> {
        let effects = match chat {
            Chat::Room(room) => self.desk.state().old_in_room(&bare(room.as_str())?, archived, named),
            Chat::Contact(_) | Chat::Occupant { .. } => self.desk.state().old(archived),
        };
        Ok(effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Event(event) => Some(event),
                Effect::Send(_) => None,
            })
            .collect())
    }
}

/// A page shows messages as they are now.
fn apply(messages: &mut Vec<IncomingMessage>, event: Event) {
    match event {
        Event::Message(message) => messages.push(message),
        Event::Edited(edit) => {
            let old = messages
                .iter_mut()
                .rev()
                .find(|m| m.id.as_ref() == Some(&edit.id) && m.nickname == edit.nickname);
            if let Some(old) = old.filter(|old| old.origin == edit.origin) {
                old.body = edit.body;
            }
        }
        Event::Retracted(retraction) => {
            // Whoever took it back wrote it; the room itself may take back anybody's.
            let is_by = |m: &IncomingMessage| retraction.nickname.is_none() || m.nickname == retraction.nickname;
            messages.retain(|m| m.id.as_ref() != Some(&retraction.id) || m.origin != retraction.origin || !is_by(m));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::model::{Edit, Origin, Retraction};

    use super::*;

    fn message(id: &str, nickname: &str) -> IncomingMessage {
        let mut message = IncomingMessage::new(Chat::Room("r@muc".into()), "first").by(nickname);
        message.id = Some(id.into());
        message
    }

    #[test]
    fn a_page_is_asked_for_with_whom_and_from_where() {
        let part = Part {
            with: Some("bob@b.example"),
            before: Some("u9"),
            after: None,
            limit: 20,
        };
        let expected = "<query xmlns='urn:xmpp:mam:2' queryid='q1'><x xmlns='jabber:x:data' type='submit'>\
                        <field type='hidden' var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
                        <field var='with'><value>bob@b.example</value></field></x>\
                        <set xmlns='http://jabber.org/protocol/rsm'><max>20</max><before>u9</before></set></query>";
        assert_eq!(query("q1", &part), expected.parse().unwrap());
    }

    #[test]
    fn a_page_shows_messages_as_they_are_now_and_nobody_changes_anothers() {
        let chat = Chat::Room("r@muc".into());
        let edit = |by: &str, id: &str| {
            Event::Edited(Edit {
                chat: chat.clone(),
                nickname: Some(by.into()),
                id: id.into(),
                body: "second".to_owned(),
                origin: Origin::Other,
            })
        };
        let retract = |by: Option<&str>, id: &str| {
            Event::Retracted(Retraction {
                chat: chat.clone(),
                nickname: by.map(Into::into),
                id: id.into(),
                reason: None,
                origin: Origin::Other,
            })
        };
        let mut page = Vec::new();
        for id in ["1", "2", "3"] {
            apply(&mut page, Event::Message(message(id, "Bob")));
        }
        for event in [
            edit("Bob", "1"),
            edit("Eve", "2"),
            retract(Some("Eve"), "2"),
            retract(None, "3"),
        ] {
            apply(&mut page, event);
        }
        let shown: Vec<_> = page
            .iter()
            .map(|m| (m.id.as_ref().unwrap().as_str(), m.body.as_str()))
            .collect();
        assert_eq!(shown, [("1", "second"), ("2", "first")]);
    }
}
