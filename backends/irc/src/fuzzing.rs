//! What a hostile server can reach, in one call: bytes to lines to the engine, with requests under way.

use std::time::Instant;

use spectrum_backend_sdk::model::{Chat, Timestamp};

use crate::engine::{Ask, Effect, Engine, Identity, Now, Setup};
use crate::line::Line;
use crate::names::Scope;
use crate::outbox::RequestNo;
use crate::transport::{LineReader, decode};

/// Plays a server that says these bytes to a client that is in a room and waits for several answers. Panics where the
/// engine breaks a promise: a line of ours with a line end in it, or a request without exactly one answer.
pub fn server_says(bytes: &[u8]) {
    let now = Now {
        mono: Instant::now(),
        wall: Timestamp::from_secs(1_000_000),
    };
    let setup = Setup {
        identity: Identity {
            nick: "dan".to_owned(),
            account: "dan".to_owned(),
            password: Some("pw".into()),
            server_password: None,
            real_name: "Dan".to_owned(),
            sasl: true,
        },
        scope: Scope::Qualified("irc.test".into()),
        nickserv: None,
        lines_per_second: 100.0,
        halve_text: false,
        away: None,
        watched: Vec::new(),
    };
    let Ok(mut engine) = Engine::new(setup, now) else { return };
    let greeting = b"CAP * LS :echo-message batch\r\nCAP * ACK :echo-message batch\r\n:s 001 dan :Hi\r\n:s 422 dan :No MOTD\r\n";
    let mut lines = LineReader::default();
    let mut hear = |engine: &mut Engine, bytes: &[u8]| {
        lines.buffer().extend_from_slice(bytes);
        while let Some(bytes) = lines.next_line() {
            if let Some(line) = Line::parse(&decode(&bytes, encoding_rs::WINDOWS_1252)) {
                engine.handle(&line, now);
            }
            engine.drain(now, |line| {
                assert!(
                    !line.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)),
                    "a line end in {line:?}"
                )
            });
        }
    };
    hear(&mut engine, greeting);
    let room = || "#room".to_owned();
    let asks = [
        Ask::Join {
            id: "#room@irc.test".into(),
            channel: room(),
            key: None,
        },
        Ask::Send {
            chat: Chat::Contact("bob@irc.test".into()),
            target: "bob".to_owned(),
            body: "hello".to_owned(),
        },
        Ask::Whois { nick: "bob".to_owned() },
        Ask::List,
        Ask::Watch {
            id: "bob@irc.test".into(),
            nick: "bob".to_owned(),
        },
    ];
    let asked = asks.len();
    for (no, ask) in asks.into_iter().enumerate() {
        engine.ask(RequestNo(no as u64), ask, now);
    }
    for chunk in bytes.chunks(1_024) {
        hear(&mut engine, chunk);
    }
    engine.tick(now);
    engine.close(spectrum_backend_sdk::LoginError::new(
        spectrum_backend_sdk::LoginErrorKind::Network,
        "the end",
    ));
    let mut answers = 0;
    while let Some(effect) = engine.take_effect() {
        answers += usize::from(matches!(effect, Effect::Answer(..)));
    }
    assert_eq!(answers, asked, "every request has one answer");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_break_a_promise(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            super::server_says(&bytes);
        }
    }

    #[test]
    fn a_server_that_ends_at_once_is_fine() {
        super::server_says(b"");
        super::server_says(b"ERROR :bye\r\n:dan!d@h JOIN #room\r\n");
    }
}
