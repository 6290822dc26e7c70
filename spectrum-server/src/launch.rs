//! A server from its configuration: what the binary, the demo and an embedder start.

use std::sync::Arc;

use async_trait::async_trait;
use clap::{ArgMatches, Command};
use spectrum_core::admin::{Control, ControlError, NewRegistration, UserStatus};
use spectrum_core::assembly::{Builtins, builtin, open_store, start_pool};
use spectrum_core::cli::{Exit, Launched, Launcher, Start};
use spectrum_core::config::{Config, Mode};
use spectrum_core::instance::{Instance, RunError, Status};
use spectrum_core::model::UserKey;
use spectrum_core::session::{Input, RecentMessage};

use crate::tls::Tls;
use crate::{Server, ServerBuiltins, demo};

/// Puts a server together: opens the store if the configuration has one, starts the pool, binds nothing yet. To be called
/// inside a tokio runtime.
///
/// # Errors
/// [`RunError::Config`] if the backend's options or the certificate are wrong; [`RunError::Store`] or
/// [`RunError::Unreachable`] if the store cannot be opened.
pub async fn launch(start: Start, builtins: Arc<dyn Builtins>) -> Result<Launched, RunError> {
    Ok(launched(assemble(start, builtins).await?))
}

/// The server that [`launch`] puts together.
pub(crate) async fn assemble(start: Start, builtins: Arc<dyn Builtins>) -> Result<Arc<Server>, RunError> {
    // The store first: without it there is no point in starting a backend.
    let store = open_store(&start.config).await?;
    let pool = start_pool(&start.config, &*builtins, &start.tasks)?;
    Ok(Arc::new(match store {
        Some(store) => Server::with_store(start.config, pool, store)?,
        None => Server::new(start.config, pool)?,
    }))
}

/// What the shared command line runs.
pub(crate) fn launched(server: Arc<Server>) -> Launched {
    Launched {
        instance: Arc::clone(&server) as Arc<dyn Instance>,
        control: server as Arc<dyn Control>,
    }
}

/// What the binary `spectrum-server` brings to the shared command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerLauncher;

#[async_trait]
impl Launcher for ServerLauncher {
    fn mode(&self) -> Mode {
        Mode::Server
    }

    fn check(&self, config: &Config) -> Result<(), RunError> {
        Tls::new(&config.server, &config.jid)?;
        builtin(config, &ServerBuiltins).map(drop)
    }

    async fn launch(&self, start: Start) -> Result<Launched, RunError> {
        launch(start, Arc::new(ServerBuiltins)).await
    }

    fn commands(&self) -> Vec<Command> {
        vec![demo::command()]
    }

    fn run_command(&self, _name: &str, matches: &ArgMatches) -> Exit {
        demo::run(matches)
    }
}

#[async_trait]
impl Control for Server {
    fn status(&self) -> Status {
        Instance::status(self)
    }

    fn users(&self, after: Option<&UserKey>, limit: usize) -> Vec<UserStatus> {
        self.router().page(after, limit)
    }

    fn user(&self, user: &UserKey) -> Option<UserStatus> {
        self.router().status(user)
    }

    async fn recent(&self, user: &UserKey) -> Result<Vec<RecentMessage>, ControlError> {
        self.router().recent(user).await.ok_or(ControlError::NoSuchUser)
    }

    async fn logout(&self, user: &UserKey) -> Result<(), ControlError> {
        if self
            .router()
            .tell(user, Input::End("An administrator has ended the session.".to_owned()))
        {
            Ok(())
        } else {
            Err(ControlError::NoSuchUser)
        }
    }

    async fn register(&self, _registration: NewRegistration) -> Result<(), ControlError> {
        Err(wrong_mode())
    }

    async fn unregister(&self, _user: &UserKey) -> Result<(), ControlError> {
        Err(wrong_mode())
    }
}

fn wrong_mode() -> ControlError {
    let reason = "A server keeps no registrations: users log in with their accounts of the network.";
    ControlError::WrongMode(reason.to_owned())
}
