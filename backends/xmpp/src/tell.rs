//! What the user says, as stanzas. Pure; the reverse of `said`.
//!
//! Every message asks for a receipt (XEP-0184) if the core wants to know, and can be marked as read (XEP-0333). What older
//! clients do not know comes with a text that stands in for it (XEP-0428).

use minidom::Element;
use spectrum_backend_sdk::OpResult;
use spectrum_backend_sdk::model::{
    Attachment, Availability, Chat, ChatState, Edit, MarkerKind, OutgoingMessage, Presence, Reactions, Retraction,
};

use crate::address::of_chat;
use crate::ns;
use crate::xml::{element, set, text_element};

/// What a reply answers, as far as it is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Quote {
    /// The id of the message answered, as the other side knows it.
    pub(crate) id: String,
    /// The address of its author.
    pub(crate) author: String,
    /// The beginning of its text.
    pub(crate) text: Option<String>,
}

/// The head of a message.
pub(crate) fn envelope(chat: &Chat, id: &str) -> OpResult<Element> {
    let (to, kind) = of_chat(chat)?;
    let mut message = element("message", ns::CLIENT, &[("to", &to), ("type", kind), ("id", id)]);
    if matches!(chat, Chat::Occupant { .. }) {
        // So that the user's other clients know what it is (XEP-0045 7.5).
        message.append_child(element("x", ns::MUC_USER, &[]));
    }
    Ok(message)
}

/// A message: one stanza for the text, and one for each file, since clients show a file only if it is alone.
pub(crate) fn message(outgoing: &OutgoingMessage, quote: Option<&Quote>) -> OpResult<Vec<Element>> {
    let mut stanzas = Vec::new();
    let id = outgoing.id.as_str();
    let is_alone = outgoing.attachments.len() == 1
        && outgoing
            .attachments
            .iter()
            .all(|file| outgoing.body.is_empty() || outgoing.body.trim() == file.url);
    if !is_alone && !outgoing.body.is_empty() {
        let mut stanza = envelope(&outgoing.chat, id)?;
        speak(&mut stanza, outgoing, &outgoing.body, quote);
        stanzas.push(stanza);
    }
    for file in &outgoing.attachments {
        let id = match stanzas.len() {
            0 => id.to_owned(),
            n => format!("{id}-{n}"),
        };
        let mut stanza = envelope(&outgoing.chat, &id)?;
        speak(&mut stanza, outgoing, &file.url, quote.filter(|_| stanzas.is_empty()));
        stanza.append_child(out_of_band(file));
        stanzas.push(stanza);
    }
    Ok(stanzas)
}

fn speak(stanza: &mut Element, outgoing: &OutgoingMessage, text: &str, quote: Option<&Quote>) {
    match quote {
        Some(quote) => {
            let stand_in = quotation(quote.text.as_deref().unwrap_or_default());
            stanza.append_child(text_element("body", ns::CLIENT, &format!("{stand_in}{text}")));
            stanza.append_child(element("reply", ns::REPLY, &[("to", &quote.author), ("id", &quote.id)]));
            if !stand_in.is_empty() {
                let mut fallback = element("fallback", ns::FALLBACK, &[("for", ns::REPLY)]);
                let end = stand_in.chars().count().to_string();
                fallback.append_child(element("body", ns::FALLBACK, &[("start", "0"), ("end", &end)]));
                stanza.append_child(fallback);
            }
        }
        None => drop(stanza.append_child(text_element("body", ns::CLIENT, text))),
    }
    identify(stanza);
    if outgoing.wants_receipt && !matches!(outgoing.chat, Chat::Room(_)) {
        stanza.append_child(element("request", ns::RECEIPTS, &[]));
    }
    if matches!(outgoing.chat, Chat::Contact(_)) {
        stanza.append_child(element("markable", ns::MARKERS, &[]));
        stanza.append_child(element("active", ns::CHAT_STATES, &[]));
    }
}

/// The same id once more, for those who look for it where servers do not change it (XEP-0359).
fn identify(stanza: &mut Element) {
    let id = stanza.attr("id").unwrap_or_default().to_owned();
    stanza.append_child(element("origin-id", ns::SID, &[("id", &id)]));
}

fn quotation(text: &str) -> String {
    text.lines().map(|line| format!("> {line}\n")).collect()
}

fn out_of_band(file: &Attachment) -> Element {
    let mut x = element("x", ns::OOB, &[]);
    x.append_child(text_element("url", ns::OOB, &file.url));
    if let Some(description) = &file.description {
        x.append_child(text_element("desc", ns::OOB, description));
    }
    x
}

/// A new text (XEP-0308) for the message that the other side knows as `target`.
pub(crate) fn edit(edit: &Edit, target: &str, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(&edit.chat, id)?;
    stanza.append_child(text_element("body", ns::CLIENT, &edit.body));
    stanza.append_child(element("replace", ns::CORRECT, &[("id", target)]));
    identify(&mut stanza);
    Ok(stanza)
}

