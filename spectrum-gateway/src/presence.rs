//! Presence to the transport itself that belongs to no session: subscriptions and probes (XEP-0100 section 4). Owns
//! nothing.

use jid::{BareJid, Jid};
use spectrum_core::face::{To, UserIn};
use spectrum_core::model::UserKey;
use spectrum_core::router::Router;
use spectrum_core::session::Input;
use tracing::debug;
use xmpp_parsers::presence::{Presence, Type};

use crate::link::Outbox;
use crate::roster::RosterKeeper;

/// Who takes part in an answer.
pub(crate) struct PresenceCx<'a> {
    pub(crate) transport: &'a BareJid,
    pub(crate) router: &'a Router,
    pub(crate) keeper: &'a RosterKeeper,
    pub(crate) outbox: &'a Outbox,
}

impl PresenceCx<'_> {
    /// Deals with a presence to the transport.
    pub(crate) fn handle(&self, presence: &Presence, from: &Jid) {
        let user = from.to_bare();
        let key = UserKey::from(user.as_str());
        match presence.type_ {
            Type::Subscribe => {
                // Not taken as a sign that we see the user's presence: that needs a request of our own, which the keeper sends.
                self.answer(&user, Type::Subscribed);
                // Now the user may see us.
                self.show(&key, from);
            }
            Type::Subscribed => {
                self.keeper.seen(&key, self.transport, true);
                // The server shows the user's presence now; one that came before the approval is asked for.
                self.answer(&user, Type::Probe);
            }
            Type::Unsubscribe => self.answer(&user, Type::Unsubscribed),
            Type::Unsubscribed => {
                // We are shown the user's presence no longer: to keep the session would be to keep it for ever.
                if self
                    .router
                    .tell(&key, Input::End("You took the transport out of your contacts.".to_owned()))
                {
                    debug!(user = %key, "The user no longer shows presence; the session ends.");
                }
            }
            Type::Probe => self.show(&key, from),
            // A session's own business, or an error in answer to what we sent: nothing follows from it.
            Type::None | Type::Unavailable | Type::Error => {}
        }
    }

    /// Has the session show the transport; without one there is nothing to see, and the answer says so.
    fn show(&self, key: &UserKey, to: &Jid) {
        let input = UserIn {
            resource: to.resource().map(ToOwned::to_owned),
            to: To::Transport,
            stanza: Presence::probe().with_from(to.clone()).with_to(self.transport.clone()).into(),
        };
        if self.router.route(key, Box::new(input)).is_err() {
            self.answer(&to.to_bare(), Type::Unavailable);
        }
    }

    fn answer(&self, user: &BareJid, type_: Type) {
        self.outbox.push(
            Presence::new(type_)
                .with_from(self.transport.clone())
                .with_to(user.clone())
                .into(),
        );
    }
}
