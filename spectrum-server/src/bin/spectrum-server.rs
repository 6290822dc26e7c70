//! The binary of server mode.

use std::process::ExitCode;

fn main() -> ExitCode {
    spectrum_core::cli::main(&spectrum_server::ServerLauncher)
}
