//! What the session asks of a network, and the replies that end it. Requests under way are the engine's.

use std::time::Duration;

use spectrum_backend_sdk::model::{Chat, RoomId, RoomInfo, Secret, Sent};
use spectrum_backend_sdk::{Answer, Certainty, OpError, OpErrorKind, Outcome, Retry, VERB_DEADLINE};

use super::ask::{Ask, Op, Pending};
use super::standing::kick_line;
use super::{Effect, Engine, Now};
use crate::caps::Caps;
use crate::line::{BadParam, Draft, Line};
use crate::outbox::{Confirm, RequestNo};
use crate::text;

/// How long lines may wait for their turn: what would take longer is refused at once rather than cut off half-sent.
pub(super) const PATIENCE: Duration = Duration::from_secs(VERB_DEADLINE.as_secs() * 3 / 4);

/// Requests under way on one connection. The session runs at most 8 verbs at once; this is a guard, not a queue.
const MAX_PENDING: usize = 64;

/// How long to wait after the server said that it has no time.
const TRY_AGAIN: Duration = Duration::from_secs(30);

impl From<BadParam> for OpError {
    fn from(bad: BadParam) -> Self {
        Self::new(OpErrorKind::Invalid, format!("{bad}."))
    }
}

impl Engine {
    /// Takes on a request; it is answered by an effect, sooner or later, exactly once.
    pub(crate) fn ask(&mut self, no: RequestNo, ask: Ask, now: Now) {
        let started = if self.is_closed() {
            Err(OpError::not_connected("The connection to IRC is gone."))
        } else if self.pending.len() >= MAX_PENDING {
            Err(busy())
        } else {
            self.start(no, ask, now)
        };
        match started {
            Ok(None) => {}
            Ok(Some(answer)) => self.effects.push_back(Effect::Answer(no, Ok(answer))),
            Err(error) => self.effects.push_back(Effect::Answer(no, Err(error))),
        }
    }

