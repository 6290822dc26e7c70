//! The demo network as a process of its own: options in, a backend out, the rest is the SDK's.

use std::process::ExitCode;

use spectrum_backend_sdk::Options;
use spectrum_demo::{Demo, DemoOptions};

fn main() -> ExitCode {
    spectrum_backend_sdk::run(|options: Options| DemoOptions::read(options).map(Demo::with_options))
}
