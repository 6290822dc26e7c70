//! The IRC backend as a process of its own: options in, a backend out, the rest is the SDK's.

use std::process::ExitCode;

use spectrum_backend_sdk::Options;
use spectrum_irc::{IrcBackend, IrcOptions};

fn main() -> ExitCode {
    spectrum_backend_sdk::run(|options: Options| {
        let pairs = options.into_map();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let options = IrcOptions::parse(pairs).map_err(|error| error.to_string())?;
        IrcBackend::from_options(options).map_err(|error| error.to_string())
    })
}