    /// Begins a request; an answer means that there is nothing to wait for.
    fn start(&mut self, no: RequestNo, ask: Ask, now: Now) -> Result<Option<Answer>, OpError> {
        match ask {
            Ask::Send { chat, target, body } => return self.send(no, &chat, &target, &body),
            Ask::Join { id, channel, key } => return self.join(no, id, &channel, key.as_ref()),
            Ask::Leave { channel } => {
                let folded = self.fold(&channel);
                if !self.channels.contains_key(&folded) {
                    return Ok(Some(Answer::Done));
                }
                let line = Draft::new("PART").param(&channel)?.finish();
                self.begin(no, Op::Leave { key: folded }, vec![line], Confirm::Fence)?;
            }
            Ask::Topic { channel, text } => {
                let line = Draft::new("TOPIC")
                    .param(&channel)?
                    .trailing(&text::clean(&text.replace(['\r', '\n'], " ")))
                    .finish();
                if text.len() > self.isupport.topic_len {
                    return Err(OpError::new(OpErrorKind::TooLong, "The topic is too long for this network."));
                }
                let key = self.fold(&channel);
                self.begin(no, Op::Topic { key }, vec![line], Confirm::Fence)?;
            }
            Ask::Nick { nick } => {
                if nick == self.nick.as_str() {
                    return Ok(Some(Answer::Done));
                }
                let line = Draft::new("NICK").param(&nick)?.finish();
                self.begin(no, Op::Nick, vec![line], Confirm::Fence)?;
            }
            Ask::Invite { channel, nick } => {
                let line = Draft::new("INVITE").param(&nick)?.param(&channel)?.finish();
                let op = Op::Invite {
                    key: self.fold(&channel),
                    nick: self.fold(&nick),
                };
                self.begin(no, op, vec![line], Confirm::Fence)?;
            }
            Ask::Kick { channel, nick, reason } => {
                let line = kick_line(&channel, &nick, reason.as_deref())?;
                let op = Op::Kick {
                    key: self.fold(&channel),
                    nick: self.fold(&nick),
                    is_ban: false,
                };
                self.begin(no, op, vec![line], Confirm::Fence)?;
            }
            Ask::Standing {
                channel,
                nick,
                standing,
                reason,
            } => {
                return self.set_standing(no, &channel, &nick, standing, reason.as_deref());
            }
            Ask::Settings { channel } => return self.ask_settings(no, &channel),
            Ask::Configure { channel, answers } => return self.configure(no, &channel, &answers),
            Ask::Affiliated { channel, affiliation } => return self.ask_affiliated(no, &channel, affiliation),
            Ask::Affiliate {
                channel,
                who,
                affiliation,
                reason,
            } => {
                return self.affiliate(no, &channel, &who, (affiliation, reason.as_deref()));
            }
            Ask::List => {
                if let Some(rooms) = self.room_list.known(now) {
                    return Ok(Some(Answer::Rooms(rooms.to_vec())));
                }
                self.pending.push_back(Pending { no, op: Op::List });
                self.run_list(now)?;
            }
            Ask::Info { channel } => {
                let key = self.fold(&channel);
                if let Some(known) = self.channels.get(&key).filter(|c| c.is_synced) {
                    return Ok(Some(Answer::RoomInfo(RoomInfo {
                        name: Some(known.name.clone()),
                        subject: (!known.topic.text.is_empty()).then(|| known.topic.text.clone()),
                        occupants: u32::try_from(known.members.len()).ok(),
                        password_protected: known.modes.keyed,
                        members_only: known.modes.invite_only,
                        moderated: known.modes.moderated,
                        hidden: known.modes.hidden,
                    })));
                }
                if !self.isupport.is_channel(&channel) {
                    return Err(OpError::new(
                        OpErrorKind::NotFound,
                        "This is not the name of a room on this network.",
                    ));
                }
                Draft::new("LIST").param(&channel)?;
                self.pending.push_back(Pending {
                    no,
                    op: Op::Info { key },
                });
                self.run_list(now)?;
            }
            Ask::Whois { nick } => {
                // The nickname twice: only its own server knows how long somebody has been idle.
                let line = Draft::new("WHOIS").param(&nick)?.param(&nick)?.finish();
                let op = Op::Whois {
                    nick: self.fold(&nick),
                    profile: Box::default(),
                    found: false,
                };
                self.begin(no, op, vec![line], Confirm::Reply)?;
            }
            Ask::Away { text } => {
                let text = text.map(|t| text::clean(&t.replace(['\r', '\n'], " ")).into_owned());
                if self.away == text {
                    return Ok(Some(Answer::Done));
                }
                let line = text
                    .as_deref()
                    .map_or_else(|| "AWAY".to_owned(), |t| Draft::new("AWAY").trailing(t).finish());
                self.begin(no, Op::Away, vec![line], Confirm::Fence)?;
                self.away = text;
            }
            Ask::Watch { id, nick } => {
                let mut lines = Vec::new();
                let update = self.watches.add(id, &nick, self.isupport.casemap, now.mono, &mut lines);
                lines.into_iter().for_each(|line| self.outbox.background(line));
                self.effects
                    .extend(update.map(|u| Effect::Event(spectrum_backend_sdk::Event::Contact(u))));
                return Ok(Some(Answer::Done));
            }
            Ask::Unwatch { nick } => {
                let mut lines = Vec::new();
                self.watches.remove(&nick, self.isupport.casemap, &mut lines);
                lines.into_iter().for_each(|line| self.outbox.background(line));
                return Ok(Some(Answer::Done));
            }
        }
        Ok(None)
    }

    pub(super) fn begin(&mut self, no: RequestNo, op: Op, lines: Vec<String>, confirm: Confirm) -> Result<(), OpError> {
        if !self.outbox.has_room(lines.len(), PATIENCE) {
            return Err(busy());
        }
        self.outbox.push(no, lines, confirm);
        self.pending.push_back(Pending { no, op });
        Ok(())
    }

    fn send(&mut self, no: RequestNo, chat: &Chat, target: &str, body: &str) -> Result<Option<Answer>, OpError> {
        let folded = self.fold(target);
        if self.isupport.is_channel(target) {
            if !self.channels.contains_key(&folded) {
                return Err(OpError::new(OpErrorKind::NotAllowed, "You are not in this room."));
            }
        } else {
            self.remember_side_talk(chat, target);
        }
        let draft = Draft::new("PRIVMSG").param(target)?;
        let texts = text::outgoing_lines(body, self.text_budget(target));
        if texts.is_empty() {
            return Ok(Some(Answer::Sent(Sent::default())));
        }
        if !self.outbox.could_take(texts.len(), PATIENCE) {
            let text = format!(
                "The message makes {} lines on IRC, more than can be sent without being thrown out.",
                texts.len()
            );
            return Err(OpError::new(OpErrorKind::TooLong, text));
        }
        let has_echo = self.caps.has(Caps::ECHO_MESSAGE);
        let has_labels = has_echo && self.caps.has(Caps::LABELED_RESPONSE);
        let lines: Vec<_> = texts
            .iter()
            .map(|text| {
                let line = draft.clone().trailing(text).finish();
                if has_labels { format!("@label={} {line}", no.0) } else { line }
            })
            .collect();
        let op = Op::Message {
            target: folded,
            sent: Sent::default(),
            is_single: lines.len() == 1,
        };
        self.begin(no, op, lines, if has_echo { Confirm::Echo } else { Confirm::Fence })?;
        Ok(None)
    }

