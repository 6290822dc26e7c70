//! Pages of archives being read (XEP-0313): what comes for a query is collected until its answer comes. A result is believed
//! from the archive that was asked alone.

use std::collections::HashMap;

use minidom::Element;

use crate::ns;
use crate::said;

/// Queries at the same time; a verb each.
const MAX_QUERIES: usize = 32;

/// Messages of one page, whatever was asked for.
const MAX_PAGE: usize = 1_000;

/// One message of an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Archived {
    /// Its id there.
    pub(crate) uid: String,
    /// The message, with its time as a delay.
    pub(crate) message: Element,
}

/// The queries.
#[derive(Debug, Default)]
pub(crate) struct Queries(HashMap<String, Query>);

#[derive(Debug)]
struct Query {
    /// The archive asked; `None` for the account's own.
    archive: Option<String>,
    found: Vec<Archived>,
}

impl Queries {
    /// Begins to collect. False if too many are under way.
    pub(crate) fn begin(&mut self, id: &str, archive: Option<&str>) -> bool {
        if self.0.len() >= MAX_QUERIES {
            return false;
        }
        let query = Query {
            archive: archive.map(str::to_owned),
            found: Vec::new(),
        };
        self.0.insert(id.to_owned(), query);
        true
    }

    /// Ends it, with what has come.
    pub(crate) fn end(&mut self, id: &str) -> Vec<Archived> {
        self.0.remove(id).map(|query| query.found).unwrap_or_default()
    }

    /// Takes a result; `from` is `None` if the message is from the account itself.
    pub(crate) fn take(&mut self, from: Option<&str>, result: &Element) {
        let Some(query) = result.attr("queryid").and_then(|id| self.0.get_mut(id)) else {
            return;
        };
        if query.archive.as_deref() != from || query.found.len() >= MAX_PAGE {
            return;
        }
        let uid = result.attr("id").unwrap_or_default();
        if let Some(message) = forwarded(result) {
            query.found.push(Archived {
                uid: uid.to_owned(),
                message,
            });
        }
    }
}

/// The message that was forwarded (XEP-0297), with the time that goes with it.
pub(crate) fn forwarded(wrapper: &Element) -> Option<Element> {
    let forwarded = wrapper.get_child("forwarded", ns::FORWARD)?;
    let mut message = forwarded.get_child("message", ns::CLIENT)?.clone();
    if let Some(delay) = forwarded.get_child("delay", ns::DELAY)
        && said::delay(&message).is_none()
    {
        message.append_child(delay.clone());
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn result(query: &str) -> Element {
        let xml = format!(
            "<result xmlns='urn:xmpp:mam:2' queryid='{query}' id='u1'><forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2024-02-29T12:34:56Z'/><message xmlns='jabber:client' from='bob@b.example/x'>\
             <body>old</body></message></forwarded></result>"
        );
        xml.parse().unwrap()
    }

    #[test]
    fn a_result_is_believed_from_the_archive_that_was_asked() {
        let mut queries = Queries::default();
        assert!(queries.begin("q1", None) && queries.begin("q2", Some("r@muc.b.example")));
        queries.take(Some("eve@e.example"), &result("q1"));
        queries.take(None, &result("q2"));
        queries.take(None, &result("q3"));
        queries.take(None, &result("q1"));
        let found = queries.end("q1");
        assert_eq!((found.len(), found[0].uid.as_str()), (1, "u1"));
        assert_eq!(said::delay(&found[0].message).unwrap().as_millis(), 1_709_210_096_000);
        assert_eq!(queries.end("q2"), []);
    }

    #[test]
    fn an_archive_that_says_more_than_a_page_is_cut() {
        let mut queries = Queries::default();
        queries.begin("q1", None);
        for _ in 0..MAX_PAGE + 5 {
            queries.take(None, &result("q1"));
        }
        assert_eq!(queries.end("q1").len(), MAX_PAGE);
    }
}
