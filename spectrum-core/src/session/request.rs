//! A stanza of the user that waits for an answer, without its content: what is kept while the network is asked, so that a
//! picture of a card is not kept with it.

use minidom::Element;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;

use crate::stanza::Stanza;

/// A request of the user, taken apart.
#[derive(Debug)]
pub(crate) struct Request {
    /// For the answer.
    pub(crate) iq: Stanza,
    /// What is asked.
    pub(crate) payload: Element,
    /// Whether it is a get.
    pub(crate) get: bool,
}

impl Request {
    /// Takes a request apart; `None` for an answer, which is not answered.
    pub(crate) fn of(iq: Iq) -> Option<Self> {
        let nothing = || Element::bare("query", "");
        Some(match iq {
            Iq::Get { from, to, id, payload } => Self {
                iq: Stanza::Iq(Iq::Get {
                    from,
                    to,
                    id,
                    payload: nothing(),
                }),
                payload,
                get: true,
            },
            Iq::Set { from, to, id, payload } => Self {
                iq: Stanza::Iq(Iq::Set {
                    from,
                    to,
                    id,
                    payload: nothing(),
                }),
                payload,
                get: false,
            },
            Iq::Result { .. } | Iq::Error { .. } => return None,
        })
    }
}

/// A message without its content.
pub(crate) fn envelope(message: &Message) -> Message {
    let mut envelope = Message::new_with_type(message.type_.clone(), message.to.clone());
    envelope.from.clone_from(&message.from);
    envelope.id.clone_from(&message.id);
    envelope
}

/// The same of a message that nobody needs any more.
pub(crate) fn emptied(mut message: Message) -> Message {
    message.bodies.clear();
    message.subjects.clear();
    message.thread = None;
    message.payloads = Vec::new();
    message
}

/// A presence without its content.
pub(crate) fn presence_envelope(presence: Presence) -> Box<Stanza> {
    let mut envelope = Presence::new(presence.type_);
    envelope.from = presence.from;
    envelope.to = presence.to;
    envelope.id = presence.id;
    Box::new(Stanza::Presence(envelope))
}
