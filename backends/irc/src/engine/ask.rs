//! The requests to a network as data: what is asked, what one under way waits for, and which replies can be its answer.

use spectrum_backend_sdk::model::{
    Affiliated, Affiliation, Chat, ContactId, FormAnswers, Profile, RoomId, Secret, Sent, Standing,
};

use crate::outbox::RequestNo;

/// A request to one network. Names are those of the network.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// Say this.
    Send { chat: Chat, target: String, body: String },
    /// Join a channel.
    Join {
        id: RoomId,
        channel: String,
        key: Option<Secret>,
    },
    /// Leave a channel.
    Leave { channel: String },
    /// Set a topic.
    Topic { channel: String, text: String },
    /// Take another nickname.
    Nick { nick: String },
    /// Invite somebody.
    Invite { channel: String, nick: String },
    /// Throw somebody out.
    Kick {
        channel: String,
        nick: String,
        reason: Option<String>,
    },
    /// Change what somebody may do.
    Standing {
        channel: String,
        nick: String,
        standing: Standing,
        reason: Option<String>,
    },
    /// Ask how a channel is set up.
    Settings { channel: String },
    /// Set a channel up.
    Configure { channel: String, answers: FormAnswers },
    /// Ask who is this to a channel.
    Affiliated { channel: String, affiliation: Affiliation },
    /// Ban somebody or a mask, or end that.
    Affiliate {
        channel: String,
        who: String,
        affiliation: Affiliation,
        reason: Option<String>,
    },
    /// List channels.
    List,
    /// Describe a channel.
    Info { channel: String },
    /// Describe a person.
    Whois { nick: String },
    /// Be away with this text, or be there.
    Away { text: Option<String> },
    /// Watch whether somebody is there.
    Watch { id: ContactId, nick: String },
    /// Do so no longer.
    Unwatch { nick: String },
}

/// What a request under way waits for. Names are folded.
#[derive(Debug)]
pub(super) enum Op {
    Message {
        target: Box<str>,
        sent: Sent,
        is_single: bool,
    },
    Join {
        key: Box<str>,
        id: RoomId,
    },
    Leave {
        key: Box<str>,
    },
    Topic {
        key: Box<str>,
    },
    Nick,
    Invite {
        key: Box<str>,
        nick: Box<str>,
    },
    Kick {
        key: Box<str>,
        nick: Box<str>,
        is_ban: bool,
    },
    Modes {
        key: Box<str>,
        nick: Box<str>,
    },
    Settings {
        key: Box<str>,
    },
    Configure {
        key: Box<str>,
    },
    Bans {
        key: Box<str>,
        list: Vec<Affiliated>,
    },
    List,
    Info {
        key: Box<str>,
    },
    Whois {
        nick: Box<str>,
        profile: Box<Profile>,
        found: bool,
    },
    Away,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) no: RequestNo,
    pub(super) op: Op,
}

impl Op {
    /// The command it was sent as.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Message { .. } => "PRIVMSG",
            Self::Join { .. } => "JOIN",
            Self::Leave { .. } => "PART",
            Self::Topic { .. } => "TOPIC",
            Self::Nick => "NICK",
            Self::Invite { .. } => "INVITE",
            Self::Kick { .. } => "KICK",
            Self::Modes { .. } | Self::Settings { .. } | Self::Configure { .. } | Self::Bans { .. } => "MODE",
            Self::List | Self::Info { .. } => "LIST",
            Self::Whois { .. } => "WHOIS",
            Self::Away => "AWAY",
        }
    }

    /// Whether this numeric can be the answer to it; `names` says whether the reply names a folded name.
    pub(super) fn is_refused_by(&self, numeric: u16, names: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Message { target, .. } => {
                matches!(numeric, 401 | 402 | 404 | 406..=408 | 413..=415 | 477 | 486 | 489 | 492 | 499 | 531 | 573 | 716 | 742)
                    && names(target)
                    || matches!(numeric, 411 | 412 | 417)
            }
            Self::Join { key, .. } => {
                matches!(numeric, 403 | 405 | 407 | 437 | 470 | 471 | 473..=477 | 479 | 480 | 485 | 489 | 495 | 500 | 517..=520)
                    && names(key)
            }
            Self::Leave { key } => matches!(numeric, 403 | 442) && names(key),
            Self::Topic { key } => matches!(numeric, 403 | 404 | 437 | 442 | 477 | 482) && names(key),
            Self::Nick => matches!(numeric, 430..=433 | 435 | 436 | 438 | 439 | 447 | 484) || numeric == 437 && !names(""),
            Self::Invite { key, nick } => {
                numeric == 401 && names(nick) || matches!(numeric, 403 | 442 | 443 | 482 | 485 | 518) && names(key)
            }
            Self::Kick { key, nick, .. } => {
                numeric == 401 && names(nick) || matches!(numeric, 403 | 441 | 442 | 482 | 484 | 485) && names(key)
            }
            Self::Modes { key, nick } => {
                numeric == 401 && names(nick)
                    || matches!(numeric, 403 | 441 | 442 | 467 | 472 | 477 | 478 | 482 | 484 | 485 | 499 | 696) && names(key)
            }
            Self::Settings { key } | Self::Configure { key } | Self::Bans { key, .. } => {
                matches!(numeric, 403 | 442 | 467 | 472 | 475 | 477 | 478 | 482 | 485 | 499 | 525 | 696) && names(key)
            }
            Self::List | Self::Info { .. } => numeric == 416,
            Self::Whois { nick, .. } => matches!(numeric, 401 | 402 | 406) && names(nick),
            Self::Away => false,
        }
    }
}
