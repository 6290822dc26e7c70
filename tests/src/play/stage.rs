//! Where a play runs: an instance of one mode and the people in front of it.

use async_trait::async_trait;
use minidom::Element;

use super::Mode;
use crate::Outcome;

/// An instance that people can connect to. Its network is the echo network of `examples/echo-backend`.
#[async_trait]
pub trait Stage: Send {
    /// The mode of the instance.
    fn mode(&self) -> Mode;

    /// Its JID.
    fn transport(&self) -> &str;

    /// Connects a user's device; with `log_in` it sends available presence, and returns once the network is there.
    ///
    /// # Errors
    /// If that does not succeed.
    async fn connect(&mut self, user: &str, resource: &str, log_in: bool) -> Outcome<Box<dyn Person>>;
}

/// One device of a user.
#[async_trait]
pub trait Person: Send {
    /// Its full JID.
    fn jid(&self) -> &str;

    /// Sends a stanza as it stands.
    ///
    /// # Errors
    /// If the connection is gone.
    async fn send(&mut self, stanza: &str) -> Outcome<()>;

    /// The next stanza, in the namespace `jabber:client`.
    ///
    /// # Errors
    /// If none comes in time.
    async fn receive(&mut self) -> Outcome<Element>;

    /// Ends the connection.
    ///
    /// # Errors
    /// If it cannot be ended.
    async fn leave(self: Box<Self>) -> Outcome<()>;
}
