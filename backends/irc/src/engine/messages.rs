//! Messages from the network: conversation, notices, CTCP, echoes of our own lines, and old messages played back.

use spectrum_backend_sdk::model::{Chat, IncomingMessage, MessageId, MessageKind, Nickname, Origin, Sent, Timestamp};
use spectrum_backend_sdk::{Answer, Event};

use super::ask::Op;
use super::{Engine, MAX_SIDE_TALKS, Now};
use crate::caps::Caps;
use crate::line::{Draft, Line, Source};
use crate::text;

/// How old a message has to be for its time to be told.
const OLD_MILLIS: i64 = 30_000;

/// What CTCP VERSION says.
const VERSION: &str = concat!("spectrum-irc ", env!("CARGO_PKG_VERSION"));

/// Longest token of a CTCP PING that is given back.
const MAX_PING: usize = 64;

/// Which command brought it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    /// `PRIVMSG`.
    Message,
    /// `NOTICE`, which nothing may answer by itself.
    Notice,
}

impl Engine {
    /// `PRIVMSG` or `NOTICE`.
    pub(super) fn message(&mut self, line: &Line<'_>, now: Now, sort: Sort) {
        let source = line.source();
        let target = line.param(0);
        let playback = self.is_playback(line);
        let is_own = self.is_me(source.nick) && !self.is_me(target);
        if self.is_me(source.nick) && !playback && self.caps.has(Caps::ECHO_MESSAGE) && self.own_echo(line, target) {
            return;
        }
        let raw = line.param(1);
        let body = match text::ctcp(raw) {
            Some((command, text)) if command.eq_ignore_ascii_case("ACTION") => format!("/me {}", text::clean(text)),
            Some((command, text)) => {
                if sort == Sort::Message && !playback && !self.is_me(source.nick) && self.isupport.channel_of(target).is_none() {
                    self.ctcp_request(source, command, text, now);
                }
                return;
            }
            None => text::clean(raw).into_owned(),
        };
        if source.is_server() {
            return self.server_says(target, body);
        }
        if body.is_empty() {
            return;
        }
        let Some((chat, nickname)) = self.chat_of(source.nick, target) else {
            return;
        };
        let mut message = IncomingMessage::new(chat, body);
        message.nickname = nickname;
        message.id = line
            .tag("msgid")
            .filter(|id| !id.is_empty())
            .map(|id| MessageId::from(id.into_owned()));
        message.timestamp = line
            .tag("time")
            .and_then(|t| parse_time(&t))
            .filter(|t| playback || is_old(*t, now.wall));
        if is_own {
            message.origin = Origin::OwnOtherDevice;
        }
        if sort == Sort::Notice && matches!(message.chat, Chat::Room(_)) {
            message.kind = MessageKind::Headline;
        }
        self.event(Event::Message(message));
    }

    /// Where a message belongs, and whose it is in a room. `None` if the user is not in that room.
    fn chat_of(&self, from: &str, target: &str) -> Option<(Chat, Option<Nickname>)> {
        if let Some(name) = self.isupport.channel_of(target) {
            let channel = self
                .channels
                .get(&*self.isupport.casemap.fold(name))
                .filter(|c| c.is_wanted)?;
            let nick = channel
                .members
                .get(&*self.isupport.casemap.fold(from))
                .map_or_else(|| Nickname::from(from), |m| m.nick.clone());
            return Some((Chat::Room(channel.id.clone()), Some(nick)));
        }
        // Own messages from elsewhere, as bouncers show them, belong to whom they were sent to.
        let other = if self.is_me(from) { target } else { from };
        let chat = match self.side_talks.get(&*self.isupport.casemap.fold(other)) {
            Some(room) => Chat::Occupant {
                room: room.clone(),
                nickname: Nickname::from(other),
            },
            None => Chat::Contact(self.contact_id(other)),
        };
        Some((chat, None))
    }

    /// The user writes to somebody, through a room or not: answers belong there too.
    pub(super) fn remember_side_talk(&mut self, chat: &Chat, nick: &str) {
        let key = self.fold(nick);
        match chat {
            Chat::Occupant { room, .. } => {
                if self.side_talks.len() >= MAX_SIDE_TALKS
                    && !self.side_talks.contains_key(&key)
                    && let Some(other) = self.side_talks.keys().next().cloned()
                {
                    self.side_talks.remove(&other);
                }
                self.side_talks.insert(key, room.clone());
            }
            Chat::Contact(_) | Chat::Room(_) => {
                self.side_talks.remove(&key);
            }
        }
    }

