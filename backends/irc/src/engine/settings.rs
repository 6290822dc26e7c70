//! How a channel is set up: its modes as the fields of a form, and its list of bans. The state is the engine's.

use spectrum_backend_sdk::model::{Affiliated, Affiliation, Field, FieldKind, Form, FormAnswers, LegacyName, Secret, room_field};
use spectrum_backend_sdk::{Answer, OpError, OpErrorKind};

use super::Engine;
use super::ask::Op;
use crate::isupport::{Isupport, ModeKind};
use crate::line::{BadParam, Draft, Line};
use crate::outbox::{Confirm, RequestNo};

/// Bans of one list that are told; servers keep a hundred or so.
const MAX_BANS: usize = 500;
/// Modes of one channel that are looked at; there are not more letters.
const MAX_MODES: usize = 64;
/// Only who is in the channel may speak to it: nothing that other networks have as well.
const NO_OUTSIDE: &str = "no_outside_messages";

/// Modes without an argument: field, letter, whether the field says the opposite of the mode, label.
const FLAGS: &[(&str, char, bool, &str)] = &[
    (room_field::MODERATED, 'm', false, "Only those with voice may speak (+m)"),
    (room_field::MEMBERS_ONLY, 'i', false, "Only who was invited may come in (+i)"),
    (room_field::SUBJECT_BY_ALL, 't', true, "Everybody may set the topic (-t)"),
    (room_field::PUBLIC, 's', true, "It is in lists (-s)"),
    (NO_OUTSIDE, 'n', false, "Only who is in it may speak to it (+n)"),
];

/// The modes of a channel as the server told them last when it was asked how the channel is set up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Setup {
    flags: String,
    key: Option<Secret>,
    limit: Option<String>,
}

impl Setup {
    fn read(params: &[&str], isupport: &Isupport) -> Self {
        let mut setup = Self::default();
        let mut args = params.iter().skip(1);
        for mode in params.first().copied().unwrap_or("").chars().take(MAX_MODES) {
            match (isupport.mode_kind(mode), mode) {
                (_, '+' | '-') => {}
                (ModeKind::Flag, _) => setup.flags.push(mode),
                (_, 'k') => setup.key = args.next().map(|key| Secret::from(*key)),
                (_, 'l') => setup.limit = args.next().map(|limit| (*limit).to_owned()),
                (ModeKind::List | ModeKind::Setting | ModeKind::SettingWhenSet | ModeKind::Prefix, _) => {
                    args.next();
                }
            }
        }
        setup
    }

    /// Hidden channels are private (`p`) on some servers.
    fn has(&self, mode: char) -> bool {
        self.flags.contains(mode) || mode == 's' && self.flags.contains('p')
    }

    fn form(&self, channel: &str, isupport: &Isupport) -> Form {
        let field = |name: &str, label: &str, kind, default: &str| Field {
            name: name.to_owned(),
            label: label.to_owned(),
            kind,
            required: false,
            default: Some(default.to_owned()),
        };
        let mut fields: Vec<Field> = FLAGS
            .iter()
            .filter(|(_, mode, ..)| isupport.has_mode(*mode))
            .map(|(name, mode, is_opposite, label)| {
                let default = if self.has(*mode) != *is_opposite { "true" } else { "false" };
                field(name, label, FieldKind::Boolean, default)
            })
            .collect();
        if isupport.has_mode('k') {
            let key = self.key.as_ref().map_or("", Secret::expose);
            fields.push(field(
                room_field::PASSWORD,
                "Password, if one is needed (+k)",
                FieldKind::Password,
                key,
            ));
        }
        if isupport.has_mode('l') {
            let limit = self.limit.as_deref().unwrap_or_default();
            fields.push(field(
                room_field::MAX_OCCUPANTS,
                "How many may be in it (+l)",
                FieldKind::Name,
                limit,
            ));
        }
        Form {
            title: format!("Settings of {channel}"),
            instructions: String::new(),
            fields,
        }
    }

