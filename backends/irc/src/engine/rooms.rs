//! Channels as rooms: who comes and goes, what they may do, topics, kicks, invitations. State is the engine's.

use spectrum_backend_sdk::model::{
    Departure, Invitation, Joined, Nickname, OccupantGone, OccupantRenamed, RoomClosed, Timestamp,
};
use spectrum_backend_sdk::{Answer, Event, LoginError, OpError, OpErrorKind};

use super::ask::Op;
use super::state::{Channel, ChannelModes, MAX_CHANNELS, MAX_MEMBERS, Member};
use super::{Engine, Now};
use crate::caps::Caps;
use crate::isupport::ModeKind;
use crate::line::{Draft, Line, Source};
use crate::text;

impl Engine {
    /// `JOIN`, ours or another's.
    pub(super) fn joined(&mut self, line: &Line<'_>, _now: Now) {
        let source = line.source();
        let name = line.param(0);
        if name.is_empty() {
            return;
        }
        let key = self.fold(name);
        if self.is_me(source.nick) {
            if !source.host.is_empty() {
                self.own_mask = Some(format!("{}@{}", source.user, source.host));
            }
            return self.entered(name, key);
        }
        let Some(channel) = self.channels.get_mut(&key).filter(|c| c.members.len() < MAX_MEMBERS) else {
            return;
        };
        let mut member = Member::new(source.nick);
        member.host = (!source.host.is_empty()).then(|| source.host.into());
        let event = channel
            .is_live()
            .then(|| Event::Occupant(channel.occupant(&member, &self.scope, &self.isupport)));
        channel.members.insert(self.isupport.casemap.fold(source.nick).into(), member);
        self.effects.extend(event.map(super::Effect::Event));
    }

