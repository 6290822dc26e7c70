//! Presence of contacts: `MONITOR` where the server has it (IRCv3), else `ISON` every minute. Pure; owned by the engine.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use spectrum_backend_sdk::model::{Availability, ContactId, ContactUpdate, Presence};

use crate::casemap::Casemap;

/// Contacts watched on one connection; further ones have no presence.
pub(crate) const MAX_WATCHED: usize = 1_000;

/// How often `ISON` asks.
const POLL_EVERY: Duration = Duration::from_secs(60);

/// How soon after a change `ISON` asks: several additions go into one question.
const POLL_SOON: Duration = Duration::from_secs(1);

/// Bytes of names in one line.
const MAX_NAMES: usize = 400;

/// A contact that is watched.
#[derive(Debug)]
struct Watch {
    id: ContactId,
    nick: String,
    online: Option<bool>,
    away: Option<String>,
    by_monitor: bool,
}

/// The contacts of one connection.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    map: HashMap<Box<str>, Watch>,
    monitored: usize,
    limit: usize,
    poll_at: Option<Instant>,
    polls: VecDeque<Vec<Box<str>>>,
    started: bool,
}

impl Watches {
    /// The login is complete: starts watching with what the server offers, and by its rule of which names are the same.
    pub(crate) fn start(&mut self, monitor: Option<usize>, map: Casemap, now: Instant, out: &mut Vec<String>) {
        self.started = true;
        self.limit = monitor.unwrap_or(0);
        let before = std::mem::take(&mut self.map);
        self.map
            .extend(before.into_values().map(|watch| (map.fold(&watch.nick).into(), watch)));
        let mut names: Vec<_> = self.map.keys().cloned().collect();
        names.sort();
        self.begin(&names, now, out);
    }

    fn begin(&mut self, keys: &[Box<str>], now: Instant, out: &mut Vec<String>) {
        let mut nicks = Vec::new();
        for key in keys {
            let Some(watch) = self.map.get_mut(key) else { continue };
            if self.monitored < self.limit {
                self.monitored += 1;
                watch.by_monitor = true;
                nicks.push(watch.nick.clone());
            } else {
                self.poll_at = Some(self.poll_at.map_or(now + POLL_SOON, |at| at.min(now + POLL_SOON)));
            }
        }
        out.extend(
            chunks(nicks.iter().map(String::as_str), ',')
                .into_iter()
                .map(|names| format!("MONITOR + {names}")),
        );
    }

    /// Watches a contact; one that is watched already is reported again.
    pub(crate) fn add(
        &mut self,
        id: ContactId,
        nick: &str,
        map: Casemap,
        now: Instant,
        out: &mut Vec<String>,
    ) -> Option<ContactUpdate> {
        let key: Box<str> = map.fold(nick).into();
        if let Some(watch) = self.map.get_mut(&key) {
            watch.id = id;
            return watch.online.map(|_| watch.update());
        }
        // A name with a separator in it cannot be anybody's.
        if self.map.len() >= MAX_WATCHED
            || nick.contains([',', ' ', '!', '@', '*', '?', ':'])
            || nick.is_empty()
            || nick.len() > 200
        {
            return None;
        }
        self.map.insert(
            key.clone(),
            Watch {
                id,
                nick: nick.to_owned(),
                online: None,
                away: None,
                by_monitor: false,
            },
        );
        if self.started {
            self.begin(&[key], now, out);
        }
        None
    }

    /// Watches a contact no longer.
    pub(crate) fn remove(&mut self, nick: &str, map: Casemap, out: &mut Vec<String>) {
        if let Some(watch) = self.map.remove(&*map.fold(nick))
            && watch.by_monitor
        {
            self.monitored -= 1;
            out.push(format!("MONITOR - {}", watch.nick));
        }
    }

    /// The id the core knows a nickname by, if it is watched.
    pub(crate) fn id_of(&self, nick: &str, map: Casemap) -> Option<&ContactId> {
        self.map.get(&*map.fold(nick)).map(|w| &w.id)
    }

    /// Somebody is there, or not.
    pub(crate) fn set_online(&mut self, nick: &str, online: bool, map: Casemap) -> Option<ContactUpdate> {
        let watch = self.map.get_mut(&*map.fold(nick))?;
        if watch.online == Some(online) {
            return None;
        }
        watch.online = Some(online);
        watch.away = None;
        Some(watch.update())
    }

    /// Somebody is away, or back. Both mean that they are there.
    pub(crate) fn set_away(&mut self, nick: &str, away: Option<&str>, map: Casemap) -> Option<ContactUpdate> {
        let watch = self.map.get_mut(&*map.fold(nick))?;
        if watch.online == Some(true) && watch.away.as_deref() == away {
            return None;
        }
        watch.online = Some(true);
        watch.away = away.map(str::to_owned);
        Some(watch.update())
    }

    /// The server watches no more names: these are asked for with `ISON` instead (numeric 734).
    pub(crate) fn monitor_is_full(&mut self, names: &str, map: Casemap, now: Instant) {
        for nick in names.split(',') {
            if let Some(watch) = self.map.get_mut(&*map.fold(nick))
                && watch.by_monitor
            {
                watch.by_monitor = false;
                self.monitored -= 1;
            }
        }
        self.limit = self.monitored;
        self.poll_at = Some(now + POLL_SOON);
    }

