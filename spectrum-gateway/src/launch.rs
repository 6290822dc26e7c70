//! From a configuration to a gateway: what the binary does.

use std::sync::Arc;

use async_trait::async_trait;
use spectrum_core::admin::Diagnosis;
use spectrum_core::assembly::{self, Builtins, NoBuiltins, start_pool};
use spectrum_core::cli::{Launched, Launcher, Start};
use spectrum_core::config::{Config, Mode};
use spectrum_core::instance::RunError;
use spectrum_core::store::Store;

use crate::doctor;
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

    fn check(&self, config: &Config) -> Result<(), RunError> {
        assembly::builtin(config, &*self.builtins).map(drop)
    }

    async fn doctor(&self, config: Arc<Config>) -> Result<Diagnosis, RunError> {
        doctor::alone(&config).await
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
/// [`RunError::Config`] without one; otherwise as [`assembly::open_store`].
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, RunError> {
    assembly::open_store(config)
        .await?
        .ok_or_else(|| RunError::Config("storage.url is missing".to_owned()))
}