/// Takes a message back (XEP-0424).
pub(crate) fn retract(retraction: &Retraction, target: &str, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(&retraction.chat, id)?;
    let mut retract = element("retract", ns::RETRACT, &[("id", target)]);
    if let Some(reason) = &retraction.reason {
        retract.append_child(text_element("reason", ns::RETRACT, reason));
    }
    stanza.append_child(retract);
    let text = "/me retracted a previous message, but it's unsupported by your client.";
    stanza.append_child(text_element("body", ns::CLIENT, text));
    stanza.append_child(element("fallback", ns::FALLBACK, &[("for", ns::RETRACT)]));
    stanza.append_child(element("store", ns::HINTS, &[]));
    identify(&mut stanza);
    Ok(stanza)
}

/// All reactions of the user to a message (XEP-0444).
pub(crate) fn react(reactions: &Reactions, target: &str, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(&reactions.chat, id)?;
    let mut payload = element("reactions", ns::REACTIONS, &[("id", target)]);
    for emoji in &reactions.emojis {
        payload.append_child(text_element("reaction", ns::REACTIONS, emoji));
    }
    stanza.append_child(payload);
    stanza.append_child(element("store", ns::HINTS, &[]));
    Ok(stanza)
}

/// A receipt or a read marker.
pub(crate) fn mark(chat: &Chat, kind: MarkerKind, target: &str, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(chat, id)?;
    stanza.append_child(match kind {
        MarkerKind::Delivered => element("received", ns::RECEIPTS, &[("id", target)]),
        MarkerKind::Displayed => element("displayed", ns::MARKERS, &[("id", target)]),
    });
    stanza.append_child(element("store", ns::HINTS, &[]));
    Ok(stanza)
}

/// A chat state (XEP-0085), which nobody keeps.
pub(crate) fn chat_state(chat: &Chat, state: ChatState, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(chat, id)?;
    let name = match state {
        ChatState::Active => "active",
        ChatState::Composing => "composing",
        ChatState::Paused => "paused",
    };
    stanza.append_child(element(name, ns::CHAT_STATES, &[]));
    stanza.append_child(element("no-store", ns::HINTS, &[]));
    Ok(stanza)
}

/// A call for attention (XEP-0224).
pub(crate) fn attention(chat: &Chat, text: Option<&str>, id: &str) -> OpResult<Element> {
    let mut stanza = envelope(chat, id)?;
    set(&mut stanza, "type", "headline");
    stanza.append_child(element("attention", ns::ATTENTION, &[]));
    if let Some(text) = text {
        stanza.append_child(text_element("body", ns::CLIENT, text));
    }
    Ok(stanza)
}

