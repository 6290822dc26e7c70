//! From a configuration to a gateway: what the binary does.

use std::sync::Arc;

use async_trait::async_trait;
use spectrum_core::assembly::{Builtins, NoBuiltins, start_pool};
use spectrum_core::cli::{Launched, Launcher, Start};
use spectrum_core::config::{Config, Mode};
use spectrum_core::instance::RunError;
use spectrum_core::store::{self, Store, StoreError, StoreOptions};

use crate::gateway::{Gateway, GatewayParts};

/// Launches gateways whose backends are programs, or linked in.
pub struct GatewayLauncher {
    builtins: Box<dyn Builtins>,
}

impl GatewayLauncher {
    /// With backends that are linked into the binary.
    pub fn new(builtins: impl Builtins + 'static) -> Self {
        Self {
            builtins: Box::new(builtins),
        }
    }
}

impl Default for GatewayLauncher {
    fn default() -> Self {
        Self::new(NoBuiltins)
    }
}

#[async_trait]
impl Launcher for GatewayLauncher {
    fn mode(&self) -> Mode {
        Mode::Gateway
    }

    async fn launch(&self, start: Start) -> Result<Launched, RunError> {
        // The store first: without its key there is no point in starting a backend.
        let store = open_store(&start.config).await?;
        let main = start_pool(&start.config, &*self.builtins, &start.tasks)?;
        let gateway = Arc::new(Gateway::new(GatewayParts {
            config: Arc::clone(&start.config),
            main,
            store,
            tasks: start.tasks.clone(),
            once: start.once,
            connect: None,
        })?);
        Ok(Launched {
            instance: Arc::clone(&gateway) as Arc<_>,
            control: gateway,
        })
    }
}

/// Opens the store of a configuration.
///
/// # Errors
/// [`RunError::Store`] if something has to be changed or restored first; [`RunError::Unreachable`] if the database is
/// not there at the moment.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, RunError> {
    let url = config
        .storage_url()
        .ok_or_else(|| RunError::Config("storage.url is missing".to_owned()))?;
    let options = StoreOptions {
        url: url.to_owned(),
        instance: config.jid.to_string(),
        key_file: config.storage.key_file.clone(),
    };
    store::open(&options).await.map_err(|failed| {
        let text = told(&failed);
        if failed.is_configuration() {
            RunError::Store(text)
        } else {
            RunError::Unreachable(text)
        }
    })
}

/// The error with its causes.
fn told(failed: &StoreError) -> String {
    let mut text = failed.to_string();
    let mut cause = std::error::Error::source(failed);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
