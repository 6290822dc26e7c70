//! A client with its resource: stanzas in and out until one side ends it. Inside the connection.

use spectrum_core::face::{Face, Read};
use spectrum_core::router::NoSession;
use spectrum_core::session::{CloseReason, Input};
use spectrum_core::stanza::{Stanza, error};
use spectrum_core::stream::{Event, StreamError};
use spectrum_core::xml::element;
use tokio::time::Instant;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::ns;
use xmpp_parsers::presence::Type as PresenceType;
use xmpp_parsers::stanza_error::DefinedCondition as StanzaCondition;
use xmpp_parsers::stream_error::DefinedCondition;

use super::wire::{Turn, Wire};
use super::{End, Me, Shared, Stop};
use crate::clients::undeliverable;

/// Whether the client is there.
#[derive(Debug, Clone, Copy)]
enum Idle {
    Busy,
    /// It has said nothing for a while, and its buffers are small.
    Quiet,
    /// It was asked, then.
    Asked(Instant),
}

/// Serves the client. Its resource is unregistered however this ends, also by a panic.
pub(super) async fn run(wire: &mut Wire, shared: &Shared, me: &Me) -> Stop {
    let _registered = Registered { shared, me };
    let mut client = Client {
        wire,
        shared,
        me,
        idle: Idle::Busy,
        pings: 0,
    };
    loop {
        let deadline = client.deadline();
        match client.wire.turn(Some(&me.outbox), deadline).await {
            Turn::Event(event) => {
                client.idle = Idle::Busy;
                if let Some(stop) = client.event(event) {
                    return stop;
                }
            }
            Turn::Deadline => {
                if let Some(stop) = client.silent() {
                    return stop;
                }
            }
            Turn::Ended => {
                if let Some((end, rest)) = me.outbox.finish() {
                    client.wire.written(rest);
                    return farewell(end);
                }
            }
            Turn::Gone => return Stop::Gone,
        }
    }
}

struct Registered<'a> {
    shared: &'a Shared,
    me: &'a Me,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let Me {
            user, connection, jid, ..
        } = self.me;
        if self.shared.clients.unbind(user, *connection) {
            self.shared
                .sessions
                .tell(user, Input::ResourceLost(jid.resource().to_owned()));
        }
    }
}

struct Client<'a> {
    wire: &'a mut Wire,
    shared: &'a Shared,
    me: &'a Me,
    idle: Idle,
    pings: u64,
}

