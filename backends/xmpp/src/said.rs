//! What a message says (RFC 6121, and the extensions that people's clients use), and as which events. Pure.
//!
//! Read: 0066 and 0447 attachments, 0085 chat states, 0184 receipts, 0203 delay, 0224 attention, 0308 corrections, 0333
//! markers, 0359 ids, 0424 retractions, 0425 moderation, 0428 fallbacks, 0444 reactions, 0461 replies.

use minidom::Element;
use spectrum_backend_sdk::Event;
use spectrum_backend_sdk::model::{
    Attachment, Chat, ChatState, Edit, IncomingMessage, Marker, MarkerKind, MessageId, MessageKind, Nickname, Origin, Reactions,
    Reply, Retraction, Timestamp,
};

use crate::ns;
use crate::xml::{best_text, child_text, nonempty_text};

/// Bytes of an id that is believed to be one.
const MAX_ID: usize = 1_024;

/// Attachments of one message.
const MAX_ATTACHMENTS: usize = 32;

/// Reactions of one person to one message, and bytes of each.
const MAX_REACTIONS: usize = 64;
const MAX_REACTION_BYTES: usize = 64;

/// What a message is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// A text, a file, or both.
    Speak,
    /// Another text for an old message.
    Correct(String),
    /// An old message taken back.
    Retract { id: String, reason: Option<String> },
    /// The sender's reactions.
    React { id: String, emojis: Vec<String> },
    /// A receipt.
    Received(String),
    /// A read marker.
    Displayed(String),
    /// A chat state alone.
    State(ChatState),
    /// A call for attention.
    Attention,
    /// The subject of a room.
    Subject(String),
    /// Nothing that is known here.
    Nothing,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    /// The sender's id.
    pub(crate) id: Option<String>,
    pub(crate) act: Act,
    pub(crate) body: String,
    pub(crate) attachments: Vec<Attachment>,
    /// The id of what is answered, and who is said to have written it.
    pub(crate) reply: Option<(String, Option<String>)>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) is_headline: bool,
}

/// Where something was said, and by whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) chat: Chat,
    pub(crate) nickname: Option<Nickname>,
    pub(crate) origin: Origin,
    /// The id by which the message is known from now on, if not the sender's.
    pub(crate) id: Option<String>,
}

impl Said {
    /// Reads a message. What is not understood is left out.
    pub(crate) fn read(message: &Element) -> Self {
        let id = message
            .attr("id")
            .or_else(|| message.get_child("origin-id", ns::SID).and_then(|origin| origin.attr("id")))
            .filter(|id| is_id(id))
            .map(str::to_owned);
        let reply = message.get_child("reply", ns::REPLY).and_then(|reply| {
            let to = reply.attr("to").map(str::to_owned);
            reply.attr("id").filter(|id| is_id(id)).map(|id| (id.to_owned(), to))
        });
        let mut body = best_text(message, "body").unwrap_or_default();
        if reply.is_some() {
            body = without_fallback(message, body, ns::REPLY);
        }
        let attachments = attachments(message);
        for shared in [ns::SFS, ns::OOB] {
            body = without_fallback(message, body, shared);
        }
        // The address stands in the text for clients that know no attachments.
        if attachments.iter().any(|a| a.url == body.trim()) {
            body.clear();
        }
        let act = act(message, &body, &attachments);
        if matches!(act, Act::Retract { .. } | Act::React { .. }) {
            body.clear();
        }
        Self {
            id,
            act,
            body,
            attachments,
            reply,
            timestamp: delay(message),
            is_headline: message.attr("type") == Some("headline"),
        }
    }

