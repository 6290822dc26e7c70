//! What is logged: the configured level, and crates that would log stanzas, SASL payloads or SQL below `info`.

use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// Crates that write peers' data at `debug` or `trace`. They stay at `info`, whatever the configuration says.
const PINNED: [&str; 8] = [
    "hyper",
    "hyper_util",
    "rustls",
    "rxml",
    "sqlx",
    "tokio_xmpp",
    "xmpp_parsers",
    "xso",
];

/// The filter for a level. Directives for pinned crates are dropped from it.
pub(super) fn filter(level: &LogLevel) -> EnvFilter {
    let pinned = |directive: &&str| {
        let target = directive.split('=').next().unwrap_or_default();
        let name = target.split("::").next().unwrap_or_default();
        // `sqlx_core` and the like belong to `sqlx`.
        PINNED.iter().any(|crate_name| name.starts_with(crate_name))
    };
    let chosen = level.as_str().split(',').filter(|directive| !pinned(directive));
    let pins = PINNED.iter().map(|name| format!("{name}=info"));
    let directives: Vec<String> = chosen.map(str::to_owned).chain(pins).collect();
    EnvFilter::new(directives.join(","))
}
