//! What is said about messages, in the words of the XEPs: the same one-to-one and in rooms.

use minidom::Element;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::ns;

use crate::model::ChatState;
use crate::session::payload::{FALLBACK, RETRACT, with_id};
use crate::xml::{HINTS, element, text_element};

/// What a client that does not know retractions shows.
const RETRACTED: &str = "/me retracted a previous message, but it's unsupported by your client.";

/// Corrects the message with this id (XEP-0308).
pub(in crate::session) fn replace(id: &str) -> Element {
    with_id("replace", ns::MESSAGE_CORRECT, id)
}

/// Makes a message take the one with this id back (XEP-0424).
pub(in crate::session) fn retract(message: &mut Message, id: &str, reason: Option<&str>) {
    let mut retract = with_id("retract", RETRACT, id);
    if let Some(reason) = reason.filter(|r| !r.is_empty()) {
        retract.append_child(text_element("reason", RETRACT, reason));
    }
    message.payloads.push(retract);
    message.payloads.push(element("fallback", FALLBACK, &[("for", RETRACT)]));
    message.payloads.push(element("store", HINTS, &[]));
    message.bodies.insert(Lang::new(), RETRACTED.to_owned());
}

/// Makes a message react to the one with this id (XEP-0444).
pub(in crate::session) fn react(message: &mut Message, id: &str, emojis: &[String]) {
    let mut payload = with_id("reactions", ns::REACTIONS, id);
    for emoji in emojis {
        payload.append_child(text_element("reaction", ns::REACTIONS, emoji));
    }
    message.payloads.push(payload);
    message.payloads.push(element("store", HINTS, &[]));
}

/// XEP-0085.
pub(in crate::session) fn chat_state(state: ChatState) -> Element {
    let name = match state {
        ChatState::Active => "active",
        ChatState::Composing => "composing",
        ChatState::Paused => "paused",
    };
    element(name, ns::CHATSTATES, &[])
}