    /// When [`Watches::tick`] has something to do.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.poll_at
    }

    /// Asks with `ISON` if it is time.
    pub(crate) fn tick(&mut self, map: Casemap, now: Instant, out: &mut Vec<String>) {
        if self.poll_at.is_none_or(|at| at > now) {
            return;
        }
        // Answers that have not come by now are not waited for: the next ones could not be told from them otherwise.
        self.polls.clear();
        let mut nicks: Vec<_> = self.map.values().filter(|w| !w.by_monitor).map(|w| w.nick.as_str()).collect();
        nicks.sort_unstable();
        for names in chunks(nicks.iter().copied(), ' ') {
            self.polls.push_back(names.split(' ').map(|n| map.fold(n).into()).collect());
            out.push(format!("ISON :{names}"));
        }
        self.poll_at = (!nicks.is_empty()).then_some(now + POLL_EVERY);
    }

    /// An answer to `ISON` (numeric 303): who of those asked for is there.
    pub(crate) fn ison(&mut self, names: &str, map: Casemap) -> Vec<ContactUpdate> {
        let Some(asked) = self.polls.pop_front() else {
            return Vec::new();
        };
        let present: Vec<_> = names.split(' ').filter(|n| !n.is_empty()).map(|n| map.fold(n)).collect();
        asked
            .iter()
            .filter_map(|nick| self.set_online(nick, present.iter().any(|p| **p == **nick), map))
            .collect()
    }

    /// The connection is gone: nobody is to be seen any more.
    pub(crate) fn all_offline(&mut self) -> Vec<ContactUpdate> {
        let mut updates = Vec::new();
        for watch in self.map.values_mut() {
            if watch.online == Some(true) {
                watch.online = Some(false);
                watch.away = None;
                updates.push(watch.update());
            }
        }
        updates
    }
}

impl Watch {
    fn update(&self) -> ContactUpdate {
        let presence = match (self.online, &self.away) {
            (Some(true), None) => Presence::ONLINE,
            (Some(true), Some(text)) => Presence {
                availability: Availability::Away,
                text: (!text.is_empty()).then(|| text.clone()),
                idle_since: None,
            },
            (Some(false) | None, _) => Presence::OFFLINE,
        };
        ContactUpdate::new(self.id.clone()).presence(presence)
    }
}

fn chunks<'a>(names: impl Iterator<Item = &'a str>, separator: char) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + name.len() <= MAX_NAMES => {
                line.push(separator);
                line.push_str(name);
            }
            Some(_) | None => lines.push(name.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Casemap = Casemap::Rfc1459;

    fn online(id: &str) -> ContactUpdate {
        ContactUpdate::new(id).presence(Presence::ONLINE)
    }

    #[test]
    fn monitor_is_used_up_to_its_limit_and_the_rest_is_asked_for() {
        let now = Instant::now();
        let (mut watches, mut out) = (Watches::default(), Vec::new());
        for nick in ["a", "b", "c"] {
            watches.add(nick.into(), nick, MAP, now, &mut out);
        }
        assert!(out.is_empty());
        watches.start(Some(2), MAP, now, &mut out);
        assert_eq!(out, ["MONITOR + a,b"]);
        out.clear();
        watches.tick(MAP, now, &mut out);
        assert!(out.is_empty());
        watches.tick(MAP, now + POLL_SOON, &mut out);
        assert_eq!(out, ["ISON :c"]);
        assert_eq!(watches.next_at(), Some(now + POLL_SOON + POLL_EVERY));
        assert_eq!(watches.ison("C ", MAP), [online("c")]);
        assert_eq!(watches.ison("", MAP), []);
    }

    #[test]
    fn only_changes_are_reported() {
        let now = Instant::now();
        let (mut watches, mut out) = (Watches::default(), Vec::new());
        watches.add("Bob".into(), "Bob", MAP, now, &mut out);
        assert_eq!(watches.set_online("bob", true, MAP), Some(online("Bob")));
        assert_eq!(watches.set_online("BOB", true, MAP), None);
        let away = watches.set_away("bob", Some("lunch"), MAP);
        assert_eq!(
            away,
            Some(ContactUpdate::new("Bob").presence(Presence {
                availability: Availability::Away,
                text: Some("lunch".to_owned()),
                idle_since: None
            }))
        );
        assert_eq!(watches.set_online("stranger", true, MAP), None);
        assert_eq!(watches.all_offline(), [ContactUpdate::new("Bob").presence(Presence::OFFLINE)]);
    }

    #[test]
    fn a_full_server_moves_the_rest_to_questions() {
        let now = Instant::now();
        let (mut watches, mut out) = (Watches::default(), Vec::new());
        watches.start(Some(100), MAP, now, &mut out);
        watches.add("a".into(), "a", MAP, now, &mut out);
        watches.add("b".into(), "b", MAP, now, &mut out);
        watches.monitor_is_full("b", MAP, now);
        out.clear();
        watches.tick(MAP, now + POLL_SOON, &mut out);
        assert_eq!(out, ["ISON :b"]);
        out.clear();
        watches.remove("a", MAP, &mut out);
        assert_eq!(out, ["MONITOR - a"]);
    }

    #[test]
    fn many_names_make_several_lines_and_too_many_are_not_watched() {
        let now = Instant::now();
        let (mut watches, mut out) = (Watches::default(), Vec::new());
        for i in 0..2 * MAX_WATCHED {
            let nick = format!("nick{i:05}");
            watches.add(nick.as_str().into(), &nick, MAP, now, &mut out);
        }
        watches.start(None, MAP, now, &mut out);
        watches.tick(MAP, now + POLL_SOON, &mut out);
        assert_eq!(out.len(), MAX_WATCHED.div_ceil(40));
        assert!(out.iter().all(|l| l.len() < 510));
    }

    #[test]
    fn a_name_that_nobody_can_have_is_not_watched() {
        let now = Instant::now();
        let (mut watches, mut out) = (Watches::default(), Vec::new());
        for bad in ["a,b", "a b", "", "a!b@c", "*"] {
            watches.add("x".into(), bad, MAP, now, &mut out);
        }
        watches.start(Some(10), MAP, now, &mut out);
        assert!(out.is_empty());
    }
}