    fn join(&mut self, no: RequestNo, id: RoomId, channel: &str, key: Option<&Secret>) -> Result<Option<Answer>, OpError> {
        if !self.isupport.is_channel(channel) || channel.contains(',') {
            let starts: Vec<_> = self.isupport.chantypes.chars().map(String::from).collect();
            let text = format!("Rooms of this network begin with {}.", starts.join(" or "));
            return Err(OpError::new(OpErrorKind::NotFound, text));
        }
        let folded = self.fold(channel);
        if let Some(known) = self.channels.get_mut(&folded) {
            known.is_wanted = true;
            known.id = id.clone();
            let is_synced = known.is_synced;
            self.pending.push_back(Pending {
                no,
                op: Op::Join { key: folded.clone(), id },
            });
            if is_synced {
                self.tell_room(&folded);
            }
            return Ok(None);
        }
        let mut draft = Draft::new("JOIN").param(channel)?;
        if let Some(key) = key.filter(|k| !k.is_empty()) {
            draft = draft
                .param(key.expose())
                .map_err(|_| OpError::new(OpErrorKind::NotAuthorized, "IRC passwords have no spaces."))?;
        }
        self.begin(no, Op::Join { key: folded, id }, vec![draft.finish()], Confirm::Reply)?;
        Ok(None)
    }

    /// Ends a request.
    pub(super) fn finish(&mut self, no: RequestNo, outcome: Outcome) {
        if let Some(at) = self.pending.iter().position(|p| p.no == no) {
            self.pending.remove(at);
            self.outbox.withdraw(no);
            self.effects.push_back(Effect::Answer(no, outcome));
        }
    }

    /// Ends all requests of a kind; true if there was one.
    pub(super) fn finish_all(&mut self, is_meant: impl Fn(&Op) -> bool, outcome: &Outcome) -> bool {
        let meant: Vec<_> = self.pending.iter().filter(|p| is_meant(&p.op)).map(|p| p.no).collect();
        for no in &meant {
            self.finish(*no, outcome.clone());
        }
        !meant.is_empty()
    }

    /// The server has seen all lines of a request and refused none of them.
    pub(super) fn fenced(&mut self, no: RequestNo) {
        let Some(pending) = self.pending.iter().find(|p| p.no == no) else {
            return;
        };
        let outcome = match &pending.op {
            Op::Message { sent, .. } => Ok(Answer::Sent(sent.clone())),
            Op::Nick => Err(OpError::new(
                OpErrorKind::NotAllowed,
                "The server did not change the nickname.",
            )),
            Op::Leave { key } => {
                let key = key.clone();
                self.channels.remove(&key);
                Ok(Answer::Done)
            }
            Op::Topic { .. } | Op::Invite { .. } | Op::Kick { .. } | Op::Modes { .. } | Op::Configure { .. } | Op::Away => {
                Ok(Answer::Done)
            }
            Op::Settings { .. } => Err(OpError::new(
                OpErrorKind::NotAllowed,
                "The server does not say how the room is set up.",
            )),
            Op::Bans { list, .. } => Ok(Answer::Affiliated(list.clone())),
            // Ended by replies of their own, which may come much later.
            Op::Join { .. } | Op::List | Op::Info { .. } | Op::Whois { .. } => return,
        };
        self.finish(no, outcome);
    }

    /// A labelled answer without content: the line was taken, and there is no echo of it.
    pub(super) fn acknowledged(&mut self, line: &Line<'_>) {
        let Some(no) = self.labelled(line) else { return };
        if self.outbox.awaits_echo(no)
            && self.outbox.echoed(no)
            && let Some(Pending {
                op: Op::Message { sent, .. },
                ..
            }) = self.pending.iter().find(|p| p.no == no)
        {
            let sent = sent.clone();
            self.finish(no, Ok(Answer::Sent(sent)));
        }
    }

    fn labelled(&self, line: &Line<'_>) -> Option<RequestNo> {
        line.tag("label").and_then(|l| l.parse().ok()).map(RequestNo)
    }

    /// Replies that say that a request has succeeded.
    pub(super) fn confirmed(&mut self, numeric: u16, line: &Line<'_>) {
        if numeric == 341 {
            // Servers differ in the order of nickname and channel.
            let (a, b) = (self.fold(line.param(1)), self.fold(line.param(2)));
            let is_meant =
                |op: &Op| matches!(op, Op::Invite { key, nick } if (*key == b && *nick == a) || (*key == a && *nick == b));
            self.finish_all(is_meant, &Ok(Answer::Done));
        } else if let Some(no) = self.pending.iter().find(|p| matches!(p.op, Op::Away)).map(|p| p.no) {
            self.finish(no, Ok(Answer::Done));
        }
    }

