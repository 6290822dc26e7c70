//! What a server that grants nothing cannot be told, suggested to the user's clients instead (XEP-0144): items to delete. Taken
//! back subscriptions leave the items in the roster; a client that follows the suggestion takes them out. Pure.

use jid::{BareJid, Jid};
use xmpp_parsers::message::{Message, MessageType};

use spectrum_core::xml::{HINTS, element};

const ROSTERX: &str = "http://jabber.org/protocol/rosterx";
/// Items of one suggestion: clients are to be suspicious of more than 150 (XEP-0144 section 7).
const ITEMS: usize = 100;

/// Asks the clients that are online now to delete these items. A headline is for all of them, and is kept for none.
pub(super) fn deletions<'a>(
    transport: &'a BareJid,
    user: &'a BareJid,
    items: &'a [BareJid],
) -> impl Iterator<Item = Message> + 'a {
    items.chunks(ITEMS).map(move |items| {
        let mut x = element("x", ROSTERX, &[]);
        for jid in items {
            x.append_child(element("item", ROSTERX, &[("action", "delete"), ("jid", jid.as_str())]));
        }
        let mut message = Message::new_with_type(MessageType::Headline, Jid::from(user.clone()));
        message.from = Some(transport.clone().into());
        message.payloads = vec![x, element("no-store", HINTS, &[])];
        message
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_deletions_are_several_suggestions() {
        let jid = |text: &str| BareJid::new(text).unwrap();
        let (transport, user) = (jid("irc.localhost"), jid("romeo@localhost"));
        let items: Vec<BareJid> = (0..250).map(|n| jid(&format!("c{n}@irc.localhost"))).collect();
        let messages: Vec<Message> = deletions(&transport, &user, &items).collect();
        let counts: Vec<usize> = messages
            .iter()
            .map(|message| message.payloads[0].children().count())
            .collect();
        assert_eq!(counts, [100, 100, 50]);
        assert_eq!(deletions(&transport, &user, &[]).count(), 0);
    }
}
