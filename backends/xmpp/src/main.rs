//! The XMPP backend as a process of its own: options in, a backend out, the rest is the SDK's.

use std::process::ExitCode;

use spectrum_backend_sdk::Options;
use spectrum_xmpp::{XmppBackend, XmppOptions};

fn main() -> ExitCode {
    spectrum_backend_sdk::run(|options: Options| {
        // tokio-xmpp writes whole stanzas, passwords included, to its log of the finest levels: they stay off whatever
        // the log is set to.
        log::set_max_level(log::LevelFilter::Info);
        let options = XmppOptions::read(options).map_err(|error| error.to_string())?;
        XmppBackend::from_options(options).map_err(|error| error.to_string())
    })
}
