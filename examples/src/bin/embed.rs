//! An XMPP server with a network of its own, in one process: log in to 127.0.0.1:5222 as anybody@localhost with any password.

use std::{error::Error, sync::Arc};

use spectrum_backend_sdk::model::{Chat, ContactUpdate, IncomingMessage, OutgoingMessage, Presence, Sent};
use spectrum_backend_sdk::*;
use spectrum_core::{config::Config, instance::Instance, instance::Shutdown, pool::*, tasks::Tasks};
use spectrum_server::Server;

struct Shout(Option<Events>);

#[async_trait::async_trait]
impl Backend for Shout {
    fn info(&self) -> BackendInfo {
        BackendInfo::new("Shout", "shout")
    }
    async fn login(&self, _: Login, events: Events) -> Result<Box<dyn LegacySession>, LoginError> {
        let _ = events
            .emit(Event::Contact(ContactUpdate::new("loud").presence(Presence::ONLINE)))
            .await;
        Ok(Box::new(Self(Some(events))))
    }
}

#[async_trait::async_trait]
impl LegacySession for Shout {
    async fn send_message(&self, message: OutgoingMessage, _: Op) -> OpResult<Sent> {
        let reply = IncomingMessage::new(Chat::Contact("loud".into()), message.body.to_uppercase());
        if let Some(events) = &self.0 {
            let _ = events.emit(Event::Message(reply)).await;
        }
        Ok(Sent::default())
    }
    async fn logout(&self) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Arc::new(Config::from_toml(include_str!("embed.toml"))?);
    let options = PoolOptions::new(BackendSource::Builtin(Arc::new(Shout(None))), "localhost", ".");
    let server = Arc::new(Server::new(config, Pool::start(options, &Tasks::new()))?);
    Ok(server.run(Shutdown::new()).await?)
}