    /// Replies that say that a request has failed. What belongs to none is about lines nobody waits for.
    pub(super) fn refused(&mut self, numeric: u16, line: &Line<'_>) {
        let casemap = self.isupport.casemap;
        let names = |folded: &str| line.params().iter().skip(1).any(|p| *casemap.fold(p) == *folded);
        let names_command = |op: &Op| matches!(numeric, 263 | 421 | 461) && line.param(1).eq_ignore_ascii_case(op.command());
        let about_channel = self.isupport.is_channel(line.param(1));
        let labelled = self.labelled(line);
        let meant = self.pending.iter().find(|p| match labelled {
            Some(no) => p.no == no,
            None => {
                self.outbox.is_written(p.no)
                    && (names_command(&p.op)
                        || p.op
                            .is_refused_by(numeric, |n| if n.is_empty() { about_channel } else { names(n) }))
            }
        });
        let Some(pending) = meant else {
            if matches!(numeric, 263 | 416) {
                self.room_list.give_up();
            }
            return;
        };
        let mut error = OpError::new(kind_of(numeric), text::clean(line.last()).into_owned());
        if error.kind == OpErrorKind::RateLimited {
            error.retry = Retry::After(TRY_AGAIN);
        }
        let no = pending.no;
        match &pending.op {
            Op::Message { is_single, .. } => {
                if !is_single {
                    error.certainty = Certainty::MaybeSent;
                }
                if error.kind == OpErrorKind::MembersOnly {
                    error.kind = OpErrorKind::NotAllowed;
                }
            }
            Op::Join { .. } if numeric == 470 => {
                error.text = format!("This room sends everybody to {}.", line.param(2));
                if let Ok(draft) = Draft::new("PART").param(line.param(2)) {
                    self.outbox.push_silent(draft.finish());
                }
            }
            // COMPAT InspIRCd 3: it lets services, and whoever changed the topic a moment ago, be first.
            Op::Topic { .. } if numeric == 437 => {
                error.kind = OpErrorKind::RateLimited;
                error.retry = Retry::After(TRY_AGAIN);
            }
            Op::List | Op::Info { .. } => self.room_list.give_up(),
            Op::Join { .. }
            | Op::Leave { .. }
            | Op::Topic { .. }
            | Op::Nick
            | Op::Invite { .. }
            | Op::Kick { .. }
            | Op::Modes { .. }
            | Op::Settings { .. }
            | Op::Configure { .. }
            | Op::Bans { .. }
            | Op::Whois { .. }
            | Op::Away => {}
        }
        self.finish(no, Err(error));
    }

    /// A standard reply: `FAIL command code ... :text`.
    pub(super) fn failed(&mut self, line: &Line<'_>) {
        let text = text::clean(line.last()).into_owned();
        let labelled = self.labelled(line);
        let command = line.param(0);
        let meant = self.pending.iter().find(|p| match labelled {
            Some(no) => p.no == no,
            None => self.outbox.is_written(p.no) && p.op.command().eq_ignore_ascii_case(command),
        });
        match meant.map(|p| p.no) {
            Some(no) => self.finish(no, Err(OpError::new(OpErrorKind::NotAllowed, text))),
            None => self.notice(text),
        }
    }
}

pub(super) fn busy() -> OpError {
    OpError::new(OpErrorKind::RateLimited, "Too much is waiting to be sent to IRC already.").retry(Retry::After(TRY_AGAIN))
}

/// What an error numeric says in the words of the core.
fn kind_of(numeric: u16) -> OpErrorKind {
    match numeric {
        401..=403 | 406..=408 | 441 => OpErrorKind::NotFound,
        413..=415 | 411 | 412 | 430..=432 | 461 | 472 | 476 | 479 | 696 => OpErrorKind::Invalid,
        417 => OpErrorKind::TooLong,
        421 => OpErrorKind::Unsupported,
        433 | 435..=437 | 443 | 467 => OpErrorKind::Conflict,
        263 | 438 | 439 | 480 | 500 => OpErrorKind::RateLimited,
        471 | 478 => OpErrorKind::Full,
        473 | 477 | 520 => OpErrorKind::MembersOnly,
        474 => OpErrorKind::Banned,
        475 => OpErrorKind::NotAuthorized,
        _ => OpErrorKind::NotAllowed,
    }
}