    /// A line of ours that came back: true if it was one that a request waits for.
    fn own_echo(&mut self, line: &Line<'_>, target: &str) -> bool {
        let key = self.fold(self.isupport.channel_of(target).unwrap_or(target));
        let label = line.tag("label").and_then(|l| l.parse::<u64>().ok());
        let found = self.pending.iter_mut().find_map(|p| {
            let Op::Message { target, sent, .. } = &mut p.op else {
                return None;
            };
            let is_meant = self.outbox.awaits_echo(p.no) && label.map_or(*target == key, |l| l == p.no.0);
            is_meant.then_some((p.no, sent))
        });
        let Some((no, sent)) = found else { return false };
        if let Some(id) = line.tag("msgid").filter(|id| !id.is_empty()) {
            sent.id = Some(MessageId::from(id.into_owned()));
        }
        sent.timestamp = line.tag("time").and_then(|t| parse_time(&t)).or(sent.timestamp);
        let sent: Sent = sent.clone();
        if self.outbox.echoed(no) {
            self.finish(no, Ok(Answer::Sent(sent)));
        }
        true
    }

    /// A notice of the server itself.
    fn server_says(&mut self, target: &str, text: String) {
        if text.is_empty() {
            return;
        }
        let channel = self.isupport.channel_of(target).map(|name| self.isupport.casemap.fold(name));
        match channel
            .and_then(|key| self.channels.get(&*key))
            .filter(|c| c.is_wanted)
            .map(|c| c.id.clone())
        {
            Some(room) => {
                let mut message = IncomingMessage::new(Chat::Room(room), text);
                message.kind = MessageKind::Headline;
                self.event(Event::Message(message));
            }
            // What comes with the greeting says nothing that a person could use.
            None if self.greeted => self.notice(text),
            None => {}
        }
    }

    fn ctcp_request(&mut self, source: Source<'_>, command: &str, text: &str, now: Now) {
        let answer = match command.to_ascii_uppercase().as_str() {
            "VERSION" => format!("VERSION {VERSION}"),
            "PING" if text.len() <= MAX_PING => format!("PING {}", text::clean(text)),
            "TIME" => format!("TIME {}", utc(now.wall)),
            "CLIENTINFO" => "CLIENTINFO ACTION CLIENTINFO PING TIME VERSION".to_owned(),
            _ => return,
        };
        if source.is_server() || !self.ctcp.take(now.mono) {
            return;
        }
        if let Ok(draft) = Draft::new("NOTICE").param(source.nick) {
            self.outbox.push_silent(draft.trailing(&format!("\x01{answer}\x01")).finish());
        }
    }
}

fn is_old(at: Timestamp, now: Timestamp) -> bool {
    at.as_millis() < now.as_millis().saturating_sub(OLD_MILLIS)
}

/// Reads a `server-time`: `2026-11-25T01:02:03.456Z`.
fn parse_time(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse::<i64>().ok())
            .flatten()
    };
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if !text.ends_with('Z') || separators.iter().any(|(at, s)| text.get(*at..at + 1) != Some(s)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let millis = match text.get(19..)? {
        "Z" => 0,
        rest => {
            let fraction = rest.strip_prefix('.')?.strip_suffix('Z')?;
            if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            format!("{fraction:0<3}").get(..3)?.parse().ok()?
        }
    };
    let seconds = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000 + millis))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A moment as people read it.
fn utc(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1000);
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        time / 3600,
        time / 60 % 60,
        time % 60
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn server_time_is_read() {
        let millis = |text| parse_time(text).map(Timestamp::as_millis);
        assert_eq!(millis("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(millis("2026-11-25T01:02:03.456Z"), Some(1_795_568_523_456));
        assert_eq!(millis("2026-11-25T01:02:03Z"), Some(1_795_568_523_000));
        assert_eq!(millis("2024-02-29T12:00:00.5Z"), Some(1_709_208_000_500));
        for bad in [
            "",
            "now",
            "2026-13-25T01:02:03Z",
            "2026-11-25T01:02:03",
            "2026-11-25 01:02:03Z",
            "+026-11-25T01:02:03Z",
            "2026-11-25T01:02:03.Z",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_moment_is_written_for_people() {
        assert_eq!(utc(Timestamp::from_millis(1_795_568_523_456)), "2026-11-25 01:02:03 UTC");
        assert_eq!(utc(Timestamp::from_secs(0)), "1970-01-01 00:00:00 UTC");
    }

    proptest! {
        #[test]
        fn no_time_panics(text in "\\PC*") {
            let _ = parse_time(&text);
        }

        #[test]
        fn times_come_back(seconds in 0i64..4_000_000_000) {
            let text = utc(Timestamp::from_secs(seconds)).replacen(' ', "T", 1).replace(" UTC", "Z");
            prop_assert_eq!(parse_time(&text), Some(Timestamp::from_secs(seconds)));
        }
    }
}
