//! Secrets from a person or a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::model::Secret;

/// The longest line that is read as a secret.
const MAX_BYTES: u64 = 4096;

/// Asks on the terminal without showing what is typed, or reads the next line of standard input.
pub(super) fn secret(prompt: &str) -> io::Result<Secret> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock());
    }
    eprint!("{prompt}: ");
    io::stderr().flush()?;
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    hidden.local_modes |= LocalModes::ECHONL;
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let secret = line(&mut stdin.lock());
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    secret
}

fn line(input: &mut impl BufRead) -> io::Result<Secret> {
    let mut line = Zeroizing::new(String::new());
    io::Read::take(input, MAX_BYTES).read_line(&mut line)?;
    let complete = line.ends_with('\n');
    let text = line.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "expected a secret on standard input, found nothing",
        ));
    }
    if !complete && line.len() as u64 == MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a secret has at most {MAX_BYTES} bytes"),
        ));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn secrets_are_read_one_per_line_and_keep_their_spaces() {
        let mut input: &[u8] = b" pass word \r\nsecond";
        assert_eq!(line(&mut input).unwrap(), Secret::new(" pass word "));
        assert_eq!(line(&mut input).unwrap(), Secret::new("second"));
        assert!(line(&mut input).is_err());
    }

    #[test]
    fn endless_line_is_refused() {
        let input = vec![b'a'; 5000];
        assert_eq!(line(&mut input.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