impl Client<'_> {
    fn event(&mut self, event: Event) -> Option<Stop> {
        match event {
            Event::Stanza(stanza) => self.stanza(stanza),
            Event::Invalid(invalid) => {
                if let Some(reply) = &invalid.reply {
                    self.wire.stanza(reply);
                }
            }
            // A client that says whether it is looked at (XEP-0352) needs no answer.
            Event::Nonza(nonza) if nonza.has_ns(ns::CSI) => {}
            Event::Nonza(_) => return Some(DefinedCondition::UnsupportedStanzaType.into()),
            Event::Opened(_) => return Some(DefinedCondition::BadFormat.into()),
            Event::PeerError(_) | Event::Closed => return Some(Stop::Closed),
            Event::Error(error) => return Some(Stop::Error(error)),
        }
        None
    }

    fn stanza(&mut self, mut stanza: Stanza) {
        stanza.set_from(Some(self.me.jid.clone().into()));
        if self.is_for_own_clients(&stanza) {
            if !self.shared.clients.deliver(&self.me.user, &stanza)
                && let Some(reply) = undeliverable(&stanza)
            {
                self.wire.stanza(&reply);
            }
            return;
        }
        match &stanza {
            Stanza::Presence(presence) if presence.to.is_none() => match presence.type_ {
                PresenceType::None => self.set_available(Some(presence.priority.0)),
                PresenceType::Unavailable => self.set_available(None),
                PresenceType::Error
                | PresenceType::Probe
                | PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed => return,
            },
            Stanza::Message(message) => self.shared.clients.copy_sent(&self.me.jid, &self.me.user, message),
            Stanza::Presence(_) | Stanza::Iq(_) => {}
        }
        match self.shared.face.read(stanza) {
            Read::User(_, input) => {
                if let Err(NoSession(input)) = self.shared.sessions.route(&self.me.user, input) {
                    let gone = error(StanzaCondition::RecipientUnavailable, "Your session has ended.");
                    self.answer(input.stanza.error_reply(gone));
                }
            }
            Read::Service(stanza) => {
                let reply = self.carbons(&stanza).or_else(|| self.shared.answers.answer(&stanza));
                self.answer(reply);
            }
            Read::Reject(reply) => self.wire.stanza(&reply),
            Read::Ignore => {}
        }
    }

    fn answer(&mut self, reply: Option<Stanza>) {
        if let Some(reply) = reply {
            self.wire.stanza(&reply);
        }
    }

    fn set_available(&self, priority: Option<i8>) {
        self.shared.clients.set_available(&self.me.user, self.me.connection, priority);
    }

    /// Whether one client of the user speaks to another: everything to a full JID, messages to the bare one.
    fn is_for_own_clients(&self, stanza: &Stanza) -> bool {
        let Some(to) = stanza.recipient() else { return false };
        let is_own = to.node() == self.me.bare.node() && to.domain() == self.me.bare.domain();
        is_own && (to.is_full() || matches!(stanza, Stanza::Message(_)))
    }

    /// Turns copies of messages on and off (XEP-0280 section 4).
    fn carbons(&self, request: &Stanza) -> Option<Stanza> {
        let Stanza::Iq(Iq::Set { payload, .. }) = request else {
            return None;
        };
        if !payload.has_ns(ns::CARBONS) {
            return None;
        }
        let on = match payload.name() {
            "enable" => true,
            "disable" => false,
            _ => return None,
        };
        self.shared.clients.set_carbons(&self.me.user, self.me.connection, on);
        request.result_reply(None)
    }

    fn deadline(&self) -> Instant {
        let timing = &self.shared.timing;
        match self.idle {
            Idle::Busy => self.wire.last_read + timing.quiet,
            Idle::Quiet => self.wire.last_read + timing.ping_after,
            Idle::Asked(at) => at + timing.ping_wait,
        }
    }

    /// The deadline has passed. Whitespace moves it without an event, so it is looked at again.
    fn silent(&mut self) -> Option<Stop> {
        let now = Instant::now();
        if let Idle::Asked(at) = self.idle {
            if self.wire.last_read >= at {
                self.idle = Idle::Busy;
                return None;
            }
            return Some(Stop::error(DefinedCondition::ConnectionTimeout, "no answer to a ping"));
        }
        if self.deadline() > now {
            return None;
        }
        match self.idle {
            Idle::Busy => {
                self.wire.release();
                self.idle = Idle::Quiet;
            }
            Idle::Quiet | Idle::Asked(_) => {
                self.ping();
                self.idle = Idle::Asked(now);
            }
        }
        None
    }

    fn ping(&mut self) {
        self.pings += 1;
        let ping = Iq::Get {
            from: Some(self.shared.domain.clone().into()),
            to: Some(self.me.jid.clone().into()),
            id: format!("ping-{}", self.pings),
            payload: element("ping", ns::PING, &[]),
        };
        self.wire.stanza(&ping.into());
    }
}

fn farewell(end: End) -> Stop {
    let (condition, text) = match end {
        End::Conflict => (DefinedCondition::Conflict, "Another client has taken this resource."),
        End::Overflow => (DefinedCondition::ResourceConstraint, "You do not read what is sent to you."),
        End::Shutdown => (DefinedCondition::SystemShutdown, "The server is stopping."),
        End::Session(CloseReason::Offline) => return Stop::Closed,
        End::Session(CloseReason::LoginFailed) => (
            DefinedCondition::RemoteConnectionFailed,
            "The network does not let you in any more.",
        ),
        End::Session(CloseReason::NotRegistered) => (DefinedCondition::NotAuthorized, "You are not registered."),
        End::Session(CloseReason::Ended) => (DefinedCondition::Reset, "Your session was ended."),
        End::Session(CloseReason::Overflow) => (DefinedCondition::ResourceConstraint, "Too much came in for you at once."),
    };
    Stop::Error(StreamError::new(condition, text))
}