    /// The changes of modes that make it so.
    fn changes(&self, answers: &FormAnswers) -> Result<Vec<Change>, OpError> {
        let mut changes = Vec::new();
        for (name, mode, is_opposite, _) in FLAGS {
            let Some(value) = answers.get(*name) else { continue };
            let on = matches!(value.expose(), "1" | "true") != *is_opposite;
            if on {
                changes.push(Change::flag('+', *mode));
            } else if *mode == 's' && self.flags.contains('p') {
                let hidden = ['s', 'p'].into_iter().filter(|mode| self.flags.contains(*mode));
                changes.extend(hidden.map(|mode| Change::flag('-', mode)));
            } else {
                changes.push(Change::flag('-', *mode));
            }
        }
        if let Some(key) = answers.get(room_field::PASSWORD) {
            let key = key.expose();
            if key.contains(',') {
                return Err(OpError::new(
                    OpErrorKind::Invalid,
                    "A password of a room on IRC has no comma in it.",
                ));
            }
            // Some servers keep a key that is there already.
            if self.key.is_some() || key.is_empty() {
                changes.push(Change::with('-', 'k', self.key.as_ref().map_or("*", Secret::expose)));
            }
            if !key.is_empty() {
                changes.push(Change::with('+', 'k', key));
            }
        }
        if let Some(limit) = answers.get(room_field::MAX_OCCUPANTS) {
            let limit = limit.expose().trim();
            match limit.parse::<u32>() {
                Ok(0) => changes.push(Change::flag('-', 'l')),
                Ok(number) => changes.push(Change::with('+', 'l', &number.to_string())),
                Err(_) if limit.is_empty() => changes.push(Change::flag('-', 'l')),
                Err(_) => {
                    let text = format!("{limit} is no number of people.");
                    return Err(OpError::new(OpErrorKind::Invalid, text));
                }
            }
        }
        Ok(changes)
    }
}

/// A change of one mode.
struct Change {
    sign: char,
    mode: char,
    argument: Option<String>,
}

impl Change {
    fn flag(sign: char, mode: char) -> Self {
        let argument = None;
        Self { sign, mode, argument }
    }

    fn with(sign: char, mode: char, argument: &str) -> Self {
        Self {
            sign,
            mode,
            argument: Some(argument.to_owned()),
        }
    }
}

fn mode_line(channel: &str, changes: &[Change]) -> Result<String, BadParam> {
    let letters: String = changes.iter().flat_map(|change| [change.sign, change.mode]).collect();
    let draft = Draft::new("MODE").param(channel)?.param(&letters)?;
    let arguments = changes.iter().filter_map(|change| change.argument.as_deref());
    let draft = arguments
        .into_iter()
        .try_fold(draft, |draft, argument| draft.param(argument))?;
    Ok(draft.finish())
}

fn not_inside() -> OpError {
    OpError::new(OpErrorKind::NotAllowed, "You are not in this room.")
}

impl Engine {
    /// Asks how a channel is set up.
    pub(super) fn ask_settings(&mut self, no: RequestNo, channel: &str) -> Result<Option<Answer>, OpError> {
        let key = self.fold(channel);
        if !self.channels.contains_key(&key) {
            return Err(not_inside());
        }
        let line = Draft::new("MODE").param(channel)?.finish();
        self.begin(no, Op::Settings { key }, vec![line], Confirm::Fence)?;
        Ok(None)
    }

    /// The modes of a channel (324): how it is set up.
    pub(super) fn settings_are(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let asks = |op: &Op| matches!(op, Op::Settings { key: k } if *k == key);
        if !self.pending.iter().any(|pending| asks(&pending.op)) {
            return;
        }
        let setup = Setup::read(line.params().get(2..).unwrap_or(&[]), &self.isupport);
        let Some(channel) = self.channels.get_mut(&key) else { return };
        let form = setup.form(&channel.name, &self.isupport);
        channel.setup = setup;
        self.finish_all(asks, &Ok(Answer::Form(form)));
    }

