//! What the transport is called: configured, else as the network calls itself, which is known once a backend was up. Owns
//! nothing.

use std::sync::Arc;

use spectrum_core::config::Config;
use spectrum_core::main_process::MainProcess;

/// The transport's name for people.
#[derive(Clone)]
pub struct Naming {
    config: Arc<Config>,
    main: Arc<dyn MainProcess>,
}

impl Naming {
    /// For the instance of this configuration.
    pub fn new(config: Arc<Config>, main: Arc<dyn MainProcess>) -> Self {
        Self { config, main }
    }

    /// The name, as known now.
    pub fn name(&self) -> String {
        match (&self.config.identity.name, self.main.info()) {
            (Some(name), _) => name.clone(),
            (None, Some(info)) => info.name.clone(),
            (None, None) => self.config.jid.to_string(),
        }
    }
}
