//! What users have in their own accounts because of us: bookmarks of rooms (XEP-0402) and how far they have read (XEP-0490),
//! written in their names (XEP-0356) where their server lets us.
//!
//! [`AccountKeeper`] owns what is still to be written. Sessions only say what is so; what comes while the one before it
//! still waits replaces it, so what waits is bounded by the users' rooms. One task for each user with something to write,
//! a few at a time. What is not granted waits as long as the session lives, for a grant may come; meanwhile people are invited
//! to their rooms, once to each.

mod bookmarks;
mod displayed;
mod invitation;
mod pubsub;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jid::BareJid;
use minidom::Element;
use spectrum_core::config::Bookmarking;
use spectrum_core::model::UserKey;
use spectrum_core::session::{Bookmark, Bookmarks, Publication};
use spectrum_core::store::{Store, StoreError};
use spectrum_core::tasks::Tasks;
use spectrum_core::xml::element;
use tokio::sync::Semaphore;
use tracing::{debug, info_span, warn};
use xmpp_parsers::ns;

use crate::deputy::{Deputy, Kind, Refused, Request};
use crate::link::Outbox;
use bookmarks::{Entry, Step};
use displayed::Position;

/// Users whose accounts are written to at once: after a restart everybody's are, and servers are not to be flooded.
const AT_ONCE: usize = 16;
/// Rooms and chats of one user that wait; more are left out.
const MOST_WAITING: usize = 1_000;

/// How long grants may take to arrive behind a new link before people are invited to their rooms.
const GRANT_WAIT: Duration = Duration::from_secs(10);
/// Rooms that somebody is invited to at once; each is a question on somebody's screen.
const MOST_INVITED: usize = 20;

/// What is there to begin with.
pub(crate) struct AccountParts {
    pub(crate) transport: BareJid,
    pub(crate) bookmarking: Bookmarking,
    pub(crate) deputy: Arc<Deputy>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tasks: Tasks,
}

/// Writes into users' accounts.
pub(crate) struct AccountKeeper {
    transport: BareJid,
    bookmarking: Bookmarking,
    deputy: Arc<Deputy>,
    outbox: Arc<Outbox>,
    store: Arc<dyn Store>,
    tasks: Tasks,
    /// For its own tasks.
    me: Weak<Self>,
    turns: Semaphore,
    books: Mutex<HashMap<UserKey, Book>>,
}

/// What is to be written for one user.
#[derive(Default)]
struct Book {
    wanted: Wanted,
    is_busy: bool,
    /// Raised when the user is forgotten: what a task took before that is not wanted any more.
    times_forgotten: u64,
    /// The session is over: what cannot be written now never will be.
    is_over: bool,
}

/// What is to be so.
#[derive(Default)]
struct Wanted {
    /// The rooms listed are all there are; others of ours go.
    is_whole: bool,
    /// A room with its bookmark, or without one.
    rooms: BTreeMap<BareJid, Option<Bookmark>>,
    /// How far chats have been read.
    read: BTreeMap<BareJid, Position>,
    /// What was known before the user was forgotten; everything of it goes.
    forgotten: BTreeMap<BareJid, Entry>,
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the user has been forgotten meanwhile")]
    Forgotten,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        !self.is_whole && self.rooms.is_empty() && self.read.is_empty() && self.forgotten.is_empty()
    }

    fn change(&mut self, bookmarks: Bookmarks) {
        match bookmarks {
            Bookmarks::All(list) => {
                self.is_whole = true;
                self.rooms = list
                    .into_iter()
                    .take(MOST_WAITING)
                    .map(|bookmark| (bookmark.room.clone(), Some(bookmark)))
                    .collect();
            }
            Bookmarks::Added(bookmark) => self.set(bookmark.room.clone(), Some(bookmark)),
            Bookmarks::Removed(room) => self.set(room, None),
        }
    }

    fn set(&mut self, room: BareJid, bookmark: Option<Bookmark>) {
        if self.rooms.len() < MOST_WAITING || self.rooms.contains_key(&room) {
            self.rooms.insert(room, bookmark);
        }
    }

    fn read(&mut self, chat: BareJid, position: Position) {
        if self.read.len() < MOST_WAITING || self.read.contains_key(&chat) {
            self.read.insert(chat, position);
        }
    }

    /// Puts back what could not be written; what has come since is newer.
    fn put_back(&mut self, old: Self) {
        if !self.is_whole {
            self.is_whole = old.is_whole;
            for (room, bookmark) in old.rooms {
                self.rooms.entry(room).or_insert(bookmark);
            }
        }
        for (chat, position) in old.read {
            self.read.entry(chat).or_insert(position);
        }
        self.forgotten.extend(old.forgotten);
    }
}

