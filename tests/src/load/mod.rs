//! The load generator: plays the XMPP server for a gateway and many TLS clients for a server, and measures the main
//! process. Nothing here asserts a time: it prints a table of medians for a person to read.

mod clients;
mod component;
mod link;
mod machine;
mod table;

pub use clients::{ServerLoad, run_server};
pub use component::{GatewayLoad, run_gateway};
pub use table::Table;

/// What a message says: 60 bytes, as in the figures of the original.
pub(crate) const BODY: &str = "The quick brown fox jumps over the lazy dog, twice: 60 bytes";

/// The transport's JID in every run.
pub(crate) const TRANSPORT: &str = "echo.localhost";

#[cfg(test)]
mod tests {
    #[test]
    fn the_message_has_the_length_of_the_originals() {
        assert_eq!(super::BODY.len(), 60);
    }
}