    fn entered(&mut self, name: &str, key: Box<str>) {
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&key) {
            return;
        }
        let asked = self.pending.iter().find_map(|p| {
            if let Op::Join { key: k, id } = &p.op {
                (*k == key).then(|| id.clone())
            } else {
                None
            }
        });
        let is_wanted = asked.is_some();
        let id = asked.unwrap_or_else(|| self.scope.room(name));
        if !is_wanted {
            self.event(Event::Invited(Invitation {
                room: id.clone(),
                from: None,
                reason: Some("The network has put you into this room.".to_owned()),
                password: None,
            }));
        }
        let mut channel = Channel::new(id, name, is_wanted);
        channel
            .members
            .insert(self.fold(self.nick.as_str()), Member::new(self.nick.as_str()));
        self.channels.insert(key, channel);
        if let Ok(draft) = Draft::new("MODE").param(name) {
            self.outbox.background(draft.finish());
        }
    }

    /// A part of the list of occupants (353): `me = #room :@a +b`, with hosts where that capability is on.
    pub(super) fn names(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(2));
        let Some(channel) = self.channels.get_mut(&key).filter(|c| !c.is_synced) else {
            return;
        };
        channel.modes.hidden |= line.param(1) == "@";
        for name in line.last().split(' ').filter(|n| !n.is_empty()) {
            if channel.members.len() >= MAX_MEMBERS {
                break;
            }
            let (modes, mask) = self.isupport.split_signs(name);
            let source = Source::parse(mask);
            if source.nick.is_empty() {
                continue;
            }
            let member = channel
                .members
                .entry(self.isupport.casemap.fold(source.nick).into())
                .or_insert_with(|| Member::new(source.nick));
            for mode in modes {
                member.set_mode(mode, true, &self.isupport);
            }
            if !source.host.is_empty() {
                member.host = Some(source.host.into());
            }
        }
    }

    /// The list of occupants is complete (366): the room is told, and the join is done.
    pub(super) fn names_end(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let Some(channel) = self.channels.get_mut(&key).filter(|c| !c.is_synced) else {
            return;
        };
        channel.is_synced = true;
        if self.caps.has(Caps::AWAY_NOTIFY)
            && let Ok(draft) = Draft::new("WHO").param(&channel.name)
        {
            self.outbox.background(draft.finish());
        }
        if channel.is_wanted {
            self.tell_room(&key);
        }
    }

    /// Reports all of a room, the user last, then answers whoever wants to be in it.
    pub(super) fn tell_room(&mut self, key: &str) {
        let Some(channel) = self.channels.get(key) else { return };
        let me = self.fold(self.nick.as_str());
        let mut others: Vec<_> = channel.members.iter().filter(|(k, _)| **k != me).collect();
        others.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let everybody = others.into_iter().map(|(_, m)| m).chain(channel.members.get(&me));
        let mut events: Vec<_> = everybody
            .map(|m| super::Effect::Event(Event::Occupant(channel.occupant(m, &self.scope, &self.isupport))))
            .collect();
        events.push(super::Effect::Event(Event::RoomSubject(channel.subject())));
        self.effects.extend(events);
        let joined = Joined {
            nickname: self.nick.clone(),
        };
        self.finish_all(
            |op| matches!(op, Op::Join { key: k, .. } if **k == *key),
            &Ok(Answer::Joined(joined)),
        );
    }

    /// `PART`.
    pub(super) fn parted(&mut self, line: &Line<'_>) {
        let source = line.source();
        let key = self.fold(line.param(0));
        let reason = reason(line.param(1));
        if !self.is_me(source.nick) {
            return self.gone(&key, source.nick, Departure::Left, reason);
        }
        let Some(channel) = self.channels.remove(&key) else { return };
        let asked = self.finish_all(|op| matches!(op, Op::Leave { key: k } if *k == key), &Ok(Answer::Done));
        self.not_in_after_all(&key, "You were taken out of the room.");
        if !asked && channel.is_live() {
            let reason = reason.unwrap_or_else(|| "The network has taken you out of this room.".to_owned());
            self.event(Event::RoomClosed(RoomClosed {
                room: channel.id,
                reason,
                rejoin: false,
            }));
        }
    }

    fn not_in_after_all(&mut self, key: &str, text: &str) {
        self.finish_all(
            |op| matches!(op, Op::Join { key: k, .. } if **k == *key),
            &Err(OpError::new(OpErrorKind::NotAllowed, text)),
        );
    }

    fn gone(&mut self, key: &str, nick: &str, departure: Departure, reason: Option<String>) {
        let Some(channel) = self.channels.get_mut(key) else { return };
        let Some(member) = channel.members.remove(&*self.isupport.casemap.fold(nick)) else {
            return;
        };
        if channel.is_live() {
            let event = Event::OccupantGone(OccupantGone {
                room: channel.id.clone(),
                nickname: member.nick,
                departure,
                reason,
            });
            self.event(event);
        }
    }

    /// `QUIT`: out of every room at once.
    pub(super) fn quit(&mut self, line: &Line<'_>) {
        let source = line.source();
        if self.is_me(source.nick) {
            return;
        }
        let raw = line.param(0);
        let departure = if is_netsplit(raw) {
            Departure::Disconnected
        } else {
            Departure::Left
        };
        let nick = self.fold(source.nick);
        let rooms: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, c)| c.members.contains_key(&nick))
            .map(|(k, _)| k.clone())
            .collect();
        for key in rooms {
            self.gone(&key, source.nick, departure.clone(), reason(raw));
        }
        self.side_talks.remove(&nick);
        if let Some(update) = self.watches.set_online(source.nick, false, self.isupport.casemap) {
            self.event(Event::Contact(update));
        }
    }

    /// `KICK`.
    pub(super) fn kicked(&mut self, line: &Line<'_>) {
        let source = line.source();
        let (key, nick) = (self.fold(line.param(0)), line.param(1));
        let nick_key = self.fold(nick);
        let by = Some(Nickname::from(source.nick));
        let is_ban = self.pending.iter().any(|p| {
            matches!(&p.op, Op::Kick { key: k, nick: n, is_ban: true } if *k == key && *n == nick_key) && self.is_me(source.nick)
        });
        let departure = if is_ban {
            Departure::Banned { by }
        } else {
            Departure::Kicked { by }
        };
        self.gone(&key, nick, departure, reason(line.param(2)));
        self.finish_all(
            |op| matches!(op, Op::Kick { key: k, nick: n, .. } if *k == key && *n == nick_key),
            &Ok(Answer::Done),
        );
        if self.is_me(nick) {
            self.channels.remove(&key);
            self.finish_all(|op| matches!(op, Op::Leave { key: k } if *k == key), &Ok(Answer::Done));
            self.not_in_after_all(&key, "You were kicked while joining.");
        }
    }

    /// `NICK`, ours or another's.
    pub(super) fn renamed(&mut self, line: &Line<'_>, _now: Now) {
        let (old, new) = (line.source().nick, line.param(0));
        if new.is_empty() {
            return;
        }
        let (old_key, new_key) = (self.fold(old), self.fold(new));
        let nickname = Nickname::from(new);
        let mut events = Vec::new();
        for channel in self.channels.values_mut() {
            let Some(mut member) = channel.members.remove(&old_key) else {
                continue;
            };
            let before = std::mem::replace(&mut member.nick, nickname.clone());
            channel.members.insert(new_key.clone(), member);
            if channel.is_live() {
                events.push(Event::OccupantRenamed(OccupantRenamed {
                    room: channel.id.clone(),
                    old: before,
                    new: nickname.clone(),
                }));
            }
        }
        events.into_iter().for_each(|e| self.event(e));
        if let Some(room) = self.side_talks.remove(&old_key) {
            self.side_talks.insert(new_key, room);
        }
        if self.is_me(old) {
            let asked = self.finish_all(|op| matches!(op, Op::Nick), &Ok(Answer::Done));
            self.nick = nickname;
            if !asked && !self.channels.values().any(Channel::is_live) {
                self.notice(format!("You are {new} on IRC now."));
            }
        }
    }

    /// `MODE` of a channel; those of ourselves mean nothing to a person.
    pub(super) fn mode_changed(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(0));
        if !self.channels.contains_key(&key) {
            return;
        }
        self.apply_modes(&key, line.params().get(1..).unwrap_or(&[]));
        if self.is_me(line.source().nick) {
            self.finish_all(|op| matches!(op, Op::Modes { key: k, .. } if *k == key), &Ok(Answer::Done));
        }
    }

    /// All modes of a channel (324): `me #room +nt args`.
    pub(super) fn modes_are(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let Some(channel) = self.channels.get_mut(&key) else { return };
        let before = std::mem::take(&mut channel.modes);
        self.apply_modes(&key, line.params().get(2..).unwrap_or(&[]));
        // Applied to nothing, a mode that is gone is not seen going.
        if before.moderated && self.channels.get(&key).is_some_and(|c| !c.modes.moderated) {
            self.retell(&key, |member| member.1);
        }
    }

    fn apply_modes(&mut self, key: &str, params: &[&str]) {
        let Some(channel) = self.channels.get_mut(key) else { return };
        let mut args = params.iter().skip(1);
        let mut on = true;
        let mut changed: Vec<Box<str>> = Vec::new();
        let mut moderation_changed = false;
        for mode in params.first().copied().unwrap_or("").chars() {
            match mode {
                '+' => on = true,
                '-' => on = false,
                _ => match self.isupport.mode_kind(mode) {
                    ModeKind::Prefix => {
                        let Some(nick) = args.next() else { continue };
                        let nick: Box<str> = self.isupport.casemap.fold(nick).into();
                        let Some(member) = channel.members.get_mut(&nick) else {
                            continue;
                        };
                        if member.set_mode(mode, on, &self.isupport) && !changed.contains(&nick) {
                            changed.push(nick);
                        }
                    }
                    ModeKind::List => {
                        args.next();
                    }
                    kind @ (ModeKind::Setting | ModeKind::SettingWhenSet | ModeKind::Flag) => {
                        if kind == ModeKind::Setting || (kind == ModeKind::SettingWhenSet && on) {
                            args.next();
                        }
                        moderation_changed |= set_channel_mode(&mut channel.modes, mode, on);
                    }
                },
            }
        }
        if moderation_changed {
            // Whoever has no mode of their own gains or loses the voice.
            self.retell(key, |(is_named, is_plain)| is_named || is_plain);
        } else if !changed.is_empty() {
            let Some(channel) = self.channels.get(key).filter(|c| c.is_live()) else {
                return;
            };
            let events: Vec<_> = changed
                .iter()
                .filter_map(|nick| channel.members.get(nick))
                .map(|m| super::Effect::Event(Event::Occupant(channel.occupant(m, &self.scope, &self.isupport))))
                .collect();
            self.effects.extend(events);
        }
    }

    /// Reports occupants again: the choice sees whether one has a mode, and whether one has none.
    fn retell(&mut self, key: &str, choose: impl Fn((bool, bool)) -> bool) {
        let Some(channel) = self.channels.get(key).filter(|c| c.is_live()) else {
            return;
        };
        let mut members: Vec<_> = channel.members.iter().collect();
        members.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let events: Vec<_> = members
            .into_iter()
            .filter(|(_, m)| {
                let has_mode = m.modes(&self.isupport).next().is_some();
                choose((has_mode, !has_mode))
            })
            .map(|(_, m)| super::Effect::Event(Event::Occupant(channel.occupant(m, &self.scope, &self.isupport))))
            .collect();
        self.effects.extend(events);
    }

    /// `TOPIC`.
    pub(super) fn topic_changed(&mut self, line: &Line<'_>, now: Now) {
        let source = line.source();
        let key = self.fold(line.param(0));
        let Some(channel) = self.channels.get_mut(&key) else { return };
        channel.topic.text = text::clean(line.param(1)).into_owned();
        channel.topic.by = (!source.nick.is_empty()).then(|| source.nick.to_owned());
        channel.topic.at = Some(now.wall);
        if channel.is_live() {
            let subject = channel.subject();
            self.event(Event::RoomSubject(subject));
        }
        if self.is_me(source.nick) {
            self.finish_all(|op| matches!(op, Op::Topic { key: k } if *k == key), &Ok(Answer::Done));
        }
    }

    /// The topic as told at the join (332).
    pub(super) fn topic_is(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.topic.text = text::clean(line.last()).into_owned();
        }
    }

    /// Who set the topic, and when (333).
    pub(super) fn topic_set_by(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        if let Some(channel) = self.channels.get_mut(&key) {
            channel.topic.by = Some(Source::parse(line.param(2)).nick.to_owned()).filter(|n| !n.is_empty());
            channel.topic.at = line.param(3).parse().ok().map(Timestamp::from_secs);
        }
    }

    /// `INVITE`; invitations of others are seen by operators and mean nothing to the user.
    pub(super) fn invited(&mut self, line: &Line<'_>) {
        if self.is_me(line.param(0)) && self.isupport.is_channel(line.param(1)) {
            let source = line.source();
            let from = (!source.is_server()).then(|| self.contact_id(source.nick));
            let room = self.scope.room(line.param(1));
            self.event(Event::Invited(Invitation {
                room,
                from,
                reason: None,
                password: None,
            }));
        }
    }

    /// `AWAY` of somebody who shares a room with us.
    pub(super) fn away_changed(&mut self, line: &Line<'_>) {
        let nick = line.source().nick;
        let away = text::clean(line.param(0));
        let away = (!away.is_empty()).then_some(&*away);
        self.set_member_away(nick, away, None);
        if let Some(update) = self.watches.set_away(nick, away, self.isupport.casemap) {
            self.event(Event::Contact(update));
        }
    }

    fn set_member_away(&mut self, nick: &str, away: Option<&str>, only: Option<&str>) {
        let nick = self.fold(nick);
        let mut events = Vec::new();
        for (key, channel) in &mut self.channels {
            if only.is_some_and(|only| *only != **key) {
                continue;
            }
            let Some(member) = channel.members.get_mut(&nick) else {
                continue;
            };
            if member.away.as_deref() == away {
                continue;
            }
            member.away = away.map(Into::into);
            if channel.is_live()
                && let Some(member) = channel.members.get(&nick)
            {
                events.push(Event::Occupant(channel.occupant(member, &self.scope, &self.isupport)));
            }
        }
        events.into_iter().for_each(|e| self.event(e));
    }

    /// One occupant as `WHO` tells it (352): `me #room user host server nick H@ :0 name`.
    pub(super) fn who_line(&mut self, line: &Line<'_>) {
        let (key, host, nick, flags) = (self.fold(line.param(1)), line.param(3), line.param(5), line.param(6));
        let nick_key = self.fold(nick);
        let Some(member) = self.channels.get_mut(&key).and_then(|c| c.members.get_mut(&nick_key)) else {
            return;
        };
        if !host.is_empty() {
            member.host = Some(host.into());
        }
        // The text of an absence is not told here; one that is known stays.
        if flags.starts_with('G') && member.away.is_none() {
            self.set_member_away(nick, Some(""), Some(&key));
        } else if flags.starts_with('H') {
            self.set_member_away(nick, None, Some(&key));
        }
    }

    pub(super) fn remember_host(&mut self, nick: &str, host: &str) {
        let nick = self.fold(nick);
        for member in self.channels.values_mut().filter_map(|c| c.members.get_mut(&nick)) {
            member.host = Some(host.into());
        }
    }

    /// The connection is gone: so is the user from its rooms.
    pub(super) fn close_rooms(&mut self, error: &LoginError) {
        let mut rooms: Vec<_> = std::mem::take(&mut self.channels)
            .into_values()
            .filter(|c| c.is_wanted)
            .collect();
        rooms.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for room in rooms {
            self.event(Event::RoomClosed(RoomClosed {
                room: room.id,
                reason: error.text.clone(),
                rejoin: error.is_temporary(),
            }));
        }
    }
}

