//! `doctor`: what the XMPP server in front of a gateway offers, and what is missing in its configuration. A running instance is
//! asked, because it holds the component's name; otherwise this process opens the link for a moment. Owns nothing.

use std::sync::Arc;

use super::args::Query;
use super::exit::{Exit, Failure};
use super::{Launcher, locate, output};
use crate::admin::{ClientError, ControlClient, Diagnosis};
use crate::config::Mode;

pub(super) fn doctor(launcher: &dyn Launcher, arguments: &Query) -> Result<Exit, Failure> {
    match launcher.mode() {
        Mode::Gateway => {}
        Mode::Server => return Err(Failure::usage("server mode has no XMPP server to look at: it is one")),
    }
    let config = locate::load(launcher.mode(), &arguments.instance)?.config;
    let diagnosis = match ControlClient::connect(&config.control.socket) {
        Ok(mut running) => running.doctor()?,
        Err(ClientError::NotRunning { .. }) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime
                .block_on(launcher.doctor(Arc::new(config)))
                .map_err(|failed| Failure::from(&failed))?
        }
        Err(failed) => return Err(failed.into()),
    };
    if arguments.json {
        output::print_json(&serde_json::json!(diagnosis))?;
    } else {
        output::print(&diagnosis.text())?;
    }
    Ok(exit(&diagnosis))
}

fn exit(diagnosis: &Diagnosis) -> Exit {
    if !diagnosis.reachable {
        Exit::Unavailable
    } else if diagnosis.lacks_something() {
        Exit::Failure
    } else {
        Exit::Success
    }
}
