//! One user on one IRC network, without I/O or clock: lines and requests in, lines, events and answers out.
//!
//! The engine owns everything that is known of the connection: registration, channels, watched contacts, requests under
//! way, lines not yet written. Its owner is the task in [`crate::connection`], which feeds it and writes what it says.

mod ask;
mod lookups;
mod messages;
mod registration;
mod requests;
mod rooms;
mod settings;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use spectrum_backend_sdk::model::{ContactId, Nickname, RoomId, Timestamp};
use spectrum_backend_sdk::{Certainty, Event, LoginError, LoginErrorKind, OpError, Outcome};

use crate::caps::Caps;
use crate::isupport::Isupport;
use crate::line::{Draft, Line};
use crate::names::Scope;
use crate::outbox::{Bucket, Outbox, RequestNo};
use crate::text;

pub(crate) use ask::Ask;
use ask::Pending;
pub(crate) use registration::Identity;
use registration::{Registration, Step};
use state::Channel;
use watch::Watches;

/// How long a login may take from the first line on.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server may be silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(90);

/// How long it may take to answer that.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);

/// Private conversations that are remembered to have begun in a room.
const MAX_SIDE_TALKS: usize = 128;

/// Batches of a server that may be open at once.
const MAX_BATCHES: usize = 16;

/// CTCP requests answered in a row, and per second later.
const CTCP_BURST: f64 = 3.0;
const CTCP_PER_SECOND: f64 = 0.1;

/// The moment something happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For deadlines.
    pub(crate) mono: Instant,
    /// For people.
    pub(crate) wall: Timestamp,
}

/// What the engine wants done, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// The server has let us in.
    Online,
    /// Something to report.
    Event(Event),
    /// A request has ended.
    Answer(RequestNo, Outcome),
    /// The connection is of no use any more; nothing follows.
    Closed(LoginError),
}

/// How an engine begins.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Who wants in.
    pub(crate) identity: Identity,
    /// What names look like to the core.
    pub(crate) scope: Scope,
    /// Whom to identify to without SASL.
    pub(crate) nickserv: Option<String>,
    /// Lines per second after a burst.
    pub(crate) lines_per_second: f64,
    /// Factor on the bytes that text may have: less than one where the encoding is longer than UTF-8.
    pub(crate) halve_text: bool,
    /// Away text at first; `None` is there.
    pub(crate) away: Option<String>,
    /// Whose presence is to be known from the start: id and nickname.
    pub(crate) watched: Vec<(ContactId, String)>,
}

#[derive(Debug)]
enum Phase {
    Registering(Box<Registration>),
    Online,
    Closed,
}

/// One user on one network.
#[derive(Debug)]
pub(crate) struct Engine {
    scope: Scope,
    nickserv: Option<String>,
    halve_text: bool,
    phase: Phase,
    isupport: Isupport,
    caps: Caps,
    nick: Nickname,
    /// `user@host` as the server shows us, once known.
    own_mask: Option<String>,
    away: Option<String>,
    channels: HashMap<Box<str>, Channel>,
    /// Folded nicknames that the user talks to through a room.
    side_talks: HashMap<Box<str>, RoomId>,
    watches: Watches,
    pending: VecDeque<Pending>,
    outbox: Outbox,
    effects: VecDeque<Effect>,
    /// Open batches: reference, and whether it is a playback of old messages.
    batches: Vec<(Box<str>, bool)>,
    ctcp: Bucket,
    room_list: lookups::RoomList,
    started: Instant,
    heard: Instant,
    probed: bool,
    /// Whether the end of the greeting (MOTD) has been seen.
    greeted: bool,
}

impl Engine {
    /// Begins a login; the first lines are ready to be drained.
    ///
    /// # Errors
    /// If no nickname can be made of the name.
    pub(crate) fn new(setup: Setup, now: Now) -> Result<Self, LoginError> {
        let mut lines = Vec::new();
        let nick = Nickname::from(setup.identity.nick.as_str());
        let registration = Registration::start(setup.identity, &mut lines)?;
        let mut outbox = Outbox::new(setup.lines_per_second, now.mono);
        lines.into_iter().for_each(|line| outbox.urgent(line));
        let isupport = Isupport::default();
        let mut watches = Watches::default();
        for (id, nick) in setup.watched {
            // Nobody's presence is known yet, and nothing is written before `start`.
            watches.add(id, &nick, isupport.casemap, now.mono, &mut Vec::new());
        }
        Ok(Self {
            scope: setup.scope,
            nickserv: setup.nickserv,
            halve_text: setup.halve_text,
            phase: Phase::Registering(Box::new(registration)),
            isupport,
            caps: Caps::default(),
            nick,
            own_mask: None,
            away: setup.away,
            channels: HashMap::new(),
            side_talks: HashMap::new(),
            watches,
            pending: VecDeque::new(),
            outbox,
            effects: VecDeque::new(),
            batches: Vec::new(),
            ctcp: Bucket::new(CTCP_BURST, CTCP_PER_SECOND, now.mono),
            room_list: lookups::RoomList::default(),
            started: now.mono,
            heard: now.mono,
            probed: false,
            greeted: false,
        })
    }

