//! The inbox of one session: filled by the router and by links, which never wait, emptied by the session's task, which owns
//! what it takes out.
//!
//! A lock and a queue rather than a channel, because what is over the bound is coalesced in place: a lock is held for one
//! push or for taking everything, never while waiting.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use tokio::sync::Notify;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::{Presence, Type as PresenceType};

use crate::backend::Event;
use crate::backend::link::LinkInput;
use crate::face::UserIn;
use crate::main_process::SessionInbox;
use crate::model::{AssignmentId, OwnRooms};
use crate::session::Input;
use crate::stanza::Stanza;

/// Stanzas of the user that wait; one more is answered with `resource-constraint`.
pub const USER_STANZAS: usize = 1_024;
/// Their bytes, roughly.
pub const USER_BYTES: usize = 1 << 20;
/// Slots above that for what must not be refused: results, and presence that replaces none.
pub const USER_RESERVE: usize = 256;
/// Bytes above the bound for the same: nobody could be told of their loss.
pub const USER_RESERVE_BYTES: usize = 1 << 17;
/// Events from the network that wait. The native wire's credit stops earlier; on Spectrum 2's, presence and typing are coalesced
/// from here on, and when that does not help the session ends.
pub const LINK_EVENTS: usize = 256;
/// Their bytes, roughly.
pub const LINK_BYTES: usize = 1 << 20;

/// One thing that waits. Boxed: an empty mailbox costs nothing, a queued input one pointer more.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A stanza of the user.
    User(Box<UserIn>),
    /// From a link, which may be an old one.
    Link(AssignmentId, Box<LinkInput>),
    /// Anything else.
    Control(Box<Input>),
}

const _: () = assert!(size_of::<Queued>() <= 24);

/// Why a stanza was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Too many wait.
    Full(Box<UserIn>),
    /// The session is over.
    Closed(Box<UserIn>),
}

/// What waits. One or two have their place in the mailbox itself: more than that is a burst, and its room is given back.
pub(crate) type Items = SmallVec<[Queued; 2]>;

#[derive(Debug, Default)]
struct Queue {
    items: Items,
    user_stanzas: usize,
    user_bytes: usize,
    link_events: usize,
    link_bytes: usize,
    overflowed: bool,
    closed: bool,
}

impl Queue {
    /// Whether one more stanza of so many bytes fits. What can be answered with an error stops at the bound; the rest may
    /// use the reserve.
    fn has_room_for(&self, bytes: usize, must_have_room: bool) -> bool {
        let (stanzas, all_bytes) = if must_have_room {
            (USER_STANZAS + USER_RESERVE, USER_BYTES + USER_RESERVE_BYTES)
        } else {
            (USER_STANZAS, USER_BYTES)
        };
        self.user_stanzas < stanzas && self.user_bytes + bytes <= all_bytes
    }
}

/// The inbox of one session.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    filled: Notify,
}

impl Mailbox {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a stanza of the user.
    pub(crate) fn user(&self, input: Box<UserIn>) -> Result<(), Refused> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Refused::Closed(input));
        }
        let replaceable = replaces_earlier(&input.stanza);
        if replaceable && let Some(earlier) = queue.items.iter_mut().rev().find_map(|item| same_presence(item, &input)) {
            *earlier = input;
            return Ok(());
        }
        let bytes = user_bytes(&input.stanza);
        let must_have_room = replaceable || input.stanza.forbids_error();
        if !queue.has_room_for(bytes, must_have_room) {
            return Err(Refused::Full(input));
        }
        queue.user_stanzas += 1;
        queue.user_bytes += bytes;
        queue.items.push(Queued::User(input));
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Queues anything else; gives it back if the session is over. Callers are bounded by what they are: one per
    /// connection, resource or administrator.
    pub(crate) fn control(&self, input: Input) -> Result<(), Box<Input>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Box::new(input));
        }
        queue.items.push(Queued::Control(Box::new(input)));
        drop(queue);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits until there is something.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self, into: &mut VecDeque<Queued>) {
        let mut queue = self.queue();
        let items = std::mem::take(&mut queue.items);
        queue.user_stanzas = 0;
        queue.user_bytes = 0;
        queue.link_events = 0;
        queue.link_bytes = 0;
        drop(queue);
        into.extend(items);
    }

    /// Takes nothing more, and gives what still waits.
    pub(crate) fn close(&self) -> Items {
        let mut queue = self.queue();
        queue.closed = true;
        std::mem::take(&mut queue.items)
    }
}

impl SessionInbox for Mailbox {
    fn deliver(&self, assignment: AssignmentId, input: LinkInput) {
        let mut queue = self.queue();
        if queue.closed || queue.overflowed {
            return;
        }
        if let LinkInput::Event { event, .. } = &input {
            let bytes = event_bytes(event);
            if queue.link_events >= LINK_EVENTS || queue.link_bytes + bytes > LINK_BYTES {
                if coalesce(&mut queue.items, assignment, event) {
                    return;
                }
                if !matches!(**event, Event::Closed(_)) {
                    queue.overflowed = true;
                    queue.items.push(Queued::Control(Box::new(Input::Overflow)));
                    drop(queue);
                    self.filled.notify_one();
                    return;
                }
            }
            queue.link_events += 1;
            queue.link_bytes += bytes;
        }
        queue.items.push(Queued::Link(assignment, Box::new(input)));
        drop(queue);
        self.filled.notify_one();
    }
}

