//! What is known of one session, and what every stanza from the server means for it. Pure: a stanza goes in, events and
//! answers come out, and who waits for it is told. Owned by the [`Desk`](crate::desk::Desk).
//!
//! A server hands on what anybody writes, so each stanza is believed from who may say it: pushes of the roster and of
//! blocking, copies of the user's other devices (XEP-0280) and results of the own archive from the own account alone.

mod archive;
mod bookmarks;
mod ids;
mod inquiry;
mod messages;
pub(crate) mod rooms;
pub(crate) mod roster;

use std::collections::{HashMap, VecDeque};

use jid::{BareJid, FullJid, Jid};
use minidom::Element;
use spectrum_backend_sdk::model::{MessageId, Sent};
use spectrum_backend_sdk::{Event, OpError, OpErrorKind, OpResult};
use tokio::sync::oneshot;

pub(crate) use archive::{Archived, Queries};
pub(crate) use bookmarks::all as bookmarked;
pub(crate) use ids::{Recent, RecentMessages, snippet};
pub(crate) use inquiry::caps;
pub(crate) use messages::Named;
pub(crate) use rooms::{Features, Rooms};
pub(crate) use roster::Roster;

use crate::address::parse;
use crate::ns;
use crate::xml::{Incoming, element, iq};

/// Questions that are open at the same time.
const MAX_OPEN: usize = 512;

/// Ids of old messages by which pages of an archive can be asked for.
const MAX_PAGE_IDS: usize = 256;

/// Own messages since the last one whose place in the archive is known.
const MAX_OWN_IDS: usize = 64;

/// What a stanza leads to.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Effect {
    /// The core is told.
    Event(Event),
    /// The server is told.
    Send(Element),
}

/// Who waits for the answer to a question.
#[derive(Debug)]
struct Open {
    /// Who was asked; `None` for the account itself.
    to: Option<Jid>,
    answer: Answer,
}

/// What becomes of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A verb has it.
    To(oneshot::Sender<Element>),
    /// It is the roster; then whoever waits goes on.
    Roster(oneshot::Sender<Element>),
    /// It is the list of those who are blocked.
    BlockList,
}

/// What became of a message.
pub(crate) type Outcome = OpResult<Sent>;

/// The session.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) me: BareJid,
    full: FullJid,
    pub(crate) roster: Roster,
    pub(crate) rooms: Rooms,
    pub(crate) queries: Queries,
    pub(crate) recent: RecentMessages,
    open: HashMap<String, Open>,
    /// Messages whose fate is not known yet, by their ids.
    sending: HashMap<String, oneshot::Sender<Outcome>>,
    page_ids: VecDeque<(String, String)>,
    /// The last message of the account's archive that is known here, and own messages after it: what a later session of the
    /// same user begins its catching up with.
    pub(crate) place: Place,
}

/// A place in the account's archive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Place {
    pub(crate) uid: Option<String>,
    pub(crate) own: VecDeque<String>,
    /// It is that of a message that came in while the archive was read: further than any that is read there.
    pub(crate) is_live: bool,
}

impl State {
    /// At the beginning of a session.
    pub(crate) fn new(full: FullJid, place: Place) -> Self {
        Self {
            me: full.to_bare(),
            full,
            roster: Roster::default(),
            rooms: Rooms::default(),
            queries: Queries::default(),
            recent: RecentMessages::default(),
            open: HashMap::new(),
            sending: HashMap::new(),
            page_ids: VecDeque::new(),
            place,
        }
    }

    /// The session is over: everybody who waits is told by it that nobody answers any more.
    pub(crate) fn end(&mut self) {
        self.open.clear();
        self.sending.clear();
        self.rooms.end();
    }