    /// Takes in one line of the server.
    pub(crate) fn handle(&mut self, line: &Line<'_>, now: Now) {
        self.heard = now.mono;
        self.probed = false;
        match &mut self.phase {
            Phase::Registering(registration) => {
                let mut lines = Vec::new();
                let step = registration.handle(line, &mut lines);
                lines.into_iter().for_each(|line| self.outbox.urgent(line));
                match step {
                    Step::Continue if line.numeric() == Some(5) => self.isupport(line),
                    Step::Continue => {}
                    Step::Welcome => self.welcome(line, now),
                    Step::Refused(error) => self.close(error),
                }
            }
            Phase::Online => match line.numeric() {
                Some(numeric) => self.numeric(numeric, line, now),
                None => self.command(line, now),
            },
            Phase::Closed => {}
        }
    }

    fn welcome(&mut self, line: &Line<'_>, now: Now) {
        let Phase::Registering(registration) = std::mem::replace(&mut self.phase, Phase::Online) else {
            return;
        };
        self.nick = Nickname::from(registration.nick.as_str());
        self.caps = registration.caps;
        // Most servers end their greeting with our full mask.
        if let Some((_, mask)) = line.last().rsplit(' ').next().and_then(|w| w.split_once('!'))
            && mask.contains('@')
        {
            self.own_mask = Some(mask.to_owned());
        }
        self.effects.push_back(Effect::Online);
        if registration.nick_differs() {
            let wanted = &registration.identity().nick;
            self.notice(format!(
                "The nickname {wanted} could not be had on IRC: you are {} there.",
                self.nick
            ));
        }
        if !registration.authenticated {
            self.identify(registration.identity());
        }
        if let Some(text) = self.away.clone() {
            self.outbox.urgent(Draft::new("AWAY").trailing(&text).finish());
        }
        self.heard = now.mono;
    }

    /// Identifies to the services where SASL was not to be had.
    fn identify(&mut self, identity: &Identity) {
        let (Some(service), Some(password)) = (&self.nickserv, &identity.password) else {
            return;
        };
        let same_nick = self.isupport.casemap.same(self.nick.as_str(), &identity.account);
        let command = if same_nick {
            format!("IDENTIFY {}", password.expose())
        } else {
            format!("IDENTIFY {} {}", identity.account, password.expose())
        };
        if let Ok(draft) = Draft::new("PRIVMSG").param(service) {
            self.outbox.urgent(draft.trailing(&command).finish());
        }
    }

    fn isupport(&mut self, line: &Line<'_>) {
        let params = line.params();
        if params.len() > 2 {
            self.isupport.apply(&params[1..params.len() - 1]);
        }
    }

    /// The greeting is over: paced lines may go, contacts are watched.
    fn greeted(&mut self, now: Now) {
        if std::mem::replace(&mut self.greeted, true) {
            return;
        }
        self.outbox.release();
        let mut lines = Vec::new();
        self.watches
            .start(self.isupport.monitor, self.isupport.casemap, now.mono, &mut lines);
        self.in_background(lines);
    }

