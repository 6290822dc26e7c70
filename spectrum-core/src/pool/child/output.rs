//! What a child writes to stdout and stderr: the last lines are kept for the admin, all of it goes to the log at debug.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

/// Lines that are kept.
const LINES: usize = 20;

/// Bytes of a line that are kept; the rest of it is dropped.
const LINE_BYTES: usize = 1_024;

/// The last lines of one child. Shared by the task that reads them and by whoever reports a crash.
#[derive(Debug, Default)]
pub(crate) struct Output {
    lines: Mutex<VecDeque<String>>,
    complete: CancellationToken,
}

impl Output {
    /// The last lines, oldest first.
    pub(crate) fn last(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Resolves when nothing more will come.
    pub(crate) async fn complete(&self) {
        self.complete.cancelled().await;
    }

    fn keep(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Reads both pipes until they are closed.
pub(super) async fn capture(stdout: OwnedFd, stderr: OwnedFd, output: Arc<Output>) -> io::Result<()> {
    let _complete = output.complete.clone().drop_guard();
    let (stdout, stderr) = (pipe::Receiver::from_owned_fd(stdout)?, pipe::Receiver::from_owned_fd(stderr)?);
    let (first, second) = tokio::join!(follow(stdout, "stdout", &output), follow(stderr, "stderr", &output));
    first.and(second)
}

async fn follow(mut pipe: pipe::Receiver, stream: &'static str, output: &Output) -> io::Result<()> {
    let mut lines = Lines::default();
    let mut buffer = [0; 4_096];
    let mut line = |line: String| {
        tracing::debug!(stream, line, "Backend wrote.");
        output.keep(line);
    };
    loop {
        match pipe.read(&mut buffer).await? {
            0 => break,
            n => lines.push(&buffer[..n], &mut line),
        }
    }
    lines.finish(&mut line);
    Ok(())
}

/// Cuts bytes into lines of bounded length, fit for a log: what is not printable is replaced.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], line: &mut impl FnMut(String)) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE_BYTES.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < piece.len() {
                self.finish(line);
            }
        }
    }

    fn finish(&mut self, line: &mut impl FnMut(String)) {
        let text = String::from_utf8_lossy(&self.partial);
        let text = text.trim_end();
        if !text.is_empty() {
            line(
                text.chars()
                    .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
                    .collect(),
            );
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for chunk in chunks {
            lines.push(chunk, &mut |line| found.push(line));
        }
        lines.finish(&mut |line| found.push(line));
        found
    }

    #[test]
    fn lines_are_found_whatever_the_chunks() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n", b"\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn long_line_is_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; 100_000];
        let found = lines(&[&long, &long, b"\nnext\n"]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].len(), LINE_BYTES);
        assert_eq!(found[1], "next");
    }

    #[test]
    fn controls_do_not_reach_the_log() {
        assert_eq!(lines(&[b"\x1b[31mred\xff\n"]), ["\u{fffd}[31mred\u{fffd}"]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let output = Output::default();
        for n in 0..100 {
            output.keep(n.to_string());
        }
        assert_eq!(output.last().lines().count(), LINES);
        assert!(output.last().starts_with("80\n") && output.last().ends_with("\n99"));
    }
}
