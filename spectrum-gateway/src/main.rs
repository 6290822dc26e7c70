//! The binary of gateway mode: the shared command line around [`spectrum_gateway::Gateway`].

use std::process::ExitCode;

fn main() -> ExitCode {
    spectrum_core::cli::main(&spectrum_gateway::GatewayLauncher::default())
}
