//! What occupants may do, changed: roles and affiliations as channel modes, bans. The state is the engine's.

use spectrum_backend_sdk::model::{Affiliation, Role, Standing};
use spectrum_backend_sdk::{Answer, OpError, OpErrorKind};

use super::Engine;
use super::ask::Op;
use crate::line::{BadParam, Draft};
use crate::outbox::{Confirm, RequestNo};
use crate::text;

impl Engine {
    /// Changes what an occupant may do, by the modes that differ from those they have.
    pub(super) fn set_standing(
        &mut self,
        no: RequestNo,
        channel: &str,
        nick: &str,
        standing: Standing,
        reason: Option<&str>,
    ) -> Result<Option<Answer>, OpError> {
        let (key, nick_key) = (self.fold(channel), self.fold(nick));
        let Some(room) = self.channels.get(&key) else {
            return Err(OpError::new(OpErrorKind::NotAllowed, "You are not in this room."));
        };
        let Some(member) = room.members.get(&nick_key) else {
            return Err(OpError::new(OpErrorKind::NotFound, format!("{nick} is not in this room.")));
        };
        if standing == Standing::Affiliation(Affiliation::Outcast) {
            let mask = member
                .host
                .as_deref()
                .map_or_else(|| format!("{nick}!*@*"), |host| format!("*!*@{host}"));
            let ban = Draft::new("MODE").param(channel)?.param("+b")?.param(&mask)?.finish();
            let op = Op::Kick {
                key,
                nick: nick_key,
                is_ban: true,
            };
            self.begin(no, op, vec![ban, kick_line(channel, nick, reason)?], Confirm::Fence)?;
            return Ok(None);
        }
        let has = |mode: char| self.isupport.has_prefix(mode);
        let now: Vec<char> = member.modes(&self.isupport).collect();
        let keep = |drop: &str| now.iter().copied().filter(|m| !drop.contains(*m)).collect::<Vec<_>>();
        let mut then = match standing {
            Standing::Role(Role::Moderator) => keep(""),
            Standing::Role(Role::Participant) => keep("yYqaoh"),
            Standing::Role(Role::Visitor)
            | Standing::Affiliation(Affiliation::None | Affiliation::Outcast | Affiliation::Member) => Vec::new(),
            Standing::Affiliation(Affiliation::Owner) => keep(""),
            Standing::Affiliation(Affiliation::Admin) => keep("q"),
        };
        let wanted = match standing {
            Standing::Role(Role::Moderator)
                if !now.is_empty() && now.iter().any(|m| self.isupport.rank(*m) <= self.isupport.rank('o')) =>
            {
                None
            }
            Standing::Role(Role::Moderator) => Some(if has('h') { 'h' } else { 'o' }),
            Standing::Role(Role::Participant) if room.modes.moderated => Some('v'),
            Standing::Role(Role::Participant | Role::Visitor) => None,
            Standing::Affiliation(Affiliation::Owner) => Some(if has('q') { 'q' } else { 'o' }),
            Standing::Affiliation(Affiliation::Admin) => Some('o'),
            Standing::Affiliation(Affiliation::Member) => Some('v'),
            Standing::Affiliation(Affiliation::None | Affiliation::Outcast) => None,
        };
        then.extend(wanted.filter(|m| !then.contains(m)));
        if standing == Standing::Role(Role::Visitor) && !room.modes.moderated {
            return Err(OpError::new(
                OpErrorKind::NotAllowed,
                "Everybody may speak in this room as long as it is not moderated (+m).",
            ));
        }
        let mut changes: Vec<(char, char)> = now.iter().filter(|m| !then.contains(m)).map(|m| ('-', *m)).collect();
        changes.extend(then.iter().filter(|m| !now.contains(m)).map(|m| ('+', *m)));
        if changes.is_empty() {
            return Ok(Some(Answer::Done));
        }
        let mut lines = Vec::new();
        for some in changes.chunks(self.isupport.modes.max(1)) {
            let letters: String = some.iter().flat_map(|(sign, mode)| [*sign, *mode]).collect();
            let draft = Draft::new("MODE").param(channel)?.param(&letters)?;
            lines.push(some.iter().try_fold(draft, |draft, _| draft.param(nick))?.finish());
        }
        self.begin(no, Op::Modes { key, nick: nick_key }, lines, Confirm::Fence)?;
        Ok(None)
    }
}

/// The line that throws somebody out.
pub(super) fn kick_line(channel: &str, nick: &str, reason: Option<&str>) -> Result<String, BadParam> {
    let draft = Draft::new("KICK").param(channel)?.param(nick)?;
    Ok(match reason.map(text::clean).filter(|r| !r.is_empty()) {
        Some(reason) => draft.trailing(&reason).finish(),
        None => draft.finish(),
    })
}
