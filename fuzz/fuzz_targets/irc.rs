//! Any bytes from an IRC server, to a client in the middle of a conversation: no panic, no line of ours that a server
//! could have ended early, one answer to every request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| spectrum_irc::fuzzing::server_says(data));
