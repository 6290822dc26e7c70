//! What `/metrics` says: every name with its meaning, and the gauges that are read off the instance when somebody asks.
//! Stateless; counters are kept where things happen.

use metrics::{describe_counter, describe_gauge, gauge as set_gauge};

use crate::instance::Status;

/// Says what the names mean, for the `# HELP` lines.
pub(super) fn describe() {
    describe_gauge!("spectrum_up_seconds", "For how long the instance has been up.");
    describe_gauge!(
        "spectrum_xmpp_up",
        "1 if stanzas can pass: the component is connected, or the server listens."
    );
    describe_gauge!("spectrum_sessions", "Users with a session.");
    describe_gauge!("spectrum_users_logged_in", "Users whom the network has let in.");
    describe_gauge!(
        "spectrum_degraded",
        "Things that work less well than they could; `status` names them."
    );
    describe_gauge!("spectrum_backends", "Backends that run.");
    describe_gauge!("spectrum_backend_users", "Users that have a seat on a backend.");
    describe_gauge!("spectrum_users_waiting", "Users that wait for a seat.");
    describe_counter!(
        "spectrum_backend_crashes_total",
        "Backends that ended without being asked to."
    );
    describe_counter!(
        "spectrum_backend_violations_total",
        "Frames and fields of backends that were dropped or repaired."
    );
    describe_counter!(
        "spectrum_backend_strangers_total",
        "Connections to the port of a backend that were not the backend's."
    );
    describe_counter!(
        "spectrum_component_messages_dropped_total",
        "Messages for the XMPP server that the link could not hold any more."
    );
}

/// Sets the gauges that nobody keeps up to date.
#[allow(clippy::cast_precision_loss)] // No count comes near 2^52.
pub fn gauge(status: &Status) {
    set_gauge!("spectrum_up_seconds").set(status.uptime_secs as f64);
    set_gauge!("spectrum_xmpp_up").set(f64::from(u8::from(status.xmpp.up)));
    set_gauge!("spectrum_sessions").set(status.sessions as f64);
    set_gauge!("spectrum_users_logged_in").set(status.logged_in as f64);
    set_gauge!("spectrum_degraded").set(status.degraded.len() as f64);
}