    /// Sets a channel up.
    pub(super) fn configure(&mut self, no: RequestNo, channel: &str, answers: &FormAnswers) -> Result<Option<Answer>, OpError> {
        let key = self.fold(channel);
        let Some(known) = self.channels.get(&key) else {
            return Err(not_inside());
        };
        let changes = known.setup.changes(answers)?;
        if changes.is_empty() {
            return Ok(Some(Answer::Done));
        }
        let lines: Result<Vec<_>, _> = changes
            .chunks(self.isupport.modes.max(1))
            .map(|some| mode_line(channel, some))
            .collect();
        self.begin(no, Op::Configure { key }, lines?, Confirm::Fence)?;
        Ok(None)
    }

    /// Asks who is banned. IRC keeps no other list that says what XMPP means.
    pub(super) fn ask_affiliated(
        &mut self,
        no: RequestNo,
        channel: &str,
        affiliation: Affiliation,
    ) -> Result<Option<Answer>, OpError> {
        if affiliation != Affiliation::Outcast {
            return Err(OpError::unsupported());
        }
        let key = self.fold(channel);
        if !self.channels.contains_key(&key) {
            return Err(not_inside());
        }
        let line = Draft::new("MODE").param(channel)?.param("+b")?.finish();
        let list = Vec::new();
        self.begin(no, Op::Bans { key, list }, vec![line], Confirm::Fence)?;
        Ok(None)
    }

    /// An entry of a list of bans (367): `me #room mask [who [when]]`.
    pub(super) fn banned(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let mask = line.param(2);
        // Of several who ask the first is answered first, and the others get a list of their own.
        let first = self.pending.iter_mut().find_map(|pending| match &mut pending.op {
            Op::Bans { key: k, list } if *k == key => Some(list),
            _ => None,
        });
        if let Some(list) = first.filter(|list| list.len() < MAX_BANS && !mask.is_empty()) {
            let by = Some(line.param(3)).filter(|by| !by.is_empty());
            list.push(Affiliated {
                who: LegacyName::from(mask),
                affiliation: Affiliation::Outcast,
                nickname: None,
                reason: by.map(|by| format!("Banned by {by}.")),
            });
        }
    }

    /// The end of a list of bans (368).
    pub(super) fn banned_end(&mut self, line: &Line<'_>) {
        let key = self.fold(line.param(1));
        let meant = self.pending.iter().find_map(|pending| match &pending.op {
            Op::Bans { key: k, list } if *k == key => Some((pending.no, list.clone())),
            _ => None,
        });
        if let Some((no, list)) = meant {
            self.finish(no, Ok(Answer::Affiliated(list)));
        }
    }

    /// Bans somebody who may not be there, or a mask, or ends that.
    pub(super) fn affiliate(
        &mut self,
        no: RequestNo,
        channel: &str,
        who: &str,
        (affiliation, reason): (Affiliation, Option<&str>),
    ) -> Result<Option<Answer>, OpError> {
        let key = self.fold(channel);
        let nick = self.fold(who);
        let Some(known) = self.channels.get(&key) else {
            return Err(not_inside());
        };
        if known.members.contains_key(&nick) {
            let standing = spectrum_backend_sdk::model::Standing::Affiliation(affiliation);
            return self.set_standing(no, channel, who, standing, reason);
        }
        let sign = match affiliation {
            Affiliation::Outcast => '+',
            Affiliation::None => '-',
            Affiliation::Owner | Affiliation::Admin | Affiliation::Member => {
                return Err(OpError::new(OpErrorKind::NotFound, format!("{who} is not in this room.")));
            }
        };
        // Also what servers have of their own, such as `~account:name`, is a mask as it stands.
        let mask = if who.starts_with('~') || who.contains(['!', '@', '*', '$', ':']) {
            who.to_owned()
        } else {
            format!("{who}!*@*")
        };
        let line = mode_line(channel, &[Change::with(sign, 'b', &mask)])?;
        self.begin(no, Op::Configure { key }, vec![line], Confirm::Fence)?;
        Ok(None)
    }
}
