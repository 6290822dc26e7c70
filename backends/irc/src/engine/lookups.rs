//! Looking things up: lists of channels, and what `WHOIS` says of a person. The state is the engine's.

use std::time::{Duration, Instant};

use spectrum_backend_sdk::model::{RoomInfo, RoomSummary};
use spectrum_backend_sdk::{Answer, OpError, OpErrorKind};

use super::ask::Op;
use super::requests::{PATIENCE, busy};
use super::{Engine, Now};
use crate::line::{Draft, Line};
use crate::outbox::Confirm;
use crate::text;

/// Rooms kept of a list; the rest of it is dropped.
const MAX_ROOMS: usize = 5_000;

/// How long a list of rooms is good for.
const LIST_AGE: Duration = Duration::from_secs(300);

/// After how long a list that did not end is given up.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);

/// Facts kept of one person.
const MAX_NOTES: usize = 16;

/// The list of channels: one request to the server at a time serves all who ask.
#[derive(Debug, Default)]
pub(super) struct RoomList {
    running: Option<ListRun>,
    known: Option<(Instant, Vec<RoomSummary>)>,
}

#[derive(Debug)]
struct ListRun {
    /// The one channel asked for, folded; `None` for all.
    only: Option<Box<str>>,
    rows: Vec<RoomSummary>,
    started: Instant,
}

impl RoomList {
    /// The list, if it is fresh enough to be given again.
    pub(super) fn known(&self, now: Now) -> Option<&[RoomSummary]> {
        self.known
            .as_ref()
            .filter(|(at, _)| now.mono < *at + LIST_AGE)
            .map(|(_, rooms)| rooms.as_slice())
    }

    /// The server will not go on with the list under way.
    pub(super) fn give_up(&mut self) {
        self.running = None;
    }
}

impl Engine {
    /// Starts the next list that somebody waits for, unless one is under way.
    pub(super) fn run_list(&mut self, now: Now) -> Result<(), OpError> {
        if self
            .room_list
            .running
            .as_ref()
            .is_some_and(|run| now.mono < run.started + LIST_TIMEOUT)
        {
            return Ok(());
        }
        let next = self.pending.iter().find_map(|p| {
            if let Op::Info { key } = &p.op {
                return Some((p.no, Some(key.clone())));
            }
            matches!(p.op, Op::List).then_some((p.no, None))
        });
        let Some((no, only)) = next else { return Ok(()) };
        let line = match &only {
            Some(channel) => Draft::new("LIST").param(channel)?.finish(),
            None => "LIST".to_owned(),
        };
        if !self.outbox.has_room(1, PATIENCE) {
            self.pending.retain(|p| p.no != no);
            return Err(busy());
        }
        self.outbox.push(no, vec![line], Confirm::Reply);
        self.room_list.running = Some(ListRun {
            only,
            rows: Vec::new(),
            started: now.mono,
        });
        Ok(())
    }

    /// A line of a list of channels: 321, 322 `me #room 12 :[+nt] topic`, 323.
    pub(super) fn list_line(&mut self, numeric: u16, line: &Line<'_>, now: Now) {
        let Some(run) = &mut self.room_list.running else { return };
        if numeric == 322 {
            if run.rows.len() < MAX_ROOMS && self.isupport.is_channel(line.param(1)) {
                let topic = text::clean(line.param(3));
                // Some servers put the modes in front.
                let topic = topic
                    .strip_prefix("[+")
                    .and_then(|t| t.split_once(']'))
                    .map_or(&*topic, |(_, t)| t)
                    .trim();
                run.rows.push(RoomSummary {
                    id: self.scope.room(line.param(1)),
                    name: Some(line.param(1).to_owned()),
                    occupants: line.param(2).parse().ok(),
                    subject: (!topic.is_empty()).then(|| topic.to_owned()),
                });
            }
            return;
        }
        if numeric != 323 {
            return;
        }
        let Some(run) = self.room_list.running.take() else { return };
        if let Some(only) = run.only {
            let found = run
                .rows
                .iter()
                .find(|r| r.name.as_deref().is_some_and(|n| *self.isupport.casemap.fold(n) == *only));
            let outcome = match found {
                Some(row) => Ok(Answer::RoomInfo(RoomInfo {
                    name: row.name.clone(),
                    subject: row.subject.clone(),
                    occupants: row.occupants,
                    ..RoomInfo::default()
                })),
                None => Err(OpError::new(OpErrorKind::NotFound, "There is no such room, or it is hidden.")),
            };
            self.finish_all(|op| matches!(op, Op::Info { key } if *key == only), &outcome);
        } else {
            let outcome = Ok(Answer::Rooms(run.rows.clone()));
            self.room_list.known = Some((now.mono, run.rows));
            self.finish_all(|op| matches!(op, Op::List), &outcome);
        }
        // Whoever asked for something else meanwhile; a queue without room refuses them.
        while let Err(error) = self.run_list(now) {
            if let Some(no) = self
                .pending
                .iter()
                .find(|p| matches!(p.op, Op::List | Op::Info { .. }))
                .map(|p| p.no)
            {
                self.finish(no, Err(error));
            }
        }
    }

    /// A line about a person: 311 name, 312 server, 313 operator, 317 idle, 319 channels, 330 account, 301 away, 318 end.
    pub(super) fn whois_line(&mut self, numeric: u16, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let asked = self.pending.iter_mut().find_map(|p| {
            let Op::Whois { nick, profile, found } = &mut p.op else {
                return None;
            };
            (*nick == key).then_some((p.no, profile, found))
        });
        let Some((no, profile, found)) = asked else { return };
        let last = text::clean(line.last()).into_owned();
        let mut note = |label: &str, value: String| {
            if profile.notes.len() < MAX_NOTES && !value.is_empty() {
                profile.notes.push((label.to_owned(), value));
            }
        };
        match numeric {
            311 => {
                *found = true;
                note("Address", format!("{}@{}", line.param(2), line.param(3)));
                profile.nickname = Some(line.param(1).to_owned());
                profile.full_name = (!last.is_empty()).then_some(last);
            }
            301 => note("Away", last),
            312 => note("Server", line.param(2).to_owned()),
            313 | 335 | 671 => note("Status", last),
            317 => {
                if let Ok(seconds) = line.param(2).parse::<u64>() {
                    note("Idle", idle(seconds));
                }
            }
            319 => note("Rooms", last),
            330 => note("Account", line.param(2).to_owned()),
            318 => {
                let outcome = if *found {
                    Ok(Answer::Profile(std::mem::take(&mut **profile)))
                } else {
                    Err(OpError::new(OpErrorKind::NotFound, "There is nobody of this name."))
                };
                self.finish(no, outcome);
            }
            _ => {}
        }
    }
}

fn idle(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
