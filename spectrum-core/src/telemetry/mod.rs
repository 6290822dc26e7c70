//! Logs and metrics of a process: where lines go, what they must never contain, and the HTTP answers for Prometheus and probes.
//!
//! [`Logs`] owns the log file; [`http`] owns the listener for `/metrics`, `/healthz` and `/readyz`.

mod filter;
mod gauges;
pub mod http;
mod journal;
mod logs;
mod panics;
mod writer;

pub use gauges::gauge;
pub use http::{Probes, Readiness};
pub use logs::{LogError, Logs, Terminal};
pub use panics::log_panics;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Installs the recorder behind the `metrics` macros for this process. Its handle renders `/metrics`.
///
/// # Errors
/// If a recorder is installed already: an embedder that has one keeps it and needs no second.
pub fn record_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    gauges::describe();
    Ok(handle)
}

#[cfg(test)]
mod tests;