/// Whether a later presence of the same resource to the same address makes an earlier one pointless. A join does not.
fn replaces_earlier(stanza: &Stanza) -> bool {
    match stanza {
        Stanza::Presence(p) => matches!(p.type_, PresenceType::None | PresenceType::Unavailable) && !is_join(p),
        Stanza::Message(_) | Stanza::Iq(_) => false,
    }
}

fn is_join(presence: &Presence) -> bool {
    presence
        .payloads
        .iter()
        .any(|p| p.name() == "x" && p.ns() == xmpp_parsers::ns::MUC)
}

/// The queued presence that `new` replaces.
fn same_presence<'a>(item: &'a mut Queued, new: &UserIn) -> Option<&'a mut Box<UserIn>> {
    match item {
        Queued::User(old) if old.to == new.to && old.resource == new.resource && replaces_earlier(&old.stanza) => Some(old),
        Queued::User(_) | Queued::Link(..) | Queued::Control(_) => None,
    }
}

/// Puts a presence or typing event in the place of a queued one it makes pointless.
fn coalesce(items: &mut [Queued], assignment: AssignmentId, new: &Event) -> bool {
    for item in items.iter_mut().rev() {
        let Queued::Link(old_assignment, input) = item else { continue };
        let LinkInput::Event { event, durable: None } = &mut **input else {
            continue;
        };
        if *old_assignment != assignment {
            continue;
        }
        match (&mut **event, new) {
            (Event::Contact(old), Event::Contact(update)) if old.id == update.id => {
                merge(&mut old.alias, &update.alias);
                merge(&mut old.groups, &update.groups);
                merge(&mut old.presence, &update.presence);
                merge(&mut old.avatar, &update.avatar);
                merge(&mut old.blocked, &update.blocked);
                merge(&mut old.subscription, &update.subscription);
                return true;
            }
            (Event::Occupant(old), Event::Occupant(update)) if old.room == update.room && old.nickname == update.nickname => {
                *old = update.clone();
                return true;
            }
            (
                Event::ChatState {
                    chat: old_chat,
                    nickname: old_nick,
                    state: old_state,
                },
                Event::ChatState { chat, nickname, state },
            ) if old_chat == chat && old_nick == nickname => {
                *old_state = *state;
                return true;
            }
            // Anything else about the same contact or room ends the search: order matters there.
            (Event::OccupantGone(_) | Event::OccupantRenamed(_) | Event::ContactRemoved(_), _) => return false,
            _ => {}
        }
    }
    matches!(new, Event::ChatState { .. })
}

fn merge<T: Clone>(old: &mut crate::model::Patch<T>, new: &crate::model::Patch<T>) {
    if !new.is_keep() {
        *old = new.clone();
    }
}

/// Roughly what a stanza holds on to.
fn user_bytes(stanza: &Stanza) -> usize {
    const ELEMENT: usize = 256;
    match stanza {
        Stanza::Message(Message { bodies, payloads, .. }) => {
            ELEMENT + bodies.values().map(String::len).sum::<usize>() + payloads.len() * ELEMENT
        }
        Stanza::Presence(p) => ELEMENT + p.payloads.len() * ELEMENT,
        Stanza::Iq(Iq::Get { .. } | Iq::Set { .. } | Iq::Result { .. } | Iq::Error { .. }) => 2 * ELEMENT,
    }
}