/// The user's presence, without where it goes. Invisible is shown as not there: servers know nothing between.
pub(crate) fn presence(presence: &Presence) -> Element {
    let mut stanza = element("presence", ns::CLIENT, &[]);
    let show = match presence.availability {
        Availability::Online => None,
        Availability::Chat => Some("chat"),
        Availability::Away => Some("away"),
        Availability::ExtendedAway => Some("xa"),
        Availability::DoNotDisturb => Some("dnd"),
        Availability::Invisible | Availability::Offline => {
            set(&mut stanza, "type", "unavailable");
            return stanza;
        }
    };
    if let Some(show) = show {
        stanza.append_child(text_element("show", ns::CLIENT, show));
    }
    if let Some(text) = presence.text.as_deref().filter(|text| !text.is_empty()) {
        stanza.append_child(text_element("status", ns::CLIENT, text));
    }
    if let Some(since) = presence.idle_since {
        stanza.append_child(element("idle", ns::IDLE, &[("since", &since.date_time())]));
    }
    stanza
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use spectrum_backend_sdk::model::Origin;

    use super::*;

    fn bob() -> Chat {
        Chat::Contact("Bob@B.example".into())
    }

    fn outgoing(chat: Chat, body: &str) -> OutgoingMessage {
        OutgoingMessage {
            chat,
            id: "c1".into(),
            body: body.to_owned(),
            xhtml: None,
            attachments: Vec::new(),
            reply: None,
            wants_receipt: true,
        }
    }

    fn is(stanza: &Element, xml: &str) {
        let expected: Element = xml.parse().unwrap();
        assert_eq!(String::from(stanza), String::from(&expected));
    }

    #[test]
    fn a_message_to_a_person_asks_for_a_receipt_and_can_be_marked() {
        is(
            &message(&outgoing(bob(), "hi"), None).unwrap()[0],
            "<message xmlns='jabber:client' id='c1' to='bob@b.example' type='chat'><body>hi</body>\
             <origin-id xmlns='urn:xmpp:sid:0' id='c1'/><request xmlns='urn:xmpp:receipts'/>\
             <markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        );
        is(
            &message(&outgoing(Chat::Room("r@muc.b.example".into()), "hi"), None).unwrap()[0],
            "<message xmlns='jabber:client' id='c1' to='r@muc.b.example' type='groupchat'><body>hi</body>\
             <origin-id xmlns='urn:xmpp:sid:0' id='c1'/></message>",
        );
    }

    #[test]
    fn a_reply_carries_a_quotation_for_those_who_do_not_know_replies() {
        let quote = Quote {
            id: "m0".to_owned(),
            author: "bob@b.example".to_owned(),
            text: Some("grüße\nzwei".to_owned()),
        };
        let mut outgoing = outgoing(bob(), "yes");
        outgoing.wants_receipt = false;
        is(
            &message(&outgoing, Some(&quote)).unwrap()[0],
            "<message xmlns='jabber:client' id='c1' to='bob@b.example' type='chat'><body>&gt; grüße\n&gt; zwei\nyes</body>\
             <reply xmlns='urn:xmpp:reply:0' id='m0' to='bob@b.example'/>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body end='15' start='0'/></fallback>\
             <origin-id xmlns='urn:xmpp:sid:0' id='c1'/><markable xmlns='urn:xmpp:chat-markers:0'/>\
             <active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        );
    }

    #[test]
    fn a_file_is_a_stanza_of_its_own_whose_text_is_its_address() {
        let mut with_file = outgoing(Chat::Room("r@muc.b.example".into()), "look");
        with_file.attachments.push(Attachment {
            url: "https://a.example/cat.png".to_owned(),
            media_type: None,
            description: None,
        });
        let file = |id: &str| {
            format!(
                "<message xmlns='jabber:client' id='{id}' to='r@muc.b.example' type='groupchat'>\
                 <body>https://a.example/cat.png</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>\
                 <x xmlns='jabber:x:oob'><url>https://a.example/cat.png</url></x></message>"
            )
        };
        let stanzas = message(&with_file, None).unwrap();
        assert_eq!(stanzas.len(), 2);
        is(&stanzas[1], &file("c1-1"));
        with_file.body = "https://a.example/cat.png".to_owned();
        let stanzas = message(&with_file, None).unwrap();
        assert_eq!(stanzas.len(), 1);
        is(&stanzas[0], &file("c1"));
    }

    #[test]
    fn corrections_retractions_reactions_and_markers_name_their_message() {
        let correction = Edit {
            chat: bob(),
            nickname: None,
            id: "c1".into(),
            body: "better".to_owned(),
            origin: Origin::Other,
        };
        is(
            &edit(&correction, "c1", "n1").unwrap(),
            "<message xmlns='jabber:client' id='n1' to='bob@b.example' type='chat'><body>better</body>\
             <replace xmlns='urn:xmpp:message-correct:0' id='c1'/><origin-id xmlns='urn:xmpp:sid:0' id='n1'/></message>",
        );
        let retraction = Retraction {
            chat: bob(),
            nickname: None,
            id: "c1".into(),
            reason: None,
            origin: Origin::Other,
        };
        is(
            &retract(&retraction, "c1", "n1").unwrap(),
            "<message xmlns='jabber:client' id='n1' to='bob@b.example' type='chat'>\
             <retract xmlns='urn:xmpp:message-retract:1' id='c1'/>\
             <body>/me retracted a previous message, but it's unsupported by your client.</body>\
             <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/><store xmlns='urn:xmpp:hints'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='n1'/></message>",
        );
        let reactions = Reactions {
            chat: bob(),
            nickname: None,
            id: "m0".into(),
            emojis: vec!["👋".to_owned()],
            origin: Origin::Other,
        };
        is(
            &react(&reactions, "m0", "n1").unwrap(),
            "<message xmlns='jabber:client' id='n1' to='bob@b.example' type='chat'>\
             <reactions xmlns='urn:xmpp:reactions:0' id='m0'><reaction>👋</reaction></reactions>\
             <store xmlns='urn:xmpp:hints'/></message>",
        );
        is(
            &mark(&bob(), MarkerKind::Displayed, "m0", "n1").unwrap(),
            "<message xmlns='jabber:client' id='n1' to='bob@b.example' type='chat'>\
             <displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/><store xmlns='urn:xmpp:hints'/></message>",
        );
        is(
            &chat_state(&bob(), ChatState::Composing, "n1").unwrap(),
            "<message xmlns='jabber:client' id='n1' to='bob@b.example' type='chat'>\
             <composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>",
        );
    }

    #[test]
    fn invisible_is_not_there() {
        is(
            &presence(&Presence::of(Availability::Invisible)),
            "<presence xmlns='jabber:client' type='unavailable'/>",
        );
        let mut away = Presence::of(Availability::Away);
        away.text = Some("lunch".to_owned());
        is(
            &presence(&away),
            "<presence xmlns='jabber:client'><show>away</show><status>lunch</status></presence>",
        );
    }
}