impl AccountKeeper {
    pub(crate) fn new(parts: AccountParts) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            transport: parts.transport,
            bookmarking: parts.bookmarking,
            deputy: parts.deputy,
            outbox: parts.outbox,
            store: parts.store,
            tasks: parts.tasks,
            me: me.clone(),
            turns: Semaphore::new(AT_ONCE),
            books: Mutex::default(),
        })
    }

    fn books(&self) -> MutexGuard<'_, HashMap<UserKey, Book>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session says what is so. Never waits.
    pub(crate) fn publish(&self, user: &UserKey, publication: Publication) {
        let mut books = self.books();
        let book = books.entry(user.clone()).or_default();
        book.is_over = false;
        match publication {
            Publication::Bookmarks(_) if self.bookmarking == Bookmarking::Never => {}
            Publication::Bookmarks(bookmarks) => book.wanted.change(bookmarks),
            Publication::Displayed { chat, id, by } => book.wanted.read(chat, Position { id, by }),
        }
        self.begin(user, book);
        if book.wanted.is_empty() && !book.is_busy {
            books.remove(user);
        }
    }

    /// The session is over: its rooms are still the user's, but what waits for a grant waits no longer.
    pub(crate) fn closed(&self, user: &UserKey) {
        let mut books = self.books();
        let Some(book) = books.get_mut(user) else { return };
        book.is_over = true;
        if !book.is_busy && book.wanted.forgotten.is_empty() {
            books.remove(user);
        }
    }

    /// What is known of a user's bookmarks, to be given to [`AccountKeeper::clean`] once the user is forgotten.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn known(&self, user: &UserKey) -> Result<BTreeMap<BareJid, Entry>, StoreError> {
        Ok(bookmarks::read_entries(self.store.load_bookmarks(user).await?))
    }

    /// The user leaves, or takes another account: the bookmarks that are ours go.
    pub(crate) fn clean(&self, user: &UserKey, known: BTreeMap<BareJid, Entry>) {
        let mut books = self.books();
        let book = books.entry(user.clone()).or_default();
        book.times_forgotten += 1;
        let forgotten = std::mem::take(&mut book.wanted).forgotten;
        book.wanted.forgotten = known;
        book.wanted.forgotten.extend(forgotten);
        self.begin(user, book);
        if book.wanted.is_empty() && !book.is_busy {
            books.remove(user);
        }
    }

    /// What waits is tried again: a domain grants something, or (`None`) the link is back.
    pub(crate) fn again(&self, domain: Option<&str>) {
        let mut books = self.books();
        for (user, book) in books.iter_mut() {
            if domain.is_none_or(|domain| user.domain() == domain) {
                self.begin(user, book);
            }
        }
    }

    /// Has a task write what is wanted, unless one does.
    fn begin(&self, user: &UserKey, book: &mut Book) {
        let (Some(me), Ok(jid)) = (self.me.upgrade(), BareJid::new(user.as_str())) else {
            return;
        };
        if book.is_busy || book.wanted.is_empty() {
            return;
        }
        book.is_busy = true;
        let (span, user, ending) = (info_span!("account", %user), user.clone(), self.tasks.token());
        drop(self.tasks.spawn("account", span, async move {
            // What is half done is found in the account the next time.
            tokio::select! {
                () = me.work(&user, &jid) => {}
                () = ending.cancelled() => {}
            }
        }));
    }

    async fn work(&self, user: &UserKey, jid: &BareJid) {
        loop {
            let Ok(turn) = self.turns.acquire().await else { return };
            let Some((mut wanted, times_forgotten)) = self.next(user) else {
                return;
            };
            let written = self.write(user, jid, &mut wanted, times_forgotten).await;
            drop(turn);
            let refused = matches!(written, Err(Failed::Refused(Refused::NotGranted)));
            match written {
                Ok(()) => continue,
                Err(Failed::Refused(Refused::NotGranted)) => {
                    if wanted.rooms.values().any(Option::is_some) && self.bookmarking == Bookmarking::Autojoin {
                        tokio::time::sleep(GRANT_WAIT).await;
                        self.invite_if_not_granted(user, jid, &wanted).await;
                    }
                }
                Err(Failed::Refused(refused)) => debug!(reason = %refused, "Nothing could be written into a user's account."),
                Err(Failed::Store(failed)) => unkept(&failed),
                Err(Failed::Forgotten) => {}
            }
            return self.later(user, jid, (wanted, times_forgotten), refused);
        }
    }

    fn is_granted(&self, jid: &BareJid) -> bool {
        self.deputy.may(jid, Kind::Get, ns::PUBSUB) && self.deputy.may(jid, Kind::Set, ns::PUBSUB)
    }

    /// Who cannot be given bookmarks is invited to rooms that are new, unless the session is over.
    async fn invite_if_not_granted(&self, user: &UserKey, jid: &BareJid, wanted: &Wanted) {
        let is_over = self.books().get(user).is_none_or(|book| book.is_over);
        if is_over || self.is_granted(jid) || !self.outbox.is_up() {
            return;
        }
        let known = match self.known(user).await {
            Ok(known) => known,
            Err(failed) => return unkept(&failed),
        };
        let mut changes = BTreeMap::new();
        let rooms = wanted.rooms.iter().filter(|(room, _)| !known.contains_key(*room));
        for bookmark in rooms.filter_map(|(_, bookmark)| bookmark.as_ref()).take(MOST_INVITED) {
            self.outbox.push(invitation::invitation(jid, bookmark).into());
            changes.insert(bookmark.room.to_string(), Some(Entry::Invited.text()));
        }
        let left = |room: &BareJid| match wanted.rooms.get(room) {
            Some(bookmark) => bookmark.is_none(),
            None => wanted.is_whole,
        };
        let forgotten = known.iter().filter(|(room, entry)| **entry == Entry::Invited && left(room));
        changes.extend(forgotten.map(|(room, _)| (room.to_string(), None)));
        if !changes.is_empty()
            && let Err(failed) = self.store.save_bookmarks(user, changes).await
        {
            unkept(&failed);
        }
    }

    /// What is to be written next; with nothing left the user is not busy any more.
    fn next(&self, user: &UserKey) -> Option<(Wanted, u64)> {
        let mut books = self.books();
        let book = books.get_mut(user)?;
        let wanted = std::mem::take(&mut book.wanted);
        if wanted.is_empty() {
            books.remove(user);
            return None;
        }
        Some((wanted, book.times_forgotten))
    }

    /// Puts back what could not be written. It is tried again if there is more by now, or if the grant has come for want of
    /// which it was `refused`.
    fn later(&self, user: &UserKey, jid: &BareJid, (mut wanted, times_forgotten): (Wanted, u64), refused: bool) {
        let mut books = self.books();
        let Some(book) = books.get_mut(user) else { return };
        book.is_busy = false;
        if book.times_forgotten != times_forgotten {
            let forgotten = std::mem::take(&mut wanted.forgotten);
            wanted = Wanted {
                forgotten,
                ..Wanted::default()
            };
        }
        let is_more = !book.wanted.is_empty();
        if book.is_over && wanted.forgotten.is_empty() && book.wanted.forgotten.is_empty() {
            books.remove(user);
            return;
        }
        book.wanted.put_back(wanted);
        if is_more || (refused && self.is_granted(jid)) {
            self.begin(user, book);
        } else if book.wanted.is_empty() {
            books.remove(user);
        }
    }

    /// Whether the user has been forgotten since.
    fn is_forgotten(&self, user: &UserKey, times_forgotten: u64) -> bool {
        let books = self.books();
        books.get(user).is_none_or(|book| book.times_forgotten != times_forgotten)
    }

    /// Keeps what has been done in an account; of a user who has been forgotten meanwhile it is to be undone.
    async fn keep(
        &self,
        user: &UserKey,
        times_forgotten: u64,
        changes: BTreeMap<BareJid, Option<Entry>>,
    ) -> Result<(), StoreError> {
        if let Some(book) = self.books().get_mut(user)
            && book.times_forgotten != times_forgotten
        {
            let entries = changes.into_iter().filter_map(|(room, entry)| Some((room, entry?)));
            book.wanted.forgotten.extend(entries);
            return Ok(());
        }
        let changes = changes
            .into_iter()
            .map(|(room, entry)| (room.to_string(), entry.map(|entry| entry.text())));
        self.store.save_bookmarks(user, changes.collect()).await
    }

    /// Writes all of it, and takes out what is written. What is refused for itself alone holds up nothing else.
    async fn write(&self, user: &UserKey, jid: &BareJid, wanted: &mut Wanted, times_forgotten: u64) -> Result<(), Failed> {
        let mut ended = Ok(());
        if wanted.is_whole || !wanted.rooms.is_empty() || !wanted.forgotten.is_empty() {
            ended = self.write_bookmarks(user, jid, wanted, times_forgotten).await;
            if ended.is_ok() {
                wanted.is_whole = false;
                wanted.rooms.clear();
                wanted.forgotten.clear();
            }
        }
        for (chat, position) in std::mem::take(&mut wanted.read) {
            if matches!(ended, Ok(()) | Err(Failed::Refused(Refused::Error(_)))) {
                let payload = pubsub::publish(displayed::NODE, &chat, displayed::item(&position));
                match self.set(jid, payload).await {
                    Ok(()) => continue,
                    Err(refused) => ended = Err(refused.into()),
                }
            }
            wanted.read.insert(chat, position);
        }
        ended
    }

    async fn write_bookmarks(&self, user: &UserKey, jid: &BareJid, wanted: &Wanted, times_forgotten: u64) -> Result<(), Failed> {
        let mut known = bookmarks::read_entries(self.store.load_bookmarks(user).await?);
        known.extend(wanted.forgotten.iter().map(|(room, entry)| (room.clone(), entry.clone())));
        if known.is_empty() && wanted.rooms.values().all(Option::is_none) {
            return Ok(());
        }
        if !self.is_granted(jid) {
            return Err(Refused::NotGranted.into());
        }
        let held = self.held(jid).await?;
        let situation = bookmarks::Situation {
            rooms: &wanted.rooms,
            is_whole: wanted.is_whole,
            autojoin: self.bookmarking == Bookmarking::Autojoin,
            forgotten: &wanted.forgotten,
            known: &known,
            held: &held,
        };
        let mut changes = BTreeMap::new();
        let mut ended = Ok(());
        for step in bookmarks::plan(&situation) {
            if self.is_forgotten(user, times_forgotten) {
                ended = Err(Failed::Forgotten);
                break;
            }
            let (room, asked, entry) = match step {
                Step::Publish(room, shape) => {
                    let payload = pubsub::publish(bookmarks::NODE, &room, shape.item());
                    (room, Some(payload), Some(Entry::Ours(shape)))
                }
                Step::Retract(room) => {
                    let payload = pubsub::retract(bookmarks::NODE, &room);
                    (room, Some(payload), None)
                }
                Step::Note(room, entry) => (room, None, entry),
            };
            if let Some(payload) = asked
                && let Err(refused) = self.set(jid, payload).await
            {
                let is_of_it_alone = matches!(refused, Refused::Error(_));
                ended = Err(refused.into());
                if is_of_it_alone {
                    continue;
                }
                break;
            }
            changes.insert(room, entry);
        }
        // What has been done is known even if the rest could not be.
        // Of a user who is gone nothing is kept.
        if !changes.is_empty() && (wanted.forgotten.is_empty() || !wanted.rooms.is_empty()) {
            self.keep(user, times_forgotten, changes).await?;
        }
        ended
    }

    /// The bookmarks that the account has of rooms here.
    async fn held(&self, jid: &BareJid) -> Result<BTreeMap<BareJid, bookmarks::Held>, Refused> {
        let items = element("items", ns::PUBSUB, &[("node", bookmarks::NODE)]);
        let get = Request {
            to: jid.clone().into(),
            kind: Kind::Get,
            payload: pubsub::wrap("pubsub", items),
        };
        match self.deputy.ask(jid, get).await {
            Ok(answer) => Ok(answer
                .map(|answer| bookmarks::held(&answer, &self.transport))
                .unwrap_or_default()),
            // Without a bookmark there is no node, and not every server passes on that this is what is wrong. One that
            // can be made was not there, so nothing can be overwritten.
            Err(refused @ Refused::Error(_)) => {
                let create = element("create", ns::PUBSUB, &[("node", bookmarks::NODE)]);
                let mut pubsub = pubsub::wrap("pubsub", create);
                pubsub.append_child(pubsub::wrap("configure", pubsub::options(ns::PUBSUB_CONFIGURE)));
                match self.set(jid, pubsub).await {
                    Ok(()) => Ok(BTreeMap::new()),
                    Err(_) => Err(refused),
                }
            }
            Err(refused) => Err(refused),
        }
    }

    async fn set(&self, jid: &BareJid, payload: Element) -> Result<(), Refused> {
        let request = Request {
            to: jid.clone().into(),
            kind: Kind::Set,
            payload,
        };
        self.deputy.ask(jid, request).await.map(drop)
    }
}

fn unkept(failed: &StoreError) {
    warn!(
        error = failed as &dyn std::error::Error,
        "Could not keep what is known of bookmarks."
    );
}