    fn in_background(&mut self, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.outbox.background(line));
    }

    fn command(&mut self, line: &Line<'_>, now: Now) {
        match line.command() {
            "PRIVMSG" => self.message(line, now, messages::Sort::Message),
            "NOTICE" => self.message(line, now, messages::Sort::Notice),
            "PING" => self.outbox.urgent(Draft::new("PONG").trailing(line.last()).finish()),
            "PONG" => self.pong(line.last()),
            "JOIN" => self.joined(line, now),
            "PART" => self.parted(line),
            "QUIT" => self.quit(line),
            "KICK" => self.kicked(line),
            "NICK" => self.renamed(line, now),
            "MODE" => self.mode_changed(line),
            "TOPIC" => self.topic_changed(line, now),
            "INVITE" => self.invited(line),
            "AWAY" => self.away_changed(line),
            "CHGHOST" => self.host_changed(line),
            "BATCH" => self.batch(line),
            "CAP" => self.caps_changed(line),
            "ERROR" => self.close(registration::closed_by_server(line.last())),
            "KILL" => tracing::debug!("The server announces a kill."),
            "FAIL" => self.failed(line),
            "ACK" => self.acknowledged(line),
            // Nothing is made of them: account changes, real names, typing notices, wallops.
            _ => {}
        }
    }

    /// What the numerics that answer no request mean; the rest is in [`requests`].
    fn numeric(&mut self, numeric: u16, line: &Line<'_>, now: Now) {
        match numeric {
            5 => self.isupport(line),
            376 | 422 => self.greeted(now),
            396 => {
                // The host that others see from now on; some servers give user@host.
                let host = line.param(1);
                let user = self
                    .own_mask
                    .as_deref()
                    .and_then(|m| m.split_once('@'))
                    .map_or("", |(user, _)| user);
                self.own_mask = Some(if host.contains('@') {
                    host.to_owned()
                } else {
                    format!("{user}@{host}")
                });
            }
            301 => {
                self.whois_line(numeric, line);
                if let Some(update) = self
                    .watches
                    .set_away(line.param(1), Some(&text::clean(line.last())), self.isupport.casemap)
                {
                    self.event(Event::Contact(update));
                }
            }
            303 => {
                let updates = self.watches.ison(line.last(), self.isupport.casemap);
                updates.into_iter().for_each(|u| self.event(Event::Contact(u)));
            }
            730 | 731 => {
                for target in line.last().split(',') {
                    let nick = target.split('!').next().unwrap_or("");
                    if let Some(update) = self.watches.set_online(nick, numeric == 730, self.isupport.casemap) {
                        self.event(Event::Contact(update));
                    }
                }
            }
            734 => self.watches.monitor_is_full(line.param(2), self.isupport.casemap, now.mono),
            332 => self.topic_is(line),
            333 => self.topic_set_by(line),
            324 => {
                self.modes_are(line);
                self.settings_are(line);
            }
            367 => self.banned(line),
            368 => self.banned_end(line),
            352 => self.who_line(line),
            353 => self.names(line),
            366 => self.names_end(line),
            311..=313 | 317 | 318 | 319 | 330 | 335 | 671 => self.whois_line(numeric, line),
            321..=323 => self.list_line(numeric, line, now),
            305 | 306 | 341 => self.confirmed(numeric, line),
            263 | 400..=599 | 696 | 716 | 742 => self.refused(numeric, line),
            _ => {}
        }
    }

    fn pong(&mut self, token: &str) {
        let Some(arrived) = self.outbox.pong(token) else { return };
        for no in arrived {
            self.fenced(no);
        }
    }

    fn batch(&mut self, line: &Line<'_>) {
        let reference = line.param(0);
        if let Some(name) = reference.strip_prefix('+') {
            if self.batches.len() < MAX_BATCHES && name.len() <= 64 {
                let kind = line.param(1);
                self.batches
                    .push((name.into(), kind.contains("history") || kind.contains("playback")));
            }
        } else if let Some(name) = reference.strip_prefix('-') {
            self.batches.retain(|(n, _)| **n != *name);
        }
    }

    fn is_playback(&self, line: &Line<'_>) -> bool {
        !self.batches.is_empty()
            && line
                .tag("batch")
                .is_some_and(|batch| self.batches.iter().any(|(name, playback)| *playback && **name == *batch))
    }

    fn caps_changed(&mut self, line: &Line<'_>) {
        match line.param(1) {
            "NEW" => {
                let new = Caps::default()
                    .apply(line.last())
                    .without(Caps::SASL.with(Caps::LABELED_RESPONSE));
                if !new.is_empty() {
                    let names: Vec<_> = new.names().collect();
                    self.outbox.urgent(format!("CAP REQ :{}", names.join(" ")));
                }
            }
            "ACK" => self.caps = self.caps.apply(line.last()),
            "DEL" => {
                let gone = Caps::default().apply(line.last());
                self.caps = self.caps.without(gone);
            }
            _ => {}
        }
    }

    fn host_changed(&mut self, line: &Line<'_>) {
        let source = line.source();
        if self.is_me(source.nick) {
            self.own_mask = Some(format!("{}@{}", line.param(0), line.param(1)));
        }
        self.remember_host(source.nick, line.param(1));
    }

    fn is_me(&self, nick: &str) -> bool {
        self.isupport.casemap.same(self.nick.as_str(), nick)
    }

    fn fold(&self, name: &str) -> Box<str> {
        self.isupport.casemap.fold(name).into()
    }

    /// Bytes of text that fit into one `PRIVMSG` to this target, as others receive it.
    fn text_budget(&self, target: &str) -> usize {
        let mask = self
            .own_mask
            .as_deref()
            .filter(|m| !m.starts_with('@'))
            .map_or_else(|| self.isupport.user_len + 2 + self.isupport.host_len, |mask| mask.len() + 1);
        let used = ":".len() + self.nick.as_str().len() + "!".len() + mask + " PRIVMSG  :".len() + target.len() + "\r\n".len();
        let room = 512usize.saturating_sub(used);
        if self.halve_text { room / 2 } else { room }
    }

    fn event(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn notice(&mut self, text: String) {
        self.event(Event::Notice(text));
    }

    /// The id of a person, as the core knows them.
    fn contact_id(&self, nick: &str) -> ContactId {
        self.watches
            .id_of(nick, self.isupport.casemap)
            .cloned()
            .unwrap_or_else(|| self.scope.contact(nick))
    }

    /// Does what is due at this time.
    pub(crate) fn tick(&mut self, now: Now) {
        match self.phase {
            Phase::Registering(_) if now.mono >= self.started + LOGIN_TIMEOUT => {
                self.close(LoginError::new(
                    LoginErrorKind::Network,
                    "The server did not complete the login in time.",
                ));
            }
            Phase::Registering(_) | Phase::Closed => {}
            Phase::Online => {
                // A server without a message of the day says so; one that says nothing is taken to be done.
                if !self.greeted && now.mono >= self.started + LOGIN_TIMEOUT {
                    self.greeted(now);
                }
                if now.mono >= self.heard + SILENCE_LIMIT {
                    self.close(LoginError::new(
                        LoginErrorKind::Network,
                        "The server does not answer any more.",
                    ));
                } else if !self.probed && now.mono >= self.heard + SILENCE {
                    self.probed = true;
                    self.outbox.urgent("PING alive".to_owned());
                }
                let mut lines = Vec::new();
                self.watches.tick(self.isupport.casemap, now.mono, &mut lines);
                self.in_background(lines);
            }
        }
    }

    /// When [`Engine::tick`] or [`Engine::drain`] has something to do, if nothing else happens.
    pub(crate) fn next_at(&self, now: Now) -> Option<Instant> {
        let own = match self.phase {
            Phase::Closed => return None,
            Phase::Registering(_) => self.started + LOGIN_TIMEOUT,
            Phase::Online => {
                let silence = self.heard + if self.probed { SILENCE_LIMIT } else { SILENCE };
                if self.greeted {
                    silence
                } else {
                    silence.min(self.started + LOGIN_TIMEOUT)
                }
            }
        };
        [
            Some(own),
            self.watches.next_at().filter(|_| self.greeted),
            self.outbox.next_at(now.mono),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Hands every line that may be written now to `write`.
    pub(crate) fn drain(&mut self, now: Now, write: impl FnMut(&str)) {
        self.outbox.drain(now.mono, write);
    }

    /// The next thing to be done.
    pub(crate) fn take_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// How much waits to be done.
    pub(crate) fn backlog(&self) -> usize {
        self.effects.len()
    }

    /// Whether nothing more comes of it.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Ends everything for this reason: requests are answered, contacts go offline, and the rest of the effects stays.
    pub(crate) fn close(&mut self, error: LoginError) {
        if self.is_closed() {
            return;
        }
        self.phase = Phase::Closed;
        self.fail_all(&error);
        if matches!(self.scope, Scope::Qualified(_)) {
            // The session goes on without this network.
            for update in self.watches.all_offline() {
                self.effects.push_back(Effect::Event(Event::Contact(update)));
            }
            self.close_rooms(&error);
        }
        self.effects.push_back(Effect::Closed(error));
    }

    fn fail_all(&mut self, error: &LoginError) {
        for pending in std::mem::take(&mut self.pending) {
            let withdrawn = self.outbox.withdraw(pending.no);
            let error = if withdrawn.written {
                OpError::maybe_sent(error.text.clone())
            } else {
                OpError::not_connected(error.text.clone())
            };
            self.effects.push_back(Effect::Answer(pending.no, Err(error)));
        }
    }

    /// The user does not wait for this request any longer: what has not been written is taken back.
    pub(crate) fn withdraw(&mut self, no: RequestNo) {
        let Some(at) = self.pending.iter().position(|p| p.no == no) else {
            return;
        };
        self.pending.remove(at);
        let withdrawn = self.outbox.withdraw(no);
        let certainty = if withdrawn.written {
            Certainty::MaybeSent
        } else {
            Certainty::NotSent
        };
        let error = OpError {
            certainty,
            ..OpError::new(
                spectrum_backend_sdk::OpErrorKind::Timeout,
                "The IRC server did not answer in time.",
            )
        };
        self.effects.push_back(Effect::Answer(no, Err(error)));
    }
}