fn reason(text: &str) -> Option<String> {
    let text = text::clean(text);
    (!text.is_empty()).then(|| text.into_owned())
}

/// True if this changes who may speak.
fn set_channel_mode(modes: &mut ChannelModes, mode: char, on: bool) -> bool {
    match mode {
        'm' => return std::mem::replace(&mut modes.moderated, on) != on,
        'k' => modes.keyed = on,
        'i' => modes.invite_only = on,
        's' | 'p' => modes.hidden = on,
        _ => {}
    }
    false
}

/// Whether a quit message is the two server names of a netsplit.
fn is_netsplit(reason: &str) -> bool {
    let is_server =
        |name: &str| name.contains('.') && !name.contains([':', '/']) && !name.starts_with('.') && !name.ends_with('.');
    match reason.split_once(' ') {
        Some((a, b)) => is_server(a) && !b.contains(' ') && is_server(b),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netsplit_is_told_from_a_farewell() {
        assert!(is_netsplit("irc.a.test hub.b.test"));
        assert!(is_netsplit("*.net *.split"));
        for text in [
            "",
            "bye.",
            "Quit: a.b c.d",
            "see you. later.",
            "http://a.b c.d",
            "a.b c.d e.f",
        ] {
            assert!(!is_netsplit(text), "{text}");
        }
    }
}