    /// The message as events: usually one.
    pub(crate) fn events(self, place: Place) -> Option<Event> {
        let Place {
            chat,
            nickname,
            origin,
            id,
        } = place;
        let event = match self.act {
            Act::Speak => {
                let author = match (&chat, &self.reply) {
                    (Chat::Room(room), Some((_, Some(to)))) => {
                        let nickname = to.strip_prefix(room.as_str()).and_then(|rest| rest.strip_prefix('/'));
                        nickname.map(Nickname::from)
                    }
                    _ => None,
                };
                Event::Message(IncomingMessage {
                    chat,
                    nickname,
                    id: id.or(self.id).map(MessageId::from),
                    body: self.body,
                    xhtml: None,
                    timestamp: self.timestamp,
                    origin,
                    kind: if self.is_headline {
                        MessageKind::Headline
                    } else {
                        MessageKind::Normal
                    },
                    attachments: self.attachments,
                    reply: self.reply.map(|(id, _)| Reply { to: id.into(), author }),
                })
            }
            Act::Correct(old) => Event::Edited(Edit {
                chat,
                nickname,
                id: old.into(),
                body: self.body,
                origin,
            }),
            Act::Retract { id, reason } => Event::Retracted(Retraction {
                chat,
                nickname,
                id: id.into(),
                reason,
                origin,
            }),
            Act::React { id, emojis } => Event::Reacted(Reactions {
                chat,
                nickname,
                id: id.into(),
                emojis,
                origin,
            }),
            // Of what the user's other device received nobody has to know.
            Act::Received(id) => match origin {
                Origin::Other => Event::Delivered { chat, id: id.into() },
                Origin::OwnOtherDevice => return None,
            },
            Act::Displayed(id) => Event::Marked(Marker {
                chat,
                nickname,
                id: id.into(),
                kind: MarkerKind::Displayed,
                origin,
            }),
            // A state of last week says nothing.
            Act::State(state) => match (origin, self.timestamp) {
                (Origin::Other, None) => Event::ChatState { chat, nickname, state },
                _ => return None,
            },
            Act::Attention => match (chat, origin) {
                (Chat::Contact(contact), Origin::Other) => Event::Attention {
                    contact,
                    text: Some(self.body).filter(|text| !text.is_empty()),
                },
                _ => return None,
            },
            // Subjects are the room's to tell.
            Act::Subject(_) | Act::Nothing => return None,
        };
        Some(event)
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_ID
}

fn act(message: &Element, body: &str, attachments: &[Attachment]) -> Act {
    let about = |name: &str, namespace: &str| {
        let id = message.get_child(name, namespace)?.attr("id")?;
        is_id(id).then(|| id.to_owned())
    };
    if let Some(retract) = message.get_child("retract", ns::RETRACT)
        && let Some(id) = retract.attr("id").filter(|id| is_id(id))
    {
        return Act::Retract {
            id: id.to_owned(),
            reason: nonempty_text(retract, "reason", ns::RETRACT),
        };
    }
    if let Some(id) = about("reactions", ns::REACTIONS) {
        let reactions = message.get_child("reactions", ns::REACTIONS);
        let emojis = reactions
            .into_iter()
            .flat_map(Element::children)
            .filter(|r| r.is("reaction", ns::REACTIONS));
        let emojis = emojis.map(|r| r.text().trim().to_owned());
        let emojis = emojis.filter(|e| !e.is_empty() && e.len() <= MAX_REACTION_BYTES);
        return Act::React {
            id,
            emojis: emojis.take(MAX_REACTIONS).collect(),
        };
    }
    if !body.is_empty() || !attachments.is_empty() {
        if message.has_child("attention", ns::ATTENTION) {
            return Act::Attention;
        }
        return about("replace", ns::CORRECT).map_or(Act::Speak, Act::Correct);
    }
    if message.attr("type") == Some("groupchat")
        && let Some(subject) = best_text(message, "subject")
        && !message.has_child("body", ns::CLIENT)
        && !message.has_child("thread", ns::CLIENT)
    {
        return Act::Subject(subject);
    }
    if message.has_child("attention", ns::ATTENTION) {
        return Act::Attention;
    }
    if let Some(id) = about("displayed", ns::MARKERS) {
        return Act::Displayed(id);
    }
    if let Some(id) = about("received", ns::RECEIPTS).or_else(|| about("received", ns::MARKERS)) {
        return Act::Received(id);
    }
    let state = message
        .children()
        .filter(|child| child.has_ns(ns::CHAT_STATES))
        .find_map(|child| match child.name() {
            "active" => Some(ChatState::Active),
            "composing" => Some(ChatState::Composing),
            "paused" | "inactive" | "gone" => Some(ChatState::Paused),
            _ => None,
        });
    state.map_or(Act::Nothing, Act::State)
}

/// When it was said: the oldest time that somebody on the way noted (XEP-0203).
pub(crate) fn delay(message: &Element) -> Option<Timestamp> {
    let delays = message.children().filter(|child| child.is("delay", ns::DELAY));
    delays
        .filter_map(|delay| Timestamp::from_date_time(delay.attr("stamp")?))
        .min()
}

/// The text without the parts that stand in for an extension (XEP-0428), counted in characters.
fn without_fallback(message: &Element, body: String, namespace: &str) -> String {
    let Some(fallback) = message
        .children()
        .find(|child| child.is("fallback", ns::FALLBACK) && child.attr("for") == Some(namespace))
    else {
        return body;
    };
    let Some(range) = fallback.get_child("body", ns::FALLBACK) else {
        return String::new();
    };
    let number = |name: &str| range.attr(name).map(|text| text.parse::<usize>().ok());
    let (start, end) = match (number("start"), number("end")) {
        // The whole of it.
        (None, None) => return String::new(),
        (Some(Some(start)), Some(Some(end))) if start <= end => (start, end),
        _ => return body,
    };
    let kept = body.chars().enumerate().filter(|(at, _)| *at < start || *at >= end);
    kept.map(|(_, c)| c).collect()
}

fn attachments(message: &Element) -> Vec<Attachment> {
    let mut found: Vec<Attachment> = Vec::new();
    for sharing in message.children().filter(|child| child.is("file-sharing", ns::SFS)) {
        let url = sharing
            .get_child("sources", ns::SFS)
            .and_then(|sources| sources.get_child("url-data", ns::URL_DATA))
            .and_then(|data| data.attr("target"));
        let file = sharing.get_child("file", ns::FILE_METADATA);
        if let Some(url) = url.filter(|url| is_web(url)) {
            found.push(Attachment {
                url: url.to_owned(),
                media_type: file.and_then(|file| nonempty_text(file, "media-type", ns::FILE_METADATA)),
                description: file.and_then(|file| {
                    nonempty_text(file, "desc", ns::FILE_METADATA).or_else(|| nonempty_text(file, "name", ns::FILE_METADATA))
                }),
            });
        }
    }
    for oob in message.children().filter(|child| child.is("x", ns::OOB)) {
        let url = child_text(oob, "url", ns::OOB).unwrap_or_default();
        let url = url.trim();
        if is_web(url) && !found.iter().any(|a| a.url == url) {
            found.push(Attachment {
                url: url.to_owned(),
                media_type: None,
                description: nonempty_text(oob, "desc", ns::OOB),
            });
        }
    }
    found.truncate(MAX_ATTACHMENTS);
    found
}

/// Whether an address is one that a client can be sent to.
fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("https" | "http" | "aesgcm")) && !url.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn said(inner: &str) -> Said {
        let xml = format!("<message xmlns='jabber:client' type='chat' from='bob@b.example/x' id='m1'>{inner}</message>");
        Said::read(&xml.parse().unwrap())
    }

    fn place() -> Place {
        Place {
            chat: Chat::Contact("bob@b.example".into()),
            nickname: None,
            origin: Origin::Other,
            id: None,
        }
    }

    fn event(inner: &str) -> Option<Event> {
        said(inner).events(place())
    }

    #[test]
    fn a_text_is_a_message_with_the_senders_id() {
        let mut message = IncomingMessage::new(place().chat, "hello");
        message.id = Some("m1".into());
        let with_others =
            "<body xml:lang='de'>hallo</body><body>hello</body><active xmlns='http://jabber.org/protocol/chatstates'/>";
        assert_eq!(event(with_others), Some(Event::Message(message.clone())));
        message.timestamp = Some(Timestamp::from_millis(1_709_210_096_000));
        let late = "<body>hello</body><delay xmlns='urn:xmpp:delay' stamp='2024-02-29T12:34:56Z'/>\
                    <delay xmlns='urn:xmpp:delay' stamp='2024-03-01T00:00:00Z'/>";
        assert_eq!(event(late), Some(Event::Message(message)));
    }

    #[test]
    fn a_correction_names_the_message_it_changes() {
        let edit = Edit {
            chat: place().chat,
            nickname: None,
            id: "m0".into(),
            body: "better".to_owned(),
            origin: Origin::Other,
        };
        let xml = "<body>better</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>";
        assert_eq!(event(xml), Some(Event::Edited(edit)));
    }

    #[test]
    fn a_retraction_and_reactions_leave_their_fallback_texts() {
        let retraction = Retraction {
            chat: place().chat,
            nickname: None,
            id: "m0".into(),
            reason: None,
            origin: Origin::Other,
        };
        let xml = "<retract xmlns='urn:xmpp:message-retract:1' id='m0'/><body>took it back</body>\
                   <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>";
        assert_eq!(event(xml), Some(Event::Retracted(retraction)));
        let xml = "<reactions xmlns='urn:xmpp:reactions:0' id='m0'><reaction>👋</reaction><reaction> </reaction></reactions>\
                   <body>👋</body>";
        let reactions = Reactions {
            chat: place().chat,
            nickname: None,
            id: "m0".into(),
            emojis: vec!["👋".to_owned()],
            origin: Origin::Other,
        };
        assert_eq!(event(xml), Some(Event::Reacted(reactions)));
    }

    #[test]
    fn a_reply_comes_without_the_quotation_that_stands_in_for_it() {
        let xml = "<body>&gt; grüße\nyes</body><reply xmlns='urn:xmpp:reply:0' to='alice@a.example' id='m0'/>\
                   <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback>";
        let said = said(xml);
        assert_eq!(
            (said.body.as_str(), said.reply.clone()),
            ("yes", Some(("m0".to_owned(), Some("alice@a.example".to_owned()))))
        );
        let room = Place {
            chat: Chat::Room("r@muc.b.example".into()),
            ..place()
        };
        let mut in_room = said;
        in_room.reply = Some(("m0".to_owned(), Some("r@muc.b.example/Carol".to_owned())));
        let Some(Event::Message(message)) = in_room.events(room) else {
            panic!("not a message")
        };
        assert_eq!(message.reply.unwrap().author, Some("Carol".into()));
    }

    #[test]
    fn files_are_attachments_and_their_address_is_no_text() {
        let oob = said("<body>https://b.example/cat.png</body><x xmlns='jabber:x:oob'><url>https://b.example/cat.png</url></x>");
        assert_eq!(
            (oob.body.as_str(), oob.attachments[0].url.as_str()),
            ("", "https://b.example/cat.png")
        );
        let sfs = said(
            "<body>look</body><file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>\
             <media-type>image/png</media-type><name>cat.png</name></file><sources><url-data \
             xmlns='http://jabber.org/protocol/url-data' target='https://b.example/cat.png'/></sources></file-sharing>",
        );
        let file = Attachment {
            url: "https://b.example/cat.png".to_owned(),
            media_type: Some("image/png".to_owned()),
            description: Some("cat.png".to_owned()),
        };
        assert_eq!((sfs.body.as_str(), sfs.attachments), ("look", vec![file]));
        let strange = said("<body>x</body><x xmlns='jabber:x:oob'><url>file:///etc/passwd</url></x>");
        assert_eq!(strange.attachments, []);
    }

    #[test]
    fn receipts_markers_states_and_attention_are_told_apart() {
        let chat = place().chat;
        let delivered = Event::Delivered {
            chat: chat.clone(),
            id: "m0".into(),
        };
        assert_eq!(event("<received xmlns='urn:xmpp:receipts' id='m0'/>"), Some(delivered));
        let Some(Event::Marked(marker)) = event("<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>") else {
            panic!("no marker")
        };
        assert_eq!((marker.id.as_str(), marker.kind), ("m0", MarkerKind::Displayed));
        let composing = Event::ChatState {
            chat,
            nickname: None,
            state: ChatState::Composing,
        };
        let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        assert_eq!(event(state), Some(composing));
        assert_eq!(
            event(&format!(
                "{state}<delay xmlns='urn:xmpp:delay' stamp='2024-02-29T12:34:56Z'/>"
            )),
            None
        );
        let attention = Event::Attention {
            contact: "bob@b.example".into(),
            text: None,
        };
        assert_eq!(event("<attention xmlns='urn:xmpp:attention:0'/>"), Some(attention));
        assert_eq!(event("<x xmlns='urn:example'/>"), None);
    }

    proptest! {
        #[test]
        fn no_range_of_a_fallback_is_out_of_its_text(body in ".{0,40}", start in 0usize..60, end in 0usize..60) {
            let mut message: Element = format!(
                "<message xmlns='jabber:client'><fallback xmlns='urn:xmpp:fallback:0' for='x'><body start='{start}' end='{end}'/>\
                 </fallback></message>"
            ).parse().unwrap();
            message.append_child(crate::xml::text_element("body", ns::CLIENT, &body));
            let left = without_fallback(&message, body.clone(), "x");
            prop_assert!(left.chars().count() <= body.chars().count());
        }
    }
}