/// Roughly what an event holds on to.
fn event_bytes(event: &Event) -> usize {
    const EVENT: usize = 256;
    match event {
        Event::Message(m) => EVENT + m.body.len() + m.xhtml.as_ref().map_or(0, String::len),
        Event::RawXml(xml) | Event::Notice(xml) => EVENT + xml.len(),
        Event::Profile { profile, .. } => EVENT + profile.avatar.as_ref().map_or(0, |a| a.data.len()),
        Event::RoomList(rooms) => EVENT + rooms.len() * EVENT,
        Event::OwnRooms(OwnRooms::All(rooms)) => EVENT + rooms.len() * EVENT,
        Event::Edited(e) => EVENT + e.body.len(),
        Event::RoomSubject(s) => EVENT + s.subject.len(),
        Event::Contact(_)
        | Event::ContactRemoved(_)
        | Event::ContactsComplete
        | Event::ContactRequested(_)
        | Event::Retracted(_)
        | Event::Reacted(_)
        | Event::Marked(_)
        | Event::Delivered { .. }
        | Event::ChatState { .. }
        | Event::Attention { .. }
        | Event::Occupant(_)
        | Event::OccupantGone(_)
        | Event::OccupantRenamed(_)
        | Event::RoomClosed(_)
        | Event::Invited(_)
        | Event::OwnRooms(OwnRooms::Entered(_) | OwnRooms::Left(_))
        | Event::Closed(_) => EVENT,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::face::To;
    use crate::model::{Chat, ChatState, ContactUpdate, IncomingMessage, Presence as ModelPresence};
    use xmpp_parsers::presence::Presence as XmppPresence;

    fn message(body: &str) -> Box<UserIn> {
        let mut message = Message::new(None);
        message.bodies.insert(String::new().into(), body.to_owned());
        Box::new(UserIn {
            resource: None,
            to: To::Transport,
            stanza: message.into(),
        })
    }

    fn presence(type_: PresenceType) -> Box<UserIn> {
        Box::new(UserIn {
            resource: None,
            to: To::Transport,
            stanza: XmppPresence::new(type_).into(),
        })
    }

    fn event(event: Event) -> LinkInput {
        LinkInput::Event {
            event: Box::new(event),
            durable: None,
        }
    }

    #[test]
    fn a_message_over_the_bound_is_given_back() {
        let mailbox = Mailbox::default();
        for _ in 0..USER_STANZAS {
            mailbox.user(message("x")).unwrap();
        }
        assert!(matches!(mailbox.user(message("one more")), Err(Refused::Full(_))));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mailbox = Mailbox::default();
        let big = "x".repeat(200_000);
        let taken = (0..20).take_while(|_| mailbox.user(message(&big)).is_ok()).count();
        assert_eq!(taken, 5);
    }

    #[test]
    fn no_byte_over_the_bound_is_taken_but_of_what_nobody_could_be_told_of() {
        let mailbox = Mailbox::default();
        let rest = 1_000;
        mailbox.user(message(&"x".repeat(USER_BYTES - 256 - rest))).unwrap();
        assert!(matches!(mailbox.user(message(&"x".repeat(rest))), Err(Refused::Full(_))));
        for _ in 0..USER_RESERVE {
            let result = Iq::Result {
                from: None,
                to: None,
                id: "i".to_owned(),
                payload: None,
            };
            let input = UserIn {
                resource: None,
                to: To::Transport,
                stanza: result.into(),
            };
            mailbox.user(Box::new(input)).unwrap();
        }
    }

    #[test]
    fn a_later_presence_takes_the_place_of_an_earlier_one() {
        let mailbox = Mailbox::default();
        mailbox.user(presence(PresenceType::None)).unwrap();
        mailbox.user(message("between")).unwrap();
        mailbox.user(presence(PresenceType::Unavailable)).unwrap();
        let mut items = VecDeque::new();
        mailbox.take(&mut items);
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn subscriptions_do_not_replace_each_other() {
        let mailbox = Mailbox::default();
        mailbox.user(presence(PresenceType::Subscribe)).unwrap();
        mailbox.user(presence(PresenceType::Subscribe)).unwrap();
        let mut items = VecDeque::new();
        mailbox.take(&mut items);
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn presence_of_contacts_is_coalesced_over_the_bound() {
        let mailbox = Mailbox::default();
        let id = AssignmentId(1);
        for i in 0..LINK_EVENTS {
            mailbox.deliver(id, event(Event::Contact(ContactUpdate::new(format!("c{i}").as_str()))));
        }
        mailbox.deliver(
            id,
            event(Event::Contact(ContactUpdate::new("c7").presence(ModelPresence::ONLINE))),
        );
        let mut items = VecDeque::new();
        mailbox.take(&mut items);
        assert_eq!(items.len(), LINK_EVENTS);
        assert!(!items.iter().any(|i| matches!(i, Queued::Control(_))));
    }

    #[test]
    fn a_flood_of_messages_ends_in_one_overflow() {
        let mailbox = Mailbox::default();
        let id = AssignmentId(1);
        let chat = Chat::Contact("a".into());
        for _ in 0..2 * LINK_EVENTS {
            mailbox.deliver(id, event(Event::Message(IncomingMessage::new(chat.clone(), "x"))));
        }
        let mut items = VecDeque::new();
        mailbox.take(&mut items);
        assert_eq!(items.len(), LINK_EVENTS + 1);
        let Some(Queued::Control(last)) = items.pop_back() else {
            panic!("an overflow comes last")
        };
        assert!(matches!(*last, Input::Overflow));
    }

    #[test]
    fn typing_over_the_bound_is_dropped_without_harm() {
        let mailbox = Mailbox::default();
        let id = AssignmentId(1);
        let chat = Chat::Contact("a".into());
        for _ in 0..LINK_EVENTS {
            mailbox.deliver(id, event(Event::Message(IncomingMessage::new(chat.clone(), "x"))));
        }
        mailbox.deliver(
            id,
            event(Event::ChatState {
                chat,
                nickname: None,
                state: ChatState::Composing,
            }),
        );
        let mut items = VecDeque::new();
        mailbox.take(&mut items);
        assert_eq!(items.len(), LINK_EVENTS);
    }

    #[test]
    fn a_closed_mailbox_gives_everything_back() {
        let mailbox = Mailbox::default();
        mailbox.user(message("waits")).unwrap();
        assert_eq!(mailbox.close().len(), 1);
        assert!(matches!(mailbox.user(message("late")), Err(Refused::Closed(_))));
        assert!(mailbox.control(Input::Tick).is_err());
    }
}