    /// Expects the answer to a question.
    ///
    /// # Errors
    /// [`OpErrorKind::RateLimited`] if too many are open.
    pub(crate) fn expect(&mut self, id: &str, to: Option<&str>, answer: Answer) -> OpResult<()> {
        if self.open.len() >= MAX_OPEN {
            return Err(OpError::new(
                OpErrorKind::RateLimited,
                "Too many questions wait for an answer.",
            ));
        }
        let to = to.and_then(parse);
        self.open.insert(id.to_owned(), Open { to, answer });
        Ok(())
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn forget(&mut self, id: &str) {
        self.open.remove(id);
    }

    /// Expects to hear of a message.
    pub(crate) fn expect_fate(&mut self, id: &str) -> oneshot::Receiver<Outcome> {
        let (outcome, waiting) = oneshot::channel();
        self.sending.insert(id.to_owned(), outcome);
        waiting
    }

    /// Nobody waits to hear of this message any more.
    pub(crate) fn forget_fate(&mut self, id: &str) {
        self.sending.remove(id);
    }

    /// Remembers a message of the user's own.
    pub(crate) fn remember_own(&mut self, id: &str) {
        if self.place.own.len() >= MAX_OWN_IDS {
            self.place.own.pop_front();
        }
        self.place.own.push_back(id.to_owned());
    }

    /// Where catching up begins.
    pub(crate) fn begin_to_catch_up(&mut self) -> Option<String> {
        self.place.is_live = false;
        self.place.uid.clone()
    }

    /// The archive has been read up to this message. What has just come in is behind it.
    pub(crate) fn caught_up_to(&mut self, uid: &str) {
        if !self.place.is_live {
            self.at(uid);
        }
    }

    /// The newest message of the account's archive that is known here.
    pub(crate) fn at(&mut self, uid: &str) {
        self.place.uid = Some(uid.to_owned());
        self.place.own.clear();
    }

    /// Remembers where a message is in an archive, to ask for what is before or after it.
    pub(crate) fn remember_page(&mut self, message: &MessageId, uid: &str) {
        if self.page_ids.len() >= MAX_PAGE_IDS {
            self.page_ids.pop_front();
        }
        self.page_ids.push_back((message.as_str().to_owned(), uid.to_owned()));
    }

    /// Where a message is in an archive.
    pub(crate) fn page_id(&self, message: &MessageId) -> Option<&str> {
        let found = self.page_ids.iter().rev().find(|(id, _)| id == message.as_str());
        found.map(|(_, uid)| uid.as_str())
    }

    /// One stanza from the server.
    pub(crate) fn stanza(&mut self, incoming: &Incoming) -> Vec<Effect> {
        let stanza = &incoming.element;
        // The account itself may leave its name out (RFC 6120 8.1.2.1).
        let from = match stanza.attr("from") {
            None => Some(Jid::from(self.me.clone())),
            Some(text) => parse(text),
        };
        // A server that hands on an address that is none is not to be believed about the rest.
        let Some(from) = from else { return Vec::new() };
        match stanza.name() {
            "iq" => self.iq(&from, stanza, incoming.is_over),
            "presence" if !incoming.is_over => self.presence(&from, stanza),
            "message" if !incoming.is_over => self.message(&from, stanza),
            _ => Vec::new(),
        }
    }

    /// Whether an address is the user's own account, as the account itself uses it.
    fn is_account(&self, from: &Jid) -> bool {
        from.resource().is_none() && from.to_bare() == self.me
    }

    fn presence(&mut self, from: &Jid, stanza: &Element) -> Vec<Effect> {
        let bare = from.to_bare();
        if self.rooms.get(&bare).is_some() {
            return self.rooms.presence(from, stanza);
        }
        match stanza.attr("type") {
            Some("subscribe") => vec![Effect::Event(roster::request(&bare, stanza))],
            None | Some("unavailable") if bare != self.me => {
                self.roster.presence(from, stanza).map(Effect::Event).into_iter().collect()
            }
            // What follows of the other kinds comes as a push of the roster.
            _ => Vec::new(),
        }
    }

    fn iq(&mut self, from: &Jid, stanza: &Element, is_over: bool) -> Vec<Effect> {
        let Some(id) = stanza.attr("id") else { return Vec::new() };
        match stanza.attr("type") {
            Some("result" | "error") => self.answered(from, id, stanza),
            Some("get" | "set") if is_over => vec![Effect::Send(refusal(stanza, id, "modify", "policy-violation"))],
            Some("get") => vec![Effect::Send(inquiry::answer(stanza, id))],
            Some("set") => self.pushed(from, stanza, id),
            _ => Vec::new(),
        }
    }

    fn answered(&mut self, from: &Jid, id: &str, stanza: &Element) -> Vec<Effect> {
        let Some(open) = self.open.get(id) else { return Vec::new() };
        let is_from_there = match &open.to {
            Some(to) => to == from,
            // Servers of old say their own name, or the whole of ours.
            None => self.is_account(from) || from.as_str() == self.full.as_str() || from.as_str() == self.me.domain().as_str(),
        };
        if !is_from_there {
            return Vec::new();
        }
        let Some(open) = self.open.remove(id) else { return Vec::new() };
        let is_result = stanza.attr("type") == Some("result");
        match open.answer {
            Answer::To(waiting) => {
                // Nobody waits if the verb was cancelled.
                let _ = waiting.send(stanza.clone());
                Vec::new()
            }
            Answer::Roster(waiting) => {
                let mut events = Vec::new();
                if is_result {
                    if let Some(query) = stanza.get_child("query", ns::ROSTER) {
                        events = self.roster.load(query);
                    }
                    events.push(Event::ContactsComplete);
                }
                let _ = waiting.send(element("iq", ns::CLIENT, &[]));
                events.into_iter().map(Effect::Event).collect()
            }
            Answer::BlockList => {
                let list = stanza.get_child("blocklist", ns::BLOCKING).filter(|_| is_result);
                list.map(|list| self.block_items(list, true)).unwrap_or_default()
            }
        }
    }

    fn block_items(&mut self, list: &Element, blocked: bool) -> Vec<Effect> {
        let items = list.children().filter(|item| item.is("item", ns::BLOCKING));
        let jids = items
            .filter_map(|item| parse(item.attr("jid")?))
            .filter(|jid| jid.resource().is_none());
        jids.filter_map(|jid| self.roster.blocked(&jid.into_bare(), blocked))
            .map(Effect::Event)
            .collect()
    }

    fn pushed(&mut self, from: &Jid, stanza: &Element, id: &str) -> Vec<Effect> {
        if !self.is_account(from) {
            return vec![Effect::Send(refusal(stanza, id, "cancel", "service-unavailable"))];
        }
        let mut effects = if let Some(query) = stanza.get_child("query", ns::ROSTER) {
            let item = query.get_child("item", ns::ROSTER);
            item.and_then(|item| self.roster.item(item))
                .map(Effect::Event)
                .into_iter()
                .collect()
        } else if let Some(list) = stanza.get_child("block", ns::BLOCKING) {
            self.block_items(list, true)
        } else if let Some(list) = stanza.get_child("unblock", ns::BLOCKING) {
            if list.children().next().is_some() {
                self.block_items(list, false)
            } else {
                self.roster.unblock_all().into_iter().map(Effect::Event).collect()
            }
        } else {
            return vec![Effect::Send(refusal(stanza, id, "cancel", "service-unavailable"))];
        };
        effects.push(Effect::Send(iq("result", stanza.attr("from"), id, None)));
        effects
    }
}

/// The refusal of a question.
pub(crate) fn refusal(stanza: &Element, id: &str, kind: &str, condition: &str) -> Element {
    let mut error = element("error", ns::CLIENT, &[("type", kind)]);
    error.append_child(element(condition, ns::STANZA_ERRORS, &[]));
    iq("error", stanza.attr("from"), id, Some(error))
}

#[cfg(test)]
mod tests;
