//! Stanza errors (RFC 6120 8.3) as errors of verbs: the one place where they are read.

use std::time::Duration;

use minidom::Element;
use spectrum_backend_sdk::{OpError, OpErrorKind, Retry};

use crate::ns;
use crate::stream::words;
use crate::xml::child_text;

/// What was asked for: the same condition means different things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About {
    /// The user's own account, or a service.
    Account,
    /// A person.
    Contact,
    /// Being let into a room.
    Join,
    /// Something in a room.
    Room,
}

/// The error that a stanza carries.
pub(crate) fn from_stanza(stanza: &Element, about: About) -> OpError {
    let error = stanza.children().find(|child| child.name() == "error");
    let condition = error
        .and_then(|error| {
            error
                .children()
                .find(|child| child.has_ns(ns::STANZA_ERRORS) && child.name() != "text")
        })
        .map_or("undefined-condition", Element::name);
    let text = error
        .and_then(|error| child_text(error, "text", ns::STANZA_ERRORS))
        .map(|text| words(&text))
        .filter(|text| !text.is_empty());
    let (kind, default) = meaning(condition, about);
    let mut result = OpError::new(kind, text.unwrap_or_else(|| default.to_owned()));
    if matches!(kind, OpErrorKind::Timeout | OpErrorKind::RateLimited | OpErrorKind::Full) {
        result = result.retry(Retry::After(Duration::from_secs(60)));
    }
    result
}

fn meaning(condition: &str, about: About) -> (OpErrorKind, &'static str) {
    match (condition, about) {
        ("remote-server-not-found", _) => (OpErrorKind::NotFound, "The other server cannot be found."),
        ("remote-server-timeout", _) => (OpErrorKind::Timeout, "The other server does not answer."),
        ("not-authorized", About::Join) => (OpErrorKind::NotAuthorized, "The room needs a password."),
        ("forbidden", About::Join) => (OpErrorKind::Banned, "You are banned from the room."),
        ("registration-required", _) => (OpErrorKind::MembersOnly, "Only members may."),
        ("conflict", _) => (OpErrorKind::Conflict, "The name is taken."),
        ("service-unavailable", About::Join) => (OpErrorKind::Full, "The room is full."),
        ("service-unavailable", About::Contact) => (OpErrorKind::NotFound, "They do not exist, or do not want to hear from you."),
        ("item-not-found" | "recipient-unavailable" | "gone", _) => (OpErrorKind::NotFound, "There is no such thing."),
        ("not-authorized" | "subscription-required", _) => (OpErrorKind::NotAllowed, "You may not do this."),
        ("forbidden" | "not-allowed", _) => (OpErrorKind::NotAllowed, "You may not do this."),
        ("policy-violation" | "resource-constraint", _) => (OpErrorKind::RateLimited, "The server has had enough of it."),
        ("jid-malformed" | "bad-request" | "not-acceptable", _) => (OpErrorKind::Invalid, "The server does not accept it."),
        _ => (OpErrorKind::NotAllowed, "The server refuses."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn error(condition: &str, text: &str, about: About) -> OpError {
        let xml = format!(
            "<message xmlns='jabber:client' type='error'><error type='cancel'><{condition} \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{text}</text>\
             </error></message>"
        );
        from_stanza(&xml.parse().unwrap(), about)
    }

    #[test]
    fn the_same_condition_means_what_it_means_where_it_is_said() {
        assert_eq!(error("service-unavailable", "", About::Join).kind, OpErrorKind::Full);
        assert_eq!(error("service-unavailable", "", About::Contact).kind, OpErrorKind::NotFound);
        assert_eq!(error("forbidden", "", About::Join).kind, OpErrorKind::Banned);
        assert_eq!(error("forbidden", "", About::Room).kind, OpErrorKind::NotAllowed);
        assert_eq!(error("x-new", "", About::Account).kind, OpErrorKind::NotAllowed);
    }

    #[test]
    fn the_servers_words_are_handed_on_in_short() {
        assert_eq!(error("conflict", " Taken.\n Sorry. ", About::Join).text, "Taken. Sorry.");
        assert_eq!(error("conflict", &"x".repeat(1_000), About::Join).text.len(), 200);
        assert_eq!(
            from_stanza(&"<iq xmlns='jabber:client' type='error'/>".parse().unwrap(), About::Account).text,
            "The server refuses."
        );
    }
}
