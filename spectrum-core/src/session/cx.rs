//! What the concerns of a session share while one input is handled: addresses, saying, and asking the network.

use std::borrow::Cow;
use std::sync::LazyLock;

use jid::{BareJid, Jid, NodePart, ResourcePart, ResourceRef};
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::stanza_error::StanzaError;

use crate::backend::{OpError, Verb};
use crate::face::UserOut;
use crate::model::{Capability, LegacyName, RequestId};
use crate::session::pending::{Pending, too_many};
use crate::session::{Cx, Output, StoreRequest};
use crate::stanza::Stanza;

/// The resource that contacts speak and are present with: the one Spectrum 2 gave them, so that nothing changes for
/// clients that remember it.
pub(crate) const CONTACT_RESOURCE: &str = "bot";

/// The same, prepared once.
static SPEAKS_AS: LazyLock<Option<ResourcePart>> =
    LazyLock::new(|| ResourcePart::new(CONTACT_RESOURCE).ok().map(Cow::into_owned));

impl Cx<'_> {
    /// The address of a person or a room.
    pub(crate) fn address(&mut self, name: &LegacyName) -> BareJid {
        let node = self.names.node_of(name, self.out);
        self.at_transport(&node)
    }

    /// The address with this localpart.
    pub(crate) fn at_transport(&self, node: &NodePart) -> BareJid {
        BareJid::from_parts(Some(node), self.config.transport.domain())
    }

    /// The address that a contact speaks with.
    pub(crate) fn speaker(&mut self, name: &LegacyName) -> Jid {
        let domain = self.config.transport.domain();
        self.names.speaker(name, self.out, |node| {
            Jid::from_parts(Some(node), domain, SPEAKS_AS.as_deref())
        })
    }

    /// The transport's name for people, as known now.
    pub(crate) fn name(&self) -> &str {
        self.config.name.as_deref().unwrap_or(&self.info.name)
    }

    /// The transport's own address.
    pub(crate) fn transport(&self) -> Jid {
        self.config.transport.clone().into()
    }

    /// The user, at all resources or at one.
    pub(crate) fn user_at(&self, resource: Option<&ResourceRef>) -> Jid {
        match resource {
            Some(resource) => self.user.with_resource(resource).into(),
            None => self.user.clone().into(),
        }
    }

    /// Says a stanza to the user.
    pub(crate) fn say(&mut self, stanza: impl Into<Stanza>) {
        self.tell(UserOut::Stanza(stanza.into()));
    }

    /// Says something to the user in the transport's own name.
    pub(crate) fn notice(&mut self, text: impl Into<String>) {
        let mut message = Message::chat(self.user_at(None));
        message.from = Some(self.transport());
        message.bodies.insert(Lang::new(), text.into());
        self.say(message);
    }

    /// Tells the user what happened.
    pub(crate) fn tell(&mut self, out: UserOut) {
        self.out.push(Output::User(out));
    }

    /// Answers a stanza of the user with an error, where one is allowed.
    pub(crate) fn refuse(&mut self, stanza: &Stanza, error: StanzaError) {
        if let Some(reply) = stanza.error_reply(error) {
            self.say(reply);
        }
    }

    /// Keeps something.
    pub(crate) fn store(&mut self, request: StoreRequest) {
        self.out.push(Output::Store(request));
    }

    /// Whether the network can do this.
    pub(crate) fn can(&self, capability: Capability) -> bool {
        self.info.capabilities.has(capability)
    }

    /// Asks the network for something.
    ///
    /// # Errors
    /// Gives back what the outcome would have been for if the network cannot be asked now.
    pub(crate) fn ask(&mut self, verb: Verb, pending: Pending) -> Result<RequestId, (OpError, Pending)> {
        if !self.online {
            return Err((
                OpError::not_connected(format!("You are not connected to {} at the moment.", self.info.name)),
                pending,
            ));
        }
        if self.requests.len() >= self.config.limits.requests {
            return Err((too_many(), pending));
        }
        Ok(self.requests.send(verb, pending, self.out))
    }

    /// Asks the network for something whose failure is nothing to tell the user.
    pub(crate) fn try_ask(&mut self, verb: Verb) {
        if self.online && self.requests.len() < self.config.limits.requests {
            self.requests.send(verb, Pending::Nobody, self.out);
        }
    }
}
